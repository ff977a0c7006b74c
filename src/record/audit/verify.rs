//! A whole log, held against everything that was signed about it.
//!
//! | what was done | what finds it |
//! | --- | --- |
//! | a bit of a leaf changed | the hash stored beside it names the leaf; where that was changed too, the next checkpoint names the stretch |
//! | leaves moved, taken out, put in | the number that each leaf bears; the next checkpoint |
//! | the end cut off | a stored checkpoint of more leaves; where that was taken away too, one from outside |
//! | another past signed with the log's key | another checkpoint of the log, stored or from outside |
//! | everything set back to an earlier day, or written anew | **only a checkpoint from outside**: what is left fits together |
//! | a checkpoint changed, moved, put in | its signature, its place, its root |
//!
//! Leaves after the last checkpoint stand under no signature yet: [`LogReport::unsigned`] says which. A stored checkpoint that is
//! taken away is not missed as long as a later one is there, which says the same and more; so is a line of a witness in one.
//! What was signed elsewhere belongs elsewhere: an overseer keeps what it cosigned.

use std::{collections::BTreeMap, fmt, ops::Range};

use super::{
    AuditError,
    checkpoint::{SignedCheckpoint, Trust},
    leaf::Leaf,
    tree::{Frontier, NodeHash, TreeHead},
};

/// The most faults of leaves that are told; of a log that is wrong throughout, the first are enough.
pub const MAX_LEAF_FAULTS: usize = 100;

/// Which checkpoint, by where it came from and its place there, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// One that lies with the log.
    Stored(usize),
    /// One that somebody else kept.
    Outside(usize),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(place) => write!(f, "stored checkpoint {place}"),
            Self::Outside(place) => write!(f, "checkpoint {place} from outside"),
        }
    }
}

/// A leaf as it was stored.
#[derive(Clone, Copy, Debug)]
pub struct StoredLeaf<B> {
    /// Its bytes.
    pub bytes: B,
    /// Its hash, where that is kept beside it: with it a changed leaf can be named.
    pub hash: Option<NodeHash>,
}

/// What was signed about a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checkpoints<'a> {
    /// Those that lie with the log, in the order in which they were signed.
    pub stored: &'a [Vec<u8>],
    /// Those that others kept, in any order: cosigned, printed, sent to another court. They must have the witnesses that the trust
    /// asks for.
    pub outside: &'a [Vec<u8>],
}

/// What came of holding a log against its checkpoints.
#[derive(Debug)]
pub struct LogReport {
    /// How many leaves there are, and the root over them.
    pub head: TreeHead,
    /// How many checkpoints fit the log.
    pub fitting: usize,
    /// The leaves under no checkpoint that fits: a change of them could not be told from what was written.
    pub unsigned: Range<u64>,
    /// The leaves below this are as somebody outside saw them; `None` without a checkpoint from outside that fits. Then the log
    /// may have been set back or written anew as a whole.
    pub witnessed: Option<u64>,
    /// Leaves of a later version, whose hashes were checked and whose content was not read.
    pub newer: u64,
    /// What is wrong: of leaves at most [`MAX_LEAF_FAULTS`], and all of checkpoints.
    pub faults: Vec<AuditError>,
    /// How many more faults of leaves there are.
    pub more_faults: u64,
}

impl LogReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    fn add(&mut self, fault: AuditError) {
        self.faults.push(fault);
    }
}

/// Holds the leaves of a log, from the first to the last, against what was signed about it. One pass; memory grows
/// with the checkpoints and not with the leaves. Everything that is wrong is in the report.
///
/// # Errors
/// Those of `leaves`, when they cannot be read.
pub fn verify_log<B: AsRef<[u8]>, E>(
    leaves: impl IntoIterator<Item = Result<StoredLeaf<B>, E>>,
    checkpoints: Checkpoints<'_>,
    trust: &Trust,
) -> Result<LogReport, E> {
    let mut report = LogReport {
        head: TreeHead::empty(),
        fitting: 0,
        unsigned: 0..0,
        witnessed: None,
        newer: 0,
        faults: Vec::new(),
        more_faults: 0,
    };
    let signed = opened(checkpoints, trust, &mut report);
    // The root that the log has at each size that was signed.
    let mut roots: BTreeMap<u64, Option<NodeHash>> = signed.iter().map(|(_, head)| (head.size, None)).collect();
    let (mut edge, mut leaf_check) = (Frontier::default(), LeafCheck::default());
    let mut note_root = |edge: &Frontier| {
        if let Some(root) = roots.get_mut(&edge.size()) {
            *root = Some(edge.root());
        }
    };
    note_root(&edge);
    for leaf in leaves {
        let leaf = leaf?;
        let (index, hash) = (edge.size(), NodeHash::of_leaf(leaf.bytes.as_ref()));
        if leaf.hash.is_some_and(|stored| stored != hash) {
            leaf_check.add(AuditError::LeafChanged { index }, &mut report);
        }
        leaf_check.check(index, leaf.bytes.as_ref(), &mut report);
        edge.push(hash);
        note_root(&edge);
    }
    report.head = edge.head();
    compare(&signed, &roots, &mut report);
    Ok(report)
}

