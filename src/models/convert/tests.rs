//! Conversion of synthesised checkpoints, tensor for tensor.

use std::fs;

use half::f16;

use super::{
    sample::{Ct2Writer, Format, Sample, Tensor},
    *,
};
use crate::models::{convert::names::Role, progress::Silent};

fn convert_dir(dir: &Path, quantisation: Quantisation) -> Result<(Vec<u8>, Converted), ConvertError> {
    let mut out = Vec::new();
    let converted = convert(dir, quantisation, &mut out, &mut Silent)?;
    Ok((out, converted))
}

/// Converts a sample that was changed, in Hugging Face's form, and gives the error.
fn refused(change: impl FnOnce(&mut Sample)) -> ConvertError {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new(Format::F16);
    change(&mut sample);
    sample.write_hf(dir.path(), 1);
    convert_dir(dir.path(), Quantisation::F16).unwrap_err()
}

/// The same for CTranslate2's form.
fn refused_ct2(change: impl FnOnce(&mut Sample)) -> ConvertError {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new(Format::F16);
    change(&mut sample);
    sample.write_ct2(dir.path());
    convert_dir(dir.path(), Quantisation::F16).unwrap_err()
}

fn read_back(bytes: &[u8], spec: &TensorSpec, range: std::ops::Range<usize>) -> Vec<f32> {
    match spec.role {
        Role::Single => quantise::decode_f32(&bytes[range]),
        Role::Matrix | Role::Convolution => quantise::decode_f16(&bytes[range]),
    }
}

#[test]
fn a_sharded_checkpoint_in_three_number_formats_converts_tensor_for_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new(Format::F32);
    let formats = [Format::F32, Format::F16, Format::Bf16];
    for (i, tensor) in sample.tensors.values_mut().enumerate() {
        tensor.format = formats[i % 3];
    }
    sample.write_hf(dir.path(), 3);
    let (bytes, converted) = convert_dir(dir.path(), Quantisation::F16).unwrap();
    let layout = ggml::inspect(&bytes, Path::new("sample")).unwrap();
    assert_eq!((layout.shape, converted.shape), (sample.shape, sample.shape));
    assert_eq!(converted.alignment_heads, [[1, 2], [1, 3]]);
    assert_eq!(layout.tensors.len(), sample.tensors.len());
    assert_eq!(&bytes[layout.tokens[7].clone()], b" t7");
    for (spec, range) in layout.tensors {
        let source = &sample.tensors[&spec.hf];
        let stored = |v: f32| if spec.role == Role::Single { v } else { f16::from_f32(v).to_f32() };
        let expected: Vec<f32> = source.values.iter().map(|v| stored(source.format.kept(*v))).collect();
        assert!(read_back(&bytes, &spec, range) == expected, "{}", spec.name);
    }
}

#[test]
fn both_forms_and_any_number_of_shards_give_the_same_bytes() {
    let sample = Sample::new(Format::F16);
    let dir = tempfile::tempdir().unwrap();
    let paths = ["ct2", "one", "four"].map(|name| dir.path().join(name));
    sample.write_ct2(&paths[0]);
    sample.write_hf(&paths[1], 1);
    sample.write_hf(&paths[2], 4);
    for quantisation in Quantisation::ALL {
        let all = paths.each_ref().map(|path| convert_dir(path, quantisation).unwrap());
        assert!(all[0] == all[1] && all[1] == all[2], "{quantisation}");
        assert_eq!(all[0], convert_dir(&paths[0], quantisation).unwrap());
        let mut again = Vec::new();
        let half = convert_dir(&paths[0], Quantisation::F16).unwrap().0;
        requantise(&half, quantisation, &mut again, &mut Silent).unwrap();
        assert!(again == all[0].0, "quantising the f16 file gives {quantisation} as from the source");
    }
}

#[test]
fn what_is_quantised_is_not_quantised_again() {
    let dir = tempfile::tempdir().unwrap();
    Sample::new(Format::F16).write_ct2(dir.path());
    let bytes = convert_dir(dir.path(), Quantisation::Q8_0).unwrap().0;
    let error = requantise(&bytes, Quantisation::Q5_1, &mut Vec::new(), &mut Silent).unwrap_err();
    assert!(error.to_string().contains("q8_0 already"), "{error}");
}

#[test]
fn eight_bit_weights_are_taken_with_the_scale_of_their_row() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample::new(Format::I8);
    sample.write_ct2(dir.path());
    let (bytes, _) = convert_dir(dir.path(), Quantisation::F16).unwrap();
    for (spec, range) in ggml::inspect(&bytes, Path::new("sample")).unwrap().tensors {
        let source = &sample.tensors[&spec.hf];
        // Half a step of a row whose largest weight is at most 0.1, and the rounding to f16.
        let near = if spec.role == Role::Single { 1e-9 } else { 0.1 / 127.0 * 0.51 + 1e-4 };
        for (found, expected) in read_back(&bytes, &spec, range).iter().zip(&source.values) {
            assert!((found - expected).abs() <= near, "{}: {found} for {expected}", spec.name);
        }
    }
}

