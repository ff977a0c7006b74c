//! Whether a channel is in order: dead, clipped or humming microphones are noticed within five seconds of their audio.
//!
//! Pure: it counts samples and knows no clock. It works in blocks of a quarter of a second counted from where it began, so
//! that how audio is cut into pieces changes nothing.

mod hum;

use std::collections::VecDeque;

use self::hum::HumWatch;
use super::level::LevelMeter;
use crate::domain::{
    alarm::{Alarm, AlarmState},
    audio::{AudioFormat, Encoding},
    flag::Evidence,
    time::SamplePos,
};

/// Blocks a second.
const BLOCKS: usize = 4;

/// Below this a microphone is dead, dB relative to full scale without the steady part. The noise of a quiet room through an
/// open microphone is at -75 to -55; the last bit of 16-bit converters alone is at -90 to -98.
const DEAD_DBFS: f64 = -80.0;

/// From this on it lives again: 6 dB above, so that noise about the limit does not ring and stop.
const ALIVE_DBFS: f64 = -74.0;

/// Quiet for so many blocks is dead: three seconds. Speakers hold their breath for less, and a live room is never so quiet.
const DEAD_BLOCKS: usize = 3 * BLOCKS;

/// Sound in so many blocks in a row is life: half a second. A plug that cracks is shorter.
const ALIVE_BLOCKS: usize = 2;

/// Clipping is looked for in three seconds at a time: long enough for several loud syllables.
const CLIP_BLOCKS: usize = 3 * BLOCKS;

/// A larger share of clipped samples is heard as distortion all along. A segment is flagged from 0.1 % on; an alarm asks
/// somebody to do something, so it waits for three times as much.
const CLIPPED_SHARE: f64 = 0.003;

/// It must be in so many of the blocks: a knock on the microphone is in one or two.
const CLIPPED_IN: usize = 3;

/// It is over when eight seconds have less than a tenth of that share; shorter pauses between loud sentences do not end it.
const UNCLIPPED_BLOCKS: usize = 8 * BLOCKS;

/// See [`UNCLIPPED_BLOCKS`].
const UNCLIPPED_SHARE: f64 = CLIPPED_SHARE / 10.0;

/// An alarm that begins or ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Which.
    pub alarm: Alarm,
    /// Whether it begins or ends.
    pub state: AlarmState,
    /// The first sample of the stretch that it was seen in.
    pub at: SamplePos,
    /// What was measured.
    pub evidence: Vec<Evidence>,
}

/// What a block measured.
#[derive(Clone, Copy, Debug)]
struct Block {
    start: SamplePos,
    /// Without the steady part, dB relative to full scale.
    dbfs: f64,
    /// Share of clipped samples.
    clipped: f64,
}

/// Watches one channel.
///
/// Cost: 0.1 to 0.3 ms a second of audio, by its rate; holds half a second of samples at most.
///
/// ```
/// use vivavoce::{
///     domain::{alarm::Alarm, audio::{AudioFormat, Encoding}, time::SamplePos},
///     speech::audio::health::Health,
/// };
/// let format = AudioFormat { encoding: Encoding::PcmS16Le, rate: 16_000.try_into().unwrap() };
/// let mut health = Health::new(format);
/// let notices = health.push(SamplePos::ZERO, &[0.0; 3 * 16_000]);
/// assert_eq!(notices[0].alarm, Alarm::Dead);
/// ```
#[derive(Debug)]
pub struct Health {
    format: AudioFormat,
    /// Samples of a block.
    size: usize,
    /// The sample that must come next.
    next: SamplePos,
    /// Samples that do not fill a block yet.
    pending: Vec<f32>,
    /// The newest last.
    blocks: VecDeque<Block>,
    hum: HumWatch,
    /// The alarms that stand.
    standing: Vec<Alarm>,
}

impl Health {
    /// Of a channel that is in order as far as is known.
    #[must_use]
    pub fn new(format: AudioFormat) -> Self {
        let size = (usize::try_from(format.rate.hz()).unwrap_or(usize::MAX) / BLOCKS).max(1);
        Self {
            format,
            size,
            next: SamplePos::ZERO,
            pending: Vec::with_capacity(size),
            blocks: VecDeque::new(),
            hum: HumWatch::new(format.rate, size),
            standing: Vec::new(),
        }
    }

