//! WAV in all the forms that recorders write: RIFF, RF64 and BW64; plain and extensible; every length checked.
//!
//! Sources: Microsoft "Multiple channel audio data and WAVE files" (the extensible format); EBU Tech 3306 and ITU-R
//! BS.2088 (RF64, BW64 and the ds64 chunk); RFC 2361 (format tags). The samples are handed on as bytes, so a reader that
//! decodes them (hound) would only be in the way.

use std::{
    fmt,
    io::{BufReader, Read, Seek, SeekFrom},
};

use super::{Note, Shape, Source, read_error};
use crate::{
    domain::{audio::Encoding, time::SampleRate},
    speech::audio::{AudioError, format::ChannelCount},
};

/// Written by RF64 where the true size stands in ds64, and by writers that cannot go back where there is none.
const SIZE_ELSEWHERE: u32 = u32::MAX;

/// Written by `SoX` as the data size where it cannot go back (`wav.c`).
const SIZE_UNKNOWN_SOX: u32 = 0x7fff_f000;

/// By how much a RIFF size may exceed the file before the file counts as cut: writers forget to take off the eight bytes
/// of the chunk's own header, or count a padding byte that they do not write.
const RIFF_SLACK: u64 = 9;

/// The samples of a WAV file.
pub(super) struct WaveReader {
    source: BufReader<Box<dyn Source>>,
    layout: Layout,
    /// Bytes of samples not read yet.
    left: u64,
    notes: Vec<Note>,
}

impl fmt::Debug for WaveReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaveReader")
            .field("layout", &self.layout)
            .field("left", &self.left)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

impl WaveReader {
    /// Reads the header and stops at the first sample.
    pub(super) fn open(mut source: Box<dyn Source>) -> Result<(Shape, Self), AudioError> {
        let length = source.seek(SeekFrom::End(0)).map_err(read_error)?;
        source.seek(SeekFrom::Start(0)).map_err(read_error)?;
        let mut walker = Walker { source: BufReader::new(source), at: 0, length };
        let header = walker.header()?;
        let (left, notes) = header.samples(length)?;
        let Format { layout, rate, channels } = header.format;
        let frame_bytes = (layout.bytes() * channels.get()) as u64;
        if !left.is_multiple_of(frame_bytes) {
            return Err(AudioError::PartialFrame { bytes: left, frame_bytes });
        }
        let shape = Shape { encoding: layout.encoding(), rate, channels, frames: Some(left / frame_bytes) };
        Ok((shape, Self { source: walker.source, layout, left, notes }))
    }

    pub(super) fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The next second, in the shape's encoding.
    pub(super) fn next(&mut self, shape: &Shape) -> Result<Option<Vec<u8>>, AudioError> {
        let second = (shape.block_frames() * shape.channels.get() * self.layout.bytes()) as u64;
        let size = self.left.min(second);
        if size == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(size).expect("one second of 16 channels fits")];
        self.source.read_exact(&mut bytes).map_err(read_error)?;
        self.left -= size;
        Ok(Some(self.layout.convert(bytes)))
    }
}

/// How samples lie in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// As they are handed on.
    Served(Encoding),
    /// Unsigned 8 bit.
    U8,
    /// Signed 32 bit.
    S32,
    /// Double precision.
    F64,
}

impl Layout {
    /// From the WAVE format tag and the bits of the container (RFC 2361; 1 PCM, 3 IEEE float, 6 A-law, 7 mu-law).
    fn of(tag: u16, bits: u16) -> Result<Self, AudioError> {
        match (tag, bits.div_ceil(8)) {
            (1, 1) => Ok(Self::U8),
            (1, 2) => Ok(Self::Served(Encoding::PcmS16Le)),
            (1, 3) => Ok(Self::Served(Encoding::PcmS24Le)),
            (1, 4) => Ok(Self::S32),
            (3, 4) => Ok(Self::Served(Encoding::PcmF32Le)),
            (3, 8) => Ok(Self::F64),
            (6, 1) => Ok(Self::Served(Encoding::ALaw)),
            (7, 1) => Ok(Self::Served(Encoding::MuLaw)),
            _ => Err(AudioError::SampleKind { tag, bits }), // any other codec or width
        }
    }

