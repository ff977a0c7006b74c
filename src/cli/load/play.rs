//! Streams at the speed of speech, and notes when each result comes.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use super::{RATE, material::Voice, process};
use crate::{
    api::grpc::{
        client::{Begin, Client, ClientError, Events, Sender},
        heard::{ClientEvent, FinalText},
    },
    domain::{
        audio::{AudioFormat, Encoding},
        change::Recognition,
        channel::{ChannelSetup, Label},
        id::ChannelId,
        language::AllowedLanguages,
    },
    evaluation::live::{Final, Heard, Partial, TimedWord, resources::Look, schedule::Turn},
    hearing::service::NewHearing,
};

/// Milliseconds of audio in a message.
const MESSAGE_MS: u64 = 100;
/// Between opening the last hearing and the first sample that is spoken.
const RUN_UP: Duration = Duration::from_millis(200);
/// How often the server's process is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is said on a channel.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) languages: AllowedLanguages,
    pub(super) turns: Vec<Turn>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// What was heard of each channel of each hearing.
    pub(super) heard: Vec<Vec<Heard>>,
    /// How late each message was sent, milliseconds.
    pub(super) late_ms: Vec<i64>,
    pub(super) looks: Vec<Look>,
}

/// A hearing that is open, with a stream.
struct Open {
    client: Client,
    id: String,
    sender: Sender,
    events: Events,
}

/// Streams `length` samples of every channel of every hearing; all begin at one moment.
pub(super) async fn play(
    server: &str,
    voices: &[Voice],
    hearings: &[Vec<Line>],
    length: u64,
    pid: Option<u32>,
) -> anyhow::Result<Played> {
    let mut open = Vec::new();
    for lines in hearings {
        open.push(begin(server, lines).await?);
    }
    let start = Instant::now() + RUN_UP;
    let mut running = JoinSet::new();
    for (index, (hearing, lines)) in open.into_iter().zip(hearings).enumerate() {
        let sound = Sound::new(voices, lines);
        let channels = lines.len();
        running.spawn(async move { (index, one(hearing, sound, channels, length, start).await) });
    }
    let mut played = Played { heard: vec![vec![]; hearings.len()], ..Played::default() };
    let mut looks = interval_at(start, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        // Nothing is lost where a look is given up for a hearing that ended.
        tokio::select! {
            ended = running.join_next() => {
                let Some(ended) = ended else { return Ok(played) };
                let (index, result) = ended.context("a stream's task failed")?;
                let (heard, late) = result?;
                played.heard[index] = heard;
                played.late_ms.extend(late);
            }
            _ = looks.tick(), if pid.is_some() => {
                played.looks.extend(pid.and_then(|pid| process::look(pid, since(start))));
            }
        }
    }
}

async fn begin(server: &str, lines: &[Line]) -> anyhow::Result<Open> {
    let format = AudioFormat { encoding: Encoding::PcmS16Le, rate: RATE };
    let setup = |(number, line): (u8, &Line)| {
        let id = ChannelId::new(number).context("a hearing has at most 16 channels")?;
        let label = Label::try_from(format!("channel {number}"))?;
        anyhow::Ok(ChannelSetup { id, label, languages: line.languages.clone(), format })
    };
    let new = NewHearing {
        reference: "load".to_owned(),
        channels: (1..).zip(lines).map(setup).collect::<Result<_, _>>()?,
        recognition: Recognition::Live,
        imported: None,
    };
    let mut client = Client::connect(server).await?;
    let hearing = client.open(&new).await?;
    let begin = Begin { hearing: &hearing.id, resume_token: &hearing.resume_token, results_after: 0, partials: true };
    let (sender, events) = client.stream(begin).await?;
    Ok(Open { client, id: hearing.id, sender, events })
}

/// One hearing to its end.
async fn one(
    open: Open,
    sound: Sound,
    channels: usize,
    length: u64,
    start: Instant,
) -> anyhow::Result<(Vec<Heard>, Vec<i64>)> {
    let Open { mut client, id, sender, events } = open;
    // A sender that fails does so because the stream has ended, and the listener knows why.
    let (sent, heard) = tokio::join!(speak(sender, sound, channels, length, start), listen(events, channels, start));
    let heard = heard?;
    let late = sent?;
    client.close(&id).await?;
    Ok((heard, late))
}

/// Sends a message of each channel whenever the last of its samples has been spoken. Each has its own moment, counted from
/// the first: what was late once makes nothing after it late.
async fn speak(
    sender: Sender,
    sound: Sound,
    channels: usize,
    length: u64,
    start: Instant,
) -> Result<Vec<i64>, ClientError> {
    let rate = u64::from(RATE.hz());
    let (mut late, mut from) = (Vec::new(), 0);
    while from < length {
        let to = (from + MESSAGE_MS * rate / 1_000).min(length);
        let spoken = start + Duration::from_micros(to * 1_000_000 / rate);
        // The moment at which the message's last sample is spoken.
        sleep_until(spoken).await;
        for channel in 0..channels {
            let number = u32::try_from(channel + 1).unwrap_or(u32::MAX);
            sender.ready().await?.audio(number, from, sound.bytes(channel, from, to));
        }
        late.push(i64::try_from(spoken.elapsed().as_millis()).unwrap_or(i64::MAX));
        from = to;
    }
    sender.finish().await?;
    Ok(late)
}

