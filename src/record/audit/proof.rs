//! The proof that one leaf is in the log, in one text, for somebody who has neither the log nor a network:
//! `c2sp.org/tlog-proof@v1`. Files of it end in `.tlog-proof`.
//!
//! After a first line that names the format come the leaf's index, the hashes of the proof, an empty line and the signed checkpoint as
//! it is. A line `extra` holds the bytes of the leaf here, so that nothing else is needed: they are relied on only since their
//! hash leads to the root that was signed.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    AuditError,
    checkpoint::{SignedCheckpoint, Trust, number},
    leaf::Leaf,
    note,
    tree::{NodeHash, proofs::verify_inclusion},
};

/// The first line.
const FIRST: &str = "c2sp.org/tlog-proof@v1";
/// The longest proof that is read: a note, 64 hashes and a leaf are shorter.
pub const MAX_BYTES: usize = note::MAX_BYTES + (1 << 16);
/// The most hashes: a tree of 2^64 leaves has no longer way to its root.
const MAX_HASHES: usize = 64;

/// A proof, which is only believed when it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// Which leaf, from 0.
    pub index: u64,
    /// Bytes that others say something with; the leaf itself in the proofs written here.
    pub extra: Option<Vec<u8>>,
    /// The hashes from the leaf's sibling up ([`super::tree::proofs::inclusion_proof`]).
    pub hashes: Vec<NodeHash>,
    /// The signed checkpoint, word for word.
    pub checkpoint: String,
}

/// A leaf that is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Which leaf, from 0.
    pub index: u64,
    /// What the log and its witnesses signed.
    pub signed: SignedCheckpoint,
}

impl LogProof {
    /// The proof of `leaf`, with its bytes in it.
    #[must_use]
    pub const fn of_leaf(index: u64, leaf: Vec<u8>, hashes: Vec<NodeHash>, checkpoint: String) -> Self {
        Self { index, extra: Some(leaf), hashes, checkpoint }
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// [`AuditError::NoteLength`], [`AuditError::NoteText`], [`AuditError::ProofForm`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        if bytes.len() > MAX_BYTES {
            return Err(AuditError::NoteLength { bytes: bytes.len(), most: MAX_BYTES });
        }
        let text = str::from_utf8(bytes).map_err(AuditError::NoteText)?;
        let wrong = |line, expected| AuditError::ProofForm { line, expected };
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(wrong(1, "followed by an empty line and a checkpoint"))?;
        let mut lines = head.split('\n').zip(1..).peekable();
        lines.next().filter(|(line, _)| *line == FIRST).ok_or(wrong(1, FIRST))?;
        let extra = lines.next_if(|(line, _)| line.starts_with("extra "));
        let extra = extra.map(|(line, at)| {
            STANDARD.decode(&line["extra ".len()..]).map_err(|_form| wrong(at, "\"extra\" and bytes in base64"))
        });
        let extra = extra.transpose()?;
        let index_at = if extra.is_some() { 3 } else { 2 };
        let index = lines.next().and_then(|(line, _)| number(line.strip_prefix("index ")?));
        let index = index.ok_or(wrong(index_at, "\"index\" and a number"))?;
        let hashes = lines.map(|(line, at)| {
            let allowed = at - index_at <= MAX_HASHES;
            NodeHash::from_base64(line).filter(|_| allowed).ok_or(wrong(at, "one of at most 64 hashes in base64"))
        });
        Ok(Self { index, extra, hashes: hashes.collect::<Result<_, _>>()?, checkpoint: checkpoint.to_owned() })
    }

    /// Shows that a leaf with this hash is in the log: the log and enough witnesses signed, and the hashes lead from it to what
    /// they signed.
    ///
    /// # Errors
    /// Those of [`Trust::open_witnessed`] and of [`verify_inclusion`].
    pub fn verify(&self, leaf: &NodeHash, trust: &Trust) -> Result<Proven, AuditError> {
        let signed = trust.open_witnessed(self.checkpoint.as_bytes())?;
        verify_inclusion(leaf, self.index, &signed.checkpoint.head, &self.hashes)?;
        Ok(Proven { index: self.index, signed })
    }

    /// Shows that the leaf inside is in the log, and gives it.
    ///
    /// # Errors
    /// Those of [`Self::verify`] and [`Leaf::from_bytes`]; [`AuditError::NoLeaf`]; [`AuditError::LeafMoved`] for a leaf of another
    /// place.
    pub fn verify_leaf(&self, trust: &Trust) -> Result<(Leaf, Proven), AuditError> {
        let bytes = self.extra.as_deref().ok_or(AuditError::NoLeaf)?;
        let proven = self.verify(&NodeHash::of_leaf(bytes), trust)?;
        let leaf = Leaf::from_bytes(bytes)?;
        if leaf.number != self.index {
            return Err(AuditError::LeafMoved { index: self.index, number: leaf.number });
        }
        Ok((leaf, proven))
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST}")?;
        self.extra.iter().try_for_each(|extra| writeln!(f, "extra {}", STANDARD.encode(extra)))?;
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests;
