//! The one place where it is decided whether something is allowed: deny by default, by role, hearing and class of interval.

mod rules;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;

use self::rules::{Need, Terms};
use super::{
    AccessError,
    action::Action,
    principal::{Clearance, Grant, Identity, Principal},
    role::Role,
    scope::{Admitted, Part, Place, Scene},
    validity::later,
};
use crate::domain::{
    actor::Purpose,
    change::{EntrySeq, IntervalClass, Order},
    id::{HearingId, PersonId, TokenId},
    place::CourtId,
};

/// How long a second factor counts as shown a short while ago. Long enough to read what one signs, too short to leave a desk.
pub const STEP_UP: Duration = Duration::from_secs(300);

/// Something that the caller must bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// The order of a judge: who gave it, and why.
    Order,
    /// That they accepted the notice: this is a draft of a machine.
    Notice,
    /// That it is computed inside the enclave.
    Enclave,
    /// A second factor, shown less than [`STEP_UP`] ago.
    SecondFactor,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, on conditions that [`Permit::meet`] holds against what the caller brought.
    Allowed(Permit),
    /// Not allowed, or there is no such thing. There is no reason in it that could be told on.
    Denied,
}

impl Decision {
    /// What was permitted.
    ///
    /// # Errors
    /// [`AccessError::Denied`].
    pub fn permit(self) -> Result<Permit, AccessError> {
        match self {
            Self::Allowed(permit) => Ok(permit),
            Self::Denied => Err(AccessError::Denied),
        }
    }
}

/// Something is allowed on conditions. It does nothing yet: only [`Permit::meet`] makes a [`Leave`] of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    who: Identity,
    token: Option<TokenId>,
    role: Role,
    action: Action,
    court: Option<CourtId>,
    hearing: Option<HearingId>,
    class: Option<IntervalClass>,
    conditions: Vec<Condition>,
    second_factor: Option<Timestamp>,
    until: Timestamp,
}

/// What a caller brought along.
#[derive(Clone, Debug)]
pub struct Brought {
    /// What it is for.
    pub purpose: Purpose,
    /// The order it is done on.
    pub order: Option<Order>,
    /// Whether the caller accepted the notice on this hearing's draft.
    pub notice_accepted: bool,
    /// Whether it is computed inside the enclave.
    pub in_enclave: bool,
}

impl Brought {
    /// Nothing but what it is for.
    #[must_use]
    pub const fn only(purpose: Purpose) -> Self {
        Self { purpose, order: None, notice_accepted: false, in_enclave: false }
    }
}

impl Permit {
    /// What the caller must bring.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// When to ask again at the latest: a stream is looked at anew then, and ends where the answer is no.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Holds the conditions against what the caller brought.
    ///
    /// # Errors
    /// The first condition that is not met. It tells only those who would be allowed.
    pub fn meet(self, brought: Brought, now: Timestamp) -> Result<Leave, AccessError> {
        if now >= self.until {
            return Err(AccessError::Denied);
        }
        if !self.action.purposes().contains(&brought.purpose) {
            return Err(AccessError::PurposeNeeded);
        }
        for condition in &self.conditions {
            let (met, otherwise) = match condition {
                Condition::Order => (brought.order.as_ref().is_some_and(is_named), AccessError::OrderNeeded),
                Condition::Notice => (brought.notice_accepted, AccessError::NoticeNeeded),
                Condition::Enclave => (brought.in_enclave, AccessError::EnclaveNeeded),
                Condition::SecondFactor => (is_recent(self.second_factor, now), AccessError::SecondFactor),
            };
            if !met {
                return Err(otherwise);
            }
        }
        Ok(Leave { permit: self, purpose: brought.purpose, order: brought.order, at: now })
    }
}

fn is_named(order: &Order) -> bool {
    !order.by.as_str().is_empty() && !order.reason.as_str().is_empty()
}

/// Shown in the future is not shown: a clock that was set back must not make it last.
fn is_recent(shown: Option<Timestamp>, now: Timestamp) -> bool {
    shown.is_some_and(|at| at <= now && now < later(at, STEP_UP))
}

/// Proof that somebody may do something: that it was asked, allowed, and its conditions met. There is no other way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Leave {
    permit: Permit,
    purpose: Purpose,
    order: Option<Order>,
    at: Timestamp,
}

impl Leave {
    /// Who.
    #[must_use]
    pub const fn who(&self) -> Identity {
        self.permit.who
    }

    /// By way of which token.
    #[must_use]
    pub const fn token(&self) -> Option<TokenId> {
        self.permit.token
    }

