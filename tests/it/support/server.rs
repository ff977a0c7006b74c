//! A real server with the real engine, and a client that speaks the wire's own types.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use vivavoce::{
    api::grpc::pb::{
        self, stream_request::Kind as In, stream_response::Kind as Out, transcription_client::TranscriptionClient,
    },
    app::{Engine, EngineSettings, Server, ServerSettings, isolation::Isolation},
    speech::profile::Profiles,
};

use super::{models::store_with, speech::Speech};

/// The engine with the default models, loaded once a process.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::load(&engine_settings()).unwrap())
}

/// The default models in this process.
pub(crate) fn engine_settings() -> EngineSettings {
    EngineSettings {
        models: store_with(&["base", "silero-vad"]).dir().canonicalize().unwrap(),
        model: "base".to_owned(),
        workers: 2,
        threads_per_worker: 1,
        profiles: Profiles::built_in("silero-vad"),
        partial_step_ms: 500,
        glossary: None,
        isolation: Isolation::None,
    }
}

/// A server with a data folder of its own.
pub(crate) struct Running {
    server: Option<Server>,
    data: TempDir,
    pub(crate) client: TranscriptionClient<Channel>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Running {
    /// Starts one on free ports.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts one after `adjust` changed its settings.
    pub(crate) async fn start_with(adjust: impl FnOnce(&mut ServerSettings)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut settings = ServerSettings {
            listen: anywhere,
            admin_listen: anywhere,
            data: data.path().join("data"),
            reserve: 0,
            max_streams: 16,
            live_channels: None,
            max_message_bytes: 4 << 20,
            drain: Duration::from_secs(60),
        };
        adjust(&mut settings);
        let server = Server::start(&settings, engine()).await.unwrap();
        let (address, admin) = (server.address(), server.admin_address());
        let client = connect(address).await;
        Self { server: Some(server), data, client, address, admin }
    }

    /// The folder of the record and the audio.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Stops the server; the folder lives as long as `self`.
    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await.unwrap();
    }

    /// Opens a hearing.
    pub(crate) async fn open(&mut self, channels: Vec<pb::Channel>) -> String {
        let request = pb::OpenHearingRequest { reference: "case 7 of 2026".to_owned(), channels, ..Default::default() };
        self.client.open_hearing(request).await.unwrap().into_inner().hearing_id
    }

    /// Closes a hearing; gives its last entry.
    pub(crate) async fn close(&mut self, hearing: &str) -> u64 {
        let request = pb::CloseHearingRequest { hearing_id: hearing.to_owned() };
        self.client.close_hearing(request).await.unwrap().into_inner().last_seq
    }

    /// Every entry of a record, read page by page.
    pub(crate) async fn entries(&mut self, hearing: &str, page_size: u32) -> Vec<pb::RecordEntry> {
        let (mut entries, mut after_seq) = (Vec::new(), 0);
        loop {
            let request = pb::ReadRecordRequest {
                hearing_id: hearing.to_owned(),
                after_seq,
                page_size,
                resume_token: String::new(),
            };
            let page = self.client.read_record(request).await.unwrap().into_inner();
            entries.extend(page.entries);
            match page.next_after_seq {
                Some(next) => after_seq = next,
                None => return entries,
            }
        }
    }

    /// Opens a hearing of one channel, streams `speech` in chunks of so many milliseconds, closes; gives what came back.
    pub(crate) async fn hear(&mut self, speech: &Speech, chunk_ms: usize) -> Heard {
        let hearing = self.open(vec![channel(1, "witness", &[&speech.language], speech.format)]).await;
        let chunks = speech.chunks_ms(chunk_ms).map(|samples| audio(1, samples)).collect();
        let heard = stream(&mut self.client, start(&hearing), chunks).await;
        self.close(&hearing).await;
        heard
    }
}

