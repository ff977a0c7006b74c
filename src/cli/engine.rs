//! `vivavoce engine`: one engine's process, started by a server. Not for people.

use std::{
    fs::{self, File},
    io,
    os::fd::AsFd,
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use rustix::process::{DumpableBehavior, Signal, getpid, kill_process, set_dumpable_behavior};
use tokio::signal::unix::{SignalKind, signal};

use super::talk;
use crate::{
    app::isolation,
    models::store::ModelStore,
    speech::{
        asr::child::serve::{Sabotage, serve},
        profile::Profile,
    },
    telemetry::log::{LogFormat, LogSettings},
};

/// Arguments of `vivavoce engine`, written by [`isolation::arguments`].
#[derive(Args, Debug)]
pub struct EngineArgs {
    /// The folder of the models
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The model
    #[arg(long, value_name = "NAME")]
    weights: String,
    /// The profile of text that is shown, as JSON
    #[arg(long, value_name = "JSON", value_parser = profile)]
    live: Profile,
    /// The profile of text for the record, as JSON
    #[arg(long = "final", value_name = "JSON", value_parser = profile)]
    last: Profile,
    /// The format of log lines
    #[arg(long, value_name = "FORMAT", value_parser = |text: &str| LogFormat::parse(text).ok_or("text or json"))]
    log_lines: LogFormat,
    /// What is logged
    #[arg(long, value_name = "FILTER")]
    log_what: String,
    /// For tests: abort while decoding the window of this number, counted from 1
    #[arg(long, value_name = "NUMBER")]
    abort_on: Option<u64>,
}

fn profile(json: &str) -> Result<Profile, serde_json::Error> {
    serde_json::from_str(json)
}

/// Loads the weights and decodes until standard input ends.
///
/// # Errors
/// What keeps it from loading them, or from speaking with the server.
pub fn run(args: &EngineArgs) -> anyhow::Result<()> {
    let output = settle().context("an engine's process could not be set up")?;
    talk::log_as(&LogSettings { format: args.log_lines, filter: args.log_what.clone() })?;
    // Its handlers stay when the runtime is gone. A supervisor of services signals every process of one, and Ctrl-C at a
    // terminal may too: this one ends with its server, which lets what was said get its text first.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        drop(signal(kind)?);
    }
    drop(entered);
    let store = ModelStore::open(&args.store)?;
    let (whisper, _languages) = isolation::whisper(&store, &args.weights, [&args.live, &args.last])?;
    let sabotage = args.abort_on.map(|abort_on| Sabotage { abort_on });
    serve(&whisper, io::stdin(), output, sabotage, end)?;
    Ok(())
}

/// Makes the process what a server expects of it; gives the pipe to the server.
fn settle() -> io::Result<File> {
    // If memory runs out, the system is to choose this process and not the one that holds the record. This and the name,
    // 15 bytes for `ps`, are courtesies: it decodes without them too.
    let _unchanged = fs::write("/proc/self/oom_score_adj", "500");
    let _unnamed = fs::write("/proc/self/comm", "vivavoce-engine");
    // The system ends this process with the thread of the server that started it, also when it is stopped and so cannot
    // see that its input ends.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // An abort must not leave audio and text on disk in a core file. After the files above: they are root's from here on.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Whatever prints goes to standard error: nothing but frames may come between frames.
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(output.into())
}

/// Ends the process at once. `exit` would take native code's globals away while another thread computes with them.
fn end() {
    if let Err(error) = kill_process(getpid(), Signal::KILL) {
        tracing::error!(%error, "an engine's process could not end itself");
    }
}
