//! What stands between a recorder's samples and the journal of a channel: the orders about what is recorded.

use tokio::sync::{Mutex, MutexGuard, watch};

use crate::domain::{
    change::IntervalClass,
    interval::ClassMap,
    time::{SamplePos, Span},
};

/// The gate of one channel.
#[derive(Debug)]
pub(in crate::hearing) struct Gate {
    /// Held while samples are taken and while an order is carried out, so that neither sees half of the other.
    turn: Mutex<()>,
    classes: watch::Sender<ClassMap>,
    /// Stored samples that an order forbids and that could not be destroyed yet.
    owed: std::sync::Mutex<Vec<(Span, IntervalClass)>>,
}

impl Gate {
    pub(in crate::hearing) fn new(classes: ClassMap) -> Self {
        Self { turn: Mutex::default(), classes: watch::Sender::new(classes), owed: std::sync::Mutex::default() }
    }

    /// The right to take samples or to carry out an order.
    pub(in crate::hearing) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The classes as they are ordered now.
    pub(in crate::hearing) fn classes(&self) -> ClassMap {
        self.classes.borrow().clone()
    }

    /// The run of one class that begins at the first sample of `span`.
    pub(in crate::hearing) fn first_run(&self, span: Span) -> (Span, IntervalClass) {
        let classes = self.classes.borrow();
        let end = classes.change_after(span.start()).map_or(span.end(), |at| at.min(span.end()));
        (Span::new(span.start(), end).unwrap_or(span), classes.at(span.start()))
    }

    /// The strictest class of what is stored in `span`.
    pub(in crate::hearing) fn strictest_stored(&self, span: Span) -> IntervalClass {
        let sealed = self.classes.borrow().runs(span).iter().any(|(_, class)| *class == IntervalClass::Sealed);
        if sealed { IntervalClass::Sealed } else { IntervalClass::Open }
    }

    /// Whether nothing of `span` is to be stored.
    pub(in crate::hearing) fn keeps_nothing_of(&self, span: Span) -> bool {
        self.classes.borrow().runs(span).iter().all(|(_, class)| !class.is_stored())
    }

    /// An order holds from now on.
    pub(in crate::hearing) fn set(&self, first: SamplePos, end: Option<SamplePos>, class: IntervalClass) {
        self.classes.send_modify(|classes| classes.set(first, end, class));
    }

    /// Notes what must be destroyed.
    pub(in crate::hearing) fn owe(&self, spans: impl IntoIterator<Item = (Span, IntervalClass)>) {
        self.owed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(spans);
    }

    /// What must be destroyed still.
    pub(in crate::hearing) fn owed(&self) -> Vec<(Span, IntervalClass)> {
        self.owed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// These were destroyed.
    pub(in crate::hearing) fn paid(&self, count: usize) {
        self.owed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..count);
    }
}
