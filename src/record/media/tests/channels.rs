//! Channels on the thread that they share: what is acknowledged, and when.

use std::time::Duration;

use super::{bytes, opening, pos, reading, runtime, settings, span};
use crate::{
    domain::{audio::Encoding, change::IntervalClass, id::ChannelId},
    record::media::{
        Absence, MediaError,
        format::FORMAT_VERSION,
        journal_path,
        reader::verify,
        service::{AudioJournal, Settings},
        writer::Opening,
    },
};

#[test]
fn a_position_is_acknowledged_within_the_time_set_once_it_is_synced() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { sync_every: Duration::from_millis(20), ..settings(folder.path()) };
        let journal = AudioJournal::start(settings).unwrap();
        let (channel, cut) = journal.open(opening(Encoding::PcmS16Le)).await.unwrap();
        assert!(cut.is_none());
        let mut durable = channel.durable();
        assert_eq!(*durable.borrow(), pos(0));
        for first in [0, 10, 20] {
            let end = channel.append(pos(first), IntervalClass::Open, bytes(1, 20)).await.unwrap();
            assert_eq!(end, pos(first + 10));
        }
        let reached = tokio::time::timeout(Duration::from_secs(10), durable.wait_for(|at| *at == pos(30))).await;
        assert!(reached.unwrap().is_ok());
        assert_eq!(channel.close().await.unwrap(), pos(30));
        journal.stop().await;
        assert!(
            verify(&journal_path(folder.path(), opening(Encoding::PcmS16Le).hearing, ChannelId::new(1).unwrap()))
                .unwrap()
                .closed
        );
    });
}

#[test]
fn channels_share_the_thread_and_each_has_its_own_file_and_errors() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(settings(folder.path())).unwrap();
        let mut channels = Vec::new();
        for number in 1..=4 {
            let opening = Opening { channel: ChannelId::new(number).unwrap(), ..opening(Encoding::ALaw) };
            channels.push(journal.open(opening).await.unwrap().0);
        }
        let again = journal.open(opening(Encoding::ALaw)).await.unwrap_err();
        assert!(matches!(again, MediaError::AlreadyOpen { .. }), "{again}");
        for channel in &channels {
            channel.append(pos(0), IntervalClass::Open, bytes(1, 20)).await.unwrap();
        }
        assert!(channels[0].append(pos(5), IntervalClass::Open, bytes(1, 20)).await.is_err());
        assert_eq!(channels[0].append(pos(20), IntervalClass::Open, bytes(1, 20)).await.unwrap(), pos(40));
        assert_eq!(channels[0].sync().await.unwrap(), pos(40));
        assert_eq!(*channels[0].durable().borrow(), pos(40));
        journal.stop().await;
        assert!(matches!(channels[1].sync().await, Err(MediaError::Stopped)));
        for number in 1..=4 {
            let path = journal_path(folder.path(), opening(Encoding::ALaw).hearing, ChannelId::new(number).unwrap());
            assert!(verify(&path).unwrap().closed);
        }
    });
}

#[test]
fn what_is_not_stored_is_noted_in_place_and_is_as_durable_as_samples() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let journal = AudioJournal::start(settings(folder.path())).unwrap();
        let (channel, _) = journal.open(opening(Encoding::MuLaw)).await.unwrap();
        let mut durable = channel.durable();
        channel.append(pos(0), IntervalClass::Open, bytes(1, 10)).await.unwrap();
        assert_eq!(channel.skip(pos(10), pos(40), Absence::OffRecord).await.unwrap(), pos(40));
        assert_eq!(channel.skip(pos(40), pos(40), Absence::Gap).await.unwrap(), pos(40));
        assert_eq!(channel.skip(pos(45), pos(50), Absence::Muted).await.unwrap(), pos(50));
        for (first, to) in [(49, 60), (60, 55)] {
            let error = channel.skip(pos(first), pos(to), Absence::Gap).await.unwrap_err();
            assert!(matches!(error, MediaError::OutOfOrder { .. }), "{error}");
        }
        assert!(durable.wait_for(|at| *at == pos(50)).await.is_ok());
        let after = channel.append(pos(50), IntervalClass::Sealed, bytes(9, 5)).await.unwrap();
        assert_eq!(after, pos(55));
        assert_eq!(channel.skip(pos(55), pos(60), Absence::Gap).await.unwrap(), pos(60));
        assert_eq!(channel.close().await.unwrap(), pos(60));
        let path = journal.path(opening(Encoding::MuLaw).hearing, ChannelId::new(1).unwrap());
        let verdict = verify(&path).unwrap();
        assert_eq!((verdict.end, verdict.samples, verdict.version), (pos(60), 15, FORMAT_VERSION));
        let pieces = reading(&path).unwrap().read_span(span(0, 99)).unwrap();
        let seen: Vec<_> = pieces.iter().map(|p| (p.span, p.class)).collect();
        assert_eq!(seen, [(span(0, 10), IntervalClass::Open), (span(50, 55), IntervalClass::Sealed)]);
        let told = Opening { acknowledged: pos(60), ..opening(Encoding::MuLaw) };
        let (channel, cut) = journal.open(told).await.unwrap();
        assert!(cut.is_none());
        assert_eq!(*channel.durable().borrow(), pos(60));
        journal.stop().await;
    });
}
