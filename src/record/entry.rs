//! One entry of the record, as it is read back.

use crate::domain::{
    actor::Attribution,
    change::{Change, EntrySeq},
};

/// A change with its place and with who did it, what for and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the record of its hearing, from 1 without gaps.
    pub seq: EntrySeq,
    /// What changed.
    pub change: Change,
    /// Who, what for, when.
    pub by: Attribution,
}
