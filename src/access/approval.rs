//! What takes two people: one proposes, another approves exactly that, and it is carried out once.
//!
//! Refused are: the same person twice, another content than was proposed, what took too long, a right that is gone by then, and a
//! second time. What comes out is a [`Warrant`], which only this makes; what opens, erases or grants asks for one.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{AccessError, action::Action, named::named, policy::Leave, validity::later};
use crate::domain::{
    engine::Sha256Hash,
    id::{HearingId, PersonId, ProposalId},
    place::CourtId,
};

named! {
    /// What takes two people.
    pub enum Matter ("matter") {
        /// To open what was sealed.
        Unsealing = "unsealing",
        /// To erase a hearing.
        Erasure = "erasure",
        /// To enable or raise the level of a language.
        Level = "level",
        /// To rotate or destroy a key.
        Keys = "keys",
        /// To grant a role.
        Roles = "roles",
        /// To change a rule of retention.
        Retention = "retention",
        /// To give somebody a new password or second factor.
        Credentials = "credentials",
    }
}

impl Matter {
    /// The right to propose it.
    #[must_use]
    pub const fn proposing(self) -> Action {
        match self {
            Self::Unsealing => Action::ProposeUnsealing,
            Self::Erasure => Action::ProposeErasure,
            Self::Level => Action::ProposeLevel,
            Self::Keys => Action::ProposeKeys,
            Self::Roles => Action::ProposeRoles,
            Self::Retention => Action::ProposeRetention,
            Self::Credentials => Action::ProposeCredentials,
        }
    }

    /// The right to approve it.
    #[must_use]
    pub const fn approving(self) -> Action {
        match self {
            Self::Unsealing => Action::ApproveUnsealing,
            Self::Erasure => Action::ApproveErasure,
            Self::Level => Action::ApproveLevel,
            Self::Keys => Action::ApproveKeys,
            Self::Roles => Action::ApproveRoles,
            Self::Retention => Action::ApproveRetention,
            Self::Credentials => Action::ApproveCredentials,
        }
    }

    /// How long it takes where a court has not said otherwise. What is erased does not come back: a week to notice.
    #[must_use]
    pub const fn usual_terms(self) -> Terms {
        const DAY: u64 = 24 * 3_600;
        let delay = match self {
            Self::Erasure => Duration::from_secs(7 * DAY),
            Self::Unsealing | Self::Level | Self::Keys | Self::Roles | Self::Retention | Self::Credentials => {
                Duration::ZERO
            }
        };
        Terms { lasts: Duration::from_secs(3 * DAY), delay }
    }
}

/// How long a proposal waits, and how long what was approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How long it can be approved; and how long it can be carried out once it is due.
    pub lasts: Duration,
    /// How long after the approval it is due.
    pub delay: Duration,
}

/// Stands for every part of what is proposed: SHA-256 over the matter and all fields by name, each with its length before it, so that
/// no two contents are written the same.
///
/// ```
/// use vivavoce::access::approval::{Matter, digest};
/// let one = digest(Matter::Erasure, &[("hearing", b"7".as_slice())].into());
/// assert_ne!(one, digest(Matter::Erasure, &[("hearing", b"8".as_slice())].into()));
/// assert_ne!(one, digest(Matter::Unsealing, &[("hearing", b"7".as_slice())].into()));
/// ```
#[must_use]
pub fn digest(matter: Matter, fields: &BTreeMap<&str, &[u8]>) -> Sha256Hash {
    let mut hash = Sha256::new_with_prefix(b"vivavoce approval 1\n");
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(matter.as_str().as_bytes());
    for (name, value) in fields {
        part(name.as_bytes());
        part(value);
    }
    Sha256Hash::new(hash.finalize().into())
}

/// How far a proposal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It waits for a second person.
    Proposed,
    /// A second person approved it.
    Approved {
        /// Who.
        by: PersonId,
        /// When.
        at: Timestamp,
    },
    /// It was refused, or taken back by who proposed it.
    Refused {
        /// Who.
        by: PersonId,
        /// When.
        at: Timestamp,
    },
    /// It was carried out.
    CarriedOut {
        /// Who approved it.
        approved_by: PersonId,
        /// When.
        at: Timestamp,
    },
}

/// Something that two people have to agree on. Each step gives the next state of it, to be stored in the same transaction as what
/// follows from it, and only where the state before is still the stored one: two steps at once must not both come through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its number.
    pub id: ProposalId,
    /// What kind.
    pub matter: Matter,
    /// Exactly what: [`digest`].
    pub content: Sha256Hash,
    /// In which court; `None`: in all.
    pub court: Option<CourtId>,
    /// In which hearing; `None` where it is about none.
    pub hearing: Option<HearingId>,
    /// Who proposed it.
    pub proposer: PersonId,
    /// When.
    pub proposed_at: Timestamp,
    /// How long it waits.
    pub terms: Terms,
    /// How far it is.
    pub state: State,
}

/// Two people agreed on exactly this, and it is to be done now. It is not copied: what takes it has it once.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Warrant {
    proposal: ProposalId,
    matter: Matter,
    content: Sha256Hash,
    court: Option<CourtId>,
    hearing: Option<HearingId>,
    by: [PersonId; 2],
}

impl Warrant {
    /// By which proposal.
    #[must_use]
    pub const fn proposal(&self) -> ProposalId {
        self.proposal
    }

    /// Whether it is for this, in this hearing or none: what carries it out makes the digest of what it is about to do.
    #[must_use]
    pub fn is_for(&self, matter: Matter, hearing: Option<HearingId>, content: &Sha256Hash) -> bool {
        (self.matter, self.hearing, &self.content) == (matter, hearing, content)
    }

