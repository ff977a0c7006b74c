//! Two people, one content, one time: held against the history of what was tried.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    access::{
        policy::{Brought, decide},
        role::Role,
        sample::{at, court, holder, order, other_hearing, person, scene},
        scope::{Part, Place, Scene},
        validity::Validity,
    },
    domain::{actor::Purpose, change::IntervalClass},
};

const TERMS: Terms = Terms { lasts: Duration::from_secs(500), delay: Duration::from_secs(100) };

fn content(n: u8) -> Sha256Hash {
    digest(Matter::Erasure, &[("hearing", [n].as_slice())].into())
}

/// A clerk's leave to propose or approve an erasure, taken at `seconds`.
fn leave(n: u128, action: Action, seconds: i64) -> Leave {
    let who = holder(n, Role::Clerk).with_second_factor(at(seconds));
    let permit = decide(&who, action, &Place::Hearing(&scene()), at(seconds)).permit().unwrap();
    permit.meet(Brought::only(Purpose::Erasure), at(seconds)).unwrap()
}

fn proposed() -> Proposal {
    let id = ProposalId::new(Uuid::from_u128(1));
    let leave = leave(1, Action::ProposeErasure, 0);
    Proposal::new(id, (Matter::Erasure, content(0)), TERMS, &leave, at(0)).unwrap()
}

fn approve(proposal: &Proposal, n: u128, seconds: i64) -> Result<Proposal, AccessError> {
    let leave = leave(n, Action::ApproveErasure, seconds);
    proposal.approve(&leave, &content(0), |_, _| true, at(seconds))
}

#[test]
fn what_one_proposes_and_another_approves_is_carried_out_once() {
    let approved = approve(&proposed(), 2, 10).unwrap();
    let (done, warrant) = approved.carry_out(&content(0), |_, _| true, at(110)).unwrap();
    assert_eq!((warrant.by(), warrant.court()), ([person(1), person(2)], Some(&court())));
    assert!(warrant.is_for(Matter::Erasure, Some(scene().hearing), &content(0)));
    assert!(!warrant.is_for(Matter::Erasure, Some(scene().hearing), &content(1)));
    assert!(!warrant.is_for(Matter::Unsealing, Some(scene().hearing), &content(0)));
    assert!(!warrant.is_for(Matter::Erasure, Some(other_hearing()), &content(0)));
    assert_eq!(done.carry_out(&content(0), |_, _| true, at(111)), Err(AccessError::ProposalOver));
    assert_eq!(approve(&done, 3, 112), Err(AccessError::ProposalOver));
}

#[test]
fn each_reason_to_refuse_is_one() {
    assert_eq!(approve(&proposed(), 1, 10), Err(AccessError::SamePerson));
    assert_eq!(approve(&proposed(), 2, 500), Err(AccessError::ProposalOver));
    let other = proposed().approve(&leave(2, Action::ApproveErasure, 10), &content(1), |_, _| true, at(10));
    assert_eq!(other, Err(AccessError::ContentChanged));
    let gone = proposed().approve(&leave(2, Action::ApproveErasure, 10), &content(0), |p, _| p != person(1), at(10));
    assert_eq!(gone, Err(AccessError::RightGone));
    assert_eq!(proposed().carry_out(&content(0), |_, _| true, at(10)).unwrap_err(), AccessError::NotApproved);
    let approved = approve(&proposed(), 2, 10).unwrap();
    let refused = |may: fn(PersonId, Action) -> bool, content, seconds| {
        approved.carry_out(&content, may, at(seconds)).unwrap_err()
    };
    assert_eq!(refused(|_, _| true, content(0), 109), AccessError::TooEarly { due: at(110) });
    assert_eq!(refused(|_, _| true, content(0), 610), AccessError::ProposalOver);
    assert_eq!(refused(|_, _| true, content(1), 110), AccessError::ContentChanged);
    assert_eq!(refused(|_, action| action != Action::ApproveErasure, content(0), 110), AccessError::RightGone);
    assert_eq!(refused(|_, action| action != Action::ProposeErasure, content(0), 110), AccessError::RightGone);
}

