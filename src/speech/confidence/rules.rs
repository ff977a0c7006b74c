//! The rules, each with its limit.

use std::ops::Range;

use super::Sound;
use crate::{
    domain::{
        flag::{Evidence, Flag, FlagCode},
        hypothesis::{HeardWord, Hypothesis},
        probability::Probability,
        time::{TICKS_PER_SECOND, Tick, TickSpan},
    },
    speech::{
        audio::level::LevelSummary,
        vad::{FRAME, thresholds},
    },
    text::normalize::fold,
};

/// A word whose least probable token is below this is in doubt. On base and read speech about one word in nine.
const LOW_SCORE: f64 = 0.5;

/// A frame counts as speech from this probability on: the lower end of the hysteresis, since words fade.
pub(super) const SPEECH: f32 = thresholds::STOP;

/// A word with less speech than this share under it stands on non-speech (guard G1).
const LEAST_SPEECH_UNDER_WORD: f64 = 0.2;

/// Words are aligned to about this much; speech this near counts as under the word. 200 ms in ticks.
const ALIGNMENT_SLACK: u64 = TICKS_PER_SECOND / 5;

/// A run of words said this often in a row is a loop (guard G2).
const REPEATS: usize = 3;

/// The longest run of words that is looked for.
const LONGEST_REPEAT: usize = 8;

/// Letters and digits a second of speech that nobody reaches. Fast French or Spanish has about 20.
const MOST_CHARACTERS_PER_SECOND: f64 = 32.0;

/// The same where a character is a syllable or a word: Chinese, Japanese. Fast speech has about 9.
const MOST_IDEOGRAPHS_PER_SECOND: f64 = 14.0;

/// Letters and digits a second of speech below which words are missing.
const LEAST_CHARACTERS_PER_SECOND: f64 = 3.0;

/// The rate is not judged for less speech than this, seconds.
const LEAST_SPEECH_FOR_RATE: f64 = 1.0;

/// A language less probable than this among the allowed is not certain.
const LEAST_LANGUAGE_POSTERIOR: f64 = 0.7;

/// When the engine gives the allowed languages together less than this, another one is spoken.
const LEAST_ALLOWED_SHARE: f64 = 0.05;

/// The language is not judged for less speech than this, seconds.
const LEAST_SPEECH_FOR_LANGUAGE: f64 = 2.0;

/// More clipped samples than this share are heard as distortion.
const MOST_CLIPPED: f64 = 0.001;

/// Speech below this level is very low, dB relative to full scale.
const LEAST_LEVEL_DBFS: f64 = -50.0;

/// Voice for this long without a word is untranscribed speech (guard G10), seconds.
const VOICE_WITHOUT_WORDS: f64 = 1.5;

/// A pause shorter than this does not end a stretch of voice, in frames (320 ms).
const VOICE_GAP: usize = 10;

/// The engine's no-speech probability from which on a weak hypothesis is held to stand on nothing; OpenAI's own limit.
const NO_SPEECH: f32 = 0.6;

/// The mean log probability below which a hypothesis is weak; OpenAI's own limit.
const WEAK_LOGPROB: f32 = -1.0;

/// Where there is less speech than this, seconds, what needs more of a reason to be believed is not.
const LEAST_SPEECH: f64 = 0.5;

/// The same for the share of the words' time that is speech.
const LEAST_SPEECH_UNDER_TEXT: f64 = 0.5;

/// Words with a low score, one flag for each run of them.
pub(super) fn low_scores(hypothesis: &Hypothesis, flags: &mut Vec<Flag>) {
    let words = &hypothesis.words;
    for run in runs(words, |word| f64::from(word.score.value()) < LOW_SCORE) {
        let lowest = words[run.clone()].iter().map(|w| w.score.value()).fold(1.0, f32::min);
        flags.push(flag(FlagCode::LowWordScore, run, "lowest_score", lowest.into(), LOW_SCORE));
    }
}

