//! What binds a leaf to a change without telling it: `HMAC-SHA-256(salt, "vivavoce audit change 1\0" || change)` (RFC 2104), with a
//! salt of 32 bytes for each leaf.
//!
//! A plain hash of a change could be found by trying: how many ways are there to give a right to somebody? Whoever has no salt
//! learns nothing of the change, since HMAC under a random key cannot be told from chance; whoever opens a leaf cannot open it as
//! another change, since that would be two inputs with one SHA-256 (salts have one length, so that no two are one HMAC key).
//! SHA-256 over salt and change would do as well. HMAC was taken since a keyed use is what it is made and proven for, and since
//! nothing can be appended to what it was computed over.
//!
//! Salts come from a [`SaltKey`] that is kept with the hearing's key: when that is erased, nobody can tell any more what the
//! leaves of the hearing were about, and the log still verifies. To open one leaf its salt is given away, which says nothing of
//! the others.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::AuditError;
use crate::record::seal::SealContext;

/// Length of a salt.
pub const SALT_BYTES: usize = 32;

/// The key from which the salts of one hearing come, kept and erased with the hearing's key. Overwritten when let go, never printed.
pub struct SaltKey(Zeroizing<[u8; 32]>);

impl SaltKey {
    /// Wraps 32 bytes that the caller drew at random, for this alone.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The salt of the leaf `number`: `HMAC-SHA-256(key, "vivavoce audit salt 1\0" || number)`. To give it away says nothing of
    /// the key and of other salts. A number is never used for two leaves.
    #[must_use]
    pub fn salt(&self, number: u64) -> Salt {
        let bytes = hmac(&self.0).chain_update(b"vivavoce audit salt 1\0").chain_update(number.to_le_bytes());
        Salt(Zeroizing::new(bytes.finalize().into_bytes().into()))
    }
}

impl fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltKey(..)")
    }
}

/// What a change was mixed with in its leaf. Overwritten when let go, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(Zeroizing<[u8; SALT_BYTES]>);

impl Salt {
    /// Wraps the bytes of a salt: drawn at random, or given away to open a leaf.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; SALT_BYTES]>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be given away with the change.
    #[must_use]
    pub fn bytes(&self) -> &[u8; SALT_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn over_change(salt: &Salt, change: &[u8]) -> Hmac<Sha256> {
    hmac(&salt.0).chain_update(b"vivavoce audit change 1\0").chain_update(change)
}

/// What binds a leaf to a change without telling it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// Binds to `change` under `salt`.
    ///
    /// ```
    /// use vivavoce::record::audit::commitment::{Commitment, Salt};
    /// let salt = Salt::new([7; 32].into());
    /// let bound = Commitment::new(&salt, b"a change");
    /// assert!(bound.open(&salt, b"a change").is_ok());
    /// assert!(bound.open(&salt, b"another").is_err());
    /// ```
    #[must_use]
    pub fn new(salt: &Salt, change: &[u8]) -> Self {
        Self(over_change(salt, change).finalize().into_bytes().into())
    }

    /// Wraps the bytes of one.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Opens it: shows that it was bound to `change` under `salt`.
    ///
    /// # Errors
    /// [`AuditError::NotOpened`] where it was not.
    pub fn open(&self, salt: &Salt, change: &[u8]) -> Result<(), AuditError> {
        over_change(salt, change).verify_slice(&self.0).map_err(|_says_nothing| AuditError::NotOpened)
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({})", hex::encode(self.0))
    }
}

/// An entry of the record as the bytes to which its leaf is bound: where it belongs, and its payload before it was sealed. The
/// length of the first stands before it, so that no other place and payload make the same bytes.
#[must_use]
pub fn entry_bytes(place: &SealContext<'_>, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let place = place.associated_data();
    let length = u64::try_from(place.len()).unwrap_or(u64::MAX);
    Zeroizing::new([&length.to_le_bytes(), place.as_slice(), payload].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{change::EntrySeq, id::HearingId};

    fn salt(byte: u8) -> Salt {
        Salt::new(Zeroizing::new([byte; SALT_BYTES]))
    }

    #[test]
    fn commitments_and_salts_are_those_of_every_release() {
        // Computed with the hmac module of Python.
        let expected = "b5416d1f0122eda85952a4064ea75c984fcaccf43d922f2f350f2fd82a89fdb5";
        assert_eq!(hex::encode(Commitment::new(&salt(7), b"a change").bytes()), expected);
        let expected = "8708881c476ace562bbc2e54ad1c849b9bf63141d6b572f5131827039a47a900";
        assert_eq!(hex::encode(SaltKey::new(Zeroizing::new([9; 32])).salt(3).bytes()), expected);
    }

    #[test]
    fn only_its_salt_and_its_change_open_a_commitment() {
        let bound = Commitment::new(&salt(7), b"a change");
        assert_eq!(bound.open(&salt(7), b"a change"), Ok(()));
        let others: [(u8, &[u8]); 4] = [(8, b"a change"), (7, b"a chance"), (7, b"a change "), (7, b"")];
        for (number, change) in others {
            assert_eq!(bound.open(&salt(number), change), Err(AuditError::NotOpened), "{number} {change:?}");
        }
        for bit in 0..256 {
            let mut bytes = *bound.bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Commitment::from_bytes(bytes).open(&salt(7), b"a change"), Err(AuditError::NotOpened));
        }
    }

    #[test]
    fn every_leaf_has_a_salt_of_its_own() {
        let (one, two) = (SaltKey::new(Zeroizing::new([1; 32])), SaltKey::new(Zeroizing::new([2; 32])));
        let salts = [one.salt(0), one.salt(1), one.salt(256), two.salt(0)];
        for (at, salt) in salts.iter().enumerate() {
            assert!(!salts[..at].contains(salt));
        }
        assert_eq!(one.salt(0), one.salt(0));
    }

    #[test]
    fn salts_are_not_printed() {
        let key = SaltKey::new(Zeroizing::new([0xab; 32]));
        assert_eq!(format!("{key:?} {:?}", key.salt(1)), "SaltKey(..) Salt(..)");
    }

    #[test]
    fn an_entry_elsewhere_or_another_payload_are_other_bytes() {
        let hearing = HearingId::new(uuid::Uuid::from_u128(7));
        let place = |seq, kind| SealContext { hearing, seq: EntrySeq::new(seq), kind, payload_version: 1 };
        let all = [
            entry_bytes(&place(1, "kind"), b"payload"),
            entry_bytes(&place(2, "kind"), b"payload"),
            entry_bytes(&place(1, "kin"), b"dpayload"),
            entry_bytes(&place(1, "kindp"), b"ayload"),
            entry_bytes(&place(1, "kind"), b"payloads"),
        ];
        for (at, bytes) in all.iter().enumerate() {
            assert!(!all[..at].contains(bytes));
        }
        assert!(all[0].ends_with(b"kindpayload") && all[0].starts_with(&[54, 0, 0, 0, 0, 0, 0, 0]));
    }
}
