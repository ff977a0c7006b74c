//! The other channels of a hearing, as one listener needs them: what their journals hold about an utterance.
//!
//! It is read when the utterance has its text, half a second to seconds after it was said; the others have come as far by then,
//! or are waited for, once and for half a second at most. A text is never kept waiting longer for a recorder that sends one
//! channel late: it goes into the record as uncompared, and is revised when the other has come.
//!
//! What a comparison gives depends on samples and ends of input alone, never on when it is made: it looks at the same span of
//! each channel, up to the end of the input that comes first after the utterance began. What is sent behind an end of input is
//! another beginning.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    compare,
    journal::Reading,
    parts::{Ending, ended},
};
use crate::{
    domain::{
        channel::ChannelSetup,
        id::ChannelId,
        segment::Segment,
        time::{SamplePos, SampleRate, Span, TICKS_PER_SECOND, Tick},
    },
    hearing::{HearingError, service::Detectors},
    record::media::reader::{JournalPlace, Piece},
    speech::{
        audio::{AudioError, format, resample::Resampler},
        together::{Around, MOST_OTHERS, label, span_needed, utterance},
    },
};

/// How long the samples of other channels are waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// A channel whose journal may be read.
#[derive(Clone, Debug)]
pub(in crate::hearing) struct Neighbour {
    pub(in crate::hearing) setup: ChannelSetup,
    pub(in crate::hearing) path: JournalPlace,
    pub(in crate::hearing) durable: watch::Receiver<SamplePos>,
    /// Every end of its input, in ascending order.
    pub(in crate::hearing) ends: watch::Receiver<Vec<SamplePos>>,
}

/// Told once all journals of a hearing are open.
pub(in crate::hearing) type Neighbourhood = watch::Receiver<Option<Arc<Vec<Neighbour>>>>;

/// The channels of a hearing, seen from one of them.
pub(in crate::hearing) struct Neighbours {
    own: ChannelId,
    told: Neighbourhood,
    detectors: Detectors,
    /// Closed when nothing more comes of any channel.
    ending: watch::Receiver<Ending>,
    /// Its own first; empty before it is told.
    doors: Vec<Door>,
}

struct Door {
    neighbour: Neighbour,
    reading: Reading,
    /// It did not come in time: it is not waited for again before it has caught up.
    late: bool,
}

impl Door {
    /// Up to where the channel is looked at for a segment.
    fn bound(&self, segment: &Segment) -> SamplePos {
        let rate = self.neighbour.setup.format.rate;
        let utterance = utterance(segment);
        let needed = rate.sample_at(span_needed(utterance).end()).plus(1);
        let begun = rate.sample_at(utterance.start());
        let ended = self.neighbour.ends.borrow().iter().copied().find(|end| *end > begun);
        ended.map_or(needed, |end| needed.min(end))
    }

    /// Whether all of it is there.
    fn knows(&self, segment: &Segment) -> bool {
        *self.neighbour.durable.borrow() >= self.bound(segment)
    }

    /// Waits until all of it is there: for ever where nothing comes any more.
    async fn come(&mut self, segment: &Segment) {
        while !self.knows(segment) {
            let Neighbour { durable, ends, .. } = &mut self.neighbour;
            tokio::select! {
                Ok(()) = durable.changed() => {}
                Ok(()) = ends.changed() => {}
                else => std::future::pending().await,
            }
        }
    }
}

impl Neighbours {
    pub(in crate::hearing) const fn new(
        own: ChannelId,
        told: Neighbourhood,
        detectors: Detectors,
        ending: watch::Receiver<Ending>,
    ) -> Self {
        Self { own, told, detectors, ending, doors: Vec::new() }
    }

    /// Flags what a segment shares with the others, or says in it that this is still to be done: then the answer is true, and
    /// [`Neighbours::compare`] is to be called when [`Neighbours::know`] all of it. It is so where earlier ones wait.
    pub(in crate::hearing) async fn label(&mut self, segment: &mut Segment, others_wait: bool) -> bool {
        self.learn().await;
        if self.doors.len() < 2 {
            return false;
        }
        if others_wait || !self.wait(segment).await {
            segment.uncompared = true;
            return true;
        }
        self.compare(segment).await;
        false
    }

    /// Whether all that a segment is compared with is there.
    pub(super) fn know(&self, segment: &Segment) -> bool {
        *self.ending.borrow() == Ending::Closed
            || (!self.doors.is_empty() && self.doors.iter().all(|door| door.knows(segment)))
    }

    /// Waits until the neighbours [know](Self::know) a segment.
    pub(super) async fn come(&mut self, segment: &Segment) {
        self.learn().await;
        let mut ending = self.ending.clone();
        let doors = async {
            for door in &mut self.doors {
                door.come(segment).await;
            }
        };
        tokio::select! {
            () = doors => {}
            () = ended(&mut ending, |how| *how == Ending::Closed) => {}
        }
    }

