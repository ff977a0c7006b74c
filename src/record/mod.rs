//! What must never be lost: the entries of each hearing, its original audio, and what is handed out of them.
//!
//! Nothing is written except through `RecordStore::append` (the entries) and the audio journal (the samples); both only
//! grow. The pure parts (entries, audit log, seal, keys, the journal's format, exports) are built without the `server` feature too, so that
//! a record can be read and checked without a server.

pub mod audit;
#[cfg(feature = "server")]
pub mod backup;
pub(crate) mod disk;
pub mod entry;
pub mod export;
pub mod keys;
pub mod ledger;
pub mod media;
#[cfg(test)]
#[cfg(feature = "server")]
pub(crate) mod mounted;
pub mod seal;
#[cfg(feature = "server")]
pub mod store;
