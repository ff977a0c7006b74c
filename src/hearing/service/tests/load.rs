//! More audio than the engine keeps up with, and hearings that are only recorded.

use tokio_util::sync::CancellationToken;

use super::{engine::Gate, *};
use crate::{domain::load::LoadStep, record::ledger::Account};

#[tokio::test(flavor = "multi_thread")]
async fn the_service_goes_down_the_ladder_and_up_again_and_loses_nothing() {
    let audio: Vec<u8> = (0..3).flat_map(|_| two_utterances()).collect();
    let expected = undisturbed(&audio).await;
    let folder = TempDir::new().unwrap();
    let gate = Arc::new(Gate::default());
    let hearings = hearings_with(&folder, gate.before(Scripted::new(&["well", "yes"])));
    let hearing = opened(&hearings).await;
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &audio).await.unwrap();
    // All audio is safe although not a word of it was heard.
    stream.channels[0].durable.wait_for(|d| d.index() == audio.len() as u64 / 2).await.unwrap();
    let mut steps = hearings.load.step();
    let stop = CancellationToken::new();
    let minding = tokio::spawn(Arc::clone(&hearings).mind_the_load(stop.clone()));
    steps.wait_for(|step| *step == LoadStep::FinalsLate).await.unwrap();
    // No new hearing, but one that is only recorded, or imported.
    let setup = hearings.parts.store.hearing(hearing).await.unwrap().channels;
    let refused = hearings.open(new(setup.clone()), by()).await.unwrap_err();
    assert!(matches!(refused, HearingError::Late { .. }), "{refused}");
    assert!(matches!(refused.kind(), crate::domain::fault::FaultKind::Overloaded { .. }));
    let later = NewHearing { recognition: Recognition::Later, ..new(setup) };
    hearings.open(later, by()).await.unwrap();
    gate.set(true);
    steps.wait_for(|step| *step == LoadStep::Normal).await.unwrap();
    stop.cancel();
    minding.await.unwrap();
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    assert_eq!(segments(&hearings, hearing).await, expected);
    let told: Vec<LoadStep> = hearings
        .parts
        .store
        .entries_named(hearing, "load_stepped")
        .await
        .unwrap()
        .iter()
        .filter_map(|entry| match &entry.change {
            Change::LoadStepped { step, .. } => Some(*step),
            _ => None,
        })
        .collect();
    assert!(told.contains(&LoadStep::FinalsLate) && told.last() == Some(&LoadStep::Normal), "{told:?}");
    assert!(told.windows(2).all(|w| w[1] > w[0] || w[1] == w[0].better()), "up again step by step: {told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partials_thin_out_and_then_stop_and_finals_come_on_every_step() {
    let folder = TempDir::new().unwrap();
    let mut hearings = hearings(&folder);
    Arc::get_mut(&mut hearings).unwrap().parts.front.partial_step_ms = 500;
    let hearing = opened(&hearings).await;
    let mut events = hearings.listen(hearing);
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    // Four seconds of speech, then silence.
    let said: Vec<u8> = (0..88_000).flat_map(|n| (if n < 64_000 { 30_000_i16 } else { 0 }).to_le_bytes()).collect();
    let mut counts = Vec::new();
    for step in [LoadStep::Normal, LoadStep::PartialsThin, LoadStep::PartialsOff, LoadStep::FinalsLate] {
        hearings.load.set(step);
        for _ in 0..4 {
            // Ten times as fast as people speak, so that it is heard as said just now.
            let mut pace = tokio::time::interval(std::time::Duration::from_millis(10));
            for tenth in said.chunks(3_200) {
                pace.tick().await;
                stream.audio.audio(1, None, tenth).await.unwrap();
            }
            // The silence behind it is settled: it has its text.
            let end = stream.audio.positions()[0].1.index();
            stream.channels[0].settled.wait_for(|at| at.index() > end - 4_000).await.unwrap();
        }
        let heard = std::iter::from_fn(|| events.try_recv().ok());
        counts.push(heard.filter(|event| matches!(event, LiveEvent::Partial(_))).count());
    }
    assert!(counts[1] > 0 && counts[0] >= 2 * counts[1], "{counts:?}");
    assert_eq!(counts[2..], [0, 0], "{counts:?}");
    assert_eq!(segments(&hearings, hearing).await.len(), 16, "each has its final");
}

#[tokio::test]
async fn a_hearing_that_is_only_recorded_gets_its_text_when_it_is_asked_for() {
    let audio = two_utterances();
    let expected = undisturbed(&audio).await;
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let live = opened(&hearings).await;
    let setup = hearings.parts.store.hearing(live).await.unwrap().channels;
    let later = NewHearing { recognition: Recognition::Later, ..new(setup) };
    let (hearing, _) = hearings.open(later, by()).await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &audio).await.unwrap();
    let end = stream.audio.finish().await.unwrap()[0].1;
    // A stream of it waits for the disk alone.
    stream.channels[0].settled.wait_for(|at| *at >= end).await.unwrap();
    let accounts = async || {
        let (ledger, _) = hearings.ledger(hearing).await.unwrap();
        (ledger[0].sum(|a| a == Account::Pending), ledger[0].sum(|a| a == Account::Speech), ledger[0].length())
    };
    assert_eq!(accounts().await, (96_000, 0, 96_000));
    assert!(matches!(hearings.recognize(hearing, by()).await, Err(HearingError::NotRecordOnly { .. })), "still open");
    hearings.close(hearing, by()).await.unwrap();
    assert_eq!(segments(&hearings, hearing).await, []);
    assert_eq!(accounts().await, (96_000, 0, 96_000));
    let mut news = hearings.parts.store.subscribe(hearing);
    hearings.recognize(hearing, by()).await.unwrap();
    assert!(matches!(hearings.recognize(hearing, by()).await, Err(HearingError::NotRecordOnly { .. })), "twice");
    while hearings.parts.store.entries_named(hearing, "recognition_ended").await.unwrap().is_empty() {
        news.changed().await.unwrap();
    }
    assert_eq!(segments(&hearings, hearing).await, expected);
    let (pending, speech, length) = accounts().await;
    assert!(pending == 0 && speech > 0 && length == 96_000, "{pending} {speech} {length}");
}

