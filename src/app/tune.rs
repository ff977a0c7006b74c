//! How long this machine takes to decode: real weights, real windows, with as many decodes side by side as there are slots.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use super::{
    AppError,
    engine::{fits_the_processor, recognizer},
    settings::EngineSettings,
};
use crate::{
    domain::{language::AllowedLanguages, time::Tick},
    models::store::ModelStore,
    speech::{
        asr::{
            AsrError, CancelFlag, Lead, Pass,
            pool::{Job, Pool, Slots, Urgency},
        },
        capacity::{CONTINUOUS, COURTROOM, Curve, Timings},
    },
    telemetry::Metrics,
};

/// The windows that are decoded, seconds. The second is what models are compared by.
pub const WINDOWS: [u32; 4] = [2, 5, 10, 20];

/// The step at which set-ups are compared.
const STEP: Duration = Duration::from_secs(1);

/// How often a partial is decoded to know how long it takes.
const PARTIALS: usize = 3;

/// Samples of a second at 16 kHz.
const SECOND: usize = 16_000;

/// How long one window took.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The model.
    pub model: String,
    /// Decodes side by side, and threads of each.
    pub slots: Slots,
    /// The length of the window.
    pub window: Duration,
    /// What it was decoded for.
    pub pass: Pass,
    /// How long it took.
    pub took: Duration,
}

/// What is measured with.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The engine, but for the model, the workers and their threads.
    pub engine: &'a EngineSettings,
    /// Speech of 20 seconds or more, 16 kHz mono.
    pub speech: &'a [f32],
    /// What is spoken in it.
    pub languages: &'a AllowedLanguages,
    /// Cores of the machine.
    pub cores: usize,
    /// When it has to be over.
    pub until: Instant,
}

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// In the order in which it was measured.
    pub measured: Vec<Measured>,
    /// Whether there was no time for all of it.
    pub cut_short: bool,
}

/// The settings that fit a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The model.
    pub model: String,
    /// Decodes side by side, and threads of each.
    pub slots: Slots,
    /// How often text is shown.
    pub step: Duration,
    /// Channels of hearings that it carries.
    pub courtroom: usize,
    /// Channels in which somebody speaks all the time.
    pub continuous: usize,
}

/// How much better one must be than what is preferred where they are alike: less is within what measuring twice gives.
const BETTER: f64 = 0.95;

impl Findings {
    /// The times of one model in one set-up.
    #[must_use]
    pub fn timings(&self, model: &str, slots: Slots) -> Timings {
        let curve = |pass| {
            let of = self.measured.iter().filter(|m| m.model == model && m.slots == slots && m.pass == pass);
            Curve::new(of.map(|m| (m.window, m.took)).collect())
        };
        Timings { partial: curve(Pass::Partial), last: curve(Pass::Final) }
    }

    /// The share of the machine that a channel takes.
    fn share(&self, model: &str, slots: Slots) -> Option<f64> {
        let workers = u32::try_from(slots.workers).map_or(f64::MAX, f64::from);
        Some(self.timings(model, slots).load(COURTROOM, STEP)? / workers)
    }

    /// The model that decodes quickest with these slots; of those that are alike the one that stands first.
    #[must_use]
    pub fn quickest(&self, models: &[String], slots: Slots) -> Option<String> {
        let shares = models.iter().filter_map(|model| Some((model, self.share(model, slots)?)));
        let best = shares.reduce(|best, next| if next.1 < best.1 * BETTER { next } else { best })?;
        Some(best.0.clone())
    }

    /// What fits best: of the slots that fill the machine those in which `model` decodes quickest. `None` where too little was
    /// measured.
    #[must_use]
    pub fn fit(&self, model: &str, filling: &[Slots]) -> Option<Fit> {
        // A set-up of which the long windows are missing would look better than it is.
        let long = Duration::from_secs(WINDOWS[WINDOWS.len() - 1].into());
        let known = |slots: &Slots| {
            let of = |m: &&Measured| m.model == model && m.slots == *slots && m.window == long;
            self.measured.iter().filter(of).any(|m| m.pass == Pass::Final)
        };
        let shares = filling.iter().filter_map(|slots| Some((*slots, known(slots), self.share(model, *slots)?)));
        let (slots, ..) = shares.reduce(|best, next| match (best.1, next.1) {
            (false, true) => next,
            (true, true) | (false, false) if next.2 < best.2 * BETTER => next,
            _ => best,
        })?;
        let timings = self.timings(model, slots);
        let step = timings.step()?;
        let channels = |talk| timings.channels(slots.workers, talk, step);
        let (courtroom, continuous) = (channels(COURTROOM)?, channels(CONTINUOUS)?);
        Some(Fit { model: model.to_owned(), slots, step, courtroom, continuous })
    }
}

