//! Files of every kind, good and broken.

use std::{f64::consts::TAU, io::Cursor};

use super::*;
use crate::speech::audio::{format, resample::Resampler};

/// A WAV file in pieces, to be written rightly or wrongly.
struct Wav {
    magic: &'static [u8; 4],
    riff_size: Option<u32>,
    data_size: Option<u32>,
    ds64: Option<(u64, u64)>,
    tag: u16,
    channels: u16,
    rate: u32,
    bits: u16,
    before_data: Vec<u8>,
    data: Vec<u8>,
    after_data: Vec<u8>,
}

impl Wav {
    fn new(tag: u16, channels: u16, rate: u32, bits: u16, data: Vec<u8>) -> Self {
        let (before_data, after_data) = (vec![], vec![]);
        let (riff_size, data_size, ds64) = (None, None, None);
        Self { magic: b"RIFF", riff_size, data_size, ds64, tag, channels, rate, bits, before_data, data, after_data }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut body = b"WAVE".to_vec();
        if let Some((riff, data)) = self.ds64 {
            body.extend(b"ds64\x1c\0\0\0");
            body.extend([riff.to_le_bytes(), data.to_le_bytes(), [0; 8]].concat());
            body.extend([0; 4]);
        }
        let frame_bytes = self.channels * self.bits.div_ceil(8);
        body.extend(b"fmt \x10\0\0\0");
        body.extend([self.tag.to_le_bytes(), self.channels.to_le_bytes()].concat());
        body.extend([self.rate.to_le_bytes(), self.rate.wrapping_mul(frame_bytes.into()).to_le_bytes()].concat());
        body.extend([frame_bytes.to_le_bytes(), self.bits.to_le_bytes()].concat());
        body.extend(&self.before_data);
        body.extend(b"data");
        body.extend(self.data_size.unwrap_or(self.data.len() as u32).to_le_bytes());
        body.extend(&self.data);
        body.extend(&self.after_data);
        let riff_size = self.riff_size.unwrap_or(body.len() as u32);
        [self.magic.as_slice(), &riff_size.to_le_bytes(), &body].concat()
    }
}

fn opened(bytes: &[u8]) -> Result<AudioFile, AudioError> {
    AudioFile::from_reader(Cursor::new(bytes.to_vec()))
}

fn samples_of(file: &mut AudioFile) -> Result<Vec<u8>, AudioError> {
    let mut all = vec![];
    let frame_bytes = file.encoding().bytes_per_sample() * file.channels();
    while let Some(block) = file.next_block()? {
        assert_eq!(block.first_frame, (all.len() / frame_bytes) as u64);
        assert!(block.bytes.len() / frame_bytes <= file.rate().hz() as usize && !block.bytes.is_empty());
        all.extend(block.bytes);
    }
    Ok(all)
}

#[track_caller]
fn check_wav(wav: &Wav, encoding: Encoding, expected: &[u8], notes: &[Note]) {
    let mut file = opened(&wav.bytes()).unwrap();
    assert_eq!((file.encoding(), file.rate().hz(), file.channels()), (encoding, wav.rate, wav.channels.into()));
    let samples = samples_of(&mut file).unwrap();
    assert!(samples == expected, "{} bytes, {} expected", samples.len(), expected.len());
    assert_eq!(file.frames(), Some((expected.len() / encoding.bytes_per_sample() / file.channels()) as u64));
    assert_eq!(file.notes(), notes);
}

