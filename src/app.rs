//! The composition root: configuration becomes parts, parts become a server. Only here is the system asked for the time
//! and for chance.

mod health;
pub mod isolation;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    api::{
        admin::{AdminError, AdminServer},
        grpc::{Limits, TranscriptionService, server},
        readiness::{Part, PartState, Readiness},
    },
    hearing::{
        HearingError,
        offline::Offline,
        room::DiskRoom,
        service::{Detectors, Hearings, Parts},
        world::World,
    },
    models::{
        ModelError,
        manifest::ModelKind,
        store::{ModelStore, VerifiedModel},
    },
    record::{
        keys::{KeyStore, sealer::KeySealer},
        media::{
            MediaError,
            service::{AudioJournal, Settings as JournalSettings},
        },
        store::{RecordError, RecordStore, sqlite::SqliteStore},
    },
    speech::{
        asr::{
            AsrError, Pass, Recognizer,
            child::{ChildRecognizer, ChildSettings},
            pool::Pool,
        },
        front::FrontConfig,
        vad::{VadError, detector::ChannelDetector, model::SileroModel},
    },
    telemetry::{DecodePass, Metrics, Queue},
};

use self::{
    health::{Alive, Health},
    isolation::Isolation,
};

/// What the engine is made of.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The folder of the models.
    pub models: PathBuf,
    /// The recogniser's model.
    pub model: String,
    /// The speech detector's model.
    pub vad_model: String,
    /// Threads that decode.
    pub workers: usize,
    /// Threads each of them uses.
    pub threads_per_worker: u8,
    /// Beams of a final decode; 1 is greedy.
    pub beam: u8,
    /// Where utterances end and how often partials come.
    pub front: FrontConfig,
    /// In which process it runs.
    pub isolation: Isolation,
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
    /// Bytes of one message.
    pub max_message_bytes: usize,
    /// How long streams may take to finish when the server stops.
    pub drain: Duration,
}

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
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
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

impl crate::domain::fault::Fault for AppError {
    fn kind(&self) -> crate::domain::fault::FaultKind {
        use crate::domain::fault::FaultKind;
        match self {
            Self::Model(source) => source.kind(),
            Self::ModelKind { .. } => FaultKind::Invalid,
            Self::Detector { source, .. } => source.kind(),
            Self::Engine(source) => source.kind(),
            Self::Record(source) => source.kind(),
            Self::Media(source) => source.kind(),
            Self::Admin(source) => source.kind(),
            Self::Hearing(source) => source.kind(),
            Self::Folder { .. } | Self::Listen { .. } => FaultKind::Unavailable,
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

/// The engine: loaded, on its threads.
pub struct Engine {
    /// What decodes.
    pub recognizer: Arc<dyn Recognizer>,
    /// Its threads.
    pub pool: Arc<Pool>,
    /// Speech detectors.
    pub detectors: Detectors,
    /// The languages that the model was trained on.
    pub languages: Vec<String>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    alive: Alive,
    front: FrontConfig,
}

/// What an engine is made of before it has threads.
struct Parted {
    recognizer: Arc<dyn Recognizer>,
    detectors: Detectors,
    languages: Vec<String>,
    metrics: Arc<Metrics>,
    alive: Alive,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("recognizer", &self.recognizer).finish_non_exhaustive()
    }
}

impl Engine {
    /// Verifies and loads the models, and starts the threads.
    ///
    /// # Errors
    /// What is wrong with the models, or with the memory.
    pub fn load(settings: &EngineSettings) -> Result<Self, AppError> {
        let store = ModelStore::open(&settings.models)?;
        let metrics = Arc::new(Metrics::new());
        let (recognizer, languages, alive) = recognizer(settings, &store, &metrics)?;
        let detector = of_kind(store.load(&settings.vad_model)?, ModelKind::Vad, "speech detector")?;
        let silero = SileroModel::parse(&detector.bytes)
            .map_err(|source| AppError::Detector { name: detector.name.clone(), source })?;
        let silero = Arc::new(silero);
        let detectors: Detectors = Arc::new(move || Box::new(ChannelDetector::new(Arc::clone(&silero))));
        Self::made(
            Parted { recognizer, detectors, languages, metrics, alive },
            settings.workers,
            settings.front.clone(),
        )
    }

    /// An engine of other parts than the models': a server is tried with it where the same text must come at any speed.
    ///
    /// # Errors
    /// [`AppError::Engine`] where its threads cannot be started.
    pub fn of_parts(
        recognizer: Arc<dyn Recognizer>,
        detectors: Detectors,
        workers: usize,
        front: FrontConfig,
    ) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new());
        let alive: Alive = Arc::new(|| true);
        Self::made(Parted { recognizer, detectors, languages: Vec::new(), metrics, alive }, workers, front)
    }

