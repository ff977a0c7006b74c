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
//! * A destroyed sample is unreadable for ever, from the moment on when its destruction is acknowledged, also in a reader that
//!   was open before; and an order to destroy that is on disk is carried out, whatever happens in between.
//!
//! # The nonce rule
//! Samples are sealed with XChaCha20-Poly1305, the frame's header as associated data. An *epoch* frame says with which key and
//! which nonce prefix of 16 bytes; both are drawn anew for each epoch. The nonce of a frame is `prefix (16 bytes) || sequence
//! of the frame (u64, little-endian)`. A key begins at most ten seconds of one channel and one class, so that a late order
//! destroys little else with it; a change of class is a new epoch, and so is each opening of the file.
//!
//! After a crash the cut tail's sequence numbers are used again, but under a new epoch. Its key was never used before, since
//! [`crate::record::keys`] hands out no key twice, also not after a crash; its prefix is never derived from what stands in the
//! file. So a tail that is rewritten never uses a nonce twice with one key. For the same reason a writer that takes a frame
//! back, on a full disk, begins an epoch before it tries again. A key is on disk before it seals anything; the epoch frame that
//! names it is on disk with the first samples of the epoch, or they are a torn tail together.
//!
//! # Destroying
//! What shares a key with samples that must go is written again first, under a fresh key (kind *restated*). Then the order
//! itself is written, with samples and keys (kind *destroyed*), and all that is synced. Only then are the keys overwritten,
//! and synced. A crash before the order is on disk leaves everything as it was, and one after it leaves an order that the next
//! opening carries out, before anything else is written. The chain is over sealed bytes, so that a file whose keys are gone
//! still verifies.

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
    record::{disk::DiskFailure, keys::KeyError, seal::CipherId},
};

mod destroy;
pub mod format;
pub mod frames;
mod index;
pub mod pen;
pub mod reader;
mod recover;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
mod slot;
mod source;
mod spans;
#[cfg(feature = "server")]
mod worker;
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
    /// Something is wrong with a key.
    #[error(transparent)]
    Key(KeyError),
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
    /// The journal was stopped.
    #[error("the audio journal is stopped")]
    Stopped,
}

impl Fault for MediaError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Io { .. } => FaultKind::Internal,
            Self::DiskFull { .. } | Self::ReadOnly { .. } | Self::Stopped => FaultKind::Unavailable,
            Self::Key(source) => source.kind(),
            Self::NotFound { .. } => FaultKind::NotFound,
            Self::Damaged { .. } | Self::AcknowledgedLost { .. } => FaultKind::DataLoss,
            Self::NewerFormat { .. } | Self::OldFormat { .. } | Self::Cipher { .. } => FaultKind::Unimplemented,
            Self::Mismatch { .. } | Self::AlreadyOpen { .. } | Self::OutOfOrder { .. } => FaultKind::Conflict,
            Self::Length { .. } | Self::NotStored { .. } => FaultKind::Invalid,
        }
    }
}

impl From<KeyError> for MediaError {
    /// What the disk said is told as for the journal itself: the remedy is the same.
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Disk { path, action, source } => Self::of(&path, action, source),
            other => Self::Key(other),
        }
    }
}

impl From<DiskFailure> for MediaError {
    fn from(DiskFailure { path, action, source }: DiskFailure) -> Self {
        Self::of(&path, action, source)
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
