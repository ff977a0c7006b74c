//! In which capacity somebody has to do with a court. What each may do stands in [`policy`](super::policy).

use serde::{Deserialize, Serialize};

use super::named::named;
use crate::domain::actor::ActorKind;

named! {
    /// A capacity in which somebody has to do with a court.
    pub enum Role ("role") {
        /// A recorder of one courtroom.
        RecorderDevice = "recorder_device",
        /// Who watches over the recording.
        Monitor = "monitor",
        /// Who reviews texts, or interprets.
        Interpreter = "interpreter",
        /// Who reviews a second time without seeing what the first one did.
        SecondReader = "second_reader",
        /// Who keeps the file of a court.
        Clerk = "clerk",
        /// Who directs the hearing.
        Judge = "judge",
        /// A party to the case, the accused included.
        Party = "party",
        /// Who speaks for a party.
        Counsel = "counsel",
        /// A victim.
        Victim = "victim",
        /// A witness.
        Witness = "witness",
        /// The body that oversees the use of the machine.
        Oversight = "oversight",
        /// Who measures errors on an evaluation set.
        Evaluator = "evaluator",
        /// Who runs the machine. Reads no hearing.
        Administrator = "administrator",
        /// Anybody, signed in or not.
        Public = "public",
        /// A program that looks after the machine.
        Service = "service",
    }
}

/// How far a grant of a role may reach at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Hearings that are named.
    Hearings,
    /// One room.
    Room,
    /// One court: no one's rights cross from one court to another, unless they were granted in both.
    Court,
    /// All courts of the deployment.
    Everywhere,
}

impl Role {
    /// How far a grant of it may reach at most.
    #[must_use]
    pub const fn reach(self) -> Reach {
        match self {
            Self::Party | Self::Counsel | Self::Victim | Self::Witness => Reach::Hearings,
            Self::RecorderDevice => Reach::Room,
            Self::Monitor | Self::Interpreter | Self::SecondReader | Self::Clerk | Self::Judge => Reach::Court,
            Self::Oversight | Self::Evaluator | Self::Administrator | Self::Public | Self::Service => Reach::Everywhere,
        }
    }

    /// Whether a caller of this kind can hold it. What certifies or orders is a person.
    #[must_use]
    pub const fn is_for(self, kind: ActorKind) -> bool {
        match self {
            Self::RecorderDevice => matches!(kind, ActorKind::Device),
            Self::Service => matches!(kind, ActorKind::Program),
            Self::Public => true,
            Self::Monitor
            | Self::Interpreter
            | Self::SecondReader
            | Self::Clerk
            | Self::Judge
            | Self::Party
            | Self::Counsel
            | Self::Victim
            | Self::Witness
            | Self::Oversight
            | Self::Evaluator
            | Self::Administrator => matches!(kind, ActorKind::Person),
        }
    }

    /// Whether one account can hold both. Who administers does nothing else under the same name: it would open hearings to whoever
    /// holds the machine.
    #[must_use]
    pub const fn goes_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Administrator, Self::Administrator | Self::Public) | (Self::Public, Self::Administrator) => true,
            (Self::Administrator, _other) | (_other, Self::Administrator) => false,
            // Others may meet in one person; in one hearing, assignments keep them apart.
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_administers_holds_no_role_that_reads() {
        for role in Role::ALL {
            let alone = matches!(role, Role::Administrator | Role::Public);
            assert_eq!(Role::Administrator.goes_with(role), alone, "{role}");
            assert_eq!(role.goes_with(Role::Administrator), alone, "{role}");
        }
        assert!(Role::Judge.goes_with(Role::Public) && Role::Interpreter.goes_with(Role::SecondReader));
    }

    #[test]
    fn a_role_is_written_by_its_name() {
        for role in Role::ALL {
            let text = serde_json::to_string(&role).unwrap();
            assert_eq!(text, format!("{:?}", role.as_str()));
            assert_eq!(serde_json::from_str::<Role>(&text).unwrap(), role);
        }
        assert!("king".parse::<Role>().is_err());
    }
}
