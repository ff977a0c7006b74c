//! What kind of thing went wrong, in one closed list that every door (gRPC, HTTP, exit code) translates.

use std::time::Duration;

/// The kind of a failure. Each error enum of the product maps each of its variants onto one of these.
///
/// `api::status` turns it into a gRPC and an HTTP status, [`FaultKind::exit_code`] into the exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The caller sent something that can never be right.
    Invalid,
    /// The thing named does not exist.
    NotFound,
    /// The thing exists already.
    AlreadyExists,
    /// The thing is in a state that does not allow the call.
    Conflict,
    /// Who the caller is could not be established.
    Unauthenticated,
    /// The caller is known and may not.
    Forbidden,
    /// There is no room now; try again after the time given.
    Overloaded {
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// The caller gave up.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// A part that is needed is not there now.
    Unavailable,
    /// Stored data is damaged or missing.
    DataLoss,
    /// The call is described and not built yet.
    Unimplemented,
    /// A defect or a failure of the machine.
    Internal,
}

impl FaultKind {
    /// The exit code of a command that ends with this fault: 2 for bad input, 3 for damaged data, 130 when cancelled, else 1.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Invalid => 2,
            Self::DataLoss => 3,
            Self::Cancelled => 130,
            Self::NotFound
            | Self::AlreadyExists
            | Self::Conflict
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::Overloaded { .. }
            | Self::TimedOut
            | Self::Unavailable
            | Self::Unimplemented
            | Self::Internal => 1,
        }
    }
}

/// An error that knows its kind.
pub trait Fault: std::error::Error {
    /// The kind, for the door to translate.
    fn kind(&self) -> FaultKind;
}
