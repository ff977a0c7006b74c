//! Bytes on the wire to samples and back, and interleaved bytes to the bytes of each channel.

use super::{AudioError, g711};
use crate::domain::audio::Encoding;

/// Most channels that one file or stream may have.
pub const MAX_CHANNELS: usize = 16;

/// The largest float sample that is taken, 24 dB over full scale.
///
/// A float recording may exceed full scale a little and loses nothing by it. Samples far beyond are a file whose writer
/// took full scale to be 32768; guessing that would be wrong silently, so it is an error.
pub const MAX_FLOAT: f32 = 16.0;

/// A number of channels that is served: 1 to [`MAX_CHANNELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelCount(usize);

impl ChannelCount {
    /// How many.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

impl TryFrom<u64> for ChannelCount {
    type Error = AudioError;

    fn try_from(channels: u64) -> Result<Self, AudioError> {
        match usize::try_from(channels) {
            Ok(count @ 1..=MAX_CHANNELS) => Ok(Self(count)),
            _ => Err(AudioError::Channels { channels }), // 0, too many, or more than an address
        }
    }
}

/// Appends the samples in `bytes` to `out`, full scale at -1 and 1.
///
/// Integer samples are divided by 2 to the power of their bits less one, so they lie in [-1, 1) and every one is exact.
/// G.711 codes become their 16-bit linear value first. Float samples keep their bits, also beyond full scale.
/// Cost: below 1 ns a sample; `out` grows once.
///
/// ```
/// use vivavoce::{domain::audio::Encoding, speech::audio::format::decode};
/// let mut samples = Vec::new();
/// decode(Encoding::PcmS16Le, &[0, 0x80, 0, 0x40], &mut samples).unwrap();
/// assert_eq!(samples, [-1.0, 0.5]);
/// ```
///
/// # Errors
/// [`AudioError::PartialSample`], [`AudioError::NotFinite`], [`AudioError::TooLoud`]; `out` is then as before.
pub fn decode(encoding: Encoding, bytes: &[u8], out: &mut Vec<f32>) -> Result<(), AudioError> {
    whole_samples(encoding, bytes)?;
    match encoding {
        Encoding::PcmS16Le => {
            let (samples, _) = bytes.as_chunks::<2>();
            out.extend(samples.iter().map(|b| from_s16(i16::from_le_bytes(*b))));
        }
        Encoding::PcmS24Le => {
            let (samples, _) = bytes.as_chunks::<3>();
            // Left-justified in 32 bits: the sign falls into place, and 24 significant bits are exact in an f32.
            out.extend(samples.iter().map(|b| i32::from_le_bytes([0, b[0], b[1], b[2]]) as f32 / 2_147_483_648.0));
        }
        Encoding::PcmF32Le => {
            let (samples, _) = bytes.as_chunks::<4>();
            check_floats(samples)?;
            out.extend(samples.iter().map(|b| f32::from_le_bytes(*b)));
        }
        Encoding::MuLaw => out.extend(bytes.iter().map(|b| from_s16(g711::MU_LAW[usize::from(*b)]))),
        Encoding::ALaw => out.extend(bytes.iter().map(|b| from_s16(g711::A_LAW[usize::from(*b)]))),
    }
    Ok(())
}

/// Whether `bytes` are whole samples that [`decode`] takes.
///
/// # Errors
/// Those of [`decode`].
pub fn check(encoding: Encoding, bytes: &[u8]) -> Result<(), AudioError> {
    whole_samples(encoding, bytes)?;
    match encoding {
        Encoding::PcmF32Le => check_floats(bytes.as_chunks::<4>().0),
        Encoding::PcmS16Le | Encoding::PcmS24Le | Encoding::MuLaw | Encoding::ALaw => Ok(()),
    }
}

/// Appends `samples`, written in `encoding`, to `out`; the inverse of [`decode`] for every value that it gives.
///
/// Integers are rounded to nearest and clipped at full scale, G.711 goes by way of 16-bit linear. For clients and tests.
pub fn encode(encoding: Encoding, samples: &[f32], out: &mut Vec<u8>) {
    match encoding {
        Encoding::PcmS16Le => out.extend(samples.iter().flat_map(|s| to_s16(*s).to_le_bytes())),
        Encoding::PcmS24Le => out.extend(samples.iter().flat_map(|s| to_s24(*s))),
        Encoding::PcmF32Le => out.extend(samples.iter().flat_map(|s| s.to_le_bytes())),
        Encoding::MuLaw => out.extend(samples.iter().map(|s| g711::encode_mu_law(to_s16(*s)))),
        Encoding::ALaw => out.extend(samples.iter().map(|s| g711::encode_a_law(to_s16(*s)))),
    }
}

/// Splits interleaved `bytes` into the bytes of each channel, bit for bit, appending to `out`: one `Vec` a channel.
///
/// # Errors
/// [`AudioError::Channels`] where `out` is not 1 to 16 long, [`AudioError::PartialFrame`] where `bytes` ends inside a
/// frame; `out` is then as before.
pub fn deinterleave(encoding: Encoding, bytes: &[u8], out: &mut [Vec<u8>]) -> Result<(), AudioError> {
    let channels = ChannelCount::try_from(out.len() as u64)?.get();
    let width = encoding.bytes_per_sample();
    let frame_bytes = width * channels;
    if !bytes.len().is_multiple_of(frame_bytes) {
        return Err(AudioError::PartialFrame { bytes: bytes.len() as u64, frame_bytes: frame_bytes as u64 });
    }
    for (channel, out) in out.iter_mut().enumerate() {
        let samples = bytes.chunks_exact(frame_bytes).map(|frame| &frame[channel * width..(channel + 1) * width]);
        out.reserve(bytes.len() / channels);
        samples.for_each(|sample| out.extend_from_slice(sample));
    }
    Ok(())
}

fn whole_samples(encoding: Encoding, bytes: &[u8]) -> Result<(), AudioError> {
    if bytes.len().is_multiple_of(encoding.bytes_per_sample()) {
        Ok(())
    } else {
        Err(AudioError::PartialSample { encoding, bytes: bytes.len() as u64 })
    }
}

fn check_floats(samples: &[[u8; 4]]) -> Result<(), AudioError> {
    // `contains` is false for NaN too, so one comparison finds all that is wrong.
    let wrong = |b: &[u8; 4]| !(-MAX_FLOAT..=MAX_FLOAT).contains(&f32::from_le_bytes(*b));
    let Some(at) = samples.iter().position(wrong) else { return Ok(()) };
    let (index, value) = (at as u64, f32::from_le_bytes(samples[at]));
    Err(if value.is_finite() { AudioError::TooLoud { index, value } } else { AudioError::NotFinite { index } })
}

fn from_s16(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

#[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates, which is the clipping wanted")]
fn to_s16(sample: f32) -> i16 {
    (sample * 32_768.0).round_ties_even() as i16
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to 24 bits before the cast")]
fn to_s24(sample: f32) -> [u8; 3] {
    let value = (f64::from(sample) * 8_388_608.0).round_ties_even().clamp(-8_388_608.0, 8_388_607.0) as i32;
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "the tests' own small numbers")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(encoding: Encoding, bytes: &[u8]) -> Result<Vec<f32>, AudioError> {
        let mut out = vec![];
        decode(encoding, bytes, &mut out).map(|()| out)
    }

    #[track_caller]
    fn check(encoding: Encoding, bytes: &[u8], expected: &[f32]) {
        assert_eq!(decoded(encoding, bytes).unwrap(), expected);
    }

    #[test]
    fn known_bytes_give_known_samples() {
        check(Encoding::PcmS16Le, &[0xff, 0x7f, 0x00, 0x80, 1, 0], &[32_767.0 / 32_768.0, -1.0, 1.0 / 32_768.0]);
        check(
            Encoding::PcmS24Le,
            &[0xff, 0xff, 0x7f, 0, 0, 0x80, 1, 0, 0],
            &[8_388_607.0 / 8_388_608.0, -1.0, 1.0 / 8_388_608.0],
        );
        check(Encoding::PcmF32Le, &1.5f32.to_le_bytes(), &[1.5]);
        check(Encoding::MuLaw, &[0x80, 0x00, 0xff], &[32_124.0 / 32_768.0, -32_124.0 / 32_768.0, 0.0]);
        check(Encoding::ALaw, &[0xaa, 0x2a, 0xd5], &[32_256.0 / 32_768.0, -32_256.0 / 32_768.0, 8.0 / 32_768.0]);
    }

    #[test]
    fn half_a_sample_is_refused_with_the_count() {
        for (encoding, bytes) in [(Encoding::PcmS16Le, 3), (Encoding::PcmS24Le, 4), (Encoding::PcmF32Le, 7)] {
            let error = decoded(encoding, &vec![0; bytes]).unwrap_err();
            assert!(matches!(error, AudioError::PartialSample { bytes: b, .. } if b == bytes as u64), "{error}");
        }
    }

    #[test]
    fn samples_that_are_no_numbers_are_refused_by_index() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut out = vec![0.25];
            let bytes: Vec<u8> = [0.0, 1.0, bad, bad].iter().flat_map(|s: &f32| s.to_le_bytes()).collect();
            let error = decode(Encoding::PcmF32Le, &bytes, &mut out).unwrap_err();
            assert!(matches!(error, AudioError::NotFinite { index: 2 }), "{error}");
            assert_eq!(out, [0.25], "nothing of a refused message is kept");
        }
    }