    /// With alarms that began before.
    #[must_use]
    pub fn with_standing(self, standing: impl IntoIterator<Item = Alarm>) -> Self {
        Self { standing: standing.into_iter().collect(), ..self }
    }

    /// The alarms that stand.
    #[must_use]
    pub fn standing(&self) -> &[Alarm] {
        &self.standing
    }

    /// Hears finite samples of which the first is `at`. Where they do not follow those before, what was recorded in between is
    /// not known: looking begins anew, and alarms that stand go on standing.
    pub fn push(&mut self, at: SamplePos, samples: &[f32]) -> Vec<Notice> {
        if at != self.next {
            self.pending.clear();
            self.blocks.clear();
            self.hum.forget();
        }
        self.next = at.plus(samples.len() as u64);
        let mut notices = Vec::new();
        let mut start = SamplePos::new(at.index().saturating_sub(self.pending.len() as u64));
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.size - self.pending.len()));
            rest = later;
            if self.pending.is_empty() && now.len() == self.size {
                self.look(start, now, &mut notices);
                start = start.plus(self.size as u64);
                continue;
            }
            self.pending.extend_from_slice(now);
            if self.pending.len() == self.size {
                let block = std::mem::take(&mut self.pending);
                self.look(start, &block, &mut notices);
                self.pending = block;
                self.pending.clear();
                start = start.plus(self.size as u64);
            }
        }
        notices
    }

    fn look(&mut self, start: SamplePos, samples: &[f32], notices: &mut Vec<Notice>) {
        let (mean, power) = mean_and_power(samples);
        let mut meter = LevelMeter::new();
        meter.push(samples);
        let level = meter.summary();
        // Coarse steps make flat tops of their own.
        let coarse = matches!(self.format.encoding, Encoding::MuLaw | Encoding::ALaw);
        let clipped = if coarse { level.clipped } else { level.clipped.max(level.flat_topped) };
        let dbfs = decibels(power);
        // One value all along is flat, and no top.
        let clipped = if dbfs < DEAD_DBFS { 0.0 } else { f64::from(clipped) };
        let block = Block { start, dbfs, clipped };
        if self.blocks.len() == UNCLIPPED_BLOCKS {
            self.blocks.pop_front();
        }
        self.blocks.push_back(block);
        self.dead(notices);
        self.clipped(notices);
        self.hum(start, samples, mean, notices);
    }

    fn dead(&mut self, notices: &mut Vec<Notice>) {
        if self.stands(Alarm::Dead) {
            let alive = self.run(|block| block.dbfs > ALIVE_DBFS);
            if alive >= ALIVE_BLOCKS {
                let loudest = self.last(alive).map(|b| b.dbfs).fold(f64::MIN, f64::max);
                self.ends(Alarm::Dead, alive, Evidence::new("level_dbfs", loudest, ALIVE_DBFS), notices);
            }
            return;
        }
        let quiet = self.run(|block| block.dbfs < DEAD_DBFS);
        if quiet >= DEAD_BLOCKS {
            let loudest = self.last(quiet).map(|b| b.dbfs).fold(f64::MIN, f64::max);
            self.begins(Alarm::Dead, quiet, Evidence::new("level_dbfs", loudest, DEAD_DBFS), notices);
        }
    }

    fn clipped(&mut self, notices: &mut Vec<Notice>) {
        let share = |blocks: usize| self.last(blocks).map(|b| b.clipped).sum::<f64>() / count(blocks);
        if self.stands(Alarm::Clipped) {
            let share = share(UNCLIPPED_BLOCKS);
            if self.blocks.len() >= UNCLIPPED_BLOCKS && share < UNCLIPPED_SHARE {
                let evidence = Evidence::new("clipped_share", share, UNCLIPPED_SHARE);
                self.ends(Alarm::Clipped, UNCLIPPED_BLOCKS, evidence, notices);
            }
            return;
        }
        let (share, blocks) = (share(CLIP_BLOCKS), self.last(CLIP_BLOCKS).filter(|b| b.clipped > 0.0).count());
        if share >= CLIPPED_SHARE && blocks >= CLIPPED_IN {
            let seen = CLIP_BLOCKS.min(self.blocks.len());
            self.begins(Alarm::Clipped, seen, Evidence::new("clipped_share", share, CLIPPED_SHARE), notices);
        }
    }

    fn hum(&mut self, start: SamplePos, samples: &[f32], mean: f64, notices: &mut Vec<Notice>) {
        let Some(heard) = self.hum.push(samples, mean) else { return };
        let blocks = self.blocks.len().min(hum::SPAN_BLOCKS);
        match (self.stands(Alarm::Hum), heard) {
            (false, hum::Heard::Hum { mains_hz, dbfs }) => {
                let evidence = Evidence::new("hum_dbfs", dbfs, hum::LOUD_DBFS);
                self.begins(Alarm::Hum, blocks, evidence, notices);
                if let Some(notice) = notices.last_mut() {
                    notice.evidence.push(Evidence::new("mains_hz", mains_hz, mains_hz));
                }
            }
            (true, hum::Heard::Quiet { dbfs }) => {
                let at = start;
                self.standing.retain(|a| *a != Alarm::Hum);
                let evidence = vec![Evidence::new("hum_dbfs", dbfs, hum::QUIET_DBFS)];
                notices.push(Notice { alarm: Alarm::Hum, state: AlarmState::Ended, at, evidence });
            }
            (true, hum::Heard::Hum { .. } | hum::Heard::Between)
            | (false, hum::Heard::Quiet { .. } | hum::Heard::Between) => {}
        }
    }

    fn stands(&self, alarm: Alarm) -> bool {
        self.standing.contains(&alarm)
    }

    /// The newest blocks, up to `count` of them.
    fn last(&self, count: usize) -> impl Iterator<Item = &Block> {
        self.blocks.iter().rev().take(count)
    }

    /// How many of the newest blocks are so without a break.
    fn run(&self, is: impl Fn(&Block) -> bool) -> usize {
        self.blocks.iter().rev().take_while(|block| is(block)).count()
    }

    fn begins(&mut self, alarm: Alarm, blocks: usize, evidence: Evidence, notices: &mut Vec<Notice>) {
        self.standing.push(alarm);
        notices.push(self.notice(alarm, AlarmState::Began, blocks, evidence));
    }

    fn ends(&mut self, alarm: Alarm, blocks: usize, evidence: Evidence, notices: &mut Vec<Notice>) {
        self.standing.retain(|a| *a != alarm);
        notices.push(self.notice(alarm, AlarmState::Ended, blocks, evidence));
    }

    /// One that stands on the newest blocks.
    fn notice(&self, alarm: Alarm, state: AlarmState, blocks: usize, evidence: Evidence) -> Notice {
        let at = self.last(blocks).last().map_or(self.next, |block| block.start);
        Notice { alarm, state, at, evidence: vec![evidence] }
    }
}

/// The mean of samples, and their mean power about it.
fn mean_and_power(samples: &[f32]) -> (f64, f64) {
    // Eight sums side by side, which the processor adds at once; the order is fixed, so that the result is too.
    let (mut sums, mut squares) = ([0.0_f64; 8], [0.0_f64; 8]);
    let (eights, rest) = samples.as_chunks::<8>();
    for eight in eights {
        for ((sum, square), sample) in sums.iter_mut().zip(&mut squares).zip(eight) {
            let sample = f64::from(*sample);
            *sum += sample;
            *square += sample * sample;
        }
    }
    for sample in rest {
        sums[0] += f64::from(*sample);
        squares[0] += f64::from(*sample) * f64::from(*sample);
    }
    let n = count(samples.len().max(1));
    let mean = sums.iter().sum::<f64>() / n;
    (mean, (squares.iter().sum::<f64>() / n - mean * mean).max(0.0))
}

#[expect(clippy::cast_precision_loss, reason = "a count of samples of a second")]
const fn count(n: usize) -> f64 {
    n as f64
}

/// dB of a power relative to full scale; silence is -160.
fn decibels(power: f64) -> f64 {
    (10.0 * power.log10()).max(-160.0)
}

#[cfg(test)]
mod tests;
