//! What a person sees while a hearing is streamed: final text above, what is being said below, one line a channel.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::talk;
use crate::{
    api::{
        grpc::heard::{ClientEvent, Doubt, FinalText, WordText},
        recorder::RecorderEvent,
    },
    domain::{change::IntervalClass, channel::ChannelSetup},
};

/// The terminal. Final text goes to stdout, the lines of running speech to stderr.
pub(super) struct Screen {
    bars: MultiProgress,
    lines: Vec<(u32, String, ProgressBar)>,
    colours: bool,
    live: bool,
}

impl Screen {
    /// A screen with one line for each channel.
    pub(super) fn new(channels: &[ChannelSetup]) -> Self {
        let bars = MultiProgress::new();
        let live = !bars.is_hidden();
        let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let lines = channels.iter().map(|c| {
            let bar = bars.add(ProgressBar::no_length().with_style(style.clone()));
            let label = format!("[{} {}]", c.id, c.label.as_str());
            bar.set_message(label.clone());
            (u32::from(c.id.number()), label, bar)
        });
        let lines = lines.collect();
        Self { bars, lines, colours: talk::colours(), live }
    }

    /// Shows what a recorder has to say; of a connection that breaks only what there is to know.
    pub(super) fn tell(&self, event: &RecorderEvent<'_>) {
        if let RecorderEvent::Heard(event) = event {
            return self.show(event);
        }
        self.bars.suspend(|| tidings(event).into_iter().for_each(|said| talk::say(&said)));
    }

    /// Shows what came back.
    fn show(&self, event: &ClientEvent) {
        match event {
            ClientEvent::Partial { channel, words, stable, start_ms, end_ms: _ } => {
                self.partial(*channel, words, *stable, *start_ms)
            }
            ClientEvent::Final(text) => self.settled(text),
            ClientEvent::SpeechBegan { channel } => self.line(*channel, "…"),
            ClientEvent::Ordered { channel, class, .. } => self.line(*channel, &format!("[{}]", treatment(*class))),
            ClientEvent::Alarmed { channel, reason, ended } => {
                self.line(*channel, &if *ended { format!("[over: {reason}]") } else { format!("[ALARM: {reason}]") });
            }
            ClientEvent::Opened(_)
            | ClientEvent::Stored { .. }
            | ClientEvent::Status { .. }
            | ClientEvent::Marker(_)
            | ClientEvent::Finished { .. } => {}
        }
    }

    /// Takes the lines away.
    pub(super) fn finish(&self) {
        for (_, _, bar) in &self.lines {
            bar.finish_and_clear();
        }
    }

    fn partial(&self, channel: u32, words: &[WordText], stable: usize, start_ms: u64) {
        let join =
            |words: &[WordText]| crate::domain::hypothesis::join(words.iter().map(|w| (w.text.as_str(), w.spaced)));
        let (settled, open) = words.split_at(stable.min(words.len()));
        let open = join(open);
        let text = if self.colours {
            format!("{} \u{1b}[2;3m{open}\u{1b}[0m", join(settled))
        } else {
            format!("{} ~ {open}", join(settled))
        };
        self.line(channel, &format!("{} {}", clock(start_ms), text.trim_start()));
    }

    fn line(&self, channel: u32, text: &str) {
        let Some((_, label, bar)) = self.lines.iter().find(|l| l.0 == channel) else { return };
        if self.live {
            bar.set_message(format!("{label} {text}"));
        } else {
            talk::say(&format!("    {label} {text}"));
        }
    }

    fn settled(&self, text: &FinalText) {
        let rendered = render(text, self.colours);
        self.bars.suspend(|| {
            // A closed pipe ends the command elsewhere.
            let _closed = talk::data(&rendered);
        });
        if self.live {
            self.line(text.channel, "");
        }
    }
}

