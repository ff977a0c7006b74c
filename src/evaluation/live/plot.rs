//! The figures of a live stream as a picture (SVG): latency over time, how often each latency came, memory over time.

use std::fmt::Write as _;

use super::{Figures, emission::Emission, resources::Look, spread::Spread};

/// The size of the picture.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 760.0;
/// From where to where panels reach across.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 930.0;
/// More points than this say no more to the eye.
const POINTS: usize = 4_000;
/// Bars of the histogram.
const BARS: usize = 60;

/// A latency that is drawn: its name, colour and figures.
struct Series {
    name: &'static str,
    colour: &'static str,
    spread: Option<Spread>,
    of: fn(&Emission) -> i64,
}

/// A rectangle with two scales.
struct Panel {
    top: f64,
    bottom: f64,
    x_most: f64,
    y_most: f64,
}

impl Panel {
    fn x(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (value / self.x_most).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (value / self.y_most).clamp(0.0, 1.0)
    }

    /// The frame with its marks; `title` stands above.
    fn frame(&self, out: &mut String, title: &str, (x_unit, y_unit): (&str, &str)) {
        text(out, (LEFT, self.top - 10.0), "start", "#222", title);
        for value in marks(self.x_most) {
            let x = self.x(value);
            line(out, (x, self.top), (x, self.bottom), "#e4e4e4");
            text(out, (x, self.bottom + 16.0), "middle", "#555", &format!("{}{x_unit}", short(value)));
        }
        for value in marks(self.y_most) {
            let y = self.y(value);
            line(out, (LEFT, y), (RIGHT, y), "#e4e4e4");
            text(out, (LEFT - 8.0, y + 4.0), "end", "#555", &format!("{}{y_unit}", short(value)));
        }
        line(out, (LEFT, self.bottom), (RIGHT, self.bottom), "#555");
        line(out, (LEFT, self.top), (LEFT, self.bottom), "#555");
    }
}

/// The picture. `looks` may be empty.
#[must_use]
pub fn to_svg(figures: &Figures, title: &str, looks: &[Look]) -> String {
    let series = [
        Series { name: "final", colour: "#c8642c", spread: figures.settled, of: |w| w.final_ms },
        Series { name: "committed", colour: "#1f6fb4", spread: figures.committed, of: |w| w.committed_ms },
        Series { name: "first shown", colour: "#3a9a5b", spread: figures.shown, of: |w| w.shown_ms },
    ];
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    let _written = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"28\" font-size=\"16\" font-weight=\"bold\" fill=\"#222\">{}</text>",
        escaped(title)
    );
    for (row, one) in series.iter().rev().enumerate() {
        let y = 48.0 + 16.0 * row as f64;
        dot(&mut out, (LEFT + 5.0, y - 4.0), 4.0, one.colour);
        let said = one.spread.map_or_else(
            || "no words".to_owned(),
            |s| format!("p50 {} ms, p95 {} ms, p99 {} ms, longest {} ms", s.p50, s.p95, s.p99, s.max),
        );
        text(&mut out, (LEFT + 16.0, y), "start", "#222", &format!("{}: {said}", one.name));
    }
    over_time(&mut out, figures, &series);
    histogram(&mut out, figures, &series);
    memory(&mut out, looks);
    out.push_str("</svg>\n");
    out
}

/// A point a word and a line at the median of each series. The scale ends at the 99th percentile of finals; what lies above it
/// is drawn on the upper edge.
fn over_time(out: &mut String, figures: &Figures, series: &[Series]) {
    let end = figures.emissions.last().map_or(1.0, |word| word.end_ms as f64 / 1_000.0);
    let panel = Panel { top: 124.0, bottom: 340.0, x_most: rounded_up(end), y_most: most(figures) };
    panel.frame(out, "Seconds from the end of a word until it was put out, over the time of the hearing", (" s", " s"));
    let stride = figures.emissions.len().div_ceil(POINTS).max(1);
    for one in series {
        for word in figures.emissions.iter().step_by(stride) {
            let (x, y) = (word.end_ms as f64 / 1_000.0, (one.of)(word) as f64 / 1_000.0);
            dot(out, (panel.x(x), panel.y(y)), 2.2, one.colour);
        }
        if let Some(spread) = one.spread {
            let y = panel.y(spread.p50 as f64 / 1_000.0);
            line(out, (LEFT, y), (RIGHT, y), one.colour);
        }
    }
}

