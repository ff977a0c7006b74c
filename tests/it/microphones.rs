//! Several microphones and real voices: alarms, cross-talk, people who speak at once.

use std::{collections::BTreeMap, path::Path};

use vivavoce::{
    domain::{
        alarm::Alarm,
        audio::AudioFormat,
        flag::FlagCode,
        id::ChannelId,
        language::AllowedLanguages,
        segment::{CaptionState, Segment},
        time::SamplePos,
    },
    hearing::offline::{Channels, Recording},
    record::export::{transcript::Transcript, vtt::vtt},
    speech::audio::{file::AudioFile, format, health::Health},
};

use crate::support::{
    server::{Running, audio, channel, engine, start, stream},
    speech::{Folder, Speech, say, word_errors},
};

/// The samples of each channel of a file.
fn channels_of(path: &Path) -> (Vec<Vec<f32>>, AudioFormat) {
    let mut file = AudioFile::open(path).unwrap();
    let format = AudioFormat { encoding: file.encoding(), rate: file.rate() };
    let mut channels = vec![Vec::new(); file.channels()];
    while let Some(block) = file.next_block().unwrap() {
        let mut bytes = vec![Vec::new(); channels.len()];
        format::deinterleave(format.encoding, &block.bytes, &mut bytes).unwrap();
        for (samples, bytes) in channels.iter_mut().zip(&bytes) {
            format::decode(format.encoding, bytes, samples).unwrap();
        }
    }
    (channels, format)
}

#[test]
fn real_recordings_ring_no_alarm_but_where_something_is_wrong() {
    let Some(folder) = Folder::given_or_say("alarms on real recordings") else { return };
    let mut rung: BTreeMap<String, Vec<Alarm>> = BTreeMap::new();
    let mut files: Vec<&str> = folder.items.iter().filter_map(|item| item.file.as_deref()).collect();
    files.dedup();
    for file in &files {
        let (channels, format) = channels_of(&folder.dir.join(file));
        for samples in channels {
            for notice in Health::new(format).push(SamplePos::ZERO, &samples) {
                rung.entry((*file).to_owned()).or_default().push(notice.alarm);
            }
        }
    }
    assert!(files.len() > 300, "{}", files.len());
    // Clipped on purpose (and its faint hum with it, by 10 dB); silence and hum that were made.
    let expected = BTreeMap::from([
        ("degraded/jfk-clip10.wav".to_owned(), vec![Alarm::Clipped, Alarm::Hum]),
        ("nospeech/nospeech-silence-noise.wav".to_owned(), vec![Alarm::Dead, Alarm::Dead, Alarm::Hum, Alarm::Hum]),
    ]);
    assert_eq!(rung, expected);
}

/// The voices of the two-channel recording: a witness, and an American president where he is there, else the interpreter.
fn voices(folder: &Folder) -> (Vec<f32>, Vec<f32>) {
    let (court, _) = channels_of(&folder.dir.join("court/court-fr-en.wav"));
    let (other, _) = channels_of(&folder.dir.join("en/jfk.wav"));
    let witness: Vec<f32> = court[0][..16_000 * 24].to_vec();
    let power = |samples: &[f32]| samples.iter().map(|s| s * s).sum::<f32>();
    let gain = (power(&witness) / 24.0 / (power(&other[0]) / 11.0)).sqrt();
    let second = other[0].iter().chain(&other[0]).map(|s| s * gain).chain(std::iter::repeat(0.0));
    (witness, second.take(16_000 * 24).collect())
}

struct Dice(u32);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as f32 / u32::MAX as f32 * 2.0 - 1.0
    }
}

/// A voice at another microphone: quieter, later, with the reverberation of a room.
fn away(voice: &[f32], db: f32, ms: usize, seed: u32) -> Vec<f32> {
    let mut dice = Dice(seed);
    let mut path = vec![(0, 1.0_f32)];
    path.extend((0..300).map(|n| {
        let at = 16 + n * 20 + usize::from(dice.roll() > 0.0) * 7;
        (at, dice.roll() * 10.0_f32.powf(-2.0 * at as f32 / 6_000.0) * 0.22)
    }));
    let gain = 10.0_f32.powf(db / 20.0) / path.iter().map(|(_, g)| g * g).sum::<f32>().sqrt();
    let mut heard = vec![0.0; voice.len()];
    for (at, reflection) in path {
        for (to, from) in heard[at + ms * 16..].iter_mut().zip(voice) {
            *to += gain * reflection * from;
        }
    }
    heard
}

