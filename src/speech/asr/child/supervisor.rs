//! The recogniser whose decoders are processes: starts them, tries a window anew where one is lost, and does not spin where
//! none can be started.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    ChildSettings, Loss, LossObserver,
    process::Process,
    protocol::{Hello, VERSION},
};
use crate::{
    domain::{engine::EngineInfo, hypothesis::Hypothesis},
    speech::asr::{AsrError, CancelFlag, DecodeRequest, Decoder, KnownLanguages, MAX_WINDOW, Pass, Recognizer},
};

/// An engine whose decoders are processes of their own, one each.
#[derive(Debug)]
pub struct ChildRecognizer {
    shared: Arc<Shared>,
    /// The process that told what the engine is; the first decoder takes it over.
    first: Mutex<Option<Process>>,
}

struct Shared {
    settings: ChildSettings,
    hello: Hello,
    observer: LossObserver,
    running: Mutex<BTreeSet<u32>>,
    /// No process is wanted any more.
    given_up: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ChildRecognizer {
    /// Starts the first process and waits until it says what it is. Each later one must be the same: weights that were
    /// exchanged meanwhile are refused.
    ///
    /// The thread that calls should live as long as the recogniser: the system ends a process with the thread that started
    /// it, which then costs a restart.
    ///
    /// # Errors
    /// [`AsrError::ProcessNotStarted`]; the process itself logs why.
    pub fn start(settings: ChildSettings, observer: LossObserver) -> Result<Self, AsrError> {
        let failed = |last: Loss| AsrError::ProcessNotStarted { starts: 1, last: last.to_string() };
        let mut first = spawn(&settings).map_err(failed)?;
        let hello =
            first.greet(&settings.patience, &CancelFlag::default()).map_err(failed)?.ok_or(AsrError::Cancelled)?;
        tracing::info!(pid = first.id(), load_ms = millis(&first), "an engine's process is ready");
        let running = Mutex::new(BTreeSet::from([first.id()]));
        let shared = Arc::new(Shared { settings, hello, observer, running, given_up: AtomicBool::new(false) });
        Ok(Self { shared, first: Mutex::new(Some(first)) })
    }

    /// The processes that live now, by their numbers in the system.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.shared.running().iter().copied().collect()
    }
}

impl Recognizer for ChildRecognizer {
    fn info(&self, pass: Pass) -> &EngineInfo {
        match pass {
            Pass::Partial => &self.shared.hello.partial,
            Pass::Final => &self.shared.hello.last,
        }
    }

    fn languages(&self) -> &KnownLanguages {
        &self.shared.hello.languages
    }

    fn give_up(&self) {
        self.shared.given_up.store(true, Ordering::SeqCst);
        // Each is in the list until somebody is about to wait for its end: the system gives its number to no other before.
        for pid in self.shared.running().iter() {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
            let killed = pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok());
            tracing::debug!(killed, "an engine's process is given up");
        }
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, AsrError> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut decoder = ChildDecoder { shared: Arc::clone(&self.shared), process: first, starts_in_vain: 0 };
        // It loads while the thread waits for work. Where it cannot be started, the first decode tries again and tells.
        decoder.start_ahead();
        Ok(Box::new(decoder))
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(settings: &ChildSettings) -> Result<Process, Loss> {
    Process::start(settings).map_err(|error| {
        tracing::error!(%error, program = %settings.program.display(), "an engine's process could not be started");
        Loss::NotStarted
    })
}

fn millis(process: &Process) -> u64 {
    u64::try_from(process.age().as_millis()).unwrap_or(u64::MAX)
}

/// One process, and the next one where it is lost.
struct ChildDecoder {
    shared: Arc<Shared>,
    process: Option<Process>,
    /// Starts in a row that came to no hello.
    starts_in_vain: u32,
}

impl Drop for ChildDecoder {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Decoder for ChildDecoder {
    fn decode(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Hypothesis, AsrError> {
        let samples = request.samples.len();
        if samples == 0 || samples > MAX_WINDOW {
            return Err(AsrError::Window { samples });
        }
        let tries = match request.pass {
            Pass::Partial => 1,
            Pass::Final => self.shared.settings.tries,
        };
        let mut lost = 0;
        loop {
            let shared = Arc::clone(&self.shared);
            let process = self.ready(request.pass, cancel)?;
            let loss = match process.decode(request, &shared.settings.patience, cancel) {
                Ok(outcome) => return outcome,
                Err(loss) => loss,
            };
            self.lost(loss);
            lost += 1;
            if lost < tries && !cancel.is_cancelled() {
                continue;
            }
            // The next decode finds it loaded.
            self.start_ahead();
            return Err(if cancel.is_cancelled() {
                AsrError::Cancelled
            } else {
                AsrError::ProcessLost { tries, last: loss.to_string() }
            });
        }
    }
}

impl ChildDecoder {
    /// A process that has said what it is. Starts one where there is none, again and again with longer and longer pauses.
    fn ready(&mut self, pass: Pass, cancel: &CancelFlag) -> Result<&mut Process, AsrError> {
        loop {
            let loss = match self.greeted(pass, cancel)? {
                Ok(()) => break,
                Err(loss) => loss,
            };
            self.lost(loss);
            self.starts_in_vain += 1;
            let starts = self.starts_in_vain;
            if starts == self.shared.settings.starts {
                tracing::error!(
                    model = %self.shared.settings.model,
                    "the engine's process does not start: nothing said becomes text until it does; its lines above say why"
                );
            }
            if cancel.is_cancelled() {
                return Err(AsrError::Cancelled);
            }
            if pass == Pass::Partial || starts >= self.shared.settings.starts {
                return Err(AsrError::ProcessNotStarted { starts, last: loss.to_string() });
            }
        }
        self.starts_in_vain = 0;
        self.process.as_mut().ok_or(AsrError::WorkerGone)
    }

