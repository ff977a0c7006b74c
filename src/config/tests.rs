//! Settings as a person types them, right and wrong.

use super::*;
use crate::telemetry::log::LogFormat;

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

fn sources(file: &str, variables: &[(&str, &str)], flags: &FlagOverrides) -> Result<Config, ConfigError> {
    let file = (!file.is_empty()).then(|| (PathBuf::from("court.toml"), file.to_owned()));
    let environment = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Config::from_sources(file, environment, flags, TWO)
}

fn set(settings: &[&str]) -> FlagOverrides {
    FlagOverrides { set: settings.iter().map(|s| (*s).to_owned()).collect(), ..FlagOverrides::default() }
}

/// The message of one fault in a file.
#[track_caller]
fn refused(file: &str, message: &str) {
    assert_eq!(sources(file, &[], &set(&[])).unwrap_err().to_string(), format!("file court.toml: {message}"));
}

#[test]
fn without_any_setting_the_service_stays_on_this_machine_and_uses_each_core_once() {
    let config = sources("", &[], &set(&[])).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50061");
    assert_eq!(config.server.admin_listen.to_string(), "127.0.0.1:50062");
    assert_eq!((config.server.max_streams, config.server.max_message_bytes), (16, 4 << 20));
    assert_eq!(config.server.drain, Duration::from_secs(20));
    assert_eq!(config.data.record(), Path::new("vivavoce-data/record.sqlite"));
    assert_eq!(config.data.audio(), Path::new("vivavoce-data/audio"));
    assert_eq!(config.data.models, Path::new("vivavoce-data/models"));
    assert_eq!((config.recognition.model.as_str(), config.recognition.vad_model.as_str()), ("base", "silero-vad"));
    assert_eq!((config.recognition.workers, config.recognition.threads_per_worker.get()), (TWO, 1));
    assert_eq!(
        (config.recognition.partial_step, config.profiles.last.decoding.beam),
        (Some(Duration::from_millis(400)), 5)
    );
    assert!(config.recognition.isolate);
    assert_eq!(config.profiles, Profiles::built_in("silero-vad"));
    assert_eq!((config.log.format, config.log.filter.as_str()), (LogFormat::Text, "info,whisper_rs=warn"));
}

