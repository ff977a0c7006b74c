//! Folders whose names are there after a power cut, and files that one process alone writes.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// What the system said about a file or folder.
#[derive(Debug)]
pub(super) struct DiskFailure {
    pub(super) path: PathBuf,
    pub(super) action: &'static str,
    pub(super) source: io::Error,
}

impl DiskFailure {
    pub(super) fn of(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), action, source }
    }
}

/// A file that may be locked. The lock is let go when it is dropped; closing alone would not do: a child process that is just
/// being started holds every open file for a moment, with its lock.
#[derive(Debug)]
pub(crate) struct Lockable(File);

impl Lockable {
    pub(crate) const fn new(file: File) -> Self {
        Self(file)
    }
}

impl std::ops::Deref for Lockable {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Lockable {
    fn drop(&mut self) {
        // Where it fails, closing the file does it in most cases.
        let _closed = self.0.unlock();
    }
}

/// Makes `folder` for its owner alone, and syncs its parent so that the name is there after a power cut.
pub(super) fn make_folder(folder: &Path) -> Result<(), DiskFailure> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(DiskFailure::of(folder, "make"))?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Puts the names in `folder` on disk; the folder above a name alone is the working folder.
pub(super) fn sync_folder(folder: &Path) -> Result<(), DiskFailure> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|f| f.sync_all()).map_err(DiskFailure::of(folder, "sync"))
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_goes_with_its_owner_while_somebody_still_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let owner = Lockable::new(File::create(&path).unwrap());
        owner.try_lock().unwrap();
        // As a child process that is being started has it.
        let inherited = owner.try_clone().unwrap();
        let next = File::options().write(true).open(&path).unwrap();
        assert!(next.try_lock().is_err());
        drop(owner);
        next.try_lock().unwrap();
        drop(inherited);
    }
}
