//! The calls of the service.

use std::{fmt, sync::Arc};

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    convert, entries, finals,
    pb::{self, transcription_server::Transcription},
    repass, stream,
};
use crate::{
    api::status::status,
    domain::{
        actor::{Actor, ActorKind},
        audio::Encoding,
        change::EntrySeq,
        id::ChannelId,
    },
    hearing::service::Hearings,
    record::entry::Entry,
    speech::asr::Pass,
};

/// Messages that wait for a client that reads slowly; then its stream waits.
pub(super) const OUTBOX: usize = 64;

/// Entries on a page of a record, and hearings on a page of a list, at most.
const MOST_ON_A_PAGE: u32 = 1_000;

/// Bytes of one answer to a unary call, or of one piece of a document: a quarter of what clients take by default.
const ANSWER_BYTES: usize = 1 << 20;

/// What the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub max_message_bytes: usize,
}

/// The service over the hearings.
#[derive(Clone)]
pub struct TranscriptionService {
    hearings: Arc<Hearings>,
    limits: Limits,
    languages: Arc<[String]>,
    draining: CancellationToken,
}

impl fmt::Debug for TranscriptionService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TranscriptionService").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl TranscriptionService {
    /// The service. `languages` is what the model was trained on. When `draining` is cancelled, streams are told
    /// to go, and what they hold of results is sent first.
    #[must_use]
    pub fn new(hearings: Arc<Hearings>, limits: Limits, languages: &[String], draining: CancellationToken) -> Self {
        Self { hearings, limits, languages: languages.into(), draining }
    }

    fn limits(&self) -> pb::Limits {
        pb::Limits {
            max_message_bytes: self.limits.max_message_bytes as u64,
            max_channels: u32::from(ChannelId::MAX),
            max_streams: u32::try_from(self.hearings.max_streams()).unwrap_or(u32::MAX),
        }
    }
}

/// Who calls. Identity comes with a later version; until then every caller is the loopback client.
pub(super) fn caller() -> Actor {
    Actor { kind: ActorKind::Program, id: "loopback".to_owned() }
}

#[tonic::async_trait]
impl Transcription for TranscriptionService {
    async fn open_hearing(
        &self,
        request: Request<pb::OpenHearingRequest>,
    ) -> Result<Response<pb::OpenHearingResponse>, Status> {
        let new = convert::new_hearing(request.into_inner())?;
        let (id, resume_token) = self.hearings.open(new, caller()).await.map_err(|e| status(&e))?;
        Ok(Response::new(pb::OpenHearingResponse {
            hearing_id: id.to_string(),
            resume_token,
            limits: Some(self.limits()),
        }))
    }

    async fn close_hearing(
        &self,
        request: Request<pb::CloseHearingRequest>,
    ) -> Result<Response<pb::CloseHearingResponse>, Status> {
        let pb::CloseHearingRequest { hearing_id } = request.into_inner();
        let id = convert::hearing_id(&hearing_id)?;
        let last = self.hearings.close(id, caller()).await.map_err(|e| status(&e))?;
        Ok(Response::new(pb::CloseHearingResponse { last_seq: last.number() }))
    }

    type StreamStream = ReceiverStream<Result<pb::StreamResponse, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<pb::StreamRequest>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let (outbox, responses) = mpsc::channel(OUTBOX);
        let hearings = Arc::clone(&self.hearings);
        let task = stream::serve(hearings, request.into_inner(), outbox, self.draining.clone());
        tokio::spawn(task);
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn read_record(
        &self,
        request: Request<pb::ReadRecordRequest>,
    ) -> Result<Response<pb::ReadRecordResponse>, Status> {
        let pb::ReadRecordRequest { hearing_id, after_seq, page_size, resume_token } = request.into_inner();
        let id = convert::hearing_id(&hearing_id)?;
        let sight = self.hearings.sight(id, &resume_token).await.map_err(|e| status(&e))?;
        let limit = page(page_size, MOST_ON_A_PAGE);
        let read = self.hearings.read(id, EntrySeq::new(after_seq), limit + 1).await;
        let (summary, mut entries) = read.map_err(|e| status(&e))?;
        let found = entries.len();
        entries.truncate(limit);
        let mut bytes = 0;
        let fits = |entry: &pb::RecordEntry| {
            bytes += entry.encoded_len();
            // The first goes whatever its size, or nobody would get past it.
            bytes <= ANSWER_BYTES || bytes == entry.encoded_len()
        };
        let entry = |e: &Entry| entries::entry(e, &summary.channels, &sight);
        let entries: Vec<_> = entries.iter().map(entry).take_while(fits).collect();
        Ok(Response::new(pb::ReadRecordResponse {
            next_after_seq: entries.last().filter(|_| entries.len() < found).map(|e| e.seq),
            entries,
            hearing: Some(convert::hearing(&summary)),
        }))
    }

    type WatchHearingStream = finals::Watched;

