//! Whisper weights, as CTranslate2 or Hugging Face publish them, into the one file that whisper.cpp reads.
//!
//! The same input gives the same bytes on every machine: nothing here depends on the clock, on a hash map's order or on
//! the platform's mathematics library. Tensors are read and written one at a time, so the memory needed is that of the
//! largest tensor as f32, twice; the input may be hostile, and every length in it is checked against the file before
//! anything is reserved for it.

pub mod ggml;
pub mod mel;
pub mod names;
pub mod quantise;
pub mod tokens;

mod ct2;
mod requantise;
mod safetensors;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::{
    domain::fault::{Fault, FaultKind},
    models::{
        convert::{
            ggml::WhisperShape,
            names::TensorSpec,
            quantise::{ElementType, Quantisation},
        },
        progress::Progress,
    },
};

/// What a conversion found out about the model, beside the file it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The model's dimensions.
    pub shape: WhisperShape,
    /// The (layer, head) pairs whose cross-attention follows the audio, where the source names them; else empty.
    pub alignment_heads: Vec<[u32; 2]>,
}

/// Why weights could not be converted, or a converted file not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The place to write to refused.
    #[error("converted model could not be written: {source}")]
    Write {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder that holds neither form of weights.
    #[error(
        "{dir} holds no model.bin (CTranslate2) and no model.safetensors or model.safetensors.index.json (Hugging Face)",
        dir = dir.display()
    )]
    NoWeights {
        /// The folder.
        dir: PathBuf,
    },
    /// A JSON file that does not say what it must.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The file ends before what it announces.
    #[error("{path} ends inside {what}: {need} bytes are announced there, {have} are left", path = path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What was being read.
        what: String,
        /// Bytes announced.
        need: u64,
        /// Bytes left.
        have: u64,
    },
    /// The file goes on after its end.
    #[error("{path} has {bytes} bytes after its end", path = path.display())]
    Trailing {
        /// The file.
        path: PathBuf,
        /// How many.
        bytes: u64,
    },
    /// A number outside what the format or the engine allows.
    #[error("{what} is {found}, and only {allowed} can be served")]
    Range {
        /// What the number counts.
        what: &'static str,
        /// What was found.
        found: i64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A text in the file is not UTF-8.
    #[error("{path}: {what} is not UTF-8", path = path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Which text.
        what: &'static str,
        /// Where it stops being so.
        #[source]
        source: std::str::Utf8Error,
    },
    /// A CTranslate2 model of another kind.
    #[error("{path} is a {spec:?} model; only WhisperSpec can be served", path = path.display())]
    NotWhisper {
        /// The file.
        path: PathBuf,
        /// The kind it says it is.
        spec: String,
    },
    /// A vocabulary from which whisper.cpp would derive the wrong special tokens.
    #[error(
        "a vocabulary of {found} tokens cannot be served: whisper.cpp derives every special token from the size, and knows \
         51864 (English), 51865 (99 languages) and 51866 (100 languages); remove the tokens that were added in fine-tuning"
    )]
    Vocabulary {
        /// Its size.
        found: u64,
    },
    /// Two matrices where whisper.cpp has one.
    #[error(
        "the output projection differs from the token embedding (untied weights): whisper.cpp has one matrix for both; \
         fine-tune with tied word embeddings"
    )]
    Untied,
    /// A bias that whisper.cpp has no place for.
    #[error("{name} is not zero, and whisper.cpp has no place for a key bias")]
    KeyBias {
        /// The tensor.
        name: String,
    },
    /// A setting of the model under which its weights would mean something else.
    #[error("the model says {what} = {found}, and whisper.cpp computes with {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// Its value.
        found: i64,
        /// The one value that can be served.
        expected: i64,
    },
    /// A tensor that must be there.
    #[error("tensor {name} is missing")]
    MissingTensor {
        /// Its name in the source.
        name: String,
    },
    /// A tensor that whisper.cpp has no place for.
    #[error("tensor {name} has no place in a Whisper model (adapters must be merged into the weights first)")]
    UnknownTensor {
        /// Its name in the source.
        name: String,
    },
    /// A tensor that is there twice.
    #[error("tensor {name} is there twice")]
    DuplicateTensor {
        /// Its name in the source.
        name: String,
    },
    /// A tensor of another shape.
    #[error("tensor {name} has the shape {found:?} instead of {expected:?}")]
    Shape {
        /// Its name in the source.
        name: String,
        /// Its dimensions, outermost first.
        found: Vec<u64>,
        /// The dimensions it must have.
        expected: Vec<u64>,
    },
    /// A tensor whose bytes do not fit its shape or lie where they must not.
    #[error("tensor {name} has {bytes} bytes where its shape and type ask for {expected}, or lies outside the file")]
    TensorBytes {
        /// Its name in the source.
        name: String,
        /// Bytes announced.
        bytes: u64,
        /// Bytes its shape and type need.
        expected: u64,
    },
    /// A tensor in a number format that is not read.
    #[error("tensor {name} holds {found}; f32, f16, bf16 and (CTranslate2) int8 and int16 with a scale are read")]
    TensorType {
        /// Its name in the source.
        name: String,
        /// The type as the source names it.
        found: String,
    },
    /// A weight that is not a finite number in the target format.
    #[error("tensor {name} holds {value}, which f16 cannot hold")]
    NotFinite {
        /// The tensor.
        name: String,
        /// The value.
        value: f32,
    },
    /// A matrix whose rows do not divide into blocks.
    #[error("rows of {name} have {row} values, and quantised blocks hold 32: import it as f16")]
    Blocks {
        /// The tensor.
        name: String,
        /// Values a row.
        row: usize,
    },
    /// A token that is missing, twice there or spelt with a character that stands for no byte.
    #[error("{path}: token {id} is missing, given twice or not in the byte-level spelling of GPT-2", path = path.display())]
    Token {
        /// The vocabulary file.
        path: PathBuf,
        /// The token's number.
        id: u64,
    },
    /// A folder without a vocabulary.
    #[error(
        "{dir} holds no vocabulary (tokenizer.json, vocabulary.txt, vocabulary.json or vocab.json)",
        dir = dir.display()
    )]
    NoVocabulary {
        /// The folder.
        dir: PathBuf,
    },
}

