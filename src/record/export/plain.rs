//! Text made safe for one line of an export. What is spoken stays; what steers a reader's screen goes.

/// `text` on one line: control characters become spaces, bidirectional embeddings, overrides and isolates (which could
/// reorder what stands after them; Unicode Standard Annex 9, section 2) go.
pub(super) fn line(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !reorders(*c)).map(|c| if breaks(c) { ' ' } else { c }).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A label on one line, without any directional mark: it stands beside text of another direction.
pub(super) fn label(text: &str) -> String {
    line(&text.chars().filter(|c| !matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}')).collect::<String>())
}

const fn reorders(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

fn breaks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(line(text), expected);
    }

    #[test]
    fn lines_hold_nothing_that_steers_a_screen() {
        check("a\nb\r\n\tc", "a b c");
        check("a\u{202E}b\u{2066}c\u{2069}", "abc");
        check("\u{1b}[31mred", "[31mred");
        check("  a\u{2028}b ", "a b");
        check("été 法庭 محكمة", "été 法庭 محكمة");
        assert_eq!(label("judge\u{200F}\u{061C}"), "judge");
    }
}
