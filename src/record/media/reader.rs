//! Reads spans of a journal, and verifies whole ones.

use std::{fs::File, io::BufReader, path::Path};

use super::{
    MediaError,
    format::{
        Damage,
        frame::{Epoch, FrameHeader, FrameKind},
        head::FileHeader,
    },
    frames::{Body, FrameReader, Step, Verdict},
};
use crate::{
    domain::{
        change::IntervalClass,
        time::{SamplePos, Span},
    },
    record::seal::CipherId,
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

/// Reads spans of a journal, also of one that is being written.
#[derive(Debug)]
pub struct JournalReader {
    frames: FrameReader<File>,
    index: Vec<(u64, FrameHeader)>,
}

impl JournalReader {
    /// Opens the file at `path` and indexes it: one small read for each frame, no payload.
    ///
    /// # Errors
    /// [`MediaError::NotFound`], [`MediaError::Damaged`], [`MediaError::NewerFormat`], [`MediaError::Cipher`].
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        let file = File::open(path).map_err(|e| MediaError::of(path, "open", e))?;
        let mut reader = Self { frames: FrameReader::new(file, path)?, index: Vec::new() };
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
            match self.frames.skip()? {
                Step::Frame(header) => match header.kind {
                    FrameKind::Audio => self.index.push((offset, header)),
                    FrameKind::Epoch => self.enter_epoch(offset, &header)?,
                    FrameKind::Skipped | FrameKind::Closed => {}
                },
                Step::End | Step::Tail { .. } => return Ok(()),
            }
        }
    }

    /// Learns the cipher of what follows.
    fn enter_epoch(&mut self, offset: u64, header: &FrameHeader) -> Result<(), MediaError> {
        self.read_body(offset, header)?;
        match Epoch::decode(&self.frames.payload) {
            Some(epoch) if epoch.cipher == CipherId::NONE => Ok(()),
            Some(epoch) => Err(MediaError::Cipher { path: self.frames.path.clone(), cipher: epoch.cipher }),
            None => Err(self.damaged(offset, header, Damage::FrameValue)),
        }
    }

    /// The samples of `span` that the journal holds, in order; a gap or a change of class begins a new piece. Checksums are
    /// verified, the chain is not ([`verify`] does that). Memory: the bytes of the span.
    ///
    /// # Errors
    /// [`MediaError::Damaged`] or what the system said.
    pub fn read_span(&mut self, span: Span) -> Result<Vec<Piece>, MediaError> {
        if span.end() > self.end() {
            self.refresh()?;
        }
        let first = self.index.partition_point(|(_, h)| h.end_sample() <= span.start());
        let mut pieces: Vec<Piece> = Vec::new();
        for at in first..self.index.len() {
            let (offset, header) = self.index[at];
            if header.first_sample >= span.end() {
                break;
            }
            self.read_body(offset, &header)?;
            append(&mut pieces, &self.frames, &header, span);
        }
        Ok(pieces)
    }

    /// Forgets where the frames that end before `before` are, so that reading on for hours takes no more memory. They cannot be
    /// read by this reader any more.
    pub fn forget(&mut self, before: SamplePos) {
        let behind = self.index.partition_point(|(_, h)| h.end_sample() <= before);
        self.index.drain(..behind);
    }

    fn read_body(&mut self, offset: u64, header: &FrameHeader) -> Result<(), MediaError> {
        match self.frames.read_body(offset, header)? {
            Body::Whole(_) => Ok(()),
            Body::Short | Body::Wrong => Err(self.damaged(offset, header, Damage::PayloadChecksum)),
        }
    }

    fn damaged(&self, offset: u64, header: &FrameHeader, damage: Damage) -> MediaError {
        MediaError::Damaged { path: self.frames.path.clone(), frame: header.sequence, offset, damage }
    }
}

/// Appends what of the frame just read lies in `span`.
fn append<R>(pieces: &mut Vec<Piece>, frames: &FrameReader<R>, header: &FrameHeader, span: Span) {
    let start = span.start().max(header.first_sample);
    let end = span.end().min(header.end_sample());
    let width = frames.header.format.encoding.bytes_per_sample();
    let byte_of = |at: SamplePos| {
        usize::try_from(at.index() - header.first_sample.index()).unwrap_or(usize::MAX).saturating_mul(width)
    };
    let Some(span) = Span::new(start, end) else { return };
    let bytes = frames.payload.get(byte_of(start)..byte_of(end)).unwrap_or_default();
    match pieces.last_mut() {
        Some(last) if last.span.end() == start && last.class == header.class => {
            last.bytes.extend_from_slice(bytes);
            last.span = Span::new(last.span.start(), end).unwrap_or(last.span);
        }
        _ => pieces.push(Piece { span, class: header.class, bytes: bytes.to_vec() }),
    }
}

/// Verifies the whole file at `path`: checksums, sequence, chain. Costs one read of the file and its SHA-256.
///
/// # Errors
/// [`MediaError::Damaged`], [`MediaError::NewerFormat`], [`MediaError::NotFound`].
pub fn verify(path: &Path) -> Result<Verdict, MediaError> {
    let file = File::open(path).map_err(|e| MediaError::of(path, "open", e))?;
    FrameReader::new(BufReader::with_capacity(1 << 18, file), path)?.verify()
}
