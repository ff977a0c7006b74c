//! The recorder's side: what `vivavoce stream` speaks to the server with. Wire types end here, as on the other side.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::{
    accounts::{self, Accounts, Ordered},
    convert,
    dial::Dial,
    entries,
    heard::{self, ClientEvent},
    pb::{self, transcription_client::TranscriptionClient},
    repass::{self, RePassing},
};
use crate::{
    domain::{
        change::{GapReason, Recognition},
        fault::{Fault, FaultKind},
        id::HearingId,
    },
    hearing::{orders::Request, repass::RePass, service::NewHearing},
    record::export::Format,
};

/// Chunks on their way that the network has not taken yet; then the sender waits.
const OUTBOX: usize = 16;

/// How long a server may take to answer the call for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How often a silent connection is asked whether it lives, and how long it may take to say so. A cable that was pulled is
/// noticed after the two together; until then what is captured waits.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

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
    /// What was given is no address.
    #[error("{address} is no address of a server: name one such as http://127.0.0.1:50061")]
    Address {
        /// What was given.
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
            Self::Address { .. } => FaultKind::Invalid,
            Self::Refused { status } => match status.code() {
                tonic::Code::InvalidArgument | tonic::Code::OutOfRange => FaultKind::Invalid,
                tonic::Code::NotFound => FaultKind::NotFound,
                tonic::Code::AlreadyExists => FaultKind::AlreadyExists,
                tonic::Code::FailedPrecondition | tonic::Code::Aborted => FaultKind::Conflict,
                tonic::Code::Unauthenticated => FaultKind::Unauthenticated,
                tonic::Code::PermissionDenied => FaultKind::Forbidden,
                tonic::Code::ResourceExhausted => FaultKind::Overloaded { retry_after: retry_after(status) },
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

/// When the server says to come again.
fn retry_after(status: &Status) -> Duration {
    let seconds = status.metadata().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    // Its word is not believed beyond a minute: a recorder that waits longer has a hearing that waits.
    Duration::from_secs(seconds.unwrap_or(5).min(60))
}

/// A connection to a server. When the last handle is dropped, it is cut.
#[derive(Clone, Debug)]
pub struct Client {
    inner: TranscriptionClient<Channel>,
    _cut: Arc<DropGuard>,
}

/// A hearing that was opened. The token is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedHearing {
    /// Its UUID.
    pub id: String,
    /// What takes it up again after a break.
    pub resume_token: String,
}

impl std::fmt::Debug for OpenedHearing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedHearing").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How a stream begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// Which hearing.
    pub hearing: &'a str,
    /// Its token: with it the stream takes over from one that broke.
    pub resume_token: &'a str,
    /// Final texts after this entry of the record are sent first.
    pub results_after: u64,
    /// Whether partial results are wanted.
    pub partials: bool,
}

/// The sending side of a stream. Dropping it does not end the input: only [`Sender::finish`] does. A stream that is given
/// up breaks when its [`Client`] is dropped, so that the server does not take a break for an end.
#[derive(Debug)]
pub struct Sender {
    requests: mpsc::Sender<Option<pb::StreamRequest>>,
}

/// Room for one message of a stream.
#[derive(Debug)]
pub struct Place<'a> {
    place: mpsc::Permit<'a, Option<pb::StreamRequest>>,
}

/// The receiving side of a stream.
#[derive(Debug)]
pub struct Events {
    responses: Streaming<pb::StreamResponse>,
}

/// What is sent, up to the `None` that says that it is over. Without it there is no end, only a break.
struct Requests(mpsc::Receiver<Option<pb::StreamRequest>>);

impl tokio_stream::Stream for Requests {
    type Item = pb::StreamRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.0.poll_recv(context)) {
            Some(request) => Poll::Ready(request),
            // Nobody wakes it: it goes with its connection.
            None => Poll::Pending,
        }
    }
}

