//! The threads that compare channels: two for all hearings, and always the same ones. A comparison holds half a minute of four
//! channels in memory, and the system's allocator keeps a heap for every thread that ever asked it for so much.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    thread,
};

use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};

/// How many.
const THREADS: usize = 2;

/// As many comparisons may hold samples at a time. The others wait, in the order in which they came.
static TURNS: Semaphore = Semaphore::const_new(THREADS);

/// The turn to compare; `None` never, since nobody closes it.
pub(super) async fn turn() -> Option<SemaphorePermit<'static>> {
    TURNS.acquire().await.ok()
}

type Work = Box<dyn FnOnce() + Send>;

/// Where work is handed in. One that finds no thread free waits here.
static WORK: LazyLock<mpsc::Sender<Work>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel::<Work>(1);
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 1..=THREADS {
        let receiver = Arc::clone(&receiver);
        let begun = thread::Builder::new().name(format!("compare {number}")).spawn(move || {
            loop {
                // Nothing panics while it is held.
                let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                let Some(work) = next else { return };
                // Who asked learns of it: its answer never comes.
                let _panicked = catch_unwind(AssertUnwindSafe(work));
            }
        });
        if let Err(error) = begun {
            tracing::error!(%error, "a thread that compares channels could not be started");
        }
    }
    sender
});

/// Runs `work` when it is its turn; `None` where it panicked or no thread could be started.
///
/// If the future is dropped, the work may be done all the same.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (answer, done) = oneshot::channel();
    // Nobody may wait for it any more.
    let work: Work = Box::new(move || drop(answer.send(work())));
    WORK.send(work).await.ok()?;
    done.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_takes_no_thread_away() {
        for _ in 0..THREADS * 2 {
            let panicked: Option<()> = run(|| panic!("on purpose")).await;
            assert_eq!(panicked, None);
        }
        let all = (0..20).map(|n| run(move || n * 2));
        for (n, work) in (0..).zip(all) {
            assert_eq!(work.await, Some(n * 2));
        }
    }
}
