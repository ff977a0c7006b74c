//! What a log says of itself, signed: `c2sp.org/tlog-checkpoint`.
//!
//! The text of the note is three lines: which log, how many leaves, and the root over them in base64. A log never signs two
//! checkpoints that do not fit each other: a [`Signer`] knows the last one and asks for proof that the next grew out of it.

use std::{collections::BTreeSet, fmt};

use super::{
    AuditError,
    key::{Algorithm, KeyName, NoteKeyId, PublicKey, SecretKey},
    note::Note,
    tree::{Frontier, NodeHash, TreeHead, proofs::verify_consistency},
};

/// The text of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: its origin, which is the name of its key here.
    pub origin: String,
    /// Its size and root.
    pub head: TreeHead,
    /// Lines that other logs add. They say nothing here, and none is written.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    /// [`AuditError::CheckpointForm`].
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let wrong = |line, expected| AuditError::CheckpointForm { line, expected };
        let feed = wrong(text.matches('\n').count() + 1, "ended by a line feed");
        let mut lines = text.strip_suffix('\n').ok_or(feed)?.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty());
        let origin = origin.ok_or(wrong(1, "the name of a log"))?.to_owned();
        let size = lines.next().and_then(number).ok_or(wrong(2, "a number of leaves"))?;
        let root = lines.next().and_then(NodeHash::from_base64).ok_or(wrong(3, "the root in base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        match extensions.iter().position(String::is_empty) {
            Some(at) => Err(wrong(at + 4, "anything: it is empty")),
            None => Ok(Self { origin, head: TreeHead { size, root }, extensions }),
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.head.size, self.head.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A decimal number in its one form: no sign and no zeros before it.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// Whose word is taken for one log.
#[derive(Clone, Debug)]
pub struct Trust {
    origin: String,
    logs: Vec<PublicKey>,
    witnesses: Vec<PublicKey>,
    quorum: usize,
}

impl Trust {
    /// Takes checkpoints of the log `origin` that one of `logs` signed, and believes `witnesses`, of which `quorum` must have
    /// signed what comes from outside; 0 where none is asked for.
    ///
    /// # Errors
    /// [`AuditError::KeyUse`] for a key of the other kind; [`AuditError::Quorum`] for more witnesses than there are.
    pub fn new(
        origin: &str,
        logs: Vec<PublicKey>,
        witnesses: Vec<PublicKey>,
        quorum: usize,
    ) -> Result<Self, AuditError> {
        logs.iter().try_for_each(|key| key.must_be_for(Algorithm::Ed25519))?;
        witnesses.iter().try_for_each(|key| key.must_be_for(Algorithm::CosignatureV1))?;
        let known = witnesses.iter().map(PublicKey::bytes).collect::<BTreeSet<_>>().len();
        if quorum > known {
            return Err(AuditError::Quorum { needed: quorum, known });
        }
        Ok(Self { origin: origin.to_owned(), logs, witnesses, quorum })
    }

    /// Believes the log that `key` is named after, and no witness.
    ///
    /// # Errors
    /// [`AuditError::KeyUse`].
    pub fn in_log(key: &PublicKey) -> Result<Self, AuditError> {
        Self::new(key.name().as_str(), vec![key.clone()], Vec::new(), 0)
    }

    /// Which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Opens a checkpoint that the log signed, whoever else did.
    ///
    /// # Errors
    /// Those of [`Note::parse`], [`Note::verify`] and [`Checkpoint::parse`]; [`AuditError::OtherLog`];
    /// [`AuditError::NoKnownSignature`] where only witnesses signed.
    pub fn open(&self, note: &[u8]) -> Result<SignedCheckpoint, AuditError> {
        let note = Note::parse(note)?;
        let verified = note.verify(self.logs.iter().chain(&self.witnesses))?;
        if !verified.iter().any(|line| line.key.algorithm() == Algorithm::Ed25519) {
            return Err(AuditError::NoKnownSignature);
        }
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != self.origin {
            return Err(AuditError::OtherLog { expected: self.origin.clone(), found: checkpoint.origin });
        }
        let witnesses = verified.into_iter().filter_map(|line| {
            let (name, id, key) = (line.key.name().clone(), line.key.id(), *line.key.bytes());
            line.at_posix_s.map(|at_posix_s| Cosigned { name, id, key, at_posix_s })
        });
        Ok(SignedCheckpoint { checkpoint, cosigned: witnesses.collect() })
    }

    /// Opens a checkpoint that the log and enough witnesses signed. One key under two names is one witness.
    ///
    /// # Errors
    /// Those of [`Self::open`], and [`AuditError::TooFewWitnesses`].
    pub fn open_witnessed(&self, note: &[u8]) -> Result<SignedCheckpoint, AuditError> {
        let opened = self.open(note)?;
        let found = opened.cosigned.iter().map(|witness| witness.key).collect::<BTreeSet<_>>().len();
        if found < self.quorum {
            return Err(AuditError::TooFewWitnesses { found, needed: self.quorum });
        }
        Ok(opened)
    }
}

/// A checkpoint whose signatures are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The witnesses who signed it beside the log.
    pub cosigned: Vec<Cosigned>,
}

/// A witness whose cosignature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// What its key is called.
    pub name: KeyName,
    /// The short identifier of its key.
    pub id: NoteKeyId,
    /// Its key.
    pub key: [u8; 32],
    /// When, in seconds since 1970 UTC, by its clock.
    pub at_posix_s: u64,
}

