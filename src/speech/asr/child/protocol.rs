//! What goes over the pipes between the service and an engine's process: frames of a head, as JSON, and a body, as samples.
//!
//! ```text
//! frame  = u32 LE bytes of head, u32 LE bytes of body, head, body
//! head   = a Request to the child, an Answer from it
//! body   = samples as f32 LE with a Decode, else empty
//! ```
//!
//! Both ends are the same program, so the version is a guard and not a negotiation. Every length has a bound: whatever the
//! bytes say, no more is kept in memory.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    domain::{engine::EngineInfo, hypothesis::Hypothesis, language::AllowedLanguages, time::Tick},
    speech::asr::{AsrError, KnownLanguages, Lead, MAX_WINDOW, Pass},
};

/// The version of these frames.
pub(super) const VERSION: u32 = 4;

/// A head's most bytes. The longest there is, 30 seconds of words with their scores, takes some 50,000.
const MOST_HEAD: usize = 1 << 20;

/// A body's most bytes: the longest window.
const MOST_BODY: usize = MAX_WINDOW * SAMPLE;

/// Bytes of a sample.
const SAMPLE: usize = 4;

/// Bytes of the two lengths.
const LENGTHS: usize = 8;

/// What the child is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// To decode the samples in the body.
    Decode {
        /// Comes back with the answer.
        id: u64,
        /// Where the first sample stands in its channel.
        start: Tick,
        /// What may be spoken.
        languages: AllowedLanguages,
        /// What it is for.
        pass: Pass,
        /// What is known of it.
        lead: Box<Lead>,
        /// How many threads it may use.
        threads: u8,
    },
    /// To give up a decode. It is answered all the same.
    Cancel {
        /// Which.
        id: u64,
    },
}

/// What the child says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Answer {
    /// First of all, once the weights are loaded.
    Hello(Box<Hello>),
    /// What became of a decode.
    Done {
        /// Which.
        id: u64,
        /// Its words, or why there are none.
        outcome: Result<Hypothesis, AsrError>,
    },
}

/// What an engine's process is. Each that is started must say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hello {
    /// [`VERSION`] of its program.
    pub(super) version: u32,
    /// Engine, weights and parameters of partials.
    pub(super) partial: EngineInfo,
    /// And of finals.
    pub(super) last: EngineInfo,
    /// What the model was trained on.
    pub(super) languages: KnownLanguages,
}

/// Bytes that are no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProtocolError {
    /// A head that is too long.
    #[error("a head of {bytes} bytes: {MOST_HEAD} can be")]
    HeadTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// A body that is too long.
    #[error("a body of {bytes} bytes: {MOST_BODY} can be")]
    BodyTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// A body that ends within a sample.
    #[error("a body of {bytes} bytes, which are no whole samples")]
    NotSamples {
        /// Its bytes.
        bytes: usize,
    },
    /// A head that cannot be read. What serde says of it may hold what was said: it is kept and never shown.
    #[error("a head of {bytes} bytes that cannot be read")]
    Head {
        /// Its bytes.
        bytes: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A frame as bytes.
pub(super) fn encode(head: &impl Serialize, samples: &[f32]) -> Result<Vec<u8>, ProtocolError> {
    let head = serde_json::to_vec(head).map_err(|source| ProtocolError::Head { bytes: 0, source })?;
    let body = samples.len().saturating_mul(SAMPLE);
    let lengths = [checked_head(head.len())?, checked_body(body)?];
    let mut bytes = Vec::with_capacity(LENGTHS + head.len() + body);
    for length in lengths {
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    bytes.extend_from_slice(&head);
    for sample in samples {
        bytes.extend_from_slice(&sample.to_le_bytes());
    }
    Ok(bytes)
}

fn checked_head(bytes: usize) -> Result<u32, ProtocolError> {
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= MOST_HEAD);
    length.ok_or(ProtocolError::HeadTooLong { bytes })
}

fn checked_body(bytes: usize) -> Result<u32, ProtocolError> {
    if !bytes.is_multiple_of(SAMPLE) {
        return Err(ProtocolError::NotSamples { bytes });
    }
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= MOST_BODY);
    length.ok_or(ProtocolError::BodyTooLong { bytes })
}

/// Bytes as they come become frames.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Takes bytes in.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame: its head and its samples. `None` until it is there.
    ///
    /// # Errors
    /// As soon as a length or a head is none; nothing can be read after that.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<f32>)>, ProtocolError> {
        let Some((lengths, rest)) = self.bytes.split_first_chunk::<LENGTHS>() else { return Ok(None) };
        let (head, body) = lengths.split_at(LENGTHS / 2);
        let (head, body) = (length(head), length(body));
        checked_head(head)?;
        checked_body(body)?;
        if rest.len() < head + body {
            return Ok(None);
        }
        let (head, rest) = rest.split_at(head);
        let read = serde_json::from_slice(head).map_err(|source| ProtocolError::Head { bytes: head.len(), source })?;
        let samples = rest[..body].as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample)).collect();
        self.bytes.drain(..LENGTHS + head.len() + body);
        Ok(Some((read, samples)))
    }
}

