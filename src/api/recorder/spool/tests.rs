//! The spool on a real disk: what it took it gives back, after whatever end, and what it let go of is gone.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::{
    audio::{AudioFormat, Encoding},
    change::IntervalClass,
    channel::Label,
    id::ChannelId,
    language::AllowedLanguages,
};

/// Dice that never give the same twice.
#[derive(Debug, Default)]
struct Dice(AtomicU64);

impl World for Dice {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn steady(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
    fn draw_id(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) * 0x9e37_79b9_7f4a_7c15_1234_5678)
    }
    fn draw_bytes(&self) -> [u8; 16] {
        self.draw_id().into_bytes()
    }
}

struct Disk {
    folder: TempDir,
    world: Arc<Dice>,
    limit: u64,
}

impl Disk {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), world: Arc::default(), limit: u64::MAX }
    }

    fn settings(&self) -> SpoolSettings {
        SpoolSettings { folder: self.folder.path().join("spool"), key: None, limit: self.limit }
    }

    fn create(&self) -> Result<Spool, SpoolError> {
        let channel = |number, encoding| ChannelSetup {
            id: ChannelId::new(number).unwrap(),
            label: Label::try_from("the witness whose name is secret".to_owned()).unwrap(),
            languages: AllowedLanguages::only("en".parse().unwrap()),
            format: AudioFormat { encoding, rate: 8_000.try_into().unwrap() },
        };
        let channels = vec![channel(1, Encoding::PcmS16Le), channel(2, Encoding::MuLaw)];
        Spool::create(&self.settings(), channels, None, self.world.clone())
    }

    fn reopen(&self) -> Spool {
        Spool::reopen(&self.settings(), self.world.clone()).unwrap()
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.settings().folder).unwrap().map(|e| e.unwrap().path());
        let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
        files.sort();
        files
    }
}

/// Samples `from..to` of a channel: any other ones would be seen.
fn samples(lane: usize, from: u64, to: u64) -> Vec<u8> {
    let value = |at: u64| at.wrapping_mul(2_654_435_761).wrapping_add(lane as u64) >> 7;
    let width = 2 - lane;
    (from..to).flat_map(|at| value(at).to_le_bytes().into_iter().take(width)).collect()
}

fn span(from: u64, to: u64) -> Span {
    Span::new(SamplePos::new(from), SamplePos::new(to)).unwrap()
}

/// Captures so many samples of both channels.
fn capture(spool: &mut Spool, count: u64) -> Result<(), SpoolError> {
    let audio = [0, 1].map(|lane| {
        let end = spool.holdings()[lane].end.index();
        (lane, samples(lane, end, end + count))
    });
    spool.append(&audio)
}

/// Everything that is held is what was captured.
#[track_caller]
fn check(spool: &mut Spool) {
    for lane in 0..2 {
        let held = spool.holdings()[lane].clone();
        let mut at = held.from.index();
        let ends = held.missing.iter().map(|m| (m.span.start().index(), m.span.end().index()));
        for (until, next) in ends.chain([(held.end.index(), held.end.index())]) {
            let bytes = spool.read(lane, span(at, until)).unwrap();
            assert!(bytes == samples(lane, at, until), "channel {lane}, {at} to {until}");
            at = next;
        }
    }
}

fn safe(one: u64, two: u64) -> [SamplePos; 2] {
    [SamplePos::new(one), SamplePos::new(two)]
}

#[test]
fn a_crash_loses_nothing_that_was_taken() {
    let disk = Disk::new();
    let mut spool = disk.create().unwrap();
    let bound = Bound { hearing: "0190".to_owned(), token: "very-secret-token".to_owned() };
    spool.bind(bound.clone()).unwrap();
    for count in [800, 1, 12_345, 40_000, 40_000, 800] {
        capture(&mut spool, count).unwrap();
    }
    check(&mut spool);
    let held = spool.holdings().to_vec();
    assert!(!format!("{spool:?}{bound:?}").contains("secret"));
    drop(spool);
    let mut spool = disk.reopen();
    assert_eq!((spool.holdings(), spool.bound()), (held.as_slice(), Some(&bound)));
    check(&mut spool);
    capture(&mut spool, 999).unwrap();
    check(&mut spool);
    assert!(disk.files("seg").len() >= 3);
}

