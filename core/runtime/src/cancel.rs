//! Cancellation: one flag that a whole run listens to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use forethought_api::{Error, Result, error::Code};
use tokio::sync::Notify;

/// How long an effect in flight may take once the flag is raised.
const GRACE: Duration = Duration::from_secs(2);

/// A flag that is raised once (by Ctrl-C, say) and seen by every clone.
///
/// A run that is cancelled starts no further effect and ends every pause. Effects in flight may have been paid, so they
/// have a moment to finish and are journaled if they do; an effect that hangs is given up.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    raised: AtomicBool,
    wake: Notify,
}

impl Cancel {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }
    /// Raises the flag.
    pub fn cancel(&self) {
        self.0.raised.store(true, Ordering::SeqCst);
        self.0.wake.notify_waiters();
    }
    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.raised.load(Ordering::SeqCst)
    }
    /// Waits until the flag is raised.
    pub async fn cancelled(&self) {
        let wake = self.0.wake.notified();
        tokio::pin!(wake);
        // Register before checking; otherwise a flag raised in between would be missed.
        wake.as_mut().enable();
        if !self.is_cancelled() {
            wake.await;
        }
    }
    /// An error with [`Code::Cancelled`] if the flag is raised.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(interrupted()) } else { Ok(()) }
    }
    /// Waits for something that costs nothing, such as the end of a pause; not once the flag is raised.
    pub(crate) async fn pause<T>(&self, wait: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancelled() => Err(interrupted()),
            done = wait => Ok(done),
        }
    }
    /// Awaits an effect, for [`GRACE`] at most once the flag is raised.
    pub(crate) async fn effect<T>(&self, effect: impl Future<Output = Result<T>>) -> Result<T> {
        let late = async {
            self.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            done = effect => done,
            () = late => Err(interrupted()),
        }
    }
}

fn interrupted() -> Error {
    Error::new(Code::Cancelled, "interrupted; the same command continues here")
}
