//! Closed lists whose members are written by name: in tables, tokens and logs.

/// A text that names no member of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}")]
pub struct NameError {
    /// What it was to name.
    pub what: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl crate::domain::fault::Fault for NameError {
    fn kind(&self) -> crate::domain::fault::FaultKind {
        crate::domain::fault::FaultKind::Invalid
    }
}

/// An enum of which each member has a name: `ALL`, `as_str`, `FromStr`, `Display`, and serde by name.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $list:ident ($what:literal) { $($(#[$doc:meta])* $member:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $list {
            $($(#[$doc])* $member,)+
        }

        impl $list {
            /// Every member.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$member),+];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$member => $text,)+
                }
            }
        }

        impl std::fmt::Display for $list {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $list {
            type Err = $crate::access::named::NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.into_iter().find(|member| member.as_str() == text).ok_or_else(|| {
                    $crate::access::named::NameError { what: $what, text: text.chars().take(64).collect() }
                })
            }
        }

        impl TryFrom<String> for $list {
            type Error = $crate::access::named::NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$list> for String {
            fn from(member: $list) -> Self {
                member.as_str().to_owned()
            }
        }
    };
}

pub(super) use named;
