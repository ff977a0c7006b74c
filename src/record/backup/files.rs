//! Files of a backup: copied, put on disk, and read back from it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::BackupError;
use crate::{
    domain::engine::Sha256Hash,
    record::disk::{make_folder, sync_folder},
};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// What identifies a file: its length and its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) bytes: u64,
    pub(super) sha256: Sha256Hash,
}

/// The length and the digest of the file at `path`, read from the disk and not from what memory shows of it, as far as the
/// system lets go of that.
pub(super) fn print(path: &Path) -> io::Result<Print> {
    let mut file = File::open(path)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    let (mut hash, mut bytes, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(Print { bytes, sha256: Sha256Hash::new(hash.finalize().into()) }),
            Ok(read) => {
                hash.update(&block[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes a new file for its owner alone, with its folder.
pub(super) fn create(path: &Path) -> Result<File, BackupError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(BackupError::of(path, "make"))
}

/// Writes a new file and puts it on disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut file = create(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(BackupError::of(path, "write"))
}

/// Copies the whole of `from` into the new file `to` and puts it on disk.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut source = File::open(from).map_err(BackupError::of(from, "open"))?;
    let mut target = create(to)?;
    append(&mut source, from, &mut target, to)?;
    target.sync_all().map_err(BackupError::of(to, "sync"))
}

/// Copies what is left of `source` to the end of `target`, telling on which side it failed.
pub(super) fn append(
    source: &mut impl Read,
    from: &Path,
    target: &mut impl Write,
    to: &Path,
) -> Result<(), BackupError> {
    let mut block = vec![0; BLOCK];
    loop {
        match source.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => target.write_all(&block[..read]).map_err(BackupError::of(to, "write"))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BackupError::of(from, "read")(error)),
        }
    }
}

/// Every file under `folder`, as paths within it with `/`, in order.
pub(super) fn listed(folder: &Path) -> Result<Vec<String>, BackupError> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(within) = folders.pop() {
        let path = folder.join(&within);
        for entry in fs::read_dir(&path).map_err(BackupError::of(&path, "look into"))? {
            let entry = entry.map_err(BackupError::of(&path, "look into"))?;
            let name = within.join(entry.file_name());
            let kind = entry.file_type().map_err(BackupError::of(&entry.path(), "look at"))?;
            if kind.is_dir() { folders.push(name) } else { found.push(name.to_string_lossy().into_owned()) }
        }
    }
    found.sort();
    Ok(found)
}

/// Puts the names in `folder` and in every folder under it on disk.
pub(super) fn sync_names(folder: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(folder).map_err(BackupError::of(folder, "look into"))? {
        let entry = entry.map_err(BackupError::of(folder, "look into"))?;
        if entry.file_type().map_err(BackupError::of(&entry.path(), "look at"))?.is_dir() {
            sync_names(&entry.path())?;
        }
    }
    Ok(sync_folder(folder)?)
}

/// A folder that is removed with all that is in it, unless it is kept.
pub(super) struct Unfinished {
    path: PathBuf,
    kept: bool,
}

impl Unfinished {
    /// Makes the folder; it must not be there.
    pub(super) fn make(path: PathBuf) -> Result<Self, BackupError> {
        if path.exists() {
            return Err(BackupError::Exists { path });
        }
        make_folder(&path)?;
        Ok(Self { path, kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, which must be free or an empty folder: the system refuses to put a folder over a full one.
    pub(super) fn name(mut self, path: &Path) -> Result<(), BackupError> {
        fs::rename(&self.path, path).map_err(BackupError::of(path, "make"))?;
        self.kept = true;
        Ok(path.parent().map_or(Ok(()), sync_folder)?)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "what was left half done could not be removed");
        }
    }
}