/// The checkpoints that can be relied on, with faults for all others.
fn opened(checkpoints: Checkpoints<'_>, trust: &Trust, report: &mut LogReport) -> Vec<(Seen, TreeHead)> {
    let mut signed = Vec::new();
    let mut take = |seen, opened: Result<SignedCheckpoint, AuditError>| match opened {
        Ok(opened) => {
            signed.push((seen, opened.checkpoint.head));
            Some(opened.checkpoint.head.size)
        }
        Err(source) => {
            report.add(AuditError::Checkpoint { seen, source: Box::new(source) });
            None
        }
    };
    let mut unordered = Vec::new();
    let mut before = 0;
    for (place, note) in checkpoints.stored.iter().enumerate() {
        let seen = Seen::Stored(place);
        let size = take(seen, trust.open(note)).unwrap_or(before);
        if size < before {
            unordered.push(AuditError::Unordered { seen, size, before });
        }
        before = size;
    }
    for (place, note) in checkpoints.outside.iter().enumerate() {
        take(Seen::Outside(place), trust.open_witnessed(note));
    }
    unordered.into_iter().for_each(|fault| report.add(fault));
    signed
}

/// Reads leaves one by one.
#[derive(Default)]
struct LeafCheck {
    /// How many faults were told.
    told: usize,
    /// By how much leaves are out of their places here.
    shift: u64,
}

impl LeafCheck {
    fn add(&mut self, fault: AuditError, report: &mut LogReport) {
        if self.told < MAX_LEAF_FAULTS {
            self.told += 1;
            report.add(fault);
        } else {
            report.more_faults += 1;
        }
    }

    fn check(&mut self, index: u64, bytes: &[u8], report: &mut LogReport) {
        match Leaf::from_bytes(bytes) {
            Ok(leaf) => {
                // Of a run that is out of its place by the same number, the first is told.
                let shift = leaf.number.wrapping_sub(index);
                if shift != 0 && shift != self.shift {
                    self.add(AuditError::LeafMoved { index, number: leaf.number }, report);
                }
                self.shift = shift;
            }
            Err(AuditError::LeafVersion { version }) if version > super::leaf::VERSION => report.newer += 1,
            Err(source) => self.add(AuditError::Leaf { index, source: Box::new(source) }, report),
        }
    }
}

/// Holds what was signed against the roots that the log has.
fn compare(signed: &[(Seen, TreeHead)], roots: &BTreeMap<u64, Option<NodeHash>>, report: &mut LogReport) {
    let leaves = report.head.size;
    let root_at = |size| roots.get(&size).copied().flatten();
    let fits = |head: &TreeHead| root_at(head.size) == Some(head.root);
    let sizes = |of: fn(&Seen) -> bool| {
        signed.iter().filter(move |(seen, head)| of(seen) && fits(head)).map(|(_, head)| head.size)
    };
    report.fitting = sizes(|_| true).count();
    // All leaves below this are as they were signed, whatever else is wrong.
    let good = sizes(|_| true).max().unwrap_or(0);
    report.unsigned = good..leaves;
    report.witnessed = sizes(|seen| matches!(seen, Seen::Outside(_))).max();
    let mut changed: Option<(u64, Seen)> = None;
    let mut cut: Option<(u64, Seen)> = None;
    for &(seen, head) in signed.iter().filter(|(_, head)| !fits(head)) {
        let size = head.size;
        if size > leaves {
            cut = cut.max(Some((size, seen)));
        } else if size <= good {
            report.add(AuditError::Forked { size, seen });
        } else if changed.is_none_or(|(nearest, _)| size < nearest) {
            changed = Some((size, seen));
        }
    }
    if let Some((to, seen)) = changed {
        report.add(AuditError::Changed { from: good, to, seen });
    }
    if let Some((signed, seen)) = cut {
        report.add(AuditError::Cut { leaves, signed, seen });
    }
}

#[cfg(test)]
mod tests;
