//! How many decodes run side by side, and on how many threads each. The engine's threads spin while they wait for each other, so
//! that one thread more than there are cores costs far more than it brings: measured, a token took 60 times as long.

/// Decodes side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// How many; 1 at least.
    pub workers: usize,
    /// Threads of each; 1 at least.
    pub threads: usize,
}

impl Slots {
    /// As much of this as fits the `cores` of the machine: `workers * threads` never passes them.
    ///
    /// ```
    /// use vivavoce::speech::asr::pool::Slots;
    /// assert_eq!(Slots { workers: 8, threads: 2 }.fitting(4), Slots { workers: 2, threads: 2 });
    /// assert_eq!(Slots { workers: 1, threads: 8 }.fitting(4), Slots { workers: 1, threads: 4 });
    /// ```
    #[must_use]
    pub fn fitting(self, cores: usize) -> Self {
        let threads = self.threads.clamp(1, cores.max(1));
        Self { workers: self.workers.clamp(1, (cores / threads).max(1)), threads }
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
                    let wanted = Slots { workers, threads };
                    let slots = wanted.fitting(cores);
                    assert!(slots.workers >= 1 && slots.threads >= 1 && slots.workers * slots.threads <= cores);
                    if workers >= 1 && threads >= 1 && workers * threads <= cores {
                        assert_eq!(slots, wanted);
                    }
                }
            }
        }
    }
}
