//! The head of a journal's file.

use jiff::Timestamp;

use super::{
    Damage, FORMAT_VERSION, HEADER_BYTES, MAGIC, array,
    numbers::{class_number, class_of, encoding_number, encoding_of},
};
use crate::{
    domain::{
        audio::AudioFormat,
        change::IntervalClass,
        id::{ChannelId, HearingId},
        time::SampleRate,
    },
    record::seal::{CipherId, KeyId},
};

/// The head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The version of the format, from 1 to [`FORMAT_VERSION`].
    pub version: u16,
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
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
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
            version: u16::from_le_bytes(array(bytes, 8)),
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
