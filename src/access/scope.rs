//! How far a right reaches, and where something is to be done.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    action::Setting,
    role::{Reach, Role},
    validity::Validity,
};
use crate::domain::{
    change::{EntrySeq, IntervalClass, Order},
    id::{HearingId, PersonId},
    language::Direction,
    place::{CourtId, Courtroom},
};

/// How far a right reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All courts of the deployment.
    Everywhere,
    /// One court.
    Court(CourtId),
    /// Rooms.
    Rooms(BTreeSet<Courtroom>),
    /// Hearings.
    Hearings(BTreeSet<HearingId>),
}

impl Scope {
    /// Whether a role may be granted so far.
    #[must_use]
    pub fn is_within(&self, reach: Reach) -> bool {
        match self {
            Self::Everywhere => reach >= Reach::Everywhere,
            Self::Court(_) => reach >= Reach::Court,
            Self::Rooms(rooms) if rooms.len() == 1 => reach >= Reach::Room,
            Self::Rooms(rooms) => {
                let mut courts = rooms.iter().map(|room| &room.court);
                let first = courts.next();
                first.is_some() && courts.all(|court| Some(court) == first) && reach >= Reach::Court
            }
            Self::Hearings(_) => true,
        }
    }

    /// Whether it reaches to `place`.
    #[must_use]
    pub fn covers(&self, place: &Place<'_>) -> bool {
        match (self, place) {
            (_, Place::Absent) => false,
            (Self::Everywhere, _) | (_, Place::Nowhere) => true,
            (_, Place::Deployment) => false,
            (Self::Court(own), Place::Court(court)) => own == *court,
            (Self::Court(own), Place::Room(room)) => *own == room.court,
            (Self::Court(own), Place::Hearing(scene)) => *own == scene.room.court,
            (Self::Rooms(own), Place::Room(room)) => own.contains(room),
            (Self::Rooms(own), Place::Hearing(scene)) => own.contains(scene.room),
            (Self::Hearings(own), Place::Hearing(scene)) => own.contains(&scene.hearing),
            (Self::Rooms(_) | Self::Hearings(_), Place::Court(_)) | (Self::Hearings(_), Place::Room(_)) => false,
        }
    }
}

/// Where something is to be done.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// Nowhere: it is about oneself, or is the same for everybody.
    Nowhere,
    /// The deployment as a whole.
    Deployment,
    /// A court.
    Court(&'a CourtId),
    /// A room.
    Room(&'a Courtroom),
    /// A hearing.
    Hearing(&'a Scene<'a>),
    /// A hearing that is not there. Asked about all the same, so that the answer and the log are those of one that is kept from the
    /// caller.
    Absent,
}

impl Place<'_> {
    /// Whether what is done in `setting` can be done here.
    #[must_use]
    pub const fn fits(&self, setting: Setting) -> bool {
        match setting {
            Setting::Nowhere => matches!(self, Self::Nowhere),
            Setting::Court => matches!(self, Self::Deployment | Self::Court(_)),
            Setting::Room => matches!(self, Self::Room(_)),
            Setting::Hearing => matches!(self, Self::Hearing(_)),
        }
    }

    /// The court it is in, where it is in one.
    #[must_use]
    pub const fn court(&self) -> Option<&CourtId> {
        match self {
            Self::Court(court) => Some(court),
            Self::Room(room) => Some(&room.court),
            Self::Hearing(scene) => Some(&scene.room.court),
            Self::Nowhere | Self::Deployment | Self::Absent => None,
        }
    }

    /// What is known of the hearing, where it is one.
    #[must_use]
    pub const fn scene(&self) -> Option<&Scene<'_>> {
        match self {
            Self::Hearing(scene) => Some(scene),
            Self::Nowhere | Self::Deployment | Self::Court(_) | Self::Room(_) | Self::Absent => None,
        }
    }
}