    #[test]
    fn floats_a_little_beyond_full_scale_are_kept_and_integers_written_as_floats_refused() {
        check(Encoding::PcmF32Le, &(-2.5f32).to_le_bytes(), &[-2.5]);
        let error = decoded(Encoding::PcmF32Le, &20_000f32.to_le_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "sample 0 is 20000: full scale of float samples is 1, at most 16 is taken");
    }

    #[test]
    fn zero_and_seventeen_channels_are_refused() {
        for channels in [0, 17, u64::MAX] {
            assert!(ChannelCount::try_from(channels).is_err());
        }
        assert_eq!(ChannelCount::try_from(17).unwrap_err().to_string(), "17 channels: 1 to 16 are served");
        assert!(deinterleave(Encoding::MuLaw, &[], &mut []).is_err());
        assert!(deinterleave(Encoding::MuLaw, &[], &mut vec![vec![]; 17]).is_err());
    }

    #[test]
    fn a_frame_cut_in_the_middle_is_refused_and_leaves_the_channels_alone() {
        let mut out = vec![vec![], vec![]];
        let error = deinterleave(Encoding::PcmS16Le, &[0; 6], &mut out).unwrap_err();
        assert!(matches!(error, AudioError::PartialFrame { bytes: 6, frame_bytes: 4 }), "{error}");
        assert!(out.iter().all(Vec::is_empty));
    }

