//! The command `vivavoce`.

use std::process::ExitCode;

use clap::Parser;
use vivavoce::cli::{Cli, run};

fn main() -> ExitCode {
    // Variables that are not Unicode are none of ours.
    let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    run(Cli::parse(), environment.collect())
}
