//! What a recorder must survive, as often as one likes: cuts of the network and kills of the recorder. Each run prints its
//! seed; the same seed makes the same plan, the moments differ as the machine does.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::block_in_place,
};
use vivavoce::{
    api::recorder::{Captured, Clock},
    domain::id::HearingId,
};

use super::{
    program::vivavoce,
    recording::{CHANNELS, TOO_LONG, Told, Verdict, compare, compare_some, record, sound, voices},
    relay::{Budget, Relay, Seen, UNLIMITED},
    scripted::{Chance, RATE, ScriptedServer, Texts},
    speech::say,
};

/// How often the network is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cuts {
    /// Microphones, [`CHANNELS`] at most.
    pub(crate) channels: usize,
    pub(crate) cuts: u64,
    /// How many of them last for half an hour.
    pub(crate) long: u64,
    pub(crate) seed: u64,
}

/// How often the recorder is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kills {
    pub(crate) kills: u64,
    pub(crate) seed: u64,
}

/// Hours of its own: a pause takes no time, and what a microphone gives meanwhile is captured before it is over.
#[derive(Debug)]
struct SimulatedTime {
    /// Frames that the microphone may have given by now.
    allowed: watch::Sender<u64>,
    captured: watch::Receiver<u64>,
    /// The hour, and when the network comes back.
    hours: Mutex<(Duration, Option<Duration>)>,
    away: watch::Sender<bool>,
    relay: Arc<Relay>,
}

impl SimulatedTime {
    fn give(&self, frames: u64) {
        self.allowed.send_modify(|allowed| *allowed += frames);
    }

    /// Takes the network away for so long.
    fn take_away(&self, length: Duration) {
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        hours.1 = (!length.is_zero()).then(|| hours.0 + length);
        self.away.send_replace(hours.1.is_some());
        self.relay.cut(hours.1.is_some());
    }

    /// Waits until the network is back.
    async fn back(&self) {
        let mut away = self.away.subscribe();
        tokio::time::timeout(20 * TOO_LONG, away.wait_for(|away| !away)).await.expect("time passes").unwrap();
    }
}

#[async_trait::async_trait]
impl Clock for SimulatedTime {
    async fn pause(&self, length: Duration) {
        let frames = u64::try_from(length.as_millis()).unwrap() * u64::from(RATE) / 1_000;
        self.give(frames);
        let allowed = *self.allowed.borrow() & !END;
        let mut captured = self.captured.clone();
        // The microphone may have been taken away: then there is nothing to wait for.
        drop(captured.wait_for(|captured| *captured >= allowed).await);
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        hours.0 += length;
        if hours.1.is_some_and(|back| hours.0 >= back) {
            hours.1 = None;
            self.relay.up();
            self.away.send_replace(false);
        }
    }
}

/// Cuts the network again and again while a recorder streams its microphones; then compares with an undisturbed run.
pub(crate) async fn cut_the_network(plan: Cuts) -> Verdict {
    say(&format!("{plan:?}"));
    let server = ScriptedServer::start().await;
    let relay = Arc::new(Relay::start(server.address).await);
    let (allowed, may_capture) = watch::channel(0);
    let (has_captured, captured) = watch::channel(0);
    let time = SimulatedTime {
        allowed,
        captured,
        hours: Mutex::default(),
        away: watch::Sender::new(false),
        relay: Arc::clone(&relay),
    };
    let time = Arc::new(time);
    let (capture, input) = mpsc::channel(64);
    let microphones = tokio::spawn(microphones((plan.seed, plan.channels), may_capture, has_captured, capture));
    let folder = TempDir::new().unwrap();
    let finals = Arc::new(Mutex::new(Vec::new()));
    let spool = folder.path().to_owned();
    let recording = record(relay.url(), spool, plan.channels, input, time.clone(), finals.clone());
    let recording = tokio::spawn(recording);
    let mut chance = Chance(plan.seed);
    let mut seen = relay.seen();
    for cut in 0..plan.cuts {
        // Of any size: from the first byte on into what half an hour left behind.
        let bytes = |chance: &mut Chance, bits: u64| {
            let top = 1 << chance.within(1, bits);
            chance.within(1, top + 1)
        };
        let budget = match chance.once_in(3) {
            true => Budget { down: bytes(&mut chance, 13), ..UNLIMITED },
            false => Budget { up: bytes(&mut chance, 23), ..UNLIMITED },
        };
        relay.arm(budget);
        // Spread evenly.
        let longs = |cut: u64| (cut + plan.cuts / 2) * plan.long / plan.cuts;
        let long = longs(cut) != longs(cut + 1);
        let outage = match chance.within(0, 4) {
            _ if long => Duration::from_secs(30 * 60),
            0 => Duration::from_millis(chance.within(1, 60_000)),
            _ => Duration::ZERO,
        };
        time.back().await;
        let Seen { connections: before, spent } = *seen.borrow();
        // The armed connection begins with the next cut; of the one before nothing is left.
        time.take_away(Duration::ZERO);
        time.give(chance.within(0, 4 * u64::from(RATE)));
        tokio::time::timeout(TOO_LONG, seen.wait_for(|s| s.connections > before))
            .await
            .expect("it comes back")
            .unwrap();
        // Where there is not so much to say, it is cut while nothing is said.
        let patience = Duration::from_millis(chance.within(5, 150));
        let _late = tokio::time::timeout(patience, seen.wait_for(|s| s.spent > spent)).await;
        time.take_away(outage);
    }
    relay.arm(UNLIMITED);
    time.back().await;
    relay.cut(false);
    time.give(10 * u64::from(RATE));
    drop_allowance(&time);
    let hearing = tokio::time::timeout(20 * TOO_LONG, recording).await.expect("it ends").unwrap();
    let bytes = microphones.await.unwrap();
    let verdict = compare_some(&server, hearing, (plan.channels, &bytes), plan.cuts).await;
    let (texts, ..) = server.record(hearing).await;
    check_told(&finals.lock().unwrap(), &texts);
    verdict
}

