//! The doors: gRPC, and HTTP for readiness and metrics. Nothing is decided here.

pub mod admin;
pub mod grpc;
pub mod readiness;
pub mod status;
