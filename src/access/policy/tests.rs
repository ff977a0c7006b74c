//! Held against `rights.txt`, cell by cell, in every world that can be.

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;

use super::*;
use crate::{
    access::{
        action::{Setting, Touch},
        principal::Limits,
        sample::{around, at, court, grant, hearing, holder, identity, now, order, other_hearing, person, room, scene},
        scope::{Admission, Scope},
        validity::Validity,
    },
    domain::{actor::Purpose, language::Direction, place::Courtroom},
};

const CLASSES: [(char, IntervalClass); 4] = [
    ('o', IntervalClass::Open),
    ('s', IntervalClass::Sealed),
    ('m', IntervalClass::Muted),
    ('x', IntervalClass::OffRecord),
];

/// The columns of the table, in their order.
const COLUMNS: [Role; 15] = [
    Role::RecorderDevice,
    Role::Monitor,
    Role::Interpreter,
    Role::SecondReader,
    Role::Clerk,
    Role::Judge,
    Role::Party,
    Role::Counsel,
    Role::Victim,
    Role::Witness,
    Role::Oversight,
    Role::Evaluator,
    Role::Administrator,
    Role::Public,
    Role::Service,
];

static FRENCH: LazyLock<Direction> =
    LazyLock::new(|| Direction { from: "fr-CA".parse().unwrap(), to: "en".parse().unwrap() });

/// The table by action, class and role: the cell, and whether a second factor is needed.
fn table() -> BTreeMap<(Action, char, Role), (&'static str, bool)> {
    let mut cells = BTreeMap::new();
    for line in include_str!("rights.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        assert_eq!(words.len(), 3 + COLUMNS.len(), "{line}");
        let (action, second) = (words[0].parse::<Action>().unwrap(), words[2] == "y");
        assert!(second || words[2] == "-", "{line}");
        for class in words[1].chars() {
            for (role, cell) in COLUMNS.into_iter().zip(&words[3..]) {
                assert!(cells.insert((action, class, role), (*cell, second)).is_none(), "twice: {line}");
            }
        }
    }
    cells
}

/// All that a right may hang on, each of it so or not.
#[derive(Clone, Copy, Debug)]
struct Facts {
    scope: bool,
    part: bool,
    cleared: bool,
    duty: bool,
    draft: bool,
    sealed: bool,
    evaluation: bool,
    direction: bool,
}

impl Facts {
    fn all() -> impl Iterator<Item = Self> {
        (0_u8..=255).map(|bits| {
            let so = |bit: u8| bits & (1 << bit) != 0;
            Self {
                scope: so(0),
                part: so(1),
                cleared: so(2),
                duty: so(3),
                draft: so(4),
                sealed: so(5),
                evaluation: so(6),
                direction: so(7),
            }
        })
    }

    /// What a cell of the table says of them; `None`: refused.
    fn judged_by(self, cell: &str, second: bool) -> Option<Vec<Condition>> {
        let mut letters = cell.split('+');
        let so = |letter: char| match letter {
            '*' => true,
            's' => self.scope,
            'p' => self.part,
            'c' => self.cleared,
            'd' => self.duty,
            'a' => self.draft || self.sealed,
            'A' => self.sealed,
            'e' => self.evaluation,
            'l' => self.part && self.direction,
            '-' => false,
            other => panic!("the table has no cell {other:?}"),
        };
        if !letters.next().unwrap().chars().all(so) {
            return None;
        }
        let condition = |letter| match letter {
            "O" => Condition::Order,
            "D" => Condition::Notice,
            "E" => Condition::Enclave,
            other => panic!("the table has no condition {other:?}"),
        };
        Some(letters.map(condition).chain(second.then_some(Condition::SecondFactor)).collect())
    }

