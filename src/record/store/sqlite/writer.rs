//! The thread `record`: it owns the only writing connection, so that the order of entries needs no lock.
//!
//! Appends that wait are committed together, since a commit costs a sync of the disk however many rows it holds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot, watch};

use super::reader;
use crate::{
    domain::{
        actor::Attribution,
        change::{Change, EntrySeq, Receipt},
        id::{ChannelId, HearingId},
    },
    record::{
        seal::{KeyId, Sealer},
        store::{RecordError, payload, rules},
    },
};

/// The most appends that one commit takes: a bound on how long the first of them waits for the rest.
const BATCH: usize = 64;

/// An append on its way.
pub(super) struct Job {
    pub(super) hearing: HearingId,
    pub(super) change: Change,
    pub(super) by: Attribution,
    pub(super) reply: oneshot::Sender<Result<Receipt, RecordError>>,
}

pub(super) enum Command {
    Append(Box<Job>),
    Flush(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

/// Who waits for new entries, by hearing.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<HashMap<HearingId, watch::Sender<EntrySeq>>>);

impl Watchers {
    pub(super) fn subscribe(&self, hearing: HearingId) -> watch::Receiver<EntrySeq> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has gone leaves room; so the map is never larger than those who wait.
        map.retain(|id, sender| *id == hearing || sender.receiver_count() > 0);
        map.entry(hearing).or_insert_with(|| watch::channel(EntrySeq::START).0).subscribe()
    }

    fn wake(&self, receipt: Receipt) {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = map.get(&receipt.hearing) {
            sender.send_replace(receipt.seq);
        }
    }
}

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) sealer: Arc<dyn Sealer>,
    pub(super) watchers: Arc<Watchers>,
    /// The heads of the hearings that were added to; always what the database says.
    pub(super) heads: HashMap<HearingId, rules::Head>,
    /// The keys that the transaction under way sealed with.
    pub(super) drawn: Vec<(HearingId, KeyId)>,
}

impl Writer {
    /// Works until it is told to stop, or nobody can send any more.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut stopped = None;
        while stopped.is_none() {
            let Some(first) = commands.blocking_recv() else { break };
            let (mut jobs, mut flushed) = (Vec::new(), Vec::new());
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    Command::Append(job) => jobs.push(*job),
                    Command::Flush(done) => flushed.push(done),
                    Command::Stop(done) => {
                        commands.close();
                        stopped = Some(done);
                    }
                }
                next = if jobs.len() < BATCH || stopped.is_some() { commands.try_recv().ok() } else { None };
            }
            self.commit(jobs);
            for done in flushed {
                let _nobody = done.send(());
            }
        }
        // Leaves one file without a log beside it; where that fails the log is read at the next opening.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(error = %error, "record log was not folded into its database");
        }
        drop(self.connection);
        if let Some(done) = stopped {
            let _nobody = done.send(());
        }
    }

    /// Commits `jobs` in one transaction. If the database fails, each is tried alone, so that one cannot take the others
    /// with it.
    fn commit(&mut self, jobs: Vec<Job>) {
        match self.transact(&jobs) {
            Ok(results) => self.answer(jobs, results),
            Err(error) if jobs.len() == 1 => self.answer(jobs, vec![Err(error)]),
            Err(error) => {
                tracing::warn!(error = %error, jobs = jobs.len(), "record commit failed; trying each change alone");
                for job in jobs {
                    let result = self.transact(std::slice::from_ref(&job));
                    let result = result.and_then(|mut one| one.pop().unwrap_or(Err(RecordError::Stopped)));
                    self.answer(vec![job], vec![result]);
                }
            }
        }
    }

    fn answer(&self, jobs: Vec<Job>, results: Vec<Result<Receipt, RecordError>>) {
        for (job, result) in jobs.into_iter().zip(results) {
            if let Ok(receipt) = &result {
                self.watchers.wake(*receipt);
            }
            // A caller that went away does not get its receipt; the entry is in the record all the same.
            let _nobody = job.reply.send(result);
        }
    }

    /// What became of each job: its receipt, or why the rules refuse it. An error is the database's and undoes all.
    fn transact(&mut self, jobs: &[Job]) -> Result<Vec<Result<Receipt, RecordError>>, RecordError> {
        let done = self.try_transact(jobs);
        let drawn = std::mem::take(&mut self.drawn);
        if done.is_err() {
            self.heads.clear();
            // What was undone may still lie in the log, sealed: nobody must be able to open it there.
            for (hearing, key) in drawn {
                if let Err(error) = self.sealer.destroy(hearing, &[key]) {
                    tracing::error!(hearing.id = %hearing, error = %error, "the key of an undone change was not destroyed");
                }
            }
        }
        done
    }

    fn try_transact(&mut self, jobs: &[Job]) -> Result<Vec<Result<Receipt, RecordError>>, RecordError> {
        let Self { connection, sealer, heads, drawn, .. } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            let noting = Noting { sealer: sealer.as_ref(), drawn };
            results.push(match append(&transaction, noting, heads, job) {
                Err(error @ RecordError::Database { .. }) => return Err(error),
                result => result,
            });
        }
        transaction.commit().map_err(failed)?;
        Ok(results)
    }
}

