//! Closed hearings heard once more: what is proposed, and who goes before it.

use std::sync::{
    atomic::AtomicBool,
    mpsc::{Receiver, sync_channel},
};

use tokio::sync::mpsc;

use super::{
    engine::through,
    orders::{at, order, request},
    *,
};
use crate::{
    domain::id::SegmentId,
    hearing::repass::{Progress, RePass, RePassed, SecondEngine, SecondEngines},
    speech::{
        asr::AsrError,
        profile::{ProfileName, patient},
        stream::endpoint::EndpointRule,
    },
};

/// In the silence between the two utterances, at the beginning of a frame: the second one is cut as it was when what comes before
/// this is gone.
const BETWEEN: u64 = 30_208;

fn second(recognizer: Arc<dyn Recognizer>, endpoint: EndpointConfig) -> SecondEngines {
    Arc::new(move |_wanted| {
        Ok(SecondEngine {
            pool: Arc::new(Pool::start(
                &recognizer,
                crate::speech::asr::pool::Slots::default(),
                Arc::new(|_, _, _| {}),
            )?),
            recognizer: Arc::clone(&recognizer),
            front: FrontConfig { endpoint: endpoint.clone(), partial_step_ms: 0 },
            held: Box::new(()),
        })
    })
}

/// Hearings in which everything loud is `yes`, with a second engine that hears `word`.
fn hearing_twice(folder: &TempDir, word: &str) -> Arc<Hearings> {
    let mut hearings = hearings(folder);
    let again = Arc::new(Scripted::new(&["well", word]));
    Arc::get_mut(&mut hearings).unwrap().second = Some(second(again, EndpointConfig::default()));
    hearings
}

/// The same with a second engine that takes an hour until it is no longer slow, and tells when it begins.
fn hearing_slowly(folder: &TempDir) -> (Arc<Hearings>, Arc<AtomicBool>, Receiver<()>) {
    let (begun, begins) = sync_channel(1);
    let slow = Arc::new(AtomicBool::new(true));
    let is_slow = Arc::clone(&slow);
    let mut hearings = hearings(folder);
    let engine = through(Scripted::new(&["well", "no"]), move |decoder, request, cancel| {
        // Before anybody is told that it has begun.
        let waits = is_slow.load(Ordering::SeqCst);
        // Whoever waits for it takes it once.
        let _told = begun.try_send(());
        if waits {
            let cancelled = cancel.wait(std::time::Duration::from_secs(3_600));
            assert!(cancelled, "nobody gave it up");
            return Err(AsrError::Cancelled);
        }
        decoder.decode(request, cancel)
    });
    Arc::get_mut(&mut hearings).unwrap().second = Some(second(engine, EndpointConfig::default()));
    (hearings, slow, begins)
}

/// A closed hearing of two utterances, with its token.
async fn closed(hearings: &Arc<Hearings>) -> (HearingId, String) {
    let (hearing, token) = opened_with_token(hearings).await;
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    stream.audio.audio(1, None, &two_utterances()).await.unwrap();
    drop(stream);
    hearings.close(hearing, by()).await.unwrap();
    (hearing, token)
}

fn archive() -> RePass {
    RePass { model: None, profile: ProfileName::Archive }
}

async fn repassed(hearings: &Arc<Hearings>, hearing: HearingId) -> Result<RePassed, HearingError> {
    let (tell, _told) = mpsc::channel(8);
    hearings.propose_revisions(hearing, archive(), tell).await
}

/// What is proposed: where, in place of what, in which words.
async fn proposals(hearings: &Hearings, hearing: HearingId) -> Vec<(u64, u64, Vec<SegmentId>, String)> {
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    let proposal = |entry: &Entry| match &entry.change {
        Change::RevisionProposed { replaces, segment } => {
            Some((segment.span.start().index(), segment.span.end().index(), replaces.clone(), segment.text()))
        }
        _ => None,
    };
    entries.iter().filter_map(proposal).collect()
}

async fn ids(hearings: &Hearings, hearing: HearingId) -> Vec<SegmentId> {
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    entries.iter().filter_map(|entry| entry.change.segment().map(|s| s.id)).collect()
}

