//! A text and who signed it, as text: `c2sp.org/signed-note`.
//!
//! The text ends with a line feed; after an empty line comes a line for each signature: an em dash, the name of the key, and in
//! base64 four bytes that name the key and the signature. Lines of keys that one does not know are passed over, so that
//! witnesses, new keys and new kinds of signature can be added; one line of a known key must be there, and each of a known key
//! must be right.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    AuditError,
    key::{Algorithm, KeyName, NoteKeyId, PublicKey, SecretKey, Verified},
};

/// The longest note that is read: sixteen signatures of the longest kind there is and then some.
pub const MAX_BYTES: usize = 1 << 20;
/// The most signatures of a note. `signed-note` asks for 16 at least; each costs time to check.
pub const MAX_SIGNATURES: usize = 64;

/// A signature line of a note, of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub(super) name: KeyName,
    pub(super) id: NoteKeyId,
    pub(super) bytes: Vec<u8>,
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = STANDARD.decode(base64).ok()?;
        let (&id, signature) = bytes.split_first_chunk()?;
        let name = KeyName::new(name).ok().filter(|_| !signature.is_empty())?;
        Some(Self { name, id: NoteKeyId::from_bytes(id), bytes: signature.to_vec() })
    }

    fn is_by(&self, key: &PublicKey) -> bool {
        &self.name == key.name() && self.id == key.id()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.bytes().as_slice(), &self.bytes].concat();
        writeln!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text with its signatures, none of which was checked by reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Signs `text`, which ends with a line feed.
    ///
    /// # Errors
    /// [`AuditError::KeyUse`] for the key of a witness; [`AuditError::NoteForm`] for a text that no note can have.
    pub fn sign(text: &str, key: &SecretKey) -> Result<Self, AuditError> {
        key.public().must_be_for(Algorithm::Ed25519)?;
        let signed = Self { text: text.to_owned(), signatures: vec![key.line(text, &[])] };
        let written = signed.to_string();
        // One rule for what a note is: what cannot be read back is not signed.
        Self::parse(written.as_bytes())
    }

    /// Reads a note. Nothing of it can be relied on before [`Self::verify`].
    ///
    /// # Errors
    /// [`AuditError::NoteLength`], [`AuditError::NoteText`], [`AuditError::NoteForm`], [`AuditError::NoteSignatures`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        if bytes.len() > MAX_BYTES {
            return Err(AuditError::NoteLength { bytes: bytes.len(), most: MAX_BYTES });
        }
        let note = str::from_utf8(bytes).map_err(AuditError::NoteText)?;
        let lines = |text: &str| text.matches('\n').count();
        if let Some(at) = note.find(|c: char| c < ' ' && c != '\n') {
            return Err(AuditError::NoteForm { line: lines(&note[..at]) + 1, expected: "free of control characters" });
        }
        let wrong = |line, expected| AuditError::NoteForm { line, expected };
        let Some(end) = note.rfind("\n\n") else {
            return Err(wrong(lines(note) + 1, "an empty line, and signatures after it"));
        };
        let (text, signatures) = (&note[..=end], &note[end + 2..]);
        let first = lines(text) + 2;
        let Some(signatures) = signatures.strip_suffix('\n') else {
            return Err(wrong(first + lines(signatures), "a signature line with its line feed"));
        };
        let found = lines(signatures) + 1;
        if found > MAX_SIGNATURES {
            return Err(AuditError::NoteSignatures { found, most: MAX_SIGNATURES });
        }
        let signatures = signatures.split('\n').enumerate().map(|(number, line)| {
            Signature::parse(line).ok_or(wrong(first + number, "a dash, the name of a key, and a signature in base64"))
        });
        Ok(Self { text: text.to_owned(), signatures: signatures.collect::<Result<_, _>>()? })
    }

    /// The text, with its last line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a signature at the end; an earlier one of the same key goes.
    pub(super) fn add(&mut self, signature: Signature) {
        self.signatures.retain(|other| (&other.name, other.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
    }

    /// The keys among `known` that signed, in the order of the lines. Lines of other keys are passed over.
    ///
    /// # Errors
    /// [`AuditError::WrongSignature`] where a known key's is wrong, whatever else is right; [`AuditError::NoKnownSignature`] where
    /// none of them signed; [`AuditError::AmbiguousKey`].
    ///
    /// ```
    /// use vivavoce::record::audit::{key::PublicKey, note::Note};
    /// let note = "This is an example message.\n\n\
    ///     — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    /// let key: PublicKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse().unwrap();
    /// let note = Note::parse(note.as_bytes()).unwrap();
    /// assert_eq!(note.verify([&key]).unwrap().len(), 1);
    /// ```
    pub fn verify<'a>(
        &self,
        known: impl IntoIterator<Item = &'a PublicKey, IntoIter: Clone>,
    ) -> Result<Vec<Verified<'a>>, AuditError> {
        let (known, mut verified) = (known.into_iter(), Vec::new());
        for signature in &self.signatures {
            let mut keys = known.clone().filter(|key| signature.is_by(key));
            let Some(key) = keys.next() else { continue };
            let (name, id) = (key.name().as_str().to_owned(), key.id());
            if keys.next().is_some() {
                return Err(AuditError::AmbiguousKey { name, id });
            }
            let right = key.check(&self.text, &signature.bytes);
            verified.push(right.ok_or(AuditError::WrongSignature { name, id })?);
        }
        if verified.is_empty() { Err(AuditError::NoKnownSignature) } else { Ok(verified) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

#[cfg(test)]
mod tests;
