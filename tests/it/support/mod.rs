//! What several tests need.

pub(crate) mod faults;
pub(crate) mod house;
pub(crate) mod models;
pub(crate) mod program;
pub(crate) mod recording;
pub(crate) mod relay;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod speech;
