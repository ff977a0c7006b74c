//! Each figure on cases made by hand, and what holds of any stream.

use proptest::prelude::*;

use super::*;

/// `a b c` as words of 400 ms from `start_ms` on, each 500 ms after the one before.
fn timed(text: &str, start_ms: u64) -> Vec<TimedWord> {
    let word = |(at, text): (u64, &str)| TimedWord { text: text.to_owned(), start_ms: at, end_ms: at + 400 };
    (0..).map(|n: u64| start_ms + 500 * n).zip(text.split_whitespace()).map(word).collect()
}

fn last(at_ms: u64, (start_ms, end_ms): (u64, u64), text: &str) -> Final {
    Final { at_ms, start_ms, end_ms, words: timed(text, start_ms), text: text.to_owned() }
}

/// `|` stands after the committed words.
fn partial(at_ms: u64, (start_ms, end_ms): (u64, u64), text: &str) -> Partial {
    let stable = text.split_whitespace().take_while(|word| *word != "|").count();
    let words = text.split_whitespace().filter(|word| *word != "|").map(ToOwned::to_owned).collect();
    Partial { at_ms, start_ms, end_ms, words, stable }
}

fn heard(partials: Vec<Partial>, finals: Vec<Final>) -> Heard {
    Heard { partials, finals, times: None }
}

