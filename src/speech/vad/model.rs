//! The weights of the Silero network, read from a ggml file and laid out for [`super::network`].
//!
//! The file (little endian), as whisper.cpp's converter writes it and its `whisper_vad_init_with_params` reads it (1.8.3):
//! `u32` magic · `i32` length + name of the kind (`silero-16k`) · `i32` version x 3 · `i32` samples a frame · `i32` samples
//! of context · `i32` convolutions, each `i32` inputs, outputs, kernel · `i32` LSTM inputs, hidden · `i32` final inputs,
//! outputs; then tensors to the end: `i32` dimensions, name length, number format (0 f32, 1 f16), `i32` sizes innermost
//! first, name, data. No padding. One network is served, so every number must be the expected one.

use half::f16;

use super::matrix::Matrix;
use super::{FRAME, VadError};

/// Samples of the frame before that the network sees in front of a frame: the header's context, 4 ms.
pub const CONTEXT: usize = 64;
/// Samples of a spectrum's window.
pub(super) const WINDOW: usize = 256;
/// Samples from one spectrum to the next. The file does not say it (whisper.cpp uses the LSTM's input size, also 128):
/// half a window, as in the published network.
pub(super) const HOP: usize = 128;
/// Spectra of a frame.
pub(super) const SPECTRA: usize = 4;
/// Frequencies of a spectrum.
pub(super) const BINS: usize = WINDOW / 2 + 1;
/// Outputs of the four convolutions.
pub(super) const CONV: [usize; 4] = [128, 64, 64, 128];
/// Columns that each convolution leaves of the four spectra (strides 1, 2, 2, 1).
pub(super) const CONV_COLUMNS: [usize; 4] = [4, 2, 1, 1];
/// Length of the LSTM's memory, and of its input.
pub(super) const HIDDEN: usize = 128;
/// Taps of each convolution.
pub(super) const TAPS: usize = 3;

/// First four bytes of a ggml file, read as a little-endian number.
const MAGIC: u32 = 0x6767_6d6c;
/// The kind of network served.
const KIND: &[u8] = b"silero-16k";
/// Longest name a file may announce: the longest of [`TENSORS`] has 37 bytes.
const MAX_NAME: usize = 64;

/// What the header must say after its version, field by field.
const HEADER: [(&str, usize); 19] = [
    ("frame length", FRAME),
    ("context length", CONTEXT),
    ("convolutions", 4),
    ("inputs of convolution 0", BINS),
    ("outputs of convolution 0", CONV[0]),
    ("taps of convolution 0", TAPS),
    ("inputs of convolution 1", CONV[0]),
    ("outputs of convolution 1", CONV[1]),
    ("taps of convolution 1", TAPS),
    ("inputs of convolution 2", CONV[1]),
    ("outputs of convolution 2", CONV[2]),
    ("taps of convolution 2", TAPS),
    ("inputs of convolution 3", CONV[2]),
    ("outputs of convolution 3", CONV[3]),
    ("taps of convolution 3", TAPS),
    ("inputs of the LSTM", HIDDEN),
    ("memory of the LSTM", HIDDEN),
    ("inputs of the last layer", HIDDEN),
    ("outputs of the last layer", 1),
];

/// How a tensor's numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Single precision: ggml type 0.
    Single,
    /// Half precision: ggml type 1.
    Half,
}

/// Name, number format and sizes (innermost first) of a tensor.
struct Expected(&'static str, Format, &'static [usize]);

