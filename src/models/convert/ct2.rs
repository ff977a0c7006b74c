//! CTranslate2's `model.bin`.
//!
//! Little endian: `u32 version`, `string spec`, `u32 revision`, `u32 variables`, then each `string name`, `u8 rank`,
//! `u32 dims[rank]`, `u8 type`, `u32 bytes`, data; then `u32 aliases`, each two strings. A string is a `u16` length that
//! counts a closing NUL, and the bytes. From `python/ctranslate2/specs/model_spec.py` (binary versions 4 to 6). Integer
//! weights carry `NAME_scale`, one f32 a row or one for all: weight = integer / scale.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::models::convert::{
    ConvertError, Weights,
    ggml::{WhisperShape, wide},
    heads_in,
    names::TensorSpec,
    quantise, tokens,
};

/// Variables there may be in one file: Whisper large has some 1,200, and twice as many with int8 scales.
const MOST_VARIABLES: u32 = 16_384;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    F32,
    I8,
    I16,
    I32,
    F16,
    Bf16,
}

impl Type {
    fn of(id: u8) -> Option<Self> {
        [Self::F32, Self::I8, Self::I16, Self::I32, Self::F16, Self::Bf16].get(usize::from(id)).copied()
    }

    const fn size(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }
}

#[derive(Clone, Debug)]
struct Variable {
    dims: Vec<usize>,
    kind: Type,
    offset: u64,
    bytes: usize,
}

/// A CTranslate2 Whisper model: the index in memory, the data on disk.
pub(super) struct Ct2Weights {
    file: BufReader<File>,
    path: PathBuf,
    length: u64,
    pos: u64,
    variables: BTreeMap<String, Variable>,
    aliases: BTreeMap<String, String>,
    heads: [u32; 2],
}

impl Ct2Weights {
    pub(super) fn open(path: &Path) -> Result<Self, ConvertError> {
        let io = |source| ConvertError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut this = Self {
            file: BufReader::new(file),
            path: path.to_owned(),
            length,
            pos: 0,
            variables: BTreeMap::new(),
            aliases: BTreeMap::new(),
            heads: [0; 2],
        };
        this.index()?;
        this.heads = [this.scalar("encoder/num_heads")?, this.scalar("decoder/num_heads")?]
            .map(|heads| u32::try_from(heads).unwrap_or(0));
        this.settings()?;
        Ok(this)
    }

    fn index(&mut self) -> Result<(), ConvertError> {
        let version = self.u32("the version")?;
        if !(4..=6).contains(&version) {
            return Err(ConvertError::Range {
                what: "CTranslate2 binary version",
                found: i64::from(version),
                allowed: "4, 5 and 6",
            });
        }
        let spec = self.string("the kind of model")?;
        if spec != "WhisperSpec" {
            return Err(ConvertError::NotWhisper { path: self.path.clone(), spec: spec.chars().take(64).collect() });
        }
        self.u32("the revision")?;
        for _ in 0..self.count("number of variables")? {
            self.variable()?;
        }
        for _ in 0..self.count("number of aliases")? {
            let (alias, target) = (self.string("an alias")?, self.string("an alias")?);
            if !self.variables.contains_key(&target) {
                return Err(ConvertError::MissingTensor { name: target });
            }
            if self.variables.contains_key(&alias) || self.aliases.insert(alias.clone(), target).is_some() {
                return Err(ConvertError::DuplicateTensor { name: alias });
            }
        }
        match self.length - self.pos {
            0 => Ok(()),
            bytes => Err(ConvertError::Trailing { path: self.path.clone(), bytes }),
        }
    }

    fn variable(&mut self) -> Result<(), ConvertError> {
        let name = self.string("the name of a variable")?;
        let rank = self.array::<1>("a rank")?[0];
        if rank > 4 {
            return Err(ConvertError::Range { what: "rank of a variable", found: i64::from(rank), allowed: "0 to 4" });
        }
        let mut dims = Vec::with_capacity(usize::from(rank));
        for _ in 0..rank {
            dims.push(self.u32("a dimension")? as usize);
        }
        let id = self.array::<1>("a type")?[0];
        let kind = Type::of(id)
            .ok_or_else(|| ConvertError::TensorType { name: name.clone(), found: format!("CTranslate2 type {id}") })?;
        let announced = self.u32("a size")?;
        let bytes = announced as usize;
        let expected = dims.iter().try_fold(kind.size(), |product, dim| product.checked_mul(*dim));
        if expected != Some(bytes) {
            let expected = expected.map_or(u64::MAX, |e| e as u64);
            return Err(ConvertError::TensorBytes { name, bytes: u64::from(announced), expected });
        }
        let variable = Variable { dims, kind, offset: self.pos, bytes };
        self.room(u64::from(announced), &name)?;
        self.seek(self.pos + u64::from(announced))?;
        match self.variables.insert(name.clone(), variable) {
            None => Ok(()),
            Some(_) => Err(ConvertError::DuplicateTensor { name }),
        }
    }

