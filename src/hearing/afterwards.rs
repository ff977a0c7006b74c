//! What is done with a hearing after it was closed: text is made of it after all, and what was said can still be sealed or
//! destroyed. The journals have one user at a time, so there is a desk for each hearing with a queue before it; the making of
//! text stands up for whoever has an order, and goes on behind them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::{
    sync::{OwnedMutexGuard, watch},
    task::JoinSet,
};

use super::{
    HearingError,
    orders::{Placed, Request},
    service::{Hearings, append, finished},
    sitting::Sitting,
};
use crate::{
    domain::{
        actor::{Actor, ActorKind, Purpose},
        change::{Change, Recognition},
        id::HearingId,
    },
    record::store::HearingSummary,
};

/// The desks of closed hearings at which something is done.
#[derive(Debug, Default)]
pub(super) struct Desks {
    open: Mutex<HashMap<HearingId, Weak<Desk>>>,
    /// Nothing more is begun.
    left: watch::Sender<bool>,
}

#[derive(Debug)]
struct Desk {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How many have an order.
    orders: watch::Sender<usize>,
    /// Text is being made of the hearing, or will be as soon as it is its turn.
    listening: watch::Sender<bool>,
    /// It is being heard once more.
    repassed: watch::Sender<bool>,
    left: watch::Receiver<bool>,
}

impl Desks {
    fn of(&self, hearing: HearingId) -> Arc<Desk> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(desk) = open.get(&hearing).and_then(Weak::upgrade) {
            return desk;
        }
        open.retain(|_, desk| desk.strong_count() > 0);
        let desk = Arc::new(Desk {
            turn: Arc::default(),
            orders: watch::Sender::default(),
            listening: watch::Sender::default(),
            repassed: watch::Sender::default(),
            left: self.left.subscribe(),
        });
        open.insert(hearing, Arc::downgrade(&desk));
        desk
    }

    /// Lets no work begin any more; gives when what was under way has stopped. Text that is missing is made after the next start.
    pub(super) fn leave(&self) -> impl Future<Output = ()> + use<> {
        self.left.send_replace(true);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let desks: Vec<_> = open.values().filter_map(Weak::upgrade).collect();
        async move {
            let left = desks.into_iter().map(|desk| async move { drop(desk.turn().await) });
            left.collect::<JoinSet<()>>().join_all().await;
        }
    }
}

impl Desk {
    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Waits for its turn with an order, before which the making of text makes way.
    async fn with_order(&self) -> (OwnedMutexGuard<()>, Wanted<'_>) {
        self.orders.send_modify(|orders| *orders += 1);
        let wanted = Wanted(self);
        (self.turn().await, wanted)
    }

    /// Waits until somebody has an order, or the service stops.
    async fn is_wanted(&self) {
        let (mut orders, mut left) = (self.orders.subscribe(), self.left.clone());
        tokio::select! {
            // Neither sender can be gone: one is here, the other goes with the service.
            _ = orders.wait_for(|orders| *orders > 0) => {}
            _ = left.wait_for(|left| *left) => {}
        }
    }
}

/// The place of a re-pass at its desk, which has one of them at a time.
pub(super) struct RePassing(Arc<Desk>);

impl RePassing {
    /// Waits for its turn, behind those who wait already; `None` where the service stops.
    pub(super) async fn next_turn(&self) -> Option<OwnedMutexGuard<()>> {
        let turn = self.0.turn().await;
        (!*self.0.left.borrow()).then_some(turn)
    }

    /// Waits until it is to make way.
    pub(super) async fn is_wanted(&self) {
        self.0.is_wanted().await;
    }
}

impl Drop for RePassing {
    fn drop(&mut self) {
        self.0.repassed.send_replace(false);
    }
}

/// An order that waits, or is carried out.
struct Wanted<'a>(&'a Desk);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.orders.send_modify(|orders| *orders -= 1);
    }
}

impl Hearings {
    /// Makes the text of a hearing that was only recorded and is closed. It comes into the record as it is made; when this
    /// returns, it has begun. Where it failed, it may be asked for again.
    ///
    /// # Errors
    /// [`HearingError::NotRecordOnly`], also where text is being made or was; and what the record and the journal say.
    pub async fn recognize(self: &Arc<Self>, hearing: HearingId, by: Actor) -> Result<(), HearingError> {
        let this = Arc::clone(self);
        finished(async move { this.recognize_now(hearing, by).await }).await
    }

    async fn recognize_now(self: &Arc<Self>, hearing: HearingId, by: Actor) -> Result<(), HearingError> {
        let summary = self.parts.store.hearing(hearing).await?;
        if summary.recognition == Recognition::Live || summary.closed_at.is_none() {
            return Err(HearingError::NotRecordOnly { hearing });
        }
        let desk = self.desks.of(hearing);
        // Of two that ask at once one is first.
        if desk.listening.send_replace(true) {
            return Err(HearingError::NotRecordOnly { hearing });
        }
        let begun = self.begin_to_recognize(&desk, hearing, &by).await;
        desk.listening.send_replace(begun.is_ok());
        begun
    }