/// Every tensor of the network, in the order of the constants below.
const TENSORS: [Expected; 15] = [
    Expected("_model.stft.forward_basis_buffer", Format::Half, &[WINDOW, 1, 2 * BINS]),
    Expected("_model.encoder.0.reparam_conv.weight", Format::Half, &[TAPS, BINS, CONV[0]]),
    Expected("_model.encoder.0.reparam_conv.bias", Format::Single, &[CONV[0]]),
    Expected("_model.encoder.1.reparam_conv.weight", Format::Half, &[TAPS, CONV[0], CONV[1]]),
    Expected("_model.encoder.1.reparam_conv.bias", Format::Single, &[CONV[1]]),
    Expected("_model.encoder.2.reparam_conv.weight", Format::Half, &[TAPS, CONV[1], CONV[2]]),
    Expected("_model.encoder.2.reparam_conv.bias", Format::Single, &[CONV[2]]),
    Expected("_model.encoder.3.reparam_conv.weight", Format::Half, &[TAPS, CONV[2], CONV[3]]),
    Expected("_model.encoder.3.reparam_conv.bias", Format::Single, &[CONV[3]]),
    Expected("_model.decoder.rnn.weight_ih", Format::Single, &[HIDDEN, 4 * HIDDEN]),
    Expected("_model.decoder.rnn.weight_hh", Format::Single, &[HIDDEN, 4 * HIDDEN]),
    Expected("_model.decoder.rnn.bias_ih", Format::Single, &[4 * HIDDEN]),
    Expected("_model.decoder.rnn.bias_hh", Format::Single, &[4 * HIDDEN]),
    Expected("_model.decoder.decoder.2.weight", Format::Half, &[HIDDEN]),
    Expected("_model.decoder.decoder.2.bias", Format::Single, &[]),
];
const BASIS: usize = 0;
const CONV_WEIGHT: [usize; 4] = [1, 3, 5, 7];
const LSTM_INPUT: usize = 9;
const LSTM_MEMORY: usize = 10;
const LAST_WEIGHT: usize = 13;
const LAST_BIAS: usize = 14;

/// The taps of each convolution that ever meet something but padding: the third sees two columns at stride 2, the fourth
/// one column, so the outer taps only ever multiply zeros there.
pub(super) const USED_TAPS: [std::ops::Range<usize>; 4] = [0..3, 0..3, 1..3, 1..2];

/// The weights of the Silero speech detector for 16 kHz (versions 5 and 6 share the network), 1.2 MB, shared by all
/// streams through an `Arc`.
#[derive(Debug, Clone)]
pub struct SileroModel {
    /// [`WINDOW`] samples to the real, then the imaginary parts of [`BINS`] frequencies.
    pub(super) basis: Matrix,
    /// Inputs of convolution `i` are channel by channel, within a channel the taps of [`USED_TAPS`].
    pub(super) conv: [Matrix; 4],
    pub(super) conv_bias: [Vec<f32>; 4],
    /// Input, then memory, to the input, forget, cell and output gates.
    pub(super) lstm: Matrix,
    pub(super) lstm_bias: Vec<f32>,
    pub(super) last: Vec<f32>,
    pub(super) last_bias: f32,
}

impl SileroModel {
    /// Reads the network from the bytes of a ggml file (`ggml-silero-v6.2.0.bin` has 885 098). About 1 ms; allocates
    /// twice the size of the network, whatever the file announces.
    ///
    /// # Errors
    ///
    /// A [`VadError`] that says what is wrong: nothing in the file is trusted, and nothing is left unread.
    pub fn parse(bytes: &[u8]) -> Result<Self, VadError> {
        let mut reader = Reader { bytes, at: 0 };
        read_header(&mut reader)?;
        let mut found: [Option<Vec<f32>>; TENSORS.len()] = Default::default();
        while reader.at < bytes.len() {
            let (index, values) = read_tensor(&mut reader)?;
            if found[index].replace(values).is_some() {
                return Err(VadError::DuplicateTensor { name: TENSORS[index].0 });
            }
        }
        let mut tensors = Vec::with_capacity(TENSORS.len());
        for (values, expected) in found.into_iter().zip(&TENSORS) {
            tensors.push(values.ok_or(VadError::MissingTensor { name: expected.0 })?);
        }
        Ok(Self::from_tensors(&tensors))
    }

    /// `tensors` holds the values of every item of [`TENSORS`], in their order and lengths.
    fn from_tensors(tensors: &[Vec<f32>]) -> Self {
        let conv = |layer: usize| {
            let (weight, inputs, taps) = (&tensors[CONV_WEIGHT[layer]], conv_inputs(layer), &USED_TAPS[layer]);
            Matrix::from_fn(CONV[layer], inputs * taps.len(), |output, column| {
                let (input, tap) = (column / taps.len(), taps.start + column % taps.len());
                weight[(output * inputs + input) * TAPS + tap]
            })
        };
        let bias = |layer: usize| tensors[CONV_WEIGHT[layer] + 1].clone();
        Self {
            basis: Matrix::from_fn(2 * BINS, WINDOW, |part, sample| tensors[BASIS][part * WINDOW + sample]),
            conv: [conv(0), conv(1), conv(2), conv(3)],
            conv_bias: [bias(0), bias(1), bias(2), bias(3)],
            lstm: Matrix::from_fn(4 * HIDDEN, 2 * HIDDEN, |gate, column| {
                let half = if column < HIDDEN { LSTM_INPUT } else { LSTM_MEMORY };
                tensors[half][gate * HIDDEN + column % HIDDEN]
            }),
            // PyTorch keeps two biases of which only the sum matters.
            lstm_bias: tensors[LSTM_MEMORY + 1].iter().zip(&tensors[LSTM_MEMORY + 2]).map(|(a, b)| a + b).collect(),
            last: tensors[LAST_WEIGHT].clone(),
            last_bias: tensors[LAST_BIAS][0],
        }
    }
}

