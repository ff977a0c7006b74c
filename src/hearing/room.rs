//! The room on the disk. Below a reserve no hearing is opened, so that those that run have the rest of it.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{HearingError, service::Hearings};
use crate::{
    record::media::{
        MediaError,
        service::{AudioJournal, Room},
    },
    telemetry::{Metrics, Refusal},
};

/// Reads how much room there is.
pub type RoomReader = Box<dyn Fn(&AudioJournal) -> Result<Room, MediaError> + Send + Sync>;

/// How much room there is, held against the reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomStep {
    /// Twice the reserve, or more.
    #[default]
    Ample,
    /// Less than twice the reserve: whoever minds the machine is told.
    Scarce,
    /// Less than the reserve: no hearing is opened any more.
    Short,
}

/// The room on the disk of the journals, and the reserve.
pub struct DiskRoom {
    read: RoomReader,
    reserve: u64,
    step: Mutex<RoomStep>,
}

impl fmt::Debug for DiskRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskRoom").field("reserve", &self.reserve).finish_non_exhaustive()
    }
}

impl Default for DiskRoom {
    /// Without a reserve.
    fn default() -> Self {
        Self::new(0, Box::new(AudioJournal::room))
    }
}

impl DiskRoom {
    /// Keeps `reserve` bytes for the hearings that run. `read` is [`AudioJournal::room`], but for tests.
    #[must_use]
    pub fn new(reserve: u64, read: RoomReader) -> Self {
        Self { read, reserve, step: Mutex::default() }
    }

    /// Looks how much room there is; what changed is logged once.
    fn look(&self, journal: &AudioJournal, metrics: &Metrics) -> Result<(Room, RoomStep), MediaError> {
        let room = (self.read)(journal)?;
        metrics.disk_free(room.free);
        let step = match room.free {
            free if free < self.reserve => RoomStep::Short,
            free if free < self.reserve.saturating_mul(2) => RoomStep::Scarce,
            _ => RoomStep::Ample,
        };
        let before = std::mem::replace(&mut *self.step.lock().unwrap_or_else(PoisonError::into_inner), step);
        let (free_mib, reserve_mib) = (room.free >> 20, self.reserve >> 20);
        match step {
            _ if step == before => {}
            RoomStep::Ample => tracing::info!(free_mib, reserve_mib, "there is room on the disk again"),
            RoomStep::Scarce => {
                tracing::warn!(
                    free_mib,
                    reserve_mib,
                    "the disk fills: below data.reserve_mib no hearing is opened; free some"
                );
            }
            RoomStep::Short => tracing::error!(
                free_mib,
                reserve_mib,
                "the disk is nearly full: no hearing is opened, those that run go on; free some"
            ),
        }
        Ok((room, step))
    }
}

impl Hearings {
    /// The same service with a reserve on its disk.
    #[must_use]
    pub fn keeping(mut self, room: DiskRoom) -> Self {
        self.room = room;
        self
    }

    /// Looks how much room there is on the disk. Also tells the metrics, and the log where it crossed the reserve or twice
    /// the reserve since it was last looked.
    ///
    /// # Errors
    /// What the system said.
    pub fn look_at_the_disk(&self) -> Result<(Room, RoomStep), HearingError> {
        Ok(self.room.look(&self.parts.journal, &self.parts.metrics)?)
    }

    /// Whether the disk has room for another hearing. Where that cannot be known, the journal finds out.
    pub(super) fn has_room(&self) -> Result<(), HearingError> {
        match self.room.look(&self.parts.journal, &self.parts.metrics) {
            Ok((room, RoomStep::Short)) => {
                self.parts.metrics.stream_refused(Refusal::Disk);
                Err(HearingError::NoRoom { free: room.free, reserve: self.room.reserve })
            }
            Ok((_, RoomStep::Ample | RoomStep::Scarce)) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the room on the disk is not known");
                Ok(())
            }
        }
    }
}
