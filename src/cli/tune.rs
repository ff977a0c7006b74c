//! `vivavoce tune`: measures this machine, and writes settings that fit it.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tempfile::NamedTempFile;

use super::{engine_settings, models, talk};
use crate::{
    app::tune::{Bench, Findings, Fit, Measured, WINDOWS},
    config::{
        Config,
        edit::{MARK, with_settings},
    },
    domain::{
        id::ChannelId,
        language::{AllowedLanguages, LanguageTag},
    },
    hearing::offline::{Channels, channel_bytes},
    models::{recordings, store::ModelStore},
    speech::{
        asr::{MAX_WINDOW, Pass, pool::Slots},
        audio::{AudioError, file::AudioFile, format, resample::Resampler},
        capacity::COURTROOM,
    },
    telemetry::log::LogSettings,
};

/// Where settings are written when no file is named.
const FILE: &str = "vivavoce.toml";

/// Measures how long this machine takes to decode speech, with the models that are in the store, and writes into a file of
/// settings the model, `workers`, `threads_per_worker`, `partial_step_ms`, and `live_channels`: how many channels it carries.
/// Run it while nothing else does.
#[derive(Args, Clone, Debug)]
pub struct TuneArgs {
    /// The file of settings that is changed, or made; else the one of --config, else ./vivavoce.toml
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A recording of speech to measure with, 20 seconds or more; else the voices of the demo, which are fetched where they are
    /// missing
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// What is spoken in it, and in your hearings: where there is a choice of languages, decoding takes longer
    #[arg(long, value_delimiter = ',', default_value = "en", value_name = "TAG,..")]
    pub language: Vec<LanguageTag>,
    /// Measure the model of the settings alone, and not its quantised forms that are in the store
    #[arg(long)]
    pub keep_model: bool,
    /// When to stop measuring, seconds
    #[arg(long, default_value_t = 100, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=3_600))]
    pub seconds: u64,
    /// JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// Measures, prints what was found, and writes it. `config_file` is the file of settings that was named.
///
/// # Errors
/// What is wrong with the models, the recording or the file of settings; and where nothing could be measured in time.
pub fn run(args: &TuneArgs, config: &Config, config_file: Option<&Path>) -> anyhow::Result<()> {
    talk::log_quietly(config)?;
    let out = args.out.as_deref().or(config_file).unwrap_or(Path::new(FILE));
    // A file that cannot be changed is told of before two minutes are spent.
    let before = read(out)?;
    drop(with_settings(out, &before, &[])?);
    let store = ModelStore::open(&config.data.models)?;
    let models = if args.keep_model { vec![config.recognition.model.clone()] } else { family(config, &store)? };
    let languages = AllowedLanguages::new(args.language.clone())?;
    let speech = speech(args, config)?;
    // Without an answer of the system, one core is what any machine has.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    // A decode that is broken off when the time is over is no error of the engine's.
    let quiet = talk::quiet(config);
    let log = LogSettings { filter: format!("{},whisper_rs=off", quiet.filter), ..quiet };
    let engine = engine_settings(config, log);
    let busy = busy();
    if let Some(load) = busy {
        talk::say(&format!(
            "other programs keep {load:.1} cores busy: what is measured now is less than the machine can do"
        ));
    }
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let bench = Bench { engine: &engine, speech: &speech, languages: &languages, cores, until };
    talk::say(&format!("measuring for up to {} s: {}", args.seconds, models.join(", ")));
    let (findings, fit) = bench.run(&models, |measured| talk::say(&line(measured)))?;
    let fit = fit.with_context(|| {
        let seconds = args.seconds;
        format!(
            "nothing could be measured in {seconds} s: end other programs, use a smaller model, or give more --seconds"
        )
    })?;
    write(out, &with_settings(out, &before, &settings(&fit))?)?;
    talk::data(&if args.json { to_json(&findings, &fit, (cores, busy)) } else { to_text(&findings, &fit) })?;
    talk::say(&format!("written to {}; a server that runs takes it up when it is started anew", out.display()));
    Ok(())
}

/// How many cores others kept busy in the last minute, where it is enough to spoil what is measured.
fn busy() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    (load > 0.3).then_some(load)
}

