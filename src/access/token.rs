//! Tokens: random, shown once, stored as a hash, for a part of what their holder may, and not for ever. Sessions of a browser are made
//! the same way.
//!
//! A hash that takes long would gain nothing here: 256 random bits are not guessed.

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    AccessError,
    account::SignedIn,
    action::Action,
    named::named,
    principal::{Grant, Identity, Limits, Principal},
    validity::{Validity, later},
};
use crate::domain::{engine::Sha256Hash, id::TokenId};

/// The longest life of a token of a program: whoever runs it renews it once a year.
pub const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3_600);
/// The longest session: a working day.
pub const LONGEST_SESSION: Duration = Duration::from_secs(12 * 3_600);
/// A session in which nothing is done ends: who left a desk is gone. A stream that is open counts as something.
pub const IDLE: Duration = Duration::from_secs(1_800);
/// That something was done is noted so often at most, so that not every call writes.
const NOTED_EACH: Duration = Duration::from_secs(60);

named! {
    /// What a secret is for. One is not taken for the other.
    pub enum SecretKind ("kind of token") {
        /// A program.
        Api = "api",
        /// The session of a person.
        Session = "ses",
    }
}

/// What a token is before it is hashed. Overwritten when it is let go, never printed but by [`Secret::shown`].
#[derive(Clone)]
pub struct Secret {
    kind: SecretKind,
    bytes: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, ..)", self.kind)
    }
}

impl Secret {
    /// Of random bytes.
    #[must_use]
    pub const fn new(kind: SecretKind, bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { kind, bytes }
    }

    /// As it is shown, once: `vivavoce_api_`, 64 hexadecimal digits, and eight of the CRC-32C of all before them. So
    /// `vivavoce_(api|ses)_[0-9a-f]{72}` finds one that leaked, and the last eight tell it from a chance hit.
    #[must_use]
    pub fn shown(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(96));
        text.push_str("vivavoce_");
        text.push_str(self.kind.as_str());
        text.push('_');
        text.push_str(&Zeroizing::new(hex::encode(*self.bytes)));
        let check = crc32c::crc32c(text.as_bytes());
        text.push_str(&hex::encode(check.to_be_bytes()));
        text
    }

    /// Reads one as it was shown.
    ///
    /// # Errors
    /// [`AccessError::NotKnown`] for anything else, before any store is asked.
    pub fn read(kind: SecretKind, text: &str) -> Result<Self, AccessError> {
        let body = text.strip_prefix("vivavoce_").and_then(|rest| rest.strip_prefix(kind.as_str()));
        let digits = body.and_then(|rest| rest.strip_prefix('_')).and_then(|digits| digits.get(..64));
        let mut bytes = Zeroizing::new([0; 32]);
        let read = digits.is_some_and(|digits| hex::decode_to_slice(digits, bytes.as_mut_slice()).is_ok());
        let secret = Self { kind, bytes };
        // Written again and compared: capitals, other checksums and whatever stands behind are no such text.
        let same = bool::from(secret.shown().as_bytes().ct_eq(text.as_bytes()));
        if read && same { Ok(secret) } else { Err(AccessError::NotKnown) }
    }

    /// What is stored, and looked for.
    #[must_use]
    pub fn digest(&self) -> Sha256Hash {
        let mut hash = Sha256::new_with_prefix(b"vivavoce token 1\n");
        hash.update(self.kind.as_str());
        hash.update(*self.bytes);
        Sha256Hash::new(hash.finalize().into())
    }
}

/// What a token that was given out is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Use {
    /// A program, within limits.
    Api {
        /// Which.
        limits: Limits,
    },
    /// The session of a person, with all their rights.
    Session {
        /// When they showed a second factor.
        second_factor: Option<Timestamp>,
        /// When something was done last.
        seen: Timestamp,
    },
}

