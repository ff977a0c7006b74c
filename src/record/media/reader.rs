//! Reads spans of a journal, and verifies whole ones.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::{Zeroize, Zeroizing};

use super::{
    Absence, MediaError,
    format::{
        Damage,
        destruction::Destruction,
        frame::{Epoch, FrameHeader, FrameKind, absence_of},
        head::FileHeader,
    },
    frames::{Body, FrameReader, Step, Verdict},
    index::{Held, Index},
    spans::Spans,
};
use crate::{
    domain::{
        change::IntervalClass,
        id::HearingId,
        time::{SamplePos, Span},
    },
    record::{
        keys::{KeyError, KeyStore, key::Key},
        seal::{CipherId, KeyId},
    },
};

/// Samples of one class without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From the first to the last sample.
    pub span: Span,
    /// Their class.
    pub class: IntervalClass,
    /// The samples as the recorder sent them.
    pub bytes: Vec<u8>,
}

/// Why samples are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// They were off the record, and were never stored.
    OffRecord,
    /// The microphone was muted; they were never stored.
    Muted,
    /// They never came.
    Gap,
    /// They were stored and are destroyed.
    Destroyed,
}

/// Where a journal lies, and what opens it.
#[derive(Clone, Debug)]
pub struct JournalPlace {
    /// The file.
    pub path: PathBuf,
    /// The keys.
    pub keys: Arc<KeyStore>,
}

impl JournalPlace {
    /// Opens it for reading.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn open(&self) -> Result<JournalReader, MediaError> {
        JournalReader::open(&self.path, &self.keys)
    }
}

/// Reads spans of a journal, also of one that is being written.
#[derive(Debug)]
pub struct JournalReader {
    frames: FrameReader<File>,
    keys: Arc<KeyStore>,
    /// What the next frame is sealed under; `None` before the first epoch.
    epoch: Option<Arc<Epoch>>,
    index: Index,
}

impl JournalReader {
    /// Opens the file at `path` and indexes it: one small read for each frame, no payload. What is sealed opens with
    /// `keys`.
    ///
    /// # Errors
    /// [`MediaError::NotFound`], [`MediaError::Damaged`], [`MediaError::NewerFormat`], [`MediaError::Cipher`].
    pub fn open(path: &Path, keys: &Arc<KeyStore>) -> Result<Self, MediaError> {
        let file = File::open(path).map_err(|e| MediaError::of(path, "open", e))?;
        let frames = FrameReader::new(file, path)?;
        let mut reader = Self { frames, keys: Arc::clone(keys), epoch: None, index: Index::default() };
        reader.refresh()?;
        Ok(reader)
    }

    /// The head of the file.
    #[must_use]
    pub const fn header(&self) -> &FileHeader {
        &self.frames.header
    }

    /// The sample after the last whole frame that was there when it was last looked.
    #[must_use]
    pub const fn end(&self) -> SamplePos {
        self.frames.next_sample
    }

    /// Indexes what was written since.
    ///
    /// # Errors
    /// [`MediaError::Damaged`] or what the system said.
    pub fn refresh(&mut self) -> Result<(), MediaError> {
        loop {
            let offset = self.frames.offset;
            let Step::Frame(header) = self.frames.skip()? else { return Ok(()) };
            let wrong = |frames: &FrameReader<File>| damaged(frames, offset, &header, Damage::FrameValue);
            match header.kind {
                FrameKind::Audio | FrameKind::Restated => {
                    let epoch = self.epoch.clone().ok_or_else(|| wrong(&self.frames))?;
                    let held = Held { offset, header, epoch };
                    if header.kind == FrameKind::Audio { self.index.audio(held) } else { self.index.restated(held) }
                }
                FrameKind::Skipped => {
                    let span = Span::new(header.first_sample, header.end_sample());
                    if let (Some(span), Some(why)) = (span, absence_of(header.class)) {
                        self.index.skipped(span, why);
                    }
                }
                FrameKind::Epoch => {
                    let epoch = Epoch::decode(&self.frames.payload).ok_or_else(|| wrong(&self.frames))?;
                    if !matches!(epoch.cipher, CipherId::NONE | CipherId::XCHACHA20_POLY1305) {
                        return Err(MediaError::Cipher { path: self.frames.path.clone(), cipher: epoch.cipher });
                    }
                    self.frames.cipher = epoch.cipher;
                    self.epoch = Some(Arc::new(epoch));
                }
                FrameKind::Destroyed => {
                    let order = Destruction::decode(&self.frames.payload).ok_or_else(|| wrong(&self.frames))?;
                    self.index.destroyed(order);
                }
                FrameKind::Closed => {}
            }
        }
    }

