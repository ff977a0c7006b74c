//! What can be done, one by one: fine enough that every call of every protocol is one of these, or a few.

use serde::{Deserialize, Serialize};

use super::named::named;
use crate::domain::actor::Purpose;

named! {
    /// Something that can be done.
    pub enum Action ("action") {
        /// Open a hearing in a room.
        OpenHearing = "open_hearing",
        /// Make a hearing of an old recording: open it, send the recording, close it.
        ImportHearing = "import_hearing",
        /// Send audio, and what a recorder says of it: gaps, marks, readings of its clock.
        StreamAudio = "stream_audio",
        /// Take a hearing over from a stream that broke.
        ResumeStream = "resume_stream",
        /// End a hearing.
        CloseHearing = "close_hearing",
        /// Have the text made of what was only recorded.
        RecognizeHearing = "recognize_hearing",
        /// Have a closed hearing heard once more; what comes out is proposed.
        RepassHearing = "repass_hearing",
        /// See that a hearing is there: its reference, its channels, when it was.
        FindHearing = "find_hearing",
        /// Read what was said, page by page.
        ReadRecord = "read_record",
        /// Follow what is said.
        WatchHearing = "watch_hearing",
        /// Be sent the text on the stream that brings the audio.
        ReceiveResults = "receive_results",
        /// Have the machine's draft as a document.
        ExportDraft = "export_draft",
        /// Hear the sound.
        Listen = "listen",
        /// See what became of every sample.
        ReadLedger = "read_ledger",
        /// Read text that is kept out of captions, since it stands on no speech.
        ReadWithheld = "read_withheld",
        /// See what a reviewer changed, before it is done.
        ReadEdits = "read_edits",
        /// See who reviewed.
        ReadReviewers = "read_reviewers",
        /// See who is behind a pseudonym.
        ReadPseudonyms = "read_pseudonyms",
        /// Write a note beside the record.
        AddNote = "add_note",
        /// Order how a part of a hearing is treated.
        GiveOrder = "give_order",
        /// Enter such an order of a judge.
        EnterOrder = "enter_order",
        /// Ask a judge for one.
        RequestOrder = "request_order",
        /// End captions for all.
        StopCaptions = "stop_captions",
        /// Keep a hearing from being erased, by a judge's order.
        PlaceHold = "place_hold",
        /// Read the glossary of a hearing.
        ReadGlossary = "read_glossary",
        /// Propose terms for it.
        ProposeGlossary = "propose_glossary",
        /// Approve it, so that the recogniser is told.
        ApproveGlossary = "approve_glossary",
        /// Correct a text or its translation.
        EditText = "edit_text",
        /// Correct the copy of a second reader.
        EditOwnCopy = "edit_own_copy",
        /// Change what is known of a hearing beside its text.
        EditMetadata = "edit_metadata",
        /// Write what was really said in the evaluation set.
        EditReferences = "edit_references",
        /// Challenge a text.
        FileChallenge = "file_challenge",
        /// Decide over a challenge.
        DecideChallenge = "decide_challenge",
        /// Certify how a hearing was recorded.
        CertifyRecording = "certify_recording",
        /// Certify a text or a translation.
        CertifyText = "certify_text",
        /// Certify that a copy is the court's.
        CertifyRelease = "certify_release",
        /// Put a judge's visa on a text.
        GiveVisa = "give_visa",
        /// Hand a copy out.
        ReleaseCopy = "release_copy",
        /// Order that a copy is handed out.
        OrderRelease = "order_release",
        /// Register an interpreter for languages and directions.
        RegisterInterpreter = "register_interpreter",
        /// Assign somebody to a hearing.
        AssignPerson = "assign_person",
        /// Declare what may be a conflict of interest.
        DeclareInterest = "declare_interest",
        /// Order an exception from who may be assigned or certify.
        OrderException = "order_exception",
        /// Compute with what people said of themselves, inside the enclave.
        ReadAttributes = "read_attributes",
        /// Say, see, change or withdraw what one said of oneself. On nobody else.
        OwnAttributes = "own_attributes",
        /// See figures over many hearings.
        ReadAggregates = "read_aggregates",
        /// See those that were published.
        ReadPublished = "read_published",
        /// Hand in an evaluation, on which a language level can rest.
        SubmitEvidence = "submit_evidence",
        /// Lower the level of a language at once.
        LowerLevel = "lower_level",
        /// Propose to open what was sealed.
        ProposeUnsealing = "propose_unsealing",
        /// Approve it as the second person.
        ApproveUnsealing = "approve_unsealing",
        /// Propose to erase a hearing.
        ProposeErasure = "propose_erasure",
        /// Approve it as the second person.
        ApproveErasure = "approve_erasure",
        /// Propose to enable or raise the level of a language.
        ProposeLevel = "propose_level",
        /// Approve it as the second person.
        ApproveLevel = "approve_level",
        /// Propose to rotate or destroy a key.
        ProposeKeys = "propose_keys",
        /// Approve it as the second person.
        ApproveKeys = "approve_keys",
        /// Propose to grant a role, or a token to a program.
        ProposeRoles = "propose_roles",
        /// Approve it as the second person.
        ApproveRoles = "approve_roles",
        /// Propose to change a rule of retention.
        ProposeRetention = "propose_retention",
        /// Approve it as the second person.
        ApproveRetention = "approve_retention",
        /// Propose to give somebody a new password or second factor, who then could sign in as them.
        ProposeCredentials = "propose_credentials",
        /// Approve it as the second person.
        ApproveCredentials = "approve_credentials",
        /// See what would be erased, without what was said.
        PreviewErasure = "preview_erasure",
        /// Verify the log: checkpoints and proofs, in which there is nobody's name.
        VerifyLog = "verify_log",
        /// Read the log itself: who did what, when, what for.
        ReadLog = "read_log",
        /// Put one's own signature beside a checkpoint.
        CosignLog = "cosign_log",
        /// Ask what the server runs and takes.
        DescribeServer = "describe_server",
        /// Ask which calls there are.
        ReflectServer = "reflect_server",
        /// Ask whether it lives.
        CheckHealth = "check_health",
        /// Ask which of its parts are ready.
        CheckReadiness = "check_readiness",
        /// Read its metrics.
        ReadMetrics = "read_metrics",
        /// Copy the record, the audio and the keys, sealed as they are.
        TakeBackup = "take_backup",
        /// Verify such a copy.
        VerifyBackup = "verify_backup",
        /// Put it back.
        RestoreBackup = "restore_backup",
        /// Make and close accounts. An account alone may do nothing.
        ManageAccounts = "manage_accounts",
        /// Take a role, a token or a certificate back, at once.
        RevokeRights = "revoke_rights",
        /// One's own account: password, second factor, sessions, tokens that may do a part of what one may do oneself.
        OwnAccount = "own_account",
    }
}

