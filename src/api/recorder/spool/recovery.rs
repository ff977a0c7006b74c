//! Opening the folder: the lock, the key, the header, and what a crash left of the segments.

use std::{
    collections::VecDeque,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Segment, Spool, SpoolError, SpoolSettings,
    cipher::{self, Cipher},
    end_of,
    header::{self, Header},
    make_folder, note,
    segment::{self, Content, What},
};
use crate::{
    api::recorder::session::{Absence, Holding},
    domain::{interval::ClassMap, time::SamplePos},
    hearing::world::World,
    record::disk::Lockable,
};

/// Opens the spool in the folder: for the hearing of `fresh`, or for the one that it holds.
pub(super) fn open(
    settings: &SpoolSettings,
    fresh: Option<Header>,
    world: Arc<dyn World>,
) -> Result<Spool, SpoolError> {
    let folder = settings.folder.clone();
    if fresh.is_none() && !header::path_in(&folder).exists() {
        return Err(SpoolError::Nothing { folder });
    }
    make_folder(&folder)?;
    let lock = lock(&folder)?;
    let numbers = segments_in(&folder)?;
    let unused = numbers.is_empty() && !header::path_in(&folder).exists();
    let key = settings.key.clone().unwrap_or_else(|| folder.join("spool.key"));
    let cipher = Cipher::new(&cipher::key_at(&key, unused, world.as_ref())?);
    let found = header::read(&folder, &cipher)?;
    if found.is_none() && !numbers.is_empty() {
        // Somebody took the header away; what the segments hold may be all there is of a hearing.
        return Err(SpoolError::Unreadable { path: header::path_in(&folder) });
    }
    if fresh.is_some()
        && let Some(header) = &found
        && !header.at_rest
        && (header.bound.is_some() || !numbers.is_empty())
    {
        return Err(SpoolError::Occupied { folder, hearing: header.bound.as_ref().map(|b| b.hearing.clone()) });
    }
    let next_number = numbers.last().map_or(0, |n| n + 1);
    let is_new = fresh.is_some();
    let header = fresh.or(found).ok_or_else(|| SpoolError::Nothing { folder: folder.clone() })?;
    let mut spool = Spool {
        folder,
        _lock: lock,
        cipher,
        world,
        limit: settings.limit,
        held: header.ends.iter().map(|end| Holding::empty(SamplePos::new(*end))).collect(),
        captured_at_ms: header.captured_at_ms,
        classes: vec![ClassMap::default(); header.channels.len()],
        header,
        segments: VecDeque::new(),
        open: None,
        cache: None,
        next_number,
        owed: Vec::new(),
    };
    for number in numbers {
        // What a finished hearing left goes; so do segments that nothing was written to.
        if is_new || !take_up(&mut spool, number)? {
            segment::destroy(&segment::path_of(&spool.folder, number))?;
        }
    }
    for order in &spool.header.orders {
        let lane = spool.header.channels.iter().position(|c| c.id == order.channel);
        lane.into_iter().for_each(|lane| spool.classes[lane].set(order.first, order.end, order.class));
    }
    // An order that a crash kept from being carried out in full.
    (0..spool.held.len()).try_for_each(|lane| spool.carry_out(lane))?;
    Ok(spool)
}

fn lock(folder: &Path) -> Result<Lockable, SpoolError> {
    let path = folder.join("spool.lock");
    let fail = |source| SpoolError::Io { what: "lock", path: path.clone(), source };
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(fail)?;
    let file = Lockable::new(file);
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::Busy { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}

/// The numbers of the segments in order. Halves of an order to destroy are ended: where the key of the old file is gone,
/// the new one takes its place; where it is not, the order did not come so far, and whoever gave it was not told so.
fn segments_in(folder: &Path) -> Result<Vec<u64>, SpoolError> {
    let fail = |source| SpoolError::Io { what: "read the folder", path: folder.to_owned(), source };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path: PathBuf = entry.map_err(fail)?.path();
        let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u64>().ok());
        let Some(number) = number else { continue };
        match path.extension().and_then(|e| e.to_str()) {
            Some("seg") => numbers.push(number),
            Some("cut") => end_half(folder, &path, number)?,
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn end_half(folder: &Path, cut: &Path, number: u64) -> Result<(), SpoolError> {
    let old = segment::path_of(folder, number);
    if !segment::is_wiped(&old) {
        return segment::destroy(cut);
    }
    replace(folder, cut, &old)
}

/// Puts the new file in the place of the old one.
pub(super) fn replace(folder: &Path, new: &Path, old: &Path) -> Result<(), SpoolError> {
    let moved = fs::rename(new, old).and_then(|()| cipher::sync_folder(folder));
    moved.map_err(|source: io::Error| SpoolError::Io { what: "replace", path: old.to_owned(), source })
}

/// Takes up the next segment; false where nothing is in it. What is missing between it and the one before it was damaged.
fn take_up(spool: &mut Spool, number: u64) -> Result<bool, SpoolError> {
    let path = segment::path_of(&spool.folder, number);
    let bytes = fs::metadata(&path).map_or(0, |m| m.len());
    let Some(content) = segment::read(&path, number, &spool.cipher)? else { return Ok(false) };
    if content.base.len() != spool.held.len() {
        return Ok(false);
    }
    let first = spool.segments.is_empty();
    for (lane, held) in spool.held.iter_mut().enumerate() {
        let base = content.base[lane];
        if first {
            *held = Holding::empty(SamplePos::new(base));
        }
        // A batch whose sync failed is in the old file and, given again, in the new one: the new one counts.
        note(&mut held.missing, held.end.index(), base, Absence::Damaged);
        held.end = SamplePos::new(base);
        held.missing.retain(|m| m.span.start() < held.end);
        extend(held, lane, &content, spool.header.channels[lane].format.encoding.bytes_per_sample());
    }
    spool.captured_at_ms = content.at_ms.or(spool.captured_at_ms);
    spool.segments.push_back(Segment { number, base: content.base, bytes });
    Ok(true)
}

/// Counts what a segment has of a channel.
fn extend(held: &mut Holding, lane: usize, content: &Content, width: usize) {
    for piece in content.pieces.iter().filter(|p| usize::from(p.lane) == lane) {
        let end = end_of(piece, width);
        // Cut in the middle by an order, or by nothing that this version writes.
        note(&mut held.missing, held.end.index(), piece.first, Absence::Damaged);
        if let What::Missing(_, why) = piece.what {
            note(&mut held.missing, piece.first, end, why);
        }
        held.end = held.end.max(SamplePos::new(end));
    }
}
