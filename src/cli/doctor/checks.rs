//! The judgements of `vivavoce doctor`: facts in, a line with a status and a remedy out. Nothing here asks the system.

use serde::Serialize;

use super::machine::{Clock, Folder, Machine, Medium, Memory, Port, PortState, Processor};
use crate::{
    app::processor::{EngineBuild, level_of},
    config::Config,
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and worse or less safely than it could.
    Warn,
    /// The service cannot run, or must not.
    Fail,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How bad it is.
    pub status: Status,
    /// What was found.
    pub finding: String,
    /// What to do about it; none where all is well.
    pub remedy: Option<String>,
}

impl Check {
    fn ok(name: &str, finding: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status: Status::Ok, finding: finding.into(), remedy: None }
    }

    fn warn(name: &str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status: Status::Warn, finding: finding.into(), remedy: Some(remedy.into()) }
    }

    fn fail(name: &str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(name, finding, remedy) }
    }
}

/// A model that the settings name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelState {
    /// Its name.
    pub name: String,
    /// What the store has of it.
    pub condition: ModelCondition,
}

/// What the store has of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelCondition {
    /// Its file, whose digest and structure were checked just now.
    Verified {
        /// Bytes of the file.
        bytes: u64,
    },
    /// No file.
    Absent,
    /// A file that is not used, or a name that is not known.
    Refused {
        /// Why, and what to do about it, as the store says it.
        reason: String,
    },
}

/// All findings, in the order of what they look at.
#[must_use]
pub fn all(machine: &Machine, config: &Config, engine: &EngineBuild, models: &[ModelState]) -> Vec<Check> {
    let mut checks = vec![
        processor(&machine.processor, engine),
        cores(&machine.processor, config),
        frequency(&machine.processor),
        neighbours(&machine.processor),
        memory(machine.memory, machine.runs_already(), config, models),
    ];
    checks.extend(self::models(models));
    checks.extend([writable(&machine.data), permissions(&machine.data), medium(&machine.data)]);
    checks.extend([disk(&machine.data, config), own_disk(&machine.data)]);
    checks.extend(machine.ports.iter().map(port));
    checks.push(clock(machine.clock));
    checks.extend([open_files(machine.open_files, config), core_dumps(machine.core_dump_bytes), user(machine.root)]);
    checks
}

/// Features without which the engine's matrix products go number by number.
const FAST: [&str; 3] = ["avx2", "fma", "f16c"];

fn processor(processor: &Processor, engine: &EngineBuild) -> Check {
    let name = "processor";
    let has = |feature: &&str| processor.features.contains(*feature);
    if processor.features.is_empty() {
        return Check::warn(name, "its features are not told by this system", "make /proc readable");
    }
    if engine.kind == "none" {
        return Check::fail(name, "this program was built without an engine", "build it with the feature whisper");
    }
    let missing = engine.lacking(&processor.features);
    if !missing.is_empty() {
        let (list, built, here) = (missing.join(", "), engine.level(), level_of(&processor.features));
        let finding = format!(
            "lacks {list}, for which the engine was built ({built}, and this is {here}): the first decode would end the program"
        );
        return Check::fail(
            name,
            finding,
            format!("take the program that is built for {here}, or build it on this machine"),
        );
    }
    if !cfg!(target_arch = "x86_64") {
        return Check::ok(name, format!("{} has what the engine was built for", processor.name));
    }
    if !FAST.iter().all(has) {
        let finding = "has no AVX2, FMA or F16C: decoding will hardly keep up with speech";
        return Check::warn(name, finding, "use a processor of 2013 or later, or a GPU build");
    }
    if !FAST.iter().all(|feature| engine.features.contains(feature)) {
        let finding =
            "has AVX2, FMA and F16C, and the engine was built without: it runs several times slower than it could";
        return Check::warn(name, finding, "build again without SOURCE_DATE_EPOCH, or with GGML_NATIVE=ON");
    }
    let wide = match (has(&"avx512f"), engine.features.contains("avx512f")) {
        // Measured: a 30 s window of the base model took 1.35 times as long with AVX2 as with AVX-512.
        (true, false) => "; built on this machine it would use AVX-512 too and be about a third faster",
        (true, true) => " and AVX-512",
        (false, _) => "",
    };
    let (here, built) = (level_of(&processor.features), engine.level());
    Check::ok(name, format!("{} ({here}) has AVX2, FMA, F16C{wide}; this program is built for {built}", processor.name))
}

