//! The threads that decode, and what they decode next: what is due first (`schedule`). A partial that waits is replaced by
//! the next of its channel and dropped when its utterance ended or it is too old, since stale text is worth nothing.

mod schedule;
mod slots;

use std::{
    fmt, panic,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use self::schedule::{Next, Schedule};
pub use self::{schedule::Urgency, slots::Slots};
use super::{AsrError, CancelFlag, DecodeRequest, Decoder, Lead, Pass, Recognizer};
use crate::domain::{hypothesis::Hypothesis, language::AllowedLanguages, time::Tick};

/// What is called with the outcome of a job, on the worker's thread: it must be short.
pub type Reply = Box<dyn FnOnce(Result<Hypothesis, AsrError>) + Send>;

/// Told of each decode what it was for, how long it waited and how long it took.
pub type Observer = Arc<dyn Fn(Pass, Duration, Duration) + Send + Sync>;

/// One window to decode, with all that travels to the worker.
pub struct Job {
    /// Which stream of windows it belongs to: a newer partial replaces a waiting one of the same stream.
    pub stream: u64,
    /// 16 kHz mono.
    pub samples: Vec<f32>,
    /// Where the first sample stands in its channel.
    pub start: Tick,
    /// What may be spoken.
    pub languages: AllowedLanguages,
    /// What it is for.
    pub pass: Pass,
    /// What is known of it.
    pub lead: Lead,
    /// How soon it is due.
    pub urgency: Urgency,
    /// Raised when nobody wants the answer any more.
    pub cancel: CancelFlag,
    /// Where the answer goes. A partial that was replaced or is too old is answered with [`AsrError::Cancelled`].
    pub reply: Reply,
    /// The tracing span of the hearing, entered while decoding.
    pub span: tracing::Span,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("stream", &self.stream).field("pass", &self.pass).finish_non_exhaustive()
    }
}

/// Something else that takes a decode's time, on the thread of a worker.
pub type Errand = Box<dyn FnOnce() + Send>;

/// What a worker can be asked.
enum Work {
    Decode(Box<Job>),
    /// For as long as it runs, the worker decodes nothing.
    Errand(Errand, CancelFlag),
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(job) => job.fmt(f),
            Self::Errand(..) => f.write_str("Errand"),
        }
    }
}

impl Work {
    fn is_unwanted(&self) -> bool {
        match self {
            Self::Decode(job) => job.cancel.is_cancelled(),
            Self::Errand(_, cancel) => cancel.is_cancelled(),
        }
    }

    /// Whether it leaves the threads that are idle to what waits: so many texts, so many partials. A text goes before a partial, and
    /// is worth all of them to a channel that is alone.
    fn shares(&self, (texts, partials): (usize, usize)) -> bool {
        match self {
            Self::Decode(job) if job.pass == Pass::Final => texts > 0 || partials > 1,
            Self::Decode(_) => texts > 0 || partials > 0,
            Self::Errand(..) => true,
        }
    }

    /// It is not done: whoever waits is told, and an errand is dropped.
    fn refuse(self, why: AsrError) {
        match self {
            Self::Decode(job) => (job.reply)(Err(why)),
            Self::Errand(errand, _) => drop(errand),
        }
    }
}

/// How full the pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Finals that wait, those of files too.
    pub finals: usize,
    /// Partials that wait.
    pub partials: usize,
}

/// A fixed number of decoding threads over one recogniser.
///
/// The queue needs no bound of its own: each channel has at most one partial and [`crate::speech::stream`]'s pending
/// finals in it, and a channel stops reading audio while its finals wait.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    slots: Slots,
    observer: Observer,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("queue", &self.queue).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Schedule<Work>,
    /// Threads that workers have taken.
    taken: usize,
    stopping: bool,
}

