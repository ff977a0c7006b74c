//! Who asks: an identity, the roles granted to it, and what narrows them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccessError, action::Action, role::Role, scope::Scope, validity::Validity};
use crate::domain::{
    actor::{Actor, ActorKind},
    id::{DeviceId, HearingId, PersonId, ProgramId, TokenId},
};

/// Who somebody is, as a certificate, an account or a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// A person.
    Person(PersonId),
    /// A device of a courtroom.
    Device(DeviceId),
    /// A program in its own name.
    Program(ProgramId),
    /// Nobody signed in.
    Anybody,
}

impl Identity {
    /// As the record and the log name it.
    #[must_use]
    pub fn actor(self) -> Actor {
        let (kind, id) = match self {
            Self::Person(id) => (ActorKind::Person, id.to_string()),
            Self::Device(id) => (ActorKind::Device, id.to_string()),
            Self::Program(id) => (ActorKind::Program, id.to_string()),
            Self::Anybody => (ActorKind::Person, "anybody".to_owned()),
        };
        Actor { kind, id }
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(self) -> ActorKind {
        match self {
            Self::Person(_) | Self::Anybody => ActorKind::Person,
            Self::Device(_) => ActorKind::Device,
            Self::Program(_) => ActorKind::Program,
        }
    }

    /// The person, where it is one.
    #[must_use]
    pub const fn person(self) -> Option<PersonId> {
        match self {
            Self::Person(person) => Some(person),
            Self::Device(_) | Self::Program(_) | Self::Anybody => None,
        }
    }
}

/// Whether somebody was cleared for what is sealed. It opens nothing alone: they must be assigned too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clearance {
    /// For what is open.
    #[default]
    Open,
    /// For what is sealed too.
    Sealed,
}

/// A role that was granted: so far, and so long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Which.
    pub role: Role,
    /// How far.
    pub scope: Scope,
    /// Whether for what is sealed.
    pub clearance: Clearance,
    /// From when until when.
    pub validity: Validity,
}

impl Grant {
    /// Looks at what is to be granted, beside what is granted already.
    ///
    /// # Errors
    /// [`AccessError::GrantTooWide`], [`AccessError::NotForCaller`] and [`AccessError::RolesApart`].
    pub fn check(&self, kind: ActorKind, others: &[Self]) -> Result<(), AccessError> {
        let role = self.role;
        if !self.scope.is_within(role.reach()) {
            return Err(AccessError::GrantTooWide { role });
        }
        if !role.is_for(kind) {
            return Err(AccessError::NotForCaller { role });
        }
        // Also with one that is over or is still to come: who reads today and administers tomorrow holds both.
        match others.iter().find(|other| !role.goes_with(other.role)) {
            Some(other) => Err(AccessError::RolesApart { role, other: other.role }),
            None => Ok(()),
        }
    }

    fn counts(&self, kind: ActorKind, now: Timestamp) -> bool {
        // Asked again at every use: a table can be changed without passing by `check`.
        self.validity.holds(now) && self.role.is_for(kind) && self.scope.is_within(self.role.reach())
    }
}

/// What narrows the rights behind a token: to these actions, in these hearings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The actions it is good for.
    pub actions: BTreeSet<Action>,
    /// The hearings it is good for; `None`: all that its holder's rights reach.
    pub hearings: Option<BTreeSet<HearingId>>,
}

impl Limits {
    /// Whether `action` in `hearing` is inside. What is done in no hearing needs limits that name none.
    #[must_use]
    pub fn allow(&self, action: Action, hearing: Option<HearingId>) -> bool {
        let inside = match (&self.hearings, hearing) {
            (None, _) => true,
            (Some(own), Some(hearing)) => own.contains(&hearing),
            (Some(_), None) => false,
        };
        inside && self.actions.contains(&action)
    }
}

/// Who asks, with all that they may bring. Made anew for every call, and for every look again at a stream.
#[derive(Clone, Debug)]
pub struct Principal {
    identity: Identity,
    grants: Vec<Grant>,
    limits: Option<(TokenId, Limits)>,
    second_factor: Option<Timestamp>,
    until: Timestamp,
}

impl Principal {
    /// Somebody with the roles that were granted to them, known until the certificate or session ends.
    #[must_use]
    pub const fn new(identity: Identity, grants: Vec<Grant>, until: Timestamp) -> Self {
        Self { identity, grants, limits: None, second_factor: None, until }
    }

    /// Nobody in particular: what the public may do.
    #[must_use]
    pub fn anybody() -> Self {
        let validity = Validity { from: Timestamp::MIN, until: Timestamp::MAX };
        let grant = Grant { role: Role::Public, scope: Scope::Everywhere, clearance: Clearance::Open, validity };
        Self::new(Identity::Anybody, vec![grant], Timestamp::MAX)
    }

