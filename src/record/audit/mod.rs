//! The log of who did what with a hearing, which cannot be changed without anyone noticing.
//!
//! A [`leaf`] says who did what, when, why and for whom, in random identifiers and codes; to the change itself it is only bound,
//! by a [`commitment`] under a salt that dies with the hearing's key. The leaves are those of a Merkle [`tree`] (RFC 6962). Now and
//! then the log signs its size and root, a [`checkpoint`], as a C2SP signed [`note`]; an overseer adds a signature with a key of
//! its own after it has seen that the log only grew ([`cosign`]). A [`proof`] shows one leaf to somebody who has neither the log
//! nor a network; [`verify`] holds a whole log against its checkpoints.
//!
//! What it cannot do: whoever has the log's key and the only copy can begin it anew, or set it back to an earlier day, and it
//! will be in order. That is found only against a checkpoint that is kept elsewhere.
//!
//! Bytes and functions in, values out: nothing here reads a file, a clock or a dice.

use std::str::Utf8Error;

use self::{key::NoteKeyId, verify::Seen};
use crate::domain::fault::{Fault, FaultKind};

pub mod checkpoint;
pub mod commitment;
pub mod cosign;
pub mod key;
pub mod leaf;
pub mod note;
pub mod proof;
#[cfg(test)]
mod sample;
pub mod tree;
pub mod verify;

