//! Who works on which hearing: within the languages they are registered for, without a conflict of interest, and never as the
//! only certifier of what they interpreted live. A judge may order an exception from the last two; it is kept with what it allowed.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, ops::Range};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccessError, action::Action, named::named, policy::Leave, role::Role, scope::Part, validity::Validity};
use crate::domain::{
    change::Order,
    id::{AssignmentId, HearingId, PersonId},
    language::Direction,
    place::CourtId,
    time::HearingTime,
};

/// What somebody is registered for at a court.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Who.
    pub person: PersonId,
    /// At which court.
    pub court: CourtId,
    /// From which language into which; the way back is another direction.
    pub direction: Direction,
    /// From when until when.
    pub validity: Validity,
}

named! {
    /// What may be a conflict of interest.
    pub enum Interest ("interest") {
        /// They are related to a party, or depend on one.
        RelatedToParty = "related_to_party",
        /// They worked in this case before.
        PriorWork = "prior_work",
        /// They interpreted at this hearing.
        InterpretedLive = "interpreted_live",
    }
}

/// What somebody declared before they work on a hearing. To have nothing to declare is declared too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// Who.
    pub person: PersonId,
    /// For which hearing.
    pub hearing: HearingId,
    /// What.
    pub interests: BTreeSet<Interest>,
    /// When.
    pub at: Timestamp,
}

named! {
    /// From what a judge can order an exception.
    pub enum Waived ("exception") {
        /// From who is related to a party not being assigned.
        Conflict = "conflict",
        /// From who interpreted live not being the only certifier.
        LiveWork = "live_work",
    }
}

/// An exception that a judge ordered, for one person in one hearing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// In which hearing.
    pub hearing: HearingId,
    /// For whom.
    pub person: PersonId,
    /// From what.
    pub waived: Waived,
    /// The order, with its reason.
    pub order: Order,
    /// The judge who gave it, as they signed in.
    pub judge: PersonId,
    /// When.
    pub at: Timestamp,
}

impl Exception {
    /// By a judge who directs the hearing.
    ///
    /// # Errors
    /// [`AccessError::Denied`] where the leave is for something else, [`AccessError::OrderNeeded`] without who and why.
    pub fn ordered(leave: &Leave, person: PersonId, waived: Waived) -> Result<Self, AccessError> {
        let judge = leave.who().person().filter(|_| leave.action() == Action::OrderException);
        let (Some(judge), Some(hearing)) = (judge, leave.hearing()) else {
            return Err(AccessError::Denied);
        };
        let order = leave.order().cloned().ok_or(AccessError::OrderNeeded)?;
        Ok(Self { hearing, person, waived, order, judge, at: leave.at() })
    }

    fn lets(&self, hearing: HearingId, person: PersonId, waived: Waived) -> bool {
        self.hearing == hearing && self.person == person && self.waived == waived
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number it gets.
    pub id: AssignmentId,
    /// Whom to assign.
    pub person: PersonId,
    /// As interpreter or as second reader.
    pub role: Role,
    /// For which directions.
    pub directions: Vec<Direction>,
    /// From when until when.
    pub validity: Validity,
}

/// What an assignment is held against.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Registrations, of that person and of others.
    pub register: &'a [Registration],
    /// What was declared for the hearing, by that person and by others.
    pub declarations: &'a [Declaration],
    /// Who is assigned to the hearing already.
    pub assignments: &'a [Assignment],
    /// What was ordered for the hearing.
    pub exceptions: &'a [Exception],
}

/// Somebody is assigned to a hearing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its number.
    pub id: AssignmentId,
    /// To which hearing.
    pub hearing: HearingId,
    /// At which court.
    pub court: CourtId,
    /// Who.
    pub person: PersonId,
    /// As what.
    pub role: Role,
    /// For which directions.
    pub directions: Vec<Direction>,
    /// From when until when.
    pub validity: Validity,
    /// The exception without which it would not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// Who assigned them.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}

/// Assigns an interpreter or a second reader.
///
/// # Errors
/// [`AccessError::Denied`] where the leave is for something else; else the first rule that is broken.
pub fn assign(request: Request, facts: Facts<'_>, leave: &Leave) -> Result<Assignment, AccessError> {
    let (hearing, court, by) = assigning(leave)?;
    let Request { id, person, role, directions, validity } = request;
    if !matches!(role, Role::Interpreter | Role::SecondReader) {
        return Err(AccessError::NotForCaller { role });
    }
    let registered = |direction| registered(facts.register, (person, &court), direction, leave.at());
    let spans: Option<Vec<Validity>> = directions.iter().map(registered).collect();
    let spans = spans.filter(|spans| !spans.is_empty()).ok_or(AccessError::NotRegistered)?;
    let validity = spans.into_iter().fold(validity, Validity::and);
    if validity.until <= leave.at() || validity.until <= validity.from {
        return Err(AccessError::NotRegistered);
    }
    let declared = declared(facts.declarations, hearing, person).ok_or(AccessError::NotDeclared)?;
    let exception = facts.exceptions.iter().find(|exception| exception.lets(hearing, person, Waived::Conflict));
    let related = declared.interests.contains(&Interest::RelatedToParty);
    if related && exception.is_none() {
        return Err(AccessError::Conflicted);
    }
    let here = facts.assignments.iter().filter(|other| other.hearing == hearing && other.person == person);
    let live = role == Role::SecondReader && declared.interests.contains(&Interest::InterpretedLive);
    if live || here.into_iter().any(|other| other.role != role) {
        return Err(AccessError::NotIndependent);
    }
    let exception = exception.filter(|_| related).cloned();
    Ok(Assignment { id, hearing, court, person, role, directions, validity, exception, by, at: leave.at() })
}

