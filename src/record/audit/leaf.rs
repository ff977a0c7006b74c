//! One leaf of the log: who did what to what, when, why and for whom. Its bytes are what the tree stands on.
//!
//! A leaf holds no personal data. Persons, hearings and keys are random identifiers, whose meaning is elsewhere and can be
//! erased; the purpose is a code; and of the change itself there is a [`commitment`](super::commitment).
//!
//! # Bytes of version 1
//! Numbers are little-endian.
//!
//! | at | bytes | |
//! | --- | --- | --- |
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | operation, below |
//! | 2 | 8 | number of the leaf in its log, from 0 |
//! | 10 | 8 | when, microseconds since 1970 UTC, signed |
//! | 18 | 1 | subject: 0 the service, 1 a hearing, 2 an account, 3 a key, 4 a language |
//! | 19 | 16 | its identifier; zeros for the service |
//! | 35 | 1 | actor: 1 a person, 2 a device, 3 a program, 4 the service |
//! | 36 | 16 | its pseudonym |
//! | 52 | 32 | commitment |
//! | 84 | 1 | length of the purpose code, 1 to 32 |
//! | 85 | | the code |
//! | | 1 | 1 where it went to somebody, else 0 |
//! | | 16 | the pseudonym of that one, where there is one |
//!
//! Operations: 1 collection, 2 alteration, 3 consultation, 4 disclosure, 5 combination, 6 erasure; 16 keys, 17 roles, 18 levels,
//! 19 access.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::{AuditError, commitment::Commitment, tree::NodeHash};
use crate::{
    domain::{
        actor::{ActorKind, Purpose},
        id::HearingId,
    },
    record::seal::KeyId,
};

/// The version that is written.
pub(super) const VERSION: u8 = 1;

/// What was done. The number is written to disk and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Taking in audio and making text of it.
    Collection,
    /// Changing what is recorded.
    Alteration,
    /// Reading.
    Consultation,
    /// Handing out.
    Disclosure,
    /// Putting records together.
    Combination,
    /// Destroying.
    Erasure,
    /// A key was made, wrapped anew, given out or revoked.
    Keys,
    /// An account came or went, or somebody's rights changed.
    Roles,
    /// A language was raised to a level, or lowered.
    Levels,
    /// Somebody was let in, or was not.
    Access,
}

impl Operation {
    const ALL: [Self; 10] = [
        Self::Collection,
        Self::Alteration,
        Self::Consultation,
        Self::Disclosure,
        Self::Combination,
        Self::Erasure,
        Self::Keys,
        Self::Roles,
        Self::Levels,
        Self::Access,
    ];

    /// The number that is written.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Collection => 1,
            Self::Alteration => 2,
            Self::Consultation => 3,
            Self::Disclosure => 4,
            Self::Combination => 5,
            Self::Erasure => 6,
            Self::Keys => 16,
            Self::Roles => 17,
            Self::Levels => 18,
            Self::Access => 19,
        }
    }

    /// In a word, for people and for scripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collection => "collection",
            Self::Alteration => "alteration",
            Self::Consultation => "consultation",
            Self::Disclosure => "disclosure",
            Self::Combination => "combination",
            Self::Erasure => "erasure",
            Self::Keys => "keys",
            Self::Roles => "roles",
            Self::Levels => "levels",
            Self::Access => "access",
        }
    }
}

impl From<Purpose> for Operation {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Collection => Self::Collection,
            Purpose::Alteration => Self::Alteration,
            Purpose::Consultation => Self::Consultation,
            Purpose::Disclosure => Self::Disclosure,
            Purpose::Combination => Self::Combination,
            Purpose::Erasure => Self::Erasure,
        }
    }
}

/// What it was done to, by a random identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The service as a whole.
    Service,
    /// A hearing.
    Hearing(HearingId),
    /// An account.
    Account(Pseudonym),
    /// A key.
    Key(KeyId),
    /// A language in the register, by the identifier of its entry.
    Language(Uuid),
}

impl Subject {
    const fn number(self) -> u8 {
        match self {
            Self::Service => 0,
            Self::Hearing(_) => 1,
            Self::Account(_) => 2,
            Self::Key(_) => 3,
            Self::Language(_) => 4,
        }
    }

    const fn identifier(self) -> [u8; 16] {
        match self {
            Self::Service => [0; 16],
            Self::Hearing(id) => id.uuid().into_bytes(),
            Self::Account(Pseudonym(id)) => id.into_bytes(),
            Self::Key(id) => *id.bytes(),
            Self::Language(id) => id.into_bytes(),
        }
    }

    const fn from_parts(number: u8, identifier: [u8; 16]) -> Option<Self> {
        let id = Uuid::from_bytes(identifier);
        match number {
            0 if id.is_nil() => Some(Self::Service),
            1 => Some(Self::Hearing(HearingId::new(id))),
            2 => Some(Self::Account(Pseudonym(id))),
            3 => Some(Self::Key(KeyId::new(identifier))),
            4 => Some(Self::Language(id)),
            // A number that no version has.
            _ => None,
        }
    }
}

/// A random identifier of an account: it says nothing of whose, and never comes twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pseudonym(Uuid);

impl Pseudonym {
    /// Wraps an identifier that the caller drew.
    #[must_use]
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The identifier.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When it was done, in whole microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeafTime(Timestamp);

impl LeafTime {
    /// `at` without what is less than a microsecond.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        // There is none that is out of range without its nanoseconds.
        Self::from_microseconds(at.as_microsecond()).unwrap_or(Self(at))
    }

