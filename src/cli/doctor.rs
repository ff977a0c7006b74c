//! `vivavoce doctor`: what is missing or unsafe on this machine, and how to mend it.

pub mod checks;
pub mod machine;

use std::{
    fmt::Write as _,
    io::{Write as _, stdout},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use self::{
    checks::{Check, ModelState, Status},
    machine::Machine,
};
use crate::{app::processor::EngineBuild, config::Config, domain::fault::FaultKind};

/// Looks for what is missing or unsafe on this machine, a line each, and says how to mend it.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// JSON in place of the lines.
    #[arg(long)]
    pub json: bool,
}

/// Prints all findings on standard output. `models` verifies the models that the settings name, which takes as long as
/// reading their files; `now` is what the machine's clock shows.
///
/// Answers success where nothing failed; warnings are no failures.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(
    args: &DoctorArgs,
    config: &Config,
    now: Timestamp,
    models: &dyn Fn() -> Vec<ModelState>,
) -> anyhow::Result<ExitCode> {
    let machine = Machine::gather(config, now);
    let checks = checks::all(&machine, config, &EngineBuild::of_this_program(), &models());
    let text = if args.json { to_json(&checks) } else { to_text(&checks) };
    stdout().write_all(text.as_bytes()).context("standard output cannot be written")?;
    let failed = count(&checks, Status::Fail) > 0;
    Ok(if failed { ExitCode::from(FaultKind::Unavailable.exit_code()) } else { ExitCode::SUCCESS })
}

fn count(checks: &[Check], status: Status) -> usize {
    checks.iter().filter(|check| check.status == status).count()
}

/// A line each: status, what was looked at, what was found, and after an arrow what to do.
fn to_text(checks: &[Check]) -> String {
    let wide = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for Check { name, status, finding, remedy } in checks {
        let word = match status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        let remedy = remedy.as_ref().map_or_else(String::new, |remedy| format!(" -> {remedy}"));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{word}  {name:wide$}  {finding}{remedy}");
    }
    let (failures, warnings) = (count(checks, Status::Fail), count(checks, Status::Warn));
    let _ = writeln!(out, "{failures} failed, {warnings} warned, {} looked at", checks.len());
    out
}

fn to_json(checks: &[Check]) -> String {
    let (failed, warned) = (count(checks, Status::Fail), count(checks, Status::Warn));
    format!("{:#}\n", serde_json::json!({ "failed": failed, "warned": warned, "checks": checks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, status: Status, remedy: Option<&str>) -> Check {
        Check { name: name.to_owned(), status, finding: "is so".to_owned(), remedy: remedy.map(str::to_owned) }
    }

    #[test]
    fn each_finding_is_a_line_and_one_object_of_the_json() {
        let checks = [found("clock", Status::Ok, None), found("data folder", Status::Fail, Some("mend it"))];
        let lines = "ok    clock        is so\nFAIL  data folder  is so -> mend it\n1 failed, 0 warned, 2 looked at\n";
        assert_eq!(to_text(&checks), lines);
        let json: serde_json::Value = serde_json::from_str(&to_json(&checks)).unwrap();
        assert_eq!(json["failed"], 1);
        assert_eq!(json["checks"][1]["status"], "fail");
        assert_eq!(json["checks"][1]["remedy"], "mend it");
        assert!(json["checks"][0]["remedy"].is_null());
    }
}
