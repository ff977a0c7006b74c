//! What the engine is told before it hears an utterance for the record.

use crate::{
    domain::{channel::ChannelSetup, glossary::Glossary, probability::Probability, time::TICKS_PER_SECOND},
    speech::{
        asr::Lead,
        stream::session::Utterance,
        turns,
        vad::{FRAME, thresholds},
    },
};

/// With less speech than this, seconds, nothing is told: what little there is would be heard as what was told.
const LEAST_SPEECH: f64 = 0.5;

/// The same for the share of the utterance that is speech.
const LEAST_SHARE: f64 = 0.15;

/// The glossary's terms, where the channel may speak their language and somebody speaks long enough; and where somebody may have
/// gone on in another of its languages. A function of the samples and of the configuration, so that whoever decodes the
/// utterance again tells the same.
pub(crate) fn of(glossary: Option<&Glossary>, channel: &ChannelSetup, utterance: &Utterance) -> Lead {
    let several = channel.languages.given().is_none();
    let pauses = if several { turns::pauses(&utterance.speech) } else { Vec::new() };
    Lead { pauses, ..terms(glossary, channel, utterance) }
}

fn terms(glossary: Option<&Glossary>, channel: &ChannelSetup, utterance: &Utterance) -> Lead {
    let Some(glossary) = glossary.filter(|_| is_spoken(&utterance.speech)) else { return Lead::NOTHING };
    let known = |language| channel.languages.tags().iter().find(|tag| tag.primary() == language);
    let language = match glossary.language() {
        None => None,
        Some(language) => match known(language.primary()) {
            Some(tag) => Some(tag.clone()),
            None => return Lead::NOTHING,
        },
    };
    Lead { terms: glossary.terms().to_vec(), language, ..Lead::NOTHING }
}

fn is_spoken(speech: &[Probability]) -> bool {
    let spoken = speech.iter().filter(|p| p.value() >= thresholds::START).count();
    #[expect(clippy::cast_precision_loss, reason = "frames of one utterance")]
    let (spoken, all) = (spoken as f64, speech.len() as f64);
    #[expect(clippy::cast_precision_loss, reason = "a frame is 512 ticks and a second 16,000")]
    let seconds = spoken * FRAME as f64 / TICKS_PER_SECOND as f64;
    seconds >= LEAST_SPEECH && spoken >= all * LEAST_SHARE
}
