//! What the product is put together by: the configuration, resolved to what each part needs.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::isolation::Isolation;
use crate::speech::{front::FrontConfig, profile::Profiles};

/// What the engine is made of.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The folder of the models.
    pub models: PathBuf,
    /// The recogniser's model.
    pub model: String,
    /// Threads that decode.
    pub workers: usize,
    /// Threads each of them uses.
    pub threads_per_worker: u8,
    /// How texts are made: the detector, the decoding, where utterances end.
    pub profiles: Profiles,
    /// Milliseconds of speech between partials; 0 for none.
    pub partial_step_ms: u32,
    /// The file of the glossary that it is told; `None` for none.
    pub glossary: Option<PathBuf>,
    /// In which process it runs.
    pub isolation: Isolation,
}

impl EngineSettings {
    /// Where utterances end, by the profile of finals, and how often partials come.
    #[must_use]
    pub fn front(&self) -> FrontConfig {
        FrontConfig { endpoint: self.profiles.last.endpoint.clone(), partial_step_ms: self.partial_step_ms }
    }
}

/// What the server is made of.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where gRPC listens.
    pub listen: SocketAddr,
    /// Where health, readiness and metrics are served over HTTP.
    pub admin_listen: SocketAddr,
    /// The folder of the record and the audio.
    pub data: PathBuf,
    /// Bytes of its disk that are kept for hearings that run.
    pub reserve: u64,
    /// Streams at a time.
    pub max_streams: usize,
    /// Channels that are listened to while people speak; `None` for as many as come.
    pub live_channels: Option<usize>,
    /// Bytes of one message.
    pub max_message_bytes: usize,
    /// How long streams and texts may take to finish when the server stops.
    pub drain: Duration,
}
