//! Sound for trials: bursts that are loud and pauses that are not, of noise, so that no two samples' places can be mistaken.
//! Every sample is a function of the seed and its position, so that hours of it take no memory.

use std::{path::Path, sync::Arc};

use vivavoce::{api::grpc::pb, domain::audio::Encoding, evaluation::table, speech::audio::file::AudioFile};

use crate::dice::{Dice, mixed};

/// What one channel of a trial carries.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    pub(crate) number: u32,
    pub(crate) format: pb::AudioFormat,
    seed: u64,
    /// How loud it is from a sample on, for one period; then it begins again.
    plan: Vec<(u64, f32)>,
    period: u64,
    /// Samples in all.
    pub(crate) length: u64,
    /// Real speech, where that is what is said.
    spoken: Option<Arc<Vec<u8>>>,
    /// What must not be found again is said here.
    pub(crate) canaries: Vec<(u64, u64)>,
}

/// Quarters of a second in a period of ten minutes.
const STEPS: u64 = 4 * 600;

impl Voice {
    /// Channel `number`, `seconds` long.
    pub(crate) fn new(seed: u64, number: u32, format: pb::AudioFormat, seconds: u64) -> Self {
        let mut dice = Dice::new(mixed(seed ^ u64::from(number)));
        let quarter = u64::from(format.sample_rate_hz) / 4;
        let mut plan = Vec::new();
        let mut step = 0;
        while step < STEPS {
            // A pause of 0.25 to 3 s, then speech of 0.5 to 6 s whose loudness changes every half second.
            plan.push((step * quarter, 0.01));
            step += dice.between(1, 13);
            for _ in 0..dice.between(1, 13) {
                plan.push((step * quarter, 0.6 + dice.below(40) as f32 / 100.0));
                step += 2;
            }
        }
        let length = seconds * u64::from(format.sample_rate_hz);
        let (seed, period) = (dice.draw(), step * quarter);
        Self { number, format, seed, plan, period, length, spoken: None, canaries: Vec::new() }
    }

    /// The same with what must not be found again, said here.
    pub(crate) fn with(self, canaries: Vec<(u64, u64)>) -> Self {
        Self { canaries, ..self }
    }

    /// The first `seconds` of a recording.
    fn spoken(number: u32, path: &Path, seconds: u64) -> Option<Self> {
        let mut file = AudioFile::open(path).ok()?;
        if file.channels() != 1 || file.encoding() != Encoding::PcmS16Le {
            return None;
        }
        let format = format(pb::Encoding::PcmS16le, file.rate().hz());
        let mut bytes = Vec::new();
        while let Some(block) = file.next_block().ok()? {
            bytes.extend(block.bytes);
        }
        let mut voice = Self::new(0, number, format, seconds);
        voice.length = voice.length.min(bytes.len() as u64 / 2);
        voice.spoken = Some(Arc::new(bytes));
        Some(voice)
    }

    pub(crate) const fn rate(&self) -> u64 {
        self.format.sample_rate_hz as u64
    }

    pub(crate) fn width(&self) -> usize {
        match self.format.encoding() {
            pb::Encoding::Mulaw | pb::Encoding::Alaw | pb::Encoding::Unspecified => 1,
            pb::Encoding::PcmS16le => 2,
            pb::Encoding::PcmS24le => 3,
            pb::Encoding::PcmF32le => 4,
        }
    }

    /// The samples from `start` up to `end`, as the recorder writes them.
    pub(crate) fn bytes(&self, start: u64, end: u64) -> Vec<u8> {
        if let Some(spoken) = &self.spoken {
            let whole = spoken.len() / 2;
            let sample = |at: u64| [spoken[at as usize % whole * 2], spoken[at as usize % whole * 2 + 1]];
            return (start..end).flat_map(sample).collect();
        }
        let mut bytes = Vec::with_capacity((end - start) as usize * self.width());
        let mut step = self.plan.partition_point(|(at, _)| *at <= start % self.period);
        for position in start..end {
            let place = position % self.period;
            if place == 0 {
                step = 1;
            }
            while self.plan.get(step).is_some_and(|(at, _)| *at <= place) {
                step += 1;
            }
            let noise = mixed(self.seed.wrapping_add(position));
            if self.canaries.iter().any(|(from, to)| (*from..*to).contains(&position)) {
                // As loud as can be, which nothing else is.
                bytes.extend((if noise & 1 == 0 { 32_767_i16 } else { -32_767 }).to_le_bytes());
            } else {
                self.write(&mut bytes, noise, self.plan[step - 1].1);
            }
        }
        bytes
    }

