//! The other channels of a hearing, as one listener needs them: what their journals hold about an utterance.
//!
//! It is read when the utterance has its text, half a second to seconds after it was said; the others have come as far by then,
//! or are waited for, once and for two seconds at most. What is not there then is not compared: the text is never kept waiting
//! for a recorder that sends one channel late, and the audio of none is touched.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::journal::Reading;
use crate::{
    domain::{
        channel::ChannelSetup,
        id::ChannelId,
        segment::Segment,
        time::{SamplePos, SampleRate, Span, TICKS_PER_SECOND, Tick, TickSpan},
    },
    hearing::{HearingError, service::Detectors},
    record::media::reader::{JournalPlace, Piece},
    speech::{
        audio::{AudioError, format, resample::Resampler},
        front::HeardUtterance,
        together::{Around, MOST_OTHERS, label, span_needed},
    },
};

/// How long the samples of other channels are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A channel whose journal may be read.
#[derive(Clone, Debug)]
pub(in crate::hearing) struct Neighbour {
    pub(in crate::hearing) setup: ChannelSetup,
    pub(in crate::hearing) path: JournalPlace,
    pub(in crate::hearing) durable: watch::Receiver<SamplePos>,
}

/// Told once all journals of a hearing are open.
pub(in crate::hearing) type Neighbourhood = watch::Receiver<Option<Arc<Vec<Neighbour>>>>;

/// The channels of a hearing, seen from one of them.
pub(in crate::hearing) struct Neighbours {
    own: ChannelId,
    told: Neighbourhood,
    detectors: Detectors,
    /// Its own first; empty before it is told.
    doors: Vec<Door>,
}

struct Door {
    neighbour: Neighbour,
    reading: Reading,
    /// It did not come in time: it is not waited for again before it has caught up.
    late: bool,
}

impl Neighbours {
    pub(in crate::hearing) const fn new(own: ChannelId, told: Neighbourhood, detectors: Detectors) -> Self {
        Self { own, told, detectors, doors: Vec::new() }
    }

    /// Flags what the segment of an utterance shares with the others. `waits`: whether more audio is to come at all.
    ///
    /// What cannot be read is logged, and nothing is flagged: the text goes into the record all the same.
    pub(super) async fn label(&mut self, heard: &HeardUtterance, segment: &mut Segment, waits: bool) {
        self.learn().await;
        if self.doors.len() < 2 {
            return;
        }
        let needed = span_needed(heard.utterance.span);
        if waits {
            self.wait(needed.end()).await;
        }
        match self.read(needed).await {
            Ok(stored) => {
                let (detectors, span) = (Arc::clone(&self.detectors), heard.utterance.span);
                let (speech, mut labelled) = (heard.utterance.speech.clone(), segment.clone());
                // Tens of milliseconds of computing: not on the runtime's threads.
                let work = tokio::task::spawn_blocking(move || {
                    let around = stored.iter().map(Stored::around).collect::<Result<Vec<Around>, _>>()?;
                    if let [own, others @ ..] = around.as_slice() {
                        label(&mut labelled, (span, &speech), own, others, || detectors());
                    }
                    Ok::<_, AudioError>(labelled)
                });
                match work.await {
                    Ok(Ok(labelled)) => *segment = labelled,
                    Ok(Err(error)) => {
                        tracing::error!(%error, "channels could not be compared; their text is not flagged")
                    }
                    Err(error) => tracing::error!(%error, "comparing channels failed; their text is not flagged"),
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

    /// Waits until every channel is durable so far, or as long as is bearable.
    async fn wait(&mut self, end: Tick) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for door in &mut self.doors {
            let needed = door.neighbour.setup.format.rate.sample_at(end).plus(1);
            let there = *door.neighbour.durable.borrow() >= needed;
            if there || door.late {
                door.late = !there;
                continue;
            }
            let come = door.neighbour.durable.wait_for(|durable| *durable >= needed);
            door.late = !matches!(tokio::time::timeout_at(deadline, come).await, Ok(Ok(_)));
        }
    }

    /// Its own channel and the loudest others at that time, as they are stored.
    async fn read(&mut self, needed: TickSpan) -> Result<Vec<Stored>, HearingError> {
        // At a whole second a resampler gives what one gives that ran from the beginning.
        let second = (needed.start().index() / TICKS_PER_SECOND).saturating_sub(1);
        let mut all = Vec::with_capacity(self.doors.len());
        for door in &mut self.doors {
            let Neighbour { setup, durable, .. } = &door.neighbour;
            let rate = setup.format.rate;
            let start = SamplePos::new(second * u64::from(rate.hz()));
            let end = rate.sample_at(needed.end()).plus(1).min(*durable.borrow());
            let span = Span::new(start, end).unwrap_or(Span::EMPTY);
            let pieces = if span.is_empty() { Vec::new() } else { door.reading.read(span).await? };
            let samples = samples_of(setup, span, &pieces);
            let samples = samples.map_err(|source| HearingError::Audio { channel: setup.id, source })?;
            all.push(Stored { channel: setup.id, rate, second, samples });
        }
        if let Some((_, others)) = all.split_first_mut() {
            others.sort_by(|a, b| b.power().total_cmp(&a.power()).then(a.channel.cmp(&b.channel)));
        }
        all.truncate(1 + MOST_OTHERS);
        Ok(all)
    }
}

/// Samples of a channel from a whole second on, at its own rate.
struct Stored {
    channel: ChannelId,
    rate: SampleRate,
    second: u64,
    samples: Vec<f32>,
}

impl Stored {
    /// The mean power.
    fn power(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "samples of half a minute")]
        let count = self.samples.len().max(1) as f64;
        self.samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum::<f64>() / count
    }

    fn around(&self) -> Result<Around, AudioError> {
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
