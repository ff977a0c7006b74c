//! Looks at a channel's audio as it comes in, after the journal has taken it: alarms of dead, clipped and humming microphones.
//! It only looks: nothing here waits, fails or changes what is recorded.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::notes::Notes;
use crate::{
    domain::{
        alarm::{Alarm, AlarmState},
        audio::Encoding,
        change::Change,
        channel::ChannelSetup,
        id::ChannelId,
        time::SamplePos,
    },
    speech::audio::{
        format,
        health::{Health, Notice},
    },
};

/// The watch over one channel. It outlives streams, so that an alarm goes on over a break.
#[derive(Debug)]
pub(in crate::hearing) struct Watch {
    channel: ChannelId,
    encoding: Encoding,
    notes: Notes,
    sound: Mutex<Sound>,
}

#[derive(Debug)]
struct Sound {
    health: Health,
    /// Room for the samples of a piece.
    samples: Vec<f32>,
}

impl Watch {
    pub(in crate::hearing) fn new(setup: &ChannelSetup, standing: &[Alarm], notes: Notes) -> Self {
        let health = Health::new(setup.format).with_standing(standing.iter().copied());
        let sound = Mutex::new(Sound { health, samples: Vec::new() });
        Self { channel: setup.id, encoding: setup.format.encoding, notes, sound }
    }

    /// Where notes of the channel go.
    pub(super) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Hears stored samples of which the first is `at`. Computes for tens of microseconds a message, a millisecond a second
    /// of audio at most.
    pub(super) fn hear(&self, at: SamplePos, bytes: &[u8]) {
        let mut sound = self.sound();
        let Sound { health, samples } = &mut *sound;
        samples.clear();
        // They were checked before they were stored.
        if format::decode(self.encoding, bytes, samples).is_err() {
            return;
        }
        for notice in health.push(at, samples) {
            self.tell(notice);
        }
    }

    fn tell(&self, notice: Notice) {
        let Notice { alarm, state, at, evidence } = notice;
        let (hearing, channel) = (self.notes.hearing, self.channel);
        match state {
            AlarmState::Began => {
                self.notes.metrics.channel_alarmed(alarm);
                tracing::warn!(hearing.id = %hearing, channel.id = %channel, alarm = alarm.as_str(), "an alarm of a channel began");
            }
            AlarmState::Ended => {
                tracing::info!(hearing.id = %hearing, channel.id = %channel, alarm = alarm.as_str(), "an alarm of a channel is over");
            }
        }
        self.notes.hand_in(Change::ChannelAlarmed { channel, alarm, at, state, evidence });
    }

    /// Nothing panics while the lock is held, so a poisoned one is sound.
    fn sound(&self) -> MutexGuard<'_, Sound> {
        self.sound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
