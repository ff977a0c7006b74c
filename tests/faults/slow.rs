//! Recognition is four times too slow for what is said. Audio does not suffer, and when recognition is fast again the text is
//! that of a run that nobody disturbed.

use std::{collections::BTreeMap, time::Duration};

use rustix::process::Signal;
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

pub(crate) async fn run(scale: Scale) -> Tally {
    let mut tally = Tally::default();
    let voices = sound::four(scale.seed ^ 4, SECONDS);
    let expected = kills::undisturbed(&voices).await;
    let times = u32::try_from(scale.of(4, 40)).unwrap();
    tally.note(format!("time runs {times} times as fast"));
    tally.case("ten minutes", "the hearing".to_owned(), overloaded(voices, expected, times)).await;
    tally
}

async fn overloaded(voices: Vec<Voice>, expected: Vec<pb::Segment>, times: u32) {
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
    let left = recorder.stream(served.address, Until::Acknowledged(all)).await;
    assert!(matches!(left, Left::Reached), "{left:?}");
    assert!(recorder.slowest < ACKNOWLEDGED, "samples waited {:?}", recorder.slowest);
    let (heard, all) = (recorder.record(served.address).await.len(), expected.len());
    assert!(heard < all / 2, "{heard} of {all} texts are there already: it was not too slow");
    ladder(&recorder, served.address, times).await;
    served.signal(Signal::USR1);
    recorder.pace = Pace::Ahead(60);
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
