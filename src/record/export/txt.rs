//! Plain text for reading and review: everything, with its doubts and their reasons.

use super::{
    NOTICE, plain,
    transcript::{ClockNote, Transcript, class_name, in_doubt},
};
use crate::domain::{
    alarm::AlarmState,
    change::{Imported, IntervalClass},
    clock::ClockKind,
    flag::{Flag, FlagCode},
    hypothesis::join,
    segment::{CaptionState, Segment},
    time::{HearingTime, SamplePos},
};
use crate::record::ledger::{Account, ChannelLedger, Totals};

/// The transcript as plain text in UTF-8: a header, then a line for each segment with `(?)` after each word in doubt, and
/// the reasons under it. Withheld text is there, marked `[withheld: reason]`; so is text of intervals that are not open.
#[must_use]
pub fn txt(transcript: &Transcript) -> String {
    let mut out = head(transcript);
    let mut silent = remarks(transcript).into_iter().peekable();
    for segment in &transcript.segments {
        let start = segment.span.start().at(segment.rate);
        while let Some((_, text)) = silent.next_if(|(at, _)| *at <= start) {
            out.push_str(&text);
        }
        out.push('\n');
        out.push_str(&line(transcript, segment));
        for flag in &segment.flags {
            out.push_str(&reason(segment, flag));
        }
    }
    silent.for_each(|(_, text)| out.push_str(&text));
    out
}

/// What stands between the texts: alarms of channels, and where there is no text for another reason than that nobody spoke.
/// In order.
fn remarks(transcript: &Transcript) -> Vec<(HearingTime, String)> {
    let mut remarks = Vec::new();
    for note in &transcript.alarms {
        let Some(at) = transcript.rate(note.channel).map(|rate| note.at.at(rate)) else { continue };
        let what = match note.state {
            AlarmState::Began => format!("ALARM {}: {}", note.alarm.as_str(), note.alarm.reason()),
            AlarmState::Ended => format!("alarm {} is over", note.alarm.as_str()),
        };
        remarks.push((at, format!("\n[{at}] {} {}: [{what}]\n", note.channel, transcript.label(note.channel))));
    }
    for ledger in &transcript.ledger {
        for (span, account) in ledger.told() {
            let why = match account {
                Account::Speech | Account::NonSpeech => continue,
                Account::OffRecord => "off the record",
                Account::Muted => "microphone muted",
                Account::Gap(_) => "RECORDING GAP",
                Account::Pending => "not transcribed yet",
            };
            let (start, end) = (span.start().at(ledger.rate), span.end().at(ledger.rate));
            let (channel, label) = (ledger.channel, transcript.label(ledger.channel));
            let cause = account.gap_reason().map_or_else(String::new, |reason| format!(": {}", reason.as_str()));
            remarks.push((start, format!("\n[{start} - {end}] {channel} {label}: [{why}{cause}]\n")));
        }
    }
    remarks.sort_by_key(|(start, _)| *start);
    remarks
}

fn head(transcript: &Transcript) -> String {
    let reference = plain::label(&transcript.reference);
    let mut out = format!("{NOTICE}\n\nHearing:   {}\n", transcript.hearing);
    if !reference.is_empty() {
        out.push_str(&format!("Reference: {reference}\n"));
    }
    out.push_str(&format!("Opened:    {}\n", transcript.opened_at));
    match transcript.closed_at {
        Some(at) => out.push_str(&format!("Closed:    {at}\n")),
        None => out.push_str("Closed:    not yet\n"),
    }
    if let Some(Imported { name, sha256 }) = &transcript.imported {
        out.push_str(&format!("Imported:  {} (SHA-256 {sha256})\n", plain::label(name.as_str())));
    }
    for channel in &transcript.channels {
        let languages: Vec<_> = channel.languages.tags().iter().map(ToString::to_string).collect();
        let (label, rate) = (transcript.label(channel.id), channel.format.rate);
        out.push_str(&format!("Channel {}: {label} ({}; {rate})\n", channel.id, languages.join(", ")));
    }
    for ledger in &transcript.ledger {
        out.push_str(&accounts(ledger));
    }
    out.push_str(&clocks(transcript));
    out.push_str("\nTimes count from the opening. Words marked (?) are in doubt; the reasons stand under the line.\n");
    out
}

