//! Copies of a data folder: taken while a server writes it, verified, and put back.
//!
//! # What is taken, and in which order
//! The record first, as it is at one moment; then each audio journal up to a whole frame that is on disk; then the keys. So the
//! journals hold at least what the record says, and the keys open both. Every journal is an append-only file, so that what is
//! copied is a prefix of it, bit for bit.
//!
//! Two things must not come in between. An order about what is recorded, of which the copied journal would already have the
//! audio and the copied record would not know. And the destruction of keys, after which a copied journal may lack what was
//! written again for it. Either is noticed (the number of orders in the record, the number of destroyed keys), and then the
//! record and the keys are copied once more and the journals are copied further.
//!
//! # What makes a backup whole
//! A backup grows under another name, `.TIME.unfinished`. The manifest is written last; then all is synced and the folder gets
//! its name. It is read once more from the disk on the way. What has the name and the manifest is whole.
//!
//! # What a backup is not
//! It keeps what was there: a recording that an order destroys later is still in it, and its keys too. Destroy the `keys` folder
//! of such a backup, or take backups without keys.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    domain::{
        fault::{Fault, FaultKind},
        time::SamplePos,
    },
    record::{
        disk::DiskFailure,
        keys::{KeyError, KeyStore},
        media::MediaError,
        store::RecordError,
    },
};

mod files;
pub mod manifest;
pub mod restoring;
pub mod taking;
pub mod verifying;

/// The record within a data folder and within a backup.
pub const RECORD: &str = "record.sqlite";
/// The folder of the audio.
pub const AUDIO: &str = "audio";
/// The folder of the keys.
pub const KEYS: &str = "keys";

/// Opens the keys under a folder, to read them.
pub type KeyOpener<'a> = &'a dyn Fn(&Path) -> Arc<KeyStore>;

/// Where the keys of a backup are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// In the backup itself.
    Backup,
    /// In this folder.
    Folder(PathBuf),
}

/// What is wrong with a file of a backup.
#[derive(Debug)]
pub enum Flaw {
    /// It is not there.
    Missing,
    /// The manifest does not name it.
    Unlisted,
    /// It cannot be read.
    Unreadable(io::Error),
    /// It has another length than the manifest says.
    Length {
        /// What the manifest says.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// It has another SHA-256 than the manifest says.
    Digest,
    /// The manifest's text means nothing.
    Meaningless(serde_json::Error),
    /// The audio journal.
    Journal(MediaError),
    /// The journal does not stand where the manifest says.
    Position {
        /// What the manifest says.
        expected: SamplePos,
        /// What was found.
        found: SamplePos,
    },
    /// The journal ends before what the record calls stored.
    Short {
        /// What the record says.
        acknowledged: SamplePos,
        /// Where the journal ends.
        found: SamplePos,
    },
    /// The record.
    Record(RecordError),
    /// SQLite finds the file damaged.
    Database(String),
    /// The record has other hearings, or other entries, than the manifest says.
    Hearings,
    /// The keys.
    Key(KeyError),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Unlisted => f.write_str("is not named in the manifest"),
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Length { expected, found } => write!(f, "has {found} bytes, and had {expected}"),
            Self::Digest => f.write_str("was changed: its SHA-256 is not that of the manifest"),
            Self::Meaningless(error) => write!(f, "is no manifest: {error}"),
            Self::Journal(error) => write!(f, "{}", Chain(error)),
            Self::Position { expected, found } => {
                write!(f, "ends at sample {}, and the manifest says {}", found.index(), expected.index())
            }
            Self::Short { acknowledged, found } => {
                write!(f, "ends at sample {}, and the record says {}", found.index(), acknowledged.index())
            }
            Self::Record(error) => write!(f, "{}", Chain(error)),
            Self::Database(found) => write!(f, "is damaged: {found}"),
            Self::Hearings => f.write_str("has other hearings or entries than the manifest says"),
            Self::Key(error) => write!(f, "{}", Chain(error)),
        }
    }
}

/// An error with its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(inner) = cause {
            write!(f, ": {inner}")?;
            cause = inner.source();
        }
        Ok(())
    }
}

/// A file of a backup and what is wrong with it.
#[derive(Debug)]
pub struct Finding {
    /// Its path within the backup.
    pub file: String,
    /// What is wrong.
    pub flaw: Flaw,
}

struct Findings<'a>(&'a [Finding]);

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Finding { file, flaw }| write!(f, "\n  {file} {flaw}"))
    }
}

/// What can go wrong with a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system failed.
    #[error("cannot {action} {}", path.display())]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk of the copy is full.
    #[error("no room left on disk to write {}: free some, or name a folder on a larger disk", path.display())]
    Full {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk of the copy is too small, which is known beforehand.
    #[error("{needed} bytes are to be copied and {free} are free at {}: name a folder on a larger disk", folder.display())]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// Bytes to be copied.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// There is no record to be copied.
    #[error("there is no record at {}: name the data folder with data.dir", path.display())]
    NoRecord {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The backup is there already.
    #[error("{} is there already; nothing is written over it", path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// Orders and destructions kept coming while the folder was copied.
    #[error("orders about what is recorded kept coming while it was copied: take the backup again")]
    Unsettled,
    /// A journal did not hold together in the copy, and does where it came from.
    #[error("{} changed while it was copied: take the backup again", path.display())]
    Moved {
        /// Which file.
        path: PathBuf,
    },
    /// Not a backup, or half of one.
    #[error("{} is no whole backup: it has no {}", path.display(), manifest::MANIFEST)]
    NotWhole {
        /// Which folder.
        path: PathBuf,
    },
    /// A newer release took it.
    #[error("{} is a backup of format version {version}; this release reads up to {}: use a newer one", path.display(), manifest::VERSION)]
    NewerFormat {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Something in it is damaged.
    #[error("{} is damaged; use another backup:{}", path.display(), Findings(findings))]
    Damaged {
        /// Which backup.
        path: PathBuf,
        /// What is wrong.
        findings: Vec<Finding>,
    },
    /// It has no keys.
    #[error("{} has no keys, and nothing in it opens without them: name their folder with --keys", path.display())]
    NoKeys {
        /// Which backup.
        path: PathBuf,
    },
    /// The folder to restore to is in use.
    #[error("{} is there and not empty: move it away, or name a new folder; nothing is written over a record", path.display())]
    Occupied {
        /// Which.
        path: PathBuf,
    },
    /// The audio journal.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Fault for BackupError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Disk { .. } => FaultKind::Internal,
            Self::Full { .. } | Self::NoRoom { .. } | Self::Unsettled | Self::Moved { .. } => FaultKind::Unavailable,
            Self::NoRecord { .. } => FaultKind::NotFound,
            Self::Exists { .. } | Self::Occupied { .. } => FaultKind::AlreadyExists,
            Self::NotWhole { .. } | Self::Damaged { .. } => FaultKind::DataLoss,
            Self::NewerFormat { .. } => FaultKind::Unimplemented,
            Self::NoKeys { .. } => FaultKind::Invalid,
            Self::Media(source) => source.kind(),
            Self::Key(source) => source.kind(),
            Self::Record(source) => source.kind(),
        }
    }
}

impl BackupError {
    fn of(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, source },
                // Every other kind is a failure that only a person at the machine can look into.
                _ => Self::Disk { path, action, source },
            }
        }
    }
}

impl From<DiskFailure> for BackupError {
    fn from(DiskFailure { path, action, source }: DiskFailure) -> Self {
        Self::of(&path, action)(source)
    }
}

#[cfg(test)]
mod tests;
