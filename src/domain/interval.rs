//! What holds of which samples of a channel: classes, as they were ordered, and other step functions.

use std::collections::BTreeMap;

use super::{
    change::{Change, IntervalClass},
    id::ChannelId,
    time::{SamplePos, Span},
};

/// What holds of each sample of a channel: a step function, one value from 0 on where nothing was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps<T> {
    /// Before the first mark.
    first: T,
    /// From each position on, up to the next one.
    marks: BTreeMap<SamplePos, T>,
}

impl<T: Copy + Eq> Steps<T> {
    /// `value` everywhere.
    #[must_use]
    pub const fn all(value: T) -> Self {
        Self { first: value, marks: BTreeMap::new() }
    }

    /// What holds of one sample.
    #[must_use]
    pub fn at(&self, sample: SamplePos) -> T {
        self.marks.range(..=sample).next_back().map_or(self.first, |(_, value)| *value)
    }

    /// Sets the samples from `first` up to `end`. Without `end` it holds up to where something was set already, or for good.
    pub fn set(&mut self, first: SamplePos, end: Option<SamplePos>, value: T) {
        let end = end.or_else(|| self.set_after(first));
        if end.is_some_and(|end| end <= first) {
            return;
        }
        let after = end.map(|end| (end, self.at(end)));
        self.marks.retain(|at, _| *at < first || end.is_some_and(|end| *at > end));
        self.marks.insert(first, value);
        self.marks.extend(after);
    }

    /// Where something was set next after `at`, also if it was the same.
    #[must_use]
    pub fn set_after(&self, at: SamplePos) -> Option<SamplePos> {
        self.marks.range(at.plus(1)..).next().map(|(at, _)| *at)
    }

    /// The longest runs of one value in `span`, in order; together they are the span.
    #[must_use]
    pub fn runs(&self, span: Span) -> Vec<(Span, T)> {
        let mut runs: Vec<(Span, T)> = Vec::new();
        let mut from = span.start();
        while from < span.end() {
            let value = self.at(from);
            let end = self.change_after(from).map_or(span.end(), |at| at.min(span.end()));
            runs.extend(Span::new(from, end).map(|run| (run, value)));
            from = end;
        }
        runs
    }

    /// Where what holds of the sample at `at` ends; `None` where it holds for good.
    #[must_use]
    pub fn change_after(&self, at: SamplePos) -> Option<SamplePos> {
        let value = self.at(at);
        self.marks.range(at.plus(1)..).find(|(_, other)| **other != value).map(|(at, _)| *at)
    }
}

/// The classes of a channel. Everything is open where nothing was ordered.
///
/// ```
/// use vivavoce::domain::{change::IntervalClass, interval::ClassMap, time::SamplePos};
/// let mut classes = ClassMap::default();
/// classes.set(SamplePos::new(100), Some(SamplePos::new(200)), IntervalClass::OffRecord);
/// assert_eq!(classes.at(SamplePos::new(99)), IntervalClass::Open);
/// assert_eq!(classes.at(SamplePos::new(100)), IntervalClass::OffRecord);
/// assert_eq!(classes.at(SamplePos::new(200)), IntervalClass::Open);
/// ```
pub type ClassMap = Steps<IntervalClass>;

impl Default for ClassMap {
    fn default() -> Self {
        Self::all(IntervalClass::Open)
    }
}

impl ClassMap {
    /// The strictest class that a sample of `span` has; that of its first sample where it is empty.
    #[must_use]
    pub fn strictest(&self, span: Span) -> IntervalClass {
        let classes = self.runs(span).into_iter().map(|(_, class)| class);
        classes.max_by_key(|class| class.strictness()).unwrap_or_else(|| self.at(span.start()))
    }
}

/// The classes of every channel of a hearing, as its record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    channels: BTreeMap<ChannelId, ClassMap>,
}

impl Classes {
    /// Takes a change of the record in; those that are no intervals are passed over.
    pub fn follow(&mut self, change: &Change) {
        if let Change::IntervalBegan { channel, first_sample, class, end, order: _ } = change {
            self.channels.entry(*channel).or_default().set(*first_sample, *end, *class);
        }
    }

    /// The classes of one channel.
    #[must_use]
    pub fn of(&self, channel: ChannelId) -> ClassMap {
        self.channels.get(&channel).cloned().unwrap_or_default()
    }

    /// The strictest class that a sample of `span` has.
    #[must_use]
    pub fn strictest(&self, channel: ChannelId, span: Span) -> IntervalClass {
        self.channels.get(&channel).map_or(IntervalClass::Open, |classes| classes.strictest(span))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(n: u8) -> IntervalClass {
        [IntervalClass::Open, IntervalClass::Sealed, IntervalClass::Muted, IntervalClass::OffRecord][usize::from(n % 4)]
    }

    fn at(n: u64) -> SamplePos {
        SamplePos::new(n)
    }

    proptest! {
        #[test]
        fn it_says_what_was_ordered_last_of_every_sample(orders in prop::collection::vec((0_u64..60, 1_u64..30, 0_u8..4), 0..12)) {
            let mut map = ClassMap::default();
            let mut model = [IntervalClass::Open; 100];
            for (first, length, n) in orders {
                map.set(at(first), Some(at(first + length)), class(n));
                model[usize::try_from(first).unwrap()..usize::try_from(first + length).unwrap()].fill(class(n));
            }
            for (sample, class) in (0..).zip(model) {
                prop_assert_eq!(map.at(at(sample)), class);
            }
            let whole = Span::new(at(0), at(100)).unwrap();
            let runs = map.runs(whole);
            prop_assert_eq!(runs.iter().map(|(s, _)| s.len()).sum::<u64>(), 100);
            prop_assert!(runs.windows(2).all(|w| w[0].0.end() == w[1].0.start() && w[0].1 != w[1].1));
            prop_assert_eq!(map.strictest(whole), model.into_iter().max_by_key(|c| c.strictness()).unwrap());
        }
    }

    #[test]
    fn an_order_without_an_end_holds_up_to_the_next_one() {
        let mut map = ClassMap::default();
        map.set(at(0), None, IntervalClass::Open);
        map.set(at(50), None, IntervalClass::OffRecord);
        map.set(at(80), None, IntervalClass::Open);
        map.set(at(20), None, IntervalClass::Sealed);
        let runs: Vec<_> =
            map.runs(Span::new(at(0), at(100)).unwrap()).iter().map(|(s, c)| (s.start().index(), *c)).collect();
        assert_eq!(
            runs,
            [
                (0, IntervalClass::Open),
                (20, IntervalClass::Sealed),
                (50, IntervalClass::OffRecord),
                (80, IntervalClass::Open)
            ]
        );
        assert_eq!(map.change_after(at(85)), None);
        assert_eq!(map.change_after(at(0)), Some(at(20)));
    }
}
