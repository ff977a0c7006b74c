//! What a client is told of orders and of the accounts of a hearing, without the wire's types.

use serde::Serialize;

use super::{entries, heard, pb};
use crate::{
    domain::{
        change::{GapReason, IntervalClass},
        id::HearingId,
        time::SamplePos,
    },
    hearing::orders::{Request, Start},
};

/// A stretch of one channel that is treated in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Treated {
    /// Which channel, 1 to 16.
    pub channel: u32,
    /// Its first sample.
    pub start_sample: u64,
    /// The sample after its last; `None`: up to where another one begins already, or for good.
    pub end_sample: Option<u64>,
    /// How it is treated.
    pub class: IntervalClass,
}

/// What an order came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// What is treated in another way now.
    pub intervals: Vec<Treated>,
    /// What was stored and is destroyed.
    pub destroyed: Vec<Treated>,
}

/// What became of the samples of one channel. The six counts add up to the length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// Which, 1 to 16.
    pub channel: u32,
    /// The position of the next sample.
    pub length_samples: u64,
    /// In utterances that have their final text.
    pub speech_samples: u64,
    /// Listened to, and no speech.
    pub non_speech_samples: u64,
    /// Off the record.
    pub off_record_samples: u64,
    /// Muted.
    pub muted_samples: u64,
    /// Missing.
    pub gap_samples: u64,
    /// Stored, and not listened to yet.
    pub pending_samples: u64,
    /// Every run that is neither speech nor non-speech, in order.
    pub runs: Vec<Run>,
}

/// Samples that became one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The first sample.
    pub start_sample: u64,
    /// The sample after the last.
    pub end_sample: u64,
    /// The start in hearing time, milliseconds.
    pub start_ms: u64,
    /// The end in hearing time, milliseconds.
    pub end_ms: u64,
    /// What became of them: `off_record`, `muted`, `gap`, `pending`.
    pub account: &'static str,
    /// Why they are missing, where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_reason: Option<GapReason>,
}

/// An order as it is sent.
pub(super) fn order(hearing: HearingId, request: &Request) -> pb::OrderIntervalRequest {
    let Request { channel, start, end, class, order } = request;
    pb::OrderIntervalRequest {
        hearing_id: hearing.to_string(),
        channel: channel.map_or(0, |c| u32::from(c.number())),
        first_sample: match start {
            Start::Now => None,
            Start::At(first) => Some(first.index()),
        },
        end_sample: end.map(SamplePos::index),
        interval_class: entries::class(*class).into(),
        ordered_by: order.by.as_str().to_owned(),
        reason: order.reason.as_str().to_owned(),
    }
}

pub(super) fn ordered(response: pb::OrderIntervalResponse) -> Ordered {
    let pb::OrderIntervalResponse { intervals, destroyed } = response;
    let interval = |began: pb::IntervalBegan| Treated {
        channel: began.channel,
        start_sample: began.first_sample,
        end_sample: began.end_sample,
        class: heard::class(began.interval_class()),
    };
    let gone = |gone: pb::AudioDestroyed| {
        let span = gone.span.unwrap_or_default();
        Treated {
            channel: gone.channel,
            start_sample: span.start_sample,
            end_sample: Some(span.end_sample),
            class: heard::class(gone.interval_class()),
        }
    };
    Ordered {
        intervals: intervals.into_iter().map(interval).collect(),
        destroyed: destroyed.into_iter().map(gone).collect(),
    }
}

pub(super) fn accounts(ledger: pb::ChannelLedger) -> Accounts {
    let pb::ChannelLedger {
        channel,
        length_samples,
        speech_samples,
        non_speech_samples,
        off_record_samples,
        muted_samples,
        gap_samples,
        pending_samples,
        runs,
    } = ledger;
    let runs = runs.into_iter().map(run).collect();
    Accounts {
        channel,
        length_samples,
        speech_samples,
        non_speech_samples,
        off_record_samples,
        muted_samples,
        gap_samples,
        pending_samples,
        runs,
    }
}

fn run(run: pb::LedgerRun) -> Run {
    let pb::Span { start_sample, end_sample, start_ms, end_ms } = run.span.unwrap_or_default();
    let account = match run.account() {
        pb::Account::Speech => "speech",
        pb::Account::NonSpeech => "non_speech",
        pb::Account::OffRecord => "off_record",
        pb::Account::Muted => "muted",
        pb::Account::Gap => "gap",
        pb::Account::Pending => "pending",
        pb::Account::Unspecified => "unknown",
    };
    let gap_reason = (account == "gap").then(|| entries::gap_reason(run.gap_reason).unwrap_or(GapReason::Unknown));
    Run { start_sample, end_sample, start_ms, end_ms, account, gap_reason }
}
