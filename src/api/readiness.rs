//! Whether the service can take a hearing, part by part.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// A part that must work before a hearing is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The record: text, flags, receipts.
    Record,
    /// The journal of the audio.
    Journal,
    /// The speech engine.
    Engine,
    /// The room on the disk of the data.
    Disk,
}

/// How a part does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PartState {
    /// It is being set up.
    Starting,
    /// It works.
    Ready,
    /// It works, and no hearing can be opened; those that run go on.
    Degraded {
        /// Why, for an operator.
        reason: String,
    },
    /// It does not.
    Failed {
        /// Why, for an operator; no text of a hearing.
        reason: String,
    },
}

/// The parts and how they do. A service begins with all of them starting, and never comes back from draining.
#[derive(Debug)]
pub struct Readiness(Mutex<Report>);

/// How everything does at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether a hearing can be taken: all parts are ready, and the service does not stop.
    pub ready: bool,
    /// Whether the service stops: running streams end, new ones are refused.
    pub draining: bool,
    /// The record.
    pub record: PartState,
    /// The journal of the audio.
    pub journal: PartState,
    /// The speech engine.
    pub engine: PartState,
    /// The room on the disk of the data.
    pub disk: PartState,
}

impl Default for Readiness {
    fn default() -> Self {
        let starting = || PartState::Starting;
        let report = Report {
            ready: false,
            draining: false,
            record: starting(),
            journal: starting(),
            engine: starting(),
            // It is not set up, and what it lacks is found out.
            disk: PartState::Ready,
        };
        Self(Mutex::new(report))
    }
}

impl Readiness {
    /// A part changed.
    pub fn set(&self, part: Part, state: PartState) {
        let mut report = self.lock();
        let place = match part {
            Part::Record => &mut report.record,
            Part::Journal => &mut report.journal,
            Part::Engine => &mut report.engine,
            Part::Disk => &mut report.disk,
        };
        *place = state;
        report.settle();
    }

    /// The service stops: it takes no more hearings.
    pub fn drain(&self) {
        let mut report = self.lock();
        report.draining = true;
        report.settle();
    }

    /// How everything does now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.lock().clone()
    }

    /// No code that can panic runs under this lock, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn settle(&mut self) {
        let parts = [&self.record, &self.journal, &self.engine, &self.disk];
        self.ready = !self.draining && parts.into_iter().all(|state| *state == PartState::Ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_when_every_part_is_and_never_again_once_it_drains() {
        let readiness = Readiness::default();
        let mut seen = vec![readiness.report().ready];
        for part in [Part::Record, Part::Journal, Part::Engine] {
            readiness.set(part, PartState::Ready);
            seen.push(readiness.report().ready);
        }
        readiness.set(Part::Journal, PartState::Failed { reason: "the disk is full".to_owned() });
        seen.push(readiness.report().ready);
        readiness.set(Part::Journal, PartState::Ready);
        seen.push(readiness.report().ready);
        readiness.set(Part::Disk, PartState::Degraded { reason: "it is nearly full".to_owned() });
        seen.push(readiness.report().ready);
        readiness.set(Part::Disk, PartState::Ready);
        readiness.drain();
        readiness.set(Part::Engine, PartState::Ready);
        seen.push(readiness.report().ready);
        assert_eq!(seen, [false, false, false, true, false, true, false, false]);
    }
}
