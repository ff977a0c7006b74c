//! Takes a backup of a data folder that a server may be writing.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    AUDIO, BackupError, KEYS, RECORD,
    files::{self, Unfinished},
    manifest::{ChannelLine, FORMAT, FileLine, HearingLine, KeyChoice, Manifest, VERSION},
    verifying::recorded,
};
use crate::{
    domain::{
        engine::Sha256Hash,
        id::{ChannelId, HearingId},
    },
    record::{
        disk::make_folder,
        keys::{self, keys_path},
        media::{MediaError, format::HEADER_BYTES, frames::Verdict, journal_path, reader::verify},
        seal::NullSealer,
        store::{
            HearingSummary,
            sqlite::snapshot::{self, Snapshot},
        },
    },
};

/// How often a round is begun anew where orders and destructions come in between.
const ROUNDS: usize = 8;

/// What is to be taken, and where to.
#[derive(Clone, Debug)]
pub struct Taking {
    /// The data folder.
    pub data: PathBuf,
    /// The folder in which each backup gets a folder of its own.
    pub into: PathBuf,
    /// Whether the keys are taken too.
    pub keys: KeyChoice,
    /// What the machine's clock shows.
    pub now: Timestamp,
}

/// A backup that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

/// The journals copied so far.
type Journals = HashMap<(HearingId, ChannelId), Verdict>;

/// Takes a backup; it is on disk and was read back when this returns. Nothing is left of one that fails.
///
/// # Errors
/// [`BackupError::NoRecord`], [`BackupError::Exists`], [`BackupError::NoRoom`], [`BackupError::Full`],
/// [`BackupError::Unsettled`], [`BackupError::Moved`], or what is wrong with the data folder: damage is not copied.
pub fn take(taking: &Taking) -> Result<Taken, BackupError> {
    take_while(taking, &mut |_| {})
}

/// What was copied just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    Record,
    Journals,
}

/// The same while others do what `meanwhile` does: for tests.
pub(super) fn take_while(taking: &Taking, meanwhile: &mut dyn FnMut(Copied)) -> Result<Taken, BackupError> {
    let Taking { data, into, keys, now } = taking;
    let record = data.join(RECORD);
    if !record.is_file() {
        return Err(BackupError::NoRecord { path: record });
    }
    let name = now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let path = into.join(&name);
    if path.exists() {
        return Err(BackupError::Exists { path });
    }
    let work = Unfinished::make(into.join(format!(".{name}.unfinished")))?;
    check_room(data, work.path())?;
    if *keys == KeyChoice::Included {
        // Also where there is no key yet: a backup without the folder is one whose keys were destroyed.
        make_folder(&work.path().join(KEYS))?;
    }
    let (hearings, journals) = copy(data, work.path(), *keys, meanwhile)?;
    let hearings = lines(work.path(), &hearings, &journals)?;
    // What was acknowledged and is not there is no end that a crash left: the folder is damaged.
    for line in &hearings {
        for channel in &line.channels {
            let (acknowledged, found) = (channel.recorded, channel.end.unwrap_or_default());
            if found < acknowledged {
                let path = journal_path(&data.join(AUDIO), line.hearing, channel.channel);
                return Err(MediaError::AcknowledgedLost { path, acknowledged, found }.into());
            }
        }
    }
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: *now,
        keys: *keys,
        hearings,
        files: prints(work.path())?,
    };
    manifest.write(work.path())?;
    files::sync_names(work.path())?;
    work.name(&path)?;
    Ok(Taken { path, manifest })
}

/// Copies in rounds, until nothing came in between that the copy must know of.
fn copy(
    data: &Path,
    work: &Path,
    keys: KeyChoice,
    meanwhile: &mut dyn FnMut(Copied),
) -> Result<(Vec<HearingSummary>, Journals), BackupError> {
    let mut journals = Journals::new();
    for _ in 0..ROUNDS {
        let destroyed = destroyed_keys(data)?;
        let hearings = copy_record(data, work)?;
        meanwhile(Copied::Record);
        for (hearing, channel) in channels(&hearings) {
            if let Some(verdict) = copy_journal(data, work, hearing, channel)? {
                journals.insert((hearing, channel), verdict);
            }
        }
        meanwhile(Copied::Journals);
        let settled = copy_keys(data, work, &hearings, &destroyed, keys)?;
        let copied = Snapshot::open(&work.join(RECORD), Arc::new(NullSealer))?.orders()?;
        if settled && snapshot::orders(&data.join(RECORD))? == copied {
            return Ok((hearings, journals));
        }
    }
    Err(BackupError::Unsettled)
}

