//! A hypothesis becomes a segment of the record.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::lead;
use crate::{
    domain::{
        channel::ChannelSetup,
        engine::EngineInfo,
        glossary::Glossary,
        hypothesis::{HeardWord, Hypothesis, Told, join},
        id::{HearingId, SegmentId},
        probability::Probability,
        segment::{Segment, Word},
        time::Span,
    },
    speech::{
        confidence::{Sound, judge, live::disagreement},
        front::HeardUtterance,
        timing::{lay_on_speech, spoken},
    },
    text::normalize::fold,
};

/// The segments of an utterance, one for each language it is in, in order.
pub(crate) fn segments(
    hearing: HearingId,
    channel: &ChannelSetup,
    heard: &HeardUtterance,
    mut hypothesis: Hypothesis,
    engine: &EngineInfo,
    glossary: Option<&Glossary>,
) -> Vec<Segment> {
    let then = std::mem::take(&mut hypothesis.then);
    if then.is_empty() {
        return vec![segment(hearing, channel, heard, hypothesis, engine, glossary)];
    }
    let passages = std::iter::once(hypothesis).chain(then);
    passages.map(|h| segment(hearing, channel, &heard.part(h.window), h, engine, glossary)).collect()
}

/// The segment of an utterance: word times laid on the speech, doubts flagged.
fn segment(
    hearing: HearingId,
    channel: &ChannelSetup,
    heard: &HeardUtterance,
    mut hypothesis: Hypothesis,
    engine: &EngineInfo,
    glossary: Option<&Glossary>,
) -> Segment {
    let (utterance, told) = (&heard.utterance, hypothesis.told);
    let lead = lead::of(glossary, channel, utterance);
    lay_on_speech(&mut hypothesis, &utterance.speech);
    let sound = Sound {
        span: utterance.span,
        speech: &utterance.speech,
        level: heard.level,
        languages: &channel.languages,
        told: &lead,
        missing: heard.missing,
    };
    let judgement = judge(&hypothesis, &sound);
    let rate = channel.format.rate;
    let span = rate.span_at(utterance.span);
    Segment {
        id: identity(hearing, channel, span),
        channel: channel.id,
        rate,
        span,
        speech: spoken(&utterance.speech, utterance.span).into_iter().map(|stretch| rate.span_at(stretch)).collect(),
        language: hypothesis.language,
        language_posterior: hypothesis.language_posterior,
        words: hypothesis
            .words
            .into_iter()
            .map(|w| Word { text: w.text, spaced: w.spaced, span: rate.span_at(w.span), score: w.score })
            .collect(),
        flags: judgement.flags,
        captions: judgement.captions,
        leaning: None,
        uncompared: false,
        replaced: None,
        glossary: glossary.map(Glossary::sha256).filter(|_| told == Told::Heeded),
        engine: engine.clone(),
    }
}

/// Says of an utterance's first segment what was committed while it was said, where the text does not begin with it; where it is quite
/// another, that is a doubt. Only where the service kept up is there anything to say: neither the words nor whether captions show
/// them depend on it.
pub(super) fn hold_against(committed: &[HeardWord], segments: &mut [Segment]) {
    let replaced = replaced(committed, segments);
    let shown: Vec<&str> = committed.iter().map(|w| w.text.as_str()).collect();
    let stands: Vec<&str> = words_of(segments).collect();
    let mut doubt = disagreement(&shown, &stands);
    let Some(first) = segments.first_mut() else { return };
    first.replaced = replaced;
    // It is of all words, which the first segment may not have.
    doubt.iter_mut().for_each(|flag| flag.words.end = flag.words.end.min(first.words.len()));
    first.flags.extend(doubt);
}

fn words_of(segments: &[Segment]) -> impl Iterator<Item = &str> {
    segments.iter().flat_map(|s| &s.words).map(|w| w.text.as_str())
}

/// What was committed while an utterance was said, where the text is another; `None` where the text begins with it.
fn replaced(committed: &[HeardWord], segments: &[Segment]) -> Option<String> {
    let letters = |words: &mut dyn Iterator<Item = &str>| words.map(fold).collect::<String>();
    let shown = letters(&mut committed.iter().map(|w| w.text.as_str()));
    let stands = letters(&mut words_of(segments));
    (!stands.starts_with(&shown)).then(|| join(committed.iter().map(|w| (w.text.as_str(), w.spaced))))
}

/// What is recorded of an utterance that the engine failed on: nothing was heard, which is flagged.
pub(crate) fn wordless(heard: &HeardUtterance, channel: &ChannelSetup) -> Hypothesis {
    Hypothesis {
        window: heard.utterance.span,
        language: channel.languages.tags()[0].clone(),
        language_posterior: None,
        allowed_share: None,
        words: Vec::new(),
        no_speech: Probability::ZERO,
        mean_logprob: 0.0,
        told: Told::Nothing,
        then: Vec::new(),
        posteriors: Vec::new(),
    }
}

/// The id of a segment is a function of where it stands, so that decoding the same audio of the same hearing again, after a
/// crash say, names the same segment (UUID version 8 of a SHA-256).
fn identity(hearing: HearingId, channel: &ChannelSetup, span: Span) -> SegmentId {
    let mut hash = Sha256::new();
    hash.update(b"vivavoce segment 1");
    hash.update(hearing.uuid().as_bytes());
    hash.update([channel.id.number()]);
    hash.update(span.start().index().to_be_bytes());
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    SegmentId::new(Uuid::new_v8(bytes))
}
