//! Reads the frames of a journal one after another and verifies them on the way. Pure: any source of bytes will do.

use std::{
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

use super::{
    MediaError,
    format::{
        Damage, FRAME_FOOTER_BYTES, FRAME_HEADER_BYTES, HEADER_BYTES, MARKER, chain_next, chain_start,
        destruction::Destruction,
        frame::{Epoch, FrameHeader, FrameKind, absence_of},
        head::{FileHeader, HeaderError},
    },
    source::Source,
};
use crate::{
    domain::time::SamplePos,
    record::{
        keys::key::TAG_BYTES,
        seal::{CipherId, KeyId},
    },
};

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole, verified frame; its payload is in [`FrameReader::payload`].
    Frame(FrameHeader),
    /// The file ends after a whole frame.
    End,
    /// The file ends in a half-written frame, or what follows was never synced and does not hold together. Where a writer
    /// is at work, it is a frame on its way.
    Tail {
        /// Bytes from here to the end of the file.
        bytes: u64,
    },
}

/// What stands at the end of a verified file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The version of the format.
    pub version: u16,
    /// Whole frames, of every kind.
    pub frames: u64,
    /// The sample after the last.
    pub end: SamplePos,
    /// Number of samples that were stored, also where they were destroyed since: `end` less what was skipped and gaps.
    pub samples: u64,
    /// Bytes that hold whole frames.
    pub bytes: u64,
    /// The chain value of the last frame: stands for all the file.
    pub chain: [u8; 32],
    /// Epochs: one each time that a writer opened the file, and one with each further key.
    pub epochs: u32,
    /// Bytes of a torn tail behind the last whole frame; 0 where there is none.
    pub tail_bytes: u64,
    /// Whether the last frame says that the writer closed the file.
    pub closed: bool,
}

/// Reads frames one after another and verifies checksum, sequence and chain of each.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: Source<R>,
    pub(super) path: PathBuf,
    pub(super) header: FileHeader,
    pub(super) offset: u64,
    pub(super) sequence: u64,
    pub(super) next_sample: SamplePos,
    chain: [u8; 32],
    pub(super) cipher: CipherId,
    /// The keys whose destruction is ordered, as far as the file was verified.
    pub(super) doomed: Vec<KeyId>,
    pub(super) payload: Vec<u8>,
}

