//! The server of a trial: vivavoce's own, with an engine that says what its script says. A process of its own, this same file
//! started anew.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use vivavoce::{
    app::{Engine, Server, ServerSettings, forbid_core_files},
    domain::probability::Probability,
    speech::{
        asr::scripted::{Pace, Scripted},
        front::FrontConfig,
        stream::endpoint::EndpointConfig,
        vad::{FRAME, SpeechDetector},
    },
    telemetry::log::{Colour, LogSettings, init},
};

/// The first argument of a server's process.
pub(crate) const WORD: &str = "serve-scripted";

/// What a server's process is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    /// Microseconds that the engine takes for a second of audio; SIGUSR1 sets it to 0.
    pub(crate) pace_micros: u64,
    pub(crate) log: String,
    /// Words that the engine knows.
    pub(crate) vocabulary: Vec<String>,
}

impl Settings {
    pub(crate) fn under(data: PathBuf) -> Self {
        let vocabulary = (0..64).map(|n| format!("word{n}")).collect();
        Self { data, pace_micros: 0, log: "warn".to_owned(), vocabulary }
    }

    /// As [`Self::parse`] reads them.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let data = self.data.to_str().expect("a temporary folder's name is text").to_owned();
        vec![WORD.to_owned(), data, self.pace_micros.to_string(), self.log.clone(), self.vocabulary.join(",")]
    }

    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let [data, pace, log, vocabulary] = &arguments.collect::<Vec<_>>()[..] else { panic!("four arguments") };
        Self {
            data: data.into(),
            pace_micros: pace.parse().unwrap(),
            log: log.clone(),
            vocabulary: vocabulary.split(',').map(str::to_owned).collect(),
        }
    }
}

/// Speech is what is loud.
struct Loudness;

impl SpeechDetector for Loudness {
    fn push(&mut self, frame: &[f32; FRAME]) -> Probability {
        Probability::clamped(frame.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())))
    }
    fn reset(&mut self) {}
}

/// The scripted engine.
pub(crate) fn engine(settings: &Settings, pace: &Arc<Pace>) -> Engine {
    let vocabulary: Vec<&str> = settings.vocabulary.iter().map(String::as_str).collect();
    let recognizer = Arc::new(Scripted::new(&vocabulary).paced(Arc::clone(pace)));
    let front = FrontConfig { endpoint: EndpointConfig::default(), partial_step_ms: 500 };
    Engine::of_parts(recognizer, Arc::new(|| Box::new(Loudness)), 1, front).unwrap()
}

/// Serves until SIGTERM. Says on standard output where.
pub(crate) fn run(settings: &Settings) -> ExitCode {
    let log = LogSettings { filter: settings.log.clone(), ..LogSettings::default() };
    init(&log, Colour::Off).unwrap();
    forbid_core_files().unwrap();
    let pace = Arc::new(Pace::default());
    pace.set(Duration::from_micros(settings.pace_micros));
    let engine = engine(settings, &pace);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let mut release = signal(SignalKind::user_defined1()).unwrap();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = ServerSettings {
            listen: anywhere,
            admin_listen: anywhere,
            data: settings.data.clone(),
            // A trial's disk may be small, and some trials fill it.
            reserve: 0,
            max_streams: 64,
            live_channels: None,
            max_message_bytes: 4 << 20,
            drain: Duration::from_secs(60),
        };
        let server = match Server::start(&server, &engine).await {
            Ok(server) => server,
            Err(error) => {
                eprintln!("cannot start: {}", told(&error));
                return ExitCode::FAILURE;
            }
        };
        println!("ready {} {}", server.address(), server.admin_address());
        loop {
            tokio::select! {
                _ = release.recv() => pace.set(Duration::ZERO),
                _ = terminate.recv() => break,
            }
        }
        server.stop().await.unwrap();
        ExitCode::SUCCESS
    })
}

/// An error with its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
