//! What is counted: cases of a point, and points.

use std::{
    fmt,
    pin::Pin,
    time::{Duration, Instant},
};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) full: bool,
    pub(crate) seed: u64,
}

impl Scale {
    /// Short, unless `full` is asked for; `seed` where none is given is of this moment.
    pub(crate) fn from_environment(size: Option<&str>, seed: Option<&str>) -> Self {
        let full = match size {
            Some("full") => true,
            Some("short") | None => false,
            Some(other) => panic!("FAULTS={other}: short or full"),
        };
        let drawn = || u64::from(std::process::id()) ^ u64::from(uuid::Uuid::now_v7().as_fields().0) << 20;
        Self { full, seed: seed.map_or_else(drawn, |seed| seed.parse().expect("FAULTS_SEED is a number")) }
    }

    pub(crate) const fn name(self) -> &'static str {
        if self.full { "in full" } else { "in short" }
    }

    /// One of two counts.
    pub(crate) const fn of(self, full: u64, short: u64) -> u64 {
        if self.full { full } else { short }
    }
}

type Work = Pin<Box<dyn Future<Output = Tally> + Send>>;

/// One point of the list.
pub(crate) struct Point {
    pub(crate) number: u32,
    name: &'static str,
    work: fn(Scale) -> Work,
}

impl Point {
    pub(crate) const fn new(number: u32, name: &'static str, work: fn(Scale) -> Work) -> Self {
        Self { number, name, work }
    }

    /// Runs it; a panic is a failure like any other.
    pub(crate) async fn run(self, scale: Scale) -> Verdict {
        let begun = Instant::now();
        let tally = tokio::spawn((self.work)(scale)).await.unwrap_or_else(|ended| {
            let mut tally = Tally::default();
            tally.failed("the point itself", &ended);
            tally
        });
        Verdict { number: self.number, name: self.name, tally, took: begun.elapsed() }
    }
}

/// Cases of a point.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: Vec<(&'static str, u64, u64)>,
    notes: Vec<String>,
    failures: Vec<String>,
}

impl Tally {
    /// Runs what does `count` of `kind` in a row.
    pub(crate) async fn cases(
        &mut self,
        kind: &'static str,
        count: u64,
        name: String,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let held = match tokio::spawn(work).await {
            Ok(()) => true,
            Err(ended) => {
                self.failed(&name, &ended);
                false
            }
        };
        self.count(kind, count, if held { count } else { 0 });
    }

    /// Runs a case and counts it as one of `kind`.
    pub(crate) async fn case(
        &mut self,
        kind: &'static str,
        name: String,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.cases(kind, 1, name, work).await;
    }

    /// Counts `tried` of a kind, of which `held` came out well.
    pub(crate) fn count(&mut self, kind: &'static str, tried: u64, held: u64) {
        match self.kinds.iter_mut().find(|one| one.0 == kind) {
            Some(one) => (one.1, one.2) = (one.1 + tried, one.2 + held),
            None => self.kinds.push((kind, tried, held)),
        }
    }

    /// Takes over what another counted.
    pub(crate) fn merge(&mut self, other: Self) {
        other.kinds.into_iter().for_each(|(kind, tried, held)| self.count(kind, tried, held));
        self.notes.extend(other.notes);
        self.failures.extend(other.failures);
    }

    /// A figure that belongs to the verdict.
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }

    fn failed(&mut self, what: &str, ended: &tokio::task::JoinError) {
        self.failures.push(format!("{what}: {ended}"));
    }
}

/// What came of a point.
pub(crate) struct Verdict {
    number: u32,
    name: &'static str,
    tally: Tally,
    took: Duration,
}

impl Verdict {
    pub(crate) fn holds(&self) -> bool {
        let counted = self.tally.kinds.iter().map(|kind| kind.1).sum::<u64>();
        counted > 0 && self.tally.failures.is_empty() && self.tally.kinds.iter().all(|kind| kind.1 == kind.2)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            self.tally.kinds.iter().map(|(kind, tried, held)| format!("{held} of {tried} {kind}")).collect();
        let told = counts.into_iter().chain(self.tally.notes.iter().cloned()).collect::<Vec<_>>().join("; ");
        let verdict = if self.holds() { "holds" } else { "FALLS SHORT" };
        let Self { number, name, took, .. } = self;
        write!(f, "{number} {name}: {verdict} ({told}; {:.0} s)", took.as_secs_f64())?;
        self.tally.failures.iter().try_for_each(|failure| write!(f, "\n    {failure}"))
    }
}
