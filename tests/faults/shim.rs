//! The library that stands between a server and the disk: compiled here, loaded before the C library.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::process::Start;

/// The source.
const SOURCE: &str = include_str!("shim.c");

/// Where the compiled library lies, once a process.
fn library() -> PathBuf {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
        fs::write(&source, SOURCE).unwrap();
        let flags = ["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"];
        let status = Command::new("cc").args(flags).args([&library, &source]).arg("-ldl").status();
        assert!(status.expect("a C compiler builds this project").success(), "the shim does not compile");
        (folder, library)
    });
    built.1.clone()
}

/// Watches what a server does to files under `root`: with `log`, writes it down there; with `kill_after`, kills it when so
/// many bytes were written.
pub(crate) fn watched(root: &Path, log: Option<&Path>, kill_after: Option<u64>) -> Start {
    let text = |path: &Path| path.to_str().expect("a temporary folder's name is text").to_owned();
    let mut start = Start::default();
    // The names under which the system knows the folders.
    start.environment.insert("FAULTS_ROOT", text(&root.canonicalize().unwrap()));
    start.environment.insert("LD_PRELOAD", text(&library()));
    if let Some(log) = log {
        start.environment.insert("FAULTS_LOG", text(log));
    }
    if let Some(kill_after) = kill_after {
        start.environment.insert("FAULTS_KILL", kill_after.to_string());
    }
    start
}

/// A disk with room for so many more bytes, until the file `freed` is there.
pub(crate) fn small(root: &Path, room: u64, freed: &Path) -> Start {
    let mut start = watched(root, None, None);
    start.environment.insert("FAULTS_ROOM", room.to_string());
    start.environment.insert("FAULTS_FREED", freed.to_str().expect("a temporary folder's name is text").to_owned());
    start
}

/// A disk that can only be read.
pub(crate) fn read_only(root: &Path) -> Start {
    let mut start = watched(root, None, None);
    start.environment.insert("FAULTS_READ", "1".to_owned());
    start
}
