//! The command line: one file a subcommand. Data goes to stdout, talk to stderr; exit codes are those of
//! [`FaultKind::exit_code`](crate::domain::fault::FaultKind::exit_code).

pub mod backup;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod evaluate;
pub mod import;
pub mod ledger;
pub mod load;
pub mod models;
pub mod order;
pub mod repass;
pub mod restore;
mod screen;
pub mod serve;
pub mod stream;
mod take;
mod talk;
pub mod transcribe;
pub mod tune;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};

use self::doctor::checks::{ModelCondition, ModelState};
use crate::{
    api::{
        grpc::client::ClientError,
        recorder::{RecorderError, spool::SpoolError},
    },
    app::{
        AppError, EngineSettings, ServerSettings, SystemWorld,
        isolation::{Isolation, OWN_PROGRAM},
    },
    config::{Config, ConfigError, flags::FlagOverrides},
    domain::{
        channel::LabelError,
        fault::{Fault, FaultKind},
        language::LanguageError,
    },
    evaluation::EvaluationError,
    hearing::{HearingError, world::World},
    models::{ModelError, store::ModelStore},
    record::{backup::BackupError, export::ExportError},
    speech::{asr::child::serve::ServeError, audio::AudioError, profile::ProfileName},
    telemetry::log::LogSettings,
};

/// Courtroom audio in, timestamped and flagged text out, on the court's own machine.
///
/// What the machine writes is a draft, not a certified record.
#[derive(Debug, Parser)]
#[command(name = "vivavoce", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The file of settings; without it ./vivavoce.toml, then /etc/vivavoce/vivavoce.toml, if they are there
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: FlagOverrides,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve hearings over gRPC
    Serve(serve::ServeArgs),
    /// Transcribe recordings without a server
    Transcribe(transcribe::TranscribeArgs),
    /// Stream a recording to a server, as a courtroom recorder would
    Stream(stream::StreamArgs),
    /// Make hearings of old recordings
    Import(import::ImportArgs),
    /// Order how a part of a hearing is treated: off the record, muted, sealed, or open again
    Order(order::OrderArgs),
    /// Hear a closed hearing once more, with the server's model or --model, and propose other words where they come out; its text
    /// stands as it is
    Repass(repass::RepassArgs),
    /// Say what became of every sample of a hearing
    Ledger(ledger::LedgerArgs),
    /// Show the whole of it: fetch models and voices, serve, stream, export
    Demo(demo::DemoArgs),
    /// List, fetch, verify and import models
    Models(models::ModelsArgs),
    /// Copy the record, the audio and the keys while a server runs, or verify such a copy
    Backup(backup::BackupArgs),
    /// Put a backup back as a data folder
    Restore(restore::RestoreArgs),
    /// Say what is missing or unsafe on this machine, and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Measure error rates against references
    Evaluate(evaluate::EvaluateArgs),
    /// Measure this machine, and write settings that fit it
    Tune(tune::TuneArgs),
    /// Stream recordings over channels in real time, and measure how soon the text comes and how steady it is
    Load(load::LoadArgs),
    /// Show the settings in force and where each comes from
    Settings,
    /// Decode for the service that started this process
    #[command(hide = true)]
    Engine(engine::EngineArgs),
}

/// Arguments that do not go together.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Captions of several recordings on one output.
    #[error("captions of several recordings do not fit into one file: name a folder with --out")]
    CaptionsOfSeveral,
    /// Nowhere to keep what is recorded.
    #[error("there is no home folder to keep what is recorded in until it is safe: name one with --spool")]
    NoSpool,
    /// A live source of which too little is known.
    #[error(
        "raw audio on standard input says nothing of itself: give --rate, and --format and --channel-count where they are not s16le and 1"
    )]
    NoRate,
    /// Another recording than the one that the spool holds.
    #[error("this is not the recording whose hearing the spool holds: it differs in {what}")]
    OtherRecording {
        /// In what.
        what: &'static str,
    },
    /// An import that was begun with other channels.
    #[error(
        "the import of this recording was begun with other labels or languages: name the same ones to go on, or remove the folder {} to begin anew",
        folder.display()
    )]
    OtherImport {
        /// Where it is kept how far it is.
        folder: PathBuf,
    },
    /// A load of nothing.
    #[error(
        "no recording is left to stream: name recordings and their --language, or a --manifest with items in a language, not \
         longer than --seconds"
    )]
    NothingToStream,
    /// More hearings than channels.
    #[error("{channels} channels are not enough for {hearings} hearings, or more than the 16 that each may have")]
    Spread {
        /// Channels asked for.
        channels: usize,
        /// Hearings asked for.
        hearings: usize,
    },
    /// Times of words of nobody knows which recording.
    #[error("line {line} of the times of words names no recording: give it the `id` of an item of the manifest")]
    TimesOfWhat {
        /// Counted from 1.
        line: usize,
    },
    /// A server that is not here.
    #[error("there is no process {pid} on this machine that could be looked at")]
    NoProcess {
        /// Its number.
        pid: u32,
    },
    /// Two recordings of the same name.
    #[error("two recordings would be written to {}: transcribe them one by one, or rename one", target.display())]
    SameTarget {
        /// The file.
        target: PathBuf,
    },
}

impl Fault for UsageError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::CaptionsOfSeveral
            | Self::SameTarget { .. }
            | Self::NoSpool
            | Self::NoRate
            | Self::OtherImport { .. }
            | Self::NothingToStream
            | Self::Spread { .. }
            | Self::TimesOfWhat { .. }
            | Self::NoProcess { .. }
            | Self::OtherRecording { .. } => FaultKind::Invalid,
        }
    }
}

