//! What a server takes of its machine while it is listened to.

use super::spread::slope;

/// Over less than this no growth is told.
const SHORTEST_MS: u64 = 60_000;

/// A look at a server and its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// When, milliseconds.
    pub at_ms: u64,
    /// Processor time taken so far, milliseconds.
    pub worked_ms: u64,
    /// Resident memory, bytes; what processes share counts in each.
    pub resident: u64,
}

/// What the looks come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resources {
    /// Cores kept busy in the mean.
    pub cores: f64,
    /// Resident memory at the first look, bytes.
    pub first: u64,
    /// At the last.
    pub last: u64,
    /// The most that was seen.
    pub most: u64,
    /// How fast memory grows, bytes an hour, over the second half of the looks: by then models are loaded and buffers have
    /// their size. `None` where that half is shorter than a minute, which would tell nothing of an hour.
    pub growth_per_h: Option<f64>,
}

impl Resources {
    /// `None` for fewer than two looks.
    ///
    /// ```
    /// use vivavoce::evaluation::live::resources::{Look, Resources};
    /// let looks = [Look { at_ms: 0, worked_ms: 50, resident: 10 }, Look { at_ms: 1_000, worked_ms: 1_550, resident: 30 }];
    /// let found = Resources::of(&looks).unwrap();
    /// assert_eq!((found.cores, found.first, found.most), (1.5, 10, 30));
    /// ```
    #[must_use]
    pub fn of(looks: &[Look]) -> Option<Self> {
        let (first, last) = (looks.first()?, looks.last()?);
        let wall = last.at_ms.checked_sub(first.at_ms).filter(|wall| *wall > 0)?;
        let settled = &looks[looks.len() / 2..];
        let long = settled.first().is_some_and(|look| last.at_ms - look.at_ms >= SHORTEST_MS);
        let points: Vec<(f64, f64)> = settled.iter().map(|l| (l.at_ms as f64, l.resident as f64)).collect();
        Some(Self {
            // The system counts it in steps; a child that was replaced may take some of it away.
            cores: last.worked_ms.saturating_sub(first.worked_ms) as f64 / wall as f64,
            first: first.resident,
            last: last.resident,
            most: looks.iter().map(|look| look.resident).max().unwrap_or(0),
            growth_per_h: slope(&points).filter(|_| long).map(|slope| slope * 3_600_000.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_second_half_and_needs_a_minute() {
        let look = |n: u64| Look {
            at_ms: n * 1_000,
            worked_ms: n * 500,
            resident: if n < 100 { 9_000_000 } else { n * 1_000 },
        };
        let found = Resources::of(&(0..200).map(look).collect::<Vec<_>>()).unwrap();
        assert!((found.growth_per_h.unwrap() - 3_600_000.0).abs() < 1.0, "{found:?}");
        assert!((found.cores - 0.5).abs() < 1e-9 && found.most == 9_000_000 && found.last == 199_000);
        assert_eq!(Resources::of(&(0..100).map(look).collect::<Vec<_>>()).unwrap().growth_per_h, None);
        assert_eq!(Resources::of(&[look(1)]), None);
    }
}
