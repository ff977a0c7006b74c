//! The clocks of one stream: the server's, read when audio arrives, and the recorder's, where it tells it.

use jiff::Timestamp;

use super::notes::Notes;
use crate::{
    domain::{
        change::Change,
        channel::ChannelSetup,
        clock::{ClockKind, ClockSource},
        id::{ChannelId, HearingId},
        time::{SamplePos, SampleRate},
    },
    hearing::{
        HearingError,
        clock::{ClockTracker, Reading},
        world::World,
    },
};

/// A recorder reads its clock at samples that it sends about then: at most so far behind the last one, seconds.
const AHEAD_SECONDS: u64 = 60;

/// The clocks of one channel of a stream.
#[derive(Debug)]
pub(super) struct Timekeeper {
    channel: ChannelId,
    rate: SampleRate,
    server: ClockTracker,
    recorder: ClockTracker,
    notes: Notes,
}

impl Timekeeper {
    pub(super) const fn new(setup: &ChannelSetup, notes: Notes) -> Self {
        let (channel, rate) = (setup.id, setup.format.rate);
        let server = ClockTracker::new(ClockSource::Server, rate);
        let recorder = ClockTracker::new(ClockSource::Recorder, rate);
        Self { channel, rate, server, recorder, notes }
    }

    /// Samples up to `at` have arrived just now.
    pub(super) fn arrived(&mut self, at: SamplePos, world: &dyn World) {
        let reading = Reading { at, wall: world.now(), steady: Some(world.steady()) };
        take(&mut self.server, reading, self.channel, &self.notes);
    }
}

/// Takes a reading of the recorder's clock at sample `at` of channel `number`, or with 0 of every one.
pub(super) fn told(
    hearing: HearingId,
    clocks: &mut [Timekeeper],
    next: &[SamplePos],
    (number, at): (u32, SamplePos),
    wall: Timestamp,
) -> Result<(), HearingError> {
    let meant = |clock: &Timekeeper| number == 0 || u32::from(clock.channel.number()) == number;
    let rates: Vec<SampleRate> = clocks.iter().filter(|c| meant(c)).map(|c| c.rate).collect();
    let Some(rate) = rates.first() else { return Err(HearingError::NoSuchChannel { channel: number, hearing }) };
    if rates.iter().any(|other| other != rate) {
        return Err(HearingError::MixedFormats { hearing });
    }
    for (clock, next) in clocks.iter_mut().zip(next).filter(|(clock, _)| meant(clock)) {
        let channel = clock.channel;
        if at > next.plus(u64::from(clock.rate.hz()) * AHEAD_SECONDS) {
            return Err(HearingError::Clock { channel, next: *next, found: at });
        }
        take(&mut clock.recorder, Reading { at, wall, steady: None }, channel, &clock.notes);
    }
    Ok(())
}

fn take(tracker: &mut ClockTracker, reading: Reading, channel: ChannelId, notes: &Notes) {
    let Some(mapping) = tracker.read(reading) else { return };
    let source = tracker.source();
    if let ClockKind::Step { by_ms } = mapping.kind {
        tracing::warn!(hearing.id = %notes.hearing, channel.id = %channel, source = source.as_str(), by_ms, "a clock was set");
    }
    notes.hand_in(Change::ClockMapped { channel, at: mapping.at, wall: mapping.wall, source, kind: mapping.kind });
}
