//! What is read from the database, by the writer as well as by the readers.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    domain::{
        actor::{Actor, Attribution},
        change::{Change, EntrySeq},
        id::{ChannelId, HearingId},
    },
    record::{
        entry::Entry,
        seal::{CipherId, KeyId, SealContext, Sealed, Sealer},
        store::{HearingSummary, RecordError, payload, rules::Head},
    },
};

/// One row as it lies in the database.
struct Raw {
    hearing: Vec<u8>,
    seq: i64,
    kind: String,
    at: String,
    actor_kind: String,
    actor: String,
    purpose: String,
    payload_version: u16,
    cipher: u16,
    key: [u8; 16],
    nonce: Vec<u8>,
    payload: Vec<u8>,
}

fn raw(row: &Row<'_>) -> Result<Raw, rusqlite::Error> {
    Ok(Raw {
        hearing: row.get(0)?,
        seq: row.get(1)?,
        kind: row.get(2)?,
        at: row.get(3)?,
        actor_kind: row.get(4)?,
        actor: row.get(5)?,
        purpose: row.get(6)?,
        payload_version: row.get(7)?,
        cipher: row.get(8)?,
        key: row.get(9)?,
        nonce: row.get(10)?,
        payload: row.get(11)?,
    })
}

impl Raw {
    fn open(self, sealer: &dyn Sealer) -> Result<(HearingId, Entry), RecordError> {
        let hearing = HearingId::new(uuid::Uuid::from_slice(&self.hearing).unwrap_or_default());
        let seq = EntrySeq::new(u64::try_from(self.seq).unwrap_or(0));
        let damaged = |part| RecordError::Damaged { hearing, seq, part };
        let by = Attribution {
            actor: Actor { kind: from_name(&self.actor_kind).ok_or_else(|| damaged("actor"))?, id: self.actor },
            purpose: from_name(&self.purpose).ok_or_else(|| damaged("purpose"))?,
            at: self.at.parse().map_err(|_quoting| damaged("time"))?,
        };
        let sealed = Sealed {
            cipher: CipherId::new(self.cipher),
            key: KeyId::new(self.key),
            nonce: self.nonce,
            bytes: self.payload,
        };
        let context = SealContext { hearing, seq, kind: &self.kind, payload_version: self.payload_version };
        let change = payload::open(sealer, &context, &sealed)?;
        Ok((hearing, Entry { seq, change, by }))
    }
}

/// The value that serde calls `name`, so that database and JSON use the same words.
fn from_name<T: serde::de::DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}

pub(super) fn failed(source: rusqlite::Error) -> RecordError {
    RecordError::Database { action: "be read", source }
}

/// A number as SQLite holds it; what does not fit is beyond every entry.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn entries(
    connection: &Connection,
    sealer: &dyn Sealer,
    hearing: HearingId,
    after: EntrySeq,
    limit: usize,
) -> Result<Vec<Entry>, RecordError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT hearing, seq, kind, at, actor_kind, actor, purpose, payload_version, cipher, key_id, nonce, payload
             FROM entry WHERE hearing = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )
        .map_err(failed)?;
    let key = hearing.uuid();
    let rows = statement
        .query_map(params![key.as_bytes(), integer(after.number()), integer(limit as u64)], raw)
        .map_err(failed)?;
    let mut found = Vec::new();
    let mut expected = after;
    for row in rows {
        let (_, entry) = row.map_err(failed)?.open(sealer)?;
        expected = expected.next();
        if entry.seq != expected {
            return Err(RecordError::Damaged { hearing, seq: expected, part: "row" });
        }
        found.push(entry);
    }
    if found.is_empty() && last(connection, hearing)? == EntrySeq::START {
        return Err(RecordError::HearingUnknown { hearing });
    }
    Ok(found)
}

pub(super) fn entries_named(
    connection: &Connection,
    sealer: &dyn Sealer,
    hearing: HearingId,
    name: &str,
) -> Result<Vec<Entry>, RecordError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT hearing, seq, kind, at, actor_kind, actor, purpose, payload_version, cipher, key_id, nonce, payload
             FROM entry WHERE kind = ?1 AND hearing = ?2 ORDER BY seq",
        )
        .map_err(failed)?;
    let rows = statement.query_map(params![name, hearing.uuid().as_bytes()], raw).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?.open(sealer).map(|(_, entry)| entry)).collect()
}

/// The last entry of `hearing`; `EntrySeq::START` for one that is not known.
fn last(connection: &Connection, hearing: HearingId) -> Result<EntrySeq, RecordError> {
    let mut statement = connection.prepare_cached("SELECT max(seq) FROM entry WHERE hearing = ?1").map_err(failed)?;
    let last: Option<i64> = statement.query_row([hearing.uuid().as_bytes()], |row| row.get(0)).map_err(failed)?;
    Ok(EntrySeq::new(last.and_then(|l| u64::try_from(l).ok()).unwrap_or(0)))
}

