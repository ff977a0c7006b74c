//! From what was typed to what it means: built-in values, ranges, and what must fit together.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use super::{
    Config, DataConfig, KeyFault, KeyProblem, RecognitionConfig, ServerConfig,
    raw::{KEYS, RawConfig, RawProfiles, Typed},
};
use crate::{
    speech::{
        profile::{Decoding, Profile, Profiles, WHOLE_CONTEXT},
        stream::endpoint::{EndpointConfig, EndpointError},
    },
    telemetry::log::{LogFormat, LogSettings},
};

const LISTEN: SocketAddr = loopback(50061);
const ADMIN_LISTEN: SocketAddr = loopback(50062);
/// The largest number of threads or workers that makes sense on one machine.
const MOST_THREADS: i64 = 64;
const MOST_WORKERS: i64 = 256;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// Checks every setting and fills in what was not typed. Where `faults` grew, the result is not to be used.
pub(super) fn resolve(typed: &Typed, cores: NonZeroUsize, faults: &mut Vec<KeyFault>) -> Config {
    let RawConfig { server, data, recognition, endpoint, profiles, log } = &typed.raw;
    let mut check = Check { typed, faults };

    let listen = check.address("server.listen", server.listen.as_deref(), LISTEN);
    let admin_listen = check.address("server.admin_listen", server.admin_listen.as_deref(), ADMIN_LISTEN);
    if listen == admin_listen && listen.port() != 0 {
        check.fault("server.admin_listen", KeyProblem::SameAddress { found: listen });
    }
    let server = ServerConfig {
        listen,
        admin_listen,
        max_streams: check.count("server.max_streams", server.max_streams, 16, (1, 1_000)).get(),
        live_channels: usize::try_from(check.number("server.live_channels", server.live_channels, 0, (0, 1_000)))
            .ok()
            .filter(|channels| *channels > 0),
        max_message_bytes: check
            .count("server.max_message_bytes", server.max_message_bytes, 4 << 20, (64 << 10, 64 << 20))
            .get(),
        drain: Duration::from_secs(check.number("server.drain_seconds", server.drain_seconds, 20, (0, 600))),
    };

    let dir = check.folder("data.dir", data.dir.as_deref()).unwrap_or_else(|| "vivavoce-data".into());
    let models = check.folder("data.models", data.models.as_deref()).unwrap_or_else(|| dir.join("models"));
    // Six hours of one channel at 48 kHz with 16 bits, or more than four of four at 16 kHz: a session ends well.
    let reserve = check.number("data.reserve_mib", data.reserve_mib, 2_048, (0, 1 << 20)) << 20;

    let threads = check.count("recognition.threads_per_worker", recognition.threads_per_worker, 1, (1, MOST_THREADS));
    // A GPU does one decode after the other in any case: a second worker would take its memory and bring nothing.
    let beside = if cfg!(feature = "cuda") { 1 } else { cores.get() / threads };
    let fitting = i64::try_from(beside).unwrap_or(MOST_WORKERS).clamp(1, MOST_WORKERS);
    let step = check.step("recognition.partial_step_ms", recognition.partial_step_ms);
    let recognition_beam = recognition.beam;
    let recognition = RecognitionConfig {
        model: check.model("recognition.model", recognition.model.as_deref(), "base"),
        vad_model: check.model("recognition.vad_model", recognition.vad_model.as_deref(), "silero-vad"),
        threads_per_worker: threads,
        workers: check.count("recognition.workers", recognition.workers, fitting, (1, MOST_WORKERS)),
        partial_step: step,
        isolate: recognition.isolate.unwrap_or(true),
        glossary: recognition.glossary.as_deref().filter(|path| !path.is_empty()).map(PathBuf::from),
    };

    check.endpoint("endpoint", endpoint);
    let profiles = check.profiles(profiles, recognition_beam, (&recognition.vad_model, endpoint));
    let log = check.log(log.format.as_deref(), log.filter.as_deref());
    let origins = KEYS.iter().map(|(key, _)| (*key, typed.origin(key))).collect();
    Config { server, data: DataConfig { dir, models, reserve }, recognition, profiles, log, origins }
}

