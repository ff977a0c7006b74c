//! The machine is measured, and hearings that it does not carry are refused.

use std::{fs, time::Duration};

use tonic::{Code, Request};
use vivavoce::api::grpc::pb;

use crate::support::{
    models::store_with,
    program::{err, stdout_of, vivavoce},
    server::{Running, channel, format, start, stream},
    speech::Speech,
};

#[test]
fn tune_ends_in_time_and_writes_settings_that_the_program_takes() {
    store_with(&["base-q5_1"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("court.toml");
    fs::write(&file, "# Room 4\n[recognition]\nbeam = 1 # as agreed\nworkers = 1\n").unwrap();
    let speech = Speech::english();
    let limit = Duration::from_secs(60);
    let mut tune = vivavoce(dir.path(), ["tune", "--json", "--keep-model", "--config"]);
    tune.arg(&file).args(["--model", "base-q5_1", "--seconds", "60", "--recording"]).arg(&speech.path);
    let began = std::time::Instant::now();
    let output = tune.output().unwrap();
    // What was begun when the time was over is broken off; loading the weights and ending take their time.
    assert!(began.elapsed() < limit + Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(output.status.success(), "{}", err(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["model"], "base-q5_1");
    assert!(found["measured"].as_array().unwrap().len() >= 2, "{found}");
    for one in found["measured"].as_array().unwrap() {
        assert!(one["took_ms"].as_f64().unwrap() > 1.0, "{one}");
    }
    let cores = found["cores"].as_u64().unwrap();
    assert!(found["workers"].as_u64().unwrap() * found["threads_per_worker"].as_u64().unwrap() <= cores, "{found}");

    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# Room 4\n[recognition]\nbeam = 1 # as agreed\n"), "{text}");
    let mut settings = vivavoce(dir.path(), ["settings", "--config"]);
    settings.arg(&file);
    let settings: toml::Table = toml::from_str(&stdout_of(settings)).unwrap();
    assert_eq!(settings["server"]["live_channels"].as_integer(), found["live_channels"].as_i64());
    assert_eq!(settings["recognition"]["workers"].as_integer(), found["workers"].as_i64());
    assert_eq!(settings["recognition"]["partial_step_ms"].as_integer(), found["partial_step_ms"].as_i64());
    assert_eq!(settings["recognition"]["model"].as_str(), Some("base-q5_1"));
    assert_eq!(settings["recognition"]["beam"].as_integer(), Some(1));
}

#[test]
fn a_file_of_settings_that_is_broken_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.toml");
    fs::write(&file, "[server\n").unwrap();
    let mut tune = vivavoce(dir.path(), ["tune", "--out"]);
    let output = tune.arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("other.toml"), "{}", err(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "[server\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hearing_of_more_channels_than_the_machine_carries_is_refused_and_taken_for_recording_alone() {
    let mut running = Running::start_with(|s| s.live_channels = Some(2)).await;
    let s16 = format(pb::Encoding::PcmS16le, 16_000);
    let channels = |count: u32| (1..=count).map(|n| channel(n, "seat", &["en"], s16)).collect::<Vec<_>>();
    let request = |count, recognition: pb::Recognition| pb::OpenHearingRequest {
        reference: "case 8 of 2026".to_owned(),
        channels: channels(count),
        recognition: recognition.into(),
        ..Default::default()
    };
    let mut client = running.client.clone();
    let first = running.open(channels(1)).await;
    let refused = client.open_hearing(Request::new(request(2, pb::Recognition::Live))).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    for words in ["1 of the 2 live channels", "2 more", "recording alone", "30 seconds"] {
        assert!(refused.message().contains(words), "{refused}");
    }
    assert!(refused.metadata().get("retry-after").is_some(), "it says when to come again");
    // For recording alone it is taken, and its channels are not counted.
    let later = client.open_hearing(request(16, pb::Recognition::Later)).await.unwrap().into_inner();
    assert!(stream(&mut client, start(&later.hearing_id), Vec::new()).await.refused.is_none());
    let second = client.open_hearing(request(1, pb::Recognition::Live)).await.unwrap().into_inner().hearing_id;
    let refused = client.open_hearing(request(1, pb::Recognition::Live)).await.unwrap_err();
    assert!(refused.message().contains("2 of the 2"), "{refused}");
    // Who has a seat can stream; when a hearing is closed, its seats are free.
    assert!(stream(&mut client, start(&second), Vec::new()).await.refused.is_none());
    running.close(&first).await;
    client.open_hearing(request(1, pb::Recognition::Live)).await.unwrap();
    running.stop().await;
}
