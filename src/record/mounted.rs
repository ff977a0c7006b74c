//! File systems of a test's own, which only the administrator may mount; elsewhere a test says so and is passed over.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system of its own, gone when dropped.
pub(crate) struct Mounted(pub(crate) PathBuf);

impl Mounted {
    /// Mounts at `folder` what `options` say; `None` where that is not allowed.
    pub(crate) fn at(folder: &Path, options: &[&str]) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let done = Command::new("mount").args(options).arg(folder).output();
        if !done.as_ref().is_ok_and(|out| out.status.success()) {
            println!("note: passed over, since nothing may be mounted here: {done:?}");
            return None;
        }
        Some(Self(folder.to_owned()))
    }

    /// Memory of `size` as a disk.
    pub(crate) fn small(folder: &Path, size: &str) -> Option<Self> {
        Self::at(folder, &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
    }

    pub(crate) fn remount(&self, options: &str) {
        assert!(
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap().success()
        );
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg("-l").arg(&self.0).status().is_ok());
    }
}

/// Fills the file system of `folder`; removing the file makes room again.
pub(crate) fn fill(folder: &Path) -> PathBuf {
    use std::io::Write as _;
    let path = folder.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    path
}
