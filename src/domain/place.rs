//! Where hearings are held: courts and their rooms, by names that may stand in certificates and logs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest name, in characters.
const LONGEST: usize = 64;

/// A text that cannot name a court or a room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} cannot name a {what}: write 1 to {LONGEST} of a-z, 0-9, '-', '_' and '.', beginning with a letter or a digit"
)]
pub struct PlaceError {
    what: &'static str,
    text: String,
}

impl super::fault::Fault for PlaceError {
    fn kind(&self) -> super::fault::FaultKind {
        super::fault::FaultKind::Invalid
    }
}

macro_rules! place_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = PlaceError;

            fn try_from(text: String) -> Result<Self, PlaceError> {
                let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
                let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
                if first && text.len() <= LONGEST && text.chars().all(inner) {
                    Ok(Self(text))
                } else {
                    Err(PlaceError { what: $what, text: text.chars().take(LONGEST).collect() })
                }
            }
        }

        impl FromStr for $name {
            type Err = PlaceError;

            fn from_str(text: &str) -> Result<Self, PlaceError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

place_name!(
    /// A court, by the name that its deployment gave it.
    ///
    /// ```
    /// use vivavoce::domain::place::CourtId;
    /// assert!("tribunal-3.lyon".parse::<CourtId>().is_ok());
    /// assert!("Tribunal 3".parse::<CourtId>().is_err());
    /// ```
    CourtId,
    "court"
);
place_name!(
    /// A room of a court, by its name there.
    RoomId,
    "room"
);

/// A room of a court.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Courtroom {
    /// The court.
    pub court: CourtId,
    /// Its room: two courts may both have a `room-1`.
    pub room: RoomId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, good: bool) {
        assert_eq!(text.parse::<RoomId>().is_ok(), good, "{text:?}");
        assert_eq!(serde_json::from_value::<RoomId>(text.into()).is_ok(), good, "{text:?}");
    }

    #[test]
    fn a_name_holds_nothing_that_could_forge_a_line_or_a_path() {
        check("room-1", true);
        check("1.og_b", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        for text in ["", "-a", "..", "a/b", "a b", "A", "a\n", "a\u{202e}", "é"] {
            check(text, false);
        }
    }
}