fn cores(processor: &Processor, config: &Config) -> Check {
    let name = "cores";
    let (workers, threads) = (config.recognition.workers.get(), config.recognition.threads_per_worker.get());
    let (busy, cores) = (workers.saturating_mul(threads), processor.cores);
    let finding = format!("workers {workers} x threads {threads} on cores {cores}");
    if busy > cores {
        // Measured on two cores: two streams of two threads took 2.8 times as long as two of one thread, and with one
        // other busy program a token took 60 times as long. The engine's threads spin while they wait for each other.
        let remedy = format!("set recognition.workers to {} or fewer", (cores / threads).max(1));
        return Check::warn(
            name,
            format!("{finding}: fewer are started, since threads that wait take the cores of those that work"),
            remedy,
        );
    }
    Check::ok(name, finding)
}

fn frequency(processor: &Processor) -> Check {
    let name = "frequency";
    match &processor.governor {
        None => Check::ok(name, "is not for this system to set"),
        // These drivers raise the frequency under load with this governor too.
        Some((driver, governor)) if governor == "powersave" && !driver.contains("pstate") => {
            let finding = "the governor powersave holds it at its lowest";
            Check::warn(name, finding, "set the governor performance: cpupower frequency-set -g performance")
        }
        Some((_, governor)) => Check::ok(name, format!("governor {governor}")),
    }
}

/// The share of working time from which others are felt.
const STOLEN: f64 = 0.05;

fn neighbours(processor: &Processor) -> Check {
    let name = "neighbours";
    match processor.stolen {
        Some(share) if share > STOLEN => {
            let finding =
                format!("other virtual machines took {:.0} % of the working time since the start", share * 100.0);
            Check::warn(name, finding, "ask for dedicated cores")
        }
        Some(_) => Check::ok(name, "no other virtual machine takes the cores' time"),
        None => Check::ok(name, "the system does not tell of other virtual machines"),
    }
}

/// What the service needs beside the models: the record, buffers of the streams, the program itself. A judgement.
const SERVICE_BYTES: u64 = 200 << 20;
/// What one worker needs beside the weights, for the smallest models: measured for base, 170 MB.
const WORKER_BYTES: u64 = 170_000_000;
/// The tenths of the weights' size that a worker needs on top; fits the memory table in whisper.cpp's README, which has
/// 273 MB for tiny (75 MiB on disk) and 3.9 GB for large (2.9 GiB).
const WORKER_TENTHS: u64 = 3;

fn memory(memory: Option<Memory>, runs: bool, config: &Config, models: &[ModelState]) -> Check {
    let name = "memory";
    let Some(memory) = memory else {
        return Check::warn(name, "its size is not told by this system", "make /proc readable");
    };
    let sizes = models.iter().map(|model| match model.condition {
        ModelCondition::Verified { bytes } => bytes,
        ModelCondition::Absent | ModelCondition::Refused { .. } => 0,
    });
    let weights: u64 = sizes.fold(0, u64::saturating_add);
    let workers = u64::try_from(config.recognition.workers.get()).unwrap_or(u64::MAX);
    let worker = WORKER_BYTES.saturating_add(weights.saturating_mul(WORKER_TENTHS) / 10);
    // A worker in a process of its own has weights of its own. While they are loaded, the checked file and the engine's copy
    // stand side by side. For base and two workers 1.2 GB, and 0.9 GB in one process; measured 1.1 and 0.9 GB.
    let loads = if config.recognition.isolate { workers } else { 1 };
    let loaded = weights.saturating_mul(2).saturating_mul(loads);
    let need = workers.saturating_mul(worker).saturating_add(loaded).saturating_add(SERVICE_BYTES);
    let unknown = models.iter().any(|model| !matches!(model.condition, ModelCondition::Verified { .. }));
    let but = if unknown { " besides models that are not there" } else { "" };
    let finding = format!("about {} needed{but}, {} there, {} free", mb(need), mb(memory.total), mb(memory.available));
    if need > memory.total {
        return Check::fail(name, finding, "set fewer recognition.workers, use a smaller model, or add memory");
    }
    if need > memory.available && !runs {
        return Check::warn(name, finding, "end other programs, or set fewer recognition.workers");
    }
    Check::ok(name, finding)
}

