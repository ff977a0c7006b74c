//! Identifiers. Each is a type of its own so that one cannot be taken for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an identifier.
#[derive(Debug, thiserror::Error)]
#[error("{what} id {text:?} is not a UUID")]
pub struct IdError {
    what: &'static str,
    text: String,
    #[source]
    source: uuid::Error,
}

impl super::fault::Fault for IdError {
    fn kind(&self) -> super::fault::FaultKind {
        super::fault::FaultKind::Invalid
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that the caller drew.
            #[must_use]
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|source| IdError { what: $what, text: text.chars().take(64).collect(), source })
            }
        }
    };
}

uuid_id!(
    /// One sitting of a proceeding.
    HearingId,
    "hearing"
);
uuid_id!(
    /// One segment of the record, stable for life.
    SegmentId,
    "segment"
);
uuid_id!(
    /// A person: random, so that it says nothing of who it is.
    PersonId,
    "person"
);
uuid_id!(
    /// A recorder or another device, as its certificate names it.
    DeviceId,
    "device"
);
uuid_id!(
    /// A program that calls the service in its own name.
    ProgramId,
    "program"
);
uuid_id!(
    /// A token or a session that was given out: this may be shown and logged, the token itself may not.
    TokenId,
    "token"
);
uuid_id!(
    /// The assignment of a person to a hearing.
    AssignmentId,
    "assignment"
);
uuid_id!(
    /// Something that two people have to agree on.
    ProposalId,
    "proposal"
);

/// A channel of a hearing, counted from 1 as on the recorder's front panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(u8);

impl ChannelId {
    /// The most channels one hearing has.
    pub const MAX: u8 = 16;

    /// Channel `number`, 1 to 16; `None` outside.
    ///
    /// ```
    /// use vivavoce::domain::id::ChannelId;
    /// assert!(ChannelId::new(0).is_none());
    /// assert_eq!(ChannelId::new(16).unwrap().index(), 15);
    /// ```
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number >= 1 && number <= Self::MAX { Some(Self(number)) } else { None }
    }

    /// 1 to 16.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// 0 to 15.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
