//! The thread `audio-journal`, and what it has done beside it.
//!
//! The thread writes; it never waits for the disk to sync. Every channel has at most one job beside the thread: a sync, during
//! which it is written on, or one that borrows its writer (opening, destroying, closing), during which what is asked of it
//! waits its turn.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io, mem,
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::Instant,
};

use super::{
    MediaError, TailCut, journal_path,
    pen::PendingSync,
    service::{Command, Key, Opened, Reply, Request, Settings},
    slot::{Slot, State, Waiting, tell},
    writer::{JournalWriter, Opening},
};
use crate::domain::{
    id::HearingId,
    time::{SamplePos, Span},
};

/// Threads that sync: the file system commits once for those that wait together.
const SYNC_THREADS: usize = 8;
/// Files that are verified or searched at a time: each keeps a core busy.
const SLOW_JOBS: usize = 2;

/// The runtime of the thread, with the threads that block for it.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_time()
        .thread_name("audio-disk")
        .max_blocking_threads(SYNC_THREADS + SLOW_JOBS)
        .build()
}

/// What was done beside the thread.
enum Done {
    Opened(Key, Result<(Box<JournalWriter>, Option<TailCut>), MediaError>, Reply<Opened>),
    Synced(Vec<(Key, PendingSync, io::Result<()>)>),
    Destroyed(Key, Box<JournalWriter>, Result<Vec<Span>, MediaError>, Reply<Vec<Span>>),
    Closed(Key, Result<SamplePos, MediaError>, Option<Reply<SamplePos>>),
    /// It panicked; what it had is gone.
    Lost(Vec<Key>),
}

pub(super) struct Worker {
    settings: Settings,
    slots: HashMap<Key, Slot>,
    jobs: JoinSet<Done>,
    slow: Arc<Semaphore>,
    /// When the oldest unsynced bytes must be synced.
    due: Option<Instant>,
}

impl Worker {
    pub(super) fn new(settings: Settings) -> Self {
        let slow = Arc::new(Semaphore::new(SLOW_JOBS));
        Self { settings, slots: HashMap::new(), jobs: JoinSet::new(), slow, due: None }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut stopped = None;
        while stopped.is_none() {
            let command = tokio::select! {
                biased;
                () = reached(self.due) => { self.sync_due(); continue }
                Some(done) = self.jobs.join_next() => { self.take(done); continue }
                command = commands.recv() => command,
            };
            match command {
                Some(Command::Open(opening, reply)) => self.open(opening, reply),
                Some(Command::Channel(key, request)) => self.ask(key, request),
                Some(Command::Stop(done)) => stopped = Some(Some(done)),
                None => stopped = Some(None),
            }
        }
        commands.close();
        while let Ok(late) = commands.try_recv() {
            match late {
                Command::Open(opening, reply) => self.open(opening, reply),
                Command::Channel(key, request) => self.ask(key, request),
                // A second one has nothing left to do.
                Command::Stop(_) => {}
            }
        }
        self.finish().await;
        // With it the files of keys are let go.
        drop(self);
        if let Some(Some(done)) = stopped {
            // Nobody waiting any more is fine.
            let _nobody = done.send(());
        }
    }

    /// Does what was asked, then closes every file.
    async fn finish(&mut self) {
        while let Some(done) = self.jobs.join_next().await {
            self.take(done);
        }
        for (key, slot) in mem::take(&mut self.slots) {
            if let State::Idle(writer) = slot.state {
                self.slots.insert(key, Slot { state: State::Away, ..slot });
                self.close(key, writer, None);
            }
        }
        while let Some(done) = self.jobs.join_next().await {
            self.take(done);
        }
    }

    fn open(&mut self, opening: Opening, reply: Reply<Opened>) {
        let key = (opening.hearing, opening.channel);
        let path = journal_path(&self.settings.root, opening.hearing, opening.channel);
        let (mut waiting, mut failed) = (VecDeque::new(), None);
        if let Some(slot) = self.slots.get_mut(&key) {
            match mem::replace(&mut slot.state, State::Away) {
                // A file whose disk failed makes way, and one that nobody holds any more: opening again is the remedy.
                State::Idle(writer) if !slot.is_held() => {
                    waiting = mem::take(&mut slot.waiting);
                    failed = writer.failed().then_some(writer);
                }
                State::Idle(writer) => {
                    slot.state = State::Idle(writer);
                    return drop(reply.send(Err(MediaError::AlreadyOpen { path })));
                }
                busy @ (State::Syncing(..) | State::Away) => {
                    slot.state = busy;
                    return slot.waiting.push_back(Waiting::Open(opening, reply));
                }
            }
        }
        self.slots.insert(key, Slot { state: State::Away, durable: None, waiting, oldest: None });
        let keys = Arc::clone(&self.settings.keys);
        self.slowly(key, move || {
            if let Some(Err(error)) = failed.map(|writer| writer.abandon()) {
                tracing::warn!(error = %error, "an audio journal whose disk failed could not be cut");
            }
            let opened = JournalWriter::open(&path, &opening, &keys);
            Done::Opened(key, opened.map(|(writer, cut)| (Box::new(writer), cut)), reply)
        });
    }

