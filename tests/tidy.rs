//! The house rules that a compiler does not hold: who may use whom, how long things may be, which words may not appear.
//!
//! No dependency beyond std, so that it builds in a second and runs first. Each rule is first tried on small texts that
//! break it and on texts that do not; a rule that stopped seeing anything fails there and not in silence.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The wings from left to right; a wing may use those in rows above its own, and none beside it.
const LAYERS: [&[&str]; 9] = [
    &["domain"],
    &["text"],
    &["speech", "translation", "models", "evaluation"],
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

/// What a character of a Rust file belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// One file, seen whole and by kind. The views keep every line where it was.
struct Source {
    path: String,
    raw: String,
    code: String,
    literals: String,
    /// `code` without the items that are compiled for tests only.
    production: String,
}

impl Source {
    fn new(path: &str, raw: &str) -> Self {
        let kinds = kinds(raw);
        let view = |wanted| kinds.iter().map(|&(c, k)| if k == wanted || c == '\n' { c } else { ' ' }).collect();
        let code: String = view(Kind::Code);
        let production = if is_test_file(path) { String::new() } else { without_tests(&code) };
        Self { path: path.into(), raw: raw.into(), literals: view(Kind::Literal), code, production }
    }

    fn in_src(&self) -> bool {
        self.path.starts_with("src/")
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The module path below the crate: `["speech", "asr", "pool"]` of src/speech/asr/pool.rs.
    fn module(&self) -> Vec<&str> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inner.split('/').filter(|part| !matches!(*part, "mod" | "lib")).collect()
    }
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/")
}

/// Sorts every character into code, comment or literal.
fn kinds(text: &str) -> Vec<(char, Kind)> {
    let c: Vec<char> = text.chars().collect();
    let mut out = Vec::with_capacity(c.len());
    while out.len() < c.len() {
        let start = out.len();
        let (end, kind) = piece(&c, start);
        out.extend(c[start..end.clamp(start + 1, c.len())].iter().map(|&c| (c, kind)));
    }
    out
}

/// The end and the kind of the piece that begins at `i`; a piece of code is one character.
fn piece(c: &[char], i: usize) -> (usize, Kind) {
    let at = |k: usize| c.get(i + k).copied().unwrap_or(' ');
    let find = |from: usize, wanted: &[char]| {
        (from..c.len()).find(|&k| c[k..].starts_with(wanted)).map_or(c.len(), |k| k + wanted.len())
    };
    let in_word = i > 0 && (c[i - 1].is_alphanumeric() || c[i - 1] == '_');
    match (at(0), at(1)) {
        ('/', '/') => (find(i, &['\n']).saturating_sub(1), Kind::Comment),
        ('/', '*') => (end_of_block_comment(c, i), Kind::Comment),
        ('"', _) => (end_of_string(c, i), Kind::Literal),
        ('r', '"' | '#') if !in_word || (c[i - 1] == 'b' && (i < 2 || !c[i - 2].is_alphanumeric())) => {
            let hashes = c[i + 1..].iter().take_while(|&&c| c == '#').count();
            if c.get(i + 1 + hashes) != Some(&'"') {
                return (i + 1, Kind::Code);
            }
            let mut close = vec!['"'];
            close.resize(hashes + 1, '#');
            (find(i + hashes + 2, &close), Kind::Literal)
        }
        ('\'', '\\') => (find(i + 3, &['\'']), Kind::Literal),
        ('\'', _) if at(2) == '\'' => (i + 3, Kind::Literal),
        _ => (i + 1, Kind::Code),
    }
}

fn end_of_string(c: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < c.len() && c[i] != '"' {
        i += if c[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn end_of_block_comment(c: &[char], start: usize) -> usize {
    let (mut i, mut depth) = (start, 0);
    while i < c.len() {
        match (c[i], c.get(i + 1)) {
            ('/', Some('*')) => (i, depth) = (i + 2, depth + 1),
            ('*', Some('/')) => (i, depth) = (i + 2, depth - 1),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// The position behind the bracket that closes the one at `open`.
fn matching(code: &str, open: usize, pair: (u8, u8)) -> usize {
    let mut depth = 0;
    for (i, b) in code.bytes().enumerate().skip(open) {
        depth += i32::from(b == pair.0) - i32::from(b == pair.1);
        if depth == 0 {
            return i + 1;
        }
    }
    code.len()
}

/// Where the item that begins at `from` opens its body or ends without one: the first `{` or `;` outside brackets.
fn body(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0;
    code.bytes().enumerate().skip(from).find_map(|(i, b)| {
        depth += i32::from(matches!(b, b'(' | b'[')) - i32::from(matches!(b, b')' | b']'));
        (depth == 0 && matches!(b, b'{' | b';')).then_some(i)
    })
}

/// Blanks each item under a `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for (start, _) in code.match_indices("#[cfg(") {
        let attribute = matching(code, start + 1, (b'[', b']'));
        let condition = &code[start..attribute];
        if !tokens(condition).contains(&"test") || condition.contains("not(test") {
            continue;
        }
        let end = match body(code, attribute) {
            Some(at) if code.as_bytes()[at] == b'{' => matching(code, at, (b'{', b'}')),
            Some(at) => at + 1,
            None => code.len(),
        };
        let blank: String = code[start..end].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// Words, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = match word {
            0 if rest.starts_with("::") => 2,
            0 => first.len_utf8(),
            n => n,
        };
        out.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    out
}

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
    if !source.in_src() || source.path == "src/lib.rs" || is_test_file(&source.path) {
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
    if !source.in_src() || is_test_file(&source.path) {
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
        keep(tokens.contains(&"unsafe") && !under("src/speech/asr/"), "unsafe", "src/speech/asr");
    }
    if source.in_src() {
        let grpc = under("src/api/grpc/") || source.path == "src/api/grpc.rs";
        keep(path_of("pb") && !grpc, "a proto type (pb::)", "src/api/grpc");
        keep(tokens.contains(&"rusqlite") && !under("src/record/"), "rusqlite", "src/record");
        keep(tokens.contains(&"whisper_rs") && !under("src/speech/asr/"), "whisper_rs", "src/speech/asr");
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

/// The record is only ever appended to (I4): no statement may change or drop an entry. A trigger that forbids it
/// (`BEFORE UPDATE ON entries`) is welcome.
fn append_only(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/record/store") || is_test_file(&source.path) {
        return vec![];
    }
    let sql = if source.is_rust() { &source.literals } else { &source.raw };
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase().replace(['"', '`'], "");
    let verbs = ["update ", "update or replace ", "delete from ", "replace into ", "drop table ", "alter table "];
    let tables = ["entries", "entry", "changes"];
    let pairs = verbs.iter().flat_map(|verb| tables.iter().map(move |table| format!("{verb}{table}")));
    pairs.filter(|statement| has_word(&sql, statement)).map(|s| format!("{s:?}: entries are only appended")).collect()
}

/// What git keeps, or, where there is no git, what lies here and is no build output.
fn kept_files(root: &Path) -> Vec<PathBuf> {
    // A container often builds a tree that another user owns; git asks to be told that this is meant.
    let listed = Command::new("git").args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(root).output();
    match listed {
        Ok(out) if out.status.success() && !out.stdout.is_empty() => {
            String::from_utf8_lossy(&out.stdout).split_terminator('\0').map(PathBuf::from).collect()
        }
        Ok(_) | Err(_) => walk(root, root),
    }
}

fn walk(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).expect("the tree can be read").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = ["target", ".git", ".venv", "vivavoce-data", "demo-out", "bench-out"];
        if skipped.iter().any(|s| name == *s) {
            continue;
        }
        if path.is_dir() {
            out.extend(walk(root, &path));
        } else {
            out.push(path.strip_prefix(root).expect("it lies below the root").to_path_buf());
        }
    }
    out
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text that is kept, and every Rust file of src whether kept yet or not.
fn sources() -> Vec<Source> {
    let text = ["rs", "toml", "md", "proto", "sh", "sql", "html", "css", "js", "yml", "yaml", "service"];
    let mut paths: BTreeSet<PathBuf> = walk(root(), &root().join("src")).into_iter().collect();
    paths.extend(kept_files(root()).into_iter().filter(|path| {
        let extension = path.extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| text.contains(&e)) || path.ends_with("Makefile") || path.starts_with(".ci")
    }));
    let read = |path: &PathBuf| {
        let raw = fs::read_to_string(root().join(path)).ok()?;
        Some(Source::new(&path.to_string_lossy().replace('\\', "/"), &raw))
    };
    paths.iter().filter_map(read).collect()
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
        ("src/record/a.rs", "use super::super::hearing::B;"),
        ("src/hearing/a.rs", "use crate::config::Config;"),
        ("src/telemetry.rs", "use crate::record::B;"),
        ("src/gadgets/a.rs", ""),
        ("src/api/mod.rs", "pub fn f() -> crate::app::App {}"),
    ];
    let keeping = [
        ("src/text/a.rs", "use crate::domain::B; // crate::record\nconst X: &str = \"crate::record::x\";"),
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
