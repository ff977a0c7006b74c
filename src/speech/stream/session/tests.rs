//! Frames made by hand through the session.

use proptest::prelude::*;

use super::*;

fn run(session: &mut Session, speech: impl IntoIterator<Item = f32>) -> Vec<Action> {
    let mut number = 0.0;
    let mut actions = Vec::new();
    for p in speech {
        number += 1.0;
        actions.extend(session.push(&[number; FRAME], Probability::clamped(p)));
        if matches!(actions.last(), Some(Action::Partial(_))) {
            session.partial_done();
        }
    }
    actions
}

fn utterances(actions: Vec<Action>) -> Vec<Utterance> {
    actions
        .into_iter()
        .filter_map(|a| match a {
            Action::Close(utterance) => Some(utterance),
            Action::SpeechBegan(_) | Action::Partial(_) | Action::MayClose(_) | Action::GoesOn => None,
        })
        .collect()
}

fn session() -> Session {
    Session::new(EndpointConfig::default(), 1_000).unwrap()
}

fn levels(parts: &[(usize, f32)]) -> Vec<f32> {
    parts.iter().flat_map(|&(n, p)| std::iter::repeat_n(p, n)).collect()
}

#[test]
fn an_utterance_keeps_its_pre_roll_and_post_roll_and_no_more() {
    let closed = utterances(run(&mut session(), levels(&[(100, 0.0), (50, 0.9), (60, 0.1)])));
    assert_eq!(closed.len(), 1);
    let expected = TickSpan::new(Tick::new((100 - 20) * 512), Tick::new((150 + 12) * 512)).unwrap();
    assert_eq!(closed[0].span, expected);
    assert_eq!(closed[0].samples.len() as u64, expected.len());
    assert_eq!(closed[0].samples[0], 81.0);
    assert_eq!(closed[0].reason, EndpointReason::Pause);
}

#[test]
fn a_short_pause_does_not_cut() {
    let closed = utterances(run(&mut session(), levels(&[(20, 0.0), (50, 0.9), (20, 0.1), (30, 0.6), (60, 0.0)])));
    assert_eq!(closed.len(), 1);
}

#[test]
fn a_monologue_is_cut_at_its_least_voiced_place_and_goes_on_there() {
    let mut speech = levels(&[(900, 0.9)]);
    speech[700..707].fill(0.5);
    let mut session = session();
    let mut closed = utterances(run(&mut session, speech));
    closed.extend(session.finish(&[], Probability::ZERO));
    assert_eq!(closed[0].reason, EndpointReason::TooLong);
    assert_eq!(closed[0].span.end(), Tick::new(703 * 512));
    assert_eq!(closed[1].span.start(), closed[0].span.end());
    assert_eq!(closed[1].reason, EndpointReason::EndOfStream);
    assert_eq!(closed[1].span.end(), Tick::new(900 * 512));
}

#[test]
fn the_end_of_the_stream_brings_out_the_last_sample() {
    let mut session = session();
    assert!(utterances(run(&mut session, levels(&[(10, 0.0), (20, 0.9)]))).is_empty());
    let last = session.finish(&[7.0; 100], Probability::ZERO).unwrap();
    assert_eq!(last.span.end(), Tick::new(30 * 512 + 100));
    assert_eq!(last.samples.last(), Some(&7.0));
    assert!(session.finish(&[], Probability::ZERO).is_none());
}

#[test]
fn a_word_that_fits_into_the_last_broken_frame_is_not_lost() {
    let mut session = session();
    assert!(session.finish(&[0.5; 300], Probability::clamped(0.8)).is_some());
}

#[test]
fn partials_wait_for_the_one_that_runs() {
    let mut session = session();
    let mut partials = 0;
    for n in 0..200 {
        let p = if n < 5 { 0.0 } else { 0.9 };
        partials += session
            .push(&[0.0; FRAME], Probability::clamped(p))
            .iter()
            .filter(|a| matches!(a, Action::Partial(_)))
            .count();
    }
    assert_eq!(partials, 1);
    session.partial_done();
    let next = session.push(&[0.0; FRAME], Probability::ONE);
    assert!(matches!(next.as_slice(), [Action::Partial(w)] if w.span.end() == Tick::new(201 * 512)));
}

#[test]
fn no_look_begins_in_a_pause_before_what_the_utterance_will_have_been_is_known() {
    // A look each frame, if it may.
    let mut session = Session::new(EndpointConfig::default(), 32).unwrap();
    run(&mut session, levels(&[(50, 0.9)]));
    let looks = run(&mut session, levels(&[(13, 0.0)]));
    let what = |action: &Action| match action {
        Action::Partial(_) => "look",
        Action::MayClose(_) => "may close",
        Action::SpeechBegan(_) | Action::Close(_) | Action::GoesOn => "other",
    };
    assert_eq!(looks.iter().map(what).collect::<Vec<_>>(), ["look", "look", "may close", "look", "look"]);
    let goes_on = run(&mut session, levels(&[(1, 0.9), (5, 0.0), (2, 0.9)]));
    assert_eq!(goes_on.iter().map(what).collect::<Vec<_>>(), ["other", "look", "look", "look", "look", "look"]);
}

