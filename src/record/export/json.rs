//! JSON: all layers, for other programs. Version 2 of `vivavoce-transcript`: version 1 with the ends and orders of intervals,
//! and the accounts of every channel; where revisions were proposed, with `proposals` beside the segments.
//!
//! Positions are samples at the channel's own rate; `*_ms` are whole milliseconds from the opening, rounded down. Engines
//! are listed once and named by their index. Strings are exact: a reader that shows them must make them safe for its screen.

use serde::Serialize;

use super::{
    ExportError, NOTICE,
    transcript::{ClockNote, Transcript, class_name},
};
use crate::domain::{
    audio::Encoding,
    change::{GapReason, Imported},
    clock::ClockKind,
    engine::{EngineInfo, Sha256Hash},
    flag::{Evidence, Flag},
    id::{ChannelId, HearingId, SegmentId},
    language::LanguageTag,
    probability::Probability,
    segment::{CaptionState, Segment},
    time::{SamplePos, SampleRate, Span},
};
use crate::record::ledger::{Account, ChannelLedger, Totals};

/// The version of the format.
pub const VERSION: u32 = 2;

#[derive(Serialize)]
struct Head<'a> {
    format: &'static str,
    version: u32,
    notice: &'static str,
    hearing: HearingId,
    reference: &'a str,
    status: &'static str,
    opened_at: String,
    closed_at: Option<String>,
    through_entry: u64,
    /// The recording that it was made of: its name and SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<&'a Imported>,
    channels: Vec<Channel<'a>>,
    intervals: Vec<Interval<'a>>,
    ledger: Vec<Accounts>,
    alarms: Vec<AlarmRow<'a>>,
    clock: Vec<ClockRow>,
    engines: &'a [&'a EngineInfo],
}

#[derive(Serialize)]
struct Channel<'a> {
    channel: ChannelId,
    label: &'a str,
    languages: &'a [LanguageTag],
    encoding: Encoding,
    rate_hz: u32,
}

#[derive(Serialize)]
struct Interval<'a> {
    channel: ChannelId,
    first_sample: u64,
    end_sample: Option<u64>,
    class: &'static str,
    ordered_by: Option<&'a str>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct AlarmRow<'a> {
    channel: ChannelId,
    alarm: &'static str,
    reason: &'static str,
    state: &'static str,
    first_sample: u64,
    start_ms: Option<u64>,
    evidence: &'a [Evidence],
}

#[derive(Serialize)]
struct ClockRow {
    channel: ChannelId,
    sample: u64,
    hearing_ms: Option<u64>,
    wall: String,
    source: &'static str,
    kind: &'static str,
    by_ms: Option<i64>,
    ppm: Option<i32>,
}

/// What became of the samples of a channel: the six counts add up to the length.
#[derive(Serialize)]
struct Accounts {
    channel: ChannelId,
    length_samples: u64,
    speech_samples: u64,
    non_speech_samples: u64,
    off_record_samples: u64,
    muted_samples: u64,
    gap_samples: u64,
    pending_samples: u64,
    /// Runs that are neither speech nor non-speech.
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Run {
    #[serde(flatten)]
    place: Place,
    account: &'static str,
    gap_reason: Option<GapReason>,
}

#[derive(Serialize)]
struct Place {
    first_sample: u64,
    end_sample: u64,
    start_ms: u64,
    end_ms: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    id: SegmentId,
    channel: ChannelId,
    class: &'static str,
    captions: CaptionState,
    rate_hz: u32,
    #[serde(flatten)]
    place: Place,
    language: &'a LanguageTag,
    language_posterior: Option<Probability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaning: Option<&'a LanguageTag>,
    text: String,
    words: Vec<Word<'a>>,
    flags: Vec<FlagRow<'a>>,
    /// Where it was not compared with the other channels yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    uncompared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    glossary_sha256: Option<Sha256Hash>,
    engine: Option<usize>,
}

/// A text that was proposed, in the form of a segment.
#[derive(Serialize)]
struct ProposalRow<'a> {
    replaces: &'a [SegmentId],
    proposed_at: String,
    proposed_by: &'a str,
    #[serde(flatten)]
    row: Row<'a>,
}

#[derive(Serialize)]
struct Word<'a> {
    text: &'a str,
    spaced: bool,
    #[serde(flatten)]
    place: Place,
    score: Probability,
}

#[derive(Serialize)]
struct FlagRow<'a> {
    code: &'static str,
    reason: &'static str,
    first_word: usize,
    end_word: usize,
    evidence: &'a [Evidence],
}

/// The transcript as JSON: the head on one line, then one line for each segment and proposal, so that versions can be compared line by
/// line. Withheld segments are in, with `"captions":"withheld"`.
///
/// # Errors
/// [`ExportError::Json`], which no transcript read from a record gives.
pub fn json(transcript: &Transcript) -> Result<String, ExportError> {
    let mut engines: Vec<&EngineInfo> = Vec::new();
    for segment in transcript.segments.iter().chain(transcript.proposals.iter().map(|proposal| &proposal.segment)) {
        if !engines.contains(&&segment.engine) {
            engines.push(&segment.engine);
        }
    }
    let fail = |source| ExportError::Json { hearing: transcript.hearing, source };
    let head = serde_json::to_string(&head(transcript, &engines)).map_err(fail)?;
    // The list is put in before the brace that ends the head.
    let mut out = head.strip_suffix('}').unwrap_or(&head).to_owned() + ",\n\"segments\":[";
    for (index, segment) in transcript.segments.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&serde_json::to_string(&row(transcript, &engines, segment)).map_err(fail)?);
    }
    if !transcript.proposals.is_empty() {
        out.push_str("\n],\n\"proposals\":[");
    }
    for (index, proposal) in transcript.proposals.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        let row = ProposalRow {
            replaces: &proposal.replaces,
            proposed_at: proposal.by.at.to_string(),
            proposed_by: &proposal.by.actor.id,
            row: row(transcript, &engines, &proposal.segment),
        };
        out.push_str(&serde_json::to_string(&row).map_err(fail)?);
    }
    out.push_str("\n]}\n");
    Ok(out)
}

