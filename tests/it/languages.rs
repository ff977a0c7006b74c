//! Languages of a channel: one after the other, and one that is not allowed.

use vivavoce::{
    domain::{flag::FlagCode, language::AllowedLanguages, segment::CaptionState},
    hearing::offline::{Channels, Recording},
    record::export::transcript::Transcript,
    speech::audio::file::AudioFile,
};

use crate::support::{
    server::{Running, audio, channel, engine, start, stream},
    speech::{Folder, Speech, word_errors},
};

/// Clips of one format with silence between them, as one recording.
fn joined(folder: &Folder, ids: &[&str], silence_ms: usize) -> (Vec<Speech>, Speech) {
    let clips: Vec<Speech> = ids.iter().map(|id| folder.load(folder.item(id).unwrap())).collect();
    let mut whole = clips[0].encoded(clips[0].encoding());
    whole.bytes.clear();
    for clip in &clips {
        assert_eq!((clip.format, clip.channels), (whole.format, 1), "clips of one format");
        whole.bytes.extend(&clip.bytes);
        let silence = whole.format.sample_rate_hz as usize * silence_ms / 1_000;
        whole.bytes.resize(whole.bytes.len() + silence * whole.frame(), 0);
    }
    (clips, whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_change_their_language_are_heard_in_each_and_a_second_hearing_is_the_same() {
    let Some(folder) = Folder::given_or_say("two languages on one channel") else { return };
    let ids = ["fleurs-fr-000", "fleurs-en-000", "fleurs-en-001", "fleurs-fr-001", "fleurs-de-000"];
    let mut running = Running::start().await;
    // Each of them an utterance; then one of them and the next together.
    for silence_ms in [2_000, 200] {
        let (clips, whole) = joined(&folder, &ids, silence_ms);
        let mut texts = Vec::new();
        for ms in [100, 5_000] {
            let hearing = running.open(vec![channel(1, "witness", &["de", "en", "fr"], whole.format)]).await;
            let chunks = whole.chunks_ms(ms).map(|samples| audio(1, samples)).collect();
            let heard = stream(&mut running.client, start(&hearing), chunks).await;
            running.close(&hearing).await;
            texts.push(heard.segments(1).map(|s| (s.language.clone(), s.text.clone())).collect::<Vec<_>>());
        }
        assert_eq!(texts[0], texts[1], "how it came changes nothing");
        in_each(&clips, &texts[0]);
    }
}

/// The words of each language are those that were said in it.
#[track_caller]
fn in_each(clips: &[Speech], texts: &[(String, String)]) {
    for language in ["fr", "en", "de"] {
        let own: Vec<&str> = texts.iter().filter(|(l, _)| l == language).map(|(_, text)| text.as_str()).collect();
        let spoken = clips.iter().filter(|clip| clip.language.starts_with(language));
        let reference: Vec<&str> = spoken.map(|clip| clip.reference.as_str()).collect();
        let errors = word_errors(&reference.join(" "), &own.join(" "), language);
        assert!(errors < 60.0, "{language}: {errors} % in {texts:?}");
    }
}

#[test]
fn a_language_that_is_not_allowed_brings_no_word_into_captions() {
    let Some(folder) = Folder::given_or_say("a language that is not allowed") else { return };
    let (mut speech, mut shown) = (0, Vec::new());
    for (id, allowed) in [
        ("fleurs-fr-000", &["ja"][..]),
        ("fleurs-en-000", &["fr", "de"]),
        ("fleurs-de-000", &["en"]),
        ("fleurs-es-000", &["en", "fr"]),
        ("fleurs-pt-000", &["de"]),
    ] {
        let transcript = transcribe(&folder, id, allowed);
        for segment in &transcript.segments {
            let flagged = segment.flags.iter().any(|f| f.code == FlagCode::UncertainLanguage);
            speech += usize::from(flagged);
            if segment.captions == CaptionState::Shown {
                shown.push((id, segment.text()));
            }
        }
    }
    assert!(speech >= 5, "the flag stands on {speech}");
    assert_eq!(shown, []);
}

fn transcribe(folder: &Folder, id: &str, allowed: &[&str]) -> Transcript {
    let recording = Recording {
        file: AudioFile::open(&folder.load(folder.item(id).unwrap()).path).unwrap(),
        channels: Channels::Mix,
        languages: AllowedLanguages::new(allowed.iter().map(|tag| tag.parse().unwrap()).collect()).unwrap(),
        name: id.to_owned(),
    };
    engine().offline().transcribe(recording, |_| {}).unwrap().transcript
}