/// A client of its own connection.
pub(crate) async fn connect(address: SocketAddr) -> TranscriptionClient<Channel> {
    let client = TranscriptionClient::connect(format!("http://{address}")).await.unwrap();
    client.max_decoding_message_size(usize::MAX)
}

pub(crate) fn channel(number: u32, label: &str, languages: &[&str], format: pb::AudioFormat) -> pb::Channel {
    let languages = languages.iter().map(ToString::to_string).collect();
    pb::Channel { number, label: label.to_owned(), languages, format: Some(format) }
}

pub(crate) fn format(encoding: pb::Encoding, sample_rate_hz: u32) -> pb::AudioFormat {
    pb::AudioFormat { encoding: encoding.into(), sample_rate_hz }
}

/// The first message of a stream that wants partials and no earlier results.
pub(crate) fn start(hearing: &str) -> pb::StreamStart {
    pb::StreamStart { hearing_id: hearing.to_owned(), partials: true, ..pb::StreamStart::default() }
}

pub(crate) fn audio(channel: u32, samples: &[u8]) -> In {
    In::Audio(pb::AudioChunk { channel, samples: samples.to_vec(), ..pb::AudioChunk::default() })
}

/// A stream under way: what is put into `requests` goes to the server.
pub(crate) struct Open {
    pub(crate) requests: mpsc::Sender<pb::StreamRequest>,
    pub(crate) responses: Streaming<pb::StreamResponse>,
}

impl Open {
    /// Opens a stream with these as its first messages.
    pub(crate) async fn new(client: &mut TranscriptionClient<Channel>, first: Vec<In>) -> Result<Self, Status> {
        let (requests, outbox) = mpsc::channel(first.len().max(1));
        for kind in first {
            requests.try_send(pb::StreamRequest { kind: Some(kind) }).unwrap();
        }
        let responses = client.stream(ReceiverStream::new(outbox)).await?.into_inner();
        Ok(Self { requests, responses })
    }

    pub(crate) async fn send(&self, kind: In) {
        self.requests.send(pb::StreamRequest { kind: Some(kind) }).await.unwrap();
    }

    /// The next thing the server says.
    pub(crate) async fn next(&mut self) -> Option<Out> {
        self.responses.message().await.unwrap().map(|r| r.kind.unwrap())
    }

    /// Sends in the pace of a recorder, at `times` the speed of speech, until the server says what `enough` waits for.
    /// Gives the bytes that were not sent.
    pub(crate) async fn send_until<'a>(
        &mut self,
        speech: &'a Speech,
        times: u32,
        enough: impl Fn(&Out) -> bool,
    ) -> &'a [u8] {
        let mut pace = tokio::time::interval(Duration::from_millis(100) / times);
        let mut chunks = speech.chunks_ms(100);
        let mut sent = 0;
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    let Some(chunk) = chunks.next() else { panic!("all was said and nothing came of it") };
                    self.send(audio(1, chunk)).await;
                    sent += chunk.len();
                }
                said = self.responses.message() => {
                    if enough(&said.unwrap().unwrap().kind.unwrap()) {
                        return &speech.bytes[sent..];
                    }
                }
            }
        }
    }

    /// What is left to come while the input stays open.
    pub(crate) async fn rest(self) -> Heard {
        collect(self.responses).await
    }

    /// Ends the input and gives what is left to come.
    pub(crate) async fn finish(self) -> Heard {
        drop(self.requests);
        collect(self.responses).await
    }
}

/// All that came back of a stream.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) opened: Vec<pb::ChannelPosition>,
    pub(crate) stored: Vec<pb::AudioStored>,
    pub(crate) began: Vec<pb::SpeechBegan>,
    pub(crate) partials: Vec<pb::PartialResult>,
    pub(crate) finals: Vec<pb::FinalResult>,
    pub(crate) marks: Vec<(u64, usize)>,
    /// Orders that hold, as they were told.
    pub(crate) ordered: Vec<pb::IntervalBegan>,
    pub(crate) alarms: Vec<pb::ChannelAlarm>,
    pub(crate) statuses: Vec<pb::StreamStatus>,
    pub(crate) finished: Option<pb::StreamFinished>,
    /// What ended it where it was not finished.
    pub(crate) refused: Option<Status>,
}

