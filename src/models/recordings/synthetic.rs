//! Synthetic voices out of the Python package `pytest-audioeval`, where there are no Debian packages.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use crate::models::{
    fetch::{
        FetchError, Fetcher,
        package::{Package, open, wheel},
    },
    progress::Progress,
    recordings::Recording,
};

const PACKAGE: Package<'static> = Package { name: "pytest-audioeval", version: "0.1.3", platform: None };

/// Where the samples lie in the package: `LANGUAGE/NAME.wav` with the text beside it in `NAME.txt`.
const FOLDER: &str = "pytest_audioeval/samples/audio/";

/// The package's nine languages.
const LANGUAGES: [&str; 9] = ["en", "es", "fr", "hi", "it", "ja", "pl", "pt", "zh"];

/// The most a recording may have, bytes. The longest has 290 kB.
const MOST: u64 = 16 << 20;

/// Downloads the package into `work` and unpacks its recordings into `dir`.
pub(super) fn gather(
    fetcher: &Fetcher,
    work: &Path,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<Vec<Recording>, FetchError> {
    let path = wheel(fetcher, PACKAGE, &work.join("package"), progress)?;
    let mut archive = open(&path)?;
    let mut names: Vec<String> = archive.file_names().filter_map(Result::ok).map(Cow::into_owned).collect();
    names.sort();
    let mut rows = Vec::new();
    for (language, stem) in names.iter().filter_map(|name| sample(name)) {
        let file = format!("{language}/{stem}.wav");
        let mut text = Vec::new();
        let inside = |end: &str| format!("{FOLDER}{language}/{stem}.{end}");
        copy(&mut archive, &inside("txt"), &mut text)?;
        let to = dir.join(&file);
        let io = |source| FetchError::Io { path: to.clone(), source };
        fs::create_dir_all(dir.join(language)).map_err(io)?;
        copy(&mut archive, &inside("wav"), &mut File::create(&to).map_err(io)?)?;
        rows.push(Recording {
            id: format!("{language}-{stem}"),
            file,
            language,
            text: String::from_utf8_lossy(&text).into_owned(),
            speaker: "synthetic",
            sex: "unknown",
            source: format!("package {} {}", PACKAGE.name, PACKAGE.version),
            licence: "MIT",
            ..Recording::default()
        });
    }
    if rows.is_empty() {
        return Err(FetchError::NoPackage { command: path.display().to_string() });
    }
    Ok(rows)
}

/// The language and name of a sample; none for another file of the package or a name that could lead elsewhere.
pub(super) fn sample(name: &str) -> Option<(&'static str, &str)> {
    let (language, file) = name.strip_prefix(FOLDER)?.split_once('/')?;
    let stem = file.strip_suffix(".wav")?;
    let plain = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    LANGUAGES.iter().find(|l| **l == language).filter(|_| plain).map(|l| (*l, stem))
}

fn copy(archive: &mut zip::ZipArchive<File>, name: &str, to: &mut dyn io::Write) -> Result<(), FetchError> {
    let refuse = |source| FetchError::Archive { what: name.to_owned(), source: Box::new(source) };
    let file = archive.by_name(name).map_err(refuse)?;
    io::copy(&mut file.take(MOST), to)
        .map(drop)
        .map_err(|source| FetchError::Io { path: Path::new(name).to_owned(), source })
}
