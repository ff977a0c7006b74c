//! What a hearing needs from outside: the time and chance. Only the composition root asks the system for them.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

/// The clock and the dice.
pub trait World: fmt::Debug + Send + Sync + 'static {
    /// The time by the machine's clock.
    fn now(&self) -> Timestamp;

    /// A clock that nobody sets, since some moment: it only goes forward.
    fn steady(&self) -> Duration;

    /// A new identifier, random but for its time (UUID version 7).
    fn draw_id(&self) -> Uuid;

    /// Sixteen bytes from the system's random source.
    fn draw_bytes(&self) -> [u8; 16];
}
