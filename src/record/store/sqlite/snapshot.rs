//! A copy of the record that nobody writes: made while the server goes on, and read without leaving anything beside it.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{reader, schema};
use crate::{
    domain::{change::EntrySeq, id::HearingId},
    record::{
        entry::Entry,
        seal::Sealer,
        store::{HearingSummary, RecordError},
    },
};

/// Entries read at a time.
const PAGE: usize = 1_000;

/// Copies the record at `from` into the new file `to`, as it is at one moment; the server goes on writing meanwhile. All is
/// read in one step: SQLite begins a copy in pieces anew whenever another process writes in between, for ever where one
/// writes all day.
///
/// # Errors
/// [`RecordError::Open`], [`RecordError::Foreign`], [`RecordError::NewerSchema`], [`RecordError::Busy`],
/// [`RecordError::Database`], of a full disk too.
pub fn copy(from: &Path, to: &Path) -> Result<(), RecordError> {
    let source = schema::open_reader(from)?;
    schema::check_version(&source, from)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = |source| RecordError::Open { path: to.to_owned(), source };
    let failed = |source| RecordError::Database { action: "be copied", source };
    let mut target = Connection::open_with_flags(to, flags).map_err(open)?;
    let step = Backup::new(&source, &mut target).and_then(|backup| backup.step(-1)).map_err(failed)?;
    match step {
        StepResult::Done => target.close().map_err(|(_, source)| failed(source)),
        // The sources wait five seconds for each other; a step of all pages leaves none.
        StepResult::Busy | StepResult::Locked | StepResult::More => {
            Err(RecordError::Busy { retry_after: Duration::from_secs(5) })
        }
        // A later release of the library may tell more; whatever it is, it is not done.
        _ => Err(RecordError::Busy { retry_after: Duration::from_secs(5) }),
    }
}

/// How many orders about what is recorded stand in the record at `path`, which a server may be writing.
///
/// # Errors
/// [`RecordError::Open`], [`RecordError::Database`].
pub fn orders(path: &Path) -> Result<u64, RecordError> {
    count_orders(&schema::open_reader(path)?)
}

fn count_orders(connection: &Connection) -> Result<u64, RecordError> {
    let sql = "SELECT count(*) FROM entry WHERE kind = 'interval_began'";
    let count: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(reader::failed)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A record that nobody writes.
#[derive(Debug)]
pub struct Snapshot {
    connection: Connection,
    sealer: Arc<dyn Sealer>,
}

impl Snapshot {
    /// Opens the record at `path`, which nobody may be writing. No log and no lock is made beside it: it may lie on a disk
    /// that is only read.
    ///
    /// # Errors
    /// [`RecordError::Open`], [`RecordError::Foreign`], [`RecordError::NewerSchema`].
    pub fn open(path: &Path, sealer: Arc<dyn Sealer>) -> Result<Self, RecordError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let fail = |source| RecordError::Open { path: path.to_owned(), source };
        let connection = Connection::open_with_flags(uri(path), flags).map_err(fail)?;
        connection
            .execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")
            .map_err(fail)?;
        schema::check_version(&connection, path)?;
        Ok(Self { connection, sealer })
    }

    /// What SQLite finds wrong with the file as a whole; `None` where nothing is.
    ///
    /// # Errors
    /// [`RecordError::Database`].
    pub fn flaw(&self) -> Result<Option<String>, RecordError> {
        let found: String =
            self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(reader::failed)?;
        Ok((found != "ok").then_some(found))
    }

    /// How many orders about what is recorded stand in it.
    ///
    /// # Errors
    /// [`RecordError::Database`].
    pub fn orders(&self) -> Result<u64, RecordError> {
        count_orders(&self.connection)
    }

    /// Every hearing, in the order in which they were opened. Opens no text.
    ///
    /// # Errors
    /// As [`crate::record::store::RecordStore::hearings`].
    pub fn hearings(&self) -> Result<Vec<HearingSummary>, RecordError> {
        reader::hearings(&self.connection, self.sealer.as_ref())
    }

    /// Every entry of a hearing, its texts opened, one after another.
    ///
    /// # Errors
    /// As [`crate::record::store::RecordStore::entries`].
    pub fn each_entry(&self, hearing: HearingId, mut take: impl FnMut(&Entry)) -> Result<(), RecordError> {
        let mut after = EntrySeq::START;
        loop {
            let page = reader::entries(&self.connection, self.sealer.as_ref(), hearing, after, PAGE)?;
            page.iter().for_each(&mut take);
            match page.last() {
                Some(last) if page.len() == PAGE => after = last.seq,
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// The entries of one kind.
    ///
    /// # Errors
    /// As [`crate::record::store::RecordStore::entries_named`].
    pub fn entries_named(&self, hearing: HearingId, name: &str) -> Result<Vec<Entry>, RecordError> {
        reader::entries_named(&self.connection, self.sealer.as_ref(), hearing, name)
    }
}

/// The file as SQLite's URI: it never changes, and so needs neither lock nor log.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            // Writing to a String cannot fail.
            other => drop(write!(uri, "%{other:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}
