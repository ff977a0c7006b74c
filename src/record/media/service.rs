//! The journals of all channels on one named thread, with one sync for many appends.
//!
//! The thread owns every file. Appends come through one bounded queue (full: the caller waits, and with it the client, by
//! flow control). What is written is synced within [`Settings::sync_every`]; each channel then learns through a watch how
//! far its samples are safe. An append that was queued is written even if its caller goes away.

use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc, thread, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    Absence, MediaError, TailCut, journal_path,
    writer::{JournalWriter, Opening},
};
use crate::domain::{
    change::IntervalClass,
    id::{ChannelId, HearingId},
    time::SamplePos,
};

/// How the journal works.
#[derive(Clone)]
pub struct Settings {
    /// The folder under which each hearing has its own.
    pub root: PathBuf,
    /// The longest that samples wait for their sync. 200 ms keeps well within the one second that is promised, and lets
    /// two appends of 100 ms share a sync.
    pub sync_every: Duration,
    /// Appends that wait, over all channels. 256 is 16 channels with 1.6 s of chunks of 100 ms.
    pub queue: usize,
    /// Told how long each sync took.
    pub synced: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { root, sync_every, queue, synced: _ } = self;
        f.debug_struct("Settings").field("root", root).field("sync_every", sync_every).field("queue", queue).finish()
    }
}

impl Settings {
    /// The defaults, with journals under `root`.
    #[must_use]
    pub fn under(root: PathBuf) -> Self {
        Self { root, sync_every: Duration::from_millis(200), queue: 256, synced: Arc::new(|_| {}) }
    }
}

type Key = (HearingId, ChannelId);
type Reply<T> = oneshot::Sender<Result<T, MediaError>>;

enum Command {
    Open(Opening, Reply<Opened>),
    Append(Key, SamplePos, IntervalClass, Vec<u8>, Reply<SamplePos>),
    Skip(Key, (SamplePos, SamplePos), Absence, Reply<SamplePos>),
    Sync(Key, Reply<SamplePos>),
    Close(Key, Reply<SamplePos>),
    Stop(oneshot::Sender<()>),
}

struct Opened {
    durable: watch::Receiver<SamplePos>,
    cut: Option<TailCut>,
}

/// The audio journal of the service.
#[derive(Debug)]
pub struct AudioJournal {
    root: PathBuf,
    queue: mpsc::Sender<Command>,
}

impl AudioJournal {
    /// Starts the thread `audio-journal`. It ends with [`AudioJournal::stop`], or when this and every channel are dropped.
    ///
    /// # Errors
    /// [`MediaError::Io`] if the system gives no thread.
    pub fn start(settings: Settings) -> Result<Self, MediaError> {
        let fail = |e| MediaError::Io { path: settings.root.clone(), action: "start the journal of", source: e };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(fail)?;
        let (queue, commands) = mpsc::channel(settings.queue.max(1));
        let (root, folder) = (settings.root.clone(), settings.root.clone());
        thread::Builder::new()
            .name("audio-journal".into())
            .spawn(move || runtime.block_on(Worker::new(settings).run(commands)))
            .map_err(|e| MediaError::Io { path: root, action: "start the journal of", source: e })?;
        Ok(Self { root: folder, queue })
    }

    /// Where the journal of a channel lies.
    #[must_use]
    pub fn path(&self, hearing: HearingId, channel: ChannelId) -> PathBuf {
        journal_path(&self.root, hearing, channel)
    }

    /// Opens a channel's journal, or makes it; verifies and recovers an existing one (see [`JournalWriter::open`]), which
    /// holds up the other channels for about a second per gigabyte.
    ///
    /// # Errors
    /// As [`JournalWriter::open`]; [`MediaError::Stopped`].
    pub async fn open(&self, opening: Opening) -> Result<(ChannelJournal, Option<TailCut>), MediaError> {
        let (reply, answer) = oneshot::channel();
        send(&self.queue, Command::Open(opening, reply)).await?;
        let opened = answer.await.map_err(|_gone| MediaError::Stopped)??;
        let key = (opening.hearing, opening.channel);
        Ok((ChannelJournal { key, queue: self.queue.clone(), durable: opened.durable }, opened.cut))
    }

