//! What people do with a hearing: open it, stream into it, follow it, read it, close it. The only place where audio,
//! recognition and record meet.

mod afterwards;
pub mod clock;
mod destruction;
mod ears;
pub mod follow;
mod gaps;
mod known;
pub mod live;
mod load;
pub mod offline;
mod ordering;
pub mod orders;
mod proposals;
mod reading;
pub mod repass;
pub mod room;
mod seats;
pub mod service;
pub mod sight;
mod sitting;
mod streaming;
mod token;
pub mod world;

use crate::domain::{
    channel::LabelError,
    fault::{Fault, FaultKind},
    id::{ChannelId, HearingId},
    language::LanguageTag,
    time::SamplePos,
};
use crate::{
    models::ModelError,
    record::{export::ExportError, media::MediaError, store::RecordError},
    speech::{asr::AsrError, audio::AudioError, front::FrontError},
};

/// Why something could not be done with a hearing.
#[derive(Debug, thiserror::Error)]
pub enum HearingError {
    /// None or more than 16 channels.
    #[error("{count} channels: a hearing has 1 to 16")]
    ChannelCount {
        /// How many were named.
        count: usize,
    },
    /// A channel number twice.
    #[error("channel {channel} is named twice")]
    ChannelTwice {
        /// Which.
        channel: ChannelId,
    },
    /// A channel that the hearing does not have.
    #[error("channel {channel} is not one of hearing {hearing}")]
    NoSuchChannel {
        /// The number asked for.
        channel: u32,
        /// The hearing.
        hearing: HearingId,
    },
    /// A channel that a recording does not have.
    #[error("there is no channel {channel}: the recording has {channels}")]
    NotInRecording {
        /// The channel asked for.
        channel: ChannelId,
        /// How many there are.
        channels: usize,
    },
    /// Interleaved audio of channels that are written differently.
    #[error("the channels of hearing {hearing} have different formats: send each on its own")]
    MixedFormats {
        /// The hearing.
        hearing: HearingId,
    },
    /// A language that the model does not know.
    #[error("model {model} does not know the language {language} of channel {channel}: {remedy}")]
    UnknownLanguage {
        /// The channel.
        channel: ChannelId,
        /// The language.
        language: LanguageTag,
        /// The model.
        model: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Text that cannot be a reference or a label.
    #[error("the hearing's reference cannot be taken")]
    Reference {
        /// Why.
        #[source]
        source: LabelError,
    },
    /// A stream runs already.
    #[error("hearing {hearing} has a stream already: end that one first")]
    Streaming {
        /// The hearing.
        hearing: HearingId,
    },
    /// Another token than the one that was given out.
    #[error("this is not the resume token of hearing {hearing}: show the one that opening it gave")]
    Token {
        /// The hearing.
        hearing: HearingId,
    },
    /// The hearing is closed.
    #[error("hearing {hearing} is closed")]
    Closed {
        /// The hearing.
        hearing: HearingId,
    },
    /// Too many streams at a time.
    #[error("{streams} streams run already, the most this server takes: try again in 5 seconds")]
    Full {
        /// How many.
        streams: usize,
    },
    /// Text comes too late for another hearing.
    #[error("text is {} seconds late: try again in 30 seconds, or open the hearing for recording alone", lateness.as_secs())]
    Late {
        /// How late.
        lateness: std::time::Duration,
    },
    /// All channels that the machine carries are taken.
    #[error(
        "{taken} of the {limit} live channels that this machine carries (server.live_channels) are taken, and {asked} more are \
         asked for: try again in 30 seconds, or open the hearing for recording alone"
    )]
    Capacity {
        /// Channels of live hearings.
        taken: usize,
        /// Channels of this one.
        asked: usize,
        /// The most.
        limit: usize,
    },
    /// The disk is nearly full.
    #[error(
        "{} MiB are free on the server's disk, less than the {} MiB that are kept for hearings that run (data.reserve_mib): free some, and try again in 60 seconds",
        free >> 20,
        reserve >> 20
    )]
    NoRoom {
        /// Bytes free.
        free: u64,
        /// Bytes kept.
        reserve: u64,
    },
    /// It was recognised as it went on, or is still open.
    #[error("hearing {hearing} is not one that was only recorded and is closed: its text is made already")]
    NotRecordOnly {
        /// The hearing.
        hearing: HearingId,
    },
    /// No texts can be proposed for the hearing now.
    #[error("no revisions can be proposed for hearing {hearing}: {why}")]
    NoProposals {
        /// The hearing.
        hearing: HearingId,
        /// Why.
        why: &'static str,
    },
    /// A re-pass was ended before all was heard.
    #[error(
        "the re-pass of hearing {hearing} was ended; what it proposed is in the record: ask for it again for the rest"
    )]
    RePassStopped {
        /// The hearing.
        hearing: HearingId,
    },
    /// A model that cannot recognise speech.
    #[error("model {model} is no recogniser: `vivavoce models list` names those that are")]
    NoRecognizer {
        /// The model.
        model: String,
    },
    /// A model that cannot be had.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Audio out of order.
    #[error("channel {channel} goes on at sample {}, not at {}", expected.index(), found.index())]
    OutOfOrder {
        /// The channel.
        channel: ChannelId,
        /// The next sample.
        expected: SamplePos,
        /// What was sent.
        found: SamplePos,
    },
    /// A position that no recorder comes to.
    #[error(
        "channel {channel} is at sample {}: sample {} is more than {} days ahead, which no recorder is; nothing of the message is stored, send it with the right position",
        next.index(),
        found.index(),
        live::intake::MOST_DAYS_AHEAD
    )]
    TooFar {
        /// The channel.
        channel: ChannelId,
        /// The next sample.
        next: SamplePos,
        /// What was named.
        found: SamplePos,
    },
    /// A reading of a clock that cannot be one.
    #[error("channel {channel} is at sample {}: a clock is not read at sample {}", next.index(), found.index())]
    Clock {
        /// The channel.
        channel: ChannelId,
        /// The next sample.
        next: SamplePos,
        /// The sample of the reading.
        found: SamplePos,
    },
    /// An order that cannot be carried out.
    #[error("the order cannot be carried out: {why}")]
    Order {
        /// Why.
        why: orders::Unlawful,
    },
    /// Audio that cannot be used.
    #[error("channel {channel}: {source}")]
    Audio {
        /// The channel.
        channel: ChannelId,
        /// What is wrong with it.
        source: AudioError,
    },
    /// The pipeline could not be set up.
    #[error("the pipeline of channel {channel} cannot be set up")]
    Front {
        /// The channel.
        channel: ChannelId,
        /// Why.
        #[source]
        source: FrontError,
    },
    /// The audio journal failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record could not be written out.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Recognition failed.
    #[error(transparent)]
    Recognition(#[from] AsrError),
    /// The task of a channel is gone.
    #[error("the pipeline of hearing {hearing} stopped: end the stream and open another")]
    Stopped {
        /// The hearing.
        hearing: HearingId,
    },
}

