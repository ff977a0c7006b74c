//! A client in another language, with none of our code and no `.proto` file.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
};

use crate::support::{
    models::dir,
    server::{Running, http},
    speech::Speech,
};

/// Python's gRPC with its reflection client.
const PACKAGES: [&str; 2] = ["grpcio==1.85.1", "grpcio-reflection==1.85.1"];

/// A folder with [`PACKAGES`], made by the registry's own client where it is not there yet.
fn packages() -> PathBuf {
    let base = dir().join("python");
    fs::create_dir_all(&base).unwrap();
    let lock = File::create(base.join(".lock")).unwrap();
    lock.lock().unwrap();
    let folder = base.join(PACKAGES.join("-").replace("==", "-"));
    if !folder.exists() {
        let work = tempfile::tempdir_in(&base).unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(work.path());
        let output = pip.args(PACKAGES).output().expect("python3 is there: make setup installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(work.keep(), &folder).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_needs_nothing_but_the_address() {
    let mut running = Running::start().await;
    let speech = Speech::english();
    let wav = running.data().join("speech.wav");
    speech.write(&wav);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/reflection.py");
    let mut client = Command::new("python3");
    client.arg(script).arg(running.address.to_string()).arg(&wav).arg("en");
    let output = tokio::task::spawn_blocking(move || client.env("PYTHONPATH", packages()).output().unwrap());
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for service in ["grpc.health.v1.Health", "vivavoce.v1.Transcription"] {
        assert!(found["services"].as_array().unwrap().iter().any(|s| s == service), "{found}");
    }
    let kinds = found["kinds"].as_array().unwrap();
    assert_eq!((kinds.first().unwrap(), kinds.last().unwrap()), (&"opened".into(), &"finished".into()), "{found}");
    let texts: Vec<&str> = found["texts"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert!(speech.word_errors(&texts.join(" ")) < 15.0, "{found}");
    assert_eq!(found["record"], found["texts"]);
    assert_eq!(found["entries"].as_array().unwrap().last().unwrap(), "closed");
    assert_eq!((&found["closed"], &found["refused"]), (&true.into(), &"FAILED_PRECONDITION".into()), "{found}");
    assert!(http(running.admin, "/readyz").await.0.contains("200"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_in_the_standard_way() {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    let mut running = Running::start().await;
    let address = format!("http://{}", running.address);
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    for service in ["", "vivavoce.v1.Transcription"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "x".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    running.stop().await;
}
