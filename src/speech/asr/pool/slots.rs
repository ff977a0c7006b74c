//! How many decodes run side by side, and on how many threads each. The engine's threads wait for each other at every step, so
//! that one thread more than there are cores costs far more than it brings: measured, a token took 60 times as long.

/// Decodes side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// How many; 1 at least.
    pub workers: usize,
    /// Threads of each; 1 at least.
    pub threads: usize,
    /// Threads that one takes while nothing else is there to be decoded: those of idle workers. Others wait until they are given
    /// back, so that there are never more than `workers * threads`.
    pub most: usize,
}

/// More threads than this for one decode bring next to nothing: its matrices are small.
const MOST: usize = 4;

impl Default for Slots {
    fn default() -> Self {
        Self::of(1, 1)
    }
}

impl Slots {
    /// So many, each with its own threads and no others.
    #[must_use]
    pub const fn of(workers: usize, threads: usize) -> Self {
        Self { workers, threads, most: threads }
    }

    /// The same, where one takes the threads of those that are idle.
    #[must_use]
    pub fn lending(self) -> Self {
        Self { most: (self.workers * self.threads).min(MOST).max(self.threads), ..self }
    }

    /// All threads.
    pub(super) const fn total(self) -> usize {
        self.workers * self.threads
    }

    /// How many threads a decode takes, of which so many are taken already; `others` says whether more is there to be decoded.
    pub(super) fn share(self, taken: usize, others: bool) -> Option<usize> {
        let free = self.total().checked_sub(taken).filter(|free| *free >= self.threads)?;
        Some(if others { self.threads } else { free.min(self.most) })
    }

    /// As much of this as fits the `cores` of the machine: `workers * threads` never passes them.
    ///
    /// ```
    /// use vivavoce::speech::asr::pool::Slots;
    /// assert_eq!(Slots::of(8, 2).fitting(4), Slots::of(2, 2));
    /// assert_eq!(Slots::of(1, 8).fitting(4), Slots::of(1, 4));
    /// ```
    #[must_use]
    pub fn fitting(self, cores: usize) -> Self {
        let threads = self.threads.clamp(1, cores.max(1));
        Self::of(self.workers.clamp(1, (cores / threads).max(1)), threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_as_it_is_and_the_rest_never_oversubscribes() {
        for cores in 1..20 {
            for workers in 0..20 {
                for threads in 0..20 {
                    let wanted = Slots::of(workers, threads);
                    let slots = wanted.fitting(cores);
                    assert!(slots.workers >= 1 && slots.threads >= 1 && slots.workers * slots.threads <= cores);
                    if workers >= 1 && threads >= 1 && workers * threads <= cores {
                        assert_eq!(slots, wanted);
                    }
                }
            }
        }
    }

    #[test]
    fn idle_threads_are_lent_and_never_twice() {
        let slots = Slots::of(2, 1).lending();
        assert_eq!((slots.share(0, false), slots.share(0, true)), (Some(2), Some(1)));
        assert_eq!((slots.share(1, false), slots.share(2, false), slots.share(2, true)), (Some(1), None, None));
        let own = Slots::of(2, 1);
        assert_eq!((own.share(0, false), own.share(1, false), own.share(2, false)), (Some(1), Some(1), None));
        for workers in 1..20 {
            for threads in 1..5 {
                let slots = Slots::of(workers, threads).lending();
                for taken in 0..=slots.total() {
                    let share = slots.share(taken, false);
                    assert!(share.is_none_or(|share| share >= threads && taken + share <= slots.total()));
                    assert!(share.is_none_or(|share| share <= threads.max(MOST)));
                }
            }
        }
    }
}
