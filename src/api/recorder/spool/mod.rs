//! The recorder's own disk: what was captured and is not yet safe on the server, sealed.
//!
//! A folder holds one hearing: a header, segments of a few seconds each, a lock, and the key unless it lies elsewhere.
//! Whatever is captured is synced here before it is sent, so that a recorder that crashes knows all that it sent. Nothing
//! here waits for anything but the disk: [`super::keeper`] has the thread.

mod cipher;
mod header;
mod recovery;
mod segment;
mod withdraw;
mod writing;

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use header::Bound;
use jiff::Timestamp;

use self::{
    cipher::Cipher,
    header::Header,
    segment::{Content, Piece, SegmentWriter, What},
};
use super::{
    orders::{Heard, rest_of},
    session::{Absence, Holding, Missing},
};
use crate::{
    domain::{
        channel::ChannelSetup,
        fault::{Fault, FaultKind},
        interval::ClassMap,
        time::{SamplePos, Span},
    },
    hearing::world::World,
    record::disk::Lockable,
};

/// Where the spool lies and what it may take.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// The folder; made where it is not there.
    pub folder: PathBuf,
    /// The file of the key; without it `spool.key` in the folder.
    pub key: Option<PathBuf>,
    /// Bytes of audio that it may hold.
    pub limit: u64,
}

/// Why the spool cannot do it.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk.
    #[error("the spool cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others may read the key.
    #[error("others may read the spool's key {} (mode {mode:o}): run chmod 600 on it", path.display())]
    KeyOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// No key.
    #[error("the file {} is no key: it must hold 64 hexadecimal digits", path.display())]
    KeyForm {
        /// The file.
        path: PathBuf,
    },
    /// The key that the spool was sealed with is not there.
    #[error("the key {} that the spool was sealed with is not there: name it with --spool-key", path.display())]
    KeyGone {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another key, a damaged file, or a later version's.
    #[error("{} cannot be opened: it is damaged, of a later version, or sealed with another key than the one given", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// Another recorder has it.
    #[error("another recorder works with the spool {}: name another folder with --spool", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// There is a hearing in it already.
    #[error("the spool {} holds a hearing that is not finished{}: take it up with --resume, name another folder with --spool, or remove the folder and with it what was not sent", folder.display(), hearing.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// The hearing, if it was opened.
        hearing: Option<String>,
    },
    /// There is no hearing in it.
    #[error("the spool {} holds no hearing that could be taken up", folder.display())]
    Nothing {
        /// The folder.
        folder: PathBuf,
    },
    /// It holds as much as it may, or the disk is full.
    #[error("the spool is full")]
    Full,
    /// Samples that it does not hold.
    #[error("the spool does not hold samples {} to {} of channel {lane}", span.start().index(), span.end().index())]
    NotHeld {
        /// The index of the channel.
        lane: usize,
        /// Which samples.
        span: Span,
    },
    /// Its thread is gone.
    #[error("the spool's thread stopped")]
    Stopped,
}

impl Fault for SpoolError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::KeyOpen { .. } | Self::KeyForm { .. } | Self::KeyGone { .. } => FaultKind::Invalid,
            Self::Unreadable { .. } => FaultKind::DataLoss,
            Self::Busy { .. } | Self::Occupied { .. } => FaultKind::Conflict,
            Self::Nothing { .. } => FaultKind::NotFound,
            Self::Io { .. } | Self::Full => FaultKind::Unavailable,
            Self::NotHeld { .. } | Self::Stopped => FaultKind::Internal,
        }
    }
}

/// A segment that is kept.
#[derive(Debug)]
struct Segment {
    number: u64,
    /// Where each channel stood when it began; it ends where the next one begins.
    base: Vec<u64>,
    bytes: u64,
}

/// The spool of one hearing.
pub struct Spool {
    folder: PathBuf,
    _lock: Lockable,
    cipher: Cipher,
    world: Arc<dyn World>,
    limit: u64,
    header: Header,
    segments: VecDeque<Segment>,
    /// The last segment, while it is written.
    open: Option<(SegmentWriter, Content)>,
    /// The segment that was read last.
    cache: Option<(u64, Content)>,
    next_number: u64,
    held: Vec<Holding>,
    /// Samples that are lost, of which the disk does not know yet.
    owed: Vec<Piece>,
    /// When the last audio was taken, as far as the disk knows: milliseconds since 1970.
    captured_at_ms: Option<i64>,
    /// What is kept of each channel, as it was ordered.
    classes: Vec<ClassMap>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("folder", &self.folder).field("segments", &self.segments).finish_non_exhaustive()
    }
}