    /// Flags what a segment shares with what is there of the others.
    ///
    /// What cannot be read is logged, and the segment stays uncompared: the text goes into the record all the same.
    pub(super) async fn compare(&mut self, segment: &mut Segment) {
        self.learn().await;
        segment.uncompared = true;
        let _turn = compare::turn().await;
        match self.read(segment).await {
            Ok(stored) => {
                let detectors = Arc::clone(&self.detectors);
                let mut labelled = segment.clone();
                // Tens of milliseconds of computing: not on the runtime's threads.
                let work = compare::run(move || {
                    let around = stored.into_iter().map(Stored::around).collect::<Result<Vec<Around>, _>>()?;
                    if let [own, others @ ..] = around.as_slice() {
                        label(&mut labelled, own, others, || detectors());
                    }
                    labelled.uncompared = false;
                    Ok::<_, AudioError>(labelled)
                });
                match work.await {
                    Some(Ok(labelled)) => *segment = labelled,
                    Some(Err(error)) => {
                        tracing::error!(%error, "channels could not be compared; their text is not flagged")
                    }
                    None => tracing::error!("comparing channels failed; their text is not flagged"),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "other channels could not be read; cross-talk and overlap are not looked for");
                // The files are opened anew the next time.
                self.doors.clear();
            }
        }
    }

    /// Opens the files anew the next time: something in them was destroyed.
    pub(super) fn forget(&mut self) {
        self.doors.clear();
    }

    async fn learn(&mut self) {
        if !self.doors.is_empty() {
            return;
        }
        // An error: the hearing was not begun after all.
        let Ok(told) = self.told.wait_for(Option::is_some).await.map(|told| told.clone()) else { return };
        let mut all: Vec<Neighbour> = told.iter().flat_map(|all| all.iter().cloned()).collect();
        all.sort_by_key(|n| (n.setup.id != self.own, n.setup.id));
        let door = |neighbour: Neighbour| {
            let reading = Reading::forward(neighbour.path.clone());
            Door { neighbour, reading, late: false }
        };
        self.doors = all.into_iter().map(door).collect();
    }

    /// Waits until all of it is there, or as long as is bearable; whether it is.
    async fn wait(&mut self, segment: &Segment) -> bool {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for door in &mut self.doors {
            let there = door.knows(segment);
            if there || door.late {
                door.late = !there;
                continue;
            }
            let come = tokio::time::timeout_at(deadline, door.come(segment));
            door.late = tokio::select! {
                come = come => come.is_err(),
                () = ended(&mut self.ending, |how| *how != Ending::No) => false,
            };
        }
        self.know(segment)
    }

    /// Its own channel and the loudest others at that time, as they are stored.
    async fn read(&mut self, segment: &Segment) -> Result<Vec<Stored>, HearingError> {
        let needed = span_needed(utterance(segment));
        // At a whole second a resampler gives what one gives that ran from the beginning.
        let second = (needed.start().index() / TICKS_PER_SECOND).saturating_sub(1);
        let mut all = Vec::with_capacity(self.doors.len());
        for door in &mut self.doors {
            let end = door.bound(segment);
            let Neighbour { setup, durable, .. } = &door.neighbour;
            let rate = setup.format.rate;
            let start = SamplePos::new(second * u64::from(rate.hz()));
            let span = Span::new(start, end.min(*durable.borrow())).unwrap_or(Span::EMPTY);
            let pieces = if span.is_empty() { Vec::new() } else { door.reading.read(span).await? };
            let samples = samples_of(setup, span, &pieces);
            let samples = samples.map_err(|source| HearingError::Audio { channel: setup.id, source })?;
            all.push(Stored::new(setup.id, (rate, second), samples));
            // No more are held than are compared.
            if let Some((_, others)) = all.split_first_mut() {
                others.sort_by(|a, b| b.power.total_cmp(&a.power).then(a.channel.cmp(&b.channel)));
            }
            all.truncate(1 + MOST_OTHERS);
        }
        Ok(all)
    }
}

/// Samples of a channel from a whole second on, at its own rate.
struct Stored {
    channel: ChannelId,
    rate: SampleRate,
    second: u64,
    samples: Vec<f32>,
    /// The mean power.
    power: f64,
}

impl Stored {
    fn new(channel: ChannelId, (rate, second): (SampleRate, u64), samples: Vec<f32>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "samples of half a minute")]
        let count = samples.len().max(1) as f64;
        let power = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum::<f64>() / count;
        Self { channel, rate, second, samples, power }
    }

    fn around(self) -> Result<Around, AudioError> {
        let mut resampler = Resampler::new(self.rate)?;
        let mut samples = Vec::new();
        resampler.push(&self.samples, &mut samples);
        resampler.finish(&mut samples);
        Ok(Around { channel: self.channel, from: Tick::new(self.second * TICKS_PER_SECOND), samples })
    }
}

/// What is stored of a span; silence where nothing is.
fn samples_of(setup: &ChannelSetup, span: Span, pieces: &[Piece]) -> Result<Vec<f32>, AudioError> {
    let mut native = Vec::new();
    for piece in pieces {
        let gap = piece.span.start().index().saturating_sub(span.start().index());
        native.resize(usize::try_from(gap).unwrap_or(native.len()).max(native.len()), 0.0);
        format::decode(setup.format.encoding, &piece.bytes, &mut native)?;
    }
    Ok(native)
}
