//! What each role may do, and what must be so. What is not named here is refused.
//!
//! Read beside `rights.txt`, the same by hand, which the tests hold against this.

use super::Condition;
use crate::{
    access::{
        action::{Action, Touch},
        role::Role,
    },
    domain::change::IntervalClass,
};

/// Something that must be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The grant reaches so far.
    Scope,
    /// The caller takes part in the hearing in this role: assigned to it, directing it, a party to it.
    Part,
    /// The grant is for what is sealed too.
    Cleared,
    /// The caller was on duty when it was said.
    OnDuty,
    /// An order admits the caller to this part of the draft, or of what is sealed.
    Admitted,
    /// An order admits the caller to this part of what is sealed.
    AdmittedSealed,
    /// The hearing is in the evaluation set.
    Evaluation,
    /// The text is in a direction that the caller is assigned for.
    OwnDirection,
}

/// On which terms something is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// What must be so.
    pub(super) needs: &'static [Need],
    /// What must be so behind closed doors beside.
    pub(super) behind_doors: &'static [Need],
    /// What the caller must bring.
    pub(super) conditions: &'static [Condition],
}

/// Whether what is touched was said in open court.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doors {
    Open,
    Closed,
}

/// On which terms `role` allows `action` on what has this class; `None`: not at all. `class` is that of an interval, where the
/// action is done in one.
pub(super) fn terms(role: Role, action: Action, class: Option<IntervalClass>) -> Option<Terms> {
    let doors = doors(action.touch(), class)?;
    let allowed = match role {
        Role::RecorderDevice => recorder_device(action),
        Role::Monitor => monitor(action),
        Role::Interpreter => interpreter(action),
        Role::SecondReader => second_reader(action),
        Role::Clerk => clerk(action),
        Role::Judge => judge(action),
        Role::Party | Role::Counsel | Role::Victim | Role::Witness => participant(action),
        Role::Oversight => oversight(action, doors),
        Role::Evaluator => evaluator(action),
        Role::Administrator => administrator(action),
        Role::Public => public(action),
        Role::Service => service(action),
    };
    let (needs, conditions) = allowed?;
    let behind_doors = if doors == Doors::Closed { behind_doors(role)? } else { &[] };
    Some(Terms { needs, behind_doors, conditions })
}

/// `None`: nothing was kept of what has this class, or there is nothing to do there.
const fn doors(touch: Touch, class: Option<IntervalClass>) -> Option<Doors> {
    match (touch, class) {
        (Touch::Nothing, _) => Some(Doors::Open),
        (Touch::Words | Touch::Notes, Some(IntervalClass::Open)) => Some(Doors::Open),
        (Touch::Words | Touch::Notes, Some(IntervalClass::Sealed)) => Some(Doors::Closed),
        (Touch::Notes, Some(IntervalClass::Muted)) => Some(Doors::Open),
        (Touch::Seal, Some(IntervalClass::Sealed)) => Some(Doors::Open),
        (Touch::Words, Some(IntervalClass::Muted | IntervalClass::OffRecord) | None)
        | (Touch::Notes, Some(IntervalClass::OffRecord) | None)
        | (Touch::Seal, Some(IntervalClass::Open | IntervalClass::Muted | IntervalClass::OffRecord) | None) => None,
    }
}

/// What a role needs beside for what is sealed; `None`: it is never shown any of it.
const fn behind_doors(role: Role) -> Option<&'static [Need]> {
    match role {
        Role::Monitor => Some(&[Need::OnDuty]),
        Role::Interpreter | Role::SecondReader => Some(&[Need::Part, Need::Cleared]),
        Role::Clerk | Role::Party | Role::Counsel | Role::Victim | Role::Witness | Role::Oversight => {
            Some(&[Need::AdmittedSealed])
        }
        Role::Judge => Some(&[Need::Part]),
        Role::RecorderDevice | Role::Evaluator | Role::Administrator | Role::Public | Role::Service => None,
    }
}