fn length(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::domain::{
        hypothesis::{HeardWord, Told},
        probability::Probability,
        time::TickSpan,
    };

    fn heard(words: Vec<(String, bool, f32)>, mean_logprob: f32) -> Hypothesis {
        let words = words.into_iter().enumerate().map(|(n, (text, spaced, score))| HeardWord {
            text,
            spaced,
            span: TickSpan::starting(Tick::new(n as u64), 1),
            score: Probability::clamped(score),
        });
        Hypothesis {
            window: TickSpan::starting(Tick::new(7), 480_000),
            language: "fr-CA".parse().unwrap(),
            language_posterior: Some(Probability::clamped(0.1)),
            allowed_share: None,
            words: words.collect(),
            no_speech: Probability::ZERO,
            mean_logprob,
            told: Told::Nothing,
            then: Vec::new(),
            posteriors: Vec::new(),
        }
    }

    fn all<T: DeserializeOwned>(bytes: &[u8], piece: usize) -> Vec<(T, Vec<f32>)> {
        let mut inbox = Inbox::default();
        let mut frames = Vec::new();
        for piece in bytes.chunks(piece) {
            inbox.push(piece);
            while let Some(frame) = inbox.next().unwrap() {
                frames.push(frame);
            }
        }
        assert!(inbox.bytes.is_empty());
        frames
    }

    proptest! {
        #[test]
        fn a_request_comes_out_as_it_went_in_whatever_pieces_it_came_in(
            id: u64, start: u64, last: bool, samples in vec(any::<f32>(), 0..300), piece in 1_usize..400,
        ) {
            let languages = AllowedLanguages::new(vec!["fr-CA".parse().unwrap(), "ht".parse().unwrap()]).unwrap();
            let pass = if last { Pass::Final } else { Pass::Partial };
            let decode = Request::Decode { id, start: Tick::new(start), languages, pass, lead: Box::default(), threads: 1 };
            let cancel = Request::Cancel { id };
            let mut bytes = encode(&decode, &samples).unwrap();
            bytes.extend(encode(&cancel, &[]).unwrap());
            let frames = all::<Request>(&bytes, piece);
            prop_assert_eq!(frames.len(), 2);
            prop_assert_eq!(&frames[0].0, &decode);
            prop_assert_eq!(&frames[1].0, &cancel);
            // By their bits: there are samples that equal nothing.
            let bits = |samples: &[f32]| samples.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&frames[0].1), bits(&samples));
        }

        #[test]
        fn an_answer_comes_out_as_it_went_in_to_the_last_bit_of_its_scores(
            id: u64,
            words in vec(("\\PC{1,12}", any::<bool>(), 0.0_f32..=1.0), 0..40),
            mean in -100.0_f32..=0.0,
        ) {
            let done = Answer::Done { id, outcome: Ok(heard(words, mean)) };
            let frames = all::<Answer>(&encode(&done, &[]).unwrap(), 4_096);
            prop_assert_eq!(frames, vec![(done, vec![])]);
        }

        #[test]
        fn no_bytes_bring_it_down(bytes in vec(any::<u8>(), 0..200)) {
            let mut inbox = Inbox::default();
            inbox.push(&bytes);
            while let Ok(Some(_)) = inbox.next::<Answer>() {}
        }
    }

    #[test]
    fn every_error_of_an_engine_passes() {
        for error in [
            AsrError::Window { samples: 0 },
            AsrError::UnknownLanguage { language: "qu".parse().unwrap(), model: "base".to_owned() },
            AsrError::Cancelled,
            AsrError::Engine { engine: "e".to_owned(), action: "a".to_owned(), code: -6 },
            AsrError::OutOfMemory { model: "base".to_owned() },
        ] {
            let done = Answer::Done { id: 1, outcome: Err(error) };
            assert_eq!(all::<Answer>(&encode(&done, &[]).unwrap(), 100), [(done, vec![])]);
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_waited_for() {
        let whole = encode(&Request::Cancel { id: 3 }, &[]).unwrap();
        for end in 0..whole.len() {
            let mut inbox = Inbox::default();
            inbox.push(&whole[..end]);
            assert!(inbox.next::<Request>().unwrap().is_none());
            assert_eq!(inbox.bytes.len(), end);
        }
    }

    #[track_caller]
    fn refused(head: u32, body: u32, expected: &str) {
        let mut inbox = Inbox::default();
        inbox.push(&[head.to_le_bytes(), body.to_le_bytes()].concat());
        assert_eq!(inbox.next::<Request>().unwrap_err().to_string(), expected);
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_anything_is_kept_for_them() {
        refused(1 << 20 | 1, 0, "a head of 1048577 bytes: 1048576 can be");
        refused(u32::MAX, u32::MAX, "a head of 4294967295 bytes: 1048576 can be");
        refused(2, 1_920_004, "a body of 1920004 bytes: 1920000 can be");
        refused(2, 6, "a body of 6 bytes, which are no whole samples");
        assert!(encode(&Request::Cancel { id: 0 }, &vec![0.0; MAX_WINDOW + 1]).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        let mut inbox = Inbox::default();
        let head = br#"{"done":{"id":1,"outcome":{"Ok":"spoken in confidence"}}}"#;
        inbox.push(&u32::try_from(head.len()).unwrap().to_le_bytes());
        inbox.push(&[0; 4]);
        inbox.push(head);
        let error = inbox.next::<Answer>().unwrap_err().to_string();
        assert_eq!(error, "a head of 57 bytes that cannot be read");
    }
}
