//! A recorder's own side: what it knows of its hearing, and what it keeps on its own disk until the server has it on its.

pub mod backoff;
pub mod keeper;
pub mod session;
pub mod spool;
