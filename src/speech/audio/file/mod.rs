//! Audio files, read as a network stream would come: blocks of interleaved bytes in one of the served encodings.
//!
//! What kind of file it is follows from its content, never from its name. WAV (also RF64, BW64 and the extensible format)
//! goes through the walker in `riff`, which checks every length; samples in a served encoding pass bit for bit. FLAC, MP3,
//! Ogg Vorbis and Ogg Opus go through symphonia, Opus with libopus. Nothing is held in memory but one block.
//!
//! | in the file | handed on as |
//! |---|---|
//! | WAV 16 and 24 bit, 32-bit float, mu-law, A-law | the same bytes |
//! | WAV 8 bit | [`Encoding::PcmS16Le`], exactly |
//! | WAV 32 bit, 64-bit float | [`Encoding::PcmF32Le`], rounded to 24 significant bits (24 bits in 32: exactly) |
//! | FLAC up to 16 bit, up to 24 bit | [`Encoding::PcmS16Le`], [`Encoding::PcmS24Le`], exactly |
//! | MP3, Vorbis, Opus | [`Encoding::PcmF32Le`] |

mod compressed;
mod media_source;
mod riff;

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use self::{compressed::CompressedReader, riff::WaveReader};
use super::{AudioError, format::ChannelCount};
use crate::domain::{audio::Encoding, time::SampleRate};

/// What a file is read from.
pub trait Source: Read + Seek + Send + Sync {}

impl<T: Read + Seek + Send + Sync> Source for T {}

/// Something about a file that its reader overcame and a person may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The header gives no length, as streaming writers leave it; the audio was taken to reach to the end of the file.
    LengthUnknown,
    /// The RIFF size is not that of the file; the data chunk is whole.
    RiffSize {
        /// Bytes stated.
        stated: u64,
        /// Bytes found.
        found: u64,
    },
    /// A part is damaged or missing; silence stands in its place, so that nothing after it moves.
    Hole {
        /// The first frame of the silence.
        frame: u64,
        /// How many frames.
        frames: u64,
    },
    /// An MP3 header's length is a little off: the encoder's doing, or damaged frames that were passed over.
    Frames {
        /// Frames stated.
        stated: u64,
        /// Frames found.
        found: u64,
    },
    /// An Ogg stream ends without its end mark: a recording that was broken off, or the rest is missing.
    NoEndMark,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthUnknown => f.write_str("the header gives no length: read to the end of the file"),
            Self::RiffSize { stated, found } => {
                write!(f, "the RIFF size is {stated} bytes and the file's {found}: the audio itself is whole")
            }
            Self::Hole { frame, frames } => {
                write!(f, "{frames} frames from frame {frame} on are damaged or missing: silence stands in their place")
            }
            Self::Frames { stated, found } => {
                write!(f, "the header states {stated} frames and {found} are there: times may be off by the difference")
            }
            Self::NoEndMark => f.write_str("the Ogg stream has no end mark: it may have been cut off"),
        }
    }
}

/// A stretch of a file: at most one second, whole frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The frame (one sample of each channel) it begins with, counted from the start of the audio.
    pub first_frame: u64,
    /// Interleaved samples in the file's [`AudioFile::encoding`].
    pub bytes: Vec<u8>,
}

/// How a file's samples are handed on, and how many there are.
#[derive(Clone, Copy, Debug)]
struct Shape {
    encoding: Encoding,
    rate: SampleRate,
    channels: ChannelCount,
    frames: Option<u64>,
}

impl Shape {
    const fn frame_bytes(&self) -> usize {
        self.encoding.bytes_per_sample() * self.channels.get()
    }

    /// Frames of a block: one second.
    fn block_frames(&self) -> usize {
        usize::try_from(self.rate.hz()).expect("at most 192,000 fits")
    }
}

/// An open audio file.
#[derive(Debug)]
pub struct AudioFile {
    shape: Shape,
    reader: Reader,
    next_frame: u64,
}

#[derive(Debug)]
enum Reader {
    Wave(WaveReader),
    Compressed(CompressedReader),
}

impl AudioFile {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// [`AudioError::Open`], and those of [`AudioFile::from_reader`].
    pub fn open(path: &Path) -> Result<Self, AudioError> {
        let file = File::open(path).map_err(|source| AudioError::Open { path: path.to_owned(), source })?;
        Self::from_reader(file)
    }

    /// Reads the header of the file behind `source`, from its beginning.
    ///
    /// # Errors
    /// [`AudioError::NotAudio`], [`AudioError::Empty`], an error that says what is wrong with the header, or
    /// [`AudioError::Read`].
    pub fn from_reader(source: impl Source + 'static) -> Result<Self, AudioError> {
        let mut source: Box<dyn Source> = Box::new(source);
        let kind = Kind::of(&mut source)?;
        let (shape, reader) = match kind {
            Kind::Wave => {
                let (shape, reader) = WaveReader::open(source)?;
                (shape, Reader::Wave(reader))
            }
            Kind::Flac | Kind::Mp3 | Kind::Ogg => {
                let (shape, reader) = CompressedReader::open(source, kind)?;
                (shape, Reader::Compressed(reader))
            }
        };
        Ok(Self { shape, reader, next_frame: 0 })
    }

