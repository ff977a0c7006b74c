//! A window becomes a hypothesis: what all decodes share, and the decode for the record.
//!
//! What native code trusts is guaranteed here: 1 to 480,000 samples at 16 kHz, finite, at least a second long (shorter
//! windows are padded with silence), one pass a window (`single_segment`), an encoder context that covers the audio.
//! Otherwise whisper.cpp 1.8.3 aborts the process (`WHISPER_ASSERT`) when it aligns words.

use std::{collections::HashMap, sync::Arc};

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperState};

use super::{
    Decoding, WhisperOptions, engine_error, language_id,
    native::{self, Before, Start},
};
use crate::{
    domain::{
        hypothesis::{Hypothesis, Told},
        language::{AllowedLanguages, LanguageTag},
        probability::Probability,
        time::TickSpan,
    },
    speech::{
        asr::{
            AsrError, CancelFlag, DecodeRequest, Decoder, Lead, MAX_WINDOW, Pass, SECOND,
            words::{Token, assemble, repeats},
        },
        confidence::told,
        profile::WHOLE_CONTEXT,
    },
};

/// Encoder positions a second of audio: whisper.cpp's `audio_ctx` counts 20 ms each.
const CONTEXT_PER_SECOND: usize = 50;

/// The whole encoder context: 30 s.
const FULL_CONTEXT: usize = WHOLE_CONTEXT as usize;

/// Fewer positions make the decoder loop (measured).
pub(super) const LEAST_CONTEXT: usize = 256;

/// More tokens a second than anybody speaks: Chinese, Quechua and Swahili take up to a dozen, a loop has no end.
pub(super) const MOST_TOKENS_A_SECOND: usize = 20;

/// What one pass found.
struct Found {
    start: Start,
    tokens: Vec<Token>,
    mean_logprob: f32,
}

/// Tokens of a glossary that are read. With more of them an echo is likelier than a name that is heard right.
const MOST_OF_GLOSSARY: usize = 60;

/// One whisper.cpp state and what it needs between calls.
pub(super) struct WhisperDecoder {
    context: Arc<WhisperContext>,
    options: WhisperOptions,
    model: String,
    /// Made when it is needed, and let go of where it must not or need not be kept.
    state: Option<WhisperState>,
    /// Whether beams were searched with the state.
    drawn: bool,
    /// whisper-rs leaks a C string at each `set_language`: the parameters of each language are made once and cloned.
    prepared: HashMap<(i32, Pass, u8), FullParams<'static, 'static>>,
    padded: Vec<f32>,
    threads: usize,
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
        self.threads = usize::from(request.threads.max(1));
        self.pad(samples);
        match request.pass {
            Pass::Partial => self.partial(request, cancel),
            Pass::Final => self.passages(request, cancel),
        }
    }
}

impl WhisperDecoder {
    /// A decoder of its own state over shared weights.
    pub(super) fn new(context: Arc<WhisperContext>, options: WhisperOptions, model: String) -> Result<Self, AsrError> {
        let mut decoder = Self {
            context,
            options,
            model,
            state: None,
            drawn: false,
            prepared: HashMap::new(),
            padded: Vec::new(),
            threads: 1,
        };
        // Before there is work, so that the first window does not wait for it.
        decoder.at_work()?;
        Ok(decoder)
    }

    pub(super) fn context(&self) -> &WhisperContext {
        &self.context
    }

