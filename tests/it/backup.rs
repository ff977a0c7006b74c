//! Backups of a server that goes on writing, and what comes of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use vivavoce::{
    api::grpc::pb::{self, stream_request::Kind as In},
    record::backup::manifest::Manifest,
};

use crate::support::{
    program::{err, vivavoce},
    recording::{CHANNELS, sound, voices},
    scripted::{RATE, ScriptedServer},
    server::{Open, channel, connect, format},
};

/// Runs the program with the data folder `data`.
async fn program(dir: &Path, data: &Path, arguments: Vec<PathBuf>) -> Output {
    let mut command = vivavoce(dir, arguments);
    command.env("VIVAVOCE_DATA__DIR", data);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn words(arguments: &[&str]) -> Vec<PathBuf> {
    arguments.iter().map(PathBuf::from).collect()
}

/// All channels from a frame on.
fn chunk(first: u64, frames: &[u8]) -> In {
    In::Audio(pb::AudioChunk { first_sample: Some(first), samples: frames.to_vec(), ..pb::AudioChunk::default() })
}

/// A hearing of two microphones; gives it with its token.
async fn opened(server: &ScriptedServer) -> pb::OpenHearingResponse {
    let mulaw = format(pb::Encoding::Mulaw, RATE);
    let channels = (1..=CHANNELS).map(|n| channel(n as u32, &format!("seat {n}"), &["en"], mulaw)).collect();
    let request = pb::OpenHearingRequest { channels, ..Default::default() };
    connect(server.address).await.open_hearing(request).await.unwrap().into_inner()
}

/// Takes the hearing up with its token and sends all of it from where the server stands; closes it.
async fn bring_to_its_end(server: &ScriptedServer, hearing: &pb::OpenHearingResponse, bytes: &[u8]) {
    let mut client = connect(server.address).await;
    let start = pb::StreamStart {
        hearing_id: hearing.hearing_id.clone(),
        resume_token: hearing.resume_token.clone(),
        // A text of before may be revised: who hears of that has to know it.
        results_after_seq: Some(0),
        ..Default::default()
    };
    let mut open = Open::new(&mut client, vec![In::Start(start)]).await.unwrap();
    let Some(pb::stream_response::Kind::Opened(stands)) = open.next().await else { panic!("it does not open") };
    for position in stands.positions {
        let lane = position.channel as usize - 1;
        let samples: Vec<u8> = bytes.iter().skip(lane).step_by(CHANNELS).copied().collect();
        let mut first = position.next_sample;
        for piece in samples[first as usize..].chunks(4_000) {
            let mut audio = pb::AudioChunk { channel: position.channel, samples: piece.to_vec(), ..Default::default() };
            audio.first_sample = Some(first);
            open.send(In::Audio(audio)).await;
            first += piece.len() as u64;
        }
    }
    let heard = open.finish().await;
    assert!(heard.finished.is_some(), "{:?}", heard.refused);
    let request = pb::CloseHearingRequest { hearing_id: hearing.hearing_id.clone() };
    client.close_hearing(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_during_one_stream_are_prefixes_of_it_and_go_on_to_the_same_end() {
    const BACKUPS: usize = 4;
    let server = ScriptedServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let hearing = opened(&server).await;
    let mut client = connect(server.address).await;
    let start = pb::StreamStart { hearing_id: hearing.hearing_id.clone(), ..Default::default() };
    let open = Open::new(&mut client, vec![In::Start(start)]).await.unwrap();
    let mut voices = voices(7);
    let (mut said, mut taken) = (Vec::new(), Vec::new());
    let mut speak = async |seconds: u64| {
        for _ in 0..seconds * 10 {
            let tenth = sound(&mut voices, u64::from(RATE) / 10);
            open.send(chunk((said.len() / CHANNELS) as u64, &tenth)).await;
            said.extend(tenth);
        }
    };
    speak(20).await;
    for number in 0..BACKUPS {
        let into = dir.path().join(number.to_string());
        let mut backup = Box::pin(program(dir.path(), &server.data, vec!["backup".into(), into]));
        // It is spoken on as long as it takes.
        let output = loop {
            tokio::select! {
                output = &mut backup => break output,
                () = speak(1) => {}
            }
        };
        assert!(output.status.success(), "{}", err(&output));
        assert!(err(&output).contains("warning: the keys lie in its folder keys"), "{}", err(&output));
        taken.push(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()));
        speak(7).await;
    }
    let heard = open.finish().await;
    assert!(heard.finished.is_some(), "{:?}", heard.refused);
    let id = hearing.hearing_id.parse().unwrap();
    server.hearings.close(id, vivavoce_actor()).await.unwrap();
    let (texts, ..) = server.record(id).await;
    let lanes = server.stored();
    assert!(texts.len() > 20 && lanes[0].len() == said.len() / CHANNELS);
    let mut lengths = Vec::new();
    for (number, backup) in taken.iter().enumerate() {
        let manifest = Manifest::read(backup).unwrap();
        let to = dir.path().join(format!("restored-{number}"));
        let mut command =
            vivavoce(dir.path(), ["restore".as_ref(), backup.as_os_str(), "--to".as_ref(), to.as_os_str()]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", err(&output));
        let restored = ScriptedServer::start_in(to).await;
        let prefix = restored.stored();
        for (lane, (prefix, whole)) in prefix.iter().zip(&lanes).enumerate() {
            assert!(whole.starts_with(prefix), "{lane}");
            assert_eq!(manifest.hearings[0].channels[lane].end.unwrap().index(), prefix.len() as u64);
        }
        lengths.push(prefix[0].len());
        bring_to_its_end(&restored, &hearing, &said).await;
        assert_eq!(restored.stored(), lanes);
        assert_eq!(restored.record(id).await.0, texts, "the text is that of the server that went on");
    }
    // They are of different moments, all of them of the time when it was streamed.
    assert!(lengths.is_sorted_by(|a, b| a < b) && lengths[0] > 0, "{lengths:?}");
    assert!(lengths[BACKUPS - 1] < lanes[0].len(), "{lengths:?}");
}

fn vivavoce_actor() -> vivavoce::domain::actor::Actor {
    vivavoce::domain::actor::Actor { kind: vivavoce::domain::actor::ActorKind::Program, id: "test".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_tells_whole_backups_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir_all(data.join("audio")).unwrap();
    let server = ScriptedServer::start_in(data.clone()).await;
    let hearing = opened(&server).await;
    bring_to_its_end(&server, &hearing, &sound(&mut voices(3), 10 * u64::from(RATE))).await;
    // Nobody stops the server well: its log lies beside the record.
    assert!(data.join("record.sqlite-wal").exists());
    let output = program(dir.path(), &data, words(&["backup", "kept", "--without-keys"])).await;
    assert!(output.status.success() && err(&output).contains("it has no keys"), "{}", err(&output));
    let backup = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let path = backup.to_str().unwrap();
    let run = async |arguments: &[&str]| program(dir.path(), &data, words(arguments)).await;
    let keys = data.join("keys");
    let keys = keys.to_str().unwrap();
    for (arguments, code, expected) in [
        (vec!["backup", "verify", path], 0, "whole as far as can be told without keys"),
        (vec!["backup", "verify", path, "--keys", keys], 0, "everything opens"),
        (vec!["restore", path, "--to", "new"], 2, "--keys"),
        (vec!["restore", path, "--to", "data", "--keys", keys], 1, "not empty"),
        (vec!["restore", path, "--to", "new", "--keys", keys], 0, "verified and restored"),
        (vec!["backup", "verify", "kept"], 3, "no whole backup"),
        (vec!["backup"], 2, "<DIR>"),
        (vec!["--set", "data.dir=nowhere", "backup", "kept"], 1, "there is no record at nowhere/record.sqlite"),
    ] {
        let output = run(&arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {}", err(&output));
        assert!(err(&output).contains(expected), "{arguments:?} {}", err(&output));
    }
    let journal = Manifest::read(&dir.path().join(&backup)).unwrap().files[0].path.clone();
    let whole = dir.path().join(&backup).join(&journal);
    let mut bytes = fs::read(&whole).unwrap();
    bytes[1_000] ^= 16;
    fs::write(&whole, bytes).unwrap();
    for arguments in [vec!["backup", "verify", path], vec!["restore", path, "--to", "newer", "--keys", keys]] {
        let output = run(&arguments).await;
        assert_eq!(output.status.code(), Some(3), "{}", err(&output));
        assert!(err(&output).contains(&journal), "{}", err(&output));
    }
    assert!(!dir.path().join("newer").exists());
}
