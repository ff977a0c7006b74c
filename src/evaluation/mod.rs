//! How well speech was recognised: error rates a language, with the interval within which a difference can be trusted.
//!
//! [`live`] judges a stream: how soon each word came, and how steady the text was.
//!
//! Pure: texts in, figures out. No file is read and no clock; the seed of the resampling is given.

pub mod bootstrap;
pub mod live;
pub mod render;
pub mod report;
pub mod score;
pub mod table;

use crate::domain::{
    fault::{Fault, FaultKind},
    language::LanguageError,
};

/// Why an evaluation cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The manifest has no line with the names of its columns, or not this one.
    #[error("the manifest has no column {column:?}; its first line names the columns, with tabs between")]
    NoColumn {
        /// The column looked for.
        column: &'static str,
    },
    /// A line of the manifest has fewer fields than the first line names.
    #[error("line {line} of the manifest has {found} fields where {wanted} are named")]
    ShortLine {
        /// Counted from 1.
        line: usize,
        /// Fields of that line.
        found: usize,
        /// Fields of the first line.
        wanted: usize,
    },
    /// The language of an item that has speech is none.
    #[error("line {line} of the manifest has speech and no language")]
    Language {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: LanguageError,
    },
    /// The length of an item is no number of seconds.
    #[error("line {line} of the manifest gives {text:?} as duration_s; a number of seconds is wanted")]
    Duration {
        /// Counted from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// One id stands twice in the manifest or in a file of hypotheses.
    #[error("the id {id:?} stands twice in the {place}")]
    Twice {
        /// The id.
        id: String,
        /// Which of the texts.
        place: &'static str,
    },
    /// Nothing is left to compare.
    #[error("no item of the manifest is left to evaluate; see what is skipped")]
    NoItem,
}

impl Fault for EvaluationError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NoColumn { .. }
            | Self::ShortLine { .. }
            | Self::Language { .. }
            | Self::Duration { .. }
            | Self::Twice { .. }
            | Self::NoItem => FaultKind::Invalid,
        }
    }
}
