//! How figures are spread, and whether they grow.

/// Percentiles by nearest rank: each is a figure that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many figures.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Half are at most this.
    pub p50: i64,
    /// 95 in a hundred are at most this.
    pub p95: i64,
    /// 99 in a hundred.
    pub p99: i64,
    /// The largest.
    pub max: i64,
}

impl Spread {
    /// Of some figures; `None` where there are none.
    ///
    /// ```
    /// use vivavoce::evaluation::live::spread::Spread;
    /// let found = Spread::of((1..=200).collect()).unwrap();
    /// assert_eq!((found.p50, found.p95, found.p99, found.max), (100, 190, 198, 200));
    /// ```
    #[must_use]
    pub fn of(mut figures: Vec<i64>) -> Option<Self> {
        figures.sort_unstable();
        let max = *figures.last()?;
        // Rounded up: the smallest figure that as many in a hundred do not exceed.
        let at = |percent: usize| figures[(figures.len() * percent).div_ceil(100).saturating_sub(1)];
        let mean = figures.iter().map(|figure| *figure as f64).sum::<f64>() / figures.len() as f64;
        Some(Self { count: figures.len(), mean, p50: at(50), p95: at(95), p99: at(99), max })
    }
}

/// The slope of the line with the least squares of errors through points (x, y); `None` where it is not determined.
///
/// ```
/// use vivavoce::evaluation::live::spread::slope;
/// assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0));
/// assert_eq!(slope(&[(1.0, 1.0), (1.0, 3.0)]), None);
/// ```
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let common: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (spread > 0.0).then(|| common / spread)
}
