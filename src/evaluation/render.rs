//! A report as an aligned table for a person and as JSON for a script.

use serde_json::{Value, json};

use super::report::{Comparison, Report, Row};

/// The table with its notes; ends with a new line.
#[must_use]
pub fn to_text(report: &Report) -> String {
    let compared = report.languages.iter().any(|row| row.comparison.is_some());
    let mut lines = vec![head(compared)];
    lines.extend(report.languages.iter().map(line));
    lines.extend(report.pooled.iter().map(line));
    if report.languages.iter().any(|row| !row.pooled) {
        lines.push("* not pooled: counted over characters, or a language the engine does not know".into());
    }
    if compared {
        lines.push(format!(
            "difference: percentage points of WER less the baseline's, with the 95 % interval of a paired bootstrap over \
             items ({} draws, seed {}); items of one speaker are not independent, so the true interval is wider",
            report.options.resamples, report.options.seed
        ));
    }
    for item in &report.invented {
        let baseline = item.baseline_words.map(|n| format!(" (baseline {n})")).unwrap_or_default();
        let seconds = item.duration.as_secs_f64();
        lines.push(format!("no speech: {}: {} words invented in {seconds:.0} s{baseline}", item.id, item.words));
    }
    let notes = [
        (report.missing, "items have no hypothesis: all their words count as deleted"),
        (report.baseline_missing, "items have no baseline: all their words count as deleted there"),
        (report.strangers, "hypotheses belong to no item that was evaluated"),
    ];
    lines.extend(notes.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("note: {n} {what}")));
    lines.join("\n") + "\n"
}

fn head(compared: bool) -> String {
    let front = format!(
        "{:<10} {:>5} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6}",
        "language", "items", "minutes", "words", "WER %", "CER %", "sub", "del", "ins"
    );
    if compared { format!("{front}  {:>7}  {:<26} {}", "base %", "difference [95 %]", "verdict") } else { front }
}

fn line(row: &Row) -> String {
    let words = row.counts.words;
    let mut name = name(row);
    name.push_str(if row.pooled { "" } else { "*" });
    let front = format!(
        "{name:<10} {:>5} {:>7.1} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6}",
        row.items,
        minutes(row),
        words.reference,
        percent(words.percent()),
        percent(row.counts.character_percent()),
        words.substitutions,
        words.deletions,
        words.insertions
    );
    row.comparison.as_ref().map_or(front.clone(), |comparison| format!("{front}  {}", back(comparison)))
}

fn back(comparison: &Comparison) -> String {
    let difference = comparison.difference;
    let interval = difference.interval.map(|(low, high)| format!(" [{low:+.2}, {high:+.2}]")).unwrap_or_default();
    let points = format!("{:+.2}{interval}", difference.points);
    format!("{:>7}  {points:<26} {}", percent(comparison.baseline.words.percent()), comparison.verdict.as_str())
}

fn name(row: &Row) -> String {
    row.language.as_ref().map_or_else(|| "pooled".to_owned(), ToString::to_string)
}

fn minutes(row: &Row) -> f64 {
    row.duration.as_secs_f64() / 60.0
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}"))
}

/// The same as JSON: rates in percent, differences in percentage points, unrounded.
#[must_use]
pub fn to_json(report: &Report) -> Value {
    let invented = report.invented.iter().map(|item| {
        json!({
            "id": item.id, "duration_s": item.duration.as_secs_f64(),
            "words": item.words, "baseline_words": item.baseline_words,
        })
    });
    json!({
        "languages": report.languages.iter().map(row_json).collect::<Vec<_>>(),
        "pooled": report.pooled.as_ref().map(row_json),
        "invented": invented.collect::<Vec<_>>(),
        "missing": report.missing,
        "baseline_missing": report.baseline_missing,
        "strangers": report.strangers,
        "skipped": report.options.skip,
        "seed": report.options.seed,
        "draws": report.options.resamples,
    })
}

fn row_json(row: &Row) -> Value {
    let comparison = row.comparison.as_ref().map(|comparison| {
        json!({
            "baseline_wer_percent": comparison.baseline.words.percent(),
            "baseline_cer_percent": comparison.baseline.character_percent(),
            "difference_points": comparison.difference.points,
            "interval_95_points": comparison.difference.interval.map(|(low, high)| [low, high]),
            "items": comparison.difference.items,
            "verdict": comparison.verdict.as_str(),
        })
    });
    json!({
        "language": name(row), "pooled": row.pooled, "items": row.items, "minutes": minutes(row),
        "words": row.counts.words.reference,
        "substitutions": row.counts.words.substitutions,
        "deletions": row.counts.words.deletions,
        "insertions": row.counts.words.insertions,
        "characters": row.counts.characters,
        "character_errors": row.counts.character_errors,
        "wer_percent": row.counts.words.percent(),
        "cer_percent": row.counts.character_percent(),
        "comparison": comparison,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::report::{Options, compare},
        *,
    };

    const MANIFEST: &str = "id\tlanguage\tduration_s\treference_text\n\
        a\tfr\t60\tun deux trois quatre\nb\tqu\t30\tqan\ns\tund\t45\t\n";

    fn report() -> Report {
        compare(MANIFEST, "a\tun deux\ns\tmerci\nz\tx\n", Some("a\tun\n"), Options::default()).unwrap()
    }

    #[test]
    fn a_person_reads_rows_under_their_heads_and_what_to_beware_of() {
        let text = to_text(&report());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "fr             1     1.0       4   50.00   65.00      0      2      0    75.00  -25.00                     too few items"
        );
        assert!(lines[2].starts_with("qu*") && lines[3].starts_with("pooled  "), "{text}");
        for part in
            ["* not pooled", "s: 1 words invented in 45 s (baseline 0)", "note: 1 items have no hypothesis", "seed 1"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_script_reads_counts_and_rates() {
        let json = to_json(&report());
        assert_eq!(json["languages"][0]["wer_percent"], 50.0);
        assert_eq!(json["pooled"]["comparison"]["difference_points"], -25.0);
        assert_eq!(json["invented"][0]["words"], 1);
        assert!(json["pooled"]["comparison"]["interval_95_points"].is_null());
    }
}
