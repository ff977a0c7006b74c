//! Bad disks: full, read-only, failing, slow, with flipped bits. Each is told plainly, and all else goes on.
//!
//! Some of these mount file systems of their own, which only the administrator may do; elsewhere they say so and are passed over.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{bytes, fresh, keys_for, open, opening, pos, reading, runtime, settings, span};
use crate::{
    domain::{
        audio::Encoding,
        change::IntervalClass,
        fault::{Fault, FaultKind},
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    record::{
        media::{
            MediaError,
            reader::verify,
            service::{AudioJournal, ChannelJournal},
            writer::Opening,
        },
        mounted::{Mounted, fill},
    },
};

/// Appends until the disk says no. Gives the end of what was taken, and the error.
async fn append_until_refused(channel: &ChannelJournal, mut next: SamplePos) -> (SamplePos, MediaError) {
    loop {
        match channel.append(next, IntervalClass::Open, bytes(1, 200).repeat(20)).await {
            Ok(end) => next = end,
            Err(error) => return (next, error),
        }
    }
}

#[test]
fn a_full_disk_is_said_at_once_loses_nothing_acknowledged_and_is_passed_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::small(&folder.path().join("disk"), "1m") else { return };
    runtime().block_on(async {
        let journal = AudioJournal::start(settings(&disk.0)).unwrap();
        let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
        channel.append(pos(0), IntervalClass::Open, bytes(9, 100)).await.unwrap();
        let room = journal.room().unwrap();
        assert_eq!(room.total, 1 << 20);
        let filler = fill(&disk.0);
        assert_eq!(journal.room().unwrap().free, 0);
        let (end, error) = append_until_refused(&channel, pos(100)).await;
        assert!(matches!(error, MediaError::DiskFull { .. }), "{error}");
        assert!(error.to_string().contains("ch01.vvj") && error.kind() == FaultKind::Unavailable, "{error}");
        assert_eq!(channel.sync().await.unwrap(), end);
        let other = Opening { channel: ChannelId::new(2).unwrap(), ..opening(Encoding::MuLaw) };
        let error = journal.open(other).await.unwrap_err();
        assert!(matches!(error, MediaError::DiskFull { .. }), "{error}");
        fs::remove_file(filler).unwrap();
        assert!(journal.room().unwrap().free > 0);
        let after = channel.append(end, IntervalClass::Open, bytes(3, 50)).await.unwrap();
        assert_eq!(channel.close().await.unwrap(), after);
        let place = journal.place(other.hearing, ChannelId::new(1).unwrap());
        assert_eq!(place.open().unwrap().read_span(span(0, 100)).unwrap()[0].bytes, bytes(9, 100));
        let last = place.open().unwrap().read_span(crate::domain::time::Span::new(end, after).unwrap()).unwrap();
        assert_eq!(last[0].bytes, bytes(3, 50));
        journal.stop().await;
    });
}

#[test]
fn a_disk_that_becomes_read_only_is_said_and_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::small(&folder.path().join("disk"), "1m") else { return };
    runtime().block_on(async {
        let journal = AudioJournal::start(settings(&disk.0)).unwrap();
        let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
        let end = channel.append(pos(0), IntervalClass::Open, bytes(9, 100)).await.unwrap();
        assert_eq!(channel.close().await.unwrap(), end);
        journal.stop().await;
        disk.remount("ro");
        let journal = AudioJournal::start(settings(&disk.0)).unwrap();
        for channel in 1..=2 {
            let opening = Opening { channel: ChannelId::new(channel).unwrap(), ..opening(Encoding::MuLaw) };
            let error = journal.open(opening).await.unwrap_err();
            assert!(matches!(error, MediaError::ReadOnly { .. }), "{error}");
            assert!(error.to_string().contains(&disk.0.display().to_string()), "{error}");
        }
        let place = journal.place(opening(Encoding::MuLaw).hearing, ChannelId::new(1).unwrap());
        assert_eq!(place.open().unwrap().read_span(span(0, 100)).unwrap()[0].bytes, bytes(9, 100));
        assert!(verify(&place.path).unwrap().closed);
        journal.stop().await;
    });
}

/// An ext4 of its own on a disk of memory that can be filled, so that what the file system takes fails when it is written.
struct Failing {
    image: PathBuf,
    /// Unmounted in this order.
    _files: Mounted,
    memory: Mounted,
}

