//! SRT: captions for players that know nothing else. The format has no standard; this writes what every player reads.

use super::{
    NOTICE,
    cue::{Piece, clock, cues, join},
    transcript::Transcript,
};

/// How long the notice stands, milliseconds.
const NOTICE_MS: u64 = 3_000;

/// The captions as one SRT file: the notice as the first cue, `(?)` after each word in doubt, the channel's label before the
/// first line of each segment. Text that is withheld or not of open court is left out. As the format has no escapes, `<`,
/// `>`, `{` and `}` (which players take for styles) become `‹`, `›`, `(` and `)`.
#[must_use]
pub fn srt(transcript: &Transcript) -> String {
    let mut out = format!("1\n{} --> {}\n{NOTICE}\n", clock(0, ','), clock(NOTICE_MS, ','));
    for (number, (segment, part, cue)) in (2..).zip(cues(transcript)) {
        let lines: Vec<String> = cue.lines.iter().map(|line| join(line, show)).collect();
        let label = if part == 1 { tame(&transcript.label(segment.channel)) + ": " } else { String::new() };
        let (start, end) = (clock(cue.start_ms, ','), clock(cue.end_ms, ','));
        out.push_str(&format!("\n{number}\n{start} --> {end}\n{label}{}\n", lines.join("\n")));
    }
    out
}

fn show(piece: &Piece) -> String {
    let text = tame(&piece.text);
    if piece.doubt { text + "(?)" } else { text }
}

fn tame(text: &str) -> String {
    let tame = |c| match c {
        '<' => '‹',
        '>' => '›',
        '{' => '(',
        '}' => ')',
        // Every other character is text.
        _ => c,
    };
    text.chars().map(tame).collect()
}
