//! How a recorder's samples are written.

use serde::{Deserialize, Serialize};

use super::time::SampleRate;

/// How one sample is written, little-endian where it has more than one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Signed 16-bit integer.
    PcmS16Le,
    /// Signed 24-bit integer in three bytes.
    PcmS24Le,
    /// IEEE 754 single precision, full scale at -1 and 1.
    PcmF32Le,
    /// ITU-T G.711 mu-law, one byte.
    MuLaw,
    /// ITU-T G.711 A-law, one byte.
    ALaw,
}

impl Encoding {
    /// Every encoding served.
    pub const ALL: [Self; 5] = [Self::PcmS16Le, Self::PcmS24Le, Self::PcmF32Le, Self::MuLaw, Self::ALaw];

    /// Bytes a sample takes.
    #[must_use]
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::PcmS16Le => 2,
            Self::PcmS24Le => 3,
            Self::PcmF32Le => 4,
            Self::MuLaw | Self::ALaw => 1,
        }
    }
}

/// The format of one channel's samples: what the recorder sends and the journal keeps bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AudioFormat {
    /// How a sample is written.
    pub encoding: Encoding,
    /// Samples a second.
    pub rate: SampleRate,
}
