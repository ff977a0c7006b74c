//! What a writer does with a file that was there before: verify it, and see that what it trusts is on the disk.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use super::{
    MediaError,
    frames::{FrameReader, Verdict},
    writer::Opening,
};
use crate::{
    domain::time::SamplePos,
    record::seal::{CipherId, KeyId},
};

/// Verifies the whole of an existing file, and that it is the one asked for. Also tells the keys whose destruction is ordered
/// in it.
pub(super) fn verify_for(file: &File, path: &Path, opening: &Opening) -> Result<(Verdict, Vec<KeyId>), MediaError> {
    let mut frames = FrameReader::new(BufReader::with_capacity(1 << 18, file), path)?;
    let header = *frames.header();
    if (header.hearing, header.channel, header.format) != (opening.hearing, opening.channel, opening.format) {
        return Err(MediaError::Mismatch { path: path.to_owned() });
    }
    if !matches!(header.cipher, CipherId::NONE | CipherId::XCHACHA20_POLY1305) {
        return Err(MediaError::Cipher { path: path.to_owned(), cipher: header.cipher });
    }
    let verdict = frames.verify()?;
    check_acknowledged(path, opening, verdict.end)?;
    Ok((verdict, frames.doomed))
}

pub(super) fn check_acknowledged(path: &Path, opening: &Opening, found: SamplePos) -> Result<(), MediaError> {
    let acknowledged = opening.acknowledged;
    if found < acknowledged {
        return Err(MediaError::AcknowledgedLost { path: path.to_owned(), acknowledged, found });
    }
    Ok(())
}

/// Sees to it that the file is then read from the disk: what a process that stopped left in memory is written, and what
/// memory shows is forgotten.
///
/// After a failed sync Linux keeps the pages that it could not write, calls them clean, and calls the next sync good: they may be
/// shown for days and be gone after a power cut. To write them once more does not help either: ext4 may then write to blocks
/// that it still takes for unwritten. What is not on the disk was never acknowledged, so that reading what is on it tells the
/// truth: the rest is a torn tail. File systems that keep nothing but memory have nothing to forget.
pub(super) fn from_disk(file: &File) -> io::Result<()> {
    file.sync_all()?;
    #[cfg(feature = "server")]
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}
