//! Accounts of people who have no other directory: a password, a second factor, and few guesses.
//!
//! Whoever vouches for people is a [`Directory`]; these accounts are one, a court's identity provider (`OpenID` Connect) another. What
//! somebody may do does not come from there: it is granted here, by person.

pub mod lockout;
pub mod password;
#[cfg(test)]
mod tests;
pub mod totp;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::{
    lockout::Failures,
    password::{Cost, Password, PasswordHash},
    totp::{Step, TotpSecret},
};
use super::{AccessError, validity::Validity};
use crate::domain::id::PersonId;

/// The name somebody signs in with: 1 to 64 of a-z, 0-9, '.', '-', '_' and '@'; capitals are made small. It is known to the
/// person and the administrator and stands in no record and no log.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Login(String);

impl FromStr for Login {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let text = text.trim().to_ascii_lowercase();
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | '@');
        let good = (1..=64).contains(&text.len()) && text.chars().all(inner);
        if good { Ok(Self(text)) } else { Err(AccessError::NotKnown) }
    }
}

impl TryFrom<String> for Login {
    type Error = AccessError;

    fn try_from(text: String) -> Result<Self, AccessError> {
        text.parse()
    }
}

impl From<Login> for String {
    fn from(login: Login) -> Self {
        login.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

impl Login {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What somebody shows to be taken for who they are.
#[derive(Debug)]
pub enum Claim<'a> {
    /// A name, a password, and the code of an authenticator where the account has one.
    Password {
        /// The name.
        login: &'a Login,
        /// The password.
        password: &'a Password,
        /// The code.
        code: Option<&'a str>,
    },
    /// The code alone, of somebody who is signed in: the second factor once more.
    Code {
        /// Who is signed in.
        person: PersonId,
        /// The code.
        code: &'a str,
    },
    /// What an identity provider signed.
    IdToken(&'a str),
}

/// Somebody is who they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub person: PersonId,
    /// When.
    pub at: Timestamp,
    /// When they showed a second factor; `None` where they have none.
    pub second_factor: Option<Timestamp>,
}

/// Who vouches for people. It may take a tenth of a second and a disk: not on a thread that serves.
pub trait Directory: Send + Sync {
    /// Holds a claim against what the directory knows.
    ///
    /// # Errors
    /// [`AccessError::NotKnown`] whatever is wrong: no account, another password, another code, a closed account, a kind of claim that
    /// this directory does not take. [`AccessError::TooManyTries`] also for a login that nobody has.
    fn sign_in(&self, claim: Claim<'_>, now: Timestamp) -> Result<SignedIn, AccessError>;
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Whose.
    pub person: PersonId,
    /// The name they sign in with.
    pub login: Login,
    /// What is kept of the password.
    pub password: PasswordHash,
    /// What their authenticator shares; `None` before there is one. Without, nothing can be certified, unsealed or erased.
    pub totp: Option<TotpSecret>,
    /// The last code that was used.
    pub used: Option<Step>,
    /// From when until when it is good; it is closed by ending it.
    pub validity: Validity,
}

/// What is to be stored of an account when somebody signed in, before they are told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Stamp {
    /// The last code that was used: stored only where the stored one is lower, or the same code would count twice at once.
    pub used: Option<Step>,
    /// None any more.
    pub failures: Failures,
    /// Whether the password is to be hashed anew, at the cost of now.
    pub rehash: bool,
}

/// Holds a name, password and code against an account, or against none. Admit the try first: [`Failures::admit`].
///
/// All is looked at whatever is wrong, so that neither the answer nor its time tells what.
///
/// # Errors
/// [`AccessError::NotKnown`], and [`AccessError::HashFailed`] without memory.
pub fn sign_in(
    account: Option<&Account>,
    (password, code): (&Password, Option<&str>),
    cost: Cost,
    now: Timestamp,
) -> Result<(SignedIn, Stamp), AccessError> {
    let Some(account) = account else {
        // The same work for nobody; the salt is of no meaning.
        let _unused = PasswordHash::of(password, &[0; 16], cost)?;
        return Err(AccessError::NotKnown);
    };
    let right = account.password.is_of(password)?;
    let factor = account.second_factor(code, now);
    let (true, true, Ok(used)) = (right, account.validity.holds(now), factor) else {
        return Err(AccessError::NotKnown);
    };
    let second_factor = account.totp.is_some().then_some(now);
    let stamp = Stamp { used, failures: Failures::NONE, rehash: account.password.is_below(cost) };
    Ok((SignedIn { person: account.person, at: now, second_factor }, stamp))
}

/// Takes the second factor once more of somebody who is signed in. Admit the try first: [`Failures::admit`].
///
/// # Errors
/// [`AccessError::NotKnown`] for a wrong code, a used one, and where there is no second factor.
pub fn confirm(account: &Account, code: &str, now: Timestamp) -> Result<(SignedIn, Stamp), AccessError> {
    match account.second_factor(Some(code), now) {
        Ok(used @ Some(_)) if account.totp.is_some() && account.validity.holds(now) => {
            let signed = SignedIn { person: account.person, at: now, second_factor: Some(now) };
            Ok((signed, Stamp { used, failures: Failures::NONE, rehash: false }))
        }
        _otherwise => Err(AccessError::NotKnown),
    }
}

impl Account {
    /// The step of the code, where the account has an authenticator.
    fn second_factor(&self, code: Option<&str>, now: Timestamp) -> Result<Option<Step>, AccessError> {
        let Some(secret) = &self.totp else {
            return Ok(self.used);
        };
        // Also without a code, so that it takes the time.
        let step = secret.accept(code.unwrap_or_default(), now, self.used);
        step.map(Some).ok_or(AccessError::NotKnown)
    }
}