#[test]
fn nothing_of_it_can_be_read_without_the_key() {
    let disk = Disk::new();
    let mut spool = disk.create().unwrap();
    spool.bind(Bound { hearing: "0190".to_owned(), token: "very-secret-token".to_owned() }).unwrap();
    let words = b"what the witness said, as bytes of mu-law".repeat(100);
    spool.append(&[(1, words)]).unwrap();
    drop(spool);
    for entry in fs::read_dir(disk.settings().folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for secret in [&b"witness"[..], b"secret", b"0190"] {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret));
        }
    }
    let key = disk.settings().folder.join("spool.key");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&key).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let reopened = || Spool::reopen(&disk.settings(), disk.world.clone());
    fs::write(&key, "00".repeat(32)).unwrap();
    assert!(matches!(reopened(), Err(SpoolError::Unreadable { .. })));
    fs::write(&key, "a key").unwrap();
    assert!(matches!(reopened(), Err(SpoolError::KeyForm { .. })));
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    assert!(matches!(reopened(), Err(SpoolError::KeyOpen { mode: 0o640, .. })));
    fs::remove_file(&key).unwrap();
    assert!(matches!(reopened(), Err(SpoolError::KeyGone { .. })));
}

#[test]
fn what_is_safe_elsewhere_is_destroyed_with_its_key() {
    let disk = Disk::new();
    let mut spool = disk.create().unwrap();
    for _ in 0..8 {
        capture(&mut spool, 20_000).unwrap();
    }
    let files = disk.files("seg");
    assert_eq!(files.len(), 4, "five seconds each: 40,000 samples and what came at once");
    // Somebody kept another name of the first file.
    let kept = disk.folder.path().join("kept");
    fs::hard_link(&files[0], &kept).unwrap();
    assert!(!spool.release(&safe(160_000, 39_999)).unwrap(), "one channel is not safe");
    assert!(spool.release(&safe(160_000, 40_000)).unwrap());
    assert_eq!(disk.files("seg"), files[1..]);
    assert!(segment::read(&kept, 0, &spool.cipher).unwrap().is_none(), "its key is gone");
    assert_eq!(spool.holdings()[0].from.index(), 40_000);
    assert!(matches!(spool.read(0, span(39_999, 40_001)), Err(SpoolError::NotHeld { .. })));
    check(&mut spool);
    spool.rest().unwrap();
    assert!(disk.files("seg").is_empty());
    drop(spool);
    let mut spool = disk.reopen();
    assert_eq!(spool.holdings(), [Holding::empty(SamplePos::new(160_000)), Holding::empty(SamplePos::new(160_000))]);
    capture(&mut spool, 10).unwrap();
    check(&mut spool);
}

#[test]
fn a_hearing_that_is_not_finished_is_not_written_over() {
    let disk = Disk::new();
    assert!(matches!(Spool::reopen(&disk.settings(), disk.world.clone()), Err(SpoolError::Nothing { .. })));
    let mut spool = disk.create().unwrap();
    assert!(matches!(disk.create(), Err(SpoolError::Busy { .. })));
    capture(&mut spool, 800).unwrap();
    drop(spool);
    assert!(matches!(disk.create(), Err(SpoolError::Occupied { hearing: None, .. })));
    let mut spool = disk.reopen();
    spool.bind(Bound { hearing: "0190".to_owned(), token: String::new() }).unwrap();
    drop(spool);
    let occupied = disk.create().unwrap_err();
    assert!(occupied.to_string().contains("(0190)") && occupied.to_string().contains("--resume"), "{occupied}");
    disk.reopen().rest().unwrap();
    let mut spool = disk.create().unwrap();
    assert_eq!(spool.bound(), None);
    capture(&mut spool, 1).unwrap();
    spool.remove().unwrap();
    drop(spool);
    disk.create().unwrap();
}

#[test]
fn a_full_spool_takes_no_more_and_knows_what_it_lost() {
    let disk = Disk { limit: 400_000, ..Disk::new() };
    let mut spool = disk.create().unwrap();
    let mut kept = 0;
    while capture(&mut spool, 20_000).is_ok() {
        kept += 20_000;
    }
    assert!((100_000..134_000).contains(&kept), "{kept}");
    check(&mut spool);
    spool.lose(&[(0, 700), (1, 700)], Absence::NoRoom).unwrap();
    spool.lose(&[(0, 300), (1, 300)], Absence::NoRoom).unwrap();
    let lost = Missing { span: span(kept, kept + 1_000), why: Absence::NoRoom };
    assert!(spool.release(&safe(kept, kept)).unwrap());
    capture(&mut spool, 5_000).unwrap();
    assert_eq!(spool.holdings()[1].missing, [lost]);
    check(&mut spool);
    drop(spool);
    let mut spool = disk.reopen();
    assert_eq!(spool.holdings()[0].missing, [lost]);
    assert_eq!(spool.holdings()[0].end.index(), kept + 6_000);
    check(&mut spool);
}

