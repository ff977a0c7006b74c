//! Speech that is cut off between any two words: what a stream gives is what the same sound gives as a file, to the last word.

use std::fs;

use vivavoce::{
    domain::language::AllowedLanguages,
    hearing::offline::{Channels, Recording},
    speech::audio::file::AudioFile,
};

use crate::support::{
    scripted::Chance,
    server::{Running, engine},
    speech::{Folder, Speech},
};

/// Milliseconds of the shortest and the longest cut.
const LENGTH_MS: (u64, u64) = (700, 12_000);

/// Words of a text, each with its ends in samples.
type Words = Vec<(String, u64, u64)>;

/// What the same engine makes of the sound as a file.
fn of_a_file(speech: &Speech) -> Words {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.wav");
    speech.write(&path);
    let recording = Recording {
        file: AudioFile::open(&path).unwrap(),
        channels: Channels::Mix,
        languages: AllowedLanguages::only(speech.language.parse().unwrap()),
        name: "cut".to_owned(),
    };
    let text = engine().offline().transcribe(recording, |_| {}).unwrap().transcript;
    fs::remove_file(path).unwrap();
    let word = |w: &vivavoce::domain::segment::Word| (w.text.clone(), w.span.start().index(), w.span.end().index());
    text.segments.iter().flat_map(|segment| segment.words.iter().map(word)).collect()
}

/// Cuts so many pieces out of real speech at gaps between words, streams each in messages of any size, and looks for every word
/// that the piece has as a file.
async fn cut(cuts: usize, seed: u64) {
    let folder = Folder::any();
    let mono =
        |speech: &Speech| speech.channels == 1 && speech.encoding() == vivavoce::domain::audio::Encoding::PcmS16Le;
    let long = folder.under("long/").into_iter().chain(folder.under("fleurs/")).chain(folder.under("en/"));
    let voices: Vec<Speech> = long.map(|item| folder.load(item)).filter(mono).take(12).collect();
    let voices = if voices.is_empty() { vec![Speech::english()] } else { voices };
    let texts: Vec<Words> = voices.iter().map(of_a_file).collect();
    let mut server = Running::start().await;
    let mut chance = Chance(seed);
    let (mut words, mut missing) = (0, Vec::new());
    for number in 0..cuts {
        let which = chance.next() as usize % voices.len();
        let (speech, text) = (&voices[which], &texts[which]);
        let rate = u64::from(speech.format.sample_rate_hz);
        let gaps: Vec<u64> = text.windows(2).map(|pair| u64::midpoint(pair[0].2, pair[1].1)).collect();
        if gaps.len() < 2 {
            continue;
        }
        let from = gaps[chance.next() as usize % (gaps.len() - 1)];
        let fits = |to: &&u64| (LENGTH_MS.0..LENGTH_MS.1).contains(&(to.saturating_sub(from) * 1_000 / rate));
        let ends: Vec<u64> = gaps.iter().filter(fits).copied().collect();
        let Some(to) = ends.get(chance.next() as usize % ends.len().max(1)) else { continue };
        let piece = Speech {
            language: speech.language.clone(),
            reference: String::new(),
            format: speech.format,
            channels: 1,
            bytes: speech.bytes[from as usize * 2..*to as usize * 2].to_vec(),
            path: speech.path.clone(),
        };
        let heard = server.hear(&piece, 20 + chance.next() as usize % 500).await;
        let streamed: Vec<&str> = heard.segments(1).flat_map(|s| s.words.iter().map(|w| w.text.as_str())).collect();
        let offline = of_a_file(&piece);
        words += offline.len();
        if streamed != offline.iter().map(|w| w.0.as_str()).collect::<Vec<_>>() {
            missing.push((number, which, from, *to));
        }
    }
    assert!(words > cuts, "the pieces have words: {words} in {cuts}");
    assert!(missing.is_empty(), "{} of {cuts}: {missing:?}", missing.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_word_is_lost_where_speech_is_cut_off_between_words() {
    cut(8, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half an hour: cargo test --release --locked --test it -- --ignored a_thousand_cuts"]
async fn a_thousand_cuts_lose_no_word() {
    cut(1_000, 7).await;
}