    /// In which court; `None`: in all, or the hearing says it.
    #[must_use]
    pub const fn court(&self) -> Option<&CourtId> {
        self.court.as_ref()
    }

    /// Who proposed, and who approved.
    #[must_use]
    pub const fn by(&self) -> [PersonId; 2] {
        self.by
    }
}

impl Proposal {
    /// Proposes something.
    ///
    /// # Errors
    /// [`AccessError::Denied`] where the leave is not one to propose this, or is old.
    pub fn new(
        id: ProposalId,
        (matter, content): (Matter, Sha256Hash),
        terms: Terms,
        leave: &Leave,
        now: Timestamp,
    ) -> Result<Self, AccessError> {
        let proposer = leave.who().person().filter(|_| leave.is_fresh(now) && leave.action() == matter.proposing());
        let proposer = proposer.ok_or(AccessError::Denied)?;
        let (court, hearing) = (leave.court().cloned(), leave.hearing());
        let state = State::Proposed;
        Ok(Self { id, matter, content, court, hearing, proposer, proposed_at: now, terms, state })
    }

    /// Approves it as the second person. `content` is made anew from what the approver was shown, `may` asks the policy as it is now.
    ///
    /// # Errors
    /// [`AccessError::Denied`] where the leave is not one to approve this, or is old; [`AccessError::SamePerson`],
    /// [`AccessError::ProposalOver`], [`AccessError::ContentChanged`] and [`AccessError::RightGone`].
    pub fn approve(
        &self,
        leave: &Leave,
        content: &Sha256Hash,
        may: impl Fn(PersonId, Action) -> bool,
        now: Timestamp,
    ) -> Result<Self, AccessError> {
        let by = self.approver(leave, now)?;
        if by == self.proposer {
            return Err(AccessError::SamePerson);
        }
        if self.state != State::Proposed || now >= self.approvable_until() || now < self.proposed_at {
            return Err(AccessError::ProposalOver);
        }
        self.check(content, &[(self.proposer, self.matter.proposing())], may)?;
        Ok(Self { state: State::Approved { by, at: now }, ..self.clone() })
    }

    /// Refuses it, or takes an approval back before it is carried out. Who proposed it may too.
    ///
    /// # Errors
    /// [`AccessError::Denied`] where the leave is for something else, [`AccessError::ProposalOver`].
    pub fn refuse(&self, leave: &Leave, now: Timestamp) -> Result<Self, AccessError> {
        let own = leave.action() == self.matter.proposing() && leave.who().person() == Some(self.proposer);
        let by = if own && leave.is_fresh(now) { self.proposer } else { self.approver(leave, now)? };
        match self.state {
            State::Proposed | State::Approved { .. } => {
                Ok(Self { state: State::Refused { by, at: now }, ..self.clone() })
            }
            State::Refused { .. } | State::CarriedOut { .. } => Err(AccessError::ProposalOver),
        }
    }

    /// Carries it out: gives the state to be stored and the warrant for what is to be done. `content` is made anew from what is
    /// about to be done, `may` asks the policy as it is now.
    ///
    /// # Errors
    /// [`AccessError::NotApproved`], [`AccessError::TooEarly`], [`AccessError::ProposalOver`], [`AccessError::ContentChanged`] and
    /// [`AccessError::RightGone`].
    pub fn carry_out(
        &self,
        content: &Sha256Hash,
        may: impl Fn(PersonId, Action) -> bool,
        now: Timestamp,
    ) -> Result<(Self, Warrant), AccessError> {
        let (by, at) = match self.state {
            State::Proposed => return Err(AccessError::NotApproved),
            State::Approved { by, at } => (by, at),
            State::Refused { .. } | State::CarriedOut { .. } => return Err(AccessError::ProposalOver),
        };
        let due = later(at, self.terms.delay);
        if now < due {
            return Err(AccessError::TooEarly { due });
        }
        if now >= later(due, self.terms.lasts) {
            return Err(AccessError::ProposalOver);
        }
        let rights = [(self.proposer, self.matter.proposing()), (by, self.matter.approving())];
        self.check(content, &rights, may)?;
        let done = Self { state: State::CarriedOut { approved_by: by, at: now }, ..self.clone() };
        let Self { id, matter, content, court, hearing, proposer, .. } = done.clone();
        Ok((done, Warrant { proposal: id, matter, content, court, hearing, by: [proposer, by] }))
    }

    /// Until when it can be approved.
    #[must_use]
    pub fn approvable_until(&self) -> Timestamp {
        later(self.proposed_at, self.terms.lasts)
    }

    /// Who it is that may approve this, by a leave that is not older than a second factor.
    fn approver(&self, leave: &Leave, now: Timestamp) -> Result<PersonId, AccessError> {
        let here = leave.hearing() == self.hearing && leave.court() == self.court.as_ref();
        let may = here && leave.action() == self.matter.approving() && leave.is_fresh(now);
        leave.who().person().filter(|_| may).ok_or(AccessError::Denied)
    }

    fn check(
        &self,
        content: &Sha256Hash,
        rights: &[(PersonId, Action)],
        may: impl Fn(PersonId, Action) -> bool,
    ) -> Result<(), AccessError> {
        if *content != self.content {
            return Err(AccessError::ContentChanged);
        }
        if rights.iter().all(|(person, action)| may(*person, *action)) { Ok(()) } else { Err(AccessError::RightGone) }
    }
}
