//! The file that whisper.cpp loads: written here, and checked here before C++ sees it.
//!
//! All little endian: eleven `i32` after the magic (dimensions and `ftype`), the mel filters, the text tokens, then
//! tensors to the end of the file, each `i32 n_dims, name_len, type`, the dimensions innermost first, the name, the data
//! without padding. From `whisper_model_load` in whisper.cpp 1.8.3, which trusts lengths, ignores short reads and has its
//! assertions compiled out: hence [`inspect`].

use std::{collections::BTreeSet, io::Write, ops::Range, path::PathBuf};

use crate::models::convert::{
    ConvertError, mel, names,
    names::TensorSpec,
    quantise::{ElementType, Quantisation},
};

/// `ggml` as a number.
const MAGIC: i32 = 0x6767_6d6c;

/// The longest token there may be, bytes. The longest of Whisper's has 128 (a run of spaces).
const MOST_TOKEN_BYTES: usize = 1_024;

/// The dimensions of a Whisper model. A value that passed [`WhisperShape::checked`] is one that whisper.cpp can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhisperShape {
    /// Tokens: 51864 (English), 51865 (99 languages) or 51866 (100 languages).
    pub vocabulary: u32,
    /// Positions of the encoder: 1500, 20 ms each.
    pub audio_context: u32,
    /// Width of encoder and decoder.
    pub state: u32,
    /// Attention heads of the encoder.
    pub audio_heads: u32,
    /// Layers of the encoder.
    pub audio_layers: u32,
    /// Positions of the decoder: 448.
    pub text_context: u32,
    /// Attention heads of the decoder.
    pub text_heads: u32,
    /// Layers of the decoder.
    pub text_layers: u32,
    /// Mel bands: 80 or 128.
    pub mels: u32,
}

impl WhisperShape {
    /// Whisper base, multilingual.
    pub const BASE: Self = Self {
        vocabulary: 51_865,
        audio_context: 1_500,
        state: 512,
        audio_heads: 8,
        audio_layers: 6,
        text_context: 448,
        text_heads: 8,
        text_layers: 6,
        mels: 80,
    };

    /// The shape, if whisper.cpp can serve it. Limits are those of the published sizes (large: width 1280, 32 layers).
    ///
    /// # Errors
    /// [`ConvertError::Vocabulary`] or [`ConvertError::Range`], saying what can be served.
    pub fn checked(self) -> Result<Self, ConvertError> {
        if !(51_864..=51_866).contains(&self.vocabulary) {
            return Err(ConvertError::Vocabulary { found: u64::from(self.vocabulary) });
        }
        let refuse = |what, found: u32, allowed| Err(ConvertError::Range { what, found: i64::from(found), allowed });
        if self.audio_context != 1_500 {
            return refuse("number of encoder positions", self.audio_context, "1500");
        }
        if self.text_context != 448 {
            return refuse("number of decoder positions", self.text_context, "448");
        }
        if !(64..=1_280).contains(&self.state) || !self.state.is_multiple_of(32) {
            return refuse("width of the model", self.state, "multiples of 32 from 64 to 1280");
        }
        for heads in [self.audio_heads, self.text_heads] {
            if !(1..=64).contains(&heads) || !self.state.is_multiple_of(heads) {
                return refuse("number of attention heads", heads, "1 to 64, and a divisor of the width");
            }
        }
        for layers in [self.audio_layers, self.text_layers] {
            if !(1..=32).contains(&layers) {
                return refuse("number of layers", layers, "1 to 32");
            }
        }
        if self.mels != 80 && self.mels != 128 {
            return refuse("number of mel bands", self.mels, "80 and 128");
        }
        Ok(self)
    }

    /// Whether the model knows languages besides English.
    #[must_use]
    pub const fn multilingual(&self) -> bool {
        self.vocabulary >= 51_865
    }

    /// The text tokens that the file spells out; whisper.cpp names the special ones, which follow, by itself.
    #[must_use]
    pub const fn text_tokens(&self) -> usize {
        if self.multilingual() { 50_257 } else { 50_256 }
    }

    /// Languages the model has a token for.
    #[must_use]
    pub const fn languages(&self) -> u32 {
        if self.multilingual() { self.vocabulary - 51_766 } else { 1 }
    }

    fn header(&self, quantisation: Quantisation) -> [u32; 11] {
        [
            self.vocabulary,
            self.audio_context,
            self.state,
            self.audio_heads,
            self.audio_layers,
            self.text_context,
            self.state,
            self.text_heads,
            self.text_layers,
            self.mels,
            quantisation.file_type().unsigned_abs(),
        ]
    }

    fn mel_bands(&self) -> u16 {
        if self.mels == 128 { 128 } else { 80 }
    }
}

