//! Orders about what is recorded, carried out on a hearing, in session or closed.

use std::sync::Arc;

use super::{
    HearingError,
    orders::{Placed, Request},
    service::{Hearings, finished},
    sitting::Sitting,
};
use crate::domain::{actor::Actor, id::HearingId};

impl Hearings {
    /// Carries out an order about what is recorded, exact to the sample. What is begun is done, also if the caller goes away
    /// meanwhile.
    ///
    /// # Errors
    /// [`HearingError::Order`], [`HearingError::NoSuchChannel`], [`HearingError::Closed`] where it would open something, or
    /// what the record and the journal say: then it holds from now on all the same, and what it forbids is destroyed later.
    pub async fn order(
        self: &Arc<Self>,
        hearing: HearingId,
        request: Request,
        by: Actor,
    ) -> Result<Placed, HearingError> {
        let this = Arc::clone(self);
        finished(async move { this.order_now(hearing, &request, &by).await }).await
    }

    async fn order_now(&self, hearing: HearingId, request: &Request, by: &Actor) -> Result<Placed, HearingError> {
        // Of a hearing that is not known nothing is kept.
        let summary = self.parts.store.hearing(hearing).await?;
        if summary.closed_at.is_some() {
            return self.order_afterwards(hearing, request, by).await;
        }
        let (sitting, events) = {
            let mut all = self.live();
            let live = all.entry(hearing).or_default();
            (Arc::clone(&live.sitting), live.events.clone())
        };
        if sitting.get().is_some_and(Sitting::is_broken) {
            self.renew(hearing, &sitting).await;
            return Err(HearingError::Stopped { hearing });
        }
        let sitting = sitting.get_or_try_init(|| Sitting::begin(&self.parts, hearing, events)).await?;
        let placed = sitting.order(&self.parts, request, by).await?;
        tracing::info!(hearing.id = %hearing, class = ?request.class, intervals = placed.changes.len(), "an order about what is recorded holds");
        Ok(placed)
    }

    /// On a hearing that is closed: what was said can still be sealed or destroyed.
    async fn order_afterwards(
        &self,
        hearing: HearingId,
        request: &Request,
        by: &Actor,
    ) -> Result<Placed, HearingError> {
        let sitting = Sitting::of_closed(&self.parts, hearing).await?;
        let placed = sitting.order(&self.parts, request, by).await;
        // What shared an utterance with destroyed samples gets its text anew.
        let heard = sitting.hear_out().await;
        let placed = placed?;
        heard?;
        Ok(placed)
    }
}
