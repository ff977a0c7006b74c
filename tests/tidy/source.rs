//! The kept files as a rule sees them: whole, by kind of text, and without what is compiled for tests only.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a character of a Rust file belongs to.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Code,
    Comment,
    Literal,
}

/// One file, seen whole and by kind. The views keep every line where it was.
pub(crate) struct Source {
    /// From the root of the repository, with forward slashes.
    pub(crate) path: String,
    pub(crate) raw: String,
    /// Comments and literals blanked.
    pub(crate) code: String,
    /// All but literals blanked.
    pub(crate) literals: String,
    /// The whole file is compiled for tests only.
    pub(crate) test: bool,
    /// `code` without the items that are compiled for tests only.
    pub(crate) production: String,
}

impl Source {
    pub(crate) fn new(path: &str, raw: &str) -> Self {
        let kinds = kinds(raw);
        let view = |wanted| kinds.iter().map(|&(c, k)| if k == wanted || c == '\n' { c } else { ' ' }).collect();
        let code: String = view(Kind::Code);
        let mut source = Self {
            path: path.into(),
            raw: raw.into(),
            literals: view(Kind::Literal),
            production: without_tests(&code),
            code,
            test: false,
        };
        if path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/") {
            source.is_for_tests();
        }
        source
    }

    fn is_for_tests(&mut self) {
        self.test = true;
        self.production = self.code.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
    }

    /// The files of the modules that this one declares under `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.strip_suffix("/mod.rs").or(self.path.strip_suffix("/lib.rs")) {
            Some(folder) => folder,
            None => self.path.trim_end_matches(".rs"),
        };
        let (all, kept) = (declared(&self.code), declared(&self.production));
        all.difference(&kept).flat_map(|n| [format!("{folder}/{n}.rs"), format!("{folder}/{n}/mod.rs")]).collect()
    }

    pub(crate) fn in_src(&self) -> bool {
        self.path.starts_with("src/")
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The module path below the crate: `["speech", "asr", "pool"]` of src/speech/asr/pool.rs.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inner.split('/').filter(|part| !matches!(*part, "mod" | "lib")).collect()
    }
}

/// The names in `mod name;`.
fn declared(code: &str) -> BTreeSet<&str> {
    let tokens = tokens(code);
    tokens.windows(3).filter(|three| three[0] == "mod" && three[2] == ";").map(|three| three[1]).collect()
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
pub(crate) fn matching(code: &str, open: usize, pair: (u8, u8)) -> usize {
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
pub(crate) fn body(code: &str, from: usize) -> Option<usize> {
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
pub(crate) fn tokens(code: &str) -> Vec<&str> {
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

/// What git keeps, or, where there is no git, what lies here and is no build output.
pub(crate) fn kept_files(root: &Path) -> Vec<PathBuf> {
    // A container often builds a tree that another user owns; git asks to be told that this is meant.
    let listed = Command::new("git").args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(root).output();
    match listed {
        Ok(out) if out.status.success() && !out.stdout.is_empty() => {
            String::from_utf8_lossy(&out.stdout).split_terminator('\0').map(PathBuf::from).collect()
        }
        Ok(_) | Err(_) => walk(root, root),
    }
}

pub(crate) fn walk(root: &Path, folder: &Path) -> Vec<PathBuf> {
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

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text that is kept, and every Rust file of src whether kept yet or not.
pub(crate) fn sources() -> Vec<Source> {
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
    let mut sources: Vec<Source> = paths.iter().filter_map(read).collect();
    let for_tests: BTreeSet<String> = sources.iter().flat_map(Source::test_modules).collect();
    sources.iter_mut().filter(|source| for_tests.contains(&source.path)).for_each(Source::is_for_tests);
    sources
}