    fn made(parts: Parted, workers: usize, front: FrontConfig) -> Result<Self, AppError> {
        let Parted { recognizer, detectors, languages, metrics, alive } = parts;
        let counted = Arc::clone(&metrics);
        let observer = Arc::new(move |pass, waited, took| {
            let (queue, pass) = match pass {
                Pass::Partial => (Queue::AsrPartials, DecodePass::Partial),
                Pass::Final => (Queue::AsrFinals, DecodePass::Final),
            };
            counted.queue_waited(queue, waited);
            counted.decoded(pass, took);
        });
        let pool = Arc::new(Pool::start(&recognizer, workers, observer)?);
        Ok(Self { recognizer, pool, detectors, languages, metrics, alive, front })
    }

    /// The engine for files.
    #[must_use]
    pub fn offline(&self) -> Offline {
        Offline {
            recognizer: Arc::clone(&self.recognizer),
            pool: Arc::clone(&self.pool),
            detectors: Arc::clone(&self.detectors),
            front: FrontConfig { partial_step_ms: 0, ..self.front.clone() },
            world: Arc::new(SystemWorld),
        }
    }
}

fn of_kind(model: VerifiedModel, kind: ModelKind, wanted: &'static str) -> Result<VerifiedModel, AppError> {
    if model.kind == kind { Ok(model) } else { Err(AppError::ModelKind { name: model.name, wanted }) }
}

/// The recogniser, the languages that its model is for, and whether it could decode.
type Loaded = (Arc<dyn Recognizer>, Vec<String>, Alive);

