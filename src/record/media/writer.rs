//! Appends to one journal and recovers it after a crash.

use std::{
    fs::{OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    Absence, MediaError, TailCut,
    format::{
        FORMAT_VERSION, HEADER_BYTES, MAX_PAYLOAD_BYTES, chain_start,
        destruction::Destruction,
        frame::{FrameKind, class_for},
        head::FileHeader,
    },
    frames::Verdict,
    pen::{Buffers, Pen, PendingSync, Place},
    recover::{check_acknowledged, from_disk, verify_for},
};
use crate::{
    domain::{
        audio::AudioFormat,
        change::IntervalClass,
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    record::{
        disk::{Lockable, make_folder, sync_folder},
        keys::KeyStore,
        seal::{CipherId, KeyId},
    },
};

/// The longest audio that one key seals: what an order to destroy must at most write again at each of its ends.
const KEY_SECONDS: u64 = 10;

/// What a writer needs to know of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The hearing.
    pub hearing: HearingId,
    /// The channel.
    pub channel: ChannelId,
    /// How its samples are written.
    pub format: AudioFormat,
    /// What the record says was acknowledged; a journal that ends before is refused. `SamplePos::ZERO` for a new one.
    pub acknowledged: SamplePos,
    /// 16 bytes from the system's random source, drawn for this opening alone (see the nonce rule of [`super`]).
    pub nonce_prefix: [u8; 16],
    /// The clock of the machine.
    pub now: Timestamp,
}

/// The one writer of a file. Not synced until [`JournalWriter::sync`] says so.
#[derive(Debug)]
pub struct JournalWriter {
    pub(super) pen: Pen,
    format: AudioFormat,
    /// An order to destroy that is on disk and is not carried out yet.
    pub(super) unfinished: Option<Destruction>,
}

impl JournalWriter {
    /// Opens the journal at `path`, or makes it with its folder. An existing one is verified from its start (one read and
    /// SHA-256 of the file); a half-written tail is cut and told of; what was ordered to be destroyed is. When this returns,
    /// header, cut and the new epoch are on disk.
    ///
    /// # Errors
    /// [`MediaError::Damaged`] and [`MediaError::AcknowledgedLost`] leave the file as it is; [`MediaError::AlreadyOpen`],
    /// [`MediaError::Mismatch`], [`MediaError::NewerFormat`], [`MediaError::DiskFull`], [`MediaError::ReadOnly`],
    /// [`MediaError::Key`].
    pub fn open(path: &Path, opening: &Opening, keys: &Arc<KeyStore>) -> Result<(Self, Option<TailCut>), MediaError> {
        let fail = |action| move |e| MediaError::of(path, action, e);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(fail("open"))?;
        let file = Lockable::new(file);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(MediaError::AlreadyOpen { path: path.to_owned() }),
            Err(TryLockError::Error(e)) => return Err(MediaError::of(path, "lock", e)),
        }
        let length = file.metadata().map_err(fail("look at"))?.len();
        // Shorter than its header: the service stopped while it made the file, and not a sample was in it.
        if length < HEADER_BYTES as u64 {
            check_acknowledged(path, opening, SamplePos::ZERO)?;
            file.set_len(0).map_err(fail("cut"))?;
            let writer = Self::begin(file, path, opening, keys, length)?;
            let cut = TailCut { offset: 0, bytes: length, after: SamplePos::ZERO };
            return Ok((writer, (length > 0).then_some(cut)));
        }
        from_disk(&file).map_err(fail("sync"))?;
        let (verdict, doomed) = verify_for(&file, path, opening)?;
        let writer = Self::resume(file, path, opening, keys, &verdict, &doomed)?;
        let cut = TailCut { offset: verdict.bytes, bytes: verdict.tail_bytes, after: verdict.end };
        Ok((writer, (verdict.tail_bytes > 0).then_some(cut)))
    }

    fn begin(
        file: Lockable,
        path: &Path,
        opening: &Opening,
        keys: &Arc<KeyStore>,
        cut_bytes: u64,
    ) -> Result<Self, MediaError> {
        let key = keys.draw(opening.hearing)?;
        let header = FileHeader {
            version: FORMAT_VERSION,
            hearing: opening.hearing,
            channel: opening.channel,
            format: opening.format,
            cipher: CipherId::XCHACHA20_POLY1305,
            key: key.id(),
            class: IntervalClass::Open,
            created_at: opening.now,
        }
        .encode();
        file.write_all_at(&header, 0).map_err(|e| MediaError::of(path, "write", e))?;
        let place = Place {
            sequence: 0,
            epochs: 0,
            next_sample: SamplePos::ZERO,
            chain: chain_start(&header),
            offset: HEADER_BYTES as u64,
        };
        let mut writer = Self::at(file, path, opening, keys, FORMAT_VERSION, place);
        writer.pen.begin_epoch(Some(key), opening.nonce_prefix, cut_bytes)?;
        writer.sync()?;
        path.parent().map_or(Ok(()), sync_folder)?;
        Ok(writer)
    }

    fn resume(
        file: Lockable,
        path: &Path,
        opening: &Opening,
        keys: &Arc<KeyStore>,
        verdict: &Verdict,
        doomed: &[KeyId],
    ) -> Result<Self, MediaError> {
        file.set_len(verdict.bytes).and_then(|()| file.sync_all()).map_err(|e| MediaError::of(path, "cut", e))?;
        // Also those that seem destroyed: see `KeyStore::destroy`.
        keys.destroy(opening.hearing, doomed)?;
        let place = Place {
            sequence: verdict.frames,
            epochs: verdict.epochs,
            next_sample: verdict.end,
            chain: verdict.chain,
            offset: verdict.bytes,
        };
        let mut writer = Self::at(file, path, opening, keys, verdict.version, place);
        writer.pen.synced = verdict.bytes;
        let key = if writer.pen.seals() { Some(keys.draw(opening.hearing)?) } else { None };
        writer.pen.begin_epoch(key, opening.nonce_prefix, verdict.tail_bytes)?;
        writer.sync()?;
        path.parent().map_or(Ok(()), sync_folder)?;
        Ok(writer)
    }

    fn at(file: Lockable, path: &Path, opening: &Opening, keys: &Arc<KeyStore>, version: u16, place: Place) -> Self {
        let pen = Pen {
            file: Arc::new(file),
            path: path.to_owned(),
            hearing: opening.hearing,
            keys: Arc::clone(keys),
            opened_at: opening.now,
            version,
            width: opening.format.encoding.bytes_per_sample(),
            place,
            sealing: None,
            synced: 0,
            failed: None,
            buffers: Buffers::default(),
        };
        Self { pen, format: opening.format, unfinished: None }
    }

    /// Appends the samples in `bytes`, the first of which is `first_sample`; samples may be missing before it. Gives the
    /// position after the last: written, not yet synced.
    ///
    /// # Errors
    /// [`MediaError::OutOfOrder`], [`MediaError::Length`] and [`MediaError::NotStored`] leave the journal as it was. After
    /// [`MediaError::DiskFull`] what was written is taken back and the call can be made again; where that fails too, every
    /// later call says so.
    pub fn append(
        &mut self,
        first_sample: SamplePos,
        class: IntervalClass,
        bytes: &[u8],
    ) -> Result<SamplePos, MediaError> {
        let width = self.pen.width;
        match class {
            IntervalClass::Open | IntervalClass::Sealed => {}
            IntervalClass::OffRecord | IntervalClass::Muted => return Err(MediaError::NotStored { class }),
        }
        if bytes.is_empty() || !bytes.len().is_multiple_of(width) || bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(MediaError::Length { bytes: bytes.len(), bytes_per_sample: width });
        }
        if first_sample < self.pen.place.next_sample {
            return Err(MediaError::OutOfOrder { expected: self.pen.place.next_sample, got: first_sample });
        }
        let longest = KEY_SECONDS * u64::from(self.format.rate.hz());
        self.pen.or_take_back(|pen| {
            let (mut first, mut rest) = (first_sample, bytes);
            while !rest.is_empty() {
                let room = usize::try_from(pen.key_for(class, first, longest)?).unwrap_or(usize::MAX);
                let (now, later) = rest.split_at(rest.len().min(room.saturating_mul(width)));
                pen.write_samples(FrameKind::Audio, class, first, now)?;
                (first, rest) = (pen.place.next_sample, later);
            }
            Ok(first)
        })
    }

    /// Notes that nothing is stored from `first` up to `to`, and why; also that nothing came between what is stored and
    /// `first`, as [`JournalWriter::append`] does. Gives `to`: written, not yet synced. Nothing is noted where both are one.
    ///
    /// # Errors
    /// [`MediaError::OutOfOrder`] for a `first` before the next sample, or a `to` before it; [`MediaError::OldFormat`];
    /// otherwise as [`JournalWriter::append`].
    pub fn skip(&mut self, first: SamplePos, to: SamplePos, why: Absence) -> Result<SamplePos, MediaError> {
        let next = self.pen.place.next_sample;
        if first < next {
            return Err(MediaError::OutOfOrder { expected: next, got: first });
        }
        if to < first {
            return Err(MediaError::OutOfOrder { expected: first, got: to });
        }
        self.pen.needs(FrameKind::Skipped, "note what is not stored")?;
        self.pen.or_take_back(|pen| {
            let mut first = first;
            // Half a day at 96 kHz fits into one frame.
            while first < to {
                let samples = u32::try_from(to.index() - first.index()).unwrap_or(u32::MAX);
                pen.write_frame(FrameKind::Skipped, class_for(why), (first, samples), &[])?;
                first = pen.place.next_sample;
            }
            Ok(pen.place.next_sample)
        })
    }

    /// Puts all that was written on disk. Gives the position through which the samples are safe.
    ///
    /// # Errors
    /// What the system said; after that nothing is taken any more.
    pub fn sync(&mut self) -> Result<SamplePos, MediaError> {
        self.pen.sync()
    }

    /// The sync that all that was written so far needs; `None` where it is on disk, or where the disk failed. While it runs,
    /// more can be written.
    #[must_use]
    pub fn pending_sync(&self) -> Option<PendingSync> {
        self.pen.pending_sync()
    }

    /// Takes note of how a sync came out. Gives the position through which the samples are safe.
    ///
    /// # Errors
    /// As [`JournalWriter::sync`].
    pub fn settle(&mut self, pending: &PendingSync, outcome: io::Result<()>) -> Result<SamplePos, MediaError> {
        self.pen.settle(pending, outcome)
    }

    /// Lets go of a file whose disk failed, after cutting off what was not synced: none of it was acknowledged, and nobody is to
    /// take for stored what memory alone may hold.
    ///
    /// # Errors
    /// What the system said. Opening the file again finds out what is on the disk all the same.
    pub fn abandon(self) -> Result<(), MediaError> {
        let cut = self.pen.file.set_len(self.pen.synced).and_then(|()| self.pen.file.sync_all());
        cut.map_err(|e| MediaError::of(&self.pen.path, "cut", e))
    }

    /// Syncs, and writes that all is synced, so that any later damage is told from a torn tail.
    ///
    /// # Errors
    /// As [`JournalWriter::append`] and [`JournalWriter::sync`].
    pub fn close(mut self) -> Result<SamplePos, MediaError> {
        self.sync()?;
        self.pen.or_take_back(|pen| {
            pen.write_frame(FrameKind::Closed, IntervalClass::Open, (pen.place.next_sample, 0), &[])
        })?;
        self.sync()
    }

    /// Whether the disk failed so that only opening the file again helps.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.pen.failed.is_some()
    }

    /// The sample that comes next.
    #[must_use]
    pub const fn next_sample(&self) -> SamplePos {
        self.pen.place.next_sample
    }

    /// Whether something is written that is not synced.
    #[must_use]
    pub const fn dirty(&self) -> bool {
        self.pen.synced < self.pen.place.offset
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.pen.path
    }
}
