//! Who speaks when: recordings laid on channels.
//!
//! Positions are samples at the rate of the lengths that are given. The same input and seed give the same hearing.

use crate::evaluation::bootstrap::SplitMix;

/// Silence between two recordings of a channel that speaks without pause, milliseconds: less than what ends an utterance, as
/// between two sentences.
pub const BREATH_MS: u64 = 300;

/// One in so many turns of a courtroom begins before the one before it is over.
const INTERRUPTIONS: u64 = 8;

/// A recording on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which recording, by its place in the list.
    pub recording: usize,
    /// Its first sample on the channel.
    pub start: u64,
    /// The sample after its last.
    pub end: u64,
}

/// How long a hearing lasts and how it is spoken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Samples of a second.
    pub rate: u64,
    /// Samples of the hearing; `None`: until every recording was played once.
    pub length: Option<u64>,
    /// The share of the hearing in which somebody speaks, percent, mostly one at a time; `None`: every channel speaks all the
    /// time.
    pub density: Option<u8>,
    /// Where the turns come from.
    pub seed: u64,
}

/// Gives each channel its own recordings, in turn, so that no two microphones hear the same voice; a channel for which none is
/// left gets all of them, from another one on than its neighbours.
///
/// ```
/// use vivavoce::evaluation::live::schedule::deal;
/// assert_eq!(deal(3, 2), [vec![0, 2], vec![1]]);
/// assert_eq!(deal(2, 3), [vec![0], vec![1], vec![0, 1]]);
/// ```
#[must_use]
pub fn deal(recordings: usize, channels: usize) -> Vec<Vec<usize>> {
    let own = |channel: usize| (channel..recordings).step_by(channels.max(1)).collect::<Vec<_>>();
    let all = |channel: usize| (0..recordings).map(|n| (n + channel) % recordings).collect();
    (0..channels).map(|channel| if channel < recordings { own(channel) } else { all(channel) }).collect()
}

/// Lays the recordings of each channel, given as (recording, length), on one hearing. A recording that does not fit before
/// the end is left out, so that all that is begun is said to the end.
#[must_use]
pub fn hearing(channels: &[Vec<(usize, u64)>], plan: &Plan) -> Vec<Vec<Turn>> {
    match plan.density {
        None => channels.iter().map(|own| monologue(own, plan)).collect(),
        Some(percent) => courtroom(channels, plan, percent.clamp(1, 100)),
    }
}

fn monologue(own: &[(usize, u64)], plan: &Plan) -> Vec<Turn> {
    let breath = BREATH_MS * plan.rate / 1_000;
    let (mut turns, mut at) = (Vec::new(), breath);
    let Some(length) = plan.length else {
        for &(recording, length) in own {
            turns.push(Turn { recording, start: at, end: at + length });
            at += length + breath;
        }
        return turns;
    };
    // Round after round, until nothing fits any more.
    for index in (0..own.len()).cycle() {
        let shortest = own.iter().map(|r| r.1).min().unwrap_or(u64::MAX);
        if at.saturating_add(shortest.max(1)) > length {
            return turns;
        }
        let (recording, long) = own[index];
        if at + long <= length {
            turns.push(Turn { recording, start: at, end: at + long });
            at += long + breath;
        }
    }
    turns
}

/// One channel after another takes the floor. The pause after a turn is drawn around what makes the share of speech right.
fn courtroom(channels: &[Vec<(usize, u64)>], plan: &Plan, percent: u8) -> Vec<Vec<Turn>> {
    let mut random = SplitMix(plan.seed);
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); channels.len()];
    let mut next = vec![0_usize; channels.len()];
    let speaking: Vec<usize> = (0..channels.len()).filter(|&c| !channels[c].is_empty()).collect();
    let all: usize = channels.iter().map(Vec::len).sum();
    let (mut at, mut last, mut played, mut misfits) = (plan.rate, usize::MAX, 0, 0);
    while !speaking.is_empty() && (plan.length.is_some() || played < all) {
        let once = |channel: &usize| plan.length.is_some() || next[*channel] < channels[*channel].len();
        let mut who: Vec<usize> = speaking.iter().copied().filter(|c| *c != last).filter(once).collect();
        if who.is_empty() {
            who = speaking.iter().copied().filter(once).collect();
        }
        let channel = who[random.below(who.len())];
        let own = &channels[channel];
        let (recording, length) = own[next[channel] % own.len()];
        next[channel] += 1;
        played += 1;
        let start = at.max(turns[channel].last().map_or(0, |turn: &Turn| turn.end));
        if plan.length.is_some_and(|end| start + length > end) {
            misfits += 1;
            if misfits > all {
                break;
            }
            continue;
        }
        turns[channel].push(Turn { recording, start, end: start + length });
        // After an interruption there is no pause; the others are longer for it.
        let silence = length * u64::from(100 - percent) / u64::from(percent) * INTERRUPTIONS / (INTERRUPTIONS - 1);
        let drawn = silence / 2 + random.next() % silence.max(1);
        let interrupted = random.next().is_multiple_of(INTERRUPTIONS);
        at = if interrupted { start + length - length / 8 } else { start + length + drawn };
        last = channel;
    }
    turns
}

/// How much is spoken: the share of all channels' time, and the share of the hearing in which anybody speaks, percent. The
/// pauses within a recording count as speech.
#[must_use]
pub fn shares(channels: &[Vec<Turn>], length: u64) -> (f64, f64) {
    let mut turns: Vec<&Turn> = channels.iter().flatten().collect();
    turns.sort_by_key(|turn| turn.start);
    let spoken: u64 = turns.iter().map(|turn| turn.end - turn.start).sum();
    let (mut anybody, mut through) = (0, 0);
    for turn in turns {
        anybody += turn.end.saturating_sub(turn.start.max(through));
        through = through.max(turn.end);
    }
    let percent = |part: u64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    (percent(spoken, length * channels.len() as u64), percent(anybody, length))
}
