//! Hugging Face's form: `config.json` and safetensors, in one file or in shards with an index.
//!
//! A safetensors file is `u64` header length, a JSON header `{name: {dtype, shape, data_offsets}}`, and the data. The
//! names are those of `transformers`' `modeling_whisper.py`. The header is read, then each tensor when its turn comes: a
//! shard of several gigabytes is never in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorInfo};
use serde::Deserialize;

use crate::models::convert::{
    ConvertError, Weights,
    ggml::{WhisperShape, wide},
    heads_in,
    names::TensorSpec,
    quantise, read_json, tokens,
};

/// The longest header read, bytes: the limit of the safetensors library is 100 MB; Whisper large's is 150 kB.
const MOST_HEADER: u64 = 16 << 20;

/// What the weights do not say. Other fields are not read.
#[derive(Deserialize)]
struct Config {
    encoder_attention_heads: u32,
    decoder_attention_heads: u32,
    #[serde(default)]
    scale_embedding: bool,
    activation_function: Option<String>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

struct Place {
    file: usize,
    offset: u64,
    bytes: usize,
    dtype: Dtype,
    dims: Vec<usize>,
}

/// A Hugging Face Whisper model: the headers in memory, the data on disk.
pub(super) struct HfWeights {
    dir: PathBuf,
    config: Config,
    files: Vec<(PathBuf, File)>,
    places: BTreeMap<String, Place>,
}

impl HfWeights {
    pub(super) fn open(dir: &Path) -> Result<Self, ConvertError> {
        let shards = shards(dir)?;
        let config = read_json::<Config>(&dir.join("config.json"))?;
        if config.scale_embedding {
            return Err(ConvertError::Setting { what: "scale_embedding", found: 1, expected: 0 });
        }
        if config.activation_function.as_deref().is_some_and(|f| f != "gelu") {
            return Err(ConvertError::Setting { what: "activation_function gelu", found: 0, expected: 1 });
        }
        let mut this = Self { dir: dir.to_owned(), config, files: Vec::new(), places: BTreeMap::new() };
        for shard in shards {
            this.index(shard)?;
        }
        Ok(this)
    }

    fn index(&mut self, path: PathBuf) -> Result<(), ConvertError> {
        let io = |source| ConvertError::Io { path: path.clone(), source };
        let mut file = File::open(&path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let truncated =
            |what: &str, need, have| ConvertError::Truncated { path: path.clone(), what: what.to_owned(), need, have };
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(io)?;
        let header = u64::from_le_bytes(size);
        let have = length.saturating_sub(8);
        if header > have || header > MOST_HEADER {
            return Err(truncated("the header", header, have.min(MOST_HEADER)));
        }
        let mut text = vec![0; usize::try_from(header).unwrap_or(0)];
        file.read_exact(&mut text).map_err(io)?;
        let entries: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&text).map_err(|source| ConvertError::Json { path: path.clone(), source })?;
        let room = have - header;
        let mut taken = Vec::with_capacity(entries.len());
        for (name, value) in entries.into_iter().filter(|(name, _)| name != "__metadata__") {
            let info: TensorInfo =
                serde_json::from_value(value).map_err(|source| ConvertError::Json { path: path.clone(), source })?;
            let place = place(&name, &info, self.files.len(), 8 + header, room)?;
            taken.push((info.data_offsets.0, info.data_offsets.1, name.clone()));
            let short = name.strip_prefix("model.").unwrap_or(&name).to_owned();
            if self.places.insert(short, place).is_some() {
                return Err(ConvertError::DuplicateTensor { name });
            }
        }
        contiguous(&path, taken, room)?;
        self.files.push((path, file));
        Ok(())
    }

    fn dims<const N: usize>(&self, name: &str) -> Result<[u32; N], ConvertError> {
        let place = self.find(name)?;
        let dims: Vec<u32> = place.dims.iter().map(|d| u32::try_from(*d).unwrap_or(u32::MAX)).collect();
        <[u32; N]>::try_from(dims).map_err(|_dims| ConvertError::Shape {
            name: name.to_owned(),
            found: wide(&place.dims),
            expected: vec![0; N],
        })
    }

    fn find(&self, name: &str) -> Result<&Place, ConvertError> {
        self.places.get(name).ok_or_else(|| ConvertError::MissingTensor { name: name.to_owned() })
    }