#[test]
fn an_order_that_comes_late_destroys_what_was_captured() {
    let disk = Disk::new();
    let mut spool = disk.create().unwrap();
    for _ in 0..7 {
        capture(&mut spool, 20_000).unwrap();
    }
    let before: Vec<PathBuf> = disk.files("seg");
    let kept: Vec<PathBuf> = (0..before.len()).map(|i| disk.folder.path().join(format!("kept-{i}"))).collect();
    before.iter().zip(&kept).for_each(|(file, kept)| fs::hard_link(file, kept).unwrap());
    spool.order(&order(50_000, Some(125_000), IntervalClass::OffRecord)).unwrap();
    let gone = Missing { span: span(50_000, 125_000), why: Absence::Withdrawn };
    assert_eq!(
        (spool.holdings()[0].missing.as_slice(), spool.holdings()[1].missing.as_slice()),
        (&[][..], &[gone][..])
    );
    check(&mut spool);
    assert!(spool.read(1, span(49_999, 50_001)).is_err());
    for (number, kept) in (0..).zip(&kept) {
        assert!(segment::read(kept, number, &spool.cipher).unwrap().is_none(), "whoever kept the old file has no key");
    }
    capture(&mut spool, 100).unwrap();
    // Sealed is kept; muted from a sample on that is still to come.
    spool.order(&order(130_000, Some(139_000), IntervalClass::Sealed)).unwrap();
    spool.order(&order(140_150, None, IntervalClass::Muted)).unwrap();
    capture(&mut spool, 100).unwrap();
    capture(&mut spool, 100).unwrap();
    spool.order(&order(140_310, None, IntervalClass::Open)).unwrap();
    capture(&mut spool, 100).unwrap();
    let muted = Missing { span: span(140_150, 140_310), why: Absence::Withdrawn };
    assert_eq!(spool.holdings()[1].missing, [gone, muted]);
    check(&mut spool);
    drop(spool);
    let mut spool = disk.reopen();
    assert_eq!(spool.holdings()[1].missing, [gone, muted]);
    assert_eq!((spool.holdings()[1].end.index(), spool.orders().len()), (140_400, 4));
    check(&mut spool);
}

fn order(first: u64, end: Option<u64>, class: IntervalClass) -> Heard {
    let channel = ChannelId::new(2).unwrap();
    Heard { channel, first: SamplePos::new(first), end: end.map(SamplePos::new), class, after: 0 }
}

/// SIGKILL at each step of an order: it is in the header, the new file is there, the old key is gone.
#[test]
fn an_order_that_was_cut_off_is_carried_out_when_the_spool_is_opened_again() {
    for (written, wiped) in [(false, false), (true, false), (true, true)] {
        let disk = Disk::new();
        let mut spool = disk.create().unwrap();
        capture(&mut spool, 20_000).unwrap();
        let old = disk.files("seg").remove(0);
        let kept = disk.folder.path().join("kept");
        fs::copy(&old, &kept).unwrap();
        spool.order(&order(5_000, None, IntervalClass::OffRecord)).unwrap();
        drop(spool);
        if written {
            fs::rename(&old, old.with_extension("cut")).unwrap();
        }
        fs::copy(&kept, &old).unwrap();
        if wiped {
            segment::wipe_key(&old).unwrap();
        }
        // Somebody kept another name of the file that the order was not carried out on.
        fs::remove_file(&kept).unwrap();
        fs::hard_link(&old, &kept).unwrap();
        let mut spool = disk.reopen();
        let gone = Missing { span: span(5_000, 20_000), why: Absence::Withdrawn };
        assert_eq!(spool.holdings()[1].missing, [gone], "{written} {wiped}");
        assert!(disk.files("cut").is_empty());
        assert!(segment::read(&kept, 0, &spool.cipher).unwrap().is_none());
        check(&mut spool);
        capture(&mut spool, 10).unwrap();
        assert_eq!(spool.holdings()[1].missing, [Missing { span: span(5_000, 20_010), ..gone }]);
    }
}

