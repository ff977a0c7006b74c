//! What there is to know about this machine. Gathering reads and probes; judging is left to `checks`.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use jiff::Timestamp;
use rustix::process::{Resource, geteuid, getrlimit};

use crate::{app::processor::features_here, config::Config};

/// How long a probe of a port of this machine may take.
const PROBE: Duration = Duration::from_secs(1);

/// The facts that the checks judge. `None` stands for what this system does not tell.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor.
    pub processor: Processor,
    /// The memory.
    pub memory: Option<Memory>,
    /// The data folder.
    pub data: Folder,
    /// The listen addresses, by their key.
    pub ports: Vec<Port>,
    /// The clock.
    pub clock: Clock,
    /// The most files this process may have open; `None` for no limit.
    pub open_files: Option<u64>,
    /// The most bytes a core dump may have; `None` for no limit.
    pub core_dump_bytes: Option<u64>,
    /// Whether this process runs as root.
    pub root: bool,
}

/// The processor.
#[derive(Clone, Debug)]
pub struct Processor {
    /// As it calls itself.
    pub name: String,
    /// Its features as Linux names them: `avx2`; empty where they are not told.
    pub features: BTreeSet<String>,
    /// Cores that this process may use, quotas counted.
    pub cores: usize,
    /// Driver and governor of its frequency.
    pub governor: Option<(String, String)>,
    /// The share of its working time since the start that other virtual machines took, 0 to 1.
    pub stolen: Option<f64>,
}

/// The memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// All that this process could ever have: the machine's, or its control group's limit.
    pub total: u64,
    /// What it could have now.
    pub available: u64,
}

/// The data folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its path as set.
    pub path: PathBuf,
    /// Itself, where it exists, or the nearest folder above it that does.
    pub nearest: PathBuf,
    /// Why nothing can be written there, where nothing can.
    pub refusal: Option<String>,
    /// Its permission bits, where it exists.
    pub mode: Option<u32>,
    /// Whether it belongs to the user of this process.
    pub owned: bool,
    /// Bytes free to this user.
    pub free: Option<u64>,
    /// Where its files really lie.
    pub medium: Medium,
    /// Whether they lie on the disk of the system.
    pub with_system: bool,
}

/// Where the files of a folder lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// On a disk, as far as is known.
    Disk,
    /// In memory.
    Memory,
    /// On another machine.
    Network,
}

/// A listen address.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its key in the settings.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Whether it can be had.
    pub state: PortState,
}

/// Whether an address can be listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortState {
    /// It can.
    Free,
    /// vivavoce listens there already.
    Ours,
    /// Another program listens there.
    Taken,
    /// The system refuses.
    Refused(String),
}

/// The clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it shows.
    pub now: Timestamp,
    /// Whether it follows a time source, where that can be known.
    pub synchronised: Option<bool>,
}

impl Machine {
    /// Gathers the facts; takes a few seconds at most. Writes one nameless file into the data folder, or the folder
    /// above it, and removes it.
    #[must_use]
    pub fn gather(config: &Config, now: Timestamp) -> Self {
        let limit = |resource| getrlimit(resource).current;
        Self {
            processor: processor(),
            memory: memory(),
            data: folder(&config.data.dir),
            ports: ports(config),
            clock: Clock { now, synchronised: synchronised() },
            open_files: limit(Resource::Nofile),
            core_dump_bytes: limit(Resource::Core),
            root: geteuid().is_root(),
        }
    }

    /// Whether a vivavoce runs here with these settings.
    #[must_use]
    pub fn runs_already(&self) -> bool {
        self.ports.iter().any(|port| port.state == PortState::Ours)
    }
}

/// A small file of the system, without the space around its text.
fn text_of(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn processor() -> Processor {
    let cpuinfo = text_of("/proc/cpuinfo").unwrap_or_default();
    let field = |names: &[&str]| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim()).next().unwrap_or_default()
    };
    let frequency = |file: &str| text_of(&format!("/sys/devices/system/cpu/cpu0/cpufreq/{file}"));
    Processor {
        name: field(&["model name", "Model"]).to_owned(),
        features: features_here(),
        cores: thread::available_parallelism().map_or(1, usize::from),
        governor: frequency("scaling_driver").zip(frequency("scaling_governor")),
        stolen: text_of("/proc/stat").as_deref().and_then(stolen),
    }
}

/// The share of stolen time in working time; the order of the figures is that of `proc_stat(5)`: user, nice, system,
/// idle, iowait, irq, softirq, steal.
fn stolen(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[user, nice, system, _, _, irq, softirq, steal] = ticks.get(..8)? else { return None };
    let working = user + nice + system + irq + softirq + steal;
    (working > 0.0).then(|| steal / working)
}

fn memory() -> Option<Memory> {
    let meminfo = text_of("/proc/meminfo")?;
    let bytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
    };
    let mut memory = Memory { total: bytes("MemTotal:")?, available: bytes("MemAvailable:")? };
    // `max` stands for no limit and is no number.
    if let Some(limit) = text_of("/sys/fs/cgroup/memory.max").and_then(|text| text.parse::<u64>().ok()) {
        let used = text_of("/sys/fs/cgroup/memory.current").and_then(|text| text.parse().ok()).unwrap_or(0);
        memory.total = memory.total.min(limit);
        memory.available = memory.available.min(limit.saturating_sub(used));
    }
    Some(memory)
}

