//! Exports read back, and their golden files.

use std::{collections::HashMap, fs, path::Path};

use proptest::prelude::*;

use super::{
    ExportError, NOTICE, json::json, plain, srt::srt, transcript::Transcript, txt::txt, vtt::vtt, write_folder,
};
use crate::{
    domain::{
        change::{Change, EntrySeq, IntervalClass, Recognition},
        flag::{Evidence, Flag, FlagCode},
        hypothesis::join,
        segment::{CaptionState, Segment},
        time::SamplePos,
    },
    record::{
        entry::Entry,
        store::suite::{by, channel, committed, hearing, opened, proposed, segment, setup},
    },
};

fn transcript(changes: Vec<Change>) -> Transcript {
    let entries: Vec<Entry> =
        (1..).zip(changes).map(|(seq, change)| Entry { seq: EntrySeq::new(seq), change, by: by("service") }).collect();
    Transcript::from_entries(hearing(1), &entries).unwrap()
}

/// One of everything: doubts, withheld text, a sealed interval, no words, two rates, hostile text, a long segment.
fn sample() -> Transcript {
    let mut withheld = segment(3, 1, 16_000, 96_000, "Thank you for watching.", None);
    withheld.captions = CaptionState::Withheld;
    withheld.flags = vec![Flag {
        code: FlagCode::NoSpeechUnderWords,
        evidence: vec![Evidence::new("speech_share", 0.02, 0.3)],
        words: 0..4,
    }];
    let mut wordless = segment(4, 2, 48_000, 480_000, "x", None);
    wordless.words.clear();
    wordless.flags = vec![Flag { code: FlagCode::SpeechWithoutWords, evidence: vec![], words: 0..0 }];
    let long = "and then the witness said that nobody had been in the room before the clerk came back with the papers \
                which had been lost the day before";
    let sealed_from = SamplePos::new(48_000 * 40);
    transcript(vec![
        opened(),
        committed(segment(2, 2, 48_000, 96_000, "Oui, <b>Lee</b> & me --> {here}", Some(1))),
        committed(segment(1, 1, 16_000, 0, "Who was it?", None)),
        committed(withheld),
        committed(wordless),
        committed(segment(5, 1, 16_000, 192_000, long, Some(5))),
        Change::IntervalBegan {
            channel: channel(2),
            first_sample: sealed_from,
            class: IntervalClass::Sealed,
            end: None,
            order: None,
        },
        committed(segment(6, 2, 48_000, 48_000 * 41, "closed session words", None)),
        Change::HearingClosed {},
    ])
}

