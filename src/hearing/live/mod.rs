//! A hearing while audio flows. The recorder's side (`intake`) writes to the journal; a task a channel (`listener`) reads
//! it and makes text of it. Neither waits for the other.

mod compare;
pub(in crate::hearing) mod compose;
mod decodes;
pub(in crate::hearing) mod gate;
pub(in crate::hearing) mod intake;
pub(in crate::hearing) mod journal;
pub(crate) mod language;
pub(crate) mod lead;
pub(in crate::hearing) mod listener;
pub(in crate::hearing) mod neighbours;
pub(in crate::hearing) mod notes;
pub(in crate::hearing) mod parts;
pub(in crate::hearing) mod patience;
mod pending;
mod timekeeping;
pub(in crate::hearing) mod watch;

pub use intake::{AudioIn, ChannelProgress, LiveStream};

use crate::domain::{
    hypothesis::HeardWord,
    id::ChannelId,
    language::LanguageTag,
    time::{SamplePos, SampleRate, Span},
};

/// What is said while a hearing goes on and never stored. A slow listener misses some of it.
#[derive(Clone, Debug)]
pub enum LiveEvent {
    /// Somebody began to speak.
    SpeechBegan {
        /// Where.
        channel: ChannelId,
        /// About when, some of the silence before included.
        at: SamplePos,
    },
    /// Text that may still change.
    Partial(Box<Partial>),
}

impl LiveEvent {
    /// Where it was said: of the beginning of speech, the sample alone.
    #[must_use]
    pub fn place(&self) -> (ChannelId, Span) {
        match self {
            Self::SpeechBegan { channel, at } => (*channel, Span::new(*at, *at).unwrap_or(Span::EMPTY)),
            Self::Partial(partial) => (partial.channel, partial.span),
        }
    }
}

/// Text of an utterance that goes on.
#[derive(Clone, Debug)]
pub struct Partial {
    /// Where.
    pub channel: ChannelId,
    /// The channel's own rate.
    pub rate: SampleRate,
    /// What was looked at.
    pub span: Span,
    /// In which language.
    pub language: LanguageTag,
    /// The words so far, in ticks of the channel.
    pub words: Vec<HeardWord>,
    /// How many of the first two looks in a row agreed on.
    pub stable: usize,
}
