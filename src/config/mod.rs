//! The settings: from a file, the environment and the command line, in that order, later ones on top.
//!
//! What was typed (`raw`) and what it means ([`Config`]) are two types. Every fault is told at once, each with its key,
//! where it was written, and what would be right. No setting is needed: the built-in values serve on this machine alone.
//!
//! A file is TOML with the groups `[server]`, `[data]`, `[recognition]`, `[endpoint]`, `[profiles]`, `[log]`. A variable is named
//! `VIVAVOCE_GROUP__KEY`, and a list is written in it as in TOML.

mod describe;
pub mod edit;
pub mod flags;
mod nearest;
pub mod origin;
mod raw;
mod resolve;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use figment::value::Dict;

use self::{
    flags::FlagOverrides,
    origin::Origin,
    raw::{Layer, Typed},
};
use crate::{
    domain::fault::{Fault, FaultKind},
    speech::{profile::Profiles, stream::endpoint::EndpointError},
    telemetry::log::LogSettings,
};

/// Where a file of settings is looked for when none is named, in this order.
pub const DEFAULT_FILES: [&str; 2] = ["vivavoce.toml", "/etc/vivavoce/vivavoce.toml"];

/// Settings that were checked, together with where each was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The listeners and their limits.
    pub server: ServerConfig,
    /// Where things are kept.
    pub data: DataConfig,
    /// The speech engine.
    pub recognition: RecognitionConfig,
    /// All that can change a text beside the model.
    pub profiles: Profiles,
    /// What is logged, and how.
    pub log: LogSettings,
    origins: BTreeMap<&'static str, Origin>,
}

/// The listeners and their limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The gRPC service; a loopback address.
    pub listen: SocketAddr,
    /// Health, readiness and metrics over HTTP; a loopback address.
    pub admin_listen: SocketAddr,
    /// Streams at a time, 1 to 1000.
    pub max_streams: usize,
    /// Channels that are listened to while people speak, up to 1000; `None` for as many as come.
    pub live_channels: Option<usize>,
    /// The longest message taken, 64 KiB to 64 MiB.
    pub max_message_bytes: usize,
    /// How long running streams may take to end when the server stops, up to 10 minutes.
    pub drain: Duration,
}

/// Where things are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataConfig {
    /// The folder of the record and of the audio; a relative one starts from the working directory.
    pub dir: PathBuf,
    /// The folder of the model files.
    pub models: PathBuf,
    /// Bytes of the disk that are kept for hearings that run, up to 1 TiB; 0 keeps none.
    pub reserve: u64,
}

impl DataConfig {
    /// The file of the record.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.dir.join("record.sqlite")
    }

    /// The folder of the audio.
    #[must_use]
    pub fn audio(&self) -> PathBuf {
        self.dir.join("audio")
    }
}

/// The speech engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecognitionConfig {
    /// The speech model's name in the store.
    pub model: String,
    /// The name of the model that detects speech.
    pub vad_model: String,
    /// Threads within one decode, 1 to 64.
    pub threads_per_worker: NonZeroUsize,
    /// Decodes side by side, 1 to 256.
    pub workers: NonZeroUsize,
    /// How often a running utterance is decoded for display, 200 ms to 10 s; `None` shows finals only.
    pub partial_step: Option<Duration>,
    /// Whether a server runs each decode's engine in a process of its own.
    pub isolate: bool,
    /// The file of the glossary that the recogniser is told; `None` for none.
    pub glossary: Option<PathBuf>,
}

impl Config {
    /// Reads and checks all settings. Without `file` the first of [`DEFAULT_FILES`] that exists is read, or none.
    ///
    /// # Errors
    /// [`ConfigError::File`] and [`ConfigError::Syntax`] for a file that cannot be read, [`ConfigError::Settings`] with
    /// every setting that is wrong.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &FlagOverrides,
    ) -> Result<Self, ConfigError> {
        let file = match file {
            Some(path) => Some((path.to_owned(), read(path)?)),
            None => default_file()?,
        };
        // Without an answer of the system, one core is what any machine has.
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self::from_sources(file, environment, flags, cores)
    }

    /// As [`Config::load`] with the text of the file and the number of `cores` given.
    fn from_sources(
        file: Option<(PathBuf, String)>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &FlagOverrides,
        cores: NonZeroUsize,
    ) -> Result<Self, ConfigError> {
        let mut layers = Vec::new();
        if let Some((path, text)) = file {
            let values: Dict = toml::from_str(&text)
                .map_err(|source| ConfigError::Syntax { path: path.clone(), source: Box::new(source) })?;
            layers.push(Layer::new(Origin::File(path), values));
        }
        let mut faults = Vec::new();
        layers.extend(raw::variables(environment, &mut faults));
        layers.extend(raw::flags(flags, &mut faults));
        let typed = Typed::merge(layers, &mut faults);
        let config = resolve::resolve(&typed, cores, &mut faults);
        if faults.is_empty() { Ok(config) } else { Err(ConfigError::Settings { faults }) }
    }

    /// Where `key` (`group.name`) was written.
    #[must_use]
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::BuiltIn)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })
}

