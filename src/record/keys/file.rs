//! One file of keys.

use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
};

use zeroize::Zeroizing;

use super::{
    Chance, KeyError,
    key::{KEY_BYTES, Key},
    slot::{self, HEADER_BYTES, HeaderFlaw, SLOT_BYTES, Slot},
};
use crate::{
    domain::id::HearingId,
    record::{
        disk::{DiskFailure, Lockable, make_folder, sync_folder},
        seal::KeyId,
    },
};

/// Keys drawn with one sync. Four channels with a key for each ten seconds, and their texts, take a minute and more to use
/// them up.
const BATCH: u32 = 64;
/// Fewer than this left, and the next batch is drawn when there is time for it.
const LOW: usize = 16;

/// The keys of one hearing.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    hearing: HearingId,
    file: Option<Open>,
    /// On disk, and handed out to nobody yet.
    ahead: VecDeque<Key>,
}

#[derive(Debug)]
struct Open {
    file: Lockable,
    /// Whether this process alone may write it.
    writes: bool,
    /// Slots that were looked at.
    slots: u32,
    index: HashMap<KeyId, u32>,
    /// The first damaged slot whose key bytes are still there: a key that is not found may be the one in it.
    damaged: Option<u32>,
}

impl KeyFile {
    pub(super) const fn at(path: PathBuf, hearing: HearingId) -> Self {
        Self { path, hearing, file: None, ahead: VecDeque::new() }
    }

    pub(super) fn draw(&mut self, chance: &Chance) -> Result<Key, KeyError> {
        if self.ahead.is_empty() {
            self.draw_batch(chance)?;
        }
        let path = &self.path;
        // The batch is never empty.
        self.ahead.pop_front().ok_or_else(|| KeyError::Damaged { path: path.clone(), offset: 0 })
    }

    pub(super) fn draw_ahead(&mut self, chance: &Chance) -> Result<(), KeyError> {
        if self.ahead.len() < LOW { self.draw_batch(chance) } else { Ok(()) }
    }

    pub(super) fn get(&mut self, id: KeyId) -> Result<Key, KeyError> {
        let missing = || KeyError::Missing { path: self.path.clone(), key: id };
        let Some(open) = reading(&mut self.file, &self.path, self.hearing)? else { return Err(missing()) };
        let Some(number) = open.find(&self.path, id)? else {
            return Err(open.damaged.map_or_else(missing, |number| damaged(&self.path, number)));
        };
        match slot::decode(number, &*open.read(number).map_err(DiskFailure::of(&self.path, "read"))?) {
            Slot::Live(key) if key.id() == id => Ok(key),
            Slot::Destroyed(_) => Err(KeyError::Destroyed { path: self.path.clone(), key: id }),
            Slot::Wrapped(_, wrap) => Err(KeyError::Wrapped { path: self.path.clone(), wrap }),
            Slot::Live(_) | Slot::Empty | Slot::Damaged(_) => Err(damaged(&self.path, number)),
        }
    }

    pub(super) fn destroy(&mut self, ids: &[KeyId]) -> Result<(), KeyError> {
        let fail = |action| DiskFailure::of(&self.path, action);
        if reading(&mut self.file, &self.path, self.hearing)?.is_none() {
            return Ok(());
        }
        let open = writing(&mut self.file, &self.path, self.hearing)?;
        for id in ids {
            match (open.find(&self.path, *id)?, open.damaged) {
                (Some(number), _) => {
                    let slot = slot::encode_destroyed(number, *id);
                    open.file.write_all_at(&slot, slot::offset_of(number)).map_err(fail("write"))?;
                }
                (None, Some(number)) => return Err(damaged(&self.path, number)),
                (None, None) => {}
            }
        }
        open.file.sync_data().map_err(fail("sync"))?;
        Ok(())
    }

    /// A batch that could not be synced is never handed out; its slots stay unused.
    fn draw_batch(&mut self, chance: &Chance) -> Result<(), KeyError> {
        let (path, hearing) = (&self.path, self.hearing);
        let open = writing(&mut self.file, path, hearing)?;
        let length = open.file.metadata().map_err(DiskFailure::of(path, "look at"))?.len();
        let behind = length.saturating_sub(HEADER_BYTES as u64).div_ceil(SLOT_BYTES as u64);
        let first = u32::try_from(behind).unwrap_or(u32::MAX).max(open.slots);
        let mut bytes = Zeroizing::new(Vec::with_capacity(BATCH as usize * SLOT_BYTES));
        let mut keys = VecDeque::new();
        let mut one = Zeroizing::new([0; SLOT_BYTES]);
        for number in (first..u32::MAX).take(BATCH as usize) {
            let (mut id, mut key) = ([0; 16], Zeroizing::new([0; KEY_BYTES]));
            chance(&mut id);
            chance(&mut *key);
            let key = Key::new(KeyId::new(id), key);
            slot::encode_live(number, &key, &mut one);
            bytes.extend_from_slice(&*one);
            keys.push_back((number, key));
        }
        open.file.write_all_at(&bytes, slot::offset_of(first)).map_err(DiskFailure::of(path, "write"))?;
        open.file.sync_data().map_err(DiskFailure::of(path, "sync"))?;
        // Slots before them that were not looked at yet are looked at when one is missed.
        if open.slots == first {
            open.slots = first.saturating_add(BATCH);
        }
        open.index.extend(keys.iter().map(|(number, key)| (key.id(), *number)));
        self.ahead.extend(keys.into_iter().map(|(_, key)| key));
        Ok(())
    }
}

