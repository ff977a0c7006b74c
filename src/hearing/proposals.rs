//! What a text that was heard anew is worth beside the record's: which segments it would take the place of, and in how many
//! words it differs.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    domain::{
        change::Change,
        hypothesis::join,
        id::{ChannelId, HearingId, SegmentId},
        segment::{Segment, Word},
        time::Span,
    },
    record::entry::Entry,
    text::{
        normalize::{normalize, units},
        wer,
    },
};

/// What of a text is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// The segments whose words it would take the place of, in order of time.
    pub(super) replaces: Vec<SegmentId>,
    /// Words (characters, in a language without spaces) that the record has there.
    pub(super) stand: usize,
    /// How many would be put in, taken out or exchanged; 0 where the texts are the same but for punctuation, letters' case and
    /// the like.
    pub(super) changed: usize,
}

/// Holds `heard` against the texts of its channel, which are in order of time.
///
/// Where utterances are cut by the same rules, it stands where a segment of the record stands. Elsewhere it is held against the
/// words of the record that were said in its span, whichever segments they are in.
pub(super) fn difference(texts: &[Segment], heard: &Segment) -> Difference {
    let meets = |s: &&Segment| s.span.start() < heard.span.end() && heard.span.start() < s.span.end();
    let mut replaces = Vec::new();
    let mut words: Vec<&Word> = Vec::new();
    for segment in texts.iter().filter(meets) {
        let within = segment.span == heard.span;
        let mut said = segment.words.iter().filter(|word| within || holds(heard.span, word)).peekable();
        if said.peek().is_some() || segment.words.is_empty() {
            replaces.push(segment.id);
        }
        words.extend(said);
    }
    let plain = |words: &mut dyn Iterator<Item = &Word>| {
        normalize(&join(words.map(|w| (w.text.as_str(), w.spaced))), &heard.language)
    };
    let (stands, proposed) = (plain(&mut words.into_iter()), plain(&mut heard.words.iter()));
    let (stands, proposed) = (units(&stands, &heard.language), units(&proposed, &heard.language));
    Difference { replaces, stand: stands.len(), changed: wer::distance(&stands, &proposed) }
}

/// Whether a word was said in `span`: its middle lies there.
fn holds(span: Span, word: &Word) -> bool {
    let twice = word.span.start().index() + word.span.end().index();
    (span.start().index() * 2..span.end().index() * 2).contains(&twice)
}

/// The texts of each channel as they stand, in order of time.
pub(super) fn texts_of(entries: &[Entry]) -> HashMap<ChannelId, Vec<Segment>> {
    let mut texts: HashMap<ChannelId, Vec<Segment>> = HashMap::new();
    for entry in entries {
        let Some(segment) = entry.change.segment() else { continue };
        let channel = texts.entry(segment.channel).or_default();
        channel.retain(|known| known.id != segment.id);
        channel.push(segment.clone());
    }
    texts.values_mut().for_each(|channel| channel.sort_by_key(|s| s.span.start()));
    texts
}

/// What was proposed before.
pub(super) fn known(entries: &[Entry]) -> impl Iterator<Item = SegmentId> + '_ {
    entries.iter().filter_map(|entry| match &entry.change {
        Change::RevisionProposed { segment, .. } => Some(segment.id),
        // Every other change proposes nothing.
        _ => None,
    })
}

/// The id of a text that is proposed is a function of where it stands and of all that made it: what the same engine hears again in
/// the same samples is the same proposal (UUID version 8 of a SHA-256).
pub(super) fn identity(hearing: HearingId, heard: &Segment) -> SegmentId {
    let mut hash = Sha256::new();
    hash.update(b"vivavoce proposal 1");
    hash.update(hearing.uuid().as_bytes());
    hash.update([heard.channel.number()]);
    hash.update(heard.span.start().index().to_be_bytes());
    hash.update(heard.span.end().index().to_be_bytes());
    hash.update(heard.engine.model_sha256.bytes());
    hash.update(heard.engine.engine_version.as_bytes());
    hash.update(heard.engine.parameters.as_bytes());
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    SegmentId::new(Uuid::new_v8(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::store::suite::{segment, span};

    fn id(number: u128) -> SegmentId {
        SegmentId::new(Uuid::from_u128(number))
    }

    #[test]
    fn what_differs_in_writing_alone_is_no_difference() {
        let texts = [segment(1, 1, 16_000, 0, "Who was it, Mr. Lee?", None)];
        let same = segment(9, 1, 16_000, 0, "who was it mister Lee", None);
        assert_eq!(difference(&texts, &same), Difference { replaces: vec![id(1)], stand: 5, changed: 0 });
        let other = segment(9, 1, 16_000, 0, "Who is it, Mr. Lee?", None);
        assert_eq!(difference(&texts, &other), Difference { replaces: vec![id(1)], stand: 5, changed: 1 });
    }

    #[test]
    fn a_longer_utterance_is_held_against_all_that_was_said_in_it() {
        // Three segments of a second each; what is heard covers the first two and the first word of the third.
        let texts = [
            segment(1, 1, 16_000, 0, "one two", None),
            segment(2, 1, 16_000, 16_000, "three four", None),
            segment(3, 1, 16_000, 32_000, "five six", None),
        ];
        let mut heard = segment(9, 1, 16_000, 0, "one two three for five", None);
        assert_eq!(heard.span, span(0, 40_000));
        assert_eq!(
            difference(&texts, &heard),
            Difference { replaces: vec![id(1), id(2), id(3)], stand: 5, changed: 1 }
        );
        // It ends amid the first half of a word, which is not in it then.
        heard.span = span(0, 35_000);
        heard.words.pop();
        assert_eq!(difference(&texts, &heard), Difference { replaces: vec![id(1), id(2)], stand: 4, changed: 1 });
    }

    #[test]
    fn where_the_record_has_no_words_all_are_new_and_where_none_are_heard_all_would_go() {
        let heard = segment(9, 1, 16_000, 0, "was there somebody", None);
        assert_eq!(difference(&[], &heard), Difference { replaces: vec![], stand: 0, changed: 3 });
        let mut wordless = segment(1, 1, 16_000, 0, "x", None);
        wordless.words.clear();
        assert_eq!(difference(&[wordless.clone()], &heard).replaces, [id(1)]);
        let nothing = Segment { span: heard.span, ..wordless };
        assert_eq!(
            difference(std::slice::from_ref(&heard), &nothing),
            Difference { replaces: vec![id(9)], stand: 3, changed: 3 }
        );
    }

    #[test]
    fn a_proposal_is_known_by_its_place_and_by_what_made_it() {
        let hearing = HearingId::new(Uuid::from_u128(7));
        let one = segment(1, 1, 16_000, 0, "one two", None);
        let mut other = one.clone();
        other.words.pop();
        assert_eq!(identity(hearing, &one), identity(hearing, &other), "the words follow from the rest");
        other.engine.parameters = "{\"beam\":1}".to_owned();
        assert_ne!(identity(hearing, &one), identity(hearing, &other));
        assert_ne!(identity(hearing, &one), identity(HearingId::new(Uuid::from_u128(8)), &one));
    }
}
