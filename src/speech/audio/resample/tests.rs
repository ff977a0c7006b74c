//! Clicks, tones and cuts through the resampler.

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

/// Every common rate, a prime one and the odd ones between.
const RATES: [u32; 15] = [
    8_000, 11_025, 12_000, 15_991, 16_000, 16_001, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 191_999,
    192_000,
];

fn resampler(hz: u32) -> Resampler {
    Resampler::new(SampleRate::try_from(hz).unwrap()).unwrap()
}

fn resampled(hz: u32, samples: &[f32]) -> Vec<f32> {
    let (mut resampler, mut out) = (resampler(hz), vec![]);
    resampler.push(samples, &mut out);
    resampler.finish(&mut out);
    out
}

fn sine(tone_hz: f64, hz: u32, samples: u32) -> Vec<f32> {
    (0..samples).map(|i| (TAU * tone_hz * f64::from(i) / f64::from(hz)).sin() as f32).collect()
}

/// Level of a stretch in the middle, dB relative to a full-scale sine.
fn level_db(ticks: &[f32]) -> f64 {
    let middle = &ticks[2_000..ticks.len() - 2_000];
    let squares: f64 = middle.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    10.0 * (2.0 * squares / middle.len() as f64).log10()
}

/// A click of 0.3 ms (Gaussian, so band-limited) centred on its middle sample, and how many samples it reaches each side.
fn click(hz: u32) -> (Vec<f32>, u32) {
    let reach = hz / 500;
    let sigma = f64::from(hz) * 0.0003;
    let at = |i: u32| (-0.5 * ((f64::from(i) - f64::from(reach)) / sigma).powi(2)).exp() as f32;
    ((0..=2 * reach).map(at).collect(), reach)
}

/// The centre of energy of `ticks`, in ticks from `first`.
fn centre(ticks: &[f32], first: u64) -> f64 {
    let energy = |s: &f32| f64::from(*s) * f64::from(*s);
    let moment: f64 = ticks.iter().enumerate().map(|(i, s)| i as f64 * energy(s)).sum();
    first as f64 + moment / ticks.iter().map(energy).sum::<f64>()
}

/// Pushes `seconds` of silence, then a click, and checks where the click comes out.
#[track_caller]
fn check_click_after(hz: u32, seconds: u32, within_ticks: f64) {
    let (mut resampler, mut out, mut given) = (resampler(hz), vec![], 0u64);
    let silence = vec![0.0; hz as usize / 10];
    for _ in 0..seconds * 10 {
        given += out.len() as u64;
        out.clear();
        resampler.push(&silence, &mut out);
    }
    let (click, reach) = click(hz);
    resampler.push(&click, &mut out);
    resampler.push(&silence, &mut out);
    let sample = silence.len() as f64 * 10.0 * f64::from(seconds) + f64::from(reach);
    let off = centre(&out, given) - sample * 16_000.0 / f64::from(hz);
    assert!(off.abs() < within_ticks, "{hz} Hz, {seconds} s: off by {off} ticks");
}

#[test]
fn a_click_is_found_where_it_was_at_once_and_after_ten_minutes() {
    for hz in RATES {
        check_click_after(hz, 0, 0.002);
    }
    for hz in [8_000, 16_000, 22_050, 24_000, 32_000, 48_000, 96_000, 192_000] {
        check_click_after(hz, 600, 0.002);
    }
}

#[test]
fn a_click_is_found_where_it_was_after_an_hour() {
    for hz in [11_025, 15_991, 44_100] {
        check_click_after(hz, 3_600, 0.002);
    }
}

#[test]
fn a_click_at_the_first_and_at_the_last_sample_stays_there() {
    for hz in RATES {
        let mut samples = vec![0.0; hz as usize];
        samples[0] = 1.0;
        *samples.last_mut().unwrap() = 1.0;
        let ticks = resampled(hz, &samples);
        let loudest = |part: &[f32]| (0..part.len()).max_by(|a, b| part[*a].abs().total_cmp(&part[*b].abs())).unwrap();
        assert_eq!(loudest(&ticks[..8_000]), 0, "{hz}");
        let last_at = f64::from(hz - 1) * 16_000.0 / f64::from(hz);
        assert!((loudest(&ticks[8_000..]) as f64 + 8_000.0 - last_at).abs() <= 1.0, "{hz}");
    }
}

#[test]
fn ticks_lie_on_the_samples_to_a_thousandth() {
    for hz in (8_000..=192_000).step_by(377).chain(RATES).filter(|hz| *hz != 16_000) {
        let plan = Plan::new(SampleRate::try_from(hz).unwrap());
        let place = (plan.dropped + 1) as f64 * plan.step - (plan.taps / 2) as f64 + 1.0 / plan.table as f64;
        let off = (place - plan.lead as f64).abs();
        let limit = if plan.interpolation == SincInterpolationType::Nearest { 1e-9 } else { 1e-3 };
        assert!(off < limit, "{hz}: {off}, {plan:?}");
    }
}

#[test]
fn sixteen_kilohertz_passes_through_bit_for_bit() {
    let samples = sine(440.0, 16_000, 3_333);
    let (mut resampler, mut out) = (resampler(16_000), vec![]);
    resampler.push(&samples, &mut out);
    assert_eq!(out, samples);
    resampler.finish(&mut out);
    assert_eq!(out, samples);
    assert_eq!(resampler.latency_samples(), 0);
}