/// Notes that somebody takes part in a hearing who is not assigned by language: its judge, the monitor on duty, a party.
///
/// # Errors
/// [`AccessError::Denied`] where the leave is for something else, [`AccessError::NotForCaller`] for a role that takes no part or
/// that [`assign`] is for.
pub fn take_part(person: PersonId, role: Role, validity: Validity, leave: &Leave) -> Result<Part, AccessError> {
    assigning(leave)?;
    match role {
        Role::Monitor | Role::Judge | Role::Party | Role::Counsel | Role::Victim | Role::Witness => {
            Ok(Part { person, role, directions: vec![], validity })
        }
        Role::RecorderDevice
        | Role::Interpreter
        | Role::SecondReader
        | Role::Clerk
        | Role::Oversight
        | Role::Evaluator
        | Role::Administrator
        | Role::Public
        | Role::Service => Err(AccessError::NotForCaller { role }),
    }
}

fn assigning(leave: &Leave) -> Result<(HearingId, CourtId, PersonId), AccessError> {
    match (leave.action(), leave.hearing(), leave.court(), leave.who().person()) {
        (Action::AssignPerson, Some(hearing), Some(court), Some(by)) => Ok((hearing, court.clone(), by)),
        _other => Err(AccessError::Denied),
    }
}

/// How long `person` is registered for `direction`, of several registrations the longest.
fn registered(
    register: &[Registration],
    (person, court): (PersonId, &CourtId),
    direction: &Direction,
    now: Timestamp,
) -> Option<Validity> {
    let own = register.iter().filter(|entry| entry.person == person && entry.court == *court);
    let able = own.filter(|entry| entry.validity.holds(now) && entry.direction.covers(direction));
    able.map(|entry| entry.validity).max_by_key(|validity| validity.until)
}

/// What somebody declared last.
fn declared(declarations: &[Declaration], hearing: HearingId, person: PersonId) -> Option<&Declaration> {
    let own = declarations.iter().filter(|declaration| declaration.hearing == hearing && declaration.person == person);
    own.max_by_key(|declaration| declaration.at)
}

impl Assignment {
    /// What the policy is told of it now; `None` where it does not hold any more: the registration was taken back or is over, or a
    /// conflict came to light. It is asked again at every decision, so that nothing has to be cleaned up in time.
    #[must_use]
    pub fn part(&self, facts: Facts<'_>, now: Timestamp) -> Option<Part> {
        let Self { hearing, court, person, role, directions, validity, .. } = self;
        let declared = declared(facts.declarations, *hearing, *person)?;
        let excepted = facts.exceptions.iter().any(|exception| exception.lets(*hearing, *person, Waived::Conflict));
        if declared.interests.contains(&Interest::RelatedToParty) && !excepted {
            return None;
        }
        let mut part = Part { person: *person, role: *role, directions: vec![], validity: *validity };
        for direction in directions {
            if let Some(registered) = registered(facts.register, (*person, court), direction, now) {
                part.directions.push(direction.clone());
                part.validity = part.validity.and(registered);
            }
        }
        (!part.directions.is_empty() && part.validity.holds(now)).then_some(part)
    }
}

/// What somebody interpreted live.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveWork {
    /// Who.
    pub person: PersonId,
    /// When, in time of the hearing, on whichever channel: what is interpreted is on another than the interpreter. `None`: all along.
    pub during: Option<Range<HearingTime>>,
}

/// Who certifies a part of a hearing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certification {
    /// Who.
    pub by: BTreeSet<PersonId>,
    /// The exception without which it would not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
}

/// Whether these people together may certify what was said `during` a part of a hearing: one of them at least must not have
/// interpreted any of it live. `declarations` count as [`LiveWork`] all along.
///
/// # Errors
/// [`AccessError::OtherCertifierNeeded`].
pub fn certify(
    (hearing, during): (HearingId, &Range<HearingTime>),
    by: BTreeSet<PersonId>,
    live: &[LiveWork],
    facts: Facts<'_>,
) -> Result<Certification, AccessError> {
    let meets = |work: &LiveWork| work.during.as_ref().is_none_or(|w| w.start < during.end && during.start < w.end);
    let said = |person| {
        let own = facts.declarations.iter().filter(|d| d.hearing == hearing && d.person == person);
        own.into_iter().any(|declaration| declaration.interests.contains(&Interest::InterpretedLive))
    };
    let interpreted = |person: &PersonId| live.iter().any(|w| w.person == *person && meets(w)) || said(*person);
    if by.iter().any(|person| !interpreted(person)) {
        return Ok(Certification { by, exception: None });
    }
    let mut orders = facts.exceptions.iter();
    let exception = orders.find(|order| by.iter().any(|person| order.lets(hearing, *person, Waived::LiveWork)));
    match exception.cloned() {
        Some(exception) => Ok(Certification { by, exception: Some(exception) }),
        None => Err(AccessError::OtherCertifierNeeded),
    }
}
