//! The record in one SQLite file.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::{HearingSummary, RecordError, RecordStore};
use crate::{
    domain::{
        actor::Attribution,
        change::{Change, EntrySeq, Receipt},
        id::HearingId,
    },
    record::{entry::Entry, seal::Sealer},
};

mod reader;
mod schema;
pub mod snapshot;
mod writer;

/// Appends that wait for the writer: with 16 channels of a few entries a second, over five seconds' worth.
const QUEUE: usize = 256;
/// How long an append waits for room in the queue before it is told to come again.
const FAIL_FAST: Duration = Duration::from_secs(5);
/// Reading connections: few, since a page of entries takes under a millisecond.
const READERS: usize = 4;

/// The record in one SQLite file, with one writing thread and a few readers.
#[derive(Debug)]
pub struct SqliteStore {
    queue: mpsc::Sender<writer::Command>,
    watchers: Arc<writer::Watchers>,
    readers: Arc<Readers>,
    sealer: Arc<dyn Sealer>,
}

impl SqliteStore {
    /// Opens the record at `path`, or makes it; its folder must exist. Blocks while the schema is brought up to date.
    ///
    /// # Errors
    /// [`RecordError::NewerSchema`] and [`RecordError::Foreign`] leave the file as it is; [`RecordError::Open`].
    pub fn open(path: &Path, sealer: Arc<dyn Sealer>) -> Result<Self, RecordError> {
        let connection = schema::open_writer(path)?;
        let (queue, commands) = mpsc::channel(QUEUE);
        let watchers = Arc::new(writer::Watchers::default());
        let writer = writer::Writer {
            connection,
            sealer: Arc::clone(&sealer),
            watchers: Arc::clone(&watchers),
            heads: HashMap::new(),
            drawn: Vec::new(),
        };
        thread::Builder::new()
            .name("record".into())
            .spawn(move || writer.run(commands))
            .map_err(|source| RecordError::Thread { source })?;
        let readers = Arc::new(Readers {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
            turns: Arc::new(Semaphore::new(READERS)),
        });
        Ok(Self { queue, watchers, readers, sealer })
    }

    /// Runs `query` with a reading connection, off the runtime. If the caller goes away the query ends by itself.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, &dyn Sealer) -> Result<T, RecordError> + Send + 'static,
    ) -> Result<T, RecordError> {
        let turn = Arc::clone(&self.readers.turns).acquire_owned().await.map_err(|_closed| RecordError::Stopped)?;
        let (readers, sealer) = (Arc::clone(&self.readers), Arc::clone(&self.sealer));
        let job = tokio::task::spawn_blocking(move || {
            let connection = readers.take()?;
            let found = query(&connection, sealer.as_ref());
            readers.give_back(connection);
            drop(turn);
            found
        });
        job.await.map_err(|_panicked| RecordError::Stopped)?
    }
}

/// Connections that only read, made when they are needed.
#[derive(Debug)]
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    fn take(&self) -> Result<Connection, RecordError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| schema::open_reader(&self.path), Ok)
    }

    fn give_back(&self, connection: Connection) {
        if !self.turns.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }

    fn close(&self) {
        self.turns.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[async_trait]
impl RecordStore for SqliteStore {
    async fn append(&self, hearing: HearingId, change: Change, by: Attribution) -> Result<Receipt, RecordError> {
        let (reply, answer) = oneshot::channel();
        let job = writer::Command::Append(Box::new(writer::Job { hearing, change, by, reply }));
        match tokio::time::timeout(FAIL_FAST, self.queue.send(job)).await {
            Ok(Ok(())) => answer.await.map_err(|_gone| RecordError::Stopped)?,
            Ok(Err(_gone)) => Err(RecordError::Stopped),
            Err(_elapsed) => Err(RecordError::Busy { retry_after: FAIL_FAST }),
        }
    }

    async fn entries(&self, hearing: HearingId, after: EntrySeq, limit: usize) -> Result<Vec<Entry>, RecordError> {
        self.read(move |connection, sealer| reader::entries(connection, sealer, hearing, after, limit)).await
    }

    async fn hearings(&self) -> Result<Vec<HearingSummary>, RecordError> {
        self.read(reader::hearings).await
    }

    async fn entries_named(&self, hearing: HearingId, name: &'static str) -> Result<Vec<Entry>, RecordError> {
        self.read(move |connection, sealer| reader::entries_named(connection, sealer, hearing, name)).await
    }

    async fn hearing(&self, id: HearingId) -> Result<HearingSummary, RecordError> {
        self.read(move |connection, sealer| reader::hearing(connection, sealer, id)).await
    }

    async fn destroy_texts(&self, hearing: HearingId, seqs: Vec<EntrySeq>) -> Result<(), RecordError> {
        self.read(move |connection, sealer| {
            let keys = reader::text_keys(connection, hearing, &seqs)?;
            sealer.destroy(hearing, &keys).map_err(|source| RecordError::Keys { hearing, source })
        })
        .await
    }

    fn subscribe(&self, hearing: HearingId) -> watch::Receiver<EntrySeq> {
        self.watchers.subscribe(hearing)
    }

    async fn flush(&self) -> Result<(), RecordError> {
        let (done, end) = oneshot::channel();
        self.queue.send(writer::Command::Flush(done)).await.map_err(|_gone| RecordError::Stopped)?;
        end.await.map_err(|_gone| RecordError::Stopped)
    }

    async fn close(&self) -> Result<(), RecordError> {
        self.readers.close();
        let (done, end) = oneshot::channel();
        self.queue.send(writer::Command::Stop(done)).await.map_err(|_gone| RecordError::Stopped)?;
        end.await.map_err(|_gone| RecordError::Stopped)
    }
}
