//! What operators rely on: readiness, metrics, stopping, silence of the log about what was said.

use std::path::Path;

use vivavoce::api::grpc::pb::{self, stream_request::Kind as In};

use crate::{
    child::children,
    support::{
        program::{Served, signal},
        server::{Open, Running, audio, channel, http, start, stream},
        speech::Speech,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_and_metrics_tell_what_goes_on() {
    let mut running = Running::start().await;
    let (status, body) = http(running.admin, "/readyz").await;
    assert!(status.contains("200"), "{status} {body}");
    assert!(http(running.admin, "/healthz").await.0.contains("200"));
    let speech = Speech::english();
    let heard = running.hear(&speech, 100).await;
    let (status, metrics) = http(running.admin, "/metrics").await;
    assert!(status.contains("200"));
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    // The engine and its counters are shared with other tests of this process.
    let seconds = speech.frames() as f64 / f64::from(speech.format.sample_rate_hz);
    let received = "vivavoce_audio_received_seconds_total{encoding=\"pcm_s16le\"}";
    // A sum of tenths of seconds.
    assert!(value(received) >= seconds - 0.001, "{} of {seconds}", value(received));
    assert!(value("vivavoce_utterances_total{captions=\"shown\"}") >= heard.finals.len() as f64);
    assert!(value("vivavoce_decode_seconds_count{pass=\"final\"}") >= heard.finals.len() as f64);
    assert!(value("vivavoce_streams_opened_total") >= 1.0);
    assert!(value("vivavoce_journal_sync_seconds_count") >= 1.0);
    for word in heard.text(1).split_whitespace().filter(|w| w.len() > 6) {
        assert!(!metrics.contains(word), "{word} is in the metrics");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_finishes_what_was_said() {
    let mut running = Running::start().await;
    let speech = Speech::english();
    let hearing = running.open(vec![channel(1, "judge", &["en"], speech.format)]).await;
    let mut open = Open::new(&mut running.client, vec![In::Start(start(&hearing))]).await.unwrap();
    for chunk in speech.chunks_ms(100) {
        open.send(audio(1, chunk)).await;
    }
    // Two seconds of silence: the last utterance has ended.
    let silence = 2 * u64::from(speech.format.sample_rate_hz);
    open.send(audio(1, &vec![0; usize::try_from(silence).unwrap() * speech.frame()])).await;
    // All of it has arrived when the last sample is durable.
    loop {
        if let Some(pb::stream_response::Kind::Stored(stored)) = open.next().await
            && stored.durable_through_sample == speech.frames() + silence
        {
            break;
        }
    }
    running.stop().await;
    let heard = open.rest().await;
    assert_eq!(heard.refused.as_ref().map(tonic::Status::code), Some(tonic::Code::Unavailable), "{:?}", heard.refused);
    assert!(speech.word_errors(&heard.text(1)) < 15.0, "{}", heard.text(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_takes_longer_than_its_time_cuts_connections_and_leaves_the_text_to_the_next_start() {
    let mut running = Running::start_with(|settings| settings.drain = std::time::Duration::ZERO).await;
    let speech = Speech::english();
    let hearing = running.open(vec![channel(1, "judge", &["en"], speech.format)]).await;
    let mut open = Open::new(&mut running.client, vec![In::Start(start(&hearing))]).await.unwrap();
    // All of it at once: its text takes seconds.
    open.send(audio(1, &speech.bytes)).await;
    loop {
        if let Some(pb::stream_response::Kind::Stored(stored)) = open.next().await
            && stored.durable_through_sample == speech.frames()
        {
            break;
        }
    }
    running.stop().await;
    let heard = open.rest().await;
    let refused = heard.refused.expect("the stream was not finished");
    assert!(!refused.message().contains("the server is stopping"), "it was told after all results: {refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_keeps_to_its_time_also_where_an_engine_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let speech = Speech::english();
    let served = Served::start_with(dir.path(), "info", &["server.drain_seconds=3"]);
    let mut client = crate::support::server::connect(served.address.parse().unwrap()).await;
    let channels = vec![channel(1, "witness", &["en"], speech.format)];
    let request = pb::OpenHearingRequest { channels, ..Default::default() };
    let hearing = client.open_hearing(request).await.unwrap().into_inner().hearing_id;
    let engines = children(served.child.id());
    assert!(!engines.is_empty());
    engines.iter().for_each(|engine| signal("STOP", *engine));
    let mut open = Open::new(&mut client, vec![In::Start(start(&hearing))]).await.unwrap();
    open.send(audio(1, &speech.bytes)).await;
    open.send(audio(1, &vec![0; 2 * 16_000 * speech.frame()])).await;
    while !matches!(open.next().await, Some(pb::stream_response::Kind::Stored(stored)) if stored.durable_through_sample > speech.frames())
    {
    }
    let asked = std::time::Instant::now();
    served.signal("TERM");
    let (code, said) = tokio::task::spawn_blocking(|| served.end()).await.unwrap();
    assert_eq!(code, Some(0), "{said}");
    // The engine would be found to hang after eight seconds, and each further one again.
    assert!(asked.elapsed().as_secs() < 3 + 4, "{:?}: {said}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_said_at_sigterm_gets_the_text_of_an_undisturbed_run_after_the_restart() {
    let dir = tempfile::tempdir().unwrap();
    let speech = Speech::english();
    let open = async |served: &Served| {
        let mut client = crate::support::server::connect(served.address.parse().unwrap()).await;
        let channels = vec![channel(1, "witness", &["en"], speech.format)];
        let request = pb::OpenHearingRequest { channels, ..Default::default() };
        let hearing = client.open_hearing(request).await.unwrap().into_inner().hearing_id;
        (client, hearing)
    };
    let end = async |served: Served| {
        let (code, said) = tokio::task::spawn_blocking(|| served.end()).await.unwrap();
        assert_eq!(code, Some(0), "{said}");
    };
    let served = Served::start(dir.path(), "info");
    let (mut client, hearing) = open(&served).await;
    let chunks = speech.chunks_ms(100).map(|samples| audio(1, samples)).collect();
    let undisturbed = stream(&mut client, start(&hearing), chunks).await;
    assert!(speech.word_errors(&undisturbed.text(1)) < 15.0, "{}", undisturbed.text(1));
    let (mut client, hearing) = open(&served).await;
    let mut amid = Open::new(&mut client, vec![In::Start(start(&hearing))]).await.unwrap();
    amid.send_until(&speech, 1, |said| matches!(said, pb::stream_response::Kind::Partial(_))).await;
    served.signal("TERM");
    let stopped = amid.rest().await;
    assert_eq!(stopped.refused.map(|status| status.code()), Some(tonic::Code::Unavailable));
    assert_eq!(stopped.finals, [], "somebody is speaking");
    end(served).await;
    let served = Served::start(dir.path(), "info");
    let mut client = crate::support::server::connect(served.address.parse().unwrap()).await;
    let again = pb::StreamStart { results_after_seq: Some(0), ..start(&hearing) };
    let mut rest = Open::new(&mut client, vec![In::Start(again)]).await.unwrap();
    let Some(pb::stream_response::Kind::Opened(opened)) = rest.next().await else { panic!("it is opened first") };
    let stored = opened.positions[0].next_sample;
    assert_eq!(Some(&stored), stopped.stored.last().map(|last| &last.durable_through_sample));
    let left = &speech.bytes[usize::try_from(stored).unwrap() * speech.frame()..];
    for chunk in left.chunks(3_200) {
        rest.send(audio(1, chunk)).await;
    }
    assert_eq!(rest.finish().await.comparable(), undisturbed.comparable());
    served.signal("TERM");
    end(served).await;
}

/// Files of a folder that contain any of the `words`.
fn holding(dir: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, words));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            found.extend(words.iter().filter(|w| text.contains(**w)).map(|w| format!("{w} in {}", path.display())));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_serves_says_nothing_of_what_was_said_and_ends_well_at_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path(), "trace");
    let mut client = crate::support::server::connect(served.address.parse().unwrap()).await;
    let speech = Speech::english();
    let label = "the protected witness Zdzislawa";
    let request = pb::OpenHearingRequest {
        reference: "reference-Quetzalcoatl".to_owned(),
        channels: vec![channel(1, label, &["en"], speech.format)],
        ..Default::default()
    };
    let hearing = client.open_hearing(request).await.unwrap().into_inner().hearing_id;
    let chunks = speech.chunks_ms(100).map(|samples| audio(1, samples)).collect();
    let heard = stream(&mut client, start(&hearing), chunks).await;
    assert!(speech.word_errors(&heard.text(1)) < 15.0);
    assert!(http(served.admin.parse().unwrap(), "/readyz").await.0.contains("200"));
    // One that is under way when the signal comes.
    let mut open = Open::new(&mut client, vec![In::Start(start(&hearing))]).await.unwrap();
    open.send_until(&speech, 1, |said| matches!(said, pb::stream_response::Kind::Partial(_))).await;
    served.signal("TERM");
    let ended = open.rest().await;
    assert_eq!(ended.refused.as_ref().map(tonic::Status::code), Some(tonic::Code::Unavailable), "{:?}", ended.refused);
    let (code, said) = tokio::task::spawn_blocking(|| served.end()).await.unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("hearing opened"), "it was logged what happened: {said}");
    let text = heard.text(1);
    let mut secrets: Vec<&str> = text.split_whitespace().filter(|w| w.chars().count() > 6).collect();
    assert!(!secrets.is_empty());
    secrets.extend(["Zdzislawa", "Quetzalcoatl"]);
    let trimmed: Vec<&str> = secrets.iter().map(|w| w.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    for secret in &trimmed {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
    // Without a cipher text does lie in the store; it lies nowhere else.
    let elsewhere: Vec<String> =
        holding(dir.path(), &trimmed).into_iter().filter(|f| !f.contains("record.sqlite")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}
