//! Keys as other programs write them, and texts that are none.

use super::*;

/// From the tests of `golang.org/x/mod/sumdb/note`.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SECRET: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
/// From `signed-note`.
const EXAMPLE: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

#[test]
fn keys_are_written_as_they_were_read() {
    for text in [PETER, EXAMPLE] {
        assert_eq!(text.parse::<PublicKey>().unwrap().to_string(), text);
    }
    assert_eq!(*SecretKey::parse(PETER_SECRET).unwrap().to_text(), PETER_SECRET);
}

#[test]
fn a_secret_is_not_printed() {
    let secret = SecretKey::parse(PETER_SECRET).unwrap();
    let printed = format!("{secret:?}");
    assert!(!printed.contains("YEKFALV") && !printed.contains("810a1402"), "{printed}");
    let harmed = SecretKey::parse(&PETER_SECRET.replace("c74f", "c74e")).unwrap_err();
    assert!(!format!("{harmed:?} {harmed}").contains("YEKFALV"));
}

#[test]
fn no_other_text_is_a_key() {
    for (text, parse) in [
        (PETER, (|text| text.parse::<PublicKey>().is_err()) as fn(&str) -> bool),
        (PETER_SECRET, |text| SecretKey::parse(text).is_err()),
    ] {
        for (from, to) in (0..=text.len()).flat_map(|to| (0..=to).map(move |from| (from, to))) {
            assert!((from, to) == (0, text.len()) || parse(&text[from..to]), "{from}..{to} of {text}");
        }
        for at in 0..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[at] += 1;
            let other = String::from_utf8(other).unwrap();
            assert!(parse(&other), "{other}");
        }
    }
}

#[test]
fn keys_say_what_is_wrong_with_them() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<PublicKey>().unwrap_err().to_string(), expected);
    }
    // Both from Go's tests: a key that is too long, and a kind that nobody has.
    let form = "the key is not NAME+IDENTIFIER+KEY, with eight lower-case hex digits and base64";
    check("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", form);
    check(
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "signature type 0x65 is not known here: take an Ed25519 key, or a newer release",
    );
    check(
        &PETER.replace("c74f20a3", "c74f20a4"),
        "the key of PeterNeumann has another identifier than stands beside it: it was not copied whole",
    );
    check(
        &PETER.replace("c74f20a3", "C74F20A3"),
        "the key of PeterNeumann has another identifier than stands beside it: it was not copied whole",
    );
    check(
        &PETER.replace("PeterNeumann", "Peter Neumann"),
        "\"Peter Neumann\" cannot name a key: no character at all, a space, a plus sign or a control character",
    );
    check("", form);
}
