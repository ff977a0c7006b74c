//! What is known of a channel when a hearing opens.

use serde::{Deserialize, Serialize};

use super::{audio::AudioFormat, id::ChannelId, language::AllowedLanguages};

/// A label, as the clerk reads it: "judge", "witness", "interpreter for the witness". At most 200 characters, no control ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// A text that cannot be a label.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelError {
    /// Over 200 characters.
    #[error("label of {characters} characters: at most 200 fit")]
    TooLong {
        /// Its length.
        characters: usize,
    },
    /// A control character, which could forge lines in an export.
    #[error("label holds a control character (U+{code:04X})")]
    Control {
        /// Its code point.
        code: u32,
    },
}

impl super::fault::Fault for LabelError {
    fn kind(&self) -> super::fault::FaultKind {
        super::fault::FaultKind::Invalid
    }
}

impl TryFrom<String> for Label {
    type Error = LabelError;

    fn try_from(text: String) -> Result<Self, LabelError> {
        let characters = text.chars().count();
        if characters > 200 {
            return Err(LabelError::TooLong { characters });
        }
        match text.chars().find(|c| c.is_control()) {
            Some(c) => Err(LabelError::Control { code: u32::from(c) }),
            None => Ok(Self(text.trim().to_owned())),
        }
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl Label {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One channel (one microphone) of a hearing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSetup {
    /// Which.
    pub id: ChannelId,
    /// Who sits there.
    pub label: Label,
    /// What may be spoken there.
    pub languages: AllowedLanguages,
    /// How its samples are written.
    pub format: AudioFormat,
}
