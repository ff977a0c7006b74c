//! Each rule on words made for it.

use super::*;
use crate::{
    domain::{hypothesis::Told, language::AllowedLanguages, segment::CaptionState},
    speech::{
        asr::Lead,
        confidence::{Judgement, judge},
        front::Missing,
    },
};

const FULL: LevelSummary = LevelSummary { samples: 1, peak: 0.5, rms_dbfs: -20.0, clipped: 0.0, flat_topped: 0.0 };

/// Words of half a second each, one after another from the start.
fn heard(words: &[&str]) -> Hypothesis {
    let window = TickSpan::starting(Tick::ZERO, 8_000 * words.len().max(4) as u64);
    Hypothesis {
        window,
        language: "en".parse().unwrap(),
        language_posterior: None,
        words: words
            .iter()
            .enumerate()
            .map(|(n, text)| HeardWord {
                text: (*text).to_owned(),
                spaced: true,
                span: TickSpan::starting(Tick::new(8_000 * n as u64), 8_000),
                score: Probability::ONE,
            })
            .collect(),
        allowed_share: None,
        no_speech: Probability::ZERO,
        mean_logprob: -0.2,
        told: Told::Nothing,
        then: Vec::new(),
        posteriors: Vec::new(),
    }
}

fn judged(hypothesis: &Hypothesis, speech: impl Fn(usize) -> f32) -> Judgement {
    judged_at(hypothesis, speech, FULL)
}

fn judged_at(hypothesis: &Hypothesis, speech: impl Fn(usize) -> f32, level: LevelSummary) -> Judgement {
    judged_as(hypothesis, speech, level, &Lead::NOTHING, Missing::default())
}

fn judged_as(
    hypothesis: &Hypothesis,
    speech: impl Fn(usize) -> f32,
    level: LevelSummary,
    told: &Lead,
    missing: Missing,
) -> Judgement {
    let frames = usize::try_from(hypothesis.window.len()).unwrap().div_ceil(FRAME);
    let speech: Vec<Probability> = (0..frames).map(|n| Probability::clamped(speech(n))).collect();
    let languages = AllowedLanguages::only("en".parse().unwrap());
    let sound = Sound { span: hypothesis.window, speech: &speech, level, languages: &languages, told, missing };
    let heeded = if *told == Lead::NOTHING { hypothesis.told } else { Told::Heeded };
    judge(&Hypothesis { told: heeded, ..hypothesis.clone() }, &sound)
}