#[test]
fn segments_stand_in_exact_time_order_whatever_the_order_of_the_record() {
    let ids: Vec<_> = sample().segments.iter().map(|s| s.id.uuid().as_u128()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_transcript_needs_every_entry_from_the_first() {
    let entry = |seq, change| Entry { seq: EntrySeq::new(seq), change, by: by("a") };
    let close = Change::HearingClosed {};
    let error = Transcript::from_entries(hearing(1), &[entry(1, opened()), entry(3, close.clone())]).unwrap_err();
    assert!(matches!(error, ExportError::Gap { expected, .. } if expected == EntrySeq::new(2)), "{error}");
    assert!(matches!(Transcript::from_entries(hearing(1), &[entry(2, close)]), Err(ExportError::NoOpening { .. })));
}

#[test]
fn captions_leave_out_withheld_and_sealed_text_and_review_formats_keep_it_marked() {
    let sample = sample();
    for captions in [vtt(&sample), srt(&sample)] {
        assert!(!captions.contains("watching") && !captions.contains("closed"), "{captions}");
    }
    let text = txt(&sample);
    let marked = "[withheld: no speech was detected under these words] Thank(?) you(?) for(?) watching.(?)";
    assert!(text.contains(marked), "{text}");
    assert!(text.contains("[sealed] closed session words"), "{text}");
    assert!(text.contains("[no words]\n    ? speech_without_words: somebody speaks here"), "{text}");
    let parsed: serde_json::Value = serde_json::from_str(&json(&sample).unwrap()).unwrap();
    assert_eq!(parsed["segments"][2]["captions"], "withheld");
    assert_eq!(parsed["segments"][2]["text"], "Thank you for watching.");
    assert_eq!(parsed["segments"][5]["class"], "sealed");
}

#[test]
fn a_segment_that_touches_a_sealed_interval_is_sealed_as_a_whole() {
    let mark = |at, class| Change::IntervalBegan {
        channel: channel(1),
        first_sample: SamplePos::new(at),
        class,
        end: None,
        order: None,
    };
    let made = transcript(vec![
        opened(),
        mark(8_000, IntervalClass::Sealed),
        mark(12_000, IntervalClass::Open),
        committed(segment(1, 1, 16_000, 0, "one two three", None)),
        committed(segment(2, 1, 16_000, 12_000, "open again", None)),
        committed(segment(3, 2, 48_000, 0, "other channel", None)),
    ]);
    let classes: Vec<_> = made.segments.iter().map(|s| made.class(s)).collect();
    assert_eq!(classes, [IntervalClass::Sealed, IntervalClass::Open, IntervalClass::Open]);
}

#[test]
fn proposals_stand_beside_the_segments_in_json_and_nowhere_else() {
    let sealed = Change::IntervalBegan {
        channel: channel(1),
        first_sample: SamplePos::new(160_000),
        class: IntervalClass::Sealed,
        end: None,
        order: None,
    };
    let text = vec![
        opened(),
        sealed,
        committed(segment(1, 1, 16_000, 0, "Who was it?", None)),
        committed(segment(2, 1, 16_000, 160_000, "hidden words", None)),
        Change::HearingClosed {},
    ];
    let stands = transcript(text.clone());
    let mut better = segment(9, 1, 16_000, 0, "Who is it?", Some(1));
    better.engine.model = "better".to_owned();
    let secret = proposed(&[2], segment(8, 1, 16_000, 160_000, "hidden better", None));
    let made = transcript([text, vec![secret, proposed(&[1], better)]].concat());
    assert_eq!(made.segments, stands.segments);
    for (with, without) in [(vtt(&made), vtt(&stands)), (srt(&made), srt(&stands)), (txt(&made), txt(&stands))] {
        assert!(!with.contains("better") && !with.contains("Who is"), "{with}");
        assert_eq!(with.lines().count(), without.lines().count());
    }
    let parsed: serde_json::Value = serde_json::from_str(&json(&made).unwrap()).unwrap();
    let [first, second] = &parsed["proposals"].as_array().unwrap()[..] else { panic!("{parsed}") };
    assert_eq!((&first["text"], &second["text"]), (&"Who is it?".into(), &"hidden better".into()));
    assert_eq!((&first["class"], &second["class"]), (&"open".into(), &"sealed".into()));
    assert_eq!(first["replaces"][0], parsed["segments"][0]["id"]);
    assert_eq!(parsed["engines"][usize::try_from(first["engine"].as_u64().unwrap()).unwrap()]["model"], "better");
    assert_eq!((&first["proposed_by"], first["flags"].as_array().unwrap().len()), (&"service".into(), 1));
    assert!(first["words"][1]["start_ms"].is_u64() && first["proposed_at"].is_string());
    let open = json(&made.open_parts()).unwrap();
    assert!(open.contains("Who is it?") && !open.contains("hidden"), "{open}");
    let none: serde_json::Value = serde_json::from_str(&json(&stands).unwrap()).unwrap();
    assert!(none.get("proposals").is_none());
}

#[test]
fn every_export_says_that_it_is_a_draft() {
    let sample = sample();
    assert!(
        json(&sample)
            .unwrap()
            .starts_with("{\"format\":\"vivavoce-transcript\",\"version\":2,\"notice\":\"MACHINE DRAFT")
    );
    for text in [vtt(&sample), srt(&sample), txt(&sample)] {
        assert!(text.lines().take(4).any(|line| line == NOTICE), "{text}");
    }
}

#[test]
fn a_folder_gets_all_four_and_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("exports");
    for _twice in 0..2 {
        let files = write_folder(&sample(), &place).unwrap();
        assert_eq!(files.len(), 4);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 4);
        assert_eq!(fs::read_to_string(&files[1]).unwrap(), vtt(&sample()));
    }
}

