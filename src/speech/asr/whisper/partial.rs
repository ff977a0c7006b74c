//! The decode of text that is shown while people speak: one encoder pass over a context cut to the window, then the most
//! probable token after the other. It goes on from the words that are settled already, which are read in one pass, so that only
//! new words are decoded and none can come twice.
//!
//! There are no times in it: aligning would take another pass. Words are laid evenly over the window, by their letters.

use super::{
    decoder::{WhisperDecoder, mean_logprob, most_probable, most_tokens},
    engine_error,
};
use crate::{
    domain::{
        hypothesis::{HeardWord, Hypothesis, Told},
        language::LanguageTag,
        probability::Probability,
        time::{Tick, TickSpan},
    },
    speech::asr::{
        AsrError, CancelFlag, DecodeRequest, Lead, Pass,
        words::{Token, assemble, repeats},
    },
};

/// Tokens of the words that the window begins with: a third of the decoder's context of 448.
const MOST_LEADING: usize = 160;

impl WhisperDecoder {
    /// Decodes a window of which text is shown and forgotten.
    pub(super) fn partial(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Hypothesis, AsrError> {
        self.encode(request.pass, cancel)?;
        let (language, posterior) = match request.languages.given() {
            Some(given) => (given.clone(), None),
            None => self.likeliest(request.languages)?,
        };
        let tokens = self.follow(&language, request.lead, cancel)?;
        let length = u64::try_from(request.samples.len()).unwrap_or(u64::MAX);
        let mut words = assemble(&tokens, &language, request.start, length);
        lay(&mut words, request.lead.words.chars().count() as u64, request.start, length);
        Ok(Hypothesis {
            window: TickSpan::starting(request.start, length),
            words,
            language,
            language_posterior: posterior,
            allowed_share: None,
            no_speech: Probability::ZERO,
            mean_logprob: mean_logprob(&tokens),
            told: Told::Nothing,
            then: Vec::new(),
            posteriors: Vec::new(),
        })
    }

    /// Computes the spectrogram of the window and encodes it, nothing more.
    pub(super) fn encode(&mut self, pass: Pass, cancel: &CancelFlag) -> Result<(), AsrError> {
        // With a tenth of a second to decode, `full` makes the spectrogram, sets the length of the context, and ends.
        let mut parameters = self.parameters(0, pass, 1);
        parameters.set_duration_ms(100);
        parameters.set_audio_ctx(i32::try_from(self.context_for(pass)).unwrap_or(0));
        let threads = self.threads();
        let (state, samples) = self.at_work()?;
        state.full(parameters, samples).map_err(|error| engine_error("prepare the window", &error))?;
        if cancel.is_cancelled() {
            return Err(AsrError::Cancelled);
        }
        state.encode(0, threads).map_err(|error| engine_error("encode the window", &error))
    }

    /// The tokens that follow what leads, each the most probable.
    fn follow(&mut self, language: &LanguageTag, lead: &Lead, cancel: &CancelFlag) -> Result<Vec<Token>, AsrError> {
        let prompt = self.prompt(language, lead)?;
        let end = self.context().token_eot();
        let most = most_tokens(self.length()).min(448_usize.saturating_sub(prompt.len() + 1));
        // whisper.cpp gives the logits of the last of several tokens where whisper-rs does not look: the last comes alone.
        let (last, first) = prompt.split_last().map_or((end, &prompt[..0]), |(last, first)| (*last, first));
        if !first.is_empty() {
            self.read(first, 0)?;
        }
        let (mut next, mut past) = (last, first.len());
        let mut tokens: Vec<Token> = Vec::new();
        while tokens.len() < most {
            if cancel.is_cancelled() {
                return Err(AsrError::Cancelled);
            }
            self.read(&[next], past)?;
            past += 1;
            let (token, probability) = most_probable(self.expected()?, end);
            if token == end {
                break;
            }
            let bytes = self.context().token_to_bytes(token).map(<[u8]>::to_vec).unwrap_or_default();
            tokens.push(Token { bytes, probability, end_cs: None });
            if repeats(&tokens) {
                // A decoder that has lost its way: what is shown would be wrong from here on.
                tokens.truncate(tokens.len() / 2);
                break;
            }
            next = token;
        }
        Ok(tokens)
    }

    /// A text as tokens, as it stands after a space.
    pub(super) fn tokens_of(&self, text: &str) -> Result<Vec<i32>, AsrError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        // No token has less than a byte, so there is always room: whisper-rs trusts the number of too little room.
        let all = self.context().tokenize(&format!(" {text}"), text.len() + 8);
        all.map_err(|error| engine_error("read the words before", &error))
    }

    fn prompt(&self, language: &LanguageTag, lead: &Lead) -> Result<Vec<i32>, AsrError> {
        let context = self.context();
        let before = self.tokens_of(&lead.before)?;
        let leading = self.tokens_of(&lead.words)?;
        let mut prompt = Vec::new();
        let most = self.most_before(Pass::Partial).min(before.len());
        if most > 0 {
            prompt.push(context.token_prev());
            prompt.extend_from_slice(&before[before.len() - most..]);
        }
        prompt.push(context.token_sot());
        if context.is_multilingual() {
            prompt.extend([context.token_lang(self.id_of(language)?), context.token_transcribe()]);
        }
        prompt.push(context.token_not());
        prompt.extend_from_slice(&leading[leading.len().saturating_sub(MOST_LEADING)..]);
        Ok(prompt)
    }
}

/// Lays words evenly over a window, behind `leading` letters that it begins with.
fn lay(words: &mut [HeardWord], leading: u64, start: Tick, length: u64) {
    let letters = |word: &HeardWord| word.text.chars().count() as u64 + 1;
    let all = leading + words.iter().map(letters).sum::<u64>();
    let mut passed = leading;
    for word in words {
        let from = length * passed / all.max(1);
        passed += letters(word);
        let to = length * passed / all.max(1);
        word.span = TickSpan::starting(start.plus(from), to - from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_laid_over_the_window_behind_those_that_lead() {
        let word = |text: &str| HeardWord {
            text: text.to_owned(),
            spaced: true,
            span: TickSpan::starting(Tick::ZERO, 0),
            score: Probability::ONE,
        };
        let mut words = [word("abc"), word("abc")];
        lay(&mut words, 8, Tick::new(1_000), 16_000);
        assert_eq!(words[0].span, TickSpan::starting(Tick::new(9_000), 4_000));
        assert_eq!(words[1].span, TickSpan::starting(Tick::new(13_000), 4_000));
        lay(&mut [], 0, Tick::ZERO, 16_000);
    }
}
