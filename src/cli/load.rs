//! `vivavoce load`: channels in real time from recordings, and what a server makes of them. All figures of live speech that
//! are published come from it.

mod material;
mod play;
mod process;

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;

use self::{
    material::{Material, Voice},
    play::{Line, Played},
};
use super::{UsageError, runtime, talk};
use crate::{
    config::Config,
    domain::{language::LanguageTag, time::SampleRate},
    evaluation::live::{
        Heard, TimedWord,
        accuracy::{self, Said},
        figures, plot,
        render::{self, Report, Setting},
        resources::Resources,
        schedule::{self, Plan, Turn},
        spread::Spread,
    },
};

/// Most channels of one hearing.
const CHANNELS: usize = 16;
/// What is streamed after the last word where no length was given: utterances end by their silence, as they do in court.
const TAIL_MS: u64 = 1_500;

/// Arguments of `vivavoce load`.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
    /// Recordings that are streamed; all channels of a file as one
    #[arg(value_name = "FILE", requires = "language")]
    files: Vec<PathBuf>,
    /// What is spoken in recordings that are named here, as BCP-47 tags
    #[arg(long, short, value_delimiter = ',', value_name = "TAG,..")]
    language: Vec<LanguageTag>,
    /// Stream the items of this table, which `evaluate` reads too, and count wrong words where it has references
    #[arg(long, value_name = "FILE.tsv", conflicts_with = "files")]
    manifest: Option<PathBuf>,
    /// Only items whose id or file contains this
    #[arg(long, value_name = "PART", requires = "manifest")]
    only: Option<String>,
    /// Leave out items whose id or file contains this; may be given more than once
    #[arg(long, value_name = "PART", requires = "manifest")]
    skip: Vec<String>,
    /// The server
    #[arg(long, visible_alias = "address", value_name = "URL")]
    server: Option<String>,
    /// Channels in all; each has recordings of one language, those with the most audio first
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    channels: usize,
    /// Hearings that the channels are shared over; without it as few as can hold them
    #[arg(long, value_name = "COUNT")]
    hearings: Option<usize>,
    /// How long is streamed, recordings again and again; without it each is played once
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// As in a courtroom: somebody speaks for this share of each hearing, mostly one channel at a time; without it every
    /// channel speaks all the time
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    density: Option<u8>,
    /// When words were spoken, in place of the times in the final text: lines of {"w": word, "b": seconds, "e": seconds}, with
    /// "id" where there are several recordings
    #[arg(long, value_name = "FILE.jsonl")]
    times: Option<PathBuf>,
    /// What the same model made of the items offline (as `evaluate` writes it): adds what streaming costs
    #[arg(long, value_name = "FILE.tsv", requires = "manifest")]
    offline: Option<PathBuf>,
    /// The server's process on this machine: adds its processor time and memory, with its children
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Where turns and pauses of a courtroom come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the figures into this file
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,
    /// Draw them into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// Streams, and prints the figures.
///
/// # Errors
/// Recordings that cannot be read, a server that refuses or goes away, files that cannot be written.
pub fn run(args: &LoadArgs, config: &Config) -> anyhow::Result<()> {
    let server = args.server.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    let hearings = args.hearings.unwrap_or_else(|| args.channels.div_ceil(CHANNELS));
    let fits = hearings > 0 && hearings <= args.channels && args.channels.div_ceil(hearings) <= CHANNELS;
    anyhow::ensure!(fits, UsageError::Spread { channels: args.channels, hearings });
    if let Some(pid) = args.pid {
        process::look(pid, 0).ok_or(UsageError::NoProcess { pid })?;
    }
    let material = Material::read(args)?;
    let (lines, length) = lines(args, &material, hearings)?;
    talk::say(&format!(
        "channels: {}; {:.0} s, and this takes as long as speech does",
        args.channels,
        length as f64 / f64::from(RATE.hz())
    ));
    let played = runtime()?.block_on(play::play(&server, &material.voices, &lines, length, args.pid))?;
    let report = report(args, &material, &lines, length, &played);
    talk::data(&render::to_text(&report))?;
    if let Some(path) = &args.json {
        write(path, &format!("{:#}\n", render::to_json(&report)))?;
    }
    if let Some(path) = &args.plot {
        let title = format!("Channels: {}, {:.0} s", args.channels, report.setting.seconds);
        write(path, &plot::to_svg(&report.figures, &title, &played.looks))?;
    }
    Ok(())
}

/// The rate at which everything is streamed: that of the models, so that nobody's time goes into resampling.
const RATE: SampleRate = SampleRate::ANALYSIS;