#[test]
fn version_2_holds_all_that_version_1_held() {
    let released = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/export_v1/transcript.json"));
    let [released, now] =
        [released, &json(&sample()).unwrap()].map(|t| serde_json::from_str::<serde_json::Value>(t).unwrap());
    #[track_caller]
    fn holds(now: &serde_json::Value, released: &serde_json::Value, path: &str) {
        match (now, released) {
            _ if path == "/version" => assert_eq!((now, released), (&2.into(), &1.into())),
            (serde_json::Value::Object(now), serde_json::Value::Object(released)) => {
                released.iter().for_each(|(key, value)| holds(&now[key], value, &format!("{path}/{key}")));
            }
            (serde_json::Value::Array(now), serde_json::Value::Array(released)) => {
                assert_eq!(now.len(), released.len(), "{path}");
                now.iter().zip(released).for_each(|(n, r)| holds(n, r, &format!("{path}/*")));
            }
            _ => assert_eq!(now, released, "{path}"),
        }
    }
    holds(&now, &released, "");
}

#[test]
fn the_exports_of_version_2_stay_as_they_are() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/export_v2");
    if !place.exists() {
        write_folder(&sample(), &place).unwrap();
        panic!("{} was missing and has been written: look at it and commit it", place.display());
    }
    let made = tempfile::tempdir().unwrap();
    for file in write_folder(&sample(), made.path()).unwrap() {
        let golden = place.join(file.file_name().unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), fs::read_to_string(&golden).unwrap(), "{}", golden.display());
    }
}

/// A cue as a strict reader sees it.
#[derive(Debug)]
struct Read {
    id: String,
    start: u64,
    end: u64,
    lines: Vec<String>,
}

fn millis(text: &str, point: char) -> u64 {
    let (clock, ms) = text.split_once(point).unwrap();
    assert_eq!(ms.len(), 3);
    let parts: Vec<u64> = clock.split(':').map(|p| p.parse().unwrap()).collect();
    assert!(parts.len() == 3 && parts[1] < 60 && parts[2] < 60 && clock.split(':').all(|p| p.len() >= 2), "{text}");
    ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1_000 + ms.parse::<u64>().unwrap()
}

fn read_cues<'a>(blocks: impl Iterator<Item = &'a str>, point: char) -> Vec<Read> {
    let cue = |block: &str| {
        let mut lines = block.lines();
        let id = lines.next().unwrap().to_owned();
        let (start, end) = lines.next().unwrap().split_once(" --> ").unwrap();
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        assert!(!lines.is_empty() && lines.len() <= 2 && lines.iter().all(|l| !l.trim().is_empty()), "{block}");
        assert!(!id.contains("-->") && lines.iter().all(|l| !l.contains("-->")), "{block}");
        Read { id, start: millis(start, point), end: millis(end, point), lines }
    };
    blocks.map(cue).collect()
}

/// Reads what the standard allows and this product writes; panics on anything else. Gives the text without its tags.
fn read_vtt(text: &str) -> Vec<Read> {
    assert!(!text.contains('\r') && text.ends_with('\n') && !text.ends_with("\n\n"));
    let mut blocks = text.trim_end().split("\n\n");
    assert_eq!(blocks.next(), Some("WEBVTT"));
    let note = blocks.next().unwrap();
    assert!(note.starts_with("NOTE\n") && !note.contains("-->"), "{note}");
    let mut cues = read_cues(blocks, '.');
    for cue in &mut cues {
        let untagged = untag(&cue.lines.join("\n"));
        cue.lines = untagged.lines().map(str::to_owned).collect();
    }
    cues
}

/// Takes the tags off, checks that they nest, and resolves the escapes.
fn untag(text: &str) -> String {
    let (mut plain, mut open, mut rest) = (String::new(), Vec::new(), text);
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        let (tag, after) = rest[at + 1..].split_once('>').unwrap();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name.to_owned()), "{text}"),
            None => open.push(tag.split([' ', '.']).next().unwrap().to_owned()),
        }
        assert!(["v", "lang", "u", "/v", "/lang", "/u"].contains(&tag.split([' ', '.']).next().unwrap()), "{text}");
        rest = after;
    }
    assert!(open.is_empty(), "{text}");
    plain.push_str(rest);
    assert!(!plain.contains('>'), "{text}");
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn read_srt(text: &str) -> Vec<Read> {
    assert!(!text.contains('\r') && text.ends_with('\n') && !text.ends_with("\n\n"));
    let cues = read_cues(text.trim_end().split("\n\n"), ',');
    for (number, cue) in (1..).zip(&cues) {
        assert_eq!(cue.id, number.to_string());
        assert!(cue.lines.iter().all(|l| !l.contains(['<', '>', '{', '}'])), "{cue:?}");
    }
    assert_eq!(cues[0].lines, [NOTICE]);
    cues
}

