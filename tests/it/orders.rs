//! Orders about what is recorded, and the accounts, as clients of the service see them.

use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use vivavoce::api::grpc::pb::{
    self, record_entry::Change as Entry, stream_request::Kind as In, stream_response::Kind as Out,
    transcription_client::TranscriptionClient, watch_hearing_response::Kind as Seen,
};

use crate::support::{
    scripted::{RATE, ScriptedServer, Voice},
    server::{Open, audio, channel, connect, format},
};

/// A hearing that is streamed into.
struct Session {
    client: TranscriptionClient<Channel>,
    hearing: String,
    token: String,
    stream: Open,
    voice: Voice,
}

impl Session {
    async fn begin(server: &ScriptedServer) -> Self {
        let mut client = connect(server.address).await;
        let request = pb::OpenHearingRequest {
            channels: vec![channel(1, "witness", &["en"], format(pb::Encoding::PcmS16le, RATE))],
            ..Default::default()
        };
        let opened = client.open_hearing(request).await.unwrap().into_inner();
        let start = pb::StreamStart { hearing_id: opened.hearing_id.clone(), partials: true, ..Default::default() };
        let stream = Open::new(&mut client, vec![In::Start(start)]).await.unwrap();
        Self { client, hearing: opened.hearing_id, token: opened.resume_token, stream, voice: Voice::new(7) }
    }

    /// Speaks for so many seconds.
    async fn speak(&mut self, seconds: u32) {
        for _ in 0..seconds * 10 {
            let tenth: Vec<u8> =
                (0..RATE / 10).flat_map(|_| ((self.voice.next() * 32_000.0) as i16).to_le_bytes()).collect();
            self.stream.send(audio(1, &tenth)).await;
        }
    }

    async fn order(&self, first_sample: u64, class: pb::IntervalClass) {
        let event = pb::IntervalEvent {
            channel: 0,
            first_sample,
            interval_class: class.into(),
            ordered_by: "judge 7".to_owned(),
            reason: "talk with counsel".to_owned(),
            end_sample: None,
        };
        self.stream.send(In::Interval(event)).await;
    }

    /// Waits for the answer to an order.
    async fn ordered(&mut self) -> pb::IntervalBegan {
        loop {
            if let Out::IntervalBegan(began) = self.stream.next().await.unwrap() {
                return began;
            }
        }
    }

    async fn ledger(&mut self) -> pb::ChannelLedger {
        let request = pb::ReadLedgerRequest { hearing_id: self.hearing.clone() };
        let ledger = self.client.read_ledger(request).await.unwrap().into_inner();
        let channel = ledger.channels.into_iter().next().unwrap();
        let parts = channel.speech_samples
            + channel.non_speech_samples
            + channel.off_record_samples
            + channel.muted_samples
            + channel.gap_samples
            + channel.pending_samples;
        assert_eq!(parts, channel.length_samples, "the parts are the whole");
        channel
    }

    /// Ends the stream and waits for its results.
    async fn end(&mut self) {
        // The other side sees that nothing follows.
        self.stream.requests = tokio::sync::mpsc::channel(1).0;
        while self.stream.responses.message().await.unwrap().is_some() {}
    }

