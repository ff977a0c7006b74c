//! Signing in, and a directory that does it.

use std::{collections::BTreeMap, sync::Mutex};

use zeroize::Zeroizing;

use super::*;
use crate::access::sample::{around, at, person};

const GOOD: &str = "correct horse battery";

/// The secret of RFC 6238; its code of second 59 is 287082.
fn secret() -> TotpSecret {
    TotpSecret::new(Zeroizing::new(*b"12345678901234567890"))
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn account(totp: Option<TotpSecret>) -> Account {
    let password = PasswordHash::of(&Password::typed(GOOD).unwrap(), &[7; 16], Cost::USUAL).unwrap();
    let validity = Validity { from: moment(0), until: moment(4_000_000_000) };
    Account { person: person(1), login: "m.dupont".parse().unwrap(), password, totp, used: None, validity }
}

fn attempt(
    account: Option<&Account>,
    password: &str,
    code: Option<&str>,
    now: Timestamp,
) -> Result<(SignedIn, Stamp), AccessError> {
    sign_in(account, (&Password::typed(password).unwrap(), code), Cost::USUAL, now)
}

#[test]
fn password_and_code_together_sign_in_and_nothing_less_does() {
    let own = account(Some(secret()));
    let (signed, stamp) = attempt(Some(&own), GOOD, Some("287082"), moment(59)).unwrap();
    assert_eq!(signed, SignedIn { person: person(1), at: moment(59), second_factor: Some(moment(59)) });
    assert_eq!((stamp.failures, stamp.rehash), (Failures::NONE, false));
    let wrong = [
        attempt(Some(&own), GOOD, None, moment(59)),
        attempt(Some(&own), GOOD, Some(""), moment(59)),
        attempt(Some(&own), GOOD, Some("287083"), moment(59)),
        attempt(Some(&own), "correct horse batterz", Some("287082"), moment(59)),
        attempt(None, GOOD, Some("287082"), moment(59)),
        attempt(Some(&Account { used: stamp.used, ..own.clone() }), GOOD, Some("287082"), moment(59)),
        attempt(Some(&Account { validity: around(), ..own }), GOOD, Some("287082"), moment(59)),
    ];
    for refused in wrong {
        assert_eq!(refused, Err(AccessError::NotKnown));
    }
}

#[test]
fn without_an_authenticator_there_is_no_second_factor() {
    let own = account(None);
    let (signed, _) = attempt(Some(&own), GOOD, None, moment(59)).unwrap();
    assert_eq!(signed.second_factor, None);
    let (signed, _) = attempt(Some(&own), GOOD, Some("287082"), moment(59)).unwrap();
    assert_eq!(signed.second_factor, None);
    assert_eq!(confirm(&own, "287082", moment(59)), Err(AccessError::NotKnown));
    let used = Account { used: account(Some(secret())).totp.unwrap().accept("287082", moment(59), None), ..own };
    assert_eq!(confirm(&used, "287082", moment(59)), Err(AccessError::NotKnown));
}

#[test]
fn a_second_factor_is_shown_once_more_with_a_new_code() {
    let own = account(Some(secret()));
    let (signed, stamp) = confirm(&own, "287082", moment(59)).unwrap();
    assert_eq!(signed.second_factor, Some(moment(59)));
    let next = Account { used: stamp.used, ..own.clone() };
    assert_eq!(confirm(&next, "287082", moment(59)), Err(AccessError::NotKnown));
    let closed = Account { validity: Validity { from: moment(0), until: moment(59) }, ..own };
    assert_eq!(confirm(&closed, "287082", moment(59)), Err(AccessError::NotKnown));
}

#[test]
fn a_password_is_hashed_anew_when_the_cost_was_raised() {
    let dearer = Cost::new(24_576, 2).unwrap();
    let (_, stamp) =
        sign_in(Some(&account(None)), (&Password::typed(GOOD).unwrap(), None), dearer, moment(59)).unwrap();
    assert!(stamp.rehash);
}

/// Accounts in memory, as a store of them would have them: one try after the other, counted before it is looked at.
struct Memory(Mutex<(BTreeMap<String, Account>, BTreeMap<String, Failures>)>);

impl Directory for Memory {
    fn sign_in(&self, claim: Claim<'_>, now: Timestamp) -> Result<SignedIn, AccessError> {
        let mut kept = self.0.lock().unwrap();
        let (accounts, failures) = &mut *kept;
        let by_person = |person| accounts.values().find(|a| a.person == person).map(|a| a.login.as_str().to_owned());
        let name = match &claim {
            Claim::Password { login, .. } => login.as_str().to_owned(),
            Claim::Code { person, .. } => by_person(*person).ok_or(AccessError::NotKnown)?,
            Claim::IdToken(_) => return Err(AccessError::NotKnown),
        };
        let counted = failures.get(&name).copied().unwrap_or_default().admit(now)?;
        failures.insert(name.clone(), counted);
        let (signed, stamp) = match claim {
            Claim::Password { password, code, .. } => sign_in(accounts.get(&name), (password, code), Cost::USUAL, now)?,
            Claim::Code { code, .. } => confirm(accounts.get(&name).ok_or(AccessError::NotKnown)?, code, now)?,
            Claim::IdToken(_) => return Err(AccessError::NotKnown),
        };
        failures.insert(name.clone(), stamp.failures);
        accounts.entry(name).and_modify(|account| account.used = stamp.used);
        Ok(signed)
    }
}

#[test]
fn guesses_are_few_for_those_who_are_there_and_for_those_who_are_not() {
    let accounts = BTreeMap::from([("m.dupont".to_owned(), Account { validity: around(), ..account(None) })]);
    let directory: Box<dyn Directory> = Box::new(Memory(Mutex::new((accounts, BTreeMap::new()))));
    for name in ["m.dupont", "nobody"] {
        let login: Login = name.parse().unwrap();
        let claim = |password: &str, seconds| {
            let password = Password::typed(password).unwrap();
            directory.sign_in(Claim::Password { login: &login, password: &password, code: None }, at(seconds))
        };
        for _ in 0..5 {
            assert_eq!(claim("wrong", 0), Err(AccessError::NotKnown), "{name}");
        }
        let retry_after = std::time::Duration::from_secs(1);
        assert_eq!(claim(GOOD, 0), Err(AccessError::TooManyTries { retry_after }), "{name}");
        assert_eq!(claim(GOOD, 1).is_ok(), name == "m.dupont");
    }
    assert_eq!(directory.sign_in(Claim::IdToken("x"), at(0)), Err(AccessError::NotKnown));
}

#[test]
fn a_login_is_plain_and_is_not_printed() {
    assert_eq!(" M.Dupont@court ".parse::<Login>().unwrap().as_str(), "m.dupont@court");
    for text in ["", "a b", "a\nb", "é", "a/b", &"a".repeat(65)] {
        assert!(text.parse::<Login>().is_err(), "{text:?}");
    }
    assert_eq!(format!("{:?}", "a".parse::<Login>().unwrap()), "Login(..)");
}