/// How many keys of each hearing are destroyed.
fn destroyed_keys(data: &Path) -> Result<HashMap<HearingId, u64>, BackupError> {
    let folder = data.join(KEYS);
    let mut destroyed = HashMap::new();
    if !folder.is_dir() {
        return Ok(destroyed);
    }
    for name in files::listed(&folder)? {
        let Some(hearing) = name.strip_suffix(".vvk").and_then(|id| id.parse::<HearingId>().ok()) else { continue };
        if let Some(now) = keys::copy::read(&keys_path(&folder, hearing), hearing)? {
            destroyed.insert(hearing, now.destroyed);
        }
    }
    Ok(destroyed)
}

fn copy_record(data: &Path, work: &Path) -> Result<Vec<HearingSummary>, BackupError> {
    let to = work.join(RECORD);
    if to.exists() {
        fs::remove_file(&to).map_err(BackupError::of(&to, "remove"))?;
    }
    // Made beforehand, so that it is for its owner alone from the start.
    drop(files::create(&to)?);
    snapshot::copy(&data.join(RECORD), &to).map_err(|error| full(&to, error))?;
    File::open(&to).and_then(|file| file.sync_all()).map_err(BackupError::of(&to, "sync"))?;
    Ok(Snapshot::open(&to, Arc::new(NullSealer))?.hearings()?)
}

/// A full disk is told alike, whoever notices it.
fn full(path: &Path, error: crate::record::store::RecordError) -> BackupError {
    use std::io::{Error, ErrorKind};
    match &error {
        crate::record::store::RecordError::Database { source, .. }
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
        {
            BackupError::of(path, "write")(Error::new(ErrorKind::StorageFull, source.to_string()))
        }
        _ => error.into(),
    }
}

fn channels(hearings: &[HearingSummary]) -> impl Iterator<Item = (HearingId, ChannelId)> {
    hearings.iter().flat_map(|hearing| hearing.channels.iter().map(|channel| (hearing.id, channel.id)))
}

/// Copies a journal up to a whole frame that is on disk; what was copied before is copied further. `None` where there is none,
/// or one that was not begun.
fn copy_journal(
    data: &Path,
    work: &Path,
    hearing: HearingId,
    channel: ChannelId,
) -> Result<Option<Verdict>, BackupError> {
    let from = journal_path(&data.join(AUDIO), hearing, channel);
    let to = journal_path(&work.join(AUDIO), hearing, channel);
    for last in [false, false, true] {
        if !extend(&from, &to)? {
            return Ok(None);
        }
        match verify(&to) {
            // A frame on its way is whole when one looks again; what a crash left half written never is.
            Ok(verdict) if verdict.tail_bytes == 0 || last => {
                if verdict.tail_bytes > 0 {
                    tracing::warn!(path = %from.display(), bytes = verdict.tail_bytes, "the half-written end of an audio journal is left out");
                }
                cut(&to, verdict.bytes)?;
                return Ok(Some(Verdict { tail_bytes: 0, ..verdict }));
            }
            Ok(verdict) => cut(&to, verdict.bytes)?,
            // Its owner took frames back, on a full disk, while they were copied: the next copy shows it.
            Err(MediaError::Damaged { .. }) => fs::remove_file(&to).map_err(BackupError::of(&to, "remove"))?,
            Err(error) => return Err(error.into()),
        }
    }
    verify(&from)?;
    Err(BackupError::Moved { path: from })
}

fn cut(path: &Path, bytes: u64) -> Result<(), BackupError> {
    let file = OpenOptions::new().write(true).open(path).map_err(BackupError::of(path, "open"))?;
    file.set_len(bytes).and_then(|()| file.sync_all()).map_err(BackupError::of(path, "cut"))
}