/// Seals, and notes with which keys.
struct Noting<'a> {
    sealer: &'a dyn Sealer,
    drawn: &'a mut Vec<(HearingId, KeyId)>,
}

fn append(
    transaction: &Transaction<'_>,
    noting: Noting<'_>,
    heads: &mut HashMap<HearingId, rules::Head>,
    job: &Job,
) -> Result<Receipt, RecordError> {
    let Job { hearing, change, by, .. } = job;
    if let std::collections::hash_map::Entry::Vacant(place) = heads.entry(*hearing)
        && let Some(head) = reader::head(transaction, noting.sealer, *hearing)?
    {
        place.insert(head);
    }
    rules::check(*hearing, heads.get(hearing), change, by)?;
    let seq = heads.get(hearing).map_or(EntrySeq::START, |head| head.last).next();
    insert(transaction, noting, job, seq)?;
    match change {
        Change::HearingOpened { channels, .. } => {
            heads.entry(*hearing).or_insert(rules::Head::opened(channels.clone()))
        }
        // The rules let no other change through for a hearing without a head.
        _ => heads.get_mut(hearing).ok_or(RecordError::HearingUnknown { hearing: *hearing })?,
    }
    .follow(seq, change);
    Ok(Receipt { hearing: *hearing, seq })
}

fn insert(transaction: &Transaction<'_>, noting: Noting<'_>, job: &Job, seq: EntrySeq) -> Result<(), RecordError> {
    let Job { hearing, change, by, .. } = job;
    let sealed = payload::seal(noting.sealer, *hearing, seq, change)?;
    if sealed.key != KeyId::NONE {
        noting.drawn.push((*hearing, sealed.key));
    }
    let mut statement = transaction
        .prepare_cached(
            "INSERT INTO entry (hearing, seq, kind, channel, at, actor_kind, actor, purpose,
                                payload_version, cipher, key_id, nonce, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .map_err(failed)?;
    let (actor_kind, purpose) = (name(&by.actor.kind, hearing, change)?, name(&by.purpose, hearing, change)?);
    statement
        .execute(params![
            hearing.uuid().as_bytes(),
            reader::integer(seq.number()),
            change.name(),
            change.channel().map(ChannelId::number),
            by.at.to_string(),
            actor_kind,
            by.actor.id,
            purpose,
            payload::PAYLOAD_VERSION,
            sealed.cipher.number(),
            sealed.key.bytes(),
            sealed.nonce,
            sealed.bytes,
        ])
        .map_err(failed)?;
    Ok(())
}

/// What serde calls `value`: the database and JSON use the same words.
fn name(value: &impl serde::Serialize, hearing: &HearingId, change: &Change) -> Result<String, RecordError> {
    let fail = |source| RecordError::Encode { hearing: *hearing, change: change.name(), source };
    serde_json::to_value(value).and_then(serde_json::from_value).map_err(fail)
}

fn failed(source: rusqlite::Error) -> RecordError {
    RecordError::Database { action: "be written", source }
}
