//! Machines that are well, and machines with one thing wrong.

use std::{collections::BTreeSet, path::PathBuf};

use super::*;
use crate::config::flags::FlagOverrides;

fn config(settings: &[&str]) -> Config {
    let set = ["recognition.workers=2"].iter().chain(settings).map(|s| (*s).to_owned()).collect();
    Config::load(None, std::iter::empty(), &FlagOverrides { set, ..FlagOverrides::default() }).unwrap()
}

fn engine() -> EngineBuild {
    EngineBuild { kind: "native", features: BTreeSet::from(["avx2", "fma", "f16c", "avx512f"]) }
}

fn models() -> Vec<ModelState> {
    let model = |name: &str, bytes| ModelState { name: name.to_owned(), condition: ModelCondition::Verified { bytes } };
    vec![model("base", 147_951_465), model("silero-vad", 885_098)]
}

/// A machine as it should be.
fn well() -> Machine {
    let port = |key, address: &str| Port { key, address: address.parse().unwrap(), state: PortState::Free };
    Machine {
        processor: Processor {
            name: "Court 3000".to_owned(),
            features: ["avx2", "fma", "f16c", "avx512f", "sse4_2"].map(str::to_owned).into(),
            cores: 2,
            governor: Some(("intel_pstate".to_owned(), "powersave".to_owned())),
            stolen: Some(0.01),
        },
        memory: Some(Memory { total: 8 << 30, available: 4 << 30 }),
        data: Folder {
            path: PathBuf::from("data"),
            nearest: PathBuf::from("data"),
            refusal: None,
            mode: Some(0o700),
            owned: true,
            free: Some(500_000_000_000),
            medium: Medium::Disk,
            with_system: false,
        },
        ports: vec![port("server.listen", "127.0.0.1:50061"), port("server.admin_listen", "127.0.0.1:50062")],
        clock: Clock { now: "2026-11-22T12:00:00Z".parse().unwrap(), synchronised: Some(true) },
        open_files: Some(1_024),
        core_dump_bytes: Some(0),
        root: false,
    }
}

/// The one line that is not well, as `status name: finding -> remedy`.
#[track_caller]
fn finds(change: impl Fn(&mut Machine), status: Status, name: &str, words: &str) {
    let mut machine = well();
    change(&mut machine);
    only(&all(&machine, &config(&[]), &engine(), &models()), status, name, words);
}

#[track_caller]
fn only(checks: &[Check], status: Status, name: &str, words: &str) {
    let wrong: Vec<_> = checks.iter().filter(|check| check.status != Status::Ok).collect();
    let [check] = wrong.as_slice() else { panic!("not one line: {wrong:?}") };
    assert_eq!((check.status, check.name.as_str()), (status, name), "{check:?}");
    let line = format!("{} -> {}", check.finding, check.remedy.as_deref().unwrap_or_default());
    assert!(line.contains(words), "{words:?} is not in {line:?}");
}

#[test]
fn a_machine_that_is_well_has_no_remedies() {
    let checks = all(&well(), &config(&[]), &engine(), &models());
    assert_eq!(checks.len(), 18);
    for check in checks {
        assert_eq!((check.status, &check.remedy), (Status::Ok, &None), "{check:?}");
    }
}

#[test]
fn a_processor_that_the_engine_was_not_built_for_is_found() {
    let without = |feature: &'static str| move |m: &mut Machine| m.processor.features.retain(|f| f != feature);
    finds(without("avx512f"), Status::Fail, "processor", "lacks avx512f, for which the engine was built");
    finds(|m| m.processor.features.clear(), Status::Warn, "processor", "not told");
    let built = |kind, features: &[&'static str], machine: &Machine| {
        all(machine, &config(&[]), &EngineBuild { kind, features: features.iter().copied().collect() }, &models())
    };
    only(&built("none", &[], &well()), Status::Fail, "processor", "the feature whisper");
    if cfg!(target_arch = "x86_64") {
        only(&built("baseline", &[], &well()), Status::Warn, "processor", "several times slower");
        let mut old = well();
        old.processor.features.remove("avx2");
        only(&built("baseline", &[], &old), Status::Warn, "processor", "hardly keep up");
        let portable = built("portable", &["avx2", "fma", "f16c"], &well());
        assert!(
            portable[0].status == Status::Ok && portable[0].finding.contains("a third faster"),
            "{:?}",
            portable[0]
        );
    }
}

#[test]
fn more_threads_than_cores_are_found() {
    let check = |setting| all(&well(), &config(&[setting]), &engine(), &models());
    only(&check("recognition.workers=3"), Status::Warn, "cores", "set recognition.workers to 2 or fewer");
    only(&check("recognition.threads_per_worker=4"), Status::Warn, "cores", "set recognition.workers to 1 or fewer");
}

#[test]
fn a_slow_or_shared_processor_is_found() {
    let governor = |m: &mut Machine| m.processor.governor = Some(("acpi-cpufreq".to_owned(), "powersave".to_owned()));
    finds(governor, Status::Warn, "frequency", "cpupower frequency-set -g performance");
    finds(|m| m.processor.stolen = Some(0.2), Status::Warn, "neighbours", "took 20 % of the working time");
}

