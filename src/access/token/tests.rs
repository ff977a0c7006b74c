//! What a token looks like, what is kept of it, and when it ends.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    access::{
        policy::{Brought, Decision, decide},
        role::Role,
        sample::{around, at, grant, hearing, now, person, scene},
        scope::{Part, Place, Scene},
    },
    domain::{
        actor::Purpose,
        id::{DeviceId, ProgramId},
    },
};

fn secret(kind: SecretKind, fill: u8) -> Secret {
    Secret::new(kind, Zeroizing::new([fill; 32]))
}

fn id() -> TokenId {
    TokenId::new(Uuid::from_u128(8))
}

fn limits(actions: &[Action]) -> Limits {
    Limits { actions: actions.iter().copied().collect(), hearings: Some([hearing()].into()) }
}

fn api() -> Issued {
    let limits = limits(&[Action::ReadRecord]);
    Issued::api((id(), &secret(SecretKind::Api, 7)), Identity::Person(person(1)), limits, around()).unwrap()
}

fn session(second_factor: Option<Timestamp>) -> Issued {
    let signed = SignedIn { person: person(1), at: now(), second_factor };
    Issued::session((id(), &secret(SecretKind::Session, 7)), &signed).unwrap()
}

#[test]
fn it_is_shown_in_a_form_that_scanners_find() {
    let shown = secret(SecretKind::Api, 0xab).shown();
    // Formats that are out in the world stay: this was shown by the first release.
    assert_eq!(shown.as_str(), format!("vivavoce_api_{}{}", "ab".repeat(32), "dcf58498"));
    let digits = shown.strip_prefix("vivavoce_api_").unwrap();
    assert!(digits.len() == 72 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    assert_eq!(format!("{:?}", secret(SecretKind::Session, 0xab)), "Secret(ses, ..)");
}

#[test]
fn what_is_stored_does_not_hold_it() {
    let stored = serde_json::to_string(&api()).unwrap();
    assert!(!stored.contains(&"07".repeat(4)), "{stored}");
    assert_eq!(serde_json::from_str::<Issued>(&stored).unwrap(), api());
    assert_ne!(secret(SecretKind::Api, 7).digest(), secret(SecretKind::Session, 7).digest());
    let digest = secret(SecretKind::Api, 7).digest().to_string();
    assert_eq!(
        digest, "2efd0aa222c1900f88774f00d6f9dd78c15ddeb6f0227adb9c152ecb65278164",
        "stored by the first release"
    );
}

proptest! {
    #[test]
    fn it_is_read_as_it_was_shown_and_with_one_character_changed_it_is_not(
        bytes in any::<[u8; 32]>(), place in 0_usize..85, other in "[0-9a-fA-F_zé]",
    ) {
        let shown = Secret::new(SecretKind::Api, Zeroizing::new(bytes)).shown();
        let read = Secret::read(SecretKind::Api, &shown).unwrap();
        prop_assert_eq!(*read.bytes, bytes);
        prop_assert!(Secret::read(SecretKind::Session, &shown).is_err());
        let mut changed: Vec<char> = shown.chars().collect();
        changed[place] = other.chars().next().unwrap();
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(Secret::read(SecretKind::Api, &changed).is_ok(), changed == shown.as_str());
        prop_assert!(Secret::read(SecretKind::Api, &shown[..place]).is_err());
        let longer = [shown.as_str(), other.as_str()].concat();
        prop_assert!(Secret::read(SecretKind::Api, &longer).is_err());
    }

    #[test]
    fn no_text_makes_reading_fail_otherwise(text in "\\PC{0,120}") {
        prop_assert!(Secret::read(SecretKind::Api, &text).is_err());
    }
}

#[test]
fn a_token_is_good_within_its_time_until_it_is_taken_back() {
    let token = api();
    let own = secret(SecretKind::Api, 7);
    assert_eq!(token.check(&own, now()), Ok(()));
    assert_eq!(token.check(&secret(SecretKind::Api, 8), now()), Err(AccessError::NotKnown));
    assert_eq!(token.check(&secret(SecretKind::Session, 7), now()), Err(AccessError::NotKnown));
    assert_eq!(token.check(&own, around().until), Err(AccessError::NotKnown));
    assert_eq!(token.check(&own, at(-3_601)), Err(AccessError::NotKnown));
    let back = token.revoked(at(5));
    assert_eq!(back.check(&own, now()), Err(AccessError::NotKnown));
    assert_eq!(back.revoked(at(9)).revoked, Some(at(5)));
    assert_eq!(token.seen(at(600)), None);
}

#[test]
fn it_carries_a_part_of_what_its_holder_may_now() {
    let parts = [Part { person: person(1), role: Role::Judge, directions: vec![], validity: around() }];
    let scene = Scene { parts: &parts, ..scene() };
    let ask = |grants: Vec<Grant>, action| {
        let who = api().principal(&secret(SecretKind::Api, 7), grants, now()).unwrap();
        decide(&who, action, &Place::Hearing(&scene), now())
    };
    let leave = ask(vec![grant(Role::Judge)], Action::ReadRecord).permit().unwrap();
    let leave = leave.meet(Brought::only(Purpose::Consultation), now()).unwrap();
    assert_eq!((leave.who(), leave.token()), (Identity::Person(person(1)), Some(id())));
    assert_eq!(ask(vec![grant(Role::Judge)], Action::ReadWithheld), Decision::Denied);
    assert_eq!(ask(vec![], Action::ReadRecord), Decision::Denied, "the holder's right was taken back");
}

#[test]
fn no_token_is_made_that_lasts_for_ever_or_could_make_others() {
    let person = Identity::Person(person(1));
    let refused = |holder, limits, validity| {
        let made = Issued::api((id(), &secret(SecretKind::Api, 7)), holder, limits, validity);
        assert_eq!(made, Err(AccessError::TokenTooWide));
    };
    let read = || limits(&[Action::ReadRecord]);
    refused(person, read(), Validity { from: now(), until: at(367 * 24 * 3_600) });
    refused(person, read(), Validity { from: now(), until: now() });
    refused(person, limits(&[]), around());
    refused(person, Limits { hearings: Some([].into()), ..read() }, around());
    refused(person, limits(&[Action::ReadRecord, Action::OwnAccount]), around());
    refused(Identity::Anybody, read(), around());
    refused(Identity::Device(DeviceId::new(Uuid::nil())), read(), around());
    for action in Action::ALL.into_iter().filter(|action| action.needs_second_factor()) {
        refused(person, limits(&[action]), around());
    }
    let program = Identity::Program(ProgramId::new(Uuid::nil()));
    let year = Validity::lasting(now(), LONGEST_LIFE);
    let backup = Limits { actions: [Action::TakeBackup].into(), hearings: None };
    assert!(Issued::api((id(), &secret(SecretKind::Api, 7)), program, backup.clone(), year).is_ok());
    let other_kind = Issued::api((id(), &secret(SecretKind::Session, 7)), program, backup, year);
    assert_eq!(other_kind, Err(AccessError::TokenTooWide));
}

#[test]
fn a_session_ends_with_the_day_and_when_nothing_is_done() {
    let own = secret(SecretKind::Session, 7);
    let mut open = session(None);
    assert!(open.is_good(at(1_799)) && !open.is_good(at(1_800)));
    assert_eq!(open.seen(at(59)), None, "not every call writes");
    assert_eq!(open.seen(at(1_800)), None, "what is over stays so");
    for minute in 1..720 {
        let now = at(minute * 60);
        assert_eq!(open.check(&own, now), Ok(()), "{minute}");
        open = open.seen(now).unwrap();
    }
    assert_eq!(open.check(&own, at(12 * 3_600)), Err(AccessError::NotKnown));
}

#[test]
fn a_session_carries_the_second_factor_with_its_age() {
    let certify = |session: Issued, seconds: i64| {
        let who = session.principal(&secret(SecretKind::Session, 7), vec![grant(Role::Clerk)], at(seconds)).unwrap();
        let permit = decide(&who, Action::CertifyRelease, &Place::Hearing(&scene()), at(seconds)).permit().unwrap();
        permit.meet(Brought::only(Purpose::Disclosure), at(seconds)).map(drop)
    };
    assert_eq!(certify(session(Some(now())), 299), Ok(()));
    assert_eq!(certify(session(Some(now())), 300), Err(AccessError::SecondFactor));
    assert_eq!(certify(session(None), 0), Err(AccessError::SecondFactor));
}