impl Heard {
    /// The texts that captions would show, of a channel, in order.
    pub(crate) fn text(&self, channel: u32) -> String {
        let shown = self.segments(channel).filter(|s| s.captions() == pb::CaptionState::Shown);
        shown.map(|s| s.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn segments(&self, channel: u32) -> impl Iterator<Item = &pb::Segment> {
        self.finals.iter().map(|f| f.segment.as_ref().unwrap()).filter(move |s| s.channel == channel)
    }

    /// The finals without what differs from hearing to hearing: the entry and the id.
    pub(crate) fn comparable(&self) -> Vec<pb::Segment> {
        let plain = |f: &pb::FinalResult| pb::Segment { segment_id: String::new(), ..f.segment.clone().unwrap() };
        self.finals.iter().map(plain).collect()
    }

    /// The last position that was said to be durable, by channel.
    pub(crate) fn durable(&self) -> BTreeMap<u32, u64> {
        self.stored.iter().map(|s| (s.channel, s.durable_through_sample)).collect()
    }
}

/// Streams and gathers what comes back.
pub(crate) async fn stream(
    client: &mut TranscriptionClient<Channel>,
    start: pb::StreamStart,
    messages: Vec<In>,
) -> Heard {
    let requests = std::iter::once(In::Start(start)).chain(messages);
    raw_stream(client, requests.collect()).await
}

/// Streams these messages, whatever they are.
pub(crate) async fn raw_stream(client: &mut TranscriptionClient<Channel>, messages: Vec<In>) -> Heard {
    let requests: Vec<_> = messages.into_iter().map(|kind| pb::StreamRequest { kind: Some(kind) }).collect();
    match client.stream(tokio_stream::iter(requests)).await {
        Ok(responses) => collect(responses.into_inner()).await,
        Err(refused) => Heard { refused: Some(refused), ..Heard::default() },
    }
}

async fn collect(mut responses: Streaming<pb::StreamResponse>) -> Heard {
    let mut heard = Heard::default();
    loop {
        match responses.message().await {
            Ok(Some(response)) => take(&mut heard, response.kind.unwrap()),
            Ok(None) => return heard,
            Err(refused) => {
                heard.refused = Some(refused);
                return heard;
            }
        }
    }
}

fn take(heard: &mut Heard, kind: Out) {
    assert!(heard.finished.is_none(), "nothing comes after `finished`");
    match kind {
        Out::Opened(opened) => heard.opened = opened.positions,
        Out::Stored(stored) => heard.stored.push(stored),
        Out::SpeechBegan(began) => heard.began.push(began),
        Out::Partial(partial) => heard.partials.push(partial),
        Out::Final(result) if result.revised => {
            let id = |result: &pb::FinalResult| result.segment.as_ref().unwrap().segment_id.clone();
            let before =
                heard.finals.iter_mut().find(|one| id(one) == id(&result)).expect("there is one to be revised");
            before.segment = result.segment;
        }
        Out::Final(result) => heard.finals.push(result),
        Out::Status(status) => heard.statuses.push(status),
        Out::Marker(mark) => heard.marks.push((mark.id, heard.finals.len())),
        Out::IntervalBegan(began) => heard.ordered.push(began),
        Out::ChannelAlarm(alarm) => heard.alarms.push(alarm),
        Out::Finished(finished) => heard.finished = Some(finished),
    }
}

/// The journals of a data folder, in order of their names.
pub(crate) fn journals(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data.join("audio")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// What the admin port answers: status line and body.
pub(crate) async fn http(admin: SocketAddr, path: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(admin).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}