    /// Asks the policy in a world where they are so. What was said was said two hours ago.
    fn ask(self, role: Role, action: Action, class: IntervalClass) -> Decision {
        let away = Courtroom { court: "south".parse().unwrap(), room: room().room.clone() };
        let mut grant = grant(role);
        grant.clearance = if self.cleared { Clearance::Sealed } else { Clearance::Open };
        if !self.scope {
            grant.scope = match grant.scope {
                Scope::Hearings(_) => Scope::Hearings([other_hearing()].into()),
                Scope::Rooms(_) => Scope::Rooms([away].into()),
                Scope::Court(_) | Scope::Everywhere => Scope::Court(away.court),
            };
        }
        let who = Principal::new(identity(1, role), vec![grant], Timestamp::MAX);
        let (parts, admissions) = (self.parts(role), self.admissions());
        let scene = Scene {
            class,
            said_at: at(-7_200),
            evaluation: self.evaluation,
            text: Some(&FRENCH),
            parts: &parts,
            admissions: &admissions,
            ..scene()
        };
        let court = court();
        let place = match action.setting() {
            Setting::Nowhere => Place::Nowhere,
            Setting::Court => Place::Court(&court),
            Setting::Room => Place::Room(room()),
            Setting::Hearing => Place::Hearing(&scene),
        };
        decide(&who, action, &place, now())
    }

    /// Beside the caller's own parts there are those of others and in other roles, which must count for nothing.
    fn parts(self, role: Role) -> Vec<Part> {
        let then = Validity { from: at(-10_000), until: at(-5_000) };
        let part = |n, role, directions: &[&Direction], validity| Part {
            person: person(n),
            role,
            directions: directions.iter().map(|direction| (*direction).clone()).collect(),
            validity,
        };
        let english = Direction { from: FRENCH.to.clone(), to: FRENCH.from.clone() };
        let other = if role == Role::Judge { Role::Clerk } else { Role::Judge };
        let mut parts = vec![
            part(2, role, &[&FRENCH], around()),
            part(2, role, &[&FRENCH], then),
            part(1, other, &[&FRENCH], around()),
            part(1, other, &[&FRENCH], then),
            part(1, role, &[&FRENCH], Validity { from: at(-3_600), until: now() }),
        ];
        if self.part {
            parts.push(part(1, role, &[if self.direction { &FRENCH } else { &english }], around()));
        }
        if self.duty {
            parts.push(part(1, role, &[&FRENCH], then));
        }
        parts
    }

    fn admissions(self) -> Vec<Admission> {
        let admission = |n, to, validity| Admission { person: person(n), to, interval: None, order: order(), validity };
        let over = Validity { from: at(-3_600), until: now() };
        let mut admissions = vec![
            admission(2, Admitted::Sealed, around()),
            admission(2, Admitted::Draft, around()),
            admission(1, Admitted::Sealed, over),
        ];
        admissions.extend(self.draft.then(|| admission(1, Admitted::Draft, around())));
        admissions.extend(self.sealed.then(|| admission(1, Admitted::Sealed, around())));
        admissions
    }
}

#[test]
fn every_role_may_do_what_the_table_says_and_nothing_else() {
    let table = table();
    assert_eq!(table.len(), Action::ALL.len() * CLASSES.len() * Role::ALL.len(), "the table is not whole");
    let mut allowed = 0_u32;
    for ((action, class, role), (cell, second)) in table {
        let class = CLASSES.iter().find(|(letter, _)| *letter == class).unwrap().1;
        for facts in Facts::all() {
            let decision = facts.ask(role, action, class);
            let expected = facts.judged_by(cell, second);
            let found = decision.permit().ok().map(|permit| permit.conditions);
            assert_eq!(found, expected, "{role} {action} {class:?} {cell:?} {facts:?}");
            allowed += u32::from(found.is_some());
        }
    }
    assert!(allowed > 10_000, "nothing was allowed: the worlds are wrong");
}

#[test]
fn who_administers_reads_no_hearing_whatever_else_they_hold() {
    for (role, facts) in Role::ALL.into_iter().flat_map(|role| Facts::all().map(move |facts| (role, facts))) {
        if role == Role::Public || !facts.scope {
            continue;
        }
        let parts = facts.parts(role);
        let admissions = facts.admissions();
        let scene = Scene { parts: &parts, admissions: &admissions, evaluation: true, ..scene() };
        let both = vec![grant(role), grant(Role::Administrator)];
        let who = Principal::new(Identity::Person(person(1)), both, Timestamp::MAX);
        for action in Action::ALL.into_iter().filter(|action| action.touch() != Touch::Nothing) {
            let denied = decide(&who, action, &Place::Hearing(&scene), now());
            assert_eq!(denied, Decision::Denied, "{role} {action}");
        }
    }
}

