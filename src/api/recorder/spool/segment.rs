//! One file of the spool: a few seconds of all channels under a key of their own.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `VVSPSEG1` |
//! | 8 | number of the segment, little-endian |
//! | 24 | nonce of the wrapped key |
//! | 48 | the segment's key, sealed with the spool's key |
//! | 4 + n | records: length, then so many sealed bytes |
//!
//! The nonce of a record is its index; a key seals one file only, and a file that was closed, torn or not, is never
//! written on: so no nonce comes twice. The first record says where each channel stands; each further one is a batch of
//! what was captured together, so that a crash leaves either all channels of it or none. A batch begins with the time by the
//! machine's clock at which it was written, milliseconds since 1970: from it a recorder knows how long none ran.
//!
//! Destroying a segment overwrites its wrapped key, syncs, and removes the file. Without that key nobody opens the rest,
//! wherever the disk keeps old blocks of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    SpoolError,
    cipher::{self, Cipher, KEY, Key, NONCE, TAG},
};
use crate::{api::recorder::session::Absence, hearing::world::World};

const MAGIC: &[u8; 8] = b"VVSPSEG1";
/// Where the wrapped key begins, and where the records do.
const WRAPPED: usize = 16;
const HEAD: usize = WRAPPED + NONCE + KEY + TAG;

/// The longest record that is believed: a second of 16 channels at the highest rate has 13 MB.
const MOST_RECORD: usize = 32 << 20;

/// A stretch of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The index of the channel among those of the hearing.
    pub(super) lane: u8,
    /// Its first sample.
    pub(super) first: u64,
    pub(super) what: What,
}

/// What there is of a stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The samples as they were captured.
    Audio(Vec<u8>),
    /// So many that are not there.
    Missing(u64, Absence),
}

/// What is in a segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// Where each channel stood when it began.
    pub(super) base: Vec<u64>,
    /// In the order in which they were captured.
    pub(super) pieces: Vec<Piece>,
    /// When the last of them was written, milliseconds since 1970.
    pub(super) at_ms: Option<i64>,
}

/// A segment that is being written.
pub(super) struct SegmentWriter {
    file: File,
    path: PathBuf,
    cipher: Cipher,
    number: u64,
    next_record: u64,
    bytes: u64,
}

/// The file of a segment.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.seg"))
}

fn fail(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Io { what, path, source }
}

/// What the sealed parts of a segment are bound to.
fn context(number: u64) -> [u8; 16] {
    let mut context = [0; 16];
    context[..8].copy_from_slice(MAGIC);
    context[8..].copy_from_slice(&number.to_le_bytes());
    context
}

fn record_nonce(index: u64) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    nonce[..8].copy_from_slice(&index.to_le_bytes());
    nonce
}

impl SegmentWriter {
    /// Makes the file and writes where the channels stand, synced.
    pub(super) fn create(
        path: PathBuf,
        number: u64,
        base: &[u64],
        spool: &Cipher,
        world: &dyn World,
    ) -> Result<Self, SpoolError> {
        let key = cipher::draw_key(world);
        let nonce = cipher::draw_nonce(world);
        let mut head = Vec::with_capacity(HEAD);
        head.extend(context(number));
        head.extend(nonce);
        head.extend(spool.seal(&nonce, &context(number), &*key));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(fail("make", &path))?;
        let mut writer = Self { file, path, cipher: Cipher::new(&key), number, next_record: 0, bytes: 0 };
        let base: Vec<u8> = base.iter().flat_map(|at| at.to_le_bytes()).collect();
        let first = writer.sealed(&base);
        writer.write(&[head, first].concat())?;
        cipher::sync_folder(writer.path.parent().unwrap_or(Path::new("."))).map_err(fail("sync", &writer.path))?;
        Ok(writer)
    }

    /// Writes what was captured together, and syncs it. After an error nothing more may be written.
    pub(super) fn append(&mut self, pieces: &[Piece], at_ms: i64) -> Result<(), SpoolError> {
        let record = self.sealed(&[&at_ms.to_le_bytes(), encode(pieces).as_slice()].concat());
        self.write(&record)
    }