/// The log's own hand. It signs what grew out of what it signed before, and nothing else.
///
/// It is asked only for trees whose leaves are on disk already. A checkpoint that could then not be stored does no harm: the next one
/// grew out of it.
#[derive(Debug)]
pub struct Signer {
    key: SecretKey,
    last: TreeHead,
}

impl Signer {
    /// For a new log, of which nothing was signed yet. Its origin is the name of `key`. Where anything was signed, this would sign a
    /// second past: take [`Self::resume`].
    ///
    /// # Errors
    /// [`AuditError::KeyUse`] for the key of a witness.
    pub fn begin(key: SecretKey) -> Result<Self, AuditError> {
        key.public().must_be_for(Algorithm::Ed25519)?;
        Ok(Self { key, last: TreeHead::empty() })
    }

    /// For a log whose last checkpoint is `last`.
    ///
    /// # Errors
    /// Those of [`Trust::open`]: it must be signed by this key.
    pub fn resume(key: SecretKey, last: &[u8]) -> Result<Self, AuditError> {
        let last = Trust::in_log(key.public())?.open(last)?.checkpoint.head;
        Ok(Self { key, last })
    }

    /// What was signed last.
    #[must_use]
    pub const fn last(&self) -> TreeHead {
        self.last
    }

    /// Signs `next`, which `proof` shows to begin with what was signed last ([`super::tree::proofs::consistency_proof`]).
    ///
    /// # Errors
    /// Those of [`verify_consistency`]; nothing is signed then.
    pub fn sign(&mut self, next: TreeHead, proof: &[NodeHash]) -> Result<String, AuditError> {
        verify_consistency(&self.last, &next, proof)?;
        let note = self.note_of(next)?;
        self.last = next;
        Ok(note)
    }

    /// Signs the tree that `added` make of `edge`, which must be that of the tree that was signed last: so no proof is needed.
    /// Gives the edge of what was signed.
    ///
    /// # Errors
    /// As [`Self::sign`], where the edge is of another tree.
    ///
    /// ```
    /// use vivavoce::record::audit::{checkpoint::{Signer, Trust}, key::{Algorithm, KeyName, SecretKey}, tree::{Frontier, NodeHash}};
    /// let name = KeyName::new("court.example/log").unwrap();
    /// let key = SecretKey::from_seed(name, Algorithm::Ed25519, &[7; 32].into());
    /// let trust = Trust::in_log(key.public()).unwrap();
    /// let mut signer = Signer::begin(key).unwrap();
    /// let (note, edge) = signer.sign_grown(Frontier::default(), [NodeHash::of_leaf(b"first")]).unwrap();
    /// assert_eq!(trust.open(note.as_bytes()).unwrap().checkpoint.head, edge.head());
    /// ```
    pub fn sign_grown(
        &mut self,
        mut edge: Frontier,
        added: impl IntoIterator<Item = NodeHash>,
    ) -> Result<(String, Frontier), AuditError> {
        // The edge that was signed last is its own proof, and each leaf that is pushed keeps all before it.
        verify_consistency(&self.last, &edge.head(), &[])?;
        added.into_iter().for_each(|leaf| edge.push(leaf));
        let note = self.note_of(edge.head())?;
        self.last = edge.head();
        Ok((note, edge))
    }

    fn note_of(&self, head: TreeHead) -> Result<String, AuditError> {
        let origin = self.key.public().name().as_str().to_owned();
        let checkpoint = Checkpoint { origin, head, extensions: Vec::new() };
        Ok(Note::sign(&checkpoint.to_string(), &self.key)?.to_string())
    }
}

#[cfg(test)]
mod tests;
