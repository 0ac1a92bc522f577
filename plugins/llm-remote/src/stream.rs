//! A streamed answer.

use forethought_sdk::{
    futures::{FutureExt, lock::Mutex},
    prelude::*,
    serde_json::Value,
};
use reqwest::Response;

use crate::{
    events::Events,
    format::{Answer, Format},
    http::Http,
};

/// A stream in progress. It reads from the connection only on demand; dropping it closes the connection, which tells
/// the provider to stop.
pub(crate) struct Stream {
    http: Arc<Http>,
    format: &'static dyn Format,
    state: Mutex<State>,
}

struct State {
    response: Response,
    events: Events,
    /// Bytes received so far.
    length: usize,
    answer: Answer,
    raw: Vec<Value>,
    /// The error; it is returned again on every later call.
    failed: Option<Error>,
}

impl Stream {
    pub(crate) fn new(http: Arc<Http>, format: &'static dyn Format, response: Response) -> Self {
        let state = State {
            response,
            events: Events::new(format.framing()),
            length: 0,
            answer: Answer::default(),
            raw: Vec::new(),
            failed: None,
        };
        Self { http, format, state: Mutex::new(state) }
    }

    /// Processes one event; returns the text that it adds.
    fn take(&self, state: &mut State, event: String) -> Result<String> {
        // The end in OpenAI's format; the one event that is not JSON.
        if event.trim() == "[DONE]" {
            state.answer.ended = true;
            return Ok(String::new());
        }
        let event = self.http.json(&self.http.redact(event))?;
        let before = state.answer.choice.text.len();
        self.format.event(&event, &mut state.answer).map_err(|error| self.http.place(error))?;
        state.raw.push(event);
        Ok(state.answer.choice.text[before..].to_owned())
    }

    /// Reads until there is at least one piece, and up to `max` as long as it does not have to wait.
    async fn read(&self, state: &mut State, pieces: &mut Vec<String>, max: usize) -> Result<()> {
        loop {
            while pieces.len() < max {
                let Some(event) = state.events.next() else { break };
                let text = self.take(state, event)?;
                if !text.is_empty() {
                    pieces.push(text);
                }
            }
            if pieces.len() == max || (!pieces.is_empty() && !state.answer.ended) {
                return Ok(());
            }
            if state.answer.ended {
                // Reading the end of the body, which has usually arrived, frees the connection for the next request.
                let _ = state.response.chunk().now_or_never();
                return Ok(());
            }
            match state.response.chunk().await.map_err(|error| self.http.lost(error))? {
                Some(bytes) => {
                    state.length += bytes.len();
                    self.http.limit(state.length)?;
                    state.events.push(&bytes);
                }
                None => match state.events.rest() {
                    Some(event) => {
                        pieces.extend(Some(self.take(state, event)?).filter(|text| !text.is_empty()))
                    }
                    None => return Err(self.http.truncated()),
                },
            }
        }
    }
}

#[async_trait]
impl TokenStream for Stream {
    async fn next(&self, max: u32) -> Result<Vec<String>> {
        let mut state = self.state.lock().await;
        let mut pieces = Vec::new();
        if state.failed.is_none() {
            state.failed = self.read(&mut state, &mut pieces, max.max(1) as usize).await.err();
        }
        match &state.failed {
            // Pieces from before the error come first.
            Some(error) if pieces.is_empty() => Err(error.clone()),
            _ => Ok(pieces),
        }
    }

    /// The whole answer with all of its text; waits for the pieces that were not requested yet.
    async fn finish(&self) -> Result<Completion> {
        while !self.next(u32::MAX).await?.is_empty() {}
        let mut state = self.state.lock().await;
        let (choice, usage) = std::mem::take(&mut state.answer).finish();
        // The answer was moved out.
        state.failed = Some(Error::input("the stream is already finished"));
        Ok(Completion { choices: vec![choice], usage, raw: std::mem::take(&mut state.raw).into() })
    }
}
