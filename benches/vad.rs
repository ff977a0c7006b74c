//! How long does one frame of the speech detector take, and how does that compare with whisper.cpp's detector?
//!
//! `VIVAVOCE_VAD_MODEL` names the weights, `VIVAVOCE_SPEECH` the folder of recordings (`en/jfk.wav` is used). Prints the
//! median of several passes; the ratio is of passes that took turns in the same run.

#![expect(clippy::print_stdout, reason = "a bench is there to print")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use vivavoce::speech::vad::detector::ChannelDetector;
use vivavoce::speech::vad::model::SileroModel;
use vivavoce::speech::vad::network::SileroStream;
use vivavoce::speech::vad::{FRAME, FRAME_MS, SpeechDetector};

/// Passes of each candidate.
const PASSES: usize = 15;

fn main() {
    let given = |variable| std::env::var_os(variable).map(PathBuf::from);
    let (Some(model), Some(speech)) = (given("VIVAVOCE_VAD_MODEL"), given("VIVAVOCE_SPEECH")) else {
        println!("skipped: set VIVAVOCE_VAD_MODEL and VIVAVOCE_SPEECH");
        return;
    };
    let bytes = std::fs::read(&model).expect("the model can be read");
    let weights = Arc::new(SileroModel::parse(&bytes).expect("the model is the detector's"));
    let mut reader = hound::WavReader::open(speech.join("en/jfk.wav")).expect("the recording can be read");
    let samples = reader.samples::<i16>().map(|sample| f32::from(sample.expect("the recording is whole")) / 32_768.0);
    let samples: Vec<f32> = samples.collect();
    let (frames, _) = samples.as_chunks::<FRAME>();

    let mut theirs = peer::Whisper::open(&model);
    let (mut network, mut channel) = (SileroStream::new(Arc::clone(&weights)), ChannelDetector::new(weights));
    let mut took = [const { Vec::new() }; 3];
    for _ in 0..PASSES {
        took[0].push(micros_a_frame(frames.len(), || run(&mut network, frames)));
        took[1].push(micros_a_frame(frames.len(), || run(&mut channel, frames)));
        took[2].push(micros_a_frame(frames.len(), || theirs.run(frames.as_flattened())));
    }
    let [network, channel, theirs] = took.map(median);
    let core = |micros: f64| micros / 10.0 / f64::from(FRAME_MS);
    println!("network alone        {network:7.1} µs a frame, {:.3} % of a core a channel", core(network));
    println!("network and leveller {channel:7.1} µs a frame, {:.3} % of a core a channel", core(channel));
    println!("whisper.cpp          {theirs:7.1} µs a frame; ratio of the network to it {:.2}", network / theirs);
}

fn run(detector: &mut dyn SpeechDetector, frames: &[[f32; FRAME]]) {
    for frame in frames {
        black_box(detector.push(black_box(frame)));
    }
}

fn micros_a_frame(frames: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6 / frames as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// whisper.cpp's detector on one thread, where it is built in.
#[cfg(feature = "whisper")]
mod peer {
    use std::path::Path;

    use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

    pub(crate) struct Whisper(WhisperVadContext);

    impl Whisper {
        pub(crate) fn open(model: &Path) -> Self {
            let mut params = WhisperVadContextParams::default();
            params.set_n_threads(1);
            let path = model.to_str().expect("the path is text");
            Self(WhisperVadContext::new(path, params).expect("whisper.cpp reads the model"))
        }

        pub(crate) fn run(&mut self, samples: &[f32]) {
            self.0.detect_speech(samples).expect("whisper.cpp runs the model");
        }
    }
}

/// Nothing to compare with.
#[cfg(not(feature = "whisper"))]
mod peer {
    pub(crate) struct Whisper;

    impl Whisper {
        pub(crate) fn open(_: &std::path::Path) -> Self {
            Self
        }

        pub(crate) fn run(&mut self, _: &[f32]) {}
    }
}
