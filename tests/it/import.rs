//! Old recordings become hearings, sample by sample; orders and accounts on the command line.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use sha2::{Digest, Sha256};
use vivavoce::{api::grpc::pb, domain::change::IntervalClass};

use crate::support::{
    house::{SECOND, off_the_record, order},
    program::{Served, err, stdout_of, vivavoce},
    recording::{TOO_LONG, sound, voices},
    relay::{Budget, Relay, UNLIMITED},
    scripted::{RATE, ScriptedServer, Voice},
    server::connect,
    speech::{Folder, Speech, say},
};

/// Two channels of somebody who speaks, 16 bits, as a WAV file of so many seconds.
fn wav(path: &Path, seconds: u64) {
    let spec =
        hound::WavSpec { channels: 2, sample_rate: RATE, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let mut voices: Vec<Voice> = voices(21);
    for _ in 0..seconds * SECOND {
        voices.iter_mut().for_each(|voice| writer.write_sample((voice.next() * 32_767.0) as i16).unwrap());
    }
    writer.finalize().unwrap();
}

/// The samples of a 16-bit WAV file as another reader sees them, channel by channel.
fn samples_of_wav(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = hound::WavReader::open(path).unwrap();
    let channels = usize::from(reader.spec().channels);
    let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    (0..channels)
        .map(|lane| samples.iter().skip(lane).step_by(channels).flat_map(|s| s.to_le_bytes()).collect())
        .collect()
}

/// The decoded samples of another file, channel by channel.
fn samples(path: &Path) -> Vec<Vec<u8>> {
    let speech = Speech::read(path.to_owned(), "en".to_owned(), String::new());
    let width = speech.frame() / speech.channels;
    let lane =
        |lane: usize| speech.bytes.chunks(width).skip(lane).step_by(speech.channels).flatten().copied().collect();
    (0..speech.channels).map(lane).collect()
}

async fn hearings(server: &ScriptedServer) -> Vec<pb::Hearing> {
    let mut client = connect(server.address).await;
    client.list_hearings(pb::ListHearingsRequest { page_size: 0 }).await.unwrap().into_inner().hearings
}

fn import(dir: &Path, server: &str, files: &[&Path]) -> Command {
    let mut command = vivavoce(dir, ["import", "--language", "fr", "--server", server]);
    command.args(files);
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_recording_becomes_a_hearing_with_its_own_samples_and_where_it_came_from() {
    let server = ScriptedServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::given_or_say("old recordings of two channels");
    let court = |name: &str| folder.as_ref().map(|f| f.dir.join("court").join(name)).filter(|path| path.exists());
    let old = court("court-fr-en.wav").unwrap_or_else(|| {
        let path = dir.path().join("old.wav");
        wav(&path, 40);
        path
    });
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/audio/sequence-16.flac");
    let flac = court("court-fr-en-leak.flac").unwrap_or(data);
    let imported = output(import(dir.path(), &server.url(), &[&old, &flac])).await;
    assert!(imported.status.success(), "{}", err(&imported));
    let expected = [samples_of_wav(&old), samples(&flac)].concat();
    assert!(expected.len() >= 3 && server.stored() == expected, "bit for bit");
    let mut found = hearings(&server).await;
    found.reverse();
    let lines = String::from_utf8(imported.stdout).unwrap();
    for ((hearing, path), line) in found.iter().zip([&old, &flac]).zip(lines.lines()) {
        let from = hearing.imported.as_ref().unwrap();
        assert_eq!(from.name, path.file_name().unwrap().to_str().unwrap());
        assert_eq!(from.sha256, hex::encode(Sha256::digest(fs::read(path).unwrap())));
        assert!(hearing.closed);
        assert_eq!(line, format!("{}\t{}", hearing.hearing_id, path.display()));
    }
    assert_eq!((found.len(), lines.lines().count()), (2, 2));
    assert_eq!(fs::read_dir(dir.path().join("state/vivavoce/import")).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_survives_a_break_and_its_own_end() {
    let server = ScriptedServer::start().await;
    let relay = Relay::start(server.address).await;
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.wav");
    wav(&old, 120);
    let spent = async |times: u64| {
        let mut seen = relay.seen();
        drop(tokio::time::timeout(TOO_LONG, seen.wait_for(|s| s.spent == times)).await.unwrap().unwrap());
    };
    relay.arm(Budget { up: 400_000, ..UNLIMITED });
    let start = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = start(&mut import(dir.path(), &relay.url(), &[&old]));
    spent(1).await;
    // SIGKILL.
    first.kill().unwrap();
    first.wait().unwrap();
    let mut other = import(dir.path(), &relay.url(), &[&old]);
    other.args(["--channel", "1:witness:en"]);
    let other = output(other).await;
    assert_eq!(other.status.code(), Some(2), "{}", err(&other));
    assert!(err(&other).contains("other labels"), "{}", err(&other));
    let again = tokio::spawn(output(import(dir.path(), &relay.url(), &[&old])));
    spent(2).await;
    relay.arm(UNLIMITED);
    relay.cut(false);
    let again = again.await.unwrap();
    assert!(again.status.success(), "{}", err(&again));
    assert!(server.stored() == samples_of_wav(&old));
    let found = hearings(&server).await;
    assert!(found.len() == 1 && found[0].closed, "{found:?}");
    let (texts, conflicts, ends) = server.record(found[0].hearing_id.parse().unwrap()).await;
    assert!(texts.len() > 10 && conflicts == 0 && ends == 2, "{} {conflicts} {ends}", texts.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_whole_recording_is_refused_before_a_hearing_is_opened() {
    let server = ScriptedServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    wav(&at("good.wav"), 1);
    let good = fs::read(at("good.wav")).unwrap();
    fs::write(at("text.wav"), "the minutes of the hearing").unwrap();
    fs::write(at("cut.wav"), &good[..good.len() / 2]).unwrap();
    let mut slow = good.clone();
    // Samples a second, in the header of a WAV file.
    slow[24..28].copy_from_slice(&4_000_u32.to_le_bytes());
    slow[28..32].copy_from_slice(&16_000_u32.to_le_bytes());
    fs::write(at("slow.wav"), slow).unwrap();
    for (name, words) in [
        ("text.wav", "not audio that can be read"),
        ("cut.wav", "the file is cut"),
        ("slow.wav", "4000"),
        ("none.wav", "cannot open"),
    ] {
        let refused = output(import(dir.path(), &server.url(), &[&at(name)])).await;
        assert!(matches!(refused.status.code(), Some(1..=3)), "{name}: {}", err(&refused));
        assert!(err(&refused).contains(words) && err(&refused).contains(name), "{name}: {}", err(&refused));
        assert!(refused.stdout.is_empty());
    }
    assert!(hearings(&server).await.is_empty());
    let both = output(import(dir.path(), &server.url(), &[&at("text.wav"), &at("good.wav")])).await;
    assert!(!both.status.success(), "one of them was not imported");
    assert!(server.stored() == samples_of_wav(&at("good.wav")), "the other one was");
    let nobody = output(import(dir.path(), "http://127.0.0.1:9", &[&at("good.wav")])).await;
    assert!(err(&nobody).contains("vivavoce serve"), "{}", err(&nobody));
}

#[test]
fn an_old_recording_gets_its_text_and_orders_and_accounts_hold_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.wav");
    let Some(folder) = Folder::given_or_say("an old recording with its text") else { return };
    let mut reader = hound::WavReader::open(folder.dir.join("court/court-fr-en.wav")).unwrap();
    let (spec, seconds) = (reader.spec(), 16);
    let mut writer = hound::WavWriter::create(&old, spec).unwrap();
    let rate = spec.sample_rate as usize;
    reader.samples::<i16>().take(seconds * rate * 2).for_each(|s| writer.write_sample(s.unwrap()).unwrap());
    writer.finalize().unwrap();
    let served = Served::start(dir.path(), "info");
    let server = format!("http://{}", served.address);
    let mut command = vivavoce(dir.path(), ["import", "old.wav", "--export", "out", "--reference", "case 12"]);
    command.args(["--server", &server, "--channel", "1:witness:fr", "--channel", "2:interpreter:en"]);
    let line = stdout_of(command);
    let hearing = line.split('\t').next().unwrap();
    let document: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("out/transcript.json")).unwrap()).unwrap();
    let imported = &document["imported"];
    assert_eq!(imported["name"], "old.wav");
    assert_eq!(imported["sha256"], hex::encode(Sha256::digest(fs::read(dir.path().join("old.wav")).unwrap())));
    let channels: Vec<u64> =
        document["segments"].as_array().unwrap().iter().map(|s| s["channel"].as_u64().unwrap()).collect();
    assert!(channels.contains(&1) && channels.contains(&2), "{document}");
    let ask = |arguments: &[&str]| {
        stdout_of(vivavoce(dir.path(), [&arguments[..1], &[hearing, "--server", &server], &arguments[1..]].concat()))
    };
    let order = |arguments: &[&str]| ask(&[&["order", "--by", "judge 4", "--reason", "rule 9"], arguments].concat());
    let length = seconds * rate;
    assert_eq!(
        order(&["--class", "sealed", "--channel", "2", "--from", "0", "--to", "16000"]),
        "channel 2: sealed from sample 0 up to 16000\n"
    );
    assert_eq!(
        order(&["--class", "off-the-record", "--channel", "1", "--from", "0", "--to", "32000"]),
        "channel 1: off the record from sample 0 up to 32000\nchannel 1: destroyed from sample 0 up to 32000\n"
    );
    let again = vivavoce(
        dir.path(),
        [
            "order", hearing, "--server", &server, "--class", "open", "--from", "0", "--to", "9", "--by", "x",
            "--reason", "y",
        ],
    )
    .output()
    .unwrap();
    assert!(!again.status.success() && err(&again).contains("refuses"), "{}", err(&again));
    let accounts: serde_json::Value = serde_json::from_str(&ask(&["ledger", "--json"])).unwrap();
    for channel in accounts.as_array().unwrap() {
        let of = |name: &str| channel[format!("{name}_samples")].as_u64().unwrap();
        let sum: u64 = ["speech", "non_speech", "off_record", "muted", "gap", "pending"].into_iter().map(of).sum();
        assert_eq!((sum, of("length")), (length as u64, length as u64));
        assert_eq!(of("off_record"), if channel["channel"] == 1 { 32_000 } else { 0 });
        assert!(of("speech") > 0 && of("pending") == 0, "{channel}");
    }
    let table = ask(&["ledger"]);
    assert!(table.contains("channel 1, 0:00:00.0 to 0:00:02.0 (samples 0 to 32000): off record"), "{table}");
    say(&table);
    served.signal("TERM");
    assert_eq!(served.end().0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clerk_who_streams_gets_what_was_sealed_and_others_do_not() {
    let server = ScriptedServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut command =
        vivavoce(dir.path(), ["stream", "-", "--format", "mulaw", "--rate", "8000", "--channel-count", "2"]);
    command.args(["--language", "en", "--export", "out", "--server", &server.url()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let voices = sound(&mut voices(31), 20 * SECOND);
    let hearing = loop {
        if let Some(hearing) = hearings(&server).await.pop() {
            break hearing.hearing_id;
        }
        tokio::task::yield_now().await;
    };
    order(&server, hearing.parse().unwrap(), None, (0, 20), IntervalClass::Sealed).await;
    off_the_record(&server, hearing.parse().unwrap(), Some(2), 0, 10).await;
    let ended = tokio::task::spawn_blocking(move || {
        std::io::Write::write_all(&mut input, &voices).unwrap();
        drop(input);
        child.wait().unwrap()
    });
    assert!(ended.await.unwrap().success());
    let clerks = fs::read_to_string(dir.path().join("out/transcript.txt")).unwrap();
    let request = pb::ExportRecordRequest {
        hearing_id: hearing,
        format: pb::ExportFormat::Text.into(),
        resume_token: String::new(),
    };
    let mut pieces = connect(server.address).await.export_record(request).await.unwrap().into_inner();
    let mut others = String::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        others.push_str(&String::from_utf8(piece.content).unwrap());
    }
    assert!(clerks.contains("word") && !others.contains("word"), "{clerks}\n{others}");
}
