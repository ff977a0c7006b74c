//! The log of who did what with a hearing, which cannot be changed without anyone noticing.

use crate::domain::fault::{Fault, FaultKind};

pub mod tree;

/// What can be wrong with a log, or with what is asked of it. Leaves are counted from 0, lines from 1.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuditError {
    /// The tree does not have this leaf.
    #[error("leaf {index} is not in a tree of {size} leaves: take one below {size}")]
    NotInTree {
        /// Which leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A tree only grows.
    #[error("a tree of {from} leaves cannot become one of {to}: the log was set back, or two logs were confused")]
    Shrunk {
        /// The larger size, which was first.
        from: u64,
        /// The smaller one after it.
        to: u64,
    },
    /// A proof of inclusion does not lead to the root.
    #[error("the proof does not show that leaf {index} is in the tree of {size} leaves")]
    NotIncluded {
        /// Which leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A proof of consistency does not lead to both roots.
    #[error(
        "the proof does not show that the tree of {to} leaves begins with the {from} leaves that were signed before"
    )]
    NotConsistent {
        /// The size of the earlier tree.
        from: u64,
        /// The size of the later one.
        to: u64,
    },
    /// A stored frontier has another number of hashes than its size asks for.
    #[error("the frontier of a tree of {size} leaves has {found} hashes in place of {}: build it anew from the leaves", size.count_ones())]
    Frontier {
        /// The size of the tree.
        size: u64,
        /// How many hashes there were.
        found: usize,
    },
    /// Two trees of one size, and the other one was signed.
    #[error("another tree of {size} leaves was signed before: do not use this key until it is known why")]
    OtherTree {
        /// The size of both.
        size: u64,
    },
}

impl Fault for AuditError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NotInTree { .. } => FaultKind::NotFound,
            Self::Shrunk { .. }
            | Self::NotIncluded { .. }
            | Self::NotConsistent { .. }
            | Self::Frontier { .. }
            | Self::OtherTree { .. } => FaultKind::DataLoss,
        }
    }
}
