//! How often a channel asks for text that is only shown: as often as is set, or less where decodes take longer.

use std::time::Duration;

/// A channel asks again after this many times what the last answer took: the rest is for the others, and for finals.
const ROOM: f64 = 1.3;

/// The step between the partials of one channel. Pure: how long an answer took comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// As set.
    least: Duration,
    /// From asking to the answer, waiting included.
    took: Duration,
}

impl Pace {
    /// One of a channel that has asked for nothing yet.
    ///
    /// ```
    /// use std::time::Duration;
    /// use vivavoce::speech::stream::pace::Pace;
    /// let mut pace = Pace::new(Duration::from_secs(1));
    /// pace.answered(Duration::from_millis(2_000));
    /// assert_eq!(pace.step(), Duration::from_millis(2_600));
    /// pace.answered(Duration::from_millis(300));
    /// assert_eq!(pace.step(), Duration::from_secs(1));
    /// ```
    #[must_use]
    pub const fn new(least: Duration) -> Self {
        Self { least, took: Duration::ZERO }
    }

    /// An answer came.
    pub const fn answered(&mut self, took: Duration) {
        self.took = took;
    }

    /// None came for so long: it would have taken longer.
    pub fn given_up(&mut self, after: Duration) {
        self.took = self.took.max(after);
    }

    /// From asking to asking again.
    #[must_use]
    pub fn step(&self) -> Duration {
        self.least.max(self.took.mul_f64(ROOM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stretches_with_what_answers_take_and_comes_back_with_the_next_quick_one() {
        let ms = Duration::from_millis;
        let mut pace = Pace::new(ms(1_000));
        assert_eq!(pace.step(), ms(1_000));
        pace.answered(ms(700));
        assert_eq!(pace.step(), ms(1_000));
        pace.answered(ms(4_000));
        assert_eq!(pace.step(), ms(5_200));
        pace.given_up(ms(100));
        assert_eq!(pace.step(), ms(5_200), "that nobody waited for it says nothing of how long it takes");
        pace.given_up(ms(8_000));
        assert_eq!(pace.step(), ms(10_400));
        pace.answered(ms(10));
        assert_eq!(pace.step(), ms(1_000));
    }
}
