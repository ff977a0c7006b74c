//! The recorder's side: what `vivavoce stream` speaks to the server with. Wire types end here, as on the other side.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    convert,
    pb::{self, stream_response::Kind, transcription_client::TranscriptionClient},
};
use crate::{
    domain::{
        channel::ChannelSetup,
        fault::{Fault, FaultKind},
    },
    record::export::Format,
};

/// Chunks on their way that the network has not taken yet; then the sender waits.
const OUTBOX: usize = 16;

/// Why the server could not be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error("no server answers at {address}: start one with `vivavoce serve`, or name another with --server")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// The server refuses.
    #[error("the server refuses: {}", status.message())]
    Refused {
        /// What it says.
        status: Box<Status>,
    },
    /// The stream ended before it was finished.
    #[error("the server ended the stream before it was finished")]
    CutShort,
    /// Something that the protocol does not allow.
    #[error("the server sent {what}, which the protocol does not allow")]
    Protocol {
        /// What.
        what: &'static str,
    },
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Refused { status: Box::new(status) }
    }
}

impl Fault for ClientError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Connect { .. } | Self::CutShort => FaultKind::Unavailable,
            Self::Protocol { .. } => FaultKind::Internal,
            Self::Refused { status } => match status.code() {
                tonic::Code::InvalidArgument | tonic::Code::OutOfRange => FaultKind::Invalid,
                tonic::Code::NotFound => FaultKind::NotFound,
                tonic::Code::AlreadyExists => FaultKind::AlreadyExists,
                tonic::Code::FailedPrecondition | tonic::Code::Aborted => FaultKind::Conflict,
                tonic::Code::Unauthenticated => FaultKind::Unauthenticated,
                tonic::Code::PermissionDenied => FaultKind::Forbidden,
                tonic::Code::ResourceExhausted => FaultKind::Overloaded { retry_after: Duration::from_secs(5) },
                tonic::Code::Cancelled => FaultKind::Cancelled,
                tonic::Code::DeadlineExceeded => FaultKind::TimedOut,
                tonic::Code::Unavailable => FaultKind::Unavailable,
                tonic::Code::DataLoss => FaultKind::DataLoss,
                tonic::Code::Unimplemented => FaultKind::Unimplemented,
                tonic::Code::Ok | tonic::Code::Internal | tonic::Code::Unknown => FaultKind::Internal,
            },
        }
    }
}

/// A word as the server sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct WordText {
    /// With its punctuation.
    pub text: String,
    /// Whether a space stands before it.
    pub spaced: bool,
    /// Its raw score, 0 to 1.
    pub score: f32,
    /// When, milliseconds of hearing time.
    pub start_ms: u64,
    /// Its end, milliseconds.
    pub end_ms: u64,
}

/// A doubt as the server sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// The reason in words.
    pub reason: String,
    /// The words it covers.
    pub words: std::ops::Range<usize>,
    /// What was measured and the limit it crossed: name, figure, limit.
    pub evidence: Vec<(String, f64, f64)>,
}

/// Text of the record as the server sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalText {
    /// Its entry.
    pub seq: u64,
    /// 1 to 16.
    pub channel: u32,
    /// The channel's label.
    pub label: String,
    /// From where, milliseconds of hearing time.
    pub start_ms: u64,
    /// To where, milliseconds.
    pub end_ms: u64,
    /// In which language.
    pub language: String,
    /// Word by word.
    pub words: Vec<WordText>,
    /// As it would be written.
    pub text: String,
    /// The doubts.
    pub doubts: Vec<Doubt>,
    /// Whether captions may show it.
    pub shown: bool,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// Where each channel goes on: number and sample.
    Opened(Vec<(u32, u64)>),
    /// Audio is on disk.
    Stored {
        /// Which channel.
        channel: u32,
        /// Every sample before this one.
        through: u64,
    },
    /// Somebody began to speak.
    SpeechBegan {
        /// Where.
        channel: u32,
    },
    /// Text that may still change.
    Partial {
        /// Where.
        channel: u32,
        /// From when, milliseconds of hearing time.
        start_ms: u64,
        /// The words so far.
        words: Vec<WordText>,
        /// How many of the first are settled.
        stable: usize,
    },
    /// Text of the record.
    Final(Box<FinalText>),
    /// How late the results are.
    Status {
        /// Milliseconds of audio without results.
        lag_ms: u64,
    },
    /// Everything before the mark has its results.
    Marker(u64),
    /// An order about what is recorded holds.
    Ordered {
        /// Which channel.
        channel: u32,
        /// From which sample on.
        first_sample: u64,
        /// How it is treated: "open", "off the record", "closed session", "muted".
        class: &'static str,
    },
    /// Something is wrong with a channel, or is well again.
    Alarmed {
        /// Which channel.
        channel: u32,
        /// What, for a person.
        reason: String,
        /// Whether it is over.
        ended: bool,
    },
    /// All audio has its results.
    Finished {
        /// The last entry of the record.
        last_seq: u64,
    },
}

