//! A backend that records the answers of another one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};

use forethought_sdk::prelude::*;

use crate::cassette::{Cassette, Header, Recorded, VERSION, append, key};

/// A backend whose answers are written to a cassette, each before it is returned.
///
/// Errors are not written: they mostly concern an account or a network, and a call that was retried until it succeeded
/// replays as its final answer.
pub struct Record {
    inner: Arc<dyn LlmBackend>,
    tape: Arc<Tape>,
}

struct Tape {
    path: PathBuf,
    header: Header,
    /// How often each request was made, by its key.
    asked: Mutex<HashMap<String, u32>>,
    warned: Once,
}

impl Record {
    /// Records `inner` to the cassette at `path`, after the answers that it already contains.
    ///
    /// # Errors
    /// A file that is not a cassette, or one of another model.
    pub async fn new(inner: Arc<dyn LlmBackend>, path: PathBuf) -> Result<Self> {
        let header = Header { cassette: VERSION, capabilities: inner.capabilities().await? };
        let mut asked = HashMap::new();
        if let Some(cassette) = Cassette::read(&path)? {
            let (old, new) = (&cassette.capabilities.model, &header.capabilities.model);
            if old != new {
                return Err(Error::config(format!(
                    "the cassette {} contains answers of {old:?} and cannot record {new:?}; name another file",
                    path.display()
                )));
            }
            for (_, Recorded { nth, request, .. }) in cassette.recorded {
                let next = asked.entry(key(&request)).or_default();
                *next = nth.saturating_add(1).max(*next);
            }
        }
        Ok(Self {
            inner,
            tape: Arc::new(Tape { path, header, asked: Mutex::new(asked), warned: Once::new() }),
        })
    }
}

impl Tape {
    /// The number of equal requests before this one.
    fn ask(&self, request: &ChatRequest) -> u32 {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.entry(key(request)).or_default();
        std::mem::replace(next, next.saturating_add(1))
    }

    /// The answer is handed on even if it cannot be recorded: it may have been paid for.
    fn append(&self, nth: u32, request: ChatRequest, completion: Completion) -> Completion {
        let recorded = Recorded { nth, request, completion };
        if let Err(error) = append(&self.path, &self.header, &recorded) {
            self.warned.call_once(|| {
                tracing::warn!("answers are used and not recorded: {error}");
            });
        }
        recorded.completion
    }
}

#[async_trait]
impl LlmBackend for Record {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(self.tape.header.capabilities.clone())
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let nth = self.tape.ask(&request);
        let completion = self.inner.complete(request.clone()).await?;
        Ok(self.tape.append(nth, request, completion))
    }

    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let nth = self.tape.ask(&request);
        let inner = self.inner.stream(request.clone()).await?;
        Ok(Arc::new(Recording { inner, tape: self.tape.clone(), asked: Mutex::new(Some((nth, request))) }))
    }
}

/// A stream whose answer is recorded when it is finished. An abandoned one records nothing.
struct Recording {
    inner: Arc<dyn TokenStream>,
    tape: Arc<Tape>,
    /// Taken when the answer is written, because `finish` may be called again.
    asked: Mutex<Option<(u32, ChatRequest)>>,
}

#[async_trait]
impl TokenStream for Recording {
    async fn next(&self, max: u32) -> Result<Vec<String>> {
        self.inner.next(max).await
    }

    async fn finish(&self) -> Result<Completion> {
        let completion = self.inner.finish().await?;
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(match asked {
            Some((nth, request)) => self.tape.append(nth, request, completion),
            None => completion,
        })
    }
}