fn folder(path: &Path) -> Folder {
    let here = Path::new(".");
    let above = path.ancestors().map(|p| if p.as_os_str().is_empty() { here } else { p });
    let nearest = above.into_iter().find(|p| p.exists()).unwrap_or(here).to_owned();
    let metadata = fs::metadata(path).ok();
    let free = rustix::fs::statvfs(&nearest).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    Folder {
        refusal: write_probe(&nearest).err().map(|error| error.to_string()),
        mode: metadata.as_ref().map(|m| m.mode() & 0o7777),
        owned: metadata.as_ref().is_none_or(|m| m.uid() == geteuid().as_raw()),
        free,
        medium: medium(&nearest),
        with_system: device(&nearest).is_some_and(|ours| device(Path::new("/")) == Some(ours)),
        path: path.to_owned(),
        nearest,
    }
}

fn device(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.dev())
}

fn write_probe(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(b"vivavoce")?;
    file.sync_all()
}

#[cfg(target_os = "linux")]
fn medium(folder: &Path) -> Medium {
    // The numbers are those of statfs(2): tmpfs, ramfs; NFS, SMB, CIFS, SMB2, 9p, AFS, Ceph.
    match rustix::fs::statfs(folder).map(|stat| stat.f_type & 0xffff_ffff) {
        Ok(0x0102_1994 | 0x8584_58f6) => Medium::Memory,
        Ok(0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x0102_1997 | 0x5346_414f | 0x00c3_6400) => Medium::Network,
        Ok(_) | Err(_) => Medium::Disk,
    }
}

#[cfg(not(target_os = "linux"))]
fn medium(_folder: &Path) -> Medium {
    Medium::Disk
}

fn ports(config: &Config) -> Vec<Port> {
    let admin = config.server.admin_listen;
    // The gRPC port does not say whose it is; the admin port beside it does.
    let ours = alive(admin).unwrap_or(false);
    [("server.listen", config.server.listen), ("server.admin_listen", admin)]
        .map(|(key, address)| {
            let state = match TcpListener::bind(address) {
                Ok(_) => PortState::Free,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && ours => PortState::Ours,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => PortState::Taken,
                Err(error) => PortState::Refused(error.to_string()),
            };
            Port { key, address, state }
        })
        .into()
}

/// Whether the program at `address` says of itself that it is vivavoce.
fn alive(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE)?;
    stream.set_read_timeout(Some(PROBE))?;
    stream.set_write_timeout(Some(PROBE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // A strange program may answer without end, or keep the connection open; what came by then is enough.
    let _ = stream.take(4_096).read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).contains("\r\n\r\nvivavoce "))
}

/// Whether the clock follows a time source: what systemd reads from the kernel, or else the signs that daemons leave.
fn synchronised() -> Option<bool> {
    if Path::new("/run/systemd/system").exists() {
        let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
        match asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).as_deref() {
            Ok("yes") => return Some(true),
            Ok("no") => return Some(false),
            // It is not there, or there is no bus to ask over.
            Ok(_) | Err(_) => {}
        }
    }
    let signs = ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/chronyd.pid", "/run/ntpd.pid"];
    signs.iter().any(|sign| Path::new(sign).exists()).then_some(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{api::admin::AdminServer, config::flags::FlagOverrides};

    fn config(settings: &[String]) -> Config {
        let flags = FlagOverrides { set: settings.to_vec(), ..FlagOverrides::default() };
        Config::load(None, std::iter::empty(), &flags).unwrap()
    }

    #[test]
    fn this_machine_tells_what_is_asked_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let admin = AdminServer::start("127.0.0.1:0".parse().unwrap(), Arc::default(), Arc::default()).unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = |listen: SocketAddr, admin: SocketAddr| {
            config(&[
                format!("data.dir={}/court/data", dir.path().display()),
                format!("server.listen={listen}"),
                format!("server.admin_listen={admin}"),
            ])
        };
        let ours = Machine::gather(&settings(other.local_addr().unwrap(), admin.address()), Timestamp::UNIX_EPOCH);
        assert!(ours.processor.cores > 0 && !ours.processor.features.is_empty());
        let memory = ours.memory.unwrap();
        assert!(memory.total > 0 && memory.available <= memory.total);
        assert_eq!((ours.data.nearest.as_path(), ours.data.mode), (dir.path(), None));
        assert_eq!(ours.data.refusal, None);
        assert!(ours.data.free.unwrap() > 0);
        assert!(ours.runs_already());
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none(), "the probe left something behind");

        let free = "127.0.0.1:0".parse().unwrap();
        let taken = Machine::gather(&settings(other.local_addr().unwrap(), free), Timestamp::UNIX_EPOCH);
        let states: Vec<_> = taken.ports.iter().map(|port| port.state.clone()).collect();
        assert_eq!(states, [PortState::Taken, PortState::Free]);
    }

    #[test]
    fn stolen_time_is_a_share_of_working_time() {
        assert_eq!(stolen("cpu  10 0 20 900 50 0 0 10 0 0\ncpu0 1"), Some(0.25));
        assert_eq!(stolen("cpu  0 0 0 900 50 0 0 0 0 0"), None);
        assert_eq!(stolen("cpu  1 2"), None);
        assert_eq!(stolen(""), None);
    }
}
