//! What several tests need.

pub(crate) mod models;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod speech;
