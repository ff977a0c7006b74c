//! FLAC, MP3, Ogg Vorbis and Ogg Opus, by way of symphonia.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom},
};

use symphonia::core::{
    audio::GenericAudioBufferRef,
    codecs::{
        CodecParameters,
        audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_OPUS},
    },
    errors::Error as SymphoniaError,
    formats::{FormatOptions, FormatReader, Track, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
    packet::Packet,
};

use super::{Kind, Note, Shape, Source, media_source::Seekable, read_error};
use crate::{
    domain::{audio::Encoding, time::SampleRate},
    speech::audio::{AudioError, format::ChannelCount},
};

/// So many damaged packets in a row are not an accident: about half a second to a second of any codec here.
const DAMAGED_IN_A_ROW: u32 = 25;

/// A longer hole than a day in an Ogg or FLAC stream is damage in the position itself.
const LONGEST_HOLE_SECONDS: u64 = 86_400;

/// A length in an MP3 header is the encoder's; it may be off by its last frames (1,152 samples each).
const MP3_SLACK: u64 = 2 * 1_152;

/// The samples of a compressed file.
pub(super) struct CompressedReader {
    kind: Kind,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// Frames at the start that the decoder gives and the file does not hold (Opus).
    to_drop: u64,
    /// Frames of silence still to give for a hole in the stream.
    hole: u64,
    /// Where the next packet should lie, for streams whose packets carry their position.
    expected: Option<i64>,
    /// Frames given or gathered so far.
    frames: u64,
    /// Bytes in the shape's encoding that make no block yet.
    gathered: Vec<u8>,
    damaged_in_a_row: u32,
    ended: bool,
    /// What the header says of the length, with the slack it deserves.
    promised: Option<(u64, u64)>,
    notes: Vec<Note>,
}

impl fmt::Debug for CompressedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressedReader")
            .field("kind", &self.kind)
            .field("frames", &self.frames)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