/// What an action is done in. Another kind of place than its own is refused: a mistake of whoever asks must not open a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Nowhere: it is about oneself, or is the same for everybody.
    Nowhere,
    /// One court, or the whole deployment.
    Court,
    /// A room.
    Room,
    /// A hearing.
    Hearing,
}

/// Whether the class of an interval matters for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// It tells and changes nothing of what was said.
    Nothing,
    /// It tells or changes what was said. Nothing was kept of what is off the record or muted: there is nothing to be read.
    Words,
    /// It is written while things are said. Not off the record; a muted microphone is but one of a room.
    Notes,
    /// It is about what is sealed, and nothing else.
    Seal,
}

impl Action {
    /// What it is done in.
    #[must_use]
    pub const fn setting(self) -> Setting {
        match self {
            Self::OwnAttributes
            | Self::ReadPublished
            | Self::DescribeServer
            | Self::ReflectServer
            | Self::CheckHealth
            | Self::OwnAccount => Setting::Nowhere,
            Self::RegisterInterpreter
            | Self::ReadAttributes
            | Self::ReadAggregates
            | Self::SubmitEvidence
            | Self::LowerLevel
            | Self::ProposeLevel
            | Self::ApproveLevel
            | Self::ProposeKeys
            | Self::ApproveKeys
            | Self::ProposeRoles
            | Self::ApproveRoles
            | Self::ProposeRetention
            | Self::ApproveRetention
            | Self::ProposeCredentials
            | Self::ApproveCredentials
            | Self::PreviewErasure
            | Self::VerifyLog
            | Self::ReadLog
            | Self::CosignLog
            | Self::CheckReadiness
            | Self::ReadMetrics
            | Self::TakeBackup
            | Self::VerifyBackup
            | Self::RestoreBackup
            | Self::ManageAccounts
            | Self::RevokeRights => Setting::Court,
            Self::OpenHearing | Self::ImportHearing => Setting::Room,
            // All else is done in a hearing, which asks the most.
            _ => Setting::Hearing,
        }
    }

