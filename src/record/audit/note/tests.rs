//! Against what other programs wrote, and against notes and keys that were meddled with.

use zeroize::Zeroizing;

use super::*;

/// From the tests of `golang.org/x/mod/sumdb/note`.
mod go {
    pub(super) const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    pub(super) const PETER_SECRET: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    pub(super) const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    pub(super) const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n";
    pub(super) const PETER_LINE: &str =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    pub(super) const ENOCH_LINE: &str =
        "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
}
/// The example of `signed-note` and its key.
const EXAMPLE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
/// The first example there: the text has an empty line. Its key is not given.
const POEM: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
    — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

fn key(text: &str) -> PublicKey {
    text.parse().unwrap()
}

fn both() -> String {
    format!("{}\n{}{}", go::TEXT, go::PETER_LINE, go::ENOCH_LINE)
}

#[test]
fn a_note_is_signed_as_go_signs_it() {
    let secret = SecretKey::parse(go::PETER_SECRET).unwrap();
    assert_eq!(secret.public(), &key(go::PETER));
    let note = Note::sign(go::TEXT, &secret).unwrap();
    assert_eq!(note.to_string(), format!("{}\n{}", go::TEXT, go::PETER_LINE));
    // Go's second key is that of the seed of zeros.
    let name = KeyName::new("EnochRoot").unwrap();
    let enoch = SecretKey::from_seed(name, Algorithm::Ed25519, &Zeroizing::new([0; 32]));
    assert_eq!(enoch.public().to_string(), go::ENOCH);
    let mut note = note;
    note.add(enoch.line(note.text(), &[]));
    assert_eq!(note.to_string(), both());
    // A second signature of one key takes the place of its first.
    note.add(enoch.line(note.text(), &[]));
    assert_eq!(note.to_string(), both());
}

