//! What a backup says of itself.

use std::{
    fs, io,
    path::{Component, Path},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{BackupError, Finding, Flaw, files};
use crate::domain::{
    change::EntrySeq,
    engine::Sha256Hash,
    id::{ChannelId, HearingId},
    time::SamplePos,
};

/// The file that says what belongs to a backup.
pub const MANIFEST: &str = "manifest.json";
/// The file with the digest of that one, in the form of `sha256sum`. Written last.
pub const SEAL: &str = "manifest.sha256";
/// What the manifest calls itself.
pub const FORMAT: &str = "vivavoce-backup";
/// The version this release writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// Whether a backup has the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyChoice {
    /// It has.
    Included,
    /// They were left out.
    LeftOut,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    /// Its path within the backup, with `/`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the whole of it.
    pub sha256: Sha256Hash,
}

/// How far a channel is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelLine {
    /// Which.
    pub channel: ChannelId,
    /// Its rate.
    pub rate_hz: u32,
    /// How far the record says that its audio is stored.
    pub recorded: SamplePos,
    /// The sample after the last in its journal; `None` where it has none yet.
    pub end: Option<SamplePos>,
    /// The last chain value of its journal, as hexadecimal digits; `None` where it has none.
    pub chain: Option<Sha256Hash>,
}

/// A hearing of a backup: how far it is, and nothing that was said or named in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HearingLine {
    /// Which.
    pub hearing: HearingId,
    /// Whether it was closed.
    pub closed: bool,
    /// Its last entry in the record.
    pub last_seq: EntrySeq,
    /// Its channels.
    pub channels: Vec<ChannelLine>,
}

/// The manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The version of the program that took the backup.
    pub program: String,
    /// When it was begun, by the machine's clock.
    pub taken_at: Timestamp,
    /// Whether it has the keys.
    pub keys: KeyChoice,
    /// The hearings, in the order in which they were opened.
    pub hearings: Vec<HearingLine>,
    /// Every other file.
    pub files: Vec<FileLine>,
}

/// What stays where it is in every version.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

impl Manifest {
    /// Writes it and its digest into `folder`, on disk when this returns.
    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(self).map_err(|e| BackupError::of(&path, "write")(e.into()))? + "\n";
        files::write(&path, text.as_bytes())?;
        files::write(&folder.join(SEAL), seal_of(text.as_bytes()).as_bytes())
    }

    /// Reads that of the backup `folder`.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`], [`BackupError::NewerFormat`], [`BackupError::Damaged`].
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let damaged = |file: &str, flaw| BackupError::Damaged {
            path: folder.to_owned(),
            findings: vec![Finding { file: file.to_owned(), flaw }],
        };
        let load = |file: &str| match fs::read(folder.join(file)) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BackupError::NotWhole { path: folder.to_owned() })
            }
            Err(error) => Err(damaged(file, Flaw::Unreadable(error))),
        };
        let (text, seal) = (load(MANIFEST)?, load(SEAL)?);
        if seal != seal_of(&text).as_bytes() {
            return Err(damaged(MANIFEST, Flaw::Digest));
        }
        let meaningless = |error| damaged(MANIFEST, Flaw::Meaningless(error));
        let head: Head = serde_json::from_slice(&text).map_err(meaningless)?;
        if head.format == FORMAT && head.version > VERSION {
            return Err(BackupError::NewerFormat { path: folder.to_owned(), version: head.version });
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(meaningless)?;
        // A manifest is no way out of its folder.
        if let Some(file) = manifest.files.iter().find(|file| !stays_inside(&file.path)) {
            return Err(damaged(&file.path, Flaw::Unlisted));
        }
        Ok(manifest)
    }
}

fn seal_of(text: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", hex::encode(Sha256::digest(text)))
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
