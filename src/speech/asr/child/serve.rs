//! The child's side: one decode at a time on the calling thread, while another thread reads what is asked.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::Duration,
};

use super::protocol::{Answer, Hello, Inbox, ProtocolError, Request, VERSION, encode};
use crate::{
    domain::{
        fault::{Fault, FaultKind},
        language::AllowedLanguages,
        time::Tick,
    },
    speech::asr::{AsrError, CancelFlag, DecodeRequest, Lead, Pass, Recognizer},
};

/// Bytes read at a time.
const PIECE: usize = 1 << 16;

/// Decodes under way and waiting: the parent asks for one at a time.
const WAITING: usize = 1;

/// How long after its decode began a process that is to fail does so.
const AMID: Duration = Duration::from_millis(100);

/// A failure on purpose, for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sabotage {
    /// The process aborts while it decodes its window of that number, counted from 1.
    pub abort_on: u64,
}

/// Why an engine's process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The pipes.
    #[error("the engine's process cannot speak with the service")]
    Pipe(#[from] io::Error),
    /// A decoder.
    #[error(transparent)]
    Engine(#[from] AsrError),
    /// An answer that fits no frame.
    #[error("an answer of the engine's process is no frame: {reason}")]
    Answer {
        /// Why.
        reason: String,
    },
}

impl Fault for ServeError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Pipe(_) => FaultKind::Unavailable,
            Self::Engine(source) => source.kind(),
            Self::Answer { .. } => FaultKind::Internal,
        }
    }
}

/// A window to decode, as it was asked for.
struct Window {
    id: u64,
    start: Tick,
    languages: AllowedLanguages,
    pass: Pass,
    lead: Box<Lead>,
    threads: u8,
    samples: Vec<f32>,
    cancel: CancelFlag,
}

/// Says what `recognizer` is on `output`, then decodes what `input` asks for until it ends.
///
/// `ended` is called on the reading thread as soon as the input ends, whatever native code is doing: it should end the
/// process, so that none is left over whose parent is gone.
///
/// # Errors
/// [`ServeError::Engine`] where no decoder can be made, [`ServeError::Pipe`] where nobody reads any more.
pub fn serve(
    recognizer: &dyn Recognizer,
    input: impl Read + Send + 'static,
    mut output: impl Write,
    sabotage: Option<Sabotage>,
    ended: impl FnOnce() + Send + 'static,
) -> Result<(), ServeError> {
    let mut decoder = recognizer.decoder()?;
    let hello = Hello {
        version: VERSION,
        partial: recognizer.info(Pass::Partial).clone(),
        last: recognizer.info(Pass::Final).clone(),
        languages: recognizer.languages().clone(),
    };
    say(&mut output, &Answer::Hello(Box::new(hello)))?;
    let (windows, asked) = sync_channel::<Window>(WAITING);
    thread::Builder::new().name("engine-input".to_owned()).spawn(move || {
        if let Err(error) = listen(input, &windows) {
            tracing::error!(%error, "the engine's process was asked something it cannot read");
        }
        ended();
    })?;
    for (number, window) in (1..).zip(asked) {
        let fall = sabotage.is_some_and(|s| s.abort_on == number).then(fall).transpose()?;
        let request = DecodeRequest {
            samples: &window.samples,
            start: window.start,
            languages: &window.languages,
            pass: window.pass,
            lead: &window.lead,
            threads: window.threads,
        };
        let outcome = decoder.decode(&request, &window.cancel);
        if let Some(fall) = fall {
            // It does not come back.
            drop(fall.join());
        }
        say(&mut output, &Answer::Done { id: window.id, outcome })?;
    }
    Ok(())
}

/// Aborts from another thread, so that it happens in the midst of the decode.
fn fall() -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("sabotage".to_owned()).spawn(|| {
        let _never = CancelFlag::default().wait(AMID);
        std::process::abort();
    })
}

fn say(output: &mut impl Write, answer: &Answer) -> Result<(), ServeError> {
    let frame = encode(answer, &[]).map_err(|error| ServeError::Answer { reason: error.to_string() })?;
    output.write_all(&frame)?;
    Ok(output.flush()?)
}

/// Reads until the input ends; what was asked last is cancelled then.
fn listen(mut input: impl Read, windows: &SyncSender<Window>) -> Result<(), ProtocolError> {
    let mut current: Option<(u64, CancelFlag)> = None;
    let mut inbox = Inbox::default();
    let mut piece = vec![0; PIECE];
    loop {
        let read = match input.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_gone) => break,
        };
        inbox.push(&piece[..read]);
        while let Some((request, samples)) = inbox.next::<Request>()? {
            match request {
                Request::Cancel { id } => {
                    current.iter().filter(|(of, _)| *of == id).for_each(|(_, flag)| flag.cancel())
                }
                Request::Decode { id, start, languages, pass, lead, threads } => {
                    let cancel = CancelFlag::default();
                    current = Some((id, cancel.clone()));
                    if windows.send(Window { id, start, languages, pass, lead, threads, samples, cancel }).is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
    if let Some((_, flag)) = current {
        flag.cancel();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, pipe};

    use super::*;
    use crate::speech::asr::scripted::Scripted;

    fn next(from: &mut PipeReader, inbox: &mut Inbox) -> Option<Answer> {
        let mut piece = [0; 100];
        loop {
            if let Some((answer, _)) = inbox.next().unwrap() {
                return Some(answer);
            }
            match from.read(&mut piece).unwrap() {
                0 => return None,
                read => inbox.push(&piece[..read]),
            }
        }
    }

    #[test]
    fn it_says_what_it_is_and_answers_in_order_until_its_input_ends() {
        let (input, mut ask) = pipe().unwrap();
        let (mut answers, output) = pipe().unwrap();
        let (tell, ended) = sync_channel(1);
        let serving = thread::Builder::new()
            .spawn(move || serve(&Scripted::new(&["low", "high"]), input, output, None, move || tell.send(()).unwrap()))
            .unwrap();
        let mut inbox = Inbox::default();
        let Some(Answer::Hello(hello)) = next(&mut answers, &mut inbox) else { panic!("no hello") };
        assert_eq!((hello.version, hello.last.engine.as_str()), (VERSION, "scripted"));
        let languages = AllowedLanguages::only("en".parse().unwrap());
        for id in [5, 6] {
            let decode = Request::Decode {
                id,
                start: Tick::new(id),
                languages: languages.clone(),
                pass: Pass::Final,
                lead: Box::default(),
                threads: 1,
            };
            ask.write_all(&encode(&decode, &[1.0; 8_000]).unwrap()).unwrap();
            ask.write_all(&encode(&Request::Cancel { id: 99 }, &[]).unwrap()).unwrap();
            let Some(Answer::Done { id: answered, outcome: Ok(heard) }) = next(&mut answers, &mut inbox) else {
                panic!("no answer")
            };
            assert_eq!((answered, heard.text().as_str(), heard.window.start()), (id, "high", Tick::new(id)));
        }
        drop(ask);
        ended.recv().unwrap();
        serving.join().unwrap().unwrap();
        assert!(next(&mut answers, &mut inbox).is_none());
    }
}