/// What is at the microphones, with the noise of a room at -66 dBFS at each.
fn microphones(parts: [&[&[f32]]; 2]) -> Vec<f32> {
    let mut dice = [Dice(3), Dice(5)];
    let length = parts[0][0].len();
    let mut interleaved = Vec::with_capacity(length * 2);
    for n in 0..length {
        for (parts, dice) in parts.iter().zip(&mut dice) {
            interleaved.push(parts.iter().map(|part| part[n]).sum::<f32>() + 0.000_87 * dice.roll());
        }
    }
    interleaved
}

fn transcribed(interleaved: &[f32], languages: &[&str]) -> Transcript {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("room.wav");
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    interleaved.iter().for_each(|s| writer.write_sample((s * 32_768.0).clamp(-32_768.0, 32_767.0) as i16).unwrap());
    writer.finalize().unwrap();
    of_file(&path, languages)
}

fn of_file(path: &Path, languages: &[&str]) -> Transcript {
    let recording = Recording {
        file: AudioFile::open(path).unwrap(),
        channels: Channels::Split,
        languages: AllowedLanguages::new(languages.iter().map(|l| l.parse().unwrap()).collect()).unwrap(),
        name: "room".to_owned(),
    };
    let transcript = engine().offline().transcribe(recording, |_| {}).unwrap().transcript;
    for segment in &transcript.segments {
        let flags: Vec<_> = segment.flags.iter().map(|f| (f.code.as_str(), f.words.clone())).collect();
        say(&format!("{} {:?} {} words {flags:?}", segment.channel, segment.captions, segment.words.len()));
    }
    transcript
}

fn has(segment: &Segment, code: FlagCode) -> bool {
    segment.flags.iter().any(|flag| flag.code == code)
}

