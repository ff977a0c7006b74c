//! What `vivavoce models` prints.

use std::fs;

use clap::Parser;

use super::*;
use crate::models::{
    convert::sample::{Format, Sample},
    progress::Silent,
};

#[derive(Parser, Debug)]
struct Line {
    #[command(flatten)]
    args: ModelsArgs,
}

fn vivavoce_models(store: &Path, words: &[&str]) -> anyhow::Result<String> {
    let line = Line::try_parse_from(["models"].iter().chain(words))?;
    let mut out = Vec::new();
    run_to(&line.args, store, &mut out, &mut Silent)?;
    Ok(String::from_utf8(out)?)
}

#[test]
fn an_imported_model_is_listed_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (store, source) = (dir.path().join("store"), dir.path().join("source"));
    Sample::new(Format::Bf16).write_hf(&source, 2);
    let words = ["import", source.to_str().unwrap(), "--name", "mine", "--quantise", "q5_1", "--language", "sw"];
    let line = vivavoce_models(&store, &words).unwrap();
    assert!(line.starts_with("mine\t") && line.trim_end().ends_with("ggml-mine.bin"), "{line}");
    let table = vivavoce_models(&store, &["list"]).unwrap();
    assert!(
        table.lines().any(|l| l.starts_with("base ") && l.contains("absent") && l.contains("99 languages")),
        "{table}"
    );
    assert!(table.lines().any(|l| l.starts_with("mine ") && l.contains("present") && l.ends_with("sw")), "{table}");
    let json: serde_json::Value = serde_json::from_str(&vivavoce_models(&store, &["list", "--json"]).unwrap()).unwrap();
    let mine = json.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&mine["name"], &mine["imported"], &mine["quantisation"]),
        (&"mine".into(), &true.into(), &"q5_1".into())
    );
    assert_eq!(vivavoce_models(&store, &["verify"]).unwrap().matches("ok").count(), 1);
    fs::write(store.join("ggml-mine.bin"), "damaged").unwrap();
    let error = vivavoce_models(&store, &["verify", "mine"]).unwrap_err();
    assert!(error.to_string().contains("is refused"), "{error}");
}

#[test]
fn words_that_mean_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refuse = |words: &[&str], part: &str| {
        let error = vivavoce_models(dir.path(), words).unwrap_err().to_string();
        assert!(error.contains(part), "{words:?}: {error}");
    };
    refuse(&["fetch"], "required");
    refuse(&["fetch", "nothing"], "not known");
    refuse(&["verify", "../x"], "not known");
    refuse(&["import", ".", "--name", "m"], "--language");
    refuse(&["import", ".", "--name", "m", "--language", "sw", "--quantise", "q4"], "q8_0");
    refuse(&["import", ".", "--name", "m", "--language", "no language"], "BCP-47");
}
