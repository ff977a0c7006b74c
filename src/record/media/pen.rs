//! Writes frames one after another: seals, chains, syncs.

use std::{io, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use jiff::Timestamp;

use super::{
    MediaError,
    format::{
        FRAME_FOOTER_BYTES, chain_next,
        frame::{Epoch, FrameHeader, FrameKind},
    },
};
use crate::{
    domain::{change::IntervalClass, id::HearingId, time::SamplePos},
    record::{
        disk::Lockable,
        keys::{
            KeyStore,
            key::{Key, TAG_BYTES},
        },
        seal::{CipherId, KeyId},
    },
};

/// What writes frames to one file.
#[derive(Debug)]
pub(super) struct Pen {
    pub(super) file: Arc<Lockable>,
    pub(super) path: PathBuf,
    pub(super) hearing: HearingId,
    pub(super) keys: Arc<KeyStore>,
    /// When the file was opened.
    pub(super) opened_at: Timestamp,
    /// Of the file's format: one begun by an earlier release goes on as it is.
    pub(super) version: u16,
    /// Bytes that a sample takes.
    pub(super) width: usize,
    pub(super) place: Place,
    /// What samples are sealed under; `None` where the next ones need an epoch of their own. Version 1 has none.
    pub(super) sealing: Option<Sealing>,
    /// Bytes known to be on disk.
    pub(super) synced: u64,
    /// What the disk said when a write could not be taken back, or a sync failed: it is not known what is on disk.
    pub(super) failed: Option<Failure>,
    pub(super) buffers: Buffers,
}

/// A failure of the disk, to be told again to every later caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    action: &'static str,
    code: Option<i32>,
    kind: io::ErrorKind,
}

impl Failure {
    fn of(action: &'static str, error: &io::Error) -> Self {
        Self { action, code: error.raw_os_error(), kind: error.kind() }
    }

    fn error(self) -> io::Error {
        self.code.map_or_else(|| self.kind.into(), io::Error::from_raw_os_error)
    }
}

/// Kept from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    frame: Vec<u8>,
    sealed: Vec<u8>,
}

/// Where a writer is in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) epochs: u32,
    pub(super) next_sample: SamplePos,
    pub(super) chain: [u8; 32],
    /// Bytes written.
    pub(super) offset: u64,
}

/// An epoch with its key.
#[derive(Debug)]
pub(super) struct Sealing {
    key: Key,
    epoch: Epoch,
    /// The class of its samples and the first of them, once there is one.
    samples: Option<(IntervalClass, SamplePos)>,
}

/// A sync that is to be done, by whatever thread.
#[derive(Clone, Debug)]
pub struct PendingSync {
    file: Arc<Lockable>,
    offset: u64,
    /// How far samples are safe when it is done.
    pub reaches: SamplePos,
}

