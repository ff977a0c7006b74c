//! The head of a frame, and what an epoch's frame holds.

use jiff::Timestamp;

use super::{
    Damage, EPOCH_BYTES, FRAME_FOOTER_BYTES, FRAME_HEADER_BYTES, MARKER, MAX_STORED_BYTES, array,
    numbers::{class_number, class_of},
};
use crate::{
    domain::{change::IntervalClass, time::SamplePos},
    record::{
        keys::key::NONCE_BYTES,
        media::Absence,
        seal::{CipherId, KeyId},
    },
};

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A writer opened the file, or changed the key.
    Epoch,
    /// Samples.
    Audio,
    /// The writer closed the file: all before it is synced.
    Closed,
    /// Samples of which nothing is stored; the class says why. From version 2 on.
    Skipped,
    /// Samples that stand further up too, sealed with another key. From version 2 on.
    Restated,
    /// Which samples are destroyed, and their keys. From version 2 on.
    Destroyed,
}

impl FrameKind {
    const ALL: [Self; 6] = [Self::Epoch, Self::Audio, Self::Closed, Self::Skipped, Self::Restated, Self::Destroyed];

    const fn number(self) -> u8 {
        match self {
            Self::Epoch => 1,
            Self::Audio => 2,
            Self::Closed => 3,
            Self::Skipped => 4,
            Self::Restated => 5,
            Self::Destroyed => 6,
        }
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The first version of the format that has it.
    #[must_use]
    pub const fn since(self) -> u16 {
        match self {
            Self::Epoch | Self::Audio | Self::Closed => 1,
            Self::Skipped | Self::Restated | Self::Destroyed => 2,
        }
    }
}

/// The class that stands for `why` in a frame of kind [`FrameKind::Skipped`].
#[must_use]
pub const fn class_for(why: Absence) -> IntervalClass {
    match why {
        Absence::OffRecord => IntervalClass::OffRecord,
        Absence::Muted => IntervalClass::Muted,
        Absence::Gap => IntervalClass::Open,
    }
}

/// Why nothing is stored of the samples of a frame of kind [`FrameKind::Skipped`]; `None` for a class that is no reason.
#[must_use]
pub const fn absence_of(class: IntervalClass) -> Option<Absence> {
    match class {
        IntervalClass::OffRecord => Some(Absence::OffRecord),
        IntervalClass::Muted => Some(Absence::Muted),
        IntervalClass::Open => Some(Absence::Gap),
        IntervalClass::Sealed => None,
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it holds.
    pub kind: FrameKind,
    /// The class of the samples.
    pub class: IntervalClass,
    /// Bytes of payload as stored; at most [`MAX_STORED_BYTES`].
    pub payload_bytes: u32,
    /// Number of samples that it holds or skips; 0 for other kinds.
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
        bytes[4] = self.kind.number();
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
        let header = Self {
            // Any other number is of no version that this release knows.
            kind: FrameKind::of(bytes[4]).ok_or(Damage::FrameValue)?,
            class: class_of(bytes[5]).ok_or(Damage::FrameValue)?,
            payload_bytes: u32::from_le_bytes(array(bytes, 8)),
            samples: u32::from_le_bytes(array(bytes, 12)),
            sequence: u64::from_le_bytes(array(bytes, 16)),
            first_sample: SamplePos::new(u64::from_le_bytes(array(bytes, 24))),
            synced: u64::from_le_bytes(array(bytes, 32)),
        };
        let fits = header.payload_bytes as usize <= MAX_STORED_BYTES;
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
    /// Counts the epochs of the file, from 0.
    pub number: u32,
    /// The cipher.
    pub cipher: CipherId,
    /// The key.
    pub key: KeyId,
    /// The first 16 bytes of every nonce of this epoch, drawn at random for it alone.
    pub nonce_prefix: [u8; 16],
    /// When the writer opened the file, to the microsecond.
    pub opened_at: Timestamp,
    /// Bytes of a torn tail that were cut before it.
    pub cut_bytes: u64,
}

impl Epoch {
    /// The nonce of the frame at place `sequence`.
    #[must_use]
    pub fn nonce(&self, sequence: u64) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..16].copy_from_slice(&self.nonce_prefix);
        nonce[16..].copy_from_slice(&sequence.to_le_bytes());
        nonce
    }

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
