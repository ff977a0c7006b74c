//! A recorder: what is captured goes onto its own disk, sealed, and from there to the server, over however many connections
//! and starts of the recorder that takes. Capturing never waits for the network.
//!
//! ```text
//! capture --> pump --> keeper (spool, on disk) --> link --> server
//!                          ^------- what is safe -----------'
//! ```
//!
//! What leaves the recorder is on its own disk first; what is on the server's disk leaves the recorder's.

pub mod backoff;
mod capture;
pub mod keeper;
mod link;
pub mod orders;
pub mod session;
pub mod spool;

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use self::{
    keeper::Keeper,
    link::Driver,
    session::{Missing, SessionError},
    spool::{Bound, SpoolError},
};
use super::grpc::{client::ClientError, heard::ClientEvent};
use crate::{
    domain::{
        change::Imported,
        fault::{Fault, FaultKind},
        id::ChannelId,
        time::Span,
    },
    hearing::world::World,
    speech::audio::AudioError,
};

/// Waits, so that tests can have other hours than the machine.
#[async_trait::async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns after `length`.
    async fn pause(&self, length: Duration);
}

/// The clock of the runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeClock;

#[async_trait::async_trait]
impl Clock for RuntimeClock {
    async fn pause(&self, length: Duration) {
        // The recorder's own pause before it tries again; nothing else is waited for with it.
        tokio::time::sleep_until(tokio::time::Instant::now() + length).await;
    }
}

/// What was captured together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Captured {
    /// Of all channels, interleaved in ascending order of their numbers; all have the same format.
    Interleaved(Vec<u8>),
    /// Of one channel.
    Channel(ChannelId, Vec<u8>),
    /// The sound device gave nothing for so long, of any channel.
    Nothing(Duration),
}

/// What audio does that finds the spool full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A microphone: it goes on, and what finds no room is a gap.
    Live,
    /// A file: it waits.
    Patient,
}

/// What is done when everything that was captured has its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The hearing is closed and the spool emptied.
    Close,
    /// The hearing stays open, and the spool keeps what takes it up again.
    Leave,
}

/// How a recorder works.
#[derive(Clone, Debug)]
pub struct RecorderSettings {
    /// The server, such as `http://127.0.0.1:50061`.
    pub server: String,
    /// The court's own reference, for a hearing that is not opened yet.
    pub reference: String,
    /// The recording that it is made of, where it is an old one.
    pub imported: Option<Imported>,
    /// Whether partial results are wanted.
    pub partials: bool,
    /// Final texts after this entry are given; 0 gives all of the hearing.
    pub results_after: u64,
    /// What happens to audio that finds no room.
    pub source: Source,
    /// What is done at the end.
    pub ending: Ending,
    /// Whether a server that cannot be reached is waited for also before the hearing was opened.
    pub insist: bool,
}

/// What a recorder works with.
#[derive(Debug)]
pub struct RecorderParts {
    /// The spool.
    pub keeper: Keeper,
    /// The hearing that the spool holds, if it was opened.
    pub bound: Option<Bound>,
    /// What is captured; its end is the end of the input.
    pub capture: mpsc::Receiver<Captured>,
    /// Dice.
    pub world: Arc<dyn World>,
    /// Waits.
    pub clock: Arc<dyn Clock>,
}

/// What a recorder has to say.
#[derive(Debug)]
pub enum RecorderEvent<'a> {
    /// The hearing is open.
    Opened {
        /// Its UUID.
        hearing: &'a str,
    },
    /// From the server. Final texts come once each and in order, also over breaks; of the rest some may be missed.
    Heard(&'a ClientEvent),
    /// There is no connection; it is tried again. What is captured stays on this disk meanwhile.
    Broken {
        /// Why.
        error: &'a RecorderError,
        /// When it is tried again.
        again_in: Duration,
    },
    /// The server has more of a channel than this spool knows of: the spool lost something.
    Ahead {
        /// Which channel.
        channel: ChannelId,
        /// What it has more.
        span: Span,
    },
    /// The record will have a gap: these samples are not there and never will be. After a break it may be told again.
    Gap {
        /// Which channel.
        channel: ChannelId,
        /// Which samples, and why they are missing.
        missing: Missing,
    },
    /// The spool is full: what is captured now is lost. Or, with false, there is room again.
    Full(bool),
}

/// How it ended. The token is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The hearing's UUID.
    pub hearing: String,
    /// What shows all of it, also what was said in closed session.
    pub token: String,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("hearing", &self.hearing).finish_non_exhaustive()
    }
}

/// Why a recorder gave up.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The server.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The server's word cannot be right.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// What was captured is no audio of the hearing.
    #[error("what was captured cannot be taken")]
    Audio {
        /// What is wrong with it.
        #[source]
        source: AudioError,
    },
    /// Interleaved audio of channels that differ.
    #[error("channels of different formats cannot be captured interleaved")]
    MixedFormats,
    /// A channel that the hearing does not have.
    #[error("channel {channel} is not one of the hearing")]
    NoSuchChannel {
        /// Which.
        channel: ChannelId,
    },
}

impl Fault for RecorderError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Server(source) => source.kind(),
            Self::Spool(source) => source.kind(),
            Self::Session(source) => source.kind(),
            Self::Audio { source } => source.kind(),
            Self::MixedFormats | Self::NoSuchChannel { .. } => FaultKind::Invalid,
        }
    }
}

/// Records until what is captured ends and has its text. `show` is told everything; it is not to wait.
///
/// If the future is dropped, the connection is cut and the spool keeps what was not sent: a recorder that reopens it goes
/// on.
///
/// # Errors
/// What cannot pass by itself: a hearing that is closed, a wrong token, a disk that fails. Everything else is tried again
/// for ever.
pub async fn run(
    parts: RecorderParts,
    settings: RecorderSettings,
    show: &mut (dyn FnMut(&RecorderEvent<'_>) + Send),
) -> Result<Recorded, RecorderError> {
    let RecorderParts { keeper, bound, capture, world, clock } = parts;
    let (progress, state) = watch::channel(capture::State::default());
    let pump = capture::pump(capture, keeper.clone(), settings.source, Arc::clone(&world), progress);
    let pump = AbortOnDropHandle::new(tokio::spawn(pump));
    let driver = Driver::new(keeper, bound, settings, state, pump);
    driver.run(world.as_ref(), clock.as_ref(), show).await
}
