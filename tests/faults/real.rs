//! The real engine: the program itself, with real speech. Its engines are stopped, killed and made to abort, and the server
//! is killed; audio never waits, and the text is that of a run that nobody disturbed.

use std::{sync::Arc, time::Duration};

use rustix::process::{Signal, kill_process};
use tokio::sync::OnceCell;
use vivavoce::api::grpc::pb;

use crate::{
    dice::Dice,
    journals,
    process::Served,
    recorder::{Left, Pace, Recorder, Until},
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// The longest that samples may wait for their acknowledgement whatever engines do.
const ACKNOWLEDGED: Duration = Duration::from_secs(2);

/// What is said, and the text that an undisturbed run makes of it: found out once.
async fn undisturbed(scale: Scale) -> (Vec<Voice>, Arc<Vec<pb::Segment>>) {
    static HEARD: OnceCell<(Vec<Voice>, Arc<Vec<pb::Segment>>)> = OnceCell::const_new();
    let heard = HEARD.get_or_init(|| async {
        let voices = sound::four_spoken(scale.of(20, 8));
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let served = Served::real(&data, &folder.path().join("said"));
        let mut recorder = Recorder::open(served.address, voices.clone(), Dice::new(0)).await;
        let texts = recorder.finish(served.address).await;
        served.stop();
        let words: usize = texts.iter().map(|segment| segment.words.len()).sum();
        assert!(words > 20, "the engine heard {words} words");
        (voices, Arc::new(texts))
    });
    heard.await.clone()
}

/// The server with the real engine is killed while four channels stream.
pub(crate) async fn killed(scale: Scale, tally: &mut Tally) {
    let (voices, expected) = undisturbed(scale).await;
    for case in 0..scale.of(5, 1) {
        let dice = Dice::of_case(scale.seed, "real kills", case);
        let work = server_killed(voices.clone(), dice, Arc::clone(&expected));
        tally.case("kills with the real engine", format!("real kill {case}"), work).await;
    }
}

async fn server_killed(voices: Vec<Voice>, mut dice: Dice, expected: Arc<Vec<pb::Segment>>) {
    let folder = tempfile::tempdir().unwrap();
    let (data, said) = (folder.path().join("data"), folder.path().join("said"));
    let served = Served::real(&data, &said);
    let samples: u64 = voices.iter().map(|v| v.length).sum();
    let mut recorder = Recorder::open(served.address, voices.clone(), dice.clone()).await;
    let until = Until::Acknowledged(dice.between(samples / 8, samples));
    let left = recorder.stream(served.address, until).await;
    assert!(matches!(left, Left::Reached | Left::Finished), "{left:?}");
    served.kill();
    journals::hold(&data, &recorder.hearing, &voices, &recorder.acknowledged);
    let served = Served::real(&data, &said);
    let texts = recorder.finish(served.address).await;
    same(&texts, &expected);
    served.stop();
    let lengths: Vec<u64> = voices.iter().map(|v| v.length).collect();
    journals::hold(&data, &recorder.hearing, &voices, &lengths);
}

/// Engines are harmed while four channels stream at the speed of speech.
pub(crate) async fn run(scale: Scale) -> Tally {
    let mut tally = Tally::default();
    let (voices, expected) = undisturbed(scale).await;
    for case in 0..scale.of(5, 1) {
        let work = engines_harmed(voices.clone(), Arc::clone(&expected));
        tally.cases("harms of an engine", 3, format!("round {case}"), work).await;
    }
    tally
}

async fn engines_harmed(voices: Vec<Voice>, expected: Arc<Vec<pb::Segment>>) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let served = Served::real(&data, &folder.path().join("said"));
    let mut recorder = Recorder::open(served.address, voices.clone(), Dice::new(0)).await;
    recorder.pace = Pace::Times(1);
    let (parts, rate) = (4, voices[0].rate());
    let mut due = Vec::new();
    for (number, harm) in (1..parts).zip([Signal::KILL, Signal::ABORT, Signal::STOP]) {
        due.push((voices[0].length * number / parts, harm));
    }
    let engines = served.engines();
    assert!(!engines.is_empty(), "the engine runs in processes of its own");
    let server = served.pid().as_raw_nonzero().get();
    let due = std::sync::Mutex::new(due);
    // How many processes each harm reached.
    let harmed = Arc::new(std::sync::Mutex::new(Vec::new()));
    let reached = Arc::clone(&harmed);
    recorder.on_stored = Some(Arc::new(move |at| {
        let mut due = due.lock().unwrap();
        if due.first().is_some_and(|(from, _)| at >= *from) {
            let (_, harm) = due.remove(0);
            // One of them may be on its way back from the harm before.
            let engines = crate::process::children(server);
            let signalled = engines.into_iter().filter(|engine| kill_process(*engine, harm).is_ok()).count();
            reached.lock().unwrap().push((harm, signalled));
        }
    }));
    let texts = recorder.finish(served.address).await;
    same(&texts, &expected);
    let harmed = harmed.lock().unwrap().clone();
    assert_eq!(harmed.len(), 3, "every harm was done: {harmed:?}");
    assert!(harmed.iter().all(|(_, engines)| *engines > 0), "each reached an engine: {harmed:?}");
    assert!(recorder.slowest < ACKNOWLEDGED, "samples waited {:?} for their acknowledgement", recorder.slowest);
    served.stop();
    let lengths: Vec<u64> = voices.iter().map(|v| v.length).collect();
    journals::hold(&data, &recorder.hearing, &voices, &lengths);
    assert!(lengths[0] > rate, "more than a second was said");
}

#[track_caller]
fn same(texts: &[pb::Segment], expected: &[pb::Segment]) {
    assert_eq!(texts.len(), expected.len(), "as many texts");
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text == expected, "channel {} at {:?}: the text is another", text.channel, text.span);
    }
}
