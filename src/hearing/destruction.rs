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
        interval::Steps,
        time::Span,
    },
    record::{
        entry::Entry,
        media::{
            MediaError,
            reader::{Absent, JournalPlace},
            service::ChannelJournal,
        },
    },
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
        // What was destroyed before a stop that came before the record could be told is told now.
        let news = !destroyed.is_empty()
            || !texts.is_empty()
            || is_untold(parts.journal.place(hearing, setup.id), span, &told_before(&entries, setup.id)).await?;
        if !news {
            gate.paid(1);
            continue;
        }
        tracing::warn!(hearing.id = %hearing, channel.id = %setup.id, samples = span.len(), texts = texts.len(), "audio and text were destroyed on an order");
        let change = Change::AudioDestroyed { channel: setup.id, span, class };
        let by = Actor { kind: ActorKind::Service, id: "orders".to_owned() };
        append(parts, hearing, change.clone(), &by, Purpose::Erasure).await?;
        gate.paid(1);
        told.push(change);
    }
    Ok(told)
}

/// What the record says was destroyed of a channel.
fn told_before(entries: &[Entry], channel: ChannelId) -> Steps<bool> {
    let mut told = Steps::all(false);
    for entry in entries {
        if let Change::AudioDestroyed { channel: of, span, .. } = &entry.change
            && *of == channel
        {
            told.set(span.start(), Some(span.end()), true);
        }
    }
    told
}

/// Whether the journal has destroyed samples in `span` of which the record was not told.
async fn is_untold(place: JournalPlace, span: Span, told: &Steps<bool>) -> Result<bool, HearingError> {
    let read = tokio::task::spawn_blocking(move || place.open()?.absent(span));
    // Nobody aborts it; where it panicked there is nothing to go on with.
    let absent = read.await.map_err(|_panicked| MediaError::Stopped)??;
    let gone = absent.into_iter().filter(|(_, why)| *why == Absent::Destroyed);
    Ok(gone.flat_map(|(gone, _)| told.runs(gone)).any(|(_, known)| !known))
}

/// Whether an entry is a text, of the record or proposed, that was made of samples of `span`.
fn stands_on(entry: &Entry, channel: ChannelId, span: Span) -> bool {
    entry.change.spoken().is_some_and(|segment| {
        segment.channel == channel && segment.span.start() < span.end() && span.start() < segment.span.end()
    })
}
