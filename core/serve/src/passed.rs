//! Answers that are passed on as the provider sends them: head, bytes, end.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use forethought_api::raw::RawHead;
use forethought_runtime::{
    journal::effects::Llm,
    layers::relay::{Piece, Relay},
};
use futures::stream;
use tokio::sync::{mpsc, oneshot};

use crate::answer::Refusal;
use crate::http::{Flight, lost};
use crate::session::{Replied, Waiting};

/// The models of an episode, and the relays around those that requests may be passed on to.
pub(crate) type Relays = BTreeMap<String, Arc<Relay>>;

/// A relay around each of the models called `names`, and all models with these in place.
pub(crate) fn relays<'a>(
    llms: &Arc<BTreeMap<String, Llm>>,
    names: impl Iterator<Item = &'a String>,
) -> (Relays, Arc<BTreeMap<String, Llm>>) {
    let (mut all, mut relays) = (BTreeMap::clone(llms), Relays::new());
    for name in names {
        if let Some(llm) = all.get_mut(name) {
            let relay = Arc::new(Relay::new(llm.backend.clone()));
            llm.backend = relay.clone();
            relays.insert(name.clone(), relay);
        }
    }
    (relays, Arc::new(all))
}

/// An answer on its way to its client.
pub(crate) struct Passage {
    pub(crate) pieces: mpsc::Receiver<Piece>,
    /// Comes when the answer is in the journal, or when it failed.
    pub(crate) reply: oneshot::Receiver<Replied>,
    /// Withdraws the request when the client leaves.
    pub(crate) _waiting: Waiting,
    pub(crate) flight: Flight,
}

impl Passage {
    /// The answer.
    ///
    /// # Errors
    /// If nothing came, or a whole body broke off.
    pub(crate) async fn respond(mut self, streamed: bool) -> Result<Response, Refusal> {
        let head = tokio::select! {
            biased;
            Some(Piece::Head(head)) = self.pieces.recv() => head,
            // It was not passed on: a limit is reached, or the provider is not.
            replied = &mut self.reply => {
                return Err(replied.unwrap_or_else(|_| Err(lost())).err().unwrap_or_else(lost));
            }
        };
        if streamed && head.failure.is_none() && head.content_type.starts_with("text/event-stream") {
            let passing = Passing { passage: self, tail: Vec::new(), held: Vec::new() };
            let pieces = stream::unfold(Some(passing), |passing| async move {
                let (bytes, passing) = passing?.next().await;
                Some((Ok::<_, Infallible>(bytes), passing))
            });
            return Ok(response(&head, Body::from_stream(pieces)));
        }
        let mut body = Vec::new();
        loop {
            match self.pieces.recv().await {
                Some(Piece::Bytes(bytes)) => body.extend_from_slice(&bytes),
                Some(Piece::End) => break,
                _ => return Err(self.replied().await.err().unwrap_or_else(lost)),
            }
        }
        // That the completion cannot be read is no matter of the client's, which has the bytes.
        let _ = self.replied().await;
        Ok(response(&head, Body::from(body)))
    }

    /// Waits until the answer is recorded: the next request may depend on it.
    async fn replied(&mut self) -> Replied {
        let replied = (&mut self.reply).await.unwrap_or_else(|_| Err(lost()));
        if let Ok(answer) = &replied {
            self.flight.answered(answer);
        }
        replied
    }
}

fn response(head: &RawHead, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let kind = (header::CONTENT_TYPE.as_str(), &head.content_type);
    let others = head.headers.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in [kind].into_iter().chain(others).filter(|(_, value)| !value.is_empty()) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The end of a stream. Clients stop reading there, and may send the next request.
const DONE: &[u8] = b"[DONE]";

/// A stream. Its last event is held back until the answer is recorded.
struct Passing {
    passage: Passage,
    /// The last bytes that were sent, fewer than the end has.
    tail: Vec<u8>,
    held: Vec<u8>,
}

impl Passing {
    /// The next bytes, and what follows.
    async fn next(mut self) -> (Bytes, Option<Self>) {
        loop {
            match self.passage.pieces.recv().await {
                Some(Piece::Bytes(bytes)) if self.held.is_empty() && !self.ends_in(&bytes) => {
                    return (bytes, Some(self));
                }
                Some(Piece::Bytes(bytes)) => self.held.extend_from_slice(&bytes),
                Some(Piece::Head(_)) => {}
                Some(Piece::End) => {
                    let _ = self.passage.replied().await;
                    return (self.held.into(), None);
                }
                Some(Piece::Failed(_)) | None => {
                    // It may have broken off within a line.
                    let refusal = self.passage.replied().await.err().unwrap_or_else(lost);
                    let held = std::mem::take(&mut self.held);
                    return ([held, b"\n\n".to_vec(), refusal.event().into()].concat().into(), None);
                }
            }
        }
    }

    /// Whether the end begins or lies in these bytes.
    fn ends_in(&mut self, bytes: &[u8]) -> bool {
        self.tail.extend_from_slice(bytes);
        let ends = self.tail.windows(DONE.len()).any(|part| part == DONE);
        let kept = self.tail.len().saturating_sub(DONE.len() - 1);
        self.tail.drain(..kept);
        ends
    }
}
