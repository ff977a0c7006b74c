//! The house rules that a compiler does not hold: who may use whom, how long things may be, which words may not appear.
//!
//! No dependency beyond std, so that it builds in a second and runs first. Each rule is first tried on small texts that
//! break it and on texts that do not; a rule that stopped seeing anything fails there and not in silence.

#[path = "tidy/source.rs"]
mod source;

use std::{collections::BTreeSet, fs, path::Path};

use source::{Source, body, kept_files, matching, root, sources, tokens};

/// The wings from left to right; a wing may use those in rows above its own, and none beside it.
const LAYERS: [&[&str]; 9] = [
    &["domain"],
    &["text"],
    &["speech", "translation", "models", "evaluation", "access"],
    &["record"],
    &["hearing"],
    &["api"],
    &["app"],
    &["cli"],
    &["main"],
];

/// Hard limit of a file without its tests, in lines, and the length from which a note is printed.
const FILE_LINES: (usize, usize) = (600, 400);
/// Hard limit of a function with its signature and braces, in lines.
const FUNCTION_LINES: usize = 70;
/// A file of sound or weights above this many bytes does not belong in the history.
const MEDIA_BYTES: u64 = 64 * 1024;

fn has_word(text: &str, word: &str) -> bool {
    let inner = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !inner(text[..at].chars().next_back()) && !inner(text[at + word.len()..].chars().next()))
}

/// The wings a file names: `crate::x`, `vivavoce::x`, `crate::{x, y}`, and `super::` chains that reach the root.
fn wings_named(source: &Source) -> BTreeSet<&str> {
    let tokens = tokens(&source.production);
    let depth = source.module().len();
    let mut named = BTreeSet::new();
    for i in 0..tokens.len() {
        let inside = i > 0 && tokens[i - 1] == "::";
        let head = match tokens[i] {
            "crate" | "vivavoce" if !inside && tokens.get(i + 1) == Some(&"::") => i + 2,
            "super" if !inside => {
                let mut supers = 1;
                while tokens.get(i + 2 * supers) == Some(&"super") {
                    supers += 1;
                }
                if supers < depth || tokens.get(i + 2 * supers - 1) != Some(&"::") {
                    continue;
                }
                i + 2 * supers
            }
            _ => continue,
        };
        named.extend(heads(&tokens[head.min(tokens.len())..]));
    }
    named
}

/// The first word, or the first word of each member of a `{..}` group.
fn heads<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    if tokens.first() != Some(&"{") {
        return tokens.first().into_iter().copied().collect();
    }
    let (mut depth, mut fresh, mut out) = (0, false, Vec::new());
    for &token in tokens {
        match token {
            "{" => (depth, fresh) = (depth + 1, depth == 0),
            "}" => depth -= 1,
            "," if depth == 1 => fresh = true,
            word if fresh => {
                out.push(word);
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    out
}

fn may_use(from: &str, to: &str) -> bool {
    let rank = |wing: &str| LAYERS.iter().position(|row| row.contains(&wing));
    match (from, to) {
        _ if from == to || to == "telemetry" => true,
        ("telemetry", _) => to == "domain",
        (_, "config") => matches!(from, "app" | "cli" | "main"),
        ("config", _) => rank(to) < rank("app") && rank(to).is_some(),
        _ => matches!((rank(from), rank(to)), (Some(from), Some(to)) if to < from),
    }
}

fn layering(source: &Source) -> Vec<String> {
    if !source.in_src() || source.path == "src/lib.rs" || source.test {
        return vec![];
    }
    let module = source.module();
    let wing = module[0];
    let known = LAYERS.iter().any(|row| row.contains(&wing)) || matches!(wing, "config" | "telemetry");
    let stranger = (!known).then(|| format!("the wing {wing:?} is not in the table of layers"));
    let wrong = wings_named(source).into_iter().filter(|to| !may_use(wing, to));
    stranger.into_iter().chain(wrong.map(|to| format!("{wing} may not use {to}"))).collect()
}

#[expect(clippy::print_stdout, reason = "a note is for whoever runs this")]
fn file_length(source: &Source) -> Vec<String> {
    if !source.in_src() || source.test {
        return vec![];
    }
    // A blanked test module leaves empty lines behind; they are not counted, the blank lines of real code are few.
    let tests = source.code.lines().zip(source.production.lines()).filter(|(all, kept)| all != kept).count();
    let lines = source.raw.lines().count() - tests;
    if lines > FILE_LINES.1 && lines <= FILE_LINES.0 {
        println!("note: {} has {lines} lines without tests; the habit is {}", source.path, FILE_LINES.1);
    }
    let long = lines > FILE_LINES.0;
    long.then(|| format!("{lines} lines without tests, {} can be", FILE_LINES.0)).into_iter().collect()
}

fn function_length(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return vec![];
    }
    let code = &source.code;
    let mut out = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let rest = &code[start + 3..];
        let named = rest.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let whole = !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let open = body(code, start).filter(|&at| named && whole && code.as_bytes()[at] == b'{');
        let lines = open.map_or(0, |at| code[start..matching(code, at, (b'{', b'}'))].lines().count());
        if lines > FUNCTION_LINES {
            out.push(format!("fn {} has {lines} lines, {FUNCTION_LINES} can be", tokens(rest)[0]));
        }
    }
    out
}