#[test]
fn speech_tones_keep_their_level_within_a_tenth_of_a_decibel() {
    for hz in RATES {
        let lower = f64::from(hz.min(16_000));
        for tone in [100.0, 1_000.0, 0.4 * lower, 0.45 * lower] {
            let level = level_db(&resampled(hz, &sine(tone, hz, hz)));
            assert!(level.abs() < 0.1, "{tone} Hz at {hz} Hz comes out at {level} dB");
        }
    }
}

#[test]
fn what_sixteen_kilohertz_cannot_hold_is_removed_by_eighty_decibels() {
    for hz in [22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 191_999, 192_000] {
        for tone in [8_000.5, 8_100.0, 9_000.0, 10_000.0, 0.49 * f64::from(hz)] {
            let level = level_db(&resampled(hz, &sine(tone, hz, hz)));
            assert!(level < -80.0, "{tone} Hz at {hz} Hz comes out at {level} dB");
        }
    }
}

#[test]
fn raising_the_rate_makes_no_images() {
    for hz in [8_000, 11_025, 15_991] {
        let tone = 0.44 * f64::from(hz);
        let ticks = resampled(hz, &sine(tone, hz, hz));
        let worst = (2_000..ticks.len() - 2_000)
            .map(|t| (f64::from(ticks[t]) - (TAU * tone * t as f64 / 16_000.0).sin()).abs())
            .fold(0.0, f64::max);
        assert!(20.0 * worst.log10() < -80.0, "{hz}: {worst}");
    }
}

#[test]
fn no_tick_is_held_back_longer_than_promised() {
    for hz in RATES {
        let (mut resampler, mut out) = (resampler(hz), vec![]);
        for pushed in 1..=u64::from(hz) {
            resampler.push(&[0.5], &mut out);
            let due = pushed.saturating_sub(resampler.latency_samples()) * 16_000 / u64::from(hz);
            assert!(out.len() as u64 >= due, "{hz}: {} ticks after {pushed} samples", out.len());
        }
        assert!(resampler.latency_samples() * 1_000 <= 25 * u64::from(hz), "{hz}: {}", resampler.latency_samples());
    }
}

#[test]
fn pushing_allocates_nothing_but_the_output() {
    for hz in RATES {
        let (mut resampler, mut out) = (resampler(hz), Vec::with_capacity(40_000));
        let buffers = |resampler: &Resampler| {
            resampler.engine.as_ref().map(|engine| (engine.gathered.as_ptr(), engine.gathered.capacity()))
        };
        let (before, output) = (buffers(&resampler), out.as_ptr());
        for size in [1, 7, 3_000, hz as usize, 0, 480] {
            resampler.push(&vec![0.1; size], &mut out);
        }
        assert_eq!((buffers(&resampler), out.as_ptr()), (before, output), "{hz}");
    }
}

#[test]
fn a_finished_resampler_starts_anew() {
    for hz in RATES {
        let samples = sine(700.0, hz, 2_000);
        let (mut resampler, mut out) = (resampler(hz), vec![]);
        for _ in 0..2 {
            out.clear();
            resampler.push(&samples, &mut out);
            resampler.finish(&mut out);
        }
        assert_eq!(out, resampled(hz, &samples), "{hz}");
    }
}

#[test]
fn a_resampler_that_starts_at_a_whole_second_agrees_with_one_that_ran_from_the_start() {
    for hz in RATES {
        let samples: Vec<f32> =
            (0..4 * hz).map(|i| ((i as f32 * 0.37).sin() + (i as f32 * 0.011).sin()) * 0.4).collect();
        let whole = resampled(hz, &samples);
        let late = resampled(hz, &samples[2 * hz as usize..]);
        let skip = resampler(hz).history_ticks() as usize;
        let exact =
            hz == 16_000 || Plan::new(SampleRate::try_from(hz).unwrap()).table <= 640 && hz % 100 == 0 || hz == 11_025;
        for (a, b) in whole[32_000 + skip..].iter().zip(&late[skip..]) {
            assert!(if exact { a == b } else { (a - b).abs() < 1e-5 }, "{hz}: {a} and {b}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pieces_of_any_size_give_the_same_bits_and_the_promised_number_of_ticks(
        rate in prop::sample::select(RATES.to_vec()),
        sizes in prop::collection::vec(0usize..3_000, 0..40),
        seed in any::<u32>(),
    ) {
        let total: usize = sizes.iter().sum();
        let samples: Vec<f32> = (0..total as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) ^ seed) as i32 as f32 / 2_147_483_648.0)
            .collect();
        let (mut resampler, mut out, mut rest) = (resampler(rate), vec![], &samples[..]);
        for size in sizes {
            let (now, later) = rest.split_at(size);
            resampler.push(now, &mut out);
            rest = later;
        }
        resampler.finish(&mut out);
        prop_assert_eq!(out.len() as u64, (total as u64 * 16_000).div_ceil(u64::from(rate)));
        let whole = resampled(rate, &samples);
        prop_assert!(out.iter().map(|s| s.to_bits()).eq(whole.iter().map(|s| s.to_bits())));
    }
}
