//! Keys that sign and keys that verify, each with a name and with what it is for.
//!
//! A public key is written `NAME+IDENTIFIER+BASE64`, as that page has it. A secret one is `PRIVATE+KEY+NAME+IDENTIFIER+BASE64` with
//! the seed of RFC 8032, section 5.1.5, as Go's `golang.org/x/mod/sumdb/note` writes it, so that tools beside this one can
//! use it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{SIGNATURE_LENGTH, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{AuditError, cosign, note::Signature};

/// The kinds of signature that are made and checked here. There are others, whose lines are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032) over the text: that of a log.
    Ed25519,
    /// Ed25519 over a time and the text of a checkpoint, `c2sp.org/tlog-cosignature`: that of a witness.
    CosignatureV1,
}

impl Algorithm {
    /// The byte by which `signed-note` names it.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }

    const fn of_byte(byte: u8) -> Result<Self, AuditError> {
        match byte {
            0x01 => Ok(Self::Ed25519),
            0x04 => Ok(Self::CosignatureV1),
            // Kinds that others have, or that come later.
            _ => Err(AuditError::UnknownAlgorithm { byte }),
        }
    }

    /// What it is for, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "signing a log",
            Self::CosignatureV1 => "cosigning as a witness",
        }
    }
}

/// What a key is called. Best an address without its scheme, such as `court.example/log`, that nobody else will take.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// The name `text`.
    ///
    /// # Errors
    /// [`AuditError::KeyName`] for nothing, or with a space, a plus sign or a control character.
    pub fn new(text: &str) -> Result<Self, AuditError> {
        let refused = |c: char| c.is_whitespace() || c == '+' || c < ' ';
        if text.is_empty() || text.contains(refused) {
            Err(AuditError::KeyName { name: text.chars().take(80).collect() })
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first four bytes of SHA-256 of name, line feed, kind and key. It finds a key and proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoteKeyId([u8; 4]);

impl NoteKeyId {
    fn new(name: &KeyName, algorithm: Algorithm, key: &[u8]) -> Self {
        let hash =
            Sha256::new().chain_update(&name.0).chain_update([b'\n', algorithm.byte()]).chain_update(key).finalize();
        Self(*hash.first_chunk().expect("a hash has 32 bytes"))
    }

    pub(super) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    pub(super) const fn bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for NoteKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A public key, its name and what it is for. Written and read as a "vkey".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: KeyName,
    id: NoteKeyId,
    algorithm: Algorithm,
    key: VerifyingKey,
}

impl PublicKey {
    const FORM: AuditError =
        AuditError::KeyForm { expected: "NAME+IDENTIFIER+KEY, with eight lower-case hex digits and base64" };

    fn new(name: KeyName, algorithm: Algorithm, key: VerifyingKey) -> Self {
        let id = NoteKeyId::new(&name, algorithm, key.as_bytes());
        Self { name, id, algorithm, key }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its short identifier.
    #[must_use]
    pub const fn id(&self) -> NoteKeyId {
        self.id
    }

    /// What it is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Refuses a key that is for something else.
    ///
    /// # Errors
    /// [`AuditError::KeyUse`].
    pub(super) fn must_be_for(&self, wanted: Algorithm) -> Result<(), AuditError> {
        if self.algorithm == wanted {
            return Ok(());
        }
        Err(AuditError::KeyUse { name: self.name.0.clone(), id: self.id, wanted: wanted.as_str() })
    }

    /// Holds the bytes of a signature line against `text`; `None` where they are not this key's.
    pub(super) fn check(&self, text: &str, signature: &[u8]) -> Option<Verified<'_>> {
        match self.algorithm {
            Algorithm::Ed25519 => {
                self.check_ed25519(text, signature).then_some(Verified { key: self, at_posix_s: None })
            }
            Algorithm::CosignatureV1 => {
                let (time, signature) = signature.split_first_chunk()?;
                let time = u64::from_be_bytes(*time);
                let right = self.check_ed25519(&cosign::message(time, text)?, signature);
                right.then_some(Verified { key: self, at_posix_s: Some(time) })
            }
        }
    }

    /// The strict rules: no key and no point of small order, so that a signature is bound to one key and one message.
    fn check_ed25519(&self, message: &str, signature: &[u8]) -> bool {
        let signature = signature.try_into().map(|bytes: &[u8; SIGNATURE_LENGTH]| bytes.into());
        signature.is_ok_and(|signature| self.key.verify_strict(message.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm.byte()], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode(key))
    }
}

impl FromStr for PublicKey {
    type Err = AuditError;

    /// # Errors
    /// [`AuditError::KeyForm`], [`AuditError::KeyName`], [`AuditError::UnknownAlgorithm`], [`AuditError::KeyIdentifier`].
    fn from_str(text: &str) -> Result<Self, AuditError> {
        let mut parts = text.splitn(3, '+');
        let [Some(name), Some(id), Some(key)] = [parts.next(), parts.next(), parts.next()] else {
            return Err(Self::FORM);
        };
        let (algorithm, key) = key_bytes(key, Self::FORM)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_no_point| Self::FORM)?;
        let public = Self::new(KeyName::new(name)?, algorithm, key);
        public.must_be_called(id)?;
        Ok(public)
    }
}

impl PublicKey {
    fn must_be_called(&self, id: &str) -> Result<(), AuditError> {
        if self.id.to_string() == id { Ok(()) } else { Err(AuditError::KeyIdentifier { name: self.name.0.clone() }) }
    }
}

/// Kind and 32 bytes of a key as both forms of it have them.
fn key_bytes(base64: &str, form: AuditError) -> Result<(Algorithm, Zeroizing<[u8; 32]>), AuditError> {
    let Ok(bytes) = STANDARD.decode(base64).map(Zeroizing::new) else { return Err(form) };
    let Some((&algorithm, key)) = bytes.split_first() else { return Err(form) };
    let algorithm = Algorithm::of_byte(algorithm)?;
    let Ok(key) = <[u8; 32]>::try_from(key) else { return Err(form) };
    Ok((algorithm, Zeroizing::new(key)))
}

/// A key that signs. Overwritten when let go, never printed.
pub struct SecretKey {
    public: PublicKey,
    key: SigningKey,
}

impl SecretKey {
    const FORM: AuditError = AuditError::KeyForm { expected: "PRIVATE+KEY+NAME+IDENTIFIER+KEY" };

    /// The key of a seed that the caller drew at random.
    #[must_use]
    pub fn from_seed(name: KeyName, algorithm: Algorithm, seed: &Zeroizing<[u8; 32]>) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self { public: PublicKey::new(name, algorithm, key.verifying_key()), key }
    }

    /// Reads what [`Self::to_text`] writes.
    ///
    /// # Errors
    /// As a public key's, and [`AuditError::KeyForm`] for its name too: what stands there may be the secret.
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let parts = text.strip_prefix("PRIVATE+KEY+").ok_or(Self::FORM)?;
        let mut parts = parts.splitn(3, '+');
        let [Some(name), Some(id), Some(seed)] = [parts.next(), parts.next(), parts.next()] else {
            return Err(Self::FORM);
        };
        let (algorithm, seed) = key_bytes(seed, Self::FORM)?;
        let name = KeyName::new(name).map_err(|_may_be_secret| Self::FORM)?;
        let secret = Self::from_seed(name, algorithm, &seed);
        secret.public.must_be_called(id)?;
        Ok(secret)
    }

    /// The secret as text: for a file that is sealed.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new([&[self.public.algorithm.byte()], self.key.as_bytes().as_slice()].concat());
        let seed = Zeroizing::new(STANDARD.encode(seed));
        let before = format!("PRIVATE+KEY+{}+{}+", self.public.name, self.public.id);
        // A text that grew would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(before.len() + seed.len()));
        text.push_str(&before);
        text.push_str(&seed);
        text
    }

    /// The key for those who verify.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature line over `message`, with `before` between identifier and signature.
    pub(super) fn line(&self, message: &str, before: &[u8]) -> Signature {
        let bytes = [before, &self.key.sign(message.as_bytes()).to_bytes()].concat();
        Signature { name: self.public.name.clone(), id: self.public.id, bytes }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A key whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// Which key.
    pub key: &'a PublicKey,
    /// When, in seconds since 1970 UTC, by the clock of who signed; `None` for a signature without a time.
    pub at_posix_s: Option<u64>,
}

#[cfg(test)]
mod tests;
