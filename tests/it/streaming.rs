//! Speech in, text out, over gRPC, with the real engine.

use std::collections::BTreeMap;

use vivavoce::{
    api::grpc::pb::{self, stream_request::Kind as In},
    domain::audio::Encoding,
    record::media::reader::JournalReader,
};

use crate::support::{
    server::{Heard, Open, Running, audio, channel, format, journals, start, stream},
    speech::{Folder, Speech, made_sounds, say, word_errors},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_audio_is_cut_into_messages_never_changes_the_text() {
    let mut running = Running::start().await;
    let speech = Speech::english();
    let all_at_once = running.hear(&speech, 60_000).await;
    assert!(speech.word_errors(&all_at_once.text(1)) < 15.0, "{}", all_at_once.text(1));
    for ms in [10, 37, 100, 1_000] {
        let heard = running.hear(&speech, ms).await;
        assert_eq!(heard.comparable(), all_at_once.comparable(), "chunks of {ms} ms");
    }
    // Sizes that fall on no boundary of anything: a sample, then 17, 289, ...
    let hearing = running.open(vec![channel(1, "witness", &[&speech.language], speech.format)]).await;
    let (mut rest, mut size, mut chunks) = (speech.bytes.as_slice(), 1, Vec::new());
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at((size * speech.frame()).min(rest.len()));
        chunks.push(audio(1, chunk));
        (rest, size) = (more, size * 17 % 9_973);
    }
    let heard = stream(&mut running.client, start(&hearing), chunks).await;
    assert_eq!(heard.comparable(), all_at_once.comparable(), "chunks of odd sizes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_channel_has_its_own_words_in_order_of_time_under_its_label() {
    let mut running = Running::start().await;
    let court = court();
    let channels = vec![
        channel(1, "witness", &["fr"], court.speech.format),
        channel(2, "interpreter for the witness", &["en"], court.speech.format),
    ];
    let hearing = running.open(channels.clone()).await;
    let chunks = court.speech.chunks_ms(100).map(|samples| audio(0, samples)).collect();
    let together = stream(&mut running.client, start(&hearing), chunks).await;
    let last = running.close(&hearing).await;
    for (number, label, own, other) in [
        (1, "witness", &court.references[0], &court.references[1]),
        (2, "interpreter for the witness", &court.references[1], &court.references[0]),
    ] {
        let text = together.text(number);
        let language = ["fr", "en"][number as usize - 1];
        let (right, wrong) = (word_errors(own, &text, language), word_errors(other, &text, language));
        assert!(right < 40.0 && wrong > 75.0, "channel {number}: {right} and {wrong}: {text}");
        assert!(together.segments(number).all(|s| s.label == label && s.language == language));
        ordered(&together, number);
    }
    // The documents have both channels in one order of time.
    let request = pb::ExportRecordRequest {
        hearing_id: hearing.clone(),
        format: pb::ExportFormat::Json.into(),
        resume_token: String::new(),
    };
    let mut pieces = running.client.export_record(request).await.unwrap().into_inner();
    let mut json = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        assert_eq!(piece.file_name, format!("{hearing}.json"));
        json.extend(piece.content);
    }
    let document: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let starts: Vec<u64> =
        document["segments"].as_array().unwrap().iter().map(|s| s["start_ms"].as_u64().unwrap()).collect();
    assert_eq!(starts.len(), together.finals.len());
    assert!(starts.is_sorted(), "{starts:?}");
    let entries = running.entries(&hearing, 3).await;
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>());

    // A message a channel in place of interleaved ones: the same words.
    let hearing = running.open(channels).await;
    let width = court.speech.frame() / 2;
    let alone =
        |chunk: &[u8], c: usize| chunk.chunks(2 * width).flat_map(|f| f[c * width..][..width].to_vec()).collect();
    let chunks = court.speech.chunks_ms(250).flat_map(|chunk| {
        let [first, second]: [Vec<u8>; 2] = [alone(chunk, 0), alone(chunk, 1)];
        [audio(2, &second), audio(1, &first)]
    });
    let apart = stream(&mut running.client, start(&hearing), chunks.collect()).await;
    for number in [1, 2] {
        let of = |heard: &Heard| heard.comparable().into_iter().filter(|s| s.channel == number).collect::<Vec<_>>();
        assert_eq!(of(&apart), of(&together), "channel {number}");
    }
}

