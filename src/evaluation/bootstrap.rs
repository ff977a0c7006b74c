//! How far a difference between two systems can be trusted, by drawing the items again and again.
//!
//! Paired: each draw takes an item with the errors of both systems, so that hard items are hard for both. Bisani and Ney,
//! "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004. Items of one speaker are
//! not independent (Liu and Peng, arXiv 1912.09508), so with few speakers the interval is too narrow: read it as the
//! least doubt there is.

/// Below this number of items no interval is given.
pub const FEWEST_ITEMS: usize = 5;
/// Below this number of draws a bound at 2.5 % would be the most extreme draw.
pub const FEWEST_DRAWS: usize = 40;

/// One item: its reference units, and the errors of both systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Units of the reference.
    pub reference: usize,
    /// Errors of the system in question.
    pub errors: usize,
    /// Errors of the one it is compared with.
    pub baseline_errors: usize,
}

/// A difference of error rates in percentage points, negative where the system in question errs less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// As measured.
    pub points: f64,
    /// The 2.5 % and the 97.5 % point of the draws; `None` for too few items or draws.
    pub interval: Option<(f64, f64)>,
    /// Items it rests on.
    pub items: usize,
}

/// The difference of two systems over the same items; `None` where the references are empty.
///
/// Equal input and seed give equal output on every machine. Time is the product of items and draws.
///
/// ```
/// use vivavoce::evaluation::bootstrap::{Pair, difference};
/// let items = [Pair { reference: 10, errors: 1, baseline_errors: 2 }; 5];
/// let found = difference(&items, 100, 1).unwrap();
/// assert_eq!((found.points, found.interval), (-10.0, Some((-10.0, -10.0))));
/// ```
#[must_use]
pub fn difference(items: &[Pair], draws: usize, seed: u64) -> Option<Difference> {
    let points = points(items.iter())?;
    let enough = items.len() >= FEWEST_ITEMS && draws >= FEWEST_DRAWS;
    let interval = enough.then(|| interval(items, draws, seed)).flatten();
    Some(Difference { points, interval, items: items.len() })
}

fn points<'a>(items: impl Iterator<Item = &'a Pair>) -> Option<f64> {
    let (errors, baseline, reference) = items.fold((0, 0, 0), |(errors, baseline, reference), item| {
        (errors + item.errors, baseline + item.baseline_errors, reference + item.reference)
    });
    (reference > 0).then(|| 100.0 * (errors as f64 - baseline as f64) / reference as f64)
}

fn interval(items: &[Pair], draws: usize, seed: u64) -> Option<(f64, f64)> {
    let mut random = SplitMix(seed);
    let mut found: Vec<f64> =
        (0..draws).filter_map(|_| points((0..items.len()).map(|_| &items[random.below(items.len())]))).collect();
    found.sort_by(f64::total_cmp);
    let outside = found.len() / FEWEST_DRAWS;
    Some((*found.get(outside)?, *found.get(found.len() - 1 - outside)?))
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014: the constants are theirs.
/// A few lines that never change are worth more here than a crate: a published figure must come out again.
pub(super) struct SplitMix(pub(super) u64);

impl SplitMix {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the bias of the remainder is under 2⁻⁴⁰ for any number of items that fits into memory.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let drawn = self.next() % (bound as u64);
        usize::try_from(drawn).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(reference: usize, errors: usize, baseline_errors: usize) -> Pair {
        Pair { reference, errors, baseline_errors }
    }

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut random = SplitMix(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn the_interval_holds_the_measured_difference_and_repeats() {
        let items: Vec<Pair> = (0..60).map(|i| pair(10, i % 4, (i * 7) % 5)).collect();
        let found = difference(&items, 2000, 1).unwrap();
        let (low, high) = found.interval.unwrap();
        assert!(low < found.points && found.points < high && high - low < 15.0, "{found:?}");
        assert_eq!(difference(&items, 2000, 1), Some(found));
        assert_ne!(difference(&items, 2000, 2), Some(found));
    }

    #[test]
    fn few_items_give_no_interval_and_no_words_give_nothing() {
        let few = difference(&[pair(10, 1, 3); 4], 2000, 1).unwrap();
        assert_eq!((few.points, few.interval, few.items), (-20.0, None, 4));
        assert_eq!(difference(&[pair(10, 1, 3); 9], 10, 1).unwrap().interval, None);
        assert_eq!(difference(&[pair(0, 1, 3); 9], 2000, 1), None);
    }
}
