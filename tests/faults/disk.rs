//! Disks that fail: full, read-only, with a bit that is not what was written, with files of a release to come. Each is told
//! plainly, with the file and the remedy; what is not touched by it can be read and goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use tonic::Code;
use vivavoce::{api::grpc::pb, record::media::reader::verify};

use crate::{
    bits::{self, Part},
    dice::Dice,
    journals, kills,
    process::{Served, Start},
    recorder::{Left, Recorder, Until},
    server::Settings,
    shim,
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// Seconds of audio.
const SECONDS: u64 = 20;

pub(crate) async fn run(scale: Scale) -> Tally {
    let mut tally = Tally::default();
    let voices = sound::four(scale.seed ^ 7, SECONDS);
    let expected = Arc::new(kills::undisturbed(&voices).await);
    for case in 0..scale.of(20, 3) {
        let dice = Dice::of_case(scale.seed, "full", case);
        tally.case("full disks", format!("full disk {case}"), full(voices.clone(), dice, Arc::clone(&expected))).await;
    }
    tally
        .case("read-only disks", "the read-only disk".to_owned(), read_only(voices.clone(), Arc::clone(&expected)))
        .await;
    bits::run(scale, &mut tally).await;
    // A bit of another part in each journal.
    let parts = [Part::Samples, Part::Tag, Part::Head, Part::Chain];
    for (voice, part) in voices.iter().zip(parts) {
        for harm in [Harm::Bit(part), Harm::Version] {
            let name = format!("{harm:?} of channel {}", voice.number);
            let work = damaged(voices.clone(), voice.clone(), harm, Arc::clone(&expected));
            tally.case("servers with a harmed journal", name, Box::pin(work)).await;
        }
    }
    tally
}

/// The disk is full in the midst of a hearing; another one is on it already.
async fn full(voices: Vec<Voice>, mut dice: Dice, expected: Arc<Vec<pb::Segment>>) {
    let folder = tempfile::tempdir().unwrap();
    let (root, freed) = (folder.path().join("disk"), folder.path().join("freed"));
    fs::create_dir(&root).unwrap();
    let (settings, said) = (Settings::under(root.join("data")), folder.path().join("said"));
    let whole: u64 = voices.iter().map(|v| v.length * v.width() as u64).sum();
    let room = whole + whole / 4 + dice.below(whole / 2);
    let served = shim::small(&root, room, &freed).scripted(&settings, &said).unwrap();
    let mut first = Recorder::open(served.address, voices.clone(), dice.clone()).await;
    assert!(first.finish(served.address).await == *expected, "the text before is another");
    let mut recorder = Recorder::open(served.address, voices.clone(), dice.clone()).await;
    let Left::Broken(status) = recorder.stream(served.address, Until::Finished).await else {
        panic!("the disk was to be full after {room} bytes")
    };
    plain(status.message(), &["no room left on disk", &recorder.hearing, ".vvj", "free some"]);
    journals::hold(&settings.data, &recorder.hearing, &voices, &recorder.acknowledged);
    fs::write(freed, "").unwrap();
    assert!(recorder.finish(served.address).await == *expected, "the text is another");
    assert!(first.texts(served.address).await == *expected, "the text of the hearing before is another");
    served.stop();
    for hearing in [&first, &recorder] {
        let lengths: Vec<u64> = voices.iter().map(|v| v.length).collect();
        journals::hold(&settings.data, &hearing.hearing, &voices, &lengths);
    }
}

/// A message that names what is wrong, with which file, and what to do.
#[track_caller]
fn plain(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not told: {message}");
    }
}

/// The disk can only be read: the server says so and does not start; what is there can be read, and later all goes on.
async fn read_only(voices: Vec<Voice>, expected: Arc<Vec<pb::Segment>>) {
    let stored = Stored::new(&voices, Served::kill).await;
    let root = stored.folder.path().join("disk");
    let before = bytes_of(&root);
    let settings = Settings::under(stored.data());
    let Err(said) = shim::read_only(&root).scripted(&settings, &stored.folder.path().join("said")) else {
        panic!("it starts on a disk that it cannot write to")
    };
    plain(&said, &["record.sqlite", "read-only", "check owner and mount options"]);
    assert!(bytes_of(&root) == before, "something was written");
    journals::hold(&settings.data, &stored.open.hearing, &voices, &stored.open.acknowledged);
    stored.goes_on(&expected).await;
}

