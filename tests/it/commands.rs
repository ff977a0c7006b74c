//! The program's other commands, as people run them.

use std::{fs, io::Write as _};

use vivavoce::evaluation::table::Item;

use crate::support::{
    program::{Served, err, stdout_of, vivavoce},
    speech::{Folder, Speech, say, word_errors},
};

#[test]
fn several_files_at_once_go_to_files_and_stdout_holds_data_alone() {
    let dir = tempfile::tempdir().unwrap();
    let speech = Speech::english();
    for name in ["morning.wav", "afternoon.wav"] {
        speech.write(&dir.path().join(name));
    }
    let mut both =
        vivavoce(dir.path(), ["transcribe", "morning.wav", "afternoon.wav", "--language", "en", "--out", "text"]);
    let output = both.args(["--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert!(output.stdout.is_empty(), "everything went to files");
    let texts: Vec<serde_json::Value> = ["morning", "afternoon"]
        .iter()
        .map(|name| {
            serde_json::from_slice(&fs::read(dir.path().join(format!("text/{name}.wav.json"))).unwrap()).unwrap()
        })
        .collect();
    let said = |document: &serde_json::Value| {
        let segments = document["segments"].as_array().unwrap();
        segments.iter().map(|s| s["text"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(said(&texts[0]), said(&texts[1]));
    assert!(speech.word_errors(&said(&texts[0])) < 15.0, "{}", said(&texts[0]));

    let json = stdout_of(vivavoce(dir.path(), ["transcribe", "morning.wav", "-l", "en", "-f", "json"]));
    assert_eq!(said(&serde_json::from_str(&json).unwrap()), said(&texts[0]));
    let vtt = stdout_of(vivavoce(dir.path(), ["transcribe", "morning.wav", "-l", "en", "-f", "vtt"]));
    assert!(vtt.starts_with("WEBVTT") && vtt.contains(" --> "), "{vtt}");
    let srt = stdout_of(vivavoce(dir.path(), ["transcribe", "morning.wav", "-l", "en", "-f", "srt"]));
    assert!(srt.starts_with("1\n00:00:") && srt.contains(" --> "), "{srt}");
    let txt = stdout_of(vivavoce(dir.path(), ["transcribe", "morning.wav", "-l", "en"]));
    assert!(txt.contains("[1 ") || txt.contains("morning"), "{txt}");
    let mut captions = vivavoce(dir.path(), ["transcribe", "morning.wav", "afternoon.wav", "-l", "en", "-f", "vtt"]);
    let refused = captions.output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));
    assert!(err(&refused).contains("--out"));
    let mut same = vivavoce(dir.path(), ["transcribe", "morning.wav", "./morning.wav", "-l", "en", "--out", "text"]);
    let refused = same.output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));
    let refused = vivavoce(dir.path(), ["transcribe", "morning.wav", "-l", "en", "--channels", "3"]).output().unwrap();
    assert!(err(&refused).contains("no channel 3: the recording has 1"), "{}", err(&refused));
}

#[test]
fn a_file_gives_the_text_that_a_stream_gives() {
    let dir = tempfile::tempdir().unwrap();
    let speech = Speech::english();
    speech.write(&dir.path().join("hearing.wav"));
    let served = Served::start(dir.path(), "info");
    let server = format!("http://{}", served.address);
    let mut client = vivavoce(dir.path(), ["stream", "hearing.wav", "--server", &server, "--language", "en"]);
    client.args(["--pace", "fast", "--chunk-ms", "37", "--export", "out", "--channel", "1:judge:en"]);
    let streamed = client.output().unwrap();
    assert!(streamed.status.success(), "{}", err(&streamed));
    let file = stdout_of(vivavoce(dir.path(), ["transcribe", "hearing.wav", "-l", "en", "-f", "json"]));
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    let stream: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("out/transcript.json")).unwrap()).unwrap();
    let words = |document: &serde_json::Value| {
        let segments = document["segments"].as_array().unwrap().clone();
        segments
            .into_iter()
            .map(|s| (s["start_sample"].clone(), s["text"].clone(), s["words"].clone()))
            .collect::<Vec<_>>()
    };
    assert!(!words(&file).is_empty());
    assert_eq!(words(&stream), words(&file));
    for form in ["vtt", "srt", "txt"] {
        assert!(
            fs::read_to_string(dir.path().join(format!("out/transcript.{form}"))).unwrap().contains("judge"),
            "{form}"
        );
    }
    served.signal("INT");
    assert_eq!(served.end().0, Some(0));
}

