//! `vivavoce transcribe`

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{UsageError, engine_settings_by, kind_of, recording_profile, talk};
use crate::{
    app::Engine,
    config::Config,
    domain::{
        id::ChannelId,
        language::{AllowedLanguages, LanguageTag},
    },
    hearing::offline::{Channels, Offline, Recording, alike},
    record::export::{Format, transcript::Transcript},
    speech::{audio::file::AudioFile, profile::ProfileName},
};

/// Arguments of `vivavoce transcribe`.
#[derive(Args, Debug)]
pub struct TranscribeArgs {
    /// Recordings: WAV (also RF64), FLAC, MP3, Ogg Vorbis, Ogg Opus
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What is spoken, as BCP-47 tags: one is taken as given, of several each utterance is heard in one
    #[arg(long, short, value_delimiter = ',', required = true, value_name = "TAG,..")]
    language: Vec<LanguageTag>,
    /// Which channels: auto (one where all carry the same sound, else each on its own), mix, split, or numbers from 1
    #[arg(long, default_value = "auto", value_name = "auto|mix|split|1,2", value_parser = parse_channels)]
    channels: Channels,
    /// In which form the text is written to stdout
    #[arg(long, short, value_enum, default_value_t = Form::Txt)]
    format: Form,
    /// How patiently: final, as a hearing's record gets it at once, or archive, as good as the engine can
    #[arg(long, default_value = "final", value_name = "final|archive", value_parser = recording_profile)]
    profile: ProfileName,
    /// Write FILE.EXTENSION into this folder instead of stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A form of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Everything, for programs.
    Json,
    /// WebVTT captions.
    Vtt,
    /// `SubRip` captions.
    Srt,
    /// For reading.
    Txt,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Json => Self::Json,
            Form::Vtt => Self::WebVtt,
            Form::Srt => Self::Srt,
            Form::Txt => Self::Text,
        }
    }
}

fn parse_channels(text: &str) -> Result<Channels, String> {
    match text {
        "auto" => Ok(Channels::Auto),
        "mix" => Ok(Channels::Mix),
        "split" => Ok(Channels::Split),
        numbers => {
            let parse = |n: &str| n.trim().parse().ok().and_then(ChannelId::new);
            let ids: Option<Vec<ChannelId>> = numbers.split(',').map(parse).collect();
            ids.filter(|ids| ids.iter().collect::<HashSet<_>>().len() == ids.len())
                .map(Channels::Only)
                .ok_or_else(|| "auto, mix, split, or channel numbers from 1 to 16, each once, such as 1,2".to_owned())
        }
    }
}

/// Transcribes each file. One that fails does not keep the others from their text; the exit code is then its.
///
/// # Errors
/// What keeps the engine from starting, or stdout from being written to.
pub fn run(args: &TranscribeArgs, config: &Config) -> anyhow::Result<ExitCode> {
    talk::log_quietly(config)?;
    let languages = AllowedLanguages::new(args.language.clone())?;
    let captions = matches!(args.format, Form::Vtt | Form::Srt);
    anyhow::ensure!(args.files.len() == 1 || args.out.is_some() || !captions, UsageError::CaptionsOfSeveral);
    let targets = targets(args)?;
    let engine = Engine::load(&engine_settings_by(config, talk::quiet(config), args.profile))?;
    let offline = engine.offline();
    let mut code = None;
    for (path, target) in args.files.iter().zip(targets) {
        match one(&offline, path, &languages, &args.channels) {
            Ok(transcript) => deliver(args, target.as_deref(), &transcript)?,
            Err(error) => {
                code.get_or_insert(kind_of(&error).exit_code());
                talk::error(&error.context(format!("{} was not transcribed", path.display())));
            }
        }
    }
    Ok(ExitCode::from(code.unwrap_or(0)))
}

/// Where the text of each file goes; `None` for stdout.
fn targets(args: &TranscribeArgs) -> Result<Vec<Option<PathBuf>>, UsageError> {
    let extension = Format::from(args.format).extension();
    let target = |path: &PathBuf| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Some(args.out.as_ref()?.join(name).with_added_extension(extension))
    };
    let targets: Vec<_> = args.files.iter().map(target).collect();
    let mut seen = HashSet::new();
    match targets.iter().flatten().find(|target| !seen.insert(*target)) {
        Some(twice) => Err(UsageError::SameTarget { target: twice.clone() }),
        None => Ok(targets),
    }
}

fn deliver(args: &TranscribeArgs, target: Option<&Path>, transcript: &Transcript) -> anyhow::Result<()> {
    let text = Format::from(args.format).write(transcript)?;
    let Some(target) = target else { return Ok(talk::data(&text)?) };
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    std::fs::write(target, text).with_context(|| format!("cannot write {}", target.display()))?;
    talk::say(&target.display().to_string());
    Ok(())
}

/// Transcribes one file, with a progress bar where a person looks.
pub(super) fn one(
    offline: &Offline,
    path: &Path,
    languages: &AllowedLanguages,
    channels: &Channels,
) -> anyhow::Result<Transcript> {
    let file = AudioFile::open(path)?;
    let channels = match channels {
        Channels::Auto if file.channels() == 1 => Channels::Split,
        Channels::Auto if alike(AudioFile::open(path)?)? => {
            talk::say(&format!("{}: its channels carry the same sound and are taken as one", path.display()));
            Channels::Mix
        }
        Channels::Auto => Channels::Split,
        other => other.clone(),
    };
    let name: String =
        path.file_name().unwrap_or_default().to_string_lossy().chars().filter(|c| !c.is_control()).take(150).collect();
    let bar = progress_bar(&file, &name);
    let recording = Recording { file, channels, languages: languages.clone(), name };
    let transcribed = offline.transcribe(recording, |frames| bar.set_position(frames));
    bar.finish_and_clear();
    let transcribed = transcribed?;
    for note in &transcribed.notes {
        talk::say(&format!("{}: {note}", path.display()));
    }
    Ok(transcribed.transcript)
}

/// indicatif hides it where stderr is no terminal.
fn progress_bar(file: &AudioFile, name: &str) -> ProgressBar {
    let bar = file.frames().map_or_else(ProgressBar::no_length, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {percent:>3} %, {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(name.to_owned());
    bar
}
