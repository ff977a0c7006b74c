//! A reader follows a hearing: every entry of the record, and partials as long as it keeps up.

use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{convert, entries, pb};
use crate::{
    api::status::status,
    domain::channel::ChannelSetup,
    hearing::{follow::Follower, live::LiveEvent, sight::Sight},
};

/// Sends what a watcher asked for until the hearing is closed, the watcher goes, or the server stops.
///
/// A slow watcher is waited for here: it holds nobody else up, and the entries wait in the record.
pub(super) async fn watch(
    mut follower: Follower,
    mut events: Option<broadcast::Receiver<LiveEvent>>,
    channels: Vec<ChannelSetup>,
    mut sight: Sight,
    outbox: mpsc::Sender<Result<pb::WatchHearingResponse, Status>>,
    draining: CancellationToken,
) {
    use pb::watch_hearing_response::Kind;
    loop {
        let message = tokio::select! {
            biased;
            () = outbox.closed() => return,
            next = follower.next() => match next {
                Ok(Some(entry)) => {
                    sight.follow(&entry);
                    let shut = sight.is_shut_by(&entry.change);
                    let shown = Kind::Entry(entries::entry(&entry, &channels, &sight));
                    if shut {
                        // Nobody waits for the ones at the door.
                        let _full = outbox.try_send(Ok(pb::WatchHearingResponse { kind: Some(shown) }));
                        Err(Status::permission_denied("the hearing is in closed session: watch again with its token, or for what is open"))
                    } else {
                        Ok(shown)
                    }
                }
                Ok(None) => return,
                Err(error) => Err(status(&error)),
            },
            event = heard(&mut events) => match event {
                Some(event @ LiveEvent::Partial(_)) if !sight.shows_event(&event, &follower) => continue,
                Some(LiveEvent::Partial(partial)) => Ok(Kind::Partial(convert::partial(&partial))),
                Some(LiveEvent::SpeechBegan { .. }) | None => continue,
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

/// The next live event, never without listeners; `None` after some were missed.
pub(super) async fn heard(events: &mut Option<broadcast::Receiver<LiveEvent>>) -> Option<LiveEvent> {
    let Some(receiver) = events else { return std::future::pending().await };
    match receiver.recv().await {
        Ok(event) => Some(event),
        Err(broadcast::error::RecvError::Lagged(_)) => None,
        Err(broadcast::error::RecvError::Closed) => {
            *events = None;
            None
        }
    }
}