fn banned_words(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return vec![];
    }
    let mut out = Vec::new();
    let mut ban = |found: bool, what: &str| out.extend(found.then(|| format!("{what} is not used here")));
    for word in ["todo!", "dbg!", "unimplemented!"] {
        ban(has_word(&source.code, word.trim_end_matches('!')) && source.code.contains(word), word);
    }
    ban(source.production.contains(".unwrap()"), "unwrap() outside tests");
    for attribute in ["#[allow(", "#![allow("] {
        ban(source.code.contains(attribute), attribute);
    }
    for sleep in ["thread::sleep", "time::sleep"] {
        ban(source.in_src() && has_word(&source.code, sleep), sleep);
    }
    out
}

/// Marks of unfinished work, registry hosts and paths of a developer's machine, in any text that is kept.
/// Written in pieces, or this file would find itself.
fn banned_text(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")] {
        out.extend(has_word(&source.raw, mark).then(|| format!("{mark} is left behind")));
    }
    let hosts = [
        concat!("files.python", "hosted"),
        concat!("pypi", ".org"),
        concat!("index.", "crates"),
        concat!("static.", "crates"),
        concat!("registry.", "npmjs"),
        concat!("proxy.", "golang"),
    ];
    for host in hosts {
        out.extend(source.raw.contains(host).then(|| format!("{host} names a registry's host")));
    }
    for folder in [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")] {
        let absolute = source.raw.match_indices(folder).any(|(at, _)| {
            !source.raw[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | '~' | '*'))
        });
        out.extend(absolute.then(|| format!("{folder} is a path of one machine")));
    }
    out
}

fn confined_words(source: &Source) -> Vec<String> {
    let under = |folder: &str| source.path.starts_with(folder);
    let tokens = tokens(&source.code);
    let path_of = |name: &str| tokens.windows(2).any(|pair| pair == [name, "::"]);
    let mut out = Vec::new();
    let mut keep =
        |found: bool, what: &str, home: &str| out.extend(found.then(|| format!("{what} lives in {home} only")));
    if source.is_rust() {
        // The test of our quantised blocks calls the C function that they are held against.
        let home = under("src/speech/asr/") || source.path == "tests/it/quantise.rs";
        keep(tokens.contains(&"unsafe") && !home, "unsafe", "src/speech/asr");
    }
    if source.in_src() {
        let grpc = under("src/api/grpc/") || source.path == "src/api/grpc.rs";
        keep(path_of("pb") && !grpc, "a proto type (pb::)", "src/api/grpc");
        keep(tokens.contains(&"rusqlite") && !under("src/record/"), "rusqlite", "src/record");
        let whisper = has_word(&source.production, "whisper_rs");
        keep(whisper && !under("src/speech/asr/"), "whisper_rs", "src/speech/asr and tests");
    }
    out
}