/// A connection to a server.
#[derive(Clone, Debug)]
pub struct Client {
    inner: TranscriptionClient<Channel>,
}

/// The sending side of a stream. Dropping it ends the input.
#[derive(Clone, Debug)]
pub struct Sender {
    requests: mpsc::Sender<pb::StreamRequest>,
}

/// The receiving side of a stream.
#[derive(Debug)]
pub struct Events {
    responses: Streaming<pb::StreamResponse>,
}

impl Client {
    /// Connects to `address`, such as `http://127.0.0.1:50061`.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        let inner = TranscriptionClient::connect(address.to_owned())
            .await
            .map_err(|source| ClientError::Connect { address: address.to_owned(), source })?;
        Ok(Self { inner: inner.max_decoding_message_size(usize::MAX) })
    }

    /// Opens a hearing; gives its id.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn open(&mut self, reference: &str, channels: &[ChannelSetup]) -> Result<String, ClientError> {
        let channels = channels.iter().map(convert::channel_message).collect();
        let request = pb::OpenHearingRequest { reference: reference.to_owned(), channels };
        Ok(self.inner.open_hearing(request).await?.into_inner().hearing_id)
    }

    /// Closes a hearing; gives the last entry of its record.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn close(&mut self, hearing: &str) -> Result<u64, ClientError> {
        let request = pb::CloseHearingRequest { hearing_id: hearing.to_owned() };
        Ok(self.inner.close_hearing(request).await?.into_inner().last_seq)
    }

    /// The record of a hearing as a document.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn export(&mut self, hearing: &str, format: Format) -> Result<Vec<u8>, ClientError> {
        let format = convert::format_message(format).into();
        let resume_token = String::new();
        let request = pb::ExportRecordRequest { hearing_id: hearing.to_owned(), format, resume_token };
        let mut pieces = self.inner.export_record(request).await?.into_inner();
        let mut document = Vec::new();
        while let Some(piece) = pieces.message().await? {
            document.extend(piece.content);
        }
        Ok(document)
    }

    /// Binds a stream to a hearing.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn stream(&mut self, hearing: &str, partials: bool) -> Result<(Sender, Events), ClientError> {
        let (requests, outbox) = mpsc::channel(OUTBOX);
        let start = pb::StreamStart {
            hearing_id: hearing.to_owned(),
            results_after_seq: None,
            resume_token: String::new(),
            partials,
        };
        let first = pb::StreamRequest { kind: Some(pb::stream_request::Kind::Start(start)) };
        // The queue is empty, so it fits.
        let _fits = requests.try_send(first);
        let responses = self.inner.stream(ReceiverStream::new(outbox)).await?.into_inner();
        Ok((Sender { requests }, Events { responses }))
    }
}

impl Sender {
    /// Sends samples of channel `channel`, or with 0 interleaved of all. Waits while the server is busy.
    ///
    /// # Errors
    /// [`ClientError::CutShort`] when the stream has ended; [`Events::next`] says why.
    pub async fn audio(&self, channel: u32, first_sample: u64, samples: Vec<u8>) -> Result<(), ClientError> {
        let chunk = pb::AudioChunk {
            channel,
            first_sample: Some(first_sample),
            sequence: 0,
            crc32c: Some(crc32c::crc32c(&samples)),
            samples,
        };
        self.send(pb::stream_request::Kind::Audio(chunk)).await
    }