impl Spool {
    /// A spool for a new hearing of these channels. `source` tells a file from others.
    ///
    /// # Errors
    /// [`SpoolError::Occupied`] where it holds audio that is not safe elsewhere, [`SpoolError::Busy`], and what is wrong
    /// with the key and the disk.
    pub fn create(
        settings: &SpoolSettings,
        channels: Vec<ChannelSetup>,
        source: Option<String>,
        world: Arc<dyn World>,
    ) -> Result<Self, SpoolError> {
        let ends = vec![0; channels.len()];
        let header =
            Header { channels, source, bound: None, ends, at_rest: false, captured_at_ms: None, orders: Vec::new() };
        let mut spool = recovery::open(settings, Some(header), world)?;
        spool.save()?;
        spool.held = vec![Holding::empty(SamplePos::ZERO); spool.header.channels.len()];
        Ok(spool)
    }

    /// The spool of the hearing that the folder holds.
    ///
    /// # Errors
    /// [`SpoolError::Nothing`], [`SpoolError::Busy`], [`SpoolError::Unreadable`], and what is wrong with the key and the
    /// disk.
    pub fn reopen(settings: &SpoolSettings, world: Arc<dyn World>) -> Result<Self, SpoolError> {
        recovery::open(settings, None, world)
    }

    /// The channels of the hearing, in ascending order.
    #[must_use]
    pub fn channels(&self) -> &[ChannelSetup] {
        &self.header.channels
    }