/// Wall-clock times, a line each; channels that say the same at the same time are one.
fn clocks(transcript: &Transcript) -> String {
    let mut out = String::new();
    let mut last: Option<(&ClockNote, u64)> = None;
    for note in &transcript.clock {
        let Some(at) = transcript.rate(note.channel).map(|rate| note.at.at(rate)) else { continue };
        let same = |(other, ms): (&ClockNote, u64)| {
            let apart = note.wall.as_millisecond() - other.wall.as_millisecond();
            other.channel != note.channel
                && (other.kind, other.source) == (note.kind, note.source)
                && apart.abs() < 1_000
                && ms.abs_diff(at.millis()) < 1_000
        };
        if last.is_some_and(same) {
            continue;
        }
        last = Some((note, at.millis()));
        let why = match note.kind {
            ClockKind::Start => "a stream began".to_owned(),
            ClockKind::Step { by_ms } => format!("the clock was set by {:+.3} s", seconds(by_ms)),
            ClockKind::CaughtUp { .. } => "what came late was caught up with".to_owned(),
            ClockKind::Drift { ppm } => format!("channel {} gives {ppm:+} ppm of its samples", note.channel),
        };
        out.push_str(&format!("Clock:     {at} was {} by the {}'s clock ({why})\n", note.wall, note.source.as_str()));
    }
    if !out.is_empty() {
        out.push_str(
            "           All other times are time of the hearing, counted in samples; no clock changes them.\n",
        );
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries fit 53 bits")]
const fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

/// What became of a channel's audio, in a line: the parts make the whole.
fn accounts(ledger: &ChannelLedger) -> String {
    let time = |samples: u64| SamplePos::new(samples).at(ledger.rate);
    let Totals { speech, non_speech, off_record, muted, gap, pending } = ledger.totals();
    let parts = [
        ("speech", speech),
        ("no speech", non_speech),
        ("off the record", off_record),
        ("muted", muted),
        ("missing", gap),
        ("not transcribed yet", pending),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(_, samples)| *samples > 0)
        .map(|(name, samples)| format!("{name} {}", time(*samples)))
        .collect();
    let parts = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    format!("Audio {}:   {} ({parts})\n", ledger.channel, time(ledger.length()))
}

fn line(transcript: &Transcript, segment: &Segment) -> String {
    let (start, end) = (segment.span.start().at(segment.rate), segment.span.end().at(segment.rate));
    let mark = match transcript.class(segment) {
        IntervalClass::Open => String::new(),
        class @ (IntervalClass::OffRecord | IntervalClass::Sealed | IntervalClass::Muted) => {
            format!(" [{}]", class_name(class))
        }
    };
    let withheld = match segment.captions {
        CaptionState::Shown => String::new(),
        CaptionState::Withheld => format!(" [withheld: {}]", withheld_for(segment)),
    };
    let words: Vec<_> = (0..).zip(&segment.words).map(|(i, w)| (word(segment, i, &w.text), w.spaced)).collect();
    let text = join(words.iter().filter(|(w, _)| !w.is_empty()).map(|(w, spaced)| (w.as_str(), *spaced)));
    let text = if text.is_empty() { "[no words]" } else { &text };
    let (channel, label) = (segment.channel, transcript.label(segment.channel));
    format!("[{start} - {end}] {channel} {label} ({}):{mark}{withheld} {text}\n", segment.language)
}

fn word(segment: &Segment, index: usize, text: &str) -> String {
    let text = plain::line(text);
    if !text.is_empty() && in_doubt(segment, index) { text + "(?)" } else { text }
}

/// The reasons of the flags that withhold text, or of all where none of those is there.
fn withheld_for(segment: &Segment) -> String {
    let withholding = |f: &&Flag| {
        matches!(
            f.code,
            FlagCode::NoSpeechUnderWords
                | FlagCode::NonSpeechText
                | FlagCode::SpeechWithoutWords
                | FlagCode::CrossTalk
                | FlagCode::EchoOfPrompt
                | FlagCode::StockPhrase
                | FlagCode::Repetition
                | FlagCode::UncertainLanguage
        )
    };
    let mut reasons: Vec<_> = segment.flags.iter().filter(withholding).map(|f| f.code.reason()).collect();
    if reasons.is_empty() {
        reasons = segment.flags.iter().map(|f| f.code.reason()).collect();
    }
    reasons.dedup();
    if reasons.is_empty() { "no reason recorded".to_owned() } else { reasons.join("; ") }
}

fn reason(segment: &Segment, flag: &Flag) -> String {
    let words = segment.words.get(flag.words.clone()).unwrap_or_default();
    let quoted = match words {
        [] => String::new(),
        words if words.len() == segment.words.len() => " on all words".to_owned(),
        words => format!(" on \"{}\"", plain::line(&join(words.iter().map(|w| (w.text.as_str(), w.spaced))))),
    };
    let evidence: Vec<_> = flag
        .evidence
        .iter()
        .map(|e| format!("{} {:.3}, limit {:.3}", plain::line(&e.measure), e.value, e.limit))
        .collect();
    let evidence = if evidence.is_empty() { String::new() } else { format!(" ({})", evidence.join("; ")) };
    format!("    ? {}{quoted}: {}{evidence}\n", flag.code.as_str(), flag.code.reason())
}
