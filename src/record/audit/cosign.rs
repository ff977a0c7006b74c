//! What an overseer says of somebody else's log: that it has only grown since it was looked at last. `c2sp.org/tlog-cosignature`,
//! the kind with Ed25519.
//!
//! The signature is over the line `cosignature/v1`, a line with the time, and the text of the checkpoint; before it stands the
//! time, eight bytes, big-endian. Whoever sees it knows that this witness has seen no other log of this name, nor a longer one
//! until then. That page would rather have ML-DSA-44, whose lines are passed over here until there is a need for them.

use super::{
    AuditError,
    checkpoint::Trust,
    key::{Algorithm, SecretKey},
    note::Note,
    tree::{NodeHash, TreeHead, proofs::verify_consistency},
};

/// What is signed over `checkpoint` at a time; `None` for a time that no cosignature has.
pub(super) fn message(at_posix_s: u64, checkpoint: &str) -> Option<String> {
    let fits = i64::try_from(at_posix_s).is_ok();
    fits.then(|| format!("cosignature/v1\ntime {at_posix_s}\n{checkpoint}"))
}

/// The overseer's hand: signs checkpoints of one log, each only with proof that it grew out of the one before.
///
/// What it signed last must be kept where the operator of the log cannot reach it. It is what finds a log that was set back.
#[derive(Debug)]
pub struct Cosigner {
    key: SecretKey,
    log: Trust,
    last: TreeHead,
}

impl Cosigner {
    /// Before anything of the log was seen.
    ///
    /// # Errors
    /// [`AuditError::KeyUse`] for the key of a log.
    pub fn begin(key: SecretKey, log: Trust) -> Result<Self, AuditError> {
        key.public().must_be_for(Algorithm::CosignatureV1)?;
        Ok(Self { key, log, last: TreeHead::empty() })
    }

    /// After `last`, which bears the signature of this key.
    ///
    /// # Errors
    /// Those of [`Trust::open`]; [`AuditError::TooFewWitnesses`] for one that this key did not sign.
    pub fn resume(key: SecretKey, log: Trust, last: &[u8]) -> Result<Self, AuditError> {
        key.public().must_be_for(Algorithm::CosignatureV1)?;
        let head = log.open(last)?.checkpoint.head;
        match Note::parse(last)?.verify([key.public()]) {
            Ok(_) => Ok(Self { key, log, last: head }),
            Err(AuditError::NoKnownSignature) => Err(AuditError::TooFewWitnesses { found: 0, needed: 1 }),
            Err(other) => Err(other),
        }
    }

    /// The size and root of what was signed last: from there on, proof is asked for.
    #[must_use]
    pub const fn last(&self) -> TreeHead {
        self.last
    }

    /// Adds this key's line to `checkpoint`, which `proof` shows to begin with what was signed last. All lines of others stay.
    /// The same checkpoint can be signed again, later.
    ///
    /// # Errors
    /// Those of [`Trust::open`] and of [`verify_consistency`]: then the log was changed, set back or confused with another one.
    /// [`AuditError::CosignTime`].
    pub fn cosign(&mut self, checkpoint: &[u8], proof: &[NodeHash], at_posix_s: u64) -> Result<String, AuditError> {
        let head = self.log.open(checkpoint)?.checkpoint.head;
        verify_consistency(&self.last, &head, proof)?;
        let mut note = Note::parse(checkpoint)?;
        let message = message(at_posix_s, note.text()).ok_or(AuditError::CosignTime)?;
        note.add(self.key.line(&message, &at_posix_s.to_be_bytes()));
        self.last = head;
        Ok(note.to_string())
    }
}

#[cfg(test)]
mod tests;
