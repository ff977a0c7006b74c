//! Sets of positions: ordered spans that neither overlap nor touch.

use crate::domain::time::Span;

/// A set of positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// Adds the positions of `span`.
    pub(super) fn add(&mut self, span: Span) {
        if span.is_empty() {
            return;
        }
        let first = self.0.partition_point(|s| s.end() < span.start());
        let behind = self.0.partition_point(|s| s.start() <= span.end());
        let touched = &self.0[first..behind];
        let start = touched.first().map_or(span.start(), |s| s.start().min(span.start()));
        let end = touched.last().map_or(span.end(), |s| s.end().max(span.end()));
        self.0.splice(first..behind, Span::new(start, end));
    }

    /// The parts of the set that lie in `span`, in order.
    pub(super) fn within(&self, span: Span) -> impl Iterator<Item = Span> {
        let first = self.0.partition_point(|s| s.end() <= span.start());
        self.0[first..].iter().take_while(move |s| s.start() < span.end()).filter_map(move |s| both(*s, span))
    }

    /// The parts of `span` that are not in the set, in order.
    pub(super) fn missing_from(&self, span: Span) -> Vec<Span> {
        let mut missing = Vec::new();
        let mut at = span.start();
        for held in self.within(span) {
            missing.extend(Span::new(at, held.start()).filter(|s| !s.is_empty()));
            at = held.end();
        }
        missing.extend(Span::new(at, span.end()).filter(|s| !s.is_empty()));
        missing
    }

    /// All of it, in order.
    pub(super) fn into_vec(self) -> Vec<Span> {
        self.0
    }
}

/// What `one` and `other` have in common; `None` where that is nothing.
pub(super) fn both(one: Span, other: Span) -> Option<Span> {
    Span::new(one.start().max(other.start()), one.end().min(other.end())).filter(|s| !s.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::SamplePos;

    fn span(start: u64, end: u64) -> Span {
        Span::new(SamplePos::new(start), SamplePos::new(end)).unwrap()
    }

    fn positions(spans: &[Span]) -> BTreeSet<u64> {
        spans.iter().flat_map(|s| s.start().index()..s.end().index()).collect()
    }

    proptest! {
        #[test]
        fn a_set_of_spans_is_a_set_of_positions(
            added in prop::collection::vec((0_u64..40, 0_u64..8), 0..12),
            asked in (0_u64..40, 0_u64..20),
        ) {
            let (mut set, mut naive) = (Spans::default(), BTreeSet::new());
            for (start, len) in added {
                set.add(span(start, start + len));
                naive.extend(start..start + len);
            }
            let asked = span(asked.0, asked.0 + asked.1);
            let wanted = positions(&[asked]);
            prop_assert_eq!(positions(&set.within(asked).collect::<Vec<_>>()), &naive & &wanted);
            prop_assert_eq!(positions(&set.missing_from(asked)), &wanted - &naive);
            let all = set.into_vec();
            prop_assert!(all.windows(2).all(|pair| pair[0].end() < pair[1].start()));
            prop_assert_eq!(positions(&all), naive);
        }
    }
}
