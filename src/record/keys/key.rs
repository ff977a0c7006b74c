//! A key, and cipher 1: XChaCha20-Poly1305.
//!
//! Its nonces of 24 bytes can be drawn at random without counting, and it needs no instructions of the processor to be fast
//! and to take the same time for every key.

use std::fmt;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::record::seal::KeyId;

/// Length of a key.
pub const KEY_BYTES: usize = 32;
/// Length of a nonce.
pub const NONCE_BYTES: usize = 24;
/// How much longer sealed bytes are than plain ones.
pub const TAG_BYTES: usize = 16;

/// A key. It is overwritten in memory when it is let go, and never printed.
pub struct Key {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Sealed bytes do not open: they were changed, moved, or sealed with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

impl Key {
    pub(super) const fn new(id: KeyId, bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self { id, bytes }
    }

    /// Which key.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// For tests that look for a key where none must be.
    #[cfg(all(test, feature = "server"))]
    pub(crate) fn exposed(&self) -> [u8; KEY_BYTES] {
        *self.bytes
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// Seals `buffer` in place; it grows by [`TAG_BYTES`]. The same `nonce` must never come twice with one key.
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], associated: &[u8], buffer: &mut Vec<u8>) {
        encrypt(&self.cipher(), nonce, associated, buffer);
    }

    /// Opens `buffer` in place; it shrinks by [`TAG_BYTES`].
    ///
    /// # Errors
    /// [`Forged`] leaves what is in the buffer of no use.
    pub fn open(&self, nonce: &[u8; NONCE_BYTES], associated: &[u8], buffer: &mut Vec<u8>) -> Result<(), Forged> {
        let opened = self.cipher().decrypt_in_place(&XNonce::from(*nonce), associated, buffer);
        opened.map_err(|_says_nothing| Forged)
    }

    /// It takes no time worth keeping it: a copy of the key, which is overwritten when it is dropped.
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.bytes().into())
    }
}

fn encrypt(cipher: &XChaCha20Poly1305, nonce: &[u8; NONCE_BYTES], associated: &[u8], buffer: &mut Vec<u8>) {
    cipher
        .encrypt_in_place(&XNonce::from(*nonce), associated, buffer)
        .expect("a vector grows, and the cipher takes 256 GiB");
}