fn names_and_docs(source: &Source) -> Vec<String> {
    if !source.in_src() || !source.is_rust() {
        return vec![];
    }
    const VAGUE: [&str; 7] = ["utils", "util", "common", "helpers", "types", "manager", "misc"];
    let vague = source.module().into_iter().find(|part| VAGUE.contains(part));
    let bare = !source.raw.starts_with("//!");
    let mut out: Vec<String> = vague.map(|part| format!("{part:?} is no noun of the domain")).into_iter().collect();
    out.extend(bare.then(|| "does not begin with a //! line that says what it is".into()));
    out
}

/// A test that is passed over says why, and how it is run after all.
fn ignored_tests(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return vec![];
    }
    let lines = source.code.lines().zip(source.literals.lines());
    let bare = lines.filter(|(code, said)| {
        code.contains("#[ignore") && !(code.contains("#[ignore =") && said.contains("cargo test "))
    });
    bare.map(|_| "#[ignore] without its reason and the command (\"..: cargo test ..\")".into()).collect()
}

/// A timer belongs to what the product promises; as a way to wait for something else it is wrong.
fn timers(source: &Source) -> Vec<String> {
    if !source.in_src() || !source.is_rust() {
        return vec![];
    }
    let before = [""].into_iter().chain(source.raw.lines());
    let lines = source.code.lines().zip(before);
    let silent = lines.filter(|(code, before)| code.contains("sleep_until(") && !before.trim_start().starts_with("//"));
    silent.map(|_| "sleep_until() without a line above it that says what is timed".into()).collect()
}

/// The record is only ever appended to (I4): no statement may change or drop an entry. A trigger that forbids it
/// (`BEFORE UPDATE ON entries`) is welcome.
fn append_only(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/record/store") || source.test {
        return vec![];
    }
    let sql = if source.is_rust() { &source.literals } else { &source.raw };
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase().replace(['"', '`'], "");
    let verbs = ["update ", "update or replace ", "delete from ", "replace into ", "drop table ", "alter table "];
    let tables = ["entries", "entry", "changes"];
    let pairs = verbs.iter().flat_map(|verb| tables.iter().map(move |table| format!("{verb}{table}")));
    pairs.filter(|statement| has_word(&sql, statement)).map(|s| format!("{s:?}: entries are only appended")).collect()
}

