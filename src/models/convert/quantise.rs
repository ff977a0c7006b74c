//! Numbers in and out of the formats that weights are stored in.
//!
//! The block formats are ggml's: 32 values share a scale. `q8_0` is `{ f16 d; i8 q[32] }` with value = d·q; `q5_1` is
//! `{ f16 d; f16 m; u32 high; u8 low[16] }` with value = d·q + m, where q has its low four bits in a nibble (the first 16
//! values in the low nibbles, the last 16 in the high ones) and its fifth bit in `high`. Roundings follow
//! `quantize_row_q8_0_ref` and `quantize_row_q5_1_ref` of ggml 0.9.5 to the bit.

use std::{fmt, str::FromStr};

use half::{bf16, f16, slice::HalfFloatSliceExt};
use serde::{Deserialize, Serialize};

use crate::models::convert::{
    ConvertError,
    names::{Role, TensorSpec},
};

/// Values that share one scale in a quantised matrix (ggml's `QK8_0` and `QK5_1`).
pub const BLOCK: usize = 32;

/// How the large matrices of a model are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Quantisation {
    /// 16-bit floats: what Whisper is published in.
    #[serde(rename = "f16")]
    F16,
    /// 8.5 bits a weight.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 6 bits a weight.
    #[serde(rename = "q5_1")]
    Q5_1,
}

/// A word that names no quantisation.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a quantisation: f16, q8_0 or q5_1")]
pub struct QuantisationError {
    text: String,
}

impl Quantisation {
    /// All of them, the largest first.
    pub const ALL: [Self; 3] = [Self::F16, Self::Q8_0, Self::Q5_1];

    /// Its name, as in file names and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q5_1 => "q5_1",
        }
    }

    /// The `ftype` field of a ggml file: `enum ggml_ftype`, plus 1000 × version 2 of the block formats for those.
    #[must_use]
    pub const fn file_type(self) -> i32 {
        match self {
            Self::F16 => 1,
            Self::Q8_0 => 2_007,
            Self::Q5_1 => 2_009,
        }
    }
}

impl fmt::Display for Quantisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Quantisation {
    type Err = QuantisationError;

    fn from_str(text: &str) -> Result<Self, QuantisationError> {
        Self::ALL
            .into_iter()
            .find(|q| q.name() == text)
            .ok_or_else(|| QuantisationError { text: text.chars().take(32).collect() })
    }
}

/// The format of one tensor of a ggml file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// Blocks of 34 bytes.
    Q8_0,
    /// Blocks of 24 bytes.
    Q5_1,
}

impl ElementType {
    /// The format in which whisper.cpp expects a tensor of this role.
    #[must_use]
    pub const fn of(role: Role, quantisation: Quantisation) -> Self {
        match (role, quantisation) {
            (Role::Single, _) => Self::F32,
            (Role::Convolution, _) | (Role::Matrix, Quantisation::F16) => Self::F16,
            (Role::Matrix, Quantisation::Q8_0) => Self::Q8_0,
            (Role::Matrix, Quantisation::Q5_1) => Self::Q5_1,
        }
    }

    /// Its number in `enum ggml_type`.
    #[must_use]
    pub const fn id(self) -> i32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q5_1 => 7,
            Self::Q8_0 => 8,
        }
    }

    /// Bytes of `elements` values in rows that divide into blocks.
    #[must_use]
    pub const fn bytes(self, elements: usize) -> usize {
        match self {
            Self::F32 => elements * 4,
            Self::F16 => elements * 2,
            Self::Q8_0 => elements / BLOCK * 34,
            Self::Q5_1 => elements / BLOCK * 24,
        }
    }

    const fn blocked(self) -> bool {
        match self {
            Self::F32 | Self::F16 => false,
            Self::Q8_0 | Self::Q5_1 => true,
        }
    }
}

