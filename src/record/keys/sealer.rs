//! Seals what was said, each text with a key of its own, so that one can be destroyed and all others stay.

use std::sync::Arc;

use super::{KeyError, KeyStore, key::NONCE_BYTES};
use crate::{
    domain::{change::Change, id::HearingId},
    record::seal::{CipherId, KeyId, NullSealer, SealContext, SealError, Sealed, Sealer},
};

/// Seals the texts of segments with XChaCha20-Poly1305, bound to their place. Other changes lie plain: they hold what the court
/// set down when it opened the hearing, and no word that was said.
#[derive(Clone, Debug)]
pub struct KeySealer {
    keys: Arc<KeyStore>,
}

impl KeySealer {
    /// With the keys of `keys`.
    #[must_use]
    pub const fn new(keys: Arc<KeyStore>) -> Self {
        Self { keys }
    }
}

impl Sealer for KeySealer {
    fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> Result<Sealed, SealError> {
        if !Change::is_text(context.kind) {
            return NullSealer.seal(context, plain);
        }
        let key = self.keys.draw(context.hearing)?;
        let nonce: [u8; NONCE_BYTES] = self.keys.random();
        let mut bytes = plain.to_vec();
        key.seal(&nonce, &context.associated_data(), &mut bytes);
        Ok(Sealed { cipher: CipherId::XCHACHA20_POLY1305, key: key.id(), nonce: nonce.to_vec(), bytes })
    }

    fn open(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        if sealed.cipher != CipherId::XCHACHA20_POLY1305 {
            return NullSealer.open(context, sealed);
        }
        let forged = SealError::Forged { seq: context.seq };
        let Ok(nonce) = <[u8; NONCE_BYTES]>::try_from(sealed.nonce.as_slice()) else { return Err(forged) };
        let key = self.keys.get(context.hearing, sealed.key)?;
        let mut bytes = sealed.bytes.clone();
        key.open(&nonce, &context.associated_data(), &mut bytes).map_err(|_says_nothing| forged)?;
        Ok(bytes)
    }

    fn destroy(&self, hearing: HearingId, keys: &[KeyId]) -> Result<(), SealError> {
        Ok(self.keys.destroy(hearing, keys)?)
    }
}

impl From<KeyError> for SealError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Destroyed { key, .. } => Self::Destroyed { key },
            other => Self::Key(other),
        }
    }
}
