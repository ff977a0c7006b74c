//! What a recorder does not have, the record says, with the reason, and every sample is accounted for.

use std::{
    path::Path,
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
    domain::id::HearingId,
    hearing::world::World,
};

use crate::support::{
    recording::{CHANNELS, TOO_LONG, channels, recorder_of, sound, spool_in, voices},
    relay::Relay,
    scripted::{RATE, ScriptedServer},
    server::connect,
};

const SECOND: u64 = RATE as u64;

/// The machine, but for its clock, which is set by hand.
#[derive(Debug)]
struct Hours(Mutex<Timestamp>);

impl Hours {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2026-03-02T09:00:00Z".parse().unwrap())))
    }

    fn pass(&self, length: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(length).unwrap();
    }
}

impl World for Hours {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
    fn draw_id(&self) -> Uuid {
        SystemWorld.draw_id()
    }
    fn draw_bytes(&self) -> [u8; 16] {
        SystemWorld.draw_bytes()
    }
}

/// One recorder after another in one house.
struct House {
    server: ScriptedServer,
    relay: Relay,
    folder: tempfile::TempDir,
    hours: Arc<Hours>,
}

impl House {
    async fn new() -> Self {
        let server = ScriptedServer::start().await;
        let relay = Relay::start(server.address).await;
        Self { server, relay, folder: tempfile::tempdir().unwrap(), hours: Hours::new() }
    }

    fn spool(&self) -> Result<Spool, SpoolError> {
        Spool::create(&spool_in(self.folder.path(), u64::MAX), channels(), None, self.hours.clone())
    }

    /// The spool of a recorder that is gone: its thread lets the folder go in a moment.
    async fn reopened(&self) -> Spool {
        loop {
            match Spool::reopen(&spool_in(self.folder.path(), u64::MAX), self.hours.clone()) {
                Err(SpoolError::Busy { .. }) => tokio::task::yield_now().await,
                reopened => return reopened.unwrap(),
            }
        }
    }

    /// Records all of this to the end; gives the hearing.
    async fn record(&self, spool: Spool, captured: Vec<Captured>) -> HearingId {
        let (capture, input) = mpsc::channel(captured.len().max(1));
        captured.into_iter().for_each(|c| capture.try_send(c).unwrap());
        drop(capture);
        let (mut parts, how) = recorder_of(spool, self.relay.url(), input, Arc::new(RuntimeClock));
        parts.world = self.hours.clone();
        recorder::run(parts, how, &mut |_| {}).await.unwrap().hearing.parse().unwrap()
    }

