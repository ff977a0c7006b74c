//! What a reader may see: with the hearing's token everything, without it what was said in open court.

use super::{follow::Follower, live::LiveEvent};
use crate::{
    domain::{
        change::{Change, EntrySeq, IntervalClass},
        id::ChannelId,
        interval::Classes,
        time::Span,
    },
    record::entry::Entry,
};

/// What one reader of a hearing may see.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The classes as far as they are known; `None` for who may see everything.
    classes: Option<Classes>,
    /// The last order that is in them.
    through: EntrySeq,
}

impl Sight {
    /// Everything.
    #[must_use]
    pub const fn whole() -> Self {
        Self { classes: None, through: EntrySeq::START }
    }

    /// What is open by the orders of the record.
    #[must_use]
    pub fn open<'a>(orders: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut sight = Self { classes: Some(Classes::default()), through: EntrySeq::START };
        orders.into_iter().for_each(|entry| sight.follow(entry));
        sight
    }

    /// Learns of an order that the record holds. One that it knows already is not taken again: read from an earlier place, an
    /// order would undo those after it for a while.
    pub fn follow(&mut self, entry: &Entry) {
        if let Some(classes) = self.classes.as_mut().filter(|_| entry.seq > self.through) {
            classes.follow(&entry.change);
            self.through = entry.seq;
        }
    }

    /// Whether nothing is kept from this reader.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.classes.is_none()
    }

    /// Whether the text of a span may be seen.
    #[must_use]
    pub fn shows_span(&self, channel: ChannelId, span: Span) -> bool {
        self.classes.as_ref().is_none_or(|classes| classes.strictest(channel, span) == IntervalClass::Open)
    }

    /// Whether a live event may be seen. To who may not see everything it is shown only when `follower`, by which this sight
    /// learns of orders, has read all of the record: one that seals the event may be in what it has not read.
    #[must_use]
    pub fn shows_event(&self, event: &LiveEvent, follower: &Follower) -> bool {
        let (channel, span) = event.place();
        self.is_whole() || follower.is_current() && self.shows_span(channel, span)
    }

    /// Whether a change may be seen with its content.
    #[must_use]
    pub fn shows(&self, change: &Change) -> bool {
        change.spoken().is_none_or(|segment| self.shows_span(segment.channel, segment.span))
    }

    /// Whether the change begins a closed session that this reader may not attend.
    #[must_use]
    pub fn is_shut_by(&self, change: &Change) -> bool {
        let sealing = matches!(change, Change::IntervalBegan { class: IntervalClass::Sealed, .. });
        sealing && self.classes.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            actor::{Actor, ActorKind, Attribution, Purpose},
            time::SamplePos,
        },
        record::entry::Entry,
    };

    fn ordered(seq: u64, (first, end): (u64, u64), class: IntervalClass) -> Entry {
        let actor = Actor { kind: ActorKind::Program, id: "test".to_owned() };
        let by = Attribution { actor, purpose: Purpose::Alteration, at: jiff::Timestamp::UNIX_EPOCH };
        let (channel, first_sample, end) = (channel(), SamplePos::new(first), Some(SamplePos::new(end)));
        let change = Change::IntervalBegan { channel, first_sample, class, end, order: None };
        Entry { seq: EntrySeq::new(seq), by, change }
    }

    fn channel() -> ChannelId {
        ChannelId::new(1).unwrap()
    }

    #[test]
    fn an_order_that_is_read_again_opens_nothing_that_was_sealed_after_it() {
        let orders = [ordered(2, (100, 300), IntervalClass::Open), ordered(5, (200, 300), IntervalClass::Sealed)];
        let mut sight = Sight::open(&orders);
        let span = Span::new(SamplePos::new(150), SamplePos::new(250)).unwrap();
        assert!(!sight.shows_span(channel(), span));
        sight.follow(&orders[0]);
        assert!(!sight.shows_span(channel(), span), "it knew of this order and of the one after it");
        sight.follow(&ordered(6, (0, 120), IntervalClass::Sealed));
        assert!(!sight.shows_span(channel(), Span::new(SamplePos::new(100), SamplePos::new(110)).unwrap()));
        assert!(sight.shows_span(channel(), Span::new(SamplePos::new(120), SamplePos::new(200)).unwrap()));
    }
}
