//! What a writer does with a file that was there before: verify it, and see that what it trusts is on the disk.

use std::{
    fs::File,
    io::{self, BufReader},
    os::unix::fs::FileExt,
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

/// Writes the bytes from `start` up to `end` to where they stand already, so that the next sync puts them on the disk
/// whatever became of an earlier one. They are what came after the last sync that is known to have been good: little.
pub(super) fn write_again(file: &File, start: u64, end: u64) -> io::Result<()> {
    let mut chunk = vec![0; 1 << 16];
    let mut at = start;
    while at < end {
        let length = chunk.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        file.read_exact_at(&mut chunk[..length], at)?;
        file.write_all_at(&chunk[..length], at)?;
        at += length as u64;
    }
    Ok(())
}
