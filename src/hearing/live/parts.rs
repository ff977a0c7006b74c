//! What a listener is given: its channel, what it works with, and what the record holds already.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{LiveEvent, gate::Gate, neighbours::Neighbourhood};
use crate::{
    domain::{
        alarm::Alarm,
        channel::ChannelSetup,
        glossary::Glossary,
        id::HearingId,
        load::LoadStep,
        segment::Segment,
        time::{SamplePos, Span},
    },
    hearing::{load::Backlog, service::Detectors, world::World},
    record::{media::reader::JournalPlace, store::RecordStore},
    speech::{
        asr::{Recognizer, pool::Pool},
        front::FrontConfig,
        spoken::Spoken,
    },
    telemetry::Metrics,
};

/// How a sitting ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::hearing) enum Ending {
    /// It goes on.
    #[default]
    No,
    /// The service stops: what has ended gets its text. What is still being said is left to the next sitting, since a cut here
    /// would be a cut in the middle of a word.
    Adjourned,
    /// Nothing more comes: everything on disk is heard to its end.
    Closed,
}

/// Ready when the sitting ends in a way that is `meant`.
pub(super) async fn ended(ending: &mut watch::Receiver<Ending>, meant: impl FnMut(&Ending) -> bool) {
    // Where nobody is left who could say so, it never is.
    if ending.wait_for(meant).await.is_err() {
        std::future::pending().await
    }
}

/// What the task works with.
pub(in crate::hearing) struct ListenerParts {
    pub(in crate::hearing) hearing: HearingId,
    pub(in crate::hearing) setup: ChannelSetup,
    /// The channel's journal.
    pub(in crate::hearing) path: JournalPlace,
    /// How far it is on disk.
    pub(in crate::hearing) durable: watch::Receiver<SamplePos>,
    pub(in crate::hearing) store: Arc<dyn RecordStore>,
    pub(in crate::hearing) world: Arc<dyn World>,
    pub(in crate::hearing) recognizer: Arc<dyn Recognizer>,
    pub(in crate::hearing) pool: Arc<Pool>,
    pub(in crate::hearing) detectors: Detectors,
    pub(in crate::hearing) front: FrontConfig,
    /// What the engine is told before it hears.
    pub(in crate::hearing) glossary: Option<Arc<Glossary>>,
    pub(in crate::hearing) room: Room,
    pub(in crate::hearing) metrics: Arc<Metrics>,
    /// How far the channel's audio has its results.
    pub(in crate::hearing) settled: watch::Sender<SamplePos>,
    /// How far it is heard: every utterance that ended before has its text.
    pub(in crate::hearing) heard: watch::Sender<SamplePos>,
    /// Where the record says that the input ended, from now on.
    pub(in crate::hearing) cuts: mpsc::Receiver<SamplePos>,
    /// Makes it begin anew from what the record says.
    pub(in crate::hearing) rehear: mpsc::Receiver<Rehear>,
    /// What may be seen by whom.
    pub(in crate::hearing) gate: Arc<Gate>,
    /// The channels of the hearing.
    pub(in crate::hearing) neighbourhood: Neighbourhood,
    /// When and how it is to end.
    pub(in crate::hearing) ending: watch::Receiver<Ending>,
}

/// What listeners have in common.
pub(in crate::hearing) struct Room {
    /// Whether the hearing is in session: imports and what is done afterwards make way for those that are.
    pub(in crate::hearing) live: bool,
    /// On which step of the ladder the service is.
    pub(in crate::hearing) load: watch::Receiver<LoadStep>,
    /// What of the channel waits for text.
    pub(in crate::hearing) backlog: Arc<Backlog>,
    /// Who follows what is being said.
    pub(in crate::hearing) events: broadcast::Sender<LiveEvent>,
}

/// Asks a listener to let go of everything, since stored audio is to be destroyed, and to begin anew afterwards.
#[derive(Debug)]
pub(in crate::hearing) struct Rehear {
    /// Told when nothing is held any more.
    pub(in crate::hearing) held: oneshot::Sender<()>,
    /// What the record says when it is done.
    pub(in crate::hearing) again: oneshot::Receiver<Known>,
}

/// What the record already holds of a channel.
#[derive(Clone, Debug, Default)]
pub(in crate::hearing) struct Known {
    /// Where to begin: at a cut, with everything before it settled.
    pub(in crate::hearing) start: SamplePos,
    /// Where the input ended after that, in order.
    pub(in crate::hearing) cuts: VecDeque<SamplePos>,
    /// Where utterances with text begin, where they end, and what they are in.
    pub(in crate::hearing) segments: BTreeMap<SamplePos, (SamplePos, Spoken)>,
    /// What is not to be heard anew: behind destroyed audio, from the first text that stands to the last.
    pub(in crate::hearing) stands: VecDeque<Span>,
    /// How far the record says that audio is stored.
    pub(in crate::hearing) recorded: SamplePos,
    /// Every end of input, in ascending order.
    pub(in crate::hearing) ends: Vec<SamplePos>,
    /// The texts that are still to be compared with the other channels, in the order of the record.
    pub(in crate::hearing) uncompared: Vec<Segment>,
    /// The alarms that stand.
    pub(in crate::hearing) alarms: Vec<Alarm>,
}

impl Known {
    /// Whether the texts of all that was said in `span` are there: one, or one for each language it was in.
    pub(super) fn holds(&self, span: Span) -> bool {
        let mut at = span.start();
        while at < span.end() {
            match self.segments.get(&at) {
                Some((end, _)) if *end > at => at = *end,
                _ => return false,
            }
        }
        at == span.end()
    }

    /// The last end of input.
    pub(super) fn last_cut(&self) -> SamplePos {
        self.cuts.back().copied().unwrap_or(self.start)
    }
}