    /// In which capacity.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.permit.role
    }

    /// To do what.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.permit.action
    }

    /// What for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// In which court; `None`: in all, or in none.
    #[must_use]
    pub const fn court(&self) -> Option<&CourtId> {
        self.permit.court.as_ref()
    }

    /// In which hearing.
    #[must_use]
    pub const fn hearing(&self) -> Option<HearingId> {
        self.permit.hearing
    }

    /// On what class of interval.
    #[must_use]
    pub const fn class(&self) -> Option<IntervalClass> {
        self.permit.class
    }

    /// On whose order.
    #[must_use]
    pub const fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// Since when.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// When to ask again at the latest.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.permit.until
    }

    /// Whether it was given a short while ago: what cannot be taken back asks for one that was not kept.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        is_recent(Some(self.at), now) && now < self.until()
    }
}

/// Whether `who` may do `action` at `place`. Ask of every call, and of a stream again: at [`Permit::until`], when the class of the
/// audio changes, and when a right, an order or an assignment does.
///
/// Of several roles that allow it, the one counts that asks for least.
pub fn decide(who: &Principal, action: Action, place: &Place<'_>, now: Timestamp) -> Decision {
    let scene = place.scene();
    if !place.fits(action.setting()) || !who.is_let(action, scene.map(|scene| scene.hearing)) {
        return Decision::Denied;
    }
    let permits = who.grants(now).filter_map(|grant| permit(who, grant, action, (place, now)));
    let least = permits.min_by_key(|permit| (permit.conditions.len(), Reverse(permit.until)));
    least.map_or(Decision::Denied, Decision::Allowed)
}

fn permit(who: &Principal, grant: &Grant, action: Action, (place, now): (&Place<'_>, Timestamp)) -> Option<Permit> {
    let scene = place.scene();
    let Terms { needs, behind_doors, conditions } = rules::terms(grant.role, action, scene.map(|scene| scene.class))?;
    let mut until = who.until().min(grant.validity.until);
    for need in needs.iter().chain(behind_doors) {
        until = until.min(met_until(*need, (who.identity().person(), grant), place, now)?);
    }
    let mut conditions = conditions.to_vec();
    conditions.extend(action.needs_second_factor().then_some(Condition::SecondFactor));
    Some(Permit {
        who: who.identity(),
        token: who.token(),
        role: grant.role,
        action,
        court: place.court().cloned(),
        hearing: scene.map(|scene| scene.hearing),
        class: scene.map(|scene| scene.class),
        conditions,
        second_factor: who.second_factor(),
        until,
    })
}

/// Until when a need is met; `None` where it is not.
fn met_until(
    need: Need,
    (person, grant): (Option<PersonId>, &Grant),
    place: &Place<'_>,
    now: Timestamp,
) -> Option<Timestamp> {
    let for_good = |met: bool| met.then_some(Timestamp::MAX);
    let scene = place.scene();
    match need {
        Need::Scope => for_good(grant.scope.covers(place)),
        Need::Cleared => for_good(grant.clearance == Clearance::Sealed),
        Need::Evaluation => for_good(scene?.evaluation),
        Need::Part => latest(parts(scene?, person?, grant.role).filter(|part| part.validity.holds(now))),
        Need::OwnDirection => {
            let (scene, text) = (scene?, scene?.text?);
            let able = |part: &&Part| part.directions.iter().any(|own| own.covers(text));
            latest(parts(scene, person?, grant.role).filter(|part| part.validity.holds(now)).filter(able))
        }
        Need::OnDuty => {
            let scene = scene?;
            let mut duties = parts(scene, person?, grant.role).filter(|part| part.validity.holds(scene.said_at));
            // What was heard then may be read later; while it goes on, the end of the duty ends it.
            duties.next().map(|duty| if duty.validity.until > now { duty.validity.until } else { Timestamp::MAX })
        }
        Need::Admitted => admitted_until(scene?, person?, &[Admitted::Draft, Admitted::Sealed], now),
        Need::AdmittedSealed => admitted_until(scene?, person?, &[Admitted::Sealed], now),
    }
}

fn parts<'a>(scene: &Scene<'a>, person: PersonId, role: Role) -> impl Iterator<Item = &'a Part> {
    scene.parts.iter().filter(move |part| part.person == person && part.role == role)
}

fn latest<'a>(parts: impl Iterator<Item = &'a Part>) -> Option<Timestamp> {
    parts.map(|part| part.validity.until).max()
}

fn admitted_until(scene: &Scene<'_>, person: PersonId, to: &[Admitted], now: Timestamp) -> Option<Timestamp> {
    let here = |interval: Option<EntrySeq>| interval.is_none() || interval == scene.interval;
    let orders = scene.admissions.iter().filter(|order| order.person == person && to.contains(&order.to));
    let current = orders.filter(|order| here(order.interval) && order.validity.holds(now));
    current.map(|order| order.validity.until).max()
}
