//! Taking in what was captured: whole batches, synced one by one.

use std::io;

use super::{
    Segment, Spool, SpoolError, bytes_of, end_of, note,
    segment::{self, Content, Piece, SegmentWriter, What},
};
use crate::{
    api::recorder::session::{Absence, Holding},
    domain::{
        change::IntervalClass,
        time::{SamplePos, Span},
    },
};

/// Milliseconds of audio in a segment: what stays for a while after it is safe, and what one key covers.
const SEGMENT_MS: u64 = 5_000;
/// Bytes of a segment after which another is begun.
const SEGMENT_BYTES: u64 = 4 << 20;

impl Spool {
    /// Keeps what was captured together: whole samples of the channels at these indices. When it returns they are on disk;
    /// those that are not to be kept are counted and no more.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: nothing was kept; [`Spool::lose`] counts them as lost, or it is tried again when something
    /// was let go of. Otherwise what the disk says.
    pub fn append(&mut self, audio: &[(usize, Vec<u8>)]) -> Result<(), SpoolError> {
        let new: Vec<Piece> = audio.iter().flat_map(|(lane, bytes)| self.pieces(*lane, bytes)).collect();
        let bytes = |piece: &Piece| if let What::Audio(bytes) = &piece.what { bytes.len() as u64 } else { 0 };
        let more: u64 = new.iter().map(bytes).sum();
        if more > 0 && self.bytes() + more > self.limit {
            return Err(SpoolError::Full);
        }
        let mut pieces = std::mem::take(&mut self.owed);
        let owed = pieces.len();
        pieces.extend(new);
        let kept = self.write(&pieces);
        if kept.is_err() {
            pieces.truncate(owed);
            self.owed = pieces;
        } else {
            self.count(&pieces[owed..]);
        }
        kept
    }

    /// Counts samples of channels that are not there, and why. They are known to be missing also after a crash, unless the
    /// disk has not even room for that word.
    ///
    /// # Errors
    /// What the disk says.
    pub fn lose(&mut self, samples: &[(usize, u64)], why: Absence) -> Result<(), SpoolError> {
        let lost: Vec<Piece> =
            samples.iter().map(|(lane, samples)| self.piece(*lane, What::Missing(*samples, why))).collect();
        self.count(&lost);
        self.owed.extend(lost);
        let owed = std::mem::take(&mut self.owed);
        match self.write(&owed) {
            Err(SpoolError::Full) => self.owed = owed,
            written => written?,
        }
        Ok(())
    }

    /// What is kept of the next samples of a channel.
    fn pieces(&self, lane: usize, bytes: &[u8]) -> Vec<Piece> {
        let (first, width) = (self.held[lane].end, self.width(lane));
        let all = Span::new(first, first.plus((bytes.len() / width) as u64)).unwrap_or(Span::EMPTY);
        let at = |sample: SamplePos| bytes_of(sample.index() - first.index(), width);
        let piece = |(run, class): (Span, IntervalClass)| Piece {
            lane: u8::try_from(lane).unwrap_or(u8::MAX),
            first: run.start().index(),
            what: match class.is_stored() {
                true => What::Audio(bytes[at(run.start())..at(run.end())].to_vec()),
                false => What::Missing(run.len(), Absence::Withdrawn),
            },
        };
        self.classes[lane].runs(all).into_iter().map(piece).collect()
    }

    fn piece(&self, lane: usize, what: What) -> Piece {
        Piece { lane: u8::try_from(lane).unwrap_or(u8::MAX), first: self.held[lane].end.index(), what }
    }

    /// Moves the ends of the channels on.
    fn count(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            let lane = usize::from(piece.lane);
            let end = end_of(piece, self.width(lane));
            let held = &mut self.held[lane];
            held.end = SamplePos::new(end);
            if let What::Missing(_, why) = piece.what {
                note(&mut held.missing, piece.first, end, why);
            }
        }
    }

    /// Writes a batch into the open segment, or into another one where that is long enough.
    fn write(&mut self, pieces: &[Piece]) -> Result<(), SpoolError> {
        if self.header.at_rest {
            self.header.at_rest = false;
            self.save()?;
        }
        if self.open.as_ref().is_some_and(|(writer, content)| self.is_long(writer, content)) {
            self.open = None;
        }
        let now_ms = self.world.now().as_millisecond();
        let written = self.write_open(pieces, now_ms);
        if let Err(SpoolError::Io { source, .. }) = &written {
            // What is half written stays as it is, under a key that is not used again.
            self.open = None;
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return Err(SpoolError::Full);
            }
        } else if written.is_ok() {
            self.captured_at_ms = Some(now_ms);
        }
        written
    }

    fn write_open(&mut self, pieces: &[Piece], now_ms: i64) -> Result<(), SpoolError> {
        let (writer, content) = match &mut self.open {
            Some(open) => open,
            none => {
                let base = positions_before(&self.held, pieces);
                let number = self.next_number;
                let path = segment::path_of(&self.folder, number);
                let writer = SegmentWriter::create(path, number, &base, &self.cipher, self.world.as_ref())?;
                self.next_number += 1;
                self.segments.push_back(Segment { number, base: base.clone(), bytes: writer.bytes() });
                none.insert((writer, Content { base, ..Content::default() }))
            }
        };
        writer.append(pieces, now_ms)?;
        content.pieces.extend_from_slice(pieces);
        content.at_ms = Some(now_ms);
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes = writer.bytes();
        }
        Ok(())
    }

    fn is_long(&self, writer: &SegmentWriter, content: &Content) -> bool {
        let long = |(lane, base): (usize, &u64)| {
            let rate = self.header.channels[lane].format.rate;
            SamplePos::new(self.held[lane].end.index().saturating_sub(*base)).at(rate).millis() >= SEGMENT_MS
        };
        writer.bytes() >= SEGMENT_BYTES || content.base.iter().enumerate().any(long)
    }
}

/// Where each channel stood before these pieces, of which some may be counted already.
fn positions_before(held: &[Holding], pieces: &[Piece]) -> Vec<u64> {
    let first = |lane: usize| pieces.iter().find(|p| usize::from(p.lane) == lane).map(|p| p.first);
    held.iter().enumerate().map(|(lane, held)| first(lane).unwrap_or(held.end.index())).collect()
}
