//! Passwords: what one has to be like, and what is kept of it. Argon2id (RFC 9106), with the figures of the OWASP Password Storage
//! Cheat Sheet as the least.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc},
};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::Login;
use crate::access::AccessError;

/// The shortest password that is taken, in characters. With a second factor beside it, guesses are few (`super::lockout`).
const SHORTEST: usize = 12;
/// The longest, in bytes: what is longer is no password, and costs time to look at.
const LONGEST_BYTES: usize = 1_024;
/// Memory and passes of which each pair is as hard to guess by, from the cheat sheet (one lane), in KiB.
const LEAST: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];
/// The most that a stored hash may ask for, in KiB and passes: a table that was changed must not stop the server.
const MOST: (u32, u32) = (1_048_576, 16);

/// What a password hash costs: memory and time, for us once, for a thief at every guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
}

impl Cost {
    /// What OWASP names first for servers that answer while people wait: 19 MiB and two passes, 20 ms of a core.
    pub const USUAL: Self = Self { memory_kib: 19_456, passes: 2 };

    /// KiB of memory and passes over it, in one lane.
    ///
    /// # Errors
    /// [`AccessError::HashCost`] for less than any of the recommended pairs, and for what would stop a server.
    ///
    /// ```
    /// use vivavoce::access::account::password::Cost;
    /// assert!(Cost::new(47_104, 1).is_ok() && Cost::new(65_536, 3).is_ok());
    /// assert!(Cost::new(47_103, 1).is_err() && Cost::new(4_096, 16).is_err());
    /// ```
    pub fn new(memory_kib: u32, passes: u32) -> Result<Self, AccessError> {
        let enough = LEAST.iter().any(|(memory, times)| memory_kib >= *memory && passes >= *times);
        let bearable = memory_kib <= MOST.0 && passes <= MOST.1;
        if enough && bearable { Ok(Self { memory_kib, passes }) } else { Err(AccessError::HashCost) }
    }

    fn hasher(self) -> Result<Argon2<'static>, AccessError> {
        let params = Params::new(self.memory_kib, self.passes, 1, None).map_err(|_checked| AccessError::HashCost)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

impl TryFrom<(u32, u32)> for Cost {
    type Error = AccessError;

    fn try_from((memory_kib, passes): (u32, u32)) -> Result<Self, AccessError> {
        Self::new(memory_kib, passes)
    }
}

impl From<Cost> for (u32, u32) {
    fn from(cost: Cost) -> Self {
        (cost.memory_kib, cost.passes)
    }
}

/// A password as somebody typed it, in one form whatever keyboard it came from (NFKC). Overwritten when it is let go, never printed.
pub struct Password(Zeroizing<String>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Password {
    /// To be held against a hash.
    ///
    /// # Errors
    /// [`AccessError::NotKnown`] for what nobody's password can be.
    pub fn typed(text: &str) -> Result<Self, AccessError> {
        if text.is_empty() || text.len() > LONGEST_BYTES {
            return Err(AccessError::NotKnown);
        }
        // Room for all of it at once: a text that grows leaves copies behind.
        let mut normal = Zeroizing::new(String::with_capacity(4 * text.len()));
        normal.extend(text.nfkc());
        Ok(Self(normal))
    }

    /// A new one. `known` says whether it is on a list of passwords that are guessed first; there are no rules of letters and digits,
    /// which make passwords worse.
    ///
    /// # Errors
    /// [`AccessError::WeakPassword`] with what is wrong.
    pub fn chosen(text: &str, login: &Login, known: impl Fn(&str) -> bool) -> Result<Self, AccessError> {
        let weak = |problem| Err(AccessError::WeakPassword { problem });
        let Ok(password) = Self::typed(text) else {
            return weak(Weakness::Length);
        };
        let chosen = password.0.to_lowercase();
        let mut letters: Vec<char> = chosen.chars().collect();
        if letters.len() < SHORTEST {
            return weak(Weakness::Length);
        }
        letters.sort_unstable();
        letters.dedup();
        if letters.len() < 5 || chosen.contains(login.as_str()) {
            return weak(Weakness::Plain);
        }
        if known(&password.0) || known(&chosen) { weak(Weakness::Known) } else { Ok(password) }
    }
}

/// What is wrong with a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Too short or too long.
    #[error("has less than {SHORTEST} characters, or more than {LONGEST_BYTES} bytes")]
    Length,
    /// The login is in it, or next to nothing.
    #[error("holds the login, or less than five different characters")]
    Plain,
    /// It is on a list.
    #[error("is one of those that are guessed first")]
    Known,
}

/// What is kept of a password: a PHC string with all that is needed to hold another against it. Not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl PasswordHash {
    /// Of a password, with 16 random bytes that come with no other. Takes [`Cost`]'s time and memory: not on a thread that serves.
    ///
    /// # Errors
    /// [`AccessError::HashFailed`] where there is no memory for it.
    pub fn of(password: &Password, salt: &[u8; 16], cost: Cost) -> Result<Self, AccessError> {
        let hash = cost.hasher()?.hash_password_with_salt(password.0.as_bytes(), salt);
        hash.map(|hash| Self(hash.to_string())).map_err(|_no_memory| AccessError::HashFailed)
    }

