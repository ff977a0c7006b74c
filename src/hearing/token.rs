//! The token that opening a hearing gives: who shows it takes the hearing up again and may see all of it.

use sha2::{Digest, Sha256};

use super::HearingError;
use crate::{
    domain::{change::Change, engine::Sha256Hash, id::HearingId},
    record::entry::Entry,
};

/// What the record keeps of a token.
pub(super) fn hash_of(token: &str) -> Sha256Hash {
    Sha256Hash::new(Sha256::digest(token.as_bytes()).into())
}

/// Whether `token` is the one given out when the hearing was opened.
pub(super) fn check_token(hearing: HearingId, opening: &[Entry], token: &str) -> Result<(), HearingError> {
    // Compared by hash, so that the time it takes tells nothing of the token.
    match opening.first().map(|entry| &entry.change) {
        Some(Change::HearingOpened { resume: Some(hash), .. }) if *hash == hash_of(token) => Ok(()),
        _ => Err(HearingError::Token { hearing }),
    }
}
