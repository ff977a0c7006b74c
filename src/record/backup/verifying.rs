//! Verifies a backup: every byte against the manifest, every journal against its chain, the record against the journals, and
//! that everything opens.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use super::{
    AUDIO, BackupError, Finding, Flaw, KEYS, KeyOpener, KeysAt, RECORD, files,
    manifest::{ChannelLine, HearingLine, KeyChoice, MANIFEST, Manifest, SEAL},
};
use crate::{
    domain::{
        change::Change,
        id::{ChannelId, HearingId},
        time::{SamplePos, Span},
    },
    record::{
        keys::{KeyStore, sealer::KeySealer},
        media::{
            MediaError, journal_path,
            reader::{JournalReader, verify as verify_journal},
        },
        seal::{NullSealer, Sealer},
        store::{HearingSummary, RecordError, sqlite::snapshot::Snapshot},
    },
};

/// Changes that say how far the audio of a channel is stored, and hold nothing sealed.
const REACHES: [&str; 3] = ["audio_stored", "input_ended", "audio_missing"];
/// Samples that are opened at a time.
const STRETCH: u64 = 1 << 20;

/// What a verification found, where nothing is wrong.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// Whether the keys were there, so that every sample and every text was opened.
    pub opened: bool,
}

/// Verifies the backup at `path` with the keys at `keys`. Where there are none, all is verified that can be without them.
/// Costs some reads of all of it.
///
/// # Errors
/// [`BackupError::NotWhole`], [`BackupError::NewerFormat`]; [`BackupError::Damaged`] names everything that is wrong.
pub fn verify(path: &Path, keys: &KeysAt, open_keys: KeyOpener<'_>) -> Result<Verified, BackupError> {
    let manifest = Manifest::read(path)?;
    let store = match keys {
        KeysAt::Folder(folder) => Some(open_keys(folder)),
        // A folder that was destroyed on purpose takes nothing from the rest.
        KeysAt::Backup if manifest.keys == KeyChoice::Included && path.join(KEYS).is_dir() => {
            Some(open_keys(&path.join(KEYS)))
        }
        KeysAt::Backup => None,
    };
    let mut findings = Vec::new();
    check_files(path, &manifest, &mut findings)?;
    // What does not match its digest is named once, not once more for each thing that follows from it.
    if findings.is_empty() {
        check_record(path, &manifest, store.as_ref(), &mut findings);
    }
    if findings.is_empty() {
        Ok(Verified { manifest, opened: store.is_some() })
    } else {
        Err(BackupError::Damaged { path: path.to_owned(), findings })
    }
}

fn check_files(path: &Path, manifest: &Manifest, findings: &mut Vec<Finding>) -> Result<(), BackupError> {
    let mut found: BTreeSet<String> = files::listed(path)?.into_iter().collect();
    found.remove(MANIFEST);
    found.remove(SEAL);
    let keys_are_gone = !path.join(KEYS).exists();
    for line in &manifest.files {
        let there = found.remove(&line.path);
        if !there && keys_are_gone && line.path.starts_with(KEYS) {
            continue;
        }
        let flaw = match files::print(&path.join(&line.path)) {
            _ if !there => Some(Flaw::Missing),
            Err(error) => Some(Flaw::Unreadable(error)),
            Ok(print) if print.bytes != line.bytes => Some(Flaw::Length { expected: line.bytes, found: print.bytes }),
            Ok(print) if print.sha256 != line.sha256 => Some(Flaw::Digest),
            Ok(_) => None,
        };
        findings.extend(flaw.map(|flaw| Finding { file: line.path.clone(), flaw }));
    }
    findings.extend(found.into_iter().map(|file| Finding { file, flaw: Flaw::Unlisted }));
    Ok(())
}

fn check_record(path: &Path, manifest: &Manifest, keys: Option<&Arc<KeyStore>>, findings: &mut Vec<Finding>) {
    let mut find = |flaw| findings.push(Finding { file: RECORD.to_owned(), flaw });
    let sealer: Arc<dyn Sealer> = match keys {
        Some(keys) => Arc::new(KeySealer::new(Arc::clone(keys))),
        None => Arc::new(NullSealer),
    };
    let opened = Snapshot::open(&path.join(RECORD), sealer).and_then(|snapshot| {
        let flaw = snapshot.flaw()?;
        let hearings = snapshot.hearings()?;
        Ok((snapshot, flaw, hearings))
    });
    let (snapshot, hearings) = match opened {
        Ok((_, Some(flaw), _)) => return find(Flaw::Database(flaw)),
        Ok((snapshot, None, hearings)) => (snapshot, hearings),
        Err(error) => return find(Flaw::Record(error)),
    };
    let alike = |(summary, line): (&HearingSummary, &HearingLine)| {
        (summary.id, summary.last, summary.closed_at.is_some()) == (line.hearing, line.last_seq, line.closed)
            && summary.channels.iter().map(|c| c.id).eq(line.channels.iter().map(|c| c.channel))
    };
    if hearings.len() != manifest.hearings.len() || !hearings.iter().zip(&manifest.hearings).all(alike) {
        return find(Flaw::Hearings);
    }
    for (summary, line) in hearings.iter().zip(&manifest.hearings) {
        let recorded = match keys {
            Some(_) => recorded_and_opened(&snapshot, summary.id),
            None => recorded(&snapshot, summary.id),
        };
        match recorded {
            Ok(recorded) => check_journals(path, summary, line, &recorded, keys, findings),
            Err(error) => findings.push(Finding { file: RECORD.to_owned(), flaw: Flaw::Record(error) }),
        }
    }
}

