//! How long a recorder waits before it tries again.

use std::time::Duration;

/// The first wait, about.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait, about: after a cut of any length the hearing goes on this soon.
const LONGEST: Duration = Duration::from_secs(15);

/// Doubles the wait with each try. The recorders of a house lose their server at the same moment and are not to come back
/// at the same moment, so chance takes up to half of each wait away.
///
/// ```
/// use vivavoce::api::recorder::backoff::Backoff;
/// let mut backoff = Backoff::default();
/// assert_eq!(backoff.next(0).as_millis(), 250);
/// assert_eq!(backoff.next(0).as_millis(), 500);
/// assert_eq!(backoff.next(u64::MAX).as_millis(), 500);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait; `chance` is any number, drawn evenly.
    pub fn next(&mut self, chance: u64) -> Duration {
        let whole = FIRST.saturating_mul(2_u32.saturating_pow(self.tries)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        let part = u32::try_from(chance >> 33).unwrap_or(u32::MAX);
        // Of 2^32: below a half.
        let nanos = (u128::from(part) * whole.as_nanos()) >> 32;
        whole - Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }

    /// It went well: the next wait is a short one again.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_chance_takes_half_at_most() {
        for chance in [0, 1 << 40, u64::MAX / 2, u64::MAX] {
            let mut backoff = Backoff::default();
            for _ in 0..200 {
                let wait = backoff.next(chance);
                assert!(wait >= FIRST / 2 && wait <= LONGEST, "{wait:?}");
            }
            let wait = backoff.next(chance);
            assert!(wait >= LONGEST / 2);
        }
    }
}
