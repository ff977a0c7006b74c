//! How long one has to wait after tries that failed. Longer each time and never for good: whoever could lock a judge out for good would
//! only need the name.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::AccessError;

/// So many tries need no pause: people mistype.
const FREE: u32 = 5;
/// The longest pause. With it, less than 110 tries a day are left, of which a code of six digits is guessed with less than 0.04 %.
const LONGEST: Duration = Duration::from_secs(900);
/// After so long, what failed before is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3_600);

/// Tries that failed, of one account, one login that nobody has, or one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    count: u32,
    last: Option<Timestamp>,
}

impl Failures {
    /// None.
    pub const NONE: Self = Self { count: 0, last: None };

    /// Lets a try happen, counted as failed already: what this gives is stored before anything is looked at, or many tries at once
    /// would each be the first. A try that does not fail sets it back to [`Failures::NONE`].
    ///
    /// # Errors
    /// [`AccessError::TooManyTries`] with how long to wait.
    pub fn admit(self, now: Timestamp) -> Result<Self, AccessError> {
        let retry_after = self.pause(now);
        if !retry_after.is_zero() {
            return Err(AccessError::TooManyTries { retry_after });
        }
        let before = if self.elapsed(now).is_none_or(|elapsed| elapsed >= FORGOTTEN) { 0 } else { self.count };
        Ok(Self { count: before.saturating_add(1), last: Some(now) })
    }

    /// How long to wait from now on: a second after the fifth try, then twice as long each time, up to a quarter of an hour.
    #[must_use]
    pub fn pause(self, now: Timestamp) -> Duration {
        let Some(elapsed) = self.elapsed(now) else {
            return Duration::ZERO;
        };
        let doublings = self.count.saturating_sub(FREE);
        let pause = if self.count < FREE { Duration::ZERO } else { Duration::from_secs(1 << doublings.min(10)) };
        pause.min(LONGEST).saturating_sub(elapsed)
    }

    /// Either way: a clock that was set back must not make a pause last.
    fn elapsed(self, now: Timestamp) -> Option<Duration> {
        self.last.map(|last| now.duration_since(last).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::sample::at;

    /// Tries so often in a row, each as soon as it may, from second 0 on; when the next one may be.
    fn after(tries: u32) -> (Failures, i64) {
        let (mut failures, mut now) = (Failures::NONE, 0);
        for _ in 0..tries {
            failures = failures.admit(at(now)).unwrap();
            now += i64::try_from(failures.pause(at(now)).as_secs()).unwrap();
        }
        (failures, now)
    }

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        let pauses: Vec<i64> = (1..18).map(|tries| after(tries).1 - after(tries - 1).1).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }

    #[test]
    fn a_day_has_room_for_few_guesses() {
        let day = 24 * 3_600;
        let tries = (1..).find(|tries| after(*tries).1 > day).unwrap();
        assert!(tries < 110, "{tries}");
    }

    #[test]
    fn a_try_within_the_pause_is_refused_with_what_is_left_of_it() {
        let (failures, _) = after(5);
        let refused = |millis: i64| failures.admit(at(0) + jiff::SignedDuration::from_millis(millis));
        let retry_after = Duration::from_millis(600);
        assert_eq!(refused(400), Err(AccessError::TooManyTries { retry_after }));
        assert!(refused(1_000).is_ok());
    }

    #[test]
    fn what_failed_is_forgotten_after_a_day_and_no_clock_locks_for_good() {
        let (failures, end) = after(16);
        let next = failures.admit(at(end)).unwrap();
        assert_eq!(next.count, 17);
        let later = next.admit(at(end + 24 * 3_600)).unwrap();
        assert_eq!(later, Failures { count: 1, last: Some(at(end + 24 * 3_600)) });
        assert!(next.admit(at(end - 1_000)).is_ok(), "the clock was set back");
        assert!(Failures { count: u32::MAX, last: Some(at(0)) }.admit(at(900)).is_ok());
    }

    proptest! {
        #[test]
        fn more_failures_never_make_a_pause_shorter(count in 0_u32..100, seconds in 0_i64..2_000) {
            let pause = |count| Failures { count, last: Some(at(0)) }.pause(at(seconds));
            prop_assert!(pause(count) <= pause(count + 1));
            prop_assert!(pause(count) <= LONGEST);
        }
    }
}
