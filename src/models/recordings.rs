//! Short recordings with known text, for the demo and for smoke tests: fetched, never kept beside the code.
//!
//! Real voices come from Debian: the telephone prompts of Asterisk in five languages (the same sentences in each, so that
//! a witness and an interpreter can be laid on two channels) and readings for LibriVox that the Pocketsphinx tests use. The
//! packages are downloaded and unpacked by `apt-get download` and `dpkg-deb -x`; nothing is installed. Where these are
//! missing, the synthetic voices of the Python package `pytest-audioeval` stand in.

mod debian;
mod synthetic;

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::models::{
    ModelError,
    fetch::{self, FetchError, Fetcher},
    progress::Progress,
};

/// The columns of `manifest.tsv`, one row a recording, separated by tabs, without quoting.
pub const COLUMNS: [&str; 16] = [
    "id",
    "file",
    "language",
    "duration_s",
    "sample_rate",
    "channels",
    "reference_text",
    "translation_en",
    "translation_fr",
    "speaker",
    "sex",
    "accent_or_region",
    "source",
    "licence",
    "qc_word_recall",
    "notes",
];

/// One recording, before it is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Recording {
    id: String,
    /// Relative to the folder.
    file: String,
    language: &'static str,
    text: String,
    translation_en: String,
    translation_fr: String,
    speaker: &'static str,
    sex: &'static str,
    region: &'static str,
    source: String,
    licence: &'static str,
}

/// Makes the folder `dir` with WAV files and a `manifest.tsv`, whose path is given back. A folder that has its manifest is
/// complete and left as it is.
///
/// # Errors
/// [`ModelError::Recordings`] with the reasons where neither source works; [`ModelError::Io`] for the folder.
pub fn prepare(dir: &Path, progress: &mut dyn Progress) -> Result<PathBuf, ModelError> {
    prepare_with(&Fetcher::default(), "apt-get", dir, progress)
}

/// [`prepare`], with other clients: `fetcher` has those for Python's packages, `apt` is the program `apt-get`.
///
/// # Errors
/// Those of [`prepare`].
pub fn prepare_with(
    fetcher: &Fetcher,
    apt: &str,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, ModelError> {
    let manifest = dir.join("manifest.tsv");
    if manifest.is_file() {
        return Ok(manifest);
    }
    let io = |source| ModelError::Io { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(io)?;
    let real = gather(dir, |work| debian::gather(apt, work, dir, progress));
    let rows = match real {
        Ok(rows) => rows,
        Err(first) => {
            progress.note(&format!("Debian packages skipped: {first}; using synthetic voices"));
            match gather(dir, |work| synthetic::gather(fetcher, work, dir, progress)) {
                Ok(rows) => rows,
                Err(second) => {
                    let failures =
                        vec![("Debian packages".to_owned(), first), ("package pytest-audioeval".to_owned(), second)];
                    return Err(ModelError::Recordings { failures });
                }
            }
        }
    };
    // Written last and in one piece: a folder with a manifest is complete.
    let mut file = NamedTempFile::new_in(dir).map_err(io)?;
    file.write_all(rows.as_bytes()).map_err(io)?;
    fetch::persist(file, &manifest).map_err(io)?;
    Ok(manifest)
}

/// Runs one source in a folder that disappears, and gives the manifest of what it brought.
fn gather(dir: &Path, source: impl FnOnce(&Path) -> Result<Vec<Recording>, FetchError>) -> Result<String, FetchError> {
    let work = fetch::work_dir(dir)?;
    let mut text = COLUMNS.join("\t") + "\n";
    for recording in source(work.path())? {
        text.push_str(&row(dir, &recording)?);
    }
    Ok(text)
}

/// The row of a recording, measured from its file.
fn row(dir: &Path, recording: &Recording) -> Result<String, FetchError> {
    let path = dir.join(&recording.file);
    let unfit = |source| FetchError::Recording { path: path.clone(), source };
    let reader = hound::WavReader::new(std::io::BufReader::new(
        File::open(&path).map_err(|source| FetchError::Io { path: path.clone(), source })?,
    ))
    .map_err(unfit)?;
    let spec = reader.spec();
    let seconds = f64::from(reader.duration()) / f64::from(spec.sample_rate.max(1));
    let fields = [
        recording.id.clone(),
        recording.file.clone(),
        recording.language.to_owned(),
        format!("{seconds:.3}"),
        spec.sample_rate.to_string(),
        spec.channels.to_string(),
        plain(&recording.text),
        plain(&recording.translation_en),
        plain(&recording.translation_fr),
        recording.speaker.to_owned(),
        recording.sex.to_owned(),
        recording.region.to_owned(),
        recording.source.clone(),
        recording.licence.to_owned(),
        String::new(),
        String::new(),
    ];
    Ok(fields.join("\t") + "\n")
}

/// Text for a field: white space runs become one space.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
