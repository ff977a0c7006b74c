//! What is wrong gets a clear error; the server lives, and other hearings do not notice.

use std::net::SocketAddr;

use tonic::{Code, Status};
use vivavoce::{
    api::grpc::pb::{self, stream_request::Kind as In},
    domain::audio::Encoding,
};

use crate::support::{
    server::{Heard, Open, Running, audio, channel, connect, format, raw_stream, start, stream},
    speech::Speech,
};

const S16: pb::Encoding = pb::Encoding::PcmS16le;

/// A server and a hearing in it that goes on while others misbehave.
struct Court {
    running: Running,
    speech: Speech,
    undisturbed: Vec<pb::Segment>,
    witness: Option<Open>,
    half: usize,
}

impl Court {
    /// One hearing to its end, as the measure; then another, halfway.
    async fn in_session() -> Self {
        let mut running = Running::start().await;
        let speech = Speech::english();
        let undisturbed = running.hear(&speech, 100).await.comparable();
        let hearing = running.open(vec![channel(1, "witness", &[&speech.language], speech.format)]).await;
        let mut witness = Open::new(&mut running.client, vec![In::Start(start(&hearing))]).await.unwrap();
        assert!(matches!(witness.next().await, Some(pb::stream_response::Kind::Opened(_))));
        let half = speech.bytes.len() / 2 / speech.frame() * speech.frame();
        let court = Self { running, speech, undisturbed, witness: Some(witness), half };
        court.say(0..half).await;
        court
    }

    async fn say(&self, range: std::ops::Range<usize>) {
        let witness = self.witness.as_ref().unwrap();
        for chunk in self.speech.bytes[range].chunks(self.speech.frame() * 1_600) {
            witness.send(audio(1, chunk)).await;
        }
    }

    /// The hearing goes on to its end, and has the text it would have had.
    async fn goes_on(mut self) {
        self.say(self.half..self.speech.bytes.len()).await;
        let heard = self.witness.take().unwrap().finish().await;
        assert!(heard.refused.is_none(), "{:?}", heard.refused);
        assert_eq!(heard.comparable(), self.undisturbed);
        assert!(heard.finished.is_some());
        self.running.stop().await;
    }

    async fn fresh(&mut self, format: pb::AudioFormat) -> String {
        self.running.open(vec![channel(1, "witness", &["en"], format)]).await
    }

    async fn opening(&mut self, channels: Vec<pb::Channel>) -> Status {
        let request = pb::OpenHearingRequest { channels, ..Default::default() };
        self.running.client.open_hearing(request).await.unwrap_err()
    }

    /// What a stream into a fresh hearing of 16-bit samples at 16 kHz comes to.
    async fn streaming(&mut self, messages: impl FnOnce(String) -> Vec<In>) -> Heard {
        let hearing = self.fresh(format(S16, 16_000)).await;
        raw_stream(&mut self.running.client, messages(hearing)).await
    }

    async fn refused(&mut self, messages: impl FnOnce(String) -> Vec<In>) -> Status {
        self.streaming(messages).await.refused.expect("it is refused")
    }
}