    /// The samples of `span` that the journal holds, in order; a gap or a change of class begins a new piece. What is destroyed
    /// is not there, from the moment on when the order to destroy it was acknowledged. Checksums and seals are verified,
    /// the chain is not ([`verify`] does that). Memory: the bytes of the span.
    ///
    /// # Errors
    /// [`MediaError::Damaged`], [`MediaError::Key`] or what the system said.
    pub fn read_span(&mut self, span: Span) -> Result<Vec<Piece>, MediaError> {
        if span.end() > self.end() {
            self.refresh()?;
        }
        loop {
            let known = self.frames.sequence;
            let (pieces, destroyed) = self.pieces(span)?;
            // A key that was destroyed since it was last looked: what else it sealed stands again further on.
            if destroyed {
                self.refresh()?;
            }
            if self.frames.sequence == known || !destroyed {
                return Ok(pieces);
            }
        }
    }

    /// The pieces of `span`, and whether some could not be read since their key is destroyed.
    fn pieces(&mut self, span: Span) -> Result<(Vec<Piece>, bool), MediaError> {
        let Self { frames, keys, index, .. } = self;
        let mut keyring = Keyring { keys, hearing: frames.header.hearing, last: None };
        let (mut pieces, mut destroyed, mut at) = (Vec::new(), false, span.start());
        for held in index.holding(span) {
            let Some(part) = Span::new(at, span.end()).and_then(|rest| held.part(rest)) else { continue };
            if open_frame(frames, &mut keyring, held)? {
                append(&mut pieces, frames, &held.header, part);
                at = part.end();
            } else {
                destroyed = true;
            }
        }
        // What was opened last is not kept for whoever looks into memory later.
        frames.payload.zeroize();
        Ok((pieces, destroyed))
    }

    /// What of `span`, as far as the journal goes, is not there, in order, and why. Together with
    /// [`JournalReader::read_span`] that is all of it.
    ///
    /// # Errors
    /// [`MediaError::Damaged`], [`MediaError::Key`] or what the system said.
    pub fn absent(&mut self, span: Span) -> Result<Vec<(Span, Absent)>, MediaError> {
        self.refresh()?;
        let Some(span) = Span::new(span.start(), span.end().min(self.end())) else { return Ok(Vec::new()) };
        let mut keyring = Keyring { keys: &self.keys, hearing: self.frames.header.hearing, last: None };
        let (mut there, mut gone) = (Spans::default(), self.index.destroyed_spans().clone());
        for held in self.index.holding(span) {
            match keyring.key(held)? {
                Found::Plain | Found::Key(_) => there.add(held.span()),
                Found::Destroyed => gone.add(held.span()),
            }
        }
        let mut absent = Vec::new();
        for missing in there.missing_from(span) {
            absent.extend(gone.within(missing).map(|s| (s, Absent::Destroyed)));
            for never in gone.missing_from(missing) {
                let mut unnoted = Spans::default();
                for (skipped, why) in self.index.skipped_in(never) {
                    absent.push((skipped, why.into()));
                    unnoted.add(skipped);
                }
                absent.extend(unnoted.missing_from(never).into_iter().map(|s| (s, Absent::Gap)));
            }
        }
        absent.sort_by_key(|(span, _)| span.start());
        absent.dedup_by(|next, last| {
            let joined =
                Span::new(last.0.start(), next.0.end()).filter(|_| next.1 == last.1 && last.0.end() == next.0.start());
            last.0 = joined.unwrap_or(last.0);
            joined.is_some()
        });
        Ok(absent)
    }

    /// Forgets where the frames that end before `before` are, so that reading on for hours takes no more memory. They cannot be
    /// read by this reader any more.
    pub fn forget(&mut self, before: SamplePos) {
        self.index.forget(before);
    }

    /// What is to be destroyed with `span`: the samples of it that can be read, and the keys that sealed them.
    pub(super) fn readable(&self, span: Span) -> Result<Destruction, MediaError> {
        let mut keyring = Keyring { keys: &self.keys, hearing: self.frames.header.hearing, last: None };
        let (mut spans, mut found) = (Spans::default(), Vec::new());
        for held in self.index.holding(span) {
            if let (Found::Key(_), Some(part)) = (keyring.key(held)?, held.part(span)) {
                spans.add(part);
                found.push(held.key());
            }
        }
        found.sort_unstable_by_key(|key| *key.bytes());
        found.dedup();
        Ok(Destruction { spans: spans.into_vec(), keys: found })
    }

    /// What `order` would destroy beside its spans: the other samples under its keys, by key.
    pub(super) fn beside(&mut self, order: &Destruction) -> Result<Vec<Vec<Sample>>, MediaError> {
        let Self { frames, keys, index, .. } = self;
        let mut keyring = Keyring { keys, hearing: frames.header.hearing, last: None };
        let mut doomed = index.destroyed_spans().clone();
        order.spans.iter().for_each(|span| doomed.add(*span));
        let mut beside = Vec::new();
        for key in &order.keys {
            let mut samples = Vec::new();
            for held in index.sealed_under(*key) {
                let parts = doomed.missing_from(held.span());
                if parts.is_empty() || !open_frame(frames, &mut keyring, held)? {
                    continue;
                }
                samples.extend(parts.into_iter().map(|part| Sample {
                    first: part.start(),
                    class: held.header.class,
                    bytes: Zeroizing::new(bytes_of(frames, &held.header, part).to_vec()),
                }));
            }
            beside.push(samples);
        }
        frames.payload.zeroize();
        Ok(beside)
    }
}

