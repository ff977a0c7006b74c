//! How far a hypothesis is from its reference: substitutions, deletions and insertions of the cheapest alignment.
//!
//! Wagner and Fischer, "The String-to-String Correction Problem", JACM 21(1), 1974. Among alignments of the same cost the
//! one is taken that the usual scoring tools take (jiwer over rapidfuzz: common ends first, then from the back deletion
//! before insertion before the diagonal), so that S, D and I can be compared with theirs and not only their sum.

use serde::Serialize;

/// Above this many cells an alignment is cut in two (Hirschberg, CACM 18(6), 1975), so that a day of speech fits into
/// memory: one byte a cell. Where that happens S, D and I may split differently among equals; their sum does not.
const CELLS: usize = 1 << 24;

/// Errors against a number of reference units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Units of the reference.
    pub reference: usize,
    /// Units that stand for another.
    pub substitutions: usize,
    /// Units of the reference that are missing.
    pub deletions: usize,
    /// Units that were not said.
    pub insertions: usize,
}

impl Tally {
    /// All three kinds of error.
    ///
    /// ```
    /// use vivavoce::text::wer::Tally;
    /// let tally = Tally { reference: 8, substitutions: 1, deletions: 0, insertions: 1 };
    /// assert_eq!((tally.errors(), tally.percent()), (2, Some(25.0)));
    /// ```
    #[must_use]
    pub fn errors(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// The error rate in percent of the reference; may exceed 100. `None` where the reference is empty.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        (self.reference > 0).then(|| 100.0 * self.errors() as f64 / self.reference as f64)
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.reference += other.reference;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum += tally;
            sum
        })
    }
}

/// A hypothesis laid against its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// The counts.
    pub tally: Tally,
    /// For each unit of the hypothesis whether it is right; as long as the hypothesis.
    pub right: Vec<bool>,
}

/// One step of an alignment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Delete,
    Insert,
    /// Both go on: right where the units are equal, else a substitution.
    Both,
}