impl Client {
    /// Connects to `address`, such as `http://127.0.0.1:50061`.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Connect`].
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|source| ClientError::Address { address: address.to_owned(), source })?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .keep_alive_while_idle(true);
        let cut = CancellationToken::new();
        let channel = endpoint
            .connect_with_connector(Dial::new(cut.clone()))
            .await
            .map_err(|source| ClientError::Connect { address: address.to_owned(), source })?;
        let inner = TranscriptionClient::new(channel).max_decoding_message_size(usize::MAX);
        Ok(Self { inner, _cut: Arc::new(cut.drop_guard()) })
    }

    /// Opens a hearing.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn open(&mut self, new: &NewHearing) -> Result<OpenedHearing, ClientError> {
        let NewHearing { reference, channels, recognition, imported } = new;
        let request = pb::OpenHearingRequest {
            reference: reference.clone(),
            channels: channels.iter().map(convert::channel_message).collect(),
            recognition: match recognition {
                Recognition::Live => pb::Recognition::Live,
                Recognition::Later => pb::Recognition::Later,
            }
            .into(),
            imported: imported.as_ref().map(convert::imported_message),
        };
        let pb::OpenHearingResponse { hearing_id, resume_token, limits: _ } =
            self.inner.open_hearing(request).await?.into_inner();
        Ok(OpenedHearing { id: hearing_id, resume_token })
    }

    /// Closes a hearing; gives the last entry of its record.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn close(&mut self, hearing: &str) -> Result<u64, ClientError> {
        let request = pb::CloseHearingRequest { hearing_id: hearing.to_owned() };
        Ok(self.inner.close_hearing(request).await?.into_inner().last_seq)
    }

    /// Orders how a part of a hearing is treated. When this returns it holds.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn order(&mut self, hearing: HearingId, request: &Request) -> Result<Ordered, ClientError> {
        let response = self.inner.order_interval(accounts::order(hearing, request)).await?.into_inner();
        Ok(accounts::ordered(response))
    }

    /// Has a closed hearing heard once more. It ends where what this gives, or the last handle of the connection, is dropped.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn propose_revisions(&mut self, hearing: HearingId, wanted: &RePass) -> Result<RePassing, ClientError> {
        Ok(RePassing::new(self.inner.propose_revisions(repass::request(hearing, wanted)).await?.into_inner()))
    }

    /// What became of every sample of a hearing, channel by channel.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn ledger(&mut self, hearing: HearingId) -> Result<Vec<Accounts>, ClientError> {
        let request = pb::ReadLedgerRequest { hearing_id: hearing.to_string() };
        let pb::ReadLedgerResponse { channels, through_seq: _ } = self.inner.read_ledger(request).await?.into_inner();
        Ok(channels.into_iter().map(accounts::accounts).collect())
    }

    /// The record of a hearing as a document: with the hearing's token all of it, with an empty one what is open.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn export(&mut self, hearing: &str, token: &str, format: Format) -> Result<Vec<u8>, ClientError> {
        let format = convert::format_message(format).into();
        let resume_token = token.to_owned();
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
    pub async fn stream(&mut self, begin: Begin<'_>) -> Result<(Sender, Events), ClientError> {
        let (requests, outbox) = mpsc::channel(OUTBOX);
        let start = pb::StreamStart {
            hearing_id: begin.hearing.to_owned(),
            results_after_seq: Some(begin.results_after),
            resume_token: begin.resume_token.to_owned(),
            partials: begin.partials,
        };
        let first = pb::StreamRequest { kind: Some(pb::stream_request::Kind::Start(start)) };
        // The queue is empty, so it fits.
        let _fits = requests.try_send(Some(first));
        let responses = self.inner.stream(Requests(outbox)).await?.into_inner();
        Ok((Sender { requests }, Events { responses }))
    }
}

impl Sender {
    /// Waits until the server takes another message. Nothing is lost if it is dropped.
    ///
    /// # Errors
    /// [`ClientError::CutShort`] when the stream has ended; [`Events::next`] says why.
    pub async fn ready(&self) -> Result<Place<'_>, ClientError> {
        let place = self.requests.reserve().await.map_err(|_ended| ClientError::CutShort)?;
        Ok(Place { place })
    }

    /// Says that the input is over: what is being said ends here.
    ///
    /// # Errors
    /// [`ClientError::CutShort`].
    pub async fn finish(self) -> Result<(), ClientError> {
        self.requests.send(None).await.map_err(|_ended| ClientError::CutShort)
    }
}

impl Place<'_> {
    /// Sends samples of channel `channel`, or with 0 interleaved of all.
    pub fn audio(self, channel: u32, first_sample: u64, samples: Vec<u8>) {
        let chunk = pb::AudioChunk {
            channel,
            first_sample: Some(first_sample),
            sequence: 0,
            crc32c: Some(crc32c::crc32c(&samples)),
            samples,
        };
        self.send(pb::stream_request::Kind::Audio(chunk));
    }

    /// Says that channel `channel` has no samples from its next one up to `end_sample`, and never will.
    pub fn gap(self, channel: u32, end_sample: u64, reason: GapReason) {
        let reason = entries::gap_reason_message(reason).into();
        self.send(pb::stream_request::Kind::Gap(pb::Gap { channel, end_sample, reason }));
    }

    /// Sets a mark.
    pub fn mark(self, id: u64) {
        self.send(pb::stream_request::Kind::Marker(pb::Marker { id }));
    }

    fn send(self, kind: pb::stream_request::Kind) {
        self.place.send(Some(pb::StreamRequest { kind: Some(kind) }));
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
        Ok(Some(heard::event(kind)))
    }
}
