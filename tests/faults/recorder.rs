//! A recorder: streams what it has, is broken off, goes on where the server says. It holds the server to what it promised:
//! what was acknowledged stays, and a text that was sent stays what it was.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport::Channel};
use vivavoce::api::grpc::pb::{
    self, stream_request::Kind as In, stream_response::Kind as Out, transcription_client::TranscriptionClient,
};

use crate::{dice::Dice, sound::Voice};

/// Nothing takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// Waits for `what`, not for ever.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(done) => done,
        Err(_late) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// A client with a connection of its own.
pub(crate) async fn connect(address: SocketAddr) -> TranscriptionClient<Channel> {
    let client = within("a connection", TranscriptionClient::connect(format!("http://{address}"))).await.unwrap();
    client.max_decoding_message_size(usize::MAX)
}

/// When a stream is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// When all results are there.
    Finished,
    /// After so many messages of this stream, sent.
    Sent(u64),
    /// After so many samples of this stream, acknowledged.
    Acknowledged(u64),
    /// After so many texts of this stream.
    Texts(u64),
    /// After so many samples of this stream, acknowledged, behind which it sends none, and a text of it.
    Told(u64),
}

/// How a stream was left.
#[derive(Debug)]
pub(crate) enum Left {
    /// All results are there.
    Finished,
    /// What was waited for came.
    Reached,
    /// The connection broke.
    Broken(Status),
}

/// How fast it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many seconds of audio ahead of what is acknowledged.
    Ahead(u64),
    /// So many times as fast as people speak.
    Times(u32),
    /// So many seconds of audio ahead of what has its results.
    Heard(u64),
}

/// So many seconds of audio a recorder sends ahead of what is acknowledged, if nothing else is asked for.
pub(crate) const AHEAD: u64 = 4;

/// Seconds between the marks of a recorder that waits for results.
const MARK: u64 = 30;

/// Told of a position.
pub(crate) type OnMark = Arc<dyn Fn(u64) + Send + Sync>;

/// A recorder with the audio of a hearing.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) voices: Vec<Voice>,
    pub(crate) hearing: String,
    pub(crate) token: String,
    /// Up to where each channel was acknowledged.
    pub(crate) acknowledged: Vec<u64>,
    /// The texts that came, by entry.
    pub(crate) texts: BTreeMap<u64, pb::Segment>,
    /// The longest that samples waited for their acknowledgement.
    pub(crate) slowest: Duration,
    /// How far results were behind, milliseconds, at worst.
    pub(crate) latest_ms: u64,
    pub(crate) pace: Pace,
    /// Told of each mark that came back: the second of the audio.
    pub(crate) on_mark: Option<OnMark>,
    /// Told of each acknowledgement of the first channel.
    pub(crate) on_stored: Option<OnMark>,
    /// The stream that was left, as it was: dropping it would tell the server that the input is over, which is no fault.
    left: Option<Arc<Mutex<Box<dyn Any + Send>>>>,
    dice: Dice,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("hearing", &self.hearing).finish_non_exhaustive()
    }
}

/// A stream of a recorder.
struct Streaming {
    next: Vec<u64>,
    /// What waits for its acknowledgement: up to which sample, sent when.
    waiting: Vec<VecDeque<(u64, Instant)>>,
    sent: u64,
    acknowledged: u64,
    texts: u64,
    turn: usize,
    begun: Instant,
    from: Vec<u64>,
    /// The second of the last mark that was set, and of the last that came back.
    marked: u64,
    heard: u64,
}

impl Recorder {
    /// Opens a hearing with `voices`.
    pub(crate) async fn open(address: SocketAddr, voices: Vec<Voice>, dice: Dice) -> Self {
        let channel = |voice: &Voice| pb::Channel {
            number: voice.number,
            label: "a seat".to_owned(),
            languages: vec!["en".to_owned()],
            format: Some(voice.format),
        };
        let request = pb::OpenHearingRequest { channels: voices.iter().map(channel).collect(), ..Default::default() };
        let opened = within("opening", connect(address).await.open_hearing(request)).await.unwrap().into_inner();
        Self::resumed(opened.hearing_id, opened.resume_token, voices, dice)
    }

    /// One that knows its hearing, and nothing of what happened to it.
    pub(crate) fn resumed(hearing: String, token: String, voices: Vec<Voice>, dice: Dice) -> Self {
        Self {
            acknowledged: vec![0; voices.len()],
            hearing,
            token,
            texts: BTreeMap::new(),
            slowest: Duration::ZERO,
            latest_ms: 0,
            pace: Pace::Ahead(AHEAD),
            on_mark: None,
            on_stored: None,
            left: None,
            voices,
            dice,
        }
    }

