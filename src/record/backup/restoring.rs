//! Puts a backup back as a data folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    BackupError, Finding, Flaw, KEYS, KeyOpener, KeysAt,
    files::{self, Unfinished},
    manifest::Manifest,
    verifying::{Verified, verify},
};
use crate::record::keys::{self, keys_path};

/// Restores the backup at `backup` to the folder `to`, which must not be there or be empty. Everything is verified first, and
/// read back from the disk before the folder gets its name: it is there as a whole, or not at all.
///
/// # Errors
/// As [`verify`]; [`BackupError::NoKeys`], [`BackupError::Occupied`], [`BackupError::Full`].
pub fn restore(backup: &Path, to: &Path, keys: &KeysAt, open_keys: KeyOpener<'_>) -> Result<Verified, BackupError> {
    check_target(to)?;
    let verified = verify(backup, keys, open_keys)?;
    if !verified.opened {
        return Err(BackupError::NoKeys { path: backup.to_owned() });
    }
    let stage = Unfinished::make(stage_of(to))?;
    for line in &verified.manifest.files {
        if *keys != KeysAt::Backup && line.path.starts_with(KEYS) {
            continue;
        }
        let copied = stage.path().join(&line.path);
        files::copy(&backup.join(&line.path), &copied)?;
        let found = files::print(&copied).map_err(BackupError::of(&copied, "read"))?;
        if (found.bytes, found.sha256) != (line.bytes, line.sha256) {
            let findings = vec![Finding { file: line.path.clone(), flaw: Flaw::Digest }];
            return Err(BackupError::Damaged { path: backup.to_owned(), findings });
        }
    }
    if let KeysAt::Folder(folder) = keys {
        copy_keys(folder, stage.path(), &verified.manifest)?;
    }
    files::sync_names(stage.path())?;
    stage.name(to)?;
    Ok(verified)
}

fn check_target(to: &Path) -> Result<(), BackupError> {
    let occupied = || BackupError::Occupied { path: to.to_owned() };
    match fs::read_dir(to) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(occupied())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Err(occupied()),
        Err(error) => Err(BackupError::of(to, "look into")(error)),
    }
}

/// Beside the folder, so that it needs only its name in the end.
fn stage_of(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!(".{name}.restoring"))
}

fn copy_keys(folder: &Path, stage: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    for line in &manifest.hearings {
        if let Some(now) = keys::copy::read(&keys_path(folder, line.hearing), line.hearing)? {
            files::write(&keys_path(&stage.join(KEYS), line.hearing), &now.bytes)?;
        }
    }
    Ok(())
}
