//! What a reader may see: with the hearing's token everything, without it what was said in open court.

use crate::domain::{
    change::{Change, IntervalClass},
    id::ChannelId,
    interval::Classes,
    time::Span,
};

/// What one reader of a hearing may see.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The classes as far as they are known; `None` for who may see everything.
    classes: Option<Classes>,
}

impl Sight {
    /// Everything.
    #[must_use]
    pub const fn whole() -> Self {
        Self { classes: None }
    }

    /// What is open by these classes.
    #[must_use]
    pub const fn open(classes: Classes) -> Self {
        Self { classes: Some(classes) }
    }

    /// Learns of an order that the record holds.
    pub fn follow(&mut self, change: &Change) {
        if let Some(classes) = &mut self.classes {
            classes.follow(change);
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

    /// Whether a change may be seen with its content.
    #[must_use]
    pub fn shows(&self, change: &Change) -> bool {
        change.segment().is_none_or(|segment| self.shows_span(segment.channel, segment.span))
    }

    /// Whether the change begins a closed session that this reader may not attend.
    #[must_use]
    pub fn is_shut_by(&self, change: &Change) -> bool {
        let sealing = matches!(change, Change::IntervalBegan { class: IntervalClass::Sealed, .. });
        sealing && self.classes.is_some()
    }
}
