//! An answer that is passed on byte for byte, and what a layer does when it ends.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    llm::Completion,
    raw::{RawBytes, RawHead, RawStream},
};
use tokio::time::{Instant, timeout_at};

use crate::busy;

type End = Box<dyn FnOnce(&Result<Completion>) + Send>;

/// A stream whose end is watched.
pub(super) struct Watched {
    inner: Arc<dyn RawStream>,
    /// Called once, with what was read or went wrong. What it holds is dropped if the reader gives up.
    end: Mutex<Option<End>>,
    /// When the answer must be complete, and the error if it is not.
    deadline: Option<(Instant, Error)>,
}

impl Watched {
    /// `inner`, with `end` at its end.
    pub(super) fn new(
        inner: Arc<dyn RawStream>,
        end: impl FnOnce(&Result<Completion>) + Send + 'static,
    ) -> Self {
        Self { inner, end: Mutex::new(Some(Box::new(end))), deadline: None }
    }

    /// The same, which must be complete in time.
    pub(super) fn until(self, deadline: Instant, late: Error) -> Self {
        Self { deadline: Some((deadline, late)), ..self }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.deadline {
            Some((deadline, late)) => {
                let timed = timeout_at(*deadline, work);
                busy::attempt(timed).await.unwrap_or_else(|_| Err(late.clone()))
            }
            None => work.await,
        }
    }

    fn ended(&self, outcome: &Result<Completion>) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(end) = end {
            end(outcome);
        }
    }
}

#[async_trait]
impl RawStream for Watched {
    async fn head(&self) -> Result<RawHead> {
        self.inner.head().await
    }
    async fn next(&self) -> Result<RawBytes> {
        let next = self.within(self.inner.next()).await;
        if let Err(error) = &next {
            self.ended(&Err(error.clone()));
        }
        next
    }
    async fn finish(&self) -> Result<Completion> {
        let outcome = self.within(self.inner.finish()).await;
        self.ended(&outcome);
        outcome
    }
}
