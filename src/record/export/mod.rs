//! What is handed out of a record: JSON, WebVTT, SRT and plain text. Pure but for [`write_folder`].
//!
//! Every export says that it is a machine draft. JSON and plain text are for review and hold everything, marked; the
//! captions (WebVTT, SRT) leave out text that is withheld and text of intervals that are not open.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::domain::{
    change::EntrySeq,
    fault::{Fault, FaultKind},
    id::HearingId,
};

mod cue;
pub mod json;
mod plain;
pub mod srt;
pub mod transcript;
pub mod txt;
pub mod vtt;

/// What stands on every export until a person has certified a record.
pub const NOTICE: &str = "MACHINE DRAFT, NOT A CERTIFIED RECORD";

/// A form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Everything, for programs and review.
    Json,
    /// Captions.
    WebVtt,
    /// Captions.
    Srt,
    /// For reading.
    Text,
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Json, Self::WebVtt, Self::Srt, Self::Text];

    /// How its files end, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::WebVtt => "vtt",
            Self::Srt => "srt",
            Self::Text => "txt",
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::WebVtt => "text/vtt; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// Writes a transcript in this form.
    ///
    /// # Errors
    /// [`ExportError::Json`].
    pub fn write(self, transcript: &transcript::Transcript) -> Result<String, ExportError> {
        match self {
            Self::Json => json::json(transcript),
            Self::WebVtt => Ok(vtt::vtt(transcript)),
            Self::Srt => Ok(srt::srt(transcript)),
            Self::Text => Ok(txt::txt(transcript)),
        }
    }
}

/// What can go wrong with an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The entries do not begin with the opening of a hearing.
    #[error("the entries of hearing {hearing} do not begin with its opening: read them from the first")]
    NoOpening {
        /// Which.
        hearing: HearingId,
    },
    /// An entry is missing.
    #[error("entry {} of hearing {hearing} is missing: read its entries without gaps", expected.number())]
    Gap {
        /// Which hearing.
        hearing: HearingId,
        /// The entry that is not there.
        expected: EntrySeq,
    },
    /// A segment cannot be written as JSON.
    #[error("hearing {hearing} cannot be written as JSON")]
    Json {
        /// Which.
        hearing: HearingId,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Fault for ExportError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NoOpening { .. } | Self::Gap { .. } => FaultKind::DataLoss,
            Self::Json { .. } => FaultKind::Internal,
            Self::Write { .. } => FaultKind::Unavailable,
        }
    }
}

/// Writes `transcript.json`, `.vtt`, `.srt` and `.txt` into `folder`, which is made if it is missing, and names them. A file
/// that was there is replaced whole or not at all.
///
/// # Errors
/// [`ExportError::Write`], [`ExportError::Json`].
pub fn write_folder(transcript: &transcript::Transcript, folder: &Path) -> Result<Vec<PathBuf>, ExportError> {
    fs::create_dir_all(folder).map_err(|source| ExportError::Write { path: folder.to_owned(), source })?;
    let files = [
        ("transcript.json", json::json(transcript)?),
        ("transcript.vtt", vtt::vtt(transcript)),
        ("transcript.srt", srt::srt(transcript)),
        ("transcript.txt", txt::txt(transcript)),
    ];
    files.into_iter().map(|(name, text)| replace(folder.join(name), &text)).collect()
}

/// Writes beside `path` and renames, so that no reader sees half a file.
fn replace(path: PathBuf, text: &str) -> Result<PathBuf, ExportError> {
    let draft = path.with_added_extension("new");
    let written = File::create(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, &path));
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(ExportError::Write { path, source }),
    }
}

#[cfg(test)]
#[cfg(feature = "server")]
mod tests;
