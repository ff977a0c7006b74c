//! Simulated devices, networks and clocks that somebody sets.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made-up sounds and times of known size")]

use proptest::prelude::*;

use super::*;

const RATE: u32 = 16_000;

/// A device whose clock is off by `ppm`, a network, and a server whose wall clock is set now and then.
struct World {
    ppm: f64,
    /// Messages a second.
    messages: f64,
    /// Delay of a message by its number and when it was sent, seconds.
    delay: Box<dyn Fn(u32, f64) -> f64>,
    /// When the wall clock is set, by how much, seconds.
    steps: Vec<(f64, f64)>,
}

impl World {
    fn calm() -> Self {
        Self { ppm: 0.0, messages: 10.0, delay: Box::new(|_, _| 0.02), steps: Vec::new() }
    }

    fn wall(&self, at: f64) -> Timestamp {
        let set: f64 = self.steps.iter().filter(|(when, _)| *when <= at).map(|(_, by)| by).sum();
        Timestamp::from_microsecond(1_800_000_000_000_000 + ((at + set) * 1e6).round() as i64).unwrap()
    }

    /// What a server tells of `seconds` of streaming.
    fn served(&self, seconds: f64) -> Vec<(f64, Mapping)> {
        let mut tracker = ClockTracker::new(ClockSource::Server, RATE.try_into().unwrap());
        let mut told = Vec::new();
        let mut last = 0.0_f64;
        for n in 1..(seconds * self.messages) as u32 {
            let sent = f64::from(n) / self.messages;
            // In order: none overtakes another.
            let arrives = (sent + (self.delay)(n, sent)).max(last);
            last = arrives;
            let at = SamplePos::new((sent * f64::from(RATE) * (1.0 + self.ppm / 1e6)).round() as u64);
            let steady = Some(Duration::from_secs_f64(arrives + 1_234.5));
            told.extend(tracker.read(Reading { at, wall: self.wall(arrives), steady }).map(|m| (sent, m)));
        }
        told
    }

    /// The same of a recorder that reads its own clock every ten seconds.
    fn recorded(&self, seconds: f64) -> Vec<(f64, Mapping)> {
        let mut tracker = ClockTracker::new(ClockSource::Recorder, RATE.try_into().unwrap());
        let mut told = Vec::new();
        for n in 1..(seconds / 10.0) as u32 {
            let read = f64::from(n) * 10.0;
            let at = SamplePos::new((read * f64::from(RATE) * (1.0 + self.ppm / 1e6)).round() as u64);
            told.extend(tracker.read(Reading { at, wall: self.wall(read), steady: None }).map(|m| (read, m)));
        }
        told
    }
}

fn kinds(told: &[(f64, Mapping)]) -> Vec<ClockKind> {
    told.iter().map(|(_, m)| m.kind).collect()
}

fn drifts(told: &[(f64, Mapping)]) -> Vec<i32> {
    told.iter().filter_map(|(_, m)| if let ClockKind::Drift { ppm } = m.kind { Some(ppm) } else { None }).collect()
}

/// A network whose delay is mostly short, often longer, now and then long.
fn jitter(seed: u32) -> impl Fn(u32, f64) -> f64 {
    move |n, _| {
        let hash = n.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
        let even = f64::from(hash) / f64::from(1_u32 << 24);
        0.005 + 0.08 * even.powi(3) + if hash.is_multiple_of(97) { 0.7 } else { 0.0 }
    }
}

#[test]
fn a_calm_hour_says_when_it_began_and_that_nothing_drifts() {
    let told = World::calm().served(3_600.0);
    assert_eq!(kinds(&told), [ClockKind::Start, ClockKind::Drift { ppm: 0 }]);
    assert_eq!(told[0].1.at, SamplePos::new(1_600));
    assert_eq!(told[0].1.wall, World::calm().wall(0.12));
    let recorded = World::calm().recorded(3_600.0);
    assert_eq!(kinds(&recorded), [ClockKind::Start, ClockKind::Drift { ppm: 0 }]);
}

