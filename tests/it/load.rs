//! `vivavoce load`, the tool behind all figures of live speech, against a server with the real engine.

use std::{fs, path::Path, time::Instant};

use serde_json::Value;

use crate::support::{
    program::{Served, err, stdout_of, vivavoce},
    speech::Speech,
};

/// A table of one item, `speech.wav`, in `dir`; gives its length in seconds.
fn manifest(dir: &Path, speech: &Speech) -> f64 {
    speech.write(&dir.join("speech.wav"));
    let seconds = speech.frames() as f64 / f64::from(speech.format.sample_rate_hz);
    let (language, reference) = (&speech.language, &speech.reference);
    let table = format!(
        "id\tfile\tlanguage\tduration_s\treference_text\nspeech\tspeech.wav\t{language}\t{seconds:.3}\t{reference}\n"
    );
    fs::write(dir.join("manifest.tsv"), table).unwrap();
    seconds
}

#[test]
fn real_speech_on_two_channels_gives_figures_that_make_sense() {
    let dir = tempfile::tempdir().unwrap();
    let speech = Speech::english();
    let seconds = manifest(dir.path(), &speech);
    stdout_of(vivavoce(dir.path(), ["evaluate", "manifest.tsv", "--out", "offline"]));
    let speed: Value = serde_json::from_slice(&fs::read(dir.path().join("offline/speed.json")).unwrap()).unwrap();
    assert!((speed["audio_s"].as_f64().unwrap() - seconds).abs() < 0.01 && speed["wall_s"].as_f64().unwrap() > 0.0);
    let served = Served::start(dir.path(), "warn");
    let server = format!("http://{}", served.address);
    let begun = Instant::now();
    let mut load = vivavoce(dir.path(), ["load", "--manifest", "manifest.tsv", "--server", &server, "--channels", "2"]);
    load.args(["--hearings", "2", "--offline", "offline/hypotheses.tsv", "--json", "load.json", "--plot", "load.svg"]);
    let output = load.args(["--pid", &served.child.id().to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert!(begun.elapsed().as_secs_f64() > seconds, "it is streamed at the speed of speech");
    let found: Value = serde_json::from_slice(&fs::read(dir.path().join("load.json")).unwrap()).unwrap();
    let figure =
        |path: &str| found.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {found:#}"));
    // A breath before, and a second and a half after.
    assert!((figure("/seconds") - seconds - 1.8).abs() < 0.01, "{found:#}");
    // Both channels say all of it.
    let said = figure(&format!("/languages/{}/errors/reference", speech.language));
    assert!((figure("/words") / said - 1.0).abs() < 0.2, "{found:#}");
    assert_eq!(figure("/words"), figure("/timed_words"));
    for rank in ["p50", "p95", "p99", "max", "mean"] {
        let [shown, committed, last] =
            ["first_shown", "committed", "final"].map(|kind| figure(&format!("/latency_ms/{kind}/{rank}")));
        assert!(0.0 < shown && shown <= committed && committed <= last, "{rank}: {found:#}");
    }
    // Somebody saw words before they were final.
    assert!(figure("/latency_ms/first_shown/p50") < figure("/latency_ms/final/p50"), "{found:#}");
    assert!(figure("/final_after_speech_ms/p50") >= figure("/final_after_span_ms/p50"), "{found:#}");
    assert!(figure("/sent_late_ms/count") >= 2.0 * (seconds * 10.0).floor(), "{found:#}");
    assert!(figure("/partials") > 0.0 && figure("/looks") < figure("/partials"), "{found:#}");
    assert!((0.0..=1.0).contains(&figure("/flicker")) && figure("/erasure_committed") <= figure("/erasure_shown"));
    let (live, offline) = (figure("/error_rate_percent"), figure("/offline_error_rate_percent"));
    assert!(live < 15.0 && offline < 15.0, "{found:#}");
    assert!((figure("/streaming_penalty_points") - (live - offline)).abs() < 0.01, "{found:#}");
    assert!(figure("/server/cpu_cores") > 0.05, "{found:#}");
    assert!(figure("/server/memory_most_mb") > 80.0, "the engine's process is counted: {found:#}");
    let picture = fs::read_to_string(dir.path().join("load.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n") && picture.contains("<polyline"));
    served.signal("TERM");
    assert_eq!(served.end().0, Some(0));
}

#[test]
fn what_cannot_be_streamed_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    manifest(dir.path(), &Speech::english());
    fs::write(dir.path().join("times.jsonl"), "{\"w\": \"ask\", \"b\": 0.1, \"e\": 0.3}\n{\"w\": 1}\n").unwrap();
    #[track_caller]
    fn check(dir: &Path, arguments: &[&str], code: i32, said: &str) {
        let output = vivavoce(dir, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", err(&output));
        assert!(err(&output).contains(said), "{}", err(&output));
    }
    let dir = dir.path();
    check(dir, &["load"], 2, "--manifest");
    check(dir, &["load", "speech.wav"], 2, "--language");
    check(dir, &["load", "--manifest", "manifest.tsv", "--only", "nothing"], 2, "no recording is left");
    check(dir, &["load", "--manifest", "manifest.tsv", "--seconds", "1"], 2, "not longer than --seconds");
    check(dir, &["load", "--manifest", "manifest.tsv", "--channels", "2", "--hearings", "3"], 2, "not enough");
    check(dir, &["load", "--manifest", "manifest.tsv", "--channels", "40", "--hearings", "2"], 2, "16");
    check(dir, &["load", "--manifest", "manifest.tsv", "--pid", "4294967294"], 2, "no process");
    check(dir, &["load", "--manifest", "manifest.tsv", "--times", "times.jsonl"], 1, "line 2");
    check(dir, &["load", "speech.wav", "-l", "en", "--server", "http://127.0.0.1:1"], 1, "no server answers");
    let several = ["load", "speech.wav", "speech.wav", "-l", "en", "--times", "times.jsonl"];
    check(dir, &several, 2, "line 1 of the times");
}