/// Segments follow each other, and their words lie in them, in order.
fn ordered(heard: &Heard, number: u32) {
    let mut end = 0;
    for segment in heard.segments(number) {
        let span = segment.span.unwrap();
        assert!(span.start_sample >= end && span.end_sample > span.start_sample, "{span:?} after {end}");
        end = span.end_sample;
        let mut at = span.start_sample;
        for word in &segment.words {
            let span = word.span.unwrap();
            assert!(span.start_sample >= at && span.end_sample >= span.start_sample, "{span:?} after {at}");
            assert!((0.0..=1.0).contains(&word.score));
            at = span.end_sample;
        }
        assert!(at <= end, "the last word ends at {at}, the segment at {end}");
    }
}

struct Court {
    speech: Speech,
    references: [String; 2],
}

/// A witness and an interpreter on two channels.
fn court() -> Court {
    let folder = Folder::any();
    if let (Some(one), Some(two)) = (folder.item("court-fr-en-leak.ch1"), folder.item("court-fr-en-leak.ch2")) {
        let clean = folder.item("court-fr-en.ch1").unwrap_or(one);
        // The beginning of the clean one is what the short one repeats with cross-talk.
        let mut speech = folder.load(clean);
        let frames = folder.load(one).frames();
        speech.bytes.truncate(usize::try_from(frames).unwrap() * speech.frame());
        return Court { speech, references: [one.reference.clone(), two.reference.clone()] };
    }
    // A sentence on each channel, the second behind the first.
    let of = |language: &str| {
        let spoken = |i: &&vivavoce::evaluation::table::Item| {
            i.language.as_ref().is_some_and(|l| l.to_string().starts_with(language))
        };
        folder.load(folder.items.iter().filter(spoken).max_by_key(|i| i.duration).unwrap())
    };
    let (french, english) = (of("fr"), of("en"));
    assert_eq!((french.format, french.frame()), (english.format, english.frame()));
    let width = french.frame();
    let second = french.format.sample_rate_hz as usize;
    let (first, offset) = (french.frames() as usize, french.frames() as usize * 3 / 4);
    let frames = first.max(offset + english.frames() as usize) + second;
    let mut bytes = vec![0; frames * 2 * width];
    for (number, (speech, at)) in [(&french, 0), (&english, offset)].into_iter().enumerate() {
        for (i, sample) in speech.bytes.chunks(width).enumerate() {
            bytes[((at + i) * 2 + number) * width..][..width].copy_from_slice(sample);
        }
    }
    let references = [french.reference.clone(), english.reference.clone()];
    Court { speech: Speech { bytes, channels: 2, ..french }, references }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_encoding_and_other_rates_are_heard() {
    let mut running = Running::start().await;
    let speech = Speech::english();
    let plain = running.hear(&speech, 500).await;
    let text = plain.text(1);
    // Coarser samples, or finer ones, are others: a word in doubt may fall otherwise.
    let one_word = (100.0 / text.split_whitespace().count() as f64).max(10.0);
    for encoding in Encoding::ALL {
        let heard = running.hear(&speech.encoded(encoding), 500).await;
        if matches!(encoding, Encoding::MuLaw | Encoding::ALaw) {
            let wrong = word_errors(&text, &heard.text(1), "en");
            assert!(wrong <= one_word, "{encoding:?}: {wrong}: {}", heard.text(1));
        } else {
            // Every value of 16 bits is one of 24 bits and of a float too.
            assert_eq!(heard.comparable(), plain.comparable(), "{encoding:?}");
        }
    }
    for times in [3, 12] {
        let finer = speech.at_rate_times(times);
        let heard = running.hear(&finer, 500).await;
        let wrong = word_errors(&text, &heard.text(1), "en");
        assert!(wrong <= one_word, "{} Hz: {wrong}: {}", finer.format.sample_rate_hz, heard.text(1));
        // Positions are those of the channel's own rate: the words are where they were.
        let (one, other) = (plain.finals[0].segment.as_ref().unwrap(), heard.finals[0].segment.as_ref().unwrap());
        let (one, other) = (one.words[0].span.unwrap(), other.words[0].span.unwrap());
        assert!(one.start_ms.abs_diff(other.start_ms) <= 100, "{one:?} {other:?}");
        assert_eq!(other.start_ms, other.start_sample * 1_000 / u64::from(finer.format.sample_rate_hz));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_changes_while_people_speak_and_settles_once() {
    let mut running = Running::start().await;
    let speech = Speech::english();
    let hearing = running.open(vec![channel(1, "judge", &[&speech.language], speech.format)]).await;
    let mut open = Open::new(&mut running.client, vec![In::Start(start(&hearing))]).await.unwrap();
    let seen = std::sync::Mutex::new(None);
    let rest = open
        .send_until(&speech, 1, |said| match said {
            pb::stream_response::Kind::Partial(p) if !p.words.is_empty() => {
                *seen.lock().unwrap() = Some(p.clone());
                true
            }
            pb::stream_response::Kind::Finished(_) => panic!("finished before its audio"),
            _ => false,
        })
        .await;
    let partial = seen.into_inner().unwrap().unwrap();
    assert_eq!((partial.channel, partial.language.as_str()), (1, speech.language.as_str()));
    assert!(partial.stable_words as usize <= partial.words.len());
    for chunk in rest.chunks(speech.frame() * 1_600) {
        open.send(audio(1, chunk)).await;
    }
    let heard = open.finish().await;
    assert!(heard.refused.is_none());
    assert!(speech.word_errors(&heard.text(1)) < 15.0, "{}", heard.text(1));
    ordered(&heard, 1);
    for result in &heard.finals {
        let segment = result.segment.as_ref().unwrap();
        let engine = segment.engine.as_ref().unwrap();
        assert_eq!(
            (engine.name.as_str(), engine.model.as_str(), engine.model_sha256.len()),
            ("whisper.cpp", "base", 64)
        );
        assert!(!engine.version.is_empty() && engine.device == "cpu");
        let parameters: serde_json::Value = serde_json::from_str(&engine.parameters).unwrap();
        assert_eq!((&parameters["profile"], &parameters["pass"]), (&"final".into(), &"final".into()));
        assert!(parameters["endpoint"]["rules"].is_array() && parameters["beam"] == 5, "{parameters}");
        assert!(uuid::Uuid::parse_str(&segment.segment_id).is_ok());
        for flag in &segment.flags {
            assert!(!flag.reason.is_empty() && flag.end_word as usize <= segment.words.len());
            assert!(flag.evidence.iter().all(|e| e.value.is_finite() && !e.measure.is_empty()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_allowed_languages_the_one_that_is_spoken_is_heard() {
    let mut running = Running::start().await;
    let folder = Folder::any();
    for tag in ["fr", "en"] {
        let spoken = |i: &&vivavoce::evaluation::table::Item| {
            i.language.as_ref().is_some_and(|l| l.to_string().starts_with(tag)) && i.duration.as_secs() < 15
        };
        let speech = folder.load(folder.items.iter().filter(spoken).max_by_key(|i| i.duration).unwrap());
        let hearing = running.open(vec![channel(7, "gallery", &["en", "fr", "ru"], speech.format)]).await;
        let chunks = speech.chunks_ms(200).map(|samples| audio(7, samples)).collect();
        let heard = stream(&mut running.client, start(&hearing), chunks).await;
        let longest = heard.segments(7).max_by_key(|s| s.words.len()).unwrap();
        assert_eq!(longest.language, tag, "{}", longest.text);
        assert!(longest.language_posterior.is_some_and(|p| p > 0.5));
        let wrong = speech.word_errors(&heard.text(7));
        assert!(wrong < 50.0, "{tag}: {wrong}: {}", heard.text(7));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_audio_is_on_disk_bit_for_bit() {
    let mut running = Running::start().await;
    let speech = Speech::english().encoded(Encoding::MuLaw);
    let hearing = running.open(vec![channel(3, "judge", &["en"], speech.format)]).await;
    let mut chunks: Vec<In> = speech.chunks_ms(100).map(|samples| audio(3, samples)).collect();
    chunks.push(In::Marker(pb::Marker { id: 77 }));
    let heard = stream(&mut running.client, start(&hearing), chunks).await;
    assert_eq!(heard.opened, [pb::ChannelPosition { channel: 3, next_sample: 0 }]);
    let durable: Vec<u64> = heard.stored.iter().map(|s| s.durable_through_sample).collect();
    assert!(durable.is_sorted() && durable.last() == Some(&speech.frames()), "{durable:?}");
    assert_eq!(heard.marks, [(77, heard.finals.len())], "a mark comes after the results before it");
    let finished = heard.finished.as_ref().unwrap();
    assert_eq!(finished.positions, [pb::ChannelPosition { channel: 3, next_sample: speech.frames() }]);
    assert_eq!(heard.durable(), BTreeMap::from([(3, speech.frames())]));
    let last = running.close(&hearing).await;
    let entries = running.entries(&hearing, 0).await;
    let stored = entries.iter().find_map(|e| match &e.change {
        Some(pb::record_entry::Change::AudioStored(stored)) => Some(stored.span.unwrap()),
        _ => None,
    });
    assert_eq!(stored.map(|s| (s.start_sample, s.end_sample)), Some((0, speech.frames())));
    assert_eq!(entries.last().unwrap().seq, last);
    assert!(
        entries.iter().all(|e| !e.actor_id.is_empty() && e.purpose() == pb::Purpose::Collection && e.at.contains('T'))
    );
    running.stop().await;

    let files = journals(&running.data());
    assert_eq!(files.len(), 1, "{files:?}");
    let mut reader = JournalReader::open(&files[0], &vivavoce::app::keys(&running.data())).unwrap();
    let span = vivavoce::domain::time::Span::new(
        vivavoce::domain::time::SamplePos::ZERO,
        vivavoce::domain::time::SamplePos::new(speech.frames()),
    );
    let pieces = reader.read_span(span.unwrap()).unwrap();
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|p| p.bytes).collect();
    assert!(bytes == speech.bytes, "the recorder's own bytes");
    assert!(vivavoce::record::media::reader::verify(&files[0]).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hearing_outlives_its_streams() {
    let mut running = Running::start().await;
    let speech = Speech::english();
    let hearing = running.open(vec![channel(1, "judge", &["en"], speech.format)]).await;
    let chunks: Vec<In> = speech.chunks_ms(500).map(|samples| audio(1, samples)).collect();
    let first = stream(&mut running.client, start(&hearing), chunks.clone()).await;
    // From where it stands, whatever stream comes; results of before on demand.
    let second = stream(&mut running.client, start(&hearing), chunks.clone()).await;
    assert_eq!(second.opened[0].next_sample, speech.frames());
    assert_eq!(second.finals.len(), first.finals.len(), "only what comes");
    let moved = |s: &pb::Segment| s.span.unwrap().start_sample - speech.frames();
    let starts = |heard: &Heard| heard.segments(1).map(|s| s.span.unwrap().start_sample).collect::<Vec<_>>();
    assert_eq!(second.segments(1).map(moved).collect::<Vec<_>>(), starts(&first));
    let again = pb::StreamStart { results_after_seq: Some(0), ..start(&hearing) };
    let third = stream(&mut running.client, again, Vec::new()).await;
    assert_eq!(third.finals, [first.finals, second.finals].concat(), "all of before, as it was sent");
    // What a client has it names, and gets the rest.
    let has = third.finals[0].seq;
    let rest = pb::StreamStart { results_after_seq: Some(has), ..start(&hearing) };
    let fourth = stream(&mut running.client, rest, Vec::new()).await;
    assert_eq!(fourth.finals, third.finals[1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_every_entry_from_where_it_asks() {
    let mut running = Running::start().await;
    let speech = Speech::english();
    let hearing = running.open(vec![channel(1, "judge", &["en"], speech.format)]).await;
    let watch = |after_seq, partials| pb::WatchHearingRequest {
        hearing_id: hearing.clone(),
        after_seq,
        partials,
        resume_token: String::new(),
    };
    let mut early = running.client.watch_hearing(watch(0, true)).await.unwrap().into_inner();
    let mut open = Open::new(&mut running.client, vec![In::Start(start(&hearing))]).await.unwrap();
    // What the recorder is shown, somebody else is shown too.
    let rest = open.send_until(&speech, 1, |said| matches!(said, pb::stream_response::Kind::Partial(_))).await;
    let mut seen = (Vec::new(), 0);
    while seen.1 == 0 {
        match early.message().await.unwrap().unwrap().kind.unwrap() {
            pb::watch_hearing_response::Kind::Entry(entry) => seen.0.push(entry),
            pb::watch_hearing_response::Kind::Partial(_) => seen.1 += 1,
        }
    }
    open.send(audio(1, rest)).await;
    let heard = open.finish().await;
    let mut late = running.client.watch_hearing(watch(2, false)).await.unwrap().into_inner();
    running.close(&hearing).await;
    let entries = running.entries(&hearing, 0).await;
    while let Some(message) = early.message().await.unwrap() {
        match message.kind.unwrap() {
            pb::watch_hearing_response::Kind::Entry(entry) => seen.0.push(entry),
            pb::watch_hearing_response::Kind::Partial(_) => seen.1 += 1,
        }
    }
    assert_eq!(seen.0, entries, "every entry, to the closing");
    let mut rest = Vec::new();
    while let Some(message) = late.message().await.unwrap() {
        match message.kind.unwrap() {
            pb::watch_hearing_response::Kind::Entry(entry) => rest.push(entry),
            pb::watch_hearing_response::Kind::Partial(_) => panic!("none were asked for"),
        }
    }
    assert_eq!(rest, entries[2..]);
    // Who has everything of a closed hearing is told so.
    let last = entries.last().unwrap().seq;
    let mut none = running.client.watch_hearing(watch(last, false)).await.unwrap().into_inner();
    assert_eq!(none.message().await.unwrap(), None);
    let finals = entries.iter().filter(|e| matches!(e.change, Some(pb::record_entry::Change::Segment(_))));
    assert_eq!(finals.count(), heard.finals.len());
    let listed = running.client.list_hearings(pb::ListHearingsRequest::default()).await.unwrap().into_inner().hearings;
    assert!(listed.iter().any(|h| h.hearing_id == hearing && h.closed && h.reference == "case 7 of 2026"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_word_comes_out_of_silence_noise_and_taps() {
    let mut running = Running::start().await;
    let made = made_sounds();
    let mut sounds: Vec<(String, Speech)> = vec![("generated".to_owned(), made)];
    if let Some(folder) = Folder::given_or_say("recordings without speech") {
        for item in folder.under("nospeech/") {
            sounds.push((item.id.clone(), folder.load(item)));
        }
        assert!(sounds.len() > 1);
    }
    for (name, sound) in sounds {
        let heard = running.hear(&sound, 1_000).await;
        assert_eq!(heard.text(1), "", "{name}");
        assert_eq!(heard.finished.unwrap().positions[0].next_sample, sound.frames(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_voices_are_heard() {
    let mut running = Running::start().await;
    // The usual voice 40 dB down, in 24 bits so that it does not vanish in rounding.
    let speech = Speech::english();
    let mut quiet = Vec::new();
    let samples: Vec<f32> = speech.samples().iter().map(|s| s / 100.0).collect();
    vivavoce::speech::audio::format::encode(Encoding::PcmS24Le, &samples, &mut quiet);
    let quiet = Speech { bytes: quiet, format: format(pb::Encoding::PcmS24le, speech.format.sample_rate_hz), ..speech };
    let heard = running.hear(&quiet, 1_000).await;
    assert!(quiet.word_errors(&heard.text(1)) < 20.0, "{}", heard.text(1));
    let Some(folder) = Folder::given_or_say("quiet recordings") else { return };
    // The quietest of a set of recordings of different levels.
    let mut loudness: Vec<(f64, Speech)> = folder
        .under("fleurs/")
        .into_iter()
        .map(|item| folder.load(item))
        .map(|s| (s.samples().iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / s.samples().len() as f64, s))
        .collect();
    loudness.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (power, speech) in loudness.into_iter().take(4) {
        let heard = running.hear(&speech, 1_000).await;
        let wrong = speech.word_errors(&heard.text(1));
        say(&format!("{}: {:.0} dBFS, {wrong:.1} % wrong", speech.path.display(), 10.0 * power.log10()));
        assert!(wrong < 70.0, "{}: {}", speech.path.display(), heard.text(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_channels_at_once() {
    let mut running = Running::start().await;
    let speech = Speech::english();
    let channels = (1..=16).map(|n| channel(n, &format!("seat {n}"), &["en"], speech.format)).collect();
    let hearing = running.open(channels).await;
    // One voice, on the last; the others are silent.
    let width = speech.frame();
    let mut bytes = vec![0; speech.bytes.len() * 16];
    for (frame, sample) in bytes.chunks_mut(16 * width).zip(speech.bytes.chunks(width)) {
        frame[15 * width..].copy_from_slice(sample);
    }
    let chunks = bytes.chunks(width * 16 * 1_600).map(|samples| audio(0, samples)).collect();
    let heard = stream(&mut running.client, start(&hearing), chunks).await;
    assert!(speech.word_errors(&heard.text(16)) < 15.0, "{}", heard.text(16));
    assert!((1..16).all(|n| heard.segments(n).count() == 0));
    assert_eq!(heard.durable().len(), 16);
}