impl<R: Read + Seek> FrameReader<R> {
    /// Reads the file header; `path` is for messages only.
    ///
    /// # Errors
    /// [`MediaError::Damaged`], [`MediaError::NewerFormat`], or what the source said.
    pub fn new(source: R, path: &Path) -> Result<Self, MediaError> {
        let mut source = Source::new(source);
        let mut bytes = [0; HEADER_BYTES];
        let read = source.read(0, &mut bytes).map_err(|e| MediaError::of(path, "read", e))?;
        let damaged = |damage| MediaError::Damaged { path: path.to_owned(), frame: 0, offset: 0, damage };
        if read < HEADER_BYTES {
            return Err(damaged(Damage::Magic));
        }
        let header = FileHeader::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged(damage) => damaged(damage),
            HeaderError::Newer(version) => MediaError::NewerFormat { path: path.to_owned(), version },
        })?;
        Ok(Self {
            source,
            path: path.to_owned(),
            header,
            offset: HEADER_BYTES as u64,
            sequence: 0,
            next_sample: SamplePos::ZERO,
            chain: chain_start(&bytes),
            cipher: header.cipher,
            doomed: Vec::new(),
            payload: Vec::new(),
        })
    }

    /// The head of the file.
    #[must_use]
    pub const fn header(&self) -> &FileHeader {
        &self.header
    }

    /// The payload of the frame that the last [`Step::Frame`] told of, as stored.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The next frame, verified.
    ///
    /// # Errors
    /// [`MediaError::Damaged`] for damage in what was synced, or what the source said.
    pub fn step(&mut self) -> Result<Step, MediaError> {
        let (header, raw) = match self.frame_header()? {
            Head::Frame(header, raw) => (header, raw),
            Head::End => return Ok(Step::End),
            Head::Tail => return self.tail(),
        };
        let body = self.read_body(self.offset, &header)?;
        let chain = match body {
            Body::Whole(chain) => chain,
            Body::Short => return self.tail(),
            Body::Wrong => return self.torn_or(Damage::PayloadChecksum),
        };
        let expected = chain_next(&self.chain, &raw, &self.payload);
        if chain != expected {
            return Err(self.damaged(Damage::Chain));
        }
        self.chain = expected;
        self.pass(&header)?;
        Ok(Step::Frame(header))
    }

    /// Goes past the next frame with a look at its header only. The payload of one that says how others are to be read is read
    /// and held against its checksum; of any other [`Self::payload`] is then of no use.
    pub(super) fn skip(&mut self) -> Result<Step, MediaError> {
        let (header, _) = match self.frame_header()? {
            Head::Frame(header, raw) => (header, raw),
            Head::End => return Ok(Step::End),
            Head::Tail => return self.tail(),
        };
        if self.offset + header.frame_bytes() > self.len()? {
            return self.tail();
        }
        if matches!(header.kind, FrameKind::Epoch | FrameKind::Destroyed) {
            match self.read_body(self.offset, &header)? {
                Body::Whole(_) => {}
                Body::Short => return self.tail(),
                Body::Wrong => return self.torn_or(Damage::PayloadChecksum),
            }
        }
        self.advance(&header);
        Ok(Step::Frame(header))
    }

    /// Reads the payload of the frame at `offset`, and says whether it matches its checksum.
    pub(super) fn read_body(&mut self, offset: u64, header: &FrameHeader) -> Result<Body, MediaError> {
        let mut footer = [0; FRAME_FOOTER_BYTES];
        self.payload.resize(header.payload_bytes as usize, 0);
        let start = offset + FRAME_HEADER_BYTES as u64;
        let end = start + u64::from(header.payload_bytes);
        let got = self.source.read(start, &mut self.payload).map_err(|e| self.io(e))?;
        let got = got + self.source.read(end, &mut footer).map_err(|e| self.io(e))?;
        if got < self.payload.len() + FRAME_FOOTER_BYTES {
            return Ok(Body::Short);
        }
        let (chain, crc) = footer.split_at(32);
        let good = crc32c::crc32c_append(crc32c::crc32c(&self.payload), chain).to_le_bytes() == crc;
        Ok(if good { Body::Whole(chain.try_into().expect("split at 32")) } else { Body::Wrong })
    }

    /// Reads all that is left.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn verify(&mut self) -> Result<Verdict, MediaError> {
        let (mut samples, mut epochs, mut closed) = (0, 0, false);
        loop {
            let tail_bytes = match self.step()? {
                Step::Frame(header) => {
                    samples += if header.kind == FrameKind::Audio { u64::from(header.samples) } else { 0 };
                    epochs += u32::from(header.kind == FrameKind::Epoch);
                    closed = header.kind == FrameKind::Closed;
                    continue;
                }
                Step::End => 0,
                Step::Tail { bytes } => bytes,
            };
            return Ok(Verdict {
                version: self.header.version,
                frames: self.sequence,
                end: self.next_sample,
                samples,
                bytes: self.offset,
                chain: self.chain,
                epochs,
                tail_bytes,
                closed: closed && tail_bytes == 0,
            });
        }
    }

    fn frame_header(&mut self) -> Result<Head, MediaError> {
        let mut raw = [0; FRAME_HEADER_BYTES];
        match self.source.read(self.offset, &mut raw).map_err(|e| self.io(e))? {
            0 => return Ok(Head::End),
            FRAME_HEADER_BYTES => {}
            // Fewer bytes than a frame header has are a tail whatever they say.
            _ => return Ok(Head::Tail),
        }
        match FrameHeader::decode(&raw) {
            Ok(header) => self.fits(&header).map_or(Ok(Head::Frame(header, raw)), |damage| Err(self.damaged(damage))),
            Err(damage) => self.torn_or(damage).map(|_| Head::Tail),
        }
    }

    /// What of a header with a good checksum contradicts the frames before it. That is no accident of writing.
    fn fits(&self, header: &FrameHeader) -> Option<Damage> {
        let (samples, payload) = (u64::from(header.samples), u64::from(header.payload_bytes));
        let plain = samples * self.header.format.encoding.bytes_per_sample() as u64;
        let stored = match self.cipher {
            CipherId::NONE => Some(plain),
            CipherId::XCHACHA20_POLY1305 => Some(plain + TAG_BYTES as u64),
            // How long others make it is not known.
            _ => None,
        };
        let means_something = match header.kind {
            FrameKind::Audio | FrameKind::Restated => samples > 0 && stored.is_none_or(|stored| stored == payload),
            FrameKind::Skipped => samples > 0 && payload == 0 && absence_of(header.class).is_some(),
            FrameKind::Epoch | FrameKind::Closed | FrameKind::Destroyed => samples == 0,
        };
        let overlaps = match header.kind {
            FrameKind::Restated => header.end_sample() > self.next_sample,
            FrameKind::Epoch | FrameKind::Audio | FrameKind::Closed | FrameKind::Skipped | FrameKind::Destroyed => {
                header.first_sample < self.next_sample
            }
        };
        if header.sequence != self.sequence {
            Some(Damage::Sequence)
        } else if overlaps {
            Some(Damage::Overlap)
        } else if !means_something || header.kind.since() > self.header.version || header.synced > self.offset {
            Some(Damage::FrameValue)
        } else {
            None
        }
    }

    fn pass(&mut self, header: &FrameHeader) -> Result<(), MediaError> {
        if header.kind == FrameKind::Epoch {
            let epoch = Epoch::decode(&self.payload).ok_or_else(|| self.damaged(Damage::FrameValue))?;
            self.cipher = epoch.cipher;
        }
        if header.kind == FrameKind::Destroyed {
            let order = Destruction::decode(&self.payload).ok_or_else(|| self.damaged(Damage::FrameValue))?;
            self.doomed.extend(order.keys);
        }
        self.advance(header);
        Ok(())
    }

    fn advance(&mut self, header: &FrameHeader) {
        self.offset += header.frame_bytes();
        self.sequence += 1;
        if header.kind != FrameKind::Restated {
            self.next_sample = header.end_sample();
        }
    }

    /// A tail, unless a later frame says that this place was synced.
    fn torn_or(&mut self, damage: Damage) -> Result<Step, MediaError> {
        if self.synced_beyond().map_err(|e| self.io(e))? { Err(self.damaged(damage)) } else { self.tail() }
    }

    /// Looks behind the present offset for a frame header that calls it synced.
    fn synced_beyond(&mut self) -> io::Result<bool> {
        let (mut window, mut chunk, mut at) = (Vec::new(), vec![0; 1 << 16], self.offset + 1);
        loop {
            let read = self.source.read(at, &mut chunk)?;
            at += read as u64;
            window.extend_from_slice(&chunk[..read]);
            let later = window.windows(FRAME_HEADER_BYTES).filter(|w| w.starts_with(&MARKER)).any(|w| {
                let raw = w.try_into().expect("a window has the length of a header");
                FrameHeader::decode(raw).is_ok_and(|h| h.sequence > self.sequence && h.synced > self.offset)
            });
            if later || read < chunk.len() {
                return Ok(later);
            }
            window.drain(..window.len().saturating_sub(FRAME_HEADER_BYTES - 1));
        }
    }

    fn tail(&mut self) -> Result<Step, MediaError> {
        Ok(Step::Tail { bytes: self.len()?.saturating_sub(self.offset) })
    }

    fn len(&mut self) -> Result<u64, MediaError> {
        self.source.len().map_err(|e| self.io(e))
    }

    fn damaged(&self, damage: Damage) -> MediaError {
        MediaError::Damaged { path: self.path.clone(), frame: self.sequence, offset: self.offset, damage }
    }

    fn io(&self, source: io::Error) -> MediaError {
        MediaError::of(&self.path, "read", source)
    }
}

enum Head {
    Frame(FrameHeader, [u8; FRAME_HEADER_BYTES]),
    End,
    Tail,
}

pub(super) enum Body {
    /// It matches its checksum; the chain value that stands behind it.
    Whole([u8; 32]),
    /// The file ends inside.
    Short,
    Wrong,
}