impl Failing {
    fn new(folder: &Path) -> Option<Self> {
        let memory = Mounted::small(&folder.join("memory"), "16m")?;
        let image = memory.0.join("image");
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-O", "^has_journal", "-E", "nodiscard"]).arg(&image).status();
        if !made.is_ok_and(|status| status.success()) {
            return None;
        }
        let files = Mounted::at(&folder.join("files"), &["-o", "loop,errors=continue", image.to_str().unwrap()])?;
        Some(Self { image, _files: files, memory })
    }

    /// Lets the file system go and mounts it again: nothing is left but what is on its disk.
    fn forget_memory(self) -> Option<Self> {
        let Self { image, _files: files, memory } = self;
        let at = files.0.clone();
        std::mem::forget(files);
        assert!(Command::new("umount").arg(&at).status().unwrap().success(), "somebody holds {}", at.display());
        let files = Mounted::at(&at, &["-o", "loop", image.to_str().unwrap()])?;
        Some(Self { image, _files: files, memory })
    }

    fn files(&self) -> &Path {
        &self._files.0
    }
}

#[test]
fn a_failed_sync_is_told_to_all_and_what_memory_alone_shows_is_sent_again() {
    failed_sync(true);
}

#[test]
fn what_a_failed_sync_left_in_memory_is_not_trusted_by_another_process() {
    failed_sync(false);
}

/// Sends what is not on the disk, as a recorder does that is told the durable position.
async fn send_rest(channel: &ChannelJournal, said: &[u8], end: u64) {
    let from = channel.durable().borrow().index();
    let all = said.repeat(4);
    for first in (from..end).step_by(500_000) {
        let range = [first, end.min(first + 500_000)].map(|at| usize::try_from(at - 100).unwrap());
        channel.append(pos(first), IntervalClass::Open, all[range[0]..range[1]].to_vec()).await.unwrap();
    }
    assert_eq!(channel.sync().await.unwrap(), pos(end));
}

fn failed_sync(known: bool) {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Failing::new(folder.path()) else { return };
    // More than the few blocks that the file system set aside for this file before.
    let (said, end) = (bytes(5, 200).repeat(2_500), 2_000_100);
    runtime().block_on(async {
        let journal = AudioJournal::start(settings(disk.files())).unwrap();
        let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
        channel.append(pos(0), IntervalClass::Open, bytes(9, 100)).await.unwrap();
        assert_eq!(channel.sync().await.unwrap(), pos(100));
        let mut durable = channel.durable();
        let filler = fill(&disk.memory.0);
        // Memory takes it, the disk does not.
        for first in (100..end).step_by(500_000) {
            channel.append(pos(first), IntervalClass::Open, said.clone()).await.unwrap();
        }
        for _ in 0..2 {
            let error = channel.sync().await.unwrap_err();
            assert!(matches!(error, MediaError::Io { action: "sync", .. } | MediaError::DiskFull { .. }), "{error}");
            assert!(error.to_string().contains("ch01.vvj"), "{error}");
        }
        let error = channel.append(pos(end), IntervalClass::Open, bytes(1, 9)).await.unwrap_err();
        assert!(!matches!(error, MediaError::Stopped), "{error}");
        assert!(durable.wait_for(|at| *at > pos(100)).await.is_err());
        fs::remove_file(filler).unwrap();
        if known {
            // The process that saw it goes on.
            let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
            assert_eq!(*channel.durable().borrow(), pos(100));
            send_rest(&channel, &said, end).await;
            journal.stop().await;
        } else {
            // Another one knows of nothing, and memory shows it all.
            journal.stop().await;
            let journal = AudioJournal::start(settings(disk.files())).unwrap();
            let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
            send_rest(&channel, &said, end).await;
            journal.stop().await;
        }
    });
    let Some(disk) = disk.forget_memory() else { return };
    let path = super::journal_path(disk.files(), opening(Encoding::MuLaw).hearing, ChannelId::new(1).unwrap());
    assert!(verify(&path).unwrap().closed);
    let keys = crate::record::keys::tests::keys_under(&disk.files().join("keys"));
    let mut reader = crate::record::media::reader::JournalReader::open(&path, &keys).unwrap();
    assert!(reader.read_span(span(100, end)).unwrap()[0].bytes == said.repeat(4));
}

