//! A disk that fills, and is emptied again.

use super::*;
use crate::{
    domain::fault::FaultKind,
    hearing::room::{DiskRoom, RoomStep},
    record::media::service::Room,
};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_no_hearing_is_opened_and_those_that_run_go_on() {
    let folder = TempDir::new().unwrap();
    let free = Arc::new(AtomicU64::new(2_000 * MIB));
    let read = Arc::clone(&free);
    let room = DiskRoom::new(
        1_000 * MIB,
        Box::new(move |_| Ok(Room { free: read.load(Ordering::Relaxed), total: 10_000 * MIB })),
    );
    let Ok(plain) = Arc::try_unwrap(hearings(&folder)) else { panic!("nobody else has it") };
    let hearings = Arc::new(plain.keeping(room));
    let step = |mib: u64| {
        free.store(mib * MIB, Ordering::Relaxed);
        hearings.look_at_the_disk().unwrap().1
    };
    assert_eq!([2_000, 1_999, 1_000].map(step), [RoomStep::Ample, RoomStep::Scarce, RoomStep::Scarce]);
    let running = opened(&hearings).await;
    let setup = hearings.parts.store.hearing(running).await.unwrap().channels;
    assert_eq!(streamed(&hearings, running, 0).await.unwrap(), SamplePos::new(32_000));
    free.store(1_000 * MIB - 1, Ordering::Relaxed);
    // Also one that is only recorded: it is recording that takes the room.
    for recognition in [Recognition::Live, Recognition::Later] {
        let asked = NewHearing { recognition, ..new(setup.clone()) };
        let refused = hearings.open(asked, by()).await.unwrap_err();
        assert!(matches!(refused, HearingError::NoRoom { .. }), "{refused}");
        assert!(refused.to_string().contains("999 MiB are free") && refused.to_string().contains("1000 MiB"));
        let FaultKind::Overloaded { retry_after } = refused.kind() else { panic!("{:?}", refused.kind()) };
        assert_eq!(retry_after.as_secs(), 60);
    }
    assert_eq!(streamed(&hearings, running, 32_000).await.unwrap(), SamplePos::new(64_000));
    let metrics = hearings.parts.metrics.encode();
    for line in ["vivavoce_streams_refused_total{reason=\"disk\"} 2", "vivavoce_disk_free_bytes 1048575999"] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
    free.store(2_000 * MIB, Ordering::Relaxed);
    opened(&hearings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_cannot_be_read_keeps_nobody_out() {
    let folder = TempDir::new().unwrap();
    let unknown = DiskRoom::new(MIB, Box::new(|_| Err(crate::record::media::MediaError::Stopped)));
    let Ok(plain) = Arc::try_unwrap(hearings(&folder)) else { panic!("nobody else has it") };
    let hearings = Arc::new(plain.keeping(unknown));
    assert!(hearings.look_at_the_disk().is_err());
    opened(&hearings).await;
}
