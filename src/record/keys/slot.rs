//! How a file of keys is written, version 1. All numbers are little-endian.
//!
//! ```text
//! file    header (64)  slot (64)*
//! header  0 magic (8)   8 version u16   10 header length u16   12 hearing (16)   28 slot length u16   30 zero (30)
//!         60 CRC-32C of bytes 0 to 59
//! slot    0 state u8: 1 live, 2 destroyed   1 wrap u8: 0 not wrapped   2 zero u16   4 number of the slot u32
//!         8 key id (16)   24 key (32), zeros where it was destroyed   56 zero u32   60 CRC-32C of bytes 0 to 59
//! ```
//!
//! 64 divides a sector, so that overwriting a slot never tears it. A slot of zeros was never written.

use zeroize::Zeroizing;

use super::key::{KEY_BYTES, Key};
use crate::{domain::id::HearingId, record::seal::KeyId};

/// The version this release writes, and the newest it reads.
pub const VERSION: u16 = 1;
/// Length of the file header.
pub const HEADER_BYTES: usize = 64;
/// Length of a slot.
pub const SLOT_BYTES: usize = 64;
/// What a file begins with; as that of the audio journal, with another letter.
const MAGIC: [u8; 8] = *b"VVK\r\n\x1a\n\0";

/// Where slot `number` begins.
pub(super) fn offset_of(number: u32) -> u64 {
    (HEADER_BYTES as u64) + u64::from(number) * SLOT_BYTES as u64
}

/// What a file begins with.
pub(super) fn encode_header(hearing: HearingId) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    bytes[10..12].copy_from_slice(&64_u16.to_le_bytes());
    bytes[12..28].copy_from_slice(hearing.uuid().as_bytes());
    bytes[28..30].copy_from_slice(&64_u16.to_le_bytes());
    check(&mut bytes);
    bytes
}

/// Why a file is not one of keys of the hearing that it is for.
pub(super) enum HeaderFlaw {
    Damaged,
    Newer(u16),
    OtherHearing,
}

pub(super) fn check_header(bytes: &[u8; HEADER_BYTES], hearing: HearingId) -> Result<(), HeaderFlaw> {
    if bytes[0..8] != MAGIC {
        return Err(HeaderFlaw::Damaged);
    }
    let version = u16::from_le_bytes([bytes[8], bytes[9]]);
    if version > VERSION {
        return Err(HeaderFlaw::Newer(version));
    }
    if !holds(bytes) {
        return Err(HeaderFlaw::Damaged);
    }
    if bytes[12..28] == *hearing.uuid().as_bytes() { Ok(()) } else { Err(HeaderFlaw::OtherHearing) }
}

/// What stands in a slot.
pub(super) enum Slot {
    /// It was never written.
    Empty,
    Live(Key),
    Destroyed(KeyId),
    /// The key is wrapped in this way.
    Wrapped(KeyId, u8),
    /// It does not match its checksum; the id is what stands there.
    Damaged(KeyId),
}

pub(super) fn encode_live(number: u32, key: &Key, bytes: &mut [u8; SLOT_BYTES]) {
    bytes.fill(0);
    bytes[0] = 1;
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..24].copy_from_slice(key.id().bytes());
    bytes[24..56].copy_from_slice(key.bytes());
    check(bytes);
}

pub(super) fn encode_destroyed(number: u32, key: KeyId) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[0] = 2;
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..24].copy_from_slice(key.bytes());
    check(&mut bytes);
    bytes
}

pub(super) fn decode(number: u32, bytes: &[u8; SLOT_BYTES]) -> Slot {
    if bytes.iter().all(|b| *b == 0) {
        return Slot::Empty;
    }
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[8..24]);
    let id = KeyId::new(id);
    if !holds(bytes) || bytes[4..8] != number.to_le_bytes() {
        return Slot::Damaged(id);
    }
    match (bytes[0], bytes[1]) {
        (1, 0) => {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            key.copy_from_slice(&bytes[24..56]);
            Slot::Live(Key::new(id, key))
        }
        (1, wrap) => Slot::Wrapped(id, wrap),
        (2, _) => Slot::Destroyed(id),
        // Any other state is of no version that this release knows.
        _ => Slot::Damaged(id),
    }
}

/// The id in a slot, whatever else stands there; `None` for one that was never written.
pub(super) fn id_in(number: u32, bytes: &[u8; SLOT_BYTES]) -> Option<(KeyId, bool)> {
    match decode(number, bytes) {
        Slot::Empty => None,
        Slot::Live(key) => Some((key.id(), true)),
        Slot::Destroyed(id) | Slot::Wrapped(id, _) => Some((id, true)),
        Slot::Damaged(id) => Some((id, false)),
    }
}

/// Whether a slot of which nothing else is known still holds something.
pub(super) fn holds_key_bytes(bytes: &[u8; SLOT_BYTES]) -> bool {
    bytes[24..56].iter().any(|b| *b != 0)
}

fn check(bytes: &mut [u8; 64]) {
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
}

fn holds(bytes: &[u8; 64]) -> bool {
    crc32c::crc32c(&bytes[..60]).to_le_bytes() == bytes[60..64]
}

/// A whole file of keys at a glance.
#[cfg(feature = "server")]
pub(super) struct Survey {
    /// Keys that were destroyed.
    pub(super) destroyed: u64,
    /// Where the first damaged part begins.
    pub(super) damaged: Option<u64>,
}

/// Looks at every whole slot behind the header; a part of one at the end was never handed out.
#[cfg(feature = "server")]
pub(super) fn survey(slots: &[u8]) -> Survey {
    let mut survey = Survey { destroyed: 0, damaged: None };
    for (number, bytes) in (0_u32..).zip(slots.as_chunks::<SLOT_BYTES>().0) {
        match decode(number, bytes) {
            Slot::Destroyed(_) => survey.destroyed += 1,
            Slot::Damaged(_) => {
                survey.damaged.get_or_insert(offset_of(number));
            }
            Slot::Empty | Slot::Live(_) | Slot::Wrapped(..) => {}
        }
    }
    survey
}