    /// How the bytes of a [`Block`] are written.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.shape.encoding
    }

    /// Frames a second.
    #[must_use]
    pub const fn rate(&self) -> SampleRate {
        self.shape.rate
    }

    /// How many channels, 1 to 16.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.shape.channels.get()
    }

    /// How many frames (samples of each channel) there are, where the header knows: exact for WAV and FLAC, an estimate
    /// for MP3 without a Xing header, the first link's for chained Ogg.
    #[must_use]
    pub const fn frames(&self) -> Option<u64> {
        self.shape.frames
    }

    /// What was odd about the file so far; complete once [`AudioFile::next_block`] has returned `None`.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        match &self.reader {
            Reader::Wave(reader) => reader.notes(),
            Reader::Compressed(reader) => reader.notes(),
        }
    }

    /// The next block, or `None` after the last. Blocks follow each other without gaps.
    ///
    /// # Errors
    /// [`AudioError::Read`]; for compressed files [`AudioError::Decoder`], [`AudioError::Damaged`],
    /// [`AudioError::FormatChanged`], and after the last block [`AudioError::CutShort`] or [`AudioError::Empty`].
    pub fn next_block(&mut self) -> Result<Option<Block>, AudioError> {
        let bytes = match &mut self.reader {
            Reader::Wave(reader) => reader.next(&self.shape)?,
            Reader::Compressed(reader) => reader.next(&self.shape)?,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let first_frame = self.next_frame;
        self.next_frame += (bytes.len() / self.shape.frame_bytes()) as u64;
        Ok(Some(Block { first_frame, bytes }))
    }
}

/// What the first bytes say a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Wave,
    Flac,
    Mp3,
    Ogg,
}

impl Kind {
    /// Looks at the first bytes, after `ID3v2` tags (which some programs put before any kind of file), and goes back.
    fn of(source: &mut dyn Source) -> Result<Self, AudioError> {
        let mut start = 0;
        let mut head = read_head(source, start)?;
        if head.is_empty() {
            return Err(AudioError::Empty);
        }
        // Tags can follow one another; a handful is plenty, and a file of nothing but tags must end.
        for _ in 0..8 {
            let Some(tag) = id3v2_bytes(&head) else { break };
            start += tag;
            head = read_head(source, start)?;
        }
        source.seek(SeekFrom::Start(0)).map_err(read_error)?;
        match head.as_slice() {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..]
            | [b'R', b'F', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..]
            | [b'B', b'W', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..]
                if start == 0 =>
            {
                Ok(Self::Wave)
            }
            [b'R', b'I' | b'F', b'F' | b'6', b'F' | b'4', rest @ ..] if rest.len() < 8 => {
                Err(AudioError::HeaderCut { part: "RIFF header" })
            }
            [b'f', b'L', b'a', b'C', ..] => Ok(Self::Flac),
            [b'O', b'g', b'g', b'S', ..] => Ok(Self::Ogg),
            [a, b, c, _, ..] if is_layer_3_header([*a, *b, *c]) => Ok(Self::Mp3),
            _ => Err(AudioError::NotAudio { head: hex::encode(&head[..head.len().min(8)]) }),
        }
    }
}

/// Up to 12 bytes from `at`; fewer where the file ends.
fn read_head(source: &mut dyn Source, at: u64) -> Result<Vec<u8>, AudioError> {
    source.seek(SeekFrom::Start(at)).map_err(read_error)?;
    let mut head = Vec::new();
    source.take(12).read_to_end(&mut head).map_err(read_error)?;
    Ok(head)
}

/// Length of the `ID3v2` tag that `head` begins with, header and footer included (ID3v2.4.0 structure, section 3.1: four
/// bytes of seven bits; flag 0x10 announces a footer).
fn id3v2_bytes(head: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', _, _, flags, size @ ..] = head else { return None };
    let size = size.first_chunk::<4>()?.iter().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
    Some(size + if flags & 0x10 == 0 { 10 } else { 20 })
}

/// The first bytes of an MPEG audio frame of layer III with a possible bit rate and sampling rate (ISO/IEC 11172-3, 2.4.1.3).
const fn is_layer_3_header([sync, version, rates]: [u8; 3]) -> bool {
    let reserved_version = version & 0x18 == 0x08;
    let layer_3 = version & 0x06 == 0x02;
    let bit_rate = rates >> 4;
    sync == 0xff
        && version & 0xe0 == 0xe0
        && !reserved_version
        && layer_3
        && bit_rate != 0
        && bit_rate != 15
        && rates & 0x0c != 0x0c
}

const fn read_error(source: io::Error) -> AudioError {
    AudioError::Read { source }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "the tests' own small numbers")]
mod tests;