    const fn encoding(self) -> Encoding {
        match self {
            Self::Served(encoding) => encoding,
            Self::U8 => Encoding::PcmS16Le,
            Self::S32 | Self::F64 => Encoding::PcmF32Le,
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Served(encoding) => encoding.bytes_per_sample(),
            Self::U8 => 1,
            Self::S32 => 4,
            Self::F64 => 8,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is what is meant")]
    fn convert(self, bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Served(_) => bytes,
            // 128 is the middle; the eight bits become the upper ones.
            Self::U8 => bytes.iter().flat_map(|b| [0, b ^ 0x80]).collect(),
            Self::S32 => {
                let value = |b: &[u8; 4]| f64::from(i32::from_le_bytes(*b)) / 2_147_483_648.0;
                bytes.as_chunks().0.iter().flat_map(|b| (value(b) as f32).to_le_bytes()).collect()
            }
            Self::F64 => {
                bytes.as_chunks().0.iter().flat_map(|b| (f64::from_le_bytes(*b) as f32).to_le_bytes()).collect()
            }
        }
    }
}

/// What a fmt chunk says.
#[derive(Clone, Copy, Debug)]
struct Format {
    layout: Layout,
    rate: SampleRate,
    channels: ChannelCount,
}

impl Format {
    /// The last 14 bytes of the GUID of a subformat that is a format tag.
    const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

    fn parse(chunk: &[u8]) -> Result<Self, AudioError> {
        let cut = AudioError::HeaderCut { part: "fmt chunk" };
        let Some(plain) = chunk.first_chunk::<16>() else { return Err(cut) };
        let field = |at: usize| u16::from_le_bytes([plain[at], plain[at + 1]]);
        let (mut tag, count, frame_bytes, bits) = (field(0), field(2), field(12), field(14));
        let channels = ChannelCount::try_from(u64::from(count))?;
        let rate = SampleRate::try_from(u32::from_le_bytes([plain[4], plain[5], plain[6], plain[7]]))?;
        if tag == 0xfffe {
            let Some(guid) = chunk.get(24..40) else { return Err(cut) };
            if guid[2..] != Self::GUID_TAIL {
                return Err(AudioError::SampleKind { tag, bits });
            }
            tag = u16::from_le_bytes([guid[0], guid[1]]);
        }
        let layout = Layout::of(tag, bits)?;
        if usize::from(frame_bytes) != layout.bytes() * channels.get() {
            return Err(AudioError::BlockAlign { frame_bytes, channels: count, bits });
        }
        Ok(Self { layout, rate, channels })
    }
}

/// Where the samples are and what the header says of lengths.
#[derive(Debug)]
struct Header {
    format: Format,
    /// Of the RIFF chunk, `None` where unknown.
    riff_size: Option<u64>,
    /// First byte of the samples.
    start: u64,
    /// Of the data chunk, `None` where unknown.
    data_size: Option<u64>,
}

impl Header {
    /// Bytes of samples, and what is odd about the lengths of a file of `length` bytes.
    fn samples(&self, length: u64) -> Result<(u64, Vec<Note>), AudioError> {
        let there = length - self.start;
        let riff_there = length - 8;
        // A writer that died before it filled in its header leaves a data size of 0, with samples behind it. A whole file
        // with 0 samples may have other chunks there, and its RIFF size is right.
        let unfilled = self.data_size == Some(0) && self.riff_size.is_none_or(|size| size < riff_there);
        let stated = if unfilled { None } else { self.data_size };
        let mut notes = vec![];
        let bytes = match stated {
            None => {
                notes.push(Note::LengthUnknown);
                there
            }
            Some(stated) if stated > there => {
                return Err(AudioError::Length { part: "data chunk", stated, found: there });
            }
            Some(stated) => stated,
        };
        if bytes == 0 {
            return Err(AudioError::Empty);
        }
        match self.riff_size {
            Some(stated) if stated > riff_there + RIFF_SLACK => {
                return Err(AudioError::Length { part: "RIFF size", stated, found: riff_there });
            }
            Some(stated) if stated != riff_there && notes.is_empty() => {
                notes.push(Note::RiffSize { stated, found: riff_there });
            }
            Some(_) | None => {}
        }
        Ok((bytes, notes))
    }
}

/// True sizes of an RF64 or BW64 file.
#[derive(Clone, Copy, Debug)]
struct Sizes64 {
    riff: u64,
    data: u64,
}

/// Goes from chunk to chunk.
struct Walker {
    source: BufReader<Box<dyn Source>>,
    at: u64,
    length: u64,
}

impl Walker {
    /// Longest fmt chunk that is read: the extensible one has 40 bytes, compressed formats add a few hundred.
    const FMT_BYTES: u64 = 4_096;

