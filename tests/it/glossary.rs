//! A glossary helps to hear names and never says one by itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use vivavoce::{
    domain::{
        glossary::{Approval, Draft, Glossary},
        hypothesis::Told,
        language::AllowedLanguages,
        probability::Probability,
        segment::CaptionState,
        time::Tick,
    },
    hearing::offline::{Channels, Offline, Recording},
    record::export::transcript::Transcript,
    speech::{
        asr::{CancelFlag, DecodeRequest, Lead, Pass},
        audio::{file::AudioFile, level::LevelMeter},
        confidence::{Sound, judge, scripts},
        front::Missing,
        vad::FRAME,
    },
};

use crate::support::{
    server::engine,
    speech::{Folder, Speech, made_sounds},
};

/// Fifty names, as a registry would list them.
const NAMES: [&str; 50] = [
    "Abdelkader Benali",
    "Agnieszka Wiśniewska",
    "Amara Okonkwo",
    "Anders Nygaard",
    "Anneliese Bredel",
    "Aurélie Dufresne",
    "Bao Nguyen",
    "Bogdan Ionescu",
    "Caoimhe Ó Briain",
    "Chidi Eze",
    "Concepción Ibáñez",
    "Dagmar Svobodová",
    "Dragan Cvetić",
    "Elif Yıldız",
    "Emeka Obi",
    "Farida Haidari",
    "Fernão Magalhães",
    "Giedrė Kazlauskaitė",
    "Goran Petrović",
    "Hana Kovářová",
    "Henrike Vosskuhl",
    "Ibrahim Traoré",
    "Ilse van den Broeck",
    "Ioannis Papadakis",
    "Jana Novotná",
    "Joaquim Figueiredo",
    "Kálmán Eötvös",
    "Katarzyna Zawadzka",
    "Kwame Mensah",
    "Laila Rahimi",
    "Lukáš Dvořák",
    "Maëlle Kerguelen",
    "Magnus Þórsson",
    "Mehmet Çelik",
    "Milica Jovanović",
    "Mwangi Kariuki",
    "Niamh Gallagher",
    "Nikolaj Østergaard",
    "Oluwaseun Adeyemi",
    "Pilar Etxeberria",
    "Radoslav Hristov",
    "Saoirse Brennan",
    "Sigrún Jónsdóttir",
    "Tadeusz Wróbel",
    "Thandiwe Nkosi",
    "Ueli Zgraggen",
    "Vytautas Butkus",
    "Wanjiru Kamau",
    "Xiomara Quispe",
    "Zdeněk Hrubý",
];

fn names() -> Arc<Glossary> {
    let approved = Approval { by: "registry, room 4".to_owned(), on: "2026-11-20".to_owned() };
    let terms = NAMES.map(str::to_owned).to_vec();
    Arc::new(Glossary::new(Draft { version: 1, language: None, approved, terms }, scripts::belongs).unwrap())
}

/// The recording's own file, or one of the samples that were made.
fn file(speech: &Speech, folder: &Path) -> PathBuf {
    if speech.path.exists() {
        return speech.path.clone();
    }
    let path = folder.join("made.wav");
    speech.write(&path);
    path
}

fn transcribe(speech: &Speech, glossary: Option<Arc<Glossary>>) -> Transcript {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording {
        file: AudioFile::open(&file(speech, folder.path())).unwrap(),
        channels: Channels::Mix,
        languages: AllowedLanguages::only(speech.language.parse().unwrap()),
        name: "item".to_owned(),
    };
    Offline { glossary, ..engine().offline() }.transcribe(recording, |_| {}).unwrap().transcript
}

#[test]
fn fifty_names_over_silence_and_noise_bring_no_word_into_captions() {
    let mut sounds = vec![("generated".to_owned(), made_sounds())];
    if let Some(folder) = Folder::given_or_say("recordings without speech, with a glossary") {
        sounds.extend(folder.under("nospeech/").into_iter().map(|item| (item.id.clone(), folder.load(item))));
    }
    for (name, sound) in sounds {
        let transcript = transcribe(&sound, Some(names()));
        let shown = transcript.segments.iter().filter(|s| s.captions == CaptionState::Shown);
        assert_eq!(shown.map(|s| s.text()).collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
}

/// The detector keeps noise from the decoder, mostly. Here it did not: whatever a decoder that was told fifty names makes of noise is
/// either none of them or is kept from captions, since little speech is under it.
#[test]
fn a_decoder_that_was_told_fifty_names_and_hears_noise_says_none_of_them_in_captions() {
    let sound = made_sounds();
    let samples = sound.samples();
    let lead = Lead { terms: names().terms().to_vec(), ..Lead::NOTHING };
    let languages = AllowedLanguages::only("en".parse().unwrap());
    let mut decoder = engine().recognizer.decoder().unwrap();
    let (mut said, mut withdrawn) = (0, 0);
    for window in samples.chunks(5 * 16_000) {
        let request = DecodeRequest {
            samples: window,
            start: Tick::ZERO,
            languages: &languages,
            pass: Pass::Final,
            lead: &lead,
            threads: 1,
        };
        let hypothesis = decoder.decode(&request, &CancelFlag::default()).unwrap();
        assert_ne!(hypothesis.told, Told::Nothing, "it was told nothing");
        withdrawn += u32::from(hypothesis.told != Told::Heeded);
        said += u32::from(!hypothesis.words.is_empty());
        // A click now and then, which the detector takes for speech.
        let speech: Vec<Probability> = (0..window.len().div_ceil(FRAME))
            .map(|n| if n % 20 == 0 { Probability::ONE } else { Probability::ZERO })
            .collect();
        let mut level = LevelMeter::new();
        level.push(window);
        let sound = Sound {
            span: hypothesis.window,
            speech: &speech,
            level: level.summary(),
            languages: &languages,
            told: &lead,
            missing: Missing::default(),
        };
        let judgement = judge(&hypothesis, &sound);
        let named = NAMES.iter().any(|name| name.split(' ').any(|part| hypothesis.text().contains(part)));
        assert!(!named || judgement.captions == CaptionState::Withheld, "{} {:?}", hypothesis.text(), judgement.flags);
    }
    assert!(said + withdrawn > 0, "noise that no decoder says anything to shows nothing");
}

#[test]
fn speech_is_heard_with_a_glossary_as_without_and_says_which_it_was() {
    let speech = Speech::english();
    let (plain, told) = (transcribe(&speech, None), transcribe(&speech, Some(names())));
    let text = |t: &Transcript| t.segments.iter().map(|s| s.text()).collect::<Vec<_>>().join(" ");
    assert!(speech.word_errors(&text(&told)) <= speech.word_errors(&text(&plain)) + 5.0, "{}", text(&told));
    assert!(plain.segments.iter().all(|s| s.glossary.is_none()));
    let digests: Vec<_> = told.segments.iter().filter_map(|s| s.glossary).collect();
    assert!(!digests.is_empty() && digests.iter().all(|digest| *digest == names().sha256()));
}