impl Fault for ConvertError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => FaultKind::NotFound,
            Self::Io { .. } | Self::Write { .. } => FaultKind::Internal,
            Self::NoWeights { .. }
            | Self::Json { .. }
            | Self::Truncated { .. }
            | Self::Trailing { .. }
            | Self::Range { .. }
            | Self::NotText { .. }
            | Self::NotWhisper { .. }
            | Self::Vocabulary { .. }
            | Self::Untied
            | Self::KeyBias { .. }
            | Self::Setting { .. }
            | Self::MissingTensor { .. }
            | Self::UnknownTensor { .. }
            | Self::DuplicateTensor { .. }
            | Self::Shape { .. }
            | Self::TensorBytes { .. }
            | Self::TensorType { .. }
            | Self::NotFinite { .. }
            | Self::Blocks { .. }
            | Self::Token { .. }
            | Self::NoVocabulary { .. } => FaultKind::Invalid,
        }
    }
}

/// Weights that can be read tensor by tensor, whatever file they lie in.
trait Weights {
    /// The dimensions, derived from the tensors and checked.
    fn shape(&self) -> Result<WhisperShape, ConvertError>;

    /// Refuses what no ggml file can hold: tensors beside `specs`, untied matrices, key biases.
    fn check(&mut self, specs: &[TensorSpec]) -> Result<(), ConvertError>;

    /// The values of one tensor, row-major.
    fn read(&mut self, spec: &TensorSpec) -> Result<Vec<f32>, ConvertError>;

    /// The byte strings of the text tokens of a model of this shape.
    fn tokens(&self, shape: &WhisperShape) -> Result<Vec<Vec<u8>>, ConvertError>;

    /// The alignment heads the source names, checked against the shape.
    fn alignment_heads(&self, shape: &WhisperShape) -> Result<Vec<[u32; 2]>, ConvertError>;
}

