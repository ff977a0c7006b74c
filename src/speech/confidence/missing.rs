//! Words right beside audio that is missing (guard G12): what was said may go on where nothing is stored.

use std::ops::Range;

use super::{
    Sound,
    rules::{SPEECH, frames, seconds},
};
use crate::domain::{
    flag::{Evidence, Flag, FlagCode},
    hypothesis::Hypothesis,
    time::TickSpan,
};

/// Speech nearer than this to missing audio, in seconds, may go on in it: the longest pause inside a word, and a frame.
const NEAR: f64 = 0.3;

/// Flags the first word behind a gap and the last before one, where somebody speaks at its edge.
pub(super) fn audio_missing(hypothesis: &Hypothesis, sound: &Sound<'_>, flags: &mut Vec<Flag>) {
    let count = hypothesis.words.len();
    let speaks = || frames(sound).filter(|(_, p)| p.value() >= SPEECH).map(|(frame, _): (TickSpan, _)| frame);
    let before = sound.missing.before.zip(speaks().next()).map(|(gap, first)| first.start().since(gap));
    let after = sound.missing.after.zip(speaks().last()).map(|(gap, last)| gap.since(last.end()));
    let mut check = |distance: Option<u64>, words: Range<usize>| {
        let Some(distance) = distance.map(seconds).filter(|distance| *distance < NEAR) else { return };
        let evidence = vec![Evidence::new("seconds_to_missing_audio", distance, NEAR)];
        flags.push(Flag { code: FlagCode::AudioMissing, evidence, words });
    };
    check(before, 0..count.min(1));
    check(after, count.saturating_sub(1)..count);
}
