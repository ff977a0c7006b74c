//! Entries of the record, orders and accounts: domain to wire, and what is ordered back.

use jiff::Timestamp;
use tonic::Status;

use super::{
    convert::{channel_id, evidence, segment, span},
    pb,
};
use crate::{
    api::status::status,
    domain::{
        actor::{ActorKind, Purpose},
        alarm::{Alarm, AlarmState},
        change::{Change, GapReason, IntervalClass, Order},
        channel::{ChannelSetup, Label},
        clock::{ClockKind, ClockSource},
        id::ChannelId,
        time::{SamplePos, Span},
    },
    hearing::{
        orders::{Placed, Request, Start},
        sight::Sight,
    },
    record::{
        entry::Entry,
        ledger::{Account, ChannelLedger, Totals},
    },
};

/// An order of a recorder's stream.
pub(super) fn interval_event(message: pb::IntervalEvent) -> Result<Request, Status> {
    let pb::IntervalEvent { channel, first_sample, interval_class, ordered_by, reason, end_sample } = message;
    request(channel, Some(first_sample), end_sample, interval_class, order(ordered_by, reason)?)
}

/// An order from elsewhere.
pub(super) fn order_request(message: pb::OrderIntervalRequest) -> Result<(String, Request), Status> {
    let pb::OrderIntervalRequest { hearing_id, channel, first_sample, end_sample, interval_class, ordered_by, reason } =
        message;
    Ok((hearing_id, request(channel, first_sample, end_sample, interval_class, order(ordered_by, reason)?)?))
}

fn request(channel: u32, first: Option<u64>, end: Option<u64>, class: i32, order: Order) -> Result<Request, Status> {
    let class = match pb::IntervalClass::try_from(class) {
        Ok(pb::IntervalClass::Open) => IntervalClass::Open,
        Ok(pb::IntervalClass::OffRecord) => IntervalClass::OffRecord,
        Ok(pb::IntervalClass::Sealed) => IntervalClass::Sealed,
        Ok(pb::IntervalClass::Muted) => IntervalClass::Muted,
        Ok(pb::IntervalClass::Unspecified) | Err(_) => {
            return Err(Status::invalid_argument(format!(
                "interval class {class} is not open, off the record, sealed or muted"
            )));
        }
    };
    Ok(Request {
        channel: if channel == 0 { None } else { Some(channel_id(channel)?) },
        start: first.map_or(Start::Now, |first| Start::At(SamplePos::new(first))),
        end: end.map(SamplePos::new),
        class,
        order,
    })
}

fn order(by: String, reason: String) -> Result<Order, Status> {
    Ok(Order {
        by: Label::try_from(by).map_err(|e| status(&e))?,
        reason: Label::try_from(reason).map_err(|e| status(&e))?,
    })
}

pub(super) fn gap_reason(number: i32) -> Result<GapReason, Status> {
    match pb::GapReason::try_from(number) {
        Ok(pb::GapReason::RecorderDown) => Ok(GapReason::RecorderDown),
        Ok(pb::GapReason::RecorderFull) => Ok(GapReason::RecorderFull),
        Ok(pb::GapReason::DeviceLost) => Ok(GapReason::DeviceLost),
        Ok(pb::GapReason::RecorderDamaged) => Ok(GapReason::RecorderDamaged),
        Ok(pb::GapReason::Unknown) => Ok(GapReason::Unknown),
        Ok(pb::GapReason::Unspecified) | Err(_) => {
            Err(Status::invalid_argument(format!("gap reason {number} is not one of the protocol")))
        }
    }
}

pub(super) const fn gap_reason_message(reason: GapReason) -> pb::GapReason {
    match reason {
        GapReason::RecorderDown => pb::GapReason::RecorderDown,
        GapReason::RecorderFull => pb::GapReason::RecorderFull,
        GapReason::DeviceLost => pb::GapReason::DeviceLost,
        GapReason::RecorderDamaged => pb::GapReason::RecorderDamaged,
        GapReason::Unknown => pb::GapReason::Unknown,
    }
}

/// The interval that a change of the record began; `None` for another change.
pub(super) fn interval_began(change: &Change) -> Option<pb::IntervalBegan> {
    let Change::IntervalBegan { channel, first_sample, class: kind, end, order } = change else { return None };
    Some(pb::IntervalBegan {
        channel: u32::from(channel.number()),
        first_sample: first_sample.index(),
        interval_class: class(*kind).into(),
        end_sample: end.map(SamplePos::index),
        ordered_by: order.as_ref().map_or_else(String::new, |o| o.by.as_str().to_owned()),
        reason: order.as_ref().map_or_else(String::new, |o| o.reason.as_str().to_owned()),
    })
}