    /// Writes what is queued, closes every file and ends the thread. Channels still held answer [`MediaError::Stopped`].
    pub async fn stop(self) {
        self.halt().await;
    }

    /// [`AudioJournal::stop`] of a journal that others hold too.
    pub async fn halt(&self) {
        let (done, end) = oneshot::channel();
        if self.queue.send(Command::Stop(done)).await.is_ok() {
            // The sender is dropped at the latest when the thread ends; either way it is over.
            let _ended = end.await;
        }
    }
}

/// One open channel.
#[derive(Clone, Debug)]
pub struct ChannelJournal {
    key: Key,
    queue: mpsc::Sender<Command>,
    durable: watch::Receiver<SamplePos>,
}

impl ChannelJournal {
    /// Appends samples (see [`JournalWriter::append`]). When it returns they are written, so that the recogniser may have
    /// them; they are safe, and may be acknowledged, once [`ChannelJournal::durable`] has reached the position it gives.
    ///
    /// If the caller goes away while it waits, the samples are written or not; the journal knows.
    ///
    /// # Errors
    /// As [`JournalWriter::append`]; [`MediaError::Stopped`].
    pub async fn append(
        &self,
        first_sample: SamplePos,
        class: IntervalClass,
        bytes: Vec<u8>,
    ) -> Result<SamplePos, MediaError> {
        self.ask(|reply| Command::Append(self.key, first_sample, class, bytes, reply)).await
    }

    /// Notes that nothing is stored from `first` up to `to`, and why (see [`JournalWriter::skip`]). The position is then
    /// `to`, and is durable as that of samples is.
    ///
    /// # Errors
    /// As [`JournalWriter::skip`]; [`MediaError::Stopped`].
    pub async fn skip(&self, first: SamplePos, to: SamplePos, why: Absence) -> Result<SamplePos, MediaError> {
        self.ask(|reply| Command::Skip(self.key, (first, to), why, reply)).await
    }