    /// Brings one process to its hello.
    fn greeted(&mut self, pass: Pass, cancel: &CancelFlag) -> Result<Result<(), Loss>, AsrError> {
        if self.process.is_none() {
            self.pause(pass, cancel)?;
            if let Err(loss) = self.start() {
                return Ok(Err(loss));
            }
        }
        let shared = Arc::clone(&self.shared);
        let Some(process) = self.process.as_mut() else { return Ok(Err(Loss::NotStarted)) };
        if process.is_greeted() {
            return Ok(Ok(()));
        }
        let hello = match process.greet(&shared.settings.patience, cancel) {
            Ok(Some(hello)) => hello,
            Ok(None) => return Err(AsrError::Cancelled),
            Err(loss) => return Ok(Err(loss)),
        };
        if hello != shared.hello {
            tracing::error!(
                version = VERSION,
                first.sha256 = %shared.hello.last.model_sha256,
                found.sha256 = %hello.last.model_sha256,
                "a new engine's process is not the engine that the service began with: put the model back, or restart it"
            );
            return Ok(Err(Loss::Broken));
        }
        tracing::info!(pid = process.id(), load_ms = millis(process), "an engine's process is ready");
        Ok(Ok(()))
    }

    /// Waits before the next start where the last ones came to nothing. A window for display does not wait.
    fn pause(&self, pass: Pass, cancel: &CancelFlag) -> Result<(), AsrError> {
        let Some(doublings) = self.starts_in_vain.checked_sub(1) else { return Ok(()) };
        let patience = &self.shared.settings.patience;
        let factor = 2_u32.saturating_pow(doublings);
        let pause = patience.pause.saturating_mul(factor).min(patience.longest_pause);
        match pass {
            Pass::Partial => Err(AsrError::Cancelled),
            Pass::Final if cancel.wait(pause) => Err(AsrError::Cancelled),
            Pass::Final => Ok(()),
        }
    }

    fn start(&mut self) -> Result<(), Loss> {
        let process = spawn(&self.shared.settings)?;
        self.shared.running().insert(process.id());
        self.process = Some(process);
        if self.shared.given_up.load(Ordering::SeqCst) {
            // Also where that came between: it was not in the list yet.
            self.forget();
            return Err(Loss::NotStarted);
        }
        Ok(())
    }

    /// Starts a process so that it loads while nothing is asked. After starts in vain it is left to the next decode, which
    /// keeps the pauses.
    fn start_ahead(&mut self) {
        if self.process.is_none() && self.starts_in_vain == 0 && self.start().is_err() {
            self.starts_in_vain = 1;
        }
    }

    fn lost(&mut self, loss: Loss) {
        let pid = self.forget();
        tracing::warn!(pid, reason = %loss, "an engine's process was lost; another one takes its place");
        (self.shared.observer)(loss);
    }

    /// Ends the process, if there is one.
    fn forget(&mut self) -> Option<u32> {
        let process = self.process.take()?;
        let pid = process.id();
        self.shared.running().remove(&pid);
        drop(process);
        Some(pid)
    }
}

#[cfg(test)]
mod tests;
