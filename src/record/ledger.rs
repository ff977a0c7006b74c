//! What became of every sample of a channel. Nothing is left over: the sum of the accounts is the channel's length.

use std::collections::HashMap;

use crate::{
    domain::{
        change::{Change, GapReason, IntervalClass, Recognition},
        channel::ChannelSetup,
        id::ChannelId,
        interval::{Classes, Steps},
        time::{SamplePos, SampleRate, Span},
    },
    record::entry::Entry,
};

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// In an utterance that has its final text.
    Speech,
    /// Listened to, and no speech.
    NonSpeech,
    /// Off the record: not stored, or destroyed on an order that came late.
    OffRecord,
    /// The microphone was muted: not stored, or destroyed.
    Muted,
    /// Missing, for this reason.
    Gap(GapReason),
    /// Stored, and not listened to yet.
    Pending,
}

impl Account {
    /// Its name in exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Speech => "speech",
            Self::NonSpeech => "non_speech",
            Self::OffRecord => "off_record",
            Self::Muted => "muted",
            Self::Gap(_) => "gap",
            Self::Pending => "pending",
        }
    }

    /// Why samples are missing; `None` for other accounts.
    #[must_use]
    pub const fn gap_reason(self) -> Option<GapReason> {
        match self {
            Self::Gap(reason) => Some(reason),
            Self::Speech | Self::NonSpeech | Self::OffRecord | Self::Muted | Self::Pending => None,
        }
    }
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The position of the next sample: what was not stored on purpose, and what is missing, is counted.
    pub end: SamplePos,
    /// Everything before it has its results.
    pub settled: SamplePos,
}

/// Samples by account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// [`Account::Speech`].
    pub speech: u64,
    /// [`Account::NonSpeech`].
    pub non_speech: u64,
    /// [`Account::OffRecord`].
    pub off_record: u64,
    /// [`Account::Muted`].
    pub muted: u64,
    /// [`Account::Gap`], for whatever reason.
    pub gap: u64,
    /// [`Account::Pending`].
    pub pending: u64,
}

/// The accounts of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelLedger {
    /// Which.
    pub channel: ChannelId,
    /// Its own rate.
    pub rate: SampleRate,
    /// What became of its samples: runs in order, without a gap between them, from 0 to the end.
    pub runs: Vec<(Span, Account)>,
}

impl ChannelLedger {
    /// The length of the channel, samples.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.runs.last().map_or(0, |(span, _)| span.end().index())
    }

    /// How many samples each account has: together the length.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            speech: self.sum(|a| a == Account::Speech),
            non_speech: self.sum(|a| a == Account::NonSpeech),
            off_record: self.sum(|a| a == Account::OffRecord),
            muted: self.sum(|a| a == Account::Muted),
            gap: self.sum(|a| matches!(a, Account::Gap(_))),
            pending: self.sum(|a| a == Account::Pending),
        }
    }

    /// The runs that are neither speech nor non-speech: what a person asks for.
    pub fn told(&self) -> impl Iterator<Item = (Span, Account)> + '_ {
        let quiet = |account: Account| matches!(account, Account::Speech | Account::NonSpeech);
        self.runs.iter().copied().filter(move |(_, account)| !quiet(*account))
    }

    /// Samples of the accounts that `wanted` picks.
    pub fn sum(&self, wanted: impl Fn(Account) -> bool) -> u64 {
        self.runs.iter().filter(|(_, account)| wanted(*account)).map(|(span, _)| span.len()).sum()
    }
}

/// Keeps the accounts of a hearing: `entries` is its whole record, `extents` how far each channel is; where that is not
/// known of a channel, the record says it: such a channel is taken as listened to where the record was closed, unless it was
/// only recorded.
///
/// ```
/// use std::collections::HashMap;
/// assert!(vivavoce::record::ledger::keep(&[], &[], &HashMap::new()).is_empty());
/// ```
#[must_use]
pub fn keep(channels: &[ChannelSetup], entries: &[Entry], extents: &HashMap<ChannelId, Extent>) -> Vec<ChannelLedger> {
    let mut classes = Classes::default();
    entries.iter().for_each(|entry| classes.follow(&entry.change));
    let closed = entries.iter().any(|entry| entry.change == Change::HearingClosed {});
    let listened = |change: &Change| {
        matches!(change, Change::HearingOpened { recognition: Recognition::Live, .. } | Change::RecognitionEnded {})
    };
    let heard = closed && entries.iter().any(|entry| listened(&entry.change));
    channels
        .iter()
        .map(|setup| {
            let changes = || entries.iter().map(|entry| &entry.change).filter(|c| c.channel() == Some(setup.id));
            let recorded = changes().map(reach).max().unwrap_or_default();
            let extent = extents
                .get(&setup.id)
                .copied()
                .unwrap_or(Extent { end: recorded, settled: if heard { recorded } else { SamplePos::ZERO } });
            let end = extent.end.max(recorded);
            let mut accounts = Steps::all(Account::Pending);
            accounts.set(SamplePos::ZERO, Some(extent.settled), Account::NonSpeech);
            for change in changes() {
                if let Some(segment) = change.segment() {
                    accounts.set(segment.span.start(), Some(segment.span.end()), Account::Speech);
                }
            }
            for change in changes() {
                if let Change::AudioMissing { span, reason, .. } = change {
                    accounts.set(span.start(), Some(span.end()), Account::Gap(*reason));
                }
            }
            let whole = Span::new(SamplePos::ZERO, end).unwrap_or(Span::EMPTY);
            for (span, class) in classes.of(setup.id).runs(whole) {
                let account = match class {
                    IntervalClass::Open | IntervalClass::Sealed => continue,
                    IntervalClass::OffRecord => Account::OffRecord,
                    IntervalClass::Muted => Account::Muted,
                };
                accounts.set(span.start(), Some(span.end()), account);
            }
            ChannelLedger { channel: setup.id, rate: setup.format.rate, runs: accounts.runs(whole) }
        })
        .collect()
}

/// How far a change shows that a channel goes.
fn reach(change: &Change) -> SamplePos {
    match change {
        Change::AudioStored { span, .. }
        | Change::AudioMissing { span, .. }
        | Change::AudioDestroyed { span, .. }
        | Change::AudioConflict { span, .. } => span.end(),
        Change::InputEnded { at, .. } => *at,
        Change::SegmentCommitted { segment } | Change::SegmentRevised { segment } => segment.span.end(),
        // An order may be about what is to come.
        Change::IntervalBegan { .. }
        | Change::HearingOpened { .. }
        | Change::RecognitionBegan {}
        | Change::RecognitionEnded {}
        | Change::LoadStepped { .. }
        | Change::SegmentDestroyed {}
        // It stands on audio of which others tell.
        | Change::RevisionProposed { .. }
        | Change::ChannelAlarmed { .. }
        | Change::ClockMapped { .. }
        | Change::HearingClosed {} => SamplePos::ZERO,
    }
}
