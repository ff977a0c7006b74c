//! Destroys samples that were stored: see [`super`] for the order of steps, which a crash must not break.

use super::{
    MediaError,
    format::{MAX_PAYLOAD_BYTES, destruction::Destruction, frame::FrameKind},
    reader::JournalReader,
    spans::{Spans, both},
    writer::JournalWriter,
};
use crate::domain::{
    change::IntervalClass,
    time::{SamplePos, Span},
};

impl JournalWriter {
    /// Makes every stored sample of `span` unreadable for ever; all others stay readable bit for bit. When it returns, that is
    /// on disk. Gives the spans of what was there. Reads the headers of the file's frames, and blocks for some syncs.
    ///
    /// # Errors
    /// [`MediaError::OldFormat`]; [`MediaError::DiskFull`] and others leave everything readable, or the order on disk: then it is
    /// carried out by the next call or by the next opening.
    pub fn destroy(&mut self, span: Span) -> Result<Vec<Span>, MediaError> {
        self.pen.needs(FrameKind::Destroyed, "destroy what is stored")?;
        let mut destroyed = Spans::default();
        self.finish(span, &mut destroyed)?;
        self.sync()?;
        let mut reader = JournalReader::open(&self.pen.path, &self.pen.keys)?;
        let mut ahead = vec![span];
        while let Some(part) = ahead.pop() {
            let order = reader.readable(part)?;
            if order.payload_bytes() > MAX_PAYLOAD_BYTES
                && let Some((one, other)) = halves(part)
            {
                ahead.extend([other, one]);
            } else if !order.keys.is_empty() {
                self.intend(&mut reader, order)?;
                self.finish(span, &mut destroyed)?;
            }
        }
        Ok(destroyed.into_vec())
    }

    /// Writes again what shares a key with what is to go, then the order; both are on disk when it returns. From here on the
    /// order is carried out, at the latest by the next opening.
    pub(super) fn intend(&mut self, reader: &mut JournalReader, order: Destruction) -> Result<(), MediaError> {
        let beside = reader.beside(&order)?;
        self.pen.or_take_back(|pen| {
            for samples in beside.iter().filter(|samples| !samples.is_empty()) {
                pen.renew_key()?;
                for sample in samples {
                    pen.write_samples(FrameKind::Restated, sample.class, sample.first, &sample.bytes)?;
                }
            }
            let next = (pen.place.next_sample, 0);
            pen.write_frame(FrameKind::Destroyed, IntervalClass::Open, next, &order.encode())
        })?;
        self.pen.drop_key();
        self.sync()?;
        self.unfinished = Some(order);
        reader.refresh()
    }

    /// Carries out the order that is on disk, and tells what of `span` it destroys.
    fn finish(&mut self, span: Span, destroyed: &mut Spans) -> Result<(), MediaError> {
        if let Some(order) = &self.unfinished {
            self.pen.keys.destroy(self.pen.hearing, &order.keys)?;
            order.spans.iter().filter_map(|s| both(*s, span)).for_each(|s| destroyed.add(s));
            self.unfinished = None;
        }
        Ok(())
    }
}

/// `span` in two parts; `None` for one that is too short.
fn halves(span: Span) -> Option<(Span, Span)> {
    let middle = SamplePos::new(span.start().index() + span.len() / 2);
    (span.len() > 1).then(|| Some((Span::new(span.start(), middle)?, Span::new(middle, span.end())?)))?
}
