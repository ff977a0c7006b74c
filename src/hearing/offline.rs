//! A recording as a hearing without a server: the same pipeline, as fast as the machine goes.

use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender, sync_channel},
};

use super::{
    HearingError,
    ears::{Ears, Surrounded},
    live::{compose, language::Settled, lead},
    service::Detectors,
    world::World,
};
use crate::{
    domain::{
        actor::{Actor, ActorKind, Attribution, Purpose},
        audio::{AudioFormat, Encoding},
        change::{Change, EntrySeq, IntervalClass, Recognition},
        channel::{ChannelSetup, Label},
        glossary::Glossary,
        hypothesis::Hypothesis,
        id::{ChannelId, HearingId},
        language::AllowedLanguages,
        segment::Segment,
        time::{SamplePos, Span},
    },
    record::{entry::Entry, export::transcript::Transcript},
    speech::{
        asr::{
            AsrError, CancelFlag, Pass, Recognizer,
            pool::{Job, Pool, Urgency},
        },
        audio::{
            AudioError,
            file::{AudioFile, Note},
            format,
            likeness::Likeness,
        },
        front::{Front, FrontConfig, Heard, HeardUtterance},
        spoken::Spoken,
        together::{Around, label},
    },
};

/// Which channels of a recording are transcribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One where they carry the same sound, else each on its own.
    Auto,
    /// All mixed into one.
    Mix,
    /// Each on its own.
    Split,
    /// These, counted from 1, each on its own.
    Only(Vec<ChannelId>),
}

/// What a recording is transcribed with.
pub struct Offline {
    /// The engine.
    pub recognizer: Arc<dyn Recognizer>,
    /// Its threads.
    pub pool: Arc<Pool>,
    /// Speech detectors.
    pub detectors: Detectors,
    /// Where utterances end.
    pub front: FrontConfig,
    /// What the engine is told before it hears; `None` for nothing.
    pub glossary: Option<Arc<Glossary>>,
    /// The clock and the dice.
    pub world: Arc<dyn World>,
}

impl std::fmt::Debug for Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offline").field("recognizer", &self.recognizer).finish_non_exhaustive()
    }
}

/// A recording and how it is to be taken.
pub struct Recording {
    /// The file, at its beginning.
    pub file: AudioFile,
    /// Which channels.
    pub channels: Channels,
    /// What may be spoken.
    pub languages: AllowedLanguages,
    /// The label of the recording: channels are named after it.
    pub name: String,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("channels", &self.channels).finish_non_exhaustive()
    }
}

/// Whether the channels of a recording carry the same sound: reads it to its end.
///
/// # Errors
/// What reading the file gives.
pub fn alike(mut file: AudioFile) -> Result<bool, AudioError> {
    let channels = file.channels();
    let mut likeness = vec![Likeness::default(); channels.saturating_sub(1)];
    while let Some(block) = file.next_block()? {
        let split = split(&block.bytes, file.encoding(), channels)?;
        for (other, likeness) in split[1..].iter().zip(&mut likeness) {
            likeness.push(&split[0], other);
        }
    }
    Ok(likeness.iter().all(Likeness::alike))
}

/// Interleaved bytes as samples of each channel.
fn split(bytes: &[u8], encoding: Encoding, channels: usize) -> Result<Vec<Vec<f32>>, AudioError> {
    let mut bytes_of = vec![Vec::new(); channels];
    format::deinterleave(encoding, bytes, &mut bytes_of)?;
    bytes_of
        .iter()
        .map(|bytes| {
            let mut samples = Vec::new();
            format::decode(encoding, bytes, &mut samples)?;
            Ok(samples)
        })
        .collect()
}

/// One channel on its way through the pipeline.
struct Lane {
    setup: ChannelSetup,
    /// What it takes of the file.
    choice: Channels,
    front: Front,
    taken: u64,
    /// What its last utterance was in.
    spoken: Option<Spoken>,
}

