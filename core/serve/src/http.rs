//! Paths, and who may use them.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State, rejection::BytesRejection};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use forethought_api::{Error, error::Code};
use forethought_runtime::run::summary::CallCount;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::Service;
use crate::answer::{Answer, Refusal};
use crate::chat::{self, Chat};
use crate::history;
use crate::metrics::UNKNOWN;
use crate::passed::Passage;
use crate::responses;
use crate::session::{Incoming, Outcome, Pending, Replied, Session, Waiting, new_id};

/// Who may come in.
pub(crate) struct Doors {
    /// The token's hash: comparing hashes takes the same time wherever they differ.
    token: Option<blake3::Hash>,
    loopback: bool,
    max_body: usize,
}

impl Doors {
    pub(crate) fn new(address: SocketAddr, token: Option<String>, max_body: usize) -> Self {
        let token = token.map(|token| blake3::hash(token.as_bytes()));
        Self { token, loopback: address.ip().is_loopback(), max_body }
    }

    pub(crate) fn need_token(&self) -> bool {
        self.token.is_some()
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        // A page of any site can send requests to this machine, and have its own name point here.
        let host = text(&header::HOST).unwrap_or_default();
        if self.loopback && !is_local(host) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the header `Host` names another machine; use the address that the server listens on",
            ));
        }
        if let Some(origin) = text(&header::ORIGIN) {
            let place = origin.split_once("://").map_or("", |(_, place)| place);
            if place != host && !(self.loopback && is_local(place)) {
                return Err(Refusal::new(
                    StatusCode::FORBIDDEN,
                    "requests from pages of other sites are refused",
                ));
            }
        }
        let Some(token) = self.token else { return Ok(()) };
        let sent = text(&header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        // The comparison of hashes is constant in time.
        match sent.is_some_and(|sent| blake3::hash(sent.as_bytes()) == token) {
            true => Ok(()),
            false => Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "the token is missing or wrong; send it as the API key: `Authorization: Bearer TOKEN`",
            )
            .code("invalid_api_key")),
        }
    }
}

/// Whether a host, with or without a port, is this machine.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/responses", post(response))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
        .route("/v1/sessions", get(sessions))
        .route("/v1/sessions/{id}", get(session))
        .route("/v1/sessions/{id}/outcome", post(outcome))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || {
            Refusal::new(
                StatusCode::NOT_FOUND,
                "there is no such path; there are /v1/chat/completions, /v1/responses, /v1/models, /v1/sessions, /metrics and /healthz",
            )
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not have this method")
        })
        .layer(DefaultBodyLimit::max(service.doors.max_body))
        .layer(middleware::from_fn_with_state(service.clone(), enter))
        .with_state(service)
}

/// Refuses those who may not come in, before anything is read.
async fn enter(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    match service.doors.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let live = service.sessions.all().iter().filter(|session| session.live()).count();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], service.metrics.text(live))
}

fn described(service: &Service, id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": service.started, "owned_by": "forethought" })
}

async fn models(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let names = service.offered.names();
    let data: Vec<_> = names.iter().map(|name| described(&service, name)).collect();
    axum::Json(json!({ "object": "list", "data": data }))
}

async fn model(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let model = service.offered.find(&id)?;
    Ok(axum::Json(described(&service, &model.name)))
}

async fn sessions(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let data: Vec<_> = service.sessions.all().iter().map(|session| session.describe()).collect();
    axum::Json(json!({ "object": "list", "data": data }))
}

fn find(service: &Service, id: &str) -> Result<Arc<Session>, Refusal> {
    service.sessions.get(id).ok_or_else(|| {
        let message = "there is no such session; answers carry its id in the header `x-forethought-session`";
        Refusal::new(StatusCode::NOT_FOUND, message).code("session_not_found")
    })
}

async fn session(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    Ok(axum::Json(find(&service, &id)?.describe()))
}

