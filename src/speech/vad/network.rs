//! The Silero network's forward pass over one channel, frame by frame.
//!
//! Short-time spectrum (256 samples, every 128), four convolutions over its magnitudes, an LSTM, one output. The shapes
//! follow the published network (snakers4/silero-vad) and whisper.cpp's `whisper_vad_build_graph`; the LSTM's memory
//! is kept from frame to frame, which whisper.cpp 1.8.3 clears at each call.

use std::sync::Arc;

use super::model::{BINS, CONTEXT, CONV, CONV_COLUMNS, HIDDEN, HOP, SPECTRA, SileroModel, TAPS, USED_TAPS, WINDOW};
use super::{FRAME, SpeechDetector};
use crate::domain::probability::Probability;

/// What the network sees in front of a frame. Behind it, both ways, stand the frame's own last samples mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lead {
    /// The last [`CONTEXT`] samples of the frame before (zeros at the start): what the network was trained with and its
    /// published ONNX wrapper does. The only choice for real use.
    #[default]
    Previous,
    /// The frame's own first samples mirrored: what whisper.cpp 1.8.3 does. Kept to compare with it; its probabilities
    /// differ from the published network's by up to 0.4 at the edges of speech.
    Mirrored,
}

/// Largest sample let through, 18 dB over full scale: decoders of lossy formats overshoot, and clipping them at 1 moved
/// single probabilities by 0.25; what lies beyond is a broken sender.
const LARGEST: f32 = 8.0;
/// Samples the network sees of a frame: the lead, the frame, the mirrored end.
const SEEN: usize = CONTEXT + FRAME + CONTEXT;
/// Longest input of a convolution: every used tap of every channel of its input.
const LONGEST: usize = BINS * TAPS;

/// The network's memory of one channel. About 12 kB beside the shared model; no allocation once made.
#[derive(Debug, Clone)]
pub struct SileroStream {
    model: Arc<SileroModel>,
    lead: Lead,
    previous: [f32; CONTEXT],
    /// The LSTM's input, then its output of the frame before.
    lstm_input: [[f32; 1]; 2 * HIDDEN],
    cell: [f32; HIDDEN],
    scratch: Box<Scratch>,
}

/// Room for what lies between the layers.
#[derive(Debug, Clone)]
struct Scratch {
    windows: [[f32; SPECTRA]; WINDOW],
    spectrum: [[f32; SPECTRA]; 2 * BINS],
    taps4: [[f32; 4]; LONGEST],
    out4: [[f32; 4]; CONV[0]],
    taps2: [[f32; 2]; CONV[0] * TAPS],
    out2: [[f32; 2]; CONV[1]],
    taps1: [[f32; 1]; CONV[1] * TAPS],
    out1: [[f32; 1]; CONV[2]],
    gates: [[f32; 1]; 4 * HIDDEN],
}

impl SileroStream {
    /// A stream that has heard nothing.
    #[must_use]
    pub fn new(model: Arc<SileroModel>) -> Self {
        Self::with_lead(model, Lead::Previous)
    }

    /// A stream that has heard nothing and sees `lead` in front of each frame.
    #[must_use]
    pub fn with_lead(model: Arc<SileroModel>, lead: Lead) -> Self {
        let scratch = Box::new(Scratch {
            windows: [[0.0; SPECTRA]; WINDOW],
            spectrum: [[0.0; SPECTRA]; 2 * BINS],
            taps4: [[0.0; 4]; LONGEST],
            out4: [[0.0; 4]; CONV[0]],
            taps2: [[0.0; 2]; CONV[0] * TAPS],
            out2: [[0.0; 2]; CONV[1]],
            taps1: [[0.0; 1]; CONV[1] * TAPS],
            out1: [[0.0; 1]; CONV[2]],
            gates: [[0.0; 1]; 4 * HIDDEN],
        });
        Self { model, lead, previous: [0.0; CONTEXT], lstm_input: [[0.0; 1]; 2 * HIDDEN], cell: [0.0; HIDDEN], scratch }
    }

    /// As [`SpeechDetector::push`], with the frame *and what stands before it* multiplied by `gain` (finite, not
    /// negative): a gain that changes from frame to frame then leaves no step inside what the network sees.
    pub fn push_with_gain(&mut self, frame: &[f32; FRAME], gain: f32) -> Probability {
        let seen = self.see(frame, gain);
        self.spectra(&seen);
        self.encode();
        self.remember();
        let model = &self.model;
        let output = self.lstm_input[HIDDEN..].iter().zip(&model.last).map(|([h], weight)| h.max(0.0) * weight);
        Probability::clamped(sigmoid(output.sum::<f32>() + model.last_bias))
    }