/// Copies what `from` has beyond `to`, after all of it was put on the disk that it lies on. False where there is nothing.
fn extend(from: &Path, to: &Path) -> Result<bool, BackupError> {
    let mut source = match File::open(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        source => source.map_err(BackupError::of(from, "open"))?,
    };
    let length = source.metadata().map_err(BackupError::of(from, "look at"))?.len();
    if length < HEADER_BYTES as u64 {
        return Ok(false);
    }
    // What the copy has is never more than what a power cut leaves of the original.
    source.sync_data().map_err(BackupError::of(from, "sync"))?;
    let copied = fs::metadata(to).map_or(0, |metadata| metadata.len());
    if copied > length {
        fs::remove_file(to).map_err(BackupError::of(to, "remove"))?;
    }
    let start = if copied > length { 0 } else { copied };
    let mut target = match start {
        0 if !to.exists() => files::create(to)?,
        _ => OpenOptions::new().append(true).open(to).map_err(BackupError::of(to, "open"))?,
    };
    source.seek(SeekFrom::Start(start)).map_err(BackupError::of(from, "read"))?;
    files::append(&mut source.take(length - start), from, &mut target, to)?;
    target.sync_all().map_err(BackupError::of(to, "sync"))?;
    Ok(true)
}

/// Copies the keys of the hearings, where they are wanted. False where some were destroyed since `destroyed` was counted.
fn copy_keys(
    data: &Path,
    work: &Path,
    hearings: &[HearingSummary],
    destroyed: &HashMap<HearingId, u64>,
    choice: KeyChoice,
) -> Result<bool, BackupError> {
    let mut settled = true;
    for hearing in hearings.iter().map(|summary| summary.id) {
        let to = keys_path(&work.join(KEYS), hearing);
        if to.exists() {
            fs::remove_file(&to).map_err(BackupError::of(&to, "remove"))?;
        }
        let Some(now) = keys::copy::read(&keys_path(&data.join(KEYS), hearing), hearing)? else { continue };
        settled &= now.destroyed == destroyed.get(&hearing).copied().unwrap_or(0);
        if choice == KeyChoice::Included {
            files::write(&to, &now.bytes)?;
        }
    }
    Ok(settled)
}

fn lines(work: &Path, hearings: &[HearingSummary], journals: &Journals) -> Result<Vec<HearingLine>, BackupError> {
    let snapshot = Snapshot::open(&work.join(RECORD), Arc::new(NullSealer))?;
    let line = |summary: &HearingSummary| {
        let recorded = recorded(&snapshot, summary.id)?;
        let channel = |setup: &crate::domain::channel::ChannelSetup| {
            let verdict = journals.get(&(summary.id, setup.id));
            ChannelLine {
                channel: setup.id,
                rate_hz: setup.format.rate.hz(),
                recorded: recorded.get(&setup.id).copied().unwrap_or_default(),
                end: verdict.map(|v| v.end),
                chain: verdict.map(|v| Sha256Hash::new(v.chain)),
            }
        };
        Ok(HearingLine {
            hearing: summary.id,
            closed: summary.closed_at.is_some(),
            last_seq: summary.last,
            channels: summary.channels.iter().map(channel).collect(),
        })
    };
    hearings.iter().map(line).collect()
}

/// Every file, read back from the disk.
fn prints(work: &Path) -> Result<Vec<FileLine>, BackupError> {
    let print = |path: String| {
        let whole = work.join(&path);
        let found = files::print(&whole).map_err(BackupError::of(&whole, "read"))?;
        Ok(FileLine { path, bytes: found.bytes, sha256: found.sha256 })
    };
    files::listed(work)?.into_iter().map(print).collect()
}

/// Whether the disk of the copy has room for what there is now, so that nobody waits hours for a full disk.
fn check_room(data: &Path, work: &Path) -> Result<(), BackupError> {
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut needed = length(&data.join(RECORD));
    for folder in [AUDIO, KEYS].map(|name| data.join(name)).into_iter().filter(|folder| folder.is_dir()) {
        for name in files::listed(&folder)? {
            needed = needed.saturating_add(length(&folder.join(name)));
        }
    }
    let found = rustix::fs::statvfs(work).map_err(|e| BackupError::of(work, "measure the room of")(e.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if needed > free {
        return Err(BackupError::NoRoom { folder: work.parent().unwrap_or(work).to_owned(), needed, free });
    }
    Ok(())
}
