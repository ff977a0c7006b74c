//! Where does a decode's time go, and what share of the machine's matrix peak does the encoder reach?
//!
//! `VIVAVOCE_MODELS` names the store, `VIVAVOCE_SPEECH` the folder of recordings (`en/jfk.wav` is repeated). For windows of several
//! lengths: spectrogram, encoder with its context cut to the window as the product does it, the reading of the
//! prompt and of sixty words that lead, and a token. The peak is that of a single-precision product of matrices of the encoder's shape, measured beside it in
//! turns. `STAGES_MODELS` names the weights that are compared, separated by commas, `STAGES_THREADS` the engine's threads (1); with
//! more than one, `OMP_WAIT_POLICY=passive` shows how it is when they sleep while they wait.

#![expect(clippy::print_stdout, reason = "a bench is there to print")]

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    time::Instant,
};

use ndarray::Array2;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

/// Passes of each stage.
const PASSES: usize = 5;

/// Window lengths, seconds.
const WINDOWS: [usize; 5] = [2, 5, 10, 20, 30];

/// Positions beyond the window, and the least in all, as `speech::asr::whisper` has them.
const PAD: usize = 128;
const LEAST: usize = 256;

fn main() {
    let given = |variable| std::env::var_os(variable).map(PathBuf::from);
    let (Some(models), Some(speech)) = (given("VIVAVOCE_MODELS"), given("VIVAVOCE_SPEECH")) else {
        println!("skipped: set VIVAVOCE_MODELS and VIVAVOCE_SPEECH");
        return;
    };
    let text = |variable| std::env::var_os(variable).and_then(|value| value.into_string().ok());
    let names = text("STAGES_MODELS").unwrap_or_else(|| "base,base-q8_0,base-q5_1".to_owned());
    let threads = text("STAGES_THREADS").and_then(|count| count.parse().ok()).unwrap_or(1);
    whisper_rs::install_logging_hooks();
    let sound = sound(&speech.join("en/jfk.wav"));
    for name in names.split(',') {
        let path = models.join(format!("ggml-{name}.bin"));
        if !path.exists() {
            println!("{name}: not in the store");
            continue;
        }
        let context = WhisperContext::new_with_params(&path, WhisperContextParameters::default()).expect("it loads");
        println!("{name}, threads: {threads}, milliseconds: median of {PASSES}");
        println!("window context  spectrogram   encoder   prompt  60 more    token   encoder GFLOP/s   of the peak");
        for seconds in WINDOWS {
            let samples: Vec<f32> = sound.iter().copied().cycle().take(seconds * 16_000).collect();
            row(&context, &samples, seconds, threads);
        }
    }
}

fn row(context: &WhisperContext, samples: &[f32], seconds: usize, threads: usize) {
    let positions = (seconds * 50 + PAD).clamp(LEAST, 1_500);
    let mut took = [const { Vec::new() }; 6];
    for _ in 0..PASSES {
        let mut state = context.create_state().expect("there is memory");
        prepare(&mut state, samples, positions);
        took[0].push(millis(|| state.pcm_to_mel(samples, threads).expect("it is long enough")));
        took[1].push(millis(|| state.encode(0, threads).expect("it encodes")));
        let prompt = [context.token_sot(), context.token_lang(0), context.token_transcribe(), context.token_not()];
        took[2].push(millis(|| state.decode(&prompt, 0, threads).expect("it reads")));
        took[3].push(
            millis(|| {
                for (token, past) in (0..8).zip(prompt.len()..) {
                    state.decode(&[token], past, threads).expect("it reads");
                }
            }) / 8.0,
        );
        took[4].push(peak(positions));
        let words: Vec<i32> = (0..60).collect();
        took[5].push(millis(|| state.decode(&words, prompt.len(), threads).expect("it reads")));
    }
    let [mel, encoder, prompt, token, peak, words] = took.map(median);
    let reached = gflop(context, positions) / encoder * 1e3;
    let share = reached / peak * 100.0;
    println!(
        "{seconds:4} s {positions:7} {mel:12.1} {encoder:9.1} {prompt:8.1} {words:8.1} {token:8.2} {reached:14.0} {share:13.0} % of {peak:.0}"
    );
}

/// `full` sets the length of the context, which the raw calls have no way to; a tenth of a second is not decoded.
fn prepare(state: &mut WhisperState, samples: &[f32], positions: usize) {
    let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    parameters.set_n_threads(1);
    parameters.set_print_progress(false);
    parameters.set_duration_ms(100);
    parameters.set_audio_ctx(i32::try_from(positions).expect("1500 at most"));
    state.full(parameters, samples).expect("it prepares");
}

/// Billions of floating-point operations that the encoder and the decoder's cross keys and values take.
fn gflop(context: &WhisperContext, positions: usize) -> f64 {
    let of = |size: i32| f64::from(size);
    let (n, d) = (positions as f64, of(context.model_n_audio_state()));
    let convolutions = 2.0 * 2.0 * n * of(context.model_n_mels()) * 3.0 * d + 2.0 * n * d * 3.0 * d;
    let layer = 8.0 * n * d * d + 16.0 * n * d * d + 4.0 * n * n * d;
    let cross = of(context.model_n_text_layer()) * 4.0 * n * d * of(context.model_n_text_state());
    (convolutions + of(context.model_n_audio_layer()) * layer + cross) / 1e9
}

/// Billions of operations a second of a product of two matrices of single precision: the encoder's widest.
fn peak(positions: usize) -> f64 {
    let (inner, width, times) = (512, 2_048, 4);
    let left = Array2::from_elem((positions, inner), 0.5_f32);
    let right = Array2::from_elem((inner, width), 0.25_f32);
    let took = millis(|| {
        for _ in 0..times {
            black_box(black_box(&left).dot(black_box(&right)));
        }
    });
    2.0 * (positions * inner * width * times) as f64 / 1e6 / took
}

fn sound(path: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(path).expect("the recording can be read");
    reader.samples::<i16>().map(|s| f32::from(s.expect("the recording is whole")) / 32_768.0).collect()
}

fn millis(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