fn mb(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

fn models(models: &[ModelState]) -> Vec<Check> {
    let check = |model: &ModelState| {
        let name = format!("model {}", model.name);
        match &model.condition {
            ModelCondition::Verified { bytes } => {
                Check::ok(&name, format!("{}, digest and structure are right", mb(*bytes)))
            }
            ModelCondition::Absent => {
                Check::fail(&name, "is not in the store", format!("run vivavoce models fetch {}", model.name))
            }
            ModelCondition::Refused { reason } => {
                Check::fail(&name, reason.clone(), format!("see vivavoce models verify {}", model.name))
            }
        }
    };
    if models.is_empty() {
        return vec![Check::fail("models", "none could be looked at", "see vivavoce models list")];
    }
    models.iter().map(check).collect()
}

fn writable(data: &Folder) -> Check {
    let (name, path) = ("data folder", data.path.display());
    match &data.refusal {
        Some(reason) => {
            let finding = format!("nothing can be written to {}: {reason}", data.nearest.display());
            Check::fail(name, finding, "give the folder to the service's user, or set data.dir to another")
        }
        None if data.mode.is_none() => Check::ok(name, format!("{path} will be made at the first start")),
        None => Check::ok(name, format!("{path} can be written to")),
    }
}

fn permissions(data: &Folder) -> Check {
    let (name, path) = ("permissions", data.path.display());
    let Some(mode) = data.mode else {
        return Check::ok(name, "the data folder is not there yet");
    };
    let finding = format!("{path} has mode {mode:04o}");
    let remedy = format!("chmod 700 {path}");
    if mode & 0o007 != 0 {
        return Check::fail(
            name,
            format!("{finding}: everybody on this machine can get at the audio and the record"),
            remedy,
        );
    }
    if mode & 0o070 != 0 {
        return Check::warn(name, format!("{finding}: its group can get at the audio and the record"), remedy);
    }
    if !data.owned {
        let finding = format!("{path} belongs to another user");
        return Check::warn(name, finding, format!("chown it to the service's user: chown -R USER {path}"));
    }
    Check::ok(name, format!("{finding}: its owner alone"))
}

fn medium(data: &Folder) -> Check {
    let name = "medium";
    match data.medium {
        Medium::Disk => Check::ok(name, "the data folder lies on a disk"),
        Medium::Memory => {
            Check::fail(name, "the data folder lies in memory: a power cut takes the record", "set data.dir to a disk")
        }
        // https://sqlite.org/wal.html: all who use a record in this mode must be on the same machine, and locks over a
        // network are often broken.
        Medium::Network => {
            let finding = "the data folder lies on another machine, where the record's locks cannot be relied on";
            Check::fail(name, finding, "set data.dir to a disk of this machine, and copy backups over the network")
        }
    }
}

/// One hour of one channel at 48 kHz with 16 bits, the richest that courtrooms commonly send.
const HOUR_BYTES: u64 = 48_000 * 2 * 3_600;
/// A day of sitting.
const SITTING_HOURS: u64 = 8;
/// Below this a database and its journal cannot be trusted to go on.
const LEAST_FREE: u64 = 1 << 30;

fn disk(data: &Folder, config: &Config) -> Check {
    let name = "disk";
    let Some(free) = data.free else {
        return Check::warn(name, "its free space is not told by this system", "watch it by other means");
    };
    let hours = free / HOUR_BYTES;
    let streams = u64::try_from(config.server.max_streams).unwrap_or(u64::MAX);
    let finding = format!("{} free: about {hours} h of one channel at 48 kHz, 16 bit", mb(free));
    let remedy = "free space, or set data.dir to a larger disk";
    if free < LEAST_FREE {
        return Check::fail(name, finding, remedy);
    }
    let reserve = config.data.reserve;
    if free < reserve {
        let finding =
            format!("{finding}; less than the {} MiB of data.reserve_mib: no hearing is opened", reserve >> 20);
        return Check::warn(name, finding, remedy);
    }
    if hours < SITTING_HOURS.saturating_mul(streams) {
        let finding = format!("{finding}; {streams} streams of {SITTING_HOURS} h do not fit");
        return Check::warn(name, finding, format!("{remedy}, or lower server.max_streams"));
    }
    Check::ok(name, finding)
}

fn own_disk(data: &Folder) -> Check {
    let name = "own disk";
    if data.with_system {
        let finding = "the data folder lies on the disk of the system: whatever fills that stops the recording";
        return Check::warn(name, finding, "set data.dir to a disk, or a partition, of its own");
    }
    Check::ok(name, "the data folder does not lie on the disk of the system")
}

fn port(port: &Port) -> Check {
    let Port { key, address, state } = port;
    match state {
        PortState::Free => Check::ok(key, format!("{address} is free")),
        PortState::Ours => Check::ok(key, format!("{address} is served by a vivavoce that runs")),
        PortState::Taken => {
            let finding = format!("{address} is taken by another program");
            Check::fail(key, finding, format!("end that program, or set {key} to another port"))
        }
        PortState::Refused(reason) => {
            let finding = format!("{address} cannot be listened on: {reason}");
            Check::fail(key, finding, format!("set {key} to a port of 1024 or above on 127.0.0.1 or [::1]"))
        }
    }
}

/// The year this version is of; no clock that is right shows an earlier one.
const FIRST_YEAR: i16 = 2026;

fn clock(clock: Clock) -> Check {
    let name = "clock";
    let now = clock.now.to_zoned(jiff::tz::TimeZone::UTC);
    let finding = format!("{}", now.strftime("%Y-%m-%d %H:%M:%S UTC"));
    let remedy = "set up chrony or systemd-timesyncd, with the court's own time server where there is no internet";
    if !(FIRST_YEAR..2100).contains(&now.year()) {
        return Check::fail(name, format!("{finding} cannot be right, and the record bears these times"), remedy);
    }
    match clock.synchronised {
        Some(true) => Check::ok(name, format!("{finding}, synchronised")),
        Some(false) => Check::warn(name, format!("{finding} follows no time source"), remedy),
        None => Check::warn(name, format!("{finding}; whether it follows a time source is not known"), remedy),
    }
}

/// Files open beside the streams': models, record, listeners, logs.
const FILES: u64 = 128;
/// Files a stream may have open: its connection, and the journals of up to 16 channels.
const FILES_PER_STREAM: u64 = 17;

fn open_files(limit: Option<u64>, config: &Config) -> Check {
    let name = "open files";
    let streams = u64::try_from(config.server.max_streams).unwrap_or(u64::MAX);
    let need = streams.saturating_mul(FILES_PER_STREAM).saturating_add(FILES);
    match limit {
        Some(limit) if limit < need => {
            let finding = format!("{limit} can be open, {streams} streams need up to {need}");
            Check::warn(name, finding, format!("ulimit -n {need}, or LimitNOFILE={need} in the unit of systemd"))
        }
        Some(limit) => Check::ok(name, format!("{limit} can be open, {need} are needed at most")),
        None => Check::ok(name, "without limit"),
    }
}

fn core_dumps(limit: Option<u64>) -> Check {
    let name = "core dumps";
    if limit == Some(0) {
        return Check::ok(name, "off");
    }
    let finding = "on: a crash would write audio and text to a file";
    Check::warn(name, finding, "ulimit -c 0, or LimitCORE=0 in the unit of systemd")
}

fn user(root: bool) -> Check {
    let name = "user";
    if root {
        let remedy = "run the service as a user of its own, such as with User= in the unit of systemd";
        return Check::warn(name, "root: a fault in the service would be one in the whole machine", remedy);
    }
    Check::ok(name, "not root")
}

#[cfg(test)]
mod tests;
