//! What happens while a backup is taken: orders, destruction, speech, a disk that fills.

use std::fs;

use super::{Court, HEARING, content, under};
use crate::{
    domain::{
        change::{Change, EntrySeq, IntervalClass},
        fault::{Fault, FaultKind},
        id::ChannelId,
        time::{SamplePos, Span},
    },
    record::{
        backup::{
            BackupError, KeysAt,
            manifest::KeyChoice,
            restoring::restore,
            taking::{Copied, Taking, take, take_while},
            verifying::verify,
        },
        mounted::{Mounted, fill},
        store::{RecordStore, suite},
    },
};

#[test]
fn a_key_destroyed_while_it_is_copied_takes_nothing_else_with_it() {
    let mut court = Court::in_session();
    let taking = court.taking(KeyChoice::Included);
    let mut rounds = 0;
    let taken = take_while(&taking, &mut |copied| {
        if copied == Copied::Journals {
            rounds += 1;
            if rounds == 1 {
                // What shares a key with it is written again, behind what was copied.
                let span = Span::new(SamplePos::new(8_000), SamplePos::new(12_000)).unwrap();
                court.writers[0].destroy(span).unwrap();
                court
                    .runtime
                    .block_on(court.store.destroy_texts(suite::hearing(HEARING), vec![EntrySeq::new(3)]))
                    .unwrap();
            }
        }
    })
    .unwrap();
    assert_eq!(rounds, 2);
    verify(&taken.path, &KeysAt::Backup, &under).unwrap();
    let to = court.folder.path().join("restored");
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    let (audio, entries) = content(&to);
    let spans: Vec<_> = audio[0].iter().map(|p| (p.span.start().index(), p.span.end().index())).collect();
    assert_eq!(spans, [(0, 8_000), (12_000, 32_000)]);
    assert!(matches!(entries[2].change, Change::SegmentDestroyed {}));
}

#[test]
fn audio_under_an_order_is_not_copied_without_the_order() {
    let mut court = Court::in_session();
    let taking = court.taking(KeyChoice::Included);
    let mut rounds = 0;
    let taken = take_while(&taking, &mut |copied| {
        if copied == Copied::Record {
            rounds += 1;
            if rounds == 1 {
                let (channel, first) = (ChannelId::new(1).unwrap(), court.writers[0].next_sample());
                court.append(Change::IntervalBegan {
                    channel,
                    first_sample: first,
                    class: IntervalClass::Sealed,
                    end: None,
                    order: None,
                });
                court.writers[0].append(first, IntervalClass::Sealed, &[7; 3_200]).unwrap();
                court.writers[0].sync().unwrap();
            }
            court.speak(1);
        }
    })
    .unwrap();
    assert_eq!(rounds, 2);
    let to = court.folder.path().join("restored");
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    let (audio, entries) = content(&to);
    assert!(audio[0].iter().any(|piece| piece.class == IntervalClass::Sealed));
    assert!(matches!(entries[3].change, Change::IntervalBegan { class: IntervalClass::Sealed, .. }));
}

#[test]
fn orders_without_end_leave_no_backup() {
    let court = Court::in_session();
    let mut rounds = 0;
    let error = take_while(&court.taking(KeyChoice::Included), &mut |copied| {
        if copied == Copied::Record {
            rounds += 1;
            court.append(Change::IntervalBegan {
                channel: ChannelId::new(1).unwrap(),
                first_sample: SamplePos::new(rounds * 100_000),
                class: IntervalClass::Open,
                end: None,
                order: None,
            });
        }
    })
    .unwrap_err();
    assert!(matches!(error, BackupError::Unsettled), "{error}");
    assert_eq!(fs::read_dir(court.folder.path().join("backups")).unwrap().count(), 0);
}

#[test]
fn a_full_disk_leaves_nothing_behind_wherever_it_fills() {
    let court = Court::in_session();
    let Some(disk) = Mounted::small(&court.folder.path().join("disk"), "2m") else { return };
    let taking = Taking { into: disk.0.clone(), ..court.taking(KeyChoice::Included) };
    for full_after in [Copied::Record, Copied::Journals] {
        let mut filler = None;
        let error = take_while(&taking, &mut |copied| {
            if copied == full_after {
                filler = Some(fill(&disk.0));
            }
        })
        .unwrap_err();
        assert!(matches!(error, BackupError::Full { .. }), "{error:?}");
        assert_eq!(error.kind(), FaultKind::Unavailable);
        fs::remove_file(filler.unwrap()).unwrap();
        assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0);
    }
    let filler = fill(&disk.0);
    let error = take(&taking).unwrap_err();
    assert!(matches!(error, BackupError::NoRoom { free: 0, .. } | BackupError::Full { .. }), "{error:?}");
    fs::remove_file(filler).unwrap();
    let taken = take(&taking).unwrap();
    let to = disk.0.join("restored");
    let filler = fill(&disk.0);
    let error = restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap_err();
    assert!(matches!(error, BackupError::Full { .. }), "{error:?}");
    fs::remove_file(filler).unwrap();
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 1);
    restore(&taken.path, &to, &KeysAt::Backup, &under).unwrap();
    assert_eq!(content(&to).1.len(), 3);
}
