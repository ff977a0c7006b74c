//! The audio journals, read without a server: verified, and held against what was said.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use vivavoce::{
    domain::{
        id::ChannelId,
        time::{SamplePos, Span},
    },
    record::{
        keys::KeyStore,
        media::{
            journal_path,
            reader::{JournalReader, verify},
        },
    },
};

use crate::sound::Voice;

/// Samples that are compared at a time.
const PIECE: u64 = 1 << 20;

/// Where the journal of a channel lies under the data folder.
pub(crate) fn path(data: &Path, hearing: &str, channel: u32) -> PathBuf {
    let channel = ChannelId::new(u8::try_from(channel).unwrap()).unwrap();
    journal_path(&data.join("audio"), hearing.parse().unwrap(), channel)
}

/// Verifies the journals of a hearing; each holds the first samples of its voice, at least `through` of them and none
/// other. Gives how many bytes are torn tails.
pub(crate) fn hold(data: &Path, hearing: &str, voices: &[Voice], through: &[u64]) -> u64 {
    let keys = vivavoce::app::keys(data);
    let mut torn = 0;
    for (voice, through) in voices.iter().zip(through) {
        let path = path(data, hearing, voice.number);
        if *through == 0 && !path.exists() {
            continue;
        }
        let verdict = match verify(&path) {
            Ok(verdict) => verdict,
            // Made and not written yet when the power went: nothing was promised of it.
            Err(_) if *through == 0 && path.metadata().unwrap().len() < 72 => continue,
            Err(error) => panic!("channel {}: {error}", voice.number),
        };
        torn += verdict.tail_bytes;
        let (end, number) = (verdict.end.index(), voice.number);
        assert!(end >= *through, "channel {number}: {through} samples were acknowledged, {end} are there");
        assert!(verdict.samples == end, "channel {number}: {} of {end} samples are there", verdict.samples);
        same(&path, &keys, voice, end);
    }
    torn
}

/// Opens the journal of a voice with its keys: of the samples between `from` and `to` there is none, and those around them are
/// there.
pub(crate) fn destroyed(data: &Path, hearing: &str, voice: &Voice, (from, to): (u64, u64)) {
    let keys = vivavoce::app::keys(data);
    let mut reader = JournalReader::open(&path(data, hearing, voice.number), &keys).unwrap();
    let whole = Span::new(SamplePos::ZERO, SamplePos::new(voice.length)).unwrap();
    let mut there = 0;
    for piece in reader.read_span(whole).unwrap() {
        let (first, end) = (piece.span.start().index(), piece.span.end().index());
        assert!(end <= from || first >= to, "samples from {first} up to {end} open with the keys");
        assert!(piece.bytes == voice.bytes(first, end), "other samples from {first} up to {end}");
        there += end - first;
    }
    assert_eq!(there, voice.length - (to - from), "the rest is there");
}

/// Whether the first `end` samples of the journal are those of the voice.
fn same(path: &Path, keys: &Arc<KeyStore>, voice: &Voice, end: u64) {
    let mut reader = JournalReader::open(path, keys).unwrap();
    let mut start = 0;
    while start < end {
        let to = end.min(start + PIECE);
        let pieces = reader.read_span(Span::new(SamplePos::new(start), SamplePos::new(to)).unwrap()).unwrap();
        let [piece] = &pieces[..] else { panic!("channel {}: {} pieces from {start}", voice.number, pieces.len()) };
        assert!(
            piece.bytes == voice.bytes(start, to),
            "channel {}: other samples between {start} and {to}",
            voice.number
        );
        reader.forget(SamplePos::new(to));
        start = to;
    }
}
