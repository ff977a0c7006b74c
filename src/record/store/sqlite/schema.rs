//! The database file: who may write it, how it is set up, how its schema moves forward.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::record::store::RecordError;

/// `VVRC`, so that `file` and a wrong path are told from a record.
const APPLICATION_ID: i64 = 0x5656_5243;

/// Each brings the schema from version `i` to `i + 1`. Forward only; a released one is never edited.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001_entries.sql")];

/// The schema version this release writes: the number of migrations.
const NEWEST: i64 = 1;

/// Opens the database for writing, makes it where there is none, and brings its schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, RecordError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let fail = |source| RecordError::Open { path: path.to_owned(), source };
    let mut connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    // SQLite opens what it cannot write for reading, without a word, and would fail at the first change.
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(fail)? {
        return Err(RecordError::ReadOnly { path: path.to_owned() });
    }
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(fail)?;
    // Looked at before anything is changed: a foreign or newer database stays as it is.
    check_version(&connection, path)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
        )
        .map_err(fail)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens the database for reading; the writer made it before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, RecordError> {
    let fail = |source| RecordError::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(fail)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")
        .map_err(fail)?;
    Ok(connection)
}

pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<i64, RecordError> {
    let fail = |source| RecordError::Open { path: path.to_owned(), source };
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(fail);
    let (id, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fail)?;
    let fresh = id == 0 && version == 0 && tables == 0;
    if !fresh && id != APPLICATION_ID {
        return Err(RecordError::Foreign { path: path.to_owned() });
    }
    if version > NEWEST {
        return Err(RecordError::NewerSchema { path: path.to_owned(), version, known: NEWEST });
    }
    Ok(version)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), RecordError> {
    let fail = |source| RecordError::Open { path: path.to_owned(), source };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    // Once more under the lock: another process may have been faster.
    let version = check_version(&transaction, path)?;
    for (number, sql) in (1..=NEWEST).zip(MIGRATIONS) {
        if number > version {
            step(&transaction, number, sql).map_err(fail)?;
        }
    }
    transaction.commit().map_err(fail)
}

fn step(transaction: &Transaction<'_>, number: i64, sql: &str) -> Result<(), rusqlite::Error> {
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", number)
}
