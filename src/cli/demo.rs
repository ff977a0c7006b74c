//! `vivavoce demo`: the main job from end to end, on this machine alone.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;

use super::{
    engine_settings, models, runtime,
    screen::Screen,
    server_settings,
    stream::{Pace, export},
    take::{Take, blocks, passing_spool},
    talk,
};
use crate::{
    api::grpc::client::Client,
    app::{Engine, Server, ServerSettings},
    config::Config,
    domain::{
        audio::AudioFormat,
        channel::{ChannelSetup, Label},
        id::ChannelId,
        language::AllowedLanguages,
    },
    models::{recordings, store::ModelStore},
    speech::audio::file::AudioFile,
};

/// Arguments of `vivavoce demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// The folder for the record, the recording and the exports
    #[arg(long, default_value = "demo-out", value_name = "DIR")]
    out: PathBuf,
    /// Stream as fast as the server takes it, not at the speed of speech
    #[arg(long)]
    fast: bool,
}

/// Fetches models and voices, lays a hearing of a witness and an interpreter on two channels, serves, streams, exports.
///
/// # Errors
/// Whatever step fails, with what to do about it.
pub fn run(args: &DemoArgs, config: &Config) -> anyhow::Result<()> {
    talk::log_quietly(config)?;
    fetch_models(config)?;
    talk::say("1/5 models: verified");
    let voices = recordings::prepare(&config.data.models.join("recordings"), &mut models::Bar::default())
        .context("no voices for the demo could be fetched")?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let stage = lay_hearing(&voices, &args.out)?;
    talk::say(&format!("2/5 recording: {} ({})", stage.file.display(), stage.what));
    let engine = Engine::load(&engine_settings(config, talk::quiet(config)))?;
    talk::say("3/5 engine: loaded");
    runtime()?.block_on(async {
        let settings = ServerSettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data: args.out.join("data"),
            ..server_settings(config)
        };
        let server = Server::start(&settings, &engine).await?;
        let address = format!("http://{}", server.address());
        talk::say(&format!("4/5 server: {address}, record and audio under {}", settings.data.display()));
        let streamed = show(&address, &stage, args).await;
        server.stop().await?;
        streamed
    })
}

async fn show(address: &str, stage: &Stage, args: &DemoArgs) -> anyhow::Result<()> {
    talk::say(
        "5/5 streaming; what is being said stands below, final text above it. Machine draft, not a certified record.\n",
    );
    let screen = Screen::new(&stage.channels);
    let (_folder, spool) = passing_spool(stage.channels.clone())?;
    let mut take = Take::of_file(address, "demonstration");
    take.settings.partials = true;
    take.pace = if args.fast { Pace::Fast } else { Pace::Speech };
    let file = AudioFile::open(&stage.file)?;
    let recorded = take.record(spool, blocks(file, 0), &mut |event| screen.tell(event)).await;
    screen.finish();
    let recorded = recorded?;
    let mut client = Client::connect(address).await?;
    talk::say("");
    export(&mut client, &recorded, &args.out).await?;
    talk::say(&format!("the record and its exports are in {}", args.out.display()));
    Ok(())
}

/// Fetches what is missing of the configured models and verifies all.
fn fetch_models(config: &Config) -> anyhow::Result<()> {
    let store = ModelStore::open(&config.data.models)?;
    for name in [&config.recognition.model, &config.recognition.vad_model] {
        if !store.has(name)? {
            store.fetch(name, &mut models::Bar::default())?;
        }
        store.verify(name)?;
    }
    Ok(())
}

/// The recording of the demo.
struct Stage {
    file: PathBuf,
    what: String,
    channels: Vec<ChannelSetup>,
}

/// A sentence of the recordings.
struct Sentence {
    path: PathBuf,
    language: String,
    key: String,
}

/// Turns of the hearing: a witness in French and an interpreter who says the same in English.
const TURNS: usize = 6;