/// What is said on each channel of each hearing, and how long it takes in samples.
fn lines(args: &LoadArgs, material: &Material, hearings: usize) -> anyhow::Result<(Vec<Vec<Line>>, u64)> {
    let rate = u64::from(RATE.hz());
    let mut groups = material.by_language();
    anyhow::ensure!(!groups.is_empty(), UsageError::NothingToStream);
    for (languages, _) in groups.drain(args.channels.min(groups.len())..) {
        let tags: Vec<String> = languages.tags().iter().map(ToString::to_string).collect();
        talk::say(&format!("recordings in {} are left out: there are more languages than channels", tags.join(",")));
    }
    let shares: Vec<Vec<Vec<usize>>> = groups
        .iter()
        .enumerate()
        .map(|(group, (_, voices))| {
            let sharing = (group..args.channels).step_by(groups.len()).count();
            schedule::deal(voices.len(), sharing)
        })
        .collect();
    // A channel's languages and its recordings with their lengths.
    let channel = |number: usize| {
        let (languages, voices) = &groups[number % groups.len()];
        let own = &shares[number % groups.len()][number / groups.len()];
        let own = own.iter().map(|&n| (voices[n], material.voices[voices[n]].samples.len() as u64));
        (languages.clone(), own.collect::<Vec<_>>())
    };
    let mut lines = Vec::new();
    for hearing in 0..hearings {
        let channels: Vec<_> = (hearing..args.channels).step_by(hearings).map(channel).collect();
        let own: Vec<_> = channels.iter().map(|channel| channel.1.clone()).collect();
        let plan = Plan {
            rate,
            length: args.seconds.map(|seconds| seconds * rate),
            density: args.density,
            seed: args.seed.wrapping_add(hearing as u64),
        };
        let turns = schedule::hearing(&own, &plan);
        lines.push(channels.into_iter().zip(turns).map(|((languages, _), turns)| Line { languages, turns }).collect());
    }
    let turns = || lines.iter().flatten().flat_map(|line: &Line| &line.turns);
    let last = turns().map(|turn| turn.end).max().ok_or(UsageError::NothingToStream)?;
    Ok((lines, args.seconds.map_or(last + TAIL_MS * rate / 1_000, |seconds| seconds * rate)))
}

fn report(args: &LoadArgs, material: &Material, lines: &[Vec<Line>], length: u64, played: &Played) -> Report {
    let all: Vec<(&Line, &Heard)> =
        lines.iter().zip(&played.heard).flat_map(|(lines, heard)| lines.iter().zip(heard)).collect();
    let timed = args.times.is_some();
    let heard: Vec<Heard> = all
        .iter()
        .map(|(line, heard)| Heard { times: timed.then(|| times(&material.voices, &line.turns)), ..(*heard).clone() })
        .collect();
    let said: Vec<Said> = all.iter().filter_map(|(line, heard)| said(material, line, heard)).collect();
    let shares: Vec<(f64, f64)> = lines
        .iter()
        .map(|lines| schedule::shares(&lines.iter().map(|line| line.turns.clone()).collect::<Vec<_>>(), length))
        .collect();
    let mean = |of: fn(&(f64, f64)) -> f64| shares.iter().map(of).sum::<f64>() / shares.len().max(1) as f64;
    Report {
        setting: Setting {
            channels: args.channels,
            hearings: lines.len(),
            seconds: length as f64 / f64::from(RATE.hz()),
            density_percent: args.density,
            channel_speech_percent: mean(|share| share.0),
            hearing_speech_percent: mean(|share| share.1),
            seed: args.seed,
            sent_late: Spread::of(played.late_ms.clone()),
            times: if timed { "a reference" } else { "the final text" },
        },
        figures: figures(&heard),
        accuracy: accuracy::of_channels(&said),
        resources: Resources::of(&played.looks),
    }
}

/// The reference's times on the channel's own clock.
fn times(voices: &[Voice], turns: &[Turn]) -> Vec<TimedWord> {
    let moved = |turn: &Turn| {
        let from = turn.start * 1_000 / u64::from(RATE.hz());
        let words = voices[turn.recording].times.iter();
        let words = words.map(move |word| TimedWord {
            text: word.text.clone(),
            start_ms: word.start_ms + from,
            end_ms: word.end_ms + from,
        });
        words.collect::<Vec<_>>()
    };
    turns.iter().flat_map(moved).collect()
}

/// What was said and heard on a channel; `None` where a recording has no reference, or several languages were possible.
fn said(material: &Material, line: &Line, heard: &Heard) -> Option<Said> {
    let voices = || line.turns.iter().map(|turn| &material.voices[turn.recording]);
    let mut finals: Vec<_> = heard.finals.iter().collect();
    finals.sort_by_key(|last| last.start_ms);
    Some(Said {
        language: line.languages.given()?.clone(),
        references: voices().map(|voice| voice.reference.clone()).collect::<Option<_>>()?,
        offline: voices().map(|voice| voice.offline.clone()).collect(),
        heard: finals.iter().map(|last| last.text.as_str()).collect::<Vec<_>>().join(" "),
    })
}

fn write(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