    /// Refuses the settings of CTranslate2 under which the weights would mean something else in whisper.cpp.
    fn settings(&mut self) -> Result<(), ConvertError> {
        for (name, expected) in [
            ("decoder/pre_norm", 1),
            ("decoder/alibi", 0),
            ("decoder/scale_embeddings", 0),
            ("decoder/start_from_zero_embedding", 0),
        ] {
            if self.variables.contains_key(name) {
                let found = self.scalar(name)?;
                if found != expected {
                    return Err(ConvertError::Setting { what: name, found, expected });
                }
            }
        }
        Ok(())
    }

    fn scalar(&mut self, name: &str) -> Result<i64, ConvertError> {
        let variable = self.find(name)?;
        if variable.bytes != variable.kind.size() {
            return Err(ConvertError::Shape {
                name: name.to_owned(),
                found: wide(&variable.dims),
                expected: Vec::new(),
            });
        }
        let data = self.data(name, &variable, 0..variable.bytes)?;
        match (variable.kind, data.as_slice()) {
            (Type::I8, [a]) => Ok(i64::from(i8::from_le_bytes([*a]))),
            (Type::I16, [a, b]) => Ok(i64::from(i16::from_le_bytes([*a, *b]))),
            (Type::I32, [a, b, c, d]) => Ok(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))),
            (other, _) => Err(ConvertError::TensorType { name: name.to_owned(), found: format!("{other:?}") }),
        }
    }

    fn find(&self, name: &str) -> Result<Variable, ConvertError> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        self.variables.get(name).cloned().ok_or_else(|| ConvertError::MissingTensor { name: name.to_owned() })
    }

    fn dims<const N: usize>(&self, name: &str) -> Result<[u32; N], ConvertError> {
        let variable = self.find(name)?;
        let dims: Vec<u32> = variable.dims.iter().map(|d| u32::try_from(*d).unwrap_or(u32::MAX)).collect();
        <[u32; N]>::try_from(dims).map_err(|_dims| ConvertError::Shape {
            name: name.to_owned(),
            found: wide(&variable.dims),
            expected: vec![0; N],
        })
    }

    fn layers(&self, side: &str) -> u32 {
        let has =
            |layer: &u32| self.variables.contains_key(&format!("{side}/layer_{layer}/self_attention/linear_0/weight"));
        u32::try_from((0..MOST_VARIABLES).take_while(has).count()).unwrap_or(u32::MAX)
    }

    /// The values of part `part` of `of` stacks of rows of a variable.
    fn values(&mut self, name: &str, part: usize, of: usize) -> Result<Vec<f32>, ConvertError> {
        let variable = self.find(name)?;
        let rows = variable.dims.first().copied().unwrap_or(1);
        if !rows.is_multiple_of(of) {
            return Err(ConvertError::Shape {
                name: name.to_owned(),
                found: wide(&variable.dims),
                expected: vec![(rows / of * of) as u64],
            });
        }
        let share = variable.bytes / of;
        let data = self.data(name, &variable, part * share..(part + 1) * share)?;
        match variable.kind {
            Type::F32 => Ok(quantise::decode_f32(&data)),
            Type::F16 => Ok(quantise::decode_f16(&data)),
            Type::Bf16 => Ok(quantise::decode_bf16(&data)),
            Type::I8 => {
                let integers = data.iter().map(|b| f32::from(i8::from_le_bytes([*b]))).collect();
                self.scaled(name, integers, rows, part, of)
            }
            Type::I16 => {
                let integers = data.as_chunks().0.iter().map(|b| f32::from(i16::from_le_bytes(*b))).collect();
                self.scaled(name, integers, rows, part, of)
            }
            Type::I32 => Err(ConvertError::TensorType { name: name.to_owned(), found: "i32".to_owned() }),
        }
    }

    fn scaled(
        &mut self,
        name: &str,
        mut values: Vec<f32>,
        rows: usize,
        part: usize,
        of: usize,
    ) -> Result<Vec<f32>, ConvertError> {
        let target = self.aliases.get(name).cloned().unwrap_or_else(|| name.to_owned());
        let scale_name = format!("{target}_scale");
        let variable = self.find(&scale_name)?;
        if variable.kind != Type::F32 {
            return Err(ConvertError::TensorType { name: scale_name, found: format!("{:?}", variable.kind) });
        }
        let scales = quantise::decode_f32(&self.data(&scale_name, &variable, 0..variable.bytes)?);
        let share = rows / of;
        let scales = match scales.len() {
            1 => vec![scales[0]; share],
            n if n == rows => scales[part * share..(part + 1) * share].to_vec(),
            _ => {
                let (found, expected) = (wide(&variable.dims), vec![rows as u64]);
                return Err(ConvertError::Shape { name: scale_name, found, expected });
            }
        };
        // A scale of 0 (or NaN) would make infinities, which the writer refuses by the tensor's name.
        let row = (values.len() / share.max(1)).max(1);
        for (row, scale) in values.chunks_mut(row).zip(scales) {
            row.iter_mut().for_each(|v| *v /= scale);
        }
        Ok(values)
    }

    /// Bytes `range` of a variable's data. The index has checked that they lie in the file.
    fn data(
        &mut self,
        name: &str,
        variable: &Variable,
        range: std::ops::Range<usize>,
    ) -> Result<Vec<u8>, ConvertError> {
        self.seek(variable.offset + range.start as u64)?;
        let mut data = vec![0; range.len()];
        self.read(&mut data, name)?;
        Ok(data)
    }

    fn seek(&mut self, to: u64) -> Result<(), ConvertError> {
        self.file.seek(SeekFrom::Start(to)).map_err(|source| ConvertError::Io { path: self.path.clone(), source })?;
        self.pos = to;
        Ok(())
    }

    fn room(&self, need: u64, what: &str) -> Result<(), ConvertError> {
        let have = self.length - self.pos;
        if need <= have {
            return Ok(());
        }
        Err(ConvertError::Truncated { path: self.path.clone(), what: what.to_owned(), need, have })
    }

    fn read(&mut self, into: &mut [u8], what: &str) -> Result<(), ConvertError> {
        self.room(into.len() as u64, what)?;
        self.file.read_exact(into).map_err(|source| ConvertError::Io { path: self.path.clone(), source })?;
        self.pos += into.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ConvertError> {
        let mut bytes = [0; N];
        self.read(&mut bytes, what)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Result<u32, ConvertError> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn count(&mut self, what: &'static str) -> Result<u32, ConvertError> {
        match self.u32(what)? {
            count if count <= MOST_VARIABLES => Ok(count),
            count => Err(ConvertError::Range { what, found: i64::from(count), allowed: "0 to 16384" }),
        }
    }

    fn string(&mut self, what: &'static str) -> Result<String, ConvertError> {
        let length = u16::from_le_bytes(self.array(what)?);
        let mut bytes = vec![0; usize::from(length)];
        self.read(&mut bytes, what)?;
        match std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(&bytes)) {
            Ok(text) => Ok(text.to_owned()),
            Err(source) => Err(ConvertError::NotText { path: self.path.clone(), what, source }),
        }
    }
}

