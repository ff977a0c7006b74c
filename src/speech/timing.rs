//! Word times are laid on the speech: attention says when a word ends, speech activity says where the pauses are.
//!
//! Alignment by attention gives the moment a word is over; the next word then seems to begin there, even after a pause of
//! seconds. Here a word begins where speech sets in, ends where speech ends, lasts at least a moment, and words never
//! overlap.

use crate::{
    domain::{
        hypothesis::Hypothesis,
        probability::Probability,
        time::{TICKS_PER_SECOND, Tick, TickSpan},
    },
    speech::vad::{FRAME, thresholds},
};

/// From this probability on a frame is speech: the lower end of the hysteresis, since words fade out.
const SPEECH: f32 = thresholds::STOP;

/// No word is shorter than this: 40 ms in ticks, about a vowel.
const SHORTEST: u64 = TICKS_PER_SECOND / 25;

/// Pauses shorter than this many frames (96 ms) are inside a word: the closure of a stop.
const CLOSURE: usize = 3;

/// Lays the words of `hypothesis` on the speech of its window; `speech` holds one probability for each 32 ms of it.
pub fn lay_on_speech(hypothesis: &mut Hypothesis, speech: &[Probability]) {
    let window = hypothesis.window;
    let stretches = stretches(speech, window, CLOSURE);
    let mut from = window.start();
    for word in &mut hypothesis.words {
        let span = fitted(word.span, &stretches);
        let start = span.start().max(from).min(window.end());
        let end = span.end().max(start.plus(SHORTEST)).min(window.end());
        word.span = TickSpan::starting(start, end.since(start));
        from = end;
    }
}

/// Where in `window` somebody speaks, to the frame; `speech` holds one probability for each 32 ms of it.
#[must_use]
pub fn spoken(speech: &[Probability], window: TickSpan) -> Vec<TickSpan> {
    stretches(speech, window, 1)
}

/// Where speech goes on without a pause of `pause` frames.
fn stretches(speech: &[Probability], window: TickSpan, pause: usize) -> Vec<TickSpan> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for frame in (0..speech.len()).filter(|&n| speech[n].value() >= SPEECH) {
        match runs.last_mut() {
            Some((_, end)) if frame < *end + pause => *end = frame + 1,
            _ => runs.push((frame, frame + 1)),
        }
    }
    let at = |frame: usize| window.start().plus((frame * FRAME) as u64);
    let span = |(a, b): (usize, usize)| TickSpan::starting(at(a), at(b).since(at(a))).clamped_to(window);
    runs.into_iter().map(span).collect()
}

/// The part of a word's span that lies on the last stretch of speech it reaches well into; the span itself where it
/// touches none.
fn fitted(span: TickSpan, stretches: &[TickSpan]) -> TickSpan {
    let enough = SHORTEST.min(span.len() / 2).max(1);
    let home = stretches.iter().rev().find(|s| s.overlap(span) >= enough);
    match home {
        Some(stretch) => span.clamped_to(*stretch),
        None => leaning(span, stretches),
    }
}

/// A span of no length, or in a pause: it goes to the stretch that ends just before it or begins just after it.
fn leaning(span: TickSpan, stretches: &[TickSpan]) -> TickSpan {
    const NEAR: u64 = TICKS_PER_SECOND / 5;
    let distance = |s: &TickSpan| span.start().since(s.end()).max(s.start().since(span.end()));
    let nearest = stretches.iter().min_by_key(|s| distance(s)).filter(|s| distance(s) <= NEAR);
    let Some(stretch) = nearest else { return span };
    let end: Tick = span.end().clamp(stretch.start(), stretch.end());
    TickSpan::starting(end.minus(SHORTEST).max(stretch.start()), SHORTEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::hypothesis::{HeardWord, Told};

    fn hypothesis(spans: &[(u64, u64)], length: u64) -> Hypothesis {
        Hypothesis {
            window: TickSpan::starting(Tick::new(160_000), length),
            language: "en".parse().unwrap(),
            language_posterior: None,
            words: spans
                .iter()
                .map(|&(a, b)| HeardWord {
                    text: "w".into(),
                    spaced: true,
                    span: TickSpan::new(Tick::new(160_000 + a), Tick::new(160_000 + b)).unwrap(),
                    score: Probability::ONE,
                })
                .collect(),
            allowed_share: None,
            no_speech: Probability::ZERO,
            mean_logprob: 0.0,
            told: Told::Nothing,
            then: Vec::new(),
            posteriors: Vec::new(),
        }
    }

    fn laid(spans: &[(u64, u64)], speech: &[(usize, f32)]) -> Vec<(u64, u64)> {
        let speech: Vec<Probability> =
            speech.iter().flat_map(|&(n, p)| std::iter::repeat_n(Probability::clamped(p), n)).collect();
        let mut hypothesis = hypothesis(spans, speech.len() as u64 * 512);
        lay_on_speech(&mut hypothesis, &speech);
        hypothesis.words.iter().map(|w| (w.span.start().index() - 160_000, w.span.end().index() - 160_000)).collect()
    }

    #[test]
    fn a_word_after_a_pause_begins_where_speech_sets_in() {
        let words = laid(&[(0, 8_000), (8_000, 40_000)], &[(2, 0.0), (13, 0.9), (40, 0.0), (30, 0.9)]);
        assert_eq!(words, [(1_024, 7_680), (28_160, 40_000)]);
    }

    #[test]
    fn a_word_does_not_reach_into_the_silence_after_it() {
        assert_eq!(laid(&[(0, 20_000)], &[(20, 0.9), (30, 0.0)]), [(0, 10_240)]);
    }

    #[test]
    fn a_word_of_no_length_gets_a_moment_and_pushes_the_next_on() {
        assert_eq!(
            laid(&[(0, 5_000), (5_000, 5_000), (5_000, 9_000)], &[(30, 0.9)]),
            [(0, 5_000), (5_000, 5_640), (5_640, 9_000)]
        );
    }

    #[test]
    fn a_word_in_a_long_silence_stays_where_it_is() {
        assert_eq!(laid(&[(30_000, 34_000)], &[(10, 0.9), (90, 0.0)]), [(30_000, 34_000)]);
    }

    proptest! {
        #[test]
        fn words_stay_in_order_and_inside_the_window(
            mut edges in proptest::collection::vec(0_u64..51_200, 2..40), speech in proptest::collection::vec(0.0_f32..1.0, 100),
        ) {
            edges.sort_unstable();
            let spans: Vec<(u64, u64)> = edges.windows(2).map(|w| (w[0], w[1])).collect();
            let speech: Vec<(usize, f32)> = speech.into_iter().map(|p| (1, p)).collect();
            let words = laid(&spans, &speech);
            prop_assert!(words.iter().all(|w| w.0 <= w.1 && w.1 <= 51_200));
            prop_assert!(words.windows(2).all(|w| w[0].1 <= w[1].0));
        }
    }
}
