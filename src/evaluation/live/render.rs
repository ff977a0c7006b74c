//! The figures of a live stream as a table for a person and as JSON for a script.

use serde_json::{Map, Value, json};

use super::{
    Figures,
    accuracy::{Accuracy, Errors},
    resources::Resources,
    spread::Spread,
};

/// How the hearings were streamed.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Channels in all.
    pub channels: usize,
    /// Hearings that they are shared over.
    pub hearings: usize,
    /// How long each was, seconds.
    pub seconds: f64,
    /// The density that was asked for, percent.
    pub density_percent: Option<u8>,
    /// The share of all channels' time in which recordings played, percent.
    pub channel_speech_percent: f64,
    /// The share of the hearings in which anybody spoke, percent.
    pub hearing_speech_percent: f64,
    /// The seed of the turns.
    pub seed: u64,
    /// How late messages were sent after the moment at which their last sample was spoken, milliseconds. What is late here is
    /// the fault of the sender or of a server that does not take it, and is part of all latencies.
    pub sent_late: Option<Spread>,
    /// Where the ends of words come from.
    pub times: &'static str,
}

/// Everything that is reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it was streamed.
    pub setting: Setting,
    /// What came of it.
    pub figures: Figures,
    /// Errors, where references were given.
    pub accuracy: Accuracy,
    /// What the server took, where its process was named.
    pub resources: Option<Resources>,
}

/// JSON with a name and unit for each figure; what was not measured is null.
#[must_use]
pub fn to_json(report: &Report) -> Value {
    let Report { setting, figures, accuracy, resources } = report;
    let steady = &figures.steadiness;
    let languages: Map<String, Value> = accuracy.languages.iter().map(|(tag, e)| (tag.clone(), errors(e))).collect();
    let pooled = accuracy.pooled.as_ref();
    json!({
        "channels": setting.channels,
        "hearings": setting.hearings,
        "seconds": rounded(setting.seconds),
        "density_percent": setting.density_percent,
        "channel_speech_percent": rounded(setting.channel_speech_percent),
        "hearing_speech_percent": rounded(setting.hearing_speech_percent),
        "seed": setting.seed,
        "sent_late_ms": setting.sent_late.map(spread),
        "word_times": setting.times,
        "words": figures.words,
        "timed_words": figures.timed,
        "latency_ms": {
            "first_shown": figures.shown.map(spread),
            "committed": figures.committed.map(spread),
            "final": figures.settled.map(spread),
        },
        "final_after_speech_ms": figures.final_after_speech.map(spread),
        "final_after_span_ms": figures.final_after_span.map(spread),
        "lag_slope_s_per_h": figures.lag_slope_s_per_h.map(rounded),
        "partials": steady.partials,
        "looks": steady.looks,
        "flicker": steady.flicker().map(rounded),
        "erased_words": steady.erased,
        "erasure_shown": steady.share(steady.erased).map(rounded),
        "committed_erased_words": steady.committed_erased,
        "erasure_committed": steady.share(steady.committed_erased).map(rounded),
        "revised_words": steady.revised,
        "revised_share": steady.share(steady.revised).map(rounded),
        "error_rate_percent": pooled.and_then(|e| e.live.words.percent()).map(rounded),
        "offline_error_rate_percent": pooled.and_then(|e| e.offline?.words.percent()).map(rounded),
        "streaming_penalty_points": pooled.and_then(Errors::penalty_points).map(rounded),
        "languages": languages,
        "server": resources.map(server),
    })
}

fn errors(errors: &Errors) -> Value {
    json!({
        "errors": errors.live.words,
        "error_rate_percent": errors.live.words.percent().map(rounded),
        "offline_error_rate_percent": errors.offline.and_then(|counts| counts.words.percent()).map(rounded),
        "streaming_penalty_points": errors.penalty_points().map(rounded),
    })
}

