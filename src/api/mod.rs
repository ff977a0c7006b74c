//! The doors: gRPC, and HTTP for readiness and metrics. Nothing is decided here.

pub mod grpc;
pub mod status;
