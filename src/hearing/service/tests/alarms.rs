//! Alarms of channels: in the record, on time, and never in the way of audio.

use super::*;
use crate::{
    domain::alarm::{Alarm, AlarmState},
    record::entry::Entry,
};

/// Noise of a room: no sample as the one before, loud enough to live.
fn room(samples: u64) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i16::try_from(state >> 24).unwrap() - 128
    };
    (0..samples).flat_map(|_| next().to_le_bytes()).collect()
}

fn alarms(entries: &[Entry]) -> Vec<(u8, Alarm, AlarmState, u64)> {
    let alarm = |entry: &Entry| match &entry.change {
        Change::ChannelAlarmed { channel, alarm, at, state, .. } => {
            Some((channel.number(), *alarm, *state, at.index()))
        }
        _ => None,
    };
    entries.iter().filter_map(alarm).collect()
}

async fn followed(hearings: &Arc<Hearings>, hearing: HearingId, count: usize) -> Vec<(u8, Alarm, AlarmState, u64)> {
    let mut follower = hearings.follow(hearing, EntrySeq::START).await.unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(alarms(&[follower.next().await.unwrap().unwrap()]));
    }
    found
}

#[tokio::test]
async fn a_dead_channel_is_in_the_record_while_it_is_dead_and_when_it_lives_again() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &room(32_000)).await.unwrap();
    // Four seconds and a half of nothing: the alarm comes while the stream goes on.
    stream.audio.audio(1, None, &[0; 144_000]).await.unwrap();
    let began = (1, Alarm::Dead, AlarmState::Began, 32_000);
    assert_eq!(followed(&hearings, hearing, 1).await, [began]);
    // It goes on over a break, and nobody is told twice.
    drop(stream);
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &[0; 160_000]).await.unwrap();
    stream.audio.audio(1, None, &room(32_000)).await.unwrap();
    let ended = (1, Alarm::Dead, AlarmState::Ended, 184_000);
    assert_eq!(followed(&hearings, hearing, 2).await, [began, ended]);
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    let text = hearings.export(hearing, Format::Text, &Sight::whole()).await.unwrap();
    assert!(text.contains("[0:00:02.000] 1 witness: [ALARM dead: nothing comes from this microphone"), "{text}");
    assert!(text.contains("[0:00:11.500] 1 witness: [alarm dead is over]"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&hearings.export(hearing, Format::Json, &Sight::whole()).await.unwrap()).unwrap();
    assert_eq!(json["alarms"][0]["alarm"], "dead");
    assert_eq!(json["alarms"][1]["start_ms"], 11_500);
    assert!(hearings.parts.metrics.encode().contains("vivavoce_channel_alarms_total{alarm=\"dead\"} 1\n"));
}

#[tokio::test]
async fn a_service_that_starts_anew_knows_which_alarms_stand() {
    let folder = TempDir::new().unwrap();
    let hearing = {
        let hearings = hearings(&folder);
        let hearing = opened(&hearings).await;
        let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
        stream.audio.audio(1, None, &[0; 160_000]).await.unwrap();
        followed(&hearings, hearing, 1).await;
        drop(stream);
        hearings.adjourn().await;
        hearing
    };
    let hearings = hearings(&folder);
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &[0; 160_000]).await.unwrap();
    stream.audio.audio(1, None, &room(32_000)).await.unwrap();
    let told = followed(&hearings, hearing, 2).await;
    assert_eq!(told.iter().map(|t| t.2).collect::<Vec<_>>(), [AlarmState::Began, AlarmState::Ended]);
}

#[tokio::test]
async fn a_muted_channel_is_not_dead() {
    use crate::{
        domain::change::Order,
        hearing::orders::{Request, Start},
    };
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = opened(&hearings).await;
    let label = |text: &str| Label::try_from(text.to_owned()).unwrap();
    let mute = Request {
        channel: None,
        start: Start::At(SamplePos::new(32_000)),
        end: Some(SamplePos::new(320_000)),
        class: IntervalClass::Muted,
        order: Order { by: label("judge 7"), reason: label("a pause") },
    };
    hearings.order(hearing, mute, by()).await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &room(32_000)).await.unwrap();
    stream.audio.audio(1, None, &[0; 576_000]).await.unwrap();
    stream.audio.audio(1, None, &room(32_000)).await.unwrap();
    stream.audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    assert_eq!(alarms(&entries), []);
}