    /// Ends the stream, closes the hearing, and gives the entries that a reader with this token sees.
    async fn finish(mut self, token: &str) -> Vec<pb::RecordEntry> {
        self.end().await;
        let Self { mut client, hearing, .. } = self;
        client.close_hearing(pb::CloseHearingRequest { hearing_id: hearing.clone() }).await.unwrap();
        let request =
            pb::ReadRecordRequest { hearing_id: hearing, resume_token: token.to_owned(), ..Default::default() };
        client.read_record(request).await.unwrap().into_inner().entries
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_orders_by_sample_and_the_accounts_add_up() {
    let server = ScriptedServer::start().await;
    let mut session = Session::begin(&server).await;
    session.speak(20).await;
    // Late: ten seconds of it are stored already.
    session.order(80_001, pb::IntervalClass::OffRecord).await;
    let began = session.ordered().await;
    assert_eq!((began.first_sample, began.interval_class()), (80_001, pb::IntervalClass::OffRecord));
    assert_eq!((began.ordered_by.as_str(), began.reason.as_str()), ("judge 7", "talk with counsel"));
    session.speak(5).await;
    session.order(203_000, pb::IntervalClass::Open).await;
    session.ordered().await;
    session.speak(5).await;
    session
        .stream
        .send(In::Gap(pb::Gap { channel: 1, end_sample: 250_000, reason: pb::GapReason::DeviceLost.into() }))
        .await;
    session.speak(5).await;
    session.end().await;
    let ledger = session.ledger().await;
    assert_eq!(ledger.pending_samples, 0);
    assert_eq!(ledger.length_samples, 290_000);
    assert_eq!(ledger.off_record_samples, 203_000 - 80_001);
    assert_eq!(ledger.gap_samples, 10_000);
    let gap = ledger.runs.iter().find(|run| run.account() == pb::Account::Gap).unwrap();
    assert_eq!(gap.gap_reason(), pb::GapReason::DeviceLost);
    let entries = session.finish("").await;
    let destroyed: Vec<_> = entries
        .iter()
        .filter_map(|e| match e.change.as_ref().unwrap() {
            Entry::AudioDestroyed(gone) => Some((gone.span.unwrap().start_sample, gone.span.unwrap().end_sample)),
            _ => None,
        })
        .collect();
    assert_eq!(destroyed, [(80_001, 160_000)]);
    let text_off_the_record = entries.iter().any(|e| match e.change.as_ref().unwrap() {
        Entry::Segment(s) => s.span.unwrap().end_sample > 80_001 && s.span.unwrap().start_sample < 203_000,
        _ => false,
    });
    assert!(!text_off_the_record);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_session_cuts_off_who_has_no_token_and_nobody_else() {
    let server = ScriptedServer::start().await;
    let mut session = Session::begin(&server).await;
    let watch = |token: &str| pb::WatchHearingRequest {
        hearing_id: session.hearing.clone(),
        partials: true,
        resume_token: token.to_owned(),
        ..Default::default()
    };
    let (outside, inside, wrong) = (watch(""), watch(&session.token), watch("00"));
    let mut public = session.client.watch_hearing(outside.clone()).await.unwrap().into_inner();
    let mut court = session.client.watch_hearing(inside).await.unwrap().into_inner();
    assert_eq!(session.client.watch_hearing(wrong).await.unwrap_err().code(), Code::PermissionDenied);
    session.speak(10).await;
    session.order(80_000, pb::IntervalClass::Sealed).await;
    session.ordered().await;
    let refused = loop {
        match public.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the watch ended without a word"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    // Who comes back sees that it is closed, and nothing of what is said.
    let mut public = session.client.watch_hearing(outside).await;
    session.speak(10).await;
    session.order(160_000, pb::IntervalClass::Open).await;
    session.speak(10).await;
    let token = session.token.clone();
    let entries = session.finish("").await;
    let sealed = |e: &pb::RecordEntry| match e.change.as_ref().unwrap() {
        Entry::Withheld(w) => w.reason() == pb::WithheldReason::Sealed,
        Entry::Segment(s) => {
            let span = s.span.unwrap();
            assert!(span.end_sample <= 80_000 || span.start_sample >= 160_000, "sealed text is shown");
            false
        }
        _ => false,
    };
    assert!(entries.iter().any(sealed), "its place is kept");
    let mut seen = 0;
    while let Some(message) = court.message().await.unwrap() {
        if let Some(Seen::Entry(pb::RecordEntry { change: Some(Entry::Segment(s)), .. })) = message.kind {
            seen += usize::from(s.span.unwrap().start_sample >= 80_000 && s.span.unwrap().end_sample <= 160_000);
        }
    }
    assert!(seen > 0, "the court sees what is said in closed session");
    assert!(!token.is_empty());
    if let Ok(public) = &mut public {
        let mut ended = None;
        while ended.is_none() {
            match public.get_mut().message().await {
                Ok(Some(message)) => {
                    if let Some(Seen::Entry(pb::RecordEntry { change: Some(Entry::Segment(s)), .. })) = message.kind {
                        let span = s.span.unwrap();
                        assert!(span.end_sample <= 80_000 || span.start_sample >= 160_000, "sealed text went out");
                    }
                }
                Ok(None) => ended = Some(Code::Ok),
                Err(status) => ended = Some(status.code()),
            }
        }
        // From the beginning of the record, it meets the closed session again.
        assert_eq!(ended, Some(Code::PermissionDenied));
    }
}

/// A client that takes next to nothing that it did not ask for.
async fn narrow(server: &ScriptedServer) -> TranscriptionClient<Channel> {
    let endpoint = Endpoint::from_shared(server.url()).unwrap().initial_stream_window_size(16);
    TranscriptionClient::new(endpoint.connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_read_is_cut_when_a_closed_session_begins() {
    let server = ScriptedServer::start().await;
    let mut session = Session::begin(&server).await;
    let watch = |token: &str| pb::WatchHearingRequest {
        hearing_id: session.hearing.clone(),
        resume_token: token.to_owned(),
        ..Default::default()
    };
    let mut client = narrow(&server).await;
    let mut public = client.watch_hearing(watch("")).await.unwrap().into_inner();
    let mut court = client.watch_hearing(watch(&session.token)).await.unwrap().into_inner();
    session.speak(30).await;
    // Texts are in the record, and the first wait for the watchers.
    session.stream.send(In::Marker(pb::Marker { id: 1 })).await;
    let mut texts = 0;
    while texts < 3 {
        texts += usize::from(matches!(session.stream.next().await.unwrap(), Out::Final(_)));
    }
    session.order(0, pb::IntervalClass::Sealed).await;
    session.ordered().await;
    session.speak(10).await;
    session.finish("").await;
    let text = |message: pb::WatchHearingResponse| {
        matches!(message.kind, Some(Seen::Entry(pb::RecordEntry { change: Some(Entry::Segment(_)), .. })))
    };
    let refused = loop {
        match public.message().await {
            Ok(Some(message)) => assert!(!text(message), "sealed text was sent after the order"),
            Ok(None) => panic!("the watch ended without a word"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let mut seen = 0;
    while let Some(message) = court.message().await.unwrap() {
        seen += usize::from(text(message));
    }
    assert!(seen >= texts, "who may stay misses nothing: {seen} of {texts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_slows_no_recorder() {
    const SECONDS: u64 = 120;
    let server = ScriptedServer::start().await;
    let mut session = Session::begin(&server).await;
    let mut client = narrow(&server).await;
    let watch = pb::WatchHearingRequest {
        hearing_id: session.hearing.clone(),
        resume_token: session.token.clone(),
        ..Default::default()
    };
    let _watched = client.watch_hearing(watch).await.unwrap();
    // The recorder of another hearing reads nothing either.
    let silent = Session::begin(&server).await;
    let start = pb::StreamStart {
        hearing_id: silent.hearing.clone(),
        resume_token: silent.token.clone(),
        partials: true,
        ..Default::default()
    };
    let mut silent = Session { stream: Open::new(&mut client, vec![In::Start(start)]).await.unwrap(), ..silent };
    let stored = |hearing: &str| {
        let hearing = hearing.parse().unwrap();
        let hearings = std::sync::Arc::clone(&server.hearings);
        async move { hearings.ledger(hearing).await.unwrap().0[0].length() }
    };
    for second in 1..=SECONDS {
        let acknowledged = async {
            silent.speak(1).await;
            session.speak(1).await;
            while !matches!(session.stream.next().await.unwrap(), Out::Stored(s) if s.durable_through_sample == second * 8_000)
            {
            }
        };
        let long = std::time::Duration::from_secs(30);
        tokio::time::timeout(long, acknowledged).await.expect("the acknowledgements go on");
    }
    session.end().await;
    // What the silent one sent is stored too: it waits for nobody to read its results.
    let hearing = silent.hearing.clone();
    session.client.close_hearing(pb::CloseHearingRequest { hearing_id: session.hearing.clone() }).await.unwrap();
    let all = async {
        while stored(&hearing).await < SECONDS * 8_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), all).await.expect("all of it is stored");
}

/// How much of the samples from 80,000 up to 160,000 a stream is told.
#[derive(Default)]
struct Told {
    texts: usize,
    /// Partials, and beginnings of speech.
    live: usize,
}

impl Told {
    /// Listens until `enough`, or to the end.
    async fn listen(&mut self, stream: &mut Open, enough: impl Fn(&Out) -> bool) {
        let within = |span: Option<pb::Span>| span.is_some_and(|s| s.start_sample < 160_000 && s.end_sample > 80_000);
        while let Some(said) = stream.next().await {
            match &said {
                Out::Final(text) => self.texts += usize::from(within(text.segment.as_ref().unwrap().span)),
                Out::Partial(partial) => self.live += usize::from(within(partial.span)),
                Out::SpeechBegan(began) => self.live += usize::from((80_000..160_000).contains(&began.first_sample)),
                _ => {}
            }
            if enough(&said) {
                return;
            }
        }
    }

    /// All that a stream is told that sends nothing.
    async fn of(session: &mut Session, start: pb::StreamStart) -> Self {
        let mut stream = Open::new(&mut session.client, vec![In::Start(start)]).await.unwrap();
        stream.requests = tokio::sync::mpsc::channel(1).0;
        let mut told = Self::default();
        told.listen(&mut stream, |_| false).await;
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_the_token_is_not_sent_what_is_said_in_closed_session() {
    let server = ScriptedServer::start().await;
    for shows in [false, true] {
        let mut session = Session::begin(&server).await;
        let (hearing, token) = (session.hearing.clone(), session.token.clone());
        let start = |after| pb::StreamStart {
            hearing_id: hearing.clone(),
            results_after_seq: after,
            resume_token: if shows { token.clone() } else { String::new() },
            partials: true,
        };
        session.end().await;
        // One that claims to know what is not there yet is told of orders all the same.
        session.stream = Open::new(&mut session.client, vec![In::Start(start(Some(u64::MAX)))]).await.unwrap();
        session.order(80_000, pb::IntervalClass::Sealed).await;
        session.ordered().await;
        session.order(160_000, pb::IntervalClass::Open).await;
        session.ordered().await;
        let mut told = Told::default();
        for second in 1..=30 {
            session.speak(1).await;
            // No faster than it is stored, so that what is heard counts as said just now.
            let stored = |said: &Out| matches!(said, Out::Stored(s) if s.durable_through_sample == second * 8_000);
            told.listen(&mut session.stream, stored).await;
        }
        session.stream.requests = tokio::sync::mpsc::channel(1).0;
        told.listen(&mut session.stream, |_| false).await;
        let Told { texts, live } = told;
        assert_eq!((texts > 0, live > 0), (shows, shows), "{texts} texts and {live} beginnings");
        // Who comes later gets what was missed, and of that nothing more than who was there.
        let texts = Told::of(&mut session, start(Some(0))).await.texts;
        assert_eq!(texts > 0, shows, "{texts} texts");
        assert_eq!(Told::of(&mut session, start(None)).await.texts, 0, "only what comes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_carried_out_is_refused_with_the_reason() {
    let server = ScriptedServer::start().await;
    let mut session = Session::begin(&server).await;
    session.speak(3).await;
    session.stream.send(In::Marker(pb::Marker { id: 1 })).await;
    let good = pb::OrderIntervalRequest {
        hearing_id: session.hearing.clone(),
        channel: 0,
        first_sample: Some(8_000),
        end_sample: Some(16_000),
        interval_class: pb::IntervalClass::Sealed.into(),
        ordered_by: "judge 7".to_owned(),
        reason: "a child speaks".to_owned(),
    };
    let placed = session.client.order_interval(good.clone()).await.unwrap().into_inner();
    assert_eq!(placed.intervals.len(), 1);
    let cases = [
        (
            pb::OrderIntervalRequest { reason: String::new(), ..good.clone() },
            Code::InvalidArgument,
            "who gave it and why",
        ),
        (
            pb::OrderIntervalRequest { end_sample: Some(8_000), ..good.clone() },
            Code::InvalidArgument,
            "before it begins",
        ),
        (pb::OrderIntervalRequest { channel: 9, ..good.clone() }, Code::InvalidArgument, "channel 9"),
        (pb::OrderIntervalRequest { channel: 17, ..good.clone() }, Code::InvalidArgument, "17"),
        (pb::OrderIntervalRequest { interval_class: 0, ..good.clone() }, Code::InvalidArgument, "class 0"),
        (
            pb::OrderIntervalRequest { interval_class: pb::IntervalClass::Open.into(), ..good.clone() },
            Code::PermissionDenied,
            "sealed from sample 8000",
        ),
        (pb::OrderIntervalRequest { hearing_id: uuid::Uuid::nil().to_string(), ..good }, Code::NotFound, "00000000"),
    ];
    for (request, code, says) in cases {
        let refused = session.client.order_interval(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(says), "{refused}");
    }
    let unknown = pb::ReadLedgerRequest { hearing_id: uuid::Uuid::nil().to_string() };
    assert_eq!(session.client.read_ledger(unknown).await.unwrap_err().code(), Code::NotFound);
    session.speak(1).await;
    session.finish("").await;
}