#[test]
fn a_leave_for_something_else_or_kept_too_long_approves_nothing() {
    let propose = leave(2, Action::ProposeErasure, 10);
    assert_eq!(proposed().approve(&propose, &content(0), |_, _| true, at(10)), Err(AccessError::Denied));
    let old = leave(2, Action::ApproveErasure, 10);
    assert_eq!(proposed().approve(&old, &content(0), |_, _| true, at(310)), Err(AccessError::Denied));
    assert_eq!(proposed().approve(&old, &content(0), |_, _| true, at(9)), Err(AccessError::Denied));
    let elsewhere = Proposal { hearing: Some(other_hearing()), ..proposed() };
    assert_eq!(approve(&elsewhere, 2, 10), Err(AccessError::Denied));
    let abroad = Proposal { court: None, ..proposed() };
    assert_eq!(approve(&abroad, 2, 10), Err(AccessError::Denied));
    let unsealing = Proposal::new(proposed().id, (Matter::Unsealing, content(0)), TERMS, &propose, at(10));
    assert_eq!(unsealing, Err(AccessError::Denied));
}

#[test]
fn either_may_end_it_before_it_is_carried_out_and_nobody_afterwards() {
    let approved = approve(&proposed(), 2, 10).unwrap();
    let by_proposer = approved.refuse(&leave(1, Action::ProposeErasure, 20), at(20)).unwrap();
    assert_eq!(by_proposer.state, State::Refused { by: person(1), at: at(20) });
    let by_third = approved.refuse(&leave(3, Action::ApproveErasure, 20), at(20)).unwrap();
    assert_eq!(by_third.carry_out(&content(0), |_, _| true, at(120)).unwrap_err(), AccessError::ProposalOver);
    assert_eq!(approved.refuse(&leave(3, Action::ProposeErasure, 20), at(20)), Err(AccessError::Denied));
    let (done, _) = approved.carry_out(&content(0), |_, _| true, at(120)).unwrap();
    assert_eq!(done.refuse(&leave(1, Action::ProposeErasure, 130), at(130)), Err(AccessError::ProposalOver));
}

#[test]
fn a_clerk_proposes_to_unseal_on_order_and_a_judge_approves() {
    let parts = [Part {
        person: person(4),
        role: Role::Judge,
        directions: vec![],
        validity: Validity { from: at(-10), until: at(1_000) },
    }];
    let scene = Scene { class: IntervalClass::Sealed, parts: &parts, ..scene() };
    let leave = |n, role, action, order| {
        let who = holder(n, role).with_second_factor(at(0));
        let permit = decide(&who, action, &Place::Hearing(&scene), at(0)).permit().unwrap();
        permit.meet(Brought { order, ..Brought::only(Purpose::Disclosure) }, at(0))
    };
    let unordered = leave(3, Role::Clerk, Action::ProposeUnsealing, None);
    assert_eq!(unordered.unwrap_err(), AccessError::OrderNeeded);
    let clerk = leave(3, Role::Clerk, Action::ProposeUnsealing, Some(order())).unwrap();
    let judge = leave(4, Role::Judge, Action::ApproveUnsealing, None).unwrap();
    let what = digest(Matter::Unsealing, &[("interval", b"7".as_slice())].into());
    let terms = Matter::Unsealing.usual_terms();
    let proposal =
        Proposal::new(ProposalId::new(Uuid::nil()), (Matter::Unsealing, what), terms, &clerk, at(0)).unwrap();
    let approved = proposal.approve(&judge, &what, |_, _| true, at(1)).unwrap();
    assert!(approved.carry_out(&what, |_, _| true, at(1)).is_ok());
}

#[test]
fn a_matter_has_a_right_of_its_own_for_each_of_the_two() {
    let rights: BTreeSet<Action> = Matter::ALL.into_iter().flat_map(|m| [m.proposing(), m.approving()]).collect();
    assert_eq!(rights.len(), 2 * Matter::ALL.len());
    assert!(rights.iter().all(|right| right.needs_second_factor()));
    assert!(Matter::Erasure.usual_terms().delay > Duration::ZERO);
}