impl Fault for HearingError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::ChannelCount { .. }
            | Self::ChannelTwice { .. }
            | Self::NoSuchChannel { .. }
            | Self::MixedFormats { .. }
            | Self::UnknownLanguage { .. }
            | Self::NotInRecording { .. }
            | Self::Clock { .. }
            | Self::TooFar { .. }
            | Self::NoRecognizer { .. }
            | Self::Reference { .. } => FaultKind::Invalid,
            Self::Streaming { .. }
            | Self::Closed { .. }
            | Self::OutOfOrder { .. }
            | Self::NotRecordOnly { .. }
            | Self::NoProposals { .. } => FaultKind::Conflict,
            Self::Order { why } => match why {
                orders::Unlawful::Unsigned | orders::Unlawful::Ends { .. } => FaultKind::Invalid,
                orders::Unlawful::Unsealing { .. } => FaultKind::Forbidden,
                orders::Unlawful::NotStored { .. } => FaultKind::Conflict,
            },
            Self::Token { .. } => FaultKind::Forbidden,
            Self::Full { .. } => FaultKind::Overloaded { retry_after: std::time::Duration::from_secs(5) },
            Self::Late { .. } | Self::Capacity { .. } => {
                FaultKind::Overloaded { retry_after: std::time::Duration::from_secs(30) }
            }
            Self::NoRoom { .. } => FaultKind::Overloaded { retry_after: std::time::Duration::from_secs(60) },
            Self::Audio { source, .. } => source.kind(),
            Self::Front { source, .. } => source.kind(),
            Self::Media(source) => source.kind(),
            Self::Record(source) => source.kind(),
            Self::Export(source) => source.kind(),
            Self::Recognition(source) => source.kind(),
            Self::Model(source) => source.kind(),
            Self::Stopped { .. } | Self::RePassStopped { .. } => FaultKind::Unavailable,
        }
    }
}