async fn listen(mut events: Events, channels: usize, start: Instant) -> Result<Vec<Heard>, ClientError> {
    let mut heard = vec![Heard::default(); channels];
    let mut finished = false;
    while let Some(event) = events.next().await? {
        let at_ms = since(start);
        let place = |channel: u32| usize::try_from(channel).ok()?.checked_sub(1);
        match event {
            ClientEvent::Partial { channel, start_ms, end_ms, words, stable } => {
                let words = words.into_iter().map(|word| word.text).collect();
                if let Some(heard) = place(channel).and_then(|place| heard.get_mut(place)) {
                    heard.partials.push(Partial { at_ms, start_ms, end_ms, words, stable });
                }
            }
            // One that is revised has the words that it had.
            ClientEvent::Final(text) if !text.revised => {
                if let Some(heard) = place(text.channel).and_then(|place| heard.get_mut(place)) {
                    heard.finals.push(settled(*text, at_ms));
                }
            }
            ClientEvent::Finished { .. } => finished = true,
            ClientEvent::Final(_)
            | ClientEvent::Opened(_)
            | ClientEvent::Stored { .. }
            | ClientEvent::SpeechBegan { .. }
            | ClientEvent::Status { .. }
            | ClientEvent::Marker(_)
            | ClientEvent::Ordered { .. }
            | ClientEvent::Alarmed { .. } => {}
        }
    }
    if finished { Ok(heard) } else { Err(ClientError::CutShort) }
}

fn settled(text: FinalText, at_ms: u64) -> Final {
    let words = text.words.into_iter();
    Final {
        at_ms,
        start_ms: text.start_ms,
        end_ms: text.end_ms,
        words: words.map(|w| TimedWord { text: w.text, start_ms: w.start_ms, end_ms: w.end_ms }).collect(),
        text: text.text,
    }
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The sound of a hearing: recordings, and between them the hiss of a room at night. Digital silence would be a microphone
/// that is dead, and is told as one.
struct Sound {
    recordings: Vec<(usize, Arc<[i16]>)>,
    channels: Vec<Vec<Turn>>,
}

impl Sound {
    fn new(voices: &[Voice], lines: &[Line]) -> Self {
        let mut used: Vec<usize> = lines.iter().flat_map(|line| line.turns.iter().map(|turn| turn.recording)).collect();
        used.sort_unstable();
        used.dedup();
        Self {
            recordings: used.into_iter().map(|index| (index, voices[index].samples.clone())).collect(),
            channels: lines.iter().map(|line| line.turns.clone()).collect(),
        }
    }

    /// The samples of a channel from one to before another.
    fn bytes(&self, channel: usize, from: u64, to: u64) -> Vec<u8> {
        let turns = &self.channels[channel];
        (from..to).flat_map(|at| self.sample(turns, channel as u64, at).to_le_bytes()).collect()
    }

    fn sample(&self, turns: &[Turn], channel: u64, at: u64) -> i16 {
        let turn = turns.get(turns.partition_point(|turn| turn.end <= at)).filter(|turn| turn.start <= at);
        let spoken = turn.and_then(|turn| {
            let recording = self.recordings.binary_search_by_key(&turn.recording, |r| r.0).ok()?;
            self.recordings[recording].1.get(usize::try_from(at - turn.start).ok()?).copied()
        });
        spoken.unwrap_or_else(|| hiss(channel, at))
    }
}

/// White noise of about -76 dB below full scale, another on each channel: the upper bits of a multiplication.
fn hiss(channel: u64, at: u64) -> i16 {
    let mixed = (at ^ (channel << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    i16::try_from(mixed >> 60).unwrap_or(0) - 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_lie_where_their_turns_say_and_hiss_is_between() {
        let turns = vec![Turn { recording: 7, start: 2, end: 5 }, Turn { recording: 7, start: 8, end: 11 }];
        let sound = Sound { recordings: vec![(7, vec![1_000, 2_000, 3_000].into())], channels: vec![turns] };
        let bytes = sound.bytes(0, 1, 10);
        let samples: Vec<i16> = bytes.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect();
        assert_eq!((samples[1..4].to_vec(), samples[7..9].to_vec()), (vec![1_000, 2_000, 3_000], vec![1_000, 2_000]));
        assert!([0, 4, 5, 6].iter().all(|&n| (-8..8).contains(&samples[n])), "{samples:?}");
        let hiss: Vec<i16> = (0..16_000).map(|at| hiss(0, at)).collect();
        let power = hiss.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 16_000.0;
        assert!((15.0..30.0).contains(&power), "{power}");
    }
}
