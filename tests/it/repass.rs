//! A closed hearing heard once more by a better model, through a running server: proposals, and a text that stands.

use std::{fs, path::Path};

use serde_json::Value;
use vivavoce::api::grpc::pb;

use crate::{
    child::{children, wait_until},
    support::{
        models::store_with,
        program::{Served, err, stdout_of, vivavoce},
        server::connect,
        speech::{Speech, say},
    },
};

/// The record of the one hearing on the server, as JSON, and its id.
async fn exported(served: &Served) -> (String, Value) {
    let mut client = connect(served.address.parse().unwrap()).await;
    let hearings = client.list_hearings(pb::ListHearingsRequest { page_size: 0 }).await.unwrap().into_inner().hearings;
    let [hearing] = &hearings[..] else { panic!("{hearings:?}") };
    let format = pb::ExportFormat::Json.into();
    let request =
        pb::ExportRecordRequest { hearing_id: hearing.hearing_id.clone(), format, resume_token: String::new() };
    let mut pieces = client.export_record(request).await.unwrap().into_inner();
    let mut document = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        document.extend(piece.content);
    }
    (hearing.hearing_id.clone(), serde_json::from_slice(&document).unwrap())
}

fn parameters(document: &Value, row: &Value) -> (String, Value) {
    let engine = &document["engines"][usize::try_from(row["engine"].as_u64().unwrap()).unwrap()];
    let parameters = serde_json::from_str(engine["parameters"].as_str().unwrap()).unwrap();
    (engine["model"].as_str().unwrap().to_owned(), parameters)
}

async fn output(dir: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = vivavoce(dir, arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_better_model_proposes_and_the_text_stands() {
    store_with(&["base", "base-q5_1", "silero-vad"]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("vivavoce.toml"), "[recognition]\nmodel = \"base-q5_1\"\nworkers = 1\n").unwrap();
    Speech::english().write(&dir.path().join("hearing.wav"));
    let served = Served::start(dir.path(), "info");
    let server = format!("http://{}", served.address);
    let streamed =
        output(dir.path(), &["stream", "hearing.wav", "--server", &server, "--language", "en", "--pace", "fast"]).await;
    assert!(streamed.status.success(), "{}", err(&streamed));
    let (hearing, stands) = exported(&served).await;
    assert!(stands.get("proposals").is_none() && !stands["segments"].as_array().unwrap().is_empty());
    let (model, made) = parameters(&stands, &stands["segments"][0]);
    assert_eq!((model.as_str(), &made["profile"]), ("base-q5_1", &"final".into()));
    let engines = children(served.child.id()).len();

    // What is no recogniser, and what is no model, is refused before anything is heard.
    let refused = output(dir.path(), &["repass", &hearing, "--server", &server, "--model", "silero-vad"]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));
    assert!(err(&refused).contains("silero-vad is no recogniser"), "{}", err(&refused));
    let refused = output(dir.path(), &["repass", &hearing, "--server", &server, "--model", "nobodys"]).await;
    assert!(!refused.status.success() && err(&refused).contains("nobodys"), "{}", err(&refused));

    let asked = ["repass", &hearing, "--server", &server, "--model", "base", "--json"];
    let first = output(dir.path(), &asked).await;
    assert!(first.status.success(), "{}", err(&first));
    let done: Value = serde_json::from_slice(&first.stdout).unwrap();
    say(&format!("re-pass of base-q5_1 with base: {done}"));
    assert_eq!((&done["model"], &done["failed"]), (&"base".into(), &0.into()));
    assert!(done["utterances"].as_u64().unwrap() > 0 && done["words"].as_u64().unwrap() > 4, "{done}");
    let (_, now) = exported(&served).await;
    let without_engine = |document: &Value| {
        let mut rows = document["segments"].as_array().unwrap().clone();
        rows.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("engine")));
        rows
    };
    assert_eq!(without_engine(&now), without_engine(&stands), "the text stands");
    let proposals = now.get("proposals").and_then(Value::as_array).cloned().unwrap_or_default();
    assert_eq!(proposals.len() as u64, done["proposed"].as_u64().unwrap());
    for proposal in &proposals {
        let (model, made) = parameters(&now, proposal);
        assert_eq!(
            (model.as_str(), &made["profile"], &made["context_pad"]),
            ("base", &"archive".into(), &1_500.into())
        );
        for replaced in proposal["replaces"].as_array().unwrap() {
            assert!(now["segments"].as_array().unwrap().iter().any(|s| s["id"] == *replaced), "{proposal}");
        }
    }
    wait_until("the second engine ends", || children(served.child.id()).len() == engines);

    let second = output(dir.path(), &asked[..6]).await;
    let said = String::from_utf8(second.stdout.clone()).unwrap();
    let expected = format!("0 texts are proposed now, {} were before", proposals.len());
    assert!(second.status.success() && said.contains(&expected), "{said}{}", err(&second));
    served.signal("TERM");
    assert_eq!(tokio::task::spawn_blocking(|| served.end()).await.unwrap().0, Some(0));
}

#[test]
fn a_recording_is_transcribed_patiently() {
    let dir = tempfile::tempdir().unwrap();
    let speech = Speech::english();
    speech.write(&dir.path().join("old.wav"));
    let json =
        stdout_of(vivavoce(dir.path(), ["transcribe", "old.wav", "-l", "en", "-f", "json", "--profile", "archive"]));
    let document: Value = serde_json::from_str(&json).unwrap();
    let (_, made) = parameters(&document, &document["segments"][0]);
    assert_eq!((&made["profile"], &made["endpoint"]["longest_ms"]), (&"archive".into(), &28_000.into()));
    let text: Vec<&str> = document["segments"].as_array().unwrap().iter().filter_map(|s| s["text"].as_str()).collect();
    assert!(speech.word_errors(&text.join(" ")) < 15.0, "{text:?}");
    let live = vivavoce(dir.path(), ["transcribe", "old.wav", "-l", "en", "--profile", "live"]).output().unwrap();
    assert_eq!(live.status.code(), Some(2), "{}", err(&live));
}