/// `values` of the tensor `spec` in the format `element`, little endian.
///
/// # Errors
/// [`ConvertError::NotFinite`] for a value (or a block's scale) that is not finite in the format, and
/// [`ConvertError::Blocks`] for rows that do not divide into blocks.
pub fn encode(element: ElementType, spec: &TensorSpec, values: &[f32]) -> Result<Vec<u8>, ConvertError> {
    let refuse = |value| ConvertError::NotFinite { name: spec.name.clone(), value };
    if let Some(value) = values.iter().find(|v| !v.is_finite()) {
        return Err(refuse(*value));
    }
    if element.blocked() && !spec.row().is_multiple_of(BLOCK) {
        return Err(ConvertError::Blocks { name: spec.name.clone(), row: spec.row() });
    }
    let mut out = Vec::with_capacity(element.bytes(values.len()));
    match element {
        ElementType::F32 => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        ElementType::F16 => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            for (half, value) in halves.iter().zip(values) {
                if half.is_infinite() {
                    return Err(refuse(*value));
                }
                out.extend_from_slice(&half.to_le_bytes());
            }
        }
        ElementType::Q8_0 => {
            for block in values.as_chunks::<BLOCK>().0 {
                q8_0(block, &mut out).map_err(refuse)?;
            }
        }
        ElementType::Q5_1 => {
            for block in values.as_chunks::<BLOCK>().0 {
                q5_1(block, &mut out).map_err(refuse)?;
            }
        }
    }
    Ok(out)
}

#[expect(clippy::cast_possible_truncation, reason = "|value / scale| rounds to at most 127")]
fn q8_0(block: &[f32; BLOCK], out: &mut Vec<u8>) -> Result<(), f32> {
    let most = block.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let scale = most / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    out.extend_from_slice(&half(scale)?.to_le_bytes());
    for value in block {
        // A scale so small that its inverse is infinite gives 0 · ∞; such a block is all but zero, and `as` makes it so.
        out.extend_from_slice(&((value * inverse).round() as i8).to_le_bytes());
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "(value - least) / scale + 0.5 lies in 0.5..=31.5"
)]
fn q5_1(block: &[f32; BLOCK], out: &mut Vec<u8>) -> Result<(), f32> {
    // Comparisons, not `min` and `max`, which may give either of 0 and -0: the first of them wins, as in ggml.
    let least = block.iter().fold(f32::MAX, |l, v| if *v < l { *v } else { l });
    let most = block.iter().fold(-f32::MAX, |m, v| if *v > m { *v } else { m });
    let scale = (most - least) / 31.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    out.extend_from_slice(&half(scale)?.to_le_bytes());
    out.extend_from_slice(&half(least)?.to_le_bytes());
    let level = |value: f32| ((value - least) * inverse + 0.5) as u8;
    let (mut high, mut low) = (0_u32, [0_u8; BLOCK / 2]);
    for (j, nibbles) in low.iter_mut().enumerate() {
        let (first, second) = (level(block[j]), level(block[j + BLOCK / 2]));
        *nibbles = (first & 0x0f) | ((second & 0x0f) << 4);
        high |= u32::from((first & 0x10) >> 4) << j;
        high |= u32::from((second & 0x10) >> 4) << (j + BLOCK / 2);
    }
    out.extend_from_slice(&high.to_le_bytes());
    out.extend_from_slice(&low);
    Ok(())
}

fn half(value: f32) -> Result<f16, f32> {
    let half = f16::from_f32(value);
    if half.is_finite() { Ok(half) } else { Err(value) }
}

/// Little-endian f32 values.
pub(super) fn decode_f32(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Little-endian f16 values.
pub(super) fn decode_f16(bytes: &[u8]) -> Vec<f32> {
    let halves: Vec<f16> = bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect();
    let mut values = vec![0.0; halves.len()];
    halves.convert_to_f32_slice(&mut values);
    values
}

/// Little-endian bfloat16 values.
pub(super) fn decode_bf16(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
}

#[cfg(test)]
mod tests;
