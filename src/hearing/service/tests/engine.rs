//! The scripted engine with something of a test's between it and whoever asks.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex},
};

use crate::{
    domain::{engine::EngineInfo, hypothesis::Hypothesis},
    speech::asr::{AsrError, CancelFlag, DecodeRequest, Decoder, KnownLanguages, Pass, Recognizer, scripted::Scripted},
};

type Between = dyn Fn(&mut dyn Decoder, &DecodeRequest<'_>, &CancelFlag) -> Result<Hypothesis, AsrError> + Send + Sync;

struct Through {
    inner: Scripted,
    between: Arc<Between>,
}

struct ThroughDecoder {
    inner: Box<dyn Decoder>,
    between: Arc<Between>,
}

/// An engine each of whose decodes is what `between` makes of it, which is given a decoder of `inner`.
pub(super) fn through(
    inner: Scripted,
    between: impl Fn(&mut dyn Decoder, &DecodeRequest<'_>, &CancelFlag) -> Result<Hypothesis, AsrError>
    + Send
    + Sync
    + 'static,
) -> Arc<dyn Recognizer> {
    Arc::new(Through { inner, between: Arc::new(between) })
}

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Through").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Recognizer for Through {
    fn info(&self, pass: Pass) -> &EngineInfo {
        self.inner.info(pass)
    }
    fn languages(&self) -> &KnownLanguages {
        self.inner.languages()
    }
    fn decoder(&self) -> Result<Box<dyn Decoder>, AsrError> {
        Ok(Box::new(ThroughDecoder { inner: self.inner.decoder()?, between: Arc::clone(&self.between) }))
    }
}

impl Decoder for ThroughDecoder {
    fn decode(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Hypothesis, AsrError> {
        (self.between)(&mut *self.inner, request, cancel)
    }
}

/// Where decodes wait until it is open.
#[derive(Debug, Default)]
pub(super) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.changed.notify_all();
    }

    /// An engine that waits here before each decode.
    pub(super) fn before(self: &Arc<Self>, inner: Scripted) -> Arc<dyn Recognizer> {
        let gate = Arc::clone(self);
        through(inner, move |decoder, request, cancel| {
            drop(gate.changed.wait_while(gate.open.lock().unwrap(), |open| !*open).unwrap());
            decoder.decode(request, cancel)
        })
    }
}
