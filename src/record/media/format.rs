//! How a journal is written, version 2. All numbers are little-endian.
//!
//! ```text
//! file    header (72)  frame*
//! header  0 magic (8)   8 version u16   10 header length u16   12 hearing (16)   28 channel u8   29 encoding u8
//!         30 zero u16   32 rate u32     36 cipher u16          38 class u8       39 zero u8      40 key id (16)
//!         56 created at, microseconds since 1970 i64           64 zero u32       68 CRC-32C of bytes 0 to 67
//! frame   header (44)  payload  chain (32)  CRC-32C of payload and chain (4)
//! header  0 marker (4)  4 kind u8       5 class u8             6 zero u16        8 payload length u32
//!         12 samples u32                16 sequence u64        24 first sample u64
//!         32 synced u64: bytes of this file known to be on disk when the frame was written
//!         40 CRC-32C of bytes 0 to 39
//! epoch   payload of kind 1 (56): 0 number u32   4 cipher u16   6 zero u16   8 key id (16)   24 nonce prefix (16)
//!         40 opened at, microseconds i64   48 bytes cut from a torn tail before this epoch u64
//! ```
//!
//! The chain value of a frame is SHA-256 over the chain value before it, the frame's header and the payload as stored; that
//! of the first frame begins with SHA-256 of the file header. Magic, version and header length stay where they are in
//! every version. CRC-32C (RFC 3720, appendix B.4) finds accidents at once; the chain finds what was put together anew.
//!
//! `synced` tells a torn tail from damage: bytes that a later frame calls synced cannot be a tail.
//!
//! A frame of kind 4 says of its samples that nothing is stored of them, and by its class why: 2 off the record, 4 muted,
//! 1 a gap. It has no payload.
//!
//! A frame of kind 5 holds samples that stand further up too, sealed anew since the key they had is to be destroyed. One of
//! kind 6 says which samples and which keys that are ([`destruction`]). Both leave the position where it is.
//!
//! Version 1 has kinds 1 to 3 alone, and no cipher. A file keeps the version it was begun with.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::record::keys::key::TAG_BYTES;

pub mod destruction;
pub mod frame;
pub mod head;
mod numbers;

/// The version this release begins files with, and the newest it reads.
pub const FORMAT_VERSION: u16 = 2;
/// Length of the file header.
pub const HEADER_BYTES: usize = 72;
/// Length of a frame header.
pub const FRAME_HEADER_BYTES: usize = 44;
/// Length of what follows a payload: chain value and checksum.
pub const FRAME_FOOTER_BYTES: usize = 36;
/// Length of an epoch's payload.
pub const EPOCH_BYTES: usize = 56;
/// The most that a payload holds: 1 MiB, over a second of the densest format served.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// The longest payload as stored; a longer length is taken for damage.
pub const MAX_STORED_BYTES: usize = MAX_PAYLOAD_BYTES + TAG_BYTES;
/// What a frame begins with, so that frames can be found again behind damage.
pub const MARKER: [u8; 4] = *b"VVF1";
/// What a file begins with. The line ends and the control character show a transfer as text, as in PNG's signature.
const MAGIC: [u8; 8] = *b"VVJ\r\n\x1a\n\0";

/// What does not fit in a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Not a journal, or its first bytes are gone.
    Magic,
    /// The file header does not match its checksum.
    HeaderChecksum,
    /// The file header has a value that means nothing.
    HeaderValue,
    /// A frame does not begin where one must.
    Marker,
    /// A frame header does not match its checksum.
    FrameChecksum,
    /// A frame header has a value that means nothing.
    FrameValue,
    /// A frame is missing, or stands twice.
    Sequence,
    /// Samples stand twice.
    Overlap,
    /// The samples do not match their checksum.
    PayloadChecksum,
    /// The frame does not follow from those before it.
    Chain,
    /// The samples do not open with their key.
    Forged,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "it does not begin as an audio journal does",
            Self::HeaderChecksum => "the file header does not match its checksum",
            Self::HeaderValue => "the file header has a value that means nothing",
            Self::Marker => "no frame begins here",
            Self::FrameChecksum => "the frame header does not match its checksum",
            Self::FrameValue => "the frame header has a value that means nothing",
            Self::Sequence => "a frame is missing or stands twice",
            Self::Overlap => "samples stand twice",
            Self::PayloadChecksum => "the samples do not match their checksum",
            Self::Chain => "the frame does not follow from those before it",
            Self::Forged => "the samples do not open with their key",
        })
    }
}

/// The chain value that the first frame follows.
#[must_use]
pub fn chain_start(header: &[u8; HEADER_BYTES]) -> [u8; 32] {
    Sha256::digest(header).into()
}

/// The chain value of a frame that follows `before`.
#[must_use]
pub fn chain_next(before: &[u8; 32], header: &[u8; FRAME_HEADER_BYTES], payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(header).chain_update(payload).finalize().into()
}

/// `N` bytes from `start`, within a block whose length the caller's type fixes.
fn array<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[start..start + N]);
    part
}