#[track_caller]
fn says(status: &Status, code: Code, parts: &[&str]) {
    assert_eq!(status.code(), code, "{status:?}");
    for part in parts {
        assert!(status.message().contains(part), "{part:?} is not in {:?}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hearings_that_cannot_be_opened() {
    let mut court = Court::in_session().await;
    let of = |rate| vec![channel(1, "witness", &["en"], format(S16, rate))];
    let many = |n: u32| (1..=n).map(|n| channel(n, "seat", &["en"], format(S16, 16_000))).collect::<Vec<_>>();
    says(&court.opening(many(0)).await, Code::InvalidArgument, &["0 channels", "1 to 16"]);
    says(&court.opening(many(17)).await, Code::InvalidArgument, &["17 channels", "1 to 16"]);
    says(&court.opening(of(1)).await, Code::InvalidArgument, &["1 Hz", "8000", "192000"]);
    says(&court.opening(of(10_000_000)).await, Code::InvalidArgument, &["10000000 Hz", "192000"]);
    says(&court.opening(of(0)).await, Code::InvalidArgument, &["0 Hz"]);
    let twice = [many(1), many(1)].concat();
    says(&court.opening(twice).await, Code::InvalidArgument, &["channel 1", "twice"]);
    for (languages, parts) in [
        (vec!["xx-invalid"], ["xx-invalid", "zh-Hant-TW"].as_slice()),
        (vec!["qu"], &["base", "qu", "channel 1"]),
        (vec!["not a tag"], &["not a tag"]),
        (vec![], &["language"]),
        ("en fr de es it pt nl ru cs pl sv da fi el tr ro hu".split(' ').collect(), &["17", "16"]),
    ] {
        let channels = vec![channel(1, "witness", &languages, format(S16, 16_000))];
        says(&court.opening(channels).await, Code::InvalidArgument, parts);
    }
    let zero = vec![channel(0, "witness", &["en"], format(S16, 16_000))];
    says(&court.opening(zero).await, Code::InvalidArgument, &["channel number 0", "1 and 16"]);
    let unspecified = vec![channel(1, "witness", &["en"], format(pb::Encoding::Unspecified, 16_000))];
    says(&court.opening(unspecified).await, Code::InvalidArgument, &["encoding"]);
    let formless = vec![pb::Channel { format: None, ..many(1).remove(0) }];
    says(&court.opening(formless).await, Code::InvalidArgument, &["format"]);
    let long = vec![channel(1, &"x".repeat(201), &["en"], format(S16, 16_000))];
    says(&court.opening(long).await, Code::InvalidArgument, &["200"]);
    let control = vec![channel(1, "wit\u{7}ness", &["en"], format(S16, 16_000))];
    says(&court.opening(control).await, Code::InvalidArgument, &["control"]);
    court.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_break_the_rules() {
    let mut court = Court::in_session().await;
    let silence = vec![0; 3_200];
    let chunk = |samples: &[u8]| audio(1, samples);
    let refused = court.refused(|_| vec![chunk(&silence)]).await;
    says(&refused, Code::InvalidArgument, &["first message", "start"]);
    let refused = court.refused(|h| vec![In::Start(start(&h)), In::Start(start(&h))]).await;
    says(&refused, Code::InvalidArgument, &["start", "twice"]);
    let unknown = "0192a1b2-0000-7000-8000-000000000000";
    let refused = court.refused(|_| vec![In::Start(start(unknown))]).await;
    says(&refused, Code::NotFound, &[unknown]);
    let refused = court.refused(|_| vec![In::Start(start("no uuid"))]).await;
    says(&refused, Code::InvalidArgument, &["no uuid"]);
    let refused = court.refused(|h| vec![In::Start(start(&h)), chunk(&silence[1..])]).await;
    says(&refused, Code::InvalidArgument, &["sample"]);
    let refused = court.refused(|h| vec![In::Start(start(&h)), audio(2, &silence)]).await;
    says(&refused, Code::InvalidArgument, &["channel 2"]);
    let refused = court.refused(|h| vec![In::Start(start(&h)), audio(17, &silence)]).await;
    says(&refused, Code::InvalidArgument, &["17"]);
    let at = |first_sample, sequence, crc32c| {
        let samples = silence.clone();
        In::Audio(pb::AudioChunk { channel: 1, first_sample, sequence, samples, crc32c })
    };
    let refused = court.refused(|h| vec![In::Start(start(&h)), at(Some(0), 1, None), at(Some(1_601), 2, None)]).await;
    says(&refused, Code::FailedPrecondition, &["1600", "1601"]);
    let heard = court.streaming(|h| vec![In::Start(start(&h)), at(Some(0), 1, None), at(Some(800), 2, None)]).await;
    assert_eq!(heard.finished.unwrap().positions[0].next_sample, 2_400, "half of it was there");
    let refused = court.refused(|h| vec![In::Start(start(&h)), at(None, 1, None), at(None, 3, None)]).await;
    says(&refused, Code::InvalidArgument, &["3", "2"]);
    let refused = court.refused(|h| vec![In::Start(start(&h)), at(None, 0, Some(1))]).await;
    says(&refused, Code::InvalidArgument, &["CRC-32C", "00000001"]);
    let good = crc32c::crc32c(&silence);
    let heard = court.streaming(|h| vec![In::Start(start(&h)), at(Some(0), 1, Some(good))]).await;
    assert_eq!(heard.finished.unwrap().positions[0].next_sample, 1_600);
    let token = |h: &str| pb::StreamStart { resume_token: "t".to_owned(), ..start(h) };
    let refused = court.refused(|h| vec![In::Start(token(&h))]).await;
    says(&refused, Code::PermissionDenied, &["resume token"]);
    let sealed =
        pb::IntervalEvent { channel: 1, interval_class: pb::IntervalClass::Sealed.into(), ..Default::default() };
    let refused = court.refused(|h| vec![In::Start(start(&h)), In::Interval(sealed)]).await;
    says(&refused, Code::InvalidArgument, &["who gave it and why"]);
    // What was taken before the fault is kept: the stream of a hearing goes on where it broke off.
    let hearing = court.fresh(format(S16, 16_000)).await;
    let broken = stream(&mut court.running.client, start(&hearing), vec![chunk(&silence), chunk(&silence[1..])]).await;
    assert!(broken.refused.is_some());
    let next = stream(&mut court.running.client, start(&hearing), Vec::new()).await;
    assert_eq!(next.opened[0].next_sample, 1_600);
    court.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_that_are_no_numbers() {
    let mut court = Court::in_session().await;
    for (value, word) in
        [(f32::NAN, "finite"), (f32::INFINITY, "finite"), (f32::NEG_INFINITY, "finite"), (1e30, "full scale")]
    {
        let hearing = court.fresh(format(pb::Encoding::PcmF32le, 16_000)).await;
        let mut samples = vec![0.0_f32; 1_600];
        samples[1_234] = value;
        let mut bytes = Vec::new();
        vivavoce::speech::audio::format::encode(Encoding::PcmF32Le, &samples, &mut bytes);
        // In the second of two seconds: the sample is counted from the beginning of the channel.
        let good = vec![0; 64_000];
        let messages = vec![audio(1, &good), audio(1, &bytes)];
        let heard = stream(&mut court.running.client, start(&hearing), messages).await;
        let refused = heard.refused.expect("it is refused");
        says(&refused, Code::InvalidArgument, &["17234", word]);
        let next = stream(&mut court.running.client, start(&hearing), Vec::new()).await;
        assert_eq!(next.opened[0].next_sample, 16_000, "what cannot be heard is not stored");
    }
    court.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_audio_is_no_fault() {
    let mut court = Court::in_session().await;
    let heard = court.streaming(|_| Vec::new()).await;
    says(&heard.refused.expect("nothing at all is refused"), Code::InvalidArgument, &["start"]);
    let heard = court.streaming(|h| vec![In::Start(start(&h))]).await;
    assert_eq!((heard.finished.unwrap().positions[0].next_sample, heard.finals.len()), (0, 0));
    let heard = court.streaming(|h| vec![In::Start(start(&h)), audio(1, &[])]).await;
    assert_eq!(heard.finished.unwrap().positions[0].next_sample, 0, "a chunk of nothing");
    let hundred_ms = court.speech.bytes[court.half..][..court.speech.frame() * 1_600].to_vec();
    let heard = court.streaming(|h| vec![In::Start(start(&h)), audio(1, &hundred_ms)]).await;
    assert_eq!(heard.finished.unwrap().positions[0].next_sample, 1_600);
    assert!(heard.refused.is_none());
    court.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hearings_that_are_not_there_or_not_open() {
    let mut court = Court::in_session().await;
    let hearing = court.fresh(format(S16, 16_000)).await;
    let close = |id: &str| pb::CloseHearingRequest { hearing_id: id.to_owned() };
    court.running.client.close_hearing(close(&hearing)).await.unwrap();
    let again = court.running.client.close_hearing(close(&hearing)).await.unwrap_err();
    says(&again, Code::FailedPrecondition, &[&hearing, "closed"]);
    let streamed = stream(&mut court.running.client, start(&hearing), Vec::new()).await.refused.unwrap();
    says(&streamed, Code::FailedPrecondition, &[&hearing, "closed"]);
    let unknown = "0192a1b2-0000-7000-8000-000000000000".to_owned();
    let client = &mut court.running.client;
    says(&client.close_hearing(close(&unknown)).await.unwrap_err(), Code::NotFound, &[&unknown]);
    let read =
        pb::ReadRecordRequest { hearing_id: unknown.clone(), after_seq: 0, page_size: 0, resume_token: String::new() };
    says(&client.read_record(read).await.unwrap_err(), Code::NotFound, &[&unknown]);
    let watch = pb::WatchHearingRequest {
        hearing_id: unknown.clone(),
        after_seq: 0,
        partials: false,
        resume_token: String::new(),
    };
    says(&client.watch_hearing(watch).await.unwrap_err(), Code::NotFound, &[&unknown]);
    let export =
        |id: &str, format| pb::ExportRecordRequest { hearing_id: id.to_owned(), format, resume_token: String::new() };
    let json = pb::ExportFormat::Json.into();
    says(&client.export_record(export(&unknown, json)).await.unwrap_err(), Code::NotFound, &[&unknown]);
    says(&client.export_record(export(&hearing, 99)).await.unwrap_err(), Code::InvalidArgument, &["99"]);
    court.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_stream_of_a_hearing_and_one_too_many() {
    let mut running = Running::start_with(|s| s.max_streams = 2).await;
    let [one, two, three] = [
        running.open(vec![channel(1, "a", &["en"], format(S16, 16_000))]).await,
        running.open(vec![channel(1, "b", &["en"], format(S16, 16_000))]).await,
        running.open(vec![channel(1, "c", &["en"], format(S16, 16_000))]).await,
    ];
    let mut client = running.client.clone();
    let mut first = Open::new(&mut client, vec![In::Start(start(&one))]).await.unwrap();
    assert!(matches!(first.next().await, Some(pb::stream_response::Kind::Opened(_))));
    let again = stream(&mut client, start(&one), Vec::new()).await.refused.unwrap();
    says(&again, Code::FailedPrecondition, &[&one]);
    let mut second = Open::new(&mut client, vec![In::Start(start(&two))]).await.unwrap();
    assert!(matches!(second.next().await, Some(pb::stream_response::Kind::Opened(_))));
    let many = stream(&mut client, start(&three), Vec::new()).await.refused.unwrap();
    says(&many, Code::ResourceExhausted, &["2"]);
    assert!(many.metadata().get("retry-after").is_some(), "it says when to come again");
    assert!(first.finish().await.finished.is_some());
    let third = stream(&mut client, start(&three), Vec::new()).await;
    assert!(third.finished.is_some(), "the place is free again: {:?}", third.refused);
    // Closing a hearing ends its stream well.
    let closing = running.close(&two).await;
    let ended = second.finish().await;
    assert_eq!(ended.refused.map(|s| s.code()), None);
    assert!(ended.finished.is_some() && closing > 0);
    // A client that goes away without a word leaves the hearing free.
    let hearing = running.open(vec![channel(1, "d", &["en"], format(S16, 16_000))]).await;
    let mut gone = Open::new(&mut connect(running.address).await, vec![In::Start(start(&hearing))]).await.unwrap();
    assert!(matches!(gone.next().await, Some(pb::stream_response::Kind::Opened(_))));
    drop(gone);
    running.close(&hearing).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_too_long() {
    let mut court = Court::in_session().await;
    let hearing = court.fresh(format(S16, 16_000)).await;
    // Its own connection: the server may cut it.
    let mut client = connect(court.running.address).await;
    let long = vec![0; (4 << 20) + 2];
    let refused = stream(&mut client, start(&hearing), vec![audio(1, &long)]).await.refused.expect("refused");
    says(&refused, Code::OutOfRange, &["4194304"]);
    let next = stream(&mut court.running.client, start(&hearing), Vec::new()).await;
    assert_eq!(next.opened[0].next_sample, 0, "the hearing is free again");
    let status = two_gibibytes(court.running.address).await;
    assert_eq!(status.as_deref(), Some("11"), "OUT_OF_RANGE from the length alone, before the message is there");
    court.goes_on().await;
}

/// Announces a message of 2 GiB on a stream call, as bytes on HTTP/2; gives the status that comes back.
async fn two_gibibytes(address: SocketAddr) -> Option<String> {
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    let driving = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}/vivavoce.v1.Transcription/Stream"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let mut client = client.ready().await.unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    let mut message = vec![0_u8];
    message.extend((2_u32 << 30).to_be_bytes());
    message.extend([0; 1_024]);
    body.send_data(message.into(), false).unwrap();
    let response = response.await.unwrap();
    let status = |headers: &http::HeaderMap| Some(headers.get("grpc-status")?.to_str().unwrap().to_owned());
    let mut found = status(response.headers());
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let _more = data.unwrap();
    }
    if let Ok(Some(trailers)) = body.trailers().await {
        found = found.or(status(&trailers));
    }
    driving.abort();
    found
}
