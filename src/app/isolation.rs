//! Which process whisper.cpp runs in: this one, or one of its own that is started with the words of [`arguments`] and runs
//! `cli::engine`.

use std::{ffi::OsString, path::PathBuf};

use super::{AppError, EngineSettings, engine::of_kind};
use crate::{
    models::{
        manifest::{Alignment, ModelKind},
        store::ModelStore,
    },
    speech::{
        asr::{
            child::Loss,
            whisper::{AlignmentHeads, Whisper, WhisperOptions, WhisperWeights},
        },
        profile::Profile,
    },
    telemetry::{EngineLoss, log::LogSettings},
};

/// In which process the engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In this one: a fault of native code ends it.
    None,
    /// Each worker's in one of its own: a fault of native code costs a restart and another decode.
    Child {
        /// This program. [`OWN_PROGRAM`] is the file that runs now, whatever has come to lie in its place.
        program: PathBuf,
        /// What the processes log; their lines go to this one's standard error.
        log: LogSettings,
    },
}

/// The program that runs, as Linux names it: also after its file was replaced by another version.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// The arguments that make this program an engine's process.
#[must_use]
pub fn arguments(settings: &EngineSettings, log: &LogSettings) -> Vec<OsString> {
    let plain = [
        ("--weights", settings.model.clone()),
        ("--live", json(&settings.profiles.live)),
        ("--final", json(&settings.profiles.last)),
        ("--log-lines", log.format.as_str().to_owned()),
        ("--log-what", log.filter.clone()),
    ];
    let mut arguments: Vec<OsString> = vec!["engine".into(), "--store".into(), settings.models.clone().into()];
    // One word each, so that no value is taken for a flag.
    arguments.extend(plain.map(|(flag, value)| format!("{flag}={value}").into()));
    arguments
}

/// Verifies and loads the weights `model`, for text that is shown and for the record by the two `profiles`; gives the languages
/// that they are for as well.
///
/// # Errors
/// What is wrong with the model, or with the memory.
pub fn whisper(store: &ModelStore, model: &str, profiles: [&Profile; 2]) -> Result<(Whisper, Vec<String>), AppError> {
    let weights = of_kind(store.load(model)?, ModelKind::Whisper, "recogniser")?;
    let options = options(&weights.alignment, profiles);
    let whisper =
        Whisper::load(&WhisperWeights { name: &weights.name, sha256: weights.sha256, bytes: &weights.bytes }, options)?;
    Ok((whisper, weights.languages.iter().map(ToString::to_string).collect()))
}

/// A profile as an argument: the process that reads it is the same program.
fn json(profile: &Profile) -> String {
    serde_json::to_string(profile).expect("a profile has no key that is no text, and no number that is none")
}

fn options(alignment: &Alignment, [live, last]: [&Profile; 2]) -> WhisperOptions {
    let pair = |[layer, head]: &[u32; 2]| Some((u16::try_from(*layer).ok()?, u16::try_from(*head).ok()?));
    WhisperOptions {
        partial: live.clone(),
        last: last.clone(),
        alignment: match alignment {
            Alignment::Preset(name) => AlignmentHeads::Published(name.clone()),
            Alignment::Heads(heads) => AlignmentHeads::Given(heads.iter().filter_map(pair).collect()),
            Alignment::Unknown => AlignmentHeads::Unknown,
        },
    }
}

/// Under which reason a loss is counted.
pub(super) const fn counted(loss: Loss) -> EngineLoss {
    match loss {
        Loss::NotStarted => EngineLoss::NotStarted,
        Loss::Exited { .. } => EngineLoss::Exited,
        Loss::Killed { .. } => EngineLoss::Killed,
        Loss::Hung => EngineLoss::Hung,
        Loss::Broken => EngineLoss::Broken,
    }
}
