//! The speech detector with its real weights on real speech, against whisper.cpp and the published network.

use std::sync::Arc;

use vivavoce::speech::vad::{
    FRAME, SpeechDetector,
    detector::ChannelDetector,
    model::SileroModel,
    network::{Lead, SileroStream},
    thresholds::{START, STOP},
};

use crate::support::{
    models::store_with,
    speech::{Folder, say},
};

fn model() -> Arc<SileroModel> {
    let model = store_with(&["silero-vad"]).load("silero-vad").unwrap();
    Arc::new(SileroModel::parse(&model.bytes).unwrap())
}

/// One channel of a 16 kHz, 16-bit WAV file, filled up with silence to whole frames.
fn recording(file: &str, channel: usize) -> Option<Vec<f32>> {
    let folder = Folder::given_or_say(file)?;
    let mut reader = hound::WavReader::open(folder.dir.join(file)).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.sample_rate, spec.bits_per_sample), (16_000, 16), "{file}");
    let samples = reader.samples::<i16>().skip(channel).step_by(usize::from(spec.channels));
    let mut samples: Vec<f32> = samples.map(|sample| f32::from(sample.unwrap()) / 32_768.0).collect();
    samples.resize(samples.len().div_ceil(FRAME) * FRAME, 0.0);
    Some(samples)
}

/// `samples` with peaks at `peak_db` to full scale, rounded to 16 bits as a recorder would.
fn at_peak(samples: &[f32], peak_db: f32) -> Vec<f32> {
    let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    let factor = 10.0_f32.powf(peak_db / 20.0) / peak;
    samples.iter().map(|sample| (sample * factor * 32_768.0).round() / 32_768.0).collect()
}

fn probabilities(detector: &mut dyn SpeechDetector, samples: &[f32]) -> Vec<f32> {
    let (frames, _) = samples.as_chunks::<FRAME>();
    frames.iter().map(|frame| detector.push(frame).value()).collect()
}

fn share(of: &[f32], at_least: f32) -> f64 {
    let count = of.iter().filter(|value| **value >= at_least).count();
    count as f64 / of.len() as f64
}

#[track_caller]
fn check_close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    say(&format!("{} frames, largest difference {worst:.6}", ours.len()));
    assert!(worst <= tolerance, "largest difference {worst}");
}

/// whisper.cpp rounds the input of every convolution to half precision, which is all that differs: with the same rounding
/// put into the stream the largest difference fell from 0.0016 to 0.0003.
#[test]
fn with_its_lead_the_stream_gives_what_whisper_cpp_gives_for_the_whole_recording() {
    use whisper_rs::{WhisperVadContext, WhisperVadContextParams};
    let store = store_with(&["silero-vad"]);
    let (model, path) = (model(), store.path(&store.entry("silero-vad").unwrap()));
    for (file, channel) in [("en/jfk.wav", 0), ("court/court-fr-en.wav", 1), ("degraded/jfk-pink-snr0.wav", 0)] {
        let Some(samples) = recording(file, channel) else { return };
        let mut params = WhisperVadContextParams::default();
        params.set_n_threads(1);
        let mut theirs = WhisperVadContext::new(path.to_str().unwrap(), params).unwrap();
        theirs.detect_speech(&samples).unwrap();
        let mut ours = SileroStream::with_lead(Arc::clone(&model), Lead::Mirrored);
        check_close(&probabilities(&mut ours, &samples), theirs.probabilities(), 3e-3);
    }
}

/// The fixture is what the published ONNX file of Silero 6.2 gives for the recording, with its wrapper's 64 samples of
/// context. The ggml file keeps most weights in half precision, hence the tolerance.
#[test]
fn the_stream_gives_what_the_published_network_gives() {
    let (model, Some(samples)) = (model(), recording("en/jfk.wav", 0)) else { return };
    let published = include_str!("../data/vad/jfk-silero-6.2-onnx.txt");
    let published: Vec<f32> = published.split_whitespace().map(|value| value.parse().unwrap()).collect();
    let ours = probabilities(&mut SileroStream::new(model), &samples);
    check_close(&ours[..published.len()], &published, 5e-3);
}

#[test]
fn quiet_speech_is_heard_as_well_as_loud_speech() {
    let (model, Some(samples)) = (model(), recording("en/jfk.wav", 0)) else { return };
    let mut detector = ChannelDetector::new(model);
    let loud = share(&probabilities(&mut detector, &at_peak(&samples, -3.0)), START);
    for peak_db in [-30.0, -40.0, -50.0, -60.0] {
        detector.reset();
        let quiet = share(&probabilities(&mut detector, &at_peak(&samples, peak_db)), START);
        say(&format!("peak {peak_db} dBFS: {quiet:.3} of frames, {loud:.3} when loud"));
        assert!(quiet > 0.9 * loud, "peak {peak_db} dBFS: {quiet} of frames, {loud} when loud");
    }
}

#[test]
fn what_nobody_says_is_not_heard() {
    let model = model();
    for file in ["nospeech/nospeech-silence-noise.wav", "nospeech/nospeech-loud-noise.wav"] {
        let Some(samples) = recording(file, 0) else { return };
        for peak_db in [-1.0, -20.0, -40.0, -60.0] {
            let heard = probabilities(&mut ChannelDetector::new(Arc::clone(&model)), &at_peak(&samples, peak_db));
            let most = heard.iter().copied().fold(0.0, f32::max);
            say(&format!("{file}, peak {peak_db} dBFS: at most {most:.3}"));
            assert!(most < START, "{file}, peak {peak_db} dBFS: {most}");
        }
    }
}

/// Start and end of every turn of a channel, in seconds, from the table beside the recordings.
fn turns(recording: &str, channel: &str) -> Option<Vec<(f64, f64)>> {
    let table = std::fs::read_to_string(Folder::given_or_say("turns")?.dir.join("segments.tsv")).unwrap();
    let rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let rows = rows.filter(|row| row[0] == recording && row[2] == channel);
    Some(rows.map(|row| (row[5].parse().unwrap(), row[6].parse().unwrap())).collect())
}

#[test]
fn every_turn_of_witness_and_interpreter_is_heard_and_no_pause_is() {
    let model = model();
    for (channel, name) in ["1", "2"].into_iter().enumerate() {
        let Some(samples) = recording("court/court-fr-en.wav", channel) else { return };
        let Some(turns) = turns("court-fr-en", name) else { return };
        let heard = probabilities(&mut ChannelDetector::new(Arc::clone(&model)), &samples);
        let at = |frame: usize| (frame as f64 + 0.5) * 0.032;
        for (start, end) in &turns {
            let frames = heard.iter().enumerate().filter(|(frame, _)| (*start..*end).contains(&at(*frame)));
            let inside: Vec<f32> = frames.map(|(_, value)| *value).collect();
            assert!(share(&inside, START) > 0.7, "channel {name}: turn at {start} s");
        }
        let pause = |seconds: f64| !turns.iter().any(|(start, end)| (start - 0.1..end + 0.3).contains(&seconds));
        let pauses = heard.iter().enumerate().filter(|(frame, _)| pause(at(*frame)));
        let false_alarms = pauses.filter(|(_, value)| **value >= STOP).count();
        assert_eq!(false_alarms, 0, "channel {name}: frames of pauses taken for speech");
    }
}