impl Weights for Ct2Weights {
    fn shape(&self) -> Result<WhisperShape, ConvertError> {
        let [vocabulary, state] = self.dims("decoder/embeddings/weight")?;
        let [audio_context, _] = self.dims("encoder/position_encodings/encodings")?;
        let [text_context, _] = self.dims("decoder/position_encodings/encodings")?;
        let [_, mels, _] = self.dims("encoder/conv1/weight")?;
        let [audio_heads, text_heads] = self.heads;
        WhisperShape {
            vocabulary,
            audio_context,
            state,
            audio_heads,
            audio_layers: self.layers("encoder"),
            text_context,
            text_heads,
            text_layers: self.layers("decoder"),
            mels,
        }
        .checked()
    }

    fn check(&mut self, specs: &[TensorSpec]) -> Result<(), ConvertError> {
        let known: BTreeSet<&str> = specs.iter().map(|s| s.ct2.variable.as_str()).collect();
        let projection = "decoder/projection/weight";
        let stray = self.variables.iter().find(|(name, variable)| {
            let weight = name.strip_suffix("_scale").unwrap_or(name);
            !variable.dims.is_empty() && !known.contains(weight) && weight != projection
        });
        if let Some((name, _)) = stray {
            return Err(ConvertError::UnknownTensor { name: name.clone() });
        }
        for spec in specs.iter().filter(|s| s.name.ends_with("attn.key.weight")) {
            let bias = spec.ct2.variable.replace("/weight", "/bias");
            if self.values(&bias, spec.ct2.part, spec.ct2.of)?.iter().any(|v| *v != 0.0) {
                return Err(ConvertError::KeyBias { name: bias });
            }
        }
        let embedding = "decoder/embeddings/weight";
        if self.variables.contains_key(projection) && self.values(projection, 0, 1)? != self.values(embedding, 0, 1)? {
            return Err(ConvertError::Untied);
        }
        match self.aliases.get(projection) {
            Some(target) if target != embedding => Err(ConvertError::Untied),
            _ => Ok(()),
        }
    }

    fn read(&mut self, spec: &TensorSpec) -> Result<Vec<f32>, ConvertError> {
        let place = &spec.ct2;
        let found = self.find(&place.variable)?.dims;
        let mut expected = spec.source_dims();
        if let Some(rows) = expected.first_mut() {
            *rows *= place.of;
        }
        if found != expected {
            let name = place.variable.clone();
            return Err(ConvertError::Shape { name, found: wide(&found), expected: wide(&expected) });
        }
        self.values(&place.variable, place.part, place.of)
    }

    fn tokens(&self, shape: &WhisperShape) -> Result<Vec<Vec<u8>>, ConvertError> {
        tokens::table(self.path.parent().unwrap_or(Path::new(".")), shape)
    }

    fn alignment_heads(&self, shape: &WhisperShape) -> Result<Vec<[u32; 2]>, ConvertError> {
        heads_in(&self.path.with_file_name("config.json"), shape)
    }
}