/// Tries `rule` on texts that break it and texts that keep it, then holds it on the tree.
#[track_caller]
fn hold(rule: fn(&Source) -> Vec<String>, breaking: &[(&str, &str)], keeping: &[(&str, &str)]) {
    for (path, text) in breaking {
        assert!(!rule(&Source::new(path, text)).is_empty(), "the rule does not see {path}: {text}");
    }
    for (path, text) in keeping {
        assert_eq!(rule(&Source::new(path, text)), [""; 0], "the rule sees ghosts in {path}: {text}");
    }
    let sources = sources();
    assert!(sources.iter().filter(|s| s.in_src()).count() > 5, "the tree was not found");
    let wrong: Vec<String> =
        sources.iter().flat_map(|s| rule(s).into_iter().map(move |what| format!("{}: {what}", s.path))).collect();
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn a_wing_uses_only_those_at_its_left() {
    let breaking = [
        ("src/domain/a.rs", "use crate::text::B;"),
        ("src/text/a.rs", "use crate::{\n domain::{x, y},\n record::B,\n};"),
        ("src/speech/asr/a.rs", "fn f() { crate::models::fetch(); }"),
        ("src/access/a.rs", "use crate::record::entry::Entry;"),
        ("src/access/a.rs", "use crate::evaluation::B;"),
        ("src/record/a.rs", "use super::super::hearing::B;"),
        ("src/hearing/a.rs", "use crate::config::Config;"),
        ("src/telemetry.rs", "use crate::record::B;"),
        ("src/gadgets/a.rs", ""),
        ("src/api/mod.rs", "pub fn f() -> crate::app::App {}"),
    ];
    let keeping = [
        ("src/text/a.rs", "use crate::domain::B; // crate::record\nconst X: &str = \"crate::record::x\";"),
        ("src/record/a.rs", "use crate::access::policy::Leave;"),
        ("src/speech/a.rs", "use crate::{text::a, telemetry};\n#[cfg(test)]\nmod tests { use crate::app::B; }"),
        ("src/app.rs", "use crate::{config::Config, api, domain::x};"),
        ("src/cli/a.rs", "use crate::{app, config::Config}; use super::record;"),
        ("src/main.rs", "fn main() { vivavoce::cli::run() }"),
        ("src/record/store/a.rs", "use super::super::audit; use super::hearing;"),
    ];
    hold(layering, &breaking, &keeping);
}

#[test]
fn files_are_of_a_length_one_can_read() {
    let long = "x;\n".repeat(601);
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x;\n".repeat(300), "y;\n".repeat(400));
    hold(file_length, &[("src/text/a.rs", &long)], &[("src/text/a.rs", &tested), ("src/text/a/tests.rs", &long)]);
}

#[test]
fn functions_are_of_a_length_one_can_read() {
    let long = format!("fn a() {{\n{}}}\n", "x;\n".repeat(69));
    let two =
        "fn a() {\n".to_owned() + &"x;\n".repeat(60) + "}\nfn b() -> fn(u8);\nfn c() {\n" + &"x;\n".repeat(60) + "}";
    let string = format!("const A: &str = \"fn a() {{\n{}}}\";\n", "x;\n".repeat(90));
    let array = long.replace("()", "(x: [u8; 4])");
    let breaking = [("src/text/a.rs", long.as_str()), ("src/text/a.rs", &array)];
    hold(function_length, &breaking, &[("src/text/a.rs", &two), ("src/text/b.rs", &string)]);
}

#[test]
fn no_word_is_used_that_hides_a_fault() {
    let breaking = [
        ("src/text/a.rs", "fn f() { todo!() }"),
        ("src/text/a.rs", "fn f() { dbg!(1); }"),
        ("tests/it/a.rs", "fn f() { unimplemented!() }"),
        ("src/text/a.rs", "fn f() { g().unwrap(); }"),
        ("src/text/a.rs", "#[cfg(not(test))]\nfn f() { g().unwrap(); }"),
        ("src/text/a.rs", "#[allow(dead_code)]\nfn f() {}"),
        ("src/text/a.rs", "async fn f() { tokio::time::sleep(d).await }"),
        ("src/text/a.rs", "#[cfg(test)]\nmod tests { fn f() { std::thread::sleep(d) } }"),
    ];
    let keeping = [
        ("src/text/a.rs", "/// `x.unwrap()`, `dbg!` and #[allow(x)] in words\nfn f() { g(\"todo!\").unwrap_or(1); }"),
        ("src/text/a.rs", "#[cfg(all(test, feature = \"server\"))]\nmod tests { fn f() { g().unwrap(); } }"),
        ("src/text/a.rs", "async fn f() { tokio::time::sleep_until(d).await }"),
    ];
    hold(banned_words, &breaking, &keeping);
}

#[test]
fn a_test_that_is_passed_over_says_how_it_is_run() {
    let breaking = [
        ("tests/it/a.rs", "#[test]\n#[ignore]\nfn a() {}"),
        ("tests/it/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}"),
        ("src/text/a.rs", "#[cfg(test)]\nmod tests {\n #[ignore] // cargo test \n fn a() {} }"),
    ];
    let keeping = [
        ("tests/it/a.rs", "#[ignore = \"an hour: cargo test --test it a -- --ignored\"]\nfn a() {}"),
        ("tests/it/a.rs", "// #[ignore]\nfn a() { b(\"#[ignore]\") }"),
    ];
    hold(ignored_tests, &breaking, &keeping);
}

#[test]
fn a_timer_says_what_it_times() {
    let breaking = [
        ("src/text/a.rs", "async fn a() {\n    tokio::time::sleep_until(d).await\n}"),
        ("src/text/a.rs", "sleep_until(d)"),
    ];
    let keeping = [
        ("src/text/a.rs", "async fn a() {\n    // The pause before another try.\n    sleep_until(d).await\n}"),
        ("src/text/a.rs", "use tokio::time::sleep_until;"),
    ];
    hold(timers, &breaking, &keeping);
}

#[test]
fn no_text_speaks_of_the_workshop() {
    let breaking = [
        ("README.md", concat!("TO", "DO: write")),
        ("src/text/a.rs", concat!("// FIX", "ME later")),
        ("scripts/setup.sh", concat!("curl https://index.", "crates.io/x")),
        ("src/text/a.rs", concat!("const A: &str = \"/ho", "me/jane/audio\";")),
        ("Makefile", concat!("cp /wo", "rk/a b")),
    ];
    let keeping = [
        ("README.md", "homework/ and $HOME/x; mktemp vivavoce.XXXXXX; ./home/x"),
        ("src/text/a.rs", "// methods and todos are words"),
    ];
    hold(banned_text, &breaking, &keeping);
}

#[test]
fn each_tool_stays_in_its_room() {
    let breaking = [
        ("src/record/a.rs", "fn f() { unsafe { g() } }"),
        ("tests/it/main.rs", "unsafe fn f() {}"),
        ("src/hearing/a.rs", "fn f(x: pb::Chunk) {}"),
        ("src/cli/a.rs", "use crate::api::grpc::pb::Chunk;"),
        ("src/hearing/a.rs", "use rusqlite::Connection;"),
        ("src/models/a.rs", "use whisper_rs::WhisperContext;"),
    ];
    let keeping = [
        ("src/speech/asr/a.rs", "use whisper_rs::X; fn f() { unsafe { g() } }"),
        ("src/record/store/a.rs", "use rusqlite::Connection; #[expect(unsafe_code)] fn f() {} // unsafe"),
        ("src/api/grpc/a.rs", "fn f(x: pb::Chunk) {}"),
        ("tests/it/main.rs", "use whisper_rs::X; use pb::Y;"),
        ("src/models/convert/tests.rs", "use whisper_rs::X;"),
    ];
    hold(confined_words, &breaking, &keeping);
}

#[test]
fn files_have_the_name_and_the_first_line_of_one_subject() {
    let breaking = [
        ("src/text/utils.rs", "//! Things."),
        ("src/common/wer.rs", "//! Rates."),
        ("src/text/wer.rs", "use std::fmt;"),
        ("src/text/wer.rs", "// rates"),
    ];
    hold(names_and_docs, &breaking, &[("src/text/wer.rs", "//! Rates."), ("tests/it/main.rs", "use a;")]);
}

#[test]
fn no_statement_changes_or_drops_an_entry() {
    let breaking = [
        ("src/record/store/a.rs", "const A: &str = \"UPDATE entries SET x = 1\";"),
        ("src/record/store/a.rs", "const A: &str = \"DELETE\n   FROM entries WHERE x = 1\";"),
        ("src/record/store/a.sql", "INSERT OR REPLACE INTO entries VALUES (1)"),
    ];
    let keeping = [
        ("src/record/store/a.rs", "// UPDATE entries\nconst A: &str = \"CREATE TRIGGER t BEFORE UPDATE ON entries\";"),
        ("src/record/store/a.rs", "const A: &str = \"UPDATE heads SET entries = 1\";"),
    ];
    hold(append_only, &breaking, &keeping);
}

#[test]
fn no_weights_and_no_recordings_are_in_the_history() {
    let media = |path: &Path, bytes: u64| {
        let kinds = ["bin", "gguf", "onnx", "safetensors", "mp3", "flac", "ogg", "opus", "wav"];
        bytes > MEDIA_BYTES && path.extension().and_then(|e| e.to_str()).is_some_and(|e| kinds.contains(&e))
    };
    assert!(media(Path::new("models/base.bin"), 65_537) && !media(Path::new("tests/data/tone.wav"), 65_536));
    let kept = kept_files(root());
    assert!(kept.iter().any(|path| path.ends_with("Cargo.toml")), "the list of kept files is not one");
    let size = |path: &Path| fs::metadata(root().join(path)).map_or(0, |m| m.len());
    let wrong: Vec<_> = kept.iter().filter(|path| media(path, size(path))).collect();
    assert!(wrong.is_empty(), "sound or weights in git: {wrong:?}");
}