/// Outlines of how many words came after how long.
fn histogram(out: &mut String, figures: &Figures, series: &[Series]) {
    // Finals of long utterances would press all others to the edge.
    let x_most = rounded_up(figures.committed.map_or(1.0, |spread| (spread.p99 as f64 / 1_000.0 * 1.5).max(0.5)));
    let width = x_most / BARS as f64;
    let counts: Vec<Vec<usize>> = series.iter().map(|one| bars(figures, one, width)).collect();
    let highest = counts.iter().flatten().copied().max().unwrap_or(1);
    let panel = Panel { top: 394.0, bottom: 560.0, x_most, y_most: rounded_up(highest as f64) };
    panel.frame(out, "Words by latency; the last bar holds all that took longer", (" s", ""));
    for (one, counts) in series.iter().zip(&counts) {
        let mut path = format!("M{LEFT:.1} {:.1}", panel.bottom);
        for (bar, count) in counts.iter().enumerate() {
            let (from, to) = (panel.x(bar as f64 * width), panel.x((bar + 1) as f64 * width));
            let y = panel.y(*count as f64);
            let _written = write!(path, " L{from:.1} {y:.1} L{to:.1} {y:.1}");
        }
        let colour = one.colour;
        let _written = writeln!(
            out,
            "<path d=\"{path} L{RIGHT:.1} {:.1}\" fill=\"{colour}\" fill-opacity=\"0.18\" stroke=\"{colour}\" \
             stroke-width=\"1.4\"/>",
            panel.bottom
        );
    }
}

fn bars(figures: &Figures, series: &Series, width: f64) -> Vec<usize> {
    let mut bars = vec![0; BARS];
    for word in &figures.emissions {
        let seconds = (series.of)(word) as f64 / 1_000.0;
        let bar = (0..BARS - 1).find(|bar| seconds < (bar + 1) as f64 * width).unwrap_or(BARS - 1);
        bars[bar] += 1;
    }
    bars
}

fn memory(out: &mut String, looks: &[Look]) {
    let (Some(last), Some(most)) = (looks.last(), looks.iter().map(|look| look.resident).max()) else { return };
    let panel = Panel {
        top: 614.0,
        bottom: 720.0,
        x_most: rounded_up(last.at_ms as f64 / 1_000.0),
        y_most: rounded_up(most as f64 / 1e6),
    };
    panel.frame(out, "Resident memory of the server and its children", (" s", " MB"));
    let point =
        |look: &Look| format!("{:.1},{:.1}", panel.x(look.at_ms as f64 / 1_000.0), panel.y(look.resident as f64 / 1e6));
    let points: Vec<String> = looks.iter().map(point).collect();
    let points = points.join(" ");
    let _written =
        writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"#6b4fa0\" stroke-width=\"1.4\"/>");
}

/// Where the scale of latencies ends, seconds.
fn most(figures: &Figures) -> f64 {
    rounded_up(figures.settled.map_or(1.0, |spread| (spread.p99 as f64 / 1_000.0).max(0.5)))
}

/// At most six round numbers up to `most`, from 0 on.
fn marks(most: f64) -> Vec<f64> {
    let step = rounded_up(most / 5.0);
    let count = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0].into_iter().find(|n| n * step <= most * 1.000_001).unwrap_or(1.0);
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0].into_iter().filter(|n| *n <= count).map(|n| n * step).collect()
}

/// The next of 1, 2, 3, 4, 5, 6, 8 times a power of ten.
fn rounded_up(value: f64) -> f64 {
    let power = 10.0_f64.powf(value.max(1e-9).log10().floor());
    let factor = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter().find(|f| f * power >= value * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// As many places as a mark needs.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
    let _written =
        writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>");
}

fn dot(out: &mut String, (x, y): (f64, f64), radius: f64, colour: &str) {
    let _written =
        writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\" fill-opacity=\"0.7\"/>");
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, said: &str) {
    let said = escaped(said);
    let _written =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{said}</text>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        let ends: Vec<f64> = [0.07, 1.0, 2.3, 61.0, 950.0].map(rounded_up).to_vec();
        assert_eq!(ends.iter().map(|end| short(*end)).collect::<Vec<_>>(), ["0.08", "1", "3", "80", "1000"]);
        assert_eq!(
            marks(3.0).iter().map(|mark| short(*mark)).collect::<Vec<_>>(),
            ["0", "0.6", "1.2", "1.8", "2.4", "3"]
        );
        assert_eq!(marks(80.0).len(), 5);
    }

    #[test]
    fn a_picture_has_a_point_a_word_and_a_series_and_nothing_unescaped() {
        let words: Vec<Emission> = (1..=50_u32)
            .map(|n| Emission {
                end_ms: u64::from(n) * 400,
                shown_ms: 300,
                committed_ms: 700,
                final_ms: i64::from(n) * 100,
            })
            .collect();
        let of = |latency: fn(&Emission) -> i64| Spread::of(words.iter().map(latency).collect());
        let (shown, committed) = (of(|w| w.shown_ms), of(|w| w.committed_ms));
        let settled = of(|w| w.final_ms);
        let figures = Figures { shown, committed, settled, emissions: words, ..Figures::default() };
        let looks =
            [Look { at_ms: 0, worked_ms: 0, resident: 1 }, Look { at_ms: 20_000, worked_ms: 9, resident: 400_000_000 }];
        let picture = to_svg(&figures, "a <b> & c", &looks);
        assert_eq!(picture.matches("r=\"2.2\"").count(), 150);
        assert_eq!(picture.matches("<path").count(), 3);
        assert!(picture.contains("a &lt;b&gt; &amp; c") && picture.contains("<polyline"));
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
        let empty = to_svg(&Figures::default(), "nothing", &[]);
        assert!(!empty.contains("NaN") && !empty.contains("<polyline"));
    }
}
