//! What commands say: data to stdout, everything else to stderr; colours only for people.

use std::io::{self, IsTerminal, Write};

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
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
