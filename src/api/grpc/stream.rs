//! One stream: audio in, results out, each on its own side, so that neither waits for the other.

mod input;
mod results;

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{Status, Streaming};

use self::{
    input::{InputEnd, take_audio},
    results::{MARKS, Reading, Results, send},
};
use super::{
    convert, pb,
    pb::{stream_request::Kind as In, stream_response::Kind as Out},
    service::caller,
};
use crate::{
    api::status::status,
    domain::{
        change::EntrySeq,
        channel::ChannelSetup,
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    hearing::{live::LiveStream, service::Hearings},
};

/// How long a client that does not read its results may keep others waiting when its hearing or the server is to end.
const PATIENCE: Duration = Duration::from_secs(10);

type Outbox = mpsc::Sender<Result<pb::StreamResponse, Status>>;

/// Serves one stream to its end. The last message is `finished`, or a status that says what went wrong.
pub(super) async fn serve(
    hearings: Arc<Hearings>,
    mut requests: Streaming<pb::StreamRequest>,
    outbox: Outbox,
    draining: CancellationToken,
) {
    let begun = tokio::select! {
        begun = begin(&hearings, &mut requests) => begun,
        () = draining.cancelled() => Err(stopping()),
    };
    let ended = match begun {
        Ok(session) => {
            let ending = session.live.audio.ending();
            tokio::select! {
                ended = session.run(requests, &outbox, draining.clone()) => ended,
                () = unread(&outbox, ending, draining) => {
                    tracing::warn!("a client did not read its results; its stream is cut so that others need not wait");
                    return;
                }
            }
        }
        Err(refused) => Err(refused),
    };
    if let Err(refused) = ended {
        let _gone = tokio::time::timeout(PATIENCE, outbox.send(Err(refused))).await;
    }
}

fn stopping() -> Status {
    Status::unavailable("the server is stopping: stream again from the durable position")
}

/// Ready when the stream is to end and nothing was read of a full outbox for [`PATIENCE`].
async fn unread(outbox: &Outbox, ending: CancellationToken, draining: CancellationToken) {
    tokio::select! {
        () = ending.cancelled() => {}
        () = draining.cancelled() => {}
    }
    let mut looks = tokio::time::interval(PATIENCE);
    loop {
        looks.tick().await;
        // A place in the outbox is a message that was read.
        match tokio::time::timeout(PATIENCE, outbox.reserve()).await {
            Ok(Ok(_place)) => {}
            Ok(Err(_gone)) => return std::future::pending().await,
            Err(_late) => return,
        }
    }
}

/// What a stream is after its first message.
struct Session {
    hearings: Arc<Hearings>,
    live: LiveStream,
    channels: Vec<ChannelSetup>,
    reading: Reading,
}

async fn begin(hearings: &Arc<Hearings>, requests: &mut Streaming<pb::StreamRequest>) -> Result<Session, Status> {
    let first = requests.message().await?;
    let Some(In::Start(start)) = first.and_then(|r| r.kind) else {
        return Err(Status::invalid_argument("the first message of a stream must be `start`"));
    };
    let pb::StreamStart { hearing_id, results_after_seq, resume_token, partials } = start;
    let id: HearingId = convert::hearing_id(&hearing_id)?;
    let live = hearings.stream(id, &resume_token, caller()).await.map_err(|e| status(&e))?;
    let (summary, _) = hearings.read(id, EntrySeq::START, 1).await.map_err(|e| status(&e))?;
    // Never from behind the end: an order that is passed over would not be known.
    let seen = results_after_seq.map_or(summary.last, EntrySeq::new).min(summary.last);
    let follower = hearings.follow(id, seen).await.map_err(|e| status(&e))?;
    let sight = hearings.sight(id, &resume_token).await.map_err(|e| status(&e))?;
    let events = partials.then(|| hearings.listen(id));
    let reading = Reading { follower, events, sight, seen };
    Ok(Session { hearings: Arc::clone(hearings), live, channels: summary.channels, reading })
}

impl Session {
    async fn run(
        self,
        requests: Streaming<pb::StreamRequest>,
        outbox: &Outbox,
        draining: CancellationToken,
    ) -> Result<(), Status> {
        let LiveStream { audio, channels } = self.live;
        let start: Vec<_> = channels.iter().map(|c| (c.channel, c.start)).collect();
        let (marks, set) = mpsc::channel(MARKS);
        let mut results = Results::new(self.hearings, self.reading, channels, set);
        send(outbox, Out::Opened(pb::StreamOpened { positions: positions(&start) })).await?;
        // On a task of its own: a client that reads slowly is not kept from sending. It ends the input when it ends.
        let mut input = AbortOnDropHandle::new(tokio::spawn(take_audio(audio, requests, marks, draining)));
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut input => {
                    let ended = ended.unwrap_or_else(|_panic| Err(Status::internal("taking audio failed")));
                    break ended.unwrap_or_else(InputEnd::Broken);
                }
                message = results.next(&self.channels) => if let Some(message) = message? {
                    send(outbox, message).await?;
                },
            }
        };
        match ended {
            InputEnd::Broken(refused) => {
                results.drain(&self.channels, outbox).await?;
                Err(refused)
            }
            InputEnd::Left(end) => {
                results.send_until(Results::heard, &end, &self.channels, outbox).await?;
                Err(stopping())
            }
            InputEnd::Over(end) => {
                results.send_until(Results::settled, &end, &self.channels, outbox).await?;
                let last_seq = results.reading.seen.number();
                send(outbox, Out::Finished(pb::StreamFinished { positions: positions(&end), last_seq })).await
            }
        }
    }
}

fn positions(positions: &[(ChannelId, SamplePos)]) -> Vec<pb::ChannelPosition> {
    let mut sorted = positions.to_vec();
    sorted.sort_by_key(|(channel, _)| *channel);
    sorted
        .into_iter()
        .map(|(channel, next)| pb::ChannelPosition { channel: u32::from(channel.number()), next_sample: next.index() })
        .collect()
}