    /// Records this, second by second, until `done` says that it is enough; then the recorder dies.
    async fn record_and_die(&self, spool: Spool, bytes: &[u8], done: Done) {
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
            capture.send(Captured::Interleaved(second.to_vec())).await.unwrap();
            // A batch each.
            let end = stock.borrow().held[0].end.plus((second.len() / CHANNELS) as u64);
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
    async fn ledger(&self, hearing: HearingId) -> Vec<pb::ChannelLedger> {
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
    async fn gaps(&self, hearing: HearingId, channel: u32) -> Vec<(u64, u64, pb::GapReason)> {
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
enum Done {
    Spooled,
    Stored,
}

/// What was captured of a channel but for these stretches.
fn without(bytes: &[u8], lane: usize, gaps: &[(u64, u64)]) -> Vec<u8> {
    let samples = bytes.iter().skip(lane).step_by(CHANNELS).copied();
    let there = |at: &u64| !gaps.iter().any(|(from, to)| (from..to).contains(&at));
    (0_u64..).zip(samples).filter(|(at, _)| there(at)).map(|(_, sample)| sample).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_spool_could_not_take_is_a_gap_and_the_rest_is_there() {
    let house = House::new().await;
    house.relay.cut(true);
    let settings = spool_in(house.folder.path(), 1 << 20);
    let spool = Spool::create(&settings, channels(), None, house.hours.clone()).unwrap();
    let captured = sound(&mut voices(3), 100 * SECOND);
    let (capture, input) = mpsc::channel(8);
    let (parts, how) = recorder_of(spool, house.relay.url(), input, Arc::new(RuntimeClock));
    let mut stock = parts.keeper.stock();
    let (alarm, mut alarmed) = watch::channel(false);
    let (told, gaps_told) = watch::channel(Vec::new());
    let recording = tokio::spawn(async move {
        let mut show = |event: &RecorderEvent<'_>| match event {
            RecorderEvent::Full(full) => drop(alarm.send_replace(*full)),
            RecorderEvent::Gap { channel, missing } => {
                told.send_modify(|told: &mut Vec<_>| told.push((u32::from(channel.number()), missing.span)));
            }
            _ => {}
        };
        recorder::run(parts, how, &mut show).await
    });
    let (before, after) = captured.split_at(80 * RATE as usize * CHANNELS);
    for second in before.chunks(RATE as usize * CHANNELS) {
        capture.send(Captured::Interleaved(second.to_vec())).await.unwrap();
    }
    tokio::time::timeout(TOO_LONG, alarmed.wait_for(|alarmed| *alarmed)).await.unwrap().unwrap();
    let all = |s: &recorder::keeper::Stock| s.held[0].end.index() == 80 * SECOND;
    drop(tokio::time::timeout(TOO_LONG, stock.wait_for(all)).await.unwrap().unwrap());
    house.relay.up();
    // What is let go of makes room.
    tokio::time::timeout(TOO_LONG, stock.wait_for(|s| s.bytes < 1 << 19)).await.unwrap().map(drop).unwrap();
    for second in after.chunks(RATE as usize * CHANNELS) {
        capture.send(Captured::Interleaved(second.to_vec())).await.unwrap();
    }
    drop(capture);
    let hearing = recording.await.unwrap().unwrap().hearing.parse().unwrap();
    let ledger = house.ledger(hearing).await;
    for (lane, ledger) in ledger.iter().enumerate() {
        let gaps = house.gaps(hearing, ledger.channel).await;
        assert!(gaps.iter().all(|gap| gap.2 == pb::GapReason::RecorderFull));
        let gaps: Vec<_> = gaps.into_iter().map(|(from, to, _)| (from, to)).collect();
        let missing: u64 = gaps.iter().map(|(from, to)| to - from).sum();
        // What is taken together, at most 256 KiB or 16 s, is lost together; a little may have found room after it.
        assert!((48 * SECOND..66 * SECOND).contains(&gaps[0].0) && missing >= 14 * SECOND, "{gaps:?}");
        assert!(gaps.iter().all(|(_, to)| *to <= 80 * SECOND), "{gaps:?}");
        assert_eq!((ledger.length_samples, ledger.gap_samples), (100 * SECOND, missing));
        assert!(house.server.stored()[lane] == without(&captured, lane, &gaps));
        let told: u64 = gaps_told.borrow().iter().filter(|g| g.0 == ledger.channel).map(|g| g.1.len()).sum();
        assert_eq!(told, missing);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_damaged_spool_lost_is_a_gap_and_the_rest_is_there() {
    let house = House::new().await;
    house.relay.cut(true);
    let captured = sound(&mut voices(4), 20 * SECOND);
    house.record_and_die(house.spool().unwrap(), &captured, Done::Spooled).await;
    flip_the_last_bit(&house.folder.path().join("0000000000000001.seg"));
    house.relay.up();
    let hearing = house.record(house.reopened().await, vec![]).await;
    for (lane, ledger) in house.ledger(hearing).await.iter().enumerate() {
        // The last of the five batches of a second in the second file.
        let gaps = [(9 * SECOND, 10 * SECOND, pb::GapReason::RecorderDamaged)];
        assert_eq!(house.gaps(hearing, ledger.channel).await, gaps);
        assert_eq!((ledger.length_samples, ledger.gap_samples), (20 * SECOND, SECOND));
        assert!(house.server.stored()[lane] == without(&captured, lane, &[(9 * SECOND, 10 * SECOND)]));
    }
}

fn flip_the_last_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_without_a_recorder_or_without_a_device_is_a_gap_so_that_positions_tell_the_time() {
    let house = House::new().await;
    let (one, two) = (sound(&mut voices(5), 7 * SECOND), sound(&mut voices(6), 3 * SECOND));
    house.record_and_die(house.spool().unwrap(), &one, Done::Stored).await;
    house.hours.pass(Duration::from_secs(90));
    let dead = Duration::from_millis(1_500);
    let again = vec![Captured::Interleaved(two.clone()), Captured::Nothing(dead), Captured::Interleaved(two.clone())];
    let hearing = house.record(house.reopened().await, again).await;
    // Three of the ninety seconds were captured before they were over.
    let down = (7 * SECOND, (7 + 90 - 3) * SECOND, pb::GapReason::RecorderDown);
    let lost = (97 * SECOND, 97 * SECOND + SECOND * 3 / 2, pb::GapReason::DeviceLost);
    for (lane, ledger) in house.ledger(hearing).await.iter().enumerate() {
        assert_eq!(house.gaps(hearing, ledger.channel).await, [down, lost]);
        assert_eq!(ledger.length_samples, lost.1 + 3 * SECOND);
        let all = [&one[..], &two, &two].concat();
        assert!(house.server.stored()[lane] == without(&all, lane, &[]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_went_back_or_years_ahead_makes_no_gap() {
    for years in [-1_i64, 40] {
        let house = House::new().await;
        let one = sound(&mut voices(7), 2 * SECOND);
        house.record_and_die(house.spool().unwrap(), &one, Done::Stored).await;
        let mut now = house.hours.now();
        now = now.checked_add(jiff::SignedDuration::from_hours(years * 365 * 24)).unwrap();
        *house.hours.0.lock().unwrap() = now;
        let hearing = house.record(house.reopened().await, vec![Captured::Interleaved(one.clone())]).await;
        assert_eq!(house.ledger(hearing).await[0].length_samples, 4 * SECOND);
    }
}