type Answer = Receiver<Result<Hypothesis, AsrError>>;

/// An utterance whose text is on its way.
struct Decoding {
    lane: usize,
    heard: HeardUtterance,
    /// Its own lane and the others at that time.
    around: Vec<Around>,
    answer: Answer,
}

/// What became of a recording.
#[derive(Debug)]
pub struct Transcribed {
    /// Its text.
    pub transcript: Transcript,
    /// What is odd about the file.
    pub notes: Vec<Note>,
}

impl Offline {
    /// Transcribes a recording. `progress` is told the frames read so far.
    ///
    /// # Errors
    /// What reading the file gives; [`HearingError::NotInRecording`] for a channel the file does not have.
    pub fn transcribe(&self, recording: Recording, mut progress: impl FnMut(u64)) -> Result<Transcribed, HearingError> {
        let hearing = HearingId::new(self.world.draw_id());
        let mut file = recording.file;
        let mut lanes = self.lanes(&file, &recording.channels, &recording.languages, &recording.name)?;
        let mut decoding = Vec::new();
        let mut segments = Vec::new();
        let (count, encoding) = (file.channels(), file.encoding());
        let ears = Ears::new(lanes.iter().map(|lane| (lane.setup.id, lane.setup.format.rate)));
        let mut ears = ears.map_err(|source| HearingError::Audio { channel: FIRST, source })?;
        let audio_error = |source| HearingError::Audio { channel: FIRST, source };
        while let Some(block) = file.next_block().map_err(audio_error)? {
            for (index, lane) in lanes.iter_mut().enumerate() {
                let bytes = channel_bytes(&block.bytes, encoding, count, &lane.choice).map_err(audio_error)?;
                lane.taken += (bytes.len() / lane.setup.format.encoding.bytes_per_sample()) as u64;
                let heard = lane.front.push(&bytes);
                let heard = heard.map_err(|source| HearingError::Audio { channel: lane.setup.id, source })?;
                ended_in(heard).for_each(|heard| ears.wait(index, heard));
                if ears.compare() {
                    let mut samples = Vec::new();
                    format::decode(lane.setup.format.encoding, &bytes, &mut samples).map_err(audio_error)?;
                    ears.push(index, &samples);
                }
            }
            self.decode(&lanes, ears.ready(false), &mut decoding);
            progress(block.first_frame);
            // Enough to keep every thread busy, and no more audio in memory than that.
            while decoding.len() > self.pool.workers() * 2 {
                segments.extend(self.gather(hearing, &mut lanes, decoding.remove(0))?);
            }
        }
        for (index, lane) in lanes.iter_mut().enumerate() {
            ended_in(lane.front.finish()).for_each(|heard| ears.wait(index, heard));
        }
        self.decode(&lanes, ears.ready(true), &mut decoding);
        for utterance in decoding {
            segments.extend(self.gather(hearing, &mut lanes, utterance)?);
        }
        let transcript = Transcript::from_entries(hearing, &self.entries(&recording.name, &lanes, segments))?;
        Ok(Transcribed { transcript, notes: file.notes().to_vec() })
    }

    fn lanes(
        &self,
        file: &AudioFile,
        channels: &Channels,
        languages: &AllowedLanguages,
        name: &str,
    ) -> Result<Vec<Lane>, HearingError> {
        let count = file.channels();
        let ids: Vec<ChannelId> = match channels {
            Channels::Mix => vec![FIRST],
            Channels::Auto | Channels::Split => {
                (1..=count).filter_map(|n| ChannelId::new(u8::try_from(n).ok()?)).collect()
            }
            Channels::Only(ids) => ids.clone(),
        };
        let mixed = *channels == Channels::Mix && count > 1;
        ids.into_iter().map(|id| self.lane(file, (id, mixed), languages, name)).collect()
    }

