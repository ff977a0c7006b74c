//! Orders about what is recorded, exact to the sample they name: what each comes to on a channel. Nothing is done here.
//!
//! An order for what is to come sets the class. One for the past can only keep more from more people: what was stored may be
//! sealed or destroyed; what was sealed is not opened by an order, and what was not stored does not come back.

use crate::{
    domain::{
        change::{Change, IntervalClass, Order},
        id::ChannelId,
        interval::ClassMap,
        time::{SamplePos, SampleRate, Span},
    },
    hearing::HearingError,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// On which channel; `None` for every one.
    pub channel: Option<ChannelId>,
    /// From where on.
    pub start: Start,
    /// The sample after its last; `None`: up to where another interval begins already, or for good.
    pub end: Option<SamplePos>,
    /// How the channel is treated there.
    pub class: IntervalClass,
    /// Who ordered it, and why.
    pub order: Order,
}

/// Where an order begins. For every channel: at the rate of the one with the lowest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the next sample of each channel.
    Now,
    /// At this one.
    At(SamplePos),
}

/// What an order came to: the changes that the record took, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// `IntervalBegan` and `AudioDestroyed`.
    pub changes: Vec<Change>,
}

/// What is to be done on one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// From where, up to where, samples get the class.
    pub(super) intervals: Vec<(SamplePos, Option<SamplePos>)>,
    /// Stored samples that must not be there.
    pub(super) destroy: Vec<Span>,
}

/// Why an order cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlawful {
    /// Nobody is named, or no reason.
    #[error("an order names who gave it and why")]
    Unsigned,
    /// It ends before it begins.
    #[error("the order ends at sample {}, before it begins", end.index())]
    Ends {
        /// Where.
        end: SamplePos,
    },
    /// It would open what was sealed.
    #[error("what was sealed from sample {} on is not opened by an order", from.index())]
    Unsealing {
        /// From where on.
        from: SamplePos,
    },
    /// It would bring back what was not stored.
    #[error("nothing is stored from sample {} on, and an order does not bring it back", from.index())]
    NotStored {
        /// From where on.
        from: SamplePos,
    },
}

impl Request {
    /// # Errors
    /// [`Unlawful::Unsigned`].
    pub(super) fn check(&self) -> Result<(), HearingError> {
        let signed = !self.order.by.as_str().is_empty() && !self.order.reason.as_str().is_empty();
        if signed { Ok(()) } else { Err(HearingError::Order { why: Unlawful::Unsigned }) }
    }

    /// Where it begins and ends on a channel of rate `rate`, whose next sample is `now`; positions of the request are at
    /// `named`'s rate.
    pub(super) fn at(&self, named: SampleRate, rate: SampleRate, now: SamplePos) -> (SamplePos, Option<SamplePos>) {
        let here = |sample: SamplePos| if named == rate { sample } else { sample.at(named).sample(rate) };
        let first = match self.start {
            Start::Now => now,
            Start::At(first) => here(first),
        };
        (first, self.end.map(here))
    }
}

/// What an order for `first` up to `end` comes to on a channel whose classes are `classes` and whose next sample is `now`.
///
/// # Errors
/// [`Unlawful`].
pub(super) fn plan(
    classes: &ClassMap,
    now: SamplePos,
    (first, end): (SamplePos, Option<SamplePos>),
    class: IntervalClass,
) -> Result<Plan, Unlawful> {
    if let Some(end) = end.filter(|end| *end <= first) {
        return Err(Unlawful::Ends { end });
    }
    let mut plan = Plan::default();
    let past = Span::new(first, end.unwrap_or(now).min(now)).unwrap_or(Span::EMPTY);
    for (run, was) in classes.runs(past) {
        match (was, class) {
            (IntervalClass::Open, IntervalClass::Open) | (IntervalClass::Sealed, IntervalClass::Sealed) => {}
            (IntervalClass::Open, IntervalClass::Sealed) => plan.intervals.push((run.start(), Some(run.end()))),
            (IntervalClass::Open | IntervalClass::Sealed, IntervalClass::OffRecord | IntervalClass::Muted) => {
                plan.intervals.push((run.start(), Some(run.end())));
                plan.destroy.push(run);
            }
            (IntervalClass::Sealed, IntervalClass::Open) => return Err(Unlawful::Unsealing { from: run.start() }),
            (IntervalClass::OffRecord | IntervalClass::Muted, IntervalClass::Open | IntervalClass::Sealed) => {
                return Err(Unlawful::NotStored { from: run.start() });
            }
            // Nothing is there, whatever it is called.
            (IntervalClass::OffRecord | IntervalClass::Muted, IntervalClass::OffRecord | IntervalClass::Muted) => {}
        }
    }
    let from = first.max(now);
    if end.is_none_or(|end| end > from) {
        let mut after = classes.clone();
        after.set(from, end, class);
        if after != *classes {
            plan.intervals.push((from, end));
        }
    }
    plan.intervals = joined(classes, plan.intervals, class);
    Ok(plan)
}