/// The bytes of a body, or why it could not be read.
fn body(service: &Service, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| {
        let message = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => format!(
                "the request has more than {} bytes (`max_body` under [serve])",
                service.doors.max_body
            ),
            _ => rejection.body_text(),
        };
        Refusal::new(rejection.status(), message)
    })
}

async fn outcome(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let bytes = body(&service, bytes)?;
    let bad = |message: &str| Refusal::new(StatusCode::BAD_REQUEST, message);
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
        bad(&format!("the body is not JSON: {error}; send {{\"reward\": 1.0, \"success\": true}}"))
    })?;
    let Value::Object(fields) = &value else { return Err(bad("the body must be a JSON object")) };
    if let Some(other) =
        fields.keys().find(|key| !["reward", "success", "observation"].contains(&key.as_str()))
    {
        return Err(bad("there are the fields `reward`, `success` and `observation`").at(other.clone()));
    }
    let success = match &value["success"] {
        Value::Null => None,
        Value::Bool(success) => Some(*success),
        _ => return Err(bad("`success` must be true or false").at("success")),
    };
    let reward = match (&value["reward"], success) {
        (Value::Null, Some(success)) => f64::from(u8::from(success)),
        (reward, _) => reward
            .as_f64()
            .filter(|reward| reward.is_finite())
            .ok_or_else(|| bad("`reward` must be a finite number").at("reward"))?,
    };
    let observation = match &value["observation"] {
        Value::Null => None,
        Value::String(seen) => Some(seen.clone()),
        _ => return Err(bad("`observation` must be a text").at("observation")),
    };
    let session = find(&service, &id)?;
    let ended = session.end(Outcome { reward, success, observation })?;
    let described = ended.await.unwrap_or_else(|_| session.describe());
    Ok(axum::Json(described))
}

/// A request's own header.
fn own<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let wrong = || Refusal::new(StatusCode::BAD_REQUEST, format!("the header `{name}` is not text")).at(name);
    headers.get(name).map(|value| value.to_str().map_err(|_| wrong())).transpose()
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str, what: &str) -> Result<Option<T>, Refusal> {
    let Some(text) = own(headers, name)? else { return Ok(None) };
    let wrong =
        |_| Refusal::new(StatusCode::BAD_REQUEST, format!("the header `{name}` must be {what}")).at(name);
    text.trim().parse().map(Some).map_err(wrong)
}

const SESSION: &str = "x-forethought-session";
const EPISODE: &str = "x-forethought-episode";
const CALLS: &str = "x-forethought-calls";
const TASK: &str = "x-forethought-task";
const SEED: &str = "x-forethought-seed";
const REWARD: &str = "x-forethought-reward";

/// How long a streamed answer may take before its head is sent: what fails at once fails with its status.
const HEAD: Duration = Duration::from_millis(500);
/// The time between two comments of a stream that waits.
const ALIVE: Duration = Duration::from_secs(5);