    fn ask(&mut self, key: Key, request: Request) {
        match self.slots.get_mut(&key) {
            // What writes may go on during a sync; all else waits for its end.
            Some(slot) if slot.waiting.is_empty() => match mem::replace(&mut slot.state, State::Away) {
                State::Idle(writer) => self.obey(key, writer, request),
                State::Syncing(mut writer, callers) => {
                    let left = slot.write(&mut writer, request);
                    slot.state = State::Syncing(writer, callers);
                    slot.waiting.extend(left.map(Waiting::Request));
                    self.mark_due(key);
                }
                State::Away => slot.waiting.push_back(Waiting::Request(request)),
            },
            Some(slot) => slot.waiting.push_back(Waiting::Request(request)),
            None => request.refuse(),
        }
    }

    /// Does what is asked of a channel that has nothing under way.
    fn obey(&mut self, key: Key, mut writer: Box<JournalWriter>, request: Request) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let left = slot.write(&mut writer, request);
        match left {
            Some(Request::Sync(reply)) => match writer.pending_sync() {
                Some(pending) => {
                    slot.oldest = None;
                    slot.state = State::Syncing(writer, vec![reply]);
                    return self.sync(vec![(key, pending)]);
                }
                None => drop(reply.send(writer.sync())),
            },
            Some(Request::Destroy(span, reply)) => {
                slot.oldest = None;
                return self.slowly(key, move || {
                    let destroyed = writer.destroy(span);
                    Done::Destroyed(key, writer, destroyed, reply)
                });
            }
            Some(Request::Close(reply)) => return self.close(key, writer, Some(reply)),
            Some(Request::Append(..) | Request::Skip(..)) | None => {}
        }
        slot.state = State::Idle(writer);
        self.mark_due(key);
    }

    fn close(&mut self, key: Key, writer: Box<JournalWriter>, reply: Option<Reply<SamplePos>>) {
        self.jobs.spawn(beside(key, move || Done::Closed(key, writer.close(), reply)));
    }

    /// The time by which `key` must be synced counts from its oldest bytes.
    fn mark_due(&mut self, key: Key) {
        let slot = self.slots.get(&key);
        let idle = slot.filter(|slot| matches!(slot.state, State::Idle(_)));
        if let Some(due) = idle.and_then(|slot| slot.oldest).map(|at| at + self.settings.sync_every) {
            self.due = Some(self.due.map_or(due, |before| before.min(due)));
        }
    }

    /// Begins a sync of every channel that has something to sync.
    fn sync_due(&mut self) {
        self.due = None;
        let mut pending = Vec::new();
        for (key, slot) in &mut self.slots {
            slot.state = match mem::replace(&mut slot.state, State::Away) {
                State::Idle(writer) => match writer.pending_sync() {
                    Some(sync) => {
                        slot.oldest = None;
                        pending.push((*key, sync));
                        State::Syncing(writer, Vec::new())
                    }
                    None => {
                        slot.oldest = None;
                        State::Idle(writer)
                    }
                },
                busy @ (State::Syncing(..) | State::Away) => busy,
            };
        }
        let share = pending.len().div_ceil(SYNC_THREADS).max(1);
        while !pending.is_empty() {
            let rest = pending.split_off(pending.len().min(share));
            self.sync(mem::replace(&mut pending, rest));
        }
    }

    /// Syncs files one after another beside the thread.
    fn sync(&mut self, pending: Vec<(Key, PendingSync)>) {
        let all: Vec<Key> = pending.iter().map(|(key, _)| *key).collect();
        let hearings: HashSet<HearingId> = all.iter().map(|(hearing, _)| *hearing).collect();
        let (store, synced) = (Arc::clone(&self.settings.keys), Arc::clone(&self.settings.synced));
        self.jobs.spawn(async move {
            let job = spawn_blocking(move || {
                let done = pending.into_iter().map(|(key, pending)| timed(key, pending, synced.as_ref())).collect();
                for hearing in hearings {
                    // Whoever needs a key draws it then, and is told what is wrong.
                    if let Err(error) = store.draw_ahead(hearing) {
                        tracing::debug!(error = %error, "no keys were drawn ahead");
                    }
                }
                done
            });
            job.await.map_or_else(|_panicked| Done::Lost(all), Done::Synced)
        });
    }

    /// Does a job that takes long beside the thread, a few of them at a time.
    fn slowly(&mut self, key: Key, job: impl FnOnce() -> Done + Send + 'static) {
        let slow = Arc::clone(&self.slow);
        self.jobs.spawn(async move {
            // Nobody closes it.
            let _turn = slow.acquire_owned().await;
            beside(key, job).await
        });
    }

    /// Takes in what was done beside the thread.
    fn take(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done.unwrap_or_else(|_panicked| Done::Lost(Vec::new())) {
            Done::Opened(key, Ok((writer, cut)), reply) => {
                let (durable, receiver) = watch::channel(writer.next_sample());
                if let Some(slot) = self.slots.get_mut(&key) {
                    slot.durable = Some(durable);
                }
                drop(reply.send(Ok(Opened { durable: receiver, cut })));
                self.resume(key, Some(writer));
            }
            Done::Opened(key, Err(error), reply) => {
                drop(reply.send(Err(error)));
                self.resume(key, None);
            }
            Done::Synced(all) => {
                all.into_iter().for_each(|(key, pending, outcome)| self.synced(key, &pending, outcome))
            }
            Done::Destroyed(key, writer, destroyed, reply) => {
                drop(reply.send(destroyed));
                self.resume(key, Some(writer));
            }
            Done::Closed(key, closed, reply) => {
                let durable = self.slots.get_mut(&key).and_then(|slot| slot.durable.take());
                match (&closed, durable) {
                    (Ok(end), Some(durable)) => tell(&durable, *end),
                    (Err(error), _) if reply.is_none() => {
                        tracing::error!(error = %error, "audio journal cannot be closed");
                    }
                    (Ok(_) | Err(_), _) => {}
                }
                if let Some(reply) = reply {
                    drop(reply.send(closed));
                }
                self.resume(key, None);
            }
            Done::Lost(keys) => {
                tracing::error!(channels = keys.len(), "a job of the audio journal panicked");
                keys.into_iter().for_each(|key| self.resume(key, None));
            }
        }
    }

    fn synced(&mut self, key: Key, pending: &PendingSync, outcome: io::Result<()>) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let State::Syncing(mut writer, callers) = mem::replace(&mut slot.state, State::Away) else { return };
        match writer.settle(pending, outcome) {
            Ok(safe) => {
                slot.durable.iter().for_each(|durable| tell(durable, safe));
                callers.into_iter().for_each(|caller| drop(caller.send(Ok(safe))));
            }
            Err(error) => {
                tracing::error!(error = %error, "audio journal cannot sync; the channel takes no more audio");
                callers.into_iter().for_each(|caller| drop(caller.send(writer.sync())));
            }
        }
        self.resume(key, Some(writer));
    }

    /// Puts a writer back that was away, or lets its channel go, and does what was asked meanwhile.
    fn resume(&mut self, key: Key, writer: Option<Box<JournalWriter>>) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if let Some(writer) = writer {
            if writer.failed() {
                // Whoever watches learns of it; what the disk said is told to every later caller.
                slot.durable = None;
            } else if !writer.dirty() {
                slot.durable.iter().for_each(|durable| tell(durable, writer.next_sample()));
            }
            slot.state = State::Idle(writer);
            self.mark_due(key);
            self.catch_up(key);
        } else if let Some(slot) = self.slots.remove(&key) {
            for waiting in slot.waiting {
                match waiting {
                    Waiting::Open(opening, reply) => self.open(opening, reply),
                    Waiting::Request(request) => self.ask(key, request),
                }
            }
        }
    }

    /// Does what waits for a channel, as far as nothing is under way again.
    fn catch_up(&mut self, key: Key) {
        while let Some(slot) = self.slots.get_mut(&key) {
            if !matches!(slot.state, State::Idle(_)) {
                return;
            }
            let Some(next) = slot.waiting.pop_front() else { return };
            match next {
                Waiting::Open(opening, reply) => self.open(opening, reply),
                Waiting::Request(request) => {
                    if let State::Idle(writer) = mem::replace(&mut slot.state, State::Away) {
                        self.obey(key, writer, request);
                    }
                }
            }
        }
    }
}

/// Does `job` on a thread that may block.
async fn beside(key: Key, job: impl FnOnce() -> Done + Send + 'static) -> Done {
    spawn_blocking(job).await.unwrap_or_else(|_panicked| Done::Lost(vec![key]))
}

fn timed(key: Key, pending: PendingSync, synced: &dyn Fn(Duration)) -> (Key, PendingSync, io::Result<()>) {
    let began = Instant::now();
    let outcome = pending.run();
    synced(began.elapsed());
    (key, pending, outcome)
}

/// Waits until `due`; for ever where there is no such time.
async fn reached(due: Option<Instant>) {
    match due {
        // When the next sync is due: the product's promise of how soon audio is on the disk.
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
