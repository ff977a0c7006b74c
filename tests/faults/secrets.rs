//! A phrase is said that must not be kept: off the record, on a muted channel, before an order that came late. Then every file
//! that the server left is searched for its samples, its words and what could be derived from them.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use vivavoce::api::grpc::pb;

use crate::{
    dice::Dice,
    journals, kills,
    process::Served,
    recorder::{Left, Recorder, Until},
    server::Settings,
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// The word that stands for the loudest sound, which nothing but the phrase is.
const WORD: &str = "xylophonecanary";

/// Bytes of the phrase that are looked for at a time: 64 samples, of which no other has the signs.
const RUN: usize = 128;

/// Seconds of audio.
const SECONDS: u64 = 24;

pub(crate) async fn run(scale: Scale) -> Tally {
    let mut tally = Tally::default();
    for case in 0..scale.of(10, 1) {
        let seed = scale.seed ^ case;
        tally.case("phrases off the record and muted", format!("phrase {case}"), not_recorded(seed)).await;
    }
    tally.case("phrases before a late order", "the late order".to_owned(), late(scale.seed)).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    tally.case("core files of the program", "the core file".to_owned(), async { no_core_file(tell) }).await;
    if told.await == Ok(false) {
        tally.note("no process leaves a core file here, so that their absence shows nothing; the program's limit was looked at");
    }
    tally
}

/// A server with a phrase in its future, which logs all it can.
struct Trial {
    folder: tempfile::TempDir,
    served: Served,
    recorder: Recorder,
}

impl Trial {
    async fn new(seed: u64, canaries: [Vec<(u64, u64)>; 2]) -> Self {
        allow_core_files();
        let folder = tempfile::tempdir().unwrap();
        let format = sound::format(pb::Encoding::PcmS16le, 16_000);
        let voices = (1..).zip(canaries).map(|(number, canaries)| {
            let canaries = canaries.into_iter().map(|(from, to)| (from * 16_000 + 77, to * 16_000 + 33)).collect();
            Voice::new(seed, number, format, SECONDS).with(canaries)
        });
        let mut settings = Settings::under(folder.path().join("data"));
        settings.log = "trace".to_owned();
        *settings.vocabulary.last_mut().unwrap() = WORD.to_owned();
        let served = kills::serve(&settings, &folder.path().join("said"));
        let recorder = Recorder::open(served.address, voices.collect(), Dice::new(seed)).await;
        Self { folder, served, recorder }
    }

    /// Orders that the phrase of a channel is not recorded.
    async fn order(&self, channel: u32, class: pb::IntervalClass) -> Result<(), tonic::Status> {
        let span = self.recorder.voices[channel as usize - 1].canaries[0];
        self.recorder.order(self.served.address, channel, span, class).await
    }

    /// Everything is over; nothing of the phrase is left.
    async fn nothing_is_left(mut self) -> tempfile::TempDir {
        let texts = self.recorder.finish(self.served.address).await;
        assert!(texts.len() > 3, "other things were said: {} texts", texts.len());
        assert!(texts.iter().all(|text| !text.text.contains(WORD)), "the word is in the record");
        let needles = Needles::of(&self.recorder.voices);
        needles.find_what_is_there(self.folder.path());
        // First as the server runs, with its write-ahead log; then as an abort leaves it; then as a good end does.
        needles.are_nowhere(self.folder.path());
        self.served.signal(Signal::ABORT);
        let _aborted = self.served.end();
        needles.are_nowhere(self.folder.path());
        let settings = Settings::under(self.folder.path().join("data"));
        kills::serve(&settings, &self.folder.path().join("said")).stop();
        needles.are_nowhere(self.folder.path());
        self.folder
    }
}

/// Orders came before what they forbid.
async fn not_recorded(seed: u64) {
    let trial = Trial::new(seed, [vec![(8, 11)], vec![(9, 12)]]).await;
    trial.order(1, pb::IntervalClass::OffRecord).await.unwrap();
    trial.order(2, pb::IntervalClass::Muted).await.unwrap();
    drop(trial.nothing_is_left().await);
}

/// The order comes when the phrase is stored and has its text. Tells whether the server takes such orders.
async fn late(seed: u64) {
    let mut trial = Trial::new(seed ^ 5, [vec![(8, 11)], vec![(20, 20)]]).await;
    let left = trial.recorder.stream(trial.served.address, Until::Acknowledged(2 * 18 * 16_000)).await;
    assert!(matches!(left, Left::Reached), "{left:?}");
    trial.order(1, pb::IntervalClass::OffRecord).await.unwrap();
    // What it heard of it is gone from the record; it may not expect to see it again.
    trial.recorder.texts.retain(|_, text| !text.text.contains(WORD));
    let (hearing, voice) = (trial.recorder.hearing.clone(), trial.recorder.voices[0].clone());
    let folder = trial.nothing_is_left().await;
    // A search of sealed files finds nothing in any case: whoever has the keys finds nothing either.
    journals::destroyed(&folder.path().join("data"), &hearing, &voice, voice.canaries[0]);
}

/// What of the phrase is looked for.
struct Needles {
    /// The first eight bytes of each needle.
    heads: HashSet<[u8; 8]>,
    needles: Vec<Vec<u8>>,
}

impl Needles {
    fn of(voices: &[Voice]) -> Self {
        let mut needles = vec![WORD.as_bytes().to_vec()];
        for voice in voices {
            for (from, to) in voice.canaries.iter().filter(|(from, to)| from < to) {
                let phrase = voice.bytes(*from, *to);
                for run in phrase.chunks(2_000).map(|run| &run[..RUN.min(run.len())]).filter(|run| run.len() == RUN) {
                    let samples = run.chunks(2).map(|s| f32::from(i16::from_le_bytes([s[0], s[1]])) / 32_768.0);
                    needles.push(run.to_vec());
                    needles.push(samples.flat_map(f32::to_le_bytes).collect());
                    // As a log line would have it.
                    needles.push(run.escape_ascii().to_string().into_bytes());
                    needles.push(format!("{run:?}").trim_matches(['[', ']']).as_bytes().to_vec());
                }
            }
        }
        Self { heads: needles.iter().map(|n| n[..8].try_into().unwrap()).collect(), needles }
    }

    fn within(&self, bytes: &[u8]) -> bool {
        bytes.windows(8).enumerate().any(|(at, head)| {
            self.heads.contains(head) && self.needles.iter().any(|needle| bytes[at..].starts_with(needle))
        })
    }

    /// Shows that a search finds what is there: each needle by itself.
    fn find_what_is_there(&self, folder: &Path) {
        for needle in &self.needles {
            let planted = folder.join("planted");
            fs::write(&planted, [b"before".as_slice(), needle, b"after"].concat()).unwrap();
            let found = self.within(&fs::read(&planted).unwrap());
            fs::remove_file(planted).unwrap();
            assert!(found, "what is there is not found");
        }
    }

    /// Searches every file under `folder`: the data, the log, a core file.
    fn are_nowhere(&self, folder: &Path) {
        let files = files(folder);
        assert!(files.iter().any(|path| path.ends_with("record.sqlite")), "the record is searched too");
        for path in files {
            assert!(!self.within(&fs::read(&path).unwrap()), "it is in {}", path.display());
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// From here on, processes that are started may leave core files, as far as this one may allow it.
fn allow_core_files() {
    let limit = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// `vivavoce serve` that aborts leaves no core file. Tells whether another process would.
fn no_core_file(tell: tokio::sync::oneshot::Sender<bool>) {
    allow_core_files();
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let status = Command::new("sh").args(["-c", "kill -ABRT $$"]).current_dir(&other).stderr(Stdio::null()).status();
    assert!(!status.unwrap().success());
    let _told = tell.send(fs::read_dir(&other).unwrap().count() > 0);
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    let served = Served::real(&own.join("data"), &folder.path().join("said"));
    let limits = fs::read_to_string(format!("/proc/{}/limits", served.pid().as_raw_nonzero())).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(limit.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "the limit of core files");
    served.signal(Signal::ABORT);
    assert!(!served.end().success());
    let left: Vec<PathBuf> = files(&own).into_iter().filter(|path| !path.starts_with(own.join("data"))).collect();
    assert!(left.is_empty(), "an abort leaves {left:?}");
}