/// Checks one setting at a time and notes what is wrong with where it was typed.
struct Check<'a> {
    typed: &'a Typed,
    faults: &'a mut Vec<KeyFault>,
}

impl Check<'_> {
    fn fault(&mut self, key: &str, problem: KeyProblem) {
        self.faults.push(KeyFault { key: key.to_owned(), origin: self.typed.origin(key), problem });
    }

    fn address(&mut self, key: &str, typed: Option<&str>, built_in: SocketAddr) -> SocketAddr {
        let Some(text) = typed else { return built_in };
        let Ok(address) = text.parse::<SocketAddr>() else {
            self.fault(key, KeyProblem::Address { found: cut(text) });
            return built_in;
        };
        if !address.ip().is_loopback() {
            self.fault(key, KeyProblem::Open { found: address });
        }
        address
    }

    /// A number in `range`, both ends included; its least is not negative.
    fn number(&mut self, key: &str, typed: Option<i64>, built_in: i64, range: (i64, i64)) -> u64 {
        let found = typed.unwrap_or(built_in);
        let (least, most) = range;
        if !(least..=most).contains(&found) {
            self.fault(key, KeyProblem::Range { found, least, most });
        }
        found.clamp(least, most).unsigned_abs()
    }

    /// A number in `range` whose least is 1 or more.
    fn count(&mut self, key: &str, typed: Option<i64>, built_in: i64, range: (i64, i64)) -> NonZeroUsize {
        let number = usize::try_from(self.number(key, typed, built_in, range)).unwrap_or(usize::MAX);
        NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
    }

    fn step(&mut self, key: &str, typed: Option<i64>) -> Option<Duration> {
        let found = typed.unwrap_or(400);
        match u64::try_from(found) {
            Ok(0) => None,
            Ok(ms @ 200..=10_000) => Some(Duration::from_millis(ms)),
            Ok(_) | Err(_) => {
                self.fault(key, KeyProblem::Step { found });
                None
            }
        }
    }

    fn folder(&mut self, key: &str, typed: Option<&str>) -> Option<PathBuf> {
        if typed == Some("") {
            self.fault(key, KeyProblem::NoFolder);
        }
        typed.map(PathBuf::from)
    }

    /// The same rule as the store of models has, so that the fault is told with its key.
    fn model(&mut self, key: &str, typed: Option<&str>, built_in: &str) -> String {
        let name = typed.unwrap_or(built_in);
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !plain || name.is_empty() || name.len() > 64 || name.starts_with('.') {
            self.fault(key, KeyProblem::ModelName { found: cut(name) });
        }
        name.to_owned()
    }

    fn endpoint(&mut self, group: &str, endpoint: &EndpointConfig) {
        let Err(error) = endpoint.check() else { return };
        let keys: &[&str] = match &error {
            EndpointError::Thresholds { .. } => &["start_threshold", "stop_threshold"],
            EndpointError::Rules => &["rules"],
            EndpointError::Lengths { .. } => &["longest_ms", "pre_roll_ms", "search_ms"],
        };
        // One that was typed is the one to mend; the built-in ones fit each other.
        let mut typed = keys.iter().map(|key| format!("{group}.{key}"));
        let typed = typed.find(|key| self.typed.origin(key) != super::origin::Origin::BuiltIn);
        self.fault(&typed.unwrap_or_else(|| group.to_owned()), KeyProblem::Endpoint(error));
    }

    /// `beam` is what was typed as `recognition.beam`, the older name of `profiles.final.beam`.
    fn profiles(
        &mut self,
        raw: &RawProfiles,
        beam: Option<i64>,
        (detector, endpoint): (&str, &EndpointConfig),
    ) -> Profiles {
        let Profiles { live, last, archive } = Profiles::built_in(detector);
        let RawProfiles { live: typed_live, last: typed_last, archive: typed_archive } = raw;
        let beam_key = if typed_last.beam.is_some() { "profiles.final.beam" } else { "recognition.beam" };
        let live = Profile {
            decoding: Decoding {
                context_pad: self.pad("profiles.live.context_pad", typed_live.context_pad, live.decoding.context_pad),
                prompt_tokens: self.small(
                    "profiles.live.prompt_tokens",
                    typed_live.prompt_tokens,
                    (live.decoding.prompt_tokens, 0, 200),
                ),
                ..live.decoding
            },
            endpoint: endpoint.clone(),
            ..live
        };
        let beams = (typed_last.beam.or(beam), typed_last.beam_below);
        let last = Profile {
            decoding: self.searched(
                ("profiles.final", beam_key),
                beams,
                (typed_last.context_pad, typed_last.lost_below),
                last.decoding,
            ),
            endpoint: endpoint.clone(),
            ..last
        };
        let archive = Profile {
            decoding: self.searched(
                ("profiles.archive", "profiles.archive.beam"),
                (typed_archive.beam, typed_archive.beam_below),
                (typed_archive.context_pad, typed_archive.lost_below),
                archive.decoding,
            ),
            // What counts as speech is the same everywhere.
            endpoint: EndpointConfig {
                rules: typed_archive.rules.clone().unwrap_or(archive.endpoint.rules),
                longest_ms: typed_archive.longest_ms.unwrap_or(archive.endpoint.longest_ms),
                search_ms: typed_archive.search_ms.unwrap_or(archive.endpoint.search_ms),
                ..endpoint.clone()
            },
            ..archive
        };
        if endpoint.check().is_ok() {
            self.endpoint("profiles.archive", &archive.endpoint);
        }
        Profiles { live, last, archive }
    }

    /// A number from `least` to `most`.
    fn small(&mut self, key: &str, typed: Option<i64>, (built_in, least, most): (u16, u16, u16)) -> u16 {
        let number = self.number(key, typed, built_in.into(), (least.into(), most.into()));
        u16::try_from(number).unwrap_or(most)
    }

    fn beam(&mut self, key: &str, typed: Option<i64>, built_in: u8) -> u8 {
        u8::try_from(self.small(key, typed, (built_in.into(), 1, 8))).unwrap_or(built_in)
    }

    /// How texts for the record are searched for: the beams and from where on, the context and when it is too short.
    fn searched(
        &mut self,
        (group, beam_key): (&str, &str),
        (beam, beam_below): (Option<i64>, Option<f32>),
        (context_pad, lost_below): (Option<i64>, Option<f32>),
        built_in: Decoding,
    ) -> Decoding {
        let key = |name: &str| format!("{group}.{name}");
        Decoding {
            beam: self.beam(beam_key, beam, built_in.beam),
            beam_below: self.log_probability(&key("beam_below"), beam_below, built_in.beam_below),
            context_pad: self.pad(&key("context_pad"), context_pad, built_in.context_pad),
            lost_below: self.log_probability(&key("lost_below"), lost_below, built_in.lost_below),
            ..built_in
        }
    }

    fn pad(&mut self, key: &str, typed: Option<i64>, built_in: u16) -> u16 {
        self.small(key, typed, (built_in, 32, WHOLE_CONTEXT))
    }

    /// A mean log probability.
    fn log_probability(&mut self, key: &str, typed: Option<f32>, built_in: f32) -> f32 {
        let found = typed.unwrap_or(built_in);
        if !(-10.0..=0.0).contains(&found) {
            let expected = "a number from -10 to 0".to_owned();
            self.fault(key, KeyProblem::Form { found: found.to_string(), expected });
        }
        found
    }

    fn log(&mut self, format: Option<&str>, filter: Option<&str>) -> LogSettings {
        let built_in = LogSettings::default();
        let format = match format.map(|text| (LogFormat::parse(text), text)) {
            None => built_in.format,
            Some((Some(format), _)) => format,
            Some((None, text)) => {
                self.fault("log.format", KeyProblem::LogFormat { found: cut(text) });
                built_in.format
            }
        };
        let filter = filter.map_or(built_in.filter, str::to_owned);
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&filter) {
            self.fault("log.filter", KeyProblem::LogFilter { found: cut(&filter), reason: error.to_string() });
        }
        LogSettings { format, filter }
    }
}

/// What was typed, at a length that fits a line.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