/// The words of a channel that captions show.
fn shown(transcript: &Transcript, number: u8) -> String {
    let echo = |segment: &Segment, n: usize| {
        segment.flags.iter().any(|f| f.code == FlagCode::CrossTalk && f.words.contains(&n))
    };
    let segments = transcript.segments.iter().filter(|s| s.channel == ChannelId::new(number).unwrap());
    let words = segments.filter(|s| s.captions == CaptionState::Shown).flat_map(|segment| {
        segment.words.iter().enumerate().filter(|(n, _)| !echo(segment, *n)).map(|(_, word)| word.text.clone())
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn one_voice_at_two_microphones_is_shown_once() {
    let Some(folder) = Folder::given_or_say("cross-talk") else { return };
    let (voice, _) = voices(&folder);
    for (db, ms) in [(-12.0, 5), (-20.0, 20)] {
        let far = away(&voice, db, ms, 17);
        let transcript = transcribed(&microphones([&[&voice], &[&far]]), &["fr"]);
        assert!(!shown(&transcript, 1).is_empty());
        assert_eq!(shown(&transcript, 2), "", "{db} dB, {ms} ms");
        let (near, far): (Vec<&Segment>, Vec<&Segment>) =
            transcript.segments.iter().partition(|s| s.channel.number() == 1);
        assert!(!far.is_empty(), "the far microphone hears it too, or there is nothing to test");
        assert!(far.iter().all(|s| s.captions == CaptionState::Withheld && has(s, FlagCode::CrossTalk)));
        assert!(near.iter().all(|s| !has(s, FlagCode::CrossTalk) && !has(s, FlagCode::Overlap)));
        // Kept for review.
        assert!(far.iter().any(|s| !s.words.is_empty()));
        assert!(!vtt(&transcript).contains("<v room 2>"));
    }
}

#[test]
fn two_voices_at_once_are_both_shown_and_marked() {
    let Some(folder) = Folder::given_or_say("overlap") else { return };
    let (one, other) = voices(&folder);
    let alone = transcribed(&microphones([&[&one], &[&other]]), &["fr", "en"]);
    let (to_other, to_one) = (away(&one, -18.0, 8, 17), away(&other, -18.0, 11, 19));
    let mixed = transcribed(&microphones([&[&one, &to_one], &[&other, &to_other]]), &["fr", "en"]);
    for transcript in [&alone, &mixed] {
        for number in [1, 2] {
            let of_channel = transcript.segments.iter().filter(|s| s.channel.number() == number);
            assert!(of_channel.clone().any(|s| has(s, FlagCode::Overlap)), "channel {number}");
            let text = shown(transcript, number);
            // Against what it hears without the other voice in the room.
            let reference = shown(&alone, number);
            let errors = word_errors(&reference, &text, ["fr", "en"][usize::from(number) - 1]);
            assert!(errors < 35.0, "channel {number}: {errors} % of\n{reference}\n{text}");
        }
        assert!(vtt(transcript).contains("<c.overlap>"));
    }
    assert!(alone.segments.iter().all(|s| !has(s, FlagCode::CrossTalk)));
}

#[test]
fn a_witness_and_the_interpreter_after_her_are_each_shown_at_their_own_microphone() {
    let Some(folder) = Folder::given_or_say("the court with cross-talk") else { return };
    let transcript = of_file(&folder.dir.join("court/court-fr-en-leak.flac"), &["fr", "en"]);
    for (number, language, own, other) in [
        (1, "fr", "court-fr-en-leak.ch1", "court-fr-en-leak.ch2"),
        (2, "en", "court-fr-en-leak.ch2", "court-fr-en-leak.ch1"),
    ] {
        let text = shown(&transcript, number);
        let reference = |id: &str| folder.item(id).unwrap().reference.clone();
        let (right, wrong) =
            (word_errors(&reference(own), &text, language), word_errors(&reference(other), &text, language));
        say(&format!("channel {number}: {right:.1} % of its own words wrong, {wrong:.1} % of the other's"));
        assert!(right < 45.0 && wrong > 75.0, "channel {number}: {right} and {wrong}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_two_microphones_is_told_of_echoes_and_alarms() {
    let Some(folder) = Folder::given_or_say("cross-talk in a stream") else { return };
    let (voice, _) = voices(&folder);
    let mut far = away(&voice, -14.0, 9, 17);
    let voice: Vec<f32> = voice.into_iter().chain(vec![0.0; 16_000 * 5]).collect();
    far.resize(voice.len(), 0.0);
    // At the end somebody pulls the plug of the second one.
    let mut bytes = Vec::new();
    let mut interleaved = microphones([&[&voice], &[&far]]);
    interleaved.iter_mut().skip(1).step_by(2).skip(16_000 * 24).for_each(|s| *s = 0.0);
    format::encode(vivavoce::domain::audio::Encoding::PcmS16Le, &interleaved, &mut bytes);
    let mut running = Running::start().await;
    let wire = Speech::english().format;
    let channels = vec![channel(1, "witness", &["fr"], wire), channel(2, "judge", &["fr"], wire)];
    let hearing = running.open(channels).await;
    let heard = stream(&mut running.client, start(&hearing), bytes.chunks(6_400).map(|b| audio(0, b)).collect()).await;
    assert!(heard.segments(1).count() > 0);
    let echo = |s: &vivavoce::api::grpc::pb::Segment| s.flags.iter().any(|f| f.code() as i32 == 11);
    assert!(heard.segments(2).count() > 0);
    assert!(heard.segments(2).all(|s| echo(s) && s.captions == 2), "{:?}", heard.finals);
    assert!(heard.segments(1).all(|s| !echo(s) && s.captions == 1));
    let alarms: Vec<_> = heard.alarms.iter().map(|a| (a.channel, a.alarm, a.ended, a.first_sample)).collect();
    assert_eq!(alarms, [(2, 1, false, 384_000)]);
}