#[track_caller]
fn check(judgement: &Judgement, expected: &[(FlagCode, Range<usize>)]) {
    let found: Vec<_> = judgement.flags.iter().map(|f| (f.code, f.words.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn plain_speech_has_no_flags_and_is_shown() {
    let judgement = judged(&heard(&["Ask", "not", "what", "your", "country"]), |_| 0.9);
    check(&judgement, &[]);
    assert_eq!(judgement.captions, CaptionState::Shown);
}

#[test]
fn a_run_of_low_scores_is_one_flag_with_the_lowest_as_evidence() {
    let mut hypothesis = heard(&["the", "bail", "was", "granted"]);
    hypothesis.words[1].score = Probability::clamped(0.4);
    hypothesis.words[2].score = Probability::clamped(0.2);
    let judgement = judged(&hypothesis, |_| 0.9);
    check(&judgement, &[(FlagCode::LowWordScore, 1..3)]);
    let evidence = &judgement.flags[0].evidence[0];
    assert!((evidence.value - 0.2).abs() < 1e-6 && (evidence.limit - 0.5).abs() < 1e-9);
}

#[test]
fn text_on_silence_is_flagged_kept_and_withheld_from_captions() {
    let judgement = judged(&heard(&["Thank", "you", "very", "much"]), |_| 0.02);
    assert!(judgement.flags.iter().any(|f| f.code == FlagCode::NoSpeechUnderWords && f.words == (0..4)));
    assert_eq!(judgement.captions, CaptionState::Withheld);
}

#[test]
fn words_after_the_voice_has_stopped_are_flagged_and_the_others_are_not() {
    let judgement = judged(&heard(&["he", "was", "there", "thank", "you", "all"]), |n| if n < 47 { 0.9 } else { 0.0 });
    check(&judgement, &[(FlagCode::NoSpeechUnderWords, 4..6)]);
    assert_eq!(judgement.captions, CaptionState::Shown);
}

#[test]
fn a_loop_is_flagged_from_its_first_word_to_its_last() {
    let judgement = judged(&heard(&["well", "I", "know", "I", "know,", "I", "know.", "yes"]), |_| 0.9);
    check(&judgement, &[(FlagCode::Repetition, 1..7)]);
    check(&judged(&heard(&["no", "no", "I", "did", "not"]), |_| 0.9), &[]);
}

#[test]
fn more_words_than_anyone_speaks_are_flagged() {
    let mut words = vec!["incomprehensibilities"; 8];
    words.iter_mut().enumerate().for_each(|(n, w)| {
        if n % 2 == 0 {
            *w = "counterrevolutionary"
        }
    });
    let mut hypothesis = heard(&words);
    for word in &mut hypothesis.words {
        word.span = TickSpan::starting(Tick::new(word.span.start().index() / 3), word.span.len() / 3);
    }
    hypothesis.window = TickSpan::starting(Tick::ZERO, 21_334);
    assert!(judged(&hypothesis, |_| 0.9).flags.iter().any(|f| f.code == FlagCode::ImplausibleRate));
}

#[test]
fn a_language_that_is_not_certain_is_flagged_with_its_posterior() {
    let mut hypothesis = heard(&["ja", "so", "ist", "es", "eben"]);
    hypothesis.language_posterior = Probability::new(0.55);
    check(&judged(&hypothesis, |_| 0.9), &[(FlagCode::UncertainLanguage, 0..5)]);
}

#[test]
fn clipped_and_very_low_audio_are_flagged() {
    let hypothesis = heard(&["he", "said", "that", "yesterday"]);
    let clipped = LevelSummary { clipped: 0.02, ..FULL };
    check(&judged_at(&hypothesis, |_| 0.9, clipped), &[(FlagCode::ClippedAudio, 0..4)]);
    let low = LevelSummary { rms_dbfs: -60.0, ..FULL };
    check(&judged_at(&hypothesis, |_| 0.9, low), &[(FlagCode::LowAudio, 0..4)]);
}

#[test]
fn voice_without_a_word_is_flagged_where_it_stands() {
    let nothing = judged(&heard(&[]), |_| 0.9);
    check(&nothing, &[(FlagCode::SpeechWithoutWords, 0..0)]);
    assert_eq!(nothing.captions, CaptionState::Withheld);
    let mut hypothesis = heard(&["before", "and", "after", "it", "all", "ends"]);
    hypothesis.words.drain(1..5);
    check(&judged(&hypothesis, |_| 0.9), &[(FlagCode::SpeechWithoutWords, 1..1)]);
}

#[test]
fn sounds_in_brackets_are_flagged_and_alone_withheld() {
    let alone = judged(&heard(&["[Music", "playing]"]), |_| 0.9);
    assert!(alone.flags.iter().any(|f| f.code == FlagCode::NonSpeechText && f.words == (0..2)));
    assert_eq!(alone.captions, CaptionState::Withheld);
    let among = judged(&heard(&["thank", "you", "(applause)", "sit", "down"]), |_| 0.9);
    check(&among, &[(FlagCode::NonSpeechText, 2..3)]);
    assert_eq!(among.captions, CaptionState::Shown);
    let stray = judged(&heard(&["(he", "went", "home", "then"]), |_| 0.9);
    check(&stray, &[(FlagCode::NonSpeechText, 0..1)]);
}

#[test]
fn a_weak_text_that_the_engine_itself_holds_to_be_none_is_withheld() {
    let mut hypothesis = heard(&["you", "know", "it"]);
    (hypothesis.no_speech, hypothesis.mean_logprob) = (Probability::clamped(0.8), -1.4);
    assert_eq!(judged(&hypothesis, |_| 0.6).captions, CaptionState::Withheld);
}

#[test]
fn a_word_with_two_doubts_counts_once_and_the_others_are_shown() {
    // A sound in brackets where nobody speaks, then two words of a voice.
    let judgement = judged(&heard(&["[door", "slams]", "Yes,", "sir."]), |frame| if frame < 31 { 0.0 } else { 0.9 });
    let codes: Vec<_> = judgement.flags.iter().map(|f| f.code).collect();
    assert!(codes.contains(&FlagCode::NonSpeechText) && codes.contains(&FlagCode::NoSpeechUnderWords), "{codes:?}");
    assert_eq!(judgement.captions, CaptionState::Shown);
}

#[test]
fn another_language_than_those_allowed_is_flagged_with_its_share() {
    let mut hypothesis = heard(&["Je", "ne", "sais", "pas,", "monsieur."]);
    for (share, expected) in [(Some(0.01), 1), (Some(0.06), 0), (None, 0)] {
        hypothesis.allowed_share = share.map(Probability::clamped);
        let judgement = judged(&hypothesis, |_| 0.9);
        assert_eq!(judgement.flags.len(), expected, "{:?}", judgement.flags);
        if let Some(flag) = judgement.flags.first() {
            assert_eq!((flag.code, flag.words.clone()), (FlagCode::UncertainLanguage, 0..5));
            assert_eq!(judgement.captions, CaptionState::Withheld);
            assert_eq!((flag.evidence[0].measure.as_str(), flag.evidence[0].limit), ("allowed_languages_share", 0.05));
        }
    }
    hypothesis.allowed_share = Some(Probability::ZERO);
    check(&judged(&hypothesis, |frame| if frame < 32 { 0.9 } else { 0.0 }), &[(FlagCode::NoSpeechUnderWords, 3..5)]);
}

/// Speech that does not fill words: 4 of 20 frames.
fn patchy(frame: usize) -> f32 {
    if frame % 20 < 4 { 0.9 } else { 0.0 }
}

/// What is said of words on good ground and on thin: on which words each mark of the kind stands, and whether all is withheld.
#[track_caller]
fn check_both(words: &[&str], told: &Lead, code: FlagCode, good: &[(usize, usize)], thin: (&[(usize, usize)], bool)) {
    let hypothesis = heard(words);
    let full = judged_as(&hypothesis, |_| 0.9, FULL, told, Missing::default());
    let bare = judged_as(&hypothesis, patchy, FULL, told, Missing::default());
    let of = |judgement: &Judgement| -> Vec<(usize, usize)> {
        judgement.flags.iter().filter(|f| f.code == code).map(|f| (f.words.start, f.words.end)).collect()
    };
    assert_eq!((of(&full).as_slice(), full.captions), (good, CaptionState::Shown), "{:?}", full.flags);
    let withheld = bare.captions == CaptionState::Withheld;
    assert_eq!((of(&bare).as_slice(), withheld), thin, "{:?}", bare.flags);
}

fn told(before: &str, terms: &[&str]) -> Lead {
    let terms = terms.iter().map(|term| (*term).to_owned()).collect();
    Lead { before: before.to_owned(), terms, ..Lead::NOTHING }
}

#[test]
fn what_the_decoder_was_told_and_says_again_is_an_echo_and_withheld_where_little_is_said() {
    let code = FlagCode::EchoOfPrompt;
    let before = told("He was seen at the station. The witness did not know his name.", &[]);
    check_both(&["The", "witness", "did", "not", "know", "his", "name."], &before, code, &[(0, 7)], (&[(0, 7)], true));
    check_both(&["The", "witness", "did", "not", "know", "a", "name."], &before, code, &[(0, 7)], (&[(0, 7)], true));
    check_both(&["The", "witness", "did", "know", "where", "he", "lived."], &before, code, &[], (&[], false));
    check_both(&["The", "station."], &before, code, &[], (&[], false));
}

#[test]
fn names_of_a_glossary_in_a_row_are_an_echo_and_a_name_that_is_called_out_is_none() {
    let code = FlagCode::EchoOfPrompt;
    let list = told("", &["Anders Nygaard", "Bredel", "Cvetić", "Dupont", "Eötvös"]);
    check_both(&["Dupont,", "Bredel,", "Cvetić"], &list, code, &[(0, 3)], (&[(0, 3)], true));
    let call = ["Anders", "Nygaard,", "Bredel", "and", "Cvetić", "are", "called", "to", "be", "heard"];
    check_both(&call, &list, code, &[(0, 5)], (&[(0, 5)], false));
    check_both(&["Anders", "Nygaard"], &list, code, &[], (&[(0, 2)], true));
    check_both(&["Bredel"], &list, code, &[], (&[(0, 1)], true));
    check_both(&["Mr.", "Bredel", "then", "visited", "Dupont"], &list, code, &[], (&[], false));
    // Without a glossary a list of names is a list of names.
    check_both(&["Dupont,", "Bredel,", "Cvetić"], &Lead::NOTHING, code, &[], (&[], false));
}

#[test]
fn stock_phrases_are_marked_and_withheld_only_where_little_is_said() {
    let code = FlagCode::StockPhrase;
    let none = &Lead::NOTHING;
    check_both(&["Thanks", "for", "watching!"], none, code, &[(0, 3)], (&[(0, 3)], true));
    check_both(
        &["Sous-titres", "réalisés", "par", "la", "communauté", "d'Amara.org"],
        none,
        code,
        &[(0, 6)],
        (&[(0, 6)], true),
    );
    check_both(&["Thank", "you."], none, code, &[], (&[(0, 2)], true));
    check_both(&["I", "see.", "Thank", "you."], none, code, &[], (&[(2, 4)], false));
    check_both(&["Thank", "you", "for", "watching", "my", "dog."], none, code, &[], (&[], false));
    // An engine that hears nothing writes in any language.
    check_both(
        &["ご", "視", "聴", "あ", "り", "が", "と", "う", "ご", "ざ", "い", "ま", "し", "た"],
        none,
        code,
        &[(0, 14)],
        (&[(0, 14)], true),
    );
}

#[test]
fn a_loop_is_withheld_only_where_little_is_said() {
    let words = ["no", "no", "no", "no"];
    check_both(&words, &Lead::NOTHING, FlagCode::Repetition, &[(0, 4)], (&[(0, 4)], true));
}

#[test]
fn a_text_that_the_engine_believes_little_of_is_weak_and_shown() {
    let mut hypothesis = heard(&["it", "was", "him", "then"]);
    hypothesis.mean_logprob = -1.2;
    let judgement = judged(&hypothesis, |_| 0.9);
    check(&judgement, &[(FlagCode::WeakText, 0..4)]);
    assert_eq!((judgement.flags[0].evidence[0].limit, judgement.captions), (-1.0, CaptionState::Shown));
    hypothesis.words.clear();
    assert!(judged(&hypothesis, |_| 0.9).flags.iter().all(|f| f.code != FlagCode::WeakText));
}

#[test]
fn words_at_the_edge_of_missing_audio_are_flagged_and_those_further_off_are_not() {
    let hypothesis = heard(&["it", "was", "him", "then"]);
    let end = hypothesis.window.end();
    let near = Missing { before: Some(Tick::ZERO), after: Some(end) };
    let judged = |speech: &dyn Fn(usize) -> f32, missing| judged_as(&hypothesis, speech, FULL, &Lead::NOTHING, missing);
    let marks = |judgement: &Judgement| -> Vec<(usize, usize)> {
        judgement
            .flags
            .iter()
            .filter(|f| f.code == FlagCode::AudioMissing)
            .map(|f| (f.words.start, f.words.end))
            .collect()
    };
    assert_eq!(marks(&judged(&|_| 0.9, near)), [(0, 1), (3, 4)]);
    assert!(marks(&judged(&|_| 0.9, Missing::default())).is_empty());
    assert_eq!(marks(&judged(&|_| 0.9, Missing { after: Some(end), before: None })), [(3, 4)]);
    // Half a second of silence at both ends: 16 of 62 frames.
    assert!(marks(&judged(&|frame| if (16..46).contains(&frame) { 0.9 } else { 0.0 }, near)).is_empty());
    assert_eq!(judged(&|_| 0.9, near).captions, CaptionState::Shown);
}

#[test]
fn a_text_that_was_made_again_without_the_glossary_and_came_out_as_another_is_flagged() {
    let mut hypothesis = heard(&["it", "was", "him", "then"]);
    for (unlike, expected) in [(0.3, 0), (0.6, 1)] {
        hypothesis.told = Told::Withdrawn { unlike };
        let judgement = judged(&hypothesis, |_| 0.9);
        assert_eq!(judgement.flags.len(), expected, "{:?}", judgement.flags);
        assert!(judgement.flags.iter().all(|f| f.code == FlagCode::HeardTwice && f.words == (0..4)));
        assert_eq!(judgement.captions, CaptionState::Shown);
    }
    assert!((crate::speech::confidence::told::unlike("it was him", "It was them.") - 0.25).abs() < 0.1);
    assert!(crate::speech::confidence::told::unlike("", "It was them.") > 0.99);
}
