//! A window becomes a hypothesis.
//!
//! What native code trusts is guaranteed here: 1 to 480,000 samples at 16 kHz, finite, at least a second long (shorter
//! windows are padded with silence), one pass a window (`single_segment`), an encoder context that covers the audio.
//! Otherwise whisper.cpp 1.8.3 aborts the process (`WHISPER_ASSERT`) when it aligns words.

use std::{collections::HashMap, sync::Arc};

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperState};

use super::{WhisperOptions, abort, engine_error, language_id};
use crate::{
    domain::{
        hypothesis::Hypothesis,
        language::{AllowedLanguages, LanguageTag},
        probability::Probability,
        time::TickSpan,
    },
    speech::asr::{
        AsrError, CancelFlag, DecodeRequest, Decoder, MAX_WINDOW, Pass, SECOND,
        words::{Token, assemble},
    },
};

/// Encoder positions a second of audio: whisper.cpp's `audio_ctx` counts 20 ms each.
const CONTEXT_PER_SECOND: usize = 50;

/// The whole encoder context: 30 s.
const FULL_CONTEXT: usize = 1_500;

/// One whisper.cpp state and what it needs between calls.
pub(super) struct WhisperDecoder {
    context: Arc<WhisperContext>,
    options: WhisperOptions,
    model: String,
    state: WhisperState,
    /// Whether the state has decoded anything.
    used: bool,
    /// whisper-rs leaks a C string at each `set_language`: the parameters of each language are made once and cloned.
    prepared: HashMap<(i32, Pass), FullParams<'static, 'static>>,
    padded: Vec<f32>,
}

impl Decoder for WhisperDecoder {
    fn decode(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Hypothesis, AsrError> {
        let samples = request.samples;
        if samples.is_empty() || samples.len() > MAX_WINDOW {
            return Err(AsrError::Window { samples: samples.len() });
        }
        for language in request.languages.tags() {
            self.id_of(language)?;
        }
        self.renew(request.pass)?;
        self.pad(samples);
        let (language, posterior) = match request.languages.given() {
            Some(given) => (given.clone(), None),
            None => self.choose_language(request, cancel)?,
        };
        let language_id = self.id_of(&language)?;
        self.run(language_id, request.pass, cancel)?;
        let tokens = self.tokens(request.pass);
        let mean_logprob = mean_logprob(&tokens);
        // The row of <|startoftranscript|> alone holds the probability that nobody speaks; whisper.cpp 1.8.3 reads
        // another row (its issue 3945).
        let (no_speech, allowed_share) = match request.pass {
            Pass::Final => self.start_probabilities(request.languages)?,
            Pass::Partial => (Probability::ZERO, None),
        };
        let length = u64::try_from(samples.len()).unwrap_or(u64::MAX);
        Ok(Hypothesis {
            window: TickSpan::starting(request.start, length),
            words: assemble(&tokens, &language, request.start, length),
            language,
            language_posterior: posterior,
            allowed_share,
            no_speech,
            mean_logprob,
        })
    }
}

impl WhisperDecoder {
    /// A decoder of its own state over shared weights.
    pub(super) fn new(context: Arc<WhisperContext>, options: WhisperOptions, model: String) -> Result<Self, AsrError> {
        let state = new_state(&context, &model)?;
        Ok(Self { used: false, context, options, model, state, prepared: HashMap::new(), padded: Vec::new() })
    }

    fn id_of(&self, language: &LanguageTag) -> Result<i32, AsrError> {
        language_id(language)
            .ok_or_else(|| AsrError::UnknownLanguage { language: language.clone(), model: self.model.clone() })
    }

    /// whisper.cpp's beam search draws its candidates from a generator that is seeded with the state and lives on between
    /// calls, so that the same samples would not give the same text twice. A final therefore gets a state that has decoded
    /// nothing: 15 to 120 ms, a few hundredths of the decode.
    fn renew(&mut self, pass: Pass) -> Result<(), AsrError> {
        if pass == Pass::Final && self.used {
            self.state = new_state(&self.context, &self.model)?;
            self.used = false;
        }
        self.used = true;
        Ok(())
    }

    /// Copies the window and lengthens it to a second: whisper.cpp ignores audio under 100 ms and aborts the process when
    /// it aligns under 160 ms.
    fn pad(&mut self, samples: &[f32]) {
        self.padded.clear();
        self.padded.extend(samples.iter().map(|s| if s.is_finite() { *s } else { 0.0 }));
        if self.padded.len() < SECOND {
            self.padded.resize(SECOND, 0.0);
        }
    }

    /// Encodes the window and asks the decoder which of the allowed languages it hears.
    fn choose_language(
        &mut self,
        request: &DecodeRequest<'_>,
        cancel: &CancelFlag,
    ) -> Result<(LanguageTag, Option<Probability>), AsrError> {
        let tags = request.languages.tags();
        let mut parameters = self.parameters(self.id_of(&tags[0])?, request.pass);
        parameters.set_max_tokens(1);
        parameters.set_no_timestamps(true);
        self.full(parameters, request.pass, cancel)?;
        let logits = self.start_logits()?;
        let mut candidates = Vec::with_capacity(tags.len());
        for tag in tags {
            let token = usize::try_from(self.context.token_lang(self.id_of(tag)?)).unwrap_or(0);
            candidates.push(logits.get(token).copied().unwrap_or(f32::NEG_INFINITY));
        }
        let posteriors = softmax(&candidates);
        let (best, p) = posteriors.iter().enumerate().fold((0, 0.0), |b, (i, &p)| if p > b.1 { (i, p) } else { b });
        Ok((tags[best].clone(), Some(Probability::clamped(p))))
    }