async fn chat(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Response {
    counted(&service, &headers, bytes, false).await
}

async fn response(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Response {
    counted(&service, &headers, bytes, true).await
}

async fn counted(
    service: &Arc<Service>,
    headers: &HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
    as_response: bool,
) -> Response {
    let mut model = UNKNOWN.to_owned();
    let response = match answer(service, headers, bytes, as_response, &mut model).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    service.metrics.request(&model, response.status().as_u16());
    response
}

/// The interface of a request.
enum Form {
    Chat { include_usage: bool },
    Response(responses::Form),
}

impl Form {
    fn id(&self) -> String {
        let kind = if matches!(self, Self::Chat { .. }) { "chatcmpl-" } else { "resp_" };
        format!("{kind}{}", new_id())
    }
    fn whole(&self, answer: &Answer, id: &str, model: &str) -> Value {
        match self {
            Self::Chat { .. } => answer.completion(id, model),
            Self::Response(form) => form.whole(answer, id, model),
        }
    }
    fn events(&self, answer: &Answer, id: &str, model: &str) -> String {
        match self {
            Self::Chat { include_usage } => answer.chunks(id, model, *include_usage),
            Self::Response(form) => form.events(answer, id, model),
        }
    }
    fn keep(&mut self, answer: &Answer, id: &str, service: &Service) {
        if let Self::Response(form) = self {
            form.keep(answer, id, &service.kept);
        }
    }
    fn error(&self, refusal: &Refusal) -> String {
        match self {
            Self::Chat { .. } => refusal.event(),
            Self::Response(_) => responses::error(refusal),
        }
    }
}

async fn answer(
    service: &Arc<Service>,
    headers: &HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
    as_response: bool,
    name: &mut String,
) -> Result<Response, Refusal> {
    let bytes = body(service, bytes)?;
    let mut fields = chat::fields(&bytes)?;
    let mut as_form = None;
    if as_response {
        let (chat, form) = responses::asked(&fields, &service.kept)?;
        (fields, as_form) = (chat, Some(form));
    }
    let requested = chat::model(&fields)?.to_owned();
    let model = service.offered.find(&requested)?;
    name.clone_from(&model.name);
    let passed = model.how.raw() && !as_response;
    let chat = Chat::of(&fields, passed)?;
    if !passed {
        chat.only_text()?;
    }
    drop(fields);
    let raw = passed.then(|| String::from_utf8_lossy(&bytes).into_owned());
    let reward: f64 = number(headers, REWARD, "a number")?.unwrap_or_default();
    if !reward.is_finite() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "a reward must be a finite number").at(REWARD));
    }
    let reset =
        (number(headers, TASK, "a whole number from 0")?, number(headers, SEED, "a whole number from 0")?);
    let id = own(headers, SESSION)?;
    let fits = |id: &&str| {
        (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    if id.is_some_and(|id| !fits(&id)) {
        let message = format!("the header `{SESSION}` must have 1 to 64 letters, digits, `_` and `-`");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message).at(SESSION));
    }
    if service.stop.is_cancelled() {
        return Err(Refusal::from(&Error::new(Code::Shutdown, "the server stops")));
    }
    let permit = service.slots.clone().try_acquire_owned().map_err(|_| {
        Refusal::busy(format!(
            "{} decisions are in flight, the most at once (`concurrency` under [serve])",
            service.concurrency
        ))
    })?;
    let stream = chat.stream;
    let mut form = match as_form {
        Some(form) => Form::Response(form),
        None => Form::Chat { include_usage: chat.include_usage },
    };
    let conversation = history::conversation(&chat);
    let marks = service.sessions.marks(&conversation);
    let system = history::mark(&chat.system());
    let instructions = chat.instructions();
    let incoming =
        Incoming { chat, model: model.clone(), instructions, raw, conversation, marks, system, reward };
    let (session, pending) = enter_session(service, id, incoming, reset)?;
    let flight = Flight::new(service, model.name.clone(), permit);
    let Pending { begun, pieces, reply, waiting } = pending;
    let mut reply = reply;
    // If the episode does not begin, the reply says why.
    let episode = begun.await.unwrap_or_default();
    let head = Head { session: session.id.clone(), episode, calls: None };
    if passed {
        tokio::select! {
            biased;
            Ok(pieces) = pieces => {
                let passage = Passage { pieces, reply, _waiting: waiting, flight };
                return Ok(head.on(passage.respond(stream).await.unwrap_or_else(IntoResponse::into_response)));
            }
            replied = &mut reply => {
                let refusal = replied.unwrap_or_else(|_| Err(lost())).err().unwrap_or_else(lost);
                return Ok(head.on(refusal.into_response()));
            }
        }
    }
    let id = form.id();
    if !stream {
        let replied = reply.await.unwrap_or_else(|_| Err(lost()));
        drop(waiting);
        return Ok(match replied {
            Ok(answer) => {
                flight.answered(&answer);
                form.keep(&answer, &id, service);
                let head = Head { calls: Some(answer.used.calls), ..head };
                head.on(axum::Json(form.whole(&answer, &id, &requested)).into_response())
            }
            Err(refusal) => head.on(refusal.into_response()),
        });
    }
    let early = tokio::time::timeout(HEAD, &mut reply).await;
    let early = match early {
        Ok(replied) => match replied.unwrap_or_else(|_| Err(lost())) {
            Ok(answer) => Some(answer),
            Err(refusal) => return Ok(head.on(refusal.into_response())),
        },
        Err(_) => None,
    };
    let head = Head { calls: early.as_ref().map(|answer| answer.used.calls), ..head };
    let keeper = service.clone();
    let mut words = move |replied: Replied| match replied {
        Ok(answer) => {
            flight.answered(&answer);
            form.keep(&answer, &id, &keeper);
            form.events(&answer, &id, &requested)
        }
        Err(refusal) => form.error(&refusal),
    };
    let events = match early {
        Some(answer) => Body::from(words(Ok(answer))),
        None => Body::from_stream(thinking(reply, waiting, words)),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok(head.on((headers, events).into_response()))
}

