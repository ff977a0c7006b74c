//! Following the record of a hearing: every entry once and in order, from any position, as long as the hearing lasts.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::watch;

use crate::{
    domain::{
        change::{Change, EntrySeq},
        id::HearingId,
    },
    record::{
        entry::Entry,
        store::{RecordError, RecordStore},
    },
};

/// Entries read at a time.
const PAGE: usize = 100;

/// A reader of the record at a position. Slow or fast, it holds nobody up.
#[derive(Debug)]
pub struct Follower {
    store: Arc<dyn RecordStore>,
    hearing: HearingId,
    after: EntrySeq,
    page: VecDeque<Entry>,
    news: watch::Receiver<EntrySeq>,
    /// There may be entries after the page.
    stale: bool,
    ended: bool,
}

impl Follower {
    /// A reader of the entries after `after`.
    #[must_use]
    pub fn new(store: Arc<dyn RecordStore>, hearing: HearingId, after: EntrySeq) -> Self {
        let news = store.subscribe(hearing);
        Self { store, hearing, after, page: VecDeque::new(), news, stale: true, ended: false }
    }

    /// The same reader of a hearing that is closed and of which it has everything.
    #[must_use]
    pub fn at_the_end(self) -> Self {
        Self { ended: true, ..self }
    }

    /// The next entry, as soon as it is there; `None` after the entry that closed the hearing, or when the store stops.
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// Whatever reading the record gives.
    pub async fn next(&mut self) -> Result<Option<Entry>, RecordError> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                self.after = entry.seq;
                self.ended = matches!(entry.change, Change::HearingClosed {});
                return Ok(Some(entry));
            }
            if self.ended {
                return Ok(None);
            }
            if self.stale {
                self.turn_page().await?;
            } else if self.news.changed().await.is_err() {
                return Ok(None);
            } else {
                self.stale = true;
            }
        }
    }

    /// The next entry if it is there already.
    ///
    /// # Errors
    /// Whatever reading the record gives.
    pub async fn ready(&mut self) -> Result<Option<Entry>, RecordError> {
        if self.page.is_empty() && !self.ended {
            self.turn_page().await?;
        }
        if self.page.is_empty() { Ok(None) } else { self.next().await }
    }

    /// Whether every entry was given that is in the record.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.page.is_empty() && (self.ended || !self.stale && !self.news.has_changed().unwrap_or(false))
    }

    async fn turn_page(&mut self) -> Result<(), RecordError> {
        self.news.mark_unchanged();
        self.page = self.store.entries(self.hearing, self.after, PAGE).await?.into();
        self.stale = self.page.len() == PAGE;
        Ok(())
    }
}
