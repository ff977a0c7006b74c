//! The journals of all channels on one named thread, with one sync for many appends.
//!
//! The thread owns every file. Appends come through one bounded queue (full: the caller waits, and with it the client, by
//! flow control). What is written is synced within [`Settings::sync_every`], on a few threads at once and while more is being
//! written; each channel then learns through a watch how far its samples are safe. What takes long (verifying a file when it is
//! opened, destroying, closing) is done beside the thread too, and holds up its own channel alone. An append that was queued is
//! written even if its caller goes away.

use std::{fmt, path::PathBuf, sync::Arc, thread, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

use super::{Absence, MediaError, TailCut, journal_path, reader::JournalPlace, worker::Worker, writer::Opening};
use crate::{
    domain::{
        change::IntervalClass,
        id::{ChannelId, HearingId},
        time::{SamplePos, Span},
    },
    record::keys::KeyStore,
};

/// How the journal works.
#[derive(Clone)]
pub struct Settings {
    /// The folder under which each hearing has its own.
    pub root: PathBuf,
    /// The keys that samples are sealed with.
    pub keys: Arc<KeyStore>,
    /// The longest that samples wait for the beginning of their sync. With 100 ms those of 200 channels are told as safe within
    /// a quarter of a second, goal of `benches/append.rs`, and well within the one second that is promised. Where the disk is
    /// slower than that, a channel's next sync begins when its last one is done, and takes all that came meanwhile.
    pub sync_every: Duration,
    /// Appends that wait, over all channels. 256 is 16 channels with 1.6 s of chunks of 100 ms.
    pub queue: usize,
    /// Told how long each sync took.
    pub synced: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { root, keys, sync_every, queue, synced: _ } = self;
        let mut fields = f.debug_struct("Settings");
        fields.field("root", root).field("keys", keys).field("sync_every", sync_every).field("queue", queue).finish()
    }
}

impl Settings {
    /// The defaults, with journals under `root`, sealed with `keys`.
    #[must_use]
    pub fn under(root: PathBuf, keys: Arc<KeyStore>) -> Self {
        Self { root, keys, sync_every: Duration::from_millis(100), queue: 256, synced: Arc::new(|_| {}) }
    }
}

pub(super) type Key = (HearingId, ChannelId);
pub(super) type Reply<T> = oneshot::Sender<Result<T, MediaError>>;

/// What the thread is asked to do.
pub(super) enum Command {
    Open(Opening, Reply<Opened>),
    /// To a channel that is open.
    Channel(Key, Request),
    Stop(oneshot::Sender<()>),
}

/// What is asked of one channel.
pub(super) enum Request {
    Append(SamplePos, IntervalClass, Vec<u8>, Reply<SamplePos>),
    Skip(SamplePos, SamplePos, Absence, Reply<SamplePos>),
    Sync(Reply<SamplePos>),
    Destroy(Span, Reply<Vec<Span>>),
    Close(Reply<SamplePos>),
}

pub(super) struct Opened {
    pub(super) durable: watch::Receiver<SamplePos>,
    pub(super) cut: Option<TailCut>,
}

/// The room on the file system of the journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this service may still write.
    pub free: u64,
    /// Bytes that it has.
    pub total: u64,
}

/// The audio journal of the service.
#[derive(Debug)]
pub struct AudioJournal {
    root: PathBuf,
    keys: Arc<KeyStore>,
    queue: mpsc::Sender<Command>,
}

impl AudioJournal {
    /// Starts the thread `audio-journal`. It ends with [`AudioJournal::stop`], or when this and every channel are dropped.
    ///
    /// # Errors
    /// [`MediaError::Io`] if the system gives no thread.
    pub fn start(settings: Settings) -> Result<Self, MediaError> {
        let fail = |e| MediaError::Io { path: settings.root.clone(), action: "start the journal of", source: e };
        let runtime = super::worker::runtime().map_err(fail)?;
        let (queue, commands) = mpsc::channel(settings.queue.max(1));
        let (root, folder, keys) = (settings.root.clone(), settings.root.clone(), Arc::clone(&settings.keys));
        thread::Builder::new()
            .name("audio-journal".into())
            .spawn(move || runtime.block_on(Worker::new(settings).run(commands)))
            .map_err(|e| MediaError::Io { path: root, action: "start the journal of", source: e })?;
        Ok(Self { root: folder, keys, queue })
    }

