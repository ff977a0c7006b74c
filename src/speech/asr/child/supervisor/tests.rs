//! Processes that fail in every way, played by the shell.

use std::{
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::*;
use crate::{
    domain::{engine::Sha256Hash, language::AllowedLanguages, time::Tick},
    speech::asr::{
        Lead,
        child::{
            Patience,
            protocol::{Answer, encode},
        },
    },
};

fn hello(digest: u8) -> Hello {
    let info = EngineInfo {
        engine: "shell".to_owned(),
        engine_version: "1".to_owned(),
        model: "none".to_owned(),
        model_sha256: Sha256Hash::new([digest; 32]),
        device: "cpu".to_owned(),
        parameters: "{}".to_owned(),
    };
    Hello { version: VERSION, partial: info.clone(), last: info, languages: KnownLanguages::Any }
}

/// What plays an engine's process: a line of shell, in which `$0` is a file with a hello.
struct Play {
    dir: TempDir,
    settings: ChildSettings,
    observer: LossObserver,
    losses: Receiver<Loss>,
}

impl Play {
    fn new(line: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hello");
        std::fs::write(&path, encode(&Answer::Hello(Box::new(hello(1))), &[]).unwrap()).unwrap();
        let arguments = vec!["-c".into(), line.into(), path.into()];
        let mut settings = ChildSettings::new("sh".into(), arguments, "none".to_owned());
        settings.patience = Patience {
            start: Duration::from_secs(60),
            decode: Duration::from_secs(60),
            pause: Duration::from_millis(20),
            ..Patience::default()
        };
        let (tell, losses) = sync_channel(64);
        Self { dir, settings, observer: Arc::new(move |loss| tell.send(loss).unwrap()), losses }
    }

    fn start(&self) -> Result<ChildRecognizer, AsrError> {
        ChildRecognizer::start(self.settings.clone(), Arc::clone(&self.observer))
    }

    /// A decoder that has lost its first process and finds that none can be started.
    fn orphan(&self) -> ChildDecoder {
        let shared = Shared {
            settings: self.settings.clone(),
            hello: hello(1),
            observer: Arc::clone(&self.observer),
            running: Mutex::default(),
            given_up: AtomicBool::new(false),
        };
        ChildDecoder { shared: Arc::new(shared), process: None, starts_in_vain: 0 }
    }

    fn losses(&self) -> Vec<Loss> {
        self.losses.try_iter().collect()
    }
}

fn decode(decoder: &mut dyn Decoder, pass: Pass, cancel: &CancelFlag) -> AsrError {
    let languages = AllowedLanguages::only("en".parse().unwrap());
    let request = DecodeRequest {
        samples: &[0.5; 40_000],
        start: Tick::ZERO,
        languages: &languages,
        pass,
        lead: &Lead::default(),
        threads: 1,
    };
    decoder.decode(&request, cancel).unwrap_err()
}

fn lost(tries: u32, last: &str) -> AsrError {
    AsrError::ProcessLost { tries, last: last.to_owned() }
}

fn not_started(starts: u32, last: &str) -> AsrError {
    AsrError::ProcessNotStarted { starts, last: last.to_owned() }
}

fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_first_process_that_says_no_hello_is_an_error_that_says_how_it_ended() {
    assert_eq!(Play::new("exit 3").start().unwrap_err(), not_started(1, "it ended with code 3"));
    assert_eq!(Play::new("kill -ABRT $$").start().unwrap_err(), not_started(1, "signal 6 ended it"));
    let garbage = Play::new("echo it talks to people; exec sleep 1000");
    assert_eq!(garbage.start().unwrap_err(), not_started(1, "it did not answer as this engine does"));
    let mut hung = Play::new("exec sleep 1000");
    hung.settings.patience.start = Duration::from_millis(200);
    assert_eq!(hung.start().unwrap_err(), not_started(1, "it did not answer in time"));
    let mut absent = Play::new("");
    absent.settings.program = absent.dir.path().join("no-such-program");
    assert_eq!(absent.start().unwrap_err(), not_started(1, "it could not be started"));
}

#[test]
fn one_that_stands_still_is_killed_and_the_window_tried_three_times() {
    let mut play = Play::new("cat \"$0\"; exec sleep 1000");
    // It does not even read: the window is longer than a pipe holds.
    play.settings.patience.still = Duration::from_millis(400);
    let recognizer = play.start().unwrap();
    let first = recognizer.processes();
    let mut decoder = recognizer.decoder().unwrap();
    assert_eq!(recognizer.processes(), first, "the first process is taken over");
    let error = decode(&mut *decoder, Pass::Final, &CancelFlag::default());
    assert_eq!(error, lost(3, "it did not answer in time"));
    assert!(!error.may_pass());
    assert_eq!(play.losses(), [Loss::Hung; 3]);
    assert!(!is_there(first[0]), "it was reaped");
    assert_eq!(decode(&mut *decoder, Pass::Partial, &CancelFlag::default()), lost(1, "it did not answer in time"));
    let last = recognizer.processes();
    assert_eq!(last.len(), 1, "the next one loads already");
    drop(decoder);
    assert!(recognizer.processes().is_empty() && !is_there(last[0]));
}

#[test]
fn one_that_computes_for_ever_is_killed_at_the_deadline() {
    let mut play = Play::new("cat \"$0\"; while :; do :; done");
    play.settings.patience.decode = Duration::from_millis(100);
    play.settings.patience.times = 0;
    play.settings.tries = 1;
    let mut decoder = play.start().unwrap().decoder().unwrap();
    assert_eq!(decode(&mut *decoder, Pass::Final, &CancelFlag::default()), lost(1, "it did not answer in time"));
}

#[test]
fn one_that_dies_or_talks_nonsense_amid_a_decode_is_replaced() {
    for (line, last, loss) in [
        ("head -c 1000 >/dev/null; kill -KILL $$", "signal 9 ended it", Loss::Killed { signal: 9 }),
        ("exit 101", "it ended with code 101", Loss::Exited { code: 101 }),
        ("head -c 1000 >/dev/null; cat \"$0\"; exec sleep 1000", "it did not answer as this engine does", Loss::Broken),
        ("echo Ask not what; exec sleep 1000", "it did not answer as this engine does", Loss::Broken),
    ] {
        let play = Play::new(&format!("cat \"$0\"; {line}"));
        let mut decoder = play.start().unwrap().decoder().unwrap();
        assert_eq!(decode(&mut *decoder, Pass::Final, &CancelFlag::default()), lost(3, last), "{line}");
        assert_eq!(play.losses(), [loss; 3], "{line}");
    }
}

#[test]
fn an_engine_other_than_the_first_is_refused() {
    let mut play = Play::new("cat \"$0\"; exit 1");
    play.settings.starts = 2;
    let mut decoder = play.start().unwrap().decoder().unwrap();
    let other = encode(&Answer::Hello(Box::new(hello(2))), &[]).unwrap();
    std::fs::write(play.dir.path().join("hello"), other).unwrap();
    let error = decode(&mut *decoder, Pass::Final, &CancelFlag::default());
    assert_eq!(error, not_started(2, "it did not answer as this engine does"));
    assert_eq!(play.losses(), [Loss::Exited { code: 1 }, Loss::Broken, Loss::Broken]);
}

#[test]
fn starts_in_vain_have_longer_and_longer_pauses_and_an_end() {
    let play = Play::new("exit 1");
    let mut decoder = play.orphan();
    let begun = Instant::now();
    assert_eq!(decode(&mut decoder, Pass::Final, &CancelFlag::default()), not_started(5, "it ended with code 1"));
    let pauses = Duration::from_millis(20 + 40 + 80 + 160);
    assert!(begun.elapsed() >= pauses, "{:?}", begun.elapsed());
    assert_eq!(play.losses(), [Loss::Exited { code: 1 }; 5]);
    let begun = Instant::now();
    assert_eq!(decode(&mut decoder, Pass::Final, &CancelFlag::default()), not_started(6, "it ended with code 1"));
    assert!(begun.elapsed() >= Duration::from_millis(320), "the pause still holds");
    let begun = Instant::now();
    assert_eq!(decode(&mut decoder, Pass::Partial, &CancelFlag::default()), AsrError::Cancelled);
    assert!(begun.elapsed() < Duration::from_millis(320), "text for display does not wait");
    assert_eq!(play.losses(), [Loss::Exited { code: 1 }], "one start a window from then on");
}

#[test]
fn who_gives_up_does_not_wait_for_a_pause() {
    let mut play = Play::new("exit 1");
    play.settings.patience.pause = Duration::from_secs(3_600);
    play.settings.patience.longest_pause = Duration::from_secs(3_600);
    let mut decoder = play.orphan();
    let cancel = CancelFlag::default();
    let raise = cancel.clone();
    let waiting = thread::Builder::new().spawn(move || {
        // The first start came to nothing: the decoder is about to pause, or does already.
        let loss = play.losses.recv().unwrap();
        raise.cancel();
        loss
    });
    assert_eq!(decode(&mut decoder, Pass::Final, &cancel), AsrError::Cancelled);
    assert_eq!(waiting.unwrap().join().unwrap(), Loss::Exited { code: 1 });
}

#[test]
fn a_decode_that_is_given_up_and_not_answered_costs_the_process_alone() {
    // It reads all and says nothing; its way to say something stays open.
    let mut play = Play::new("cat \"$0\"; exec 3>&1; exec cat >/dev/null");
    play.settings.patience.cancel = Duration::from_millis(50);
    let mut decoder = play.start().unwrap().decoder().unwrap();
    let cancel = CancelFlag::default();
    cancel.cancel();
    assert_eq!(decode(&mut *decoder, Pass::Final, &cancel), AsrError::Cancelled);
    assert_eq!(play.losses(), [Loss::Hung]);
}
