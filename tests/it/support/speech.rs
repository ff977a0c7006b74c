//! Real speech: the folder that `VIVAVOCE_SPEECH` names, else the recordings of packages.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vivavoce::{
    api::grpc::pb,
    domain::{audio::Encoding, language::LanguageTag},
    evaluation::{
        score::score,
        table::{self, Item},
    },
    speech::audio::{file::AudioFile, format},
};

use super::{models::recordings, server};

/// A recording, decoded to the bytes a recorder would send.
pub(crate) struct Speech {
    pub(crate) language: String,
    pub(crate) reference: String,
    pub(crate) format: pb::AudioFormat,
    pub(crate) channels: usize,
    /// Interleaved where there are several channels.
    pub(crate) bytes: Vec<u8>,
    pub(crate) path: PathBuf,
}

/// The folder of recordings and what its manifest says of them.
pub(crate) struct Folder {
    pub(crate) dir: PathBuf,
    pub(crate) items: Vec<Item>,
}

impl Folder {
    /// The recordings that a developer has, else those of the packages.
    pub(crate) fn any() -> Self {
        Self::given().unwrap_or_else(|| Self::at(recordings()))
    }

    /// The recordings that a developer has. `None` where there are none, which the test then says; where CI runs and they
    /// lie beside the repository, that is a failure.
    pub(crate) fn given() -> Option<Self> {
        if let Some(dir) = std::env::var_os("VIVAVOCE_SPEECH") {
            return Some(Self::at(dir.into()));
        }
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/speech/manifest.tsv");
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!(ci && beside.exists()), "set VIVAVOCE_SPEECH: recordings are there and would be skipped");
        None
    }

    /// The same, saying what is left out.
    pub(crate) fn given_or_say(what: &str) -> Option<Self> {
        let given = Self::given();
        if given.is_none() {
            say(&format!("skipped: {what}: VIVAVOCE_SPEECH names no folder of recordings, and no package has such"));
        }
        given
    }

    fn at(dir: PathBuf) -> Self {
        let manifest = dir.join("manifest.tsv");
        let text = fs::read_to_string(&manifest).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
        Self { items: table::manifest(&text).unwrap(), dir }
    }

    /// The item of that id.
    pub(crate) fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    /// Reads the recording of an item.
    pub(crate) fn load(&self, item: &Item) -> Speech {
        let path = self.dir.join(item.file.as_deref().unwrap());
        let language = item.language.as_ref().map_or_else(|| "en".to_owned(), ToString::to_string);
        Speech::read(path, language, item.reference.clone())
    }

    /// The items whose file lies in the folder `folder`.
    pub(crate) fn under(&self, folder: &str) -> Vec<&Item> {
        let inside = |item: &&Item| item.file.as_deref().is_some_and(|f| f.starts_with(folder));
        self.items.iter().filter(inside).collect()
    }
}

/// Prints, past what the test harness holds back.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

impl Speech {
    /// A sentence or two of English: the usual first test where it is there.
    pub(crate) fn english() -> Self {
        let folder = Folder::any();
        let item = folder.item("jfk").or_else(|| folder.item("en-librivox-0880"));
        let english = |i: &&Item| i.language.as_ref().is_some_and(|l| l.to_string().starts_with("en"));
        folder.load(item.or_else(|| folder.items.iter().find(english)).unwrap())
    }

    pub(crate) fn read(path: PathBuf, language: String, reference: String) -> Self {
        let mut file = AudioFile::open(&path).unwrap();
        let format = server::format(wire(file.encoding()), file.rate().hz());
        let channels = file.channels();
        let mut bytes = Vec::new();
        while let Some(block) = file.next_block().unwrap() {
            bytes.extend(block.bytes);
        }
        Self { language, reference, format, channels, bytes, path }
    }

    /// The same written in another encoding.
    pub(crate) fn encoded(&self, encoding: Encoding) -> Self {
        let mut bytes = Vec::new();
        format::encode(encoding, &self.samples(), &mut bytes);
        self.with(wire(encoding), self.format.sample_rate_hz, bytes)
    }

