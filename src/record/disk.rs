//! Folders whose names are there after a power cut.

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
