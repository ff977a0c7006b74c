//! What is read of a hearing: entry by entry, followed, as a document, as accounts. Each by who may see it.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{OnceCell, broadcast};

use super::{
    HearingError, follow::Follower, live::LiveEvent, service::Hearings, sight::Sight, sitting::Sitting,
    streaming::forget_idle, token::check_token,
};
use crate::{
    domain::{
        change::EntrySeq,
        id::{ChannelId, HearingId},
    },
    record::{
        entry::Entry,
        export::{Format, transcript::Transcript},
        ledger::{self, ChannelLedger, Extent},
        store::{HearingSummary, RecordStore},
    },
};

/// Entries read at a time when a whole record is.
const PAGE: usize = 1_000;

impl Hearings {
    /// Follows the record from a position on.
    ///
    /// # Errors
    /// What the record says of a hearing that is not known.
    pub async fn follow(&self, hearing: HearingId, after: EntrySeq) -> Result<Follower, HearingError> {
        // Subscribed before the look, so that a closing between them is not missed.
        let follower = Follower::new(Arc::clone(&self.parts.store), hearing, after);
        let summary = self.parts.store.hearing(hearing).await?;
        let over = summary.closed_at.is_some() && after >= summary.last;
        Ok(if over { follower.at_the_end() } else { follower })
    }

    /// Listens to what is said while a hearing goes on.
    #[must_use]
    pub fn listen(&self, hearing: HearingId) -> broadcast::Receiver<LiveEvent> {
        let mut live = self.live();
        forget_idle(&mut live);
        live.entry(hearing).or_default().events.subscribe()
    }

    /// A page of the record.
    ///
    /// # Errors
    /// What the record says.
    pub async fn read(
        &self,
        hearing: HearingId,
        after: EntrySeq,
        limit: usize,
    ) -> Result<(HearingSummary, Vec<Entry>), HearingError> {
        let summary = self.parts.store.hearing(hearing).await?;
        let entries = self.parts.store.entries(hearing, after, limit).await?;
        Ok((summary, entries))
    }

    /// Every hearing, in the order in which they were opened.
    ///
    /// # Errors
    /// What the record says.
    pub async fn list(&self) -> Result<Vec<HearingSummary>, HearingError> {
        Ok(self.parts.store.hearings().await?)
    }

    /// The record of a hearing as a document.
    ///
    /// # Errors
    /// What the record says.
    pub async fn export(&self, hearing: HearingId, format: Format, sight: &Sight) -> Result<String, HearingError> {
        let extents = self.extents(hearing);
        let entries = all_entries(self.parts.store.as_ref(), hearing).await?;
        let mut transcript = Transcript::from_entries(hearing, &entries)?;
        if !extents.is_empty() {
            transcript.ledger = ledger::keep(&transcript.channels, &entries, &extents);
        }
        Ok(format.write(&if sight.is_whole() { transcript } else { transcript.open_parts() })?)
    }

    /// What a reader may see: with the hearing's token everything.
    ///
    /// # Errors
    /// [`HearingError::Token`] for a wrong one, and what the record says.
    pub async fn sight(&self, hearing: HearingId, token: &str) -> Result<Sight, HearingError> {
        if token.is_empty() {
            return Ok(Sight::open(&self.parts.store.entries_named(hearing, "interval_began").await?));
        }
        check_token(hearing, &self.parts.store.entries(hearing, EntrySeq::START, 1).await?, token)?;
        Ok(Sight::whole())
    }

    /// What became of every sample of a hearing, and the last entry of its record that went in.
    ///
    /// # Errors
    /// What the record says.
    pub async fn ledger(&self, hearing: HearingId) -> Result<(Vec<ChannelLedger>, EntrySeq), HearingError> {
        // Looked at first: what is settled then is in the record that is read after.
        let extents = self.extents(hearing);
        let summary = self.parts.store.hearing(hearing).await?;
        let entries = all_entries(self.parts.store.as_ref(), hearing).await?;
        let through = entries.last().map_or(EntrySeq::START, |entry| entry.seq);
        Ok((ledger::keep(&summary.channels, &entries, &extents), through))
    }

    /// How far the channels of a hearing are; nothing of one that is not in session.
    fn extents(&self, hearing: HearingId) -> HashMap<ChannelId, Extent> {
        let sitting = self.live().get(&hearing).map(|live| Arc::clone(&live.sitting));
        sitting.as_deref().and_then(OnceCell::get).map(Sitting::extents).unwrap_or_default()
    }
}

/// Every entry of a hearing.
pub(super) async fn all_entries(store: &dyn RecordStore, hearing: HearingId) -> Result<Vec<Entry>, HearingError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(EntrySeq::START, |e| e.seq);
        let page = store.entries(hearing, after, PAGE).await?;
        let last = page.len() < PAGE;
        entries.extend(page);
        if last {
            return Ok(entries);
        }
    }
}
