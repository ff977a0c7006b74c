//! The composition root: configuration becomes parts, parts become a server. Only here is the system asked for the time
//! and for chance.

mod engine;
mod glossary;
mod health;
pub mod isolation;
pub mod processor;
mod second;
mod server;
mod settings;
pub mod tune;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    api::admin::AdminError,
    domain::{
        fault::{Fault, FaultKind},
        glossary::GlossaryError,
    },
    hearing::{HearingError, world::World},
    models::ModelError,
    record::{keys::KeyStore, media::MediaError, store::RecordError},
    speech::{asr::AsrError, vad::VadError},
};

pub use self::{
    engine::Engine,
    server::Server,
    settings::{EngineSettings, ServerSettings},
};

/// Why the product could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model of the wrong kind.
    #[error("model {name} is no {wanted}: choose another in the configuration")]
    ModelKind {
        /// The model.
        name: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The speech detector.
    #[error("model {name} cannot be used")]
    Detector {
        /// The model.
        name: String,
        /// Why.
        #[source]
        source: VadError,
    },
    /// The recogniser.
    #[error(transparent)]
    Engine(#[from] AsrError),
    /// The engine is built for another processor.
    #[error(
        "this program is built for {built} processors, and this one ({here}) lacks {}: take the program that is built for \
         {here}, or build it on this machine",
        lacks.join(", ")
    )]
    Processor {
        /// For what it is built.
        built: String,
        /// What this machine is.
        here: &'static str,
        /// What it would need.
        lacks: Vec<&'static str>,
    },
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A glossary's file.
    #[error("the glossary {} cannot be read", path.display())]
    GlossaryFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A glossary that is written otherwise.
    #[error("the glossary {} is not written as one: version, approved.by, approved.on and terms, in TOML", path.display())]
    GlossaryForm {
        /// Which.
        path: PathBuf,
        /// Where.
        #[source]
        source: toml::de::Error,
    },
    /// A glossary's terms.
    #[error("the glossary {} cannot be used", path.display())]
    Glossary {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: GlossaryError,
    },
    /// The audio journal.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Health and metrics.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The hearings.
    #[error(transparent)]
    Hearing(#[from] HearingError),
    /// A folder.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address.
    #[error("cannot listen on {address}: is another server running there?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server itself.
    #[error("the server failed")]
    Serve(#[from] tonic::transport::Error),
    /// Reflection.
    #[error("the protocol's description is broken")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Fault for AppError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Model(source) => source.kind(),
            Self::ModelKind { .. } => FaultKind::Invalid,
            Self::Detector { source, .. } => source.kind(),
            Self::Engine(source) => source.kind(),
            Self::Record(source) => source.kind(),
            Self::Media(source) => source.kind(),
            Self::Admin(source) => source.kind(),
            Self::Hearing(source) => source.kind(),
            Self::GlossaryFile { .. } => FaultKind::NotFound,
            Self::GlossaryForm { .. } => FaultKind::Invalid,
            Self::Glossary { source, .. } => source.kind(),
            Self::Folder { .. } | Self::Listen { .. } | Self::Processor { .. } => FaultKind::Unavailable,
            Self::Serve(_) | Self::Reflection(_) => FaultKind::Internal,
        }
    }
}

/// The system's clock and its random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWorld;

impl World for SystemWorld {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn steady(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        BEGAN.get_or_init(Instant::now).elapsed()
    }

    fn draw_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn draw_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        draw(&mut bytes);
        bytes
    }
}

fn draw(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("Linux has a random source, and it is ready once the system is up");
}

/// The keys of the hearings under `data`, drawn from the system's random source.
#[must_use]
pub fn keys(data: &Path) -> Arc<KeyStore> {
    keys_under(&data.join("keys"))
}

/// The keys of the hearings in the folder `folder`.
#[must_use]
pub fn keys_under(folder: &Path) -> Arc<KeyStore> {
    Arc::new(KeyStore::under(folder.to_owned(), Box::new(draw)))
}

/// Keeps the system from writing this process's memory into a core file, should it end badly: audio and text are in it. Not even
/// to a program that takes core files, which a limit alone would not stop.
///
/// # Errors
/// What the system says.
pub fn forbid_core_files() -> std::io::Result<()> {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
