//! The integration tests: one binary, one module a subject.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it finds something else than it expects")]

mod models;
mod quantise;
mod support;