impl Pool {
    /// Starts threads named `asr-N`, one for each of `slots.workers`, each with a decoder of its own.
    ///
    /// # Errors
    /// [`AsrError::OutOfMemory`] where a thread or a decoder cannot be made.
    pub fn start(recognizer: &Arc<dyn Recognizer>, slots: Slots, observer: Observer) -> Result<Self, AsrError> {
        let shared = Arc::new(Shared { queue: Mutex::new(Queue::default()), wake: Condvar::new(), slots, observer });
        let mut pool = Self { shared, workers: Vec::with_capacity(slots.workers) };
        for number in 0..slots.workers.max(1) {
            let (shared, recognizer) = (Arc::clone(&pool.shared), Arc::clone(recognizer));
            let model = recognizer.info(Pass::Final).model.clone();
            let worker = thread::Builder::new()
                .name(format!("asr-{number}"))
                .spawn(move || work(&shared, &recognizer))
                .map_err(|_source| AsrError::OutOfMemory { model })?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Hands a job in. Returns at once.
    pub fn submit(&self, job: Job) {
        self.push((job.stream, job.urgency), Work::Decode(Box::new(job)));
    }

    /// Has a worker run `errand` in the place of a decode of `stream`, when it is the next that is due: an engine that is not the
    /// pool's decodes in it, so that no more decodes run than there are slots. It is dropped where `cancel` is raised before, or
    /// the pool stops.
    pub fn lend(&self, stream: u64, urgency: Urgency, cancel: CancelFlag, errand: Errand) {
        self.push((stream, urgency), Work::Errand(errand, cancel));
    }

    fn push(&self, (stream, urgency): (u64, Urgency), work: Work) {
        let mut queue = self.shared.lock();
        if queue.stopping {
            drop(queue);
            work.refuse(AsrError::WorkerGone);
            return;
        }
        let replaced = queue.jobs.push(stream, urgency, Instant::now(), work);
        drop(queue);
        self.shared.wake.notify_one();
        if let Some(stale) = replaced {
            stale.refuse(AsrError::Cancelled);
        }
    }

    /// How many jobs wait.
    #[must_use]
    pub fn depth(&self) -> Depth {
        let (finals, partials) = self.shared.lock().jobs.lengths();
        Depth { finals, partials }
    }

    /// How many threads decode.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }
}

impl Drop for Pool {
    /// Answers what waits with [`AsrError::WorkerGone`] and joins the threads; a running decode is waited for.
    fn drop(&mut self) {
        let left = {
            let mut queue = self.shared.lock();
            queue.stopping = true;
            queue.jobs.clear()
        };
        self.shared.wake.notify_all();
        for work in left {
            work.refuse(AsrError::WorkerGone);
        }
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a decoding thread panicked outside of a decode");
            }
        }
    }
}

impl Shared {
    /// Threads of a decode that is over.
    fn give_back(&self, threads: usize) {
        self.lock().taken -= threads;
        // More than one may have waited for them.
        self.wake.notify_all();
    }

