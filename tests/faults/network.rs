//! The network is cut, and the recorder is killed. The recorder takes its hearing up again, and nothing is missing.
//!
//! First the product's own recorder with its spool. Then one that keeps nothing but its audio: it says each position itself and
//! so holds the server to every one that it acknowledged.

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
    recorder::{AHEAD, Left, Pace, Recorder, Until},
    relay::{Cut, Relay},
    server::Settings,
    sound::{self, Voice},
    support::{
        faults::{Cuts, Kills, cut_the_network, kill_the_recorder},
        recording::CHANNELS,
        scripted::RATE,
    },
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
    spooled(scale, &mut tally).await;
    let voices = sound::four(scale.seed ^ 2, SECONDS);
    let expected = Arc::new(kills::undisturbed(&voices).await);
    let hearings = scale.of(19, 1);
    for case in 0..hearings {
        let dice = Dice::of_case(scale.seed, "cuts", case);
        let work = cut(voices.clone(), dice, Arc::clone(&expected));
        tally.cases("cuts without a spool", A_HEARING, format!("hearing {case}"), work).await;
    }
    for case in 0..scale.of(2, 0) {
        let dice = Dice::of_case(scale.seed, "long cuts", case);
        let work = cut_for_long(scale.seed, dice);
        tally.case("cuts of 30 minutes without a spool", format!("long cut {case}"), work).await;
    }
    let killed = scale.of(50, 2);
    let dice = Dice::of_case(scale.seed, "recorders", 0);
    let work = recorder_killed((scale.seed ^ 2, voices), dice, killed, expected);
    tally.cases("kills of a recorder without a spool", killed, "its hearing".to_owned(), work).await;
    tally
}

/// The product's own recorder, with its spool: `vivavoce stream` where it is killed.
async fn spooled(scale: Scale, tally: &mut Tally) {
    let seed = |what: &str, case: u64| Dice::of_case(scale.seed, what, case).draw();
    // Two microphones, and one: half an hour of two that speak at once takes a minute to be compared with one another.
    let plans: &[(usize, u64, u64)] = if scale.full { &[(CHANNELS, 25, 1); 8] } else { &[(CHANNELS, 5, 0), (1, 2, 1)] };
    for (case, (channels, cuts, long)) in (0..).zip(plans.iter().copied()) {
        let plan = Cuts { channels, cuts, long, seed: seed("spooled cuts", case) };
        let work = async move {
            let verdict = cut_the_network(plan).await;
            let frames = long * LONG_SECONDS * u64::from(RATE);
            assert!(verdict.faults == cuts && verdict.frames > frames, "{plan:?}: {verdict:?}");
        };
        tally.cases("cuts", cuts, format!("{plan:?}"), work).await;
    }
    tally.note(format!("{} of the cuts last 30 minutes", plans.iter().map(|plan| plan.2).sum::<u64>()));
    let kills = scale.of(10, 2);
    for case in 0..scale.of(5, 1) {
        let plan = Kills { kills, seed: seed("spooled kills", case) };
        let work = async move {
            let verdict = kill_the_recorder(plan).await;
            assert!(verdict.faults == kills && verdict.texts > 2, "{plan:?}: {verdict:?}");
        };
        tally.cases("kills of the recorder", kills, format!("{plan:?}"), work).await;
    }
}

/// A hearing whose connections are cut again and again.
async fn cut(voices: Vec<Voice>, mut dice: Dice, expected: Arc<Vec<pb::Segment>>) {
    let (folder, settings, served) = begun();
    let mut recorder = Recorder::open(served.address, voices.clone(), dice.clone()).await;
    let mut silent = Vec::new();
    for left in (1..=A_HEARING).rev() {
        let how = if dice.one_in(3) { Cut::Silent } else { Cut::Told };
        // Of what is sent ahead the server may have taken more than it could tell.
        let bytes = |(voice, at): (&Voice, &u64)| {
            (voice.length - at).saturating_sub(AHEAD * voice.rate()) * voice.width() as u64
        };
        let rest: u64 = voices.iter().zip(&recorder.acknowledged).map(bytes).sum();
        // Now and then before the first answer.
        let after = if dice.one_in(8) { dice.below(600) } else { dice.below(2 * rest / (left + 1)) };
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
/// This recorder has all its audio again when it is started anew.
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
