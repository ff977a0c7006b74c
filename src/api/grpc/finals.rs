//! A reader follows a hearing: every entry of the record, and partials as long as it keeps up.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{convert, entries, pb, pb::watch_hearing_response::Kind};
use crate::{
    api::status::status,
    domain::{change::EntrySeq, channel::ChannelSetup},
    hearing::{follow::Follower, live::LiveEvent, sight::Sight},
    record::entry::Entry,
};

/// Messages that wait for a watcher that reads slowly; then its watch waits, and the entries wait in the record.
const QUEUE: usize = 4;

type Message = Result<pb::WatchHearingResponse, Status>;

/// What a watch is made of.
pub(super) struct Watcher {
    pub(super) follower: Follower,
    /// The last entry that was looked at.
    pub(super) seen: EntrySeq,
    /// Follows what comes after `since`, ahead of a watcher that does not read.
    pub(super) door: Follower,
    /// The last entry when the watch began: who watches knows of the closed sessions up to there.
    pub(super) since: EntrySeq,
    pub(super) events: Option<broadcast::Receiver<LiveEvent>>,
    pub(super) channels: Vec<ChannelSetup>,
    pub(super) sight: Sight,
    pub(super) draining: CancellationToken,
}

/// What a watcher is sent. When it is cut, what waits for it is not sent any more.
#[derive(Debug)]
pub struct Watched {
    queue: mpsc::Receiver<Message>,
    /// Why it is cut; `None` when that cannot come any more.
    cut: Option<oneshot::Receiver<Status>>,
}

impl Stream for Watched {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = self.get_mut();
        match this.cut.as_mut().map(|cut| Pin::new(cut).poll(context)) {
            Some(Poll::Ready(Ok(why))) => {
                this.cut = None;
                this.queue.close();
                while this.queue.try_recv().is_ok() {}
                return Poll::Ready(Some(Err(why)));
            }
            Some(Poll::Ready(Err(_over))) => this.cut = None,
            Some(Poll::Pending) | None => {}
        }
        this.queue.poll_recv(context)
    }
}

impl Watcher {
    /// Sends what a watcher asked for until the hearing is closed, the watcher goes, or the server stops; to who may not attend a
    /// closed session, until one begins.
    ///
    /// A slow watcher is waited for: it holds nobody else up.
    pub(super) fn start(self) -> Watched {
        let (outbox, queue) = mpsc::channel(QUEUE);
        let (cut, told) = oneshot::channel();
        tokio::spawn(async move {
            match self.watch(&outbox).await {
                Err(End::Told(why)) => drop(outbox.send(Err(why)).await),
                Err(End::Cut(why)) => drop(cut.send(why)),
                Ok(()) | Err(End::Gone) => {}
            }
        });
        Watched { queue, cut: Some(told) }
    }

    async fn watch(self, outbox: &mpsc::Sender<Message>) -> Result<(), End> {
        let Self { mut follower, mut seen, door, since, mut events, channels, mut sight, draining } = self;
        let mut shut = pin!(shut(door, sight.clone()));
        loop {
            let kind = tokio::select! {
                biased;
                () = outbox.closed() => return Err(End::Gone),
                begun = &mut shut => {
                    let entry = begun.map_err(End::Cut)?;
                    let shown = Kind::Entry(entries::entry(&entry, &channels, &sight));
                    return show_out(outbox, shown, seen.next() == entry.seq);
                }
                next = follower.next() => {
                    let Some(entry) = next.map_err(|e| End::Told(status(&e)))? else { return Ok(()) };
                    seen = entry.seq;
                    sight.follow(&entry);
                    let shown = Kind::Entry(entries::entry(&entry, &channels, &sight));
                    if sight.is_shut_by(&entry.change) {
                        if entry.seq > since {
                            return show_out(outbox, shown, true);
                        }
                        // It began before the watch did, and all that it seals was withheld.
                        hand(&mut shut, outbox, message(shown)).await?;
                        return Err(End::Told(closed_session()));
                    }
                    shown
                }
                event = heard(&mut events) => match event {
                    Some(event @ LiveEvent::Partial(_)) if !sight.shows_event(&event, &follower) => continue,
                    Some(LiveEvent::Partial(partial)) => Kind::Partial(convert::partial(&partial)),
                    Some(LiveEvent::SpeechBegan { .. }) | None => continue,
                },
                () = draining.cancelled() => return Err(End::Told(Status::unavailable("the server is stopping: watch again from your last entry"))),
            };
            hand(&mut shut, outbox, message(kind)).await?;
        }
    }
}

/// Why a watch ends before its hearing does.
enum End {
    /// The watcher went away.
    Gone,
    /// With this, behind what waits for it.
    Told(Status),
    /// With this, at once.
    Cut(Status),
}

#[expect(clippy::unnecessary_wraps, reason = "what a queue holds")]
fn message(kind: Kind) -> Message {
    Ok(pb::WatchHearingResponse { kind: Some(kind) })
}

/// Queues a message, unless a closed session begins before there is room.
async fn hand(
    shut: &mut Pin<&mut impl Future<Output = Result<Entry, Status>>>,
    outbox: &mpsc::Sender<Message>,
    message: Message,
) -> Result<(), End> {
    tokio::select! {
        biased;
        begun = shut => Err(End::Cut(begun.err().unwrap_or_else(closed_session))),
        sent = outbox.send(message) => sent.map_err(|_gone| End::Gone),
    }
}

/// Ends a watch at a closed session that begins. A watcher that has read all before it is told by which entry; nobody waits for
/// the others at the door.
fn show_out(outbox: &mpsc::Sender<Message>, entry: Kind, in_turn: bool) -> Result<(), End> {
    let waits = outbox.capacity() < outbox.max_capacity();
    if !in_turn || waits || outbox.try_send(message(entry)).is_err() {
        return Err(End::Cut(closed_session()));
    }
    Err(End::Told(closed_session()))
}

fn closed_session() -> Status {
    Status::permission_denied("the hearing is in closed session: watch again with its token, or for what is open")
}

/// The next entry that begins a closed session which a reader may not attend; never for who may.
async fn shut(mut door: Follower, sight: Sight) -> Result<Entry, Status> {
    while !sight.is_whole() {
        match door.next().await {
            Ok(Some(entry)) if sight.is_shut_by(&entry.change) => return Ok(entry),
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => return Err(status(&error)),
        }
    }
    std::future::pending().await
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