/// How far the record says that the audio of each channel of `hearing` is stored; opens no text.
pub(super) fn recorded(snapshot: &Snapshot, hearing: HearingId) -> Result<HashMap<ChannelId, SamplePos>, RecordError> {
    let mut recorded = HashMap::new();
    for name in REACHES {
        for entry in snapshot.entries_named(hearing, name)? {
            reach(&mut recorded, &entry.change);
        }
    }
    Ok(recorded)
}

/// The same, by way of every entry, so that every text is opened.
fn recorded_and_opened(snapshot: &Snapshot, hearing: HearingId) -> Result<HashMap<ChannelId, SamplePos>, RecordError> {
    let mut recorded = HashMap::new();
    snapshot.each_entry(hearing, |entry| reach(&mut recorded, &entry.change))?;
    Ok(recorded)
}

fn reach(recorded: &mut HashMap<ChannelId, SamplePos>, change: &Change) {
    let (channel, end) = match change {
        Change::AudioStored { channel, span, .. } | Change::AudioMissing { channel, span, .. } => {
            (*channel, span.end())
        }
        Change::InputEnded { channel, at } => (*channel, *at),
        // All others say nothing that these do not.
        _ => return,
    };
    let known = recorded.entry(channel).or_default();
    *known = end.max(*known);
}

fn check_journals(
    path: &Path,
    summary: &HearingSummary,
    line: &HearingLine,
    recorded: &HashMap<ChannelId, SamplePos>,
    keys: Option<&Arc<KeyStore>>,
    findings: &mut Vec<Finding>,
) {
    for (setup, channel) in summary.channels.iter().zip(&line.channels) {
        let whole = journal_path(&path.join(AUDIO), summary.id, setup.id);
        let file = || whole.strip_prefix(path).unwrap_or(&whole).to_string_lossy().into_owned();
        let acknowledged = recorded.get(&setup.id).copied().unwrap_or_default();
        let flaw = match check_journal(&whole, summary.id, setup, channel, keys) {
            Err(flaw) => Some(flaw),
            Ok(found) if found < acknowledged => Some(Flaw::Short { acknowledged, found }),
            Ok(_) => None,
        };
        findings.extend(flaw.map(|flaw| Finding { file: file(), flaw }));
    }
}

/// Verifies one journal; gives the sample after its last.
fn check_journal(
    path: &Path,
    hearing: HearingId,
    setup: &crate::domain::channel::ChannelSetup,
    line: &ChannelLine,
    keys: Option<&Arc<KeyStore>>,
) -> Result<SamplePos, Flaw> {
    let Some(expected) = line.end else {
        return if path.exists() { Err(Flaw::Unlisted) } else { Ok(SamplePos::ZERO) };
    };
    if !path.exists() {
        return Err(Flaw::Missing);
    }
    let verdict = verify_journal(path).map_err(Flaw::Journal)?;
    let chain = line.chain.map(|chain| *chain.bytes());
    if verdict.end != expected || verdict.tail_bytes > 0 || chain != Some(verdict.chain) {
        return Err(Flaw::Position { expected, found: verdict.end });
    }
    // Reading the head needs no key.
    let nobody = Arc::new(KeyStore::under(path.with_file_name(KEYS), Box::new(|_| ())));
    let mut reader = JournalReader::open(path, keys.unwrap_or(&nobody)).map_err(Flaw::Journal)?;
    let header = reader.header();
    if (header.hearing, header.channel, header.format) != (hearing, setup.id, setup.format) {
        return Err(Flaw::Journal(MediaError::Mismatch { path: path.to_owned() }));
    }
    if keys.is_some() {
        let mut at = SamplePos::ZERO;
        while let Some(stretch) = Span::new(at, at.plus(STRETCH).min(expected)).filter(|span| !span.is_empty()) {
            reader.read_span(stretch).map_err(Flaw::Journal)?;
            at = stretch.end();
        }
    }
    Ok(verdict.end)
}
