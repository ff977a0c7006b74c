//! Texts and files of the recordings.

use super::*;
use crate::models::progress::Silent;

#[test]
fn lists_of_prompts_are_read_and_corrected() {
    let list = "\u{feff}; a comment: no\n\nagent-pass:  Numero  de\tcontrasena: uno\nbroken line\n";
    let texts = debian::prompt_texts("es", list);
    assert_eq!(texts.len(), 1);
    assert_eq!(plain(&texts["agent-pass"]), "Número de contraseña: uno");
}

#[test]
fn transcriptions_that_lead_elsewhere_are_left_out() {
    assert_eq!(debian::transcription("<s> he was  </s> (a_64kb-0880)"), Some(("a_64kb-0880", "he was")));
    for line in ["", "<s> he was", "<s> he was </s> (../../etc/x)", "<s> he was </s> a"] {
        assert_eq!(debian::transcription(line), None, "{line}");
    }
}

#[test]
fn only_samples_of_known_languages_are_taken_from_the_package() {
    let name = |end: &str| format!("pytest_audioeval/samples/audio/{end}");
    assert_eq!(synthetic::sample(&name("zh/jishu.wav")), Some(("zh", "jishu")));
    for end in ["zh/jishu.txt", "xx/a.wav", "zh/../../a.wav", "zh/.wav", "a.wav"] {
        assert_eq!(synthetic::sample(&name(end)), None, "{end}");
    }
}

#[test]
fn a_complete_folder_is_left_as_it_is_and_failures_name_both_sources() {
    let dir = tempfile::tempdir().unwrap();
    let none = Fetcher { pip: vec![vec!["no-such-client".to_owned()]], ..Fetcher::default() };
    let error = prepare_with(&none, "no-such-apt", dir.path(), &mut Silent).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ModelError::Recordings { .. }), "{text}");
    assert!(text.contains("apt-get download") && text.contains("no-such-client"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::write(dir.path().join("manifest.tsv"), "mine").unwrap();
    prepare_with(&none, "no-such-apt", dir.path(), &mut Silent).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("manifest.tsv")).unwrap(), "mine");
}