impl Open {
    /// The slot of the key `id`; looks at what another process wrote since, if need be.
    fn find(&mut self, path: &std::path::Path, id: KeyId) -> Result<Option<u32>, KeyError> {
        if !self.index.contains_key(&id) {
            self.look(path)?;
        }
        Ok(self.index.get(&id).copied())
    }

    /// Indexes the slots that were not looked at yet. A part of a slot at the end was never handed out.
    fn look(&mut self, path: &std::path::Path) -> Result<(), KeyError> {
        let length = self.file.metadata().map_err(DiskFailure::of(path, "look at"))?.len();
        let slots = length.saturating_sub(HEADER_BYTES as u64) / SLOT_BYTES as u64;
        for number in self.slots..u32::try_from(slots).unwrap_or(u32::MAX) {
            let bytes = self.read(number).map_err(DiskFailure::of(path, "read"))?;
            if let Some((id, whole)) = slot::id_in(number, &bytes) {
                self.index.insert(id, number);
                if !whole && slot::holds_key_bytes(&bytes) {
                    self.damaged.get_or_insert(number);
                }
            }
            self.slots = number + 1;
        }
        Ok(())
    }

    fn read(&self, number: u32) -> io::Result<Zeroizing<[u8; SLOT_BYTES]>> {
        let mut bytes = Zeroizing::new([0; SLOT_BYTES]);
        self.file.read_exact_at(&mut *bytes, slot::offset_of(number))?;
        Ok(bytes)
    }
}

fn damaged(path: &std::path::Path, number: u32) -> KeyError {
    KeyError::Damaged { path: path.to_owned(), offset: slot::offset_of(number) }
}

/// The file as it is; `None` where there is none, or none that was ever finished.
fn reading<'a>(
    open: &'a mut Option<Open>,
    path: &std::path::Path,
    hearing: HearingId,
) -> Result<Option<&'a mut Open>, KeyError> {
    if open.is_none() {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(DiskFailure::of(path, "open"))?,
        };
        if !begun(&file, path, hearing)? {
            return Ok(None);
        }
        *open = Some(Open { file: Lockable::new(file), writes: false, slots: 0, index: HashMap::new(), damaged: None });
    }
    Ok(open.as_mut())
}

/// The file to be written by this process alone; made where there is none.
fn writing<'a>(
    open: &'a mut Option<Open>,
    path: &std::path::Path,
    hearing: HearingId,
) -> Result<&'a mut Open, KeyError> {
    let fail = |action| DiskFailure::of(path, action);
    let known = match open.take() {
        Some(known) if known.writes => return Ok(open.insert(known)),
        known => known,
    };
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(fail("open"))?;
    let file = Lockable::new(file);
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(KeyError::AlreadyOpen { path: path.to_owned() }),
        Err(TryLockError::Error(e)) => return Err(fail("lock")(e).into()),
    }
    if !begun(&file, path, hearing)? {
        file.write_all_at(&slot::encode_header(hearing), 0).map_err(fail("write"))?;
        file.sync_all().map_err(fail("sync"))?;
        path.parent().map_or(Ok(()), sync_folder)?;
    }
    let (slots, index, damaged) = known.map_or((0, HashMap::new(), None), |k| (k.slots, k.index, k.damaged));
    Ok(open.insert(Open { file, writes: true, slots, index, damaged }))
}

/// Whether the head of the file is there. One that is empty, short or of zeros is a file whose making was cut short.
fn begun(file: &File, path: &std::path::Path, hearing: HearingId) -> Result<bool, KeyError> {
    let length = file.metadata().map_err(DiskFailure::of(path, "look at"))?.len();
    let mut header = [0; HEADER_BYTES];
    if length < HEADER_BYTES as u64 {
        return Ok(false);
    }
    file.read_exact_at(&mut header, 0).map_err(DiskFailure::of(path, "read"))?;
    match slot::check_header(&header, hearing) {
        Ok(()) => Ok(true),
        Err(HeaderFlaw::Damaged) if length == HEADER_BYTES as u64 && header == [0; HEADER_BYTES] => Ok(false),
        Err(HeaderFlaw::Damaged) => Err(KeyError::Damaged { path: path.to_owned(), offset: 0 }),
        Err(HeaderFlaw::Newer(version)) => Err(KeyError::NewerFormat { path: path.to_owned(), version }),
        Err(HeaderFlaw::OtherHearing) => Err(KeyError::Mismatch { path: path.to_owned() }),
    }
}