fn head<'a>(transcript: &'a Transcript, engines: &'a [&'a EngineInfo]) -> Head<'a> {
    let channel = |c: &'a crate::domain::channel::ChannelSetup| Channel {
        channel: c.id,
        label: c.label.as_str(),
        languages: c.languages.tags(),
        encoding: c.format.encoding,
        rate_hz: c.format.rate.hz(),
    };
    let interval = |i: &'a super::transcript::Interval| Interval {
        channel: i.channel,
        first_sample: i.first_sample.index(),
        end_sample: i.end.map(SamplePos::index),
        class: class_name(i.class),
        ordered_by: i.order.as_ref().map(|o| o.by.as_str()),
        reason: i.order.as_ref().map(|o| o.reason.as_str()),
    };
    let alarm = |a: &'a super::transcript::AlarmNote| AlarmRow {
        channel: a.channel,
        alarm: a.alarm.as_str(),
        reason: a.alarm.reason(),
        state: a.state.as_str(),
        first_sample: a.at.index(),
        start_ms: transcript.rate(a.channel).map(|rate| a.at.at(rate).millis()),
        evidence: &a.evidence,
    };
    Head {
        format: "vivavoce-transcript",
        version: VERSION,
        notice: NOTICE,
        hearing: transcript.hearing,
        reference: &transcript.reference,
        status: if transcript.closed_at.is_some() { "closed" } else { "open" },
        opened_at: transcript.opened_at.to_string(),
        closed_at: transcript.closed_at.map(|at| at.to_string()),
        through_entry: transcript.through.number(),
        imported: transcript.imported.as_ref(),
        channels: transcript.channels.iter().map(channel).collect(),
        intervals: transcript.intervals.iter().map(interval).collect(),
        ledger: transcript.ledger.iter().map(accounts).collect(),
        alarms: transcript.alarms.iter().map(alarm).collect(),
        clock: transcript.clock.iter().map(|note| clock(transcript, note)).collect(),
        engines,
    }
}

fn row<'a>(transcript: &Transcript, engines: &[&EngineInfo], segment: &'a Segment) -> Row<'a> {
    let place = |span: Span| place(span, segment.rate);
    let words =
        segment.words.iter().map(|w| Word { text: &w.text, spaced: w.spaced, place: place(w.span), score: w.score });
    Row {
        id: segment.id,
        channel: segment.channel,
        class: class_name(transcript.class(segment)),
        captions: segment.captions,
        rate_hz: segment.rate.hz(),
        place: place(segment.span),
        language: &segment.language,
        language_posterior: segment.language_posterior,
        leaning: segment.leaning.as_ref(),
        text: segment.text(),
        words: words.collect(),
        flags: segment.flags.iter().map(flag).collect(),
        uncompared: segment.uncompared,
        replaced: segment.replaced.as_deref(),
        glossary_sha256: segment.glossary,
        engine: engines.iter().position(|e| **e == segment.engine),
    }
}

fn place(span: Span, rate: SampleRate) -> Place {
    Place {
        first_sample: span.start().index(),
        end_sample: span.end().index(),
        start_ms: span.start().at(rate).millis(),
        end_ms: span.end().at(rate).millis(),
    }
}

fn accounts(ledger: &ChannelLedger) -> Accounts {
    let Totals { speech, non_speech, off_record, muted, gap, pending } = ledger.totals();
    let run = |(span, account): (Span, Account)| Run {
        place: place(span, ledger.rate),
        account: account.as_str(),
        gap_reason: account.gap_reason(),
    };
    Accounts {
        channel: ledger.channel,
        length_samples: ledger.length(),
        speech_samples: speech,
        non_speech_samples: non_speech,
        off_record_samples: off_record,
        muted_samples: muted,
        gap_samples: gap,
        pending_samples: pending,
        runs: ledger.told().map(run).collect(),
    }
}

fn flag(flag: &Flag) -> FlagRow<'_> {
    FlagRow {
        code: flag.code.as_str(),
        reason: flag.code.reason(),
        first_word: flag.words.start,
        end_word: flag.words.end,
        evidence: &flag.evidence,
    }
}

fn clock(transcript: &Transcript, note: &ClockNote) -> ClockRow {
    let (by_ms, ppm) = match note.kind {
        ClockKind::Start => (None, None),
        ClockKind::Step { by_ms } | ClockKind::CaughtUp { by_ms } => (Some(by_ms), None),
        ClockKind::Drift { ppm } => (None, Some(ppm)),
    };
    ClockRow {
        channel: note.channel,
        sample: note.at.index(),
        hearing_ms: transcript.rate(note.channel).map(|rate| note.at.at(rate).millis()),
        wall: note.wall.to_string(),
        source: note.source.as_str(),
        kind: note.kind.as_str(),
        by_ms,
        ppm,
    }
}
