//! Gaps that the journal knows and the record does not: the service stopped between the two. The record is told.

use super::{
    HearingError,
    service::{Parts, append},
};
use crate::{
    domain::{
        actor::{Actor, ActorKind, Purpose},
        change::{Change, GapReason},
        id::{ChannelId, HearingId},
        interval::Steps,
        time::Span,
    },
    record::{
        entry::Entry,
        media::{
            MediaError,
            reader::{Absent, JournalPlace},
        },
    },
};

/// Tells the record of gaps in `stored` of a channel that `entries` do not have.
pub(super) async fn tell(
    parts: &Parts,
    (hearing, channel): (HearingId, ChannelId),
    place: JournalPlace,
    (stored, entries): (Span, &[Entry]),
) -> Result<(), HearingError> {
    let read = tokio::task::spawn_blocking(move || place.open()?.absent(stored));
    // Nobody aborts it; where it panicked there is nothing to go on with.
    let absent = read.await.map_err(|_panicked| MediaError::Stopped)??;
    let mut told = Steps::all(false);
    for entry in entries {
        if let Change::AudioMissing { channel: of, span, .. } = &entry.change
            && *of == channel
        {
            told.set(span.start(), Some(span.end()), true);
        }
    }
    let gaps = absent.into_iter().filter(|(_, why)| *why == Absent::Gap);
    for (run, known) in gaps.flat_map(|(gap, _)| told.runs(gap)) {
        if !known {
            tracing::error!(hearing.id = %hearing, channel.id = %channel, samples = run.len(), "a gap that the record did not have");
            let missing = Change::AudioMissing { channel, span: run, reason: GapReason::Unknown };
            let by = Actor { kind: ActorKind::Service, id: "journal".to_owned() };
            append(parts, hearing, missing, &by, Purpose::Collection).await?;
        }
    }
    Ok(())
}