/// The words without white space and marks, so that texts can be compared across formats.
fn bare(text: &str) -> String {
    text.replace("(?)", "").chars().filter(|c| !c.is_whitespace()).collect()
}

fn check_captions(made: &Transcript) {
    let mut texts: HashMap<String, String> = HashMap::new();
    let mut before = 0;
    let cues = read_vtt(&vtt(made));
    for cue in &cues {
        assert!(cue.start < cue.end && cue.end - cue.start <= 7_000, "{cue:?}");
        for line in &cue.lines {
            assert!(line.chars().count() <= 42 || !line.contains(' '), "{cue:?}");
        }
        let (id, number) = cue.id.rsplit_once('-').unwrap();
        before = if number == "1" { 0 } else { before };
        assert!(before <= cue.start, "{cue:?}");
        before = cue.start;
        texts.entry(id.to_owned()).or_default().push_str(&bare(&cue.lines.join(" ")));
    }
    let expected: HashMap<String, String> = made
        .segments
        .iter()
        .filter(|s| s.captions == CaptionState::Shown)
        .map(|s| (s.id.to_string(), words(s)))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    assert_eq!(texts, expected);
    let subtitles = read_srt(&srt(made));
    assert_eq!(subtitles.len(), cues.len() + 1);
    for (a, b) in subtitles[1..].iter().zip(&cues) {
        assert_eq!((a.start, a.end), (b.start, b.end));
    }
}

fn words(segment: &Segment) -> String {
    bare(&plain::line(&join(segment.words.iter().map(|w| (w.text.as_str(), w.spaced)))))
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z']{1,12}[.,?!]?",
        "[\\PC]{1,60}",
        any::<String>().prop_map(|s| s.chars().take(20).collect()),
        Just("-->".to_owned()),
        Just("\n\nNOTE\n".to_owned()),
        Just("</v><script>&lt;{\\an8}".to_owned()),
        Just("\u{202E}\u{2066}\u{2028}".to_owned()),
        Just("字".to_owned()),
    ]
}

fn any_segment(id: u128) -> impl Strategy<Value = Segment> {
    let words = proptest::collection::vec((hostile(), any::<bool>(), 0_u64..200_000, 0_u64..300_000), 0..40);
    (words, 0_u64..1 << 40, any::<bool>(), 0_usize..40).prop_map(move |(words, start, shown, doubt)| {
        let mut made = segment(id, 1, 16_000, start, "x", None);
        let pattern = made.words[0].clone();
        made.words.clear();
        let mut at = start;
        for (text, spaced, gap, length) in words {
            let span = crate::record::store::suite::span(at, at + length);
            made.words.push(crate::domain::segment::Word { text, spaced, span, ..pattern.clone() });
            at += gap;
        }
        let doubt = doubt.min(made.words.len());
        made.flags = vec![Flag { code: FlagCode::Repetition, evidence: vec![], words: doubt / 2..doubt }];
        made.captions = if shown { CaptionState::Shown } else { CaptionState::Withheld };
        made
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_caption_file_is_read_by_a_strict_reader_and_keeps_every_word(
        one in any_segment(1), two in any_segment(2), label in "\\PC{0,40}", reference in any::<String>(),
    ) {
        let opening = Change::HearingOpened { reference, channels: vec![setup(1, &label, 16_000)], resume: None, recognition: Recognition::Live, imported: None };
        let made = transcript(vec![opening, committed(one), committed(two)]);
        check_captions(&made);
        let parsed: serde_json::Value = serde_json::from_str(&json(&made).unwrap()).unwrap();
        for (row, segment) in parsed["segments"].as_array().unwrap().iter().zip(&made.segments) {
            prop_assert_eq!(row["text"].as_str().unwrap(), segment.text());
            prop_assert_eq!(row["words"].as_array().unwrap().len(), segment.words.len());
        }
        let text = txt(&made);
        for segment in &made.segments {
            let line = text.lines().find(|l| l.starts_with('[') && bare(l).ends_with(&words(segment)));
            prop_assert!(line.is_some(), "{}", text);
        }
        prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
}