pub(super) fn hearings(connection: &Connection, sealer: &dyn Sealer) -> Result<Vec<HearingSummary>, RecordError> {
    let mut statement = connection
        .prepare_cached("SELECT hearing FROM entry WHERE kind = 'hearing_opened' ORDER BY position")
        .map_err(failed)?;
    let ids = statement
        .query_map([], |row| row.get::<_, [u8; 16]>(0))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed)?;
    ids.into_iter().map(|id| hearing(connection, sealer, HearingId::new(uuid::Uuid::from_bytes(id)))).collect()
}

pub(super) fn hearing(
    connection: &Connection,
    sealer: &dyn Sealer,
    id: HearingId,
) -> Result<HearingSummary, RecordError> {
    let first = entries(connection, sealer, id, EntrySeq::START, 1)?;
    let Some(Entry {
        change: Change::HearingOpened { reference, channels, resume: _, recognition, imported }, by, ..
    }) = first.into_iter().next()
    else {
        return Err(RecordError::Damaged { hearing: id, seq: EntrySeq::new(1), part: "kind" });
    };
    let closing = newest_of(connection, sealer, id, "hearing_closed", None)?;
    Ok(HearingSummary {
        id,
        reference,
        channels,
        opened_at: by.at,
        closed_at: closing.map(|entry| entry.by.at),
        last: last(connection, id)?,
        recognition,
        imported,
    })
}

/// What the writer must know of a hearing before it adds to it; `None` for one that is not known.
pub(super) fn head(
    connection: &Connection,
    sealer: &dyn Sealer,
    hearing: HearingId,
) -> Result<Option<Head>, RecordError> {
    let last = last(connection, hearing)?;
    if last == EntrySeq::START {
        return Ok(None);
    }
    let summary = self::hearing(connection, sealer, hearing)?;
    let mut head = Head::opened(summary.channels);
    for channel in head.channels.iter().map(|c| c.id).collect::<Vec<_>>() {
        if let Some(entry) = newest_of(connection, sealer, hearing, "audio_stored", Some(channel))? {
            head.follow(entry.seq, &entry.change);
        }
    }
    for entry in entries_named(connection, sealer, hearing, "audio_destroyed")? {
        head.follow(entry.seq, &entry.change);
    }
    head.last = last;
    head.closed = summary.closed_at.is_some();
    Ok(Some(head))
}

/// The keys that the texts of the entries `seqs` are sealed with.
pub(super) fn text_keys(
    connection: &Connection,
    hearing: HearingId,
    seqs: &[EntrySeq],
) -> Result<Vec<KeyId>, RecordError> {
    if last(connection, hearing)? == EntrySeq::START {
        return Err(RecordError::HearingUnknown { hearing });
    }
    let mut statement = connection
        .prepare_cached("SELECT kind, cipher, key_id FROM entry WHERE hearing = ?1 AND seq = ?2")
        .map_err(failed)?;
    let mut keys = Vec::with_capacity(seqs.len());
    for &seq in seqs {
        let row = statement.query_row(params![hearing.uuid().as_bytes(), integer(seq.number())], |row| {
            Ok((row.get::<_, String>(0)?, CipherId::new(row.get(1)?), KeyId::new(row.get(2)?)))
        });
        match row.optional().map_err(failed)? {
            Some((kind, CipherId::NONE, _)) if Change::is_text(&kind) => {
                return Err(RecordError::PlainText { hearing, seq });
            }
            Some((kind, _, key)) if Change::is_text(&kind) => keys.push(key),
            Some(_) | None => return Err(RecordError::NoText { hearing, seq }),
        }
    }
    Ok(keys)
}

/// The newest entry of one kind, of one channel or of none.
fn newest_of(
    connection: &Connection,
    sealer: &dyn Sealer,
    hearing: HearingId,
    kind: &str,
    channel: Option<ChannelId>,
) -> Result<Option<Entry>, RecordError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT hearing, seq, kind, at, actor_kind, actor, purpose, payload_version, cipher, key_id, nonce, payload
             FROM entry WHERE kind = ?1 AND hearing = ?2 AND channel IS ?3 ORDER BY seq DESC LIMIT 1",
        )
        .map_err(failed)?;
    let channel = channel.map(ChannelId::number);
    let row = statement.query_row(params![kind, hearing.uuid().as_bytes(), channel], raw).optional().map_err(failed)?;
    row.map(|row| row.open(sealer).map(|(_, entry)| entry)).transpose()
}