#[test]
fn a_batch_that_was_half_written_goes_with_the_order_too() {
    let disk = Disk::new();
    let mut spool = disk.create().unwrap();
    capture(&mut spool, 10_000).unwrap();
    capture(&mut spool, 10_000).unwrap();
    let kept = disk.folder.path().join("kept");
    fs::hard_link(&disk.files("seg")[0], &kept).unwrap();
    // As after a write that failed: the second batch is in the first file and comes again in another one.
    spool.open = None;
    spool.held.iter_mut().for_each(|held| held.end = SamplePos::new(10_000));
    capture(&mut spool, 10_000).unwrap();
    spool.order(&order(10_000, None, IntervalClass::OffRecord)).unwrap();
    assert!(segment::read(&kept, 0, &spool.cipher).unwrap().is_none());
    let first = segment::read(&disk.files("seg")[0], 0, &spool.cipher).unwrap().unwrap();
    let audio = |p: &&Piece| p.lane == 1 && matches!(p.what, What::Audio(_));
    assert!(first.pieces.iter().filter(audio).all(|p| end_of(p, 1) <= 10_000));
    check(&mut spool);
}

#[test]
fn damage_in_the_middle_is_a_gap() {
    let disk = Disk::new();
    let mut spool = disk.create().unwrap();
    for _ in 0..6 {
        capture(&mut spool, 20_000).unwrap();
    }
    drop(spool);
    let files = disk.files("seg");
    let mut bytes = fs::read(&files[1]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    let mut spool = disk.reopen();
    let gone = Missing { span: span(60_000, 80_000), why: Absence::Damaged };
    assert_eq!(spool.holdings()[0].missing, [gone]);
    check(&mut spool);
}

#[test]
fn damage_that_comes_while_it_runs_is_a_gap_and_the_rest_is_read() {
    for (place, lost) in [("its last batch", span(60_000, 80_000)), ("its head", span(40_000, 80_000))] {
        let disk = Disk::new();
        let mut spool = disk.create().unwrap();
        for _ in 0..6 {
            capture(&mut spool, 20_000).unwrap();
        }
        spool.cache = None;
        let file = &disk.files("seg")[1];
        let mut bytes = fs::read(file).unwrap();
        let at = if place == "its head" { 20 } else { bytes.len() - 1 };
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
        let first = spool.read(0, span(lost.start().index(), 120_000));
        assert!(matches!(first, Err(SpoolError::NotHeld { .. })), "{place}");
        assert_eq!(spool.holdings()[0].missing, [Missing { span: lost, why: Absence::Damaged }], "{place}");
        // Told once; what stands around it is there.
        assert!(spool.read(0, span(lost.start().index(), 120_000)).is_err());
        assert_eq!(spool.holdings()[0].missing.len(), 1);
        for (from, to) in [(0, lost.start().index()), (80_000, 120_000)] {
            assert!(spool.read(0, span(from, to)).unwrap() == samples(0, from, to), "{place}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// SIGKILL at any byte of any write.
    #[test]
    fn a_torn_tail_is_cut_and_both_channels_end_together(
        counts in prop::collection::vec(1..30_000_u64, 1..6),
        torn in any::<prop::sample::Index>(),
    ) {
        let disk = Disk::new();
        let mut spool = disk.create().unwrap();
        let mut ends = vec![0];
        for count in &counts {
            capture(&mut spool, *count).unwrap();
            ends.push(ends.last().unwrap() + count);
        }
        drop(spool);
        let last = disk.files("seg").pop().unwrap();
        let bytes = fs::read(&last).unwrap();
        fs::write(&last, &bytes[..torn.index(bytes.len())]).unwrap();
        let mut spool = disk.reopen();
        let end = spool.holdings()[0].end;
        prop_assert_eq!(end, spool.holdings()[1].end);
        prop_assert!(ends.contains(&end.index()), "whole batches");
        check(&mut spool);
        capture(&mut spool, 777).unwrap();
        check(&mut spool);
        drop(spool);
        let mut spool = disk.reopen();
        prop_assert_eq!(spool.holdings()[0].end.index(), end.index() + 777);
        prop_assert!(spool.holdings()[0].missing.is_empty());
        check(&mut spool);
    }
}
