//! Made-up voices in made-up rooms: noise in the rhythm of syllables, through walls of noise that die away.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made-up sounds and times of known size")]

use std::f32::consts::TAU;

use proptest::prelude::*;

use super::*;

struct Dice(u32);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as f32 / u32::MAX as f32 * 2.0 - 1.0
    }
}

const SECONDS: usize = 12;

/// A voice of this pitch: a glottal train with noise, in syllables of its own rhythm.
fn voice(seed: u32, pitch: f32) -> Vec<f32> {
    let mut dice = Dice(seed);
    let (mut phase, mut gain, mut tone) = (0.0_f32, 0.0_f32, 0.0_f32);
    (0..SECONDS * 16_000)
        .map(|n| {
            if n % 2_000 == 0 {
                gain = if dice.roll() > -0.4 { 0.5 + 0.5 * dice.roll().abs() } else { 0.0 };
                tone = 0.6 + 0.35 * dice.roll();
            }
            let at = n as f32 / 16_000.0;
            phase += TAU * (pitch + 20.0 * (at * 2.3 + seed as f32).sin()) / 16_000.0;
            let train: f32 = (1..20).map(|k| (phase * k as f32).sin() * tone.powi(k)).sum();
            0.15 * gain * (train + 0.3 * dice.roll())
        })
        .collect()
}

/// A voice after its way to another microphone: later, quieter, with its reverberation, and the noise there.
fn away(voice: &[f32], db: f32, delay: usize, noise_dbfs: f32, seed: u32) -> Vec<f32> {
    let mut dice = Dice(seed);
    let mut path = vec![(0, 1.0_f32)];
    // A tail of 250 ms with as much power as the direct sound has, in 200 reflections.
    path.extend((0..200).map(|_| {
        let at = (dice.roll().abs() * 4_000.0) as usize + 16;
        (at, dice.roll() * 10.0_f32.powf(-2.0 * at as f32 / 4_000.0) * 0.25)
    }));
    let gain = 10.0_f32.powf(db / 20.0) / path.iter().map(|(_, g)| g * g).sum::<f32>().sqrt();
    let noise = 10.0_f32.powf(noise_dbfs / 20.0) * 3.0_f32.sqrt();
    let mut heard: Vec<f32> = voice.iter().map(|_| noise * dice.roll()).collect();
    for (at, reflection) in path {
        let shift = at + delay;
        for (to, from) in heard[shift..].iter_mut().zip(voice) {
            *to += gain * reflection * from;
        }
    }
    heard
}

fn sum(one: &[f32], other: &[f32]) -> Vec<f32> {
    one.iter().zip(other).map(|(a, b)| a + b).collect()
}

fn whole() -> TickSpan {
    TickSpan::starting(Tick::ZERO, (SECONDS * 16_000) as u64)
}

/// How many of the quarters are an echo on the low channel, on the high one, on none.
fn counted(low: &[f32], high: &[f32]) -> [usize; 3] {
    let mut counts = [0; 3];
    for quarter in compare(low, high, Tick::ZERO, whole()) {
        counts[match quarter.echo() {
            Some(Side::Low) => 0,
            Some(Side::High) => 1,
            None => 2,
        }] += 1;
    }
    counts
}

#[test]
fn a_voice_at_two_microphones_is_an_echo_at_the_one_further_away() {
    let voice = voice(5, 110.0);
    for (db, delay) in [(-12.0, 80), (-20.0, 160), (-20.0, 320), (-6.0, 750), (-1.0, 100)] {
        let far = away(&voice, db, delay, -70.0, 9);
        let [low, high, none] = counted(&voice, &far);
        assert!(low == 0 && high > 40 && none < 8, "{db} dB, {delay} ticks: {low} {high} {none}");
        let [low, high, none] = counted(&far, &voice);
        assert!(high == 0 && low > 40 && none < 8, "{db} dB, {delay} ticks: {low} {high} {none}");
    }
}

#[test]
fn the_figures_say_how_much_quieter_and_later_it_is() {
    let voice = voice(5, 110.0);
    let far = away(&voice, -15.0, 160, -75.0, 9);
    let mut quarters = compare(&far, &voice, Tick::ZERO, whole());
    quarters.retain(|q| q.echo() == Some(Side::Low));
    quarters.sort_by(|a, b| a.low.total_cmp(&b.low));
    let middle = quarters[quarters.len() / 2];
    assert!((middle.louder_db + 15.0).abs() < 2.0, "{middle:?}");
    assert!((middle.later - 160).abs() <= 2, "{middle:?}");
    assert!(middle.low > 0.5);
}

#[test]
fn two_voices_are_no_echoes_also_when_each_is_heard_at_the_others_microphone() {
    let (one, other) = (voice(5, 110.0), voice(8, 190.0));
    assert_eq!(counted(&one, &other)[2], SECONDS * 4);
    for db in [-20.0, -14.0] {
        let low = sum(&one, &away(&other, db, 150, -70.0, 3));
        let high = sum(&other, &away(&one, db, 120, -70.0, 4));
        // Where one of them pauses, the other is an echo there: that is as it should be.
        let pause = |voice: &[f32], n: usize| {
            let around = &voice[(n * 4_000).saturating_sub(8_000)..(n * 4_000 + 12_000).min(voice.len())];
            around.iter().map(|s| s * s).sum::<f32>() / (around.len() as f32) < 0.25 * 0.006
        };
        for (n, quarter) in compare(&low, &high, Tick::ZERO, whole()).iter().enumerate() {
            let pauses = pause(&one, n) || pause(&other, n);
            assert!(pauses || quarter.echo().is_none(), "{db} dB, quarter {n}: {quarter:?}");
        }
    }
}

#[test]
fn silence_and_noise_are_no_echoes() {
    let mut dice = (Dice(1), Dice(2));
    let noise: (Vec<f32>, Vec<f32>) =
        (0..SECONDS * 16_000).map(|_| (0.001 * dice.0.roll(), 0.001 * dice.1.roll())).unzip();
    assert_eq!(counted(&noise.0, &noise.1)[2], SECONDS * 4);
    let silence = vec![0.0; SECONDS * 16_000];
    assert_eq!(counted(&silence, &silence)[2], SECONDS * 4);
    assert_eq!(counted(&voice(5, 110.0), &silence)[2], SECONDS * 4);
    assert_eq!(compare(&[], &[], Tick::ZERO, whole()).len(), SECONDS * 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// A quarter is what it is, whatever part of the hearing is looked at, as long as enough is known around it.
    #[test]
    fn a_quarter_has_one_verdict_whoever_asks(start in 2_u64..20, length in 1_u64..20, before in 0_u64..8_000) {
        let voice = voice(5, 110.0);
        let far = away(&voice, -14.0, 160, -70.0, 9);
        let all = compare(&far, &voice, Tick::ZERO, whole());
        let span = TickSpan::starting(Tick::new(start * QUARTER + 100), length * QUARTER);
        let from = span.start().minus(MARGIN + before);
        let cut = |samples: &[f32]| {
            let to = usize::try_from(span.end().index() + MARGIN).unwrap().min(samples.len());
            samples[usize::try_from(from.index()).unwrap()..to].to_vec()
        };
        let part = compare(&cut(&far), &cut(&voice), from, span);
        let first = usize::try_from(start).unwrap();
        prop_assert_eq!(&part[..], &all[first..first + part.len()]);
    }
}