    /// Whether it is of this password. Takes as long for one that is wrong.
    ///
    /// # Errors
    /// [`AccessError::HashFailed`] where there is no memory for it.
    pub fn is_of(&self, password: &Password) -> Result<bool, AccessError> {
        let parsed = phc::PasswordHash::new(&self.0).map_err(|_checked| AccessError::HashFailed)?;
        match Argon2::default().verify_password(password.0.as_bytes(), &parsed) {
            Ok(()) => Ok(true),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(_no_memory) => Err(AccessError::HashFailed),
        }
    }

    /// Whether it was made at less cost than is asked for now: it is made anew when its password is there.
    #[must_use]
    pub fn is_below(&self, cost: Cost) -> bool {
        params(&self.0).is_none_or(|found| found.m_cost() < cost.memory_kib || found.t_cost() < cost.passes)
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The figures of a stored hash, where they are ones that a server can bear.
fn params(text: &str) -> Option<Params> {
    let hash = phc::PasswordHash::new(text).ok()?;
    let ours = hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some();
    let params = Params::try_from(&hash).ok().filter(|_| ours)?;
    let bearable = params.m_cost() <= MOST.0 && params.t_cost() <= MOST.1 && params.p_cost() <= 4;
    bearable.then_some(params)
}

impl TryFrom<String> for PasswordHash {
    type Error = AccessError;

    fn try_from(text: String) -> Result<Self, AccessError> {
        if params(&text).is_some() { Ok(Self(text)) } else { Err(AccessError::HashCost) }
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Password {
        Password::typed(text).unwrap()
    }

    fn login() -> Login {
        "m.dupont".parse().unwrap()
    }

    #[test]
    fn a_hash_is_of_its_password_alone_and_differs_by_salt() {
        let password = typed("correct horse battery");
        let hash = PasswordHash::of(&password, &[1; 16], Cost::USUAL).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert!(hash.is_of(&password).unwrap() && !hash.is_of(&typed("correct horse batterz")).unwrap());
        assert_ne!(hash, PasswordHash::of(&password, &[2; 16], Cost::USUAL).unwrap());
    }

    /// From the tests of the reference implementation (phc-winner-argon2, test.c).
    #[test]
    fn hashes_are_those_of_the_reference() {
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = PasswordHash::try_from(text.to_owned()).unwrap();
        assert!(hash.is_of(&typed("password")).unwrap() && !hash.is_of(&typed("passwore")).unwrap());
    }

    #[test]
    fn a_password_is_the_same_from_every_keyboard() {
        let composed = PasswordHash::of(&typed("caf\u{e9} du palais"), &[1; 16], Cost::USUAL).unwrap();
        assert!(composed.is_of(&typed("cafe\u{301} du palais")).unwrap());
    }

    #[test]
    fn costs_below_the_recommended_and_beyond_the_bearable_are_refused() {
        for (memory, passes) in [(19_455, 2), (19_456, 1), (7_168, 4), (0, 0), (1_048_577, 2), (19_456, 17)] {
            assert_eq!(Cost::new(memory, passes), Err(AccessError::HashCost), "{memory} {passes}");
        }
        let stronger = Cost::new(65_536, 3).unwrap();
        let hash = PasswordHash::of(&typed("correct horse battery"), &[1; 16], Cost::USUAL).unwrap();
        assert!(hash.is_below(stronger) && !hash.is_below(Cost::USUAL));
    }

    #[test]
    fn a_stored_hash_that_would_stop_the_server_is_refused() {
        let good = PasswordHash::of(&typed("correct horse battery"), &[1; 16], Cost::USUAL).unwrap();
        let text = good.as_str();
        assert!(PasswordHash::try_from(text.to_owned()).is_ok());
        let wrong = [
            text.replace("m=19456", "m=4194304"),
            text.replace("t=2", "t=1000"),
            text.replace("argon2id", "argon2d"),
            text.rsplit_once('$').unwrap().0.to_owned(),
            String::new(),
            "plain".to_owned(),
        ];
        for text in wrong {
            assert_eq!(PasswordHash::try_from(text.clone()).unwrap_err(), AccessError::HashCost, "{text}");
        }
    }

    #[test]
    fn a_new_password_is_long_and_not_one_that_is_guessed_first() {
        let check = |text: &str, problem: Option<Weakness>| {
            let found = Password::chosen(text, &login(), |known| known == "password1234").map(drop);
            assert_eq!(found, problem.map_or(Ok(()), |problem| Err(AccessError::WeakPassword { problem })), "{text}");
        };
        check("correct horse battery", None);
        check("法廷の秘密は守られるべきだ", None);
        check("elevenchars", Some(Weakness::Length));
        check(&"long".repeat(257), Some(Weakness::Length));
        check("aaaabbbbccccdddd", Some(Weakness::Plain));
        check("M.Dupont-2026!", Some(Weakness::Plain));
        check("Password1234", Some(Weakness::Known));
    }

    #[test]
    fn neither_password_nor_hash_is_printed() {
        let password = typed("correct horse battery");
        let hash = PasswordHash::of(&password, &[1; 16], Cost::USUAL).unwrap();
        assert_eq!(format!("{password:?} {hash:?}"), "Password(..) PasswordHash(..)");
    }
}
