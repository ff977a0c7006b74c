//! What is ordered of a hearing besides its audio: how parts of it are treated; and the steps of the load, which come of themselves.

use std::{collections::VecDeque, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    HearingError,
    live::patience::passes,
    load::{LOOK, Ladder},
    orders::{Placed, Request},
    service::{Hearings, append, finished},
    sitting::Sitting,
};
use crate::domain::{
    actor::{Actor, ActorKind, Purpose},
    change::Change,
    fault::Fault,
    id::HearingId,
    load::LoadStep,
};

/// Steps of the load that the record could not take yet. When so many wait, the oldest are given up, which is logged.
const UNTOLD: usize = 1_024;

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
        let sitting = sitting.get_or_try_init(|| Sitting::begin(&self.parts, &self.load, hearing, events)).await?;
        let placed = sitting.order(&self.parts, request, by).await?;
        tracing::info!(hearing.id = %hearing, class = ?request.class, intervals = placed.changes.len(), "an order about what is recorded holds");
        Ok(placed)
    }

    /// Looks at the load until `stop`, takes the steps that follow, and writes them into the records of the hearings that
    /// they are felt in.
    pub async fn mind_the_load(self: Arc<Self>, stop: CancellationToken) {
        let (mut ladder, mut untold) = (Ladder::default(), VecDeque::new());
        let began = tokio::time::Instant::now();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => return,
            }
            let lateness = self.load.lateness(tokio::time::Instant::now());
            if let Some(step) = ladder.observe(began.elapsed(), lateness) {
                self.load.set(step);
                self.parts.metrics.load_step(step);
                let lateness_ms = u64::try_from(lateness.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(step = step.number(), lateness_ms, "the load moved the service to another step");
                let stepped = Change::LoadStepped { step, lateness_ms };
                untold.extend(self.listened_to().into_iter().map(|hearing| (hearing, stepped.clone())));
            }
            self.tell_of_steps(&mut untold).await;
        }
    }

    /// Writes steps into the records, in their order. Where the record cannot take one now, the rest is left for the next look.
    async fn tell_of_steps(&self, untold: &mut VecDeque<(HearingId, Change)>) {
        let by = Actor { kind: ActorKind::Service, id: "load".to_owned() };
        while let Some((hearing, stepped)) = untold.front() {
            match append(&self.parts, *hearing, stepped.clone(), &by, Purpose::Collection).await {
                Err(error) if passes(error.kind()) && untold.len() <= UNTOLD => {
                    tracing::warn!(hearing.id = %hearing, %error, "a step of the load cannot be recorded now; trying again");
                    return;
                }
                Err(error) => {
                    tracing::error!(hearing.id = %hearing, %error, "a step of the load is not in the record");
                }
                Ok(_seq) => {}
            }
            untold.pop_front();
        }
    }

    /// The hearings in session of which text is made.
    fn listened_to(&self) -> Vec<HearingId> {
        let live = self.live();
        live.iter().filter(|(_, l)| l.sitting.get().is_some_and(Sitting::listens)).map(|(id, _)| *id).collect()
    }

    /// On which step of the ladder the service is.
    #[must_use]
    pub fn load_step(&self) -> LoadStep {
        *self.load.step().borrow()
    }
}
