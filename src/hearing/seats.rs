//! How many channels are listened to while people speak, held against what the machine carries (`server.live_channels`, which
//! `vivavoce tune` measures).
//!
//! A hearing has its seats from when it is opened; without a stream it keeps them for a while, as in a recess. Who streams
//! into an open hearing is never sent away: its audio comes first, and the ladder does the rest.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::id::HearingId;

/// How long seats are kept without a stream.
const KEPT: Duration = Duration::from_secs(120);

/// The channels of live hearings.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats {
    /// The most; `None` for no limit.
    limit: Option<usize>,
    taken: Arc<Mutex<HashMap<HearingId, Taken>>>,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    channels: usize,
    streams: usize,
    /// Since when no stream runs.
    since: Instant,
}

impl Taken {
    fn counts(&self, now: Instant) -> bool {
        self.streams > 0 || now.saturating_duration_since(self.since) < KEPT
    }
}

/// There are not enough seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    /// Seats taken.
    pub(super) taken: usize,
    /// All there are.
    pub(super) limit: usize,
}

impl Seats {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self { limit, taken: Arc::default() }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<HearingId, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes seats for a hearing that is being opened.
    pub(super) fn take(&self, hearing: HearingId, channels: usize, now: Instant) -> Result<(), Short> {
        let mut all = self.all();
        all.retain(|_, taken| taken.counts(now));
        let taken = all.values().map(|t| t.channels).sum::<usize>();
        match self.limit {
            Some(limit) if taken + channels > limit => Err(Short { taken, limit }),
            Some(_) | None => {
                all.insert(hearing, Taken { channels, streams: 0, since: now });
                Ok(())
            }
        }
    }

    /// Somebody streams into a hearing: it has its seats as long as this is held, and a while after.
    pub(super) fn sit(&self, hearing: HearingId, channels: usize) -> Seated {
        let mut all = self.all();
        let taken = all.entry(hearing).or_insert(Taken { channels, streams: 0, since: Instant::now() });
        taken.streams += 1;
        Seated { seats: self.clone(), hearing }
    }

    /// A hearing is closed, or was never opened.
    pub(super) fn leave(&self, hearing: HearingId) {
        self.all().remove(&hearing);
    }
}

/// Held by the stream of a hearing that has seats.
pub(super) struct Seated {
    seats: Seats,
    hearing: HearingId,
}

impl Drop for Seated {
    fn drop(&mut self) {
        if let Some(taken) = self.seats.all().get_mut(&self.hearing) {
            taken.streams = taken.streams.saturating_sub(1);
            taken.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn hearing(n: u128) -> HearingId {
        HearingId::new(Uuid::from_u128(n))
    }

    #[test]
    fn seats_are_kept_over_a_break_and_free_when_a_hearing_is_closed_or_left() {
        let (seats, began) = (Seats::new(Some(4)), Instant::now());
        let take = |n, channels, after| seats.take(hearing(n), channels, began + after);
        assert_eq!(take(1, 5, KEPT), Err(Short { taken: 0, limit: 4 }));
        assert_eq!(take(1, 3, Duration::ZERO), Ok(()));
        assert_eq!(take(2, 2, Duration::ZERO), Err(Short { taken: 3, limit: 4 }));
        let stream = seats.sit(hearing(1), 3);
        assert_eq!(take(2, 2, KEPT * 9), Err(Short { taken: 3, limit: 4 }), "a stream runs");
        drop(stream);
        assert_eq!(take(2, 2, KEPT / 2), Err(Short { taken: 3, limit: 4 }), "it may come back");
        assert_eq!(take(2, 2, KEPT * 9), Ok(()));
        // It comes back all the same, and is let in.
        let late = seats.sit(hearing(1), 3);
        assert_eq!(take(3, 1, KEPT * 9), Err(Short { taken: 5, limit: 4 }));
        seats.leave(hearing(1));
        drop(late);
        assert_eq!(take(3, 2, KEPT * 9), Ok(()));
    }

    #[test]
    fn without_a_limit_there_is_room_for_all() {
        let seats = Seats::default();
        for n in 0..100 {
            assert_eq!(seats.take(hearing(n), 16, Instant::now()), Ok(()));
        }
    }
}