    fn layers(&self, side: &str) -> u32 {
        let has = |layer: &usize| self.places.contains_key(&format!("{side}.layers.{layer}.self_attn.q_proj.weight"));
        u32::try_from((0..self.places.len()).take_while(has).count()).unwrap_or(u32::MAX)
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, ConvertError> {
        let place = self.find(name)?;
        let (path, file) = &self.files[place.file];
        let io = |source| ConvertError::Io { path: path.clone(), source };
        let mut file = file;
        file.seek(SeekFrom::Start(place.offset)).map_err(io)?;
        let mut data = vec![0; place.bytes];
        file.read_exact(&mut data).map_err(io)?;
        match place.dtype {
            Dtype::F32 => Ok(quantise::decode_f32(&data)),
            Dtype::F16 => Ok(quantise::decode_f16(&data)),
            Dtype::BF16 => Ok(quantise::decode_bf16(&data)),
            // The list of number formats is open; the three above are what Whisper is published in.
            other => Err(ConvertError::TensorType { name: name.to_owned(), found: format!("{other:?}") }),
        }
    }
}

/// The files that hold the weights, each named once.
fn shards(dir: &Path) -> Result<Vec<PathBuf>, ConvertError> {
    let index = dir.join("model.safetensors.index.json");
    if !index.is_file() {
        let single = dir.join("model.safetensors");
        return if single.is_file() { Ok(vec![single]) } else { Err(ConvertError::NoWeights { dir: dir.to_owned() }) };
    }
    let names: BTreeSet<String> = read_json::<ShardIndex>(&index)?.weight_map.into_values().collect();
    names
        .into_iter()
        .map(|name| {
            // A shard lies beside its index; a name that leads elsewhere is not followed.
            let mut parts = Path::new(&name).components();
            match (parts.next(), parts.next()) {
                (Some(Component::Normal(_)), None) => Ok(dir.join(name)),
                _ => Err(ConvertError::NoWeights { dir: dir.join(name) }),
            }
        })
        .collect()
}

fn place(name: &str, info: &TensorInfo, file: usize, start: u64, room: u64) -> Result<Place, ConvertError> {
    let (from, to) = info.data_offsets;
    let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |product, dim| product.checked_mul(*dim));
    let bytes = to.saturating_sub(from);
    if to < from || to as u64 > room || bits != bytes.checked_mul(8) {
        let expected = bits.map_or(u64::MAX, |b| b as u64 / 8);
        return Err(ConvertError::TensorBytes { name: name.to_owned(), bytes: bytes as u64, expected });
    }
    Ok(Place { file, offset: start + from as u64, bytes, dtype: info.dtype, dims: info.shape.clone() })
}

/// Tensors must fill the data part without gap or overlap, as the format's own library demands.
fn contiguous(path: &Path, mut taken: Vec<(usize, usize, String)>, room: u64) -> Result<(), ConvertError> {
    taken.sort();
    let mut end = 0;
    for (from, to, name) in taken {
        if from != end {
            return Err(ConvertError::TensorBytes { name, bytes: from as u64, expected: end as u64 });
        }
        end = to;
    }
    match room - end as u64 {
        0 => Ok(()),
        bytes => Err(ConvertError::Trailing { path: path.to_owned(), bytes }),
    }
}

impl Weights for HfWeights {
    fn shape(&self) -> Result<WhisperShape, ConvertError> {
        let [vocabulary, state] = self.dims("decoder.embed_tokens.weight")?;
        let [audio_context, _] = self.dims("encoder.embed_positions.weight")?;
        let [text_context, _] = self.dims("decoder.embed_positions.weight")?;
        let [_, mels, _] = self.dims("encoder.conv1.weight")?;
        WhisperShape {
            vocabulary,
            audio_context,
            state,
            audio_heads: self.config.encoder_attention_heads,
            audio_layers: self.layers("encoder"),
            text_context,
            text_heads: self.config.decoder_attention_heads,
            text_layers: self.layers("decoder"),
            mels,
        }
        .checked()
    }

    fn check(&mut self, specs: &[TensorSpec]) -> Result<(), ConvertError> {
        let known: BTreeSet<&str> = specs.iter().map(|s| s.hf.as_str()).collect();
        for name in self.places.keys().filter(|name| !known.contains(name.as_str())) {
            if name == "proj_out.weight" {
                if self.values(name)? != self.values("decoder.embed_tokens.weight")? {
                    return Err(ConvertError::Untied);
                }
            } else if name.ends_with("k_proj.bias") {
                if self.values(name)?.iter().any(|v| *v != 0.0) {
                    return Err(ConvertError::KeyBias { name: name.clone() });
                }
            } else {
                return Err(ConvertError::UnknownTensor { name: name.clone() });
            }
        }
        Ok(())
    }

    fn read(&mut self, spec: &TensorSpec) -> Result<Vec<f32>, ConvertError> {
        let (found, expected) = (&self.find(&spec.hf)?.dims, spec.source_dims());
        if *found != expected {
            let name = spec.hf.clone();
            return Err(ConvertError::Shape { name, found: wide(found), expected: wide(&expected) });
        }
        self.values(&spec.hf)
    }

    fn tokens(&self, shape: &WhisperShape) -> Result<Vec<Vec<u8>>, ConvertError> {
        tokens::table(&self.dir, shape)
    }

    fn alignment_heads(&self, shape: &WhisperShape) -> Result<Vec<[u32; 2]>, ConvertError> {
        let heads = heads_in(&self.dir.join("generation_config.json"), shape)?;
        if heads.is_empty() { heads_in(&self.dir.join("config.json"), shape) } else { Ok(heads) }
    }
}
