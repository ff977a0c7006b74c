//! Recorded sound as a recorder sends it, turned into the 16 kHz mono audio that detectors and the engine see.
//!
//! ```text
//! file (file) ─┐
//!              ├─> bytes of one or more channels ─> deinterleave ─> bytes of one channel ─> decode ─> f32 at its own rate
//! network ─────┘        (format)                      (format)                              (format)        │
//!                                                                                             level (level) ┤
//!                                                                        16 kHz mono f32 <─ Resampler (resample)
//! ```
//!
//! Everything but [`mod@file`] is free of IO. How a stream of bytes or samples is cut into pieces never changes what comes out:
//! decoding is sample by sample, and the resampler and the level meter work in steps of their own.

pub mod crosstalk;
pub mod file;
pub mod format;
mod g711;
pub mod health;
pub mod level;
pub mod likeness;
pub mod resample;

use std::{io, path::PathBuf};

use crate::domain::{
    audio::Encoding,
    fault::{Fault, FaultKind},
    time::{RateError, SampleRate},
};

/// Why audio cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The file could not be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file could not be read.
    #[error("cannot read the audio")]
    Read {
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is not one sample.
    #[error("no audio: there is not one sample")]
    Empty,
    /// The content is of no kind that is read.
    #[error(
        "not audio that can be read: WAV, RF64, FLAC, MP3, Ogg Vorbis or Ogg Opus is needed, this begins with {head}"
    )]
    NotAudio {
        /// The first bytes, in hexadecimal.
        head: String,
    },
    /// The bytes end inside a sample.
    #[error("{bytes} bytes are not a whole number of {encoding:?} samples: send whole samples")]
    PartialSample {
        /// The encoding.
        encoding: Encoding,
        /// How many bytes there are.
        bytes: u64,
    },
    /// The bytes end inside a frame (one sample of each channel).
    #[error("{bytes} bytes are not a whole number of frames of {frame_bytes} bytes: the audio ends inside a frame")]
    PartialFrame {
        /// How many bytes there are.
        bytes: u64,
        /// Bytes of a frame.
        frame_bytes: u64,
    },
    /// A sample is not a number or is infinite.
    #[error("sample {index} is not a finite number")]
    NotFinite {
        /// Which sample, counted from 0 at the beginning of the bytes handed over, or of the channel.
        index: u64,
    },
    /// A float sample so far beyond full scale that it is not written with full scale at 1.
    #[error("sample {index} is {value}: full scale of float samples is 1, at most {} is taken", format::MAX_FLOAT)]
    TooLoud {
        /// Which sample, counted likewise.
        index: u64,
        /// Its value.
        value: f32,
    },
    /// No channel or too many.
    #[error("{channels} channels: 1 to {} are served", format::MAX_CHANNELS)]
    Channels {
        /// How many there are.
        channels: u64,
    },
    /// A rate that is not served.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// The file's header ends early.
    #[error("the file ends inside its header ({part})")]
    HeaderCut {
        /// The part that is not whole.
        part: &'static str,
    },
    /// A chunk that every file of this kind has is missing.
    #[error("the file has no {chunk} chunk")]
    MissingChunk {
        /// The chunk's name.
        chunk: &'static str,
    },
    /// The header says there is more than there is.
    #[error("the header's {part} states {stated} bytes and {found} are there: the file is cut or its header is wrong")]
    Length {
        /// Which length: "data chunk", "RIFF size".
        part: &'static str,
        /// Bytes stated.
        stated: u64,
        /// Bytes found.
        found: u64,
    },
    /// Two lengths of a header contradict each other.
    #[error("the header contradicts itself: {frame_bytes} bytes a frame for {channels} channels of {bits} bits")]
    BlockAlign {
        /// Bytes a frame, as stated.
        frame_bytes: u16,
        /// Channels, as stated.
        channels: u16,
        /// Bits a sample, as stated.
        bits: u16,
    },
    /// A kind of sample that is not served.
    #[error(
        "WAV samples of format {tag:#06x} with {bits} bits are not read: PCM of 8, 16, 24 or 32 bits, float, mu-law or A-law is needed"
    )]
    SampleKind {
        /// WAVE format tag (the one inside, for the extensible format).
        tag: u16,
        /// Bits a sample.
        bits: u16,
    },
    /// A codec that is not served.
    #[error("the {container} file holds no track that can be read: {needed} is needed")]
    Codec {
        /// What holds it.
        container: &'static str,
        /// What is read from such a container.
        needed: &'static str,
    },
    /// An Opus file, and this build has no Opus.
    #[error("this build reads no Opus: build with the feature `whisper`, or convert the file to FLAC")]
    OpusNotBuilt,
    /// The decoder of a compressed file gave up.
    #[error("the file cannot be decoded")]
    Decoder {
        /// What the decoder says.
        #[source]
        source: symphonia::core::errors::Error,
    },
    /// A long stretch of a compressed file is damaged.
    #[error("{packets} packets in a row from frame {frame} on are damaged")]
    Damaged {
        /// How many.
        packets: u32,
        /// The frame where the damage begins.
        frame: u64,
    },
    /// Fewer frames came out of a compressed file than its header states.
    #[error("the header states {stated} frames and {found} are there: the file is cut or its header is wrong")]
    CutShort {
        /// Frames stated.
        stated: u64,
        /// Frames found.
        found: u64,
    },
    /// The rate or the number of channels changes within the file.
    #[error("rate or channels change at frame {frame}: split the file there")]
    FormatChanged {
        /// Where.
        frame: u64,
    },
    /// The resampler could not be made.
    #[error("no resampler for {rate}")]
    Resampler {
        /// The rate asked for.
        rate: SampleRate,
        /// What the resampler says.
        #[source]
        source: rubato::ResamplerConstructionError,
    },
}

impl AudioError {
    /// The same, of bytes that begin at sample `start`.
    #[must_use]
    pub fn at(self, start: u64) -> Self {
        match self {
            Self::NotFinite { index } => Self::NotFinite { index: start + index },
            Self::TooLoud { index, value } => Self::TooLoud { index: start + index, value },
            other => other,
        }
    }
}

impl Fault for AudioError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Open { source, .. } | Self::Read { source } => match source.kind() {
                io::ErrorKind::NotFound => FaultKind::NotFound,
                io::ErrorKind::PermissionDenied => FaultKind::Forbidden,
                // Whatever else a disk says is no fault of the audio.
                _ => FaultKind::Internal,
            },
            Self::OpusNotBuilt => FaultKind::Unimplemented,
            Self::Resampler { .. } => FaultKind::Internal,
            Self::Empty
            | Self::NotAudio { .. }
            | Self::PartialSample { .. }
            | Self::PartialFrame { .. }
            | Self::NotFinite { .. }
            | Self::TooLoud { .. }
            | Self::Channels { .. }
            | Self::Rate(_)
            | Self::HeaderCut { .. }
            | Self::MissingChunk { .. }
            | Self::Length { .. }
            | Self::BlockAlign { .. }
            | Self::SampleKind { .. }
            | Self::Codec { .. }
            | Self::Decoder { .. }
            | Self::Damaged { .. }
            | Self::CutShort { .. }
            | Self::FormatChanged { .. } => FaultKind::Invalid,
        }
    }
}
