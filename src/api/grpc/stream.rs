//! One stream: audio in, results out, each on its own side, so that neither waits for the other.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::{broadcast, mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{Status, Streaming};

use super::{
    convert, entries, finals, pb,
    pb::{stream_request::Kind as In, stream_response::Kind as Out},
    service::caller,
};
use crate::{
    api::status::status,
    domain::{
        change::{Change, EntrySeq},
        channel::ChannelSetup,
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    hearing::{
        follow::Follower,
        live::{AudioIn, ChannelProgress, LiveEvent, LiveStream},
        service::Hearings,
        sight::Sight,
    },
    record::entry::Entry,
};

/// How often a client is told how late the results are.
const REPORT: Duration = Duration::from_secs(1);

/// How long a client that does not read its results may keep others waiting when its hearing or the server is to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Marks whose results are not there yet; then the input waits.
const MARKS: usize = 256;

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

/// How the input of a stream ended.
enum InputEnd {
    /// The recorder has no more for now, or the hearing is to end. The results up to here are waited for.
    Over(Vec<(ChannelId, SamplePos)>),
    /// The server is to end: what is being said goes on with the next stream. The results of what ended are waited for.
    Left(Vec<(ChannelId, SamplePos)>),
    /// A break, a broken rule, another stream: what was said goes on with the next stream.
    Broken(Status),
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

/// A mark of the client's, and where each channel stood when it came.
type Mark = (u64, Vec<(ChannelId, SamplePos)>);

/// Takes audio until the recorder ends the stream, breaks a rule, or goes away, or the hearing is closed.
async fn take_audio(
    mut live: AudioIn,
    mut requests: Streaming<pb::StreamRequest>,
    marks: mpsc::Sender<Mark>,
    draining: CancellationToken,
) -> Result<InputEnd, Status> {
    let halt = Halt { ending: live.ending(), draining, replaced: live.replaced() };
    let mut chunks = 0;
    let leaves = loop {
        let message = tokio::select! {
            // An input that is over is over, whatever else is to end.
            biased;
            message = requests.message() => message?,
            leaves = halt.told() => break leaves?,
        };
        let Some(message) = message else { break false };
        // Also in the middle of a message: its audio may be long, and what was taken of it is known by position.
        tokio::select! {
            biased;
            leaves = halt.told() => break leaves?,
            taken = take_message(&mut live, message, &marks, &mut chunks) => taken?,
        }
    };
    let end = if leaves { live.leave().await.map(InputEnd::Left) } else { live.finish().await.map(InputEnd::Over) };
    end.map_err(|e| status(&e))
}

/// What ends the input before the recorder does.
struct Halt {
    ending: CancellationToken,
    draining: CancellationToken,
    replaced: CancellationToken,
}

impl Halt {
    /// Ready when the input is to end; whether it goes on with another stream.
    async fn told(&self) -> Result<bool, Status> {
        tokio::select! {
            () = self.ending.cancelled() => Ok(false),
            () = self.draining.cancelled() => Ok(true),
            () = self.replaced.cancelled() => Err(Status::aborted("another stream of the hearing took over")),
        }
    }
}

async fn take_message(
    live: &mut AudioIn,
    message: pb::StreamRequest,
    marks: &mpsc::Sender<Mark>,
    chunks: &mut u64,
) -> Result<(), Status> {
    match message.kind {
        Some(In::Audio(chunk)) => {
            *chunks += 1;
            take_chunk(live, chunk, *chunks).await?;
        }
        Some(In::Marker(pb::Marker { id })) => {
            // The other side is there as long as the input is.
            let _gone = marks.send((id, live.positions())).await;
        }
        Some(In::Start(_)) => return Err(Status::invalid_argument("`start` came twice in one stream")),
        Some(In::Interval(event)) => live.order(entries::interval_event(event)?).await.map_err(|e| status(&e))?,
        Some(In::Gap(pb::Gap { channel, end_sample, reason })) => {
            let reason = entries::gap_reason(reason)?;
            live.missing(channel, SamplePos::new(end_sample), reason).await.map_err(|e| status(&e))?;
        }
        Some(In::Clock(reading)) => {
            let (channel, at, wall) = entries::clock_reading(&reading)?;
            live.clock(channel, at, wall).map_err(|e| status(&e))?;
        }
        None => return Err(Status::invalid_argument("a message without content")),
    }
    Ok(())
}

async fn take_chunk(live: &mut AudioIn, chunk: pb::AudioChunk, number: u64) -> Result<(), Status> {
    let pb::AudioChunk { channel, first_sample, sequence, samples, crc32c } = chunk;
    if sequence != 0 && sequence != number {
        return Err(Status::invalid_argument(format!("audio chunk {sequence} came where {number} was due")));
    }
    if let Some(expected) = crc32c {
        let found = crc32c::crc32c(&samples);
        if found != expected {
            return Err(Status::invalid_argument(format!(
                "audio chunk {number} has CRC-32C {found:08x}, not {expected:08x}: it was damaged on its way; send it again"
            )));
        }
    }
    if channel > u32::from(ChannelId::MAX) {
        convert::channel_id(channel)?;
    }
    live.audio(channel, first_sample.map(SamplePos::new), &samples).await.map_err(|e| status(&e))
}

/// What a stream reads of its hearing, and how much of it its recorder may see.
struct Reading {
    follower: Follower,
    events: Option<broadcast::Receiver<LiveEvent>>,
    sight: Sight,
    /// The last entry that was looked at.
    seen: EntrySeq,
}

impl Reading {
    /// What of an entry a recorder is told: texts that it may see, orders that hold, and alarms.
    fn told(&mut self, entry: &Entry, channels: &[ChannelSetup]) -> Option<Out> {
        self.seen = entry.seq;
        self.sight.follow(entry);
        if let Some(began) = entries::interval_began(&entry.change) {
            return Some(Out::IntervalBegan(began));
        }
        if let Some(alarm) = entries::channel_alarm(&entry.change) {
            return Some(Out::ChannelAlarm(alarm));
        }
        let segment = entry.change.segment().filter(|_| self.sight.shows(&entry.change))?;
        let segment = Some(convert::segment(segment, channels));
        let revised = matches!(entry.change, Change::SegmentRevised { .. });
        Some(Out::Final(pb::FinalResult { seq: entry.seq.number(), segment, revised }))
    }

    /// What of an event a recorder is told.
    fn heard(&self, event: LiveEvent) -> Option<Out> {
        if !self.sight.shows_event(&event, &self.follower) {
            return None;
        }
        Some(match event {
            LiveEvent::Partial(partial) => Out::Partial(convert::partial(&partial)),
            LiveEvent::SpeechBegan { channel, at } => {
                Out::SpeechBegan(pb::SpeechBegan { channel: u32::from(channel.number()), first_sample: at.index() })
            }
        })
    }
}

/// Where results come from.
struct Results {
    hearings: Arc<Hearings>,
    reading: Reading,
    channels: Vec<ChannelProgress>,
    /// When the lag is told next.
    report: tokio::time::Interval,
    /// Marks that the client set, as they come.
    set: mpsc::Receiver<Mark>,
    /// Marks whose audio has not all its results.
    marks: VecDeque<Mark>,
}

impl Results {
    fn new(
        hearings: Arc<Hearings>,
        reading: Reading,
        channels: Vec<ChannelProgress>,
        set: mpsc::Receiver<Mark>,
    ) -> Self {
        let mut report = tokio::time::interval(REPORT);
        report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        report.reset();
        Self { hearings, reading, channels, report, set, marks: VecDeque::new() }
    }

    /// The next thing to send; `None` where something happened that is not sent. Nothing is lost if it is dropped.
    async fn next(&mut self, channels: &[ChannelSetup]) -> Result<Option<Out>, Status> {
        if self.marks.front().is_some_and(|(_, at)| self.settled(at)) {
            // Its results are in the record; they go before it.
            if let Some(entry) = self.reading.follower.ready().await.map_err(|e| status(&e))? {
                return Ok(self.reading.told(&entry, channels));
            }
            return Ok(self.marks.pop_front().map(|(id, _)| Out::Marker(pb::Marker { id })));
        }
        tokio::select! {
            biased;
            Some(mark) = self.set.recv(), if self.marks.len() < MARKS => {
                self.marks.push_back(mark);
                Ok(None)
            }
            entry = self.reading.follower.next() => match entry.map_err(|e| status(&e))? {
                Some(entry) => Ok(self.reading.told(&entry, channels)),
                None => std::future::pending().await,
            },
            moved = moved(&mut self.channels) => moved,
            event = finals::heard(&mut self.reading.events) => Ok(event.and_then(|event| self.reading.heard(event))),
            _ = self.report.tick() => Ok(Some(self.lag())),
        }
    }

    /// Whether all audio up to these positions has its results in the record.
    fn settled(&self, at: &[(ChannelId, SamplePos)]) -> bool {
        at.iter().all(|(channel, position)| {
            self.channels.iter().any(|c| c.channel == *channel && *c.settled.borrow() >= *position)
        })
    }

    /// Whether everything that ended before these positions has its text in the record.
    fn heard(&self, at: &[(ChannelId, SamplePos)]) -> bool {
        at.iter().all(|(channel, position)| {
            self.channels.iter().any(|c| c.channel == *channel && *c.heard.borrow() >= *position)
        })
    }

    /// Sends results until there are all that are `there` at the end of the input, and how far it is stored.
    async fn send_until(
        &mut self,
        there: impl Fn(&Self, &[(ChannelId, SamplePos)]) -> bool,
        end: &[(ChannelId, SamplePos)],
        channels: &[ChannelSetup],
        outbox: &Outbox,
    ) -> Result<(), Status> {
        while !there(self, end) {
            if let Some(message) = self.next(channels).await? {
                send(outbox, message).await?;
            }
        }
        self.drain(channels, outbox).await?;
        for (channel, next) in end {
            send(outbox, stored(*channel, *next)).await?;
        }
        Ok(())
    }

    /// How much stored audio has no results yet: the longest of the channels.
    fn lag(&self) -> Out {
        let lags = self.channels.iter().map(|c| {
            let (durable, settled) = (*c.durable.borrow(), *c.settled.borrow());
            durable.at(c.rate).millis().saturating_sub(settled.at(c.rate).millis())
        });
        Out::Status(pb::StreamStatus {
            lag_ms: lags.max().unwrap_or(0),
            load_step: u32::from(self.hearings.load_step().number()),
        })
    }

    /// Sends every result that is in the record, and the marks whose results they are.
    async fn drain(&mut self, channels: &[ChannelSetup], outbox: &Outbox) -> Result<(), Status> {
        while let Some(entry) = self.reading.follower.ready().await.map_err(|e| status(&e))? {
            if let Some(result) = self.reading.told(&entry, channels) {
                send(outbox, result).await?;
            }
        }
        while let Ok(mark) = self.set.try_recv() {
            self.marks.push_back(mark);
        }
        while self.marks.front().is_some_and(|(_, at)| self.settled(at)) {
            let Some((id, _)) = self.marks.pop_front() else { break };
            send(outbox, Out::Marker(pb::Marker { id })).await?;
        }
        Ok(())
    }
}

/// The next channel that got on: further onto the disk, which is told, or with its results, which is not.
async fn moved(channels: &mut [ChannelProgress]) -> Result<Option<Out>, Status> {
    let waits = channels.iter_mut().map(|c| {
        Box::pin(async move {
            tokio::select! {
                durable = c.durable.changed() => match durable {
                    Ok(()) => Ok(Some(stored(c.channel, *c.durable.borrow_and_update()))),
                    // Closed: nothing more comes from this one.
                    Err(_) => std::future::pending().await,
                },
                settled = c.settled.changed() => match settled {
                    Ok(()) => Ok(None),
                    Err(_) if *c.settled.borrow() >= *c.durable.borrow() => std::future::pending().await,
                    Err(_) => Err(Status::internal("listening to the hearing stopped: its audio is kept, stream again")),
                },
                Ok(()) = c.heard.changed() => Ok(None),
            }
        })
    });
    first_of(waits.collect()).await
}

/// The first of several futures that is ready.
async fn first_of<F: Future + Unpin>(mut futures: Vec<F>) -> F::Output {
    std::future::poll_fn(|context| {
        for future in &mut futures {
            if let std::task::Poll::Ready(output) = std::pin::Pin::new(future).poll(context) {
                return std::task::Poll::Ready(output);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn stored(channel: ChannelId, position: SamplePos) -> Out {
    Out::Stored(pb::AudioStored { channel: u32::from(channel.number()), durable_through_sample: position.index() })
}

fn positions(positions: &[(ChannelId, SamplePos)]) -> Vec<pb::ChannelPosition> {
    let mut sorted = positions.to_vec();
    sorted.sort_by_key(|(channel, _)| *channel);
    sorted
        .into_iter()
        .map(|(channel, next)| pb::ChannelPosition { channel: u32::from(channel.number()), next_sample: next.index() })
        .collect()
}

async fn send(outbox: &Outbox, kind: Out) -> Result<(), Status> {
    let message = pb::StreamResponse { kind: Some(kind) };
    outbox.send(Ok(message)).await.map_err(|_gone| Status::cancelled("the client went away"))
}
