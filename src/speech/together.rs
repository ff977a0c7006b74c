//! What an utterance shares with the other channels of its hearing: the echo of somebody at another microphone, or people who
//! speak at once. Pure. No word is changed; flags are added, and what is nothing but echo is withheld from captions.

use std::ops::Range;

use crate::{
    domain::{
        flag::{Evidence, Flag, FlagCode},
        id::ChannelId,
        segment::{CaptionState, Segment, Word},
        time::{Span, TICKS_PER_SECOND, Tick, TickSpan},
    },
    speech::{
        audio::crosstalk::{EXPLAINED, QUARTER, Quarter, Side, compare},
        vad::{FRAME, SpeechDetector, thresholds},
    },
};

/// People speak at once when they do for longer than this, seconds. Turns touch by a syllable without anybody minding.
const OVERLAP_SECONDS: f64 = 0.3;

/// Words beside an echo are of it where their own channel is so much quieter, dB: the last of it fades into noise.
const FADING_DB: f64 = 6.0;

/// How many other channels are looked at: the loudest at that time. An echo is of the loudest, and who speaks is loud.
pub const MOST_OTHERS: usize = 3;

/// The sound of a channel at 16 kHz about an utterance.
#[derive(Clone, Debug)]
pub struct Around {
    /// Which channel.
    pub channel: ChannelId,
    /// The tick of the first sample.
    pub from: Tick,
    /// The samples; silence where nothing is stored.
    pub samples: Vec<f32>,
}

/// What the quarters of an utterance are, seen from one channel.
struct Other {
    channel: ChannelId,
    first: u64,
    own: Side,
    quarters: Vec<Quarter>,
    /// Frames of 32 ms from the utterance's first on in which the other channel speaks for itself.
    speaks: Vec<bool>,
}

/// The span that must be known of the channels about an utterance: [`crate::speech::audio::crosstalk::MARGIN`] on both sides.
#[must_use]
pub fn span_needed(span: TickSpan) -> TickSpan {
    let margin = crate::speech::audio::crosstalk::MARGIN;
    let start = span.start().minus(margin);
    TickSpan::starting(start, span.end().plus(margin).since(start))
}

/// An utterance as it is compared: of the segment alone, so that it gives the same whenever it is done.
struct Voice {
    span: TickSpan,
    /// Whether somebody speaks in each frame of 32 ms.
    speech: Vec<bool>,
}

impl Voice {
    fn of(segment: &Segment) -> Self {
        let span = utterance(segment);
        let frames = usize::try_from(span.len().div_ceil(FRAME as u64)).unwrap_or(usize::MAX);
        let spoken: Vec<TickSpan> = segment.speech.iter().map(|speech| ticks(segment, *speech)).collect();
        // By way of samples a stretch may be a tick off: the middle of a frame is well inside.
        let middle = |n: usize| TickSpan::starting(frame(span, n).plus(FRAME as u64 / 2), 1);
        let speech = (0..frames).map(|n| spoken.iter().any(|stretch| stretch.overlap(middle(n)) > 0)).collect();
        Self { span, speech }
    }

    /// Where the frames with speech begin.
    fn voiced(&self) -> impl Iterator<Item = Tick> {
        (0..).zip(&self.speech).filter(|(_, speech)| **speech).map(|(n, _)| frame(self.span, n))
    }
}

/// Where the utterance of a segment stands at 16 kHz.
#[must_use]
pub fn utterance(segment: &Segment) -> TickSpan {
    ticks(segment, segment.span)
}

/// Flags what a segment shares with others; `own` and `others` begin at the same tick.
pub fn label(segment: &mut Segment, own: &Around, others: &[Around], detector: impl Fn() -> Box<dyn SpeechDetector>) {
    let voice = Voice::of(segment);
    let span = voice.span;
    let mut loudest: Vec<(f64, &Around)> = others.iter().map(|other| (power(other, span), other)).collect();
    loudest.retain(|(power, _)| *power > 1e-8);
    loudest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.channel.cmp(&b.1.channel)));
    let others: Vec<Other> =
        loudest.iter().take(MOST_OTHERS).map(|(_, other)| heard(own, other, &voice, &detector)).collect();
    let echoes = echoes(segment, &voice, &others);
    let all = 0..segment.words.len();
    if !echoes.is_empty() && all.clone().all(|word| echoes.iter().any(|f| f.words.contains(&word))) {
        segment.captions = CaptionState::Withheld;
    }
    segment.flags.extend(echoes);
    segment.flags.extend(overlap(segment, &voice, &others));
    segment.flags.sort_by_key(|f| (f.words.start, f.code));
}