    /// The same at `times` the rate, by straight lines between the samples.
    pub(crate) fn at_rate_times(&self, times: u16) -> Self {
        let samples = self.samples();
        let step = |pair: &[f32]| {
            let (from, to) = (pair[0], *pair.last().unwrap());
            (0..times).map(move |i| from + (to - from) * f32::from(i) / f32::from(times))
        };
        let finer: Vec<f32> = samples.windows(2).chain([&samples[samples.len() - 1..]]).flat_map(step).collect();
        let mut bytes = Vec::new();
        format::encode(Encoding::PcmS16Le, &finer, &mut bytes);
        self.with(pb::Encoding::PcmS16le, self.format.sample_rate_hz * u32::from(times), bytes)
    }

    fn with(&self, encoding: pb::Encoding, rate: u32, bytes: Vec<u8>) -> Self {
        Self {
            language: self.language.clone(),
            reference: self.reference.clone(),
            format: server::format(encoding, rate),
            channels: self.channels,
            bytes,
            path: self.path.clone(),
        }
    }

    pub(crate) fn samples(&self) -> Vec<f32> {
        let mut samples = Vec::new();
        format::decode(self.encoding(), &self.bytes, &mut samples).unwrap();
        samples
    }

    pub(crate) fn encoding(&self) -> Encoding {
        Encoding::ALL.into_iter().find(|e| wire(*e) == self.format.encoding()).unwrap()
    }

    /// Bytes of one sample of every channel.
    pub(crate) fn frame(&self) -> usize {
        self.encoding().bytes_per_sample() * self.channels
    }

    /// Samples of one channel.
    pub(crate) fn frames(&self) -> u64 {
        (self.bytes.len() / self.frame()) as u64
    }

    pub(crate) fn chunks_ms(&self, ms: usize) -> impl Iterator<Item = &[u8]> {
        let frames = self.format.sample_rate_hz as usize * ms / 1_000;
        self.bytes.chunks(frames * self.frame())
    }

    /// Writes it as a WAV file.
    pub(crate) fn write(&self, path: &Path) {
        let spec = hound::WavSpec {
            channels: u16::try_from(self.channels).unwrap(),
            sample_rate: self.format.sample_rate_hz,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        for sample in self.bytes.as_chunks::<2>().0 {
            writer.write_sample(i16::from_le_bytes(*sample)).unwrap();
        }
        writer.finalize().unwrap();
    }

    /// Words of the reference that the text has wrong, in a hundred.
    pub(crate) fn word_errors(&self, text: &str) -> f64 {
        word_errors(&self.reference, text, &self.language)
    }
}

/// Silence, hiss of several loudnesses, mains hum, knocks on a table: ten seconds each at 16 kHz.
pub(crate) fn made_sounds() -> Speech {
    let mut state = 1_u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u16::try_from(state >> 16).unwrap()) / 32_768.0 - 1.0
    };
    let rate = 16_000_u16;
    let mut samples = Vec::new();
    for part in 0..5_u8 {
        for i in 0..10 * u32::from(rate) {
            let second = f32::from(u16::try_from(i % u32::from(rate)).unwrap()) / f32::from(rate);
            samples.push(match part {
                0 => 0.0,
                1 => noise() * 0.003,
                2 => noise() * 0.2,
                3 => (second * 50.0 * std::f32::consts::TAU).sin() * 0.1 + noise() * 0.001,
                _ => noise() * (-second * 60.0).exp() * 0.5,
            });
        }
    }
    let mut bytes = Vec::new();
    format::encode(Encoding::PcmS16Le, &samples, &mut bytes);
    Speech {
        language: "en".to_owned(),
        reference: String::new(),
        format: server::format(pb::Encoding::PcmS16le, u32::from(rate)),
        channels: 1,
        bytes,
        path: "generated".into(),
    }
}

pub(crate) fn word_errors(reference: &str, text: &str, language: &str) -> f64 {
    let language: LanguageTag = language.parse().unwrap();
    score(reference, text, &language).counts.words.percent().unwrap()
}

const fn wire(encoding: Encoding) -> pb::Encoding {
    match encoding {
        Encoding::PcmS16Le => pb::Encoding::PcmS16le,
        Encoding::PcmS24Le => pb::Encoding::PcmS24le,
        Encoding::PcmF32Le => pb::Encoding::PcmF32le,
        Encoding::MuLaw => pb::Encoding::Mulaw,
        Encoding::ALaw => pb::Encoding::Alaw,
    }
}
