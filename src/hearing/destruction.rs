//! What an order forbids is destroyed: the samples, and every text that was made of them. Nobody listens to the channel
//! meanwhile.

use super::{
    HearingError,
    live::gate::Gate,
    reading::all_entries,
    service::{Parts, append},
};
use crate::{
    domain::{
        actor::{Actor, ActorKind, Purpose},
        change::{Change, EntrySeq},
        channel::ChannelSetup,
        id::{ChannelId, HearingId},
        time::Span,
    },
    record::{entry::Entry, media::service::ChannelJournal},
};

/// Destroys what the gate owes. Gives what was destroyed, as the record has it; nothing where nothing was there.
///
/// What fails is owed still: the next order, or the next sitting, tries again.
pub(super) async fn of(
    parts: &Parts,
    hearing: HearingId,
    setup: &ChannelSetup,
    journal: &ChannelJournal,
    gate: &Gate,
) -> Result<Vec<Change>, HearingError> {
    let mut told = Vec::new();
    for (span, class) in gate.owed() {
        let destroyed = journal.destroy(span).await?;
        let entries = all_entries(parts.store.as_ref(), hearing).await?;
        let texts: Vec<EntrySeq> = entries.iter().filter(|e| stands_on(e, setup.id, span)).map(|e| e.seq).collect();
        if !texts.is_empty() {
            parts.store.destroy_texts(hearing, texts.clone()).await?;
        }
        gate.paid(1);
        if destroyed.is_empty() && texts.is_empty() {
            continue;
        }
        tracing::warn!(hearing.id = %hearing, channel.id = %setup.id, samples = span.len(), texts = texts.len(), "audio and text were destroyed on an order");
        let change = Change::AudioDestroyed { channel: setup.id, span, class };
        let by = Actor { kind: ActorKind::Service, id: "orders".to_owned() };
        append(parts, hearing, change.clone(), &by, Purpose::Erasure).await?;
        told.push(change);
    }
    Ok(told)
}

/// Whether an entry is a text that was made of samples of `span`.
fn stands_on(entry: &Entry, channel: ChannelId, span: Span) -> bool {
    entry.change.segment().is_some_and(|segment| {
        segment.channel == channel && segment.span.start() < span.end() && span.start() < segment.span.end()
    })
}