/// The error of a request whose session is gone.
pub(crate) fn lost() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the session ended without an answer")
}

/// The session of a request, which waits in it now.
fn enter_session(
    service: &Arc<Service>,
    id: Option<&str>,
    incoming: Incoming,
    reset: (Option<u64>, Option<u64>),
) -> Result<(Arc<Session>, Pending), Refusal> {
    let begin = |incoming: &Incoming| service.sessions.begin(id, incoming, reset, service.seed);
    let found = match id {
        Some(id) => service.sessions.get(id).unwrap_or_else(|| begin(&incoming)),
        None => service.sessions.find(&incoming).unwrap_or_else(|| begin(&incoming)),
    };
    match found.ask(service, incoming) {
        Ok(pending) => Ok((found, pending)),
        Err(_) if id.is_some() => Err(Refusal::new(
            StatusCode::CONFLICT,
            "a decision of this session is in flight; a session makes one at a time",
        )
        .code("session_state")),
        // Another request was faster, so this is another session.
        Err(incoming) => {
            let session = begin(&incoming);
            let pending = session.ask(service, *incoming).map_err(|_| lost())?;
            Ok((session, pending))
        }
    }
}

/// A stream: comments while nothing is decided, then the answer.
fn thinking(
    reply: oneshot::Receiver<Replied>,
    waiting: Waiting,
    words: impl FnOnce(Replied) -> String + Send + 'static,
) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    // What was not sent withdraws the request when the client goes: it is dropped with the stream.
    stream::unfold(Some((reply, waiting, words)), |state| async move {
        let (mut reply, waiting, words) = state?;
        tokio::select! {
            replied = &mut reply => {
                let text = words(replied.unwrap_or_else(|_| Err(lost())));
                Some((Ok(Bytes::from(text)), None))
            }
            () = tokio::time::sleep(ALIVE) => {
                Some((Ok(Bytes::from_static(b": thinking\n\n")), Some((reply, waiting, words))))
            }
        }
    })
}

/// What the head of an answer says of its session.
struct Head {
    session: String,
    episode: String,
    calls: Option<u64>,
}

impl Head {
    fn on(&self, mut response: Response) -> Response {
        let calls = self.calls.map(|calls| calls.to_string()).unwrap_or_default();
        for (name, value) in [(SESSION, &self.session), (EPISODE, &self.episode), (CALLS, &calls)] {
            if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value)) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// A decision in flight.
pub(crate) struct Flight {
    service: Arc<Service>,
    model: String,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Flight {
    fn new(service: &Arc<Service>, model: String, permit: OwnedSemaphorePermit) -> Self {
        service.metrics.in_flight(1);
        Self { service: service.clone(), model, since: Instant::now(), _permit: permit }
    }
    pub(crate) fn answered(&self, answer: &Answer) {
        let used: CallCount = answer.used;
        self.service.metrics.answer(&self.model, self.since.elapsed(), used);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.service.metrics.in_flight(-1);
    }
}
