//! How a journal is written, version 1. All numbers are little-endian.
//!
//! ```text
//! file    header (72)  frame*
//! header  0 magic (8)   8 version u16   10 header length u16   12 hearing (16)   28 channel u8   29 encoding u8
//!         30 zero u16   32 rate u32     36 cipher u16          38 class u8       39 zero u8      40 key id (16)
//!         56 created at, microseconds since 1970 i64           64 zero u32       68 CRC-32C of bytes 0 to 67
//! frame   header (44)  payload  chain (32)  CRC-32C of payload and chain (4)
//! header  0 marker (4)  4 kind u8       5 class u8             6 zero u16        8 payload length u32
//!         12 samples u32                16 sequence u64        24 first sample u64
//!         32 synced u64: bytes of this file known to be on disk when the frame was written
//!         40 CRC-32C of bytes 0 to 39
//! epoch   payload of kind 1 (56): 0 number u32   4 cipher u16   6 zero u16   8 key id (16)   24 nonce prefix (16)
//!         40 opened at, microseconds i64   48 bytes cut from a torn tail before this epoch u64
//! ```
//!
//! The chain value of a frame is SHA-256 over the chain value before it, the frame's header and the payload as stored; that
//! of the first frame begins with SHA-256 of the file header. Magic, version and header length stay where they are in
//! every version. CRC-32C (RFC 3720, appendix B.4) finds accidents at once; the chain finds what was put together anew.
//!
//! `synced` tells a torn tail from damage: bytes that a later frame calls synced cannot be a tail.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    domain::{
        audio::{AudioFormat, Encoding},
        change::IntervalClass,
        id::{ChannelId, HearingId},
        time::{SamplePos, SampleRate},
    },
    record::seal::{CipherId, KeyId},
};

/// The version this release writes, and the newest it reads.
pub const FORMAT_VERSION: u16 = 1;
/// Length of the file header.
pub const HEADER_BYTES: usize = 72;
/// Length of a frame header.
pub const FRAME_HEADER_BYTES: usize = 44;
/// Length of what follows a payload: chain value and checksum.
pub const FRAME_FOOTER_BYTES: usize = 36;
/// Length of an epoch's payload.
pub const EPOCH_BYTES: usize = 56;
/// The longest payload: 1 MiB, over a second of the densest format served; a longer length is taken for damage.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// What a frame begins with, so that frames can be found again behind damage.
pub const MARKER: [u8; 4] = *b"VVF1";
/// What a file begins with. The line ends and the control character show a transfer as text, as in PNG's signature.
const MAGIC: [u8; 8] = *b"VVJ\r\n\x1a\n\0";

/// What does not fit in a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Not a journal, or its first bytes are gone.
    Magic,
    /// The file header does not match its checksum.
    HeaderChecksum,
    /// The file header has a value that means nothing.
    HeaderValue,
    /// A frame does not begin where one must.
    Marker,
    /// A frame header does not match its checksum.
    FrameChecksum,
    /// A frame header has a value that means nothing.
    FrameValue,
    /// A frame is missing, or stands twice.
    Sequence,
    /// Samples stand twice.
    Overlap,
    /// The samples do not match their checksum.
    PayloadChecksum,
    /// The frame does not follow from those before it.
    Chain,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "it does not begin as an audio journal does",
            Self::HeaderChecksum => "the file header does not match its checksum",
            Self::HeaderValue => "the file header has a value that means nothing",
            Self::Marker => "no frame begins here",
            Self::FrameChecksum => "the frame header does not match its checksum",
            Self::FrameValue => "the frame header has a value that means nothing",
            Self::Sequence => "a frame is missing or stands twice",
            Self::Overlap => "samples stand twice",
            Self::PayloadChecksum => "the samples do not match their checksum",
            Self::Chain => "the frame does not follow from those before it",
        })
    }
}

/// The head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The hearing.
    pub hearing: HearingId,
    /// The channel.
    pub channel: ChannelId,
    /// How the samples are written.
    pub format: AudioFormat,
    /// The cipher of the first epoch.
    pub cipher: CipherId,
    /// The key of the first epoch.
    pub key: KeyId,
    /// The class in which the channel began.
    pub class: IntervalClass,
    /// When the file was made, to the microsecond.
    pub created_at: Timestamp,
}