    /// A sample of the loudness `loud`, drawn by `noise`.
    fn write(&self, bytes: &mut Vec<u8>, noise: u64, loud: f32) {
        let value = ((noise >> 40) as f32 / (1 << 23) as f32 - 1.0) * loud;
        match self.format.encoding() {
            // Of G.711's codes those with a high exponent are loud: sign, three bits of exponent, four of mantissa, inverted.
            pb::Encoding::Mulaw | pb::Encoding::Alaw | pb::Encoding::Unspecified => {
                let exponent = if loud > 0.5 { 0x70 } else { 0x10 };
                bytes.push(!((noise >> 8) as u8 & 0x8f | exponent));
            }
            pb::Encoding::PcmS16le => bytes.extend(((value * 32_000.0) as i16).to_le_bytes()),
            pb::Encoding::PcmS24le => bytes.extend(&((value * 8_000_000.0) as i32).to_le_bytes()[..3]),
            pb::Encoding::PcmF32le => bytes.extend(value.to_le_bytes()),
        }
    }
}

/// Four channels in four formats.
pub(crate) fn four(seed: u64, seconds: u64) -> Vec<Voice> {
    let formats = [
        (pb::Encoding::PcmS16le, 16_000),
        (pb::Encoding::Mulaw, 8_000),
        (pb::Encoding::PcmS24le, 24_000),
        (pb::Encoding::PcmF32le, 16_000),
    ];
    (1..)
        .zip(formats)
        .map(|(number, (encoding, rate))| Voice::new(seed, number, format(encoding, rate), seconds))
        .collect()
}

pub(crate) fn format(encoding: pb::Encoding, sample_rate_hz: u32) -> pb::AudioFormat {
    pb::AudioFormat { encoding: encoding.into(), sample_rate_hz }
}

/// Four channels of real English, `seconds` each at most: from the recordings that `VIVAVOCE_SPEECH` names, else from those
/// that the tests fetch.
pub(crate) fn four_spoken(seconds: u64) -> Vec<Voice> {
    let folder = crate::variable("VIVAVOCE_SPEECH").map_or_else(
        || {
            let folder = crate::process::models().join("recordings");
            std::fs::create_dir_all(&folder).unwrap();
            vivavoce::models::recordings::prepare(&folder, &mut vivavoce::models::progress::Silent).unwrap();
            folder
        },
        Into::into,
    );
    let items = table::manifest(&std::fs::read_to_string(folder.join("manifest.tsv")).unwrap()).unwrap();
    let english = items.iter().filter(|i| i.language.as_ref().is_some_and(|l| l.to_string().starts_with("en")));
    let spoken = english.filter_map(|item| Voice::spoken(1, &folder.join(item.file.as_deref()?), seconds));
    let spoken: Vec<Voice> = spoken.filter(|voice| voice.length >= 3 * voice.rate()).take(4).collect();
    assert!(!spoken.is_empty(), "there is no recording of English in {}", folder.display());
    (1..=4).zip(spoken.iter().cycle()).map(|(number, voice)| Voice { number, ..voice.clone() }).collect()
}

/// The same, again and again for so long, each time with as long a pause behind it, in which the room hisses: people who said one
/// thing over and over without a pause would be a decoder that has lost its way.
pub(crate) fn four_looped(seconds: u64) -> Vec<Voice> {
    let looped = |voice: Voice| {
        let mut dice = Dice::new(voice.number.into());
        let spoken = voice.spoken.as_deref().map_or(&[][..], Vec::as_slice);
        let hiss = (0..spoken.len() / 2).flat_map(|_| ((dice.below(61) as i16) - 30).to_le_bytes());
        let spoken = Some(Arc::new(spoken.iter().copied().chain(hiss).collect()));
        Voice { length: seconds * voice.rate(), spoken, ..voice }
    };
    four_spoken(60).into_iter().map(looped).collect()
}
