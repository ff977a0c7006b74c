//! The language of an utterance among those that the channel allows, by the utterance before.

use crate::{
    domain::{
        channel::ChannelSetup, hypothesis::Hypothesis, language::AllowedLanguages, probability::Probability,
        segment::Segment,
    },
    speech::spoken::{Spoken, decide},
};

/// What was settled of an utterance's language when it was first decoded. What a second decode is given says nothing of it.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    spoken: Spoken,
    posterior: Option<Probability>,
    allowed_share: Option<Probability>,
}

impl Settled {
    /// By what a decode says and the utterance before; `None` where there is no choice.
    pub(crate) fn of(heard: &Hypothesis, channel: &ChannelSetup, before: Option<&Spoken>) -> Option<Self> {
        let tags = channel.languages.tags();
        let spoken = decide(tags, &heard.posteriors, before)?;
        let place = tags.iter().position(|tag| *tag == spoken.language)?;
        let posterior = heard.posteriors.get(place).copied();
        Some(Self { spoken, posterior, allowed_share: heard.allowed_share })
    }

    /// What the utterance is to be decoded in again, where the decode took it for another language.
    pub(crate) fn otherwise(&self, heard: &Hypothesis) -> Option<AllowedLanguages> {
        (self.spoken.language != heard.language).then(|| self.languages())
    }

    /// The language alone.
    pub(crate) fn languages(&self) -> AllowedLanguages {
        AllowedLanguages::only(self.spoken.language.clone())
    }

    /// Says in what a decode brought how probable the language was when there was a choice.
    pub(crate) fn tell(&self, heard: &mut Hypothesis) {
        (heard.language_posterior, heard.allowed_share) = (self.posterior, self.allowed_share);
    }

    /// Writes into the text what was not taken.
    pub(crate) fn note(&self, segment: &mut Segment) {
        segment.leaning = self.spoken.leaning.clone();
    }
}