/// Inputs of convolution `layer`: the frequencies, then the outputs of the one before.
const fn conv_inputs(layer: usize) -> usize {
    if layer == 0 { BINS } else { CONV[layer - 1] }
}

fn read_header(reader: &mut Reader<'_>) -> Result<(), VadError> {
    let magic = reader.take(4, "magic").map_err(|_short| VadError::NotGgml)?;
    if magic != MAGIC.to_le_bytes() {
        return Err(VadError::NotGgml);
    }
    let length = reader.length("kind", MAX_NAME).ok_or(VadError::WrongKind)?;
    if reader.take(length, "kind")? != KIND {
        return Err(VadError::WrongKind);
    }
    let major = reader.number("version")?;
    if !(5..=6).contains(&major) {
        return Err(VadError::Unsupported { field: "version", found: major, expected: 6 });
    }
    reader.take(8, "version")?;
    for (field, expected) in HEADER {
        let found = reader.number("header")?;
        if usize::try_from(found) != Ok(expected) {
            return Err(VadError::Unsupported { field, found, expected });
        }
    }
    Ok(())
}

/// The next tensor: its place in [`TENSORS`] and its values.
fn read_tensor(reader: &mut Reader<'_>) -> Result<(usize, Vec<f32>), VadError> {
    const INSIDE: &str = "tensors";
    let start = reader.at;
    let unknown = || VadError::UnknownTensor { at: start };
    let dimensions = reader.length(INSIDE, 3).ok_or_else(unknown)?;
    let name_length = reader.length(INSIDE, MAX_NAME).ok_or_else(unknown)?;
    let format = reader.number(INSIDE)?;
    let mut sizes = [0; 3];
    for size in &mut sizes[..dimensions] {
        *size = reader.number(INSIDE)?;
    }
    let name = reader.take(name_length, INSIDE)?;
    let index = TENSORS.iter().position(|tensor| tensor.0.as_bytes() == name).ok_or_else(unknown)?;
    let Expected(name, expected_format, expected_sizes) = &TENSORS[index];
    let format_fits = match expected_format {
        Format::Single => format == 0,
        Format::Half => format == 1,
    };
    let sizes_fit = sizes[..dimensions]
        .iter()
        .map(|size| usize::try_from(*size).ok())
        .eq(expected_sizes.iter().map(|size| Some(*size)));
    if !(format_fits && sizes_fit) {
        return Err(VadError::WrongShape { name });
    }
    let values = read_values(reader, *expected_format, expected_sizes.iter().product())?;
    if values.iter().all(|value| value.is_finite()) { Ok((index, values)) } else { Err(VadError::NotFinite { name }) }
}

fn read_values(reader: &mut Reader<'_>, format: Format, count: usize) -> Result<Vec<f32>, VadError> {
    const INSIDE: &str = "weights";
    Ok(match format {
        Format::Single => {
            let (values, _) = reader.take(count * 4, INSIDE)?.as_chunks::<4>();
            values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }
        Format::Half => {
            let (values, _) = reader.take(count * 2, INSIDE)?.as_chunks::<2>();
            values.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
        }
    })
}

/// Reads on in a file whose lengths are not trusted.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, inside: &'static str) -> Result<&'a [u8], VadError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or(VadError::Truncated { at: self.at, inside })?;
        self.at += count;
        Ok(taken)
    }

    fn number(&mut self, inside: &'static str) -> Result<i32, VadError> {
        let (bytes, _) = self.take(4, inside)?.as_chunks::<4>();
        Ok(bytes.first().map_or(0, |bytes| i32::from_le_bytes(*bytes)))
    }

    /// A number from 0 to `most`, else nothing.
    fn length(&mut self, inside: &'static str, most: usize) -> Option<usize> {
        self.number(inside).ok().and_then(|number| usize::try_from(number).ok()).filter(|length| *length <= most)
    }
}

#[cfg(test)]
mod tests;