    fn lane(
        &self,
        file: &AudioFile,
        (id, mixed): (ChannelId, bool),
        languages: &AllowedLanguages,
        name: &str,
    ) -> Result<Lane, HearingError> {
        if id.index() >= file.channels() {
            return Err(HearingError::NotInRecording { channel: id, channels: file.channels() });
        }
        let encoding = if mixed { Encoding::PcmF32Le } else { file.encoding() };
        let format = AudioFormat { encoding, rate: file.rate() };
        let front = Front::new(format, SamplePos::ZERO, &self.front, (self.detectors)())
            .map_err(|source| HearingError::Front { channel: id, source })?;
        let label = if file.channels() > 1 && !mixed { format!("{name} {id}") } else { name.to_owned() };
        let label = Label::try_from(label).map_err(|source| HearingError::Reference { source })?;
        let choice = if mixed { Channels::Mix } else { Channels::Only(vec![id]) };
        Ok(Lane {
            setup: ChannelSetup { id, label, languages: languages.clone(), format },
            choice,
            front,
            taken: 0,
            spoken: None,
        })
    }

    fn decode(&self, lanes: &[Lane], ready: Vec<Surrounded>, decoding: &mut Vec<Decoding>) {
        for Surrounded { lane, heard, around } in ready {
            let setup = &lanes[lane].setup;
            let answer = self.submit(lane, setup, &heard, &setup.languages);
            decoding.push(Decoding { lane, heard, around, answer });
        }
    }

    fn submit(
        &self,
        lane: usize,
        setup: &ChannelSetup,
        heard: &HeardUtterance,
        languages: &AllowedLanguages,
    ) -> Answer {
        let (reply, answer): (SyncSender<_>, _) = sync_channel(1);
        self.pool.submit(Job {
            stream: lane as u64,
            samples: heard.utterance.samples.clone(),
            start: heard.utterance.span.start(),
            languages: languages.clone(),
            pass: Pass::Final,
            lead: lead::of(self.glossary.as_deref(), setup, &heard.utterance),
            urgency: Urgency::Late,
            cancel: CancelFlag::default(),
            // The channel holds one answer, and one comes.
            reply: Box::new(move |outcome| drop(reply.send(outcome))),
            span: tracing::Span::current(),
        });
        answer
    }

    /// The segments of an utterance. As in a stream, what cannot be decoded is kept without words, and flagged.
    fn gather(&self, hearing: HearingId, lanes: &mut [Lane], decoding: Decoding) -> Result<Vec<Segment>, HearingError> {
        let Decoding { lane, heard, around, answer } = decoding;
        let Lane { setup, spoken, .. } = &mut lanes[lane];
        let received = |answer: Answer| answer.recv().unwrap_or(Err(AsrError::WorkerGone));
        let mut outcome = received(answer);
        if outcome.as_ref().is_err_and(AsrError::may_pass) {
            outcome = received(self.submit(lane, setup, &heard, &setup.languages));
        }
        let settled = outcome.as_ref().ok().and_then(|heard| Settled::of(heard, setup, spoken.as_ref()));
        let other = outcome.as_ref().ok().zip(settled.as_ref()).and_then(|(heard, settled)| settled.otherwise(heard));
        if let Some(other) = other {
            outcome = received(self.submit(lane, setup, &heard, &other));
        }
        let mut hypothesis = match outcome {
            Ok(hypothesis) => hypothesis,
            Err(error @ (AsrError::Cancelled | AsrError::WorkerGone | AsrError::ProcessNotStarted { .. })) => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::error!(%error, "an utterance could not be decoded; it is kept without words");
                compose::wordless(&heard, setup)
            }
        };
        if let Some(settled) = &settled {
            settled.tell(&mut hypothesis);
        }
        let mut segments = {
            let (info, glossary) = (self.recognizer.info(Pass::Final), self.glossary.as_deref());
            compose::segments(hearing, setup, &heard, hypothesis, info, glossary)
        };
        if let Some((settled, first)) = settled.zip(segments.first_mut()) {
            settled.note(first);
        }
        for segment in &mut segments {
            *spoken = Some(Spoken { language: segment.language.clone(), leaning: segment.leaning.clone() });
            if let [own, others @ ..] = around.as_slice() {
                label(segment, own, others, || (self.detectors)());
            }
        }
        Ok(segments)
    }

    /// The record that a hearing with this text would have.
    fn entries(&self, name: &str, lanes: &[Lane], mut segments: Vec<Segment>) -> Vec<Entry> {
        segments.sort_by_key(|s| (s.span.start().at(s.rate), s.channel));
        let channels: Vec<ChannelSetup> = lanes.iter().map(|l| l.setup.clone()).collect();
        let mut changes = vec![Change::HearingOpened {
            reference: name.to_owned(),
            channels,
            resume: None,
            recognition: Recognition::Live,
            imported: None,
        }];
        for lane in lanes {
            let (channel, class) = (lane.setup.id, IntervalClass::Open);
            let first_sample = SamplePos::ZERO;
            changes.push(Change::IntervalBegan { channel, first_sample, class, end: None, order: None });
        }
        changes.extend(segments.into_iter().map(|s| Change::SegmentCommitted { segment: Box::new(s) }));
        for lane in lanes {
            let span = Span::new(SamplePos::ZERO, SamplePos::new(lane.taken));
            let (channel, class) = (lane.setup.id, IntervalClass::Open);
            changes.extend(span.map(|span| Change::AudioStored { channel, span, class }));
        }
        changes.push(Change::HearingClosed {});
        let by = Attribution {
            actor: Actor { kind: ActorKind::Program, id: "transcribe".to_owned() },
            purpose: Purpose::Collection,
            at: self.world.now(),
        };
        let numbered = (1..).zip(changes);
        numbered.map(|(n, change)| Entry { seq: EntrySeq::new(n), change, by: by.clone() }).collect()
    }
}

