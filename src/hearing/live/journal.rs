//! Reading the audio journal of a channel while it grows, without holding up the runtime.

use crate::{
    domain::time::Span,
    hearing::HearingError,
    record::media::{
        MediaError,
        reader::{JournalPlace, JournalReader, Piece},
    },
};

/// A journal that is read span by span; opened when it is first needed.
pub(in crate::hearing) struct Reading {
    path: JournalPlace,
    reader: Option<JournalReader>,
    /// Whether it is only read on, never back.
    forward: bool,
}

impl Reading {
    pub(super) const fn of(path: JournalPlace) -> Self {
        Self { path, reader: None, forward: false }
    }

    /// One that is only read on: it forgets where the frames behind it are.
    pub(in crate::hearing) const fn forward(path: JournalPlace) -> Self {
        Self { path, reader: None, forward: true }
    }

    /// What is stored of `span`, in order; a gap begins a new piece. On a thread that may block.
    ///
    /// If the future is dropped, the file is opened anew the next time.
    pub(in crate::hearing) async fn read(&mut self, span: Span) -> Result<Vec<Piece>, HearingError> {
        let (reader, path, forward) = (self.reader.take(), self.path.clone(), self.forward);
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = reader.map_or_else(|| path.open(), Ok)?;
            let pieces = reader.read_span(span)?;
            if forward {
                reader.forget(span.start());
            }
            Ok::<_, MediaError>((reader, pieces))
        });
        // Nobody aborts it; where it panicked there is nothing to go on with.
        let (reader, pieces) = read.await.map_err(|_panicked| MediaError::Stopped)??;
        self.reader = Some(reader);
        Ok(pieces)
    }
}