impl FileHeader {
    /// The bytes at the start of the file.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&72_u16.to_le_bytes());
        bytes[12..28].copy_from_slice(self.hearing.uuid().as_bytes());
        bytes[28] = self.channel.number();
        bytes[29] = encoding_number(self.format.encoding);
        bytes[32..36].copy_from_slice(&self.format.rate.hz().to_le_bytes());
        bytes[36..38].copy_from_slice(&self.cipher.number().to_le_bytes());
        bytes[38] = class_number(self.class);
        bytes[40..56].copy_from_slice(self.key.bytes());
        bytes[56..64].copy_from_slice(&self.created_at.as_microsecond().to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..68]);
        bytes[68..72].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in `bytes`.
    ///
    /// # Errors
    /// [`HeaderError`]: not a journal, a newer one, or damaged.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        if bytes[0..8] != MAGIC {
            return Err(HeaderError::Damaged(Damage::Magic));
        }
        let version = u16::from_le_bytes(array(bytes, 8));
        if version > FORMAT_VERSION {
            return Err(HeaderError::Newer(version));
        }
        if crc32c::crc32c(&bytes[..68]) != u32::from_le_bytes(array(bytes, 68)) {
            return Err(HeaderError::Damaged(Damage::HeaderChecksum));
        }
        Self::values(bytes).ok_or(HeaderError::Damaged(Damage::HeaderValue))
    }

    fn values(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        Some(Self {
            hearing: HearingId::new(uuid::Uuid::from_bytes(array(bytes, 12))),
            channel: ChannelId::new(bytes[28])?,
            format: AudioFormat {
                encoding: encoding_of(bytes[29])?,
                rate: SampleRate::try_from(u32::from_le_bytes(array(bytes, 32))).ok()?,
            },
            cipher: CipherId::new(u16::from_le_bytes(array(bytes, 36))),
            class: class_of(bytes[38])?,
            key: KeyId::new(array(bytes, 40)),
            created_at: Timestamp::from_microsecond(i64::from_le_bytes(array(bytes, 56))).ok()?,
        })
    }
}

/// Why a file header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Not a journal, or damaged.
    Damaged(Damage),
    /// This version, newer than what this release reads.
    Newer(u16),
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A writer opened the file, or changed the key.
    Epoch,
    /// Samples.
    Audio,
    /// The writer closed the file: all before it is synced.
    Closed,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it holds.
    pub kind: FrameKind,
    /// The class of the samples.
    pub class: IntervalClass,
    /// Bytes of payload as stored; at most [`MAX_PAYLOAD_BYTES`].
    pub payload_bytes: u32,
    /// Number of samples; 0 unless it holds audio.
    pub samples: u32,
    /// Place of the frame in the file, from 0.
    pub sequence: u64,
    /// The first sample; for other kinds the next one to come.
    pub first_sample: SamplePos,
    /// Bytes of the file that were known to be on disk when the frame was written.
    pub synced: u64,
}

impl FrameHeader {
    /// The bytes before the payload.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MARKER);
        bytes[4] = match self.kind {
            FrameKind::Epoch => 1,
            FrameKind::Audio => 2,
            FrameKind::Closed => 3,
        };
        bytes[5] = class_number(self.class);
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.samples.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_sample.index().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.synced.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..40]);
        bytes[40..44].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The frame header in `bytes`.
    ///
    /// # Errors
    /// [`Damage::Marker`], [`Damage::FrameChecksum`] or [`Damage::FrameValue`].
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Self, Damage> {
        if bytes[0..4] != MARKER {
            return Err(Damage::Marker);
        }
        if crc32c::crc32c(&bytes[..40]) != u32::from_le_bytes(array(bytes, 40)) {
            return Err(Damage::FrameChecksum);
        }
        let kind = match bytes[4] {
            1 => FrameKind::Epoch,
            2 => FrameKind::Audio,
            3 => FrameKind::Closed,
            // Any other number is of no version that this release knows.
            _ => return Err(Damage::FrameValue),
        };
        let header = Self {
            kind,
            class: class_of(bytes[5]).ok_or(Damage::FrameValue)?,
            payload_bytes: u32::from_le_bytes(array(bytes, 8)),
            samples: u32::from_le_bytes(array(bytes, 12)),
            sequence: u64::from_le_bytes(array(bytes, 16)),
            first_sample: SamplePos::new(u64::from_le_bytes(array(bytes, 24))),
            synced: u64::from_le_bytes(array(bytes, 32)),
        };
        let fits = header.payload_bytes as usize <= MAX_PAYLOAD_BYTES;
        if fits { Ok(header) } else { Err(Damage::FrameValue) }
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        (FRAME_HEADER_BYTES + FRAME_FOOTER_BYTES) as u64 + u64::from(self.payload_bytes)
    }

    /// The sample after the last of this frame.
    #[must_use]
    pub const fn end_sample(&self) -> SamplePos {
        self.first_sample.plus(self.samples as u64)
    }
}

