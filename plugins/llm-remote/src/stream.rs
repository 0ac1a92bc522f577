//! A streamed answer, and a whole one, each also where the other was requested.

use forethought_sdk::{
    futures::{FutureExt, lock::Mutex},
    prelude::*,
    serde_json::{self, Value},
};
use reqwest::Response;

use crate::{
    events::{Events, Framing},
    format::{Answer, Format, unreadable},
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
    /// Bytes received so far.
    length: usize,
    reader: Reader,
    /// The error; it is returned again on every later call.
    failed: Option<Error>,
}

impl Stream {
    pub(crate) fn new(http: Arc<Http>, format: &'static dyn Format, response: Response) -> Self {
        let state = State { response, length: 0, reader: Reader::new(format.framing()), failed: None };
        Self { http, format, state: Mutex::new(state) }
    }

    /// Reads until there is at least one piece, and up to `max` as long as it does not have to wait.
    async fn read(&self, state: &mut State, pieces: &mut Vec<String>, max: usize) -> Result<()> {
        loop {
            while pieces.len() < max {
                let Some(text) = state.reader.next(&self.http, self.format)? else { break };
                if !text.is_empty() {
                    pieces.push(text);
                }
            }
            let ended = state.reader.ended(&self.http)?;
            if pieces.len() == max || (!pieces.is_empty() && !ended) {
                return Ok(());
            }
            if ended {
                // Reading the end of the body, which has usually arrived, frees the connection for the next request.
                let _ = state.response.chunk().now_or_never();
                return Ok(());
            }
            match state.response.chunk().await.map_err(|error| self.http.lost(error))? {
                Some(bytes) => {
                    state.length += bytes.len();
                    self.http.limit(state.length)?;
                    state.reader.events.push(&bytes);
                }
                None => {
                    let text = state.reader.rest(&self.http, self.format)?;
                    pieces.extend(Some(text).filter(|text| !text.is_empty()));
                }
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
        // The answer is moved out.
        state.failed = Some(Error::input("the stream is already finished"));
        Ok(std::mem::replace(&mut state.reader, Reader::new(self.format.framing())).finish(&self.http))
    }
}

/// Puts an answer together from its events.
pub(crate) struct Reader {
    events: Events,
    answer: Answer,
    raw: Vec<Value>,
    /// Length of the answer's text that was passed on. The rest may be the beginning of a key.
    told: usize,
    /// Whether a key was in pieces.
    pieces: bool,
}

impl Reader {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            events: Events::new(framing),
            answer: Answer::default(),
            raw: Vec::new(),
            told: 0,
            pieces: false,
        }
    }

    /// The same for an answer with so many choices.
    pub(crate) fn samples(mut self, samples: u32) -> Self {
        self.answer.many = samples > 1;
        self
    }

    /// Processes bytes that have arrived.
    pub(crate) fn push(&mut self, http: &Http, format: &dyn Format, bytes: &[u8]) -> Result<()> {
        self.events.push(bytes);
        while self.next(http, format)?.is_some() {}
        Ok(())
    }

    /// Processes the next event that has arrived; returns the text that it adds. What follows the end of the answer is
    /// not read: whether it has arrived yet is chance.
    fn next(&mut self, http: &Http, format: &dyn Format) -> Result<Option<String>> {
        let event = if self.answer.ended { None } else { self.events.next() };
        event.map(|event| self.take(http, format, event)).transpose()
    }

    /// Processes one event; returns the text that it adds.
    fn take(&mut self, http: &Http, format: &dyn Format, event: String) -> Result<String> {
        // The end in OpenAI's format; the one event that is not JSON.
        if event.trim() == "[DONE]" {
            self.answer.ended = true;
            return Ok(self.news(http));
        }
        let event = http.redact(event);
        if self.events.whole() {
            let mut completion = document(http, format, &event)?;
            self.answer.choice = completion.choices.swap_remove(0);
            self.answer.usage = completion.usage;
            (self.answer.begun, self.answer.ended) = (true, true);
            self.raw.push(completion.raw);
            self.told = self.answer.choice.text.len();
            return Ok(self.answer.choice.text.clone());
        }
        let event = http.json(&event)?;
        format.event(&event, &mut self.answer).map_err(|error| http.place(error))?;
        self.raw.push(event);
        Ok(self.news(http))
    }

    /// The text that was not passed on, without keys. What may be the beginning of one waits until the rest arrives.
    fn news(&mut self, http: &Http) -> String {
        let text = self.answer.choice.text.split_off(self.told);
        let mut clean = http.redact(text.clone());
        self.pieces |= clean != text;
        self.answer.choice.text += &clean;
        clean.truncate(clean.len() - if self.answer.ended { 0 } else { http.open(&clean) });
        self.told += clean.len();
        clean
    }

    /// At the end of the bytes: processes the events that are left. An answer whose reason for the end has arrived is
    /// whole without the event that ends a stream.
    pub(crate) fn rest(&mut self, http: &Http, format: &dyn Format) -> Result<String> {
        let mut text = String::new();
        while !self.answer.ended
            && let Some(event) = self.events.rest()
        {
            text += &self.take(http, format, event)?;
        }
        self.answer.ended |= self.answer.complete();
        text += &self.news(http);
        if self.answer.ended { Ok(text) } else { Err(http.truncated()) }
    }

    /// Whether the answer has ended.
    pub(crate) fn ended(&self, http: &Http) -> Result<bool> {
        match self.answer.ended && !self.answer.begun {
            true => Err(http.place(unreadable("the stream ended without an answer"))),
            false => Ok(self.answer.ended),
        }
    }

    pub(crate) fn finish(mut self, http: &Http) -> Completion {
        let others: Vec<_> = std::mem::take(&mut self.answer.others).into_values().collect();
        let (choice, usage) = self.answer.finish();
        let mut choices = vec![choice];
        choices.extend(others.into_iter().map(|other| other.finish().0));
        let split = |text: &mut String| {
            let clean = http.redact(text.clone());
            let found = clean != *text;
            *text = clean;
            found
        };
        let mut pieces = self.pieces;
        for choice in &mut choices {
            pieces |= split(&mut choice.text) | split(&mut choice.reasoning);
            for call in &mut choice.tool_calls {
                let mut text = call.arguments.to_string();
                if split(&mut text) {
                    pieces = true;
                    call.arguments = serde_json::from_str(&text).unwrap_or(Value::String(text));
                }
            }
        }
        // The events still have the pieces.
        let raw = if pieces { Value::Null } else { self.raw.into() };
        Completion { choices, usage, raw }
    }
}

/// Reads a whole body: an answer, or a stream though none was requested.
pub(crate) fn whole(http: &Http, format: &dyn Format, body: &str) -> Result<Completion> {
    let body = body.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
    if !format.framing().fits(body) {
        return document(http, format, body);
    }
    pieces(http, format, [body.as_bytes()])
}

/// Reads a stream that arrives in these pieces.
pub(crate) fn pieces<'a>(
    http: &Http,
    format: &dyn Format,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Completion> {
    let mut reader = Reader::new(format.framing());
    for piece in pieces {
        reader.push(http, format, piece)?;
    }
    reader.rest(http, format)?;
    reader.ended(http)?;
    Ok(reader.finish(http))
}

fn document(http: &Http, format: &dyn Format, body: &str) -> Result<Completion> {
    let answer = http.json(body)?;
    http.recognise(&answer, format.marks())?;
    let completion = format.read(&answer).map_err(|error| http.place(error))?;
    Ok(Completion { raw: answer, ..completion })
}
