//! People, places and times for the tests of this wing.

use std::sync::LazyLock;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    principal::{Clearance, Grant, Identity, Principal},
    role::{Reach, Role},
    scope::{Scene, Scope},
    validity::Validity,
};
use crate::domain::{
    actor::ActorKind,
    change::{IntervalClass, Order},
    id::{DeviceId, HearingId, PersonId, ProgramId},
    place::{CourtId, Courtroom},
};

static ROOM: LazyLock<Courtroom> =
    LazyLock::new(|| Courtroom { court: "north".parse().unwrap(), room: "room-1".parse().unwrap() });

/// The moment of most tests.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// Seconds before or after [`now`].
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// An hour before and after [`now`].
pub(super) fn around() -> Validity {
    Validity { from: at(-3_600), until: at(3_600) }
}

pub(super) fn person(n: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(n))
}

pub(super) fn hearing() -> HearingId {
    HearingId::new(Uuid::from_u128(100))
}

pub(super) fn other_hearing() -> HearingId {
    HearingId::new(Uuid::from_u128(101))
}

pub(super) fn room() -> &'static Courtroom {
    &ROOM
}

pub(super) fn court() -> CourtId {
    ROOM.court.clone()
}

pub(super) fn order() -> Order {
    let label = |text: &str| text.to_owned().try_into().unwrap();
    Order { by: label("judge 4"), reason: label("article 6") }
}

/// A hearing in open court, with nobody in it.
pub(super) fn scene() -> Scene<'static> {
    Scene {
        hearing: hearing(),
        room: room(),
        class: IntervalClass::Open,
        interval: None,
        said_at: now(),
        evaluation: false,
        text: None,
        parts: &[],
        admissions: &[],
    }
}

/// A role as far as it may reach, in [`room`] and [`hearing`].
pub(super) fn grant(role: Role) -> Grant {
    let scope = match role.reach() {
        Reach::Hearings => Scope::Hearings([hearing()].into()),
        Reach::Room => Scope::Rooms([room().clone()].into()),
        Reach::Court => Scope::Court(court()),
        Reach::Everywhere => Scope::Everywhere,
    };
    Grant { role, scope, clearance: Clearance::Open, validity: around() }
}

/// Person `n` with one role; a device or a program where the role is one for those.
pub(super) fn holder(n: u128, role: Role) -> Principal {
    Principal::new(identity(n, role), vec![grant(role)], Timestamp::MAX)
}

pub(super) fn identity(n: u128, role: Role) -> Identity {
    if role.is_for(ActorKind::Person) {
        Identity::Person(person(n))
    } else if role.is_for(ActorKind::Device) {
        Identity::Device(DeviceId::new(Uuid::from_u128(n)))
    } else {
        Identity::Program(ProgramId::new(Uuid::from_u128(n)))
    }
}