/// Writes everything before the tensors: dimensions, mel filters, tokens.
pub(super) fn write_head(
    out: &mut dyn Write,
    shape: &WhisperShape,
    quantisation: Quantisation,
    tokens: &[Vec<u8>],
) -> Result<(), ConvertError> {
    let mut head = MAGIC.to_le_bytes().to_vec();
    for field in shape.header(quantisation) {
        head.extend_from_slice(&field.to_le_bytes());
    }
    head.extend_from_slice(&shape.mels.to_le_bytes());
    head.extend_from_slice(&number(mel::FFT_BINS).to_le_bytes());
    for value in mel::filters(shape.mel_bands()) {
        head.extend_from_slice(&value.to_le_bytes());
    }
    head.extend_from_slice(&number(tokens.len()).to_le_bytes());
    for token in tokens {
        head.extend_from_slice(&number(token.len()).to_le_bytes());
        head.extend_from_slice(token);
    }
    out.write_all(&head).map_err(|source| ConvertError::Write { source })
}

/// Writes one tensor.
pub(super) fn write_tensor(
    out: &mut dyn Write,
    spec: &TensorSpec,
    element: ElementType,
    data: &[u8],
) -> Result<(), ConvertError> {
    let mut head = Vec::with_capacity(64);
    head.extend_from_slice(&number(spec.dims.len()).to_le_bytes());
    head.extend_from_slice(&number(spec.name.len()).to_le_bytes());
    head.extend_from_slice(&element.id().to_le_bytes());
    for dim in spec.dims.iter().rev() {
        head.extend_from_slice(&number(*dim).to_le_bytes());
    }
    head.extend_from_slice(spec.name.as_bytes());
    out.write_all(&head).and_then(|()| out.write_all(data)).map_err(|source| ConvertError::Write { source })
}

/// Counts here come from a checked shape or from tokens cut at [`MOST_TOKEN_BYTES`]: all far below 2^31.
fn number(count: usize) -> i32 {
    i32::try_from(count).expect("counts of a checked shape fit an i32")
}

/// Where everything lies in a ggml Whisper file that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The dimensions.
    pub shape: WhisperShape,
    /// How the large matrices are stored.
    pub quantisation: Quantisation,
    /// The bytes of each text token.
    pub tokens: Vec<Range<usize>>,
    /// Each tensor and the bytes of its data, sorted by name.
    pub tensors: Vec<(TensorSpec, Range<usize>)>,
}

/// Checks that `bytes` is, to the last byte, a Whisper model that whisper.cpp can load: dimensions in range, mel filters
/// finite, the right number of tokens, every tensor there once with the expected name, shape and type, nothing after it.
/// `origin` names the file in errors. Takes milliseconds: tensor data is stepped over.
///
/// # Errors
/// [`ConvertError`], saying what is wrong where.
pub fn inspect(bytes: &[u8], origin: &std::path::Path) -> Result<Layout, ConvertError> {
    let mut at = Cursor { bytes, pos: 0, origin };
    let (shape, quantisation) = header(&mut at)?;
    mel_filters(&mut at, &shape)?;
    let count = at.i32("number of tokens")?;
    if usize::try_from(count).ok() != Some(shape.text_tokens()) {
        return Err(ConvertError::Range {
            what: "number of text tokens",
            found: i64::from(count),
            allowed: "50257 (multilingual) or 50256 (English)",
        });
    }
    let mut tokens = Vec::with_capacity(shape.text_tokens());
    for _ in 0..shape.text_tokens() {
        let length = at.length("length of a token", MOST_TOKEN_BYTES, "0 to 1024 bytes")?;
        tokens.push(at.take(length, "a token")?);
    }
    let tensors = tensors(&mut at, &shape, quantisation)?;
    Ok(Layout { shape, quantisation, tokens, tensors })
}

fn header(at: &mut Cursor<'_>) -> Result<(WhisperShape, Quantisation), ConvertError> {
    let magic = at.i32("magic number")?;
    if magic != MAGIC {
        return Err(ConvertError::Range { what: "magic number", found: i64::from(magic), allowed: "that of ggml" });
    }
    let mut fields = [0_u32; 11];
    for field in &mut fields {
        *field = at.i32("dimensions")?.try_into().unwrap_or(0);
    }
    let [vocabulary, audio_context, state, audio_heads, audio_layers, text_context, text_state, ..] = fields;
    let [.., text_heads, text_layers, mels, file_type] = fields;
    let shape = WhisperShape {
        vocabulary,
        audio_context,
        state,
        audio_heads,
        audio_layers,
        text_context,
        text_heads,
        text_layers,
        mels,
    }
    .checked()?;
    if text_state != state {
        return Err(ConvertError::Range {
            what: "width of the decoder",
            found: i64::from(text_state),
            allowed: "the width of the encoder",
        });
    }
    let quantisation = Quantisation::ALL.into_iter().find(|q| q.file_type().unsigned_abs() == file_type);
    let refuse = || ConvertError::Range {
        what: "file type",
        found: i64::from(file_type),
        allowed: "1 (f16), 2007 (q8_0) and 2009 (q5_1)",
    };
    Ok((shape, quantisation.ok_or_else(refuse)?))
}