/// The model of the settings and its other forms that are in the store, the most exact first.
fn family(config: &Config, store: &ModelStore) -> anyhow::Result<Vec<String>> {
    const FORMS: [&str; 3] = ["", "-q8_0", "-q5_1"];
    let configured = config.recognition.model.as_str();
    let whole = FORMS.iter().skip(1).find_map(|form| configured.strip_suffix(form)).unwrap_or(configured);
    let mut there = Vec::new();
    for name in FORMS.map(|form| format!("{whole}{form}")) {
        // A name that the manifest does not have is none that could be there.
        if name == configured || store.has(&name).unwrap_or(false) {
            there.push(name);
        }
    }
    Ok(there)
}

/// A window's worth of speech, 16 kHz mono: of the recording that was named, or of the demo's.
fn speech(args: &TuneArgs, config: &Config) -> anyhow::Result<Vec<f32>> {
    let files = match &args.recording {
        Some(file) => vec![file.clone()],
        None => voices(config, &args.language)?,
    };
    let mut speech = Vec::new();
    for file in &files {
        if speech.len() >= MAX_WINDOW {
            break;
        }
        samples(file, &mut speech).with_context(|| format!("{} cannot be measured with", file.display()))?;
    }
    let least = WINDOWS.iter().max().map_or(0, |seconds| usize::try_from(*seconds).unwrap_or(0) * 16_000);
    anyhow::ensure!(!speech.is_empty(), "the recording is empty: name another with --recording");
    let once = speech.clone();
    while speech.len() < least {
        speech.extend_from_slice(&once);
    }
    speech.truncate(MAX_WINDOW);
    Ok(speech)
}