    fn header(&mut self) -> Result<Header, AudioError> {
        let riff = self.take::<12>("RIFF header")?;
        let is_64 = &riff[..4] != b"RIFF";
        let riff_size = u32::from_le_bytes([riff[4], riff[5], riff[6], riff[7]]);
        let (mut sizes, mut format) = (None, None);
        while self.at + 8 <= self.length {
            let [a, b, c, d, size @ ..] = self.take::<8>("chunk header")?;
            let size = u32::from_le_bytes(size);
            match &[a, b, c, d] {
                b"ds64" if is_64 => sizes = Some(self.sizes_64(size)?),
                b"fmt " => {
                    let chunk = self.chunk(u64::from(size).min(Self::FMT_BYTES), "fmt chunk")?;
                    format = Some(Format::parse(&chunk)?);
                    self.skip(u64::from(size) - chunk.len() as u64 + u64::from(size % 2))?;
                }
                b"data" => {
                    let format = format.ok_or(AudioError::MissingChunk { chunk: "fmt" })?;
                    let (riff_size, data_size) = true_sizes(is_64, riff_size, size, sizes)?;
                    return Ok(Header { format, riff_size, start: self.at, data_size });
                }
                _ => self.skip(u64::from(size) + u64::from(size % 2))?, // text, cue points, padding
            }
        }
        Err(AudioError::MissingChunk { chunk: if format.is_some() { "data" } else { "fmt" } })
    }

    fn sizes_64(&mut self, size: u32) -> Result<Sizes64, AudioError> {
        let [riff @ .., a, b, c, d, e, f, g, h] = self.take::<16>("ds64 chunk")?;
        self.skip((u64::from(size) + u64::from(size % 2)).saturating_sub(16))?;
        Ok(Sizes64 { riff: u64::from_le_bytes(riff), data: u64::from_le_bytes([a, b, c, d, e, f, g, h]) })
    }

    fn take<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], AudioError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, part)?;
        Ok(bytes)
    }

    fn chunk(&mut self, size: u64, part: &'static str) -> Result<Vec<u8>, AudioError> {
        let mut bytes = vec![0; usize::try_from(size).expect("at most FMT_BYTES")];
        self.fill(&mut bytes, part)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8], part: &'static str) -> Result<(), AudioError> {
        if self.at + bytes.len() as u64 > self.length {
            return Err(AudioError::HeaderCut { part });
        }
        self.source.read_exact(bytes).map_err(read_error)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Skipping past the end ends the walk.
    fn skip(&mut self, bytes: u64) -> Result<(), AudioError> {
        self.at = (self.at + bytes).min(self.length);
        self.source.seek(SeekFrom::Start(self.at)).map_err(read_error)?;
        Ok(())
    }
}

/// The sizes that the header states, `None` for one that it leaves open.
fn true_sizes(
    is_64: bool,
    riff: u32,
    data: u32,
    sizes: Option<Sizes64>,
) -> Result<(Option<u64>, Option<u64>), AudioError> {
    if is_64 {
        let sizes = sizes.ok_or(AudioError::MissingChunk { chunk: "ds64" })?;
        let known = |size: u64| (size != 0 && size != u64::MAX).then_some(size);
        let pick = |short: u32, long: u64| if short == SIZE_ELSEWHERE { known(long) } else { Some(u64::from(short)) };
        return Ok((pick(riff, sizes.riff), pick(data, sizes.data)));
    }
    let data_known = data != SIZE_ELSEWHERE && data != SIZE_UNKNOWN_SOX;
    let riff_known = data_known && riff != 0 && riff != SIZE_ELSEWHERE;
    Ok((riff_known.then_some(u64::from(riff)), data_known.then_some(u64::from(data))))
}
