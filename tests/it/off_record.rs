//! What is off the record stays on no disk, the recorder's neither.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStderr, Stdio},
    sync::Arc,
};

use tokio::sync::{mpsc, watch};
use vivavoce::{
    api::{
        grpc::heard::ClientEvent,
        recorder::{
            self, Captured, RecorderEvent, RuntimeClock,
            session::Absence,
            spool::{Spool, SpoolError},
        },
    },
    app::SystemWorld,
    domain::{
        id::HearingId,
        time::{SamplePos, Span},
    },
};

use crate::support::{
    house::{House, SECOND, off_the_record, without},
    program::vivavoce,
    recording::{CHANNELS, TOO_LONG, recorder_of, sound, spool_in, voices},
};

/// What the spool holds is what was captured, and nothing of it lies in these seconds of a channel.
fn check_spool(spool: &mut Spool, captured: &[u8], off: &[&[(u64, u64)]]) {
    for (lane, off) in off.iter().enumerate() {
        let held = spool.holdings()[lane].clone();
        let all: Vec<u8> = captured.iter().skip(lane).step_by(CHANNELS).copied().collect();
        let mut at = held.from;
        let missing = held.missing.iter().map(|m| m.span).chain(Span::new(held.end, held.end));
        for gap in missing {
            let there = Span::new(at, gap.start()).unwrap();
            let apart =
                |(from, to): &(u64, u64)| there.end().index() <= from * SECOND || there.start().index() >= to * SECOND;
            assert!(there.is_empty() || off.iter().all(apart), "channel {lane}: {there:?} is held");
            let index = |at: SamplePos| usize::try_from(at.index()).unwrap();
            assert!(spool.read(lane, there).unwrap() == all[index(there.start())..index(there.end())]);
            at = gap.end();
        }
    }
}

