//! A house with one recorder after another, whose clock is set by hand.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;
use vivavoce::{
    api::{
        grpc::{heard::ClientEvent, pb},
        recorder::{
            self, Captured, RecorderEvent, RuntimeClock,
            spool::{Spool, SpoolError},
        },
    },
    app::SystemWorld,
    domain::{
        actor::{Actor, ActorKind},
        change::{IntervalClass, Order},
        channel::Label,
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    hearing::{
        orders::{Request, Start},
        world::World,
    },
};

use super::{
    recording::{CHANNELS, TOO_LONG, channels, recorder_of, spool_in},
    relay::Relay,
    scripted::{RATE, ScriptedServer},
    server::connect,
};

pub(crate) const SECOND: u64 = RATE as u64;

/// The machine, but for its clock, which is set by hand.
#[derive(Debug)]
pub(crate) struct Hours(pub(crate) Mutex<Timestamp>);

impl Hours {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2026-03-02T09:00:00Z".parse().unwrap())))
    }

    pub(crate) fn pass(&self, length: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(length).unwrap();
    }
}

impl World for Hours {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
    fn steady(&self) -> Duration {
        SystemWorld.steady()
    }
    fn draw_id(&self) -> Uuid {
        SystemWorld.draw_id()
    }
    fn draw_bytes(&self) -> [u8; 16] {
        SystemWorld.draw_bytes()
    }
}

/// One recorder after another in one house.
pub(crate) struct House {
    pub(crate) server: ScriptedServer,
    pub(crate) relay: Relay,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) hours: Arc<Hours>,
}

impl House {
    pub(crate) async fn new() -> Self {
        let server = ScriptedServer::start().await;
        let relay = Relay::start(server.address).await;
        Self { server, relay, folder: tempfile::tempdir().unwrap(), hours: Hours::new() }
    }

    pub(crate) fn spool(&self) -> Result<Spool, SpoolError> {
        Spool::create(&spool_in(self.folder.path(), u64::MAX), channels(), None, self.hours.clone())
    }

    /// The spool of a recorder that is gone: its thread lets the folder go in a moment.
    pub(crate) async fn reopened(&self) -> Spool {
        loop {
            match Spool::reopen(&spool_in(self.folder.path(), u64::MAX), self.hours.clone()) {
                Err(SpoolError::Busy { .. }) => tokio::task::yield_now().await,
                reopened => return reopened.unwrap(),
            }
        }
    }

    /// Records all of this to the end; gives the hearing.
    pub(crate) async fn record(&self, spool: Spool, captured: Vec<Captured>) -> HearingId {
        let (capture, input) = mpsc::channel(captured.len().max(1));
        captured.into_iter().for_each(|c| capture.try_send(c).unwrap());
        drop(capture);
        let (mut parts, how) = recorder_of(spool, self.relay.url(), input, Arc::new(RuntimeClock));
        parts.world = self.hours.clone();
        recorder::run(parts, how, &mut |_| {}).await.unwrap().hearing.parse().unwrap()
    }

    /// Records this, second by second, until `done` says that it is enough; then the recorder dies.
    pub(crate) async fn record_and_die(&self, spool: Spool, bytes: &[u8], done: Done) {
        let (capture, input) = mpsc::channel(8);
        let (mut parts, how) = recorder_of(spool, self.relay.url(), input, Arc::new(RuntimeClock));
        parts.world = self.hours.clone();
        let mut stock = parts.keeper.stock();
        let (told, mut safe) = watch::channel(0);
        let recording = tokio::spawn(async move {
            let mut show = |event: &RecorderEvent<'_>| {
                if let RecorderEvent::Heard(ClientEvent::Stored { through, .. }) = event {
                    told.send_replace(*through);
                }
            };
            recorder::run(parts, how, &mut show).await
        });
        for second in bytes.chunks(RATE as usize * CHANNELS) {
            // A batch each. Read before anything is sent: what was sent may be kept at once.
            let end = stock.borrow().held[0].end.plus((second.len() / CHANNELS) as u64);
            capture.send(Captured::Interleaved(second.to_vec())).await.unwrap();
            drop(tokio::time::timeout(TOO_LONG, stock.wait_for(|s| s.held[0].end >= end)).await.unwrap().unwrap());
        }
        if done == Done::Stored {
            let frames = (bytes.len() / CHANNELS) as u64;
            tokio::time::timeout(TOO_LONG, safe.wait_for(|through| *through == frames)).await.unwrap().unwrap();
        }
        recording.abort();
        assert!(recording.await.unwrap_err().is_cancelled());
    }

    /// The accounts of every channel, which add up.
    pub(crate) async fn ledger(&self, hearing: HearingId) -> Vec<pb::ChannelLedger> {
        let request = pb::ReadLedgerRequest { hearing_id: hearing.to_string() };
        let mut client = connect(self.server.address).await;
        let ledger = client.read_ledger(request).await.unwrap().into_inner().channels;
        for l in &ledger {
            let accounts = l.speech_samples + l.non_speech_samples + l.off_record_samples + l.muted_samples;
            assert_eq!(accounts + l.gap_samples + l.pending_samples, l.length_samples);
            assert_eq!(l.pending_samples, 0, "it is closed");
        }
        ledger
    }

    /// The gaps of the record of a channel: first sample, last, reason.
    pub(crate) async fn gaps(&self, hearing: HearingId, channel: u32) -> Vec<(u64, u64, pb::GapReason)> {
        let mut client = connect(self.server.address).await;
        let request = pb::ReadRecordRequest { hearing_id: hearing.to_string(), ..Default::default() };
        let page = client.read_record(request).await.unwrap().into_inner();
        assert_eq!(page.next_after_seq, None);
        let missing = page.entries.into_iter().filter_map(|e| match e.change {
            Some(pb::record_entry::Change::AudioMissing(m)) if m.channel == channel => {
                Some((m.span.unwrap().start_sample, m.span.unwrap().end_sample, m.reason()))
            }
            _ => None,
        });
        missing.collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Spooled,
    Stored,
}

/// What was captured of a channel but for these stretches.
pub(crate) fn without(bytes: &[u8], lane: usize, gaps: &[(u64, u64)]) -> Vec<u8> {
    let samples = bytes.iter().skip(lane).step_by(CHANNELS).copied();
    let there = |at: &u64| !gaps.iter().any(|(from, to)| (from..to).contains(&at));
    (0_u64..).zip(samples).filter(|(at, _)| there(at)).map(|(_, sample)| sample).collect()
}

/// Orders how seconds `from` to `to` are treated, of a channel or of all.
pub(crate) async fn order(
    server: &ScriptedServer,
    hearing: HearingId,
    channel: Option<u8>,
    (from, to): (u64, u64),
    class: IntervalClass,
) {
    let label = |text: &str| Label::try_from(text.to_owned()).unwrap();
    let request = Request {
        channel: channel.and_then(ChannelId::new),
        start: Start::At(SamplePos::new(from * SECOND)),
        end: Some(SamplePos::new(to * SECOND)),
        class,
        order: Order { by: label("judge 4"), reason: label("side bar") },
    };
    let by = Actor { kind: ActorKind::Person, id: "clerk".to_owned() };
    server.hearings.order(hearing, request, by).await.unwrap();
}

/// Orders seconds `from` to `to` off the record.
pub(crate) async fn off_the_record(
    server: &ScriptedServer,
    hearing: HearingId,
    channel: Option<u8>,
    from: u64,
    to: u64,
) {
    order(server, hearing, channel, (from, to), IntervalClass::OffRecord).await;
}