#[test]
fn what_is_sealed_and_what_is_absent_are_one_answer() {
    let sealed = Scene { class: IntervalClass::Sealed, ..scene() };
    let elsewhere = Courtroom { court: "south".parse().unwrap(), room: room().room.clone() };
    let foreign = Scene { room: &elsewhere, ..scene() };
    for role in Role::ALL {
        let who = holder(1, role);
        for action in Action::ALL.into_iter().filter(|action| action.touch() == Touch::Words) {
            let answers = [Place::Hearing(&sealed), Place::Hearing(&foreign), Place::Absent]
                .map(|place| decide(&who, action, &place, now()).permit().unwrap_err());
            assert_eq!(answers, [const { AccessError::Denied }; 3], "{role} {action}");
        }
    }
    let text = AccessError::Denied.to_string();
    assert!(["seal", "closed", "secret", "exist"].iter().all(|word| !text.contains(word)), "{text}");
}

#[test]
fn a_place_of_another_kind_is_refused() {
    let court = court();
    let scene = scene();
    let places = [
        Place::Nowhere,
        Place::Deployment,
        Place::Court(&court),
        Place::Room(room()),
        Place::Hearing(&scene),
        Place::Absent,
    ];
    for (action, place) in Action::ALL.into_iter().flat_map(|action| places.map(|place| (action, place))) {
        if !place.fits(action.setting()) {
            for role in Role::ALL {
                assert_eq!(
                    decide(&holder(1, role), action, &place, now()),
                    Decision::Denied,
                    "{role} {action} {place:?}"
                );
            }
        }
    }
}

#[test]
fn a_right_of_one_court_does_not_reach_the_deployment() {
    let mut own = grant(Role::Administrator);
    own.scope = Scope::Court(court());
    let who = Principal::new(Identity::Person(person(1)), vec![own], Timestamp::MAX);
    assert_eq!(decide(&who, Action::ReadMetrics, &Place::Deployment, now()), Decision::Denied);
    assert_ne!(decide(&who, Action::ReadMetrics, &Place::Court(&court()), now()), Decision::Denied);
    assert_ne!(decide(&holder(1, Role::Service), Action::ReadMetrics, &Place::Deployment, now()), Decision::Denied);
}

/// A judge who directs the hearing until `part`, with a grant until `granted` and a session until `session`.
fn judge_until(granted: i64, part: i64, session: i64, asked: i64) -> Option<Timestamp> {
    let mut grant = grant(Role::Judge);
    grant.validity.until = at(granted);
    let who = Principal::new(Identity::Person(person(1)), vec![grant], at(session));
    let validity = Validity { from: at(-3_600), until: at(part) };
    let parts = [Part { person: person(1), role: Role::Judge, directions: vec![], validity }];
    let scene = Scene { parts: &parts, ..scene() };
    decide(&who, Action::ReadRecord, &Place::Hearing(&scene), at(asked)).permit().ok().map(|permit| permit.until())
}

proptest! {
    #[test]
    fn a_permit_says_when_it_ends_and_then_it_does(granted in 1_i64..500, part in 1_i64..500, session in 1_i64..500) {
        let until = judge_until(granted, part, session, 0).unwrap();
        prop_assert_eq!(until, at(granted.min(part).min(session)));
        let end = granted.min(part).min(session);
        prop_assert!(judge_until(granted, part, session, end - 1).is_some());
        prop_assert!(judge_until(granted, part, session, end).is_none());
    }
}

