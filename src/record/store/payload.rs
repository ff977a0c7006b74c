//! A change as the bytes that are sealed: one byte of version, then JSON.

use super::RecordError;
use crate::{
    domain::{
        change::{Change, EntrySeq},
        id::HearingId,
    },
    record::seal::{SealContext, SealError, Sealed, Sealer},
};

/// The version this release writes: the byte 1 and the JSON of a [`Change`].
pub(super) const PAYLOAD_VERSION: u16 = 1;

/// Seals `change` for its place.
pub(super) fn seal(
    sealer: &dyn Sealer,
    hearing: HearingId,
    seq: EntrySeq,
    change: &Change,
) -> Result<Sealed, RecordError> {
    let mut plain = vec![1];
    serde_json::to_writer(&mut plain, change).map_err(|source| RecordError::Encode {
        hearing,
        change: change.name(),
        source,
    })?;
    let context = SealContext { hearing, seq, kind: change.name(), payload_version: PAYLOAD_VERSION };
    sealer.seal(&context, &plain).map_err(|source| RecordError::Seal { hearing, seq, source })
}

/// Opens the payload found at the place that `context` names.
pub(super) fn open(sealer: &dyn Sealer, context: &SealContext<'_>, sealed: &Sealed) -> Result<Change, RecordError> {
    let (hearing, seq) = (context.hearing, context.seq);
    let damaged = |part| RecordError::Damaged { hearing, seq, part };
    if context.payload_version != PAYLOAD_VERSION {
        return Err(damaged("payload version"));
    }
    let plain = match sealer.open(context, sealed) {
        Err(SealError::Destroyed { .. }) if Change::is_text(context.kind) => return Ok(Change::SegmentDestroyed {}),
        opened => opened.map_err(|source| RecordError::Seal { hearing, seq, source })?,
    };
    let Some((1, json)) = plain.split_first() else { return Err(damaged("payload")) };
    // The parser's message may quote the payload, which must not come into a log.
    let change: Change = serde_json::from_slice(json).map_err(|_quoting| damaged("payload"))?;
    if change.name() == context.kind { Ok(change) } else { Err(damaged("kind")) }
}