    /// What tells the recorded file from others.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.header.source.as_deref()
    }

    /// What takes the hearing up, once it was opened.
    #[must_use]
    pub const fn bound(&self) -> Option<&Bound> {
        self.header.bound.as_ref()
    }

    /// When the last audio was taken, by the machine's clock; `None` where none was.
    #[must_use]
    pub fn captured_at(&self) -> Option<Timestamp> {
        self.captured_at_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok())
    }

    /// The orders about what is recorded, as they were heard.
    #[must_use]
    pub fn orders(&self) -> &[Heard] {
        &self.header.orders
    }

    /// What is held of each channel.
    #[must_use]
    pub fn holdings(&self) -> &[Holding] {
        &self.held
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }

    /// The hearing is opened: keeps what takes it up, synced.
    ///
    /// # Errors
    /// What the disk says.
    pub fn bind(&mut self, bound: Bound) -> Result<(), SpoolError> {
        self.header.bound = Some(bound);
        self.save()
    }

    fn width(&self, lane: usize) -> usize {
        self.header.channels[lane].format.encoding.bytes_per_sample()
    }

    /// Reads samples of the channel at `lane`. What turns out to be damaged is missing from then on.
    ///
    /// # Errors
    /// [`SpoolError::NotHeld`], and what the disk says.
    pub fn read(&mut self, lane: usize, span: Span) -> Result<Vec<u8>, SpoolError> {
        let width = self.width(lane);
        let mut bytes = Vec::new();
        let mut at = span.start().index();
        while at < span.end().index() {
            let after = self.segments.partition_point(|s| s.base[lane] <= at);
            let index = after.checked_sub(1).ok_or(SpoolError::NotHeld { lane, span })?;
            let bound = self.segments.get(after).map_or(u64::MAX, |s| s.base[lane]).min(span.end().index());
            let before = at;
            // The next samples of the channel that the segment has.
            let mut behind = bound;
            let content = match self.content(index) {
                Err(SpoolError::Unreadable { .. }) => {
                    self.miss_damaged(lane, at, bound);
                    return Err(SpoolError::NotHeld { lane, span });
                }
                content => content?,
            };
            for piece in content.pieces.iter().filter(|p| usize::from(p.lane) == lane) {
                let What::Audio(audio) = &piece.what else { continue };
                let (from, to) = (piece.first.max(at), end_of(piece, width).min(bound));
                if from > at && from < to {
                    behind = behind.min(from);
                }
                if from == at && from < to {
                    bytes.extend_from_slice(
                        &audio[bytes_of(from - piece.first, width)..bytes_of(to - piece.first, width)],
                    );
                    at = to;
                }
            }
            if at == before {
                self.miss_damaged(lane, at, behind);
                return Err(SpoolError::NotHeld { lane, span });
            }
        }
        Ok(bytes)
    }

    /// Samples from `from` on cannot be read: up to `to` they are missing, but for what is known to be.
    fn miss_damaged(&mut self, lane: usize, from: u64, to: u64) {
        let held = &self.held[lane];
        let to = to.min(held.end.index());
        let Some(gone) = Span::new(SamplePos::new(from), SamplePos::new(to)).filter(|span| !span.is_empty()) else {
            return;
        };
        for span in rest_of(gone, held.missing.iter().map(|m| m.span)) {
            tracing::error!(samples = span.len(), "samples of the spool cannot be read: its disk is failing");
            self.miss(lane, span, Absence::Damaged);
        }
    }

    fn content(&mut self, index: usize) -> Result<&Content, SpoolError> {
        let number = self.segments[index].number;
        if index + 1 == self.segments.len()
            && let Some((_, content)) = &self.open
        {
            return Ok(content);
        }
        if self.cache.as_ref().is_none_or(|(cached, _)| *cached != number) {
            let path = segment::path_of(&self.folder, number);
            let content = segment::read(&path, number, &self.cipher)?.ok_or(SpoolError::Unreadable { path })?;
            self.cache = Some((number, content));
        }
        Ok(&self.cache.as_ref().expect("it was just filled").1)
    }

    /// Destroys the segments of which every channel is safe elsewhere up to `safe`. Gives whether any was.
    ///
    /// # Errors
    /// What the disk says.
    pub fn release(&mut self, safe: &[SamplePos]) -> Result<bool, SpoolError> {
        let mut any = false;
        while let Some(next) = self.segments.get(1)
            && next.base.iter().zip(safe).all(|(base, safe)| safe.index() >= *base)
        {
            self.destroy_first()?;
            any = true;
        }
        Ok(any)
    }

    fn destroy_first(&mut self) -> Result<(), SpoolError> {
        let Some(first) = self.segments.front() else { return Ok(()) };
        segment::destroy(&segment::path_of(&self.folder, first.number))?;
        self.cache = self.cache.take().filter(|(number, _)| *number != first.number);
        self.segments.pop_front();
        for (lane, held) in self.held.iter_mut().enumerate() {
            held.from = self.segments.front().map_or(held.end, |s| SamplePos::new(s.base[lane]));
            held.missing.retain(|m| m.span.end() > held.from);
        }
        Ok(())
    }

    /// Everything is safe elsewhere: destroys all audio, and keeps what takes the hearing up.
    ///
    /// # Errors
    /// What the disk says.
    pub fn rest(&mut self) -> Result<(), SpoolError> {
        self.open = None;
        self.header.ends = self.held.iter().map(|h| h.end.index()).collect();
        self.header.at_rest = true;
        self.header.captured_at_ms = self.captured_at_ms;
        self.save()?;
        while !self.segments.is_empty() {
            self.destroy_first()?;
        }
        Ok(())
    }

    /// The hearing is over: destroys all of it but the key of the next one.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&mut self) -> Result<(), SpoolError> {
        self.rest()?;
        let path = header::path_in(&self.folder);
        fs::remove_file(&path).map_err(|source| SpoolError::Io { what: "remove", path, source })
    }

    fn save(&self) -> Result<(), SpoolError> {
        header::write(&self.folder, &self.header, &self.cipher, self.world.as_ref())
    }
}

/// The sample after the last of a piece.
fn end_of(piece: &Piece, width: usize) -> u64 {
    let samples = match &piece.what {
        What::Audio(bytes) => (bytes.len() / width) as u64,
        What::Missing(samples, _) => *samples,
    };
    piece.first.saturating_add(samples)
}

fn bytes_of(samples: u64, width: usize) -> usize {
    usize::try_from(samples).unwrap_or(usize::MAX).saturating_mul(width)
}

/// Adds a stretch to what is missing; one that goes on with the last becomes one with it.
fn note(missing: &mut Vec<Missing>, from: u64, to: u64, why: Absence) {
    let start = match missing.last() {
        Some(last) if last.why == why && last.span.end().index() == from => {
            let start = last.span.start();
            missing.pop();
            start
        }
        _ => SamplePos::new(from),
    };
    missing.extend(Span::new(start, SamplePos::new(to)).filter(|s| !s.is_empty()).map(|span| Missing { span, why }));
}

/// Makes the folder, for its owner alone.
fn make_folder(folder: &Path) -> Result<(), SpoolError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| SpoolError::Io { what: "make the folder", path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests;