#[test]
fn a_proposal_is_stored_and_read_back_in_every_state() {
    let approved = approve(&proposed(), 2, 10).unwrap();
    let refused = approved.refuse(&leave(3, Action::ApproveErasure, 20), at(20)).unwrap();
    let (done, _) = approved.carry_out(&content(0), |_, _| true, at(120)).unwrap();
    for proposal in [proposed(), approved, refused, done] {
        let text = serde_json::to_string(&proposal).unwrap();
        assert_eq!(serde_json::from_str::<Proposal>(&text).unwrap(), proposal, "{text}");
    }
}

/// Something that somebody tries.
#[derive(Clone, Debug)]
enum Try {
    Approve {
        n: u128,
        content: u8,
    },
    Refuse {
        n: u128,
    },
    CarryOut {
        content: u8,
    },
    /// Takes the right to propose or to approve from somebody, or gives it back.
    Revoke {
        n: u128,
        approving: bool,
    },
}

fn tries() -> impl Strategy<Value = Vec<(i64, Try)>> {
    let mostly_same = prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    let one = prop_oneof![
        4 => (1_u128..4, mostly_same.clone()).prop_map(|(n, content)| Try::Approve { n, content }),
        1 => (1_u128..4).prop_map(|n| Try::Refuse { n }),
        6 => mostly_same.prop_map(|content| Try::CarryOut { content }),
        1 => (1_u128..4, any::<bool>()).prop_map(|(n, approving)| Try::Revoke { n, approving }),
    ];
    prop::collection::vec((0_i64..160, one), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whether a step comes through is told from the history alone, with no state of its own.
    #[test]
    fn nothing_is_done_that_two_people_with_the_right_did_not_agree_on(tries in tries()) {
        let mut proposal = proposed();
        let mut now = 0;
        let mut gone: BTreeSet<(u128, bool)> = BTreeSet::new();
        let (mut approvals, mut ends) = (Vec::<(u128, i64)>::new(), 0);
        for (pause, attempt) in tries {
            now += pause;
            let held = |n: u128, approving: bool| !gone.contains(&(n, approving));
            let may = |p: PersonId, action: Action| {
                (1..4).any(|n| person(n) == p && held(n, action == Action::ApproveErasure))
            };
            match attempt {
                Try::Revoke { n, approving } => {
                    if !gone.remove(&(n, approving)) {
                        gone.insert((n, approving));
                    }
                }
                Try::Approve { n, content: shown } => {
                    let leave = leave(n, Action::ApproveErasure, now);
                    let found = proposal.approve(&leave, &content(shown), may, at(now));
                    let good = n != 1 && shown == 0 && now < 500 && held(1, false) && approvals.is_empty() && ends == 0;
                    prop_assert_eq!(found.is_ok(), good);
                    if let Ok(next) = found {
                        approvals.push((n, now));
                        proposal = next;
                    }
                }
                Try::Refuse { n } => {
                    let found = proposal.refuse(&leave(n, Action::ApproveErasure, now), at(now));
                    prop_assert_eq!(found.is_ok(), ends == 0);
                    if let Ok(next) = found {
                        ends += 1;
                        proposal = next;
                    }
                }
                Try::CarryOut { content: done } => {
                    let found = proposal.carry_out(&content(done), may, at(now));
                    let approval = approvals.first().copied();
                    let good = approval.is_some_and(|(by, then)| {
                        (then + 100..then + 600).contains(&now) && held(by, true) && held(1, false)
                    });
                    prop_assert_eq!(found.is_ok(), good && done == 0 && ends == 0);
                    if let Ok((next, warrant)) = found {
                        prop_assert_ne!(warrant.by()[0], warrant.by()[1]);
                        ends += 1;
                        proposal = next;
                    }
                }
            }
        }
    }

    #[test]
    fn no_two_contents_have_one_digest(
        one in prop::collection::btree_map("[a-c]{0,3}", prop::collection::vec(0_u8..3, 0..4), 0..4),
        other in prop::collection::btree_map("[a-c]{0,3}", prop::collection::vec(0_u8..3, 0..4), 0..4),
    ) {
        let of = |fields: &BTreeMap<String, Vec<u8>>| {
            digest(Matter::Roles, &fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect())
        };
        prop_assert_eq!(of(&one) == of(&other), one == other);
    }
}
