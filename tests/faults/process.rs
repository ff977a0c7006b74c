//! A server's process: started, signalled, ended.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::block_in_place;
use vivavoce::models::{progress::Silent, store::ModelStore};

use crate::server::Settings;

/// A server under way.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it said.
    pub(crate) said: PathBuf,
}

/// How a server's process is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    /// More of its environment.
    pub(crate) environment: HashMap<&'static str, String>,
}

impl Start {
    /// Starts a server with the scripted engine and waits until it serves; `said` gets its log lines.
    ///
    /// # Errors
    /// What it said where it ended instead.
    pub(crate) fn scripted(&self, settings: &Settings, said: &Path) -> Result<Served, String> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(settings.arguments()).envs(&self.environment).current_dir(said.parent().unwrap());
        Served::of(command, said)
    }
}

impl Served {
    /// Starts `command` and waits until it says where it serves.
    ///
    /// # Errors
    /// What it said where it ended instead.
    pub(crate) fn of(mut command: Command, said: &Path) -> Result<Self, String> {
        let log = File::options().create(true).append(true).open(said).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = block_in_place(|| lines.find_map(|line| line.ok()?.strip_prefix("ready ").map(str::to_owned)));
        let Some(ready) = ready else {
            let status = child.wait().unwrap();
            return Err(format!("{status}: {}", fs::read_to_string(said).unwrap()));
        };
        let address = ready.split(' ').next().unwrap().parse().unwrap();
        Ok(Self { child, address, said: said.to_owned() })
    }

    /// `vivavoce serve` itself, with the real engine in processes of its own, on the data folder `data`.
    pub(crate) fn real(data: &Path, said: &Path) -> Self {
        fetch();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vivavoce"));
        let models = models().canonicalize().unwrap();
        command.args(["serve", "--set", "server.listen=127.0.0.1:0", "--set", "server.admin_listen=127.0.0.1:0"]);
        command
            .env("VIVAVOCE_DATA__MODELS", models)
            .env("VIVAVOCE_DATA__DIR", data)
            .current_dir(data.parent().unwrap());
        for variable in ["VIVAVOCE_MODELS", "VIVAVOCE_SPEECH", "VIVAVOCE_VAD_MODEL"] {
            command.env_remove(variable);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = File::options().create(true).append(true).open(said).unwrap();
        let serves =
            block_in_place(|| lines.by_ref().map_while(Result::ok).find(|line| line.contains("vivavoce serves on ")));
        let serves = serves.expect("it serves, or says why it does not");
        let address = serves.split("serves on ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        std::thread::Builder::new()
            .name("said".to_owned())
            .spawn(move || lines.map_while(Result::ok).for_each(|line| writeln!(log, "{line}").unwrap()))
            .unwrap();
        Self { child, address, said: said.to_owned() }
    }

    /// The engine's processes: those that it started and that live.
    pub(crate) fn engines(&self) -> Vec<Pid> {
        children(self.child.id() as i32)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL; it is gone when this returns.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        block_in_place(|| self.child.wait()).unwrap();
    }

    /// Waits for its end. The trial's own connections are closed meanwhile: a server that is told to stop waits for them, half
    /// a minute where one answers nothing.
    pub(crate) fn end(mut self) -> ExitStatus {
        block_in_place(|| self.child.wait()).unwrap()
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        let said = self.said.clone();
        let status = self.end();
        assert!(status.success(), "{status}: {}", fs::read_to_string(said).unwrap());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A trial that fell short leaves nothing behind. One that ended is reaped already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The folder of the models: the one in `VIVAVOCE_MODELS`, else that of the tests.
pub(crate) fn models() -> PathBuf {
    crate::variable("VIVAVOCE_MODELS").map_or_else(
        || std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("models-cache"),
        PathBuf::from,
    )
}

/// Sees to it that the models are there.
fn fetch() {
    let store = ModelStore::open(models()).unwrap();
    fs::create_dir_all(store.dir()).unwrap();
    let lock = File::create(store.dir().join(".lock")).unwrap();
    lock.lock().unwrap();
    ["base", "silero-vad"].iter().for_each(|name| drop(store.fetch(name, &mut Silent).unwrap()));
}

/// Memory that a process holds, kB.
pub(crate) fn resident_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    // One that has just ended holds nothing.
    let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmRSS:")) else { return 0 };
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The processes that `parent` started and that live.
pub(crate) fn children(parent: i32) -> Vec<Pid> {
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        if fields[0] != "Z" && fields[1] == parent.to_string() { Pid::from_raw(pid) } else { None }
    };
    fs::read_dir("/proc").unwrap().filter_map(of).collect()
}
