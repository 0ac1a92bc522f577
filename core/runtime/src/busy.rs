//! How long models worked on a call: without waiting for room, for a rate or between two attempts, so that it does not
//! depend on what else runs at the same time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

tokio::task_local! {
    static BUSY: Busy;
}

#[derive(Default)]
struct Busy {
    nanos: AtomicU64,
    /// Whether a model works now: one that asks another is not counted twice.
    works: AtomicBool,
}

/// Measures the models within `call`; where none says that it works, the whole of it.
pub(crate) async fn measured<F: Future>(call: F) -> (F::Output, Duration) {
    let since = Instant::now();
    BUSY.scope(Busy::default(), async {
        let output = call.await;
        let nanos = BUSY.with(|busy| busy.nanos.load(Ordering::Relaxed));
        (output, if nanos == 0 { since.elapsed() } else { Duration::from_nanos(nanos) })
    })
    .await
}

/// One attempt of a model.
pub(crate) async fn attempt<F: Future>(work: F) -> F::Output {
    let first = BUSY.try_with(|busy| !busy.works.swap(true, Ordering::Relaxed)).unwrap_or(false);
    let since = Instant::now();
    let output = work.await;
    if first {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        BUSY.with(|busy| {
            busy.nanos.fetch_add(nanos, Ordering::Relaxed);
            busy.works.store(false, Ordering::Relaxed);
        });
    }
    output
}
