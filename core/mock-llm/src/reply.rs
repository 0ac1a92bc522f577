//! One request, from its arrival to the last byte of its answer.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::State as Shared,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use forethought_api::error::Code;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::{
    Received, State,
    embeddings::{Asked, Embeddings},
    fault::{self, Fault},
    format::{Format, Parsed, Reported},
    lock,
};

/// Chats are text, and never longer.
const MAX_BODY: usize = 64 << 20;

/// An answer about to be sent.
struct Reply {
    status: u16,
    kind: &'static str,
    pieces: Vec<String>,
}

pub(crate) async fn reply(
    Shared(state): Shared<Arc<State>>,
    request: axum::extract::Request,
) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let Some(api) = Api::of(&path) else {
        let text = format!("the mock server has no {path}");
        return Ok(send(plain(404, json!({ "error": text })), &HeaderMap::new()));
    };
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return Ok(send(refusal(api, 413, "the request is too long or incomplete"), &HeaderMap::new()));
    };
    if state.options.record {
        let headers = head.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let body = String::from_utf8_lossy(&body).into_owned();
        lock(&state.received).push(Received { path: path.clone(), headers: headers.collect(), body });
    }
    if let Some(key) = &state.options.key
        && api.key(&head.headers) != Some(key)
    {
        return Ok(send(refusal(api, 401, "invalid x-api-key"), &HeaderMap::new()));
    }
    let read = match serde_json::from_slice::<Value>(&body) {
        Ok(body) => api.read(&path, &head.headers, &body),
        Err(error) => Err(error.to_string()),
    };
    let mut asked = match read {
        Ok(asked) => asked,
        Err(reason) => return Ok(send(refusal(api, 400, &reason), &HeaderMap::new())),
    };
    let requested = match requested(&head.headers, asked.model()) {
        Ok(requested) => requested,
        Err(error) => return Ok(send(refusal(api, 400, &error.message), &HeaderMap::new())),
    };
    let content = asked.content();
    let content = blake3::hash(content.as_bytes()).to_hex().to_string();
    let earlier = state.asked(&content);
    let fault =
        requested.or_else(|| fault::strike(&state.options.faults, state.options.seed, &content, earlier));
    if let Some(fault) = fault {
        *lock(&state.struck).entry(fault.to_string()).or_default() += 1;
    }
    Ok(answer(state, asked, content, fault).await)
}

/// What a path selects.
#[derive(Clone, Copy)]
enum Api {
    Chat(Format),
    Embeddings(Embeddings),
}

/// A request that was read.
enum Request {
    Chat(Format, Parsed),
    Embeddings(Embeddings, Asked),
}

impl Api {
    fn of(path: &str) -> Option<Self> {
        Format::of(path).map(Self::Chat).or_else(|| Embeddings::of(path).map(Self::Embeddings))
    }

    fn key(self, headers: &HeaderMap) -> Option<&str> {
        match self {
            Self::Chat(format) => format.key(headers),
            Self::Embeddings(_) => Embeddings::key(headers),
        }
    }

    fn read(self, path: &str, headers: &HeaderMap, body: &Value) -> Result<Request, String> {
        Ok(match self {
            Self::Chat(format) => Request::Chat(format, format.read(path, headers, body)?),
            Self::Embeddings(api) => Request::Embeddings(api, api.read(body)?),
        })
    }

    fn error(self, status: u16, reason: &str) -> Value {
        match self {
            Self::Chat(format) => format.error(status, reason),
            Self::Embeddings(api) => api.error(status, reason),
        }
    }
}

impl Request {
    fn api(&self) -> Api {
        match self {
            Self::Chat(format, _) => Api::Chat(*format),
            Self::Embeddings(api, _) => Api::Embeddings(*api),
        }
    }

    fn model(&mut self) -> &mut String {
        match self {
            Self::Chat(_, parsed) => &mut parsed.model,
            Self::Embeddings(_, asked) => &mut asked.model,
        }
    }

    /// What counts as the same request.
    fn content(&self) -> String {
        match self {
            Self::Chat(_, parsed) => json!([parsed.model, parsed.request]).to_string(),
            Self::Embeddings(_, asked) => json!([asked.model, asked.texts]).to_string(),
        }
    }
}

/// The fault that a request triggers; removes it from the model's name.
fn requested(headers: &HeaderMap, name: &mut String) -> forethought_api::Result<Option<Fault>> {
    if let Some(requested) = headers.get("x-mock-fault") {
        return requested.to_str().unwrap_or_default().parse().map(Some);
    }
    match name.split_once('!') {
        Some((model, requested)) => {
            let requested = requested.parse()?;
            *name = model.to_owned();
            Ok(Some(requested))
        }
        None => Ok(None),
    }
}

