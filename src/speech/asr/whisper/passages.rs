//! A window in which several languages may be spoken one after the other. An engine of this family writes all of a window in one
//! language, whatever is said: what was said in another comes out as nonsense, or translated. So what lies between pauses is looked at
//! first, and what is in different languages is decoded apart.

use super::decoder::WhisperDecoder;
use crate::{
    domain::{hypothesis::Hypothesis, probability::Probability},
    speech::{
        asr::{AsrError, CancelFlag, DecodeRequest, Lead},
        turns,
    },
};

impl WhisperDecoder {
    /// The decode for the record, of each passage by itself.
    pub(super) fn passages(
        &mut self,
        request: &DecodeRequest<'_>,
        cancel: &CancelFlag,
    ) -> Result<Hypothesis, AsrError> {
        let begins = self.changes(request, cancel)?;
        let lead = Lead { pauses: Vec::new(), ..request.lead.clone() };
        let ends = begins.iter().copied().skip(1).chain([request.samples.len()]);
        let mut heard = Vec::with_capacity(begins.len());
        for (begin, end) in begins.iter().copied().zip(ends) {
            let passage = DecodeRequest {
                samples: &request.samples[begin..end],
                start: request.start.plus(begin as u64),
                lead: &lead,
                ..*request
            };
            self.pad(passage.samples);
            heard.push(self.last(&passage, cancel)?);
        }
        let then = heard.split_off(1);
        let mut first = heard.swap_remove(0);
        first.then = then;
        Ok(first)
    }

    /// Where the passages begin: the first sample, and each pause behind which another language is spoken.
    fn changes(&mut self, request: &DecodeRequest<'_>, cancel: &CancelFlag) -> Result<Vec<usize>, AsrError> {
        let mut begins = vec![0];
        let length = request.samples.len();
        if request.languages.tags().len() < 2 || request.lead.pauses.is_empty() {
            return Ok(begins);
        }
        // Whoever asked is another process: what it says of its own samples is not trusted.
        for pause in request.lead.pauses.iter().copied().filter(|pause| *pause < length) {
            if begins.last().is_some_and(|before| pause > *before) {
                begins.push(pause);
            }
        }
        let ends = begins.iter().copied().skip(1).chain([length]).collect::<Vec<_>>();
        let mut pieces: Vec<Vec<Probability>> = Vec::with_capacity(begins.len());
        for (begin, end) in begins.iter().copied().zip(ends) {
            self.pad(&request.samples[begin..end]);
            self.encode(request.pass, cancel)?;
            pieces.push(self.posteriors(request.languages)?);
        }
        let changes = turns::changes(request.languages.tags(), &pieces);
        tracing::debug!(pieces = pieces.len(), changes = changes.len(), "languages of what lies between pauses");
        Ok([0].into_iter().chain(changes.into_iter().map(|at| begins[at])).collect())
    }
}
