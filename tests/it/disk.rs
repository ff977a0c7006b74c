//! A disk that is full: said at once, nothing acknowledged is lost, and all goes on when there is room.
//!
//! These mount a file system of their own, which only the administrator may do; elsewhere they say so and are passed over.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};
use vivavoce::{
    api::{
        grpc::pb::{self, stream_request::Kind as In},
        recorder::{self, Captured, RecorderEvent, RuntimeClock, spool::Spool},
    },
    app::SystemWorld,
};

use crate::support::{
    recording::{CHANNELS, TOO_LONG, channels, compare, recorder_of, sound, spool_in, voices},
    scripted::{RATE, ScriptedServer},
    server::{Open, Running, audio, channel, connect, format, http},
    speech::say,
};

/// A small disk of memory, gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path) -> Option<Self> {
        let at = folder.join("disk");
        fs::create_dir(&at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&at).output();
        if !done.as_ref().is_ok_and(|output| output.status.success()) {
            say(&format!("note: passed over, since nothing may be mounted here: {done:?}"));
            return None;
        }
        Some(Self(at))
    }

    /// Fills it; removing the file makes room again.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        path
    }

    fn data(&self) -> PathBuf {
        let data = self.0.join("data");
        fs::create_dir_all(data.join("audio")).unwrap();
        data
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg("-l").arg(&self.0).status().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_stream_at_once_with_the_reason_and_what_was_acknowledged_stays() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(dir.path()) else { return };
    let server = ScriptedServer::start_in(disk.data()).await;
    let mut client = connect(server.address).await;
    let one = channel(1, "seat", &["en"], format(pb::Encoding::Mulaw, RATE));
    let request = pb::OpenHearingRequest { channels: vec![one], ..Default::default() };
    let hearing = client.open_hearing(request).await.unwrap().into_inner();
    let start = pb::StreamStart { hearing_id: hearing.hearing_id.clone(), ..Default::default() };
    let mut open = Open::new(&mut client, vec![In::Start(start)]).await.unwrap();
    open.send(audio(1, &[0x55; 4_000])).await;
    let acknowledged = loop {
        if let Some(pb::stream_response::Kind::Stored(stored)) = open.next().await {
            break stored.durable_through_sample;
        }
    };
    let Open { requests, responses } = open;
    let heard = tokio::spawn(Open { requests: requests.clone(), responses }.rest());
    let filler = disk.fill();
    let (began, mut sent) = (Instant::now(), 0_usize);
    while !heard.is_finished() {
        // The last ones find nobody who takes them.
        let message = pb::StreamRequest { kind: Some(audio(1, &[0x55; 4_000])) };
        if requests.send(message).await.is_err() {
            break;
        }
        sent += 4_000;
    }
    let heard = heard.await.unwrap();
    say(&format!("a full disk was told after {:?} and {sent} samples", began.elapsed()));
    let refused = heard.refused.as_ref().unwrap();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    assert!(
        refused.message().contains("no room left on disk") && refused.message().contains("free some"),
        "{refused:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let acknowledged = heard.durable().get(&1).copied().unwrap_or(acknowledged);
    assert!(acknowledged >= 4_000);
    let stored = server.stored();
    assert!(stored[0].len() as u64 >= acknowledged && stored[0].iter().all(|byte| *byte == 0x55));
    fs::remove_file(filler).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorder_goes_on_when_there_is_room_again_and_the_text_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(dir.path()) else { return };
    let server = ScriptedServer::start_in(disk.data()).await;
    let spool = spool_in(&dir.path().join("spool"), u64::MAX);
    let spool = Spool::create(&spool, channels(), None, Arc::new(SystemWorld)).unwrap();
    let (capture, input) = mpsc::channel(8);
    let (parts, how) = recorder_of(spool, server.url(), input, Arc::new(RuntimeClock));
    let (broken, mut breaks) = watch::channel(String::new());
    let (heard, mut stored) = watch::channel(0);
    let recording = tokio::spawn(async move {
        let mut show = |event: &RecorderEvent<'_>| match event {
            RecorderEvent::Heard(vivavoce::api::grpc::heard::ClientEvent::Stored { through, .. }) => {
                heard.send_replace(*through);
            }
            RecorderEvent::Broken { .. } => {
                broken.send_replace(format!("{event:?}"));
            }
            _ => {}
        };
        recorder::run(parts, how, &mut show).await
    });
    let mut voices = voices(11);
    let mut said = Vec::new();
    let mut speak = async |seconds: u64| {
        for _ in 0..seconds {
            let second = sound(&mut voices, u64::from(RATE));
            capture.send(Captured::Interleaved(second.clone())).await.unwrap();
            said.extend(second);
        }
    };
    speak(20).await;
    tokio::time::timeout(TOO_LONG, stored.wait_for(|through| *through > 0)).await.unwrap().unwrap();
    let filler = disk.fill();
    // Twice, so that it is refused also where it comes back.
    for _ in 0..2 {
        speak(20).await;
        breaks.mark_unchanged();
        tokio::time::timeout(TOO_LONG, breaks.changed()).await.unwrap().unwrap();
    }
    let why = breaks.borrow().clone();
    fs::remove_file(filler).unwrap();
    speak(20).await;
    drop(capture);
    let recorded = tokio::time::timeout(TOO_LONG, recording).await.unwrap().unwrap().unwrap();
    let verdict = compare(&server, recorded.hearing.parse().unwrap(), &said, 1).await;
    assert!(verdict.frames as usize == said.len() / CHANNELS && verdict.texts > 10, "{verdict:?} {why}");
}

/// Asks until the answer is `ready`; gives the body.
async fn readiness(running: &Running, ready: bool) -> String {
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let asked = async {
        loop {
            look.tick().await;
            let (status, body) = http(running.admin, "/readyz").await;
            if status.contains("200") == ready {
                return body;
            }
        }
    };
    tokio::time::timeout(TOO_LONG, asked).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_follows_the_disk_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(dir.path()) else { return };
    let data = disk.data();
    let mut running = Running::start_with(|settings| (settings.data, settings.reserve) = (data, 4 << 20)).await;
    readiness(&running, true).await;
    let mulaw = format(pb::Encoding::Mulaw, RATE);
    let request =
        || pb::OpenHearingRequest { channels: vec![channel(1, "seat", &["en"], mulaw)], ..Default::default() };
    running.client.open_hearing(request()).await.unwrap();
    // Less than the reserve, and not full.
    let some = disk.0.join("some");
    fs::write(&some, vec![1; 13 << 20]).unwrap();
    let body = readiness(&running, false).await;
    assert!(body.contains("\"state\":\"degraded\"") && body.contains("data.reserve_mib"), "{body}");
    let refused = running.client.open_hearing(request()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
    assert_eq!(refused.metadata().get("retry-after").unwrap(), "60");
    let filler = disk.fill();
    loop {
        let body = readiness(&running, false).await;
        if body.contains("\"state\":\"failed\"") && body.contains("nothing can be written") {
            break;
        }
    }
    fs::remove_file(filler).unwrap();
    fs::remove_file(some).unwrap();
    readiness(&running, true).await;
    running.client.open_hearing(request()).await.unwrap();
    running.stop().await;
}
