//! Alarms of made-up microphones: noise that stands for a room, bursts of tones that stand for syllables.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made-up sounds and times of known size")]

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

fn format(encoding: Encoding, rate: u32) -> AudioFormat {
    AudioFormat { encoding, rate: rate.try_into().unwrap() }
}

/// White noise of this level, the same each time.
fn noise(seed: u32, dbfs: f64) -> impl FnMut() -> f64 {
    let mut state = seed | 1;
    // Evenly spread over -a to a has the power a^2 / 3.
    let amplitude = 10.0_f64.powf(dbfs / 20.0) * 3.0_f64.sqrt();
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        amplitude * (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0)
    }
}

/// A room at -60 dBFS in which somebody says five syllables and then pauses for three; their pitch glides as a voice's does.
fn room(rate: u32, seconds: u32) -> Vec<f64> {
    let mut hiss = noise(7, -60.0);
    let mut phase = 0.0;
    (0..rate * seconds)
        .map(|n| {
            let at = f64::from(n) / f64::from(rate);
            let syllable = (at * 4.0).fract();
            let speaks = (at * 4.0) as u32 % 8 < 5;
            phase += TAU * (115.0 + 25.0 * (at * 1.7).sin()) / f64::from(rate);
            let voice: f64 = (1..12).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum();
            hiss() + if speaks { 0.12 * voice * (std::f64::consts::PI * syllable).sin() } else { 0.0 }
        })
        .collect()
}

/// What is noticed of samples of 16 bits, each with where listening was then, seconds.
fn noticed(rate: u32, samples: &[f64]) -> Vec<(Notice, f64)> {
    let samples: Vec<f32> =
        samples.iter().map(|s| ((s * 32_768.0).round().clamp(-32_768.0, 32_767.0) / 32_768.0) as f32).collect();
    let mut health = Health::new(format(Encoding::PcmS16Le, rate));
    let mut all = Vec::new();
    let mut heard = 0;
    for chunk in samples.chunks(rate as usize / 10) {
        let notices = health.push(SamplePos::new(heard as u64), chunk);
        heard += chunk.len();
        all.extend(notices.into_iter().map(|n| (n, heard as f64 / f64::from(rate))));
    }
    all
}

fn told(noticed: &[(Notice, f64)]) -> Vec<(Alarm, AlarmState)> {
    noticed.iter().map(|(n, _)| (n.alarm, n.state)).collect()
}

/// A well minute, then 15 s that `ail` makes of it, then a well half minute: the alarm must come within five seconds, say where
/// it began to half a second, and be over within twelve.
#[track_caller]
fn is_noticed(rate: u32, alarm: Alarm, ail: impl Fn(f64, f64) -> f64) {
    let mut samples = room(rate, 65);
    let place = |seconds: u32| (rate * seconds) as usize;
    for (n, sample) in samples.iter_mut().enumerate().take(place(35)).skip(place(20)) {
        *sample = ail(n as f64 / f64::from(rate), *sample);
    }
    let noticed = noticed(rate, &samples);
    assert_eq!(told(&noticed), [(alarm, AlarmState::Began), (alarm, AlarmState::Ended)], "{noticed:?}");
    let (began, ended) = (noticed[0].1, noticed[1].1);
    assert!(began > 20.0 && began <= 25.0, "{alarm:?} at {rate} Hz was noticed at {began}");
    assert!(ended > 35.0 && ended <= 47.0, "{alarm:?} at {rate} Hz was over at {ended}");
    let at = noticed[0].0.at.index() as f64 / f64::from(rate);
    assert!((17.0..=21.0).contains(&at), "{alarm:?} at {rate} Hz is said to begin at {at}");
}

const RATES: [u32; 5] = [8_000, 11_025, 16_000, 44_100, 48_000];

#[test]
fn a_live_room_with_a_voice_rings_no_alarm() {
    for rate in RATES {
        assert_eq!(noticed(rate, &room(rate, 60)), []);
    }
}

#[test]
fn an_unplugged_microphone_is_dead_whatever_it_still_gives() {
    for rate in RATES {
        is_noticed(rate, Alarm::Dead, |_, _| 0.0);
        is_noticed(rate, Alarm::Dead, |_, _| 0.25);
        // The last bit, and the hiss of an open input.
        is_noticed(rate, Alarm::Dead, |at, _| if ((at * 1e5) as u64).is_multiple_of(3) { 1.0 / 32_768.0 } else { 0.0 });
    }
    let mut hiss = noise(3, -88.0);
    let samples: Vec<f64> = (0..80_000).map(|_| hiss()).collect();
    assert_eq!(told(&noticed(16_000, &samples)), [(Alarm::Dead, AlarmState::Began)]);
}

#[test]
fn a_quiet_microphone_and_a_pause_are_not_dead() {
    let mut hiss = noise(5, -72.0);
    let quiet: Vec<f64> = (0..320_000).map(|_| hiss()).collect();
    assert_eq!(noticed(16_000, &quiet), []);
    // A gate that closes for less than three seconds between sentences.
    let mut gated = room(16_000, 30);
    for gap in gated.chunks_mut(80_000) {
        gap[..44_000].fill(0.0);
    }
    assert_eq!(noticed(16_000, &gated), []);
}

