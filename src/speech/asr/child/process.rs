//! One engine process as its decoder sees it: started, asked, watched, ended. All on the decoder's thread.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    ChildSettings, Loss, Patience,
    protocol::{Answer, Hello, Inbox, Request, VERSION, encode},
};
use crate::{
    domain::{hypothesis::Hypothesis, time::TickSpan},
    speech::asr::{AsrError, CancelFlag, DecodeRequest, SECOND},
};

/// How often a wait looks at the wish to give up.
const SLICE: Duration = Duration::from_millis(50);

/// Bytes read at a time; an answer is seldom longer.
const PIECE: usize = 1 << 16;

/// A process and the pipes to it. Dropping it kills and reaps it: nothing that it holds is worth waiting for.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    inbox: Inbox,
    /// The last request's number.
    asked: u64,
    started: Instant,
    greeted: bool,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _reaped = self.end();
    }
}

impl Process {
    /// Starts one. It loads its weights meanwhile and then says [`Hello`].
    pub(super) fn start(settings: &ChildSettings) -> io::Result<Self> {
        let mut command = Command::new(&settings.program);
        command.args(&settings.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        // The engine's threads sleep while they wait for each other: one that spins keeps a core from whom it waits for. It has
        // to be there before the process begins.
        command.env("OMP_WAIT_POLICY", "passive");
        // What is freed goes back to the system: the engine's buffers are large and few, and those of its weights' file are read
        // once. Left to itself, the C library raises its threshold with each that is freed and keeps them all.
        command.env("MALLOC_MMAP_THRESHOLD_", "262144").env("MALLOC_ARENA_MAX", "2");
        command.env("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0");
        // A group of its own: Ctrl-C at a terminal is meant for the service, which gives what was said its text first.
        let mut child = command.process_group(0).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let process =
            Self { child, input, output, inbox: Inbox::default(), asked: 0, started: Instant::now(), greeted: false };
        // From here on dropping it ends it.
        rustix::io::ioctl_fionbio(&process.input, true)?;
        rustix::io::ioctl_fionbio(&process.output, true)?;
        Ok(process)
    }

    /// Its number in the system.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has said [`Hello`].
    pub(super) const fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// How long ago it was started.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for its [`Hello`]. `None` where `cancel` was raised; it goes on loading then and can be waited for again.
    pub(super) fn greet(&mut self, patience: &Patience, cancel: &CancelFlag) -> Result<Option<Hello>, Loss> {
        let deadline = self.started + patience.start;
        // Loading waits for the disk: the clock alone counts.
        let mut watch = Watch { still_for: None, ..Watch::new(deadline, patience, cancel) };
        match self.exchange(&[], &mut watch)? {
            None => Ok(None),
            Some(Answer::Hello(hello)) if hello.version == VERSION => {
                self.greeted = true;
                Ok(Some(*hello))
            }
            Some(Answer::Hello(_) | Answer::Done { .. }) => Err(self.broken("its hello is none of this version")),
        }
    }

    /// Has it decode a window.
    pub(super) fn decode(
        &mut self,
        request: &DecodeRequest<'_>,
        patience: &Patience,
        cancel: &CancelFlag,
    ) -> Result<Result<Hypothesis, AsrError>, Loss> {
        self.asked += 1;
        let asked = Request::Decode {
            id: self.asked,
            start: request.start,
            languages: request.languages.clone(),
            pass: request.pass,
            lead: Box::new(request.lead.clone()),
            threads: request.threads,
        };
        let Ok(frame) = encode(&asked, request.samples) else { return Err(self.broken("a window that fits no frame")) };
        let length = Duration::from_millis((request.samples.len() / (SECOND / 1_000)) as u64);
        let deadline = Instant::now() + patience.decode + length * patience.times;
        let mut watch = Watch::new(deadline, patience, cancel);
        match self.exchange(&frame, &mut watch)? {
            None => Ok(Err(AsrError::Cancelled)),
            Some(Answer::Done { id, outcome: Ok(heard) })
                if id == self.asked
                    && heard.covers(TickSpan::starting(request.start, request.samples.len() as u64)) =>
            {
                Ok(Ok(heard))
            }
            Some(Answer::Done { id, outcome: Err(error) }) if id == self.asked => Ok(Err(error)),
            Some(Answer::Hello(_) | Answer::Done { .. }) => Err(self.broken("an answer to another question")),
        }
    }

    /// Writes `out` and reads until there is an answer, as long as `watch` is patient. Where the wish to give up comes, the
    /// process is told and its answer still waited for; one that was asked nothing is left alone, and gives `None`.
    fn exchange(&mut self, out: &[u8], watch: &mut Watch<'_>) -> Result<Option<Answer>, Loss> {
        let mut out = out.to_vec();
        let mut written = 0;
        let mut piece = vec![0; PIECE];
        loop {
            match self.inbox.next::<Answer>() {
                Ok(Some((answer, _))) => return Ok(Some(answer)),
                Ok(None) => {}
                Err(error) => {
                    // What it says of a text that it could not read is not logged.
                    tracing::error!(pid = self.id(), %error, "an engine's process said something that is no answer");
                    self.end();
                    return Err(Loss::Broken);
                }
            }
            self.wait(written < out.len());
            match self.output.read(&mut piece) {
                Ok(0) => return Err(self.end()),
                Ok(read) => self.inbox.push(&piece[..read]),
                Err(error) if is_later(&error) => {}
                Err(_gone) => return Err(self.end()),
            }
            if written < out.len() {
                match self.input.write(&out[written..]) {
                    Ok(more) => written += more,
                    Err(error) if is_later(&error) => {}
                    Err(_gone) => return Err(self.end()),
                }
            }
            match watch.look(self.child.id()) {
                Verdict::GoOn => {}
                Verdict::GiveUp if self.asked == 0 => return Ok(None),
                Verdict::GiveUp => {
                    out.drain(..written);
                    written = 0;
                    out.extend(encode(&Request::Cancel { id: self.asked }, &[]).unwrap_or_default());
                }
                Verdict::Hung => {
                    self.end();
                    return Err(Loss::Hung);
                }
            }
        }
    }

    /// Waits for a slice at most until something can be read, or written where that is wanted.
    fn wait(&self, writing: bool) {
        let slice = Timespec { tv_sec: 0, tv_nsec: i64::from(SLICE.subsec_nanos()) };
        let output = PollFd::new(&self.output, PollFlags::IN);
        let input = PollFd::new(&self.input, PollFlags::OUT);
        // A signal may cut it short; the caller looks anew in any case.
        let _ready = if writing { poll(&mut [output, input], Some(&slice)) } else { poll(&mut [output], Some(&slice)) };
    }

    fn broken(&mut self, what: &str) -> Loss {
        tracing::error!(pid = self.id(), "an engine's process is not understood: {what}");
        self.end();
        Loss::Broken
    }

    /// Kills it where it still lives, reaps it, and says how it had ended. One that ends by itself has its status before
    /// its pipes close, so that the signal comes too late to change it.
    fn end(&mut self) -> Loss {
        if let Err(error) = self.child.kill() {
            tracing::debug!(pid = self.child.id(), %error, "an engine's process could not be killed");
        }
        match self.child.wait() {
            Ok(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => Loss::Killed { signal },
                (None, code) => Loss::Exited { code: code.unwrap_or(-1) },
            },
            Err(error) => {
                tracing::error!(pid = self.child.id(), %error, "an engine's process could not be waited for");
                Loss::Broken
            }
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// What a look at a process under way comes to.
enum Verdict {
    GoOn,
    /// Its answer is not wanted any more; said once.
    GiveUp,
    Hung,
}

/// Watches one exchange: the clock, the wish to give up, and whether the process works at all.
struct Watch<'a> {
    deadline: Instant,
    patience: &'a Patience,
    cancel: &'a CancelFlag,
    given_up: bool,
    /// How many looks in a row found no more processor time used; `None` where it is not looked at. Looks are counted, not
    /// time: after this program itself was stopped for a while, the process gets its time anew.
    still_for: Option<u32>,
    looked: Instant,
    worked: Option<u64>,
}

/// Looks within [`Patience::still`].
const LOOKS: u32 = 8;

impl<'a> Watch<'a> {
    fn new(deadline: Instant, patience: &'a Patience, cancel: &'a CancelFlag) -> Self {
        let looked = Instant::now();
        Self { deadline, patience, cancel, given_up: false, still_for: Some(0), looked, worked: None }
    }

    fn look(&mut self, pid: u32) -> Verdict {
        let now = Instant::now();
        if now >= self.deadline || self.is_still(now, pid) {
            return Verdict::Hung;
        }
        if self.cancel.is_cancelled() && !self.given_up {
            self.given_up = true;
            self.deadline = self.deadline.min(now + self.patience.cancel);
            return Verdict::GiveUp;
        }
        Verdict::GoOn
    }

    fn is_still(&mut self, now: Instant, pid: u32) -> bool {
        let Some(still_for) = self.still_for.as_mut() else { return false };
        if now.duration_since(self.looked) < self.patience.still / LOOKS {
            return false;
        }
        self.looked = now;
        let worked = processor_time(pid);
        // Where the system does not tell, the deadline alone holds.
        *still_for = if worked.is_some() && worked == self.worked { *still_for + 1 } else { 0 };
        self.worked = worked;
        *still_for >= LOOKS
    }
}

/// Processor time that a process has used, all its threads together, in the system's ticks of 10 ms (proc(5), `stat`,
/// fields 14 and 15).
fn processor_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything; the third field follows the last bracket.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_as_processor_time() {
        let before = processor_time(std::process::id()).unwrap();
        let mut sum = 0_u64;
        let begun = Instant::now();
        while processor_time(std::process::id()).unwrap() < before + 2 {
            sum = std::hint::black_box(sum.wrapping_add(1));
            assert!(begun.elapsed() < Duration::from_secs(60), "no processor time in {sum} rounds");
        }
        assert_eq!(processor_time(u32::MAX), None);
    }
}
