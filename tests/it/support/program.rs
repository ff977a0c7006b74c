//! The built program itself, as a user runs it.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::JoinHandle,
};

use super::models::store_with;

/// `vivavoce` with these arguments in the folder `dir`, with the tests' models and no settings but its own.
pub(crate) fn vivavoce<S: AsRef<OsStr>>(dir: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let models = store_with(&["base", "silero-vad"]).dir().canonicalize().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vivavoce"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null());
    command.env("VIVAVOCE_DATA__MODELS", models).env("XDG_STATE_HOME", dir.join("state"));
    for variable in ["VIVAVOCE_MODELS", "VIVAVOCE_SPEECH", "VIVAVOCE_VAD_MODEL"] {
        command.env_remove(variable);
    }
    command
}

/// What it printed where it succeeds.
pub(crate) fn stdout_of(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{:?}: {}", output.status, err(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Sends a signal to a process.
pub(crate) fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

/// `vivavoce serve` under way, and all it says.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) admin: String,
    said: JoinHandle<String>,
}

impl Served {
    /// Starts it in `dir` on free ports, with log lines of the level `filter`, and waits until it serves.
    pub(crate) fn start(dir: &Path, filter: &str) -> Self {
        Self::start_with(dir, filter, &[])
    }

    /// The same with settings.
    pub(crate) fn start_with(dir: &Path, filter: &str, settings: &[&str]) -> Self {
        let mut command = vivavoce(dir, ["serve", "--set", "server.listen=127.0.0.1:0"]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        command.args(["--set", "server.admin_listen=127.0.0.1:0", "--set"]).arg(format!("log.filter={filter}"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let line = loop {
            let begin = said.len();
            assert!(lines.read_line(&mut said).unwrap() > 0, "it ended: {said}");
            if said[begin..].contains("vivavoce serves on ") {
                break said[begin..].to_owned();
            }
        };
        let after = |mark: &str, until: char| line.split(mark).nth(1).unwrap().split(until).next().unwrap().to_owned();
        let (address, admin) = (after("serves on ", ' '), after("metrics: http://", '/'));
        let said = std::thread::Builder::new()
            .spawn(move || {
                lines.read_to_string(&mut said).unwrap();
                said
            })
            .unwrap();
        Self { child, address, admin, said }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Waits for its end; gives the exit code and all it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.said.join().unwrap())
    }
}
