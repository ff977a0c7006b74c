//! The real models: fetched, verified, damaged, quantised, written back into another form, loaded by the engine.

use std::{fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use vivavoce::models::{
    ModelError,
    convert::{self, ggml, names::Role, quantise::Quantisation},
    digest,
    fetch::Fetcher,
    manifest::ModelKind,
    progress::Silent,
    recordings::{COLUMNS, prepare_with},
    store::ModelStore,
};

use crate::support::models::{recordings, store_with};

#[test]
fn base_quantises_to_the_files_of_the_manifest() {
    let store = store_with(&["base"]);
    let base = store.load("base").unwrap();
    for (name, quantisation) in [("base-q8_0", Quantisation::Q8_0), ("base-q5_1", Quantisation::Q5_1)] {
        let mut out = Vec::new();
        convert::requantise(&base.bytes, quantisation, &mut out, &mut Silent).unwrap();
        assert_eq!(digest::of_bytes(&out), store.entry(name).unwrap().fingerprint(), "{name}");
    }
    let mut same = Vec::new();
    convert::requantise(&base.bytes, Quantisation::F16, &mut same, &mut Silent).unwrap();
    assert!(same == base.bytes, "f16 to f16 changes nothing");
}

#[test]
fn base_written_back_in_hugging_faces_form_converts_to_the_same_bytes() {
    let store = store_with(&["base"]);
    let base = store.load("base").unwrap();
    let dir = tempfile::tempdir().unwrap();
    write_hugging_face(&base.bytes, dir.path());
    for (name, quantisation) in [("base", Quantisation::F16), ("base-q5_1", Quantisation::Q5_1)] {
        let mut out = Vec::new();
        let converted = convert::convert(dir.path(), quantisation, &mut out, &mut Silent).unwrap();
        assert_eq!(Some(converted.shape), base.shape);
        assert_eq!(digest::of_bytes(&out), store.entry(name).unwrap().fingerprint(), "{name}");
    }
}

/// Writes a ggml model as two shards of safetensors with their index, a configuration and a vocabulary of numbers.
fn write_hugging_face(bytes: &[u8], dir: &Path) {
    let layout = ggml::inspect(bytes, Path::new("base")).unwrap();
    let mut map = serde_json::Map::new();
    for shard in 0..2 {
        let file = format!("model-0000{}-of-00002.safetensors", shard + 1);
        let views = layout.tensors.iter().enumerate().filter(|(i, _)| i % 2 == shard).map(|(_, (spec, range))| {
            let name = format!("model.{}", spec.hf);
            map.insert(name.clone(), file.clone().into());
            let dtype = if spec.role == Role::Single { Dtype::F32 } else { Dtype::F16 };
            (name, TensorView::new(dtype, spec.source_dims(), &bytes[range.clone()]).unwrap())
        });
        fs::write(dir.join(&file), safetensors::serialize(views, None).unwrap()).unwrap();
    }
    let json = |name: &str, value: serde_json::Value| fs::write(dir.join(name), value.to_string()).unwrap();
    json("model.safetensors.index.json", serde_json::json!({ "weight_map": map }));
    json("config.json", serde_json::json!({ "encoder_attention_heads": 8, "decoder_attention_heads": 8 }));
    let vocabulary: serde_json::Map<_, _> =
        layout.tokens.iter().enumerate().map(|(id, token)| (spelling(&bytes[token.clone()]), id.into())).collect();
    json("vocab.json", vocabulary.into());
}

/// GPT-2's spelling of bytes: those that print stand for themselves, the others follow from U+0100 on.
fn spelling(token: &[u8]) -> String {
    let printable = |b: &u8| (33..=126).contains(b) || (161..=172).contains(b) || *b >= 174;
    let others: Vec<u8> = (0..=255).filter(|b| !printable(b)).collect();
    let character = |b: &u8| match others.binary_search(b) {
        Ok(place) => char::from_u32(0x100 + u32::try_from(place).unwrap()).unwrap(),
        Err(_) => char::from(*b),
    };
    token.iter().map(character).collect()
}

#[test]
fn base_one_byte_short_or_with_one_bit_flipped_is_refused_with_both_digests() {
    let store = store_with(&["base"]);
    let entry = store.entry("base").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let damaged = ModelStore::open(dir.path()).unwrap();
    let path = damaged.path(&entry);
    let mut bytes = fs::read(store.path(&entry)).unwrap();
    bytes[100_000_000] ^= 0x10;
    let flipped = digest::of_bytes(&bytes);
    fs::write(&path, &bytes).unwrap();
    let refuse = |found: digest::Fingerprint| {
        let error = damaged.load("base").unwrap_err();
        assert!(matches!(error, ModelError::Mismatch { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&entry.sha256.to_string()) && text.contains(&found.sha256.to_string()), "{text}");
    };
    refuse(flipped);
    bytes[100_000_000] ^= 0x10;
    bytes.pop();
    fs::write(&path, &bytes).unwrap();
    refuse(digest::of_bytes(&bytes));
}

#[test]
fn the_detector_is_fetched_and_verified() {
    let store = store_with(&["silero-vad"]);
    let model = store.load("silero-vad").unwrap();
    assert_eq!((model.kind, model.shape, model.bytes.len()), (ModelKind::Vad, None, 885_098));
}

#[cfg(feature = "whisper")]
#[test]
fn the_engine_loads_base_in_every_quantisation() {
    use whisper_rs::{WhisperContext, WhisperContextParameters};

    let names = ["base", "base-q8_0", "base-q5_1"];
    let store = store_with(&names);
    for name in names {
        let model = store.load(name).unwrap();
        let context =
            WhisperContext::new_from_buffer_with_params(&model.bytes, WhisperContextParameters::default()).unwrap();
        assert_eq!(
            (context.n_vocab(), context.n_audio_ctx(), context.is_multilingual()),
            (51_865, 1_500, true),
            "{name}"
        );
        let shape = model.shape.unwrap();
        assert_eq!(u32::try_from(context.model_n_audio_state()).unwrap(), shape.state);
        assert_eq!(context.token_to_str(50_000).unwrap(), token(&model.bytes, 50_000), "{name}");
        context.create_state().unwrap();
    }
}

#[cfg(feature = "whisper")]
fn token(bytes: &[u8], id: usize) -> String {
    let layout = ggml::inspect(bytes, Path::new("base")).unwrap();
    String::from_utf8(bytes[layout.tokens[id].clone()].to_vec()).unwrap()
}

/// The rows of a folder of recordings: language and text of each, after a look at every file.
fn rows(dir: &Path) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(dir.join("manifest.tsv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), COLUMNS.join("\t"));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(fields.len(), COLUMNS.len(), "{line}");
            let wav = hound::WavReader::open(dir.join(fields[1])).unwrap();
            assert_eq!(wav.spec().sample_rate.to_string(), fields[4]);
            let seconds = f64::from(wav.duration()) / f64::from(wav.spec().sample_rate);
            assert!((seconds - fields[3].parse::<f64>().unwrap()).abs() < 0.001 && seconds > 0.5, "{line}");
            assert!(!fields[6].is_empty() && !fields[6].contains('['), "{line}");
            (fields[0].to_owned(), fields[2].to_owned(), fields[6].to_owned())
        })
        .collect()
}

#[test]
fn recordings_come_with_their_texts_and_the_same_prompts_in_english_and_french() {
    let rows = rows(&recordings());
    if rows.iter().any(|(id, ..)| id == "en-conf-invalid") {
        assert_eq!(rows.len(), 65);
        for language in ["en-US", "fr-CA", "es-MX", "it-IT", "ru-RU"] {
            assert_eq!(rows.iter().filter(|(_, l, _)| l == language).count(), 12, "{language}");
        }
        let text = |id: &str| &rows.iter().find(|(i, ..)| i == id).unwrap().2;
        assert_eq!(text("en-conf-invalid"), "That is not a valid conference number. Please try again.");
        assert_eq!(text("fr-conf-invalid"), "Ce numéro de conférence n'est pas valide. Veuillez réessayer de nouveau.");
        assert_eq!(text("en-librivox-0880"), "he was not an ill disposed young man");
    } else {
        assert_eq!(rows.len(), 27, "synthetic voices");
    }
}

#[test]
fn without_debian_packages_synthetic_voices_in_nine_languages_stand_in() {
    let dir = tempfile::tempdir().unwrap();
    prepare_with(&Fetcher::default(), "no-such-apt-get", dir.path(), &mut Silent).unwrap();
    let rows = rows(dir.path());
    assert_eq!(rows.len(), 27);
    let mut languages: Vec<&String> = rows.iter().map(|(_, language, _)| language).collect();
    languages.dedup();
    assert_eq!(languages, ["en", "es", "fr", "hi", "it", "ja", "pl", "pt", "zh"]);
}
