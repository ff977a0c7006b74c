//! A re-pass as it goes over the wire: told on the server's side, heard on the client's.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{client::ClientError, convert, pb, pb::propose_revisions_response::Kind};
use crate::{
    api::status::status,
    domain::id::HearingId,
    hearing::{
        repass::{Progress, RePass, RePassed},
        service::Hearings,
    },
    speech::profile::ProfileName,
};

/// Progress that waits for a client that reads slowly; then some is left out.
const PROGRESS: usize = 1;

type Message = Result<pb::ProposeRevisionsResponse, Status>;

/// With what a hearing is to be heard.
pub(super) fn wanted(model: String, profile: i32) -> Result<RePass, Status> {
    let profile = match pb::RePassProfile::try_from(profile) {
        Ok(pb::RePassProfile::Unspecified | pb::RePassProfile::Archive) => ProfileName::Archive,
        Ok(pb::RePassProfile::Final) => ProfileName::Final,
        Err(_) => return Err(Status::invalid_argument(format!("profile {profile} is not final or archive"))),
    };
    Ok(RePass { model: Some(model).filter(|model| !model.is_empty()), profile })
}

/// Hears a hearing once more, and tells how far it is and what came of it. Ends where the caller goes away or the server stops.
pub(super) async fn serve(
    hearings: Arc<Hearings>,
    (hearing, wanted): (HearingId, RePass),
    outbox: mpsc::Sender<Message>,
    draining: CancellationToken,
) {
    let (tell, mut told) = mpsc::channel(PROGRESS);
    let mut work = tokio::spawn(async move { hearings.propose_revisions(hearing, wanted, tell).await });
    // When this leaves the loop, nobody takes progress any more, which ends the work.
    loop {
        let message = tokio::select! {
            ended = &mut work => {
                let message = match ended {
                    Ok(Ok(done)) => summary(&done),
                    Ok(Err(error)) => Err(status(&error)),
                    Err(_panicked) => Err(Status::internal("the re-pass failed; the server's log has the reason")),
                };
                // The caller may be gone.
                let _gone = outbox.send(message).await;
                return;
            }
            Some(progress) = told.recv() => progress_of(progress),
            () = outbox.closed() => return,
            () = draining.cancelled() => {
                let why = "the server is stopping: what was proposed is in the record, ask again for the rest";
                let _gone = outbox.send(Err(Status::unavailable(why))).await;
                return;
            }
        };
        // A slow reader is not waited for.
        let _full = outbox.try_send(message);
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what a stream holds")]
fn progress_of(Progress { heard_ms, of_ms, proposed }: Progress) -> Message {
    let kind = Kind::Progress(pb::RePassProgress { heard_ms, of_ms, proposed });
    Ok(pb::ProposeRevisionsResponse { kind: Some(kind) })
}

#[expect(clippy::unnecessary_wraps, reason = "what a stream holds")]
fn summary(done: &RePassed) -> Message {
    let RePassed { engine, utterances, proposed, known, failed, words, changed } = done;
    let kind = Kind::Summary(pb::RePassSummary {
        engine: Some(convert::engine(engine)),
        utterances: *utterances,
        proposed: *proposed,
        proposed_before: *known,
        failed: *failed,
        words: *words,
        changed: *changed,
    });
    Ok(pb::ProposeRevisionsResponse { kind: Some(kind) })
}

/// The client's side of a re-pass.
#[derive(Debug)]
pub struct RePassing {
    responses: Streaming<pb::ProposeRevisionsResponse>,
}

/// What a client hears of a re-pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RePassEvent {
    /// How far it is.
    Progress(Progress),
    /// It is done.
    Done(RePassSummary),
}

/// What came of a re-pass, as a client is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RePassSummary {
    /// The model that heard.
    pub model: String,
    /// SHA-256 of its file.
    pub model_sha256: String,
    /// Utterances that were heard.
    pub utterances: u64,
    /// Texts that are proposed now.
    pub proposed: u64,
    /// And those that were proposed before.
    pub proposed_before: u64,
    /// Utterances that could not be decoded.
    pub failed: u64,
    /// Words that the record has there.
    pub words: u64,
    /// Words that would change.
    pub changed: u64,
}

impl RePassing {
    pub(super) const fn new(responses: Streaming<pb::ProposeRevisionsResponse>) -> Self {
        Self { responses }
    }

    /// What comes next; `None` after [`RePassEvent::Done`].
    ///
    /// # Errors
    /// [`ClientError::Refused`] with what the server says.
    pub async fn next(&mut self) -> Result<Option<RePassEvent>, ClientError> {
        let Some(response) = self.responses.message().await? else { return Ok(None) };
        let kind = response.kind.ok_or(ClientError::Protocol { what: "a message without content" })?;
        Ok(Some(match kind {
            Kind::Progress(pb::RePassProgress { heard_ms, of_ms, proposed }) => {
                RePassEvent::Progress(Progress { heard_ms, of_ms, proposed })
            }
            Kind::Summary(done) => RePassEvent::Done(told(done)),
        }))
    }
}

fn told(done: pb::RePassSummary) -> RePassSummary {
    let pb::RePassSummary { engine, utterances, proposed, proposed_before, failed, words, changed } = done;
    let pb::Engine { model, model_sha256, .. } = engine.unwrap_or_default();
    RePassSummary { model, model_sha256, utterances, proposed, proposed_before, failed, words, changed }
}

/// The request of a client.
pub(super) fn request(hearing: HearingId, wanted: &RePass) -> pb::ProposeRevisionsRequest {
    pb::ProposeRevisionsRequest {
        hearing_id: hearing.to_string(),
        model: wanted.model.clone().unwrap_or_default(),
        profile: match wanted.profile {
            ProfileName::Archive => pb::RePassProfile::Archive,
            ProfileName::Final | ProfileName::Live => pb::RePassProfile::Final,
        }
        .into(),
    }
}