/// The demo's recordings, those in the first of `languages` before others.
fn voices(config: &Config, languages: &[LanguageTag]) -> anyhow::Result<Vec<PathBuf>> {
    let folder = config.data.models.join("recordings");
    let manifest = recordings::prepare(&folder, &mut models::Bar::default())
        .context("there is no speech to measure with: name a recording with --recording")?;
    let table = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let rows = table.lines().skip(1).map(|row| row.split('\t').collect::<Vec<_>>());
    let mut files: Vec<(bool, PathBuf)> = rows
        .filter_map(|row| {
            let (file, language) = (row.get(1)?, row.get(2)?);
            let other = languages.first().is_none_or(|first| first.primary() != *language);
            Some((other, folder.join(file)))
        })
        .collect();
    files.sort();
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// The first channel of a file.
fn samples(path: &Path, out: &mut Vec<f32>) -> Result<(), AudioError> {
    let mut file = AudioFile::open(path)?;
    let first = Channels::Only(ChannelId::new(1).into_iter().collect());
    let (encoding, channels) = (file.encoding(), file.channels());
    let mut resampler = Resampler::new(file.rate())?;
    // The resampler takes blocks of ten milliseconds.
    let block = usize::try_from(file.rate().hz() / 100).unwrap_or(1).max(1);
    let mut waiting = Vec::new();
    while let Some(read) = file.next_block()? {
        format::decode(encoding, &channel_bytes(&read.bytes, encoding, channels, &first)?, &mut waiting)?;
        let whole = waiting.len() / block * block;
        waiting.drain(..whole).collect::<Vec<_>>().chunks_exact(block).for_each(|b| resampler.push(b, out));
        if out.len() >= MAX_WINDOW {
            return Ok(());
        }
    }
    resampler.push(&waiting, out);
    resampler.finish(out);
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes the file in one piece: settings that are half there would keep a server from starting.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    // Where it is a link, what it leads to is written.
    let path = fs::canonicalize(path).unwrap_or_else(|_none| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    if let Ok(before) = fs::metadata(&path) {
        file.as_file().set_permissions(before.permissions()).with_context(failed)?;
    }
    file.as_file().sync_all().with_context(failed)?;
    file.persist(&path).with_context(failed)?;
    Ok(())
}

/// What is written, each with what it stands on.
fn settings(fit: &Fit) -> [(&'static str, toml_edit::Value, String); 5] {
    let number = |n: usize| toml_edit::Value::from(i64::try_from(n).unwrap_or(i64::MAX));
    let step = usize::try_from(fit.step.as_millis()).unwrap_or(usize::MAX);
    let note = |text: String| format!("{MARK}{text}");
    [
        (
            "recognition.model",
            fit.model.as_str().into(),
            note("the quickest here of its forms in the store".to_owned()),
        ),
        ("recognition.threads_per_worker", number(fit.slots.threads), note("as it carries most".to_owned())),
        ("recognition.workers", number(fit.slots.workers), note("as it carries most".to_owned())),
        ("recognition.partial_step_ms", number(step), note("a partial of 6 s has room in it".to_owned())),
        // None would be no limit.
        ("server.live_channels", number(fit.courtroom.max(1)), note(carried(fit))),
    ]
}

fn carried(fit: &Fit) -> String {
    let density = COURTROOM.density * 100.0;
    if fit.courtroom == 0 {
        return "this machine does not keep up with one channel: use a smaller model, beam = 1, or more cores"
            .to_owned();
    }
    format!(
        "carries {} channels of hearings ({density:.0} % speech), {} of speech without end",
        fit.courtroom, fit.continuous
    )
}

const fn pass(pass: Pass) -> &'static str {
    match pass {
        Pass::Partial => "partial",
        Pass::Final => "final",
    }
}

fn line(measured: &Measured) -> String {
    let Measured { model, slots, window, pass: of, took } = measured;
    format!("{} x {}: {} of {} s took {:.2} s", shape(*slots), model, pass(*of), window.as_secs(), took.as_secs_f64())
}

fn shape(slots: Slots) -> String {
    format!("{} x {}", slots.workers, slots.threads)
}

/// A row a model, set-up and pass; a column a window.
fn to_text(findings: &Findings, fit: &Fit) -> String {
    let mut rows: Vec<(&str, Slots, Pass)> = Vec::new();
    for m in &findings.measured {
        let row = (m.model.as_str(), m.slots, m.pass);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let mut out = String::from("seconds for a window of       ");
    // Writing to a String cannot fail.
    for seconds in WINDOWS {
        let _ = write!(out, "{:>8}", format!("{seconds} s"));
    }
    let _ = writeln!(out, "\n{:<14}{:<8}{:<8}", "model", "slots", "for");
    for (model, slots, of) in rows {
        let _ = write!(out, "{model:<14}{:<8}{:<8}", shape(slots), pass(of));
        for seconds in WINDOWS {
            let window = Duration::from_secs(seconds.into());
            let took = findings
                .measured
                .iter()
                .find(|m| (m.model.as_str(), m.slots, m.pass, m.window) == (model, slots, of, window));
            let _ =
                write!(out, "{:>8}", took.map_or_else(|| "-".to_owned(), |m| format!("{:.2}", m.took.as_secs_f64())));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "slots are decodes side by side x threads of each, all busy");
    if findings.cut_short {
        let _ = writeln!(out, "there was no time for all of it: end other programs, or give more --seconds");
    }
    let _ = writeln!(
        out,
        "{} with {} x {} thread(s), text every {} ms: {}",
        fit.model,
        fit.slots.workers,
        fit.slots.threads,
        fit.step.as_millis(),
        carried(fit)
    );
    out
}

fn to_json(findings: &Findings, fit: &Fit, (cores, busy): (usize, Option<f64>)) -> String {
    let measured = findings.measured.iter().map(|m| {
        json!({
            "model": m.model, "workers": m.slots.workers, "threads_per_worker": m.slots.threads, "pass": pass(m.pass),
            "window_s": m.window.as_secs(), "took_ms": m.took.as_secs_f64() * 1_000.0,
        })
    });
    let json = json!({
        "cores": cores,
        "cores_busy_before": busy,
        "model": fit.model,
        "workers": fit.slots.workers,
        "threads_per_worker": fit.slots.threads,
        "partial_step_ms": fit.step.as_millis(),
        "live_channels": fit.courtroom.max(1),
        "channels_courtroom": fit.courtroom,
        "channels_continuous": fit.continuous,
        "cut_short": findings.cut_short,
        "measured": measured.collect::<Vec<_>>(),
    });
    format!("{json:#}\n")
}