#[test]
fn summer_time_and_corrections_are_steps_and_no_drift() {
    for by in [3_600.0, -3_600.0, 1.5, -1.2, 86_400.0] {
        let world = World { delay: Box::new(jitter(1)), steps: vec![(1_000.0, by)], ..World::calm() };
        for told in [world.served(3_000.0), world.recorded(3_000.0)] {
            let steps: Vec<_> = told.iter().filter(|(_, m)| matches!(m.kind, ClockKind::Step { .. })).collect();
            assert_eq!(steps.len(), 1, "{by}: {told:?}");
            let (when, Mapping { wall, kind, .. }) = steps[0];
            let ClockKind::Step { by_ms } = kind else { panic!() };
            assert!((*by_ms as f64 / 1e3 - by).abs() < 0.002, "{by} was told as {by_ms}");
            assert!(*when >= 999.0 && *when <= 1_010.0);
            // The new time, not the old.
            let off = wall.as_microsecond() - world.wall(*when).as_microsecond();
            assert!(off.abs() < 1_500_000, "{by}: {off}");
            assert!(drifts(&told).iter().all(|ppm| ppm.abs() <= 5), "{by}: {told:?}");
        }
    }
}

#[test]
fn a_clock_that_is_set_back_and_forth_all_the_time_writes_little() {
    let steps = (1..600).map(|n| (f64::from(n), if n % 2 == 0 { 60.0 } else { -60.0 })).collect();
    let told = World { steps, ..World::calm() }.served(600.0);
    assert!(told.len() <= 62, "{}", told.len());
}

#[test]
fn a_device_that_is_two_hundred_ppm_off_is_told_after_eleven_minutes_whatever_the_network() {
    for ppm in [200.0, -200.0, 50.0, 0.0] {
        let world = World { ppm, delay: Box::new(jitter(9)), ..World::calm() };
        for told in [world.served(3_600.0), world.recorded(3_600.0)] {
            let all = drifts(&told);
            assert!(all.iter().all(|told| (f64::from(*told) - ppm).abs() <= 20.0), "{ppm}: {told:?}");
            let first = told.iter().find(|(_, m)| matches!(m.kind, ClockKind::Drift { .. })).unwrap();
            assert!(first.0 <= 11.5 * 60.0, "{ppm} was first told at {}", first.0);
            assert!(all.len() <= 2, "{ppm}: {all:?}");
        }
    }
}

#[test]
fn a_device_whose_clock_changes_is_told_again_and_not_before_ten_minutes() {
    let mut tracker = ClockTracker::new(ClockSource::Server, RATE.try_into().unwrap());
    let mut told = Vec::new();
    let mut samples = 0.0;
    for n in 0..(3 * 36_000_u32) {
        let now = f64::from(n) / 10.0;
        samples += f64::from(RATE) / 10.0 * (1.0 + if now < 3_600.0 { 30e-6 } else { 180e-6 });
        let reading = Reading {
            at: SamplePos::new(samples as u64),
            wall: World::calm().wall(now),
            steady: Some(Duration::from_secs_f64(now)),
        };
        told.extend(tracker.read(reading).map(|m| (now, m)));
    }
    let all = drifts(&told);
    assert_eq!(all.first(), Some(&30));
    assert!((all.last().unwrap() - 180).abs() <= 20, "{all:?}");
    let times: Vec<f64> = told.iter().filter(|(_, m)| matches!(m.kind, ClockKind::Drift { .. })).map(|t| t.0).collect();
    assert!(times.windows(2).all(|t| t[1] - t[0] >= 599.0), "{times:?}");
}

#[test]
fn a_network_that_stops_for_minutes_is_no_step() {
    // Nothing comes for half an hour, then all of it at once.
    let stops = |_, sent: f64| if (600.0..2_400.0).contains(&sent) { 2_400.0 - sent } else { 0.02 };
    let told = World { delay: Box::new(stops), ..World::calm() }.served(7_200.0);
    assert_eq!(kinds(&told), [ClockKind::Start, ClockKind::Drift { ppm: 0 }], "{told:?}");
}

