//! Orders about what is recorded, as the recorder hears them. The server tells each one again after a break; which are news
//! follows from the text after which they came.

use serde::{Deserialize, Serialize};

use crate::domain::{
    change::IntervalClass,
    id::ChannelId,
    time::{SamplePos, Span},
};

/// An order as the server told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// On which channel.
    pub channel: ChannelId,
    /// The first sample it holds for.
    pub first: SamplePos,
    /// The sample after its last; `None`: up to where another interval begins already, or for good.
    pub end: Option<SamplePos>,
    /// How the channel is treated there.
    pub class: IntervalClass,
    /// The entry of the last final text that came before it; 0 where none did.
    pub after: u64,
}

/// What was heard, and what of it comes again.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    heard: Vec<Heard>,
    /// The one that comes again next.
    next: usize,
}

impl Orders {
    /// Those of the hearing that were heard so far, in order.
    pub(super) const fn new(heard: Vec<Heard>) -> Self {
        Self { heard, next: 0 }
    }

    /// A connection stands that tells what came after the entry `after`, which is 0 or that of a text that was heard.
    pub(super) fn connected(&mut self, after: u64) {
        self.next = self.heard.partition_point(|heard| heard.after < after);
    }

    /// Whether this one was not heard before. The record keeps its order, so what comes again comes in the same order.
    pub(super) fn is_news(&mut self, order: &Heard) -> bool {
        let again =
            self.heard.get(self.next).is_some_and(|heard| Heard { after: order.after, ..heard.clone() } == *order);
        if again {
            self.next += 1;
        } else {
            self.heard.push(order.clone());
            self.next = self.heard.len();
        }
        !again
    }
}

/// What of `span` is not in `there`, which is in order.
pub(super) fn rest_of(span: Span, there: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut rest = Vec::new();
    let mut at = span.start();
    for there in there.filter(|there| there.end() > span.start() && there.start() < span.end()) {
        rest.extend(Span::new(at, there.start()).filter(|gap| !gap.is_empty()));
        at = at.max(there.end());
    }
    rest.extend(Span::new(at, span.end()).filter(|gap| !gap.is_empty()));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(first: u64, class: IntervalClass, after: u64) -> Heard {
        let channel = ChannelId::new(1).unwrap();
        Heard { channel, first: SamplePos::new(first), end: None, class, after }
    }

    #[test]
    fn what_the_server_tells_again_after_a_break_is_no_news() {
        let off = |after| order(100, IntervalClass::OffRecord, after);
        let open = |after| order(200, IntervalClass::Open, after);
        let mut orders = Orders::default();
        orders.connected(0);
        assert!(orders.is_news(&off(0)) && orders.is_news(&open(7)));
        // Texts up to entry 7 were heard: of the orders only the second comes again, and then a new one that reads like the
        // first.
        orders.connected(7);
        assert!(!orders.is_news(&open(7)) && orders.is_news(&off(9)));
        // A recorder that was started again hears all of them.
        let mut again = Orders::new(orders.heard.clone());
        again.connected(0);
        assert!(!again.is_news(&off(0)) && !again.is_news(&open(0)) && !again.is_news(&off(0)));
        assert!(again.is_news(&off(0)));
    }

    #[test]
    fn the_rest_of_a_span_is_what_lies_between() {
        let span = |from, to| Span::new(SamplePos::new(from), SamplePos::new(to)).unwrap();
        let there = [span(0, 12), span(20, 30), span(50, 60)];
        assert_eq!(rest_of(span(10, 40), there.into_iter()), [span(12, 20), span(30, 40)]);
        assert_eq!(rest_of(span(20, 30), there.into_iter()), []);
        assert_eq!(rest_of(span(5, 55), [].into_iter()), [span(5, 55)]);
    }
}