impl PendingSync {
    /// Puts on disk what was written when this was made. Blocks.
    ///
    /// # Errors
    /// What the system said; give it to `JournalWriter::settle`.
    pub fn run(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Pen {
    /// Whether samples are sealed; files begun by the first release hold them plain.
    pub(super) const fn seals(&self) -> bool {
        self.version >= 2
    }

    /// Writes an epoch's frame. Samples before the next epoch are sealed with `key`.
    pub(super) fn begin_epoch(
        &mut self,
        key: Option<Key>,
        nonce_prefix: [u8; 16],
        cut_bytes: u64,
    ) -> Result<(), MediaError> {
        let epoch = Epoch {
            number: self.place.epochs,
            cipher: if key.is_some() { CipherId::XCHACHA20_POLY1305 } else { CipherId::NONE },
            key: key.as_ref().map_or(KeyId::NONE, Key::id),
            nonce_prefix,
            opened_at: self.opened_at,
            cut_bytes,
        };
        self.write_frame(FrameKind::Epoch, IntervalClass::Open, (self.place.next_sample, 0), &epoch.encode())?;
        self.place.epochs += 1;
        self.sealing = key.map(|key| Sealing { key, epoch, samples: None });
        Ok(())
    }

    /// Begins an epoch with a key that was never used.
    pub(super) fn renew_key(&mut self) -> Result<(), MediaError> {
        let key = self.keys.draw(self.hearing)?;
        self.begin_epoch(Some(key), self.keys.random(), 0)
    }

    /// The samples that come next must have another key than those so far.
    pub(super) fn drop_key(&mut self) {
        self.sealing = None;
    }

    /// Sees to it that there is a key for samples of `class` from `first` on. Gives how many of them it may seal, of `longest`
    /// at all.
    pub(super) fn key_for(&mut self, class: IntervalClass, first: SamplePos, longest: u64) -> Result<u64, MediaError> {
        if !self.seals() {
            return Ok(u64::MAX);
        }
        let begun = self.sealing.as_ref().map(|sealing| sealing.samples.unwrap_or((class, first)));
        let room = match begun {
            Some((of, from)) if of == class => from.plus(longest).index().saturating_sub(first.index()),
            Some(_) | None => 0,
        };
        if room == 0 {
            self.renew_key()?;
        }
        if let Some(sealing) = &mut self.sealing {
            sealing.samples.get_or_insert((class, first));
        }
        Ok(if room == 0 { longest } else { room })
    }

    /// Whether this file may have frames of `kind`.
    pub(super) fn needs(&self, kind: FrameKind, action: &'static str) -> Result<(), MediaError> {
        let (path, version) = (self.path.clone(), self.version);
        if version < kind.since() { Err(MediaError::OldFormat { path, version, action }) } else { Ok(()) }
    }

    /// Whether nothing failed so far.
    fn usable(&self) -> Result<(), MediaError> {
        match self.failed {
            Some(failure) => Err(MediaError::of(&self.path, failure.action, failure.error())),
            None => Ok(()),
        }
    }

    /// Writes, or leaves the file as it was.
    pub(super) fn or_take_back<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, MediaError>,
    ) -> Result<T, MediaError> {
        self.usable()?;
        let before = self.place;
        let written = write(self);
        if written.is_err() {
            self.place = before;
            // Its sequence numbers come again, maybe with other samples: under another key.
            self.drop_key();
            self.failed = self.file.set_len(before.offset).err().map(|e| Failure::of("cut", &e));
        }
        written
    }

    /// Writes one frame of samples, sealed where this file's are.
    pub(super) fn write_samples(
        &mut self,
        kind: FrameKind,
        class: IntervalClass,
        first: SamplePos,
        bytes: &[u8],
    ) -> Result<(), MediaError> {
        let samples = u32::try_from(bytes.len() / self.width).expect("a payload has at most 2^20 bytes");
        self.write_frame(kind, class, (first, samples), bytes)
    }

    /// Writes a frame of `samples.1` samples from `samples.0` on.
    pub(super) fn write_frame(
        &mut self,
        kind: FrameKind,
        class: IntervalClass,
        (first_sample, samples): (SamplePos, u32),
        payload: &[u8],
    ) -> Result<(), MediaError> {
        let Self { buffers: Buffers { frame, sealed }, place, .. } = self;
        let sealing = match kind {
            FrameKind::Audio | FrameKind::Restated => self.sealing.as_ref(),
            FrameKind::Epoch | FrameKind::Closed | FrameKind::Skipped | FrameKind::Destroyed => None,
        };
        let stored = payload.len() + if sealing.is_some() { TAG_BYTES } else { 0 };
        let header = FrameHeader {
            kind,
            class,
            payload_bytes: u32::try_from(stored).expect("a payload has at most 2^20 bytes and a tag"),
            samples,
            sequence: place.sequence,
            first_sample,
            synced: self.synced,
        };
        let raw = header.encode();
        let stored = match sealing {
            Some(Sealing { key, epoch, .. }) => {
                sealed.clear();
                sealed.extend_from_slice(payload);
                key.seal(&epoch.nonce(header.sequence), &raw, sealed);
                sealed.as_slice()
            }
            None => payload,
        };
        let chain = chain_next(&place.chain, &raw, stored);
        frame.clear();
        frame.reserve(raw.len() + stored.len() + FRAME_FOOTER_BYTES);
        frame.extend_from_slice(&raw);
        frame.extend_from_slice(stored);
        frame.extend_from_slice(&chain);
        let crc = crc32c::crc32c(&frame[raw.len()..]);
        frame.extend_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(frame, place.offset).map_err(|e| MediaError::of(&self.path, "write", e))?;
        place.offset += frame.len() as u64;
        place.sequence += 1;
        place.chain = chain;
        if kind != FrameKind::Restated {
            place.next_sample = header.end_sample();
        }
        Ok(())
    }

    /// Puts all that was written on disk. Gives the position through which the samples are safe.
    /// The kernel may drop what it could not write and call the next sync good
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>), so that after a failed sync nothing is taken any more.
    pub(super) fn sync(&mut self) -> Result<SamplePos, MediaError> {
        self.usable()?;
        if let Some(pending) = self.pending_sync() {
            let outcome = pending.run();
            self.settle(&pending, outcome)?;
        }
        Ok(self.place.next_sample)
    }

    /// The sync that all that was written so far needs; `None` where it is on disk, or where the disk failed: the kernel would
    /// call another one good. While it runs, more can be written.
    pub(super) fn pending_sync(&self) -> Option<PendingSync> {
        let (offset, reaches) = (self.place.offset, self.place.next_sample);
        (self.failed.is_none() && self.synced < offset).then(|| PendingSync {
            file: Arc::clone(&self.file),
            offset,
            reaches,
        })
    }

    /// Takes note of how a sync came out. Gives the position through which the samples are safe.
    pub(super) fn settle(&mut self, pending: &PendingSync, outcome: io::Result<()>) -> Result<SamplePos, MediaError> {
        self.usable()?;
        outcome.map_err(|e| {
            self.failed = Some(Failure::of("sync", &e));
            MediaError::of(&self.path, "sync", e)
        })?;
        self.synced = self.synced.max(pending.offset);
        Ok(pending.reaches)
    }
}
