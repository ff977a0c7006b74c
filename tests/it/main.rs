//! The integration tests: one binary, one module a subject.
#![cfg(all(feature = "server", feature = "whisper"))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a test stops where it finds something else than it expects"
)]

mod backup;
mod bad_input;
mod child;
mod commands;
mod cuts;
mod disk;
mod gaps;
mod glossary;
mod import;
mod languages;
mod load;
mod microphones;
mod models;
mod off_record;
mod operations;
mod orders;
mod protocol;
mod quantise;
mod recorder;
mod reflection;
mod repass;
mod streaming;
mod support;
mod tune;
mod vad;
