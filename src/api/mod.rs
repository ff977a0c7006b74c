//! The doors of the service.

pub mod admin;
pub mod readiness;
