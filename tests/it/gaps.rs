//! What a recorder does not have, the record says, with the reason, and every sample is accounted for.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use vivavoce::{
    api::{
        grpc::pb,
        recorder::{self, Captured, RecorderEvent, RuntimeClock, spool::Spool},
    },
    hearing::world::World,
};

use crate::support::{
    house::{Done, House, SECOND, without},
    recording::{CHANNELS, TOO_LONG, channels, recorder_of, sound, spool_in, voices},
    scripted::RATE,
};

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