/// Every file under a folder.
fn bytes_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(bytes_of(&path));
        } else if !path.to_str().unwrap().ends_with("-shm") {
            let bytes = fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files.sort();
    files
}

/// A folder with two open hearings, half of each streamed.
struct Stored {
    folder: TempDir,
    open: Recorder,
    other: Recorder,
}

impl Stored {
    /// By a server that then ended in this way.
    async fn new(voices: &[Voice], ended: fn(Served)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("disk")).unwrap();
        let settings = Settings::under(folder.path().join("disk/data"));
        let served = kills::serve(&settings, &folder.path().join("said"));
        let half: u64 = voices.iter().map(|v| v.length).sum::<u64>() / 2;
        let mut hearings = Vec::new();
        for number in 0..2 {
            let mut recorder = Recorder::open(served.address, voices.to_vec(), Dice::new(number)).await;
            let left = recorder.stream(served.address, Until::Told(half)).await;
            assert!(matches!(left, Left::Reached), "{left:?}");
            hearings.push(recorder);
        }
        ended(served);
        let (other, open) = (hearings.pop().unwrap(), hearings.pop().unwrap());
        Self { folder, open, other }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("disk/data")
    }

    fn journal(&self, channel: u32) -> PathBuf {
        journals::path(&self.data(), &self.open.hearing, channel)
    }

    /// Both hearings are finished on a server.
    async fn goes_on(&self, expected: &[pb::Segment]) {
        let settings = Settings::under(self.data());
        let served = kills::serve(&settings, &self.folder.path().join("said"));
        for hearing in [&self.open, &self.other] {
            assert!(hearing.clone().finish(served.address).await == expected, "the text is another");
        }
        served.stop();
    }
}

/// What is done to a journal that a server then finds.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Bit(Part),
    Version,
}

/// A server finds a journal of a hearing harmed: it says so, and the rest goes on.
async fn damaged(voices: Vec<Voice>, voice: Voice, harm: Harm, expected: Arc<Vec<pb::Segment>>) {
    // Killed: a stop would end what is being said, and so change the text.
    let stored = Stored::new(&voices, Served::kill).await;
    let path = stored.journal(voice.number);
    let mut bytes = fs::read(&path).unwrap();
    let remedy = match harm {
        Harm::Bit(part) => {
            bits::flip(&mut bytes, part);
            "restore it from a copy"
        }
        Harm::Version => {
            bits::of_next_version(&mut bytes);
            "use a newer one"
        }
    };
    fs::write(&path, &bytes).unwrap();
    let settings = Settings::under(stored.data());
    let served = Start::default().scripted(&settings, &stored.folder.path().join("said")).unwrap();
    let (mut harmed, mut other) = (stored.open.clone(), stored.other.clone());
    let Left::Broken(status) = harmed.stream(served.address, Until::Finished).await else {
        panic!("a harmed journal is written on")
    };
    // A client is told of what is damaged inside by an id under which the log has it.
    let log = fs::read_to_string(&served.said).unwrap();
    let (code, message) = match harm {
        Harm::Bit(_) => (Code::DataLoss, log),
        Harm::Version => (Code::Unimplemented, status.message().to_owned()),
    };
    assert_eq!(status.code(), code);
    plain(&message, &[path.to_str().unwrap(), remedy]);
    // What has its text already can be read.
    let record = harmed.record(served.address).await;
    assert!(harmed.texts.iter().all(|(seq, text)| record.get(seq) == Some(text)), "texts that were sent are gone");
    assert!(!harmed.texts.is_empty(), "there are texts to read");
    assert!(other.finish(served.address).await == *expected, "the text of the other hearing is another");
    served.stop();
    assert!(fs::read(&path).unwrap() == bytes, "a harmed journal was written to");
    for voice in harmed.voices.iter().filter(|v| v.number != voice.number) {
        let verdict = verify(&stored.journal(voice.number)).unwrap();
        assert!(verdict.end.index() >= harmed.acknowledged[voice.number as usize - 1]);
    }
}