async fn answer(state: Arc<State>, asked: Request, content: String, fault: Option<Fault>) -> Response {
    let api = asked.api();
    let mut headers = HeaderMap::new();
    match fault {
        Some(Fault::RateLimit(wait)) => {
            headers.insert("retry-after-ms", (wait.as_millis() as u64).into());
            headers
                .insert(header::RETRY_AFTER, wait.as_secs_f64().ceil().to_string().parse().expect("digits"));
            return send(refusal(api, 429, "too many requests"), &headers);
        }
        Some(Fault::Status(status)) => return send(refusal(api, status, "a requested fault"), &headers),
        Some(Fault::Unauthorized) => return send(refusal(api, 401, "invalid x-api-key"), &headers),
        Some(Fault::Slow(wait)) => tokio::time::sleep(wait).await,
        Some(Fault::Hang) => futures::future::pending().await,
        _ => {}
    }
    let written = match asked {
        Request::Embeddings(api, asked) => Ok(plain(200, api.answer(&asked))),
        Request::Chat(format, parsed) => chat(&state, format, parsed, fault).await,
    };
    let mut reply = match written {
        Ok(reply) => reply,
        Err(error) => {
            let status = if matches!(error.code, Code::Config | Code::Input) { 400 } else { 500 };
            return send(refusal(api, status, &error.to_string()), &headers);
        }
    };
    match fault {
        Some(Fault::Malformed) => {
            let open = if reply.pieces[0].contains('{') { "{" } else { "[" };
            reply.pieces[0] = reply.pieces[0].replacen(open, &open.repeat(2), 1);
        }
        Some(Fault::Truncate) => reply.pieces = half(reply.pieces),
        Some(Fault::Cut | Fault::Stall) => return torn(reply, fault == Some(Fault::Cut)),
        _ => {}
    }
    let pieces = stream::iter(reply.pieces).map(|piece| Ok::<_, io::Error>(Bytes::from(piece)));
    let whole = !matches!(fault, Some(Fault::Malformed | Fault::Truncate));
    // Polled after the connection has taken every piece before it.
    let end = stream::once(async move {
        if whole {
            state.answered(&content);
        }
        Ok(Bytes::new())
    });
    respond(reply.status, reply.kind, &headers, Body::from_stream(pieces.chain(end)))
}

/// The answer to a chat.
async fn chat(
    state: &State,
    format: Format,
    parsed: Parsed,
    fault: Option<Fault>,
) -> forethought_api::Result<Reply> {
    let Parsed { model, mut request, streaming } = parsed;
    request.seed = None;
    let completion = state.options.backend.complete(request).await?;
    let usage = match fault {
        Some(Fault::WrongUsage) => Reported { input: (-1).into(), output: Value::Null },
        _ => Reported {
            input: completion.usage.input_tokens.into(),
            output: completion.usage.output_tokens.into(),
        },
    };
    Ok(if streaming {
        Reply { status: 200, kind: format.stream_kind(), pieces: format.stream(&model, &completion, &usage) }
    } else {
        plain(200, format.whole(&model, &completion, &usage))
    })
}

/// Half of an answer, then the connection is closed or goes silent.
fn torn(reply: Reply, cut: bool) -> Response {
    let length: usize = reply.pieces.iter().map(String::len).sum();
    let pieces = stream::iter(half(reply.pieces)).map(|piece| Ok(Bytes::from(piece)));
    let end = stream::once(async move {
        if !cut {
            return futures::future::pending().await;
        }
        // Let the first half be sent: an immediate error would discard it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(io::Error::other("a requested cut"))
    });
    let mut headers = HeaderMap::new();
    if reply.kind == JSON {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    respond(reply.status, reply.kind, &headers, Body::from_stream(pieces.chain(end)))
}

/// The first half of the pieces, or of a single piece.
fn half(mut pieces: Vec<String>) -> Vec<String> {
    if pieces.len() == 1 {
        let middle = pieces[0].floor_char_boundary(pieces[0].len() / 2);
        pieces[0].truncate(middle);
    } else {
        pieces.truncate(pieces.len() / 2);
    }
    pieces
}

const JSON: &str = "application/json";

fn plain(status: u16, body: Value) -> Reply {
    Reply { status, kind: JSON, pieces: vec![body.to_string()] }
}

fn refusal(api: Api, status: u16, reason: &str) -> Reply {
    plain(status, api.error(status, reason))
}

fn send(reply: Reply, headers: &HeaderMap) -> Response {
    respond(reply.status, reply.kind, headers, Body::from(reply.pieces.concat()))
}

fn respond(status: u16, kind: &str, headers: &HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().extend(headers.clone());
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}