#[test]
fn too_little_memory_is_found() {
    let memory = |total, available| move |m: &mut Machine| m.memory = Some(Memory { total, available });
    finds(memory(512 << 20, 512 << 20), Status::Fail, "memory", "set fewer recognition.workers");
    finds(memory(8 << 30, 256 << 20), Status::Warn, "memory", "end other programs");
    finds(|m| m.memory = None, Status::Warn, "memory", "not told");
    let mut running = well();
    running.memory = Some(Memory { total: 8 << 30, available: 256 << 20 });
    running.ports[1].state = PortState::Ours;
    let checks = all(&running, &config(&[]), &engine(), &models());
    assert!(checks.iter().all(|check| check.status == Status::Ok), "what a running service uses is its own");
}

#[test]
fn models_that_are_not_there_or_not_right_are_found() {
    let with = |condition| {
        let mut models = models();
        models[0].condition = condition;
        all(&well(), &config(&[]), &engine(), &models)
    };
    only(&with(ModelCondition::Absent), Status::Fail, "model base", "vivavoce models fetch base");
    let refused = ModelCondition::Refused { reason: "another digest".to_owned() };
    only(&with(refused), Status::Fail, "model base", "another digest");
    only(&all(&well(), &config(&[]), &engine(), &[]), Status::Fail, "models", "none");
}

#[test]
fn an_unsafe_data_folder_is_found() {
    let refused = |m: &mut Machine| m.data.refusal = Some("read-only file system".to_owned());
    finds(refused, Status::Fail, "data folder", "nothing can be written to data: read-only file system");
    finds(|m| m.data.mode = Some(0o755), Status::Fail, "permissions", "mode 0755: everybody on this machine");
    finds(|m| m.data.mode = Some(0o750), Status::Warn, "permissions", "-> chmod 700 data");
    finds(|m| m.data.owned = false, Status::Warn, "permissions", "another user");
    finds(|m| m.data.medium = Medium::Memory, Status::Fail, "medium", "a power cut takes the record");
    finds(|m| m.data.medium = Medium::Network, Status::Fail, "medium", "locks");
    let mut new = well();
    new.data.mode = None;
    let checks = all(&new, &config(&[]), &engine(), &models());
    assert!(checks.iter().all(|check| check.status == Status::Ok), "a folder yet to be made is no fault");
}

#[test]
fn a_full_disk_is_found() {
    finds(|m| m.data.free = Some(900_000_000), Status::Fail, "disk", "about 2 h of one channel");
    finds(|m| m.data.free = Some(20_000_000_000), Status::Warn, "disk", "16 streams of 8 h do not fit");
    finds(|m| m.data.free = Some(2_000_000_000), Status::Warn, "disk", "less than the 2048 MiB of data.reserve_mib");
    finds(|m| m.data.with_system = true, Status::Warn, "own disk", "on the disk of the system");
    finds(|m| m.data.free = None, Status::Warn, "disk", "not told");
}

#[test]
fn ports_that_cannot_be_had_are_found() {
    finds(|m| m.ports[0].state = PortState::Taken, Status::Fail, "server.listen", "set server.listen to another port");
    let refused = |m: &mut Machine| m.ports[1].state = PortState::Refused("permission denied".to_owned());
    finds(
        refused,
        Status::Fail,
        "server.admin_listen",
        "permission denied -> set server.admin_listen to a port of 1024",
    );
}

#[test]
fn a_clock_that_cannot_be_relied_on_is_found() {
    let year = |time: &'static str| move |m: &mut Machine| m.clock.now = time.parse().unwrap();
    finds(year("1970-01-01T00:00:07Z"), Status::Fail, "clock", "1970-01-01 00:00:07 UTC cannot be right");
    finds(year("2106-02-07T06:28:15Z"), Status::Fail, "clock", "cannot be right");
    finds(|m| m.clock.synchronised = Some(false), Status::Warn, "clock", "follows no time source");
    finds(|m| m.clock.synchronised = None, Status::Warn, "clock", "is not known -> set up chrony");
}

#[test]
fn limits_and_a_user_that_endanger_the_service_are_found() {
    finds(|m| m.open_files = Some(256), Status::Warn, "open files", "LimitNOFILE=400");
    finds(|m| m.core_dump_bytes = None, Status::Warn, "core dumps", "LimitCORE=0");
    finds(|m| m.core_dump_bytes = Some(1), Status::Warn, "core dumps", "audio and text");
    finds(|m| m.root = true, Status::Warn, "user", "a user of its own");
}

#[test]
fn the_build_noted_what_the_engine_needs() {
    let engine = EngineBuild::of_this_program();
    assert!(["native", "portable", "baseline", "none"].contains(&engine.kind), "{}", engine.kind);
    assert_eq!(
        engine.kind == "native" && cfg!(target_os = "linux"),
        !engine.features.is_empty() && engine.kind == "native"
    );
}
