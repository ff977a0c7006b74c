//! Who may do what. Values in, decisions out: no file, no clock, no chance, so that all of it can be tried without a server.
//!
//! Whoever asks is a [`principal::Principal`], made by a certificate, an [`account`] or a [`token`]. [`policy::decide`] says of one
//! action in one place whether it is allowed and on which conditions; [`policy::Permit::meet`] holds these against what the caller
//! brought and gives a [`policy::Leave`], which says what is to be logged ([`purpose`]). What needs two people goes through
//! [`approval`]; who may work on which hearing, through [`assignment`].

pub mod account;
pub mod action;
pub mod approval;
pub mod assignment;
pub mod named;
pub mod policy;
pub mod principal;
pub mod purpose;
pub mod role;
#[cfg(test)]
mod sample;
pub mod scope;
pub mod token;
pub mod validity;

use std::time::Duration;

use jiff::Timestamp;

use self::{account::password::Weakness, role::Role};
use crate::domain::fault::{Fault, FaultKind};

/// Why something is not done. No text says whether a thing is there: what is absent and what is kept from a caller are one answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// It is not allowed, or there is no such thing: the caller is not told which.
    #[error("there is no such thing here, or it is not for this caller: ask the clerk of the court")]
    Denied,
    /// Who the caller is could not be established, for whichever reason.
    #[error("who is calling could not be established: sign in again, or show a token or certificate that is valid")]
    NotKnown,
    /// Too many tries that failed.
    #[error("too many tries failed: wait {} s before the next one", retry_after.as_secs())]
    TooManyTries {
        /// How long to wait.
        retry_after: Duration,
    },
    /// It needs a second factor, shown a short while ago.
    #[error("this needs the second factor once more: show a new code, and do it within five minutes")]
    SecondFactor,
    /// It is done on a judge's order, and none was named.
    #[error("this is done on an order of a judge: name who gave it, and why")]
    OrderNeeded,
    /// Drafts are shown to who knows what they are.
    #[error("this is a draft that a machine made: accept the notice that says so first")]
    NoticeNeeded,
    /// It is computed in the enclave only.
    #[error("this is done inside the enclave only")]
    EnclaveNeeded,
    /// What it is for was not said, or it is not done for that.
    #[error("this is not done for the purpose that was named: name what it is for")]
    PurposeNeeded,
    /// A role cannot be granted so far.
    #[error("the role {role} is not granted that far: name its court, its room or its hearings")]
    GrantTooWide {
        /// Which.
        role: Role,
    },
    /// A role is not for such a caller.
    #[error("the role {role} is for another kind of caller")]
    NotForCaller {
        /// Which.
        role: Role,
    },
    /// Two roles that one account does not hold.
    #[error("the roles {role} and {other} do not go into one account: use two")]
    RolesApart {
        /// One.
        role: Role,
        /// The other.
        other: Role,
    },
    /// Beyond what they are registered for.
    #[error("they are not registered at this court for a language and direction of the request, or not for that time")]
    NotRegistered,
    /// Nothing was declared.
    #[error("they have not declared their interests in this hearing, or that there are none: let them do so first")]
    NotDeclared,
    /// Related to a party.
    #[error("they declared that they are related to a party: assign another, or name a judge's order")]
    Conflicted,
    /// A second reader who was at work before.
    #[error("a second reader has no other part in the text of the hearing: assign another")]
    NotIndependent,
    /// Nobody certifies who did not interpret it live.
    #[error("somebody certifies it who did not interpret it live: name one more person, or a judge's order")]
    OtherCertifierNeeded,
    /// One person for two.
    #[error("this takes two people: another one than who proposed it approves it")]
    SamePerson,
    /// Not what was proposed.
    #[error("this is not what was proposed: propose it anew as it is now")]
    ContentChanged,
    /// One of the two may not any more.
    #[error("one of the two people has no right to this any more: propose it anew")]
    RightGone,
    /// Carried out, refused, or it took too long.
    #[error("this proposal was carried out or refused, or it took too long: propose it anew")]
    ProposalOver,
    /// Nobody approved it yet.
    #[error("nobody approved this yet: another person has to")]
    NotApproved,
    /// It was approved, and the delay is not over.
    #[error("this was approved and can be done from {due} on")]
    TooEarly {
        /// From when on.
        due: Timestamp,
    },
    /// A new password that would be guessed.
    #[error("this password {problem}: choose another")]
    WeakPassword {
        /// What is wrong with it.
        problem: Weakness,
    },
    /// A cost of hashes that is too low, or that a server cannot bear; or what is stored is no hash of ours.
    #[error(
        "this cost of password hashes is below the recommended or more than a server can bear: 19456 KiB and 2 passes are usual"
    )]
    HashCost,
    /// A token that would be good for too much, for too long, or for nothing.
    #[error(
        "a token names what it is for, lasts a year at most, is a person's or a program's, and is for nothing that needs a second \
         factor"
    )]
    TokenTooWide,
    /// There is no memory to look at a password.
    #[error("there is no memory to look at a password now: try again")]
    HashFailed,
}