/// The first default file that exists. One that exists and cannot be read is an error, not another reason to go on.
fn default_file() -> Result<Option<(PathBuf, String)>, ConfigError> {
    for path in DEFAULT_FILES.map(Path::new) {
        match read(path) {
            Ok(text) => return Ok(Some((path.to_owned(), text))),
            Err(ConfigError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file of settings that cannot be read.
    #[error("the settings in {path} cannot be read: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of settings that is no TOML.
    #[error("the settings in {path} are not written as TOML: {source}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A file of settings that cannot be changed.
    #[error("the settings in {path} cannot be changed: {source}", path = path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        #[source]
        source: Box<toml_edit::TomlError>,
    },
    /// Something else in the place of a group.
    #[error("{path} has something else in the place of the group [{group}]: mend it first", path = path.display())]
    NoGroup {
        /// The file.
        path: PathBuf,
        /// The group.
        group: String,
    },
    /// Settings that are wrong.
    #[error("{}", Lines(faults))]
    Settings {
        /// All of them.
        faults: Vec<KeyFault>,
    },
}

impl Fault for ConfigError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => FaultKind::NotFound,
            Self::File { .. } => FaultKind::Unavailable,
            Self::Syntax { .. } | Self::Edit { .. } | Self::NoGroup { .. } | Self::Settings { .. } => {
                FaultKind::Invalid
            }
        }
    }
}

struct Lines<'a>(&'a [KeyFault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if line == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// One setting that is wrong.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{origin}: {key} {problem}")]
pub struct KeyFault {
    /// The key: `group.name`.
    pub key: String,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong with it.
    pub problem: KeyProblem,
}

/// What is wrong with a setting. The texts go on after the key.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum KeyProblem {
    /// There is no such key.
    #[error("is not a setting; {}", match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("here are {}", known.join(", ")),
    })]
    Unknown {
        /// The key that was probably meant.
        nearest: Option<&'static str>,
        /// The names that can stand there.
        known: &'static [&'static str],
    },
    /// A variable that looks like a setting and is none.
    #[error("needs two underscores between the group and the key{}", match written {
        Some(written) => format!(": write {written}"),
        None => String::new(),
    })]
    Separator {
        /// How it should be written.
        written: Option<String>,
    },
    /// A `--set` without a value.
    #[error("has no value: write --set group.key=value")]
    NoValue,
    /// A part that must be there.
    #[error("lacks {field}")]
    Missing {
        /// Its name.
        field: String,
    },
    /// Text for a number, a number for text, and the like.
    #[error("is {found}: {expected} is needed")]
    Form {
        /// What was written.
        found: String,
        /// What can be written.
        expected: String,
    },
    /// Too small or too large.
    #[error("is {found}: {least} to {most} can be set")]
    Range {
        /// What was written.
        found: i64,
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// A step for display that is neither none nor in its range.
    #[error("is {found}: 0 turns partial text off, or else 200 to 10000 can be set")]
    Step {
        /// What was written.
        found: i64,
    },
    /// No address.
    #[error("is {found:?}: an IP address with a port is needed, such as 127.0.0.1:50061 or [::1]:50061")]
    Address {
        /// What was written.
        found: String,
    },
    /// An address that other machines reach.
    #[error(
        "is {found}, which other machines can reach: this version has neither TLS nor sign-on and listens on 127.0.0.1 \
         or [::1] only; let other machines in through a tunnel, such as ssh -L"
    )]
    Open {
        /// What was written.
        found: SocketAddr,
    },
    /// Two listeners on one address.
    #[error("is {found} as server.listen is: give it another port")]
    SameAddress {
        /// What was written.
        found: SocketAddr,
    },
    /// No text.
    #[error("is empty: a folder is needed")]
    NoFolder,
    /// A name that no model can have.
    #[error("is {found:?}: a model's name is 1 to 64 letters, digits, '-', '_' and '.', and does not begin with '.'")]
    ModelName {
        /// What was written, cut to 80 characters.
        found: String,
    },
    /// A format of log lines that does not exist.
    #[error("is {found:?}: text or json is needed")]
    LogFormat {
        /// What was written, cut to 80 characters.
        found: String,
    },
    /// A filter that cannot be read.
    #[error("is {found:?}, which is no filter ({reason}): write such as info, or info,whisper_rs=warn")]
    LogFilter {
        /// What was written, cut to 80 characters.
        found: String,
        /// What the reader of filters said.
        reason: String,
    },
    /// Endpoint settings that do not fit each other.
    #[error("does not fit: {0}")]
    Endpoint(EndpointError),
}

#[cfg(test)]
mod tests;