fn spread(spread: Spread) -> Value {
    let Spread { count, mean, p50, p95, p99, max } = spread;
    json!({ "count": count, "mean": rounded(mean), "p50": p50, "p95": p95, "p99": p99, "max": max })
}

fn server(resources: Resources) -> Value {
    json!({
        "cpu_cores": rounded(resources.cores),
        "memory_first_mb": rounded(megabytes(resources.first)),
        "memory_last_mb": rounded(megabytes(resources.last)),
        "memory_most_mb": rounded(megabytes(resources.most)),
        "memory_growth_mb_per_h": resources.growth_per_h.map(|bytes| rounded(bytes / 1e6)),
    })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Three places are more than any of it is good for.
fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

/// The same for a person; ends with a new line.
#[must_use]
pub fn to_text(report: &Report) -> String {
    let Report { setting, figures, accuracy, resources } = report;
    let mut lines = vec![
        format!(
            "channels: {}, hearings: {}, length: {:.0} s; somebody spoke {:.0} % of the time, each channel {:.0} %",
            setting.channels,
            setting.hearings,
            setting.seconds,
            setting.hearing_speech_percent,
            setting.channel_speech_percent
        ),
        format!("{} words, times of {} from {}", figures.words, figures.timed, setting.times),
        format!(
            "{:<42} {:>7} {:>7} {:>7} {:>7} {:>7}",
            "after the end of the word, ms", "mean", "p50", "p95", "p99", "max"
        ),
    ];
    let rows = [
        ("first shown", figures.shown),
        ("committed", figures.committed),
        ("final", figures.settled),
        ("a final after the end of its speech", figures.final_after_speech),
        ("a final after the end of its segment", figures.final_after_span),
        ("a message sent late", setting.sent_late),
    ];
    lines.extend(rows.into_iter().filter_map(|(name, spread)| Some(row(name, spread?))));
    let slope =
        figures.lag_slope_s_per_h.map_or_else(|| "unknown".to_owned(), |slope| format!("{slope:+.2} s an hour"));
    lines.push(format!("lag slope: {slope}"));
    let steady = &figures.steadiness;
    let share = |count| steady.share(count).map_or_else(|| "unknown".to_owned(), |share| format!("{share:.3}"));
    lines.push(format!(
        "erasure: {} of shown words, {} of committed words ({}); flicker {} of {} looks; {} committed words differ in the final",
        share(steady.erased),
        share(steady.committed_erased),
        steady.committed_erased,
        steady.flickers,
        steady.looks,
        steady.revised
    ));
    lines.extend(accuracy.languages.iter().map(|(tag, errors)| rate(tag, errors)));
    lines.extend(accuracy.pooled.iter().map(|errors| rate("all", errors)));
    lines.extend(resources.iter().map(|r| {
        let growth =
            r.growth_per_h.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:+.1} MB an hour", bytes / 1e6));
        let [first, last, most] = [r.first, r.last, r.most].map(megabytes);
        format!(
            "server: {:.2} cores; memory {first:.0} MB at first, {last:.0} at last, {most:.0} at most, {growth}",
            r.cores
        )
    }));
    lines.join("\n") + "\n"
}

fn row(name: &str, spread: Spread) -> String {
    let Spread { count: _, mean, p50, p95, p99, max } = spread;
    format!("{name:<42} {mean:>7.0} {p50:>7} {p95:>7} {p99:>7} {max:>7}")
}

fn rate(tag: &str, errors: &Errors) -> String {
    let percent = |rate: Option<f64>| rate.map_or_else(|| "no rate".to_owned(), |rate| format!("{rate:.2} %"));
    let words = errors.live.words;
    let mut line =
        format!("errors {tag}: {} of {} words, {}", words.errors(), words.reference, percent(words.percent()));
    if let (Some(offline), Some(points)) = (errors.offline, errors.penalty_points()) {
        line.push_str(&format!("; offline {}, streaming costs {points:+.2} points", percent(offline.words.percent())));
    }
    line
}
