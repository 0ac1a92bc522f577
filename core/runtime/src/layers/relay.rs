//! A model that a client waits for: its next completion is the client's own request, passed on byte for byte.
//!
//! An episode asks its models for completions, and journals them. Where a client of this program should see exactly what
//! the provider answers, the relay is put around the model, outermost: [`Relay::pass`] leaves the client's request there,
//! the next [`complete`](LlmBackend::complete) forwards it, hands each byte on as it comes, and returns the completion
//! that was read from them. So budgets, journal, retries and prices apply as to any call. A call that the journal answers
//! reaches no relay; neither does a model that cannot pass the format on: then nothing is handed on, and the client's
//! answer has to be written from the completion.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use forethought_api::{
    Error, Result,
    error::Code,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, TokenStream},
    raw::{RawHead, RawRequest, RawStream},
};
use futures::FutureExt as _;
use tokio::sync::mpsc;

/// Pieces of an answer that may wait for a slow client.
const WAITING: usize = 16;

/// A piece of an answer on its way to a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// The head, first.
    Head(RawHead),
    /// Bytes of the body.
    Bytes(Bytes),
    /// The end of the body: nothing is missing.
    End,
    /// There is no answer, or it broke off.
    Failed(Error),
}

/// A backend that passes on what a client asks.
pub struct Relay {
    inner: Arc<dyn LlmBackend>,
    waiting: Mutex<Option<Waiting>>,
}

struct Waiting {
    request: RawRequest,
    client: mpsc::Sender<Piece>,
}

impl Relay {
    /// `inner`, and no client yet.
    pub fn new(inner: Arc<dyn LlmBackend>) -> Self {
        Self { inner, waiting: Mutex::default() }
    }

    /// Passes `request` on at the next completion, whose own [`ChatRequest`] is the one that counts and is recorded; only
    /// the number of samples is the client's. A request that still waits is given up. Dropping the receiver cancels the call. It ends without any piece if nothing
    /// was passed on.
    pub fn pass(&self, request: RawRequest) -> mpsc::Receiver<Piece> {
        let (client, pieces) = mpsc::channel(WAITING);
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Waiting { request, client });
        pieces
    }

    async fn forward(&self, request: ChatRequest, waiting: Waiting) -> Result<Completion> {
        let Waiting { request: raw, client } = waiting;
        let fail = async |error: Error| {
            drop(client.send(Piece::Failed(error.clone())).await);
            Err(error)
        };
        // As many answers as the client wants are paid, though the episode asks for one.
        let request = ChatRequest { samples: request.samples.max(raw.request.samples), ..request };
        let begun = staying(&client, self.inner.forward(RawRequest { request, ..raw })).await;
        let answer = match begun {
            Ok(answer) => answer,
            Err(error) => return fail(error).await,
        };
        match staying(&client, hand_on(&client, &answer)).await {
            // If it cannot be read, the client still has all of it.
            Ok(()) => answer.finish().await,
            // Clients leave when they have seen the last event, which may be before the last byte.
            Err(error) if client.is_closed() => answer.finish().now_or_never().unwrap_or(Err(error)),
            Err(error) => fail(error).await,
        }
    }
}

/// `work`, until the client leaves.
async fn staying<T>(client: &mpsc::Sender<Piece>, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        // What has arrived goes before a client that has left.
        biased;
        outcome = work => outcome,
        () = client.closed() => Err(gone()),
    }
}

async fn hand_on(client: &mpsc::Sender<Piece>, answer: &Arc<dyn RawStream>) -> Result<()> {
    hand(client, Piece::Head(answer.head().await?)).await?;
    loop {
        let bytes = answer.next().await?.0;
        if bytes.is_empty() {
            return hand(client, Piece::End).await;
        }
        hand(client, Piece::Bytes(bytes)).await?;
    }
}

async fn hand(client: &mpsc::Sender<Piece>, piece: Piece) -> Result<()> {
    client.send(piece).await.map_err(|_| gone())
}

fn gone() -> Error {
    Error::new(Code::Cancelled, "the client left before its answer was complete")
}

#[async_trait]
impl LlmBackend for Relay {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.inner.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        match waiting {
            Some(waiting) if self.inner.formats().await?.contains(&waiting.request.format) => {
                self.forward(request, waiting).await
            }
            _ => self.inner.complete(request).await,
        }
    }
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        self.inner.stream(request).await
    }
    async fn formats(&self) -> Result<Vec<String>> {
        self.inner.formats().await
    }
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        self.inner.forward(request).await
    }
}