    /// Sets a mark.
    ///
    /// # Errors
    /// [`ClientError::CutShort`].
    pub async fn mark(&self, id: u64) -> Result<(), ClientError> {
        self.send(pb::stream_request::Kind::Marker(pb::Marker { id })).await
    }

    async fn send(&self, kind: pb::stream_request::Kind) -> Result<(), ClientError> {
        let request = pb::StreamRequest { kind: Some(kind) };
        self.requests.send(request).await.map_err(|_ended| ClientError::CutShort)
    }
}

impl Events {
    /// What comes next; `None` after [`ClientEvent::Finished`].
    ///
    /// # Errors
    /// [`ClientError::Refused`] with what the server says.
    pub async fn next(&mut self) -> Result<Option<ClientEvent>, ClientError> {
        let Some(response) = self.responses.message().await? else { return Ok(None) };
        let kind = response.kind.ok_or(ClientError::Protocol { what: "a message without content" })?;
        Ok(Some(event(kind)))
    }
}

fn event(kind: Kind) -> ClientEvent {
    match kind {
        Kind::Opened(pb::StreamOpened { positions }) => {
            ClientEvent::Opened(positions.iter().map(|p| (p.channel, p.next_sample)).collect())
        }
        Kind::Stored(pb::AudioStored { channel, durable_through_sample }) => {
            ClientEvent::Stored { channel, through: durable_through_sample }
        }
        Kind::SpeechBegan(pb::SpeechBegan { channel, first_sample: _ }) => ClientEvent::SpeechBegan { channel },
        Kind::Partial(pb::PartialResult { channel, span, language: _, words, stable_words }) => ClientEvent::Partial {
            channel,
            start_ms: span.unwrap_or_default().start_ms,
            words: words.into_iter().map(word).collect(),
            stable: usize::try_from(stable_words).unwrap_or(usize::MAX),
        },
        Kind::Final(pb::FinalResult { seq, segment }) => {
            ClientEvent::Final(Box::new(final_text(seq, segment.unwrap_or_default())))
        }
        Kind::Status(pb::StreamStatus { lag_ms }) => ClientEvent::Status { lag_ms },
        Kind::Marker(pb::Marker { id }) => ClientEvent::Marker(id),
        Kind::IntervalBegan(began) => ClientEvent::Ordered {
            channel: began.channel,
            first_sample: began.first_sample,
            class: match began.interval_class() {
                pb::IntervalClass::Open | pb::IntervalClass::Unspecified => "open",
                pb::IntervalClass::OffRecord => "off the record",
                pb::IntervalClass::Sealed => "closed session",
                pb::IntervalClass::Muted => "muted",
            },
        },
        Kind::ChannelAlarm(pb::ChannelAlarm { channel, ended, reason, .. }) => {
            ClientEvent::Alarmed { channel, reason, ended }
        }
        Kind::Finished(pb::StreamFinished { positions: _, last_seq }) => ClientEvent::Finished { last_seq },
    }
}

fn word(word: pb::Word) -> WordText {
    let pb::Word { text, spaced, span, score } = word;
    let span = span.unwrap_or_default();
    WordText { text, spaced, score, start_ms: span.start_ms, end_ms: span.end_ms }
}

fn final_text(seq: u64, segment: pb::Segment) -> FinalText {
    let shown = segment.captions() == pb::CaptionState::Shown;
    let span = segment.span.unwrap_or_default();
    let doubt = |flag: pb::Flag| {
        let index = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Doubt {
            words: index(flag.first_word)..index(flag.end_word),
            evidence: flag.evidence.into_iter().map(|e| (e.measure, e.value, e.limit)).collect(),
            reason: flag.reason,
        }
    };
    FinalText {
        seq,
        channel: segment.channel,
        label: segment.label,
        start_ms: span.start_ms,
        end_ms: span.end_ms,
        language: segment.language,
        words: segment.words.into_iter().map(word).collect(),
        text: segment.text,
        doubts: segment.flags.into_iter().map(doubt).collect(),
        shown,
    }
}