    async fn begin_to_recognize(
        self: &Arc<Self>,
        desk: &Arc<Desk>,
        hearing: HearingId,
        by: &Actor,
    ) -> Result<(), HearingError> {
        match self.times_recognized(hearing).await? {
            (0, _) => {
                append(&self.parts, hearing, Change::RecognitionBegan {}, by, Purpose::Collection).await?;
            }
            (begun, ended) if ended >= begun => return Err(HearingError::NotRecordOnly { hearing }),
            // It was begun and could not go on.
            _ => {}
        }
        self.listen_afterwards(Arc::clone(desk), hearing).await
    }

    /// A place for a re-pass of a closed hearing of which all text is made.
    pub(super) async fn begin_re_pass(&self, hearing: HearingId) -> Result<RePassing, HearingError> {
        let refused = |why| Err(HearingError::NoProposals { hearing, why });
        let summary = self.parts.store.hearing(hearing).await?;
        if summary.closed_at.is_none() {
            return refused("it is still open; close it first");
        }
        let desk = self.desks.of(hearing);
        if *desk.listening.borrow() {
            return refused("its text is being made; ask again when all is there");
        }
        if summary.recognition == Recognition::Later && self.times_recognized(hearing).await?.1 == 0 {
            return refused("it was only recorded; ask for its text first");
        }
        // Of two that ask at once one is first.
        if desk.repassed.send_replace(true) {
            return refused("a re-pass of it is under way");
        }
        Ok(RePassing(desk))
    }

    /// How often the making of text began, and ended.
    async fn times_recognized(&self, hearing: HearingId) -> Result<(usize, usize), HearingError> {
        let store = &self.parts.store;
        let begun = store.entries_named(hearing, Change::RecognitionBegan {}.name()).await?.len();
        Ok((begun, store.entries_named(hearing, Change::RecognitionEnded {}.name()).await?.len()))
    }

    /// After a start: goes on with the text of a hearing that was only recorded, if it was asked for and is not all there.
    pub(super) async fn take_up_closed(self: &Arc<Self>, summary: &HearingSummary) -> Result<(), HearingError> {
        if summary.recognition == Recognition::Live || summary.closed_at.is_none() {
            return Ok(());
        }
        let (begun, ended) = self.times_recognized(summary.id).await?;
        if begun <= ended {
            return Ok(());
        }
        let desk = self.desks.of(summary.id);
        desk.listening.send_replace(true);
        let begun = self.listen_afterwards(Arc::clone(&desk), summary.id).await;
        desk.listening.send_replace(begun.is_ok());
        begun
    }

    /// Listens to a closed hearing in the background, and ends when all of it has its text.
    async fn listen_afterwards(self: &Arc<Self>, desk: Arc<Desk>, hearing: HearingId) -> Result<(), HearingError> {
        // Whoever asks hears at once where it cannot be.
        let turn = desk.turn().await;
        let sitting = Sitting::of_closed(&self.parts, &self.load, hearing).await?;
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let heard = match this.hear_all(&desk, hearing, (turn, sitting)).await {
                Ok(true) => {
                    let by = Actor { kind: ActorKind::Service, id: "recognition".to_owned() };
                    append(&this.parts, hearing, Change::RecognitionEnded {}, &by, Purpose::Collection).await.map(drop)
                }
                // The service stops.
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            desk.listening.send_replace(false);
            match heard {
                Ok(()) => tracing::info!(hearing.id = %hearing, "listening to a hearing that was only recorded ended"),
                Err(error) => {
                    tracing::error!(hearing.id = %hearing, %error, "a hearing that was only recorded has not all its text; ask for it again, or restart the service");
                }
            }
        });
        Ok(())
    }

    /// Makes all text that is missing; stands up for orders. Gives whether all is there: it is not where the service stops.
    async fn hear_all(
        &self,
        desk: &Desk,
        hearing: HearingId,
        (mut turn, mut sitting): (OwnedMutexGuard<()>, Sitting),
    ) -> Result<bool, HearingError> {
        loop {
            tokio::select! {
                heard = sitting.hear_out(&self.parts) => return heard.map(|()| true),
                () = desk.is_wanted() => sitting.let_go(&self.parts).await,
            }
            drop(turn);
            // Behind those who wait already.
            turn = desk.turn().await;
            if *desk.left.borrow() {
                return Ok(false);
            }
            sitting = Sitting::of_closed(&self.parts, &self.load, hearing).await?;
        }
    }

    /// An order on a hearing that is closed: what was said can still be sealed or destroyed.
    pub(super) async fn order_afterwards(
        &self,
        hearing: HearingId,
        request: &Request,
        by: &Actor,
    ) -> Result<Placed, HearingError> {
        let desk = self.desks.of(hearing);
        let (_turn, _wanted) = desk.with_order().await;
        if *desk.left.borrow() {
            return Err(HearingError::Stopped { hearing });
        }
        let sitting = Sitting::of_closed(&self.parts, &self.load, hearing).await?;
        let placed = sitting.order(&self.parts, request, by).await;
        if *desk.listening.borrow() {
            // Who makes the text makes that of the utterances that were cut, too.
            sitting.let_go(&self.parts).await;
            return placed;
        }
        // What shared an utterance with destroyed samples gets its text anew.
        let heard = sitting.hear_out(&self.parts).await;
        let placed = placed?;
        heard?;
        Ok(placed)
    }
}