#[test]
fn what_is_no_audio_is_refused_and_the_other_files_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let speech = Speech::english();
    speech.write(&dir.path().join("good.wav"));
    fs::write(dir.path().join("letter.wav"), "Dear court,\n".repeat(1_000)).unwrap();
    fs::write(dir.path().join("empty.wav"), "").unwrap();
    // A header that promises more than there is.
    let whole = fs::read(dir.path().join("good.wav")).unwrap();
    let mut lying = whole.clone();
    lying[40..44].copy_from_slice(&0x7fff_ff00_u32.to_le_bytes());
    fs::write(dir.path().join("lying.wav"), lying).unwrap();
    for name in ["letter.wav", "empty.wav", "absent.wav"] {
        let output = vivavoce(dir.path(), ["transcribe", name, "-l", "en"]).output().unwrap();
        let code = if name == "absent.wav" { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{name}: {}", err(&output));
        assert!(err(&output).contains(name), "{}", err(&output));
        assert!(!err(&output).contains("panicked") && output.stdout.is_empty());
    }
    let output = vivavoce(dir.path(), ["transcribe", "lying.wav", "-l", "en"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("states 2147483392 bytes and"), "{}", err(&output));
    let mut several = vivavoce(dir.path(), ["transcribe", "letter.wav", "good.wav", "-l", "en", "--out", "text"]);
    let output = several.output().unwrap();
    assert!(!output.status.success() && err(&output).contains("letter.wav"), "{}", err(&output));
    assert!(fs::read_to_string(dir.path().join("text/good.wav.txt")).unwrap().len() > 20);
    let language = vivavoce(dir.path(), ["transcribe", "good.wav", "-l", "xx-invalid"]).output().unwrap();
    assert_eq!(language.status.code(), Some(2), "{}", err(&language));
}

#[test]
fn every_kind_of_file_is_heard() {
    let Some(folder) = Folder::given_or_say("FLAC, MP3, Ogg Vorbis and Opus recordings") else { return };
    let dir = tempfile::tempdir().unwrap();
    let items = |part: &str, most: usize| folder.items.iter().filter(|i| i.id.contains(part)).take(most).collect();
    let kinds: [(&str, Vec<&Item>); 4] = [
        ("FLAC", items("libri-2412", 1)),
        ("Opus", items("fleurs-es", 2)),
        ("Vorbis", items("fil-nl", 8)),
        ("MP3", items("librivox-es", 1)),
    ];
    for (kind, items) in kinds {
        let (mut references, mut texts, mut tag) = (String::new(), String::new(), String::new());
        for item in items {
            let speech = folder.load(item);
            tag.clone_from(&speech.language);
            let mut command = vivavoce(dir.path(), ["transcribe", "-l", &tag, "-f", "json"]);
            command.arg(speech.path.canonicalize().unwrap());
            let document: serde_json::Value = serde_json::from_str(&stdout_of(command)).unwrap();
            for segment in document["segments"].as_array().unwrap() {
                texts = texts + " " + segment["text"].as_str().unwrap();
            }
            references = references + " " + &speech.reference;
        }
        let wrong = word_errors(&references, &texts, &tag);
        say(&format!("{kind}: {wrong:.1} % of words wrong"));
        // Acted Dutch is hard for this model; bytes that are not the recording's sound would be all wrong.
        assert!(wrong < 80.0, "{kind}: {texts}");
    }
}

#[test]
fn doctor_looks_at_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let output = vivavoce(dir.path(), ["doctor"]).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap() + &err(&output);
    for subject in ["processor", "memory", "disk", "model", "listen", "clock"] {
        assert!(text.to_lowercase().contains(subject), "{subject} is not in {text}");
    }
    // Without models it says what to do, and its exit code says that something is missing.
    let empty = vivavoce(dir.path(), ["doctor", "--models-dir", "none"]).output().unwrap();
    let text = String::from_utf8(empty.stdout.clone()).unwrap() + &err(&empty);
    assert!(!empty.status.success() && text.contains("vivavoce models fetch"), "{text}");
}

#[test]
fn damaged_weights_keep_the_server_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::support::models::store_with(&["base", "silero-vad"]);
    for (damage, name) in [("one byte short", "base"), ("one bit flipped", "silero-vad")] {
        let models = dir.path().join(name);
        fs::create_dir(&models).unwrap();
        for file in ["base", "silero-vad"] {
            let from = store.path(&store.entry(file).unwrap()).canonicalize().unwrap();
            let to = models.join(from.file_name().unwrap());
            if file == name {
                let mut bytes = fs::read(from).unwrap();
                if damage.starts_with("one byte") {
                    bytes.pop();
                } else {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
                fs::File::create(to).unwrap().write_all(&bytes).unwrap();
            } else {
                std::os::unix::fs::symlink(from, to).unwrap();
            }
        }
        let mut command = vivavoce(dir.path(), ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        let output = command.arg("--models-dir").arg(&models).output().unwrap();
        let said = err(&output);
        let digest = store.entry(name).unwrap().sha256.to_string();
        assert!(!output.status.success() && said.contains(name) && said.contains(&digest), "{damage}: {said}");
    }
}

#[test]
fn settings_come_from_file_environment_and_flags_in_that_order() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("vivavoce.toml"),
        "[server]\nmax_streams = 3\nmax_message_bytes = 70000\ndrain_seconds = 7\n",
    )
    .unwrap();
    let mut command = vivavoce(dir.path(), ["settings", "--set", "server.drain_seconds=9"]);
    command.env("VIVAVOCE_SERVER__MAX_MESSAGE_BYTES", "80000").env("VIVAVOCE_SERVER__DRAIN_SECONDS", "8");
    let text = stdout_of(command);
    let line = |key: &str| text.lines().find(|l| l.contains(key)).unwrap_or_else(|| panic!("{key}: {text}")).to_owned();
    assert!(line("max_streams").contains('3') && line("max_streams").contains("vivavoce.toml"), "{text}");
    assert!(line("max_message_bytes").contains("80000"), "{text}");
    assert!(line("drain_seconds").contains('9') && !line("drain_seconds").contains('8'), "{text}");
    fs::write(dir.path().join("vivavoce.toml"), "[server]\nmax_stream = 3\n").unwrap();
    let output = vivavoce(dir.path(), ["settings"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("vivavoce.toml") && err(&output).contains("server.max_stream"), "{}", err(&output));
}