    /// A worker that panicked inside a decode never holds the lock, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be done next, how long it waited and how many threads it has; `None` when the pool stops. What nobody wants any
    /// more is answered on the way.
    fn next(&self) -> Option<(Work, Duration, usize)> {
        let mut queue = self.lock();
        loop {
            if queue.stopping {
                return None;
            }
            if self.slots.share(queue.taken, true).is_none() {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            match queue.jobs.next(Instant::now(), Work::is_unwanted) {
                Some(Next::Decode(work, waited)) => {
                    let threads = self.slots.share(queue.taken, work.shares(queue.jobs.lengths()));
                    let threads = threads.unwrap_or(self.slots.threads);
                    queue.taken += threads;
                    return Some((work, waited, threads));
                }
                Some(Next::Drop(work)) => {
                    drop(queue);
                    work.refuse(AsrError::Cancelled);
                    queue = self.lock();
                }
                None => queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn work(shared: &Shared, recognizer: &Arc<dyn Recognizer>) {
    // Made before there is work, so that the first utterance does not wait for it. Where that fails, the first job makes
    // it and is told.
    let mut decoder: Option<Box<dyn Decoder>> =
        panic::catch_unwind(panic::AssertUnwindSafe(|| recognizer.decoder().ok())).unwrap_or(None);
    while let Some((work, waited, threads)) = shared.next() {
        let job = match work {
            Work::Decode(job) => job,
            Work::Errand(errand, _) => {
                if panic::catch_unwind(panic::AssertUnwindSafe(errand)).is_err() {
                    tracing::error!("an errand of a decoding thread panicked");
                }
                shared.give_back(threads);
                continue;
            }
        };
        let _entered = job.span.clone().entered();
        let started = Instant::now();
        let outcome = decode(&mut decoder, recognizer, &job, threads);
        shared.give_back(threads);
        (shared.observer)(job.pass, waited, started.elapsed());
        if matches!(outcome, Err(AsrError::WorkerPanicked)) {
            tracing::error!("decoding panicked; the worker goes on with a fresh decoder");
            decoder = None;
        }
        (job.reply)(outcome);
    }
}

/// Decodes one job; a panic inside costs that job alone.
fn decode(
    decoder: &mut Option<Box<dyn Decoder>>,
    recognizer: &Arc<dyn Recognizer>,
    job: &Job,
    threads: usize,
) -> Result<Hypothesis, AsrError> {
    let request = DecodeRequest {
        samples: &job.samples,
        start: job.start,
        languages: &job.languages,
        pass: job.pass,
        lead: &job.lead,
        threads: u8::try_from(threads).unwrap_or(u8::MAX),
    };
    panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let decoder = match decoder {
            Some(decoder) => decoder,
            None => decoder.insert(recognizer.decoder()?),
        };
        decoder.decode(&request, &job.cancel)
    }))
    .unwrap_or(Err(AsrError::WorkerPanicked))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;
    use crate::speech::asr::scripted::Scripted;

    type Outcome = (u64, Result<Hypothesis, AsrError>);

    fn job(stream: u64, pass: Pass, reply: &std::sync::mpsc::SyncSender<Outcome>) -> Job {
        let reply = reply.clone();
        Job {
            stream,
            samples: vec![0.5; 16_000],
            start: Tick::ZERO,
            languages: AllowedLanguages::only("en".parse().unwrap()),
            pass,
            lead: Lead::default(),
            urgency: match pass {
                Pass::Final => Urgency::Live,
                Pass::Partial => Urgency::Shown { step: Duration::from_secs(600) },
            },
            cancel: CancelFlag::default(),
            reply: Box::new(move |outcome| reply.send((stream, outcome)).unwrap()),
            span: tracing::Span::none(),
        }
    }

    fn scripted() -> Arc<dyn Recognizer> {
        Arc::new(Scripted::new(&["low", "high"]))
    }

    /// A recogniser whose first decoder panics and whose decodes wait for a token.
    #[derive(Debug)]
    struct Gated {
        inner: Scripted,
        gate: Arc<Mutex<Receiver<bool>>>,
    }

    struct GatedDecoder {
        inner: Box<dyn Decoder>,
        gate: Arc<Mutex<Receiver<bool>>>,
    }

    impl Recognizer for Gated {
        fn info(&self, pass: Pass) -> &crate::domain::engine::EngineInfo {
            self.inner.info(pass)
        }
        fn languages(&self) -> &crate::speech::asr::KnownLanguages {
            self.inner.languages()
        }
        fn decoder(&self) -> Result<Box<dyn Decoder>, AsrError> {
            Ok(Box::new(GatedDecoder { inner: self.inner.decoder()?, gate: Arc::clone(&self.gate) }))
        }
    }

    impl Decoder for GatedDecoder {
        fn decode(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Hypothesis, AsrError> {
            let sound = self.gate.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap();
            assert!(sound, "asked to panic");
            self.inner.decode(request, cancel)
        }
    }

    #[test]
    fn a_panic_costs_one_job_and_finals_overtake_partials_of_which_the_newest_stays() {
        let (open, gate) = sync_channel(8);
        let recognizer: Arc<dyn Recognizer> =
            Arc::new(Gated { inner: Scripted::new(&["a"]), gate: Arc::new(Mutex::new(gate)) });
        let pool = Pool::start(&recognizer, Slots::of(1, 1), Arc::new(|_, _, _| {})).unwrap();
        let (reply, replies) = sync_channel(8);
        pool.submit(job(1, Pass::Final, &reply));
        while pool.depth().finals > 0 {
            thread::yield_now();
        }
        // The worker now waits at the gate with job 1.
        pool.submit(job(2, Pass::Partial, &reply));
        pool.submit(job(2, Pass::Partial, &reply));
        pool.submit(job(3, Pass::Final, &reply));
        assert_eq!(pool.depth(), Depth { finals: 1, partials: 1 });
        assert!(matches!(replies.recv().unwrap(), (2, Err(AsrError::Cancelled))));
        for sound in [false, true, true] {
            open.send(sound).unwrap();
        }
        assert!(matches!(replies.recv().unwrap(), (1, Err(AsrError::WorkerPanicked))));
        assert!(matches!(replies.recv().unwrap(), (3, Ok(_))));
        assert!(matches!(replies.recv().unwrap(), (2, Ok(_))));
    }

    #[test]
    fn a_partial_whose_utterance_ended_is_never_decoded() {
        let (open, gate) = sync_channel(8);
        let recognizer: Arc<dyn Recognizer> =
            Arc::new(Gated { inner: Scripted::new(&["a"]), gate: Arc::new(Mutex::new(gate)) });
        let pool = Pool::start(&recognizer, Slots::of(1, 1), Arc::new(|_, _, _| {})).unwrap();
        let (reply, replies) = sync_channel(8);
        pool.submit(job(1, Pass::Final, &reply));
        while pool.depth().finals > 0 {
            thread::yield_now();
        }
        let partial = job(2, Pass::Partial, &reply);
        partial.cancel.cancel();
        pool.submit(partial);
        pool.submit(job(3, Pass::Final, &reply));
        // Two decodes are let through: a third would wait for ever.
        open.send(true).unwrap();
        assert!(matches!(replies.recv().unwrap(), (1, Ok(_))));
        assert!(matches!(replies.recv().unwrap(), (2, Err(AsrError::Cancelled))));
        open.send(true).unwrap();
        assert!(matches!(replies.recv().unwrap(), (3, Ok(_))));
    }

    #[test]
    fn an_errand_takes_a_slot_and_one_that_nobody_wants_is_dropped() {
        let pool = Pool::start(&scripted(), Slots::default(), Arc::new(|_, _, _| {})).unwrap();
        let (tell, told) = sync_channel(8);
        let (go, wait) = sync_channel::<()>(0);
        let (reply, replies) = sync_channel(8);
        let lend = |what: &'static str, cancel: &CancelFlag, wait: Option<Receiver<()>>| {
            let tell = tell.clone();
            let errand = move || {
                tell.send(what).unwrap();
                // It goes on when it is let, or whoever could let it is gone.
                let _let = wait.map(|wait| wait.recv());
            };
            pool.lend(9, Urgency::Late, cancel.clone(), Box::new(errand));
        };
        lend("first", &CancelFlag::default(), Some(wait));
        assert_eq!(told.recv(), Ok("first"));
        let unwanted = CancelFlag::default();
        unwanted.cancel();
        lend("unwanted", &unwanted, None);
        lend("last", &CancelFlag::default(), None);
        pool.submit(job(1, Pass::Final, &reply));
        assert!(replies.try_recv().is_err(), "the one slot is taken");
        go.send(()).unwrap();
        assert!(matches!(replies.recv().unwrap(), (1, Ok(_))), "a final that is due is before what is late");
        assert_eq!(told.recv(), Ok("last"));
        drop(pool);
    }

    #[test]
    fn a_text_shares_with_texts_and_with_partials_of_several_channels() {
        let (reply, _replies) = sync_channel(1);
        let shares = |pass, waiting| Work::Decode(Box::new(job(1, pass, &reply))).shares(waiting);
        assert_eq!([(0, 0), (0, 1), (0, 2), (1, 0)].map(|w| shares(Pass::Final, w)), [false, false, true, true]);
        assert_eq!([(0, 0), (0, 1), (0, 2), (1, 0)].map(|w| shares(Pass::Partial, w)), [false, true, true, true]);
        assert!(Work::Errand(Box::new(|| {}), CancelFlag::default()).shares((0, 0)));
    }

    #[test]
    fn a_stopped_pool_answers_everything_it_holds() {
        let (reply, replies) = sync_channel(64);
        let pool = Pool::start(&scripted(), Slots::of(2, 1), Arc::new(|_, _, _| {})).unwrap();
        for stream in 0..32 {
            pool.submit(job(stream, Pass::Final, &reply));
        }
        drop(pool);
        drop(reply);
        assert_eq!(replies.iter().count(), 32);
    }
}
