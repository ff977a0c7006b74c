//! Segments cut into captions that can be read: at most two lines of 42 characters and seven seconds, cut at words.
//!
//! The limits are those of broadcast subtitling (BBC Subtitle Guidelines, sections on line length and duration, and the
//! Netflix Timed Text Style Guide: 42 characters, 7 seconds).

use super::{
    plain,
    transcript::{Transcript, has, in_doubt},
};
use crate::domain::{
    flag::FlagCode,
    segment::{Segment, Word},
    time::SampleRate,
};

/// Characters on a line.
const LINE: usize = 42;
/// Lines of a cue.
const LINES: usize = 2;
/// The longest that a cue stands, milliseconds.
const LONGEST_MS: u64 = 7_000;

/// A word as a caption shows it: one line, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) spaced: bool,
    pub(super) doubt: bool,
    /// Somebody else spoke too.
    pub(super) overlap: bool,
}

/// One caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cue {
    /// Milliseconds from the opening of the hearing, rounded down; `start_ms < end_ms`.
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    /// One or two lines, none empty.
    pub(super) lines: Vec<Vec<Piece>>,
}

/// The captions of every segment that captions show, with its place among its segment's cues (from 1).
pub(super) fn cues(transcript: &Transcript) -> impl Iterator<Item = (&Segment, usize, Cue)> {
    let shown = transcript.segments.iter().filter(|s| transcript.shown(s));
    shown.flat_map(|segment| (1..).zip(of_segment(segment)).map(move |(n, cue)| (segment, n, cue)))
}

/// The cues of one segment, in time order; none for a segment without words.
fn of_segment(segment: &Segment) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    for (index, word) in segment.words.iter().enumerate() {
        if has(segment, index, FlagCode::CrossTalk) {
            // It is in the captions of the channel at which it was said.
            continue;
        }
        let (doubt, overlap) = (in_doubt(segment, index), has(segment, index, FlagCode::Overlap));
        // An engine may hand out a word with a space inside; a line can be broken there too.
        for (part, text) in plain::line(&word.text).split_whitespace().enumerate() {
            let piece = Piece { text: text.to_owned(), spaced: word.spaced || part > 0, doubt, overlap };
            if !cues.last_mut().is_some_and(|cue| cue.take(&piece, word, segment.rate)) {
                let earliest = cues.last().map_or(0, |cue| cue.start_ms);
                cues.push(Cue::begin(piece, word, segment.rate, earliest));
            }
        }
    }
    cues
}

/// The end of a cue with `word` as its last: after its start and at most seven seconds later.
fn end_of(start_ms: u64, end_ms: u64, word: &Word, rate: SampleRate) -> u64 {
    let word_ms = word.span.end().at(rate).millis();
    word_ms.max(end_ms).clamp(start_ms.saturating_add(1), start_ms.saturating_add(LONGEST_MS))
}

impl Cue {
    /// Words come in time order; should an engine break that, the cue still does not begin before `earliest_ms`.
    fn begin(piece: Piece, word: &Word, rate: SampleRate, earliest_ms: u64) -> Self {
        let start_ms = word.span.start().at(rate).millis().max(earliest_ms);
        Self { start_ms, end_ms: end_of(start_ms, start_ms, word, rate), lines: vec![vec![piece]] }
    }

    /// Takes `piece` in, if it fits in length and time.
    fn take(&mut self, piece: &Piece, word: &Word, rate: SampleRate) -> bool {
        if word.span.end().at(rate).millis() > self.start_ms.saturating_add(LONGEST_MS) {
            return false;
        }
        let count = self.lines.len();
        let Some(line) = self.lines.last_mut() else { return false };
        if width(line) + usize::from(piece.spaced) + piece.text.chars().count() <= LINE {
            line.push(piece.clone());
        } else if count < LINES {
            self.lines.push(vec![piece.clone()]);
        } else {
            return false;
        }
        self.end_ms = end_of(self.start_ms, self.end_ms, word, rate);
        true
    }
}

fn width(line: &[Piece]) -> usize {
    line.iter().map(|p| p.text.chars().count() + usize::from(p.spaced)).sum()
}

/// The pieces of a line joined, each as `show` gives it; no space before the first.
pub(super) fn join(line: &[Piece], show: impl Fn(&Piece) -> String) -> String {
    let mut text = String::new();
    for piece in line {
        if piece.spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&show(piece));
    }
    text
}

/// `hh:mm:ss` and milliseconds behind `point`: `.` in WebVTT, `,` in SRT. Hours grow past two digits where they must.
pub(super) fn clock(ms: u64, point: char) -> String {
    format!("{:02}:{:02}:{:02}{point}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}
