//! What is logged of an access: who, when, what, what for, to whom. Nothing of what was said is in it, and no name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    action::Action,
    policy::Leave,
    principal::{Identity, Principal},
    role::Role,
    scope::Place,
};
use crate::domain::{
    actor::{Actor, Attribution, Purpose},
    change::{IntervalClass, Order},
    id::{HearingId, TokenId},
    place::CourtId,
};

/// To whom something goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The one who asked.
    Caller,
    /// Somebody else whom the service knows.
    Other(Identity),
    /// Whoever wants it.
    Public,
}

/// Whether it was let happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was.
    Allowed,
    /// It was refused. Tries are logged too.
    Refused,
}

/// What is logged of one access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Actor,
    /// By way of which token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// In which capacity; `None` where none allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What.
    pub action: Action,
    /// What for; `None` where it was refused before that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// In which court.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub court: Option<CourtId>,
    /// In which hearing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hearing: Option<HearingId>,
    /// On what class of interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<IntervalClass>,
    /// On whose order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// To whom.
    pub to: Recipient,
    /// Whether it was let happen.
    pub outcome: Outcome,
}

impl Trace {
    /// Of something that is done by a leave.
    #[must_use]
    pub fn of(leave: &Leave, to: Recipient, at: Timestamp) -> Self {
        Self {
            at,
            who: leave.who().actor(),
            token: leave.token(),
            role: Some(leave.role()),
            action: leave.action(),
            purpose: Some(leave.purpose()),
            court: leave.court().cloned(),
            hearing: leave.hearing(),
            class: leave.class(),
            order: leave.order().cloned(),
            to,
            outcome: Outcome::Allowed,
        }
    }

    /// Of something that was refused. `asked` is what was asked for, where it was said.
    #[must_use]
    pub fn refused(
        who: &Principal,
        (action, asked): (Action, Option<Purpose>),
        place: &Place<'_>,
        at: Timestamp,
    ) -> Self {
        Self {
            at,
            who: who.identity().actor(),
            token: who.token(),
            role: None,
            action,
            purpose: asked,
            court: place.court().cloned(),
            hearing: place.scene().map(|scene| scene.hearing),
            class: place.scene().map(|scene| scene.class),
            order: None,
            to: Recipient::Caller,
            outcome: Outcome::Refused,
        }
    }

    /// As an entry of the record carries it.
    #[must_use]
    pub fn attribution(&self) -> Option<Attribution> {
        self.purpose.map(|purpose| Attribution { actor: self.who.clone(), purpose, at: self.at })
    }

    /// Whether it is logged one by one. Looks at the state of the server, many a minute, are only counted; a refusal never.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        matches!(self.outcome, Outcome::Refused) || !self.action.is_routine()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::{
            policy::{Brought, decide},
            role::Role,
            sample::{hearing, holder, now, other_hearing, person, room, scene},
            scope::{Part, Scene},
        },
        domain::actor::ActorKind,
    };

    fn judge_reads() -> Trace {
        let part = Part {
            person: person(1),
            role: Role::Judge,
            directions: vec![],
            validity: crate::access::sample::around(),
        };
        let parts = [part];
        let scene = Scene { class: IntervalClass::Sealed, parts: &parts, ..scene() };
        let permit =
            decide(&holder(1, Role::Judge), Action::ReadRecord, &Place::Hearing(&scene), now()).permit().unwrap();
        let leave = permit.meet(Brought::only(Purpose::Consultation), now()).unwrap();
        Trace::of(&leave, Recipient::Caller, now())
    }

    #[test]
    fn a_trace_says_who_when_what_why_and_to_whom() {
        let trace = judge_reads();
        let attribution = trace.attribution().unwrap();
        assert_eq!((attribution.actor.kind, attribution.actor.id), (ActorKind::Person, person(1).to_string()));
        assert_eq!((attribution.purpose, attribution.at), (Purpose::Consultation, now()));
        assert_eq!((trace.action, trace.role), (Action::ReadRecord, Some(Role::Judge)));
        assert_eq!((trace.court, trace.hearing), (Some(room().court.clone()), Some(hearing())));
        assert_eq!((trace.class, trace.to), (Some(IntervalClass::Sealed), Recipient::Caller));
    }

    #[test]
    fn it_is_written_as_one_flat_object_and_read_back() {
        let trace = judge_reads();
        let value = serde_json::to_value(&trace).unwrap();
        let fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["action", "at", "class", "court", "hearing", "outcome", "purpose", "role", "to", "who"]);
        assert_eq!(serde_json::from_value::<Trace>(value).unwrap(), trace);
    }

    #[test]
    fn a_refusal_is_always_kept_and_says_nothing_more_of_what_is_absent() {
        let clerk = holder(2, Role::Clerk);
        let asked = (Action::ReadRecord, Some(Purpose::Consultation));
        let absent = Trace::refused(&clerk, asked, &Place::Absent, now());
        assert!(absent.is_kept() && absent.hearing.is_none() && absent.outcome == Outcome::Refused);
        let scene = Scene { hearing: other_hearing(), ..scene() };
        assert_eq!(Trace::refused(&clerk, asked, &Place::Hearing(&scene), now()).hearing, Some(other_hearing()));
        assert!(Trace::refused(&clerk, (Action::CheckHealth, None), &Place::Nowhere, now()).is_kept());
        let permit = decide(&clerk, Action::CheckHealth, &Place::Nowhere, now()).permit().unwrap();
        let leave = permit.meet(Brought::only(Purpose::Consultation), now()).unwrap();
        assert!(!Trace::of(&leave, Recipient::Caller, now()).is_kept());
        assert!(judge_reads().is_kept());
    }
}
