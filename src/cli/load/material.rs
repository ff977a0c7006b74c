//! Recordings in memory, with what is known of them: at 16 kHz, one channel.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use serde::Deserialize;

use super::{LoadArgs, UsageError};
use crate::{
    cli::{evaluate::channels_of, talk},
    domain::{audio::Encoding, language::AllowedLanguages},
    evaluation::{live::TimedWord, table},
    hearing::offline::{Channels, channel_bytes},
    speech::audio::{file::AudioFile, format, resample::Resampler},
};

/// A recording.
#[derive(Debug)]
pub(super) struct Voice {
    id: String,
    pub(super) languages: AllowedLanguages,
    pub(super) samples: Arc<[i16]>,
    pub(super) reference: Option<String>,
    pub(super) offline: Option<String>,
    pub(super) times: Vec<TimedWord>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) voices: Vec<Voice>,
}

/// A line of the times of words.
#[derive(Debug, Deserialize)]
struct TimeLine {
    id: Option<String>,
    w: String,
    b: f64,
    e: f64,
}

impl Material {
    /// Reads what the arguments name.
    pub(super) fn read(args: &LoadArgs) -> anyhow::Result<Self> {
        let voices = match &args.manifest {
            Some(path) => of_manifest(args, path)?,
            None => {
                let voice = |path: &PathBuf| {
                    let languages = AllowedLanguages::new(args.language.clone())?;
                    let samples = samples(path, &Channels::Mix).with_context(|| path.display().to_string())?;
                    let id = path.display().to_string();
                    anyhow::Ok(Voice { id, languages, samples, reference: None, offline: None, times: vec![] })
                };
                args.files.iter().map(voice).collect::<Result<_, _>>()?
            }
        };
        let mut material = Self { voices };
        if let Some(path) = &args.times {
            material.time(&text_of(path)?).with_context(|| path.display().to_string())?;
        }
        Ok(material)
    }

    /// The recordings of each language, that with the most audio first.
    pub(super) fn by_language(&self) -> Vec<(AllowedLanguages, Vec<usize>)> {
        let mut groups: Vec<(AllowedLanguages, Vec<usize>)> = Vec::new();
        for (index, voice) in self.voices.iter().enumerate() {
            match groups.iter_mut().find(|group| group.0 == voice.languages) {
                Some(group) => group.1.push(index),
                None => groups.push((voice.languages.clone(), vec![index])),
            }
        }
        let audio = |group: &(AllowedLanguages, Vec<usize>)| {
            group.1.iter().map(|&index| self.voices[index].samples.len()).sum::<usize>()
        };
        groups.sort_by_key(|group| std::cmp::Reverse(audio(group)));
        groups
    }

    fn time(&mut self, lines: &str) -> anyhow::Result<()> {
        let only = self.voices.len() == 1;
        for (line, text) in (1..).zip(lines.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let said: TimeLine =
                serde_json::from_str(text).with_context(|| format!("line {line} is no word with times"))?;
            let voice = match &said.id {
                // Times of items that are not streamed do no harm.
                Some(id) => match self.voices.iter_mut().find(|voice| voice.id == *id) {
                    Some(voice) => voice,
                    None => continue,
                },
                None => self.voices.first_mut().filter(|_| only).ok_or(UsageError::TimesOfWhat { line })?,
            };
            voice.times.push(TimedWord { text: said.w, start_ms: milliseconds(said.b), end_ms: milliseconds(said.e) });
        }
        Ok(())
    }
}

/// Whole milliseconds; what is no time is the beginning.
fn milliseconds(seconds: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(seconds).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

fn of_manifest(args: &LoadArgs, path: &Path) -> anyhow::Result<Vec<Voice>> {
    let text = text_of(path)?;
    let text = args.only.as_ref().map_or(text.clone(), |part| table::only(&text, part));
    let offline = args.offline.as_deref().map(text_of).transpose()?;
    let offline = offline.map(|text| table::hypotheses(&text, "offline")).transpose()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut voices = Vec::new();
    for item in table::manifest(&text)? {
        let file = item.file.as_deref().context("the manifest has no column `file`")?;
        let Some(language) = item.language.filter(|_| !item.reference.trim().is_empty()) else {
            talk::say(&format!("{} is left out: nobody speaks there", item.id));
            continue;
        };
        if args.skip.iter().any(|part| item.id.contains(part) || file.contains(part)) {
            continue;
        }
        voices.push(Voice {
            languages: AllowedLanguages::only(language),
            samples: samples(&folder.join(file), &channels_of(&item.id)).with_context(|| item.id.clone())?,
            reference: Some(item.reference),
            offline: offline.as_ref().map(|all: &HashMap<_, _>| all.get(&item.id).cloned().unwrap_or_default()),
            times: vec![],
            id: item.id,
        });
    }
    Ok(voices)
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The channels that are meant, as one, at the rate that is streamed: the resampler knows no other.
fn samples(path: &Path, channels: &Channels) -> anyhow::Result<Arc<[i16]>> {
    let mut file = AudioFile::open(path)?;
    let (encoding, count) = (file.encoding(), file.channels());
    // What is made of several channels is written in floats.
    let mixed = matches!(channels, Channels::Mix) && count > 1;
    let written = if mixed { Encoding::PcmF32Le } else { encoding };
    let mut resampler = Resampler::new(file.rate())?;
    let (mut decoded, mut ticks) = (Vec::new(), Vec::new());
    while let Some(block) = file.next_block()? {
        decoded.clear();
        format::decode(written, &channel_bytes(&block.bytes, encoding, count, channels)?, &mut decoded)?;
        resampler.push(&decoded, &mut ticks);
    }
    resampler.finish(&mut ticks);
    let mut bytes = Vec::new();
    format::encode(Encoding::PcmS16Le, &ticks, &mut bytes);
    Ok(bytes.as_chunks::<2>().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect())
}
