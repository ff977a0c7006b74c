//! Codes that an authenticator shows (RFC 6238): HMAC-SHA-1, six digits, a new one each 30 s, which is what every authenticator has.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Seconds for which a code is shown (RFC 6238, 4.1).
const STEP_SECONDS: i64 = 30;
/// Digits of a code.
const DIGITS: u32 = 6;
/// Codes so many steps before and after the one of the moment count too: clocks differ, and people take time to type.
const WINDOW: i64 = 1;

/// Which half minute since 1970 a code was of. It is kept when a code was used: none counts twice, and none before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Step(i64);

impl Step {
    fn of(now: Timestamp) -> Self {
        Self(now.as_second().div_euclid(STEP_SECONDS))
    }
}

/// What an authenticator shares with the service: 160 random bits (RFC 4226, 4). Overwritten when it is let go, never printed; where
/// it is stored, it is sealed.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; 20]>);

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(..)")
    }
}

impl TotpSecret {
    /// Of random bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 20]>) -> Self {
        Self(bytes)
    }

    /// To be sealed and stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// What is shown once to be scanned, or typed: `otpauth://` with the secret in base 32.
    #[must_use]
    pub fn uri(&self, issuer: &str, login: &super::Login) -> Zeroizing<String> {
        let issuer: String = issuer.chars().filter(char::is_ascii_alphanumeric).collect();
        let secret = base32(self.bytes());
        Zeroizing::new(format!("otpauth://totp/{issuer}:{login}?secret={}&issuer={issuer}", secret.as_str()))
    }

    /// The step of a code that counts now; `None` for a wrong one, one of another time, and one that was used or is older than one
    /// that was. Takes the same time for all of them.
    #[must_use]
    pub fn accept(&self, code: &str, now: Timestamp, used: Option<Step>) -> Option<Step> {
        let Step(middle) = Step::of(now);
        let mut found = None;
        for step in (middle - WINDOW..=middle + WINDOW).map(Step) {
            let right = bool::from(self.code(step).as_bytes().ct_eq(code.as_bytes()));
            found = if right && used.is_none_or(|used| step > used) { Some(step) } else { found };
        }
        found
    }

    /// The code of a step: a truncation of the HMAC of its number (RFC 4226, 5.3).
    fn code(&self, Step(step): Step) -> Zeroizing<String> {
        let mut code = Zeroizing::new(String::with_capacity(DIGITS as usize));
        let short = format!("{:0width$}", self.truncated(step) % 10_u32.pow(DIGITS), width = DIGITS as usize);
        code.push_str(&Zeroizing::new(short));
        code
    }

    fn truncated(&self, step: i64) -> u32 {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.bytes()).expect("HMAC takes a key of any length");
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let at = usize::from(hash[19] & 0x0f);
        u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]) & 0x7fff_ffff
    }
}

/// RFC 4648, 6, of whole groups of five bytes, which need no padding.
fn base32(bytes: &[u8; 20]) -> Zeroizing<String> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = Zeroizing::new(String::with_capacity(32));
    for group in bytes.chunks_exact(5) {
        let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            text.push(char::from(LETTERS[usize::from((bits >> (5 * place)).to_le_bytes()[0] & 0x1f)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    fn secret() -> TotpSecret {
        TotpSecret::new(Zeroizing::new(*b"12345678901234567890"))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[track_caller]
    fn check(seconds: i64, eight_digits: u32) {
        let Step(step) = Step::of(at(seconds));
        assert_eq!(secret().truncated(step) % 100_000_000, eight_digits);
        let six = format!("{:06}", eight_digits % 1_000_000);
        assert_eq!(secret().accept(&six, at(seconds), None), Some(Step(step)));
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        check(59, 94_287_082);
        check(1_111_111_109, 7_081_804);
        check(1_111_111_111, 14_050_471);
        check(1_234_567_890, 89_005_924);
        check(2_000_000_000, 69_279_037);
        check(20_000_000_000, 65_353_130);
    }

    #[test]
    fn a_code_counts_one_step_before_and_after_its_own() {
        let code = secret().code(Step(100));
        let counts = |seconds| secret().accept(&code, at(seconds), None).is_some();
        assert!(counts(2_970) && counts(3_000) && counts(3_030) && counts(3_059));
        assert!(!counts(2_969) && !counts(3_060));
    }

    #[test]
    fn no_code_counts_twice_nor_one_before_it() {
        let (older, newer) = (secret().code(Step(100)), secret().code(Step(101)));
        let used = secret().accept(&newer, at(3_030), None);
        assert_eq!(used, Some(Step(101)));
        assert_eq!(secret().accept(&newer, at(3_030), used), None);
        assert_eq!(secret().accept(&newer, at(3_060), used), None);
        assert_eq!(secret().accept(&older, at(3_030), used), None);
        assert_eq!(secret().accept(&secret().code(Step(102)), at(3_060), used), Some(Step(102)));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let code = secret().code(Step(100));
        for text in ["", "12345", "1234567", "      ", "２８７０８２", &format!("{}0", code.as_str()), &code[..5]]
        {
            assert_eq!(secret().accept(text, at(3_000), None), None, "{text:?}");
        }
        assert!(secret().accept(&code, Timestamp::MIN, None).is_none());
    }

    /// RFC 4648 has "foobar" only; five bytes of it are a group.
    #[test]
    fn the_secret_is_shown_in_base_32() {
        assert_eq!(base32(b"foobafoobafoobafooba").as_str(), "MZXW6YTB".repeat(4));
        let uri = secret().uri("Palais de Justice", &"m.dupont".parse().unwrap());
        let expected =
            "otpauth://totp/PalaisdeJustice:m.dupont?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=PalaisdeJustice";
        assert_eq!(uri.as_str(), expected);
        assert_eq!(format!("{:?}", secret()), "TotpSecret(..)");
    }
}
