//! The keys of the hearings: what is sealed on disk can be destroyed for ever by destroying its key.
//!
//! One file a hearing, `<folder>/<hearing>.vvk`, of slots of one size ([`slot`]). A key is drawn once, is on disk before it is
//! handed out, and is never handed out again, not even after a crash: whatever was drawn ahead and not used then stays unused.
//! So nothing sealed can be acknowledged whose key could still be lost, and no key meets the same nonce twice by way of a
//! restart.
//!
//! # What destroying a key means
//! Its slot is overwritten in place and synced. On file systems that write in place (ext4, XFS) the bytes are then gone from
//! the file system; where one writes elsewhere (Btrfs, ZFS, snapshots, backups), or a drive keeps old blocks, they may
//! survive below it: such places need encryption beneath, or a root key that wraps these (the slot's `wrap` has room for it).
//!
//! One [`KeyStore`] is shared by every thread; its locks are held for a read or a sync of one small file.

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{file::KeyFile, key::Key};
use super::disk::DiskFailure;
use crate::{
    domain::{
        fault::{Fault, FaultKind},
        id::HearingId,
    },
    record::seal::KeyId,
};

#[cfg(feature = "server")]
pub(in crate::record) mod copy;
mod file;
pub mod key;
pub mod sealer;
pub mod slot;

/// Files of keys that are held open: of more hearings at a time, those that nobody uses are let go.
const OPEN_FILES: usize = 256;

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key was destroyed: what it sealed is gone.
    #[error("the key {key:?} in {} was destroyed", path.display())]
    Destroyed {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: KeyId,
    },
    /// There is no such key.
    #[error("there is no key {key:?} in {}: restore that file from a copy", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Which key.
        key: KeyId,
    },
    /// A slot or the head of the file does not match its checksum, or means nothing.
    #[error("{} is damaged at byte {offset}; restore it from a copy", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the damaged part begins.
        offset: u64,
    },
    /// Written by a newer release.
    #[error("{} has format version {version}; this release reads up to {}: use a newer one", path.display(), slot::VERSION)]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// The key is wrapped with another one, which this release cannot do.
    #[error("a key in {} is wrapped in way {wrap}, which this release does not have: use a newer one", path.display())]
    Wrapped {
        /// Which file.
        path: PathBuf,
        /// How.
        wrap: u8,
    },
    /// The file holds the keys of another hearing.
    #[error("{} holds the keys of another hearing", path.display())]
    Mismatch {
        /// Which file.
        path: PathBuf,
    },
    /// Another process draws keys from the file.
    #[error("{} is being written by somebody else", path.display())]
    AlreadyOpen {
        /// Which file.
        path: PathBuf,
    },
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
}

impl Fault for KeyError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Destroyed { .. } => FaultKind::NotFound,
            Self::Missing { .. } | Self::Damaged { .. } => FaultKind::DataLoss,
            Self::NewerFormat { .. } | Self::Wrapped { .. } => FaultKind::Unimplemented,
            Self::Mismatch { .. } | Self::AlreadyOpen { .. } => FaultKind::Conflict,
            Self::Disk { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::PermissionDenied => FaultKind::Unavailable,
                // Every other kind is a failure that only a person at the machine can look into.
                _ => FaultKind::Internal,
            },
        }
    }
}

impl From<DiskFailure> for KeyError {
    fn from(DiskFailure { path, action, source }: DiskFailure) -> Self {
        Self::Disk { path, action, source }
    }
}

/// Where the keys of `hearing` lie under `folder`.
pub(in crate::record) fn keys_path(folder: &Path, hearing: HearingId) -> PathBuf {
    folder.join(format!("{hearing}.vvk"))
}

/// Fills bytes with chance.
pub type Chance = Box<dyn Fn(&mut [u8]) + Send + Sync>;

/// The keys of all hearings. Nothing that identifies a key's content is ever printed.
pub struct KeyStore {
    folder: PathBuf,
    chance: Chance,
    files: Mutex<HashMap<HearingId, Arc<Mutex<KeyFile>>>>,
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl KeyStore {
    /// Keys under `folder`, which is made when the first is drawn. `chance` must be the system's random source: keys and
    /// nonces are made of it.
    #[must_use]
    pub fn under(folder: PathBuf, chance: Chance) -> Self {
        Self { folder, chance, files: Mutex::default() }
    }

    /// Where the keys of `hearing` lie.
    #[must_use]
    pub fn path(&self, hearing: HearingId) -> PathBuf {
        keys_path(&self.folder, hearing)
    }

    /// A key that was never used, on disk. Costs a sync where none is left of those drawn ahead.
    ///
    /// # Errors
    /// [`KeyError::Disk`], or what is wrong with the hearing's file.
    pub fn draw(&self, hearing: HearingId) -> Result<Key, KeyError> {
        lock(&self.file(hearing)).draw(&self.chance)
    }

    /// Draws ahead where few are left, so that [`KeyStore::draw`] need not.
    ///
    /// # Errors
    /// As [`KeyStore::draw`].
    pub fn draw_ahead(&self, hearing: HearingId) -> Result<(), KeyError> {
        lock(&self.file(hearing)).draw_ahead(&self.chance)
    }

    /// The key `id` of `hearing`, read from the disk each time: one that was destroyed is gone at once, for everybody.
    ///
    /// # Errors
    /// [`KeyError::Destroyed`], [`KeyError::Missing`], or what is wrong with the hearing's file.
    pub fn get(&self, hearing: HearingId, id: KeyId) -> Result<Key, KeyError> {
        lock(&self.file(hearing)).get(id)
    }

    /// Destroys keys of `hearing`. When it returns they are overwritten on disk. Those that are not there are passed over;
    /// those destroyed before are overwritten once more, since a sync that failed may have left them on the disk while the
    /// system's memory shows them gone.
    ///
    /// # Errors
    /// [`KeyError::Disk`], or what is wrong with the hearing's file. Some may be destroyed then.
    pub fn destroy(&self, hearing: HearingId, ids: &[KeyId]) -> Result<(), KeyError> {
        if ids.is_empty() { Ok(()) } else { lock(&self.file(hearing)).destroy(ids) }
    }

    /// `N` bytes of chance, for a nonce.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.chance)(&mut bytes);
        bytes
    }

    /// For tests in which a file of keys is busy.
    #[cfg(all(test, feature = "server"))]
    pub(crate) fn hold(&self, hearing: HearingId) -> Arc<Mutex<impl Send + use<>>> {
        self.file(hearing)
    }

    fn file(&self, hearing: HearingId) -> Arc<Mutex<KeyFile>> {
        let mut files = lock(&self.files);
        if files.len() >= OPEN_FILES && !files.contains_key(&hearing) {
            // Two for one file would overwrite each other, so that one in use stays.
            files.retain(|_, file| Arc::strong_count(file) > 1);
        }
        Arc::clone(
            files.entry(hearing).or_insert_with(|| Arc::new(Mutex::new(KeyFile::at(self.path(hearing), hearing)))),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[cfg(feature = "server")]
pub(crate) mod tests;