/// Makes the recogniser that the settings describe.
fn recognizer(settings: &EngineSettings, store: &ModelStore, metrics: &Arc<Metrics>) -> Result<Loaded, AppError> {
    match &settings.isolation {
        Isolation::None => {
            let (whisper, languages) =
                isolation::whisper(store, &settings.model, settings.threads_per_worker, settings.beam)?;
            Ok((Arc::new(whisper), languages, Arc::new(|| true)))
        }
        Isolation::Child { program, log } => {
            // What a process loads it verifies itself. This one only says in its own words what is wrong with a model.
            let entry = store.verify(&settings.model)?;
            if entry.kind != ModelKind::Whisper {
                return Err(AppError::ModelKind { name: entry.name, wanted: "recogniser" });
            }
            let arguments = isolation::arguments(settings, log);
            let child = ChildSettings::new(program.clone(), arguments, settings.model.clone());
            let counted = Arc::clone(metrics);
            let observer = Arc::new(move |loss| counted.engine_restarted(isolation::counted(loss)));
            let recognizer = Arc::new(ChildRecognizer::start(child, observer)?);
            let watched = Arc::clone(&recognizer);
            let alive = Arc::new(move || !watched.processes().is_empty());
            Ok((recognizer, entry.languages.iter().map(ToString::to_string).collect(), alive))
        }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    admin: AdminServer,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    hearings: Arc<Hearings>,
    store: Arc<dyn RecordStore>,
    drain: Duration,
}

impl Server {
    /// Opens the record, starts the journal, listens and serves.
    ///
    /// # Errors
    /// What cannot be opened or listened on.
    pub async fn start(settings: &ServerSettings, engine: &Engine) -> Result<Self, AppError> {
        let readiness = Arc::new(Readiness::default());
        let admin = AdminServer::start(settings.admin_listen, Arc::clone(&engine.metrics), Arc::clone(&readiness))?;
        readiness.set(Part::Engine, PartState::Ready);
        folder(&settings.data)?;
        let audio = settings.data.join("audio");
        folder(&audio)?;
        let keys = keys(&settings.data);
        let sealer = Arc::new(KeySealer::new(Arc::clone(&keys)));
        let store: Arc<dyn RecordStore> = Arc::new(SqliteStore::open(&settings.data.join("record.sqlite"), sealer)?);
        let metrics = Arc::clone(&engine.metrics);
        let synced = Arc::new(move |took| metrics.journal_synced(took));
        let hearings = Hearings::new(Parts {
            store: Arc::clone(&store),
            journal: AudioJournal::start(JournalSettings { synced, ..JournalSettings::under(audio, keys) })?,
            recognizer: Arc::clone(&engine.recognizer),
            pool: Arc::clone(&engine.pool),
            detectors: Arc::clone(&engine.detectors),
            front: engine.front.clone(),
            max_streams: settings.max_streams,
            world: Arc::new(SystemWorld),
            metrics: Arc::clone(&engine.metrics),
        });
        let hearings = Arc::new(hearings.keeping(DiskRoom::new(settings.reserve, Box::new(AudioJournal::room))));
        readiness.set(Part::Record, PartState::Ready);
        readiness.set(Part::Journal, PartState::Ready);
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&hearings).mind_the_load(stop.clone()));
        let health = Health {
            readiness: Arc::clone(&readiness),
            hearings: Arc::clone(&hearings),
            store: Arc::clone(&store),
            data: settings.data.clone(),
            alive: Arc::clone(&engine.alive),
        };
        tokio::spawn(health.mind(stop.clone()));
        let recovering = Arc::clone(&hearings);
        tokio::spawn(async move {
            if let Err(error) = recovering.recover().await {
                tracing::error!(%error, "open hearings could not be taken up");
            }
        });
        let failed = |source| AppError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let service = TranscriptionService::new(
            Arc::clone(&hearings),
            Limits { max_message_bytes: settings.max_message_bytes },
            &engine.languages,
            stop.clone(),
        );
        let task = server::serve(service, listener, settings.max_message_bytes, stop.clone()).await?;
        Ok(Self { address, admin, readiness, stop, task, hearings, store, drain: settings.drain })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health, readiness and metrics are served.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// The hearings it serves.
    #[must_use]
    pub const fn hearings(&self) -> &Arc<Hearings> {
        &self.hearings
    }

    /// Stops: streams are told, what was said gets its text, the record is closed.
    ///
    /// # Errors
    /// What failed while stopping.
    pub async fn stop(self) -> Result<(), AppError> {
        self.readiness.drain();
        self.stop.cancel();
        match tokio::time::timeout(self.drain, self.task).await {
            Ok(Ok(served)) => served?,
            Ok(Err(panicked)) => tracing::error!(error = %panicked, "the server's task panicked"),
            Err(_late) => tracing::warn!(seconds = self.drain.as_secs(), "connections were still open; they are cut"),
        }
        if tokio::time::timeout(self.drain, self.hearings.adjourn()).await.is_err() {
            tracing::warn!("not everything said has its text yet; it gets it at the next start");
        }
        let closed = self.store.close().await;
        // Its thread waits for open requests; this runtime has nothing left to do meanwhile.
        tokio::task::block_in_place(|| self.admin.stop());
        Ok(closed?)
    }
}

/// Makes a folder that only its owner may look into. Its name, and those of folders made on the way, are there after a power
/// cut.
fn folder(path: &Path) -> Result<(), AppError> {
    use std::os::unix::fs::PermissionsExt;
    let fail = |source| AppError::Folder { path: path.to_owned(), source };
    let made: Vec<&Path> = path.ancestors().take_while(|a| !a.as_os_str().is_empty() && !a.exists()).collect();
    fs::create_dir_all(path).map_err(fail)?;
    if made.is_empty() {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
    for folder in made {
        let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(fail)?;
    }
    Ok(())
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
