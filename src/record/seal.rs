//! What stands between a text and the disk. Every payload of the record passes a [`Sealer`]: [`super::keys::sealer`] seals what was
//! said; [`NullSealer`] leaves payloads plain.
//!
//! A sealed payload is bound to its place: hearing, entry, kind and payload version go in as associated data, so that a
//! ciphertext moved to another row does not open.

use std::fmt;

use super::keys::KeyError;
use crate::domain::{
    change::EntrySeq,
    fault::{Fault, FaultKind},
    id::HearingId,
};

/// Which cipher was used. The number is written to disk and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CipherId(u16);

impl CipherId {
    /// No cipher: the payload is plain.
    pub const NONE: Self = Self(0);
    /// XChaCha20-Poly1305: [`crate::record::keys::key`].
    pub const XCHACHA20_POLY1305: Self = Self(1);

    /// The cipher with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number that is written to disk.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Which key was used: 16 bytes drawn at random when the key is made; it says nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// No key.
    pub const NONE: Self = Self([0; 16]);

    /// Wraps an identifier.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", hex::encode(self.0))
    }
}

/// Where a payload belongs: what it is bound to and cannot be moved from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// The hearing.
    pub hearing: HearingId,
    /// The entry.
    pub seq: EntrySeq,
    /// The name of the change, as `Change::name` gives it.
    pub kind: &'a str,
    /// How the plain payload is written.
    pub payload_version: u16,
}

impl SealContext<'_> {
    /// The associated data of an authenticated cipher: one byte string for each context, numbers little-endian, the kind
    /// last because it alone has no fixed length.
    ///
    /// ```
    /// use vivavoce::domain::{change::EntrySeq, id::HearingId};
    /// use vivavoce::record::seal::SealContext;
    /// let hearing: HearingId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    /// let one = SealContext { hearing, seq: EntrySeq::new(1), kind: "audio_stored", payload_version: 1 };
    /// assert_ne!(one.associated_data(), SealContext { seq: EntrySeq::new(2), ..one }.associated_data());
    /// ```
    #[must_use]
    pub fn associated_data(&self) -> Vec<u8> {
        let mut data = b"vivavoce record entry 1\0".to_vec();
        data.extend_from_slice(self.hearing.uuid().as_bytes());
        data.extend_from_slice(&self.seq.number().to_le_bytes());
        data.extend_from_slice(&self.payload_version.to_le_bytes());
        data.extend_from_slice(self.kind.as_bytes());
        data
    }
}

/// A payload as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which cipher.
    pub cipher: CipherId,
    /// Which key.
    pub key: KeyId,
    /// The nonce; empty without a cipher.
    pub nonce: Vec<u8>,
    /// The sealed bytes, with the tag where the cipher has one.
    pub bytes: Vec<u8>,
}

/// Why a payload could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The payload was sealed with a cipher that this sealer does not have.
    #[error("payload was sealed with cipher {}, which this service is not set up for", cipher.number())]
    UnknownCipher {
        /// Which.
        cipher: CipherId,
    },
    /// The key was destroyed, and what it sealed with it.
    #[error("key {key:?} was destroyed")]
    Destroyed {
        /// Which.
        key: KeyId,
    },
    /// Something is wrong with a key.
    #[error(transparent)]
    Key(KeyError),
    /// The payload does not belong where it lies, or was changed.
    #[error("sealed payload of entry {} does not open: it was changed or moved", seq.number())]
    Forged {
        /// The entry.
        seq: EntrySeq,
    },
}

impl Fault for SealError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::UnknownCipher { .. } => FaultKind::Unimplemented,
            Self::Destroyed { .. } => FaultKind::NotFound,
            Self::Key(source) => source.kind(),
            Self::Forged { .. } => FaultKind::DataLoss,
        }
    }
}

/// Seals payloads before they are written and opens them after they are read.
pub trait Sealer: fmt::Debug + Send + Sync + 'static {
    /// Seals `plain` for the place `context`.
    ///
    /// # Errors
    /// [`SealError::Key`] where there is no key to be had.
    fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> Result<Sealed, SealError>;

    /// The plain bytes of `sealed`, which was found at the place `context`.
    ///
    /// # Errors
    /// [`SealError`]: another cipher, no key, or not what was sealed for this place.
    fn open(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Vec<u8>, SealError>;

    /// Destroys keys that payloads of `hearing` are sealed with: these never open again. On disk when it returns.
    ///
    /// # Errors
    /// [`SealError::Key`]; [`SealError::UnknownCipher`] from a sealer that has no keys.
    fn destroy(&self, hearing: HearingId, keys: &[KeyId]) -> Result<(), SealError>;
}

/// No cipher: payloads lie on disk as they are. Protection at rest is then the disk's.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullSealer;

impl Sealer for NullSealer {
    fn seal(&self, _context: &SealContext<'_>, plain: &[u8]) -> Result<Sealed, SealError> {
        Ok(Sealed { cipher: CipherId::NONE, key: KeyId::NONE, nonce: Vec::new(), bytes: plain.to_vec() })
    }

    fn open(&self, _context: &SealContext<'_>, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        if sealed.cipher == CipherId::NONE {
            Ok(sealed.bytes.clone())
        } else {
            Err(SealError::UnknownCipher { cipher: sealed.cipher })
        }
    }

    fn destroy(&self, _hearing: HearingId, keys: &[KeyId]) -> Result<(), SealError> {
        if keys.is_empty() { Ok(()) } else { Err(SealError::UnknownCipher { cipher: CipherId::XCHACHA20_POLY1305 }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(kind: &str) -> SealContext<'_> {
        SealContext {
            hearing: HearingId::new(uuid::Uuid::from_u128(7)),
            seq: EntrySeq::new(3),
            kind,
            payload_version: 1,
        }
    }

    #[test]
    fn the_null_sealer_gives_back_what_it_took_and_refuses_what_another_sealed() {
        let context = context("segment_committed");
        let sealed = NullSealer.seal(&context, b"text").unwrap();
        assert_eq!(NullSealer.open(&context, &sealed).unwrap(), b"text");
        let foreign = Sealed { cipher: CipherId::new(9), ..sealed };
        let error = NullSealer.open(&context, &foreign).unwrap_err();
        assert!(matches!(error, SealError::UnknownCipher { cipher } if cipher == CipherId::new(9)), "{error}");
    }

    #[test]
    fn every_part_of_the_place_is_in_the_associated_data() {
        let base = context("a").associated_data();
        let other = HearingId::new(uuid::Uuid::from_u128(8));
        assert_ne!(base, SealContext { hearing: other, ..context("a") }.associated_data());
        assert_ne!(base, SealContext { seq: EntrySeq::new(4), ..context("a") }.associated_data());
        assert_ne!(base, SealContext { payload_version: 2, ..context("a") }.associated_data());
        assert_ne!(base, context("b").associated_data());
    }
}