/// What is known of a part of a hearing when somebody wants to do something in it.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Which hearing.
    pub hearing: HearingId,
    /// Where it is held.
    pub room: &'a Courtroom,
    /// The class of the part: the strictest of all samples that are touched, by the record as it is now.
    pub class: IntervalClass,
    /// The entry of the record that gave it this class; `None` for how the hearing began. Admissions may name it.
    pub interval: Option<EntrySeq>,
    /// When it was said: now, for what is live.
    pub said_at: Timestamp,
    /// Whether a judge gave the hearing to the evaluation set.
    pub evaluation: bool,
    /// Which text: from which language into which; `None` where none is touched.
    pub text: Option<&'a Direction>,
    /// Who takes part.
    pub parts: &'a [Part],
    /// Whom a judge's order admits.
    pub admissions: &'a [Admission],
}

/// A person who takes part in a hearing: the judge who directs it, the monitor on duty, an interpreter who is assigned to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Who.
    pub person: PersonId,
    /// In which capacity.
    pub role: Role,
    /// In which directions they work; of no meaning for others than interpreters and second readers.
    pub directions: Vec<Direction>,
    /// From when until when. Of a monitor: on duty.
    pub validity: Validity,
}

/// What an order admits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admitted {
    /// The draft of what was said in open court.
    Draft,
    /// What is sealed.
    Sealed,
}

/// A judge's order that lets a person read, which they else might not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whom.
    pub person: PersonId,
    /// To what.
    pub to: Admitted,
    /// To which part alone: the entry that began it. What is said to one party alone is sealed, and that party admitted to it.
    /// `None`: to all of the hearing.
    pub interval: Option<EntrySeq>,
    /// The order.
    pub order: Order,
    /// From when until when.
    pub validity: Validity,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::sample;

    fn courtroom(court: &str, room: &str) -> Courtroom {
        Courtroom { court: court.parse().unwrap(), room: room.parse().unwrap() }
    }

    #[test]
    fn no_scope_reaches_into_another_court_or_into_what_is_not_there() {
        let (here, there) = (courtroom("north", "room-1"), courtroom("south", "room-1"));
        let scene = Scene { room: &there, ..sample::scene() };
        let own = [
            Scope::Court(here.court.clone()),
            Scope::Rooms([here.clone()].into()),
            Scope::Hearings([sample::other_hearing()].into()),
        ];
        for scope in &own {
            let places = [Place::Court(&there.court), Place::Room(&there), Place::Hearing(&scene), Place::Deployment];
            assert!(places.iter().all(|place| !scope.covers(place)), "{scope:?}");
        }
        for scope in own.iter().chain([&Scope::Everywhere]) {
            assert!(!scope.covers(&Place::Absent) && scope.covers(&Place::Nowhere), "{scope:?}");
        }
        let near = Scene { room: &here, ..sample::scene() };
        assert!(own[..2].iter().all(|scope| scope.covers(&Place::Hearing(&near))));
        assert!(!own[1].covers(&Place::Court(&here.court)) && !own[2].covers(&Place::Hearing(&near)));
    }

    #[test]
    fn a_scope_is_as_wide_as_what_it_names() {
        let rooms = |names: &[&str]| Scope::Rooms(names.iter().map(|name| courtroom("north", name)).collect());
        assert!(rooms(&["a"]).is_within(Reach::Room) && !rooms(&["a", "b"]).is_within(Reach::Room));
        assert!(rooms(&["a", "b"]).is_within(Reach::Court) && !rooms(&["a"]).is_within(Reach::Hearings));
        let abroad = Scope::Rooms([courtroom("north", "a"), courtroom("south", "a")].into());
        assert!(!abroad.is_within(Reach::Court), "rooms of two courts are two grants");
        assert!(!rooms(&[]).is_within(Reach::Everywhere), "a device without a room is a mistake");
        assert!(!Scope::Everywhere.is_within(Reach::Court) && Scope::Hearings([].into()).is_within(Reach::Hearings));
    }
}