    /// Streams on from where the server says, until `until`.
    pub(crate) async fn stream(&mut self, address: SocketAddr, until: Until) -> Left {
        let Ok(client) = TranscriptionClient::connect(format!("http://{address}")).await else {
            return Left::Broken(Status::unavailable("nobody answers"));
        };
        let (requests, outbox) = mpsc::channel(4);
        let start = pb::StreamStart {
            hearing_id: self.hearing.clone(),
            results_after_seq: Some(self.texts.keys().next_back().copied().unwrap_or_default()),
            resume_token: self.token.clone(),
            partials: false,
        };
        requests.try_send(pb::StreamRequest { kind: Some(In::Start(start)) }).unwrap();
        let mut client = client.max_decoding_message_size(usize::MAX);
        let mut responses = match within("a stream", client.stream(ReceiverStream::new(outbox))).await {
            Ok(responses) => responses.into_inner(),
            Err(status) => return Left::Broken(status),
        };
        let mut streaming = match within("the first answer", responses.message()).await {
            Ok(first) => self.go_on(first.unwrap().kind.unwrap()),
            Err(status) => return Left::Broken(status),
        };
        let mut requests = Some(requests);
        loop {
            if self.reached(&streaming, until) {
                self.left = Some(Arc::new(Mutex::new(Box::new((requests, responses)))));
                return Left::Reached;
            }
            if self.all_sent(&streaming) {
                requests = None;
            }
            let enough = matches!(until, Until::Told(samples) if streaming.acknowledged >= samples);
            let ready = if enough { Ready::Never } else { self.may_send(&mut streaming) };
            tokio::select! {
                biased;
                said = within("an answer of the server", responses.message()) => match said {
                    Ok(Some(said)) => if self.heard(&mut streaming, said.kind.unwrap()) { return Left::Finished },
                    Ok(None) => panic!("the server ended the stream without a word"),
                    Err(status) => return Left::Broken(status),
                },
                () = ready.wait(), if requests.is_some() => {
                    let request = pb::StreamRequest { kind: Some(self.message(&mut streaming)) };
                    // Where the stream is over, the next answer says why.
                    drop(requests.as_ref().unwrap().send(request).await);
                }
            }
        }
    }

    /// The server says where each channel goes on: never before what it acknowledged.
    fn go_on(&self, first: Out) -> Streaming {
        let Out::Opened(opened) = first else { panic!("the first answer is {first:?}") };
        let next: Vec<u64> = opened.positions.iter().map(|p| p.next_sample).collect();
        for ((voice, acknowledged), next) in self.voices.iter().zip(&self.acknowledged).zip(&next) {
            let number = voice.number;
            assert!(
                next >= acknowledged,
                "channel {number}: {acknowledged} was acknowledged and the server is at {next}"
            );
            assert!(
                *next <= voice.length,
                "channel {number}: the server is at {next}, {} was never said",
                voice.length
            );
        }
        let waiting = vec![VecDeque::new(); next.len()];
        let begun = Instant::now();
        let marked = next[0] / self.voices[0].rate();
        Streaming {
            from: next.clone(),
            next,
            waiting,
            sent: 0,
            acknowledged: 0,
            texts: 0,
            turn: 0,
            begun,
            marked,
            heard: marked,
        }
    }

    fn reached(&self, streaming: &Streaming, until: Until) -> bool {
        match until {
            Until::Finished => false,
            Until::Sent(messages) => streaming.sent >= messages,
            Until::Acknowledged(samples) => streaming.acknowledged >= samples,
            Until::Texts(texts) => streaming.texts >= texts,
            Until::Told(samples) => streaming.acknowledged >= samples && streaming.texts > 0,
        }
    }

    fn all_sent(&self, streaming: &Streaming) -> bool {
        self.voices.iter().zip(&streaming.next).all(|(voice, next)| *next >= voice.length)
    }

    /// Chooses the channel whose turn it is: the one that is least far.
    fn may_send(&self, streaming: &mut Streaming) -> Ready {
        let far = |index: usize| streaming.next[index] as f64 / self.voices[index].rate() as f64;
        let left = (0..self.voices.len()).filter(|index| streaming.next[*index] < self.voices[*index].length);
        let Some(turn) = left.min_by(|a, b| far(*a).total_cmp(&far(*b))) else { return Ready::Never };
        streaming.turn = turn;
        let rate = self.voices[turn].rate();
        match self.pace {
            Pace::Ahead(seconds) => {
                let ahead = streaming.next[turn].saturating_sub(self.acknowledged[turn].max(streaming.from[turn]));
                if ahead < seconds * rate { Ready::Now } else { Ready::Never }
            }
            Pace::Heard(seconds) => {
                let ahead = streaming.next[turn] / rate < streaming.heard + seconds;
                if ahead { Ready::Now } else { Ready::Never }
            }
            Pace::Times(times) => {
                let said = (streaming.next[turn] - streaming.from[turn]) as f64 / rate as f64 / f64::from(times);
                Ready::At(streaming.begun + Duration::from_secs_f64(said))
            }
        }
    }

