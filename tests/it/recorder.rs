//! A recorder outlives its network and itself.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{mpsc, watch};
use vivavoce::{
    api::{
        grpc::heard::ClientEvent,
        recorder::{
            self, Captured, Clock, RecorderEvent, RuntimeClock,
            spool::{Spool, SpoolError},
        },
    },
    app::SystemWorld,
};

use crate::support::{
    faults::{Cuts, Kills, cut_the_network, kill_the_recorder},
    program::{err, vivavoce},
    recording::{CHANNELS, TOO_LONG, channels, compare, recorder_of, sound, spool_in, voices},
    relay::Relay,
    scripted::{RATE, ScriptedServer},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_of_the_network_change_neither_samples_nor_text() {
    let verdict = cut_the_network(Cuts { channels: CHANNELS, cuts: 20, long: 1, seed: 1 }).await;
    // Half an hour was away, and what was said meanwhile is there.
    assert!(verdict.faults == 20 && verdict.frames > 30 * 60 * 8_000 && verdict.texts > 500, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_the_recorder_change_neither_samples_nor_text() {
    let verdict = kill_the_recorder(Kills { kills: 5, seed: 1 }).await;
    assert!(verdict.faults == 5 && verdict.texts > 2, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorder_that_is_let_go_of_does_not_end_the_input() {
    let server = ScriptedServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let five_seconds = 5 * u64::from(RATE);
    let (one, two) = (sound(&mut voices(1), five_seconds), sound(&mut voices(2), five_seconds));
    let (capture, input) = mpsc::channel(8);
    let settings = spool_in(folder.path(), u64::MAX);
    let spool = Spool::create(&settings, channels(), None, Arc::new(SystemWorld)).unwrap();
    let (parts, how) = recorder_of(spool, server.url(), input, Arc::new(RuntimeClock));
    let (heard, mut stored) = watch::channel(0);
    let first = tokio::spawn(async move {
        let mut show = |event: &RecorderEvent<'_>| {
            if let RecorderEvent::Heard(ClientEvent::Stored { through, .. }) = event {
                heard.send_replace(*through);
            }
        };
        recorder::run(parts, how, &mut show).await
    });
    capture.send(Captured::Interleaved(one.clone())).await.unwrap();
    tokio::time::timeout(TOO_LONG, stored.wait_for(|through| *through == five_seconds)).await.unwrap().unwrap();
    // Its process lives on, so nothing but the recorder itself cuts the connection.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let spool = loop {
        match Spool::reopen(&settings, Arc::new(SystemWorld)) {
            // Its thread lets the folder go in a moment.
            Err(SpoolError::Busy { .. }) => tokio::task::yield_now().await,
            reopened => break reopened.unwrap(),
        }
    };
    let (capture, input) = mpsc::channel(8);
    let (parts, how) = recorder_of(spool, server.url(), input, Arc::new(RuntimeClock));
    capture.send(Captured::Interleaved(two.clone())).await.unwrap();
    drop(capture);
    let recorded = recorder::run(parts, how, &mut |_| {}).await.unwrap();
    let verdict = compare(&server, recorded.hearing.parse().unwrap(), &[one, two].concat(), 1).await;
    assert!(verdict.texts > 2, "{verdict:?}");
}

/// Time passes when a test says so.
#[derive(Debug)]
struct Paused(mpsc::Sender<(Duration, tokio::sync::oneshot::Sender<()>)>);

#[async_trait::async_trait]
impl Clock for Paused {
    async fn pause(&self, length: Duration) {
        let (over, passed) = tokio::sync::oneshot::channel();
        self.0.send((length, over)).await.unwrap();
        let _ended = passed.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_is_recorded_on_while_the_server_does_not_know_the_hearing() {
    let (server, stranger) = (ScriptedServer::start().await, ScriptedServer::start().await);
    let relay = Relay::start(server.address).await;
    let folder = tempfile::tempdir().unwrap();
    let five_seconds = 5 * u64::from(RATE);
    let (one, two) = (sound(&mut voices(1), five_seconds), sound(&mut voices(2), five_seconds));
    let (capture, input) = mpsc::channel(8);
    let spool = Spool::create(&spool_in(folder.path(), u64::MAX), channels(), None, Arc::new(SystemWorld)).unwrap();
    let (pauses, mut pause) = mpsc::channel(1);
    let (parts, how) = recorder_of(spool, relay.url(), input, Arc::new(Paused(pauses)));
    let (heard, mut stored) = watch::channel(0);
    let recording = tokio::spawn(async move {
        let mut show = |event: &RecorderEvent<'_>| {
            if let RecorderEvent::Heard(ClientEvent::Stored { through, .. }) = event {
                heard.send_replace(*through);
            }
        };
        recorder::run(parts, how, &mut show).await
    });
    capture.send(Captured::Interleaved(one.clone())).await.unwrap();
    tokio::time::timeout(TOO_LONG, stored.wait_for(|through| *through == five_seconds)).await.unwrap().unwrap();
    // As after an older backup was restored: the hearing is not known, and nobody can say when it will be.
    relay.lead_to(stranger.address);
    // The cut itself passes soon; then somebody has to mend something.
    let mut to_be_mended = async || loop {
        let (length, over) = tokio::time::timeout(TOO_LONG, pause.recv()).await.unwrap().unwrap();
        if length >= Duration::from_secs(60) {
            return over;
        }
        over.send(()).unwrap();
    };
    let first = to_be_mended().await;
    capture.send(Captured::Interleaved(two.clone())).await.unwrap();
    first.send(()).unwrap();
    let second = to_be_mended().await;
    relay.lead_to(server.address);
    second.send(()).unwrap();
    drop(capture);
    let recorded = tokio::time::timeout(TOO_LONG, recording).await.unwrap().unwrap().unwrap();
    let verdict = compare(&server, recorded.hearing.parse().unwrap(), &[one, two].concat(), 1).await;
    assert!(verdict.texts > 2, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pipe_gives_is_recorded_and_a_recess_does_not_end_the_hearing() {
    let server = ScriptedServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (vec![0x10; 16_000], vec![0x91; 7_777 * 2]);
    // The runtime has threads of its own; this one may wait.
    let run = |arguments: &[&str], bytes: &[u8]| {
        let mut command = vivavoce(dir.path(), ["stream", "-", "--server", &server.url(), "--keep-open"]);
        // The usual folder, under the user's own.
        command.args(arguments).env("XDG_STATE_HOME", dir.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // In pieces that end inside frames.
        bytes.chunks(333).for_each(|piece| pipe.write_all(piece).unwrap());
        drop(pipe);
        child.wait_with_output().unwrap()
    };
    let begin = ["--format", "mulaw", "--rate", "8000", "--channel-count", "2", "--language", "en"];
    let morning = run(&begin, &first);
    let afternoon = run(&["--resume"], &second);
    let other = run(&["--resume", "--rate", "16000"], &second);
    let hearing = |said: &str| said.split("hearing ").nth(1).unwrap()[..36].to_owned();
    assert!(morning.status.success() && afternoon.status.success(), "{} {}", err(&morning), err(&afternoon));
    assert_eq!(hearing(&err(&morning)), hearing(&err(&afternoon)));
    assert_eq!(other.status.code(), Some(2), "{}", err(&other));
    assert!(err(&other).contains("differs in its rate"), "{}", err(&other));
    let both = [first, second].concat();
    let lane = |lane: usize| both.iter().skip(lane).step_by(2).copied().collect::<Vec<u8>>();
    assert!(server.stored() == [lane(0), lane(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_pass_ends_the_recorder_with_what_to_do() {
    let server = ScriptedServer::start().await;
    let relay = Relay::start(server.address).await;
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], environment: &dyn Fn(&mut Command)| {
        let mut command = vivavoce(dir.path(), ["stream", "-", "--server", &relay.url()]);
        environment(command.args(arguments));
        command.output().unwrap()
    };
    let live = ["--rate", "8000", "--language", "en"];
    let homeless = run(&live, &|c| {
        c.env_remove("HOME").env_remove("XDG_STATE_HOME");
    });
    let nothing = run(&["--resume", "--spool", "none"], &|_| {});
    let silent = run(&["--language", "en", "--spool", "one"], &|_| {});
    let kept = run(&[&live[..], &["--spool", "two", "--keep-open"]].concat(), &|_| {});
    for (output, code, words) in
        [(&homeless, 2, "--spool"), (&nothing, 1, "holds no hearing"), (&silent, 2, "--rate"), (&kept, 0, "stays open")]
    {
        assert_eq!(output.status.code(), Some(code), "{}", err(output));
        assert!(err(output).contains(words), "{}", err(output));
    }
}
