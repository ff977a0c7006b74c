//! Who did something, when, and what for. Every entry of the record carries all three.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What kind of actor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    Person,
    /// A recorder or another device of a courtroom.
    Device,
    /// A program that calls the service.
    Program,
    /// The service itself.
    Service,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What kind.
    pub kind: ActorKind,
    /// Its identifier; a random one for people, never a name.
    pub id: String,
}

/// What something was done for: the processing operations of data-protection law that the log tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Taking in audio and making text of it.
    Collection,
    /// Changing what is recorded.
    Alteration,
    /// Reading.
    Consultation,
    /// Handing out.
    Disclosure,
    /// Putting records together.
    Combination,
    /// Destroying.
    Erasure,
}

/// Who, what for and when, in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// Who.
    pub actor: Actor,
    /// What for.
    pub purpose: Purpose,
    /// When, by the clock of the machine.
    pub at: Timestamp,
}