fn mel_filters(at: &mut Cursor<'_>, shape: &WhisperShape) -> Result<(), ConvertError> {
    let (bands, bins) = (at.i32("mel bands")?, at.i32("mel bins")?);
    if u32::try_from(bands).ok() != Some(shape.mels) {
        return Err(ConvertError::Range {
            what: "bands of the mel filters",
            found: i64::from(bands),
            allowed: "as many as the model has",
        });
    }
    if bins != number(mel::FFT_BINS) {
        return Err(ConvertError::Range { what: "bins of the mel filters", found: i64::from(bins), allowed: "201" });
    }
    let data = at.take(usize::from(shape.mel_bands()) * mel::FFT_BINS * 4, "mel filters")?;
    for value in at.bytes[data].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)) {
        if !value.is_finite() || value < 0.0 {
            return Err(ConvertError::NotFinite { name: "mel filters".to_owned(), value });
        }
    }
    Ok(())
}

fn tensors(
    at: &mut Cursor<'_>,
    shape: &WhisperShape,
    quantisation: Quantisation,
) -> Result<Vec<(TensorSpec, Range<usize>)>, ConvertError> {
    let specs = names::tensors(shape);
    let mut seen = BTreeSet::new();
    let mut found = Vec::with_capacity(specs.len());
    while at.pos < at.bytes.len() {
        let rank = at.length("number of dimensions", 4, "1 to 3")?;
        let name_length = at.length("length of a tensor's name", 256, "1 to 256")?;
        let element = at.i32("type of a tensor")?;
        let mut dims = Vec::with_capacity(rank);
        for _ in 0..rank {
            dims.push(at.length("dimension of a tensor", 1 << 24, "1 to 2^24")?);
        }
        dims.reverse();
        let name = at.take(name_length, "a tensor's name")?;
        let name = String::from_utf8_lossy(&at.bytes[name]).into_owned();
        let Ok(index) = specs.binary_search_by(|s| s.name.as_str().cmp(&name)) else {
            return Err(ConvertError::UnknownTensor { name });
        };
        let spec = &specs[index];
        if !seen.insert(index) {
            return Err(ConvertError::DuplicateTensor { name });
        }
        if dims != spec.dims {
            return Err(ConvertError::Shape { name, found: wide(&dims), expected: wide(&spec.dims) });
        }
        let expected = ElementType::of(spec.role, quantisation);
        if element != expected.id() {
            return Err(ConvertError::TensorType { name, found: format!("ggml type {element}") });
        }
        found.push((spec.clone(), at.take(expected.bytes(spec.elements()), &spec.name)?));
    }
    if let Some((_, spec)) = specs.iter().enumerate().find(|(i, _)| !seen.contains(i)) {
        return Err(ConvertError::MissingTensor { name: spec.name.clone() });
    }
    found.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    Ok(found)
}

/// Dimensions as error messages hold them.
pub(super) fn wide(dims: &[usize]) -> Vec<u64> {
    dims.iter().map(|d| *d as u64).collect()
}

struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
    origin: &'a std::path::Path,
}

impl Cursor<'_> {
    fn take(&mut self, count: usize, what: &str) -> Result<Range<usize>, ConvertError> {
        let left = self.bytes.len() - self.pos;
        if count > left {
            return Err(ConvertError::Truncated {
                path: PathBuf::from(self.origin),
                what: what.to_owned(),
                need: count as u64,
                have: left as u64,
            });
        }
        let range = self.pos..self.pos + count;
        self.pos += count;
        Ok(range)
    }

    fn i32(&mut self, what: &str) -> Result<i32, ConvertError> {
        let range = self.take(4, what)?;
        let bytes = self.bytes[range].try_into().expect("four bytes were taken");
        Ok(i32::from_le_bytes(bytes))
    }

    fn length(&mut self, what: &'static str, most: usize, allowed: &'static str) -> Result<usize, ConvertError> {
        let found = self.i32(what)?;
        match usize::try_from(found) {
            Ok(length) if length <= most => Ok(length),
            _ => Err(ConvertError::Range { what, found: i64::from(found), allowed }),
        }
    }
}
