//! Where a setting was written.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use figment::{Metadata, Source};

/// Where a setting was written, as a person can find it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the built-in value.
    BuiltIn,
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
    /// In a flag of the command line, with its dashes.
    Flag(String),
}

impl Origin {
    /// What figment keeps beside each value.
    pub(super) fn metadata(&self) -> Metadata {
        match self {
            Self::BuiltIn => Metadata::named("built-in"),
            Self::File(path) => Metadata::from("file", path.as_path()),
            Self::Variable(name) => Metadata::from("variable", Source::Custom(name.clone())),
            Self::Flag(name) => Metadata::from("flag", Source::Custom(name.clone())),
        }
    }

    /// The way back.
    pub(super) fn of(metadata: Option<&Metadata>) -> Self {
        match metadata.map(|m| (m.name.as_ref(), m.source.as_ref())) {
            Some(("file", Some(Source::File(path)))) => Self::File(Path::new(path).to_owned()),
            Some(("variable", Some(Source::Custom(name)))) => Self::Variable(name.clone()),
            Some(("flag", Some(Source::Custom(name)))) => Self::Flag(name.clone()),
            // Only the layers of this module are ever merged.
            _ => Self::BuiltIn,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