    fn any_encoding() -> impl Strategy<Value = Encoding> {
        prop::sample::select(Encoding::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn encoding_what_was_decoded_gives_the_same_bytes(
            encoding in any_encoding(), codes in prop::collection::vec(any::<u8>(), 0..600)
        ) {
            let whole = codes.len() / 12 * 12;
            let Ok(samples) = decoded(encoding, &codes[..whole]) else { return Ok(()) };
            let mut bytes = vec![];
            encode(encoding, &samples, &mut bytes);
            let minus_zero = |b: &u8| if encoding == Encoding::MuLaw && *b == 0x7f { 0xff } else { *b };
            let expected: Vec<u8> = codes[..whole].iter().map(minus_zero).collect();
            prop_assert_eq!(bytes, expected);
        }

        #[test]
        fn interleaving_the_channels_again_gives_the_same_bytes(
            encoding in any_encoding(), channels in 1usize..=16, frames in 0usize..40, seed in any::<u8>()
        ) {
            let width = encoding.bytes_per_sample();
            let bytes: Vec<u8> = (0..frames * channels * width).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
            let mut out = vec![vec![]; channels];
            deinterleave(encoding, &bytes, &mut out).unwrap();
            let again: Vec<u8> = (0..frames)
                .flat_map(|f| out.iter().flat_map(move |c| c[f * width..(f + 1) * width].to_vec()))
                .collect();
            prop_assert_eq!(again, bytes);
        }
    }
}