impl Fault for AccessError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Denied | Self::SecondFactor | Self::EnclaveNeeded => FaultKind::Forbidden,
            Self::NotKnown => FaultKind::Unauthenticated,
            Self::TooManyTries { retry_after } => FaultKind::Overloaded { retry_after: *retry_after },
            Self::NoticeNeeded
            | Self::RolesApart { .. }
            | Self::NotRegistered
            | Self::NotDeclared
            | Self::Conflicted
            | Self::NotIndependent
            | Self::OtherCertifierNeeded
            | Self::SamePerson
            | Self::ContentChanged
            | Self::RightGone
            | Self::ProposalOver
            | Self::NotApproved
            | Self::TooEarly { .. } => FaultKind::Conflict,
            Self::OrderNeeded
            | Self::PurposeNeeded
            | Self::GrantTooWide { .. }
            | Self::NotForCaller { .. }
            | Self::WeakPassword { .. }
            | Self::TokenTooWide
            | Self::HashCost => FaultKind::Invalid,
            Self::HashFailed => FaultKind::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_error() -> Vec<AccessError> {
        let (role, other) = (Role::Clerk, Role::Administrator);
        vec![
            AccessError::Denied,
            AccessError::NotKnown,
            AccessError::TooManyTries { retry_after: Duration::from_secs(4) },
            AccessError::SecondFactor,
            AccessError::OrderNeeded,
            AccessError::NoticeNeeded,
            AccessError::EnclaveNeeded,
            AccessError::PurposeNeeded,
            AccessError::GrantTooWide { role },
            AccessError::NotForCaller { role },
            AccessError::RolesApart { role, other },
            AccessError::NotRegistered,
            AccessError::NotDeclared,
            AccessError::Conflicted,
            AccessError::NotIndependent,
            AccessError::OtherCertifierNeeded,
            AccessError::SamePerson,
            AccessError::ContentChanged,
            AccessError::RightGone,
            AccessError::ProposalOver,
            AccessError::NotApproved,
            AccessError::TooEarly { due: Timestamp::UNIX_EPOCH },
            AccessError::WeakPassword { problem: Weakness::Length },
            AccessError::TokenTooWide,
            AccessError::HashCost,
            AccessError::HashFailed,
        ]
    }

    #[test]
    fn no_error_tells_what_is_there() {
        for error in every_error() {
            let text = error.to_string();
            let telling = ["seal", "closed session", "secret", "exist", "hidden", "hearing \"", "password is"];
            assert!(!telling.iter().any(|word| text.contains(word)), "{text}");
            assert!(text.starts_with(char::is_lowercase) && !text.ends_with('.'), "{text}");
        }
    }

    #[test]
    fn who_may_not_and_who_is_not_known_are_told_apart_and_nothing_else_is() {
        let kind = |error: AccessError| error.kind();
        assert_eq!(kind(AccessError::Denied), FaultKind::Forbidden);
        assert_eq!(kind(AccessError::NotKnown), FaultKind::Unauthenticated);
        assert!(every_error().into_iter().all(|error| error.kind() != FaultKind::NotFound));
    }
}