impl CompressedReader {
    /// Reads the header and stops at the first packet.
    pub(super) fn open(mut source: Box<dyn Source>, kind: Kind) -> Result<(Shape, Self), AudioError> {
        let codec_missing = AudioError::Codec { container: kind.name(), needed: kind.needed() };
        let known = kind != Kind::Ogg || is_known_ogg(&mut source)?;
        let length = source.seek(SeekFrom::End(0)).map_err(read_error)?;
        source.seek(SeekFrom::Start(0)).map_err(read_error)?;
        let stream = MediaSourceStream::new(Box::new(Seekable { source, length }), Default::default());
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|source| match source {
                SymphoniaError::IoError(error) if is_end(&error) && known => {
                    AudioError::HeaderCut { part: "first packets" }
                }
                SymphoniaError::IoError(error) if !is_end(&error) => read_error(error),
                _ if !known => codec_missing, // a codec that symphonia passes over to the end of the file
                source => decoder_error(source),
            })?;
        let (track, params) = audio_track(kind, &*format)?;
        let to_drop = lead(track, params);
        let shape = shape(kind, track, params, to_drop)?;
        let decoder = decoder(params)?;
        let promised = promised(kind, track);
        let track = track.id;
        let reader = Self {
            kind,
            format,
            decoder,
            track,
            to_drop,
            hole: 0,
            expected: None,
            frames: 0,
            gathered: vec![],
            damaged_in_a_row: 0,
            ended: false,
            promised,
            notes: vec![],
        };
        Ok((shape, reader))
    }

    pub(super) fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The next second, or what is left of it.
    pub(super) fn next(&mut self, shape: &Shape) -> Result<Option<Vec<u8>>, AudioError> {
        let second = shape.block_frames() * shape.frame_bytes();
        while self.gathered.len() < second {
            if self.hole > 0 {
                self.fill_hole(shape);
                continue;
            }
            if self.ended {
                break;
            }
            match self.next_packet(shape)? {
                Some(packet) => self.decode(shape, &packet)?,
                None => self.ended = true,
            }
        }
        if self.gathered.is_empty() {
            self.check_length()?;
            return Ok(None);
        }
        let rest = self.gathered.split_off(self.gathered.len().min(second));
        Ok(Some(std::mem::replace(&mut self.gathered, rest)))
    }

    fn next_packet(&mut self, shape: &Shape) -> Result<Option<Packet>, AudioError> {
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => {
                    self.look_for_hole(shape, &packet)?;
                    return Ok(Some(packet));
                }
                Ok(Some(_)) => {} // another stream in the same file
                Ok(None) => return Ok(None),
                Err(SymphoniaError::IoError(error)) if is_end(&error) => {
                    if self.kind == Kind::Ogg {
                        self.notes.push(Note::NoEndMark);
                    }
                    return Ok(None);
                }
                Err(SymphoniaError::IoError(source)) => return Err(read_error(source)),
                Err(SymphoniaError::ResetRequired) => self.follow_chain(shape)?,
                Err(source) => return Err(decoder_error(source)),
            }
        }
    }

    /// Goes on with the next link of a chained Ogg stream, which begins like a file of its own.
    fn follow_chain(&mut self, shape: &Shape) -> Result<(), AudioError> {
        let (track, params) = audio_track(self.kind, &*self.format)?;
        if params.sample_rate != Some(shape.rate.hz())
            || params.channels.as_ref().map(|channels| channels.count()) != Some(shape.channels.get())
        {
            return Err(AudioError::FormatChanged { frame: self.frames });
        }
        self.to_drop = lead(track, params);
        self.track = track.id;
        self.decoder = decoder(params)?;
        self.expected = None;
        Ok(())
    }

    /// Finds out whether packets are missing before `packet`, so that silence can keep their place. Symphonia passes over
    /// damaged Ogg pages and FLAC frames; after an Ogg page is lost, positions are right again one page later.
    fn look_for_hole(&mut self, shape: &Shape, packet: &Packet) -> Result<(), AudioError> {
        // Ogg positions may be a little off (some muxers round them); 10 ms is shorter than any page that is lost.
        let slack = match self.kind {
            Kind::Flac => 0,
            Kind::Ogg => u64::from(shape.rate.hz()) / 100,
            Kind::Mp3 | Kind::Wave => return Ok(()), // no positions in the stream
        };
        let at = packet.pts.get();
        let missing = self.expected.map_or(0, |expected| u64::try_from(at.saturating_sub(expected)).unwrap_or(0));
        self.expected = at.checked_add_unsigned(packet.block_dur().get());
        if missing <= slack {
            return Ok(());
        }
        if missing > LONGEST_HOLE_SECONDS * u64::from(shape.rate.hz()) {
            return Err(AudioError::Damaged { packets: 1, frame: self.frames });
        }
        self.notes.push(Note::Hole { frame: self.frames, frames: missing });
        self.hole = missing;
        Ok(())
    }

    /// Up to a second of the silence due.
    fn fill_hole(&mut self, shape: &Shape) {
        let frames = self.hole.min(u64::from(shape.rate.hz()));
        self.hole -= frames;
        self.frames += frames;
        let bytes = usize::try_from(frames).expect("at most one second") * shape.frame_bytes();
        self.gathered.resize(self.gathered.len() + bytes, 0);
    }

    fn decode(&mut self, shape: &Shape, packet: &Packet) -> Result<(), AudioError> {
        let before = self.gathered.len();
        match self.decoder.decode(packet) {
            Ok(samples) => {
                self.damaged_in_a_row = 0;
                let spec = samples.spec();
                if spec.rate() != shape.rate.hz() || spec.channels().count() != shape.channels.get() {
                    return Err(AudioError::FormatChanged { frame: self.frames });
                }
                append(shape.encoding, &samples, &mut self.gathered);
            }
            Err(SymphoniaError::DecodeError(_)) => self.stand_in(shape, packet.dur.get())?,
            Err(SymphoniaError::IoError(error)) if is_end(&error) => {
                self.stand_in(shape, packet.dur.get())?; // the packet ends before its content does
            }
            Err(source) => return Err(decoder_error(source)),
        }
        let frames = (self.gathered.len() - before) / shape.frame_bytes();
        let drop = usize::try_from(self.to_drop).map_or(frames, |to_drop| to_drop.min(frames));
        self.gathered.drain(before..before + drop * shape.frame_bytes());
        self.to_drop -= drop as u64;
        self.frames += (frames - drop) as u64;
        Ok(())
    }

    /// Silence for a damaged packet of `frames` frames (a packet's duration is in frames for every format read here).
    fn stand_in(&mut self, shape: &Shape, frames: u64) -> Result<(), AudioError> {
        self.damaged_in_a_row += 1;
        if self.damaged_in_a_row >= DAMAGED_IN_A_ROW {
            return Err(AudioError::Damaged { packets: self.damaged_in_a_row, frame: self.frames });
        }
        // A packet longer than a second is damage in the length itself.
        let frames = frames.min(u64::from(shape.rate.hz()));
        self.notes.push(Note::Hole { frame: self.frames, frames });
        let bytes = usize::try_from(frames).expect("at most one second") * shape.frame_bytes();
        self.gathered.resize(self.gathered.len() + bytes, 0);
        Ok(())
    }

    fn check_length(&mut self) -> Result<(), AudioError> {
        let found = self.frames;
        match self.promised {
            Some((stated, slack)) if found + slack < stated => return Err(AudioError::CutShort { stated, found }),
            Some((stated, _)) if found != stated => {
                let note = Note::Frames { stated, found };
                if self.notes.last() != Some(&note) {
                    self.notes.push(note);
                }
            }
            Some(_) | None => {}
        }
        if found == 0 { Err(AudioError::Empty) } else { Ok(()) }
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Wave => "WAV",
            Self::Flac => "FLAC",
            Self::Mp3 => "MP3",
            Self::Ogg => "Ogg",
        }
    }

    const fn needed(self) -> &'static str {
        match self {
            Self::Wave => "PCM, float, mu-law or A-law",
            Self::Flac => "FLAC",
            Self::Mp3 => "MPEG audio layer III",
            Self::Ogg => "Vorbis, Opus or FLAC",
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Whether the first stream of an Ogg file is of a codec that is read: the first packet follows the page header of 27
/// bytes and one byte a segment (RFC 3533, section 6).
fn is_known_ogg(source: &mut dyn Source) -> Result<bool, AudioError> {
    source.seek(SeekFrom::Start(0)).map_err(read_error)?;
    let mut page = Vec::new();
    source.take(27 + 255 + 8).read_to_end(&mut page).map_err(read_error)?;
    let packet = page.get(26).and_then(|segments| page.get(27 + usize::from(*segments)..)).unwrap_or(&[]);
    Ok([b"\x01vorbis".as_slice(), b"OpusHead", b"\x7fFLAC"].iter().any(|magic| packet.starts_with(magic)))
}

fn audio_track(kind: Kind, format: &dyn FormatReader) -> Result<(&Track, &AudioCodecParameters), AudioError> {
    let track = format.default_track(TrackType::Audio);
    match track.map(|track| (track, &track.codec_params)) {
        Some((track, Some(CodecParameters::Audio(params)))) => Ok((track, params)),
        // No track, or one of video or text.
        _ => Err(AudioError::Codec { container: kind.name(), needed: kind.needed() }),
    }
}

/// Frames that an Opus decoder gives before the first of the recording (RFC 7845, "pre-skip").
fn lead(track: &Track, params: &AudioCodecParameters) -> u64 {
    if params.codec == CODEC_ID_OPUS { u64::from(track.delay.unwrap_or(0)) } else { 0 }
}

fn shape(kind: Kind, track: &Track, params: &AudioCodecParameters, to_drop: u64) -> Result<Shape, AudioError> {
    let codec_missing = AudioError::Codec { container: kind.name(), needed: kind.needed() };
    let (Some(rate), Some(channels)) = (params.sample_rate, &params.channels) else { return Err(codec_missing) };
    let start = u64::try_from(track.start_ts.get()).unwrap_or(0); // before 0: the encoder's lead, not in `num_frames`
    Ok(Shape {
        encoding: match params.bits_per_sample {
            Some(..=16) if kind == Kind::Flac => Encoding::PcmS16Le,
            Some(17..=24) if kind == Kind::Flac => Encoding::PcmS24Le,
            Some(_) | None => Encoding::PcmF32Le, // lossy codecs, and FLAC of more bits than an integer encoding holds
        },
        rate: SampleRate::try_from(rate)?,
        channels: ChannelCount::try_from(channels.count() as u64)?,
        frames: track.num_frames.map(|frames| frames.saturating_sub(start).saturating_sub(to_drop)),
    })
}

/// The length in the header and how far off it may be, for headers that are written with the whole file at hand. An Ogg
/// stream has an end mark instead.
fn promised(kind: Kind, track: &Track) -> Option<(u64, u64)> {
    match kind {
        Kind::Flac => track.num_frames.map(|frames| (frames, 0)),
        // Without the encoder's delay the length is an estimate from the bit rate.
        Kind::Mp3 => track.delay.and(track.num_frames).map(|frames| (frames, MP3_SLACK)),
        Kind::Ogg | Kind::Wave => None,
    }
}

fn decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, AudioError> {
    if params.codec == CODEC_ID_OPUS {
        return opus_decoder(params);
    }
    symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default()).map_err(decoder_error)
}