/// Lays pairs of the same sentence in French and English on two channels, the interpreter a second behind the witness, as
/// 16-bit WAV at the voices' own rate. Where there are no such pairs, the sentences of two languages simply alternate.
fn lay_hearing(manifest: &Path, out: &Path) -> anyhow::Result<Stage> {
    let sentences = read_manifest(manifest)?;
    let of =
        |language: &str| -> Vec<&Sentence> { sentences.iter().filter(|s| s.language.starts_with(language)).collect() };
    let (french, english) = (of("fr"), of("en"));
    let mut pairs: Vec<(&Sentence, &Sentence)> =
        french.iter().filter_map(|f| Some((*f, *english.iter().find(|e| e.key == f.key)?))).collect();
    let same = !pairs.is_empty();
    if !same {
        pairs = french.into_iter().zip(english).collect();
    }
    anyhow::ensure!(!pairs.is_empty(), "{} has no French and English sentences", manifest.display());
    let file = out.join("hearing.wav");
    let format = lay_pairs(&pairs[..pairs.len().min(TURNS)], &file)?;
    let channel = |number: u8, label: &str, tag: &str| -> anyhow::Result<ChannelSetup> {
        Ok(ChannelSetup {
            id: ChannelId::new(number).context("1 to 16")?,
            label: Label::try_from(label.to_owned())?,
            languages: AllowedLanguages::only(tag.parse()?),
            format,
        })
    };
    Ok(Stage {
        file,
        what: if same {
            "real voices: a witness in French, an interpreter saying the same in English".to_owned()
        } else {
            "a witness in French, another voice in English".to_owned()
        },
        channels: vec![channel(1, "witness", "fr")?, channel(2, "interpreter for the witness", "en")?],
    })
}

fn read_manifest(manifest: &Path) -> anyhow::Result<Vec<Sentence>> {
    let text = std::fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name: &str| header.iter().position(|c| *c == name).with_context(|| format!("no column {name}"));
    let (file, language) = (column("file")?, column("language")?);
    let sentence = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let path = folder.join(cells.get(file)?);
        let key = path.file_stem()?.to_string_lossy().into_owned();
        Some(Sentence { path, language: (*cells.get(language)?).to_owned(), key })
    };
    Ok(lines.filter_map(sentence).collect())
}

/// Lays the pairs one after another; gives the format of the file.
fn lay_pairs(pairs: &[(&Sentence, &Sentence)], target: &Path) -> anyhow::Result<AudioFormat> {
    let mut tracks: [Vec<i16>; 2] = [Vec::new(), Vec::new()];
    let mut format = None;
    for (witness, interpreter) in pairs {
        let (one, first) = samples(&witness.path)?;
        let (other, second) = samples(&interpreter.path)?;
        anyhow::ensure!(
            first.rate == second.rate && *format.get_or_insert(first.rate) == first.rate,
            "the voices have different rates"
        );
        let second_of = usize::try_from(first.rate.hz())?;
        let start = tracks[0].len().max(tracks[1].len()) + second_of / 2;
        place(&mut tracks[0], start, &one);
        // The interpreter sets in before the witness is done.
        place(&mut tracks[1], start + one.len().saturating_sub(second_of / 4), &other);
    }
    let rate = format.context("no voices")?;
    let end = tracks[0].len().max(tracks[1].len()) + usize::try_from(rate.hz())?;
    tracks.iter_mut().for_each(|t| t.resize(end, 0));
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: rate.hz(),
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer =
        hound::WavWriter::create(target, spec).with_context(|| format!("cannot write {}", target.display()))?;
    for (left, right) in tracks[0].iter().zip(&tracks[1]) {
        writer.write_sample(*left)?;
        writer.write_sample(*right)?;
    }
    writer.finalize()?;
    Ok(AudioFormat { encoding: crate::domain::audio::Encoding::PcmS16Le, rate })
}

fn place(track: &mut Vec<i16>, at: usize, samples: &[i16]) {
    track.resize(at.max(track.len()), 0);
    track.extend_from_slice(samples);
}

fn samples(path: &Path) -> anyhow::Result<(Vec<i16>, AudioFormat)> {
    let mut file = AudioFile::open(path)?;
    let format = AudioFormat { encoding: file.encoding(), rate: file.rate() };
    anyhow::ensure!(file.channels() == 1, "{} has more than one channel", path.display());
    let mut bytes = Vec::new();
    while let Some(block) = file.next_block()? {
        bytes.extend(block.bytes);
    }
    let mut decoded = Vec::new();
    crate::speech::audio::format::decode(format.encoding, &bytes, &mut decoded)?;
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 16 bits")]
    let samples = decoded.iter().map(|s| (s * 32_768.0).clamp(-32_768.0, 32_767.0) as i16).collect();
    Ok((samples, format))
}