    async fn watch_hearing(
        &self,
        request: Request<pb::WatchHearingRequest>,
    ) -> Result<Response<Self::WatchHearingStream>, Status> {
        let pb::WatchHearingRequest { hearing_id, after_seq, partials, resume_token } = request.into_inner();
        let id = convert::hearing_id(&hearing_id)?;
        let (summary, _) = self.hearings.read(id, EntrySeq::START, 1).await.map_err(|e| status(&e))?;
        // After the look: it knows of every order up to there, and the door sees those that come.
        let sight = self.hearings.sight(id, &resume_token).await.map_err(|e| status(&e))?;
        let door = self.hearings.follow(id, summary.last).await.map_err(|e| status(&e))?;
        let seen = EntrySeq::new(after_seq).min(summary.last);
        let follower = self.hearings.follow(id, seen).await.map_err(|e| status(&e))?;
        let events = partials.then(|| self.hearings.listen(id));
        let (since, channels, draining) = (summary.last, summary.channels, self.draining.clone());
        let watcher = finals::Watcher { follower, seen, door, since, events, channels, sight, draining };
        Ok(Response::new(watcher.start()))
    }

    async fn list_hearings(
        &self,
        request: Request<pb::ListHearingsRequest>,
    ) -> Result<Response<pb::ListHearingsResponse>, Status> {
        let pb::ListHearingsRequest { page_size } = request.into_inner();
        let all = self.hearings.list().await.map_err(|e| status(&e))?;
        let newest = all.iter().rev().take(page(page_size, 100));
        Ok(Response::new(pb::ListHearingsResponse { hearings: newest.map(convert::hearing).collect() }))
    }

    type ExportRecordStream = tokio_stream::Iter<std::vec::IntoIter<Result<pb::ExportRecordResponse, Status>>>;

    async fn export_record(
        &self,
        request: Request<pb::ExportRecordRequest>,
    ) -> Result<Response<Self::ExportRecordStream>, Status> {
        let pb::ExportRecordRequest { hearing_id, format, resume_token } = request.into_inner();
        let id = convert::hearing_id(&hearing_id)?;
        let format = convert::export_format(format)?;
        let sight = self.hearings.sight(id, &resume_token).await.map_err(|e| status(&e))?;
        let content = self.hearings.export(id, format, &sight).await.map_err(|e| status(&e))?;
        let piece = |content: &[u8]| {
            Ok(pb::ExportRecordResponse {
                content: content.to_vec(),
                media_type: format.media_type().to_owned(),
                file_name: format!("{id}.{}", format.extension()),
            })
        };
        let pieces: Vec<_> = content.as_bytes().chunks(ANSWER_BYTES).map(piece).collect();
        Ok(Response::new(tokio_stream::iter(pieces)))
    }

    async fn order_interval(
        &self,
        request: Request<pb::OrderIntervalRequest>,
    ) -> Result<Response<pb::OrderIntervalResponse>, Status> {
        let (hearing_id, order) = entries::order_request(request.into_inner())?;
        let id = convert::hearing_id(&hearing_id)?;
        let placed = self.hearings.order(id, order, caller()).await.map_err(|e| status(&e))?;
        let (summary, _) = self.hearings.read(id, EntrySeq::START, 1).await.map_err(|e| status(&e))?;
        Ok(Response::new(entries::placed(&placed, &summary.channels)))
    }

    async fn recognize_hearing(
        &self,
        request: Request<pb::RecognizeHearingRequest>,
    ) -> Result<Response<pb::RecognizeHearingResponse>, Status> {
        let pb::RecognizeHearingRequest { hearing_id } = request.into_inner();
        let id = convert::hearing_id(&hearing_id)?;
        self.hearings.recognize(id, caller()).await.map_err(|e| status(&e))?;
        Ok(Response::new(pb::RecognizeHearingResponse {}))
    }

    type ProposeRevisionsStream = ReceiverStream<Result<pb::ProposeRevisionsResponse, Status>>;

    async fn propose_revisions(
        &self,
        request: Request<pb::ProposeRevisionsRequest>,
    ) -> Result<Response<Self::ProposeRevisionsStream>, Status> {
        let pb::ProposeRevisionsRequest { hearing_id, model, profile } = request.into_inner();
        let wanted = repass::wanted(model, profile)?;
        let id = convert::hearing_id(&hearing_id)?;
        let (outbox, responses) = mpsc::channel(OUTBOX);
        let hearings = Arc::clone(&self.hearings);
        tokio::spawn(repass::serve(hearings, (id, wanted), outbox, self.draining.clone()));
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn read_ledger(
        &self,
        request: Request<pb::ReadLedgerRequest>,
    ) -> Result<Response<pb::ReadLedgerResponse>, Status> {
        let pb::ReadLedgerRequest { hearing_id } = request.into_inner();
        let id = convert::hearing_id(&hearing_id)?;
        let (channels, through) = self.hearings.ledger(id).await.map_err(|e| status(&e))?;
        let channels = channels.iter().map(entries::ledger).collect();
        Ok(Response::new(pb::ReadLedgerResponse { channels, through_seq: through.number() }))
    }

    async fn describe_server(
        &self,
        request: Request<pb::DescribeServerRequest>,
    ) -> Result<Response<pb::DescribeServerResponse>, Status> {
        let pb::DescribeServerRequest {} = request.into_inner();
        Ok(Response::new(pb::DescribeServerResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: Some(convert::engine(self.hearings.recognizer().info(Pass::Final))),
            languages: self.languages.to_vec(),
            limits: Some(self.limits()),
            encodings: Encoding::ALL.iter().map(|e| convert::encoding(*e).into()).collect(),
        }))
    }
}

/// The size of a page: what was asked for, `usual` for 0, never over [`MOST_ON_A_PAGE`].
fn page(asked: u32, usual: u32) -> usize {
    let size = if asked == 0 { usual } else { asked.min(MOST_ON_A_PAGE) };
    usize::try_from(size).unwrap_or(usize::MAX)
}