    /// Whether the class of an interval matters.
    #[must_use]
    pub const fn touch(self) -> Touch {
        match self {
            Self::ReadRecord
            | Self::WatchHearing
            | Self::ReceiveResults
            | Self::ExportDraft
            | Self::Listen
            | Self::ReadWithheld
            | Self::ReadEdits
            | Self::EditText
            | Self::EditOwnCopy
            | Self::EditReferences
            | Self::FileChallenge
            | Self::DecideChallenge
            | Self::CertifyText
            | Self::ReleaseCopy
            | Self::OrderRelease => Touch::Words,
            Self::AddNote => Touch::Notes,
            Self::ProposeUnsealing | Self::ApproveUnsealing => Touch::Seal,
            // None of the others tells what was said; a new one that does is named above, and the table of rights asks for it.
            _ => Touch::Nothing,
        }
    }

    /// Whether it needs a second factor that was shown a short while ago: what certifies, hands out, opens, erases, or changes who
    /// may do so. A token shows none, so that no program does any of it.
    #[must_use]
    pub const fn needs_second_factor(self) -> bool {
        matches!(
            self,
            Self::CertifyRecording
                | Self::CertifyText
                | Self::CertifyRelease
                | Self::GiveVisa
                | Self::ReleaseCopy
                | Self::OrderException
                | Self::ProposeUnsealing
                | Self::ApproveUnsealing
                | Self::ProposeErasure
                | Self::ApproveErasure
                | Self::ProposeLevel
                | Self::ApproveLevel
                | Self::ProposeKeys
                | Self::ApproveKeys
                | Self::ProposeRoles
                | Self::ApproveRoles
                | Self::ProposeRetention
                | Self::ApproveRetention
                | Self::ProposeCredentials
                | Self::ApproveCredentials
                | Self::RestoreBackup
        )
    }

    /// Whether it is a look at the state of the server, which is counted and not logged one by one.
    #[must_use]
    pub const fn is_routine(self) -> bool {
        matches!(
            self,
            Self::DescribeServer
                | Self::ReflectServer
                | Self::CheckHealth
                | Self::CheckReadiness
                | Self::ReadMetrics
                | Self::ReadPublished
        )
    }

    /// What it can be done for. Whoever does it names one of these, and that is logged; nobody reads for the purpose of erasing.
    #[must_use]
    pub const fn purposes(self) -> &'static [Purpose] {
        use Purpose::{Alteration, Collection, Combination, Consultation, Disclosure, Erasure};
        match self {
            Self::OpenHearing
            | Self::ImportHearing
            | Self::StreamAudio
            | Self::ResumeStream
            | Self::CloseHearing
            | Self::RecognizeHearing
            | Self::RepassHearing
            | Self::AddNote
            | Self::TakeBackup => &[Collection],
            Self::ExportDraft => &[Consultation, Disclosure],
            Self::CertifyRelease | Self::ReleaseCopy | Self::OrderRelease => &[Disclosure],
            // An unsealing lets others read.
            Self::ProposeUnsealing | Self::ApproveUnsealing => &[Disclosure],
            Self::ReadAttributes | Self::ReadAggregates => &[Combination],
            Self::ProposeErasure | Self::ApproveErasure | Self::PreviewErasure => &[Erasure],
            // An order that comes late destroys what must not be there; what one said of oneself can be withdrawn.
            Self::GiveOrder | Self::EnterOrder => &[Alteration, Erasure],
            Self::OwnAttributes => &[Collection, Alteration, Consultation, Erasure],
            Self::ApproveKeys | Self::ProposeKeys => &[Alteration, Erasure],
            Self::FindHearing
            | Self::ReadRecord
            | Self::WatchHearing
            | Self::ReceiveResults
            | Self::Listen
            | Self::ReadLedger
            | Self::ReadWithheld
            | Self::ReadEdits
            | Self::ReadReviewers
            | Self::ReadPseudonyms
            | Self::ReadGlossary
            | Self::ReadPublished
            | Self::VerifyLog
            | Self::ReadLog
            | Self::DescribeServer
            | Self::ReflectServer
            | Self::CheckHealth
            | Self::CheckReadiness
            | Self::ReadMetrics
            | Self::VerifyBackup => &[Consultation],
            // What is left changes something: a text, a right, a level.
            _ => &[Alteration],
        }
    }
}

