//! What a client hears from the server, without the wire's types.

use super::pb::{self, stream_response::Kind};
use crate::domain::change::IntervalClass;

/// A word as the server sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct WordText {
    /// With its punctuation.
    pub text: String,
    /// Whether a space stands before it.
    pub spaced: bool,
    /// Its raw score, 0 to 1.
    pub score: f32,
    /// When, milliseconds of hearing time.
    pub start_ms: u64,
    /// Its end, milliseconds.
    pub end_ms: u64,
}

/// A doubt as the server sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// The reason in words.
    pub reason: String,
    /// The words it covers.
    pub words: std::ops::Range<usize>,
    /// What was measured and the limit it crossed: name, figure, limit.
    pub evidence: Vec<(String, f64, f64)>,
}

/// Text of the record as the server sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalText {
    /// Its entry.
    pub seq: u64,
    /// 1 to 16.
    pub channel: u32,
    /// The channel's label.
    pub label: String,
    /// From where, milliseconds of hearing time.
    pub start_ms: u64,
    /// To where, milliseconds.
    pub end_ms: u64,
    /// In which language.
    pub language: String,
    /// Word by word.
    pub words: Vec<WordText>,
    /// As it would be written.
    pub text: String,
    /// The doubts.
    pub doubts: Vec<Doubt>,
    /// Whether captions may show it.
    pub shown: bool,
    /// Whether more is known of a text that came before: the same words, with other doubts.
    pub revised: bool,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// Where each channel goes on: number and sample.
    Opened(Vec<(u32, u64)>),
    /// Audio is on disk.
    Stored {
        /// Which channel.
        channel: u32,
        /// Every sample before this one.
        through: u64,
    },
    /// Somebody began to speak.
    SpeechBegan {
        /// Where.
        channel: u32,
    },
    /// Text that may still change.
    Partial {
        /// Where.
        channel: u32,
        /// From when, milliseconds of hearing time.
        start_ms: u64,
        /// Up to when, milliseconds: what was looked at.
        end_ms: u64,
        /// The words so far.
        words: Vec<WordText>,
        /// How many of the first are settled.
        stable: usize,
    },
    /// Text of the record.
    Final(Box<FinalText>),
    /// How late the results are.
    Status {
        /// Milliseconds of audio without results.
        lag_ms: u64,
    },
    /// Everything before the mark has its results.
    Marker(u64),
    /// An order about what is recorded holds.
    Ordered {
        /// Which channel.
        channel: u32,
        /// From which sample on.
        first_sample: u64,
        /// The sample after its last; `None`: up to where another interval begins already, or for good.
        end_sample: Option<u64>,
        /// How it is treated.
        class: IntervalClass,
        /// Whether somebody ordered it; otherwise the channel began so.
        ordered: bool,
    },
    /// Something is wrong with a channel, or is well again.
    Alarmed {
        /// Which channel.
        channel: u32,
        /// What, for a person.
        reason: String,
        /// Whether it is over.
        ended: bool,
    },
    /// All audio has its results.
    Finished {
        /// The last entry of the record.
        last_seq: u64,
    },
}

/// Takes a message apart.
pub(super) fn event(kind: Kind) -> ClientEvent {
    match kind {
        Kind::Opened(pb::StreamOpened { positions }) => {
            ClientEvent::Opened(positions.iter().map(|p| (p.channel, p.next_sample)).collect())
        }
        Kind::Stored(pb::AudioStored { channel, durable_through_sample }) => {
            ClientEvent::Stored { channel, through: durable_through_sample }
        }
        Kind::SpeechBegan(pb::SpeechBegan { channel, first_sample: _ }) => ClientEvent::SpeechBegan { channel },
        Kind::Partial(pb::PartialResult { channel, span, language: _, words, stable_words }) => {
            let span = span.unwrap_or_default();
            ClientEvent::Partial {
                channel,
                start_ms: span.start_ms,
                end_ms: span.end_ms,
                words: words.into_iter().map(word).collect(),
                stable: usize::try_from(stable_words).unwrap_or(usize::MAX),
            }
        }
        Kind::Final(pb::FinalResult { seq, segment, revised }) => {
            ClientEvent::Final(Box::new(FinalText { revised, ..final_text(seq, segment.unwrap_or_default()) }))
        }
        Kind::Status(pb::StreamStatus { lag_ms, load_step: _ }) => ClientEvent::Status { lag_ms },
        Kind::IntervalBegan(began) => ClientEvent::Ordered {
            channel: began.channel,
            first_sample: began.first_sample,
            end_sample: began.end_sample,
            class: class(began.interval_class()),
            ordered: !began.ordered_by.is_empty(),
        },
        Kind::Marker(pb::Marker { id }) => ClientEvent::Marker(id),
        Kind::ChannelAlarm(pb::ChannelAlarm { channel, ended, reason, .. }) => {
            ClientEvent::Alarmed { channel, reason, ended }
        }
        Kind::Finished(pb::StreamFinished { positions: _, last_seq }) => ClientEvent::Finished { last_seq },
    }
}

/// How a channel is treated.
pub(super) const fn class(class: pb::IntervalClass) -> IntervalClass {
    match class {
        // What is not known must destroy nothing.
        pb::IntervalClass::Open | pb::IntervalClass::Unspecified => IntervalClass::Open,
        pb::IntervalClass::OffRecord => IntervalClass::OffRecord,
        pb::IntervalClass::Sealed => IntervalClass::Sealed,
        pb::IntervalClass::Muted => IntervalClass::Muted,
    }
}

fn word(word: pb::Word) -> WordText {
    let pb::Word { text, spaced, span, score } = word;
    let span = span.unwrap_or_default();
    WordText { text, spaced, score, start_ms: span.start_ms, end_ms: span.end_ms }
}

fn final_text(seq: u64, segment: pb::Segment) -> FinalText {
    let shown = segment.captions() == pb::CaptionState::Shown;
    let span = segment.span.unwrap_or_default();
    let doubt = |flag: pb::Flag| {
        let index = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Doubt {
            words: index(flag.first_word)..index(flag.end_word),
            evidence: flag.evidence.into_iter().map(|e| (e.measure, e.value, e.limit)).collect(),
            reason: flag.reason,
        }
    };
    FinalText {
        seq,
        channel: segment.channel,
        label: segment.label,
        start_ms: span.start_ms,
        end_ms: span.end_ms,
        language: segment.language,
        words: segment.words.into_iter().map(word).collect(),
        text: segment.text,
        doubts: segment.flags.into_iter().map(doubt).collect(),
        shown,
        revised: false,
    }
}
