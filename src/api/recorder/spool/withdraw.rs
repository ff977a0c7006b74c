//! Not keeping what an order says is not to be kept: what was captured already is destroyed, what comes is counted only.

use super::{
    Spool, SpoolError, bytes_of, end_of, note, recovery,
    segment::{self, Piece, SegmentWriter, What},
};
use crate::{
    api::recorder::{
        orders::{Heard, rest_of},
        session::Absence,
    },
    domain::time::Span,
};

impl Spool {
    /// Takes an order: samples that are not to be kept are destroyed, as far as they were captured, and not written from now
    /// on. Each segment that has some of them is written anew under another key, and its old key is destroyed. When this
    /// returns they are gone; where it does not return, opening the spool again carries it out.
    ///
    /// # Errors
    /// What the disk says.
    pub fn order(&mut self, order: &Heard) -> Result<(), SpoolError> {
        let Some(lane) = self.header.channels.iter().position(|c| c.id == order.channel) else { return Ok(()) };
        // From now on nothing of it is written, whatever the disk says to the rest.
        self.classes[lane].set(order.first, order.end, order.class);
        self.header.orders.push(order.clone());
        if let Err(error) = self.save() {
            // It is asked for again.
            self.header.orders.pop();
            return Err(error);
        }
        self.carry_out(lane)
    }

    /// Destroys what is held of the channel at `lane` and is not to be kept.
    pub(super) fn carry_out(&mut self, lane: usize) -> Result<(), SpoolError> {
        let held = &self.held[lane];
        let all = Span::new(held.from, held.end).unwrap_or(Span::EMPTY);
        let runs = self.classes[lane].runs(all).into_iter().filter(|(_, class)| !class.is_stored());
        let there = |run| rest_of(run, held.missing.iter().map(|m| m.span));
        let gone: Vec<Span> = runs.flat_map(|(run, _)| there(run)).collect();
        gone.into_iter().try_for_each(|span| self.destroy(lane, span))
    }

    fn destroy(&mut self, lane: usize, gone: Span) -> Result<(), SpoolError> {
        // No file that was written on stays open, and nothing of it in memory.
        self.open = None;
        self.cache = None;
        let (from, to) = (gone.start().index(), gone.end().index());
        // The one before the first has some of it too where a write failed half way and was made again.
        let first = self.segments.partition_point(|s| s.base[lane] <= from).saturating_sub(2);
        let after = self.segments.partition_point(|s| s.base[lane] < to);
        for index in first..after {
            self.rewrite(index, lane, gone)?;
        }
        self.miss(lane, gone, Absence::Withdrawn);
        Ok(())
    }

    /// Notes that samples which were held are not any more.
    pub(super) fn miss(&mut self, lane: usize, gone: Span, why: Absence) {
        let held = &mut self.held[lane];
        let mut missing: Vec<_> = held.missing.iter().map(|m| (m.span, m.why)).collect();
        missing.push((gone, why));
        missing.sort_by_key(|(span, _)| span.start());
        held.missing.clear();
        for (span, why) in missing {
            note(&mut held.missing, span.start().index(), span.end().index(), why);
        }
    }

    fn rewrite(&mut self, index: usize, lane: usize, gone: Span) -> Result<(), SpoolError> {
        let number = self.segments[index].number;
        let old = segment::path_of(&self.folder, number);
        let Some(content) = segment::read(&old, number, &self.cipher)? else {
            return Err(SpoolError::Unreadable { path: old });
        };
        let (width, at_ms) = (self.width(lane), content.at_ms.unwrap_or_default());
        let pieces: Vec<Piece> = content.pieces.into_iter().flat_map(|p| withdrawn(p, lane, width, gone)).collect();
        let new = old.with_extension("cut");
        let mut writer = SegmentWriter::create(new.clone(), number, &content.base, &self.cipher, self.world.as_ref())?;
        // A batch each, so that none is longer than one may be.
        for piece in &pieces {
            writer.append(std::slice::from_ref(piece), at_ms)?;
        }
        self.segments[index].bytes = writer.bytes();
        segment::wipe_key(&old)?;
        recovery::replace(&self.folder, &new, &old)
    }
}

/// A piece without what is to be destroyed.
fn withdrawn(piece: Piece, lane: usize, width: usize, gone: Span) -> Vec<Piece> {
    let (first, end) = (piece.first, end_of(&piece, width));
    let (from, to) = (gone.start().index().clamp(first, end), gone.end().index().clamp(first, end));
    let What::Audio(bytes) = &piece.what else { return vec![piece] };
    if usize::from(piece.lane) != lane || from >= to {
        return vec![piece];
    }
    let audio =
        |from: u64, to: u64| What::Audio(bytes[bytes_of(from - first, width)..bytes_of(to - first, width)].to_vec());
    let parts = [
        (first, from, audio(first, from)),
        (from, to, What::Missing(to - from, Absence::Withdrawn)),
        (to, end, audio(to, end)),
    ];
    let piece = |(first, _, what)| Piece { lane: piece.lane, first, what };
    parts.into_iter().filter(|(from, to, _)| from < to).map(piece).collect()
}
