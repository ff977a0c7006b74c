//! Destroying what was captured after all: an order that came late.

use super::{
    Spool, SpoolError, bytes_of, end_of, note, recovery,
    segment::{self, Piece, SegmentWriter, What},
};
use crate::{api::recorder::session::Absence, domain::time::SamplePos};

impl Spool {
    /// Destroys the samples of the channel at `lane` from `from` on, as far as they were captured. Each segment that has
    /// some of them is written anew under another key, and its old key is destroyed. When this returns they are gone; where
    /// it does not return, the order is to be given again.
    ///
    /// # Errors
    /// What the disk says.
    pub fn destroy_after(&mut self, lane: usize, from: SamplePos) -> Result<(), SpoolError> {
        // No file that was written on stays open, and nothing of it in memory.
        self.open = None;
        self.cache = None;
        for index in 0..self.segments.len() {
            let end = self.segments.get(index + 1).map_or(self.held[lane].end.index(), |s| s.base[lane]);
            if end > from.index() {
                self.rewrite(index, lane, from.index())?;
            }
        }
        let width = self.width(lane);
        self.owed = self.owed.drain(..).flat_map(|p| withdrawn(p, lane, width, from.index())).collect();
        let held = &mut self.held[lane];
        let before: Vec<_> = held.missing.drain(..).collect();
        for missing in before {
            let end = missing.span.end().min(from);
            note(&mut held.missing, missing.span.start().index(), end.index(), missing.why);
        }
        let first = from.max(held.from);
        note(&mut held.missing, first.index(), held.end.index(), Absence::Withdrawn);
        Ok(())
    }

    fn rewrite(&mut self, index: usize, lane: usize, from: u64) -> Result<(), SpoolError> {
        let number = self.segments[index].number;
        let old = segment::path_of(&self.folder, number);
        let Some(content) = segment::read(&old, number, &self.cipher)? else {
            return Err(SpoolError::Unreadable { path: old });
        };
        let (width, at_ms) = (self.width(lane), content.at_ms.unwrap_or_default());
        let pieces: Vec<Piece> = content.pieces.into_iter().flat_map(|p| withdrawn(p, lane, width, from)).collect();
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
fn withdrawn(piece: Piece, lane: usize, width: usize, from: u64) -> Vec<Piece> {
    let end = end_of(&piece, width);
    if usize::from(piece.lane) != lane || end <= from {
        return vec![piece];
    }
    let cut = from.max(piece.first);
    let kept = match piece.what {
        What::Audio(mut bytes) => {
            bytes.truncate(bytes_of(cut - piece.first, width));
            What::Audio(bytes)
        }
        What::Missing(_, why) => What::Missing(cut - piece.first, why),
    };
    let gone = Piece { lane: piece.lane, first: cut, what: What::Missing(end - cut, Absence::Withdrawn) };
    if cut == piece.first { vec![gone] } else { vec![Piece { what: kept, ..piece }, gone] }
}
