//! The subcommands: each takes its arguments, does its work and writes data to stdout, talk to stderr.

pub mod evaluate;
pub mod models;