/// The alarm that a change of the record tells of; `None` for another change.
pub(super) fn channel_alarm(change: &Change) -> Option<pb::ChannelAlarm> {
    let Change::ChannelAlarmed { channel, alarm, at, state, evidence: measured } = change else { return None };
    Some(pb::ChannelAlarm {
        channel: u32::from(channel.number()),
        alarm: match alarm {
            Alarm::Dead => pb::AlarmKind::Dead,
            Alarm::Clipped => pb::AlarmKind::Clipped,
            Alarm::Hum => pb::AlarmKind::Hum,
        }
        .into(),
        ended: *state == AlarmState::Ended,
        first_sample: at.index(),
        reason: alarm.reason().to_owned(),
        evidence: measured.iter().map(evidence).collect(),
    })
}

/// A reading of a recorder's clock.
pub(super) fn clock_reading(message: &pb::ClockReading) -> Result<(u32, SamplePos, Timestamp), Status> {
    let pb::ClockReading { channel, sample, unix_us } = *message;
    let wall = Timestamp::from_microsecond(unix_us)
        .map_err(|error| Status::invalid_argument(format!("clock reading of {unix_us} microseconds: {error}")))?;
    Ok((channel, SamplePos::new(sample), wall))
}

fn clock_mapped(change: &Change) -> Option<pb::ClockMapped> {
    let Change::ClockMapped { channel, at, wall, source, kind } = change else { return None };
    let (kind, by_ms, ppm) = match *kind {
        ClockKind::Start => (pb::ClockKind::Start, 0, 0),
        ClockKind::Step { by_ms } => (pb::ClockKind::Step, by_ms, 0),
        ClockKind::CaughtUp { by_ms } => (pb::ClockKind::CaughtUp, by_ms, 0),
        ClockKind::Drift { ppm } => (pb::ClockKind::Drift, 0, ppm),
    };
    Some(pb::ClockMapped {
        channel: u32::from(channel.number()),
        sample: at.index(),
        wall: wall.to_string(),
        source: match source {
            ClockSource::Recorder => pb::ClockSource::Recorder,
            ClockSource::Server => pb::ClockSource::Server,
        }
        .into(),
        kind: kind.into(),
        by_ms,
        ppm,
    })
}

/// What an order came to.
pub(super) fn placed(placed: &Placed, channels: &[ChannelSetup]) -> pb::OrderIntervalResponse {
    pb::OrderIntervalResponse {
        intervals: placed.changes.iter().filter_map(interval_began).collect(),
        destroyed: placed.changes.iter().filter_map(|c| destroyed(c, channels)).collect(),
    }
}

fn destroyed(change: &Change, channels: &[ChannelSetup]) -> Option<pb::AudioDestroyed> {
    let Change::AudioDestroyed { channel, span: gone, class: kind } = change else { return None };
    let rate = channels.iter().find(|c| c.id == *channel).map(|c| c.format.rate);
    Some(pb::AudioDestroyed {
        channel: u32::from(channel.number()),
        span: rate.map(|rate| span(*gone, rate)),
        interval_class: class(*kind).into(),
    })
}

pub(super) fn ledger(ledger: &ChannelLedger) -> pb::ChannelLedger {
    let Totals { speech, non_speech, off_record, muted, gap, pending } = ledger.totals();
    let run = |(run, account): (Span, Account)| pb::LedgerRun {
        span: Some(span(run, ledger.rate)),
        account: match account {
            Account::Speech => pb::Account::Speech,
            Account::NonSpeech => pb::Account::NonSpeech,
            Account::OffRecord => pb::Account::OffRecord,
            Account::Muted => pb::Account::Muted,
            Account::Gap(_) => pb::Account::Gap,
            Account::Pending => pb::Account::Pending,
        }
        .into(),
        gap_reason: account.gap_reason().map_or(0, |reason| gap_reason_message(reason).into()),
    };
    pb::ChannelLedger {
        channel: u32::from(ledger.channel.number()),
        length_samples: ledger.length(),
        speech_samples: speech,
        non_speech_samples: non_speech,
        off_record_samples: off_record,
        muted_samples: muted,
        gap_samples: gap,
        pending_samples: pending,
        runs: ledger.told().map(run).collect(),
    }
}

pub(super) const fn class(class: IntervalClass) -> pb::IntervalClass {
    match class {
        IntervalClass::Open => pb::IntervalClass::Open,
        IntervalClass::OffRecord => pb::IntervalClass::OffRecord,
        IntervalClass::Sealed => pb::IntervalClass::Sealed,
        IntervalClass::Muted => pb::IntervalClass::Muted,
    }
}

