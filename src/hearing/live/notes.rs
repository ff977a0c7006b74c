//! What is noticed while audio comes in goes into the record on a task of its own, so that taking audio never waits for it.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{
    parts::{Ending, ended},
    patience,
};
use crate::{
    domain::{change::Change, id::HearingId},
    hearing::{HearingError, service::Parts, world::World},
    record::store::RecordStore,
    telemetry::{Metrics, Queue},
};

/// Notes of one hearing that wait for the record. Sixteen channels bring a few a minute; so many are hours of them.
const NOTES: usize = 1_024;

/// Where notes are handed in.
#[derive(Clone, Debug)]
pub(in crate::hearing) struct Notes {
    pub(super) hearing: HearingId,
    pub(super) metrics: Arc<Metrics>,
    sender: mpsc::Sender<Change>,
}

impl Notes {
    /// Hands a note in and does not wait. One that finds no room is lost, which is logged: the record has not taken anything
    /// for hours then.
    pub(super) fn hand_in(&self, change: Change) {
        if let Err(error) = self.sender.try_send(change) {
            self.metrics.queue_rejected(Queue::RecordWrites);
            let change = match error {
                mpsc::error::TrySendError::Full(change) | mpsc::error::TrySendError::Closed(change) => change,
            };
            tracing::error!(hearing.id = %self.hearing, change = change.name(), "a note for the record is lost: the record takes none");
        }
    }
}

/// The task that puts notes into the record.
pub(in crate::hearing) struct Taking {
    hearing: HearingId,
    store: Arc<dyn RecordStore>,
    world: Arc<dyn World>,
    ending: watch::Receiver<Ending>,
    receiver: mpsc::Receiver<Change>,
}

/// Both sides for one sitting, until it ends.
pub(in crate::hearing) fn notes(parts: &Parts, hearing: HearingId, ending: watch::Receiver<Ending>) -> (Notes, Taking) {
    let (sender, receiver) = mpsc::channel(NOTES);
    let (store, world) = (Arc::clone(&parts.store), Arc::clone(&parts.world));
    let notes = Notes { hearing, metrics: Arc::clone(&parts.metrics), sender };
    (notes, Taking { hearing, store, world, ending, receiver })
}

impl Taking {
    /// Puts notes into the record until the sitting is to end and none is left.
    ///
    /// If the future is dropped, the notes that wait are lost: nothing depends on them.
    ///
    /// # Errors
    /// None: a note that the record refuses is logged and left.
    pub(in crate::hearing) async fn run(mut self) -> Result<(), HearingError> {
        loop {
            let note = tokio::select! {
                biased;
                note = self.receiver.recv() => note,
                () = ended(&mut self.ending, |how| *how != Ending::No) => None,
            };
            let Some(change) = note else { return Ok(()) };
            self.append(change).await;
        }
    }

    async fn append(&self, change: Change) {
        let name = change.name();
        if let Err(error) = patience::append(&*self.store, &*self.world, self.hearing, "watch", change).await {
            tracing::error!(hearing.id = %self.hearing, %error, change = name, "the record refuses a note");
        }
    }
}