/// Every call of gRPC with what it is, by service and method; the first is what a caller needs to be let in at all. A call that is
/// not here is refused.
///
/// `OpenHearing` with `imported` set is [`Action::ImportHearing`], in all that follows on that hearing too. An order by a judge is
/// [`Action::GiveOrder`], by another person [`Action::EnterOrder`].
pub const CALLS: [(&str, &[Action]); 16] = [
    ("vivavoce.v1.Transcription/OpenHearing", &[Action::OpenHearing, Action::ImportHearing]),
    ("vivavoce.v1.Transcription/CloseHearing", &[Action::CloseHearing, Action::ImportHearing]),
    (
        "vivavoce.v1.Transcription/Stream",
        &[
            Action::StreamAudio,
            Action::ImportHearing,
            Action::ResumeStream,
            Action::ReceiveResults,
            Action::GiveOrder,
            Action::EnterOrder,
        ],
    ),
    ("vivavoce.v1.Transcription/ReadRecord", &[Action::ReadRecord, Action::ReadWithheld]),
    ("vivavoce.v1.Transcription/WatchHearing", &[Action::WatchHearing, Action::ReadWithheld]),
    ("vivavoce.v1.Transcription/ListHearings", &[Action::FindHearing]),
    ("vivavoce.v1.Transcription/ExportRecord", &[Action::ExportDraft, Action::ReadWithheld]),
    ("vivavoce.v1.Transcription/OrderInterval", &[Action::GiveOrder, Action::EnterOrder]),
    ("vivavoce.v1.Transcription/RecognizeHearing", &[Action::RecognizeHearing]),
    ("vivavoce.v1.Transcription/ReadLedger", &[Action::ReadLedger]),
    ("vivavoce.v1.Transcription/DescribeServer", &[Action::DescribeServer]),
    ("vivavoce.v1.Transcription/ProposeRevisions", &[Action::RepassHearing]),
    ("grpc.health.v1.Health/Check", &[Action::CheckHealth]),
    ("grpc.health.v1.Health/Watch", &[Action::CheckHealth]),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &[Action::ReflectServer]),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &[Action::ReflectServer]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_of_the_protocol_is_an_action() {
        let proto = include_str!("../../proto/vivavoce/v1/transcription.proto");
        let lines = proto.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
        let called: BTreeSet<&str> = lines.filter_map(|line| line.split('(').next()).collect();
        let known = CALLS.iter().filter_map(|(call, _)| call.strip_prefix("vivavoce.v1.Transcription/"));
        assert_eq!(known.collect::<BTreeSet<_>>(), called);
        assert!(called.len() > 10, "the protocol was not read");
        assert!(CALLS.iter().all(|(_, actions)| !actions.is_empty()));
        assert_eq!(CALLS.iter().map(|(call, _)| call).collect::<BTreeSet<_>>().len(), CALLS.len());
    }

    #[test]
    fn what_tells_what_was_said_is_done_in_a_hearing_and_for_a_reason() {
        for action in Action::ALL {
            assert!(!action.purposes().is_empty(), "{action}");
            if action.touch() != Touch::Nothing {
                assert_eq!(action.setting(), Setting::Hearing, "{action}");
            }
            if action.as_str().starts_with("read_") || action == Action::Listen {
                assert!(!action.purposes().contains(&Purpose::Erasure), "{action}");
            }
            let certifies = ["certify_", "propose_", "approve_"].iter().any(|head| action.as_str().starts_with(head));
            let glossary = matches!(action, Action::ProposeGlossary | Action::ApproveGlossary);
            assert!(action.needs_second_factor() || !certifies || glossary, "{action}");
        }
    }
}
