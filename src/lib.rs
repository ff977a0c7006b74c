//! vivavoce: courtroom audio in, timestamped and flagged text out, on the court's own machine.
//!
//! The straight line, left to right; each part may use only those before it (`tests/tidy.rs` holds it):
//! `domain` < `text` < {`speech`, `models`, `evaluation`, `access`} < `record` < `hearing` < `api` < `app` < `cli` < `main`.

pub mod access;
#[cfg(feature = "server")]
pub mod api;
#[cfg(all(feature = "server", feature = "whisper"))]
pub mod app;
#[cfg(all(feature = "server", feature = "whisper"))]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
pub mod domain;
pub mod evaluation;
#[cfg(feature = "server")]
pub mod hearing;
#[cfg(feature = "server")]
pub mod models;
pub mod record;
pub mod speech;
#[cfg(feature = "server")]
pub mod telemetry;
pub mod text;

/// A server lives for months. The system's allocator keeps what many threads once asked for, a little more each hour.
#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
