//! The words of the field as types: hearing, channel, segment, word, language, time, flag, change.
//!
//! Everything here is a plain value: no file, no clock, no thread. A value that exists is valid; the constructors are the
//! only way in.

pub mod actor;
pub mod alarm;
pub mod audio;
pub mod change;
pub mod channel;
pub mod clock;
pub mod engine;
pub mod fault;
pub mod flag;
pub mod glossary;
pub mod hypothesis;
pub mod id;
pub mod interval;
pub mod language;
pub mod load;
pub mod place;
pub mod probability;
pub mod segment;
pub mod time;