#[track_caller]
fn latencies(channel: Heard, expected: &[(i64, i64, i64)]) {
    let found: Vec<_> =
        figures(&[channel]).emissions.iter().map(|w| (w.shown_ms, w.committed_ms, w.final_ms)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_word_counts_from_when_it_was_first_shown_committed_and_final() {
    // Words end at 400, 900 and 1400.
    let partials = vec![
        partial(1_000, (0, 950), "| ask nod"),
        partial(1_500, (0, 1_450), "Ask | not, what"),
        partial(2_000, (0, 1_950), "ask not | what"),
    ];
    let finals = vec![last(2_600, (0, 2_000), "Ask not what.")];
    latencies(heard(partials, finals), &[(600, 1_100, 2_200), (600, 1_100, 1_700), (100, 1_200, 1_200)]);
}

#[test]
fn a_word_that_no_partial_showed_is_shown_and_committed_by_its_final() {
    latencies(heard(vec![], vec![last(1_000, (0, 800), "yes")]), &[(600, 600, 600)]);
    let elsewhere = partial(9_000, (8_000, 8_900), "yes |");
    latencies(heard(vec![elsewhere], vec![last(10_000, (0, 800), "yes")]), &[(9_600, 9_600, 9_600)]);
}

#[test]
fn words_that_are_said_again_are_found_where_they_were_said() {
    let partials = vec![partial(500, (0, 450), "no |"), partial(1_100, (0, 1_000), "no no |")];
    latencies(
        heard(partials, vec![last(3_000, (0, 1_500), "no no no")]),
        &[(100, 100, 2_600), (200, 200, 2_100), (1_600, 1_600, 1_600)],
    );
}

#[test]
fn finals_may_come_out_of_order_and_partials_of_the_next_utterance_before_them() {
    let partials = vec![partial(900, (0, 850), "one two |"), partial(4_500, (4_000, 4_450), "one |")];
    let finals = vec![last(7_000, (4_000, 5_000), "one"), last(6_000, (0, 1_000), "one two")];
    let channel = heard(partials, finals);
    latencies(channel.clone(), &[(500, 500, 5_600), (0, 0, 5_100), (100, 100, 2_600)]);
    let found = figures(&[channel]).steadiness;
    assert_eq!((found.erased, found.revised, found.looks), (0, 0, 0));
}

#[test]
fn ends_of_words_may_be_those_of_a_reference() {
    let mut channel = heard(vec![], vec![last(2_000, (0, 1_500), "ask nod what")]);
    let word = |text: &str, end_ms| TimedWord { text: text.into(), start_ms: 0, end_ms };
    channel.times = Some(vec![word("Ask", 450), word("not", 800), word("what", 1_500)]);
    latencies(channel.clone(), &[(1_550, 1_550, 1_550), (500, 500, 500)]);
    let found = figures(&[channel]);
    assert_eq!((found.words, found.timed), (3, 2));
}

#[test]
fn a_final_is_counted_from_the_end_of_its_speech_and_of_its_segment() {
    let finals = vec![last(2_600, (0, 2_000), "ask not"), last(6_000, (5_000, 5_500), "")];
    let found = figures(&[heard(vec![], finals)]);
    assert_eq!(found.final_after_speech.unwrap(), Spread::of(vec![1_700]).unwrap());
    assert_eq!(found.final_after_span.unwrap(), Spread::of(vec![600]).unwrap());
}

#[test]
fn lag_that_grows_by_a_tenth_is_six_minutes_an_hour() {
    let finals = (0..100).map(|n: u64| last(n * 1_000 + 900 + n * 100, (n * 1_000, n * 1_000 + 500), "yes")).collect();
    let slope = figures(&[heard(vec![], finals)]).lag_slope_s_per_h.unwrap();
    assert!((slope - 360.0).abs() < 1e-6, "{slope}");
    let steady = (0..100).map(|n: u64| last(n * 1_000 + 900, (n * 1_000, n * 1_000 + 500), "yes")).collect();
    assert!(figures(&[heard(vec![], steady)]).lag_slope_s_per_h.unwrap().abs() < 1e-9);
    assert_eq!(figures(&[heard(vec![], vec![last(900, (0, 500), "yes")])]).lag_slope_s_per_h, None);
}

#[track_caller]
fn steadiness_of(channel: Heard, (erased, committed, flickers, looks, revised): (usize, usize, usize, usize, usize)) {
    let found = figures(&[channel]).steadiness;
    assert_eq!(
        (found.erased, found.committed_erased, found.flickers, found.looks, found.revised),
        (erased, committed, flickers, looks, revised)
    );
}

#[test]
fn text_that_only_grows_erases_nothing() {
    let partials = vec![
        partial(500, (0, 450), "Ask"),
        partial(1_000, (0, 950), "ask | not"),
        partial(1_500, (0, 1_450), "ask not | what"),
    ];
    steadiness_of(heard(partials, vec![last(2_000, (0, 1_500), "Ask not what?")]), (0, 0, 0, 2, 0));
}

#[test]
fn words_removed_or_changed_are_erased_and_the_partial_flickers() {
    let partials = vec![
        partial(500, (0, 450), "| ask nod"),
        partial(1_000, (0, 950), "ask | not what now"),
        partial(1_500, (0, 1_450), "task | not what"),
    ];
    // nod; ask, which was committed, and now; what.
    let channel = heard(partials, vec![last(2_000, (0, 1_500), "task not that")]);
    steadiness_of(channel.clone(), (4, 1, 2, 2, 0));
    let found = figures(&[channel]).steadiness;
    assert_eq!((found.flicker(), found.share(found.erased)), (Some(1.0), Some(4.0 / 3.0)));
}

#[test]
fn committed_words_that_the_final_has_not_are_revised() {
    let partials = vec![partial(1_000, (0, 950), "ask nod | whet")];
    steadiness_of(heard(partials.clone(), vec![last(2_000, (0, 1_500), "ask not what")]), (2, 0, 0, 0, 1));
    // The recogniser took everything back.
    steadiness_of(heard(partials, vec![]), (3, 0, 0, 0, 2));
}

#[test]
fn a_window_that_moves_on_erases_nothing_that_is_in_a_final() {
    let partials = vec![partial(2_000, (0, 1_950), "a b c | d"), partial(2_500, (1_000, 2_450), "c | d e")];
    let finals = vec![last(2_300, (0, 1_000), "a b"), last(4_000, (1_000, 2_500), "c d e")];
    steadiness_of(heard(partials.clone(), finals), (0, 0, 0, 0, 0));
    let finals = vec![last(2_300, (0, 1_000), "a x"), last(4_000, (1_000, 2_500), "c d e")];
    steadiness_of(heard(partials, finals), (1, 0, 0, 0, 1));
}

#[test]
fn figures_of_channels_are_put_together() {
    let one = heard(vec![partial(500, (0, 450), "yes |")], vec![last(1_000, (0, 800), "yes")]);
    let two = heard(vec![], vec![last(2_000, (0, 800), "no")]);
    let found = figures(&[one, two]);
    assert_eq!((found.words, found.settled.unwrap().p50, found.settled.unwrap().max), (2, 600, 1_600));
    assert_eq!((found.steadiness.partials, found.steadiness.final_words), (1, 2));
    assert_eq!(figures(&[]), Figures::default());
}

mod schedules {
    use super::super::schedule::*;

    const PLAN: Plan = Plan { rate: 16_000, length: None, density: None, seed: 1 };

    #[test]
    fn without_a_length_each_recording_is_played_once() {
        let turns = hearing(&[vec![(0, 16_000), (2, 32_000)], vec![(1, 8_000)]], &PLAN);
        let played: Vec<Vec<usize>> = turns.iter().map(|c| c.iter().map(|t| t.recording).collect()).collect();
        assert_eq!(played, [vec![0, 2], vec![1]]);
        assert_eq!((turns[0][0].start, turns[0][1].start), (4_800, 4_800 + 16_000 + 4_800));
        let all = hearing(&[vec![(0, 16_000), (2, 32_000)], vec![(1, 8_000)]], &Plan { density: Some(35), ..PLAN });
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 3);
    }

    #[test]
    fn a_length_is_filled_and_nothing_is_cut() {
        let length = 16_000 * 60;
        let turns = hearing(&[vec![(0, 16_000 * 9), (1, 16_000 * 4)]], &Plan { length: Some(length), ..PLAN });
        assert!(turns[0].iter().all(|t| t.end <= length) && turns[0].is_sorted_by(|a, b| a.end <= b.start));
        assert!(shares(&turns, length).0 > 90.0, "{:?}", shares(&turns, length));
        assert_eq!(hearing(&[vec![(0, length + 1)]], &Plan { length: Some(length), ..PLAN }), [vec![]]);
        assert_eq!(hearing(&[vec![]], &Plan { length: Some(length), ..PLAN }), [vec![]]);
    }

    #[test]
    fn a_courtroom_has_about_the_share_of_speech_that_was_asked_for_mostly_of_one_speaker() {
        let channels: Vec<Vec<(usize, u64)>> =
            (0..12).map(|c| (0..4).map(|n| (c * 4 + n, 16_000 * (3 + 2 * n as u64))).collect()).collect();
        let length = 16_000 * 1_200;
        for (percent, seed) in [(35, 1), (35, 2), (60, 3), (90, 4)] {
            let turns = hearing(&channels, &Plan { length: Some(length), density: Some(percent), seed, ..PLAN });
            let (each, anybody) = shares(&turns, length);
            let asked = f64::from(percent);
            assert!((anybody - asked).abs() < 6.0, "{asked} {anybody}");
            // What is spoken more than once is little.
            assert!(each * 12.0 - anybody < asked * 0.06, "{each} {anybody}");
            assert!(turns.iter().all(|c| c.is_sorted_by(|a, b| a.end <= b.start) && !c.is_empty()));
        }
        let plan = Plan { length: Some(length), density: Some(35), ..PLAN };
        assert_eq!(hearing(&channels, &plan), hearing(&channels, &plan));
        assert_ne!(hearing(&channels, &plan), hearing(&channels, &Plan { seed: 2, ..plan }));
    }
}

/// Words out of few, so that many are said again; some punctuation alone.
fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(vec!["yes", "no", "Yes,", "-", "maybe", "so"]), 0..12)
        .prop_map(|words| words.into_iter().map(ToOwned::to_owned).collect())
}