/// What a recorder has to say besides what it hears, in words.
pub(super) fn tidings(event: &RecorderEvent<'_>) -> Option<String> {
    Some(match event {
        RecorderEvent::Heard(_) => return None,
        RecorderEvent::Opened { hearing } => format!("hearing {hearing}"),
        RecorderEvent::Broken { error, again_in } => format!(
            "no connection: {error}. What is recorded is kept on this disk; next try in {:.1} s",
            again_in.as_secs_f32()
        ),
        RecorderEvent::Ahead { channel, span } => format!(
            "warning: the server has {} samples of channel {channel} that this spool does not know of; where what is \
                 recorded now differs from them, the record will say so",
            span.len()
        ),
        RecorderEvent::Gap { channel, missing } => format!(
            "warning: {} samples of channel {channel} are missing, from {} on: {}. The record says so",
            missing.span.len(),
            missing.span.start().index(),
            missing.why
        ),
        RecorderEvent::Full(true) => {
            "ALARM: the spool is full. What a microphone gives now is lost, until the server can be reached again or \
                 the spool may take more (--spool-limit); a file waits"
                .to_owned()
        }
        RecorderEvent::Full(false) => "the spool has room again".to_owned(),
    })
}

/// How a channel is treated, in words.
pub(super) const fn treatment(class: IntervalClass) -> &'static str {
    match class {
        IntervalClass::Open => "open",
        IntervalClass::OffRecord => "off the record",
        IntervalClass::Sealed => "sealed",
        IntervalClass::Muted => "muted",
    }
}

/// `h:mm:ss.t`
pub(super) fn clock(ms: u64) -> String {
    format!("{}:{:02}:{:02}.{}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms / 100 % 10)
}

/// A final text as lines for a person: the words, those in doubt marked, then each doubt with its reason.
fn render(text: &FinalText, colours: bool) -> String {
    let mut line = format!("{} [{} {}] {}: ", clock(text.start_ms), text.channel, text.label, text.language);
    if text.revised {
        line.push_str("(more is known of this) ");
    }
    if text.words.is_empty() {
        line.push_str("(no words)");
    } else if !text.shown {
        line.push_str("(withheld from captions) ");
    }
    for (index, word) in text.words.iter().enumerate() {
        if index > 0 && word.spaced {
            line.push(' ');
        }
        let doubted = text.doubts.iter().any(|d| d.words.contains(&index));
        match (doubted, colours) {
            (true, true) => line.push_str(&format!("\u{1b}[4;33m{}\u{1b}[0m", word.text)),
            (true, false) => line.push_str(&format!("{}(?)", word.text)),
            (false, _) => line.push_str(&word.text),
        }
    }
    for doubt in &text.doubts {
        line.push_str(&format!("\n      ? {}", explain(text, doubt)));
    }
    line
}

fn explain(text: &FinalText, doubt: &Doubt) -> String {
    let words = text.words.get(doubt.words.clone()).unwrap_or_default();
    let quoted = match words {
        [] => String::new(),
        [one] => format!("“{}”: ", one.text),
        all if all.len() == text.words.len() => "all of it: ".to_owned(),
        [first, .., last] => format!("“{} … {}”: ", first.text, last.text),
    };
    let evidence = doubt.evidence.iter().map(|(name, value, limit)| format!("{name} {value:.2}, limit {limit:.2}"));
    let evidence: Vec<String> = evidence.collect();
    let evidence = if evidence.is_empty() { String::new() } else { format!(" ({})", evidence.join("; ")) };
    format!("{quoted}{}{evidence}", doubt.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> FinalText {
        let word = |text: &str| WordText { text: text.into(), spaced: true, score: 0.4, start_ms: 0, end_ms: 1 };
        FinalText {
            seq: 7,
            channel: 2,
            label: "interpreter".into(),
            start_ms: 65_200,
            end_ms: 66_000,
            language: "en".into(),
            words: vec![word("Login"), word("incorrect.")],
            text: "Login incorrect.".into(),
            doubts: vec![Doubt {
                reason: "the recogniser was not sure of these words".into(),
                words: 1..2,
                evidence: vec![("lowest_score".into(), 0.4, 0.5)],
            }],
            shown: true,
            revised: false,
        }
    }

    #[test]
    fn a_doubted_word_is_marked_and_its_reason_stands_below() {
        assert_eq!(
            render(&text(), false),
            "0:01:05.2 [2 interpreter] en: Login incorrect.(?)\n      ? “incorrect.”: the recogniser was not sure of these \
             words (lowest_score 0.40, limit 0.50)"
        );
    }

    #[test]
    fn withheld_text_says_so() {
        let withheld = FinalText { shown: false, doubts: vec![], ..text() };
        assert_eq!(render(&withheld, false), "0:01:05.2 [2 interpreter] en: (withheld from captions) Login incorrect.");
    }
}