/// Words with no speech under them.
pub(super) fn words_without_speech(hypothesis: &Hypothesis, sound: &Sound<'_>, flags: &mut Vec<Flag>) {
    let words = &hypothesis.words;
    for run in runs(words, |word| speech_share(word.span, sound) < LEAST_SPEECH_UNDER_WORD) {
        let most = words[run.clone()].iter().map(|w| speech_share(w.span, sound)).fold(0.0, f64::max);
        flags.push(flag(FlagCode::NoSpeechUnderWords, run, "speech_share", most, LEAST_SPEECH_UNDER_WORD));
    }
}

/// The same words again and again, directly after each other.
pub(super) fn repetition(hypothesis: &Hypothesis, flags: &mut Vec<Flag>) {
    let words: Vec<String> = hypothesis.words.iter().map(|w| fold(&w.text)).collect();
    let mut at = 0;
    while at < words.len() {
        let Some((length, times)) = longest_loop(&words[at..]) else {
            at += 1;
            continue;
        };
        let end = at + length * times;
        #[expect(clippy::cast_precision_loss, reason = "a count of words")]
        flags.push(flag(FlagCode::Repetition, at..end, "times", times as f64, REPEATS as f64));
        at = end;
    }
}

/// The length of the run that `words` begins with at least [`REPEATS`] times, and how often; the one that covers most.
fn longest_loop(words: &[String]) -> Option<(usize, usize)> {
    let loops = (1..=LONGEST_REPEAT.min(words.len() / REPEATS)).filter_map(|length| {
        let (unit, rest) = words.split_at(length);
        let times = 1 + rest.chunks_exact(length).take_while(|chunk| *chunk == unit).count();
        (times >= REPEATS && unit.iter().any(|w| !w.is_empty())).then_some((length, times))
    });
    loops.max_by_key(|(length, times)| (length * times, std::cmp::Reverse(*length)))
}

/// More or fewer words than people speak in the time.
pub(super) fn implausible_rate(hypothesis: &Hypothesis, sound: &Sound<'_>, flags: &mut Vec<Flag>) {
    let seconds = speech_seconds(sound);
    if hypothesis.words.is_empty() || seconds < LEAST_SPEECH_FOR_RATE {
        return;
    }
    let text = hypothesis.words.iter().flat_map(|w| w.text.chars());
    let characters = u32::try_from(text.filter(|c| c.is_alphanumeric()).count()).unwrap_or(u32::MAX);
    let rate = f64::from(characters) / seconds;
    let dense = matches!(hypothesis.language.primary(), "zh" | "cmn" | "yue" | "ja");
    let most = if dense { MOST_IDEOGRAPHS_PER_SECOND } else { MOST_CHARACTERS_PER_SECOND };
    let least = if dense { LEAST_CHARACTERS_PER_SECOND / 3.0 } else { LEAST_CHARACTERS_PER_SECOND };
    let limit = if rate > most { most } else { least };
    if rate > most || rate < least {
        let all = 0..hypothesis.words.len();
        flags.push(flag(FlagCode::ImplausibleRate, all, "characters_per_second", rate, limit));
    }
}

/// A language that is not certain among those allowed, or a sound of another one.
pub(super) fn uncertain_language(hypothesis: &Hypothesis, sound: &Sound<'_>, flags: &mut Vec<Flag>) {
    let all = 0..hypothesis.words.len();
    if let Some(share) = hypothesis.allowed_share.map(|p| f64::from(p.value()))
        && is_refused(hypothesis, sound)
    {
        let code = FlagCode::UncertainLanguage;
        flags.push(flag(code, all, "allowed_languages_share", share, LEAST_ALLOWED_SHARE));
        return;
    }
    let Some(posterior) = hypothesis.language_posterior.map(|p| f64::from(p.value())) else { return };
    if posterior < LEAST_LANGUAGE_POSTERIOR {
        let all = 0..hypothesis.words.len();
        flags.push(flag(FlagCode::UncertainLanguage, all, "posterior", posterior, LEAST_LANGUAGE_POSTERIOR));
    }
}