/// Converts the weights in `dir` and writes the ggml file to `out`.
///
/// `dir` holds either a CTranslate2 model (`model.bin` and a vocabulary; f32, f16, bf16, int8, int16) or a Hugging Face
/// one (`config.json`, `model.safetensors` or shards with `model.safetensors.index.json`, and a vocabulary; F32, F16,
/// BF16). Layouts: CTranslate2's `model_spec.py` (binary versions 4 to 6), the safetensors format, and the loader in
/// whisper.cpp 1.8.3.
///
/// # Errors
/// [`ConvertError`], naming the file or tensor: for weights that are malformed, of a size that whisper.cpp cannot serve,
/// or not finite in the target format.
pub fn convert(
    dir: &Path,
    quantisation: Quantisation,
    out: &mut dyn Write,
    progress: &mut dyn Progress,
) -> Result<Converted, ConvertError> {
    let ct2 = dir.join("model.bin");
    if ct2.is_file() {
        return write(&mut ct2::Ct2Weights::open(&ct2)?, quantisation, out, progress);
    }
    write(&mut safetensors::HfWeights::open(dir)?, quantisation, out, progress)
}

/// Quantises the f16 ggml model in `bytes` and writes the result to `out`.
///
/// # Errors
/// [`ConvertError`] where `bytes` is not a ggml Whisper file, or its rows do not divide into blocks of 32.
pub fn requantise(
    bytes: &[u8],
    quantisation: Quantisation,
    out: &mut dyn Write,
    progress: &mut dyn Progress,
) -> Result<Converted, ConvertError> {
    write(&mut requantise::GgmlWeights::open(bytes)?, quantisation, out, progress)
}

fn write(
    weights: &mut dyn Weights,
    quantisation: Quantisation,
    out: &mut dyn Write,
    progress: &mut dyn Progress,
) -> Result<Converted, ConvertError> {
    let shape = weights.shape()?;
    let specs = names::tensors(&shape);
    weights.check(&specs)?;
    let alignment_heads = weights.alignment_heads(&shape)?;
    let tokens = weights.tokens(&shape)?;
    let total = specs.iter().map(|s| s.elements() as u64).sum();
    progress.begin("converting", Some(total));
    ggml::write_head(out, &shape, quantisation, &tokens)?;
    for spec in &specs {
        let values = weights.read(spec)?;
        let element = ElementType::of(spec.role, quantisation);
        let data = quantise::encode(element, spec, &values)?;
        ggml::write_tensor(out, spec, element, &data)?;
        progress.advance(spec.elements() as u64);
    }
    progress.end();
    Ok(Converted { shape, alignment_heads })
}

/// Reads a small text file whole.
fn read_small(path: &Path) -> Result<Vec<u8>, ConvertError> {
    // The largest such file, a tokenizer of Whisper large-v3, has 2.5 MB; 64 MiB leaves room and bounds a hostile one.
    const MOST: u64 = 64 << 20;
    let io = |source| ConvertError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MOST {
        return Err(ConvertError::Trailing { path: path.to_owned(), bytes: bytes.len() as u64 - MOST });
    }
    Ok(bytes)
}

/// Reads a small JSON file into `T`.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ConvertError> {
    serde_json::from_slice(&read_small(path)?).map_err(|source| ConvertError::Json { path: path.to_owned(), source })
}

/// Alignment heads from a configuration file, where it is there and names them.
fn heads_in(path: &Path, shape: &WhisperShape) -> Result<Vec<[u32; 2]>, ConvertError> {
    #[derive(serde::Deserialize)]
    struct Config {
        alignment_heads: Option<Vec<[u32; 2]>>,
    }
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let heads = read_json::<Config>(path)?.alignment_heads.unwrap_or_default();
    for [layer, head] in &heads {
        let refuse =
            |what, found: u32| ConvertError::Range { what, found: i64::from(found), allowed: "those of the decoder" };
        if *layer >= shape.text_layers {
            return Err(refuse("layer of an alignment head", *layer));
        }
        if *head >= shape.text_heads {
            return Err(refuse("head of an alignment head", *head));
        }
    }
    Ok(heads)
}

#[cfg(test)]
#[cfg(feature = "server")]
pub(crate) mod sample;
#[cfg(test)]
#[cfg(feature = "server")]
mod tests;