/// What holds from an epoch frame to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Counts the times that a writer opened the file, from 0.
    pub number: u32,
    /// The cipher.
    pub cipher: CipherId,
    /// The key.
    pub key: KeyId,
    /// The first 16 bytes of every nonce of this epoch, drawn at random.
    pub nonce_prefix: [u8; 16],
    /// When the writer opened the file, to the microsecond.
    pub opened_at: Timestamp,
    /// Bytes of a torn tail that were cut before it.
    pub cut_bytes: u64,
}

impl Epoch {
    /// The payload of its frame.
    #[must_use]
    pub fn encode(&self) -> [u8; EPOCH_BYTES] {
        let mut bytes = [0; EPOCH_BYTES];
        bytes[0..4].copy_from_slice(&self.number.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.cipher.number().to_le_bytes());
        bytes[8..24].copy_from_slice(self.key.bytes());
        bytes[24..40].copy_from_slice(&self.nonce_prefix);
        bytes[40..48].copy_from_slice(&self.opened_at.as_microsecond().to_le_bytes());
        bytes[48..56].copy_from_slice(&self.cut_bytes.to_le_bytes());
        bytes
    }

    /// The epoch in the payload of a frame; `None` for a payload that is none.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; EPOCH_BYTES] = payload.try_into().ok()?;
        Some(Self {
            number: u32::from_le_bytes(array(bytes, 0)),
            cipher: CipherId::new(u16::from_le_bytes(array(bytes, 4))),
            key: KeyId::new(array(bytes, 8)),
            nonce_prefix: array(bytes, 24),
            opened_at: Timestamp::from_microsecond(i64::from_le_bytes(array(bytes, 40))).ok()?,
            cut_bytes: u64::from_le_bytes(array(bytes, 48)),
        })
    }
}

/// The chain value that the first frame follows.
#[must_use]
pub fn chain_start(header: &[u8; HEADER_BYTES]) -> [u8; 32] {
    Sha256::digest(header).into()
}

/// The chain value of a frame that follows `before`.
#[must_use]
pub fn chain_next(before: &[u8; 32], header: &[u8; FRAME_HEADER_BYTES], payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(header).chain_update(payload).finalize().into()
}

/// `N` bytes from `start`, within a block whose length the caller's type fixes.
fn array<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[start..start + N]);
    part
}

const fn encoding_number(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::PcmS16Le => 1,
        Encoding::PcmS24Le => 2,
        Encoding::PcmF32Le => 3,
        Encoding::MuLaw => 4,
        Encoding::ALaw => 5,
    }
}

fn encoding_of(number: u8) -> Option<Encoding> {
    Encoding::ALL.into_iter().find(|e| encoding_number(*e) == number)
}

const fn class_number(class: IntervalClass) -> u8 {
    match class {
        IntervalClass::Open => 1,
        IntervalClass::OffRecord => 2,
        IntervalClass::Sealed => 3,
        IntervalClass::Muted => 4,
    }
}

fn class_of(number: u8) -> Option<IntervalClass> {
    [IntervalClass::Open, IntervalClass::OffRecord, IntervalClass::Sealed, IntervalClass::Muted]
        .into_iter()
        .find(|c| class_number(*c) == number)
}
