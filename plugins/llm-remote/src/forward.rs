//! Answers that are passed on byte for byte, and read on the way.

use forethought_sdk::{
    api::raw::{RawBytes, RawHead, RawStream},
    futures::lock::Mutex,
    prelude::*,
};
use reqwest::{
    Response,
    header::{CONTENT_TYPE, HeaderMap},
};

use crate::{
    format::Format,
    http::Http,
    stream::{Reader, whole},
};

/// Headers that say something about an answer; a name that ends in `-` means all that begin with it.
const HEADERS: [&str; 7] = [
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-",
    "x-request-id",
];

/// An answer in progress. Dropping it closes the connection, which tells the provider to stop.
pub(crate) struct Forwarded {
    http: Arc<Http>,
    format: &'static dyn Format,
    head: RawHead,
    state: Mutex<State>,
}

struct State {
    body: Body,
    /// Bytes received so far.
    length: usize,
    reading: Reading,
}

enum Body {
    Arriving(Response),
    /// Of a refusal.
    Here(Vec<u8>),
    Ended,
    Broken(Error),
}

enum Reading {
    Stream(Box<Reader>),
    Whole(Vec<u8>),
    Unreadable(Error),
    /// The completion was moved out.
    Taken,
}

impl Forwarded {
    /// The answer to a request for `samples` answers, streamed or not.
    pub(crate) async fn new(
        http: Arc<Http>,
        format: &'static dyn Format,
        response: Response,
        (streaming, samples): (bool, u32),
        sent: &[u8],
    ) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut head = RawHead {
            status: status.as_u16(),
            content_type: text(&http, &headers, CONTENT_TYPE.as_str()).unwrap_or_default(),
            headers: kept(&http, &headers),
            failure: None,
        };
        let body = match status.is_success() {
            true => Body::Arriving(response),
            false => {
                let (failure, body) = http.refusal(response, sent).await;
                head.failure = Some(failure);
                Body::Here(body)
            }
        };
        let reading = match (&head.failure, streaming) {
            (Some(failure), _) => Reading::Unreadable(failure.clone()),
            (None, true) => Reading::Stream(Box::new(Reader::new(format.framing()).samples(samples))),
            (None, false) => Reading::Whole(Vec::new()),
        };
        Self { http, format, head, state: Mutex::new(State { body, length: 0, reading }) }
    }

    async fn read(&self, state: &mut State) -> Result<RawBytes> {
        loop {
            let response = match &mut state.body {
                Body::Arriving(response) => response,
                Body::Here(bytes) => {
                    let bytes = std::mem::take(bytes);
                    state.body = Body::Ended;
                    return Ok(RawBytes(bytes.into()));
                }
                Body::Ended => return Ok(RawBytes::default()),
                Body::Broken(error) => return Err(error.clone()),
            };
            match response.chunk().await.map_err(|error| self.http.lost(error))? {
                Some(bytes) if bytes.is_empty() => {}
                Some(bytes) => {
                    state.length += bytes.len();
                    self.http.limit(state.length)?;
                    self.take(state, &bytes);
                    return Ok(RawBytes(bytes));
                }
                None => {
                    state.body = Body::Ended;
                    self.rest(state)?;
                    return Ok(RawBytes::default());
                }
            }
        }
    }

    /// Reads bytes. What cannot be read is passed on all the same: the client may know more.
    fn take(&self, state: &mut State, bytes: &[u8]) {
        match &mut state.reading {
            Reading::Whole(body) => body.extend_from_slice(bytes),
            Reading::Stream(reader) => {
                if let Err(error) = reader.push(&self.http, self.format, bytes) {
                    state.reading = Reading::Unreadable(error);
                }
            }
            Reading::Unreadable(_) | Reading::Taken => {}
        }
    }

    /// At the end of the bytes. A stream that ended before its answer is an error for the client, too.
    fn rest(&self, state: &mut State) -> Result<()> {
        match &mut state.reading {
            Reading::Stream(reader) => reader.rest(&self.http, self.format).map(drop),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl RawStream for Forwarded {
    async fn head(&self) -> Result<RawHead> {
        Ok(self.head.clone())
    }

    async fn next(&self) -> Result<RawBytes> {
        let mut state = self.state.lock().await;
        let next = self.read(&mut state).await;
        if let Err(error) = &next {
            state.body = Body::Broken(error.clone());
        }
        next
    }

    /// A stream is complete with its last event, though the end of its bytes is still to come.
    async fn finish(&self) -> Result<Completion> {
        loop {
            let mut state = self.state.lock().await;
            let complete = match &state.reading {
                Reading::Stream(reader) => reader.ended(&self.http)?,
                Reading::Unreadable(error) => return Err(error.clone()),
                Reading::Taken => return Err(Error::input("the answer is already finished")),
                Reading::Whole(_) => false,
            };
            if complete || matches!(state.body, Body::Ended) {
                return match std::mem::replace(&mut state.reading, Reading::Taken) {
                    Reading::Stream(reader) => {
                        reader.ended(&self.http)?;
                        Ok(reader.finish(&self.http))
                    }
                    Reading::Whole(body) => {
                        let body = self.http.redact(String::from_utf8_lossy(&body).into_owned());
                        whole(&self.http, self.format, &body)
                    }
                    Reading::Unreadable(error) => Err(error),
                    Reading::Taken => Err(Error::input("the answer is already finished")),
                };
            }
            drop(state);
            self.next().await?;
        }
    }
}

fn text(http: &Http, headers: &HeaderMap, name: &str) -> Option<String> {
    Some(http.redact(headers.get(name)?.to_str().ok()?.to_owned()))
}

fn kept(http: &Http, headers: &HeaderMap) -> Vec<(String, String)> {
    let known = |name: &str| {
        HEADERS.iter().any(|known| *known == name || known.ends_with('-') && name.starts_with(known))
    };
    let names = headers.keys().map(|name| name.as_str()).filter(|name| known(name));
    names.filter_map(|name| Some((name.to_owned(), text(http, headers, name)?))).collect()
}