proptest! {
    #[test]
    fn latency_is_never_negative_when_results_come_after_the_audio(
        utterances in prop::collection::vec((words(), 0..3_000_u64, 0..4_000_u64), 0..5),
        guesses in prop::collection::vec((0..60_000_u64, 0..30_000_u64, words(), 0..14_usize), 0..20),
    ) {
        let (mut finals, mut at) = (Vec::new(), 0);
        for (words, pause, wait) in utterances {
            let start_ms = at + pause;
            let words = timed(&words.join(" "), start_ms);
            let end_ms = words.last().map_or(start_ms, |word| word.end_ms) + 300;
            at = end_ms;
            finals.push(Final { at_ms: end_ms + wait, start_ms, end_ms, words, text: String::new() });
        }
        let partials = guesses.into_iter().map(|(start_ms, length, words, stable)| {
            let end_ms = start_ms + length;
            Partial { at_ms: end_ms + length % 700, start_ms, end_ms, words, stable }
        });
        let found = figures(&[heard(partials.collect(), finals)]);
        for word in &found.emissions {
            prop_assert!(0 <= word.shown_ms && word.shown_ms <= word.committed_ms, "{:?}", word);
            prop_assert!(word.committed_ms <= word.final_ms, "{:?}", word);
        }
        let steady = found.steadiness;
        prop_assert!(steady.flickers <= steady.looks && steady.looks <= steady.partials);
        prop_assert!(steady.committed_erased + steady.revised <= steady.erased);
    }
}
