//! The folder where model files lie, and the only way from there to the engine.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    domain::{engine::Sha256Hash, language::LanguageTag},
    models::{
        ModelError,
        convert::{
            ggml::{self, WhisperShape},
            quantise::Quantisation,
        },
        digest,
        manifest::{self, Alignment, Manifest, ModelEntry, ModelKind},
    },
};

/// The most an imported model's note may have, bytes.
const MOST_NOTE: u64 = 1 << 20;

/// A folder of model files: those of the manifest, and those that were imported, each with its note `NAME.toml`.
#[derive(Clone, Debug)]
pub struct ModelStore {
    dir: PathBuf,
    manifest: Manifest,
}

/// What the store has of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// No file.
    Absent,
    /// A file of the right size. Its digest is compared when it is verified or loaded.
    Present,
    /// A file of another size, which will be refused.
    WrongSize {
        /// Bytes it has.
        size: u64,
    },
}

/// A model as `models list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its entry.
    pub entry: ModelEntry,
    /// Whether it was imported, not named by the manifest.
    pub imported: bool,
    /// What the store has of it.
    pub presence: Presence,
}

/// A model whose digest and structure were checked, in the buffer that was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedModel {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: ModelKind,
    /// SHA-256 of `bytes`.
    pub sha256: Sha256Hash,
    /// `f16`, `q8_0`, `q5_1`; `none` for a detector of speech.
    pub quantisation: String,
    /// The languages it is for.
    pub languages: Vec<LanguageTag>,
    /// Where word times are taken from.
    pub alignment: Alignment,
    /// The dimensions, where it is a Whisper model.
    pub shape: Option<WhisperShape>,
    /// The whole file, to be given to the engine.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for VerifiedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedModel")
            .field("name", &self.name)
            .field("sha256", &self.sha256)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl ModelStore {
    /// The store in `dir`, which need not exist yet, with the models of the built-in manifest.
    ///
    /// # Errors
    /// [`ModelError::Manifest`], which the product's own manifest does not give.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, ModelError> {
        Ok(Self::with_manifest(dir, Manifest::built_in()?))
    }

    /// The store in `dir` with the models of `manifest`.
    #[must_use]
    pub fn with_manifest(dir: impl Into<PathBuf>, manifest: Manifest) -> Self {
        Self { dir: dir.into(), manifest }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a model's file lies or will lie.
    #[must_use]
    pub fn path(&self, entry: &ModelEntry) -> PathBuf {
        self.dir.join(&entry.file)
    }

    /// Every model of the manifest, then every imported one by name, with what the store has of it. Digests are not
    /// computed here.
    ///
    /// # Errors
    /// [`ModelError::Io`] and [`ModelError::Manifest`] for a folder or note that cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, ModelError> {
        let known = self.manifest.model.iter().map(|entry| (entry.clone(), false));
        let imported = self.imported()?.into_values().map(|entry| (entry, true));
        known
            .chain(imported)
            .map(|(entry, imported)| Ok(Listed { presence: self.presence(&entry)?, entry, imported }))
            .collect()
    }

    /// The entry of the model `name`.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], or [`ModelError::Manifest`] where its note cannot be read.
    pub fn entry(&self, name: &str) -> Result<ModelEntry, ModelError> {
        if let Some(entry) = self.manifest.model.iter().find(|entry| entry.name == name) {
            return Ok(entry.clone());
        }
        let unknown = || ModelError::Unknown { name: name.chars().take(80).collect() };
        if manifest::check_name(name).is_err() || !self.note(name).is_file() {
            return Err(unknown());
        }
        self.read_note(&self.note(name))
    }

    /// Reads, hashes and checks the model `name`, and keeps nothing of it.
    ///
    /// # Errors
    /// Those of [`ModelStore::load`].
    pub fn verify(&self, name: &str) -> Result<ModelEntry, ModelError> {
        self.load(name)?;
        self.entry(name)
    }

    /// Reads the model `name` into memory, once, and checks that buffer: its digest against the manifest or note, then,
    /// for a Whisper model, every length, name and shape in it. Costs the file's size in memory and about a second a
    /// gigabyte.
    ///
    /// # Errors
    /// [`ModelError::Unknown`] and [`ModelError::Absent`]; [`ModelError::Mismatch`], with both digests, for a file that
    /// is not the one named; [`ModelError::Structure`] for one that no engine could load.
    pub fn load(&self, name: &str) -> Result<VerifiedModel, ModelError> {
        let entry = self.entry(name)?;
        let path = self.path(&entry);
        let bytes = self.read(&entry, &path)?;
        let shape = check(&entry, &path, &bytes)?;
        Ok(VerifiedModel {
            alignment: entry.alignment(),
            name: entry.name,
            kind: entry.kind,
            sha256: entry.sha256,
            quantisation: entry.quantisation.map_or("none", Quantisation::name).to_owned(),
            languages: entry.languages,
            shape,
            bytes,
        })
    }

    fn read(&self, entry: &ModelEntry, path: &Path) -> Result<Vec<u8>, ModelError> {
        let io = |source| ModelError::Io { path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ModelError::Absent { name: entry.name.clone(), path: path.to_owned() });
            }
            opened => opened.map_err(io)?,
        };
        let expected = entry.fingerprint();
        let refuse = |found| {
            let (expected, found) = (Box::new(expected), Box::new(found));
            ModelError::Mismatch { name: entry.name.clone(), path: path.to_owned(), expected, found }
        };
        if file.metadata().map_err(io)?.len() != entry.size {
            return Err(refuse(digest::of_reader(&mut file).map_err(io)?));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size).unwrap_or(0));
        file.take(entry.size + 1).read_to_end(&mut bytes).map_err(io)?;
        let found = digest::of_bytes(&bytes);
        if found == expected { Ok(bytes) } else { Err(refuse(found)) }
    }

    fn presence(&self, entry: &ModelEntry) -> Result<Presence, ModelError> {
        let path = self.path(entry);
        match fs::metadata(&path) {
            Ok(data) if data.len() == entry.size => Ok(Presence::Present),
            Ok(data) => Ok(Presence::WrongSize { size: data.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Presence::Absent),
            Err(source) => Err(ModelError::Io { path, source }),
        }
    }

    /// The note beside an imported model.
    pub(super) fn note(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.toml"))
    }

    fn imported(&self) -> Result<BTreeMap<String, ModelEntry>, ModelError> {
        let io = |source| ModelError::Io { path: self.dir.clone(), source };
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries.map_err(io)?,
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                let entry = self.read_note(&path)?;
                found.insert(entry.name.clone(), entry);
            }
        }
        Ok(found)
    }

    fn read_note(&self, path: &Path) -> Result<ModelEntry, ModelError> {
        let io = |source| ModelError::Io { path: path.to_owned(), source };
        let mut text = String::new();
        File::open(path).map_err(io)?.take(MOST_NOTE).read_to_string(&mut text).map_err(io)?;
        let name = path.display().to_string();
        let entry: ModelEntry =
            toml::from_str(&text).map_err(|source| ModelError::Manifest { name, source: Box::new(source) })?;
        manifest::check_names(&entry)?;
        // A note speaks for the file of its own name only, and never for a model of the manifest.
        if self.note(&entry.name) != path || self.manifest.model.iter().any(|m| m.name == entry.name) {
            return Err(ModelError::Taken { name: entry.name, path: path.to_owned() });
        }
        Ok(entry)
    }
}

/// Checks the structure of a file whose digest is right.
pub(super) fn check(entry: &ModelEntry, path: &Path, bytes: &[u8]) -> Result<Option<WhisperShape>, ModelError> {
    match entry.kind {
        ModelKind::Vad => Ok(None),
        ModelKind::Whisper => match ggml::inspect(bytes, path) {
            Ok(layout) => Ok(Some(layout.shape)),
            Err(source) => Err(ModelError::Structure { path: path.to_owned(), source }),
        },
    }
}

#[cfg(test)]
#[cfg(feature = "server")]
mod tests;