type Allowed = Option<(&'static [Need], &'static [Condition])>;

/// The same for everybody.
const ANYHOW: Allowed = Some((&[], &[]));
const IN_SCOPE: Allowed = Some((&[Need::Scope], &[]));
const IN_SCOPE_ON_ORDER: Allowed = Some((&[Need::Scope], &[Condition::Order]));
const TAKING_PART: Allowed = Some((&[Need::Scope, Need::Part], &[]));
const TAKING_PART_ON_ORDER: Allowed = Some((&[Need::Scope, Need::Part], &[Condition::Order]));
const EVALUATION: Allowed = Some((&[Need::Scope, Need::Evaluation], &[]));

const fn recorder_device(action: Action) -> Allowed {
    match action {
        Action::OpenHearing | Action::StreamAudio | Action::ResumeStream | Action::CloseHearing => IN_SCOPE,
        Action::DescribeServer | Action::CheckHealth => ANYHOW,
        // Deny by default, here and below.
        _ => None,
    }
}

const fn monitor(action: Action) -> Allowed {
    match action {
        Action::OpenHearing
        | Action::ImportHearing
        | Action::CloseHearing
        | Action::RecognizeHearing
        | Action::FindHearing
        | Action::ReadRecord
        | Action::WatchHearing
        | Action::ReceiveResults
        | Action::Listen
        | Action::ReadLedger
        | Action::AddNote
        | Action::ReadGlossary
        | Action::ProposeGlossary => IN_SCOPE,
        Action::EnterOrder => IN_SCOPE_ON_ORDER,
        Action::CertifyRecording => TAKING_PART,
        Action::DescribeServer | Action::CheckHealth | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

const fn interpreter(action: Action) -> Allowed {
    match action {
        Action::RepassHearing
        | Action::FindHearing
        | Action::ReadRecord
        | Action::WatchHearing
        | Action::Listen
        | Action::ReadLedger
        | Action::ReadWithheld
        | Action::ReadEdits
        | Action::AddNote
        | Action::ReadGlossary
        | Action::ProposeGlossary
        | Action::EditText => TAKING_PART,
        Action::CertifyText => Some((&[Need::Scope, Need::Part, Need::OwnDirection], &[])),
        // Before they are assigned.
        Action::DeclareInterest => IN_SCOPE,
        Action::DescribeServer | Action::CheckHealth | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

const fn second_reader(action: Action) -> Allowed {
    match action {
        // Blind: not `ReadEdits`.
        Action::FindHearing
        | Action::ReadRecord
        | Action::WatchHearing
        | Action::Listen
        | Action::ReadWithheld
        | Action::ReadGlossary
        | Action::EditOwnCopy => TAKING_PART,
        Action::DeclareInterest => IN_SCOPE,
        Action::DescribeServer | Action::CheckHealth | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

const fn clerk(action: Action) -> Allowed {
    match action {
        Action::FindHearing
        | Action::ReadRecord
        | Action::WatchHearing
        | Action::ExportDraft
        | Action::Listen
        | Action::ReadLedger
        | Action::ReadEdits
        | Action::ReadReviewers
        | Action::AddNote
        | Action::ReadGlossary
        | Action::ProposeGlossary
        | Action::ApproveGlossary
        | Action::EditMetadata
        | Action::CertifyRelease
        | Action::ReleaseCopy
        | Action::RegisterInterpreter
        | Action::AssignPerson
        | Action::ProposeErasure
        | Action::ApproveErasure
        | Action::PreviewErasure
        | Action::VerifyLog
        | Action::ReadLog => IN_SCOPE,
        // The map is sealed whatever the class of what it stands for.
        Action::ReadPseudonyms => Some((&[Need::Scope, Need::AdmittedSealed], &[])),
        Action::EnterOrder | Action::PlaceHold | Action::ProposeUnsealing => IN_SCOPE_ON_ORDER,
        Action::DescribeServer | Action::CheckHealth | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

const fn judge(action: Action) -> Allowed {
    match action {
        Action::FindHearing
        | Action::ReadRecord
        | Action::WatchHearing
        | Action::ExportDraft
        | Action::Listen
        | Action::ReadLedger
        | Action::ReadWithheld
        | Action::ReadEdits
        | Action::ReadReviewers
        | Action::ReadPseudonyms
        | Action::AddNote
        | Action::GiveOrder
        | Action::StopCaptions
        | Action::PlaceHold
        | Action::ReadGlossary
        | Action::DecideChallenge
        | Action::GiveVisa
        | Action::OrderRelease
        | Action::OrderException
        | Action::ApproveUnsealing => TAKING_PART,
        Action::ProposeUnsealing => TAKING_PART_ON_ORDER,
        // Years later, who directed the hearing may be gone.
        Action::ApproveErasure | Action::VerifyLog | Action::ReadLog => IN_SCOPE,
        Action::DescribeServer | Action::CheckHealth | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

/// Parties, counsel, victims, witnesses.
const fn participant(action: Action) -> Allowed {
    match action {
        Action::ReadRecord | Action::WatchHearing | Action::Listen => {
            Some((&[Need::Scope, Need::Admitted], &[Condition::Notice]))
        }
        Action::FindHearing | Action::RequestOrder | Action::FileChallenge => TAKING_PART,
        Action::OwnAttributes
        | Action::VerifyLog
        | Action::DescribeServer
        | Action::CheckHealth
        | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

const fn oversight(action: Action, doors: Doors) -> Allowed {
    match action {
        // The table of rights gives it no drafts; what is sealed, by order.
        Action::ReadRecord | Action::Listen => match doors {
            Doors::Open => None,
            Doors::Closed => IN_SCOPE,
        },
        Action::ReadAggregates | Action::LowerLevel | Action::VerifyLog | Action::ReadLog | Action::CosignLog => {
            IN_SCOPE
        }
        Action::DescribeServer | Action::CheckHealth | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

const fn evaluator(action: Action) -> Allowed {
    match action {
        Action::FindHearing | Action::ReadRecord | Action::Listen | Action::ReadWithheld | Action::EditReferences => {
            EVALUATION
        }
        Action::ReadAttributes => Some((&[Need::Scope], &[Condition::Enclave])),
        Action::ReadAggregates | Action::SubmitEvidence => IN_SCOPE,
        Action::DescribeServer | Action::CheckHealth | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

const fn administrator(action: Action) -> Allowed {
    match action {
        Action::LowerLevel
        | Action::ProposeErasure
        | Action::ProposeLevel
        | Action::ApproveLevel
        | Action::ProposeKeys
        | Action::ApproveKeys
        | Action::ProposeRoles
        | Action::ApproveRoles
        | Action::ProposeRetention
        | Action::ApproveRetention
        | Action::ProposeCredentials
        | Action::ApproveCredentials
        | Action::PreviewErasure
        | Action::VerifyLog
        | Action::ReadLog
        | Action::CheckReadiness
        | Action::ReadMetrics
        | Action::TakeBackup
        | Action::VerifyBackup
        | Action::RestoreBackup
        | Action::ManageAccounts
        | Action::RevokeRights => IN_SCOPE,
        Action::DescribeServer | Action::ReflectServer | Action::CheckHealth | Action::OwnAccount => ANYHOW,
        _ => None,
    }
}

const fn public(action: Action) -> Allowed {
    match action {
        Action::ReadPublished | Action::VerifyLog => ANYHOW,
        _ => None,
    }
}

const fn service(action: Action) -> Allowed {
    match action {
        Action::CheckReadiness | Action::ReadMetrics | Action::TakeBackup | Action::VerifyBackup => IN_SCOPE,
        Action::DescribeServer | Action::ReflectServer | Action::CheckHealth => ANYHOW,
        _ => None,
    }
}