#[test]
fn sizes_and_settings_that_whisper_cpp_cannot_serve_are_refused_with_the_reason() {
    let error = refused(|s| {
        let embedding = s.tensors.get_mut("decoder.embed_tokens.weight").unwrap();
        embedding.dims[0] += 3;
        embedding.values.extend([0.0; 3 * 64]);
    });
    assert!(matches!(error, ConvertError::Vocabulary { found: 51_868 }), "{error}");
    let error = refused(|s| {
        let positions = s.tensors.get_mut("encoder.embed_positions.weight").unwrap();
        positions.dims[0] = 750;
        positions.values.truncate(750 * 64);
    });
    assert!(error.to_string().contains("number of encoder positions is 750, and only 1500 can be served"), "{error}");
    let error = refused(|s| s.shape.audio_heads = 3);
    assert!(error.to_string().contains("attention heads is 3"), "{error}");
    let error = refused(|s| s.shape.text_heads = 1);
    assert!(error.to_string().contains("alignment head"), "{error}");
}

#[test]
fn untied_matrices_are_refused_and_tied_ones_pass() {
    let projection = |sample: &mut Sample, add: f32| {
        let embedding = &sample.tensors["decoder.embed_tokens.weight"];
        let mut values = embedding.values.clone();
        values[64 * 900 + 5] += add;
        let tensor = Tensor { dims: embedding.dims.clone(), values, format: embedding.format };
        sample.tensors.insert("proj_out.weight".to_owned(), tensor);
    };
    assert!(matches!(refused(|s| projection(s, 0.5)), ConvertError::Untied));
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new(Format::F16);
    projection(&mut sample, 0.0);
    sample.write_hf(dir.path(), 2);
    convert_dir(dir.path(), Quantisation::F16).unwrap();
}

#[test]
fn tensors_without_a_place_and_key_biases_are_refused() {
    let extra = |name: &'static str, value: f32| {
        move |s: &mut Sample| {
            let tensor = Tensor { dims: vec![64], values: vec![value; 64], format: Format::F32 };
            s.tensors.insert(name.to_owned(), tensor);
        }
    };
    let name = "decoder.layers.0.self_attn.k_proj.bias";
    assert!(matches!(refused(extra(name, 0.1)), ConvertError::KeyBias { .. }));
    let error = refused(extra("decoder.layers.0.self_attn.q_proj.lora_A.weight", 0.1));
    assert!(error.to_string().contains("adapters must be merged"), "{error}");
    let error = refused(|s| {
        s.tensors.remove("decoder.layers.1.fc1.bias");
    });
    assert!(matches!(&error, ConvertError::MissingTensor { name } if name.contains("fc1")), "{error}");
    let error = refused_ct2(|s| {
        s.tensors.remove("encoder.layer_norm.bias");
    });
    assert!(matches!(&error, ConvertError::MissingTensor { name } if name == "encoder/layer_norm/beta"), "{error}");
}

#[test]
fn numbers_that_f16_cannot_hold_are_refused_by_the_tensors_name() {
    for value in [f32::NAN, 7e4] {
        let error = refused(|s| {
            let tensor = s.tensors.get_mut("encoder.layers.0.fc1.weight").unwrap();
            tensor.format = Format::F32;
            tensor.values[11] = value;
        });
        assert!(matches!(&error, ConvertError::NotFinite { name, .. } if name == "encoder.blocks.0.mlp.0.weight"));
    }
    let error = refused(|s| s.tensors.get_mut("encoder.layers.0.fc1.weight").unwrap().format = Format::I8);
    assert!(matches!(error, ConvertError::TensorType { .. }), "{error}");
}

#[test]
fn a_tensor_of_another_shape_is_refused_with_both_shapes() {
    let change = |s: &mut Sample| {
        let tensor = s.tensors.get_mut("encoder.layers.0.fc1.weight").unwrap();
        tensor.dims = vec![64, 256];
    };
    for error in [refused(change), refused_ct2(change)] {
        assert!(error.to_string().contains("[64, 256] instead of [256, 64]"), "{error}");
    }
}

#[test]
fn a_folder_without_weights_or_vocabulary_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(convert_dir(dir.path(), Quantisation::F16), Err(ConvertError::NoWeights { .. })));
    Sample::new(Format::F16).write_ct2(dir.path());
    fs::write(dir.path().join("vocabulary.txt"), "a\nb").unwrap();
    assert!(matches!(convert_dir(dir.path(), Quantisation::F16), Err(ConvertError::Token { id: 2, .. })));
    fs::remove_file(dir.path().join("vocabulary.txt")).unwrap();
    assert!(matches!(convert_dir(dir.path(), Quantisation::F16), Err(ConvertError::NoVocabulary { .. })));
}