#[test]
fn a_duty_that_ends_while_it_goes_on_ends_what_is_heard_behind_doors() {
    let validity = Validity { from: at(-100), until: at(50) };
    let parts = [Part { person: person(1), role: Role::Monitor, directions: vec![], validity }];
    let ask = |said: i64, asked: i64| {
        let scene = Scene { class: IntervalClass::Sealed, said_at: at(said), parts: &parts, ..scene() };
        let decision = decide(&holder(1, Role::Monitor), Action::WatchHearing, &Place::Hearing(&scene), at(asked));
        decision.permit().ok().map(|permit| permit.until())
    };
    assert_eq!(ask(0, 0), Some(at(50)), "live: it is asked again when the duty ends");
    assert_eq!(ask(50, 50), None, "and then it ends");
    assert_eq!(ask(0, 60), Some(around().until), "what was heard on duty may be read afterwards");
    assert_eq!(ask(-101, 0), None, "what was said before is not");
}

#[test]
fn an_order_admits_to_the_part_that_it_names() {
    let admission = |interval: Option<u64>, to| Admission {
        person: person(1),
        to,
        interval: interval.map(EntrySeq::new),
        order: order(),
        validity: around(),
    };
    let may = |admission: Admission, class, interval: Option<u64>| {
        let admissions = [admission];
        let scene = Scene { class, interval: interval.map(EntrySeq::new), admissions: &admissions, ..scene() };
        decide(&holder(1, Role::Counsel), Action::ReadRecord, &Place::Hearing(&scene), now()) != Decision::Denied
    };
    let (open, sealed) = (IntervalClass::Open, IntervalClass::Sealed);
    assert!(may(admission(Some(7), Admitted::Sealed), sealed, Some(7)));
    assert!(!may(admission(Some(7), Admitted::Sealed), sealed, Some(9)), "what is said to the other party alone");
    assert!(!may(admission(Some(7), Admitted::Sealed), sealed, None));
    assert!(!may(admission(Some(7), Admitted::Sealed), open, Some(9)));
    assert!(may(admission(None, Admitted::Sealed), sealed, Some(9)));
    assert!(!may(admission(None, Admitted::Draft), sealed, Some(9)));
    assert!(may(admission(None, Admitted::Draft), open, Some(9)));
}

#[test]
fn a_token_does_a_part_of_what_its_holder_may_and_nothing_that_needs_a_second_factor() {
    let parts = [Part { person: person(1), role: Role::Judge, directions: vec![], validity: around() }];
    let scene = Scene { parts: &parts, ..scene() };
    let place = Place::Hearing(&scene);
    let token = TokenId::new(uuid::Uuid::from_u128(9));
    let with = |actions: &[Action], hearing| {
        let limits = Limits { actions: actions.iter().copied().collect(), hearings: Some([hearing].into()) };
        holder(1, Role::Judge).with_second_factor(now()).through(token, limits)
    };
    let who = with(&[Action::ReadRecord, Action::GiveVisa, Action::EditText], hearing());
    let leave = decide(&who, Action::ReadRecord, &place, now()).permit().unwrap();
    let leave = leave.meet(Brought::only(Purpose::Consultation), now()).unwrap();
    assert_eq!((leave.who(), leave.token()), (Identity::Person(person(1)), Some(token)));
    assert_eq!(decide(&who, Action::WatchHearing, &place, now()), Decision::Denied, "not named by the token");
    assert_eq!(decide(&who, Action::EditText, &place, now()), Decision::Denied, "not a right of its holder");
    let visa = decide(&who, Action::GiveVisa, &place, now()).permit().unwrap();
    assert_eq!(visa.meet(Brought::only(Purpose::Alteration), now()).unwrap_err(), AccessError::SecondFactor);
    let elsewhere = with(&[Action::ReadRecord], other_hearing());
    assert_eq!(decide(&elsewhere, Action::ReadRecord, &place, now()), Decision::Denied);
}

#[test]
fn of_several_roles_the_one_counts_that_asks_for_least() {
    let admissions =
        [Admission { person: person(1), to: Admitted::Draft, interval: None, order: order(), validity: around() }];
    let scene = Scene { admissions: &admissions, ..scene() };
    let who = Principal::new(Identity::Person(person(1)), vec![grant(Role::Party), grant(Role::Clerk)], Timestamp::MAX);
    let permit = decide(&who, Action::ReadRecord, &Place::Hearing(&scene), now()).permit().unwrap();
    assert_eq!((permit.conditions(), permit.role), (&[][..], Role::Clerk));
}