/// The mean power of a channel over a span.
fn power(around: &Around, span: TickSpan) -> f64 {
    let place = |tick: Tick| usize::try_from(tick.since(around.from)).unwrap_or(usize::MAX).min(around.samples.len());
    let samples = &around.samples[place(span.start())..place(span.end())];
    #[expect(clippy::cast_precision_loss, reason = "samples of an utterance")]
    let count = samples.len().max(1) as f64;
    samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum::<f64>() / count
}

fn heard(
    own: &Around,
    other: &Around,
    Voice { span, speech }: &Voice,
    detector: &impl Fn() -> Box<dyn SpeechDetector>,
) -> Other {
    let span = *span;
    let side = if own.channel < other.channel { Side::Low } else { Side::High };
    let quarters = match side {
        Side::Low => compare(&own.samples, &other.samples, own.from, span),
        Side::High => compare(&other.samples, &own.samples, own.from, span),
    };
    let first = span.start().index() / QUARTER;
    let mut heard = Other { channel: other.channel, first, own: side, quarters, speaks: Vec::new() };
    // Only where both could speak for themselves is it worth listening to.
    let both = (0..speech.len()).filter(|n| speech[*n] && heard.at(frame(span, *n)).echo().is_none());
    if seconds(both.count()) > OVERLAP_SECONDS {
        let mut detector = detector();
        let lead = usize::try_from(span.start().since(other.from)).unwrap_or(0);
        let skip = lead % FRAME;
        let (frames, _) = other.samples[skip.min(other.samples.len())..].as_chunks::<FRAME>();
        let speaks = frames.iter().map(|frame| detector.push(frame).value() >= thresholds::STOP);
        heard.speaks = speaks.skip(lead / FRAME).take(speech.len()).collect();
    }
    heard
}

impl Other {
    fn at(&self, tick: Tick) -> Quarter {
        let place = (tick.index() / QUARTER).saturating_sub(self.first);
        let last = self.quarters.len().saturating_sub(1);
        self.quarters[usize::try_from(place).unwrap_or(last).min(last)]
    }

    /// Whether the utterance's channel is an echo of this one here.
    fn is_source(&self, tick: Tick) -> bool {
        self.at(tick).echo() == Some(self.own)
    }

    /// How much quieter the utterance's channel is, dB.
    fn louder_db(&self, tick: Tick) -> f64 {
        match self.own {
            Side::Low => -self.at(tick).louder_db,
            Side::High => self.at(tick).louder_db,
        }
    }

    /// Whether every quarter of the middle of a word is so.
    fn all_of(&self, word: TickSpan, is: impl Fn(Tick) -> bool) -> bool {
        let quarter = word.len() / 4;
        let (from, to) = (word.start().plus(quarter), word.end().minus(quarter));
        (from.index() / QUARTER..=to.index() / QUARTER).all(|n| is(Tick::new(n * QUARTER)))
    }
}

/// Flags the words that are an echo, channel by channel; without words, the whole where its speech is one.
fn echoes(segment: &Segment, voice: &Voice, others: &[Other]) -> Vec<Flag> {
    let mut flags = Vec::new();
    for other in others {
        if segment.words.is_empty() {
            let voiced: Vec<Tick> = voice.voiced().collect();
            let echo = voiced.iter().filter(|tick| other.is_source(**tick)).count();
            if echo > 0 && echo * 5 >= voiced.len() * 4 {
                flags.push(flag(other, voice.span, 0..0));
            }
            continue;
        }
        let words: Vec<TickSpan> = segment.words.iter().map(|word| ticks(segment, word.span)).collect();
        let mut echo: Vec<bool> = words.iter().map(|w| other.all_of(*w, |tick| other.is_source(tick))).collect();
        let fades =
            |n: usize| other.all_of(words[n], |tick| other.is_source(tick) || other.louder_db(tick) >= FADING_DB);
        for n in 1..words.len() {
            echo[n] |= echo[n - 1] && fades(n);
        }
        for n in (1..words.len()).rev() {
            echo[n - 1] |= echo[n] && fades(n - 1);
        }
        for run in runs(&echo) {
            let start = words[run.start].start();
            let whole = TickSpan::starting(start, words[run.end - 1].end().since(start));
            flags.push(flag(other, whole, run));
        }
    }
    flags
}

