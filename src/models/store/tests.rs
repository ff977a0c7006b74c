//! A store with good, cut and altered files.

use super::*;
use crate::models::{
    convert::{
        convert,
        sample::{Format, Sample},
    },
    progress::Silent,
};

/// A store whose manifest has a small Whisper model and a detector, with both files in it.
fn store() -> (tempfile::TempDir, ModelStore) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    Sample::new(Format::F16).write_ct2(&source);
    let mut bytes = Vec::new();
    convert(&source, Quantisation::F16, &mut bytes, &mut Silent).unwrap();
    let path = dir.path().join("store");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("ggml-small.bin"), &bytes).unwrap();
    fs::write(path.join("vad.bin"), b"detector").unwrap();
    let (whisper, vad) = (digest::of_bytes(&bytes), digest::of_bytes(b"detector"));
    let text = format!(
        r#"
        [[model]]
        name = "small"
        kind = "whisper"
        languages = ["en", "sw"]
        licence = "CC0-1.0"
        origin = "made up"
        file = "ggml-small.bin"
        size = {}
        sha256 = "{}"
        quantisation = "f16"
        alignment_heads = [[1, 2]]

        [[model]]
        name = "vad"
        kind = "vad"
        languages = []
        licence = "CC0-1.0"
        origin = "made up"
        file = "vad.bin"
        size = {}
        sha256 = "{}"
        "#,
        whisper.size, whisper.sha256, vad.size, vad.sha256
    );
    (dir, ModelStore::with_manifest(path, Manifest::parse(&text).unwrap()))
}

#[test]
fn a_model_is_loaded_with_what_the_record_needs_to_name_it() {
    let (_dir, store) = store();
    let model = store.load("small").unwrap();
    assert_eq!(model.sha256, digest::of_bytes(&model.bytes).sha256);
    assert_eq!((model.kind, model.quantisation.as_str()), (ModelKind::Whisper, "f16"));
    assert_eq!(model.languages, ["en", "sw"].map(|l| l.parse().unwrap()));
    assert_eq!(model.alignment, Alignment::Heads(vec![[1, 2]]));
    assert_eq!(model.shape.unwrap().state, 64);
    assert_eq!(store.load("vad").unwrap().bytes, b"detector");
    assert!(!format!("{model:?}").contains("[0"), "the weights are not printed");
    assert_eq!(store.verify("small").unwrap().name, "small");
}

#[test]
fn a_file_one_byte_short_or_with_one_bit_flipped_is_refused_with_both_digests() {
    let (_dir, store) = store();
    let path = store.path(&store.entry("small").unwrap());
    let whole = fs::read(&path).unwrap();
    let expected = digest::of_bytes(&whole).sha256;
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut long = whole.clone();
    long.push(0);
    for damaged in [whole[..whole.len() - 1].to_vec(), flipped, long] {
        fs::write(&path, &damaged).unwrap();
        let error = store.load("small").unwrap_err();
        assert!(matches!(error, ModelError::Mismatch { .. }), "{error}");
        let found = digest::of_bytes(&damaged).sha256;
        let text = error.to_string();
        assert!(text.contains(&expected.to_string()) && text.contains(&found.to_string()), "{text}");
    }
}

#[test]
fn a_file_with_the_right_digest_and_a_wrong_structure_is_refused() {
    let (_dir, mut store) = store();
    let path = store.path(&store.entry("small").unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[4..8].copy_from_slice(&51_870_i32.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    store.manifest.model[0].sha256 = digest::of_bytes(&bytes).sha256;
    let error = store.load("small").unwrap_err();
    assert!(matches!(error, ModelError::Structure { .. }), "{error}");
    assert!(error.to_string().contains("51870"), "{error}");
}

#[test]
fn the_list_says_what_is_there() {
    let (_dir, store) = store();
    fs::write(store.dir().join("vad.bin"), b"short").unwrap();
    let list = store.list().unwrap();
    let seen: Vec<_> = list.iter().map(|l| (l.entry.name.as_str(), l.presence)).collect();
    assert_eq!(seen, [("small", Presence::Present), ("vad", Presence::WrongSize { size: 5 })]);
    let empty = ModelStore::open(store.dir().join("none")).unwrap();
    assert!(empty.list().unwrap().iter().all(|l| l.presence == Presence::Absent && !l.imported));
    let error = empty.load("base").unwrap_err().to_string();
    assert!(error.contains("vivavoce models fetch base"), "{error}");
}

#[test]
fn names_that_are_not_known_or_lead_elsewhere_are_refused() {
    let (_dir, store) = store();
    for name in ["none", "", "../small", "a/b", "/etc/passwd", "nul\0"] {
        assert!(matches!(store.load(name), Err(ModelError::Unknown { .. })), "{name:?}");
    }
}

#[test]
fn a_note_cannot_speak_for_another_name_or_for_a_model_of_the_manifest() {
    let (_dir, store) = store();
    let note = |name: &str| {
        format!(
            "name = \"{name}\"\nkind = \"whisper\"\nlanguages = []\nlicence = \"x\"\norigin = \"x\"\nfile = \"vad.bin\"\nsize = \
             8\nsha256 = \"{}\"\n",
            digest::of_bytes(b"detector").sha256
        )
    };
    fs::write(store.dir().join("other.toml"), note("elsewhere")).unwrap();
    assert!(matches!(store.load("other"), Err(ModelError::Taken { .. })));
    fs::remove_file(store.dir().join("other.toml")).unwrap();
    fs::write(store.dir().join("small.toml"), note("small")).unwrap();
    assert!(matches!(store.list(), Err(ModelError::Taken { .. })));
    assert_eq!(store.entry("small").unwrap().file, "ggml-small.bin", "the manifest comes first");
}
