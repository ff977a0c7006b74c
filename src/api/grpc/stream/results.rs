//! What a recorder is sent: texts, alarms and orders of its hearing, how far its audio is stored, and how late results are.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::{broadcast, mpsc};
use tonic::Status;

use super::{Outbox, input::Mark};
use crate::{
    api::{
        grpc::{convert, entries, finals, pb, pb::stream_response::Kind as Out},
        status::status,
    },
    domain::{
        change::{Change, EntrySeq},
        channel::ChannelSetup,
        id::ChannelId,
        time::SamplePos,
    },
    hearing::{
        follow::Follower,
        live::{ChannelProgress, LiveEvent},
        service::Hearings,
        sight::Sight,
    },
    record::entry::Entry,
};

/// How often a client is told how late the results are.
const REPORT: Duration = Duration::from_secs(1);

/// Marks whose results are not there yet; then the input waits.
pub(super) const MARKS: usize = 256;

/// What a stream reads of its hearing, and how much of it its recorder may see.
pub(super) struct Reading {
    pub(super) follower: Follower,
    pub(super) events: Option<broadcast::Receiver<LiveEvent>>,
    pub(super) sight: Sight,
    /// The last entry that was looked at.
    pub(super) seen: EntrySeq,
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
pub(super) struct Results {
    hearings: Arc<Hearings>,
    pub(super) reading: Reading,
    channels: Vec<ChannelProgress>,
    /// When the lag is told next.
    report: tokio::time::Interval,
    /// Marks that the client set, as they come.
    set: mpsc::Receiver<Mark>,
    /// Marks whose audio has not all its results.
    marks: VecDeque<Mark>,
}

impl Results {
    pub(super) fn new(
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
    pub(super) async fn next(&mut self, channels: &[ChannelSetup]) -> Result<Option<Out>, Status> {
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
    pub(super) fn settled(&self, at: &[(ChannelId, SamplePos)]) -> bool {
        at.iter().all(|(channel, position)| {
            self.channels.iter().any(|c| c.channel == *channel && *c.settled.borrow() >= *position)
        })
    }

    /// Whether everything that ended before these positions has its text in the record.
    pub(super) fn heard(&self, at: &[(ChannelId, SamplePos)]) -> bool {
        at.iter().all(|(channel, position)| {
            self.channels.iter().any(|c| c.channel == *channel && *c.heard.borrow() >= *position)
        })
    }

    /// Sends results until there are all that are `there` at the end of the input, and how far it is stored.
    pub(super) async fn send_until(
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
    pub(super) async fn drain(&mut self, channels: &[ChannelSetup], outbox: &Outbox) -> Result<(), Status> {
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

pub(super) async fn send(outbox: &Outbox, kind: Out) -> Result<(), Status> {
    let message = pb::StreamResponse { kind: Some(kind) };
    outbox.send(Ok(message)).await.map_err(|_gone| Status::cancelled("the client went away"))
}