/// What can be wrong with a log, or with what is asked of it. Leaves are counted from 0, lines from 1.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuditError {
    /// The tree does not have this leaf.
    #[error("leaf {index} is not in a tree of {size} leaves: take one below {size}")]
    NotInTree {
        /// Which leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A tree only grows.
    #[error("a tree of {from} leaves cannot become one of {to}: the log was set back, or two logs were confused")]
    Shrunk {
        /// The larger size, which was first.
        from: u64,
        /// The smaller one after it.
        to: u64,
    },
    /// A proof of inclusion does not lead to the root.
    #[error("the proof does not show that leaf {index} is in the tree of {size} leaves")]
    NotIncluded {
        /// Which leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A proof of consistency does not lead to both roots.
    #[error(
        "the proof does not show that the tree of {to} leaves begins with the {from} leaves that were signed before"
    )]
    NotConsistent {
        /// The size of the earlier tree.
        from: u64,
        /// The size of the later one.
        to: u64,
    },
    /// A stored frontier has another number of hashes than its size asks for.
    #[error("the frontier of a tree of {size} leaves has {found} hashes in place of {}: build it anew from the leaves", size.count_ones())]
    Frontier {
        /// The size of the tree.
        size: u64,
        /// How many hashes there were.
        found: usize,
    },
    /// A leaf was written by a later release.
    #[error("the leaf has version {version}: read it with a newer release")]
    LeafVersion {
        /// Its version.
        version: u8,
    },
    /// A leaf is not written as its version says.
    #[error("the leaf cannot be read at its {field}")]
    LeafForm {
        /// The first field that is wrong.
        field: &'static str,
    },
    /// A purpose is not a code.
    #[error("a purpose code has 1 to {} characters of a-z, 0-9 and -", leaf::PurposeCode::MAX_BYTES)]
    Purpose,
    /// Salt and change are not those that a leaf is bound to.
    #[error("salt and change do not open the commitment: one of the three is of another entry, or was changed")]
    NotOpened,
    /// A note is longer than any that is written.
    #[error("the note has {bytes} bytes, {most} can be")]
    NoteLength {
        /// Its length.
        bytes: usize,
        /// The most.
        most: usize,
    },
    /// A note is not text.
    #[error("the note is not UTF-8")]
    NoteText(#[source] Utf8Error),
    /// A note has more signatures than are looked at.
    #[error("the note has {found} signatures, {most} can be")]
    NoteSignatures {
        /// How many it has.
        found: usize,
        /// The most.
        most: usize,
    },
    /// A line of a note is not what stands there in a signed note.
    #[error("line {line} of the note is not {expected}")]
    NoteForm {
        /// Which line.
        line: usize,
        /// What stands there.
        expected: &'static str,
    },
    /// A name cannot be that of a key.
    #[error("{name:?} cannot name a key: no character at all, a space, a plus sign or a control character")]
    KeyName {
        /// The name.
        name: String,
    },
    /// A key is not written as keys are. What was found is not said: it may be a secret.
    #[error("the key is not {expected}")]
    KeyForm {
        /// How it is written.
        expected: &'static str,
    },
    /// The short identifier of a key is not the one of this name and these bytes.
    #[error("the key of {name} has another identifier than stands beside it: it was not copied whole")]
    KeyIdentifier {
        /// Whose key.
        name: String,
    },
    /// A key is for signatures that this release does not make or check.
    #[error("signature type 0x{byte:02x} is not known here: take an Ed25519 key, or a newer release")]
    UnknownAlgorithm {
        /// The byte that names the type.
        byte: u8,
    },
    /// A key is for the other kind of signature.
    #[error("the key {name}+{id} is not for {wanted}")]
    KeyUse {
        /// Whose key.
        name: String,
        /// Which.
        id: NoteKeyId,
        /// What it was to do.
        wanted: &'static str,
    },
    /// Two keys that are trusted cannot be told apart.
    #[error("two trusted keys are called {name}+{id}: leave one out")]
    AmbiguousKey {
        /// Their name.
        name: String,
        /// Their identifier.
        id: NoteKeyId,
    },
    /// A signature that must be there is not that of its key.
    #[error("the signature by {name}+{id} is wrong: the note was changed after it was signed")]
    WrongSignature {
        /// Whose signature.
        name: String,
        /// The key it says it was made with.
        id: NoteKeyId,
    },
    /// Nobody whose key is known signed.
    #[error("no trusted key signed the note: is the right public key given?")]
    NoKnownSignature,
    /// Too few of those who watch the log signed.
    #[error("{found} of the trusted witnesses signed, {needed} are asked for")]
    TooFewWitnesses {
        /// How many did.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// Trust was asked for that no checkpoint can meet.
    #[error("{needed} witnesses are asked for and {known} are known: give the public keys of more")]
    Quorum {
        /// How many are asked for.
        needed: usize,
        /// How many are known.
        known: usize,
    },
    /// The text of a signed note is no checkpoint.
    #[error("line {line} of the checkpoint is not {expected}")]
    CheckpointForm {
        /// Which line.
        line: usize,
        /// What stands there.
        expected: &'static str,
    },
    /// A checkpoint is one of another log.
    #[error("the checkpoint is of the log {found:?}, not of {expected:?}")]
    OtherLog {
        /// The log that was asked about.
        expected: String,
        /// The log that the checkpoint is of.
        found: String,
    },
    /// Two trees of one size, and the other one was signed.
    #[error("another tree of {size} leaves was signed before: do not use this key until it is known why")]
    OtherTree {
        /// The size of both.
        size: u64,
    },
    /// A time cannot stand in a cosignature.
    #[error("a cosignature has a time from 1970 on, below 2^63 seconds")]
    CosignTime,
    /// A line of a proof is not what stands there.
    #[error("line {line} of the proof is not {expected}")]
    ProofForm {
        /// Which line.
        line: usize,
        /// What stands there.
        expected: &'static str,
    },
    /// A proof does not hold the leaf that it proves.
    #[error("the proof does not hold its leaf: give the leaf's bytes beside it")]
    NoLeaf,
    /// A stored leaf does not have the hash that is stored beside it.
    #[error("leaf {index} does not have the hash that is stored beside it: one of them was changed")]
    LeafChanged {
        /// Which leaf.
        index: u64,
    },
    /// A stored leaf says that its place is elsewhere.
    #[error("leaf {index} says that it is leaf {number}: leaves were moved, taken out or put in here")]
    LeafMoved {
        /// Where it was found.
        index: u64,
        /// Where it says it belongs.
        number: u64,
    },
    /// A stored leaf is none.
    #[error("leaf {index} is none")]
    Leaf {
        /// Where it was found.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: Box<AuditError>,
    },
    /// Leaves are not those that a checkpoint was signed over.
    #[error("among the leaves {from} to {} at least one is not as it was signed by {seen}", to.saturating_sub(1))]
    Changed {
        /// The first that may have been changed: all before are as they were signed.
        from: u64,
        /// The one after the last.
        to: u64,
        /// Which checkpoint says so.
        seen: Seen,
    },
    /// The end of the log is missing.
    #[error("the log has {leaves} leaves, {seen} was signed over {signed}: its end was cut off, from leaf {leaves} on")]
    Cut {
        /// How many there are.
        leaves: u64,
        /// How many there were.
        signed: u64,
        /// Which checkpoint says so.
        seen: Seen,
    },
    /// The log and a checkpoint of it have different pasts, and both were signed.
    #[error("{seen} is of another log than this one, with other leaves below {size}: the log's key signed two pasts")]
    Forked {
        /// Below which leaf they differ.
        size: u64,
        /// Which checkpoint says so.
        seen: Seen,
    },
    /// Stored checkpoints are not in the order in which they were signed.
    #[error("{seen} has {size} leaves, the one before it {before}: checkpoints were moved or put in")]
    Unordered {
        /// Which checkpoint.
        seen: Seen,
        /// Its size.
        size: u64,
        /// The size of the one before.
        before: u64,
    },
    /// A checkpoint cannot be relied on.
    #[error("{seen} cannot be relied on")]
    Checkpoint {
        /// Which checkpoint.
        seen: Seen,
        /// What is wrong with it.
        #[source]
        source: Box<AuditError>,
    },
}

impl Fault for AuditError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Purpose
            | Self::KeyName { .. }
            | Self::KeyForm { .. }
            | Self::KeyIdentifier { .. }
            | Self::KeyUse { .. }
            | Self::AmbiguousKey { .. }
            | Self::Quorum { .. }
            | Self::CosignTime
            | Self::NoLeaf => FaultKind::Invalid,
            Self::NotInTree { .. } => FaultKind::NotFound,
            Self::LeafVersion { .. } | Self::UnknownAlgorithm { .. } => FaultKind::Unimplemented,
            Self::NoKnownSignature | Self::TooFewWitnesses { .. } => FaultKind::Unauthenticated,
            Self::OtherLog { .. } => FaultKind::Conflict,
            Self::Shrunk { .. }
            | Self::NotIncluded { .. }
            | Self::NotConsistent { .. }
            | Self::Frontier { .. }
            | Self::LeafForm { .. }
            | Self::NotOpened
            | Self::NoteLength { .. }
            | Self::NoteText(_)
            | Self::NoteSignatures { .. }
            | Self::NoteForm { .. }
            | Self::WrongSignature { .. }
            | Self::CheckpointForm { .. }
            | Self::OtherTree { .. }
            | Self::ProofForm { .. }
            | Self::LeafChanged { .. }
            | Self::LeafMoved { .. }
            | Self::Leaf { .. }
            | Self::Changed { .. }
            | Self::Cut { .. }
            | Self::Forked { .. }
            | Self::Unordered { .. }
            | Self::Checkpoint { .. } => FaultKind::DataLoss,
        }
    }
}