/// Runs the command. `environment` is that of the process.
#[must_use]
pub fn run(cli: Cli, environment: Vec<(String, String)>) -> ExitCode {
    match dispatch(cli, environment) {
        Ok(code) => code,
        Err(error) => {
            talk::error(&error);
            ExitCode::from(kind_of(&error).exit_code())
        }
    }
}

fn dispatch(cli: Cli, environment: Vec<(String, String)>) -> anyhow::Result<ExitCode> {
    // What it needs is in its arguments: settings that were changed since the service started must not keep it from starting
    // anew.
    if let Command::Engine(args) = &cli.command {
        engine::run(args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let state = stream::state_folder(&environment);
    let config = Config::load(cli.config.as_deref(), environment.into_iter(), &cli.flags)?;
    match cli.command {
        Command::Serve(args) => serve::run(&args, &config)?,
        Command::Transcribe(args) => return transcribe::run(&args, &config),
        Command::Stream(args) => stream::run(&args, &config, state)?,
        Command::Import(args) => return import::run(&args, &config, state),
        Command::Order(args) => order::run(&args, &config)?,
        Command::Repass(args) => repass::run(&args, &config)?,
        Command::Ledger(args) => ledger::run(&args, &config)?,
        Command::Demo(args) => demo::run(&args, &config)?,
        Command::Models(args) => models::run(&args, &config.data.models)?,
        Command::Backup(args) => backup::run(&args, &config, SystemWorld.now())?,
        Command::Restore(args) => restore::run(&args, &config)?,
        Command::Doctor(args) => return doctor::run(&args, &config, SystemWorld.now(), &|| model_states(&config)),
        Command::Evaluate(args) => evaluate::run(&args, &config)?,
        Command::Tune(args) => tune::run(&args, &config, cli.config.as_deref())?,
        Command::Load(args) => load::run(&args, &config)?,
        Command::Settings => talk::data(&config.describe())?,
        Command::Engine(args) => engine::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The kind of the first fault in the chain of an error; a closed pipe is no fault of ours.
fn kind_of(error: &anyhow::Error) -> FaultKind {
    macro_rules! first_of {
        ($cause:expr; $($type:ty),+) => {
            $(if let Some(fault) = $cause.downcast_ref::<$type>() { return fault.kind(); })+
        };
    }
    for cause in error.chain() {
        first_of!(cause; UsageError, LanguageError, LabelError, ConfigError, AppError, HearingError, ModelError, AudioError, ClientError, RecorderError, SpoolError, ExportError, EvaluationError, ServeError, BackupError);
    }
    FaultKind::Internal
}

/// What the store has of the models in the settings: the files are hashed.
fn model_states(config: &Config) -> Vec<ModelState> {
    let store = ModelStore::open(&config.data.models);
    let names = [&config.recognition.model, &config.recognition.vad_model];
    let state = |name: &String| {
        let verified = match &store {
            Ok(store) => match store.has(name) {
                Ok(true) => store.verify(name).map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            },
            Err(error) => return ModelState { name: name.clone(), condition: refused(error) },
        };
        let condition = match verified {
            Ok(Some(entry)) => ModelCondition::Verified { bytes: entry.size },
            Ok(None) => ModelCondition::Absent,
            Err(error) => refused(&error),
        };
        ModelState { name: name.clone(), condition }
    };
    names.into_iter().map(state).collect()
}

fn refused(error: &ModelError) -> ModelCondition {
    ModelCondition::Refused { reason: error.to_string() }
}

/// The engine that the settings describe; the log of its processes is `log`.
fn engine_settings(config: &Config, log: LogSettings) -> EngineSettings {
    EngineSettings {
        models: config.data.models.clone(),
        model: config.recognition.model.clone(),
        workers: config.recognition.workers.get(),
        threads_per_worker: u8::try_from(config.recognition.threads_per_worker.get()).unwrap_or(u8::MAX),
        profiles: config.profiles.clone(),
        partial_step_ms: config
            .recognition
            .partial_step
            .map_or(0, |step| u32::try_from(step.as_millis()).unwrap_or(u32::MAX)),
        glossary: config.recognition.glossary.clone(),
        isolation: match config.recognition.isolate {
            true => Isolation::Child { program: OWN_PROGRAM.into(), log },
            false => Isolation::None,
        },
    }
}

/// The same with finals made by another profile.
fn engine_settings_by(config: &Config, log: LogSettings, profile: ProfileName) -> EngineSettings {
    EngineSettings { profiles: config.profiles.recording(profile), ..engine_settings(config, log) }
}

/// A profile by which a record may be made.
fn recording_profile(text: &str) -> Result<ProfileName, String> {
    match text.parse() {
        Ok(name @ (ProfileName::Final | ProfileName::Archive)) => Ok(name),
        Ok(ProfileName::Live) | Err(_) => Err("final or archive is needed".to_owned()),
    }
}

/// The server that the settings describe.
fn server_settings(config: &Config) -> ServerSettings {
    ServerSettings {
        listen: config.server.listen,
        admin_listen: config.server.admin_listen,
        data: config.data.dir.clone(),
        reserve: config.data.reserve,
        max_streams: config.server.max_streams,
        live_channels: config.server.live_channels,
        max_message_bytes: config.server.max_message_bytes,
        drain: config.server.drain,
    }
}

/// The runtime of the commands that talk over a network: two threads are enough beside the decoding ones.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the system gives no threads")
}