/// The recorder was told every text of the record, once and in order.
fn check_told(finals: &[Told], texts: &Texts) {
    assert!(finals.is_sorted_by(|a, b| a.0 < b.0), "each once, in order");
    let mut told: Vec<_> = finals.iter().map(|told| (told.1, &told.2)).collect();
    let mut kept: Vec<_> = texts.iter().map(|text| (text.0, &text.3)).collect();
    told.sort();
    kept.sort();
    assert_eq!(told, kept);
}

/// No more is captured than is allowed by now.
fn drop_allowance(time: &SimulatedTime) {
    // The highest bit says that it is the end.
    time.allowed.send_modify(|allowed| *allowed |= END);
}

const END: u64 = 1 << 63;

/// Gives what the microphones hear, as far as it is allowed; gives all of it back at the end.
async fn microphones(
    (seed, count): (u64, usize),
    mut allowed: watch::Receiver<u64>,
    captured: watch::Sender<u64>,
    capture: mpsc::Sender<Captured>,
) -> Vec<u8> {
    let mut voices = voices(seed);
    voices.truncate(count);
    let mut all: Vec<u8> = Vec::new();
    loop {
        let done = (all.len() / count) as u64;
        let allowance = *allowed.wait_for(|a| a & !END > done || a & END != 0).await.unwrap();
        let frames = (allowance & !END).saturating_sub(done).min(u64::from(RATE) / 10);
        if frames == 0 {
            return all;
        }
        let some = sound(&mut voices, frames);
        all.extend(&some);
        if capture.send(Captured::Interleaved(some)).await.is_err() {
            return all;
        }
        captured.send_replace(done + frames);
    }
}

/// Kills the program `vivavoce stream` again and again while it streams a file, and has it take up its hearing each time.
pub(crate) async fn kill_the_recorder(plan: Kills) -> Verdict {
    say(&format!("{plan:?}"));
    let server = ScriptedServer::start().await;
    let relay = Relay::start(server.address).await;
    let folder = TempDir::new().unwrap();
    let mut chance = Chance(plan.seed);
    let bytes = file(&folder.path().join("hearing.wav"), plan.seed, 10 + plan.kills);
    let mut seen = relay.seen();
    for kill in 0..plan.kills {
        let spent = seen.borrow().spent;
        let away = kill > 0 && chance.once_in(5);
        relay.arm(match chance.once_in(3) {
            true => Budget { down: chance.within(1, 600), ..UNLIMITED },
            false => Budget { up: chance.within(1, 20_000), ..UNLIMITED },
        });
        relay.cut(away);
        let mut recorder = Recorder::start(folder.path(), &relay.url(), "speech");
        if away {
            block_in_place(|| recorder.wait_for("no connection"));
        } else {
            tokio::time::timeout(TOO_LONG, seen.wait_for(|s| s.spent > spent)).await.expect("it streams").unwrap();
        }
        block_in_place(|| recorder.kill());
    }
    relay.arm(UNLIMITED);
    relay.cut(false);
    let last = Recorder::start(folder.path(), &relay.url(), "fast");
    let hearing = block_in_place(|| last.finish());
    compare(&server, hearing, &bytes, plan.kills).await
}

/// A file of so many seconds; gives its samples as mu-law, which the server gets.
fn file(path: &Path, seed: u64, seconds: u64) -> Vec<u8> {
    let bytes = sound(&mut voices(seed), seconds * u64::from(RATE));
    let (rate, channels) = (RATE.to_le_bytes(), u16::try_from(CHANNELS).unwrap());
    let data = u32::try_from(bytes.len()).unwrap();
    // WAV, form 7 is mu-law.
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((38 + data).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(18_u32.to_le_bytes());
    wav.extend(7_u16.to_le_bytes());
    wav.extend(channels.to_le_bytes());
    wav.extend(rate);
    wav.extend((RATE * u32::from(channels)).to_le_bytes());
    wav.extend(channels.to_le_bytes());
    wav.extend(8_u16.to_le_bytes());
    wav.extend(0_u16.to_le_bytes());
    wav.extend(b"data");
    wav.extend(data.to_le_bytes());
    wav.extend(&bytes);
    std::fs::write(path, wav).unwrap();
    bytes
}

/// The program as a recorder.
struct Recorder {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Recorder {
    fn start(folder: &Path, server: &str, pace: &str) -> Self {
        let mut command = vivavoce(folder, ["stream", "hearing.wav", "--language", "en", "--chunk-ms", "20"]);
        command.args(["--spool", "spool", "--server", server, "--pace", pace]);
        // A recorder that was killed before it kept anything begins anew.
        if folder.join("spool/spool.head").exists() {
            command.arg("--resume");
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, said: String::new() }
    }

    fn wait_for(&mut self, words: &str) {
        while !self.said.contains(words) {
            assert!(self.lines.read_line(&mut self.said).unwrap() > 0, "it ended: {}", self.said);
        }
    }

    /// SIGKILL.
    fn kill(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it ended by itself");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; gives the hearing that it named.
    fn finish(mut self) -> HearingId {
        while self.lines.read_line(&mut self.said).unwrap() > 0 {}
        assert!(self.child.wait().unwrap().success(), "{}", self.said);
        let hearing = self.said.split("hearing ").nth(1).unwrap().lines().next().unwrap();
        hearing.parse().unwrap()
    }
}
