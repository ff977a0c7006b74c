//! A day in court: ten hours of four channels. Memory does not grow, and every sample has its place in the accounts.

use std::sync::{Arc, Mutex};

use vivavoce::api::grpc::pb;

use crate::{
    dice::Dice,
    journals,
    process::{Served, Start, children, resident_kb},
    recorder::{Pace, Recorder, connect, within},
    server::Settings,
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// Memory may grow by so much an hour after the first half, kB: less than a hundredth of what a server holds in a day.
const SLOPE_KB: f64 = 256.0;

/// A short run has no hour to spare for the real engine; `FAULTS_REAL` asks for that hour alone, or, with 0, for all but it.
pub(crate) async fn run(scale: Scale) -> Tally {
    let (scripted, real) = match crate::variable("FAULTS_REAL").as_deref() {
        Some("0") => (true, false),
        Some(_) => (false, true),
        None => (true, scale.of(1, 0) == 1),
    };
    let mut tally = Tally::default();
    if scripted {
        tally.merge(day(scale, false).await);
    }
    if real {
        tally.merge(day(scale, true).await);
    }
    tally
}

async fn day(scale: Scale, real: bool) -> Tally {
    let mut tally = Tally::default();
    let seconds = if real { 3_600 } else { scale.of(36_000, 1_200) };
    let format = sound::format(pb::Encoding::PcmS16le, 16_000);
    let voices: Vec<Voice> = if real {
        sound::four_looped(seconds)
    } else {
        (1..=4).map(|n| Voice::new(scale.seed, n, format, seconds)).collect()
    };
    let samples: Arc<Mutex<Vec<(f64, f64)>>> = Arc::default();
    let kept = Arc::clone(&samples);
    tally
        .case("hearings of four channels", format!("{seconds} s"), async move { whole_day(voices, real, kept).await })
        .await;
    let samples = samples.lock().unwrap();
    // The first half hour fills caches; of a short run the first half.
    let from = (seconds as f64 / 3_600.0 / 2.0).min(0.5);
    let settled: Vec<(f64, f64)> = samples.iter().copied().filter(|(hour, _)| *hour >= from).collect();
    let (slope, last) = (slope(&settled), settled.last().map_or(0.0, |one| one.1));
    tally.note(format!(
        "{:.1} hours of audio, {} looks at memory, {last:.0} kB, slope {slope:.0} kB/h, {:.0} kB more in the later half",
        seconds as f64 / 3_600.0,
        samples.len(),
        growth(&settled)
    ));
    // Of minutes no slope an hour can be told: there what counts is that the later half never holds less than the one before, but
    // for a few megabytes.
    let flat = if seconds >= 3_600 { slope < SLOPE_KB } else { growth(&settled) < 4_096.0 };
    tally.count("looks at memory that is flat", 1, u64::from(flat));
    tally
}

async fn whole_day(voices: Vec<Voice>, real: bool, samples: Arc<Mutex<Vec<(f64, f64)>>>) {
    let folder = tempfile::tempdir().unwrap();
    let (data, said) = (folder.path().join("data"), folder.path().join("said"));
    let served = if real {
        Served::real(&data, &said)
    } else {
        let mut start = Start::default();
        if voices[0].length < 3_600 * voices[0].rate() {
            // What is freed goes back to the system at once: in a run of seconds it would not otherwise, and what is looked
            // for is what is never freed.
            start.environment.insert("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0".to_owned());
        }
        start.scripted(&Settings::under(data.clone()), &said).unwrap()
    };
    let mut recorder = Recorder::open(served.address, voices.clone(), Dice::new(0)).await;
    recorder.pace = if real { Pace::Times(1) } else { Pace::Heard(120) };
    let pid = served.pid().as_raw_nonzero().get() as u32;
    // With the engines' processes, which are its children.
    let look = Arc::new(move |second: u64| {
        let all: u64 = {
            let started = children(pid.cast_signed());
            let engines = started.iter().map(|engine| engine.as_raw_nonzero().get().cast_unsigned());
            [pid].into_iter().chain(engines).map(resident_kb).sum()
        };
        samples.lock().unwrap().push((second as f64 / 3_600.0, all as f64));
    });
    if real {
        let rate = voices[0].rate();
        let last = Mutex::new(0);
        recorder.on_stored = Some(Arc::new(move |at| {
            let mut last = last.lock().unwrap();
            if at / rate >= *last + 30 {
                *last = at / rate;
                look(*last);
            }
        }));
    } else {
        recorder.on_mark = Some(look);
    }
    let texts = recorder.finish(served.address).await;
    accounts(&recorder, &served, &texts).await;
    served.stop();
    let lengths: Vec<u64> = voices.iter().map(|v| v.length).collect();
    journals::hold(&data, &recorder.hearing, &voices, &lengths);
}

/// The accounts are exact to the sample.
async fn accounts(recorder: &Recorder, served: &Served, texts: &[pb::Segment]) {
    let request = pb::ReadLedgerRequest { hearing_id: recorder.hearing.clone() };
    let ledger = within("the ledger", connect(served.address).await.read_ledger(request)).await.unwrap().into_inner();
    assert_eq!(ledger.channels.len(), recorder.voices.len());
    for (account, voice) in ledger.channels.iter().zip(&recorder.voices) {
        let spans = texts.iter().filter(|s| s.channel == voice.number).map(|s| s.span.unwrap());
        let spoken: u64 = spans.map(|span| span.end_sample - span.start_sample).sum();
        assert_eq!((account.channel, account.length_samples), (voice.number, voice.length));
        assert_eq!((account.speech_samples, account.non_speech_samples), (spoken, voice.length - spoken));
        let rest = [account.off_record_samples, account.muted_samples, account.gap_samples, account.pending_samples];
        assert_eq!(rest, [0; 4]);
    }
}

/// The straight line of least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

/// By how much the least of the later half is above the least of the half before. The least, since what a comparison or a
/// verification holds for a moment is no leak.
fn growth(points: &[(f64, f64)]) -> f64 {
    let least = |half: &[(f64, f64)]| half.iter().map(|p| p.1).fold(f64::MAX, f64::min);
    let (before, after) = points.split_at(points.len() / 2);
    least(after) - least(before)
}