/// A text of which the engine believes little as a whole (guard G5).
pub(super) fn weak_text(hypothesis: &Hypothesis, flags: &mut Vec<Flag>) {
    if !hypothesis.words.is_empty() && hypothesis.mean_logprob < WEAK_LOGPROB {
        let all = 0..hypothesis.words.len();
        let mean = f64::from(hypothesis.mean_logprob);
        flags.push(flag(FlagCode::WeakText, all, "mean_log_probability", mean, WEAK_LOGPROB.into()));
    }
}

/// Whether a language is spoken that none of the allowed ones is: what an engine writes of it is no text of what was said.
pub(super) fn is_refused(hypothesis: &Hypothesis, sound: &Sound<'_>) -> bool {
    let share = hypothesis.allowed_share.map(|p| f64::from(p.value()));
    share.is_some_and(|share| share < LEAST_ALLOWED_SHARE) && speech_seconds(sound) >= LEAST_SPEECH_FOR_LANGUAGE
}

/// Audio that is clipped or very low.
pub(super) fn level(hypothesis: &Hypothesis, sound: &Sound<'_>, flags: &mut Vec<Flag>) {
    let all = 0..hypothesis.words.len();
    let clipped = f64::from(sound.level.clipped.max(sound.level.flat_topped));
    if clipped > MOST_CLIPPED {
        flags.push(flag(FlagCode::ClippedAudio, all.clone(), "clipped_share", clipped, MOST_CLIPPED));
    }
    let rms = f64::from(sound.level.rms_dbfs);
    if rms < LEAST_LEVEL_DBFS && sound.level.rms_dbfs > LevelSummary::SILENCE_DBFS {
        flags.push(flag(FlagCode::LowAudio, all, "level_dbfs", rms, LEAST_LEVEL_DBFS));
    }
}

/// Voice for a while and no word on it. The flag covers no word; it stands before the word that follows the gap.
pub(super) fn speech_without_words(hypothesis: &Hypothesis, sound: &Sound<'_>, flags: &mut Vec<Flag>) {
    let words = &hypothesis.words;
    let mut from = sound.span.start();
    for next in 0..=words.len() {
        let to = words.get(next).map_or(sound.span.end(), |w| w.span.start());
        if let Some(gap) = TickSpan::new(from, to) {
            let voiced = longest_voice(gap, sound);
            if voiced >= VOICE_WITHOUT_WORDS {
                let place = next..next;
                flags.push(flag(FlagCode::SpeechWithoutWords, place, "voiced_seconds", voiced, VOICE_WITHOUT_WORDS));
            }
        }
        from = words.get(next).map_or(to, |w| w.span.end());
    }
}

/// Text in brackets or between notes: the engine's way of writing sounds, learnt from subtitles.
pub(super) fn non_speech_text(hypothesis: &Hypothesis, flags: &mut Vec<Flag>) {
    let mut inside = None;
    let mut marked = vec![false; hypothesis.words.len()];
    for (at, word) in hypothesis.words.iter().enumerate() {
        let opens = word.text.starts_with(['[', '(', '♪', '*', '【', '（']);
        if opens && inside.is_none() {
            inside = Some(at);
        }
        marked[at] = inside.is_some() || !word.text.chars().any(char::is_alphanumeric);
        let body = word.text.trim_end_matches(['.', ',', '!', '?', ':']);
        if inside.is_some_and(|from| at > from || word.text.chars().count() > 1)
            && body.ends_with([']', ')', '♪', '*', '】', '）'])
        {
            inside = None;
        }
    }
    // A bracket that never closes marks only itself: most of the text would be hidden for a stray sign.
    if let Some(from) = inside {
        marked[from + 1..].fill(false);
    }
    let mut at = 0;
    while at < marked.len() {
        let end = at + marked[at..].iter().take_while(|&&m| m).count();
        if end > at {
            flags.push(Flag { code: FlagCode::NonSpeechText, evidence: Vec::new(), words: at..end });
        }
        at = end.max(at) + 1;
    }
}

