//! Disks that fail: full, read-only, with a bit that is not what was written, with files of a release to come. Each is told
//! plainly, with the file and the remedy; what is not touched by it can be read and goes on.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use tonic::Code;
use vivavoce::{api::grpc::pb, record::media::reader::verify};

use crate::{
    dice::Dice,
    journals, kills,
    process::{Served, Start},
    recorder::{Left, Recorder, Until},
    server::{Settings, told},
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
    let stored = Arc::new(Stored::new(&voices, Served::stop).await);
    for voice in &voices {
        let (stored, number, seed) = (Arc::clone(&stored), voice.number, scale.seed);
        let every = scale.full;
        let flips = flips(&fs::read(stored.journal(number)).unwrap(), every, seed);
        let count = flips.len() as u64;
        let work = async move { stored.every_flip_is_found(number, &flips) };
        tally.cases("flipped bits in a journal", count, format!("bits of channel {number}"), work).await;
        for harm in [Harm::Bit, Harm::Version] {
            let work = damaged(voices.clone(), voice.clone(), harm, Arc::clone(&expected));
            tally.case("servers with a harmed journal", format!("{harm:?} of channel {number}"), Box::pin(work)).await;
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

    /// Turns each of these bits round, one at a time: none is passed over.
    fn every_flip_is_found(&self, channel: u32, flips: &[Flip]) {
        let path = self.journal(channel);
        let whole = fs::read(&path).unwrap();
        let copy = self.folder.path().join("flipped.vvj");
        for flip in flips {
            let mut bytes = whole.clone();
            bytes[flip.byte] ^= 1 << flip.bit;
            fs::write(&copy, bytes).unwrap();
            let found = match verify(&copy) {
                Err(error) => told(&error).contains(copy.to_str().unwrap()),
                // The frame that says that the file was closed: nothing later says that it was synced.
                Ok(verdict) => flip.last && verdict.tail_bytes > 0,
            };
            assert!(found, "bit {} of byte {} ({}) is not found", flip.bit, flip.byte, flip.field);
        }
        assert!(verify(&path).is_ok(), "the file itself is as it was");
    }
}

/// A bit, and what it is a part of.
struct Flip {
    byte: usize,
    bit: u8,
    field: &'static str,
    last: bool,
}

/// The fields of the head of a file, of a frame's head, of an epoch's payload: from which byte on.
const FILE: [(usize, &str); 15] = [
    (0, "magic"),
    (8, "version"),
    (10, "header length"),
    (12, "hearing"),
    (28, "channel"),
    (29, "encoding"),
    (30, "zero"),
    (32, "rate"),
    (36, "cipher"),
    (38, "class"),
    (39, "zero"),
    (40, "key"),
    (56, "created"),
    (64, "zero"),
    (68, "checksum"),
];
const FRAME: [(usize, &str); 10] = [
    (0, "marker"),
    (4, "kind"),
    (5, "class"),
    (6, "zero"),
    (8, "payload length"),
    (12, "samples"),
    (16, "sequence"),
    (24, "first sample"),
    (32, "synced"),
    (40, "head's checksum"),
];
const EPOCH: [(usize, &str); 7] = [
    (0, "epoch number"),
    (4, "epoch cipher"),
    (6, "epoch zero"),
    (8, "epoch key"),
    (24, "nonce prefix"),
    (40, "opened at"),
    (48, "cut bytes"),
];

/// Bits of every field: of the file's head, and of its first epoch, some audio and its last frame. Every bit of the heads
/// where `every` is asked for, else one a field.
fn flips(bytes: &[u8], every: bool, seed: u64) -> Vec<Flip> {
    let mut dice = Dice::of_case(seed, "flips", bytes.len() as u64);
    let mut fields: Vec<(Range<usize>, &'static str, bool)> = of(&FILE, 0, 72, false);
    let frames = frames(bytes);
    let some = [0, 1, frames.len() / 2, frames.len() - 2, frames.len() - 1];
    for (frame, at) in some.into_iter().map(|number| (number, frames[number])) {
        let last = frame == frames.len() - 1;
        let payload = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        fields.extend(of(&FRAME, at, 44, last));
        match bytes[at + 4] {
            1 => fields.extend(of(&EPOCH, at + 44, 56, last)),
            _ if payload > 0 => fields.push((at + 44..at + 44 + payload, "payload", last)),
            _ => {}
        }
        fields.push((at + 44 + payload..at + 76 + payload, "chain", last));
        fields.push((at + 76 + payload..at + 80 + payload, "checksum", last));
    }
    let mut flips = Vec::new();
    for (range, field, last) in fields {
        let bits = if every && range.len() <= 64 { range.len() as u64 * 8 } else { 1 };
        for bit in 0..bits {
            let drawn = if bits == 1 { dice.below(range.len() as u64 * 8) } else { bit };
            flips.push(Flip { byte: range.start + (drawn / 8) as usize, bit: (drawn % 8) as u8, field, last });
        }
    }
    flips
}

fn of(fields: &[(usize, &'static str)], at: usize, end: usize, last: bool) -> Vec<(Range<usize>, &'static str, bool)> {
    let ends = fields.iter().skip(1).map(|field| field.0).chain([end]);
    fields.iter().zip(ends).map(|((from, name), to)| (at + from..at + to, *name, last)).collect()
}

/// Where each frame begins.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let (mut frames, mut at) = (Vec::new(), 72);
    while at < bytes.len() {
        frames.push(at);
        at += 80 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    frames
}

/// What is done to a journal that a server then finds.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Bit,
    Version,
}

/// A server finds a journal of a hearing harmed: it says so, and the rest goes on.
async fn damaged(voices: Vec<Voice>, voice: Voice, harm: Harm, expected: Arc<Vec<pb::Segment>>) {
    // Killed: a stop would end what is being said, and so change the text.
    let stored = Stored::new(&voices, Served::kill).await;
    let path = stored.journal(voice.number);
    let mut bytes = fs::read(&path).unwrap();
    let remedy = match harm {
        Harm::Bit => {
            let middle = frames(&bytes).len() / 2;
            let at = frames(&bytes)[middle];
            bytes[at + 44] ^= 1;
            "restore it from a copy"
        }
        Harm::Version => {
            bytes[8..10].copy_from_slice(&999_u16.to_le_bytes());
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
        Harm::Bit => (Code::DataLoss, log),
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
