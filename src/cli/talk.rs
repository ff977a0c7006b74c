//! What commands say: data to stdout, everything else to stderr; colours only for people.

use std::io::{self, IsTerminal, Write};

use crate::{
    config::Config,
    telemetry::log::{self as log_lines, Colour, LogSettings, TelemetryError},
};

/// Writes data to stdout.
pub(super) fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Says something to the person at the terminal.
#[expect(clippy::print_stderr, reason = "the command line talks here")]
pub(super) fn say(text: &str) {
    eprintln!("{text}");
}

/// Tells an error with its causes, each once.
pub(super) fn error(error: &anyhow::Error) {
    let mut text = format!("vivavoce: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str("\n  because: ");
            text.push_str(&cause);
        }
    }
    say(&text);
}

/// Whether stdout is a person's terminal that wants colours.
pub(super) fn colours() -> bool {
    io::stdout().is_terminal() && no_color().is_empty()
}

/// Logs to stderr as the settings say.
pub(super) fn log(config: &Config) -> Result<(), TelemetryError> {
    log_as(&config.log)
}

/// Logs to stderr as [`quiet`] says.
pub(super) fn log_quietly(config: &Config) -> Result<(), TelemetryError> {
    log_as(&quiet(config))
}

/// What is worth a warning: for commands that a person watches. Settings that name a filter are kept.
pub(super) fn quiet(config: &Config) -> LogSettings {
    let usual = config.log.filter == LogSettings::default().filter;
    let filter = if usual { "warn".to_owned() } else { config.log.filter.clone() };
    LogSettings { filter, ..config.log.clone() }
}

/// Logs to stderr in this way.
pub(super) fn log_as(settings: &LogSettings) -> Result<(), TelemetryError> {
    log_lines::init(settings, Colour::of_stderr(Some(&no_color())))
}

fn no_color() -> String {
    std::env::var_os("NO_COLOR").unwrap_or_default().to_string_lossy().into_owned()
}