    /// What the decoder expects before the first word: the probability that nobody speaks, and of all its languages the
    /// share of those allowed. A model of English alone knows no languages.
    fn start_probabilities(
        &mut self,
        allowed: &AllowedLanguages,
    ) -> Result<(Probability, Option<Probability>), AsrError> {
        let probabilities = softmax(&self.start_logits()?);
        let of = |token: i32| usize::try_from(token).ok().and_then(|t| probabilities.get(t)).copied().unwrap_or(0.0);
        let no_speech = Probability::clamped(of(self.context.token_nosp()));
        if !self.context.is_multilingual() {
            return Ok((no_speech, None));
        }
        let all: f32 = (0..=whisper_rs::get_lang_max_id()).map(|id| of(self.context.token_lang(id))).sum();
        let known = allowed.tags().iter().filter_map(language_id);
        let share = known.map(|id| of(self.context.token_lang(id))).sum::<f32>() / all.max(f32::MIN_POSITIVE);
        Ok((no_speech, Some(Probability::clamped(share))))
    }

    /// The logits after `<|startoftranscript|>` for the window that was encoded last.
    fn start_logits(&mut self) -> Result<Vec<f32>, AsrError> {
        let threads = usize::from(self.options.threads.max(1));
        self.state
            .decode(&[self.context.token_sot()], 0, threads)
            .map_err(|error| engine_error("decode the start token", &error))?;
        // One token was decoded, so row 0 is its row.
        self.state.get_logits().map(<[f32]>::to_vec).map_err(|error| engine_error("read the logits", &error))
    }

    fn parameters(&mut self, language_id: i32, pass: Pass) -> FullParams<'static, 'static> {
        let options = &self.options;
        self.prepared.entry((language_id, pass)).or_insert_with(|| prepare(language_id, pass, options)).clone()
    }

    fn run(&mut self, language_id: i32, pass: Pass, cancel: &CancelFlag) -> Result<(), AsrError> {
        let parameters = self.parameters(language_id, pass);
        self.full(parameters, pass, cancel)
    }

    fn full(
        &mut self,
        mut parameters: FullParams<'static, 'static>,
        pass: Pass,
        cancel: &CancelFlag,
    ) -> Result<(), AsrError> {
        parameters.set_audio_ctx(self.context_for(pass));
        match abort::full(&mut self.state, parameters, &self.padded, cancel) {
            Ok(()) => Ok(()),
            Err(_) if cancel.is_cancelled() => Err(AsrError::Cancelled),
            Err(error) => Err(engine_error("decode the window", &error)),
        }
    }

    /// Encoder positions for the padded window.
    fn context_for(&self, pass: Pass) -> i32 {
        /// Fewer positions make the decoder loop (measured).
        const LEAST: usize = 256;
        let Some(pad) = self.options.of(pass).context_pad else { return 0 };
        let audio = (self.padded.len() * CONTEXT_PER_SECOND).div_ceil(SECOND);
        i32::try_from((audio + pad).clamp(LEAST, FULL_CONTEXT)).unwrap_or(0)
    }

    fn tokens(&self, pass: Pass) -> Vec<Token> {
        let aligned = self.options.of(pass).align_words;
        let first_special = self.context.token_eot();
        let mut tokens = Vec::new();
        for segment in self.state.as_iter() {
            for index in 0..segment.n_tokens() {
                let Some(token) = segment.get_token(index) else { continue };
                let data = token.token_data();
                if data.id >= first_special {
                    continue;
                }
                let cs = if aligned { data.t_dtw } else { data.t1 };
                tokens.push(Token {
                    bytes: token.to_bytes().map(<[u8]>::to_vec).unwrap_or_default(),
                    probability: data.p,
                    end_cs: u64::try_from(cs).ok(),
                });
            }
        }
        tokens
    }
}

fn prepare(language_id: i32, pass: Pass, options: &WhisperOptions) -> FullParams<'static, 'static> {
    let p = options.of(pass);
    let strategy = if p.beam > 1 {
        SamplingStrategy::BeamSearch { beam_size: i32::from(p.beam), patience: -1.0 }
    } else {
        SamplingStrategy::Greedy { best_of: 1 }
    };
    let mut full = FullParams::new(strategy);
    full.set_n_threads(i32::from(options.threads.max(1)));
    full.set_language(whisper_rs::get_lang_str(language_id));
    full.set_print_progress(false);
    full.set_print_realtime(false);
    full.set_print_timestamps(false);
    full.set_print_special(false);
    // The engine's own rolling prompt carries loops from window to window.
    full.set_no_context(true);
    full.set_single_segment(true);
    // Sampling at higher temperatures draws from a generator that lives on between calls: the same samples would not
    // give the same text twice.
    full.set_temperature_inc(0.0);
    full.set_token_timestamps(!p.align_words);
    // Nothing the engine says is dropped: doubts are flagged.
    full.set_logprob_thold(f32::NEG_INFINITY);
    full
}

fn new_state(context: &WhisperContext, model: &str) -> Result<WhisperState, AsrError> {
    context.create_state().map_err(|_source| AsrError::OutOfMemory { model: model.to_owned() })
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|l| (l - top).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

fn mean_logprob(tokens: &[Token]) -> f32 {
    if tokens.is_empty() {
        return 0.0;
    }
    let sum: f32 = tokens.iter().map(|t| t.probability.max(f32::MIN_POSITIVE).ln()).sum();
    sum / f32::from(u16::try_from(tokens.len()).unwrap_or(u16::MAX))
}
