//! Tokens become words: bytes are joined to whole characters, words are cut where the script cuts them, and each word gets
//! the time between the moments at which its tokens were attended to.

use crate::domain::{
    hypothesis::HeardWord,
    language::LanguageTag,
    probability::Probability,
    time::{TICKS_PER_SECOND, Tick, TickSpan},
};

/// One text token as the engine gave it.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// Its bytes; a character may be spread over several tokens.
    pub(super) bytes: Vec<u8>,
    /// Its probability.
    pub(super) probability: f32,
    /// When its sound ends, in hundredths of a second from the start of the window; `None` where it was not aligned.
    pub(super) end_cs: Option<u64>,
}

/// Languages written without spaces between words (as in OpenAI's `split_to_word_tokens`): there each character that
/// tokens complete counts as a word.
const UNSPACED: [&str; 9] = ["zh", "cmn", "ja", "th", "lo", "my", "yue", "km", "bo"];

/// The words of `tokens` in a window that begins at `start` and is `length` ticks long.
pub(super) fn assemble(tokens: &[Token], language: &LanguageTag, start: Tick, length: u64) -> Vec<HeardWord> {
    let groups = group(tokens, UNSPACED.contains(&language.primary()));
    let mut words = Vec::with_capacity(groups.len());
    let mut from = 0;
    for g in groups {
        let end = g.end_cs.map_or(from, |cs| (cs * TICKS_PER_SECOND / 100).clamp(from, length));
        let spaced = g.text.starts_with(char::is_whitespace);
        let text = g.text.trim();
        if !text.is_empty() {
            words.push(HeardWord {
                text: text.to_owned(),
                spaced,
                span: TickSpan::starting(start.plus(from), end - from),
                score: Probability::clamped(g.score),
            });
        }
        from = end;
    }
    words
}

/// Whether the same tokens come again and again on end, by which a decoder shows that it has lost its way: three of them three times,
/// two of them six times, one of them eight times. People do say `no, no, no`, which is two tokens thrice.
pub(super) fn repeats(tokens: &[Token]) -> bool {
    let repeated = |length: usize| {
        let times = match length {
            1 => 8,
            2 => 6,
            _ => 3,
        };
        tokens.windows(length * times).any(|run| {
            let (unit, rest) = run.split_at(length);
            rest.chunks_exact(length).all(|next| next.iter().map(|t| &t.bytes).eq(unit.iter().map(|t| &t.bytes)))
        })
    };
    (1..=tokens.len() / 3).any(repeated)
}

/// A run of tokens that makes one word.
struct Group {
    text: String,
    score: f32,
    end_cs: Option<u64>,
}

fn group(tokens: &[Token], unspaced: bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut pending: Vec<u8> = Vec::new();
    let (mut score, mut end_cs) = (1.0_f32, None);
    for token in tokens {
        pending.extend_from_slice(&token.bytes);
        score = score.min(token.probability);
        end_cs = token.end_cs.or(end_cs);
        // Hold an incomplete character back until its last byte has come.
        let Ok(text) = std::str::from_utf8(&pending) else { continue };
        let text = text.to_owned();
        pending.clear();
        push(&mut groups, Group { text, score, end_cs }, unspaced);
        (score, end_cs) = (1.0, None);
    }
    if !pending.is_empty() {
        let text = String::from_utf8_lossy(&pending).into_owned();
        push(&mut groups, Group { text, score, end_cs }, unspaced);
    }
    groups
}

fn push(groups: &mut Vec<Group>, next: Group, unspaced: bool) {
    let punctuation = next.text.trim().chars().all(|c| !c.is_alphanumeric());
    let opens = next.text.starts_with(char::is_whitespace) || (unspaced && !punctuation);
    match groups.last_mut() {
        Some(last) if !opens => {
            last.text.push_str(&next.text);
            // Punctuation is written after the word was spoken: its place and its score say nothing of the word.
            if !punctuation {
                last.score = last.score.min(next.score);
                last.end_cs = next.end_cs.or(last.end_cs);
            }
        }
        _ => groups.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &[u8], probability: f32, end_cs: u64) -> Token {
        Token { bytes: text.to_vec(), probability, end_cs: Some(end_cs) }
    }

    fn tag(text: &str) -> LanguageTag {
        text.parse().unwrap()
    }

    #[test]
    fn a_word_takes_the_lowest_score_of_its_tokens_and_not_of_its_punctuation() {
        let tokens =
            [token(b" Am", 0.9, 20), token(b"ericans", 0.6, 60), token(b",", 0.1, 90), token(b" ask", 0.8, 110)];
        let words = assemble(&tokens, &tag("en"), Tick::new(16_000), 32_000);
        assert_eq!(words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>(), ["Americans,", "ask"]);
        assert!((words[0].score.value() - 0.6).abs() < 1e-6);
        assert_eq!(words[0].span, TickSpan::starting(Tick::new(16_000), 9_600));
        assert_eq!(words[1].span, TickSpan::starting(Tick::new(25_600), 8_000));
    }

    #[test]
    fn a_character_spread_over_tokens_is_put_together() {
        let bytes = "né".as_bytes();
        let tokens = [token(&bytes[..2], 0.5, 10), token(&bytes[2..], 0.7, 20)];
        let words = assemble(&tokens, &tag("fr"), Tick::ZERO, 16_000);
        assert_eq!(words[0].text, "né");
        assert!((words[0].score.value() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn japanese_is_cut_by_character_without_spaces() {
        let tokens =
            [token("日".as_bytes(), 0.9, 20), token("本".as_bytes(), 0.9, 40), token("。".as_bytes(), 0.9, 60)];
        let words = assemble(&tokens, &tag("ja"), Tick::ZERO, 16_000);
        assert_eq!(
            words.iter().map(|w| (w.text.as_str(), w.spaced)).collect::<Vec<_>>(),
            [("日", false), ("本。", false)]
        );
    }

    #[test]
    fn times_never_run_backwards_or_out_of_the_window() {
        let tokens = [token(b" a", 0.9, 50), token(b" b", 0.9, 30), token(b" c", 0.9, 900)];
        let words = assemble(&tokens, &tag("en"), Tick::ZERO, 16_000);
        assert!(words.windows(2).all(|w| w[0].span.end() <= w[1].span.start()));
        assert_eq!(words[2].span.end(), Tick::new(16_000));
    }

    #[test]
    fn a_loop_is_told_from_what_people_say_again() {
        let said = |unit: &[&str], times: usize| {
            let all = [&[" So"][..], &unit.repeat(times), &[" it"]].concat();
            all.into_iter().map(|text| token(text.as_bytes(), 0.9, 0)).collect::<Vec<_>>()
        };
        for (unit, people, loops) in [
            (&[" na"][..], 7, 8),
            (&[" no", ","], 5, 6),
            (&[" I", " did", " not"], 2, 3),
            (&["a", "b", "c", "d"], 2, 3),
        ] {
            assert!(!repeats(&said(unit, people)) && repeats(&said(unit, loops)), "{unit:?}");
        }
    }

    #[test]
    fn bytes_that_never_become_a_character_are_kept_as_a_mark() {
        let words = assemble(&[token(&[b' ', 0xff], 0.9, 50)], &tag("en"), Tick::ZERO, 16_000);
        assert_eq!(words[0].text, "\u{fffd}");
    }
}
