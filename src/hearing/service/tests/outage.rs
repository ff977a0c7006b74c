//! The engine is away for a while: what is said meanwhile gets its text when it is back.

use std::sync::atomic::AtomicUsize;

use super::{engine::through, *};
use crate::speech::asr::AsrError;

#[tokio::test]
async fn what_is_said_while_no_engine_can_be_started_gets_its_text_afterwards() {
    let texts = async |away: usize| {
        let folder = TempDir::new().unwrap();
        let tries = Arc::new(AtomicUsize::new(0));
        let tried = Arc::clone(&tries);
        let recognizer = through(Scripted::new(&["well", "yes"]), move |decoder, request, cancel| {
            if tried.fetch_add(1, Ordering::SeqCst) < away {
                return Err(AsrError::ProcessNotStarted { starts: 5, last: "weights cannot be read".to_owned() });
            }
            decoder.decode(request, cancel)
        });
        let hearings = hearings_with(&folder, recognizer);
        let hearing = opened(&hearings).await;
        for n in 0..6 {
            streamed(&hearings, hearing, n * 32_000).await.unwrap();
        }
        hearings.close(hearing, by()).await.unwrap();
        assert!(tries.load(Ordering::SeqCst) >= away + 6);
        segments(&hearings, hearing).await
    };
    let undisturbed = texts(0).await;
    assert!(undisturbed.len() == 6 && undisturbed.iter().all(|(_, _, text)| !text.is_empty()));
    assert_eq!(texts(40).await, undisturbed);
}
