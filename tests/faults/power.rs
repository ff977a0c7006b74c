//! The power goes at a random moment. A server's writes are written down; the folder is put together as it may look after
//! them, the server is started on it, and the hearing goes on.

use std::{path::Path, sync::Arc};

use tempfile::TempDir;
use vivavoce::api::grpc::pb;

use crate::{
    dice::Dice,
    image, journals, kills,
    process::Start,
    recorder::{Left, Recorder, Until},
    server::Settings,
    shim,
    sound::{self, Voice},
    tally::{Scale, Tally},
    write_log::{Event, Told, WriteLog},
};

/// Crash points of one run.
const A_RUN: u64 = 20;

/// Seconds of audio of one run.
const SECONDS: u64 = 30;

/// A run whose writes are known.
struct Run {
    events: Vec<Event>,
    /// So many events had happened when the hearing was known to its recorder.
    opened: usize,
    recorder: Recorder,
}

pub(crate) async fn run(scale: Scale, tally: &mut Tally) {
    let voices = sound::four(scale.seed ^ 1, SECONDS);
    let expected = Arc::new(kills::undisturbed(&voices).await);
    let points = scale.of(200, 15);
    let mut run: Option<Arc<Run>> = None;
    for case in 0..points {
        if case % A_RUN == 0 {
            let dice = Dice::of_case(scale.seed, "run", case / A_RUN);
            run = Some(Arc::new(written(voices.clone(), dice).await));
        }
        let run = Arc::clone(run.as_ref().unwrap());
        let dice = Dice::of_case(scale.seed, "power", case);
        tally.case("power cuts", format!("power cut {case}"), crashed(run, dice, Arc::clone(&expected))).await;
    }
}

/// Runs a hearing with a kill in the midst of a write, and reads what was written.
async fn written(voices: Vec<Voice>, mut dice: Dice) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("disk");
    std::fs::create_dir(&root).unwrap();
    let (settings, said) = (Settings::under(root.join("data")), folder.path().join("said"));
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let whole: u64 = voices.iter().map(|v| v.length * v.width() as u64).sum();
    let kill_after = dice.between(whole / 8, whole);
    let served = shim::watched(&root, Some(&one), Some(kill_after)).scripted(&settings, &said).unwrap();
    let mut recorder = Recorder::open(served.address, voices, dice).await;
    let known = one.metadata().unwrap().len();
    let left = recorder.stream(served.address, Until::Finished).await;
    assert!(matches!(left, Left::Broken(_)), "it was to be killed after {kill_after} of {whole} bytes: {left:?}");
    let _killed = served.end();
    let served = shim::watched(&root, Some(&two), None).scripted(&settings, &said).unwrap();
    recorder.finish(served.address).await;
    served.stop();
    let (one, two) = (WriteLog::read(&one), WriteLog::read(&two));
    let opened = one.events_within(known);
    Run { opened, events: one.events.into_iter().chain(two.events).collect(), recorder }
}

/// The power goes at a moment of the run.
async fn crashed(run: Arc<Run>, mut dice: Dice, expected: Arc<Vec<pb::Segment>>) {
    // Now and then before the hearing is known to anybody.
    let from = if dice.one_in(12) { 0 } else { run.opened };
    let moment = dice.between(from as u64, run.events.len() as u64 + 1) as usize;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("disk");
    image::after_power_cut(run.events[..moment].iter(), &mut dice, &root);
    let mut recorder = known_at(&run, moment);
    if moment < run.opened {
        return anew(&folder, &run.recorder.voices, &expected).await;
    }
    let data = root.join("data");
    journals::hold(&data, &recorder.hearing, &recorder.voices, &recorder.acknowledged);
    let settings = Settings::under(data);
    let served = Start::default().scripted(&settings, &folder.path().join("said"));
    let served = served.unwrap_or_else(|said| panic!("at event {moment} of {}: {said}", run.events.len()));
    let texts = if recorder.is_closed(served.address).await {
        recorder.texts(served.address).await
    } else {
        recorder.finish(served.address).await
    };
    assert!(texts == *expected, "at event {moment}: the text is another");
    served.stop();
    whole(&settings.data, &recorder);
}

/// A recorder that knows what it was told before the moment.
fn known_at(run: &Run, moment: usize) -> Recorder {
    let mut recorder = run.recorder.clone();
    recorder.texts.clear();
    recorder.acknowledged.fill(0);
    for event in &run.events[..moment] {
        let Event::Told(told) = event else { continue };
        match told {
            Told::Stored { channel, through } => {
                let index = recorder.voices.iter().position(|v| v.number == *channel).unwrap();
                recorder.acknowledged[index] = recorder.acknowledged[index].max(*through);
            }
            Told::Final(text) => drop(recorder.texts.insert(text.seq, text.segment.clone().unwrap())),
        }
    }
    recorder
}

/// Nothing was promised: the server starts, and a hearing can be held.
async fn anew(folder: &TempDir, voices: &[Voice], expected: &[pb::Segment]) {
    let settings = Settings::under(folder.path().join("disk/data"));
    let served = kills::serve(&settings, &folder.path().join("said"));
    let mut recorder = Recorder::open(served.address, voices.to_vec(), Dice::new(0)).await;
    assert!(recorder.finish(served.address).await == *expected, "the text is another");
    served.stop();
    whole(&settings.data, &recorder);
}

fn whole(data: &Path, recorder: &Recorder) {
    let lengths: Vec<u64> = recorder.voices.iter().map(|v| v.length).collect();
    journals::hold(data, &recorder.hearing, &recorder.voices, &lengths);
}