#[test]
fn lines_of_keys_that_are_not_known_are_passed_over() {
    let (peter, enoch) = (key(go::PETER), key(go::ENOCH));
    let note = Note::parse(both().as_bytes()).unwrap();
    let names = |keys: &[&PublicKey]| {
        let verified = note.verify(keys.iter().copied())?;
        Ok(verified.iter().map(|line| line.key.name().as_str().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(names(&[&peter]), Ok(vec!["PeterNeumann".to_owned()]));
    assert_eq!(names(&[&enoch, &peter]), Ok(vec!["PeterNeumann".to_owned(), "EnochRoot".to_owned()]));
    assert_eq!(names(&[]), Err(AuditError::NoKnownSignature));
    assert_eq!(names(&[&key(EXAMPLE_KEY)]), Err(AuditError::NoKnownSignature));
    let twice = AuditError::AmbiguousKey { name: "EnochRoot".into(), id: enoch.id() };
    assert_eq!(names(&[&enoch, &peter, &enoch]), Err(twice));
}

#[test]
fn one_wrong_line_of_a_known_key_is_enough() {
    let (peter, enoch) = (key(go::PETER), key(go::ENOCH));
    let wrong = both().replace("rwz+eBzm", "rwz+eBzn");
    let note = Note::parse(wrong.as_bytes()).unwrap();
    let refused = AuditError::WrongSignature { name: "EnochRoot".into(), id: enoch.id() };
    assert_eq!(note.verify([&peter, &enoch]), Err(refused));
    assert_eq!(note.verify([&peter]).unwrap().len(), 1);
    let other = Note::parse(both().replace("cryptography", "Cryptography").as_bytes()).unwrap();
    assert!(matches!(other.verify([&peter]), Err(AuditError::WrongSignature { .. })));
}

#[test]
fn the_text_ends_at_the_last_empty_line() {
    let poem = Note::parse(POEM.as_bytes()).unwrap();
    assert!(poem.text().ends_with("sole:\n\ned è subito sera.\n"));
    assert_eq!(poem.to_string(), POEM);
    assert_eq!(Note::parse(EXAMPLE.as_bytes()).unwrap().verify([&key(EXAMPLE_KEY)]).unwrap().len(), 1);
}

#[test]
fn a_name_with_the_identifier_of_another_key_is_another_key() {
    let named = both().replace("— PeterNeumann", "— PeterNeuman");
    let note = Note::parse(named.as_bytes()).unwrap();
    assert_eq!(note.verify([&key(go::PETER)]), Err(AuditError::NoKnownSignature));
    // The same key for the other kind of signature has another identifier.
    let name = KeyName::new("EnochRoot").unwrap();
    let witness = SecretKey::from_seed(name, Algorithm::CosignatureV1, &Zeroizing::new([0; 32]));
    assert_eq!(witness.public().bytes(), key(go::ENOCH).bytes());
    assert_ne!(witness.public().id(), key(go::ENOCH).id());
    let refused = Note::sign(go::TEXT, &witness).unwrap_err();
    assert!(matches!(refused, AuditError::KeyUse { wanted: "signing a log", .. }), "{refused}");
}

#[test]
fn a_note_that_is_none_says_at_which_line() {
    #[track_caller]
    fn check(note: &str, line: usize) {
        match Note::parse(note.as_bytes()) {
            Err(AuditError::NoteForm { line: found, .. }) => assert_eq!(found, line, "{note:?}"),
            other => panic!("{other:?} of {note:?}"),
        }
    }
    let line = go::PETER_LINE;
    check("", 1);
    check("text", 1);
    check("text\n", 2);
    check("text\n\n", 3);
    check(&format!("text\n{line}"), 3);
    check(&format!("text\n\n{}", line.trim_end()), 3);
    check(&format!("text\n\n{line}\n"), 5);
    check(&format!("text\n\n{line}more\n"), 4);
    check(&format!("text\n\n{}", line.replace('—', "-")), 3);
    check(&format!("text\n\n{}", line.replace("— ", "—")), 3);
    check(&format!("text\n\n{}", line.replace("r x", "r  x").replace("n x", "n  x")), 3);
    check(&format!("text\n\n{}", line.replace("Neu", "+eu")), 3);
    check(&format!("text\n\n{}", line.replace("Neu", "\u{2003}eu")), 3);
    check(&format!("text\n\n{}", line.replace("AM=", "AN=")), 3);
    check(&format!("text\n\n{}", line.replace("AM=", "AM")), 3);
    check("text\n\n— name AAAAAA==\n", 3);
    check(&format!("te\txt\n\n{line}"), 1);
    check(&format!("text\r\n\n{line}"), 1);
    check("text\n\n— a\u{0}b x08go/ZJkuBS\n", 3);
}

#[test]
fn a_note_of_no_end_is_not_read() {
    let many = format!("text\n\n{}", go::PETER_LINE.repeat(MAX_SIGNATURES + 1));
    let refused = AuditError::NoteSignatures { found: MAX_SIGNATURES + 1, most: MAX_SIGNATURES };
    assert_eq!(Note::parse(many.as_bytes()), Err(refused));
    let allowed = format!("{}\n{}", go::TEXT, go::PETER_LINE.repeat(MAX_SIGNATURES));
    assert_eq!(Note::parse(allowed.as_bytes()).unwrap().verify([&key(go::PETER)]).unwrap().len(), MAX_SIGNATURES);
    let long = "x".repeat(MAX_BYTES + 1);
    assert!(matches!(Note::parse(long.as_bytes()), Err(AuditError::NoteLength { .. })));
    assert!(matches!(Note::parse(b"t\xff\n\n"), Err(AuditError::NoteText(_))));
}

#[test]
fn what_cannot_be_read_back_is_not_signed() {
    let secret = SecretKey::parse(go::PETER_SECRET).unwrap();
    for text in ["", "no line feed", "a tab\t\n", "a return\r\n"] {
        assert!(matches!(Note::sign(text, &secret), Err(AuditError::NoteForm { .. })), "{text:?}");
    }
}

#[test]
fn no_bit_of_a_signed_text_and_its_signature_can_be_turned() {
    let (note, peter) = (format!("{}\n{}", go::TEXT, go::PETER_LINE), key(go::PETER));
    for bit in 0..note.len() * 8 {
        let mut other = note.clone().into_bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        let read = Note::parse(&other);
        assert!(read.is_err() || read.unwrap().verify([&peter]).is_err(), "bit {bit}");
    }
}