    /// How far the samples are on disk. Ends (the sender is dropped) when the channel is closed or its disk failed.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<SamplePos> {
        self.durable.clone()
    }

    /// Syncs now. Gives the position through which the samples are safe.
    ///
    /// # Errors
    /// As [`JournalWriter::sync`]; [`MediaError::Stopped`].
    pub async fn sync(&self) -> Result<SamplePos, MediaError> {
        self.ask(|reply| Command::Sync(self.key, reply)).await
    }

    /// Closes the file. Gives the position after the last sample. It can be opened again.
    ///
    /// # Errors
    /// As [`JournalWriter::close`]; [`MediaError::Stopped`].
    pub async fn close(self) -> Result<SamplePos, MediaError> {
        self.ask(|reply| Command::Close(self.key, reply)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, MediaError> {
        let (reply, answer) = oneshot::channel();
        send(&self.queue, command(reply)).await?;
        answer.await.map_err(|_gone| MediaError::Stopped)?
    }
}

async fn send(queue: &mpsc::Sender<Command>, command: Command) -> Result<(), MediaError> {
    queue.send(command).await.map_err(|_gone| MediaError::Stopped)
}

struct Slot {
    writer: JournalWriter,
    durable: watch::Sender<SamplePos>,
}

struct Worker {
    settings: Settings,
    slots: HashMap<Key, Slot>,
    /// When the oldest unsynced bytes must be synced.
    due: Option<Instant>,
}

impl Worker {
    fn new(settings: Settings) -> Self {
        Self { settings, slots: HashMap::new(), due: None }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = self.next(&mut commands).await {
            if let Command::Stop(done) = command {
                commands.close();
                while let Ok(late) = commands.try_recv() {
                    self.obey(late);
                }
                self.close_all();
                // Nobody waiting any more is fine.
                let _nobody = done.send(());
                return;
            }
            self.obey(command);
        }
        self.close_all();
    }

    /// The next command; syncs when that is due, however many commands wait.
    async fn next(&mut self, commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
        loop {
            let Some(due) = self.due else { return commands.recv().await };
            if Instant::now() < due
                && let Ok(command) = tokio::time::timeout_at(due, commands.recv()).await
            {
                return command;
            }
            self.sync_all();
        }
    }

    fn obey(&mut self, command: Command) {
        // A caller that went away does not get its answer; what it asked for is done all the same.
        match command {
            Command::Open(opening, reply) => drop(reply.send(self.open(&opening))),
            Command::Append(key, first_sample, class, bytes, reply) => {
                let written = self.write(key, |writer| writer.append(first_sample, class, &bytes));
                drop(reply.send(written));
            }
            Command::Skip(key, (first, to), why, reply) => {
                let written = self.write(key, |writer| writer.skip(first, to, why));
                drop(reply.send(written));
            }
            Command::Sync(key, reply) => {
                let synced = slot(&mut self.slots, key).and_then(Slot::sync);
                if synced.is_err() {
                    self.slots.remove(&key);
                }
                drop(reply.send(synced));
            }
            Command::Close(key, reply) => {
                let closed = self.slots.remove(&key).ok_or(MediaError::Stopped).and_then(Slot::close);
                drop(reply.send(closed));
            }
            // Taken by `run`; a second one while it drains has nothing left to do.
            Command::Stop(_) => {}
        }
    }

    /// Writes to the file of a channel, which then waits for its sync.
    fn write(
        &mut self,
        key: Key,
        write: impl FnOnce(&mut JournalWriter) -> Result<SamplePos, MediaError>,
    ) -> Result<SamplePos, MediaError> {
        let end = write(&mut slot(&mut self.slots, key)?.writer)?;
        self.due.get_or_insert_with(|| Instant::now() + self.settings.sync_every);
        Ok(end)
    }

    fn open(&mut self, opening: &Opening) -> Result<Opened, MediaError> {
        let key = (opening.hearing, opening.channel);
        let path = journal_path(&self.settings.root, opening.hearing, opening.channel);
        // A slot whose disk failed makes way, and one that nobody holds any more: opening again is the remedy.
        if self.slots.get_mut(&key).is_some_and(|slot| slot.sync().is_ok() && slot.durable.receiver_count() > 0) {
            return Err(MediaError::AlreadyOpen { path });
        }
        self.slots.remove(&key);
        let (writer, cut) = JournalWriter::open(&path, opening)?;
        let (durable, receiver) = watch::channel(writer.next_sample());
        self.slots.insert(key, Slot { writer, durable });
        Ok(Opened { durable: receiver, cut })
    }

    fn sync_all(&mut self) {
        self.due = None;
        let synced = &self.settings.synced;
        self.slots.retain(|_, slot| match slot.timed_sync(synced.as_ref()) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(error = %error, "audio journal cannot sync; the channel takes no more audio");
                false
            }
        });
    }

    fn close_all(&mut self) {
        for (_, slot) in self.slots.drain() {
            if let Err(error) = slot.close() {
                tracing::error!(error = %error, "audio journal cannot be closed");
            }
        }
    }
}

fn slot(slots: &mut HashMap<Key, Slot>, key: Key) -> Result<&mut Slot, MediaError> {
    slots.get_mut(&key).ok_or(MediaError::Stopped)
}

impl Slot {
    fn sync(&mut self) -> Result<SamplePos, MediaError> {
        let safe = self.writer.sync()?;
        self.durable.send_if_modified(|at| std::mem::replace(at, safe) != safe);
        Ok(safe)
    }

    fn timed_sync(&mut self, synced: &dyn Fn(Duration)) -> Result<SamplePos, MediaError> {
        let waiting = self.writer.next_sample() != *self.durable.borrow();
        let began = Instant::now();
        let safe = self.sync()?;
        if waiting {
            synced(began.elapsed());
        }
        Ok(safe)
    }

    fn close(self) -> Result<SamplePos, MediaError> {
        let end = self.writer.close()?;
        self.durable.send_if_modified(|at| std::mem::replace(at, end) != end);
        Ok(end)
    }
}