#[test]
fn a_stream_that_goes_on_elsewhere_keeps_its_positions() {
    let mut session = session().starting_at(Tick::new(1_000_000));
    let closed = utterances(run(&mut session, levels(&[(5, 0.9), (40, 0.0)])));
    assert_eq!(closed[0].span.start(), Tick::new(1_000_000));
}

proptest! {
    /// No speech frame is lost, none comes twice, utterances never overlap and always fit the engine's window.
    #[test]
    fn every_speech_frame_is_in_exactly_one_utterance(
        parts in proptest::collection::vec((1_usize..400, 0.0_f32..1.0), 1..30), tail in 0_usize..FRAME,
    ) {
        let speech = levels(&parts);
        let mut session = session();
        let mut closed = utterances(run(&mut session, speech.iter().copied()));
        closed.extend(session.finish(&vec![0.0; tail], Probability::ZERO));
        let mut end = Tick::ZERO;
        for utterance in &closed {
            prop_assert!(utterance.span.start() >= end);
            prop_assert!(utterance.samples.len() <= crate::speech::asr::MAX_WINDOW);
            prop_assert_eq!(utterance.samples.len() as u64, utterance.span.len());
            prop_assert_eq!(utterance.speech.len(), utterance.samples.len().div_ceil(FRAME));
            end = utterance.span.end();
        }
        for (n, p) in speech.iter().enumerate() {
            if *p >= 0.5 {
                let frame = TickSpan::starting(Tick::new(n as u64 * 512), 512);
                let covered: u64 = closed.iter().map(|u| u.span.overlap(frame)).sum();
                prop_assert_eq!(covered, 512, "frame {}", n);
            }
        }
    }
}

#[test]
fn what_an_utterance_may_be_is_known_when_its_post_roll_is_there() {
    let actions = run(&mut session(), levels(&[(100, 0.0), (50, 0.9), (20, 0.1), (10, 0.9), (60, 0.1)]));
    let kinds: Vec<&Action> = actions.iter().filter(|a| !matches!(a, Action::Partial(_))).collect();
    let [
        Action::SpeechBegan(_),
        Action::MayClose(early),
        Action::GoesOn,
        Action::MayClose(last),
        Action::Close(closed),
    ] = kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!(last.as_ref(), closed);
    assert_eq!(early.span, TickSpan::new(Tick::new(80 * 512), Tick::new(162 * 512)).unwrap());
}

proptest! {
    /// Whoever decodes what an utterance may be decodes what it is: if nobody spoke since, the same samples come out.
    #[test]
    fn what_an_utterance_may_be_is_what_it_is_if_nobody_speaks(frames in prop::collection::vec((1_usize..60, 0_u8..3), 1..40)) {
        let parts: Vec<(usize, f32)> = frames.iter().map(|(n, kind)| (*n, [0.0, 0.4, 0.9][usize::from(*kind)])).collect();
        let mut offered: Option<Utterance> = None;
        for action in run(&mut session(), levels(&parts)) {
            match action {
                Action::MayClose(utterance) => offered = Some(*utterance),
                Action::GoesOn => prop_assert!(offered.take().is_some()),
                Action::Close(closed) => {
                    if let Some(offered) = offered.take().filter(|_| closed.reason == EndpointReason::Pause) {
                        prop_assert_eq!(offered, closed);
                    }
                }
                Action::SpeechBegan(_) | Action::Partial(_) => {}
            }
        }
    }
}

#[test]
fn a_longer_step_spaces_partials_and_none_stay_none() {
    let partials = |step_ms: u32, stretched: Option<u64>| {
        let mut session = Session::new(EndpointConfig::default(), step_ms).unwrap();
        if let Some(ms) = stretched {
            session.partials_every(Duration::from_millis(ms));
        }
        let mut count = 0;
        // Ten seconds of speech.
        for _ in 0..313 {
            for action in session.push(&[0.5; FRAME], Probability::clamped(0.9)) {
                if matches!(action, Action::Partial(_)) {
                    count += 1;
                    session.partial_done();
                }
            }
        }
        count
    };
    assert_eq!(partials(1_000, None), 9);
    assert_eq!(partials(1_000, Some(4_000)), 2);
    assert_eq!(partials(0, Some(4_000)), 0);
}