/// The adapter drops the [`lead`] from the first packet only, which is too little where packets are
/// shorter than the lead. Without the header it drops nothing, and [`CompressedReader`] counts.
#[cfg(feature = "whisper")]
fn opus_decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, AudioError> {
    use symphonia::core::codecs::registry::RegisterableAudioDecoder as _;

    let params = AudioCodecParameters { extra_data: None, ..params.clone() };
    symphonia_adapter_libopus::OpusDecoder::try_registry_new(&params, &AudioDecoderOptions::default())
        .map_err(decoder_error)
}

#[cfg(not(feature = "whisper"))]
fn opus_decoder(_: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, AudioError> {
    Err(AudioError::OpusNotBuilt)
}

/// Appends decoded samples. Integers come left-justified in 32 bits, so their upper bytes are the sample.
fn append(encoding: Encoding, samples: &GenericAudioBufferRef<'_>, out: &mut Vec<u8>) {
    if let (GenericAudioBufferRef::S32(_), Encoding::PcmS16Le | Encoding::PcmS24Le) = (samples, encoding) {
        let mut values: Vec<i32> = vec![];
        samples.copy_to_vec_interleaved(&mut values);
        let lower = 4 - encoding.bytes_per_sample();
        values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()[lower..]));
        return;
    }
    let mut values: Vec<f32> = vec![];
    samples.copy_to_vec_interleaved(&mut values);
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

const fn decoder_error(source: SymphoniaError) -> AudioError {
    AudioError::Decoder { source }
}
