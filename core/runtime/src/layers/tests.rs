//! Each layer around a provider that does as it is told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    error::Code,
    llm::{ChatRequest, Choice, Completion, LlmBackend, LlmCapabilities, Message, Purpose, Usage},
    raw::{OPENAI_CHAT, RawBytes, RawHead, RawRequest, RawStream},
};
use serde_json::json;
use tokio::time::Instant;

use super::*;

/// Answers as listed, then "again"; each answer takes `takes`.
#[derive(Default)]
struct Provider {
    listed: Mutex<VecDeque<Result<&'static str>>>,
    takes: Duration,
    asked: AtomicU32,
    under_way: AtomicU32,
    most_under_way: AtomicU32,
}

impl Provider {
    fn of(listed: impl IntoIterator<Item = Result<&'static str>>) -> Arc<Self> {
        Arc::new(Self { listed: Mutex::new(listed.into_iter().collect()), ..Self::default() })
    }
    fn slow(takes: Duration) -> Arc<Self> {
        Arc::new(Self { takes, ..Self::default() })
    }
    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl LlmBackend for Provider {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let listed = self.listed.lock().unwrap().pop_front();
        let text = listed.transpose()?.map_or_else(|| format!("again {number}"), Into::into);
        let usage = Usage { input_tokens: 0, output_tokens: 100 };
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], usage, ..Completion::default() })
    }
}

fn overloaded() -> Error {
    Error::new(Code::Provider, "overloaded").overloaded()
}

fn after(ms: u64) -> Error {
    let mut error = overloaded();
    error.retry_after_ms = Some(ms);
    error
}

fn question(text: &str) -> ChatRequest {
    ChatRequest { max_tokens: Some(100), ..ChatRequest::new(Purpose::Action, vec![Message::user(text)]) }
}

