//! Imports into a store.

use super::*;
use crate::models::{
    convert::{
        ConvertError,
        sample::{Format, Sample},
    },
    manifest::Alignment,
    progress::Silent,
    store::Presence,
};

fn import(name: &str) -> Import {
    Import {
        name: name.to_owned(),
        quantisation: Quantisation::Q8_0,
        languages: vec!["qu".parse().unwrap(), "es-PE".parse().unwrap()],
        licence: "CC-BY-4.0 \"as told\"\n".to_owned(),
    }
}

#[test]
fn an_imported_model_counts_like_one_of_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("fine-tuned");
    Sample::new(Format::F32).write_hf(&source, 2);
    let store = ModelStore::open(dir.path().join("store")).unwrap();
    let entry = store.import(&source, &import("quechua"), &mut Silent).unwrap();
    assert_eq!(entry.licence, "CC-BY-4.0 \"as told\"\n", "the note escapes what it must");
    let model = store.load("quechua").unwrap();
    assert_eq!((model.quantisation.as_str(), model.sha256), ("q8_0", entry.sha256));
    assert_eq!(model.languages, import("quechua").languages);
    assert_eq!(model.alignment, Alignment::Heads(vec![[1, 2], [1, 3]]));
    let listed = store.list().unwrap().pop().unwrap();
    assert!(listed.imported && listed.presence == Presence::Present && listed.entry == entry);
    fs::write(store.path(&entry), b"swapped").unwrap();
    assert!(matches!(store.load("quechua"), Err(ModelError::Mismatch { .. })));
}

#[test]
fn names_that_are_taken_or_unfit_and_models_for_no_language_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    Sample::new(Format::F16).write_ct2(&source);
    let store = ModelStore::open(dir.path().join("store")).unwrap();
    store.import(&source, &import("mine"), &mut Silent).unwrap();
    for taken in ["mine", "base", "base-q5_1"] {
        let error = store.import(&source, &import(taken), &mut Silent).unwrap_err();
        assert!(matches!(error, ModelError::Taken { .. }), "{taken}: {error}");
    }
    for unfit in ["", "../x", "a b", &"x".repeat(60)] {
        let error = store.import(&source, &import(unfit), &mut Silent).unwrap_err();
        assert!(matches!(error, ModelError::Name { .. }), "{unfit}: {error}");
    }
    let none = Import { languages: Vec::new(), ..import("other") };
    assert!(matches!(store.import(&source, &none, &mut Silent), Err(ModelError::NoLanguage { .. })));
}

#[test]
fn a_refused_import_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::open(dir.path().join("store")).unwrap();
    let error = store.import(dir.path(), &import("empty"), &mut Silent).unwrap_err();
    assert!(matches!(error, ModelError::Convert(ConvertError::NoWeights { .. })), "{error}");
    assert_eq!(fs::read_dir(store.dir()).unwrap().count(), 0);
}