#[test]
fn a_microphone_that_is_recorded_too_loud_is_clipped() {
    for rate in RATES {
        is_noticed(rate, Alarm::Clipped, |_, sample| (sample * 12.0).clamp(-1.0, 1.0));
    }
    // Clipped before somebody turned it down.
    is_noticed(16_000, Alarm::Clipped, |_, sample| 0.5 * (sample * 12.0).clamp(-1.0, 1.0));
}

#[test]
fn a_knock_and_a_loud_word_are_not_clipping() {
    let mut samples = room(16_000, 30);
    for (n, sample) in samples[80_000..82_000].iter_mut().enumerate() {
        *sample = if n / 40 % 2 == 0 { 1.0 } else { -1.0 };
    }
    samples[200_000..200_010].fill(1.0);
    assert_eq!(noticed(16_000, &samples), []);
}

#[test]
fn mains_hum_is_noticed_under_speech_and_ends_with_it() {
    for rate in RATES {
        for (hz, dbfs) in [(50.0, -20.0), (50.03, -35.0), (60.0, -40.0), (99.95, -22.0), (120.1, -22.0)] {
            let amplitude = 10.0_f64.powf(dbfs / 20.0) * 2.0_f64.sqrt();
            is_noticed(rate, Alarm::Hum, |at, sample| sample + amplitude * (TAU * hz * at).sin());
        }
    }
    // A rectifier's: many multiples, each as loud as the voice in places.
    let buzz = |at: f64| (1..6).map(|k| (TAU * 100.0 * f64::from(k) * at).sin()).sum::<f64>() * 0.06;
    is_noticed(48_000, Alarm::Hum, |at, sample| sample + buzz(at));
}

#[test]
fn faint_hum_held_notes_and_other_tones_are_none() {
    let with = |tone: &dyn Fn(f64) -> f64| {
        let mut samples = room(16_000, 30);
        samples.iter_mut().enumerate().for_each(|(n, sample)| *sample += tone(n as f64 / 16_000.0));
        noticed(16_000, &samples)
    };
    assert_eq!(with(&|at| 0.004 * (TAU * 50.0 * at).sin()), [], "-51 dBFS");
    assert_eq!(with(&|at| 0.1 * (TAU * 300.0 * at).sin()), [], "a tone, no hum");
    assert_eq!(with(&|at| 0.1 * (TAU * 440.0 * at).sin()), []);
    // Notes of two seconds each, some of them near the lines.
    let note = |at: f64| [98.0, 110.0, 123.5, 98.0, 146.8, 61.7, 49.0][(at / 2.0) as usize % 7];
    assert_eq!(with(&|at| 0.1 * (TAU * note(at) * at).sin()), []);
}

#[test]
fn what_was_not_recorded_is_not_known() {
    let mut health = Health::new(format(Encoding::PcmS16Le, 16_000));
    assert_eq!(health.push(SamplePos::ZERO, &[0.0; 40_000]), [], "2.5 s of silence");
    // Ten seconds off the record, and 2.5 s of silence again.
    assert_eq!(health.push(SamplePos::new(200_000), &[0.0; 40_000]), []);
    let notices = health.push(SamplePos::new(240_000), &[0.0; 8_000]);
    assert_eq!(notices.iter().map(|n| n.at).collect::<Vec<_>>(), [SamplePos::new(200_000)]);
    // It goes on standing over a break, and over a restart.
    assert_eq!(health.push(SamplePos::new(400_000), &[0.0; 64_000]), []);
    let restarted = Health::new(format(Encoding::PcmS16Le, 16_000)).with_standing([Alarm::Dead]);
    assert_eq!(restarted.standing(), [Alarm::Dead]);
    let mut restarted = restarted;
    assert_eq!(restarted.push(SamplePos::new(500_000), &[0.0; 64_000]), []);
}

#[test]
fn the_coarse_steps_of_telephony_are_not_flat_tops() {
    let mut bytes = Vec::new();
    let samples: Vec<f32> = room(8_000, 30).iter().map(|s| (s * 2.0).clamp(-0.9, 0.9) as f32).collect();
    crate::speech::audio::format::encode(Encoding::MuLaw, &samples, &mut bytes);
    let mut coarse = Vec::new();
    crate::speech::audio::format::decode(Encoding::MuLaw, &bytes, &mut coarse).unwrap();
    assert_eq!(Health::new(format(Encoding::MuLaw, 8_000)).push(SamplePos::ZERO, &coarse), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn how_audio_is_cut_changes_nothing(
        cuts in prop::collection::vec(1_usize..20_000, 1..12),
        rate in prop::sample::select(vec![8_000_u32, 11_025, 48_000]),
    ) {
        let mut samples: Vec<f32> = room(rate, 14).iter().map(|s| *s as f32).collect();
        let second = rate as usize;
        samples[second..second * 5].fill(0.0);
        for (n, sample) in samples[second * 6..].iter_mut().enumerate() {
            *sample = (*sample * 12.0 + 0.1 * (TAU * 50.0 * n as f64 / f64::from(rate)).sin() as f32).clamp(-1.0, 1.0);
        }
        let format = format(Encoding::PcmS16Le, rate);
        let whole = Health::new(format).push(SamplePos::ZERO, &samples);
        prop_assert!(whole.len() >= 4, "{:?}", whole);
        let mut health = Health::new(format);
        let (mut rest, mut at, mut cut) = (samples.as_slice(), 0, Vec::new());
        for size in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*size).min(rest.len()));
            cut.extend(health.push(SamplePos::new(at), now));
            (rest, at) = (later, at + now.len() as u64);
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(cut, whole);
    }
}
