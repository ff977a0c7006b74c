//! The models that the engine runs on: listed, fetched, converted, and checked before any native code sees them.
//!
//! A **manifest** ([`manifest`]) names each model with its licence, languages, size, SHA-256 and sources. A **store**
//! ([`store`]) is a folder of model files; [`store::ModelStore::load`] reads a file once, compares the digest of that very
//! buffer and checks its structure, and the engine is given the buffer, never the path.

pub mod convert;
pub mod digest;
pub mod manifest;
pub mod progress;
pub mod store;

#[cfg(feature = "server")]
pub mod fetch;
#[cfg(feature = "server")]
pub mod import;
#[cfg(feature = "server")]
pub mod recordings;

use std::{io, path::PathBuf};

use crate::{
    domain::fault::{Fault, FaultKind},
    models::{convert::ConvertError, digest::Fingerprint},
};

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A manifest that cannot be read.
    #[error("the list of models in {name} cannot be read: {source}")]
    Manifest {
        /// The file.
        name: String,
        /// What the parser said.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A name that no model or file of a model can have.
    #[error(
        "{name:?} cannot name a model or its file: 1 to 64 letters, digits, '-', '_' and '.', not beginning with '.'"
    )]
    Name {
        /// What was given, cut to 80 characters.
        name: String,
    },
    /// A model that neither the manifest nor the store knows.
    #[error("model {name:?} is not known: `vivavoce models list` names those that are")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A model whose file is not in the store.
    #[error("model {name} is not in {path}: run `vivavoce models fetch {name}`", path = path.display())]
    Absent {
        /// The model.
        name: String,
        /// Where its file should be.
        path: PathBuf,
    },
    /// A file that is not what the manifest says.
    #[error(
        "{path} is refused: it has {found}, and model {name} is {expected}; delete the file and run `vivavoce models \
         fetch {name}`, or import the model again",
        path = path.display()
    )]
    Mismatch {
        /// The model.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: Box<Fingerprint>,
        /// What the file is.
        found: Box<Fingerprint>,
    },
    /// A conversion whose result is not what the manifest says: the converter is another than the manifest was made with.
    #[error("converting model {name} gave {found} instead of {expected}: the manifest belongs to another version")]
    Conversion {
        /// The model.
        name: String,
        /// What the manifest says.
        expected: Box<Fingerprint>,
        /// What came out.
        found: Box<Fingerprint>,
    },
    /// A file whose digest is right and whose content no engine can load.
    #[error("{path} is refused: {source}", path = path.display())]
    Structure {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ConvertError,
    },
    /// Weights that cannot be converted.
    #[error("the weights cannot be converted: {0}")]
    Convert(#[from] ConvertError),
    /// A name that is taken.
    #[error("a model named {name} exists already: choose another name, or delete {path} first", path = path.display())]
    Taken {
        /// The name.
        name: String,
        /// Its file or note.
        path: PathBuf,
    },
    /// An imported model must say which languages it is for.
    #[error("name at least one language that model {name} is for (--language)")]
    NoLanguage {
        /// The model.
        name: String,
    },
    /// No source gave the model.
    #[cfg(feature = "server")]
    #[error(
        "model {name} could not be had from any source:{}\nremedy: open the way to one of these, name a mirror of the hub \
         with --hub URL, or copy the model's file into the store from a machine that has it",
        fetch::lines(failures)
    )]
    Sources {
        /// The model.
        name: String,
        /// Each source and why it failed, in the order of trying.
        failures: Vec<(String, fetch::FetchError)>,
    },
    /// No source gave the recordings.
    #[cfg(feature = "server")]
    #[error(
        "the recordings could not be had from any source:{}\nremedy: run `apt-get update` (Debian), or install Python 3 \
         with pip, where a package registry can be reached",
        fetch::lines(failures)
    )]
    Recordings {
        /// Each source and why it failed, in the order of trying.
        failures: Vec<(String, fetch::FetchError)>,
    },
}

impl Fault for ModelError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => FaultKind::NotFound,
            Self::Io { .. } | Self::Manifest { .. } | Self::Conversion { .. } => FaultKind::Internal,
            Self::Name { .. } | Self::NoLanguage { .. } => FaultKind::Invalid,
            Self::Unknown { .. } | Self::Absent { .. } => FaultKind::NotFound,
            Self::Mismatch { .. } | Self::Structure { .. } => FaultKind::DataLoss,
            Self::Convert(source) => source.kind(),
            Self::Taken { .. } => FaultKind::AlreadyExists,
            #[cfg(feature = "server")]
            Self::Sources { .. } | Self::Recordings { .. } => FaultKind::Unavailable,
        }
    }
}
