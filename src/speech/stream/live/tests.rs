//! Committed text under scripted partials and under any.

use proptest::prelude::*;

use super::*;
use crate::domain::probability::Probability;

const STEP: u64 = TICKS_PER_SECOND / 2;

fn word(text: &str) -> HeardWord {
    HeardWord { text: text.to_owned(), spaced: true, span: TickSpan::starting(Tick::ZERO, 0), score: Probability::ONE }
}

fn words(text: &str) -> Vec<HeardWord> {
    text.split_whitespace().map(word).collect()
}

fn window(start: u64, end: u64) -> Window {
    Window { span: TickSpan::starting(Tick::new(start), end - start), samples: Vec::new(), quiet: false }
}

fn text(live: &LiveText) -> String {
    let (words, committed) = live.words();
    let join = |words: &[HeardWord]| words.iter().map(|w| w.text.clone()).collect::<Vec<_>>().join(" ");
    format!("{}|{}", join(&words[..committed]), join(&words[committed..]))
}

#[test]
fn words_are_committed_when_two_looks_agree_and_the_last_one_waits() {
    let mut live = LiveText::default();
    assert_eq!(live.look(&window(0, STEP)).lead, Lead::default());
    assert_eq!(live.observe(words("And so my"), Tick::new(STEP), false), 0);
    assert_eq!(text(&live), "|And so my");
    assert_eq!(live.observe(words("and so, mine fellow"), Tick::new(2 * STEP), false), 2);
    assert_eq!(text(&live), "and so,|mine fellow");
    // The next look is told what stands, and finds what follows.
    let look = live.look(&window(0, 3 * STEP));
    assert_eq!((look.from, look.lead.words.as_str()), (Tick::ZERO, "and so,"));
    assert_eq!(live.observe(words("my fellow"), Tick::new(3 * STEP), false), 0);
    assert_eq!(live.observe(words("my fellow"), Tick::new(4 * STEP), false), 1, "the last may be cut off");
    assert_eq!(live.observe(words("fellow"), Tick::new(5 * STEP), true), 1, "nobody speaks at the end: it is whole");
    assert_eq!(text(&live), "and so, my fellow|");
    assert_eq!(live.take().len(), 4);
    assert_eq!(text(&live), "|");
}

#[test]
fn a_long_window_begins_later_behind_words_that_are_committed() {
    let mut live = LiveText::default();
    let mut end = 0;
    for n in 0..40 {
        end += STEP;
        let look = live.look(&window(0, end));
        assert!(end - look.from.index() <= LONGEST + STEP, "{look:?} at {end}");
        // A word each step, and the next one half said.
        let told = live.committed().len();
        let heard: Vec<String> = (told..=n + 1).map(|word| format!("w{word}")).collect();
        live.observe(words(&heard.join(" ")), Tick::new(end), false);
    }
    let look = live.look(&window(0, end + STEP));
    assert!(look.from > Tick::ZERO);
    assert!(!look.lead.before.is_empty() && !look.lead.words.is_empty());
    let all = format!("{} {}", look.lead.before, look.lead.words);
    let expected: Vec<String> = (0..live.committed().len()).map(|n| format!("w{n}")).collect();
    assert!(expected.join(" ").ends_with(&all), "{all}");
    // Each word ends about when it was said, which is a step before it was first seen at most.
    for (n, word) in (0..).zip(live.committed()) {
        let said = n * STEP;
        assert!(word.span.end().index().abs_diff(said) <= STEP, "{n} {word:?}");
    }
}

#[test]
fn looks_that_never_agree_commit_in_the_end_and_lose_nothing() {
    let mut live = LiveText::default();
    let mut end = 0;
    for n in 0..60 {
        end += STEP;
        let heard: Vec<String> = (0..8).map(|place| format!("{}{place}", ["a", "b", "c"][n % 3])).collect();
        live.observe(words(&heard.join(" ")), Tick::new(end), false);
        if !live.committed().is_empty() {
            break;
        }
    }
    assert!((STUCK * 2..STUCK * 2 + 3 * STEP).contains(&end), "{end}");
    assert_eq!(live.committed().len(), 8 - HELD_BACK_STUCK);
    assert_eq!(live.words().0.len(), 8);
}

proptest! {
    /// Whatever is heard: what is committed stays as it is, in order of time, and nothing that was heard last is missing.
    #[test]
    fn committed_words_never_change(
        looks in prop::collection::vec((prop::collection::vec(0_usize..4, 0..12), 1_u64..40_000, any::<bool>()), 1..60),
    ) {
        let mut live = LiveText::default();
        let (mut end, mut shown) = (0, Vec::<HeardWord>::new());
        for (heard, step, quiet) in looks {
            end += step;
            let look = live.look(&window(0, end));
            prop_assert!(look.from.index() <= end);
            let heard: Vec<HeardWord> = heard.iter().map(|n| word(["no", "No,", "yes", "well"][*n])).collect();
            live.observe(heard.clone(), Tick::new(end), quiet);
            let (all, committed) = live.words();
            prop_assert_eq!(&all[..shown.len()], &shown[..]);
            prop_assert!(all.windows(2).all(|pair| pair[0].span.end() <= pair[1].span.end()));
            let last: Vec<&str> = all[shown.len()..].iter().map(|w| w.text.as_str()).collect();
            prop_assert_eq!(last, heard.iter().map(|w| w.text.as_str()).collect::<Vec<_>>());
            shown = all[..committed].to_vec();
        }
    }

    /// An engine that hears right but for the end of each window: what is committed is what was said, each word once.
    #[test]
    fn what_is_committed_is_what_was_said(
        lengths in prop::collection::vec(2_000_u64..24_000, 1..80),
        steps in prop::collection::vec(4_000_u64..20_000, 1..200),
    ) {
        let said: Vec<(u64, String)> = lengths
            .iter()
            .scan(0, |at, length| { *at += length; Some(*at) })
            .enumerate()
            .map(|(n, end)| (end, format!("w{n}")))
            .collect();
        let mut live = LiveText::default();
        let mut end = 0;
        for step in steps {
            end += step;
            let look = live.look(&window(0, end));
            let told = live.committed().len();
            let mut heard: Vec<HeardWord> =
                said[told.min(said.len())..].iter().take_while(|(at, _)| *at <= end).map(|(_, w)| word(w)).collect();
            // The word that is cut off is heard as another each time.
            heard.push(word(&format!("x{end}")));
            prop_assert!(look.lead.words.split_whitespace().count() <= told);
            live.observe(heard, Tick::new(end), false);
            let committed: Vec<&str> = live.committed().iter().map(|w| w.text.as_str()).collect();
            let expected: Vec<&str> = said.iter().take(committed.len()).map(|(_, w)| w.as_str()).collect();
            prop_assert_eq!(committed, expected);
        }
    }
}