/// A token that was given out, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its number: this may be shown and logged.
    pub id: TokenId,
    /// [`Secret::digest`].
    pub digest: Sha256Hash,
    /// Whose rights it carries.
    pub holder: Identity,
    /// What it is good for.
    pub good_for: Use,
    /// From when until when.
    pub validity: Validity,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl Issued {
    /// A token of a program: with a part of its holder's rights, a person's or its own.
    ///
    /// # Errors
    /// [`AccessError::TokenTooWide`] where it would be good for nothing, for more than [`LONGEST_LIFE`], for nobody or a device, for what
    /// needs a second factor, or for its holder's account, by which it could make others of its kind.
    pub fn api(
        (id, secret): (TokenId, &Secret),
        holder: Identity,
        limits: Limits,
        validity: Validity,
    ) -> Result<Self, AccessError> {
        let held = matches!(holder, Identity::Person(_) | Identity::Program(_)) && secret.kind == SecretKind::Api;
        let barred = |action: &Action| action.needs_second_factor() || *action == Action::OwnAccount;
        let narrow = !limits.actions.is_empty() && !limits.actions.iter().any(barred);
        let lasts = validity.until > validity.from && validity.until <= later(validity.from, LONGEST_LIFE);
        if !(held && narrow && lasts && limits.hearings.as_ref().is_none_or(|hearings| !hearings.is_empty())) {
            return Err(AccessError::TokenTooWide);
        }
        Ok(Self { id, digest: secret.digest(), holder, good_for: Use::Api { limits }, validity, revoked: None })
    }

    /// The session of somebody who signed in. When they show their second factor once more, they get another, and this is taken back.
    ///
    /// # Errors
    /// [`AccessError::TokenTooWide`] for a secret of another kind.
    pub fn session((id, secret): (TokenId, &Secret), signed: &SignedIn) -> Result<Self, AccessError> {
        if secret.kind != SecretKind::Session {
            return Err(AccessError::TokenTooWide);
        }
        let good_for = Use::Session { second_factor: signed.second_factor, seen: signed.at };
        let validity = Validity::lasting(signed.at, LONGEST_SESSION);
        Ok(Self {
            id,
            digest: secret.digest(),
            holder: Identity::Person(signed.person),
            good_for,
            validity,
            revoked: None,
        })
    }

    /// Whether `secret` is this one and still good.
    ///
    /// # Errors
    /// [`AccessError::NotKnown`], whatever is wrong.
    pub fn check(&self, secret: &Secret, now: Timestamp) -> Result<(), AccessError> {
        let same = bool::from(self.digest.bytes().ct_eq(secret.digest().bytes()));
        if same && self.is_good(now) { Ok(()) } else { Err(AccessError::NotKnown) }
    }

    /// Who asks by it, with the rights that its holder has now. Of a stream, ask [`Issued::is_good`] again and make it anew.
    ///
    /// # Errors
    /// As [`Issued::check`].
    pub fn principal(&self, secret: &Secret, grants: Vec<Grant>, now: Timestamp) -> Result<Principal, AccessError> {
        self.check(secret, now)?;
        let holder = Principal::new(self.holder, grants, self.validity.until);
        Ok(match &self.good_for {
            Use::Api { limits } => holder.through(self.id, limits.clone()),
            Use::Session { second_factor: Some(at), .. } => holder.with_second_factor(*at),
            Use::Session { second_factor: None, .. } => holder,
        })
    }

    /// Whether it is still good: begun, not over, not taken back, and not idle.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        let idle = match self.good_for {
            Use::Api { .. } => false,
            Use::Session { seen, .. } => now >= later(seen, IDLE),
        };
        self.revoked.is_none() && self.validity.holds(now) && !idle
    }

    /// The same with what was done noted; `None` where there is nothing to store. What is over is not brought back by it.
    #[must_use]
    pub fn seen(&self, now: Timestamp) -> Option<Self> {
        match self.good_for {
            Use::Session { second_factor, seen } if self.is_good(now) && now >= later(seen, NOTED_EACH) => {
                Some(Self { good_for: Use::Session { second_factor, seen: now }, ..self.clone() })
            }
            Use::Session { .. } | Use::Api { .. } => None,
        }
    }

    /// The same, taken back; when it was first, if it was.
    #[must_use]
    pub fn revoked(&self, now: Timestamp) -> Self {
        Self { revoked: self.revoked.or(Some(now)), ..self.clone() }
    }
}
