//! vivavoce: courtroom audio in, timestamped and flagged text out, on the court's own machine.
//!
//! The straight line, left to right; each part may use only those before it (`tests/tidy.rs` holds it):
//! `domain` < `text` < {`speech`, `models`, `evaluation`} < `record` < `hearing` < `api` < `app` < `cli` < `main`.

#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
pub mod domain;
pub mod evaluation;
pub mod speech;
#[cfg(feature = "server")]
pub mod telemetry;
pub mod text;
