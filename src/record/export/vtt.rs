//! WebVTT (W3C, <https://www.w3.org/TR/webvtt1/>): captions with voices, languages and doubts marked.

use std::fmt::Write as _;

use super::{
    NOTICE,
    cue::{clock, cues, join},
    plain,
    transcript::Transcript,
};

/// The captions as one WebVTT file. A word in doubt is underlined and of class `doubt` (`<u.doubt>`), one at which somebody else spoke
/// too of class `overlap`, the channel's label is
/// the voice. Text that is withheld or not of open court is left out.
///
/// There is no `STYLE` block: ffmpeg 5.1 takes it for the end of the file (tried).
///
/// ```
/// # use vivavoce::{domain::{actor::*, change::*}, record::{entry::Entry, export::{transcript::Transcript, vtt::vtt}}};
/// # let actor = Actor { kind: ActorKind::Service, id: "s".to_owned() };
/// # let by = Attribution { actor, purpose: Purpose::Collection, at: "2026-01-01T00:00:00Z".parse().unwrap() };
/// # use vivavoce::domain::change::Recognition;
/// # let change = Change::HearingOpened { reference: "T 1".to_owned(), channels: vec![], resume: None, recognition: Recognition::Live, imported: None };
/// let entries = [Entry { seq: EntrySeq::new(1), change, by }];
/// let hearing = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
/// let transcript = Transcript::from_entries(hearing, &entries).unwrap();
/// assert!(vtt(&transcript).starts_with("WEBVTT\n\nNOTE\nMACHINE DRAFT, NOT A CERTIFIED RECORD\n"));
/// ```
#[must_use]
pub fn vtt(transcript: &Transcript) -> String {
    let mut out = format!("WEBVTT\n\nNOTE\n{NOTICE}\nHearing {}\n", transcript.hearing);
    let reference = escape(&plain::label(&transcript.reference));
    if !reference.is_empty() {
        push(&mut out, format_args!("Reference {reference}\n"));
    }
    out.push_str("Underlined words are in doubt.\n");
    for (segment, number, cue) in cues(transcript) {
        let lines: Vec<String> = cue.lines.iter().map(|line| join(line, show)).collect();
        push(
            &mut out,
            format_args!(
                "\n{}-{number}\n{} --> {}\n<v {}><lang {}>{}</lang></v>\n",
                segment.id,
                clock(cue.start_ms, '.'),
                clock(cue.end_ms, '.'),
                escape(&transcript.label(segment.channel)),
                segment.language,
                lines.join("\n"),
            ),
        );
    }
    out
}

fn show(piece: &super::cue::Piece) -> String {
    let text = escape(&piece.text);
    let text = if piece.doubt { format!("<u.doubt>{text}</u>") } else { text };
    if piece.overlap { format!("<c.overlap>{text}</c>") } else { text }
}

/// With `>` escaped too, no text can hold the arrow that would begin a cue.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes all that is written");
}