    /// The state and the window it is to work on.
    pub(super) fn at_work(&mut self) -> Result<(&mut WhisperState, &[f32]), AsrError> {
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(new_state(&self.context, &self.model)?),
        };
        Ok((state, &self.padded))
    }

    /// What the decoder expects next, one number for each token; of several that were read, behind the first.
    pub(super) fn expected(&self) -> Result<&[f32], AsrError> {
        let logits = self.state.as_ref().map(WhisperState::get_logits).transpose();
        logits.map_err(|error| engine_error("read the logits", &error)).map(Option::unwrap_or_default)
    }

    /// Threads of the decode under way.
    pub(super) const fn threads(&self) -> usize {
        self.threads
    }

    /// Samples of the window, as lengthened.
    pub(super) const fn length(&self) -> usize {
        self.padded.len()
    }

    pub(super) fn id_of(&self, language: &LanguageTag) -> Result<i32, AsrError> {
        language_id(language)
            .ok_or_else(|| AsrError::UnknownLanguage { language: language.clone(), model: self.model.clone() })
    }

    /// whisper.cpp's beam search draws its candidates from a generator that is seeded with the state and lives on between
    /// calls, so that the same samples would not give the same text twice. It therefore gets a state that has drawn nothing, which
    /// costs 15 to 120 ms. Greedy search draws nothing.
    fn renew(&mut self, beam: u8) {
        if beam > 1 {
            if self.drawn {
                self.state = None;
            }
            self.drawn = true;
        }
    }

    /// Lets go of a state that was given a far longer context than windows have: the memory that took stays taken otherwise.
    fn rest(&mut self, context: usize, pass: Pass) {
        if context > self.context_for(pass) {
            (self.state, self.drawn) = (None, false);
        }
    }

    /// Copies the window and lengthens it to a second: whisper.cpp ignores audio under 100 ms and aborts the process when
    /// it aligns under 160 ms.
    pub(super) fn pad(&mut self, samples: &[f32]) {
        self.padded.clear();
        self.padded.extend(samples.iter().map(|s| if s.is_finite() { *s } else { 0.0 }));
        if self.padded.len() < SECOND {
            self.padded.resize(SECOND, 0.0);
        }
    }

    /// The decode for the record: with an encoder context that is cut to the window. Where what comes out is what a decoder says
    /// that has lost its way, or an echo of what it was told, it is told nothing, and where that is not all, with longer contexts.
    /// Greedy first: beams cost twice as much, and where the words are clear they find the same ones.
    pub(super) fn last(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Hypothesis, AsrError> {
        let Decoding { beam, beam_below, .. } = *self.options.of(request.pass);
        let mut before = self.before(request.lead, request.pass)?;
        let mut told = if before.tokens.is_empty() { Told::Nothing } else { Told::Heeded };
        let mut first_said = String::new();
        let mut context = self.context_for(request.pass);
        let mut found = loop {
            let first = if beam_below < 0.0 { 1 } else { beam };
            let found = self.search(request, &before, (first, context), cancel)?;
            let lost = self.is_lost(&found.tokens, request.pass);
            if !before.tokens.is_empty() {
                let said = text_of(&found.tokens);
                if lost || found.tokens.is_empty() || told::is_echo(&said, request.lead) {
                    tracing::debug!("a decode was led astray by what it was told; it is done again without");
                    // One in another language than what it was told has said nothing yet.
                    let stranger = found.start.stranger;
                    told = if stranger { Told::Nothing } else { Told::Withdrawn { unlike: 0.0 } };
                    (before, first_said) = (Before::default(), said);
                    continue;
                }
            }
            if context == FULL_CONTEXT || !lost {
                break found;
            }
            context = (context * 2).min(FULL_CONTEXT);
            tracing::debug!(context, "a decode lost its way; it is done again with a longer context");
        };
        let lost = self.is_lost(&found.tokens, request.pass);
        if beam > 1 && beam_below < 0.0 && (found.mean_logprob < beam_below || lost) {
            let beams = self.search(request, &before, (beam, context), cancel)?;
            let astray = !before.tokens.is_empty() && told::is_echo(&text_of(&beams.tokens), request.lead);
            if !astray && (!self.is_lost(&beams.tokens, request.pass) || beams.mean_logprob > found.mean_logprob) {
                found = beams;
            }
        }
        self.rest(context, request.pass);
        let Found { start, tokens, mean_logprob } = found;
        if let Told::Withdrawn { unlike } = &mut told {
            *unlike = told::unlike(&text_of(&tokens), &first_said);
        }
        let (language, posterior, posteriors) = self.chosen(request.languages, &start);
        let length = u64::try_from(request.samples.len()).unwrap_or(u64::MAX);
        let (no_speech, allowed_share) = self.start_probabilities(request.languages, &start);
        Ok(Hypothesis {
            window: TickSpan::starting(request.start, length),
            words: assemble(&tokens, &language, request.start, length),
            language,
            language_posterior: posterior,
            posteriors,
            allowed_share,
            no_speech,
            mean_logprob,
            told,
            then: Vec::new(),
        })
    }

    /// One pass of whisper.cpp over the window, with so many beams and encoder positions.
    fn search(
        &mut self,
        request: &DecodeRequest<'_>,
        before: &Before,
        (beam, context): (u8, usize),
        cancel: &CancelFlag,
    ) -> Result<Found, AsrError> {
        self.renew(beam);
        let tags = request.languages.tags();
        let allowed = tags.iter().map(|tag| self.id_of(tag)).collect::<Result<Vec<_>, _>>()?;
        let first = allowed.first().copied().unwrap_or_default();
        let mut parameters = self.parameters(first, request.pass, beam);
        parameters.set_audio_ctx(i32::try_from(context).unwrap_or(0));
        let how = (&allowed[..], self.threads(), most_tokens(self.padded.len()));
        let (state, samples) = self.at_work()?;
        let start = native::full(state, parameters, (samples, before), how, cancel);
        let start = start.map_err(|error| {
            if cancel.is_cancelled() { AsrError::Cancelled } else { engine_error("decode the window", &error) }
        })?;
        let tokens = if start.stranger { Vec::new() } else { self.tokens(request.pass) };
        Ok(Found { start, mean_logprob: mean_logprob(&tokens), tokens })
    }

    /// What the decoder is told of a window for the record: terms as a list, then what was said before.
    fn before(&self, lead: &Lead, pass: Pass) -> Result<Before, AsrError> {
        let mut terms = String::new();
        for term in &lead.terms {
            let longer = if terms.is_empty() { term.clone() } else { format!("{terms}, {term}") };
            if self.tokens_of(&longer)?.len() > MOST_OF_GLOSSARY {
                break;
            }
            terms = longer;
        }
        let mut tokens = if terms.is_empty() { Vec::new() } else { self.tokens_of(&format!("{terms}."))? };
        let said = self.tokens_of(&lead.before)?;
        tokens.extend_from_slice(&said[said.len().saturating_sub(self.most_before(pass))..]);
        let language = lead.language.as_ref().map(|tag| self.id_of(tag)).transpose()?;
        Ok(Before { tokens, language })
    }

    /// Which of the allowed languages is the likeliest, after a decode that began with one of them.
    fn chosen(
        &self,
        allowed: &AllowedLanguages,
        start: &Start,
    ) -> (LanguageTag, Option<Probability>, Vec<Probability>) {
        match allowed.given() {
            Some(given) => (given.clone(), None, Vec::new()),
            None => self.likeliest_of(allowed, &start.logits),
        }
    }

    /// Asks the decoder which of the allowed languages it hears in the window that was encoded last.
    pub(super) fn likeliest(
        &mut self,
        allowed: &AllowedLanguages,
    ) -> Result<(LanguageTag, Option<Probability>), AsrError> {
        self.read(&[self.context.token_sot()], 0)?;
        // One token was decoded, so row 0 is its row.
        let (language, posterior, _all) = self.likeliest_of(allowed, self.expected()?);
        Ok((language, posterior))
    }

    /// How probable each of the allowed languages is in the window that was encoded last.
    pub(super) fn posteriors(&mut self, allowed: &AllowedLanguages) -> Result<Vec<Probability>, AsrError> {
        self.read(&[self.context.token_sot()], 0)?;
        Ok(self.likeliest_of(allowed, self.expected()?).2)
    }

    fn likeliest_of(
        &self,
        allowed: &AllowedLanguages,
        logits: &[f32],
    ) -> (LanguageTag, Option<Probability>, Vec<Probability>) {
        let tags = allowed.tags();
        let logit = |tag| {
            let token = language_id(tag).and_then(|id| usize::try_from(self.context.token_lang(id)).ok());
            token.and_then(|token| logits.get(token)).copied().unwrap_or(f32::NEG_INFINITY)
        };
        let posteriors = softmax(&tags.iter().map(logit).collect::<Vec<_>>());
        let (best, p) = posteriors.iter().enumerate().fold((0, 0.0), |b, (i, &p)| if p > b.1 { (i, p) } else { b });
        let all = posteriors.iter().copied().map(Probability::clamped).collect();
        (tags[best].clone(), Some(Probability::clamped(p)), all)
    }

    /// What the decoder expects before the first word: the probability that nobody speaks, and of all its languages the
    /// share of those allowed. A model of English alone knows no languages.
    ///
    /// The row of `<|startoftranscript|>` alone holds the first; whisper.cpp 1.8.3 reads another row (its issue 3945).
    fn start_probabilities(&self, allowed: &AllowedLanguages, start: &Start) -> (Probability, Option<Probability>) {
        let probabilities = softmax(&start.logits);
        let of = |token: i32| usize::try_from(token).ok().and_then(|t| probabilities.get(t)).copied().unwrap_or(0.0);
        let no_speech = Probability::clamped(of(self.context.token_nosp()));
        if !self.context.is_multilingual() {
            return (no_speech, None);
        }
        let all: f32 = (0..=whisper_rs::get_lang_max_id()).map(|id| of(self.context.token_lang(id))).sum();
        let known = allowed.tags().iter().filter_map(language_id);
        let share = known.map(|id| of(self.context.token_lang(id))).sum::<f32>() / all.max(f32::MIN_POSITIVE);
        (no_speech, Some(Probability::clamped(share)))
    }

    /// Has the decoder read `tokens` behind `past` others. A single one is too little work to be shared.
    pub(super) fn read(&mut self, tokens: &[i32], past: usize) -> Result<(), AsrError> {
        let threads = if tokens.len() > 1 { self.threads } else { 1 };
        self.at_work()?.0.decode(tokens, past, threads).map_err(|error| engine_error("read tokens", &error))
    }

    pub(super) fn parameters(&mut self, language_id: i32, pass: Pass, beam: u8) -> FullParams<'static, 'static> {
        let options = &self.options;
        let mut parameters = self
            .prepared
            .entry((language_id, pass, beam))
            .or_insert_with(|| prepare(language_id, beam, options.of(pass)))
            .clone();
        parameters.set_n_threads(i32::try_from(self.threads).unwrap_or(1));
        parameters
    }

    /// Encoder positions for the padded window.
    pub(super) fn context_for(&self, pass: Pass) -> usize {
        let audio = (self.padded.len() * CONTEXT_PER_SECOND).div_ceil(SECOND);
        (audio + usize::from(self.options.of(pass).context_pad)).clamp(LEAST_CONTEXT, FULL_CONTEXT)
    }

    /// Whether tokens are what a decoder says that has lost its way: they do not end, or the same come again and again, or it
    /// believes none of them.
    fn is_lost(&self, tokens: &[Token], pass: Pass) -> bool {
        let lowest = self.options.of(pass).lost_below;
        tokens.len() >= most_tokens(self.padded.len()) || mean_logprob(tokens) < lowest || repeats(tokens)
    }

    /// Tokens of what was said before that are read.
    pub(super) fn most_before(&self, pass: Pass) -> usize {
        self.options.of(pass).prompt_tokens.into()
    }

    fn tokens(&self, pass: Pass) -> Vec<Token> {
        let aligned = self.options.of(pass).align_words;
        let first_special = self.context.token_eot();
        let mut tokens = Vec::new();
        for segment in self.state.iter().flat_map(WhisperState::as_iter) {
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

/// More tokens than anybody speaks in so many samples.
pub(super) const fn most_tokens(samples: usize) -> usize {
    samples * MOST_TOKENS_A_SECOND / SECOND + 32
}

/// The most probable token of text, or `end`, with its probability among these.
pub(super) fn most_probable(logits: &[f32], end: i32) -> (i32, f32) {
    // Text comes before the end in Whisper's vocabulary, languages, tasks and times behind it.
    let meant = usize::try_from(end).map_or(logits, |end| &logits[..logits.len().min(end + 1)]);
    let (best, top) = meant
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (token, &logit)| if logit > best.1 { (token, logit) } else { best });
    let sum: f32 = meant.iter().map(|logit| (logit - top).exp()).sum();
    (i32::try_from(best).unwrap_or(end), 1.0 / sum.max(1.0))
}

fn text_of(tokens: &[Token]) -> String {
    String::from_utf8_lossy(&tokens.iter().flat_map(|t| t.bytes.iter().copied()).collect::<Vec<_>>()).into_owned()
}

fn prepare(language_id: i32, beam: u8, p: &Decoding) -> FullParams<'static, 'static> {
    let strategy = if beam > 1 {
        SamplingStrategy::BeamSearch { beam_size: i32::from(beam), patience: -1.0 }
    } else {
        SamplingStrategy::Greedy { best_of: 1 }
    };
    let mut full = FullParams::new(strategy);
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

pub(super) fn softmax(logits: &[f32]) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|l| (l - top).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

pub(super) fn mean_logprob(tokens: &[Token]) -> f32 {
    if tokens.is_empty() {
        return 0.0;
    }
    let sum: f32 = tokens.iter().map(|t| t.probability.max(f32::MIN_POSITIVE).ln()).sum();
    sum / f32::from(u16::try_from(tokens.len()).unwrap_or(u16::MAX))
}