    /// What the network sees of `frame`. Bounded samples keep every later number finite, so that one broken frame
    /// cannot poison the memory of a whole hearing.
    fn see(&mut self, frame: &[f32; FRAME], gain: f32) -> [f32; SEEN] {
        let mut clean = [0.0; FRAME];
        for (clean, sample) in clean.iter_mut().zip(frame) {
            *clean = bounded(*sample);
        }
        let mut seen = [0.0; SEEN];
        match self.lead {
            Lead::Previous => seen[..CONTEXT].copy_from_slice(&self.previous),
            Lead::Mirrored => mirror(&mut seen[..CONTEXT], &clean[1..=CONTEXT]),
        }
        seen[CONTEXT..CONTEXT + FRAME].copy_from_slice(&clean);
        mirror(&mut seen[CONTEXT + FRAME..], &clean[FRAME - 1 - CONTEXT..FRAME - 1]);
        for sample in &mut seen {
            *sample = (*sample * gain).clamp(-LARGEST, LARGEST);
        }
        self.previous.copy_from_slice(&clean[FRAME - CONTEXT..]);
        seen
    }

    /// Magnitudes of the four spectra, laid out as the first convolution's input.
    fn spectra(&mut self, seen: &[f32; SEEN]) {
        let Scratch { windows, spectrum, taps4, .. } = &mut *self.scratch;
        for (at, columns) in windows.iter_mut().enumerate() {
            for (column, value) in columns.iter_mut().enumerate() {
                *value = seen[column * HOP + at];
            }
        }
        self.model.basis.multiply(windows, &[0.0; 2 * BINS], spectrum);
        let (real, imaginary) = spectrum.split_at_mut(BINS);
        for (real, imaginary) in real.iter_mut().zip(imaginary) {
            for (real, imaginary) in real.iter_mut().zip(imaginary) {
                *real = (*real * *real + *imaginary * *imaginary).sqrt();
            }
        }
        spread(real, 1, &USED_TAPS[0], taps4);
    }

    /// The four convolutions; leaves the LSTM's input in its place.
    fn encode(&mut self) {
        let Scratch { taps4, out4, taps2, out2, taps1, out1, .. } = &mut *self.scratch;
        let SileroModel { conv, conv_bias, .. } = &*self.model;
        conv[0].multiply(taps4, &conv_bias[0], out4);
        rectify(out4);
        const { assert!(CONV_COLUMNS[1] == 2 && CONV_COLUMNS[2] == 1 && CONV_COLUMNS[3] == 1) };
        spread(out4, 2, &USED_TAPS[1], taps2);
        conv[1].multiply(taps2, &conv_bias[1], out2);
        rectify(out2);
        let taps = &mut taps1[..CONV[1] * USED_TAPS[2].len()];
        spread(out2, 2, &USED_TAPS[2], taps);
        conv[2].multiply(taps, &conv_bias[2], out1);
        rectify(out1);
        let encoded = &mut self.lstm_input[..HIDDEN];
        // One column and one used tap: the third's output is the fourth's input as it lies.
        conv[3].multiply(out1, &conv_bias[3], encoded);
        rectify(encoded);
    }

    /// One step of the LSTM (Hochreiter and Schmidhuber 1997, `PyTorch`'s order of gates: input, forget, cell, output).
    fn remember(&mut self) {
        let gates = &mut self.scratch.gates;
        self.model.lstm.multiply(&self.lstm_input, &self.model.lstm_bias, gates);
        for at in 0..HIDDEN {
            let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| gates[gate * HIDDEN + at][0]);
            let cell = sigmoid(forget) * self.cell[at] + sigmoid(input) * new.tanh();
            self.cell[at] = cell;
            self.lstm_input[HIDDEN + at] = [sigmoid(output) * cell.tanh()];
        }
    }
}

impl SpeechDetector for SileroStream {
    fn push(&mut self, frame: &[f32; FRAME]) -> Probability {
        self.push_with_gain(frame, 1.0)
    }

    fn reset(&mut self) {
        self.previous = [0.0; CONTEXT];
        self.lstm_input = [[0.0; 1]; 2 * HIDDEN];
        self.cell = [0.0; HIDDEN];
    }
}

/// `sample`, or the nearest that does no harm: NaN is silence.
pub(super) fn bounded(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-LARGEST, LARGEST) }
}

/// Copies `from` backwards: the mirror stands right after (or before) it, and does not repeat the sample it stands at.
fn mirror(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from.iter().rev()) {
        *to = *from;
    }
}

/// Lays out, channel by channel, what each tap of a convolution sees in each of its `TO` columns: tap `k` of column `t`
/// sees column `t * stride + k - 1` of `from`, or zero outside.
fn spread<const FROM: usize, const TO: usize>(
    from: &[[f32; FROM]],
    stride: usize,
    taps: &std::ops::Range<usize>,
    to: &mut [[f32; TO]],
) {
    for (channel, to) in from.iter().zip(to.chunks_exact_mut(taps.len())) {
        for (tap, to) in taps.clone().zip(to) {
            for (column, to) in to.iter_mut().enumerate() {
                let seen = (column * stride + tap).checked_sub(1);
                *to = seen.and_then(|at| channel.get(at)).copied().unwrap_or(0.0);
            }
        }
    }
}

fn rectify<const T: usize>(values: &mut [[f32; T]]) {
    for value in values.as_flattened_mut() {
        *value = value.max(0.0);
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