/// Where the index of a small CTranslate2 file ends and a tensor's data begins does not matter: everything is cut and bent.
#[test]
fn damaged_ct2_files_give_errors_and_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    let mut out = Ct2Writer::default();
    out.variable("encoder/num_heads", &[], 2, &[2, 0]);
    out.variable("decoder/num_heads", &[], 2, &[4, 0]);
    out.variable("decoder/embeddings/weight", &[3, 4], 0, &[0; 48]);
    out.variable("encoder/layer_0/ffn/linear_0/weight", &[2, 4], 1, &[1; 8]);
    let whole = out.finish(&[("decoder/projection/weight", "decoder/embeddings/weight")]);
    let attempt = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        ct2::Ct2Weights::open(&path).and_then(|w| w.shape()).unwrap_err()
    };
    assert!(matches!(attempt(&whole), ConvertError::MissingTensor { .. }), "only the later tensors are missing");
    for length in 0..whole.len() {
        let error = attempt(&whole[..length]);
        assert!(matches!(error, ConvertError::Truncated { .. }), "cut to {length}: {error}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bent = whole.clone();
            bent[at] ^= 1 << bit;
            attempt(&bent);
        }
    }
    let mut long = whole;
    long.push(0);
    assert!(matches!(attempt(&long), ConvertError::Trailing { bytes: 1, .. }));
}

#[test]
fn hostile_sizes_in_ct2_files_reserve_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    let head = |count: u32| {
        let mut bytes = Ct2Writer::default().finish(&[]);
        bytes.truncate(4 + 2 + 12 + 4);
        bytes.extend(count.to_le_bytes());
        bytes
    };
    let mut huge = head(1);
    huge.extend([2, 0, b'a', 0, 4]);
    huge.extend([0xff; 16]);
    huge.extend([0]);
    huge.extend([0xff; 4]);
    for bytes in [head(u32::MAX), head(16_384), huge] {
        fs::write(&path, bytes).unwrap();
        assert!(ct2::Ct2Weights::open(&path).is_err());
    }
}

#[test]
fn hostile_safetensors_headers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    Sample::new(Format::F16).write_hf(dir.path(), 1);
    let attempt = |length: u64, header: &str, data: usize| {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; data]);
        fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        convert_dir(dir.path(), Quantisation::F16).unwrap_err()
    };
    let own = |header: &str, data| attempt(header.len() as u64, header, data);
    assert!(matches!(attempt(u64::MAX, "{}", 0), ConvertError::Truncated { .. }));
    assert!(matches!(attempt(3, "{}", 0), ConvertError::Truncated { .. }));
    assert!(matches!(own("[]", 0), ConvertError::Json { .. }));
    assert!(matches!(own("{}", 0), ConvertError::MissingTensor { .. }));
    assert!(matches!(own("{}", 4), ConvertError::Trailing { bytes: 4, .. }));
    let tensor = |dims: &str, from: u64, to: u64| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{dims},"data_offsets":[{from},{to}]}}}}"#)
    };
    assert!(matches!(own(&tensor("[1]", 0, 4), 4), ConvertError::MissingTensor { .. }));
    for (dims, from, to) in
        [("[2]", 0, 4), ("[1]", 4, 0), ("[1]", 0, u64::MAX / 2), ("[4294967296, 4294967296, 4]", 0, 4), ("[1]", 4, 8)]
    {
        let error = own(&tensor(dims, from, to), 8);
        assert!(matches!(error, ConvertError::TensorBytes { .. }), "{dims} {from} {to}: {error}");
    }
    let overlapping = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    assert!(matches!(own(overlapping, 4), ConvertError::TensorBytes { .. }));
}

#[test]
fn a_shard_that_lies_elsewhere_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    Sample::new(Format::F16).write_hf(dir.path(), 2);
    for name in ["../x.safetensors", "/etc/passwd", "a/b", ""] {
        let index = serde_json::json!({ "weight_map": { "a": name } });
        fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
        assert!(matches!(convert_dir(dir.path(), Quantisation::F16), Err(ConvertError::NoWeights { .. })), "{name}");
    }
}

#[test]
fn a_damaged_ggml_file_is_refused_wherever_it_is_cut_or_bent() {
    let dir = tempfile::tempdir().unwrap();
    Sample::new(Format::F16).write_ct2(dir.path());
    let (whole, _) = convert_dir(dir.path(), Quantisation::Q5_1).unwrap();
    let attempt = |bytes: &[u8]| ggml::inspect(bytes, Path::new("sample"));
    let layout = attempt(&whole).unwrap();
    assert_eq!(layout.quantisation, Quantisation::Q5_1);
    let ends = layout.tensors.iter().map(|(_, range)| range.end).filter(|end| *end < whole.len());
    for length in (0..400).chain(ends).chain([whole.len() - 1]) {
        assert!(attempt(&whole[..length]).is_err(), "cut to {length}");
    }
    for at in 0..56 {
        let mut bent = whole.clone();
        bent[at] ^= 0x40;
        assert!(attempt(&bent).is_err(), "byte {at} bent");
    }
    let mut doubled = whole.clone();
    let first = layout.tensors.iter().map(|(_, range)| range.end).min().unwrap();
    doubled.truncate(first);
    let tensor_head = layout.tokens.last().unwrap().end;
    doubled.extend_from_slice(&whole[tensor_head..first]);
    assert!(matches!(attempt(&doubled), Err(ConvertError::DuplicateTensor { .. })));
    let mut long = whole;
    long.extend([0; 3]);
    assert!(attempt(&long).is_err());
}