    /// Where the journal of a channel lies.
    #[must_use]
    pub fn path(&self, hearing: HearingId, channel: ChannelId) -> PathBuf {
        journal_path(&self.root, hearing, channel)
    }

    /// What is needed to read the journal of a channel.
    #[must_use]
    pub fn place(&self, hearing: HearingId, channel: ChannelId) -> JournalPlace {
        JournalPlace { path: self.path(hearing, channel), keys: Arc::clone(&self.keys) }
    }

    /// The room on the file system of the journals.
    ///
    /// # Errors
    /// What the system said.
    pub fn room(&self) -> Result<Room, MediaError> {
        // The folder is made with the first journal.
        let folder = self.root.ancestors().find(|folder| folder.exists()).unwrap_or(&self.root);
        let found = rustix::fs::statvfs(folder).map_err(|e| MediaError::of(folder, "measure the room of", e.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Room { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    /// The keys that samples are sealed with.
    #[must_use]
    pub const fn keys(&self) -> &Arc<KeyStore> {
        &self.keys
    }

    /// Opens a channel's journal, or makes it; verifies and recovers an existing one (see
    /// [`super::writer::JournalWriter::open`]), which takes about a second per gigabyte. Other channels go on meanwhile.
    ///
    /// # Errors
    /// As [`super::writer::JournalWriter::open`]; [`MediaError::Stopped`].
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
    /// Appends samples (see [`super::writer::JournalWriter::append`]). When it returns they are written, so that the recogniser may have
    /// them; they are safe, and may be acknowledged, once [`ChannelJournal::durable`] has reached the position it gives.
    ///
    /// If the caller goes away while it waits, the samples are written or not; the journal knows.
    ///
    /// # Errors
    /// As [`super::writer::JournalWriter::append`]; [`MediaError::Stopped`].
    pub async fn append(
        &self,
        first_sample: SamplePos,
        class: IntervalClass,
        bytes: Vec<u8>,
    ) -> Result<SamplePos, MediaError> {
        self.ask(|reply| Request::Append(first_sample, class, bytes, reply)).await
    }

    /// Notes that nothing is stored from `first` up to `to`, and why (see [`super::writer::JournalWriter::skip`]). The position is then
    /// `to`, and is durable as that of samples is.
    ///
    /// # Errors
    /// As [`super::writer::JournalWriter::skip`]; [`MediaError::Stopped`].
    pub async fn skip(&self, first: SamplePos, to: SamplePos, why: Absence) -> Result<SamplePos, MediaError> {
        self.ask(|reply| Request::Skip(first, to, why, reply)).await
    }

    /// How far the samples are on disk. Ends (the sender is dropped) when the channel is closed or its disk failed; what the disk
    /// said then is the answer to every later call.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<SamplePos> {
        self.durable.clone()
    }

    /// Syncs now. Gives the position through which the samples are safe.
    ///
    /// # Errors
    /// As [`super::writer::JournalWriter::sync`]; [`MediaError::Stopped`].
    pub async fn sync(&self) -> Result<SamplePos, MediaError> {
        self.ask(Request::Sync).await
    }

    /// Makes every stored sample of `span` unreadable for ever (see [`super::writer::JournalWriter::destroy`]). When it returns
    /// that is on disk, and no reader gives any of it any more. Gives the spans of what was there.
    ///
    /// If the caller goes away while it waits, the order is carried out all the same.
    ///
    /// # Errors
    /// As [`super::writer::JournalWriter::destroy`]; [`MediaError::Stopped`].
    pub async fn destroy(&self, span: Span) -> Result<Vec<Span>, MediaError> {
        self.ask(|reply| Request::Destroy(span, reply)).await
    }

    /// Closes the file. Gives the position after the last sample. It can be opened again.
    ///
    /// # Errors
    /// As [`super::writer::JournalWriter::close`]; [`MediaError::Stopped`].
    pub async fn close(self) -> Result<SamplePos, MediaError> {
        self.ask(Request::Close).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, MediaError> {
        let (reply, answer) = oneshot::channel();
        send(&self.queue, Command::Channel(self.key, request(reply))).await?;
        answer.await.map_err(|_gone| MediaError::Stopped)?
    }
}

async fn send(queue: &mpsc::Sender<Command>, command: Command) -> Result<(), MediaError> {
    queue.send(command).await.map_err(|_gone| MediaError::Stopped)
}
