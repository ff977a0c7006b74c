//! The audio journal: the recorder's original samples, bit for bit, on disk before anything looks at them.
//!
//! One file for each channel of each hearing, `<root>/<hearing>/ch01.vvj`, that only grows. [`mod@format`] is how it is
//! written, [`frames`] and [`reader`] read and verify, [`writer`] appends and recovers after a crash, `service` does both for many
//! channels on a thread of its own.
//!
//! # What is promised
//! * A position is acknowledged only once it is synced to disk.
//! * A half-written tail, as a power cut leaves it, is found, cut and reported. It never was acknowledged.
//! * Damage in what was synced is never passed over: the file is refused, naming frame and offset.
//! * Samples of an interval that is off the record or muted are refused here, below every door. That nothing is stored of
//!   them, or that they never came, is noted instead, and is as durable as samples are.
//!
//! # The nonce rule
//! Version 1 writes no cipher, yet the format has all that one needs. Whenever a writer opens a file it draws a new
//! random prefix of 16 bytes and writes an *epoch* frame with it, **synced before the first sample of the epoch**. The
//! nonce of a frame is `prefix (16 bytes) || sequence of the frame (u64, little-endian)`: the 24 bytes of `XChaCha20`.
//! After a crash the cut tail's sequence numbers are used again, but under the prefix of the new epoch; so a tail that is
//! rewritten never uses a nonce twice. A prefix is never derived from what stands in the file. A change of key or cipher
//! (a sealed interval under a key of its own) is a new epoch too. The frame header is the associated data.

use std::{
    io,
    path::{Path, PathBuf},
};

use self::format::Damage;
use crate::{
    domain::{
        change::IntervalClass,
        fault::{Fault, FaultKind},
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    record::seal::CipherId,
};

pub mod format;
pub mod frames;
pub mod reader;
#[cfg(feature = "server")]
pub mod service;
mod source;
pub mod writer;

/// Where the journal of a channel lies under `root`: `<root>/<hearing>/ch01.vvj`.
///
/// ```
/// use vivavoce::{domain::id::ChannelId, record::media::journal_path};
/// let hearing = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
/// let path = journal_path("audio".as_ref(), hearing, ChannelId::new(3).unwrap());
/// assert!(path.ends_with("01890a5d-ac96-774b-bcce-b302099a8057/ch03.vvj"));
/// ```
#[must_use]
pub fn journal_path(root: &Path, hearing: HearingId, channel: ChannelId) -> PathBuf {
    root.join(hearing.to_string()).join(format!("ch{:02}.vvj", channel.number()))
}

/// What a torn tail was: reported, never passed over. Nothing of it had been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailCut {
    /// Where the tail began, in bytes from the start of the file.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
    /// The sample at which the recorder must go on: the one after the last that was kept.
    pub after: SamplePos,
}

/// Why nothing is stored of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// They were off the record.
    OffRecord,
    /// The microphone was muted.
    Muted,
    /// They never came.
    Gap,
}

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The system failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No room is left on the disk, or in the quota.
    #[error("no room left on disk to {action} {}: free some, then reopen the channel", path.display())]
    DiskFull {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder or the file system cannot be written to.
    #[error("cannot {action} {}: it is read-only for this service; check owner and mount options", path.display())]
    ReadOnly {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no such journal.
    #[error("there is no audio journal at {}", path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// What was synced is damaged.
    #[error("{} is damaged at frame {frame}, byte {offset}: {damage}; restore it from a copy", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which frame, counted from 0.
        frame: u64,
        /// Where the frame begins, in bytes.
        offset: u64,
        /// What does not fit.
        damage: Damage,
    },
    /// Samples that had been acknowledged are not there.
    #[error("{} ends at sample {}, yet {} had been acknowledged; restore it from a copy", path.display(), found.index(), acknowledged.index())]
    AcknowledgedLost {
        /// Which file.
        path: PathBuf,
        /// The position that the record holds.
        acknowledged: SamplePos,
        /// Where the file ends.
        found: SamplePos,
    },
    /// Written by a newer release.
    #[error("{} has format version {version}; this release reads up to {}: use a newer one", path.display(), format::FORMAT_VERSION)]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// The file belongs to another hearing or channel, or its samples are written differently.
    #[error("{} is the journal of another hearing, channel or audio format", path.display())]
    Mismatch {
        /// Which file.
        path: PathBuf,
    },
    /// Another writer has the file open.
    #[error("{} is being written by somebody else", path.display())]
    AlreadyOpen {
        /// Which file.
        path: PathBuf,
    },
    /// A cipher that this release does not have.
    #[error("{} is encrypted with cipher {}, which this release does not have", path.display(), cipher.number())]
    Cipher {
        /// Which file.
        path: PathBuf,
        /// Which cipher.
        cipher: CipherId,
    },
    /// Samples that are in the journal already were sent again.
    #[error("sample {} was sent where {} comes next", got.index(), expected.index())]
    OutOfOrder {
        /// The next sample.
        expected: SamplePos,
        /// The first sample sent.
        got: SamplePos,
    },
    /// The bytes are not a whole number of samples, none, or more than a frame holds.
    #[error(
        "{bytes} bytes do not make 1 or more whole samples of {bytes_per_sample} bytes within {} bytes",
        format::MAX_PAYLOAD_BYTES
    )]
    Length {
        /// How many bytes came.
        bytes: usize,
        /// How many a sample takes.
        bytes_per_sample: usize,
    },
    /// Audio of an interval that must not be stored.
    #[error("audio of an interval of class {class:?} is not stored")]
    NotStored {
        /// The class.
        class: IntervalClass,
    },
    /// The file was begun by an earlier release, whose format has no place for what is to be written.
    #[error("{} has format version {version}, which cannot {action}: only a journal begun by this release can", path.display())]
    OldFormat {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u16,
        /// What was to be done.
        action: &'static str,
    },
    /// An earlier write or sync failed, so that it is not known what is on disk.
    #[error("{} failed earlier: open the channel again, which verifies it", path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
    },
    /// The journal was stopped.
    #[error("the audio journal is stopped")]
    Stopped,
}

impl Fault for MediaError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Io { .. } => FaultKind::Internal,
            Self::DiskFull { .. } | Self::ReadOnly { .. } | Self::Failed { .. } | Self::Stopped => {
                FaultKind::Unavailable
            }
            Self::NotFound { .. } => FaultKind::NotFound,
            Self::Damaged { .. } | Self::AcknowledgedLost { .. } => FaultKind::DataLoss,
            Self::NewerFormat { .. } | Self::OldFormat { .. } | Self::Cipher { .. } => FaultKind::Unimplemented,
            Self::Mismatch { .. } | Self::AlreadyOpen { .. } | Self::OutOfOrder { .. } => FaultKind::Conflict,
            Self::Length { .. } | Self::NotStored { .. } => FaultKind::Invalid,
        }
    }
}

impl MediaError {
    /// What the system said about `path`, told apart where an operator can act on it.
    fn of(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path, action, source },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path, action, source }
            }
            io::ErrorKind::NotFound => Self::NotFound { path },
            // Every other kind is a failure that only a person at the machine can look into.
            _ => Self::Io { path, action, source },
        }
    }
}

#[cfg(test)]
#[cfg(feature = "server")]
mod tests;
