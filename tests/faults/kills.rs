//! The server is killed while four channels stream, and started anew on the same folder. What was acknowledged is there, and
//! the text is that of a run that nobody disturbed.

use std::sync::Arc;

use vivavoce::api::grpc::pb;

use crate::{
    dice::Dice,
    journals, power,
    process::{Served, Start},
    real,
    recorder::{Left, Pace, Recorder, Until},
    server::Settings,
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// Kills of one hearing.
const A_HEARING: u64 = 10;

/// Seconds of audio of one hearing.
const SECONDS: u64 = 60;

pub(crate) async fn run(scale: Scale) -> Tally {
    let mut tally = Tally::default();
    let voices = sound::four(scale.seed, SECONDS);
    let expected = Arc::new(undisturbed(&voices).await);
    assert!(expected.len() > 20, "the trial has texts to compare");
    for case in 0..scale.of(200, 10) / A_HEARING {
        let dice = Dice::of_case(scale.seed, "kills", case);
        let work = killed(voices.clone(), dice, Arc::clone(&expected));
        tally.cases("kills", A_HEARING, format!("hearing {case}"), work).await;
    }
    power::run(scale, &mut tally).await;
    real::killed(scale, &mut tally).await;
    tally
}

/// The texts of a run without a fault.
pub(crate) async fn undisturbed(voices: &[Voice]) -> Vec<pb::Segment> {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::under(folder.path().join("data"));
    let served = Start::default().scripted(&settings, &folder.path().join("said")).unwrap();
    let mut recorder = Recorder::open(served.address, voices.to_vec(), Dice::new(0)).await;
    recorder.pace = Pace::Ahead(60);
    let texts = recorder.finish(served.address).await;
    served.stop();
    let lengths: Vec<u64> = voices.iter().map(|v| v.length).collect();
    journals::hold(&settings.data, &recorder.hearing, voices, &lengths);
    texts
}

/// A hearing whose server is killed again and again.
async fn killed(voices: Vec<Voice>, mut dice: Dice, expected: Arc<Vec<pb::Segment>>) {
    let folder = tempfile::tempdir().unwrap();
    let (settings, said) = (Settings::under(folder.path().join("data")), folder.path().join("said"));
    let mut served = serve(&settings, &said);
    let mut recorder = Recorder::open(served.address, voices.clone(), dice.clone()).await;
    for kill in 0..A_HEARING {
        let until = moment(&mut dice, A_HEARING - kill, &recorder);
        match recorder.stream(served.address, until).await {
            Left::Reached | Left::Finished => {}
            Left::Broken(status) => panic!("before the kill {kill}: {status}"),
        }
        served.kill();
        journals::hold(&settings.data, &recorder.hearing, &voices, &recorder.acknowledged);
        served = serve(&settings, &said);
    }
    let texts = recorder.finish(served.address).await;
    assert!(texts == *expected, "the text is another");
    served.stop();
    let lengths: Vec<u64> = voices.iter().map(|v| v.length).collect();
    journals::hold(&settings.data, &recorder.hearing, &voices, &lengths);
}

/// A moment of the rest, such that `left` of them fit into it.
fn moment(dice: &mut Dice, left: u64, recorder: &Recorder) -> Until {
    let pairs = recorder.voices.iter().zip(&recorder.acknowledged);
    let samples: u64 = pairs.map(|(voice, at)| voice.length - at).sum();
    match dice.below(8) {
        // At once: while the server still looks at what it has.
        0 => Until::Sent(0),
        1..4 => Until::Sent(dice.below(2 * SECONDS * 7 * 4 / A_HEARING)),
        4..7 => Until::Acknowledged(dice.below(2 * samples / (left + 1))),
        _ => Until::Texts(dice.below(4)),
    }
}

/// A server that serves, for trials that need nothing else of it.
pub(crate) fn serve(settings: &Settings, said: &std::path::Path) -> Served {
    Start::default().scripted(settings, said).unwrap()
}