    /// The next message: audio, or a mark where one is due.
    fn message(&mut self, streaming: &mut Streaming) -> In {
        let second = streaming.next[streaming.turn] / self.voices[streaming.turn].rate();
        if matches!(self.pace, Pace::Heard(_)) && second >= streaming.marked + MARK {
            streaming.marked = second;
            return In::Marker(pb::Marker { id: second });
        }
        In::Audio(self.chunk(streaming))
    }

    /// The next chunk of the channel whose turn it is, 20 to 250 ms of it.
    fn chunk(&mut self, streaming: &mut Streaming) -> pb::AudioChunk {
        let voice = &self.voices[streaming.turn];
        let start = streaming.next[streaming.turn];
        let length = match self.pace {
            Pace::Ahead(_) => self.dice.between(voice.rate() / 50, voice.rate() / 4),
            Pace::Heard(_) => voice.rate(),
            // Larger where a second is short, so that messages do not cost more than audio.
            Pace::Times(times) => voice.rate() / 10 * u64::from(times).clamp(1, 10),
        };
        let end = (start + length).min(voice.length);
        streaming.next[streaming.turn] = end;
        streaming.waiting[streaming.turn].push_back((end, Instant::now()));
        streaming.sent += 1;
        let samples = voice.bytes(start, end);
        let crc32c = Some(crc32c::crc32c(&samples));
        pb::AudioChunk { channel: voice.number, first_sample: Some(start), sequence: streaming.sent, samples, crc32c }
    }

    /// Takes note of what the server said; true for the last word.
    fn heard(&mut self, streaming: &mut Streaming, said: Out) -> bool {
        match said {
            Out::Stored(stored) => {
                let index = self.voices.iter().position(|v| v.number == stored.channel).unwrap();
                let through = stored.durable_through_sample;
                assert!(through <= streaming.next[index], "what was never sent is acknowledged");
                while let Some((_, sent)) = streaming.waiting[index].pop_front_if(|(end, _)| *end <= through) {
                    self.slowest = self.slowest.max(sent.elapsed());
                }
                let before = self.acknowledged[index].max(streaming.from[index]);
                streaming.acknowledged += through.saturating_sub(before);
                self.acknowledged[index] = self.acknowledged[index].max(through);
                if let Some(tell) = self.on_stored.as_ref().filter(|_| index == 0) {
                    tell(through);
                }
            }
            Out::Final(text) => {
                streaming.texts += 1;
                let segment = text.segment.unwrap();
                let before = self.texts.insert(text.seq, segment.clone());
                assert!(before.is_none_or(|before| before == segment), "entry {} changed", text.seq);
            }
            Out::Status(status) => self.latest_ms = self.latest_ms.max(status.lag_ms),
            Out::Finished(finished) => {
                let ends: Vec<u64> = finished.positions.iter().map(|p| p.next_sample).collect();
                assert_eq!(ends, self.voices.iter().map(|v| v.length).collect::<Vec<_>>(), "all is there");
                return true;
            }
            Out::Marker(mark) => {
                streaming.heard = mark.id;
                if let Some(tell) = &self.on_mark {
                    tell(mark.id);
                }
            }
            Out::SpeechBegan(_) | Out::Partial(_) | Out::IntervalBegan(_) | Out::ChannelAlarm(_) => {}
            Out::Opened(_) => panic!("the stream was opened twice"),
        }
        false
    }

    /// Streams what is left and closes the hearing. Gives every text.
    pub(crate) async fn finish(&mut self, address: SocketAddr) -> Vec<pb::Segment> {
        match self.stream(address, Until::Finished).await {
            Left::Finished => {}
            other => panic!("the rest was not taken: {other:?}"),
        }
        self.close(address).await
    }

    /// Closes the hearing. Gives every text of its record; what came before is what the record holds.
    pub(crate) async fn close(&self, address: SocketAddr) -> Vec<pb::Segment> {
        let request = pb::CloseHearingRequest { hearing_id: self.hearing.clone() };
        within("closing", connect(address).await.close_hearing(request)).await.unwrap();
        self.texts(address).await
    }

