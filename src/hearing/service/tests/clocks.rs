//! Wall-clock time beside samples.

use super::*;
use crate::{
    domain::clock::{ClockKind, ClockSource},
    record::entry::Entry,
};

fn mapped(entries: &[Entry]) -> Vec<(u64, ClockSource, ClockKind)> {
    let mapping = |entry: &Entry| match &entry.change {
        Change::ClockMapped { at, source, kind, .. } => Some((at.index(), *source, *kind)),
        _ => None,
    };
    entries.iter().filter_map(mapping).collect()
}

#[tokio::test]
async fn a_clock_that_is_set_during_a_hearing_changes_the_record_by_one_line() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    let noon: jiff::Timestamp = "2026-10-25T01:59:58Z".parse().unwrap();
    let after = |seconds: i64| noon.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    for second in 1_u32..=6 {
        stream.audio.audio(1, None, &second_of_speech()).await.unwrap();
        // Two seconds of audio each; in between, summer time ends.
        let read = i64::from(second) * 2 - if second > 3 { 3_600 } else { 0 };
        stream.audio.clock(1, SamplePos::new(u64::from(second) * 32_000), after(read)).unwrap();
    }
    let far = stream.audio.clock(0, SamplePos::new(192_000 + 16_000 * 61), after(0)).unwrap_err();
    assert!(matches!(far, HearingError::Clock { .. }), "{far}");
    assert_eq!(far.kind(), crate::domain::fault::FaultKind::Invalid);
    assert!(matches!(stream.audio.clock(2, SamplePos::ZERO, noon), Err(HearingError::NoSuchChannel { .. })));
    stream.audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    assert_eq!(
        mapped(&entries),
        [
            (32_000, ClockSource::Server, ClockKind::Start),
            (32_000, ClockSource::Recorder, ClockKind::Start),
            (128_000, ClockSource::Recorder, ClockKind::Step { by_ms: -3_600_000 }),
        ]
    );
    let json: serde_json::Value =
        serde_json::from_str(&hearings.export(hearing, Format::Json, &Sight::whole()).await.unwrap()).unwrap();
    let starts: Vec<u64> =
        json["segments"].as_array().unwrap().iter().map(|s| s["start_ms"].as_u64().unwrap()).collect();
    assert!(starts.len() >= 2 && starts[0] == 0 && starts.is_sorted(), "{starts:?}");
    assert_eq!(json["ledger"][0]["length_samples"], 192_000);
    assert_eq!(json["clock"][2]["by_ms"], -3_600_000);
    assert_eq!(json["clock"][2]["wall"], "2026-10-25T01:00:06Z");
    let text = hearings.export(hearing, Format::Text, &Sight::whole()).await.unwrap();
    let step =
        "Clock:     0:00:08.000 was 2026-10-25T01:00:06Z by the recorder's clock (the clock was set by -3600.000 s)";
    assert!(text.contains(step), "{text}");
    assert!(text.contains("All other times are time of the hearing"), "{text}");
}

#[tokio::test]
async fn each_stream_says_when_it_began() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    streamed(&hearings, hearing, 0).await.unwrap();
    streamed(&hearings, hearing, 32_000).await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    let server = |at| (at, ClockSource::Server, ClockKind::Start);
    assert_eq!(mapped(&entries), [server(32_000), server(64_000)]);
}