/// A hearing that was only recorded and is closed.
async fn recorded(hearings: &Arc<Hearings>, audio: &[u8]) -> HearingId {
    let live = opened(hearings).await;
    let setup = hearings.parts.store.hearing(live).await.unwrap().channels;
    let later = NewHearing { recognition: Recognition::Later, ..new(setup) };
    let (hearing, _) = hearings.open(later, by()).await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, audio).await.unwrap();
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    hearing
}

async fn recognized(hearings: &Arc<Hearings>, hearing: HearingId) {
    let mut news = hearings.parts.store.subscribe(hearing);
    while hearings.parts.store.entries_named(hearing, "recognition_ended").await.unwrap().is_empty() {
        news.changed().await.unwrap();
    }
}

fn destroying(first: u64, end: u64) -> crate::hearing::orders::Request {
    let label = |text: &str| Label::try_from(text.to_owned()).unwrap();
    crate::hearing::orders::Request {
        channel: None,
        start: crate::hearing::orders::Start::At(SamplePos::new(first)),
        end: Some(SamplePos::new(end)),
        class: IntervalClass::OffRecord,
        order: crate::domain::change::Order { by: label("judge 7"), reason: label("talk with counsel") },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_does_not_wait_for_the_text_of_a_closed_hearing() {
    let audio: Vec<u8> = (0..3).flat_map(|_| two_utterances()).collect();
    let folder = TempDir::new().unwrap();
    let gate = Arc::new(Gate::default());
    let hearings = hearings_with(&folder, gate.before(Scripted::new(&["well", "yes"])));
    let hearing = recorded(&hearings, &audio).await;
    hearings.recognize(hearing, by()).await.unwrap();
    // The engine stands, so the text is being made all the while; two orders at once, each of which destroys.
    let (first, second) = tokio::join!(
        hearings.order(hearing, destroying(0, 1_000), by()),
        hearings.order(hearing, destroying(90_000, 120_000), by()),
    );
    for placed in [first.unwrap(), second.unwrap()] {
        assert!(placed.changes.iter().any(|c| matches!(c, Change::AudioDestroyed { .. })), "{placed:?}");
    }
    gate.set(true);
    recognized(&hearings, hearing).await;
    let heard = segments(&hearings, hearing).await;
    assert!(heard.len() > 2, "{heard:?}");
    assert!(heard.iter().all(|s| s.0 >= 1_000 && (s.1 <= 90_000 || s.0 >= 120_000)), "{heard:?}");
    let (ledger, _) = hearings.ledger(hearing).await.unwrap();
    assert_eq!(ledger[0].sum(|a| a == Account::Pending), 0);
    assert_eq!(ledger[0].sum(|a| a == Account::OffRecord), 31_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_could_not_be_made_can_be_asked_for_again() {
    let audio = two_utterances();
    let expected = undisturbed(&audio).await;
    let folder = TempDir::new().unwrap();
    let hearings = hearings(&folder);
    let hearing = recorded(&hearings, &audio).await;
    // Its journal is away, as where a disk is not mounted.
    let journals = folder.path().join("audio");
    std::fs::rename(&journals, folder.path().join("away")).unwrap();
    std::fs::write(&journals, "no folder").unwrap();
    hearings.recognize(hearing, by()).await.unwrap_err();
    std::fs::remove_file(&journals).unwrap();
    std::fs::rename(folder.path().join("away"), &journals).unwrap();
    hearings.recognize(hearing, by()).await.unwrap();
    recognized(&hearings, hearing).await;
    assert_eq!(segments(&hearings, hearing).await, expected);
    assert_eq!(hearings.parts.store.entries_named(hearing, "recognition_began").await.unwrap().len(), 1);
    assert!(matches!(hearings.recognize(hearing, by()).await, Err(HearingError::NotRecordOnly { .. })), "all is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_the_text_of_a_closed_hearing_which_is_made_after_the_start() {
    let audio: Vec<u8> = (0..3).flat_map(|_| two_utterances()).collect();
    let expected = undisturbed(&audio).await;
    let folder = TempDir::new().unwrap();
    let gate = Arc::new(Gate::default());
    let hearing = {
        let hearings = hearings_with(&folder, gate.before(Scripted::new(&["well", "yes"])));
        let hearing = recorded(&hearings, &audio).await;
        hearings.recognize(hearing, by()).await.unwrap();
        hearings.adjourn().await;
        assert!(matches!(hearings.order(hearing, destroying(0, 1_000), by()).await, Err(HearingError::Stopped { .. })));
        hearings.parts.store.close().await.unwrap();
        hearings.parts.journal.halt().await;
        gate.set(true);
        hearing
    };
    let hearings = hearings(&folder);
    hearings.recover().await.unwrap();
    recognized(&hearings, hearing).await;
    assert_eq!(segments(&hearings, hearing).await, expected);
}
