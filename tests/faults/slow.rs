//! Recognition is four times too slow for what is said. Audio does not suffer, and when recognition is fast again the text is
//! that of a run that nobody disturbed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use tokio::task::block_in_place;
use tokio_util::task::AbortOnDropHandle;
use vivavoce::api::grpc::pb;

use crate::{
    dice::Dice,
    journals, kills,
    recorder::{Left, Pace, Recorder, Until},
    server::Settings,
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// What is said in ten minutes.
const SECONDS: u64 = 600;

/// Of the speed that is needed there is one part in so many.
const TOO_SLOW: f64 = 4.0;

/// The longest that samples may wait for their acknowledgement.
const ACKNOWLEDGED: Duration = Duration::from_secs(2);

/// How late text must at least have been by the stream's own word: from here on the service takes the last step.
const LATE_MS: u64 = 20_000;

pub(crate) async fn run(scale: Scale) -> Tally {
    let mut tally = Tally::default();
    let voices = sound::four(scale.seed ^ 4, SECONDS);
    let expected = kills::undisturbed(&voices).await;
    let times = u32::try_from(scale.of(4, 40)).unwrap();
    tally.note(format!("time runs {times} times as fast"));
    let waits = Arc::new(Waits::default());
    let work = overloaded(voices, expected, times, Arc::clone(&waits));
    tally.case("ten minutes", "the hearing".to_owned(), work).await;
    tally.note(waits.told());
    tally
}

/// The longest waits, milliseconds. Where another program fills the disk, the second says so.
#[derive(Debug, Default)]
struct Waits {
    /// For an acknowledgement.
    acknowledged: AtomicU64,
    /// For a page that this process writes and syncs by itself, on the same disk at the same time.
    machine: AtomicU64,
}

impl Waits {
    fn told(&self) -> String {
        let [server, machine] = [&self.acknowledged, &self.machine].map(|wait| wait.load(Ordering::Relaxed));
        format!("samples waited {server} ms at most, a page that the trial synced beside them {machine} ms")
    }

    /// Syncs a page again and again, as long as the handle lives.
    fn of_machine(self: &Arc<Self>, folder: &Path) -> AbortOnDropHandle<()> {
        let (waits, mut page) = (Arc::clone(self), File::create(folder.join("page")).unwrap());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(200));
            loop {
                // From when it was due: a thread that has no turn is a wait too.
                let due = beat.tick().await;
                block_in_place(|| page.write_all(&[0; 4_096]).and_then(|()| page.sync_data())).unwrap();
                waits.machine.fetch_max(due.elapsed().as_millis() as u64, Ordering::Relaxed);
            }
        }))
    }
}

async fn overloaded(voices: Vec<Voice>, expected: Vec<pb::Segment>, times: u32, waits: Arc<Waits>) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::under(folder.path().join("data"));
    // One worker, which for all that is said has as long as it is said.
    let rates: BTreeMap<u32, u64> = voices.iter().map(|v| (v.number, v.rate())).collect();
    let seconds = |segment: &pb::Segment| {
        let span = segment.span.unwrap();
        (span.end_sample - span.start_sample) as f64 / rates[&segment.channel] as f64
    };
    let said: f64 = expected.iter().map(seconds).sum();
    let a_second = TOO_SLOW * SECONDS as f64 / said / f64::from(times);
    settings.pace_micros = Duration::from_secs_f64(a_second).as_micros() as u64;
    let served = kills::serve(&settings, &folder.path().join("said"));
    let mut recorder = Recorder::open(served.address, voices.clone(), Dice::new(0)).await;
    recorder.pace = Pace::Times(times);
    let all: u64 = voices.iter().map(|v| v.length).sum();
    let beside = waits.of_machine(folder.path());
    let left = recorder.stream(served.address, Until::Acknowledged(all)).await;
    drop(beside);
    assert!(matches!(left, Left::Reached), "{left:?}");
    waits.acknowledged.store(recorder.slowest.as_millis() as u64, Ordering::Relaxed);
    assert!(recorder.slowest < ACKNOWLEDGED, "{}", waits.told());
    let (heard, all) = (recorder.record(served.address).await.len(), expected.len());
    assert!(heard < all / 2, "{heard} of {all} texts are there already: it was not too slow");
    assert!(recorder.latest_ms > LATE_MS, "the stream said that text is {} ms late at most", recorder.latest_ms);
    ladder(&recorder, served.address, times).await;
    served.signal(Signal::USR1);
    recorder.pace = Pace::Ahead(60);
    let left = recorder.stream(served.address, Until::Finished).await;
    assert!(matches!(left, Left::Finished), "{left:?}");
    let steps = recorder.steps_up(served.address).await;
    assert!(steps.windows(2).all(|w| w[1] > w[0] || w[1] + 1 == w[0]), "up again step by step: {steps:?}");
    assert!(recorder.finish(served.address).await == expected, "the text is another");
    served.stop();
    let lengths: Vec<u64> = voices.iter().map(|v| v.length).collect();
    journals::hold(&settings.data, &recorder.hearing, &voices, &lengths);
}

/// Each step down under overload is in the record: partials thin out, stop, and where the time is real enough finals are late.
async fn ladder(recorder: &Recorder, address: std::net::SocketAddr, times: u32) {
    let step = |entry: pb::RecordEntry| match entry.change {
        Some(pb::record_entry::Change::LoadStepped(stepped)) => Some(stepped.step),
        _ => None,
    };
    let steps: Vec<u32> = recorder.entries(address).await.into_iter().filter_map(step).collect();
    // Lateness is told by the clock: forty times as fast, ten minutes are fifteen seconds.
    let (wanted, most) = (if times > 10 { 1 } else { 3 }, steps.iter().copied().max().unwrap_or(0));
    assert!(most >= wanted, "the ladder went down to step {most}, not {wanted}: {steps:?}");
    assert!(steps.windows(2).all(|w| w[1] > w[0] || w[1] + 1 == w[0]), "up again step by step: {steps:?}");
}
