//! What does a second of audio cost to decode and resample, as a share of one core?
//!
//! Prints one line a rate. Run with `cargo bench --bench resample`.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::time::Instant;

use vivavoce::{
    domain::{audio::Encoding, time::SampleRate},
    speech::audio::{AudioError, format, level::LevelMeter, resample::Resampler},
};

/// Seconds of audio measured at each rate, in messages of 100 ms.
const SECONDS: u32 = 120;

fn main() -> Result<(), AudioError> {
    println!("rate Hz   decode+resample ms/s   with level meter ms/s   share of a core   start ms   latency ms");
    for hz in [8_000, 11_025, 15_991, 16_000, 22_050, 44_100, 48_000, 96_000, 191_999, 192_000] {
        measure(hz)?;
    }
    Ok(())
}

fn measure(hz: u32) -> Result<(), AudioError> {
    let rate = SampleRate::try_from(hz)?;
    let message: Vec<u8> = (0..hz / 10).flat_map(|i| i.wrapping_mul(40_503).to_le_bytes()[..2].to_vec()).collect();
    let started = Instant::now();
    let mut resampler = Resampler::new(rate)?;
    let start_ms = started.elapsed().as_secs_f64() * 1e3;
    let (mut samples, mut ticks, mut meter) = (Vec::new(), Vec::new(), LevelMeter::new());
    let mut costs = [0.0; 2];
    for (metered, cost) in [false, true].into_iter().zip(&mut costs) {
        let started = Instant::now();
        for _ in 0..SECONDS * 10 {
            samples.clear();
            ticks.clear();
            format::decode(Encoding::PcmS16Le, &message, &mut samples)?;
            if metered {
                meter.push(&samples);
            }
            resampler.push(&samples, &mut ticks);
        }
        *cost = started.elapsed().as_secs_f64() * 1e3 / f64::from(SECONDS);
    }
    let latency_ms = resampler.latency_samples() as f64 * 1e3 / f64::from(hz);
    println!(
        "{hz:>7} {:>20.3} {:>23.3} {:>15.3} % {start_ms:>10.2} {latency_ms:>12.1}",
        costs[0],
        costs[1],
        costs[1] / 10.0
    );
    Ok(())
}
