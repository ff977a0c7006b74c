//! What produced a piece of text, exactly enough to produce it again.

use serde::{Deserialize, Serialize};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Hash([u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a SHA-256 digest of 64 hexadecimal digits")]
pub struct HashError {
    text: String,
    #[source]
    source: hex::FromHexError,
}

impl Sha256Hash {
    /// Wraps the 32 bytes of a digest.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<String> for Sha256Hash {
    type Error = HashError;

    fn try_from(text: String) -> Result<Self, HashError> {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(source) => Err(HashError { text: text.chars().take(80).collect(), source }),
        }
    }
}

impl std::str::FromStr for Sha256Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Sha256Hash> for String {
    fn from(hash: Sha256Hash) -> Self {
        hex::encode(hash.0)
    }
}

impl std::fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for Sha256Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sha256Hash({self})")
    }
}

/// The engine, the weights and the parameters behind a piece of text. Kept with every segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// The engine: `whisper.cpp`, `scripted`.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// The model's name in the manifest.
    pub model: String,
    /// SHA-256 of the file that was loaded.
    pub model_sha256: Sha256Hash,
    /// Where it ran: `cpu`, `cuda:0`.
    pub device: String,
    /// The decoding parameters as one JSON object with sorted keys, together with the profile's name.
    pub parameters: String,
}