/// The utterances that ended.
fn ended_in(heard: Vec<Heard>) -> impl Iterator<Item = HeardUtterance> {
    heard.into_iter().filter_map(|event| match event {
        Heard::Ended(heard) => Some(*heard),
        Heard::SpeechBegan(_) | Heard::Partial(_) | Heard::MayEnd(_) | Heard::GoesOn => None,
    })
}

/// The bytes that one lane takes of a block of interleaved ones: a channel's own, or with [`Channels::Mix`] the mean of all
/// as 32-bit floats.
///
/// # Errors
/// What decoding the block gives.
pub fn channel_bytes(
    interleaved: &[u8],
    encoding: Encoding,
    channels: usize,
    choice: &Channels,
) -> Result<Vec<u8>, AudioError> {
    match choice {
        Channels::Mix if channels > 1 => mix(interleaved, encoding, channels),
        Channels::Only(ids) if channels > 1 => {
            let mut bytes = vec![Vec::new(); channels];
            format::deinterleave(encoding, interleaved, &mut bytes)?;
            let index = ids.first().map_or(0, |id| id.index());
            Ok(if index < channels { bytes.swap_remove(index) } else { Vec::new() })
        }
        Channels::Mix | Channels::Only(_) | Channels::Auto | Channels::Split => Ok(interleaved.to_vec()),
    }
}

fn mix(interleaved: &[u8], encoding: Encoding, channels: usize) -> Result<Vec<u8>, AudioError> {
    let samples = split(interleaved, encoding, channels)?;
    let share = 1.0 / f32::from(u8::try_from(channels).unwrap_or(1));
    let frames = samples.first().map_or(0, Vec::len);
    let mean = |n: usize| samples.iter().map(|s| s[n]).sum::<f32>() * share;
    let mut bytes = Vec::with_capacity(frames * 4);
    format::encode(Encoding::PcmF32Le, &(0..frames).map(mean).collect::<Vec<_>>(), &mut bytes);
    Ok(bytes)
}

/// The channel that an error of the file itself is told of.
const FIRST: ChannelId = match ChannelId::new(1) {
    Some(first) => first,
    None => unreachable!(),
};