/// Another folder with the same files, not copies of them: what is destroyed in one is destroyed in the other.
fn kept_by_somebody(spool: &Path, kept: &Path) {
    fs::create_dir(kept).unwrap();
    for entry in fs::read_dir(spool).unwrap() {
        let path = entry.unwrap().path();
        let target = kept.join(path.file_name().unwrap());
        match path.extension().is_some_and(|e| e == "seg") {
            true => fs::hard_link(&path, target).unwrap(),
            false => drop(fs::copy(&path, target).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_the_record_is_in_no_file_of_the_recorder_ordered_before_and_late() {
    let house = House::new().await;
    let captured = sound(&mut voices(11), 21 * SECOND);
    let (capture, input) = mpsc::channel(64);
    let (parts, how) = recorder_of(house.spool().unwrap(), house.relay.url(), input, Arc::new(RuntimeClock));
    let mut stock = parts.keeper.stock();
    let (told, mut heard) = watch::channel((None, 0, 0));
    let recording = tokio::spawn(async move {
        let mut show = |event: &RecorderEvent<'_>| {
            told.send_modify(|(hearing, stored, orders)| match event {
                RecorderEvent::Opened { hearing: id } => *hearing = Some(id.parse::<HearingId>().unwrap()),
                RecorderEvent::Heard(ClientEvent::Stored { through, channel: 1 }) => *stored = *through / SECOND,
                RecorderEvent::Heard(ClientEvent::Ordered { .. }) => *orders += 1,
                _ => {}
            });
        };
        recorder::run(parts, how, &mut show).await
    });
    let frames = |from: u64, to: u64| {
        let index = |second: u64| usize::try_from(second * SECOND).unwrap() * CHANNELS;
        Captured::Interleaved(captured[index(from)..index(to)].to_vec())
    };
    capture.send(frames(0, 4)).await.unwrap();
    let (hearing, ..) = *tokio::time::timeout(TOO_LONG, heard.wait_for(|h| h.1 == 4)).await.unwrap().unwrap();
    let hearing = hearing.unwrap();
    off_the_record(&house.server, hearing, None, 6, 8).await;
    drop(tokio::time::timeout(TOO_LONG, heard.wait_for(|h| h.2 == 2)).await.unwrap().unwrap());
    for second in 4..10 {
        capture.send(frames(second, second + 1)).await.unwrap();
    }
    drop(tokio::time::timeout(TOO_LONG, heard.wait_for(|h| h.1 == 10)).await.unwrap().unwrap());

    house.relay.cut(true);
    for second in 10..20 {
        capture.send(frames(second, second + 1)).await.unwrap();
    }
    let all = |s: &recorder::keeper::Stock| s.held[0].end.index() == 20 * SECOND;
    drop(tokio::time::timeout(TOO_LONG, stock.wait_for(all)).await.unwrap().unwrap());
    let kept = house.folder.path().with_extension("kept");
    kept_by_somebody(house.folder.path(), &kept);
    off_the_record(&house.server, hearing, Some(1), 12, 15).await;
    house.relay.up();
    drop(tokio::time::timeout(TOO_LONG, heard.wait_for(|h| h.1 == 20 && h.2 == 3)).await.unwrap().unwrap());
    recording.abort();
    assert!(recording.await.unwrap_err().is_cancelled());

    let off: [&[(u64, u64)]; 2] = [&[(6, 8), (12, 15)], &[(6, 8)]];
    let mut spool = house.reopened().await;
    assert_eq!(spool.orders().len(), 3, "each is kept once, though it was told again");
    check_spool(&mut spool, &captured, &off);
    let mut old = Spool::reopen(&spool_in(&kept, u64::MAX), house.hours.clone()).unwrap();
    check_spool(&mut old, &captured, &off);
    drop(old);
    fs::remove_dir_all(kept).unwrap();
    house.record(spool, vec![frames(20, 21)]).await;
    for (lane, ledger) in house.ledger(hearing).await.iter().enumerate() {
        let off: Vec<_> = off[lane].iter().map(|(from, to)| (from * SECOND, to * SECOND)).collect();
        let sum: u64 = off.iter().map(|(from, to)| to - from).sum();
        assert_eq!((ledger.length_samples, ledger.off_record_samples, ledger.gap_samples), (21 * SECOND, sum, 0));
        assert!(house.server.stored()[lane] == without(&captured, lane, &off));
    }
}

/// `vivavoce stream -` and what it says.
struct Streaming {
    child: Child,
    lines: BufReader<ChildStderr>,
    said: String,
}

impl Streaming {
    fn start(dir: &Path, server: &str, arguments: &[&str]) -> Self {
        let mut command = vivavoce(dir, ["stream", "-", "--spool", "spool", "--server", server]);
        let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, said: String::new() }
    }

    fn give(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn wait_for(&mut self, words: &str, times: usize) {
        while self.said.matches(words).count() < times {
            assert!(self.lines.read_line(&mut self.said).unwrap() > 0, "it ended: {}", self.said);
        }
    }

    fn hearing(&mut self) -> HearingId {
        self.wait_for("hearing ", 1);
        self.said.split("hearing ").nth(1).unwrap().lines().next().unwrap().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorder_that_is_killed_after_a_late_order_has_nothing_of_it_either() {
    let house = House::new().await;
    let dir = tempfile::tempdir().unwrap();
    let captured = sound(&mut voices(12), 10 * SECOND);
    let begin = ["--format", "mulaw", "--rate", "8000", "--channel-count", "2", "--language", "en"];
    let mut first = Streaming::start(dir.path(), &house.relay.url(), &begin);
    first.give(&captured);
    let hearing = first.hearing();
    off_the_record(&house.server, hearing, None, 2, 6).await;
    first.wait_for("[off the record]", CHANNELS);
    // SIGKILL.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let mut spool = Spool::reopen(&spool_in(&dir.path().join("spool"), u64::MAX), Arc::new(SystemWorld)).unwrap();
    let end = spool.holdings()[0].end.index() / SECOND;
    assert!(end > 2, "some of it was captured");
    check_spool(&mut spool, &captured, &[&[(2, 6)], &[(2, 6)]]);
    for held in spool.holdings().iter().filter(|held| held.from.index() < 2 * SECOND) {
        assert_eq!(held.missing[0].why, Absence::Withdrawn);
    }
    drop(spool);
    let mut again = Streaming::start(dir.path(), &house.relay.url(), &["--resume"]);
    again.give(&captured);
    drop(again.child.stdin.take());
    assert!(tokio::task::spawn_blocking(move || again.child.wait().unwrap().success()).await.unwrap());
    for ledger in house.ledger(hearing).await {
        assert_eq!(ledger.off_record_samples, 4 * SECOND);
    }
    let gone = Spool::reopen(&spool_in(&dir.path().join("spool"), u64::MAX), Arc::new(SystemWorld));
    assert!(matches!(gone, Err(SpoolError::Nothing { .. })), "it is closed");
}