    /// `None` for a time that no calendar has. By seconds, since jiff takes a last second of the year 9999 for one too many.
    fn from_microseconds(microseconds: i64) -> Option<Self> {
        let rest = i32::try_from(microseconds % 1_000_000).ok()?;
        Timestamp::new(microseconds / 1_000_000, rest * 1000).ok().map(Self)
    }

    /// The time.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

/// Why it was done, as a code out of the court's list: 1 to 32 characters of a-z, 0-9 and -. No place for a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PurposeCode(String);

impl PurposeCode {
    /// The longest code, in bytes.
    pub const MAX_BYTES: usize = 32;

    /// The code `text`.
    ///
    /// # Errors
    /// [`AuditError::Purpose`] for anything else than such a code.
    ///
    /// ```
    /// use vivavoce::record::audit::leaf::PurposeCode;
    /// assert_eq!(PurposeCode::new("review").unwrap().as_str(), "review");
    /// assert!(PurposeCode::new("for Mr. Doe").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, AuditError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AuditError::Purpose)
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One leaf of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its place in the log, from 0. It stands in the leaf so that what was moved can be named.
    pub number: u64,
    /// What was done.
    pub operation: Operation,
    /// To what.
    pub subject: Subject,
    /// When, by the clock of the machine.
    pub at: LeafTime,
    /// What kind of actor did it.
    pub actor_kind: ActorKind,
    /// Who, under a pseudonym.
    pub actor: Pseudonym,
    /// Why.
    pub purpose: PurposeCode,
    /// To whom something was handed out, under a pseudonym; `None` where nothing was.
    pub recipient: Option<Pseudonym>,
    /// What it is bound to.
    pub commitment: Commitment,
}

impl Leaf {
    /// The bytes that go into the tree: the same for the same leaf, and others for every other one.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.operation.number()];
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.at.0.as_microsecond().to_le_bytes());
        bytes.push(self.subject.number());
        bytes.extend(self.subject.identifier());
        bytes.push(actor_number(self.actor_kind));
        bytes.extend(self.actor.0.into_bytes());
        bytes.extend(self.commitment.bytes());
        // A code has 32 bytes at most: the lowest byte of its length is the whole of it.
        bytes.push(self.purpose.0.len().to_le_bytes()[0]);
        bytes.extend(self.purpose.0.bytes());
        bytes.push(u8::from(self.recipient.is_some()));
        bytes.extend(self.recipient.iter().flat_map(|id| id.0.into_bytes()));
        bytes
    }

    /// Its hash in the tree.
    #[must_use]
    pub fn hash(&self) -> NodeHash {
        NodeHash::of_leaf(&self.to_bytes())
    }

    /// Reads what [`Self::to_bytes`] writes, and nothing else: what is read is written as the same bytes.
    ///
    /// # Errors
    /// [`AuditError::LeafVersion`], [`AuditError::LeafForm`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AuditError> {
        let mut rest = Rest(bytes);
        match rest.byte("version")? {
            VERSION => {}
            // A later release has bytes of its own.
            version => return Err(AuditError::LeafVersion { version }),
        }
        let operation = rest.byte("operation")?;
        let operation = Operation::ALL.into_iter().find(|known| known.number() == operation);
        let operation = operation.ok_or(wrong("operation"))?;
        let number = u64::from_le_bytes(rest.take("number")?);
        let at = LeafTime::from_microseconds(i64::from_le_bytes(rest.take("time")?)).ok_or(wrong("time"))?;
        let subject = rest.byte("subject")?;
        let subject = Subject::from_parts(subject, rest.take("subject")?).ok_or(wrong("subject"))?;
        let actor_kind = rest.byte("actor")?;
        let actor_kind = ACTORS.into_iter().find(|&kind| actor_number(kind) == actor_kind).ok_or(wrong("actor"))?;
        let actor = Pseudonym(Uuid::from_bytes(rest.take("actor")?));
        let commitment = Commitment::from_bytes(rest.take("commitment")?);
        let length = rest.byte("purpose")?;
        let purpose = rest.slice(usize::from(length), "purpose")?;
        let purpose = str::from_utf8(purpose).map_err(|_no_code| wrong("purpose"))?;
        let purpose = PurposeCode::new(purpose).map_err(|_no_code| wrong("purpose"))?;
        let recipient = match rest.byte("recipient")? {
            0 => None,
            1 => Some(Pseudonym(Uuid::from_bytes(rest.take("recipient")?))),
            // One leaf has one form.
            _ => return Err(wrong("recipient")),
        };
        if !rest.0.is_empty() {
            return Err(wrong("end"));
        }
        Ok(Self { number, operation, subject, at, actor_kind, actor, purpose, recipient, commitment })
    }
}

const ACTORS: [ActorKind; 4] = [ActorKind::Person, ActorKind::Device, ActorKind::Program, ActorKind::Service];

const fn actor_number(kind: ActorKind) -> u8 {
    match kind {
        ActorKind::Person => 1,
        ActorKind::Device => 2,
        ActorKind::Program => 3,
        ActorKind::Service => 4,
    }
}

const fn wrong(field: &'static str) -> AuditError {
    AuditError::LeafForm { field }
}

/// The bytes that were not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn slice(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], AuditError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(wrong(field))?;
        self.0 = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], AuditError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(wrong(field))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, AuditError> {
        self.take(field).map(u8::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;