/// The slots that fill a machine of so many cores: one thread each, and two. The first are what models are compared by.
#[must_use]
pub fn filling(cores: usize) -> Vec<Slots> {
    // A GPU does one decode after the other.
    let most = if cfg!(feature = "cuda") { 1 } else { cores };
    let mut all: Vec<_> = [1, 2].map(|threads| Slots::of(most, threads).fitting(cores)).into();
    all.dedup();
    all
}

impl Bench<'_> {
    /// Measures, in this order: each of `models` with all slots of one thread busy; of the quickest all windows, then with two
    /// threads a slot, and alone; of the others what is left. What comes first is what the choice is made by; the rest may find no
    /// time.
    ///
    /// # Errors
    /// What is wrong with a model, or with the memory.
    pub fn run(&self, models: &[String], mut tell: impl FnMut(&Measured)) -> Result<(Findings, Option<Fit>), AppError> {
        fits_the_processor()?;
        let mut findings = Findings::default();
        let filling = filling(self.cores);
        let first = filling[0];
        for model in models {
            self.measure(model, first, &WINDOWS[1..2], &mut findings, &mut tell)?;
        }
        let Some(best) = findings.quickest(models, first) else { return Ok((findings, None)) };
        let rest = [WINDOWS[3], WINDOWS[0], WINDOWS[2]];
        self.measure(&best, first, &rest, &mut findings, &mut tell)?;
        for slots in &filling[1..] {
            self.measure(&best, *slots, &[WINDOWS[1], WINDOWS[3], WINDOWS[0], WINDOWS[2]], &mut findings, &mut tell)?;
        }
        let alone = Slots::of(1, 1);
        if !filling.contains(&alone) {
            self.measure(&best, alone, &WINDOWS, &mut findings, &mut tell)?;
        }
        for model in models.iter().filter(|model| **model != best) {
            self.measure(model, first, &rest, &mut findings, &mut tell)?;
        }
        let fit = findings.fit(&best, &filling);
        Ok((findings, fit))
    }

    /// Loads `model` with these slots and decodes each of `windows` both ways.
    fn measure(
        &self,
        model: &str,
        slots: Slots,
        windows: &[u32],
        findings: &mut Findings,
        tell: &mut impl FnMut(&Measured),
    ) -> Result<(), AppError> {
        if findings.cut_short {
            return Ok(());
        }
        let settings = EngineSettings {
            model: model.to_owned(),
            workers: slots.workers,
            threads_per_worker: u8::try_from(slots.threads).unwrap_or(u8::MAX),
            ..self.engine.clone()
        };
        let metrics = Arc::new(Metrics::new());
        let (recognizer, ..) = recognizer(&settings, &ModelStore::open(&settings.models)?, &metrics)?;
        let (told, times) = sync_channel(slots.workers);
        // The channel holds a time of every worker, and they are taken before more is asked for.
        let observer = Arc::new(move |_pass, _waited, took| _ = told.try_send(took));
        let pool = Pool::start(&recognizer, slots, observer)?;
        let workers = Workers { pool, times };
        // The first decode of a worker finds its memory.
        if self.timed(&workers, WINDOWS[0], Pass::Partial)?.is_none() {
            findings.cut_short = true;
            return Ok(());
        }
        for &seconds in windows {
            for pass in [Pass::Partial, Pass::Final] {
                let Some(took) = self.typical(&workers, seconds, pass)? else {
                    findings.cut_short = true;
                    return Ok(());
                };
                let window = Duration::from_secs(seconds.into());
                let measured = Measured { model: model.to_owned(), slots, window, pass, took };
                tell(&measured);
                findings.measured.push(measured);
            }
        }
        Ok(())
    }

    fn window(&self, seconds: u32) -> &[f32] {
        let length = usize::try_from(seconds).map_or(usize::MAX, |s| s.saturating_mul(SECOND));
        &self.speech[..length.min(self.speech.len())]
    }

    /// How long a decode takes, the median of a few where it is short: one stall would make a partial look ten times as long.
    fn typical(&self, workers: &Workers, seconds: u32, pass: Pass) -> Result<Option<Duration>, AppError> {
        let times = match pass {
            Pass::Partial => PARTIALS,
            Pass::Final => 1,
        };
        let mut all = Vec::with_capacity(times);
        for _ in 0..times {
            let Some(took) = self.timed(workers, seconds, pass)? else { break };
            all.push(took);
        }
        all.sort_unstable();
        Ok(all.get(all.len() / 2).copied())
    }

    /// How long a decode takes while every worker is at one: the mean. `None` where the time is over before.
    fn timed(&self, workers: &Workers, seconds: u32, pass: Pass) -> Result<Option<Duration>, AppError> {
        let Workers { pool, times } = workers;
        let cancel = CancelFlag::default();
        let (reply, answers): (SyncSender<Result<(), AsrError>>, _) = sync_channel(pool.workers());
        for stream in 0..pool.workers() {
            let reply = reply.clone();
            pool.submit(Job {
                stream: stream as u64,
                samples: self.window(seconds).to_vec(),
                start: Tick::ZERO,
                languages: self.languages.clone(),
                pass,
                lead: Lead::default(),
                urgency: Urgency::Late,
                cancel: cancel.clone(),
                // The channel holds the answers of all.
                reply: Box::new(move |outcome| drop(reply.try_send(outcome.map(drop)))),
                span: tracing::Span::none(),
            });
        }
        let mut sum = Duration::ZERO;
        for _ in 0..pool.workers() {
            let left = self.until.saturating_duration_since(Instant::now());
            match answers.recv_timeout(left) {
                Ok(Ok(())) => sum += times.recv().unwrap_or_default(),
                Ok(Err(AsrError::Cancelled)) => return Ok(None),
                Ok(Err(error)) => return Err(error.into()),
                Err(_over) => {
                    cancel.cancel();
                    return Ok(None);
                }
            }
        }
        Ok(Some(sum / u32::try_from(pool.workers()).unwrap_or(u32::MAX).max(1)))
    }
}