#[test]
fn opening_holds_up_no_other_channel() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(settings(folder.path())).unwrap();
        let of = |number: u128| Opening {
            hearing: HearingId::new(uuid::Uuid::from_u128(number)),
            ..opening(Encoding::MuLaw)
        };
        let (channel, _) = journal.open(of(1)).await.unwrap();
        // Two files that take for ever to open: their keys are in other hands. A third waits for its turn behind them.
        let held: Vec<_> = (2..4).map(|number| journal.keys().hold(of(number).hearing)).collect();
        let locked: Vec<_> = held.iter().map(|file| file.lock().unwrap()).collect();
        let slow = (2..5).map(|number| journal.open(of(number)));
        let mut slow: Vec<_> = slow.map(Box::pin).collect();
        for open in &mut slow {
            assert!(
                std::future::poll_fn(|context| std::task::Poll::Ready(open.as_mut().poll(context).is_pending())).await
            );
        }
        for first in [0, 10, 20] {
            channel.append(pos(first), IntervalClass::Open, bytes(1, 10)).await.unwrap();
            assert_eq!(channel.sync().await.unwrap(), pos(first + 10));
        }
        drop(locked);
        for open in slow {
            let (channel, _) = open.await.unwrap();
            channel.append(pos(0), IntervalClass::Open, bytes(1, 10)).await.unwrap();
            assert_eq!(channel.close().await.unwrap(), pos(10));
        }
        journal.stop().await;
    });
}

#[test]
fn one_flipped_bit_is_told_by_the_name_of_its_file_and_the_other_channels_are_read() {
    let (folder, path) = fresh();
    let keys = keys_for(&path);
    let other = super::journal_path(folder.path(), opening(Encoding::MuLaw).hearing, ChannelId::new(2).unwrap());
    for (at, number) in [(&path, 1), (&other, 2)] {
        let opening = Opening { channel: ChannelId::new(number).unwrap(), ..opening(Encoding::MuLaw) };
        let (mut writer, _) = super::JournalWriter::open(at, &opening, &keys).unwrap();
        writer.append(pos(0), IntervalClass::Open, &bytes(number, 40)).unwrap();
        writer.append(pos(40), IntervalClass::Sealed, &bytes(number, 40)).unwrap();
        writer.skip(pos(80), pos(90), crate::record::media::Absence::Muted).unwrap();
        writer.destroy(span(10, 20)).unwrap();
        writer.close().unwrap();
    }
    drop(keys);
    let good = fs::read(&path).unwrap();
    let closed = good.len() - 80;
    for at in (0..closed).step_by(3) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        for error in [verify(&path).unwrap_err(), open(&path, &opening(Encoding::MuLaw)).unwrap_err()] {
            assert!(matches!(error.kind(), FaultKind::DataLoss | FaultKind::Unimplemented), "{at} {error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{at} {error}");
        }
        assert_eq!(fs::read(&path).unwrap(), bad);
    }
    let pieces = reading(&other).unwrap().read_span(span(0, 90)).unwrap();
    assert_eq!(pieces.iter().map(|p| p.span).collect::<Vec<_>>(), [span(0, 10), span(20, 40), span(40, 80)]);
}

#[test]
fn a_journal_of_a_future_version_is_refused_beside_others_that_go_on() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(settings(folder.path())).unwrap();
        let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
        channel.append(pos(0), IntervalClass::Open, bytes(1, 10)).await.unwrap();
        channel.sync().await.unwrap();
        let second = Opening { channel: ChannelId::new(2).unwrap(), ..opening(Encoding::MuLaw) };
        let newer = journal.path(second.hearing, second.channel);
        let mut bytes_of = fs::read(journal.path(second.hearing, ChannelId::new(1).unwrap())).unwrap();
        bytes_of[8] = 3;
        fs::write(&newer, &bytes_of).unwrap();
        let error = journal.open(second).await.unwrap_err();
        assert!(error.to_string().contains(&newer.display().to_string()) && error.to_string().contains("version 3"));
        assert_eq!(channel.append(pos(10), IntervalClass::Open, bytes(1, 10)).await.unwrap(), pos(20));
        assert_eq!(fs::read(&newer).unwrap(), bytes_of);
        journal.stop().await;
    });
}

#[test]
fn a_place_that_cannot_be_written_is_a_typed_error_that_names_it() {
    let (folder, path) = fresh();
    fs::write(path.parent().unwrap(), b"a file where a folder must be").unwrap();
    let error = open(&path, &opening(Encoding::PcmS16Le)).unwrap_err();
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    let of = |kind: std::io::ErrorKind| MediaError::of(Path::new("x"), "write", kind.into());
    assert!(matches!(of(std::io::ErrorKind::StorageFull), MediaError::DiskFull { .. }));
    assert!(matches!(of(std::io::ErrorKind::ReadOnlyFilesystem), MediaError::ReadOnly { .. }));
    assert!(matches!(verify(Path::new("/nowhere/ch01.vvj")), Err(MediaError::NotFound { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_as_such() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = std::io::Write::write_all(&mut &full, b"x").unwrap_err();
    assert!(matches!(MediaError::of(Path::new("x"), "write", error), MediaError::DiskFull { .. }));
}
