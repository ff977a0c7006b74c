//! The native gRPC service. Wire types stay in here; everything behind it speaks the domain's.

pub mod accounts;
pub mod client;
mod convert;
mod dial;
mod entries;
mod finals;
pub mod heard;
pub mod repass;
pub mod server;
mod service;
mod stream;

pub use service::{Limits, TranscriptionService};

/// The compiled protocol, for reflection and for the test that keeps it compatible.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vivavoce.v1.descriptors"));

/// What the compiler of the protocol wrote.
#[expect(
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::allow_attributes,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    reason = "generated from proto/vivavoce/v1, where every field is documented"
)]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/vivavoce.v1.rs"));
}