#[tokio::test]
async fn other_words_are_proposed_once_and_the_text_stands() {
    let folder = TempDir::new().unwrap();
    let hearings = hearing_twice(&folder, "no");
    let (hearing, _) = closed(&hearings).await;
    let stands = segments(&hearings, hearing).await;
    let exported = hearings.export(hearing, Format::Text, &Sight::whole()).await.unwrap();
    let done = repassed(&hearings, hearing).await.unwrap();
    let words = stands.iter().map(|s| s.2.split(' ').count() as u64).sum();
    assert_eq!((done.utterances, done.proposed, done.known, done.failed), (2, 2, 0, 0));
    assert_eq!((done.words, done.changed), (words, words));
    assert_eq!(segments(&hearings, hearing).await, stands);
    let proposed = proposals(&hearings, hearing).await;
    let ids = ids(&hearings, hearing).await;
    for ((said, id), heard) in stands.iter().zip(&ids).zip(&proposed) {
        assert_eq!((heard.0, heard.1, &heard.2), (said.0, said.1, &vec![*id]), "cut by the same rules");
        assert_eq!(heard.3, said.2.replace("yes", "no"));
    }
    let text = hearings.export(hearing, Format::Text, &Sight::whole()).await.unwrap();
    let said = |text: &str| text.lines().filter(|line| line.contains("yes")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((text.lines().count(), said(&text)), (exported.lines().count(), said(&exported)));
    assert!(!text.contains("no no"), "{text}");
    let last = hearings.parts.store.hearing(hearing).await.unwrap().last;
    let again = repassed(&hearings, hearing).await.unwrap();
    assert_eq!((again.utterances, again.proposed, again.known), (2, 0, 2));
    assert_eq!(hearings.parts.store.hearing(hearing).await.unwrap().last, last, "nothing is said twice");
}

#[tokio::test]
async fn the_same_words_are_no_proposal() {
    let folder = TempDir::new().unwrap();
    let hearings = hearing_twice(&folder, "Yes,");
    let (hearing, _) = closed(&hearings).await;
    let done = repassed(&hearings, hearing).await.unwrap();
    assert_eq!((done.utterances, done.proposed, done.changed), (2, 0, 0));
    assert_eq!(proposals(&hearings, hearing).await, []);
}

#[tokio::test]
async fn a_patient_engine_hears_longer_utterances_and_names_all_that_they_cover() {
    let folder = TempDir::new().unwrap();
    let mut hearings = hearings(&folder);
    let rules = vec![EndpointRule { after_ms: 0, silence_ms: 2_500 }];
    let again = Arc::new(Scripted::new(&["well", "no"]));
    Arc::get_mut(&mut hearings).unwrap().second = Some(second(again, EndpointConfig { rules, ..patient() }));
    let (hearing, _) = closed(&hearings).await;
    let said = segments(&hearings, hearing).await;
    let done = repassed(&hearings, hearing).await.unwrap();
    assert_eq!((done.utterances, done.proposed), (1, 1));
    let proposed = proposals(&hearings, hearing).await;
    assert_eq!((proposed[0].0, &proposed[0].2), (said[0].0, &ids(&hearings, hearing).await));
    assert!(proposed[0].1 >= said[1].1, "to the end of the input");
}

#[tokio::test]
async fn what_was_said_in_closed_session_is_proposed_to_those_alone_who_may_see_it() {
    let folder = TempDir::new().unwrap();
    let hearings = hearing_twice(&folder, "no");
    let (hearing, token) = closed(&hearings).await;
    repassed(&hearings, hearing).await.unwrap();
    order(&hearings, hearing, request(at(48_000), Some(96_000), IntervalClass::Sealed)).await;
    for (token, seen) in [("", 1), (token.as_str(), 2)] {
        let sight = hearings.sight(hearing, token).await.unwrap();
        let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
        let proposed = entries.iter().filter(|e| matches!(e.change, Change::RevisionProposed { .. }));
        assert_eq!(proposed.filter(|e| sight.shows(&e.change)).count(), seen);
        let json = hearings.export(hearing, Format::Json, &sight).await.unwrap();
        let document: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(document["proposals"].as_array().unwrap().len(), seen);
    }
}

#[tokio::test]
async fn an_order_that_destroys_samples_destroys_what_was_proposed_for_them() {
    let folder = TempDir::new().unwrap();
    let hearings = hearing_twice(&folder, "no");
    let (hearing, _) = closed(&hearings).await;
    repassed(&hearings, hearing).await.unwrap();
    let before = proposals(&hearings, hearing).await;
    order(&hearings, hearing, request(at(0), Some(BETWEEN), IntervalClass::OffRecord)).await;
    assert_eq!(proposals(&hearings, hearing).await, before[1..]);
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    let destroyed = entries.iter().filter(|e| e.change == Change::SegmentDestroyed {}).count();
    assert_eq!(destroyed, 2, "the text and what was proposed in its place");
    // What is left is known, and of what is gone nothing is heard.
    let again = repassed(&hearings, hearing).await.unwrap();
    assert_eq!((again.utterances, again.proposed, again.known), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_re_pass_makes_way_for_an_order_and_goes_on_behind_it() {
    let folder = TempDir::new().unwrap();
    let (hearings, slow, begins) = hearing_slowly(&folder);
    let (hearing, _) = closed(&hearings).await;
    let running = tokio::spawn({
        let hearings = Arc::clone(&hearings);
        async move { repassed(&hearings, hearing).await }
    });
    tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
    let refused = repassed(&hearings, hearing).await.unwrap_err();
    assert!(matches!(refused, HearingError::NoProposals { .. }), "one at a time: {refused}");
    // The decode that is under way would take an hour and more.
    slow.store(false, Ordering::SeqCst);
    let ordered = order(&hearings, hearing, request(at(0), Some(BETWEEN), IntervalClass::OffRecord));
    tokio::time::timeout(std::time::Duration::from_secs(60), ordered).await.unwrap();
    let done = running.await.unwrap().unwrap();
    assert_eq!((done.utterances, done.proposed), (1, 1));
    let proposed = proposals(&hearings, hearing).await;
    assert!(proposed.len() == 1 && proposed[0].0 > BETWEEN, "{proposed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_re_pass_ends_with_the_service_and_with_who_asked_and_can_be_asked_for_again() {
    let folder = TempDir::new().unwrap();
    let hearing = {
        let (hearings, _slow, begins) = hearing_slowly(&folder);
        let (hearing, _) = closed(&hearings).await;
        let (tell, told) = mpsc::channel::<Progress>(8);
        let asked = tokio::spawn({
            let hearings = Arc::clone(&hearings);
            async move { hearings.propose_revisions(hearing, archive(), tell).await }
        });
        let begins = tokio::task::spawn_blocking(move || {
            begins.recv().unwrap();
            begins
        });
        let begins = begins.await.unwrap();
        drop(told);
        assert!(matches!(asked.await.unwrap(), Err(HearingError::RePassStopped { .. })));
        let running = tokio::spawn({
            let hearings = Arc::clone(&hearings);
            async move { repassed(&hearings, hearing).await }
        });
        tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
        hearings.adjourn().await;
        let stopped = running.await.unwrap().unwrap_err();
        assert!(matches!(stopped, HearingError::RePassStopped { .. }), "{stopped}");
        assert_eq!(stopped.kind(), crate::domain::fault::FaultKind::Unavailable);
        hearings.parts.store.close().await.unwrap();
        hearings.parts.journal.halt().await;
        hearing
    };
    let hearings = hearing_twice(&folder, "no");
    hearings.recover().await.unwrap();
    assert_eq!(repassed(&hearings, hearing).await.unwrap().proposed, 2);
}

#[tokio::test]
async fn of_a_hearing_whose_text_is_not_all_made_nothing_is_proposed() {
    let folder = TempDir::new().unwrap();
    let hearings = hearing_twice(&folder, "no");
    let live = opened(&hearings).await;
    let setup = hearings.parts.store.hearing(live).await.unwrap().channels;
    let (later, _) = hearings.open(NewHearing { recognition: Recognition::Later, ..new(setup) }, by()).await.unwrap();
    hearings.close(later, by()).await.unwrap();
    for (hearing, why) in [(live, "still open"), (later, "only recorded")] {
        let refused = repassed(&hearings, hearing).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
        assert_eq!(refused.kind(), crate::domain::fault::FaultKind::Conflict);
    }
}
