//! The network is cut, and the recorder is killed. The recorder takes its hearing up again, and nothing is missing.

use std::{
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
};

use vivavoce::api::grpc::pb;

use crate::{
    dice::Dice,
    journals, kills,
    process::Served,
    recorder::{Left, Pace, Recorder, Until},
    relay::{Cut, Relay},
    server::Settings,
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// Cuts of one hearing.
const A_HEARING: u64 = 10;

/// Seconds of audio of one hearing.
const SECONDS: u64 = 60;

/// How long a long cut lasts, by the recorder's clock: so much audio waits in it.
const LONG_SECONDS: u64 = 30 * 60;

/// The first argument of a recorder's process.
pub(crate) const WORD: &str = "record";

pub(crate) async fn run(scale: Scale) -> Tally {
    let mut tally = Tally::default();
    let voices = sound::four(scale.seed ^ 2, SECONDS);
    let expected = Arc::new(kills::undisturbed(&voices).await);
    for case in 0..scale.of(196, 20) / A_HEARING {
        let dice = Dice::of_case(scale.seed, "cuts", case);
        let work = cut(voices.clone(), dice, Arc::clone(&expected));
        tally.cases("cuts", A_HEARING, format!("hearing {case}"), work).await;
    }
    for case in 0..scale.of(10, 1) {
        let dice = Dice::of_case(scale.seed, "long cuts", case);
        tally.case("cuts of 30 minutes", format!("long cut {case}"), cut_for_long(scale.seed, dice)).await;
    }
    let killed = scale.of(50, 5);
    let dice = Dice::of_case(scale.seed, "recorders", 0);
    let work = recorder_killed((scale.seed ^ 2, voices), dice, killed, expected);
    tally.cases("kills of a recorder without a spool", killed, "its hearing".to_owned(), work).await;
    tally
}

/// A hearing whose connections are cut again and again.
async fn cut(voices: Vec<Voice>, mut dice: Dice, expected: Arc<Vec<pb::Segment>>) {
    let (folder, settings, served) = begun();
    let mut recorder = Recorder::open(served.address, voices.clone(), dice.clone()).await;
    let whole: u64 = voices.iter().map(|v| v.length * v.width() as u64).sum();
    let mut silent = Vec::new();
    for left in (1..=A_HEARING).rev() {
        let how = if dice.one_in(3) { Cut::Silent } else { Cut::Told };
        let sent: u64 = voices.iter().zip(&recorder.acknowledged).map(|(v, at)| at * v.width() as u64).sum();
        // Now and then before the first answer.
        let after = if dice.one_in(8) { dice.below(600) } else { dice.below(2 * (whole - sent) / (left + 1)) };
        silent.push(through(&mut recorder, served.address, after, how).await);
    }
    assert!(recorder.finish(served.address).await == *expected, "the text is another");
    silent.into_iter().for_each(Relay::drop_all);
    served.stop();
    whole_at_end(&settings, &recorder);
    drop(folder);
}

/// Streams through a network that is cut after so many bytes. A connection that was cut without a word stays as it is.
async fn through(recorder: &mut Recorder, server: std::net::SocketAddr, after: u64, how: Cut) -> Relay {
    let relay = Relay::to(server, after, how).await;
    tokio::select! {
        left = recorder.stream(relay.address, Until::Finished) => {
            assert!(matches!(left, Left::Broken(_)), "the network was to be cut after {after} bytes: {left:?}");
        }
        () = relay.is_cut() => {}
    }
    relay
}

/// Half an hour of audio waits when the network comes back. The server's clock is not moved: to it, a break is a break.
async fn cut_for_long(seed: u64, mut dice: Dice) {
    // As telephones have it, since there is much of it.
    let (seed, format) = (seed ^ dice.draw(), sound::format(pb::Encoding::Mulaw, 8_000));
    let voices: Vec<Voice> = (1..=4).map(|number| Voice::new(seed, number, format, LONG_SECONDS + 120)).collect();
    let expected = kills::undisturbed(&voices).await;
    let (folder, settings, served) = begun();
    let mut recorder = Recorder::open(served.address, voices, dice.clone()).await;
    recorder.pace = Pace::Ahead(60);
    let silent = through(&mut recorder, served.address, dice.between(1 << 18, 1 << 22), Cut::Silent).await;
    assert!(recorder.finish(served.address).await == expected, "the text is another");
    silent.drop_all();
    served.stop();
    whole_at_end(&settings, &recorder);
    drop(folder);
}

/// The recorder's own process is killed; another one knows the hearing and its token, and asks the server where to go on.
///
/// This recorder has all its audio again when it is started anew. One that keeps what was not acknowledged on its own disk is
/// to take its place here: the same kills, its spool in `folder`.
async fn recorder_killed(
    (seed, voices): (u64, Vec<Voice>),
    mut dice: Dice,
    kills: u64,
    expected: Arc<Vec<pb::Segment>>,
) {
    let (folder, settings, served) = begun();
    let mut recorder = Recorder::open(served.address, voices, dice.clone()).await;
    for left in (1..=kills).rev() {
        let position = recorder.acknowledged[0];
        let acknowledged = position + dice.below(2 * (recorder.voices[0].length - position) / (left + 1));
        let arguments = [served.address.to_string(), recorder.hearing.clone(), recorder.token.clone()];
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(WORD)
            .args(arguments)
            .args([seed.to_string(), dice.draw().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut reached = lines.filter_map(|line| line.parse::<u64>().ok());
        let at = tokio::task::block_in_place(|| reached.find(|at| *at >= acknowledged));
        process.kill().unwrap();
        process.wait().unwrap();
        recorder.acknowledged[0] = at.expect("it is killed before it is done");
    }
    assert!(recorder.finish(served.address).await == *expected, "the text is another");
    served.stop();
    whole_at_end(&settings, &recorder);
    drop(folder);
}

/// The process of a recorder: streams, and says how far its first channel was acknowledged.
pub(crate) fn record(arguments: impl Iterator<Item = String>) -> ExitCode {
    let [address, hearing, token, seed, dice] = &arguments.collect::<Vec<_>>()[..] else { panic!("five arguments") };
    let voices = sound::four(seed.parse().unwrap(), SECONDS);
    let dice = Dice::new(dice.parse().unwrap());
    let mut recorder = Recorder::resumed(hearing.clone(), token.clone(), voices, dice);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = address.parse().unwrap();
    recorder.on_stored = Some(Arc::new(|at| println!("{at}")));
    match runtime.block_on(recorder.stream(address, Until::Finished)) {
        Left::Finished => ExitCode::SUCCESS,
        other => panic!("{other:?}"),
    }
}

fn begun() -> (tempfile::TempDir, Settings, Served) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::under(folder.path().join("data"));
    let served = kills::serve(&settings, &folder.path().join("said"));
    (folder, settings, served)
}

fn whole_at_end(settings: &Settings, recorder: &Recorder) {
    let lengths: Vec<u64> = recorder.voices.iter().map(|v| v.length).collect();
    journals::hold(&settings.data, &recorder.hearing, &recorder.voices, &lengths);
}
