//! A reader follows a hearing: every entry of the record, and partials as long as it keeps up.

use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{convert, pb};
use crate::{
    api::status::status,
    domain::channel::ChannelSetup,
    hearing::{follow::Follower, live::LiveEvent},
};

/// Sends what a watcher asked for until the hearing is closed, the watcher goes, or the server stops.
///
/// A slow watcher is waited for here: it holds nobody else up, and the entries wait in the record.
pub(super) async fn watch(
    mut follower: Follower,
    mut events: Option<broadcast::Receiver<LiveEvent>>,
    channels: Vec<ChannelSetup>,
    outbox: mpsc::Sender<Result<pb::WatchHearingResponse, Status>>,
    draining: CancellationToken,
) {
    use pb::watch_hearing_response::Kind;
    loop {
        let message = tokio::select! {
            biased;
            () = outbox.closed() => return,
            next = follower.next() => match next {
                Ok(Some(entry)) => Ok(Kind::Entry(convert::entry(&entry, &channels))),
                Ok(None) => return,
                Err(error) => Err(status(&error)),
            },
            partial = heard(&mut events) => match partial {
                Some(partial) => Ok(Kind::Partial(partial)),
                None => continue,
            },
            () = draining.cancelled() => Err(Status::unavailable("the server is stopping: watch again from your last entry")),
        };
        let last = message.is_err();
        let sent = outbox.send(message.map(|kind| pb::WatchHearingResponse { kind: Some(kind) })).await;
        if last || sent.is_err() {
            return;
        }
    }
}

/// The next partial, never without listeners; `None` for another event, or after some were missed.
async fn heard(events: &mut Option<broadcast::Receiver<LiveEvent>>) -> Option<pb::PartialResult> {
    let Some(receiver) = events else { return std::future::pending().await };
    match receiver.recv().await {
        Ok(LiveEvent::Partial(partial)) => Some(convert::partial(&partial)),
        Ok(LiveEvent::SpeechBegan { .. }) | Err(broadcast::error::RecvError::Lagged(_)) => None,
        Err(broadcast::error::RecvError::Closed) => {
            *events = None;
            None
        }
    }
}
