//! Bits of a journal that are not what was written: of every field of every kind of frame, one at a time. None is passed over,
//! and what is told names the file and the place.

use std::{
    fs,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use vivavoce::{
    api::grpc::pb,
    record::{
        keys::key::TAG_BYTES,
        media::{
            MediaError,
            format::{
                EPOCH_BYTES, FORMAT_VERSION, FRAME_FOOTER_BYTES, FRAME_HEADER_BYTES, HEADER_BYTES,
                frame::{FrameHeader, FrameKind},
            },
            frames::Verdict,
            reader::{JournalReader, verify},
        },
        seal::CipherId,
    },
};

use crate::{
    dice::Dice,
    journals, kills,
    recorder::{Left, Recorder, Until},
    server::{Settings, told},
    sound::{self, Voice},
    tally::{Scale, Tally},
};

/// Seconds of audio.
const SECONDS: u64 = 20;

/// Seconds that are off the record, as ordered before they are said.
const SKIPPED: Range<u64> = 12..14;

/// Seconds that are destroyed by an order that comes late. They share a key with what was said before and after.
const DESTROYED: Range<u64> = 3..5;

/// A part of a file or frame: from which byte on, and what it is.
type Field = (usize, &'static str);

/// The fields of the head of a file, of a frame's head, of an epoch's payload.
const FILE: [Field; 15] = [
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
const FRAME: [Field; 10] = [
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
const EPOCH: [Field; 7] = [
    (0, "epoch number"),
    (4, "epoch cipher"),
    (6, "epoch zero"),
    (8, "epoch key"),
    (24, "nonce prefix"),
    (40, "opened at"),
    (48, "cut bytes"),
];
const DESTRUCTION: [Field; 5] = [
    (0, "number of spans"),
    (4, "number of keys"),
    (8, "first destroyed sample"),
    (16, "end of what is destroyed"),
    (24, "destroyed key"),
];
const FOOTER: [Field; 2] = [(0, "chain"), (32, "checksum")];

/// Every kind of frame that a journal has.
const KINDS: [FrameKind; 6] = [
    FrameKind::Epoch,
    FrameKind::Audio,
    FrameKind::Skipped,
    FrameKind::Restated,
    FrameKind::Destroyed,
    FrameKind::Closed,
];

pub(crate) async fn run(scale: Scale, tally: &mut Tally) {
    let voices = sound::four(scale.seed ^ 7, SECONDS);
    let stored = Arc::new(Stored::new(&voices).await);
    for voice in &voices {
        let (stored, number) = (Arc::clone(&stored), voice.number);
        let flips = flips(&fs::read(stored.journal(number)).unwrap(), scale);
        let count = flips.len() as u64;
        let work = async move { stored.every_flip_is_found(number, &flips) };
        tally.cases("flipped bits in a journal", count, format!("bits of channel {number}"), work).await;
    }
}

/// A folder with a hearing whose journals are sealed and have frames of every kind.
struct Stored {
    folder: TempDir,
    hearing: String,
}

impl Stored {
    async fn new(voices: &[Voice]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::under(folder.path().join("data"));
        let served = kills::serve(&settings, &folder.path().join("said"));
        let mut recorder = Recorder::open(served.address, voices.to_vec(), Dice::new(0)).await;
        off_the_record(&recorder, served.address, SKIPPED).await;
        let most: u64 = voices.iter().map(|v| v.rate() * (SECONDS - 2)).sum();
        let left = recorder.stream(served.address, Until::Acknowledged(most)).await;
        assert!(matches!(left, Left::Reached), "{left:?}");
        off_the_record(&recorder, served.address, DESTROYED).await;
        served.stop();
        let stored = Self { folder, hearing: recorder.hearing.clone() };
        voices.iter().for_each(|voice| stored.has_everything(voice.number));
        stored
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn journal(&self, channel: u32) -> PathBuf {
        journals::path(&self.data(), &self.hearing, channel)
    }

    /// It is of the form that the tables above describe, and no kind of frame is left out.
    fn has_everything(&self, channel: u32) {
        let path = self.journal(channel);
        let reader = JournalReader::open(&path, &vivavoce::app::keys(&self.data())).unwrap();
        assert_eq!(reader.header().cipher, CipherId::XCHACHA20_POLY1305);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[8..10], FORMAT_VERSION.to_le_bytes());
        let frames = frames(&bytes);
        for kind in KINDS {
            assert!(frames.iter().any(|frame| frame.kind == kind), "channel {channel} has no frame {kind:?}");
        }
    }

    /// Turns each of these bits round, one at a time.
    fn every_flip_is_found(&self, channel: u32, flips: &[Flip]) {
        let path = self.journal(channel);
        let whole = fs::read(&path).unwrap();
        let copy = self.folder.path().join("flipped.vvj");
        for flip in flips {
            let mut bytes = whole.clone();
            bytes[flip.byte] ^= 1 << flip.bit;
            fs::write(&copy, bytes).unwrap();
            let Flip { byte, bit, field, .. } = flip;
            let found = verify(&copy);
            assert!(flip.is_told(&found, whole.len(), &copy), "bit {bit} of byte {byte} ({field}): {found:?}");
        }
        assert!(verify(&path).is_ok(), "the file itself is as it was");
    }
}

/// Orders that these seconds of every channel are off the record.
async fn off_the_record(recorder: &Recorder, address: SocketAddr, seconds: Range<u64>) {
    for voice in &recorder.voices {
        let span = (seconds.start * voice.rate(), seconds.end * voice.rate());
        recorder.order(address, voice.number, span, pb::IntervalClass::OffRecord).await.unwrap();
    }
}

/// A frame as it lies in a file.
struct Frame {
    at: usize,
    kind: FrameKind,
    payload: usize,
}

impl Frame {
    /// Where its payload begins.
    const fn payload(&self) -> usize {
        self.at + FRAME_HEADER_BYTES
    }

    /// Where its chain value begins.
    const fn chain(&self) -> usize {
        self.payload() + self.payload
    }

    const fn end(&self) -> usize {
        self.chain() + FRAME_FOOTER_BYTES
    }

    /// All of it, piece by piece.
    fn fields(&self) -> Vec<(Range<usize>, &'static str)> {
        let mut fields = of(&FRAME, self.at, self.payload());
        fields.extend(match self.kind {
            FrameKind::Epoch => {
                assert_eq!(self.payload, EPOCH_BYTES);
                of(&EPOCH, self.payload(), self.chain())
            }
            FrameKind::Audio | FrameKind::Restated => {
                let sealed = self.payload - TAG_BYTES;
                of(&[(0, "sealed samples"), (sealed, "tag")], self.payload(), self.chain())
            }
            FrameKind::Destroyed => of(&DESTRUCTION, self.payload(), self.chain()),
            FrameKind::Skipped | FrameKind::Closed => Vec::new(),
        });
        fields.extend(of(&FOOTER, self.chain(), self.end()));
        fields
    }
}

fn of(fields: &[Field], at: usize, end: usize) -> Vec<(Range<usize>, &'static str)> {
    let ends = fields.iter().skip(1).map(|field| at + field.0).chain([end]);
    fields.iter().zip(ends).map(|((from, name), to)| (at + from..to, *name)).collect()
}

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut frames, mut at) = (Vec::new(), HEADER_BYTES);
    while at < bytes.len() {
        let head = FrameHeader::decode(bytes[at..at + FRAME_HEADER_BYTES].try_into().unwrap()).unwrap();
        let frame = Frame { at, kind: head.kind, payload: head.payload_bytes as usize };
        at = frame.end();
        frames.push(frame);
    }
    frames
}

/// A bit, and what it is a part of.
struct Flip {
    byte: usize,
    bit: u8,
    field: &'static str,
    /// Where the frame begins; 0 for the head of the file.
    frame: usize,
    /// Whether it is the frame that says that the file was closed: nothing later says that it was synced.
    last: bool,
}

impl Flip {
    /// Whether what is told of the copy at `path`, of so many bytes, is about this bit.
    fn is_told(&self, found: &Result<Verdict, MediaError>, length: usize, path: &Path) -> bool {
        match found {
            Ok(verdict) => self.last && verdict.tail_bytes == (length - self.frame) as u64,
            Err(error) if !told(error).contains(path.to_str().unwrap()) => false,
            Err(MediaError::Damaged { offset, .. }) => !self.last && *offset == self.frame as u64,
            Err(MediaError::NewerFormat { .. }) => self.field == "version",
            Err(_) => false,
        }
    }
}

/// Bits of every field of the file's head and of frames of every kind: of each field all, where that is asked for and it is no
/// long one, else one.
fn flips(bytes: &[u8], scale: Scale) -> Vec<Flip> {
    let mut dice = Dice::of_case(scale.seed, "flips", bytes.len() as u64);
    let frames = frames(bytes);
    let head = of(&FILE, 0, HEADER_BYTES).into_iter().map(|(range, field)| (range, field, 0, false));
    let mut fields: Vec<(Range<usize>, &'static str, usize, bool)> = head.collect();
    for kind in KINDS {
        let some: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == kind).collect();
        let mut chosen = vec![0, some.len() / 2, some.len() - 1];
        chosen.dedup();
        for frame in chosen.into_iter().map(|number| some[number]) {
            let last = frame.end() == bytes.len();
            fields.extend(frame.fields().into_iter().map(|(range, field)| (range, field, frame.at, last)));
        }
    }
    let mut flips = Vec::new();
    for (range, field, frame, last) in fields {
        let all = range.len() as u64 * 8;
        let bits = if scale.full && range.len() <= 64 { all } else { 1 };
        for bit in 0..bits {
            let drawn = if bits == 1 { dice.below(all) } else { bit };
            flips.push(Flip { byte: range.start + (drawn / 8) as usize, bit: (drawn % 8) as u8, field, frame, last });
        }
    }
    flips
}

/// What of a stored second a bit is turned round in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Samples,
    Tag,
    Head,
    Chain,
}

/// Turns round a bit of audio in the middle of a journal.
pub(crate) fn flip(bytes: &mut [u8], part: Part) {
    let audio: Vec<Frame> = frames(bytes).into_iter().filter(|frame| frame.kind == FrameKind::Audio).collect();
    let frame = &audio[audio.len() / 2];
    let byte = match part {
        Part::Samples => frame.payload(),
        Part::Tag => frame.chain() - 1,
        Part::Head => frame.at + 24,
        Part::Chain => frame.chain(),
    };
    bytes[byte] ^= 1;
}

/// Makes a journal one of a release to come: as that would write it, with a checksum that is right.
pub(crate) fn of_next_version(bytes: &mut [u8]) {
    bytes[8..10].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}
