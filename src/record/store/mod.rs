//! The store of the record: one write door, append-only.
//!
//! Every entry carries who, what for and when. The order rules of a hearing (opened first and once, nothing after its
//! closing but text of audio that was stored before) are held inside the transaction of the append; so no caller, and no
//! two callers together, can break them.

use std::{fmt, path::PathBuf, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    domain::{
        actor::Attribution,
        change::{Change, EntrySeq, Imported, Receipt, Recognition},
        channel::ChannelSetup,
        fault::{Fault, FaultKind},
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    record::{entry::Entry, seal::SealError},
};

mod payload;
mod rules;
pub mod sqlite;

/// A hearing at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HearingSummary {
    /// Which.
    pub id: HearingId,
    /// The court's own reference; may be empty.
    pub reference: String,
    /// Its channels.
    pub channels: Vec<ChannelSetup>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed; `None` while it is open.
    pub closed_at: Option<Timestamp>,
    /// Its last entry.
    pub last: EntrySeq,
    /// Whether text is made of it while it goes on, as it was opened.
    pub recognition: Recognition,
    /// The recording that it was made of.
    pub imported: Option<Imported>,
}

/// Where the record is kept.
#[async_trait]
pub trait RecordStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a change to the record of `hearing`. When it returns, the entry is on disk. The one write door.
    ///
    /// If the caller goes away while it waits, the change is in the record or it is not; [`RecordStore::entries`] tells.
    ///
    /// # Errors
    /// [`RecordError::HearingExists`], [`RecordError::HearingUnknown`], [`RecordError::HearingClosed`],
    /// [`RecordError::AudioOverlap`], [`RecordError::Invalid`] leave the record as it was; [`RecordError::Busy`] after 5 s
    /// without room in the queue.
    async fn append(&self, hearing: HearingId, change: Change, by: Attribution) -> Result<Receipt, RecordError>;

    /// At most `limit` entries after `after`, in order. Fewer than `limit` means that there were no more.
    ///
    /// # Errors
    /// [`RecordError::HearingUnknown`]; [`RecordError::Damaged`] or [`RecordError::Seal`] for an entry that cannot be read.
    async fn entries(&self, hearing: HearingId, after: EntrySeq, limit: usize) -> Result<Vec<Entry>, RecordError>;

    /// Every hearing, in the order in which they were opened.
    ///
    /// # Errors
    /// As [`RecordStore::entries`].
    async fn hearings(&self) -> Result<Vec<HearingSummary>, RecordError>;

    /// The entries of one kind, as [`Change::name`] calls it, in order.
    ///
    /// # Errors
    /// As [`RecordStore::entries`]; a hearing that is not known has none.
    async fn entries_named(&self, hearing: HearingId, name: &'static str) -> Result<Vec<Entry>, RecordError>;

    /// One hearing.
    ///
    /// # Errors
    /// As [`RecordStore::entries`].
    async fn hearing(&self, id: HearingId) -> Result<HearingSummary, RecordError>;

    /// Destroys the texts of the entries `seqs`, all of which must hold one; those destroyed before are passed over. The entries
    /// stay, and are read as [`Change::SegmentDestroyed`] from then on. When it returns no text of theirs can be read any more,
    /// from whatever copy of the database.
    ///
    /// # Errors
    /// [`RecordError::HearingUnknown`], [`RecordError::NoText`] and [`RecordError::PlainText`] destroy nothing;
    /// [`RecordError::Keys`] may leave some destroyed: ask again.
    async fn destroy_texts(&self, hearing: HearingId, seqs: Vec<EntrySeq>) -> Result<(), RecordError>;

    /// Wakes whoever waits when an entry is added. The value is the last entry appended since this store was opened
    /// (`EntrySeq::START` before): subscribe first, then read to the end, then wait.
    fn subscribe(&self, hearing: HearingId) -> watch::Receiver<EntrySeq>;

    /// Waits until everything handed in before is written or refused, also what nobody waits for any more: who reads after it
    /// reads all of that.
    ///
    /// # Errors
    /// [`RecordError::Stopped`] if it was closed before.
    async fn flush(&self) -> Result<(), RecordError>;

    /// Writes what is queued and lets go of the files. Later calls give [`RecordError::Stopped`].
    ///
    /// # Errors
    /// [`RecordError::Stopped`] if it was closed before.
    async fn close(&self) -> Result<(), RecordError>;
}

/// What of a change can never be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The actor has no identifier.
    NoActor,
    /// A hearing without channels.
    NoChannels,
    /// Channels not in ascending order, or one twice.
    ChannelOrder,
    /// A channel that the hearing does not have.
    UnknownChannel(ChannelId),
    /// A segment whose rate is not that of its channel.
    Rate(ChannelId),
    /// A figure that is not a finite number, and would not be read back.
    NotFinite,
    /// A text that is proposed for samples that are not there.
    NoAudio(ChannelId),
    /// A flag on words that the segment does not have.
    FlaggedWords,
    /// Stored audio of an interval of which nothing is stored.
    NothingStored,
    /// What stands for a destroyed text when it is read.
    OnlyRead,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoActor => f.write_str("the actor has no identifier"),
            Self::NoChannels => f.write_str("a hearing needs at least one channel"),
            Self::ChannelOrder => f.write_str("channels must be in ascending order, each once"),
            Self::UnknownChannel(channel) => write!(f, "the hearing has no channel {channel}"),
            Self::Rate(channel) => write!(f, "the segment's sample rate is not that of channel {channel}"),
            Self::NotFinite => f.write_str("a figure is not a finite number"),
            Self::FlaggedWords => f.write_str("a flag stands on words that the segment does not have"),
            Self::OnlyRead => f.write_str("it is what is read in place of a destroyed text, and is never added"),
            Self::NoAudio(channel) => {
                write!(f, "it stands on samples of channel {channel} that are not stored, or were destroyed")
            }
            Self::NothingStored => f.write_str("audio that is off the record or muted cannot be stored"),
        }
    }
}