/// What comes of `action` by `role`, who takes part in the hearing, with `brought`.
#[track_caller]
fn check(
    (role, action): (Role, Action),
    brought: Brought,
    second_factor: Option<i64>,
    expected: Result<(), AccessError>,
) {
    let parts = [Part { person: person(1), role, directions: vec![FRENCH.clone()], validity: around() }];
    let admissions =
        [Admission { person: person(1), to: Admitted::Draft, interval: None, order: order(), validity: around() }];
    let scene = Scene { parts: &parts, admissions: &admissions, text: Some(&FRENCH), ..scene() };
    let who = holder(1, role);
    let who = second_factor.map_or(who.clone(), |seconds| who.with_second_factor(at(seconds)));
    let court = court();
    let place = if action.setting() == Setting::Court { Place::Court(&court) } else { Place::Hearing(&scene) };
    let permit = decide(&who, action, &place, now()).permit().unwrap();
    assert_eq!(permit.meet(brought, now()).map(drop), expected);
}

#[test]
fn each_condition_is_held_against_what_was_brought() {
    let alteration = || Brought::only(Purpose::Alteration);
    let enter = (Role::Clerk, Action::EnterOrder);
    let unsaid = Order { by: String::new().try_into().unwrap(), ..order() };
    check(enter, alteration(), None, Err(AccessError::OrderNeeded));
    check(enter, Brought { order: Some(unsaid), ..alteration() }, None, Err(AccessError::OrderNeeded));
    check(enter, Brought { order: Some(order()), ..alteration() }, None, Ok(()));
    let read = (Role::Party, Action::ReadRecord);
    let consultation = || Brought::only(Purpose::Consultation);
    check(read, consultation(), None, Err(AccessError::NoticeNeeded));
    check(read, Brought { notice_accepted: true, ..consultation() }, None, Ok(()));
    let compute = (Role::Evaluator, Action::ReadAttributes);
    check(compute, Brought::only(Purpose::Combination), None, Err(AccessError::EnclaveNeeded));
    check(compute, Brought { in_enclave: true, ..Brought::only(Purpose::Combination) }, None, Ok(()));
}

#[test]
fn a_second_factor_counts_for_five_minutes_and_not_ahead_of_time() {
    let certify = (Role::Interpreter, Action::CertifyText);
    let brought = || Brought::only(Purpose::Alteration);
    check(certify, brought(), None, Err(AccessError::SecondFactor));
    check(certify, brought(), Some(0), Ok(()));
    check(certify, brought(), Some(-299), Ok(()));
    check(certify, brought(), Some(-300), Err(AccessError::SecondFactor));
    check(certify, brought(), Some(1), Err(AccessError::SecondFactor));
}

#[test]
fn nothing_is_read_without_a_purpose_that_fits() {
    for purpose in
        [Purpose::Collection, Purpose::Alteration, Purpose::Combination, Purpose::Erasure, Purpose::Disclosure]
    {
        check((Role::Judge, Action::ReadRecord), Brought::only(purpose), None, Err(AccessError::PurposeNeeded));
    }
    check((Role::Judge, Action::ReadRecord), Brought::only(Purpose::Consultation), None, Ok(()));
    check((Role::Judge, Action::ExportDraft), Brought::only(Purpose::Disclosure), None, Ok(()));
}

#[test]
fn a_permit_that_was_kept_too_long_is_good_for_nothing() {
    let permit =
        decide(&holder(1, Role::Clerk), Action::ReadRecord, &Place::Hearing(&scene()), now()).permit().unwrap();
    let until = permit.until();
    let brought = || Brought::only(Purpose::Consultation);
    assert_eq!(permit.clone().meet(brought(), until).unwrap_err(), AccessError::Denied);
    assert!(permit.meet(brought(), at(0)).is_ok());
}