    fn sealed(&mut self, plain: &[u8]) -> Vec<u8> {
        let sealed = self.cipher.seal(&record_nonce(self.next_record), &context(self.number), plain);
        self.next_record += 1;
        let length = u32::try_from(sealed.len()).expect("a batch is below 32 MiB");
        [&length.to_le_bytes(), sealed.as_slice()].concat()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        written.map_err(fail("write", &self.path))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Bytes of the file.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Reads a segment. `None` where not even its beginning is there, or its key was destroyed.
pub(super) fn read(path: &Path, number: u64, spool: &Cipher) -> Result<Option<Content>, SpoolError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut f| f.read_to_end(&mut bytes)).map_err(fail("read", path))?;
    if bytes.len() < HEAD || bytes[..WRAPPED] != context(number) {
        return Ok(None);
    }
    let (head, mut rest) = bytes.split_at(HEAD);
    let (nonce, wrapped) = head[WRAPPED..].split_at(NONCE);
    let Some(nonce) = nonce.first_chunk::<NONCE>() else { return Ok(None) };
    let Some(key) = spool.open(nonce, &context(number), wrapped).map(Zeroizing::new) else { return Ok(None) };
    let Some(key) = key.first_chunk::<KEY>() else { return Ok(None) };
    let cipher = Cipher::new(&Key::new(*key));
    let mut content: Option<Content> = None;
    for index in 0.. {
        // Whatever cannot be opened, torn or damaged, ends the segment: what follows it is not counted on.
        let Some(plain) = next_record(&mut rest, &cipher, number, index) else { break };
        match &mut content {
            None => {
                let base = plain.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
                content = Some(Content { base, ..Content::default() });
            }
            Some(content) => {
                let Some((at_ms, pieces)) = plain.split_first_chunk() else { break };
                let Some(pieces) = decode(pieces) else { break };
                content.pieces.extend(pieces);
                content.at_ms = Some(i64::from_le_bytes(*at_ms));
            }
        }
    }
    Ok(content)
}

fn next_record(rest: &mut &[u8], cipher: &Cipher, number: u64, index: u64) -> Option<Vec<u8>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|n| *n <= MOST_RECORD)?;
    let (sealed, after) = after.split_at_checked(length)?;
    *rest = after;
    cipher.open(&record_nonce(index), &context(number), sealed)
}

/// Overwrites the key, so that nothing in the file, or in old blocks of it, can be opened; then removes the file.
pub(super) fn destroy(path: &Path) -> Result<(), SpoolError> {
    wipe_key(path)?;
    fs::remove_file(path).map_err(fail("remove", path))
}

/// Overwrites the key.
pub(super) fn wipe_key(path: &Path) -> Result<(), SpoolError> {
    let wipe = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(WRAPPED as u64))?;
        file.write_all(&[0; HEAD - WRAPPED])?;
        file.sync_data()
    };
    wipe().map_err(fail("destroy the key in", path))
}

/// Whether its key was overwritten.
pub(super) fn is_wiped(path: &Path) -> bool {
    let mut head = [1; HEAD];
    let read = File::open(path).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && head[WRAPPED..].iter().all(|b| *b == 0)
}

fn encode(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    for Piece { lane, first, what } in pieces {
        let (kind, length) = match what {
            What::Audio(bytes) => (0, bytes.len() as u64),
            What::Missing(samples, Absence::NoRoom) => (1, *samples),
            What::Missing(samples, Absence::Withdrawn) => (2, *samples),
            What::Missing(samples, Absence::Damaged) => (3, *samples),
            What::Missing(samples, Absence::LetGo) => (4, *samples),
            What::Missing(samples, Absence::Down) => (5, *samples),
            What::Missing(samples, Absence::DeviceLost) => (6, *samples),
        };
        out.extend([*lane, kind]);
        out.extend(first.to_le_bytes());
        out.extend(length.to_le_bytes());
        if let What::Audio(bytes) = what {
            out.extend(bytes);
        }
    }
    out
}

/// The pieces of a batch; `None` where it is not one.
fn decode(mut plain: &[u8]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    while !plain.is_empty() {
        let (&[lane, kind], rest) = plain.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = u64::from_le_bytes(*length);
        let (what, rest) = match kind {
            0 => {
                let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (What::Audio(bytes.to_vec()), rest)
            }
            1 => (What::Missing(length, Absence::NoRoom), rest),
            2 => (What::Missing(length, Absence::Withdrawn), rest),
            3 => (What::Missing(length, Absence::Damaged), rest),
            4 => (What::Missing(length, Absence::LetGo), rest),
            5 => (What::Missing(length, Absence::Down), rest),
            6 => (What::Missing(length, Absence::DeviceLost), rest),
            // A later version's.
            _ => return None,
        };
        pieces.push(Piece { lane, first: u64::from_le_bytes(*first), what });
        plain = rest;
    }
    Some(pieces)
}
