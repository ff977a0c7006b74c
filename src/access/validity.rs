//! From when until when something holds.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// From when until when something holds. There is no "for ever": whoever means years writes them down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// It holds from here on,
    pub from: Timestamp,
    /// and not from here on any more.
    pub until: Timestamp,
}

impl Validity {
    /// From `from` on, for `length`.
    #[must_use]
    pub fn lasting(from: Timestamp, length: Duration) -> Self {
        Self { from, until: later(from, length) }
    }

    /// Whether it holds at `at`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use jiff::Timestamp;
    /// use vivavoce::access::validity::Validity;
    /// let hour = Validity::lasting(Timestamp::UNIX_EPOCH, Duration::from_secs(3_600));
    /// assert!(hour.holds(hour.from) && !hour.holds(hour.until));
    /// ```
    #[must_use]
    pub fn holds(self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// When both hold. Of two that never do, nothing is left: it holds at no time.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}

/// `length` after `at`, or the end of all time.
pub(super) fn later(at: Timestamp, length: Duration) -> Timestamp {
    at.checked_add(length).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn two_validities_hold_together_where_both_do() {
        let (early, late) = (Validity { from: at(0), until: at(10) }, Validity { from: at(5), until: at(20) });
        assert_eq!(early.and(late), Validity { from: at(5), until: at(10) });
        let never = early.and(Validity { from: at(10), until: at(20) });
        assert!((0..30).all(|s| !never.holds(at(s))));
    }

    #[test]
    fn time_does_not_overflow() {
        assert_eq!(later(at(0), Duration::MAX), Timestamp::MAX);
        assert_eq!(later(at(5), Duration::from_secs(4)), at(9));
    }
}
