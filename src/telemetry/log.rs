//! Log lines on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, filter::ParseError, util::SubscriberInitExt};

use crate::domain::fault::{Fault, FaultKind};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl LogFormat {
    /// The format of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Text, Self::Json].into_iter().find(|format| format.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines are written.
    pub format: LogFormat,
    /// Directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

impl Default for LogSettings {
    /// Text; everything from `info` on, of the engine's native code from `warn` on.
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,whisper_rs=warn".to_owned() }
    }
}

/// Whether text lines are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// With colours.
    On,
    /// Without.
    Off,
}

impl Colour {
    /// On where standard error is a terminal and `no_color`, the variable `NO_COLOR`, is unset or empty
    /// (<https://no-color.org>).
    #[must_use]
    pub fn of_stderr(no_color: Option<&str>) -> Self {
        if stderr().is_terminal() && no_color.is_none_or(str::is_empty) { Self::On } else { Self::Off }
    }
}

/// Logging that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A filter that cannot be read.
    #[error("log filter {filter:?} cannot be read: {source}; write such as info, or info,whisper_rs=warn")]
    Filter {
        /// What was given.
        filter: String,
        /// What the reader of filters said.
        #[source]
        source: ParseError,
    },
    /// Another subscriber is in place.
    #[error("logging was set up already in this process: {source}")]
    Taken {
        /// What tracing said.
        #[source]
        source: tracing_subscriber::util::TryInitError,
    },
}

impl Fault for TelemetryError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Filter { .. } => FaultKind::Invalid,
            Self::Taken { .. } => FaultKind::Conflict,
        }
    }
}

/// Sends the log lines of the whole process to standard error. To be called once, at its start.
///
/// # Errors
/// [`TelemetryError::Filter`], and [`TelemetryError::Taken`] at the second call.
pub fn init(settings: &LogSettings, colour: Colour) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|source| TelemetryError::Filter { filter: settings.filter.clone(), source })?;
    let lines = tracing_subscriber::fmt().with_writer(stderr).with_env_filter(filter);
    let done = match settings.format {
        LogFormat::Text => lines.with_ansi(colour == Colour::On).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    done.map_err(|source| TelemetryError::Taken { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logging_is_set_up_once_and_a_second_time_is_an_error() {
        let broken = LogSettings { filter: "=x=".to_owned(), ..LogSettings::default() };
        assert_eq!(init(&broken, Colour::Off).unwrap_err().kind(), FaultKind::Invalid);
        let json = LogSettings { format: LogFormat::Json, ..LogSettings::default() };
        // Another test of this process may have been first; the second call here cannot be.
        let _ = init(&json, Colour::Off);
        assert_eq!(init(&LogSettings::default(), Colour::On).unwrap_err().kind(), FaultKind::Conflict);
    }

    #[test]
    fn no_color_is_honoured() {
        assert_eq!(Colour::of_stderr(Some("1")), Colour::Off);
    }
}