#[test]
fn a_stream_that_begins_with_what_was_spooled_is_mapped_anew_when_it_has_caught_up() {
    // Half an hour was spooled while there was no network; it comes at twenty times the speed of speech.
    let late = |_, sent: f64| (1_800.0 - sent * 0.95).max(0.02);
    let world = World { delay: Box::new(late), ..World::calm() };
    let told = world.served(4_500.0);
    assert!(matches!(told[0].1.kind, ClockKind::Start));
    let ClockKind::CaughtUp { by_ms } = told[1].1.kind else { panic!("{told:?}") };
    assert!((-1_800_000..=-1_799_000).contains(&by_ms), "{by_ms}");
    // Now it is right: the sample was sent then.
    let sent = told[1].1.at.index() as f64 / f64::from(RATE);
    let off = told[1].1.wall.as_microsecond() - world.wall(sent).as_microsecond();
    assert!(off.abs() < 200_000, "{off}");
    assert!(drifts(&told).iter().all(|ppm| ppm.abs() <= 5), "{told:?}");
    assert_eq!(told.len(), 3);
}

#[test]
fn a_file_that_is_streamed_as_fast_as_it_goes_drifts_not() {
    let mut tracker = ClockTracker::new(ClockSource::Server, RATE.try_into().unwrap());
    let told: Vec<_> = (1..100_000_u32)
        .filter_map(|n| {
            let steady = Some(Duration::from_secs_f64(f64::from(n) / 500.0));
            let wall = World::calm().wall(f64::from(n) / 500.0);
            tracker.read(Reading { at: SamplePos::new(u64::from(n) * 1_600), wall, steady })
        })
        .collect();
    assert_eq!(told.iter().map(|m| m.kind).collect::<Vec<_>>(), [ClockKind::Start]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the network does and however the wall clock is set: the steps that are told are those that were, and the drift
    /// is the device's.
    #[test]
    fn steps_and_drift_are_told_as_they_are(
        ppm in -200_i32..200,
        seed in any::<u32>(),
        steps in prop::collection::vec((60_u32..3_000, prop::sample::select(vec![-3_600_i32, 3_600, -7, 30])), 0..4),
        stalls in prop::collection::vec((0_u32..3_000, 1_u32..200), 0..4),
    ) {
        let network = jitter(seed);
        let delay = move |n: u32, sent: f64| {
            let stalled = stalls.iter().map(|(from, long)| f64::from(from + long) - sent).zip(&stalls)
                .filter(|(left, (_, long))| (0.0..f64::from(*long)).contains(left)).map(|(left, _)| left);
            stalled.fold(network(n, sent), f64::max)
        };
        let mut steps: Vec<(f64, f64)> = steps.into_iter().map(|(at, by)| (f64::from(at), f64::from(by))).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let world = World { ppm: f64::from(ppm), delay: Box::new(delay), steps: steps.clone(), messages: 5.0 };
        let told = world.served(3_600.0);
        let by: i64 = told.iter().filter_map(|(_, m)| match m.kind { ClockKind::Step { by_ms } => Some(by_ms), _ => None }).sum();
        let set: f64 = steps.iter().map(|(_, by)| by).sum();
        prop_assert!((by as f64 / 1e3 - set).abs() < 0.01, "{} of {}: {:?}", by, set, told);
        let drifts = drifts(&told);
        prop_assert!(!drifts.is_empty());
        prop_assert!(drifts.iter().all(|d| (d - ppm).abs() <= 20), "{} is told as {:?}", ppm, drifts);
    }

    /// A reading that brings no later sample says nothing, and no reading makes it fail.
    #[test]
    fn any_readings_are_taken(readings in prop::collection::vec((any::<u64>(), -377_705_116_800_i64..253_402_200_000, any::<u32>()), 1..40)) {
        for source in [ClockSource::Server, ClockSource::Recorder] {
            let mut tracker = ClockTracker::new(source, RATE.try_into().unwrap());
            for (at, wall, steady) in &readings {
                let steady = (source == ClockSource::Server).then(|| Duration::from_millis(u64::from(*steady)));
                tracker.read(Reading { at: SamplePos::new(at >> 16), wall: Timestamp::from_second(*wall).unwrap(), steady });
            }
        }
    }
}