/// One interval where several come to the same.
fn joined(
    classes: &ClassMap,
    intervals: Vec<(SamplePos, Option<SamplePos>)>,
    class: IntervalClass,
) -> Vec<(SamplePos, Option<SamplePos>)> {
    let (Some((first, _)), Some((_, end))) = (intervals.first(), intervals.last()) else { return intervals };
    let (mut apart, mut together) = (classes.clone(), classes.clone());
    intervals.iter().for_each(|(first, end)| apart.set(*first, *end, class));
    together.set(*first, *end, class);
    if apart == together { vec![(*first, *end)] } else { intervals }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(n: u64) -> SamplePos {
        SamplePos::new(n)
    }

    const CLASSES: [IntervalClass; 4] =
        [IntervalClass::Open, IntervalClass::Sealed, IntervalClass::Muted, IntervalClass::OffRecord];

    proptest! {
        #[test]
        fn the_past_only_gets_stricter_and_what_is_to_come_is_as_ordered(
            before in prop::collection::vec((0_u64..60, 1_u64..30, 0_usize..4), 0..6),
            now in 0_u64..80,
            first in 0_u64..80,
            length in prop::option::of(1_u64..40),
            class in 0_usize..4,
        ) {
            let mut classes = ClassMap::default();
            for (first, length, class) in before {
                classes.set(at(first), Some(at(first + length)), CLASSES[class]);
            }
            let class = CLASSES[class];
            let end = length.map(|l| at(first + l));
            let until = end.or_else(|| classes.set_after(at(first.max(now))));
            let Ok(plan) = plan(&classes, at(now), (at(first), end), class) else { return Ok(()) };
            let mut after = classes.clone();
            plan.intervals.iter().for_each(|(first, end)| after.set(*first, *end, class));
            for n in 0..120 {
                let (was, is) = (classes.at(at(n)), after.at(at(n)));
                let ordered = n >= first && end.is_none_or(|end| at(n) < end);
                if n >= now && ordered && until.is_none_or(|until| at(n) < until) {
                    prop_assert_eq!(is, class, "sample {} is to come", n);
                } else if n < now && ordered {
                    prop_assert!(is.strictness() >= was.strictness(), "sample {} was {:?} and is {:?}", n, was, is);
                    let gone = plan.destroy.iter().any(|s| s.start() <= at(n) && at(n) < s.end());
                    prop_assert_eq!(gone, was.is_stored() && !class.is_stored());
                    prop_assert!(is == class || !was.is_stored());
                } else if n < now {
                    prop_assert_eq!(is, was, "sample {} was not meant", n);
                }
            }
        }
    }

    #[test]
    fn an_order_by_sample_of_the_first_channel_is_the_same_instant_on_all() {
        let label = |text: &str| crate::domain::channel::Label::try_from(text.to_owned()).unwrap();
        let rate = |hz: u32| SampleRate::try_from(hz).unwrap();
        let request = |start, end| Request {
            channel: None,
            start,
            end,
            class: IntervalClass::OffRecord,
            order: Order { by: label("judge 7"), reason: label("counsel") },
        };
        // An hour, and a second and a sample after it, by the clock of a channel of 16 kHz.
        let ordered = request(Start::At(at(57_600_000)), Some(at(57_616_001)));
        for (hz, first, end) in [
            (16_000, 57_600_000, 57_616_001),
            (8_000, 28_800_000, 28_808_000),
            (44_100, 158_760_000, 158_804_102),
            (48_000, 172_800_000, 172_848_003),
            (192_000, 691_200_000, 691_392_012),
        ] {
            assert_eq!(ordered.at(rate(16_000), rate(hz), at(5)), (at(first), Some(at(end))), "{hz} Hz");
        }
        // Where no sample is at that time, the one before: never later, and less than a sample away.
        for named in [8_000, 11_025, 44_100, 96_000] {
            for other in [8_000, 16_000, 44_100, 48_000] {
                for n in [1_u64, 99, 44_101, 999_999_937] {
                    let (here, _) = request(Start::At(at(n)), None).at(rate(named), rate(other), at(5));
                    let (named, other) = (u128::from(named), u128::from(other));
                    let (wanted, got) = (u128::from(n) * other, u128::from(here.index()) * named);
                    assert!(got <= wanted && wanted - got < named, "{n} at {named} Hz is {here:?} at {other} Hz");
                }
            }
        }
        // For now, each goes on where it stands.
        assert_eq!(request(Start::Now, None).at(rate(16_000), rate(48_000), at(5)), (at(5), None));
    }

    #[test]
    fn what_was_sealed_is_not_opened_and_what_was_not_stored_does_not_come_back() {
        let mut classes = ClassMap::default();
        classes.set(at(10), Some(at(20)), IntervalClass::Sealed);
        classes.set(at(20), Some(at(30)), IntervalClass::OffRecord);
        let order = |first, end, class| plan(&classes, at(100), (at(first), Some(at(end))), class);
        assert_eq!(order(5, 15, IntervalClass::Open), Err(Unlawful::Unsealing { from: at(10) }));
        assert_eq!(order(20, 25, IntervalClass::Sealed), Err(Unlawful::NotStored { from: at(20) }));
        assert_eq!(order(9, 9, IntervalClass::Open), Err(Unlawful::Ends { end: at(9) }));
        assert_eq!(order(30, 40, IntervalClass::Open), Ok(Plan::default()), "it is so already");
        let muted = order(0, 40, IntervalClass::Muted).unwrap();
        assert_eq!(
            muted.destroy.iter().map(|s| (s.start().index(), s.end().index())).collect::<Vec<_>>(),
            [(0, 10), (10, 20), (30, 40)]
        );
    }
}
