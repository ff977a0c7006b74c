//! Appends to one journal and recovers it after a crash.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    Absence, MediaError, TailCut,
    format::{
        FORMAT_VERSION, FRAME_FOOTER_BYTES, HEADER_BYTES, MAX_PAYLOAD_BYTES, chain_next, chain_start,
        frame::{Epoch, FrameHeader, FrameKind, class_for},
        head::FileHeader,
    },
    frames::{FrameReader, Verdict},
};
use crate::{
    domain::{
        audio::AudioFormat,
        change::IntervalClass,
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    record::seal::{CipherId, KeyId},
};

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
    file: File,
    path: PathBuf,
    /// Of the file's format: one begun by an earlier release goes on as it is.
    version: u16,
    format: AudioFormat,
    sequence: u64,
    next_sample: SamplePos,
    chain: [u8; 32],
    /// Bytes written.
    offset: u64,
    /// Bytes known to be on disk.
    synced: u64,
    failed: bool,
    frame: Vec<u8>,
}

impl JournalWriter {
    /// Opens the journal at `path`, or makes it with its folder. An existing one is verified from its start (one read and
    /// SHA-256 of the file); a half-written tail is cut and told of. When this returns, header, cut and the new epoch are
    /// on disk.
    ///
    /// # Errors
    /// [`MediaError::Damaged`] and [`MediaError::AcknowledgedLost`] leave the file as it is; [`MediaError::AlreadyOpen`],
    /// [`MediaError::Mismatch`], [`MediaError::NewerFormat`], [`MediaError::DiskFull`], [`MediaError::ReadOnly`].
    pub fn open(path: &Path, opening: &Opening) -> Result<(Self, Option<TailCut>), MediaError> {
        let fail = |action| move |e| MediaError::of(path, action, e);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(fail("open"))?;
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
            let mut writer = Self::begin(file, path, opening)?;
            writer.write_epoch(opening, 0, length)?;
            let cut = TailCut { offset: 0, bytes: length, after: SamplePos::ZERO };
            return Ok((writer, (length > 0).then_some(cut)));
        }
        let verdict = verify_for(&file, path, opening)?;
        let mut writer = Self::resume(file, path, opening, &verdict)?;
        writer.write_epoch(opening, verdict.epochs, verdict.tail_bytes)?;
        let cut = TailCut { offset: verdict.bytes, bytes: verdict.tail_bytes, after: verdict.end };
        Ok((writer, (verdict.tail_bytes > 0).then_some(cut)))
    }

    fn begin(mut file: File, path: &Path, opening: &Opening) -> Result<Self, MediaError> {
        let header = FileHeader {
            version: FORMAT_VERSION,
            hearing: opening.hearing,
            channel: opening.channel,
            format: opening.format,
            cipher: CipherId::NONE,
            key: KeyId::NONE,
            class: IntervalClass::Open,
            created_at: opening.now,
        }
        .encode();
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&header))
            .map_err(|e| MediaError::of(path, "write", e))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            version: FORMAT_VERSION,
            format: opening.format,
            sequence: 0,
            next_sample: SamplePos::ZERO,
            chain: chain_start(&header),
            offset: HEADER_BYTES as u64,
            synced: 0,
            failed: false,
            frame: Vec::new(),
        })
    }

    fn resume(mut file: File, path: &Path, opening: &Opening, verdict: &Verdict) -> Result<Self, MediaError> {
        file.set_len(verdict.bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| file.seek(SeekFrom::Start(verdict.bytes)))
            .map_err(|e| MediaError::of(path, "cut", e))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            version: verdict.version,
            format: opening.format,
            sequence: verdict.frames,
            next_sample: verdict.end,
            chain: verdict.chain,
            offset: verdict.bytes,
            synced: verdict.bytes,
            failed: false,
            frame: Vec::new(),
        })
    }

    /// The epoch is on disk, with the file's name in its folder, before a sample of it is taken.
    fn write_epoch(&mut self, opening: &Opening, number: u32, cut_bytes: u64) -> Result<(), MediaError> {
        let epoch = Epoch {
            number,
            cipher: CipherId::NONE,
            key: KeyId::NONE,
            nonce_prefix: opening.nonce_prefix,
            opened_at: opening.now,
            cut_bytes,
        };
        self.write_frame(FrameKind::Epoch, IntervalClass::Open, (self.next_sample, 0), &epoch.encode())?;
        self.sync()?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }

    /// Appends the samples in `bytes`, the first of which is `first_sample`; samples may be missing before it. Gives the
    /// position after the last: written, not yet synced.
    ///
    /// # Errors
    /// [`MediaError::OutOfOrder`], [`MediaError::Length`] and [`MediaError::NotStored`] leave the journal as it was. After
    /// [`MediaError::DiskFull`] the frame is taken back and the call can be made again; where that fails too,
    /// [`MediaError::Failed`] follows.
    pub fn append(
        &mut self,
        first_sample: SamplePos,
        class: IntervalClass,
        bytes: &[u8],
    ) -> Result<SamplePos, MediaError> {
        let width = self.format.encoding.bytes_per_sample();
        match class {
            IntervalClass::Open | IntervalClass::Sealed => {}
            IntervalClass::OffRecord | IntervalClass::Muted => return Err(MediaError::NotStored { class }),
        }
        if bytes.is_empty() || !bytes.len().is_multiple_of(width) || bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(MediaError::Length { bytes: bytes.len(), bytes_per_sample: width });
        }
        if first_sample < self.next_sample {
            return Err(MediaError::OutOfOrder { expected: self.next_sample, got: first_sample });
        }
        self.write_audio(first_sample, class, bytes)?;
        Ok(self.next_sample)
    }

    fn write_audio(&mut self, first: SamplePos, class: IntervalClass, bytes: &[u8]) -> Result<(), MediaError> {
        let samples = bytes.len() / self.format.encoding.bytes_per_sample();
        let samples = u32::try_from(samples).expect("a payload has at most 2^20 bytes");
        self.write_frame(FrameKind::Audio, class, (first, samples), bytes)
    }

    /// Notes that nothing is stored from `first` up to `to`, and why; also that nothing came between what is stored and
    /// `first`, as [`JournalWriter::append`] does. Gives `to`: written, not yet synced. Nothing is noted where both are one.
    ///
    /// # Errors
    /// [`MediaError::OutOfOrder`] for a `first` before the next sample, or a `to` before it; [`MediaError::OldFormat`];
    /// otherwise as [`JournalWriter::append`].
    pub fn skip(&mut self, first: SamplePos, to: SamplePos, why: Absence) -> Result<SamplePos, MediaError> {
        if first < self.next_sample {
            return Err(MediaError::OutOfOrder { expected: self.next_sample, got: first });
        }
        if to < first {
            return Err(MediaError::OutOfOrder { expected: first, got: to });
        }
        if self.version < FrameKind::Skipped.since() {
            let (path, version) = (self.path.clone(), self.version);
            return Err(MediaError::OldFormat { path, version, action: "note what is not stored" });
        }
        let mut first = first;
        // Half a day at 96 kHz fits into one frame.
        while first < to {
            let samples = u32::try_from(to.index() - first.index()).unwrap_or(u32::MAX);
            self.write_frame(FrameKind::Skipped, class_for(why), (first, samples), &[])?;
            first = self.next_sample;
        }
        Ok(self.next_sample)
    }

    /// Writes a frame of `samples.1` samples from `samples.0` on.
    fn write_frame(
        &mut self,
        kind: FrameKind,
        class: IntervalClass,
        (first_sample, samples): (SamplePos, u32),
        payload: &[u8],
    ) -> Result<(), MediaError> {
        if self.failed {
            return Err(MediaError::Failed { path: self.path.clone() });
        }
        let header = FrameHeader {
            kind,
            class,
            payload_bytes: u32::try_from(payload.len()).expect("a payload has at most 2^20 bytes"),
            samples,
            sequence: self.sequence,
            first_sample,
            synced: self.synced,
        };
        let raw = header.encode();
        let chain = chain_next(&self.chain, &raw, payload);
        self.frame.clear();
        self.frame.reserve(raw.len() + payload.len() + FRAME_FOOTER_BYTES);
        self.frame.extend_from_slice(&raw);
        self.frame.extend_from_slice(payload);
        self.frame.extend_from_slice(&chain);
        let crc = crc32c::crc32c(&self.frame[raw.len()..]);
        self.frame.extend_from_slice(&crc.to_le_bytes());
        self.file.write_all(&self.frame).map_err(|e| self.take_back(e))?;
        self.offset += self.frame.len() as u64;
        self.sequence += 1;
        self.chain = chain;
        self.next_sample = header.end_sample();
        Ok(())
    }

    /// Takes a part of a frame off the file, so that the next one follows the last whole one.
    fn take_back(&mut self, error: io::Error) -> MediaError {
        let back = self.file.set_len(self.offset).and_then(|()| self.file.seek(SeekFrom::Start(self.offset)));
        self.failed = back.is_err();
        MediaError::of(&self.path, "write", error)
    }

    /// Puts all that was written on disk. Gives the position through which the samples are safe.
    ///
    /// # Errors
    /// What the system said. The kernel may drop what it could not write and call the next sync good
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>), so that after a failed sync nothing is taken any more.
    pub fn sync(&mut self) -> Result<SamplePos, MediaError> {
        if self.failed {
            return Err(MediaError::Failed { path: self.path.clone() });
        }
        if self.synced < self.offset {
            self.file.sync_data().map_err(|e| {
                self.failed = true;
                MediaError::of(&self.path, "sync", e)
            })?;
            self.synced = self.offset;
        }
        Ok(self.next_sample)
    }

    /// Syncs, and writes that all is synced, so that any later damage is told from a torn tail.
    ///
    /// # Errors
    /// As [`JournalWriter::append`] and [`JournalWriter::sync`].
    pub fn close(mut self) -> Result<SamplePos, MediaError> {
        self.sync()?;
        self.write_frame(FrameKind::Closed, IntervalClass::Open, (self.next_sample, 0), &[])?;
        self.sync()
    }

    /// The sample that comes next.
    #[must_use]
    pub const fn next_sample(&self) -> SamplePos {
        self.next_sample
    }

    /// Whether something is written that is not synced.
    #[must_use]
    pub const fn dirty(&self) -> bool {
        self.synced < self.offset
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Verifies the whole of an existing file, and that it is the one asked for.
fn verify_for(file: &File, path: &Path, opening: &Opening) -> Result<Verdict, MediaError> {
    let mut frames = FrameReader::new(BufReader::with_capacity(1 << 18, file), path)?;
    let header = *frames.header();
    if (header.hearing, header.channel, header.format) != (opening.hearing, opening.channel, opening.format) {
        return Err(MediaError::Mismatch { path: path.to_owned() });
    }
    if header.cipher != CipherId::NONE {
        return Err(MediaError::Cipher { path: path.to_owned(), cipher: header.cipher });
    }
    let verdict = frames.verify()?;
    check_acknowledged(path, opening, verdict.end)?;
    Ok(verdict)
}

fn check_acknowledged(path: &Path, opening: &Opening, found: SamplePos) -> Result<(), MediaError> {
    let acknowledged = opening.acknowledged;
    if found < acknowledged {
        return Err(MediaError::AcknowledgedLost { path: path.to_owned(), acknowledged, found });
    }
    Ok(())
}

/// Makes `folder`, and syncs its parent so that the name is there after a power cut.
fn make_folder(folder: &Path) -> Result<(), MediaError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|e| MediaError::of(folder, "make", e))?;
    folder.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<(), MediaError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| MediaError::of(folder, "sync", e))
}
