//! A file of keys as it is at one moment, read by a process that does not own it.

use std::{fs, io, path::Path};

use zeroize::Zeroizing;

use super::{
    KeyError,
    slot::{self, HEADER_BYTES, HeaderFlaw},
};
use crate::{domain::id::HearingId, record::disk::DiskFailure};

/// How often a file is read before a slot that does not hold together is taken for damage: its owner may have been writing it
/// at that moment.
const LOOKS: usize = 3;

/// The keys of a hearing at one moment.
pub(in crate::record) struct KeysNow {
    /// The file, byte for byte.
    pub(in crate::record) bytes: Zeroizing<Vec<u8>>,
    /// How many of its keys were destroyed. Keys are never made live again, so that the same number means the same keys.
    pub(in crate::record) destroyed: u64,
}

/// Reads the file of keys at `path`; `None` where there is none, or none from which a key was ever drawn.
///
/// # Errors
/// [`KeyError::Damaged`], [`KeyError::NewerFormat`], [`KeyError::Mismatch`], [`KeyError::Disk`].
pub(in crate::record) fn read(path: &Path, hearing: HearingId) -> Result<Option<KeysNow>, KeyError> {
    let damaged = |offset| KeyError::Damaged { path: path.to_owned(), offset };
    let mut found = None;
    for _ in 0..LOOKS {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => Zeroizing::new(bytes.map_err(DiskFailure::of(path, "read"))?),
        };
        let Some((header, slots)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        match slot::check_header(header, hearing) {
            Ok(()) => {}
            Err(HeaderFlaw::Damaged) if slots.is_empty() && *header == [0; HEADER_BYTES] => return Ok(None),
            Err(HeaderFlaw::Damaged) => return Err(damaged(0)),
            Err(HeaderFlaw::Newer(version)) => {
                return Err(KeyError::NewerFormat { path: path.to_owned(), version });
            }
            Err(HeaderFlaw::OtherHearing) => return Err(KeyError::Mismatch { path: path.to_owned() }),
        }
        let survey = slot::survey(slots);
        let Some(offset) = survey.damaged else {
            return Ok(Some(KeysNow { destroyed: survey.destroyed, bytes }));
        };
        found = Some(offset);
    }
    Err(damaged(found.unwrap_or(0)))
}