    /// Orders that samples of a channel are not recorded; the answer says whether the server takes such an order.
    pub(crate) async fn order(
        &self,
        address: SocketAddr,
        channel: u32,
        (first, end): (u64, u64),
        class: pb::IntervalClass,
    ) -> Result<(), Status> {
        let request = pb::OrderIntervalRequest {
            hearing_id: self.hearing.clone(),
            channel,
            first_sample: Some(first),
            end_sample: Some(end),
            interval_class: class.into(),
            ordered_by: "a judge".to_owned(),
            reason: "counsel and client".to_owned(),
        };
        within("an order", connect(address).await.order_interval(request)).await.map(drop)
    }

    /// Whether its hearing is closed.
    pub(crate) async fn is_closed(&self, address: SocketAddr) -> bool {
        let request = pb::ReadRecordRequest { hearing_id: self.hearing.clone(), ..pb::ReadRecordRequest::default() };
        let page = within("the record", connect(address).await.read_record(request)).await.unwrap().into_inner();
        page.hearing.unwrap().closed
    }

    /// Every text of the record; what was sent before is what it holds.
    pub(crate) async fn texts(&self, address: SocketAddr) -> Vec<pb::Segment> {
        let record = self.record(address).await;
        for (seq, sent) in &self.texts {
            assert!(record.get(seq) == Some(sent), "the text of entry {seq} was sent and is not what the record holds");
        }
        comparable(record.into_values().collect())
    }

    /// Every text of the record, by entry.
    pub(crate) async fn record(&self, address: SocketAddr) -> BTreeMap<u64, pb::Segment> {
        let segment = |entry: pb::RecordEntry| match entry.change {
            Some(pb::record_entry::Change::Segment(segment) | pb::record_entry::Change::SegmentRevised(segment)) => {
                Some((entry.seq, segment))
            }
            _ => None,
        };
        self.entries(address).await.into_iter().filter_map(segment).collect()
    }

    /// Follows the record until the service is on its normal step again; gives the steps it took, down and up.
    pub(crate) async fn steps_up(&self, address: SocketAddr) -> Vec<u32> {
        let hearing_id = self.hearing.clone();
        let request = pb::WatchHearingRequest {
            hearing_id,
            resume_token: self.token.clone(),
            ..pb::WatchHearingRequest::default()
        };
        let mut watched = connect(address).await.watch_hearing(request).await.unwrap().into_inner();
        let mut steps = Vec::new();
        while steps.last() != Some(&0) {
            let message = within("the way up", watched.message()).await.unwrap().expect("the hearing is open");
            if let Some(pb::watch_hearing_response::Kind::Entry(entry)) = message.kind
                && let Some(pb::record_entry::Change::LoadStepped(stepped)) = entry.change
            {
                steps.push(stepped.step);
            }
        }
        steps
    }

    /// Every entry of the record.
    pub(crate) async fn entries(&self, address: SocketAddr) -> Vec<pb::RecordEntry> {
        let (mut client, mut record, mut after_seq) = (connect(address).await, Vec::new(), 0);
        loop {
            let request = pb::ReadRecordRequest {
                hearing_id: self.hearing.clone(),
                after_seq,
                page_size: 0,
                resume_token: self.token.clone(),
            };
            let page = within("a page of the record", client.read_record(request)).await.unwrap().into_inner();
            record.extend(page.entries);
            match page.next_after_seq {
                Some(next) => after_seq = next,
                None => return record,
            }
        }
    }
}

/// When the next message may go.
#[derive(Clone, Copy)]
enum Ready {
    Now,
    At(Instant),
    Never,
}

impl Ready {
    async fn wait(self) {
        match self {
            Self::Now => {}
            Self::At(at) => tokio::time::sleep_until(at.into()).await,
            Self::Never => std::future::pending().await,
        }
    }
}

/// Texts without what differs from hearing to hearing (their ids) and from sitting to sitting (what was shown before they were
/// there, which nobody sees of what is caught up with), in order of channel and time.
pub(crate) fn comparable(record: Vec<pb::Segment>) -> Vec<pb::Segment> {
    // The last of those with the same id stands.
    let standing: BTreeMap<String, pb::Segment> = record.into_iter().map(|s| (s.segment_id.clone(), s)).collect();
    let mut texts: Vec<pb::Segment> = standing.into_values().collect();
    for segment in &mut texts {
        segment.segment_id.clear();
        segment.replaced = None;
        segment.flags.retain(|flag| flag.code() != pb::FlagCode::LiveDisagrees);
    }
    texts.sort_by_key(|segment| (segment.channel, segment.span.map(|span| span.start_sample)));
    texts
}
