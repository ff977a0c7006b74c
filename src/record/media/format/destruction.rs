//! What a frame holds that says that samples are destroyed.

use super::array;
use crate::{
    domain::time::{SamplePos, Span},
    record::seal::KeyId,
};

/// An order to destroy, carried out or about to be: once it is on disk, whoever opens the file carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destruction {
    /// The samples, in order; each was stored.
    pub spans: Vec<Span>,
    /// The keys that sealed them. What else they sealed stands again in frames before this one, under other keys.
    pub keys: Vec<KeyId>,
}

impl Destruction {
    /// Length of the payload.
    #[must_use]
    pub const fn payload_bytes(&self) -> usize {
        8 + 16 * (self.spans.len() + self.keys.len())
    }

    /// The payload of its frame: number of spans u32, number of keys u32, spans (first u64, end u64), key ids (16).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(self.payload_bytes());
        bytes.extend_from_slice(&count(self.spans.len()));
        bytes.extend_from_slice(&count(self.keys.len()));
        for span in &self.spans {
            bytes.extend_from_slice(&span.start().index().to_le_bytes());
            bytes.extend_from_slice(&span.end().index().to_le_bytes());
        }
        for key in &self.keys {
            bytes.extend_from_slice(key.bytes());
        }
        bytes
    }

    /// The order in the payload of a frame; `None` for a payload that is none.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (head, rest) = payload.split_at_checked(8)?;
        let [spans, keys] = [0, 4].map(|at| u32::from_le_bytes(array(head, at)) as usize);
        if rest.len() != 16 * (spans + keys) {
            return None;
        }
        let (spans, keys) = rest.split_at(16 * spans);
        let position = |bytes: &[u8], at| SamplePos::new(u64::from_le_bytes(array(bytes, at)));
        Some(Self {
            spans: spans.chunks(16).map(|s| Span::new(position(s, 0), position(s, 8))).collect::<Option<_>>()?,
            keys: keys.chunks(16).map(|k| KeyId::new(array(k, 0))).collect(),
        })
    }
}
