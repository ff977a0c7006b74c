//! The known key that a misspelt one was probably meant to be.

use super::raw::{KEYS, groups};

/// The known key nearest to `key` (`group.name`), where one is near: spelt almost so, or of that name in another group.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let name = key.rsplit('.').next().unwrap_or(key);
    KEYS.iter()
        .map(|(known, _)| *known)
        .chain(groups())
        .map(|known| {
            let known_name = known.rsplit('.').next().unwrap_or(known);
            // A name in the wrong group is one step further away than the same name in its own.
            (edits(key, known).min(edits(name, known_name) + 1), known)
        })
        .min_by_key(|(steps, _)| *steps)
        // Up to a third of the letters wrong is a slip; more is another word.
        .filter(|(steps, _)| *steps <= (name.chars().count() / 3).max(1) + 1)
        .map(|(_, known)| known)
}

/// The letters to insert, delete or replace that turn `a` into `b` (Levenshtein 1966).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let cost = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_led_to_the_key_that_was_meant() {
        for (typed, meant) in [
            ("server.lisen", Some("server.listen")),
            ("sever", Some("server")),
            ("server.max_stream", Some("server.max_streams")),
            ("server.workers", Some("recognition.workers")),
            ("workers", Some("recognition.workers")),
            ("recogniton.beam", Some("recognition.beam")),
            ("server.tls_certificate", None),
            ("frobnicate", None),
        ] {
            assert_eq!(nearest(typed), meant, "{typed}");
        }
    }
}
