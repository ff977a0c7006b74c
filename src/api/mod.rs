//! The doors: gRPC, and HTTP for readiness and metrics. Nothing is decided here. And who comes to them: the recorder.

pub mod admin;
pub mod grpc;
pub mod readiness;
pub mod recorder;
pub mod status;