#[tokio::test(start_paused = true)]
async fn what_may_help_is_repeated_after_growing_pauses() {
    let provider = Provider::of([Err(overloaded()), Err(overloaded()), Err(overloaded()), Ok("at last")]);
    let retried = retry::Retry::new(provider.clone(), 5, Duration::from_secs(60));
    let start = Instant::now();
    assert_eq!(retried.complete(question("")).await.unwrap().text(), "at last");
    // 0.5 + 1 + 2 seconds, each with up to as much again of jitter.
    let waited = start.elapsed().as_secs_f64();
    assert!((3.5..=7.0).contains(&waited), "{waited}");
    assert_eq!(provider.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_how_long_to_wait_is_taken_at_its_word() {
    let provider = Provider::of([Err(after(20_000)), Ok("now")]);
    let start = Instant::now();
    retry::Retry::new(provider, 1, Duration::from_secs(60)).complete(question("")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(20));
    // An hour is longer than anybody waits: the error says so at once.
    let provider = Provider::of([Err(after(3_600_000))]);
    let start = Instant::now();
    let error = retry::Retry::new(provider.clone(), 5, Duration::from_secs(60)).complete(question("")).await;
    assert_eq!(error.unwrap_err().message, "overloaded");
    assert_eq!((provider.asked(), start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_help_is_not_repeated_and_the_last_error_is_told() {
    let provider = Provider::of([Err(Error::new(Code::Provider, "no such key"))]);
    let error = retry::Retry::new(provider.clone(), 5, Duration::from_secs(60)).complete(question("")).await;
    assert_eq!((error.unwrap_err().message.as_str(), provider.asked()), ("no such key", 1));
    let provider = Provider::of([Err(overloaded()), Err(overloaded()), Err(overloaded())]);
    let error = retry::Retry::new(provider.clone(), 2, Duration::from_secs(60)).complete(question("")).await;
    assert_eq!(error.unwrap_err().to_string(), "given up after 3 attempts: overloaded");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_in_time() {
    let attempt = attempt::Attempt::new(
        Provider::slow(Duration::from_secs(9)),
        "actor",
        Duration::from_secs(2),
        Metering::default(),
    );
    let start = Instant::now();
    let error = attempt.complete(question("")).await.unwrap_err();
    assert_eq!(error.message, "[llm.actor] gave no answer within 2 s (`calls.timeout_s`)");
    assert!(error.retryable && start.elapsed() == Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn no_minute_sees_more_requests_than_are_allowed() {
    let limited = Arc::new(rate::RateLimit::new(Provider::of([]), Some(60), None));
    let start = Instant::now();
    let calls = (0..130).map(|_| {
        let limited = limited.clone();
        async move { limited.complete(question("")).await.map(|_| start.elapsed()) }
    });
    let mut times: Vec<_> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    times.sort();
    // Ten at once, then one a second.
    assert_eq!(times[9], Duration::ZERO);
    for (index, time) in times.iter().enumerate().skip(10) {
        let due = (index - 9) as f64;
        assert!((time.as_secs_f64() - due).abs() < 0.01, "call {index} at {time:?}, due at {due} s");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_estimated_before_and_settled_after() {
    // 600 a minute, of which 100 may come at once. A call is estimated at 100 and uses 100.
    let limited = rate::RateLimit::new(Provider::of([]), None, Some(600));
    let start = Instant::now();
    for _ in 0..7 {
        limited.complete(question("")).await.unwrap();
    }
    assert!((start.elapsed().as_secs_f64() - 60.0).abs() < 0.1, "{:?}", start.elapsed());
    // Estimated at 1,000 by its limit, and used 100: the others do not wait for what was not used.
    let limited = rate::RateLimit::new(Provider::of([]), None, Some(6000));
    let generous = ChatRequest { max_tokens: Some(1000), ..question("") };
    let start = Instant::now();
    for _ in 0..10 {
        limited.complete(generous.clone()).await.unwrap();
    }
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_are_bounded_and_fewer_while_the_provider_is_overloaded() {
    let provider = Provider::slow(Duration::from_secs(1));
    let adaptive = concurrency::ConcurrencyLimit::new(provider.clone(), 8);
    let all = |count: usize| futures::future::join_all((0..count).map(|_| adaptive.complete(question(""))));
    all(40).await;
    assert_eq!(provider.most_under_way.load(Ordering::Relaxed), 8);
    // Eight refused together are one sign: from eight to four.
    provider.listed.lock().unwrap().extend((0..8).map(|_| Err(overloaded())));
    all(8).await;
    assert_eq!(adaptive.allowed(), 4);
    provider.most_under_way.store(0, Ordering::Relaxed);
    all(4).await;
    assert_eq!(provider.most_under_way.load(Ordering::Relaxed), 4);
    all(200).await;
    assert_eq!(adaptive.allowed(), 8, "good answers bring the number back");
    // Nothing else is a sign of overload, such as a connection that is refused.
    let lost = || Err(Error::new(Code::Provider, "no connection").retryable().refused());
    provider.listed.lock().unwrap().extend((0..8).map(|_| lost()));
    all(8).await;
    assert_eq!(adaptive.allowed(), 8);
}

#[tokio::test]
async fn a_dropped_call_makes_room() {
    let provider = Provider::slow(Duration::from_secs(3600));
    let adaptive = concurrency::ConcurrencyLimit::new(provider, 1);
    for _ in 0..3 {
        let call = adaptive.complete(question(""));
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
    }
    let (one, two) = (adaptive.complete(question("")), adaptive.complete(question("")));
    assert!(tokio::time::timeout(Duration::from_millis(5), futures::future::join(one, two)).await.is_err());
}

#[tokio::test]
async fn the_same_question_is_paid_once_across_runs_and_samples_stay_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept/answers.sqlite");
    let provider = Provider::of([Ok("one"), Ok("two"), Ok("three")]);
    let mut runs = Vec::new();
    for _ in 0..2 {
        let cached = cache::Cache::open(provider.clone(), &path, &json!({ "model": "a" })).unwrap();
        let mut answers = Vec::new();
        for text in ["x", "x", "y"] {
            answers.push(cached.complete(question(text)).await.unwrap().text().to_string());
        }
        runs.push(answers);
    }
    assert_eq!(runs, [["one", "two", "three"], ["one", "two", "three"]]);
    assert_eq!(provider.asked(), 3);
    // Why it is asked is no part of the question; another model is.
    let same = cache::Cache::open(provider.clone(), &path, &json!({ "model": "a" })).unwrap();
    same.complete(ChatRequest { purpose: Purpose::Judge, ..question("x") }).await.unwrap();
    assert_eq!(provider.asked(), 3);
    let other = cache::Cache::open(provider.clone(), &path, &json!({ "model": "b" })).unwrap();
    other.complete(question("x")).await.unwrap();
    assert_eq!(provider.asked(), 4);
}

#[tokio::test]
async fn errors_are_not_kept_and_a_file_that_is_no_cache_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.sqlite");
    let provider = Provider::of([Err(overloaded()), Ok("fine")]);
    for expected in [false, true] {
        let cached = cache::Cache::open(provider.clone(), &path, &json!(null)).unwrap();
        assert_eq!(cached.complete(question("")).await.is_ok(), expected);
    }
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, and long enough to be looked at as one").unwrap();
    let error = cache::Cache::open(provider, &text, &json!(null)).err().expect("refused");
    assert!(error.message.contains("notes.txt cannot be opened"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_whole_stack_gives_an_answer_or_says_why_not() {
    let provider = Provider::of([Err(overloaded()), Ok("fine")]);
    let stack =
        CallConfig::default().around(provider.clone(), "actor", &json!(null), &Metering::default()).unwrap();
    assert_eq!(stack.complete(question("")).await.unwrap().text(), "fine");
    assert_eq!(provider.asked(), 2);
    let never = CallConfig { timeout_s: -1.0, ..CallConfig::default() };
    let error = never.around(provider, "actor", &json!(null), &Metering::default()).err().expect("refused");
    assert!(
        error.message.contains("`llm.actor.calls.timeout_s`: must be a number of seconds from 0, got -1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_role_asks_the_model_of_the_purpose() {
    struct Named(&'static str);
    #[async_trait]
    impl LlmBackend for Named {
        async fn capabilities(&self) -> Result<LlmCapabilities> {
            Ok(LlmCapabilities::default())
        }
        async fn complete(&self, _: ChatRequest) -> Result<Completion> {
            Ok(Completion { raw: self.0.into(), ..Completion::default() })
        }
    }
    let routes = [(Purpose::Judge, Arc::new(Named("small")) as _)].into();
    let role = route::Router::over(Arc::new(Named("big")), routes);
    for (purpose, expected) in [(Purpose::Judge, "small"), (Purpose::Action, "big")] {
        let answer = role.complete(ChatRequest::new(purpose, Vec::new())).await.unwrap();
        assert_eq!(answer.raw, expected);
    }
}

/// Passes requests on: each answer has the listed status and two pieces, and ends as listed.
#[derive(Default)]
struct Wire {
    statuses: Mutex<VecDeque<Result<u16>>>,
    stalls: bool,
    asked: AtomicU32,
}

struct Answer {
    status: u16,
    stalls: bool,
    left: Mutex<Vec<&'static str>>,
}

#[async_trait]
impl LlmBackend for Wire {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        Err(Error::other("it was not passed on"))
    }
    async fn formats(&self) -> Result<Vec<String>> {
        Ok(vec![OPENAI_CHAT.into()])
    }
    async fn forward(&self, _: RawRequest) -> Result<Arc<dyn RawStream>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let status = self.statuses.lock().unwrap().pop_front().unwrap_or(Ok(200))?;
        Ok(Arc::new(Answer { status, stalls: self.stalls, left: Mutex::new(vec!["world", "hello "]) }))
    }
}

#[async_trait]
impl RawStream for Answer {
    async fn head(&self) -> Result<RawHead> {
        let failure = (self.status != 200).then(overloaded);
        Ok(RawHead { status: self.status, failure, ..RawHead::default() })
    }
    async fn next(&self) -> Result<RawBytes> {
        let next = self.left.lock().unwrap().pop();
        if next.is_none() && self.stalls {
            std::future::pending::<()>().await;
        }
        Ok(RawBytes(next.unwrap_or_default().into()))
    }
    async fn finish(&self) -> Result<Completion> {
        match self.head().await?.failure {
            Some(failure) => Err(failure),
            None => Ok(Completion { raw: "read".into(), ..Completion::default() }),
        }
    }
}

fn raw() -> RawRequest {
    RawRequest { format: OPENAI_CHAT.into(), request: question("hello"), ..RawRequest::default() }
}

/// The body, and how it ended.
async fn read(answer: &Arc<dyn RawStream>) -> (String, Result<Completion>) {
    let mut body = String::new();
    loop {
        match answer.next().await {
            Ok(bytes) if bytes.0.is_empty() => return (body, answer.finish().await),
            Ok(bytes) => body += std::str::from_utf8(&bytes.0).unwrap(),
            Err(error) => return (body, Err(error)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_on_is_repeated_before_it_begins_and_the_last_refusal_is_an_answer() {
    let wire = |statuses: &[Result<u16>]| {
        Arc::new(Wire { statuses: Mutex::new(statuses.iter().cloned().collect()), ..Wire::default() })
    };
    let provider = wire(&[Err(overloaded()), Ok(503), Ok(200)]);
    let calls = CallConfig { retries: 2, concurrency: 1, ..CallConfig::default() };
    let stack = calls.around(provider.clone(), "actor", &json!(null), &Metering::default()).unwrap();
    let answer = stack.forward(raw()).await.unwrap();
    let (body, ended) = read(&answer).await;
    assert_eq!((body.as_str(), ended.unwrap().raw), ("hello world", json!("read")));
    assert_eq!(provider.asked.load(Ordering::Relaxed), 3);
    provider.statuses.lock().unwrap().extend([Ok(503), Ok(529), Ok(503)]);
    let refused = stack.forward(raw()).await.unwrap();
    assert_eq!(refused.head().await.unwrap().status, 503);
    assert_eq!(read(&refused).await.1.unwrap_err().message, "overloaded");
    // What is not spoken here is no attempt.
    let other = stack.forward(RawRequest { format: "smoke".into(), ..raw() }).await;
    assert_eq!(other.err().unwrap().code, Code::Unimplemented);
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_on_counts_as_in_flight_until_it_ends_and_ends_in_time() {
    let calls = CallConfig { timeout_s: 2.0, concurrency: 1, ..CallConfig::default() };
    let provider = Arc::new(Wire { stalls: true, ..Wire::default() });
    let stack = calls.around(provider, "actor", &json!(null), &Metering::default()).unwrap();
    let (start, first) = (Instant::now(), stack.forward(raw()).await.unwrap());
    let second = stack.forward(raw());
    tokio::pin!(second);
    assert!(futures::poll!(&mut second).is_pending());
    let (body, ended) = read(&first).await;
    assert_eq!(body, "hello world");
    let late = "[llm.actor] gave no complete answer within 2 s (`calls.timeout_s`)";
    assert_eq!((ended.unwrap_err().message.as_str(), start.elapsed()), (late, Duration::from_secs(2)));
    drop(first);
    second.await.unwrap();
}