/// With the figures of the quarters that are an echo.
fn flag(other: &Other, span: TickSpan, words: Range<usize>) -> Flag {
    let quarters = span.start().index() / QUARTER..=span.end().index() / QUARTER;
    let echo =
        quarters.map(|n| Tick::new(n * QUARTER)).filter(|tick| other.is_source(*tick)).map(|tick| other.at(tick));
    let mut figures: Vec<(f64, f64, f64)> = echo
        .map(|q| match other.own {
            Side::Low => (q.low, q.louder_db, f64::from(q.later)),
            Side::High => (q.high, -q.louder_db, -f64::from(q.later)),
        })
        .collect();
    // The quarter in the middle speaks for all: a mean of delays would be none of them.
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (explained, louder, later) = figures.get(figures.len() / 2).copied().unwrap_or_default();
    let ticks_per_ms = f64::from(16_u8);
    let mut evidence = vec![
        Evidence::new("explained_share", explained, EXPLAINED),
        Evidence::new("level_difference_db", louder, 0.0),
        Evidence::new("delay_ms", later / ticks_per_ms, 50.0),
    ];
    evidence.push(of_channel(other.channel));
    Flag { code: FlagCode::CrossTalk, evidence, words }
}

/// Which other channel: a name, no measure; the limit repeats it.
fn of_channel(channel: ChannelId) -> Evidence {
    let number = f64::from(channel.number());
    Evidence::new("other_channel", number, number)
}

/// Flags that somebody else spoke at the same time, for longer than anybody else did.
fn overlap(segment: &Segment, voice: &Voice, others: &[Other]) -> Option<Flag> {
    let both = |other: &Other| -> Vec<Tick> {
        let own = |tick: &Tick| others.iter().all(|other| !other.is_source(*tick));
        let speaks = |tick: &Tick| {
            let n = usize::try_from(tick.since(voice.span.start())).unwrap_or(0) / FRAME;
            other.speaks.get(n).is_some_and(|speaks| *speaks) && other.at(*tick).echo().is_none()
        };
        voice.voiced().filter(own).filter(speaks).collect()
    };
    let all = others.iter().map(|other| (other, both(other)));
    let (other, both) = all.max_by_key(|(other, both)| (both.len(), std::cmp::Reverse(other.channel)))?;
    let long = seconds(both.len());
    if long <= OVERLAP_SECONDS {
        return None;
    }
    let covered = |word: &Word| {
        let word = ticks(segment, word.span);
        both.iter().any(|tick| word.overlap(TickSpan::starting(*tick, FRAME as u64)) > 0)
    };
    let first = segment.words.iter().position(covered);
    let last = segment.words.iter().rposition(covered);
    let words = first.zip(last).map_or(0..0, |(first, last)| first..last + 1);
    let evidence = vec![Evidence::new("overlap_seconds", long, OVERLAP_SECONDS), of_channel(other.channel)];
    Some(Flag { code: FlagCode::Overlap, evidence, words })
}

fn frame(span: TickSpan, n: usize) -> Tick {
    span.start().plus((n * FRAME) as u64)
}

fn ticks(segment: &Segment, span: Span) -> TickSpan {
    let (start, end) = (segment.rate.tick_of(span.start()), segment.rate.tick_of(span.end()));
    TickSpan::starting(start, end.since(start))
}

fn runs(of: &[bool]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (n, _) in of.iter().enumerate().filter(|(_, is)| **is) {
        match runs.last_mut() {
            Some(run) if run.end == n => run.end = n + 1,
            _ => runs.push(n..n + 1),
        }
    }
    runs
}

#[expect(clippy::cast_precision_loss, reason = "frames of one utterance")]
fn seconds(frames: usize) -> f64 {
    (frames * FRAME) as f64 / TICKS_PER_SECOND as f64
}
