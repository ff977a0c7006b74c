//! Doubts about a hypothesis: scores and audio in, flags out. Pure; each rule is a function with its limit beside it.
//!
//! Nothing the engine said is deleted here. A flag says where to look and why; [`judge`] also says whether live captions
//! may show the text at all.

mod distance;
pub mod live;
mod missing;
pub mod rules;
pub mod scripts;
mod stock;
pub mod told;

use crate::{
    domain::{
        flag::{Flag, FlagCode},
        hypothesis::Hypothesis,
        language::AllowedLanguages,
        probability::Probability,
        segment::CaptionState,
        time::TickSpan,
    },
    speech::{asr::Lead, audio::level::LevelSummary, front::Missing},
};

/// What an utterance sounds like, beside what was heard in it.
#[derive(Clone, Debug)]
pub struct Sound<'a> {
    /// The utterance.
    pub span: TickSpan,
    /// The speech probability of each 32 ms frame of `span`, in order.
    pub speech: &'a [Probability],
    /// How loud its speech is and how much of it is clipped, measured on the recorder's own samples.
    pub level: LevelSummary,
    /// What may be spoken on the channel.
    pub languages: &'a AllowedLanguages,
    /// What the decoder was told before it heard it.
    pub told: &'a Lead,
    /// Where audio is missing beside it.
    pub missing: Missing,
}

/// What is to be said of a hypothesis.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The doubts, in the order of their first word.
    pub flags: Vec<Flag>,
    /// Whether captions may show the text.
    pub captions: CaptionState,
}

/// Judges the final hypothesis of an utterance.
#[must_use]
pub fn judge(hypothesis: &Hypothesis, sound: &Sound<'_>) -> Judgement {
    let mut flags = Vec::new();
    rules::low_scores(hypothesis, &mut flags);
    rules::words_without_speech(hypothesis, sound, &mut flags);
    rules::repetition(hypothesis, &mut flags);
    rules::implausible_rate(hypothesis, sound, &mut flags);
    rules::uncertain_language(hypothesis, sound, &mut flags);
    scripts::unexpected_script(hypothesis, sound.languages, &mut flags);
    rules::level(hypothesis, sound, &mut flags);
    rules::speech_without_words(hypothesis, sound, &mut flags);
    rules::non_speech_text(hypothesis, &mut flags);
    rules::weak_text(hypothesis, &mut flags);
    missing::audio_missing(hypothesis, sound, &mut flags);
    let thin = rules::is_thin(hypothesis, sound);
    told::echoes(hypothesis, sound.told, thin, &mut flags);
    told::second_hearing(hypothesis, &mut flags);
    stock::stock_phrases(hypothesis, thin, &mut flags);
    flags.sort_by_key(|f| (f.words.start, f.code));
    let unheard = hypothesis.words.is_empty() || rules::is_refused(hypothesis, sound);
    let captions = if unheard || stands_on_non_speech(hypothesis, sound, &flags, thin) {
        CaptionState::Withheld
    } else {
        CaptionState::Shown
    };
    Judgement { flags, captions }
}

/// Whether the whole text stands on something that is no speech: then captions do not show it. An echo, a stock phrase and a loop may
/// all have been said; they count where the ground is thin.
fn stands_on_non_speech(hypothesis: &Hypothesis, sound: &Sound<'_>, flags: &[Flag], thin: bool) -> bool {
    let unspoken = |word: usize| {
        let says = |f: &Flag| match f.code {
            FlagCode::NoSpeechUnderWords | FlagCode::NonSpeechText => true,
            FlagCode::EchoOfPrompt | FlagCode::StockPhrase | FlagCode::Repetition => thin,
            FlagCode::LowWordScore
            | FlagCode::ImplausibleRate
            | FlagCode::UncertainLanguage
            | FlagCode::UnexpectedScript
            | FlagCode::ClippedAudio
            | FlagCode::LowAudio
            | FlagCode::SpeechWithoutWords
            | FlagCode::CrossTalk
            | FlagCode::Overlap
            | FlagCode::WeakText
            | FlagCode::LiveDisagrees
            | FlagCode::AudioMissing
            | FlagCode::HeardTwice => false,
        };
        flags.iter().any(|f| says(f) && f.words.contains(&word))
    };
    (0..hypothesis.words.len()).all(unspoken) || rules::hardly_speech(hypothesis, sound)
}
