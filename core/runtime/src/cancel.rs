//! Cancellation: one flag that a whole run listens to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use forethought_api::{Error, Result, error::Code};
use tokio::sync::Notify;

/// A flag that is raised once (by Ctrl-C, say) and seen by every clone.
///
/// A run that is cancelled starts no further effect: effects in flight are finished and journaled, for they
/// may have been paid.
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
        if self.is_cancelled() {
            return Err(Error::new(Code::Cancelled, "interrupted; the same command continues here"));
        }
        Ok(())
    }
}