#[track_caller]
fn check_refused(bytes: &[u8], message: &str) {
    let error = opened(bytes).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(crate::domain::fault::Fault::kind(&error), crate::domain::fault::FaultKind::Invalid);
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn served_samples_pass_bit_for_bit_over_several_blocks() {
    for (tag, bits, encoding) in [
        (1, 16, Encoding::PcmS16Le),
        (1, 24, Encoding::PcmS24Le),
        (3, 32, Encoding::PcmF32Le),
        (6, 8, Encoding::ALaw),
        (7, 8, Encoding::MuLaw),
    ] {
        for channels in [1, 2, 16] {
            let data = noise(usize::from(channels) * encoding.bytes_per_sample() * 20_000);
            check_wav(&Wav::new(tag, channels, 8_000, bits, data.clone()), encoding, &data, &[]);
        }
    }
}

#[test]
fn other_widths_become_the_nearest_served_encoding() {
    check_wav(
        &Wav::new(1, 1, 8_000, 8, vec![0, 128, 255, 1]),
        Encoding::PcmS16Le,
        &[0, 0x80, 0, 0, 0, 0x7f, 0, 0x81],
        &[],
    );
    let s32: Vec<u8> = [i32::MIN, 0x4000_0000, 0x1234_5600].iter().flat_map(|v: &i32| v.to_le_bytes()).collect();
    let f32s: Vec<u8> = [-1.0, 0.5, 1_193_046.0 / 8_388_608.0].iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
    check_wav(&Wav::new(1, 1, 8_000, 32, s32), Encoding::PcmF32Le, &f32s, &[]);
    let f64s: Vec<u8> = [-1.0, 0.5, 1_193_046.0 / 8_388_608.0].iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
    check_wav(&Wav::new(3, 1, 8_000, 64, f64s), Encoding::PcmF32Le, &f32s, &[]);
}

#[test]
fn what_hound_writes_extensible_is_read() {
    for (channels, bits) in [(1, 24), (6, 16), (16, 24)] {
        let spec = hound::WavSpec {
            channels,
            sample_rate: 48_000,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        };
        let (mut bytes, mut expected) = (Cursor::new(vec![]), vec![]);
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for i in 0..i32::from(channels) * 100 {
            writer.write_sample(i * 7 - 9_000).unwrap();
            expected.extend(&(i * 7 - 9_000).to_le_bytes()[..usize::from(bits / 8)]);
        }
        writer.finalize().unwrap();
        let bytes = bytes.into_inner();
        assert_eq!(bytes[20..22], [0xfe, 0xff], "hound wrote the extensible format");
        let mut file = opened(&bytes).unwrap();
        assert_eq!((samples_of(&mut file).unwrap(), file.channels()), (expected, channels.into()));
    }
}

#[test]
fn an_extensible_file_of_an_unknown_subformat_is_refused() {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 24,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(vec![]);
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    writer.write_sample(0).unwrap();
    writer.finalize().unwrap();
    let mut bytes = bytes.into_inner();
    bytes[50] ^= 1; // inside the GUID
    check_refused(
        &bytes,
        "WAV samples of format 0xfffe with 24 bits are not read: PCM of 8, 16, 24 or 32 bits, float, mu-law or A-law is needed",
    );
}

#[test]
fn rf64_and_bw64_take_their_sizes_from_ds64() {
    let data = noise(40_000);
    for magic in [b"RF64", b"BW64"] {
        let wav = Wav {
            magic,
            riff_size: Some(u32::MAX),
            data_size: Some(u32::MAX),
            ds64: Some((40_000 + 4 + 36 + 24 + 8 + 8, 40_000)),
            after_data: b"LIST\0\0\0\0".to_vec(),
            ..Wav::new(1, 2, 44_100, 16, data.clone())
        };
        check_wav(&wav, Encoding::PcmS16Le, &data, &[]);
        check_refused(&Wav { ds64: None, ..wav }.bytes(), "the file has no ds64 chunk");
    }
    let wav = Wav {
        magic: b"RF64",
        data_size: Some(u32::MAX),
        ds64: Some((0, 5_000_000_000)),
        ..Wav::new(1, 2, 44_100, 16, data)
    };
    check_refused(
        &wav.bytes(),
        "the header's data chunk states 5000000000 bytes and 40000 are there: the file is cut or its header is wrong",
    );
}

#[test]
fn other_chunks_before_and_after_the_samples_are_passed_over() {
    let wav = Wav {
        before_data: b"bext\x03\0\0\0abc\0LIST\x04\0\0\0INFO".to_vec(),
        after_data: b"id3 \x02\0\0\0xy".to_vec(),
        ..Wav::new(7, 1, 8_000, 8, noise(1_000))
    };
    check_wav(&wav, Encoding::MuLaw, &noise(1_000), &[]);
}

#[test]
fn a_header_of_unknown_length_reads_to_the_end_with_a_note() {
    let data = noise(30_000);
    for (riff_size, data_size) in [(u32::MAX, u32::MAX), (0, 0), (36, 0), (u32::MAX, 0), (0x7fff_f024, 0x7fff_f000)] {
        let wav =
            Wav { riff_size: Some(riff_size), data_size: Some(data_size), ..Wav::new(1, 1, 16_000, 16, data.clone()) };
        check_wav(&wav, Encoding::PcmS16Le, &data, &[Note::LengthUnknown]);
    }
}

#[test]
fn a_data_chunk_longer_than_the_file_is_refused_with_both_lengths() {
    let wav = Wav { data_size: Some(2_000), ..Wav::new(1, 1, 16_000, 16, noise(1_000)) };
    check_refused(
        &wav.bytes(),
        "the header's data chunk states 2000 bytes and 1000 are there: the file is cut or its header is wrong",
    );
}

#[test]
fn a_riff_size_longer_than_the_file_is_refused_and_a_shorter_one_noted() {
    let wav = |riff_size| Wav { riff_size: Some(riff_size), ..Wav::new(1, 1, 16_000, 16, noise(1_000)) };
    check_refused(
        &wav(5_000).bytes(),
        "the header's RIFF size states 5000 bytes and 1036 are there: the file is cut or its header is wrong",
    );
    for stated in [1_000, 36, 1_044] {
        let note = Note::RiffSize { stated: stated.into(), found: 1_036 };
        check_wav(&wav(stated), Encoding::PcmS16Le, &noise(1_000), &[note]);
    }
}

#[test]
fn impossible_channels_and_rates_are_refused() {
    let wav = |channels, rate| Wav::new(1, channels, rate, 16, vec![0; 4 * 17]).bytes();
    check_refused(&wav(0, 8_000), "0 channels: 1 to 16 are served");
    check_refused(&wav(17, 8_000), "17 channels: 1 to 16 are served");
    check_refused(&wav(1, 1), "sample rate of 1 Hz is not between 8000 and 192000 Hz");
    check_refused(&wav(1, 10_000_000), "sample rate of 10000000 Hz is not between 8000 and 192000 Hz");
}

#[test]
fn half_a_frame_at_the_end_is_refused() {
    for data_size in [None, Some(u32::MAX)] {
        let wav = Wav { data_size, ..Wav::new(1, 2, 8_000, 16, noise(1_002)) };
        check_refused(
            &wav.bytes(),
            "1002 bytes are not a whole number of frames of 4 bytes: the audio ends inside a frame",
        );
    }
}

#[test]
fn samples_that_are_no_numbers_are_found_when_the_block_is_decoded() {
    let data = [0.5, f32::NAN].iter().flat_map(|s: &f32| s.to_le_bytes()).collect();
    let mut file = opened(&Wav::new(3, 1, 8_000, 32, data).bytes()).unwrap();
    let block = file.next_block().unwrap().unwrap();
    let error = format::decode(file.encoding(), &block.bytes, &mut vec![]).unwrap_err();
    assert_eq!(error.to_string(), "sample 1 is not a finite number");
}

#[test]
fn empty_files_and_recordings_are_refused() {
    check_refused(&[], "no audio: there is not one sample");
    check_refused(&Wav::new(1, 1, 8_000, 16, vec![]).bytes(), "no audio: there is not one sample");
    let listed = Wav { after_data: b"LIST\x04\0\0\0INFO".to_vec(), ..Wav::new(1, 1, 8_000, 16, vec![]) };
    check_refused(&listed.bytes(), "no audio: there is not one sample");
}

#[test]
fn what_is_not_audio_is_refused_with_its_first_bytes() {
    let message = |head| {
        format!(
            "not audio that can be read: WAV, RF64, FLAC, MP3, Ogg Vorbis or Ogg Opus is needed, this begins with {head}"
        )
    };
    check_refused(b"hello", &message("68656c6c6f"));
    check_refused(b"RIFF\0\0\0\0AVI LIST", &message("5249464600000000"));
    check_refused(b"\x89PNG\r\n\x1a\n0000", &message("89504e470d0a1a0a"));
    check_refused(b"RIFF", "the file ends inside its header (RIFF header)");
    check_refused(b"ID3\x04\0\0\0\0\0\0", &message(""));
}

#[test]
fn a_header_cut_anywhere_is_refused() {
    let whole = Wav::new(1, 1, 8_000, 16, noise(100)).bytes();
    for length in 0..whole.len() {
        assert!(opened(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
    }
    assert!(opened(&whole).is_ok());
}

#[test]
fn a_header_that_contradicts_itself_is_refused() {
    let mut bytes = Wav::new(1, 2, 8_000, 16, noise(100)).bytes();
    bytes[32] = 3;
    check_refused(&bytes, "the header contradicts itself: 3 bytes a frame for 2 channels of 16 bits");
    check_refused(
        &Wav::new(2, 1, 8_000, 4, noise(100)).bytes(),
        "WAV samples of format 0x0002 with 4 bits are not read: PCM of 8, 16, 24 or 32 bits, float, mu-law or A-law is needed",
    );
}

#[test]
fn a_missing_file_is_not_found_by_name() {
    let error = AudioFile::open(Path::new("no/such.wav")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open no/such.wav");
    assert_eq!(crate::domain::fault::Fault::kind(&error), crate::domain::fault::FaultKind::NotFound);
}

const FLAC_16: &[u8] = include_bytes!("../../../../tests/data/audio/sequence-16.flac");
const FLAC_24: &[u8] = include_bytes!("../../../../tests/data/audio/sequence-24.flac");
const MP3: &[u8] = include_bytes!("../../../../tests/data/audio/tone.mp3");
const VORBIS: &[u8] = include_bytes!("../../../../tests/data/audio/tone.ogg");
#[cfg(feature = "whisper")]
const OPUS: &[u8] = include_bytes!("../../../../tests/data/audio/tone.opus");
const OPUS_SHORT: &[u8] = include_bytes!("../../../../tests/data/audio/tone-short-packets.opus");

#[test]
fn flac_comes_out_bit_for_bit() {
    for (flac, encoding) in [(FLAC_16, Encoding::PcmS16Le), (FLAC_24, Encoding::PcmS24Le)] {
        let width = encoding.bytes_per_sample();
        let value = |i: u32| {
            let v = i.wrapping_mul(2_654_435_761);
            (v ^ v >> 15) >> (32 - 8 * width)
        };
        let expected: Vec<u8> = (0..600).flat_map(|i| value(i).to_le_bytes()[..width].to_vec()).collect();
        let mut file = opened(flac).unwrap();
        assert_eq!((file.encoding(), file.rate().hz(), file.channels()), (encoding, 8_000, 2));
        assert_eq!(file.frames(), Some(300));
        assert_eq!(samples_of(&mut file).unwrap(), expected);
        assert_eq!(file.notes(), []);
    }
}

/// Half a second of 440 Hz at an eighth of full scale that begins at phase 0: a lead that is not taken off shows.
#[track_caller]
fn check_tone(bytes: &[u8], hz: u32) {
    let mut file = opened(bytes).unwrap();
    assert_eq!((file.encoding(), file.rate().hz(), file.channels()), (Encoding::PcmF32Le, hz, 1));
    let samples = samples_of(&mut file).unwrap();
    assert_eq!((samples.len() / 4, file.frames()), (hz as usize / 2, Some(u64::from(hz) / 2)));
    assert_eq!(file.notes(), []);
    let mut floats = vec![];
    format::decode(file.encoding(), &samples, &mut floats).unwrap();
    let worst = (hz / 10..hz * 4 / 10)
        .map(|i| (f64::from(floats[i as usize]) - 0.125 * (TAU * 440.0 * f64::from(i) / f64::from(hz)).sin()).abs())
        .fold(0.0, f64::max);
    assert!(worst < 0.02, "off by {worst}");
}

#[test]
fn mp3_begins_and_ends_where_the_recording_did() {
    check_tone(MP3, 16_000);
}

#[test]
fn vorbis_begins_and_ends_where_the_recording_did() {
    check_tone(VORBIS, 16_000);
}

#[cfg(feature = "whisper")]
#[test]
fn opus_begins_and_ends_where_the_recording_did_also_with_packets_shorter_than_its_lead() {
    check_tone(OPUS, 48_000);
    check_tone(OPUS_SHORT, 48_000);
}

#[cfg(not(feature = "whisper"))]
#[test]
fn opus_is_refused_by_a_build_without_it() {
    assert!(matches!(opened(OPUS_SHORT).unwrap_err(), AudioError::OpusNotBuilt));
}

#[test]
fn a_chained_ogg_file_goes_on_with_its_next_link() {
    let mut file = opened(&[VORBIS, VORBIS].concat()).unwrap();
    let twice = samples_of(&mut file).unwrap();
    let once = samples_of(&mut opened(VORBIS).unwrap()).unwrap();
    assert!(twice == [once.as_slice(), &once].concat());
}

#[test]
fn compressed_files_that_are_cut_say_so() {
    let error = samples_of(&mut opened(&FLAC_16[..FLAC_16.len() - 100]).unwrap()).unwrap_err();
    assert!(matches!(error, AudioError::CutShort { stated: 300, .. }), "{error}");
    let error = samples_of(&mut opened(&MP3[..MP3.len() / 2]).unwrap()).unwrap_err();
    assert!(matches!(error, AudioError::CutShort { stated: 8_000, .. }), "{error}");
    check_refused(&VORBIS[..2_000], "the file ends inside its header (first packets)");
}

#[test]
fn an_ogg_codec_that_is_not_read_is_named_as_such() {
    let mut speex = VORBIS.to_vec();
    let at = speex.windows(7).position(|w| w == b"\x01vorbis").unwrap();
    speex[at..at + 7].copy_from_slice(b"Speex  ");
    check_refused(&speex, "the Ogg file holds no track that can be read: Vorbis, Opus or FLAC is needed");
}

#[test]
fn damage_anywhere_in_a_file_never_panics_nor_invents_length() {
    let wav = Wav::new(1, 2, 8_000, 16, noise(400)).bytes();
    for original in [&wav, FLAC_16, FLAC_24, MP3, VORBIS, OPUS_SHORT] {
        for at in (0..60).chain((60..original.len()).step_by(41)) {
            let mut damaged = original.to_vec();
            damaged[at] ^= 0xa5;
            let Ok(mut file) = opened(&damaged) else { continue };
            let frame_bytes = file.encoding().bytes_per_sample() * file.channels();
            if let Ok(samples) = samples_of(&mut file) {
                assert!(samples.len() / frame_bytes <= 400_000, "byte {at}: {} bytes", samples.len());
            }
        }
    }
}

#[test]
fn a_file_takes_the_path_of_a_stream() {
    let mut file = opened(VORBIS).unwrap();
    let (mut samples, mut ticks) = (vec![], vec![]);
    let mut resampler = Resampler::new(file.rate()).unwrap();
    while let Some(block) = file.next_block().unwrap() {
        let mut channels = vec![vec![]; file.channels()];
        format::deinterleave(file.encoding(), &block.bytes, &mut channels).unwrap();
        samples.clear();
        format::decode(file.encoding(), &channels[0], &mut samples).unwrap();
        resampler.push(&samples, &mut ticks);
    }
    resampler.finish(&mut ticks);
    assert_eq!(ticks.len(), 8_000);
}

/// Every file of the speech collection has the length that its list says. The folder is not in the repository.
#[test]
fn every_file_of_the_speech_collection_has_its_length() {
    #[expect(clippy::disallowed_methods, reason = "only this test knows the folder, and only its developer has it")]
    let (folder, ci) = (std::env::var("VIVAVOCE_SPEECH"), std::env::var("CI"));
    let Ok(folder) = folder else {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/speech/manifest.tsv");
        assert!(!(ci.is_ok_and(|ci| ci == "true") && beside.exists()), "set VIVAVOCE_SPEECH: the recordings are there");
        eprintln!("skipped: VIVAVOCE_SPEECH names no folder");
        return;
    };
    let folder = Path::new(&folder);
    let list = std::fs::read_to_string(folder.join("manifest.tsv")).unwrap();
    let mut seen = 0;
    for row in list.lines().skip(1) {
        let fields: Vec<&str> = row.split('\t').collect();
        let mut file = match AudioFile::open(&folder.join(fields[1])) {
            Err(AudioError::OpusNotBuilt) => continue,
            file => file.unwrap(),
        };
        assert_eq!((file.rate().hz().to_string(), file.channels().to_string()), (fields[4].into(), fields[5].into()));
        let frame_bytes = file.encoding().bytes_per_sample() * file.channels();
        let frames = (samples_of(&mut file).unwrap().len() / frame_bytes) as f64;
        let off = frames / f64::from(file.rate().hz()) - fields[3].parse::<f64>().unwrap();
        assert!(off.abs() < 0.001, "{}: off by {off} s", fields[1]);
        seen += 1;
    }
    assert!(seen > 0);
}