/// Samples to be written again.
pub(super) struct Sample {
    pub(super) first: SamplePos,
    pub(super) class: IntervalClass,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

impl From<Absence> for Absent {
    fn from(why: Absence) -> Self {
        match why {
            Absence::OffRecord => Self::OffRecord,
            Absence::Muted => Self::Muted,
            Absence::Gap => Self::Gap,
        }
    }
}

/// Keys as they are needed one after another; kept for one call, so that a destroyed one is noticed by the next.
struct Keyring<'a> {
    keys: &'a KeyStore,
    hearing: HearingId,
    last: Option<Result<Key, KeyId>>,
}

enum Found<'a> {
    /// There is no cipher.
    Plain,
    Key(&'a Key),
    Destroyed,
}

impl Keyring<'_> {
    fn key(&mut self, held: &Held) -> Result<Found<'_>, MediaError> {
        let id = held.key();
        if held.epoch.cipher == CipherId::NONE {
            return Ok(Found::Plain);
        }
        let known = self.last.as_ref().is_some_and(|last| last.as_ref().map_or_else(|gone| *gone, Key::id) == id);
        if !known {
            self.last = Some(match self.keys.get(self.hearing, id) {
                Ok(key) => Ok(key),
                Err(KeyError::Destroyed { .. }) => Err(id),
                Err(error) => return Err(error.into()),
            });
        }
        Ok(self.last.as_ref().and_then(|last| last.as_ref().ok()).map_or(Found::Destroyed, Found::Key))
    }
}

/// Reads and opens the samples of a frame; false where their key is destroyed.
fn open_frame(frames: &mut FrameReader<File>, keyring: &mut Keyring<'_>, held: &Held) -> Result<bool, MediaError> {
    let found = keyring.key(held)?;
    if matches!(found, Found::Destroyed) {
        return Ok(false);
    }
    body(frames, held.offset, &held.header)?;
    if let Found::Key(key) = found {
        let (nonce, header) = (held.epoch.nonce(held.header.sequence), held.header.encode());
        let opened = key.open(&nonce, &header, &mut frames.payload);
        opened.map_err(|_forged| damaged(frames, held.offset, &held.header, Damage::Forged))?;
    }
    Ok(true)
}

fn body(frames: &mut FrameReader<File>, offset: u64, header: &FrameHeader) -> Result<(), MediaError> {
    match frames.read_body(offset, header)? {
        Body::Whole(_) => Ok(()),
        Body::Short | Body::Wrong => Err(damaged(frames, offset, header, Damage::PayloadChecksum)),
    }
}

fn damaged(frames: &FrameReader<File>, offset: u64, header: &FrameHeader, damage: Damage) -> MediaError {
    MediaError::Damaged { path: frames.path.clone(), frame: header.sequence, offset, damage }
}

/// The bytes of `part` in the frame just read.
fn bytes_of<'a, R>(frames: &'a FrameReader<R>, header: &FrameHeader, part: Span) -> &'a [u8] {
    let width = frames.header.format.encoding.bytes_per_sample();
    let byte_of = |at: SamplePos| {
        usize::try_from(at.index() - header.first_sample.index()).unwrap_or(usize::MAX).saturating_mul(width)
    };
    frames.payload.get(byte_of(part.start())..byte_of(part.end())).unwrap_or_default()
}

/// Appends the samples of `part` in the frame just read.
fn append<R>(pieces: &mut Vec<Piece>, frames: &FrameReader<R>, header: &FrameHeader, part: Span) {
    let bytes = bytes_of(frames, header, part);
    match pieces.last_mut() {
        Some(last) if last.span.end() == part.start() && last.class == header.class => {
            last.bytes.extend_from_slice(bytes);
            last.span = Span::new(last.span.start(), part.end()).unwrap_or(last.span);
        }
        _ => pieces.push(Piece { span: part, class: header.class, bytes: bytes.to_vec() }),
    }
}

/// Verifies the whole file at `path`: checksums, sequence, chain. Needs no key. Costs one read of the file and its SHA-256.
///
/// # Errors
/// [`MediaError::Damaged`], [`MediaError::NewerFormat`], [`MediaError::NotFound`].
pub fn verify(path: &Path) -> Result<Verdict, MediaError> {
    let file = File::open(path).map_err(|e| MediaError::of(path, "open", e))?;
    FrameReader::new(BufReader::with_capacity(1 << 18, file), path)?.verify()
}