#[test]
fn workers_follow_the_threads_that_each_takes() {
    let workers = |threads: &str| sources("", &[], &set(&[threads])).unwrap().recognition.workers.get();
    assert_eq!(workers("recognition.threads_per_worker=2"), 1);
    assert_eq!(workers("recognition.threads_per_worker=8"), 1);
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file_and_each_says_so() {
    let file = "[server]\nmax_streams = 2\ndrain_seconds = 3\n[recognition]\nmodel = \"small\"\nbeam = 2\n";
    let variables = [
        ("VIVAVOCE_SERVER__DRAIN_SECONDS", "4"),
        ("VIVAVOCE_RECOGNITION__MODEL", "3"),
        ("VIVAVOCE_ENDPOINT__RULES", "[{after_ms=0,silence_ms=700}]"),
        ("VIVAVOCE_SPEECH", "a folder of another tool"),
        ("PATH", "x"),
    ];
    let flags = FlagOverrides { model: Some("tiny".to_owned()), ..set(&["endpoint.longest_ms=20000"]) };
    let config = sources(file, &variables, &flags).unwrap();
    assert_eq!(
        (config.server.max_streams, config.server.drain.as_secs(), config.profiles.last.decoding.beam),
        (2, 4, 2)
    );
    assert_eq!(config.recognition.model, "tiny");
    for profile in [&config.profiles.live, &config.profiles.last] {
        assert_eq!((profile.endpoint.rules[0].silence_ms, profile.endpoint.longest_ms), (700, 20_000));
    }
    assert_eq!(config.profiles.archive.endpoint.longest_ms, 28_000, "it has its own");
    for (key, origin) in [
        ("server.max_streams", "file court.toml"),
        ("server.drain_seconds", "variable VIVAVOCE_SERVER__DRAIN_SECONDS"),
        ("recognition.model", "flag --model"),
        ("endpoint.longest_ms", "flag --set endpoint.longest_ms=20000"),
        ("log.format", "built-in"),
    ] {
        assert_eq!(config.origin(key).to_string(), origin, "{key}");
    }
    let without_flag = sources(file, &variables, &set(&[])).unwrap();
    assert_eq!(without_flag.recognition.model, "3", "text that looks like a number stays text");
}

#[test]
fn each_fault_in_a_file_is_named_with_its_key_and_remedy() {
    refused("[server]\nlisen = \"x\"", "server.lisen is not a setting; did you mean server.listen?");
    refused("[sever]\nlisten = \"x\"", "sever is not a setting; did you mean server?");
    refused("[log]\nfrobnicate = 1", "log.frobnicate is not a setting; here are format, filter");
    refused("[server]\nmax_streams = \"many\"", "server.max_streams is the text \"many\": a whole number is needed");
    refused("[server]\nmax_streams = 0", "server.max_streams is 0: 1 to 1000 can be set");
    refused("[server]\nmax_streams = -1", "server.max_streams is -1: 1 to 1000 can be set");
    refused("[server]\nmax_message_bytes = 1", "server.max_message_bytes is 1: 65536 to 67108864 can be set");
    refused("server = 5", "server is 5: a group of settings is needed");
    refused("data = []", "data is a list: a group of settings is needed");
    refused("[log]\nfilter = {}", "log.filter is a group: text is needed");
    refused("[recognition]\nbeam = 1.5", "recognition.beam is 1.5: a whole number is needed");
    refused("[recognition]\nbeam = true", "recognition.beam is true: a whole number is needed");
    refused("[recognition]\nisolate = 1", "recognition.isolate is 1: true or false is needed");
    refused("[recognition]\nbeam = 9", "recognition.beam is 9: 1 to 8 can be set");
    refused(
        "[recognition]\npartial_step_ms = 100",
        "recognition.partial_step_ms is 100: 0 turns partial text off, or else 200 to 10000 can be set",
    );
    refused(
        "[recognition]\nmodel = \"../x\"",
        "recognition.model is \"../x\": a model's name is 1 to 64 letters, digits, '-', '_' and '.', and does not begin \
         with '.'",
    );
    refused("[data]\ndir = \"\"", "data.dir is empty: a folder is needed");
    refused("[log]\nformat = \"xml\"", "log.format is \"xml\": text or json is needed");
    refused("[endpoint]\nrules = [{ after_ms = 0 }]", "endpoint.rules.0 lacks silence_ms");
    refused(
        "[endpoint]\npre_roll_ms = -1",
        "endpoint.pre_roll_ms is -1: a whole number from 0 to 4294967295 is needed",
    );
    refused(
        "[endpoint]\nstop_threshold = nan",
        "endpoint.stop_threshold does not fit: thresholds start 0.5 and stop NaN: 0 < stop <= start < 1 is needed",
    );
    let filter = sources("[log]\nfilter = \"=x=\"", &[], &set(&[])).unwrap_err().to_string();
    assert!(filter.starts_with("file court.toml: log.filter is \"=x=\", which is no filter ("), "{filter}");
}

#[test]
fn listeners_that_other_machines_reach_are_refused() {
    for open in ["0.0.0.0:50061", "[::]:50061", "192.0.2.1:1"] {
        let error = sources("", &[("VIVAVOCE_SERVER__LISTEN", open)], &set(&[])).unwrap_err().to_string();
        let expected =
            format!("variable VIVAVOCE_SERVER__LISTEN: server.listen is {open}, which other machines can reach");
        assert!(error.starts_with(&expected) && error.contains("TLS"), "{error}");
    }
    assert!(sources("", &[("VIVAVOCE_SERVER__LISTEN", "[::1]:0")], &set(&[])).is_ok());
    refused(
        "[server]\nlisten = \"localhost:1\"",
        "server.listen is \"localhost:1\": an IP address with a port is needed, such as 127.0.0.1:50061 or [::1]:50061",
    );
    refused(
        "[server]\nadmin_listen = \"127.0.0.1:50061\"",
        "server.admin_listen is 127.0.0.1:50061 as server.listen is: give it another port",
    );
}

#[test]
fn all_faults_of_all_sources_are_told_at_once() {
    let file = "[server]\nlisen = 1\nmax_streams = 0\n[log]\nformat = 5\n";
    let variables = [("VIVAVOCE_SERVER_LISTEN", "x"), ("VIVAVOCE_DATA__DIRECTORY", "x")];
    let flags =
        FlagOverrides { workers: Some("x".into()), ..set(&["server.beam", ".x=1", "a..b=1", "recognition.beam=0"]) };
    let told = sources(file, &variables, &flags).unwrap_err().to_string();
    let mut lines: Vec<_> = told.lines().collect();
    lines.sort_unstable();
    let expected = [
        "file court.toml: log.format is 5: text is needed",
        "file court.toml: server.lisen is not a setting; did you mean server.listen?",
        "file court.toml: server.max_streams is 0: 1 to 1000 can be set",
        "flag --set .x=1: .x is not a setting; here are server, data, recognition, endpoint, profiles, log",
        "flag --set a..b=1: a..b is not a setting; here are server, data, recognition, endpoint, profiles, log",
        "flag --set recognition.beam=0: recognition.beam is 0: 1 to 8 can be set",
        "flag --set server.beam: server.beam has no value: write --set group.key=value",
        "flag --workers: recognition.workers is the text \"x\": a whole number is needed",
        "variable VIVAVOCE_DATA__DIRECTORY: data.directory is not a setting; here are dir, models, reserve_mib",
        "variable VIVAVOCE_SERVER_LISTEN: server.listen needs two underscores between the group and the key: write \
         VIVAVOCE_SERVER__LISTEN",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Path::new("no/such/court.toml");
    let error = Config::load(Some(missing), std::iter::empty(), &set(&[])).unwrap_err();
    assert_eq!(error.kind(), FaultKind::NotFound);
    assert!(error.to_string().starts_with("the settings in no/such/court.toml cannot be read: "), "{error}");
    let broken = sources("[server\n", &[], &set(&[])).unwrap_err();
    assert_eq!(broken.kind(), FaultKind::Invalid);
    assert!(broken.to_string().starts_with("the settings in court.toml are not written as TOML: "), "{broken}");
    assert!(broken.to_string().contains("line 1"), "{broken}");
}

#[test]
fn a_file_on_disk_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("court.toml");
    fs::write(&path, "[data]\ndir = \"C \\\" \\u0007 é\"\n").unwrap();
    let config = Config::load(Some(&path), std::iter::empty(), &set(&[])).unwrap();
    assert_eq!(config.data.dir, Path::new("C \" \u{7} é"));
    assert_eq!(*config.origin("data.dir"), Origin::File(path));
}

#[test]
fn the_description_is_a_file_of_the_same_settings() {
    let told = set(&[
        "data.dir=a \"b\" \\",
        "recognition.partial_step_ms=0",
        "recognition.isolate=false",
        "recognition.glossary=names of the case.toml",
        "endpoint.stop_threshold=0.3",
        "profiles.archive.lost_below=-0.7",
        "profiles.archive.rules=[{after_ms=0,silence_ms=2000}]",
        "profiles.live.prompt_tokens=0",
        "recognition.beam=3",
        "log.format=json",
    ]);
    let config = sources("[server]\nmax_streams = 2\n", &[], &told).unwrap();
    let description = config.describe();
    assert!(description.starts_with("[server]\nlisten = \"127.0.0.1:50061\""), "{description}");
    assert!(
        description.contains("max_streams = 2                                  # file court.toml\n"),
        "{description}"
    );
    let again = sources(&description, &[], &set(&[])).unwrap();
    assert_eq!(Config { origins: config.origins.clone(), ..again }, config);
}

#[test]
fn a_profile_is_set_key_by_key_and_the_older_name_of_its_beam_still_counts() {
    let file =
        "[recognition]\nbeam = 2\nvad_model = \"v\"\n[endpoint]\nstart_threshold = 0.6\n[profiles.archive]\nbeam = 8\n";
    let config = sources(file, &[("VIVAVOCE_PROFILES__FINAL__CONTEXT_PAD", "256")], &set(&[])).unwrap();
    let Profiles { live, last, archive } = &config.profiles;
    assert_eq!((last.decoding.beam, last.decoding.context_pad, archive.decoding.beam), (2, 256, 8));
    for profile in [live, last, archive] {
        assert_eq!((profile.detector.as_str(), profile.endpoint.start_threshold), ("v", 0.6), "{}", profile.profile);
    }
    assert_eq!(
        config.origin("profiles.final.context_pad").to_string(),
        "variable VIVAVOCE_PROFILES__FINAL__CONTEXT_PAD"
    );
    let both = sources("[recognition]\nbeam = 2\n[profiles.final]\nbeam = 1\n", &[], &set(&[])).unwrap();
    assert_eq!(both.profiles.last.decoding.beam, 1);
}

#[test]
fn what_is_wrong_in_a_profile_is_named_with_its_key() {
    refused("[profiles.final]\nbeam = 9", "profiles.final.beam is 9: 1 to 8 can be set");
    refused("[profiles.live]\ncontext_pad = 5", "profiles.live.context_pad is 5: 32 to 1500 can be set");
    refused("[profiles.archive]\nlost_below = 1", "profiles.archive.lost_below is 1: a number from -10 to 0 is needed");
    refused("[profiles]\nfinal = 5", "profiles.final is 5: a group of settings is needed");
    refused("profiles = []", "profiles is a list: a group of settings is needed");
    refused("[profiles.last]\nbeam = 1", "profiles.last is not a setting; here are live, final, archive");
    refused(
        "[profiles.archive]\nlongest_ms = 30000",
        "profiles.archive.longest_ms does not fit: longest_ms 30000 with pre_roll_ms 640 must be 5000 to 29000, search_ms at \
         most half of it",
    );
}