/// What can go wrong with the record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The hearing was opened before.
    #[error("hearing {hearing} exists already")]
    HearingExists {
        /// Which.
        hearing: HearingId,
    },
    /// No such hearing.
    #[error("hearing {hearing} is not known")]
    HearingUnknown {
        /// Which.
        hearing: HearingId,
    },
    /// The hearing is closed, and takes nothing but text of audio stored before.
    #[error("hearing {hearing} is closed and takes no {change} any more")]
    HearingClosed {
        /// Which.
        hearing: HearingId,
        /// What was to be added.
        change: &'static str,
    },
    /// The hearing goes on, and takes no proposals.
    #[error("hearing {hearing} is still open: it takes {change} when it is closed")]
    HearingOpen {
        /// Which.
        hearing: HearingId,
        /// What was to be added.
        change: &'static str,
    },
    /// Audio that the record has already.
    #[error("audio of channel {channel} of hearing {hearing} is recorded through sample {} already", through.index())]
    AudioOverlap {
        /// Which hearing.
        hearing: HearingId,
        /// Which channel.
        channel: ChannelId,
        /// The end of what is recorded.
        through: SamplePos,
    },
    /// A change that can never be right.
    #[error("{change} of hearing {hearing} refused: {flaw}")]
    Invalid {
        /// Which hearing.
        hearing: HearingId,
        /// The change.
        change: &'static str,
        /// Why.
        flaw: Flaw,
    },
    /// The queue had no room in time.
    #[error("the record is too busy: try again in {retry_after:?}")]
    Busy {
        /// When.
        retry_after: Duration,
    },
    /// The store was closed, or its thread ended.
    #[error("the record store is stopped")]
    Stopped,
    /// Sealing or opening a payload failed.
    #[error("entry {} of hearing {hearing} cannot be sealed or opened", seq.number())]
    Seal {
        /// Which hearing.
        hearing: HearingId,
        /// Which entry.
        seq: EntrySeq,
        /// Why.
        #[source]
        source: SealError,
    },
    /// The keys of a hearing cannot be destroyed.
    #[error("texts of hearing {hearing} cannot be destroyed")]
    Keys {
        /// Which hearing.
        hearing: HearingId,
        /// Why.
        #[source]
        source: SealError,
    },
    /// The entry holds no text that could be destroyed.
    #[error("entry {} of hearing {hearing} holds no text", seq.number())]
    NoText {
        /// Which hearing.
        hearing: HearingId,
        /// Which entry.
        seq: EntrySeq,
    },
    /// The text was written by a release that did not seal it, into a database that is never changed.
    #[error("the text of entry {} of hearing {hearing} lies plain, from an earlier release, and cannot be destroyed", seq.number())]
    PlainText {
        /// Which hearing.
        hearing: HearingId,
        /// Which entry.
        seq: EntrySeq,
    },
    /// A change cannot be written as JSON.
    #[error("{change} of hearing {hearing} cannot be written")]
    Encode {
        /// Which hearing.
        hearing: HearingId,
        /// The change.
        change: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An entry that is there and means nothing.
    #[error("entry {} of hearing {hearing} is damaged: its {part} cannot be read; restore the record from a copy", seq.number())]
    Damaged {
        /// Which hearing.
        hearing: HearingId,
        /// Which entry.
        seq: EntrySeq,
        /// Which part of it.
        part: &'static str,
    },
    /// Written by a newer release.
    #[error("{} has schema version {version}; this release knows {known}: use a newer one", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The newest version this release knows.
        known: i64,
    },
    /// The file is the database of something else.
    #[error("{} is not a record of vivavoce", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database cannot be opened.
    #[error("cannot open the record at {}: check that the folder exists and can be written to", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The database can be read and not written.
    #[error("cannot write the record at {}: it is read-only for this service; check owner and mount options", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The database failed.
    #[error("the record cannot {action}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The system gave no thread.
    #[error("the record's thread cannot be started")]
    Thread {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Fault for RecordError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::HearingExists { .. } => FaultKind::AlreadyExists,
            Self::HearingUnknown { .. } => FaultKind::NotFound,
            Self::HearingClosed { .. } | Self::HearingOpen { .. } | Self::AudioOverlap { .. } => FaultKind::Conflict,
            Self::Invalid { .. } => FaultKind::Invalid,
            Self::Busy { retry_after } => FaultKind::Overloaded { retry_after: *retry_after },
            Self::Stopped | Self::Open { .. } | Self::ReadOnly { .. } => FaultKind::Unavailable,
            Self::Seal { source, .. } | Self::Keys { source, .. } => source.kind(),
            Self::NoText { .. } => FaultKind::NotFound,
            Self::PlainText { .. } => FaultKind::Unimplemented,
            Self::Damaged { .. } => FaultKind::DataLoss,
            Self::NewerSchema { .. } | Self::Foreign { .. } => FaultKind::Conflict,
            Self::Database { source, .. } => database_kind(source),
            Self::Encode { .. } | Self::Thread { .. } => FaultKind::Internal,
        }
    }
}

/// A full disk or a lock held by another program passes; a damaged page does not.
fn database_kind(error: &rusqlite::Error) -> FaultKind {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            FaultKind::Unavailable
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => FaultKind::DataLoss,
        // Any other code is a defect here or a failure of the machine.
        _ => FaultKind::Internal,
    }
}

#[cfg(test)]
pub(crate) mod suite;
#[cfg(test)]
mod tests;