/// Lays `hypothesis` against `reference`.
///
/// Time is the product of the two lengths without their common ends; memory is bounded at 16 MiB and a few rows.
///
/// ```
/// use vivavoce::text::wer::align;
/// let found = align(&["ask", "not", "what"], &["ask", "not", "of", "what"]);
/// assert_eq!((found.tally.errors(), found.right), (1, vec![true, true, false, true]));
/// ```
#[must_use]
pub fn align<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Alignment {
    let mut right = Vec::with_capacity(hypothesis.len());
    let mut tally = Tally { reference: reference.len(), ..Tally::default() };
    let (mut i, mut j) = (0, 0);
    for step in steps(reference, hypothesis) {
        match step {
            Step::Delete => {
                tally.deletions += 1;
                i += 1;
            }
            Step::Insert => {
                tally.insertions += 1;
                right.push(false);
                j += 1;
            }
            Step::Both => {
                let equal = reference[i] == hypothesis[j];
                tally.substitutions += usize::from(!equal);
                right.push(equal);
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    Alignment { tally, right }
}

/// As many units as both have in common in order: pairs of places in `reference` and in `hypothesis`, both ascending. For
/// finding one text's words in another, where [`align`] may take two substitutions for what is a word that stays.
///
/// Time is the product of the two lengths without their common ends, memory 64 MiB at most; longer texts are aligned.
///
/// ```
/// use vivavoce::text::wer::matches;
/// assert_eq!(matches(&["ask", "not", "what"], &["not", "of", "what"]), [(1, 0), (2, 2)]);
/// ```
#[must_use]
pub fn matches<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Vec<(usize, usize)> {
    let (start, end) = common_ends(reference, hypothesis);
    let (upper, lower) = (&reference[start..reference.len() - end], &hypothesis[start..hypothesis.len() - end]);
    let inner = match upper.len().saturating_mul(lower.len()) {
        cells if cells > CELLS => aligned(upper, lower),
        _ => longest_in_common(upper, lower),
    };
    let tail = (0..end).map(|n| (reference.len() - end + n, hypothesis.len() - end + n));
    let inner = inner.into_iter().map(|(i, j)| (start + i, start + j));
    (0..start).map(|n| (n, n)).chain(inner).chain(tail).collect()
}

fn aligned<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Vec<(usize, usize)> {
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    for step in steps(reference, hypothesis) {
        if step == Step::Both && reference[i] == hypothesis[j] {
            found.push((i, j));
        }
        i += usize::from(step != Step::Insert);
        j += usize::from(step != Step::Delete);
    }
    found
}

/// From each pair of places on, how many units can still be paired; then from the front along the most of them.
fn longest_in_common<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Vec<(usize, usize)> {
    let width = hypothesis.len() + 1;
    let mut still = vec![0_u32; (reference.len() + 1) * width];
    for i in (0..reference.len()).rev() {
        for j in (0..hypothesis.len()).rev() {
            still[i * width + j] = match reference[i] == hypothesis[j] {
                true => still[(i + 1) * width + j + 1] + 1,
                false => still[(i + 1) * width + j].max(still[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    while i < reference.len() && j < hypothesis.len() {
        if reference[i] == hypothesis[j] {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if still[(i + 1) * width + j] >= still[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// The least number of edits between two texts, in two rows of memory.
///
/// ```
/// use vivavoce::text::wer::distance;
/// assert_eq!(distance(&['k', 'i', 't'], &['s', 'i', 't', 's']), 2);
/// ```
#[must_use]
pub fn distance<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> usize {
    let (start, end) = common_ends(reference, hypothesis);
    let (reference, hypothesis) =
        (&reference[start..reference.len() - end], &hypothesis[start..hypothesis.len() - end]);
    let row = last_row(reference.iter(), hypothesis.len(), |r, j| **r == hypothesis[j]);
    row[hypothesis.len()]
}

/// The steps from front to back.
fn steps<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Vec<Step> {
    let (start, end) = common_ends(reference, hypothesis);
    let (inner_ref, inner_hyp) = (&reference[start..reference.len() - end], &hypothesis[start..hypothesis.len() - end]);
    let mut out = vec![Step::Both; start];
    if inner_ref.len() > 1 && inner_ref.len().saturating_mul(inner_hyp.len()) > CELLS {
        let (upper, lower) = inner_ref.split_at(inner_ref.len() / 2);
        let cut = best_cut(upper, lower, inner_hyp);
        out.extend(steps(upper, &inner_hyp[..cut]));
        out.extend(steps(lower, &inner_hyp[cut..]));
    } else {
        out.extend(trace(inner_ref, inner_hyp));
    }
    out.extend(vec![Step::Both; end]);
    out
}

/// The lengths of the beginning and the end that both have in common, without overlap.
fn common_ends<T: PartialEq>(a: &[T], b: &[T]) -> (usize, usize) {
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let end = a[start..].iter().rev().zip(b[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    (start, end)
}

/// Fills the table row by row, remembering one step a cell, and walks back from its corner.
fn trace<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Vec<Step> {
    let width = hypothesis.len();
    let mut taken = Vec::with_capacity(reference.len() * width);
    let mut above: Vec<usize> = (0..=width).collect();
    let mut row = above.clone();
    for (i, unit) in reference.iter().enumerate() {
        row[0] = i + 1;
        for j in 0..width {
            let (delete, insert) = (above[j + 1] + 1, row[j] + 1);
            row[j + 1] = delete.min(insert).min(above[j] + usize::from(*unit != hypothesis[j]));
            taken.push(match row[j + 1] {
                cost if cost == delete => Step::Delete,
                _ if insert == above[j] => Step::Insert,
                _ => Step::Both,
            });
        }
        std::mem::swap(&mut above, &mut row);
    }
    let (mut i, mut j) = (reference.len(), width);
    let mut back = Vec::with_capacity(i.max(j));
    while i > 0 || j > 0 {
        let step = match (i, j) {
            (0, _) => Step::Insert,
            (_, 0) => Step::Delete,
            _ => taken[(i - 1) * width + j - 1],
        };
        i -= usize::from(step != Step::Insert);
        j -= usize::from(step != Step::Delete);
        back.push(step);
    }
    back.reverse();
    back
}

/// Where to cut the hypothesis so that its parts against the two halves of the reference cost the least together.
fn best_cut<T: PartialEq>(upper: &[T], lower: &[T], hypothesis: &[T]) -> usize {
    let width = hypothesis.len();
    let down = last_row(upper.iter(), width, |r, j| **r == hypothesis[j]);
    let up = last_row(lower.iter().rev(), width, |r, j| **r == hypothesis[width - 1 - j]);
    (0..=width).min_by_key(|&cut| down[cut] + up[width - cut]).unwrap_or(0)
}

/// The last row of the table: the distances of the whole reference to each beginning of the hypothesis.
fn last_row<R>(reference: impl Iterator<Item = R>, width: usize, equal: impl Fn(&R, usize) -> bool) -> Vec<usize> {
    let mut row: Vec<usize> = (0..=width).collect();
    for (i, unit) in reference.enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..width {
            let both = diagonal + usize::from(!equal(&unit, j));
            diagonal = row[j + 1];
            row[j + 1] = both.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(reference: &str, hypothesis: &str, sdi: (usize, usize, usize), right: &str) {
        let (r, h): (Vec<&str>, Vec<&str>) =
            (reference.split_whitespace().collect(), hypothesis.split_whitespace().collect());
        let found = align(&r, &h);
        let t = found.tally;
        assert_eq!((t.substitutions, t.deletions, t.insertions), sdi, "{reference} | {hypothesis}");
        let marks: String = found.right.iter().map(|&r| if r { '+' } else { '-' }).collect();
        assert_eq!(marks, right, "{reference} | {hypothesis}");
        assert_eq!(t.reference, r.len());
    }

    #[test]
    fn errors_are_counted_by_kind_and_by_word() {
        check("the cat sat", "the cat sat", (0, 0, 0), "+++");
        check("the cat sat", "the hat sat", (1, 0, 0), "+-+");
        check("the cat sat", "the sat", (0, 1, 0), "++");
        check("the cat sat", "the the cat sat", (0, 0, 1), "+-++");
        check("a b c d", "b c d e", (0, 1, 1), "+++-");
        check("", "a b", (0, 0, 2), "--");
        check("a b", "", (0, 2, 0), "");
        check("", "", (0, 0, 0), "");
    }

    #[test]
    fn a_rate_needs_a_reference() {
        assert_eq!(Tally { insertions: 3, ..Tally::default() }.percent(), None);
        let sum: Tally =
            [Tally { reference: 2, ..Tally::default() }, Tally { deletions: 1, ..Tally::default() }].into_iter().sum();
        assert_eq!(sum.percent(), Some(50.0));
    }

    fn oracle(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a @ ..], [y, b @ ..]) if x == y => oracle(a, b),
            ([_, a1 @ ..], [_, b1 @ ..]) => 1 + oracle(a1, b1).min(oracle(a1, b)).min(oracle(a, b1)),
        }
    }

    proptest! {
        #[test]
        fn the_cost_is_that_of_a_naive_search(a in prop::collection::vec(0..3u8, 0..8), b in prop::collection::vec(0..3u8, 0..8)) {
            let found = align(&a, &b);
            prop_assert_eq!(found.tally.errors(), oracle(&a, &b));
            prop_assert_eq!(distance(&a, &b), oracle(&a, &b));
            prop_assert_eq!(found.right.len(), b.len());
            prop_assert_eq!(a.len() + found.tally.insertions, b.len() + found.tally.deletions);
        }

        #[test]
        fn as_many_units_are_found_in_common_as_there_are(a in prop::collection::vec(0..3u8, 0..8), b in prop::collection::vec(0..3u8, 0..8)) {
            fn most(a: &[u8], b: &[u8]) -> usize {
                match (a, b) {
                    ([], _) | (_, []) => 0,
                    ([x, a @ ..], [y, b @ ..]) if x == y => 1 + most(a, b),
                    ([_, a1 @ ..], [_, b1 @ ..]) => most(a1, b).max(most(a, b1)),
                }
            }
            for found in [matches(&a, &b), aligned(&a, &b)] {
                prop_assert!(found.iter().all(|&(i, j)| a[i] == b[j]));
                prop_assert!(found.is_sorted_by(|x, y| x.0 < y.0 && x.1 < y.1));
            }
            prop_assert_eq!(matches(&a, &b).len(), most(&a, &b));
        }

        #[test]
        fn cutting_in_two_costs_the_same(a in prop::collection::vec(0..4u8, 2..40), b in prop::collection::vec(0..4u8, 0..40)) {
            let (upper, lower) = a.split_at(a.len() / 2);
            let cut = best_cut(upper, lower, &b);
            prop_assert_eq!(distance(upper, &b[..cut]) + distance(lower, &b[cut..]), distance(&a, &b));
        }
    }
}
