//! How the parts of a running server do, looked at again and again: what failed makes it not ready, and what works again makes
//! it ready.

use std::{io::Write, path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    api::readiness::{Part, PartState, Readiness},
    domain::id::HearingId,
    hearing::{room::RoomStep, service::Hearings},
    record::store::{RecordError, RecordStore},
};

/// How often is looked.
const LOOK: Duration = Duration::from_secs(2);
/// Looks in a row at which no process of the engine lives, until it counts as failed: one that is replaced takes a moment.
const ENGINE_LOOKS: u32 = 3;

/// Whether the engine could decode now.
pub(super) type Alive = Arc<dyn Fn() -> bool + Send + Sync>;

/// What is looked at.
pub(super) struct Health {
    pub(super) readiness: Arc<Readiness>,
    pub(super) hearings: Arc<Hearings>,
    pub(super) store: Arc<dyn RecordStore>,
    pub(super) data: PathBuf,
    pub(super) alive: Alive,
}

impl Health {
    /// Looks until `stop`.
    pub(super) async fn mind(self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut dead = 0;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => return,
            }
            let (room, written) = self.disk().await;
            self.readiness.set(Part::Disk, room);
            self.readiness.set(Part::Journal, written);
            self.readiness.set(Part::Record, self.record().await);
            dead = if (self.alive)() { 0 } else { dead + 1 };
            let engine = match dead {
                0..ENGINE_LOOKS => PartState::Ready,
                _ => failed("no process of the engine can be started: the log says why; audio is recorded"),
            };
            self.readiness.set(Part::Engine, engine);
        }
    }

    /// The room, and whether something can be put on the disk.
    async fn disk(&self) -> (PartState, PartState) {
        let (hearings, data) = (Arc::clone(&self.hearings), self.data.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let room = match hearings.look_at_the_disk() {
                Ok((_, RoomStep::Ample | RoomStep::Scarce)) => PartState::Ready,
                Ok((room, RoomStep::Short)) => PartState::Degraded {
                    reason: format!(
                        "{} MiB are free, less than data.reserve_mib: no hearing is opened",
                        room.free >> 20
                    ),
                },
                Err(error) => failed(&error.to_string()),
            };
            // A nameless file: gone with this process, whatever happens to it.
            let written = tempfile::tempfile_in(&data)
                .and_then(|mut file| file.write_all(&[0; 4_096]).and_then(|()| file.sync_all()));
            let written = written.map_or_else(
                |error| failed(&format!("nothing can be written to the data folder: {error}")),
                |()| PartState::Ready,
            );
            (room, written)
        });
        looked.await.unwrap_or_else(|_panicked| (PartState::Ready, failed("looking at the disk failed")))
    }

    /// Whether the record answers.
    async fn record(&self) -> PartState {
        match self.store.hearing(HearingId::new(uuid::Uuid::nil())).await {
            Ok(_) | Err(RecordError::HearingUnknown { .. }) => PartState::Ready,
            Err(error) => failed(&format!("the record does not answer: {error}")),
        }
    }
}

fn failed(reason: &str) -> PartState {
    PartState::Failed { reason: reason.to_owned() }
}
