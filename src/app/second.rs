//! Engines beside the one that the service hears with, each for the time of a re-pass.

use std::{
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{Builder, JoinHandle},
};

use super::{AppError, engine::recognizer, settings::EngineSettings};
use crate::{
    domain::fault::Fault,
    hearing::{
        HearingError,
        repass::{RePass, SecondEngine, SecondEngines},
    },
    models::store::ModelStore,
    speech::asr::{
        AsrError, Recognizer,
        pool::{Pool, Slots},
    },
    telemetry::Metrics,
};

/// Makes engines as `settings` says, but for model and profile.
pub(super) fn engines(settings: EngineSettings, metrics: Arc<Metrics>) -> SecondEngines {
    Arc::new(move |wanted| {
        let settings = EngineSettings {
            model: wanted.model.clone().unwrap_or_else(|| settings.model.clone()),
            profiles: settings.profiles.recording(wanted.profile),
            workers: 1,
            ..settings.clone()
        };
        second(settings, &metrics).map_err(|error| told(error, wanted))
    })
}

/// Loads it on a thread that stays as long as it does: the system ends an engine's process with the thread that started it.
fn second(settings: EngineSettings, metrics: &Arc<Metrics>) -> Result<SecondEngine, AppError> {
    let (tell, told) = sync_channel(1);
    let (keep, kept) = sync_channel::<()>(1);
    let (front, metrics) = (settings.front(), Arc::clone(metrics));
    let keeper = Builder::new().name("second-engine".to_owned()).spawn(move || {
        // It is waited for, and after it the end of the engine.
        if tell.send(load(&settings, &metrics)).is_ok() {
            let _over = kept.recv();
        }
    });
    let keeper = keeper.map_err(|_source| AsrError::WorkerGone)?;
    let held = Box::new(Held { keep: Some(keep), keeper: Some(keeper) });
    let (recognizer, pool) = told.recv().map_err(|_panicked| AsrError::WorkerPanicked)??;
    Ok(SecondEngine { recognizer, pool, front, held })
}

fn load(settings: &EngineSettings, metrics: &Arc<Metrics>) -> Result<(Arc<dyn Recognizer>, Arc<Pool>), AppError> {
    let (recognizer, ..) = recognizer(settings, &ModelStore::open(&settings.models)?, metrics)?;
    // Its decodes run in the time of the service's own, where they are counted as what they are: nothing that is due.
    let pool = Pool::start(&recognizer, Slots::default(), Arc::new(|_pass, _waited, _took| {}))?;
    Ok((recognizer, Arc::new(pool)))
}

/// The thread on which an engine was loaded.
struct Held {
    keep: Option<SyncSender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.keep.take());
        if self.keeper.take().is_some_and(|keeper| keeper.join().is_err()) {
            tracing::error!("the thread of an engine for a re-pass panicked");
        }
    }
}

/// What the hearings are told of it.
fn told(error: AppError, wanted: &RePass) -> HearingError {
    match error {
        AppError::Model(source) => HearingError::Model(source),
        AppError::Engine(source) => HearingError::Recognition(source),
        AppError::ModelKind { name, .. } => HearingError::NoRecognizer { model: name },
        // Nothing else is asked of the system to load an engine.
        other => {
            tracing::error!(error = %other, kind = ?other.kind(), model = wanted.model, "an engine for a re-pass failed");
            HearingError::Recognition(AsrError::WorkerGone)
        }
    }
}
