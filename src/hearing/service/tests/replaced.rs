//! Words that were committed while somebody spoke, and a text for the record that is another.

use super::{engine::through, *};
use crate::{
    domain::{flag::FlagCode, segment::Segment},
    hearing::live::Partial,
    speech::asr::Pass,
};

/// Hearings whose engine hears `shown` while somebody speaks and `stands` when it is over, a look for each half second.
fn hearings_that_change(folder: &TempDir, shown: &'static str, stands: &'static str) -> Arc<Hearings> {
    let meanwhile = Scripted::new(&["", shown]);
    let engine = through(Scripted::new(&["", stands]), move |decoder, request, cancel| match request.pass {
        Pass::Final => decoder.decode(request, cancel),
        Pass::Partial => meanwhile.decoder()?.decode(request, cancel),
    });
    let mut hearings = hearings_with(folder, engine);
    Arc::get_mut(&mut hearings).unwrap().parts.front.partial_step_ms = 500;
    hearings
}

fn setup(number: u8) -> ChannelSetup {
    ChannelSetup {
        id: ChannelId::new(number).unwrap(),
        label: Label::try_from(format!("seat {number}")).unwrap(),
        languages: AllowedLanguages::only("en".parse().unwrap()),
        format: AudioFormat { encoding: Encoding::PcmS16Le, rate: 16_000.try_into().unwrap() },
    }
}

/// What is loud for so many samples.
fn loud(samples: usize) -> Vec<u8> {
    30_000_i16.to_le_bytes().repeat(samples)
}

/// Speaks on channel 1 until words are committed, and then is silent until the text is there; gives what was committed.
async fn spoken(hearings: &Arc<Hearings>, hearing: HearingId, stream: &mut LiveStream) -> Vec<String> {
    let mut events = hearings.listen(hearing);
    let mut shown = Vec::new();
    while shown.is_empty() {
        // A second and a half of it is looked at once at least, and within two seconds of it being said.
        stream.audio.audio(1, None, &loud(24_000)).await.unwrap();
        let Partial { words, stable, .. } = loop {
            if let LiveEvent::Partial(partial) = events.recv().await.unwrap() {
                break *partial;
            }
        };
        shown = words[..stable].iter().map(|w| w.text.clone()).collect();
    }
    stream.audio.audio(1, None, &[0; 64_000]).await.unwrap();
    let end = stream.audio.positions()[0].1.index();
    stream.channels[0].settled.wait_for(|at| at.index() > end - 8_000).await.unwrap();
    shown
}

/// The texts of channel 1, each as it was committed and as it was revised.
async fn texts(hearings: &Hearings, hearing: HearingId) -> Vec<(&'static str, Segment)> {
    let entries = all_entries(hearings.parts.store.as_ref(), hearing).await.unwrap();
    let text = |entry: &Entry| match &entry.change {
        Change::SegmentCommitted { segment } => Some(("committed", Segment::clone(segment))),
        Change::SegmentRevised { segment } => Some(("revised", Segment::clone(segment))),
        _ => None,
    };
    entries.iter().filter_map(text).filter(|(_, segment)| segment.channel == setup(1).id).collect()
}

fn is_doubted(segment: &Segment) -> bool {
    segment.flags.iter().any(|flag| flag.code == FlagCode::LiveDisagrees)
}

#[tokio::test]
async fn both_texts_are_told_where_the_final_one_is_another() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings_that_change(&folder, "dismissed", "granted");
    let (hearing, _) = hearings.open(new(vec![setup(1)]), by()).await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    let shown = spoken(&hearings, hearing, &mut stream).await;
    let texts = texts(&hearings, hearing).await;
    let [("committed", segment)] = texts.as_slice() else { panic!("one text: {texts:?}") };
    assert!(segment.text().contains("granted") && !segment.text().contains("dismissed"), "{segment:?}");
    let replaced = segment.replaced.as_deref().unwrap();
    assert!(replaced.starts_with(&shown.join(" ")) && !replaced.contains("granted"), "{replaced}");
    assert!(is_doubted(segment), "{segment:?}");
}

#[tokio::test]
async fn nothing_is_told_where_the_final_text_goes_on_as_it_began() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings_that_change(&folder, "granted", "granted");
    let (hearing, _) = hearings.open(new(vec![setup(1)]), by()).await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    spoken(&hearings, hearing, &mut stream).await;
    let texts = texts(&hearings, hearing).await;
    let [("committed", segment)] = texts.as_slice() else { panic!("one text: {texts:?}") };
    assert!(segment.replaced.is_none() && !is_doubted(segment), "{segment:?}");
}

#[tokio::test]
async fn a_text_that_is_compared_late_still_tells_what_was_shown_before_it() {
    let folder = TempDir::new().unwrap();
    let hearings = hearings_that_change(&folder, "dismissed", "granted");
    let (hearing, _) = hearings.open(new(vec![setup(1), setup(2)]), by()).await.unwrap();
    let mut stream = hearings.stream(hearing, "", by()).await.unwrap();
    spoken(&hearings, hearing, &mut stream).await;
    // The other channel comes only now; what was said on the first is compared with it.
    let length = stream.audio.positions()[0].1.index();
    stream.audio.audio(2, None, &vec![0; usize::try_from(length * 2).unwrap()]).await.unwrap();
    stream.audio.finish().await.unwrap();
    hearings.close(hearing, by()).await.unwrap();
    let texts = texts(&hearings, hearing).await;
    let [("committed", first), ("revised", last)] = texts.as_slice() else { panic!("a text twice: {texts:?}") };
    assert!(first.uncompared && !last.uncompared);
    assert!(first.replaced.is_some() && first.replaced == last.replaced, "{texts:?}");
    assert!(is_doubted(first) && is_doubted(last), "{texts:?}");
}