/// The workers of one set-up, and how long each decode took.
struct Workers {
    pool: Pool,
    times: Receiver<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Slots = Slots::of(2, 1);
    const PAIR: Slots = Slots::of(1, 2);

    fn findings(all: &[(&str, Slots, u32, f64, f64)]) -> Findings {
        let of = |&(model, slots, window, partial, last): &(&str, Slots, u32, f64, f64)| {
            [(Pass::Partial, partial), (Pass::Final, last)].map(|(pass, took)| Measured {
                model: model.to_owned(),
                slots,
                window: Duration::from_secs(window.into()),
                pass,
                took: Duration::from_secs_f64(took),
            })
        };
        Findings { measured: all.iter().flat_map(of).collect(), cut_short: false }
    }

    #[test]
    fn the_quickest_model_is_taken_and_of_equals_the_first() {
        let models = ["base", "base-q8_0", "base-q5_1"].map(str::to_owned);
        let all =
            findings(&[("base", ONE, 5, 0.5, 2.0), ("base-q8_0", ONE, 5, 0.49, 1.95), ("base-q5_1", ONE, 5, 0.6, 2.5)]);
        assert_eq!(all.quickest(&models, ONE).as_deref(), Some("base"));
        let all = findings(&[("base", ONE, 5, 0.5, 2.0), ("base-q8_0", ONE, 5, 0.4, 1.5)]);
        assert_eq!(all.quickest(&models, ONE).as_deref(), Some("base-q8_0"));
        assert_eq!(Findings::default().quickest(&models, ONE), None);
    }

    #[test]
    fn slots_are_chosen_by_what_the_whole_machine_carries() {
        // With two threads a decode is quicker, and half as many run.
        let all = findings(&[
            ("base", ONE, 5, 0.4, 1.0),
            ("base", ONE, 20, 0.8, 2.0),
            ("base", PAIR, 5, 0.3, 0.7),
            ("base", PAIR, 20, 0.6, 1.4),
        ]);
        let fit = all.fit("base", &filling(2)).unwrap();
        assert_eq!((fit.slots, fit.step), (ONE, Duration::from_millis(700)));
        assert!(fit.courtroom > fit.continuous && fit.continuous >= 1, "{fit:?}");
        // Where half of it was not measured it is not chosen for that.
        let partly =
            findings(&[("base", ONE, 5, 0.4, 1.0), ("base", ONE, 20, 0.8, 2.0), ("base", PAIR, 5, 0.01, 0.01)]);
        assert_eq!(partly.fit("base", &filling(2)).unwrap().slots, ONE);
    }

    #[test]
    fn the_slots_that_are_tried_fill_the_machine() {
        assert_eq!(filling(1), [Slots::of(1, 1)]);
        for cores in 2..40 {
            assert!(
                filling(cores).iter().all(|s| s.workers * s.threads <= cores && s.workers * s.threads + 1 >= cores)
            );
        }
    }
}