    /// The same by way of a token: with its holder's rights, and only those that the token names. No second factor comes with it.
    #[must_use]
    pub fn through(self, token: TokenId, limits: Limits) -> Self {
        Self { limits: Some((token, limits)), second_factor: None, ..self }
    }

    /// With a second factor shown at `at`. Of no effect on who comes by way of a token.
    #[must_use]
    pub fn with_second_factor(self, at: Timestamp) -> Self {
        let second_factor = if self.limits.is_some() { None } else { Some(at) };
        Self { second_factor, ..self }
    }

    /// Who.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// By way of which token.
    #[must_use]
    pub fn token(&self) -> Option<TokenId> {
        self.limits.as_ref().map(|(token, _)| *token)
    }

    /// When they showed a second factor.
    #[must_use]
    pub const fn second_factor(&self) -> Option<Timestamp> {
        self.second_factor
    }

    /// Until when they are known at all.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// The grants that count now. Where one of them is for administering, no other does: whatever a table says, who runs the
    /// machine reads no hearing.
    pub fn grants(&self, now: Timestamp) -> impl Iterator<Item = &Grant> {
        let kind = self.identity.kind();
        let current = move |grant: &&Grant| now < self.until && grant.counts(kind, now);
        let administers = self.grants.iter().filter(current).any(|grant| grant.role == Role::Administrator);
        self.grants
            .iter()
            .filter(current)
            .filter(move |grant| !administers || grant.role.goes_with(Role::Administrator))
    }

    /// Whether the token they came with, if any, is for this.
    #[must_use]
    pub fn is_let(&self, action: Action, hearing: Option<HearingId>) -> bool {
        self.limits.as_ref().is_none_or(|(_, limits)| limits.allow(action, hearing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::sample::{court, grant, hearing, now, person};

    #[test]
    fn a_role_is_granted_to_its_kind_of_caller_and_not_beyond_its_reach() {
        let wide = Grant { scope: Scope::Everywhere, ..grant(Role::Clerk) };
        assert_eq!(wide.check(ActorKind::Person, &[]), Err(AccessError::GrantTooWide { role: Role::Clerk }));
        let clerk = Grant { scope: Scope::Court(court()), ..wide };
        assert_eq!(clerk.check(ActorKind::Person, &[]), Ok(()));
        assert_eq!(clerk.check(ActorKind::Program, &[]), Err(AccessError::NotForCaller { role: Role::Clerk }));
        let apart = AccessError::RolesApart { role: Role::Administrator, other: Role::Clerk };
        assert_eq!(grant(Role::Administrator).check(ActorKind::Person, &[clerk]), Err(apart));
    }

    #[test]
    fn who_administers_has_no_other_role_whatever_the_table_says() {
        let both = Principal::new(
            Identity::Person(person(1)),
            vec![grant(Role::Judge), grant(Role::Administrator)],
            Timestamp::MAX,
        );
        assert_eq!(both.grants(now()).map(|grant| grant.role).collect::<Vec<_>>(), [Role::Administrator]);
        let mut over = grant(Role::Administrator);
        over.validity.until = now();
        let judge = Principal::new(Identity::Person(person(1)), vec![grant(Role::Judge), over], Timestamp::MAX);
        assert_eq!(judge.grants(now()).map(|grant| grant.role).collect::<Vec<_>>(), [Role::Judge]);
    }

    #[test]
    fn a_token_narrows_and_brings_no_second_factor() {
        let limits = Limits { actions: [Action::ReadRecord].into(), hearings: Some([hearing()].into()) };
        let whole = Principal::new(Identity::Person(person(1)), vec![grant(Role::Judge)], Timestamp::MAX);
        let by_token = whole.clone().with_second_factor(now()).through(TokenId::new(uuid::Uuid::nil()), limits);
        assert!(by_token.is_let(Action::ReadRecord, Some(hearing())) && !by_token.is_let(Action::ReadRecord, None));
        assert!(!by_token.is_let(Action::EditText, Some(hearing())) && whole.is_let(Action::EditText, None));
        assert_eq!(by_token.with_second_factor(now()).second_factor(), None);
    }

    #[test]
    fn a_session_that_is_over_leaves_no_right() {
        let over = Principal::new(Identity::Person(person(1)), vec![grant(Role::Judge)], now());
        assert_eq!(over.grants(now()).count(), 0);
        assert_eq!(Principal::anybody().grants(now()).count(), 1);
    }
}
