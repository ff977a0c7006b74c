//! Frames and speech probabilities become utterances. No input or output, no clock, no thread: a whole hearing can be
//! replayed through a [`session::Session`] in a unit test, and how audio was cut into messages cannot matter, since the
//! session only ever sees whole frames in order.

pub mod endpoint;
pub mod live;
pub mod pace;
pub mod session;
