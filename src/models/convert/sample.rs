//! A small Whisper model with made-up weights, in the forms that models are published in. For tests.

use std::{collections::BTreeMap, fs, path::Path};

use half::{bf16, f16};
use safetensors::{Dtype, tensor::TensorView};

use crate::models::convert::{
    ggml::WhisperShape,
    names::{self, TensorSpec},
};

/// The number format of a written tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    F16,
    Bf16,
    /// With one scale a row; CTranslate2 only.
    I8,
}

impl Format {
    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            Self::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            Self::I8 => values.iter().map(|v| v.to_le_bytes()[0]).collect(),
        }
    }

    /// What is left of a value in this format.
    pub(crate) fn kept(self, value: f32) -> f32 {
        match self {
            Self::F32 | Self::I8 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }
}

/// A tensor: dimensions, values, and the format to write it in.
pub(crate) struct Tensor {
    pub(crate) dims: Vec<usize>,
    pub(crate) values: Vec<f32>,
    pub(crate) format: Format,
}

/// A model by Hugging Face's names.
pub(crate) struct Sample {
    pub(crate) shape: WhisperShape,
    pub(crate) specs: Vec<TensorSpec>,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

impl Sample {
    /// One layer each, 64 wide; every tensor in `format`.
    pub(crate) fn new(format: Format) -> Self {
        let shape = WhisperShape { state: 64, audio_heads: 2, text_heads: 4, ..WhisperShape::BASE };
        let shape = WhisperShape { audio_layers: 1, text_layers: 2, ..shape };
        let specs = names::tensors(&shape);
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0 - 0.5) * 0.2
        };
        let tensors = specs
            .iter()
            .map(|spec| {
                let values = (0..spec.elements()).map(|_| next()).collect();
                (spec.hf.clone(), Tensor { dims: spec.source_dims(), values, format })
            })
            .collect();
        Self { shape, specs, tensors }
    }

    /// Writes the vocabulary and the configuration files of both forms.
    fn write_beside(&self, dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        let mut lines: Vec<String> = (0..50_257).map(|i| format!("Ġt{i}")).collect();
        lines[50_256].clear();
        fs::write(dir.join("vocabulary.txt"), lines.join("\n")).unwrap();
        let config = format!(
            r#"{{"encoder_attention_heads": {}, "decoder_attention_heads": {}, "activation_function": "gelu",
                "vocab_size": {}, "alignment_heads": [[1, 2], [1, 3]]}}"#,
            self.shape.audio_heads, self.shape.text_heads, self.shape.vocabulary
        );
        fs::write(dir.join("config.json"), config).unwrap();
    }

    /// Writes the model as Hugging Face does, in `shards` files; names begin with `model.` as in its checkpoints.
    pub(crate) fn write_hf(&self, dir: &Path, shards: usize) {
        self.write_beside(dir);
        let bytes: Vec<(String, Vec<u8>, &Tensor)> = self
            .tensors
            .iter()
            .map(|(name, t)| {
                let name = if name.starts_with("proj_out") { name.clone() } else { format!("model.{name}") };
                (name, t.format.bytes(&t.values), t)
            })
            .collect();
        let mut map = BTreeMap::new();
        for shard in 0..shards {
            let file = match shards {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{shards:05}.safetensors", shard + 1),
            };
            let views = bytes.iter().enumerate().filter(|(i, _)| i % shards == shard).map(|(_, (name, data, t))| {
                map.insert(name.clone(), file.clone());
                let dtype = match t.format {
                    Format::F32 => Dtype::F32,
                    Format::F16 => Dtype::F16,
                    Format::Bf16 => Dtype::BF16,
                    Format::I8 => Dtype::I8,
                };
                (name.clone(), TensorView::new(dtype, t.dims.clone(), data).unwrap())
            });
            let written = safetensors::serialize(views, None).unwrap();
            fs::write(dir.join(file), written).unwrap();
        }
        if shards > 1 {
            let index = serde_json::json!({ "metadata": {}, "weight_map": map });
            fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
        }
    }

    /// Writes the model as CTranslate2 does.
    pub(crate) fn write_ct2(&self, dir: &Path) {
        self.write_beside(dir);
        fs::write(dir.join("model.bin"), self.ct2()).unwrap();
    }

    /// CTranslate2's `model.bin`.
    pub(crate) fn ct2(&self) -> Vec<u8> {
        let mut variables: BTreeMap<String, Tensor> = BTreeMap::new();
        for spec in &self.specs {
            let Some(tensor) = self.tensors.get(&spec.hf) else { continue };
            let variable = variables.entry(spec.ct2.variable.clone()).or_insert_with(|| {
                let mut dims = tensor.dims.clone();
                dims[0] *= spec.ct2.of;
                Tensor { values: vec![0.0; dims.iter().product()], dims, format: tensor.format }
            });
            let at = spec.ct2.part * tensor.values.len();
            variable.values[at..at + tensor.values.len()].copy_from_slice(&tensor.values);
        }
        let mut out = Ct2Writer::default();
        for (name, tensor) in &variables {
            out.tensor(name, tensor);
        }
        for (name, value) in
            [("encoder/num_heads", self.shape.audio_heads), ("decoder/num_heads", self.shape.text_heads)]
        {
            out.variable(name, &[], 2, &i16::try_from(value).unwrap().to_le_bytes());
        }
        out.variable("decoder/pre_norm", &[], 1, &[1]);
        out.finish(&[("decoder/projection/weight", "decoder/embeddings/weight")])
    }
}