/// Whether an utterance holds next to no speech (a click, a knock), or the engine itself holds it to be none.
pub(super) fn hardly_speech(hypothesis: &Hypothesis, sound: &Sound<'_>) -> bool {
    let engine_doubts = hypothesis.no_speech.value() > NO_SPEECH && hypothesis.mean_logprob < WEAK_LOGPROB;
    let confirmed = sound.speech.iter().filter(|p| p.value() >= thresholds::START).count();
    engine_doubts || confirmed < thresholds::CONFIRMING_FRAMES
}

/// Whether little speaks for a text: next to no speech in all or under its words, or the engine doubts it as a whole. Alone it says
/// nothing; with another doubt a text that may have been invented was.
pub(super) fn is_thin(hypothesis: &Hypothesis, sound: &Sound<'_>) -> bool {
    let shares = hypothesis.words.iter().map(|word| speech_share(word.span, sound).min(1.0));
    #[expect(clippy::cast_precision_loss, reason = "a count of words")]
    let under = shares.sum::<f64>() / hypothesis.words.len().max(1) as f64;
    hypothesis.mean_logprob < WEAK_LOGPROB
        || hypothesis.no_speech.value() > NO_SPEECH
        || speech_seconds(sound) < LEAST_SPEECH
        || under < LEAST_SPEECH_UNDER_TEXT
}

fn flag(code: FlagCode, words: Range<usize>, measure: &str, value: f64, limit: f64) -> Flag {
    Flag { code, evidence: vec![Evidence::new(measure, value, limit)], words }
}

/// The runs of words for which `doubtful` holds.
fn runs(words: &[HeardWord], doubtful: impl Fn(&HeardWord) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !doubtful(word) {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// The part of `span`, widened by the slack of the alignment, that is speech, compared with the span itself: 0 to 1.
fn speech_share(span: TickSpan, sound: &Sound<'_>) -> f64 {
    let start = span.start().minus(ALIGNMENT_SLACK);
    let wide = TickSpan::starting(start, span.end().plus(ALIGNMENT_SLACK).since(start)).clamped_to(sound.span);
    let heard: u64 = frames(sound).filter(|(_, p)| p.value() >= SPEECH).map(|(frame, _)| frame.overlap(wide)).sum();
    seconds(heard) / seconds(span.len().max(FRAME as u64))
}

fn speech_seconds(sound: &Sound<'_>) -> f64 {
    seconds(frames(sound).filter(|(_, p)| p.value() >= SPEECH).map(|(frame, _)| frame.len()).sum())
}

/// The longest stretch of voice inside `gap`, seconds.
fn longest_voice(gap: TickSpan, sound: &Sound<'_>) -> f64 {
    let (mut longest, mut from, mut quiet) = (0_u64, None::<Tick>, 0);
    for (frame, p) in frames(sound).filter(|(frame, _)| frame.overlap(gap) > 0) {
        if p.value() >= SPEECH {
            let start = *from.get_or_insert(frame.start().max(gap.start()));
            longest = longest.max(frame.end().min(gap.end()).since(start));
            quiet = 0;
        } else {
            quiet += 1;
            if quiet > VOICE_GAP {
                from = None;
            }
        }
    }
    seconds(longest)
}

pub(super) fn frames<'a>(sound: &'a Sound<'_>) -> impl Iterator<Item = (TickSpan, Probability)> + 'a {
    sound.speech.iter().enumerate().map(|(n, p)| {
        let frame = TickSpan::starting(sound.span.start().plus((n * FRAME) as u64), FRAME as u64);
        (frame.clamped_to(sound.span), *p)
    })
}

pub(super) fn seconds(ticks: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "ticks of one utterance: below 2^20")]
    {
        ticks as f64 / TICKS_PER_SECOND as f64
    }
}

#[cfg(test)]
mod tests;
