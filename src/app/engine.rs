//! The engine: models become a recogniser, its threads and speech detectors.

use std::sync::Arc;

use super::{
    AppError, SystemWorld, glossary,
    health::Alive,
    isolation::{self, Isolation},
    processor::{EngineBuild, features_here, level_of},
    second,
    settings::EngineSettings,
};
use crate::{
    domain::glossary::Glossary,
    hearing::{offline::Offline, repass::SecondEngines, service::Detectors},
    models::{
        manifest::ModelKind,
        store::{ModelStore, VerifiedModel},
    },
    speech::{
        asr::{
            Pass, Recognizer,
            child::{ChildRecognizer, ChildSettings},
            pool::{Pool, Slots},
        },
        front::FrontConfig,
        vad::{detector::ChannelDetector, model::SileroModel},
    },
    telemetry::{DecodePass, Metrics, Queue},
};

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
    pub(super) alive: Alive,
    pub(super) front: FrontConfig,
    /// Makes engines for re-passes.
    pub(super) second: Option<SecondEngines>,
    pub(super) glossary: Option<Arc<Glossary>>,
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
        fits_the_processor()?;
        let store = ModelStore::open(&settings.models)?;
        let metrics = Arc::new(Metrics::new());
        let settings = &fitting(settings);
        let (recognizer, languages, alive) = recognizer(settings, &store, &metrics)?;
        let detector = of_kind(store.load(&settings.profiles.last.detector)?, ModelKind::Vad, "speech detector")?;
        let silero = SileroModel::parse(&detector.bytes)
            .map_err(|source| AppError::Detector { name: detector.name.clone(), source })?;
        let silero = Arc::new(silero);
        let detectors: Detectors = Arc::new(move || Box::new(ChannelDetector::new(Arc::clone(&silero))));
        let second = Some(second::engines(settings.clone(), Arc::clone(&metrics)));
        let glossary = settings.glossary.as_deref().map(glossary::load).transpose()?;
        let parts = Parted { recognizer, detectors, languages, metrics, alive };
        Ok(Self { second, glossary, ..Self::made(parts, slots(settings), settings.front())? })
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
        let parts = Parted { recognizer, detectors, languages: Vec::new(), metrics, alive };
        Self::made(parts, Slots::of(workers, 1), front)
    }

    fn made(parts: Parted, slots: Slots, front: FrontConfig) -> Result<Self, AppError> {
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
        let pool = Arc::new(Pool::start(&recognizer, slots, observer)?);
        Ok(Self { recognizer, pool, detectors, languages, metrics, alive, front, second: None, glossary: None })
    }

    /// The engine for files.
    #[must_use]
    pub fn offline(&self) -> Offline {
        Offline {
            recognizer: Arc::clone(&self.recognizer),
            pool: Arc::clone(&self.pool),
            detectors: Arc::clone(&self.detectors),
            front: FrontConfig { partial_step_ms: 0, ..self.front.clone() },
            glossary: self.glossary.clone(),
            world: Arc::new(SystemWorld),
        }
    }
}

/// Says what is wrong where the engine would end the program at its first decode.
pub(super) fn fits_the_processor() -> Result<(), AppError> {
    let (build, machine) = (EngineBuild::of_this_program(), features_here());
    let lacks = build.lacking(&machine);
    if lacks.is_empty() {
        return Ok(());
    }
    Err(AppError::Processor { built: build.level(), here: level_of(&machine), lacks })
}

/// The settings with as many threads as the machine has cores for.
fn fitting(settings: &EngineSettings) -> EngineSettings {
    // Without an answer of the system, one core is what any machine has.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = Slots::of(settings.workers, settings.threads_per_worker.into());
    let slots = wanted.fitting(cores);
    if slots != wanted {
        tracing::warn!(
            cores,
            "recognition.workers {} x recognition.threads_per_worker {} are more threads than cores, and would be many times \
             slower; {} x {} are used: set them so, or let `vivavoce tune` find what is best",
            wanted.workers,
            wanted.threads,
            slots.workers,
            slots.threads,
        );
    }
    let threads_per_worker = u8::try_from(slots.threads).unwrap_or(u8::MAX);
    EngineSettings { workers: slots.workers, threads_per_worker, ..settings.clone() }
}

/// How many decodes run side by side. One that is alone takes the threads of the others where they do not spin while they wait:
/// in processes that were told so when they were started.
fn slots(settings: &EngineSettings) -> Slots {
    let slots = Slots::of(settings.workers, settings.threads_per_worker.into());
    if matches!(settings.isolation, Isolation::Child { .. }) { slots.lending() } else { slots }
}

/// The model, if it is of this kind.
pub(super) fn of_kind(model: VerifiedModel, kind: ModelKind, wanted: &'static str) -> Result<VerifiedModel, AppError> {
    if model.kind == kind { Ok(model) } else { Err(AppError::ModelKind { name: model.name, wanted }) }
}

/// The recogniser, the languages that its model is for, and whether it could decode.
pub(super) type Loaded = (Arc<dyn Recognizer>, Vec<String>, Alive);

/// Makes the recogniser that the settings describe.
pub(super) fn recognizer(
    settings: &EngineSettings,
    store: &ModelStore,
    metrics: &Arc<Metrics>,
) -> Result<Loaded, AppError> {
    match &settings.isolation {
        Isolation::None => {
            let profiles = [&settings.profiles.live, &settings.profiles.last];
            let (whisper, languages) = isolation::whisper(store, &settings.model, profiles)?;
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