/// Writes CTranslate2's format, right or wrong.
#[derive(Default)]
pub(crate) struct Ct2Writer {
    count: u32,
    body: Vec<u8>,
}

impl Ct2Writer {
    pub(crate) fn variable(&mut self, name: &str, dims: &[usize], kind: u8, data: &[u8]) {
        self.count += 1;
        string(&mut self.body, name);
        self.body.push(u8::try_from(dims.len()).unwrap());
        for dim in dims {
            self.body.extend(u32::try_from(*dim).unwrap().to_le_bytes());
        }
        self.body.push(kind);
        self.body.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        self.body.extend(data);
    }

    fn tensor(&mut self, name: &str, tensor: &Tensor) {
        let matrix = tensor.dims.len() >= 2 && !name.contains("position");
        match tensor.format {
            Format::F32 => self.variable(name, &tensor.dims, 0, &Format::F32.bytes(&tensor.values)),
            Format::F16 => self.variable(name, &tensor.dims, 4, &Format::F16.bytes(&tensor.values)),
            Format::Bf16 => self.variable(name, &tensor.dims, 5, &Format::Bf16.bytes(&tensor.values)),
            Format::I8 if !matrix => self.variable(name, &tensor.dims, 0, &Format::F32.bytes(&tensor.values)),
            Format::I8 => {
                let row = tensor.values.len() / tensor.dims[0];
                let (mut data, mut scales) = (Vec::new(), Vec::new());
                for row in tensor.values.chunks(row) {
                    let scale = 127.0 / row.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                    scales.push(scale);
                    #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
                    data.extend(row.iter().map(|v| ((v * scale).round() as i8).to_le_bytes()[0]));
                }
                self.variable(name, &tensor.dims, 1, &data);
                let dims = [tensor.dims[0]];
                self.variable(&format!("{name}_scale"), &dims, 0, &Format::F32.bytes(&scales));
            }
        }
    }

    pub(crate) fn finish(self, aliases: &[(&str, &str)]) -> Vec<u8> {
        let mut out = 6_u32.to_le_bytes().to_vec();
        string(&mut out, "WhisperSpec");
        out.extend(3_u32.to_le_bytes());
        out.extend(self.count.to_le_bytes());
        out.extend(self.body);
        out.extend(u32::try_from(aliases.len()).unwrap().to_le_bytes());
        for (alias, target) in aliases {
            string(&mut out, alias);
            string(&mut out, target);
        }
        out
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len() + 1).unwrap().to_le_bytes());
    out.extend(text.as_bytes());
    out.push(0);
}