fn proposed(change: &Change, channels: &[ChannelSetup]) -> Option<pb::RevisionProposed> {
    let Change::RevisionProposed { replaces, segment: text } = change else { return None };
    let replaces = replaces.iter().map(ToString::to_string).collect();
    Some(pb::RevisionProposed { replaces, segment: Some(segment(text, channels)) })
}

/// An entry as a reader may see it.
pub(super) fn entry(entry: &Entry, channels: &[ChannelSetup], sight: &Sight) -> pb::RecordEntry {
    use pb::record_entry::Change as Wire;
    let rate_of = |channel: ChannelId| channels.iter().find(|c| c.id == channel).map(|c| c.format.rate);
    let change = match &entry.change {
        change if !sight.shows(change) => {
            Wire::Withheld(pb::EntryWithheld { reason: pb::WithheldReason::Sealed.into() })
        }
        Change::HearingOpened { .. } => Wire::Opened(pb::HearingOpened {}),
        change @ Change::IntervalBegan { .. } => Wire::IntervalBegan(interval_began(change).unwrap_or_default()),
        change @ Change::AudioDestroyed { .. } => Wire::AudioDestroyed(destroyed(change, channels).unwrap_or_default()),
        Change::AudioMissing { channel, span: missing, reason } => Wire::AudioMissing(pb::AudioMissing {
            channel: u32::from(channel.number()),
            span: rate_of(*channel).map(|r| span(*missing, r)),
            reason: gap_reason_message(*reason).into(),
        }),
        Change::AudioStored { channel, span: stored, class: kind } => {
            let rate = rate_of(*channel);
            Wire::AudioStored(pb::AudioSpanStored {
                channel: u32::from(channel.number()),
                span: rate.map(|r| span(*stored, r)),
                interval_class: class(*kind).into(),
            })
        }
        Change::InputEnded { channel, at } => {
            Wire::InputEnded(pb::InputEnded { channel: u32::from(channel.number()), at_sample: at.index() })
        }
        Change::AudioConflict { channel, span: again } => {
            let span = rate_of(*channel).map(|r| span(*again, r));
            Wire::AudioConflict(pb::AudioConflict { channel: u32::from(channel.number()), span })
        }
        change @ Change::ChannelAlarmed { .. } => Wire::ChannelAlarm(channel_alarm(change).unwrap_or_default()),
        change @ Change::ClockMapped { .. } => Wire::ClockMapped(clock_mapped(change).unwrap_or_default()),
        Change::SegmentCommitted { segment: committed } => Wire::Segment(segment(committed, channels)),
        Change::SegmentRevised { segment: revised } => Wire::SegmentRevised(segment(revised, channels)),
        change @ Change::RevisionProposed { .. } => {
            Wire::RevisionProposed(proposed(change, channels).unwrap_or_default())
        }
        Change::LoadStepped { step, lateness_ms } => {
            Wire::LoadStepped(pb::LoadStepped { step: u32::from(step.number()), lateness_ms: *lateness_ms })
        }
        Change::RecognitionBegan {} => Wire::RecognitionBegan(pb::RecognitionBegan {}),
        Change::RecognitionEnded {} => Wire::RecognitionEnded(pb::RecognitionEnded {}),
        Change::SegmentDestroyed {} => {
            Wire::Withheld(pb::EntryWithheld { reason: pb::WithheldReason::Destroyed.into() })
        }
        Change::HearingClosed {} => Wire::Closed(pb::HearingClosed {}),
    };
    pb::RecordEntry {
        seq: entry.seq.number(),
        at: entry.by.at.to_string(),
        actor_kind: match entry.by.actor.kind {
            ActorKind::Person => pb::ActorKind::Person,
            ActorKind::Device => pb::ActorKind::Device,
            ActorKind::Program => pb::ActorKind::Program,
            ActorKind::Service => pb::ActorKind::Service,
        }
        .into(),
        actor_id: entry.by.actor.id.clone(),
        purpose: match entry.by.purpose {
            Purpose::Collection => pb::Purpose::Collection,
            Purpose::Alteration => pb::Purpose::Alteration,
            Purpose::Consultation => pb::Purpose::Consultation,
            Purpose::Disclosure => pb::Purpose::Disclosure,
            Purpose::Combination => pb::Purpose::Combination,
            Purpose::Erasure => pb::Purpose::Erasure,
        }
        .into(),
        change: Some(change),
    }
}
