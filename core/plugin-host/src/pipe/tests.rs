//! Both ends of a pipe in one process, and one end against bytes written by hand.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use forethought_api::{
    critic::{CriticTrainer, Progress, TrainingReport, TrainingRequest},
    encoder::{EncoderSpec, Matrix, TextEncoder},
    environment::{Action, Environment, EnvironmentSpec, Observation, Reset, Transition, Turn},
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, TokenStream},
    wire::{Interface, Meta},
};
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;

/// Far above what anything here takes: a wait that is longer hangs.
const HANGS: Duration = Duration::from_secs(120);

/// Two connected ends. Each runs until the other is dropped.
struct Pair {
    here: Arc<Peer>,
    there: Arc<Peer>,
    runs: [JoinHandle<Result<(), String>>; 2],
    /// Resolves if `there` hangs.
    condemned: oneshot::Receiver<String>,
}

type Half = (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>);

fn duplex() -> (Half, Half) {
    let (here, there) = tokio::io::duplex(BUFFER);
    (tokio::io::split(here), tokio::io::split(there))
}

async fn pair(root: Arc<dyn Object>) -> Pair {
    let (here, there) = duplex();
    let (here, there) =
        tokio::join!(open("there", None, here, HANGS), open("here", Some(root), there, HANGS));
    let (here, there) = (here.unwrap(), there.unwrap());
    let runs = [tokio::spawn(here.traffic.run()), tokio::spawn(there.traffic.run())];
    Pair { here: here.peer, there: there.peer, runs, condemned: here.condemned }
}

/// A component as seen from the other end of a pipe.
async fn remote<I: Interface + ?Sized>(component: Arc<I>) -> (Arc<I>, Pair) {
    let pair = pair(I::serve(component)).await;
    (I::connect(pair.here.root()), pair)
}

impl Peer {
    /// Numbers of outgoing calls in flight, of incoming calls in flight, and of exported objects.
    fn live(&self) -> [usize; 3] {
        let state = self.state();
        [state.calls.len(), state.served.len(), state.exports.len()]
    }
}

async fn becomes<T: PartialEq + std::fmt::Debug>(wanted: T, mut look: impl FnMut() -> T) {
    let start = Instant::now();
    while look() != wanted {
        assert!(start.elapsed() < HANGS, "still {:?}, not {wanted:?}", look());
        sleep(Duration::from_millis(1)).await;
    }
}

/// An object whose methods are named for what they do with a message.
#[derive(Default)]
struct Bench {
    /// Calls that are running.
    running: Arc<AtomicUsize>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Object for Bench {
    fn interface(&self) -> &str {
        "forethought.bench/1"
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        self.running.fetch_add(1, Ordering::SeqCst);
        let (method, running) = (method.to_owned(), Running(self.running.clone()));
        Box::pin(async move {
            let _running = running;
            match &*method {
                "echo" => Ok(request),
                "own" => Ok(Message { objects: vec![Arc::new(Bench::default())], ..said(&()) }),
                "is it yours" => Ok(said(&request.objects[0].as_any().is::<Bench>())),
                "call back" => request.objects[0].invoke("echo", said(&"hello")).await,
                "sleep" => {
                    sleep(Duration::from_millis(request.decode()?)).await;
                    Ok(said(&()))
                }
                "meet" => {
                    static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(200));
                    MEETING.wait().await;
                    Ok(said(&()))
                }
                "deadline" => Ok(said(&request.meta.deadline_unix_ms)),
                "panic" => panic!("on the bench"),
                "panic later" => {
                    sleep(Duration::from_millis(1)).await;
                    std::panic::panic_any(7)
                }
                "panic in drop" => {
                    struct Bomb;
                    impl Drop for Bomb {
                        fn drop(&mut self) {
                            panic!("dropped")
                        }
                    }
                    let _bomb = Bomb;
                    std::future::pending().await
                }
                "broken" => Ok(Message { body: Bytes::from_static(b"{\"a\":"), ..Message::default() }),
                other => Err(forethought_api::wire::unknown_method("forethought.bench/1", other)),
            }
        })
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn said(value: &impl serde::Serialize) -> Message {
    Message::encode(Codec::Json, value).unwrap()
}

async fn bench() -> (Arc<dyn Object>, Pair) {
    let pair = pair(Arc::new(Bench::default())).await;
    (pair.here.root(), pair)
}

#[tokio::test]
async fn a_body_crosses_byte_for_byte_with_its_attachments() {
    let (bench, _pair) = bench().await;
    let body =
        json!({"tide": "höher\n\u{1F30A}", "most": u64::MAX, "least": i64::MIN, "tenth": 0.1, "null": null});
    let blobs = vec![Bytes::from_static(b"\0\xff\n"), Bytes::new(), Bytes::from(vec![7; 3 << 16])];
    let sent = Message { blobs: blobs.clone(), ..said(&body) };
    let reply = bench.invoke("echo", sent.clone()).await.unwrap();
    assert_eq!((reply.body, reply.blobs), (sent.body, blobs));
    let nothing = bench.invoke("echo", said(&())).await.unwrap();
    assert_eq!(
        nothing.decode::<Value>().unwrap(),
        Value::Object(Default::default()),
        "no arguments become an empty object"
    );
}

#[tokio::test]
async fn four_mebibytes_cross_as_text_and_as_a_blob() {
    let (bench, _pair) = bench().await;
    let (text, blob) = ("ü".repeat(2 << 20), Bytes::from(vec![255; 4 << 20]));
    let reply = bench.invoke("echo", Message { blobs: vec![blob.clone()], ..said(&text) }).await.unwrap();
    assert_eq!(reply.blobs, [blob]);
    assert_eq!(reply.decode::<String>().unwrap(), text);
}

#[tokio::test]
async fn objects_go_both_ways_and_come_back_as_themselves() {
    let (bench, pair) = bench().await;
    let mine: Arc<dyn Object> = Arc::new(Bench::default());
    let with = |object: &Arc<dyn Object>| Message { objects: vec![object.clone()], ..said(&()) };

    let echo = bench.invoke("call back", with(&mine)).await.unwrap();
    assert_eq!(echo.decode::<String>().unwrap(), "hello", "the other side calls an object of this side");
    let back = bench.invoke("echo", with(&mine)).await.unwrap();
    assert!(Arc::ptr_eq(&back.objects[0], &mine), "sent there and back, it is the same object");

    let theirs = bench.invoke("own", said(&())).await.unwrap().objects.remove(0);
    assert_eq!(theirs.interface(), "forethought.bench/1");
    assert_eq!(theirs.origin(), Some("there"));
    let known = bench.invoke("is it yours", with(&theirs)).await.unwrap();
    assert!(known.decode::<bool>().unwrap(), "an object of the other side is unwrapped there");

    // Passed on over a second pipe: two hops.
    let (second, other) = self::bench().await;
    let echo = second.invoke("call back", with(&theirs)).await.unwrap();
    assert_eq!(echo.decode::<String>().unwrap(), "hello");

    drop((theirs, back));
    for pair in [&pair, &other] {
        becomes([0, 0, 0], || pair.here.live()).await;
        becomes([0, 0, 1], || pair.there.live()).await;
    }
}

#[tokio::test]
async fn an_object_may_be_dropped_before_its_call_is_polled() {
    let (bench, _pair) = bench().await;
    let theirs = bench.invoke("own", said(&())).await.unwrap().objects.remove(0);
    let call = theirs.invoke("echo", said(&1));
    drop(theirs);
    assert_eq!(call.await.unwrap().decode::<u8>().unwrap(), 1);
}

#[tokio::test]
async fn two_hundred_calls_overlap() {
    let (bench, _pair) = bench().await;
    // None is answered before all are there.
    let calls = (0..200).map(|_| bench.invoke("meet", said(&())));
    assert!(timeout(HANGS, join_all(calls)).await.unwrap().iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_withdrawn_calls_leaves_nothing_behind() {
    let running = Arc::new(AtomicUsize::new(0));
    let pair = pair(Arc::new(Bench { running: running.clone() })).await;
    let bench = pair.here.root();
    let calls = (0..3000u64).map(|index| {
        let bench = bench.clone();
        tokio::spawn(async move {
            // Spread evenly in a mixed order; every tenth call waits for its answer.
            let patience = if index % 10 == 0 { 60_000_000 } else { index * 104_729 % 4000 };
            let (work, patience) = (index * 7919 % 4, Duration::from_micros(patience));
            let request = Message { objects: vec![Arc::new(Bench::default())], ..said(&work) };
            tokio::time::timeout(patience, bench.invoke("sleep", request)).await.is_ok()
        })
    });
    let answered = join_all(calls).await.into_iter().filter(|call| *call.as_ref().unwrap()).count();
    assert!((300..3000).contains(&answered), "{answered} of 3000 calls were answered in time");
    becomes(0, || running.load(Ordering::SeqCst)).await;
    becomes([0, 0, 0], || pair.here.live()).await;
    becomes([0, 0, 1], || pair.there.live()).await;
    assert!(bench.invoke("echo", said(&())).await.is_ok());
}

#[tokio::test]
async fn panics_are_sent_as_answers() {
    let (bench, pair) = bench().await;
    for (method, words) in [("panic", "panicked: on the bench"), ("panic later", "panic without a message")] {
        let error = bench.invoke(method, said(&())).await.unwrap_err();
        assert_eq!(error.code, Code::Panic);
        assert!(error.message.contains(words), "{error}");
    }
    let withdrawn =
        tokio::time::timeout(Duration::from_millis(10), bench.invoke("panic in drop", said(&()))).await;
    assert!(withdrawn.is_err());
    becomes([0, 0, 0], || pair.here.live()).await;
    assert!(bench.invoke("echo", said(&())).await.is_ok());
}

#[tokio::test]
async fn a_message_that_a_pipe_cannot_carry_is_refused_by_its_sender() {
    let (bench, pair) = bench().await;
    assert!(!bench.understands(Codec::MessagePack));
    let messagepack = Message::encode(Codec::MessagePack, &1).unwrap();
    let broken = Message { body: Bytes::from_static(b"[1, 2"), ..Message::default() };
    let huge = Message { blobs: vec![Bytes::from(vec![0; MAX_FRAME])], ..said(&()) };
    for (message, words) in
        [(messagepack, "MessagePack"), (broken, "not JSON"), (huge, "more than a pipe can carry")]
    {
        let error = bench.invoke("echo", message).await.unwrap_err();
        assert_eq!(error.code, Code::BadRequest);
        assert!(error.message.contains(words), "{error}");
    }
    let error = bench.invoke("broken", said(&())).await.unwrap_err();
    assert_eq!(error.code, Code::Malformed);
    assert!(
        error.to_string().contains("the answer cannot be sent: the body of a message is not JSON"),
        "{error}"
    );
    assert_eq!(pair.here.live(), [0, 0, 0]);
}

#[tokio::test]
async fn a_deadline_is_sent_with_the_call() {
    let (bench, _pair) = bench().await;
    let meta = Meta { deadline_unix_ms: Some(1_900_000_000_000), ..Meta::default() };
    let reply = bench.invoke("deadline", Message { meta: meta.clone(), ..said(&()) }).await.unwrap();
    assert_eq!(reply.decode::<Option<u64>>().unwrap(), meta.deadline_unix_ms);
}

#[tokio::test]
async fn when_a_connection_ends_every_call_fails_and_its_error_names_it() {
    let (bench, pair) = bench().await;
    let call = tokio::spawn(bench.invoke("sleep", said(&60_000)));
    becomes([1, 0, 0], || pair.here.live()).await;
    pair.here.end(Error::new(Code::Panic, "the process of plugin there ended: signal: 9 (SIGKILL)"));
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Panic);
    assert_eq!(error.message, "the process of plugin there ended: signal: 9 (SIGKILL), during module.sleep");
    let error = bench.invoke("echo", said(&())).await.unwrap_err();
    assert!(error.message.ends_with("before module.echo"), "{error}");
}

#[tokio::test]
async fn a_call_hangs_for_certain_only_if_no_other_waits() {
    let (bench, pair) = bench().await;
    let condemned = |object: &Arc<dyn Object>| condemn(&**object, "too slow");
    let call = tokio::spawn(bench.invoke("sleep", said(&60_000)));
    becomes([1, 0, 0], || pair.here.live()).await;
    assert_eq!(condemned(&bench), Some(false), "the other call may be the one that hangs");
    assert_eq!(condemned(&bench), Some(false), "it was not sound any more");
    call.abort();

    assert_eq!(pair.condemned.await.unwrap(), "too slow");

    let (bench, _pair) = self::bench().await;
    assert_eq!(condemned(&bench), Some(true));
    assert_eq!(condemned(&(Arc::new(Bench::default()) as Arc<dyn Object>)), None, "there is no process");
}

#[tokio::test]
async fn dropping_one_end_ends_the_other() {
    let (bench, Pair { here, there, runs, .. }) = bench().await;
    drop((bench, here));
    for run in runs {
        assert_eq!(tokio::time::timeout(HANGS, run).await.unwrap().unwrap(), Ok(()));
    }
    assert_eq!(there.live(), [0, 0, 1], "it still has the object that it serves");
}

// Interfaces, as their callers see them.

/// Counts its steps.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

#[async_trait]
impl Environment for Counter {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec { name: "counter".into(), ..EnvironmentSpec::default() })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self::default()))
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        self.0.store(usize::try_from(reset.seed)?, Ordering::SeqCst);
        Ok(Turn::default())
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let count = self.0.fetch_add(1, Ordering::SeqCst);
        let turn =
            Turn { observation: Observation::text(format!("{} {count}", action.text)), ..Turn::default() };
        Ok(Transition { turn, rewards: vec![0.1], ..Transition::default() })
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(Self(Arc::new(AtomicUsize::new(self.0.load(Ordering::SeqCst)))))))
    }
}

#[tokio::test]
async fn worlds_are_spawned_and_forked() {
    let (shared, pair) = remote::<dyn Environment>(Arc::new(Counter::default())).await;
    assert_eq!(shared.spec().await.unwrap().name, "counter");
    let world = shared.spawn().await.unwrap();
    world.reset(Reset { task: 0, seed: 40 }).await.unwrap();
    world.step(Action::new("a")).await.unwrap();
    let fork = world.fork().await.unwrap().unwrap();
    let text = async |world: &Arc<dyn Environment>| {
        world.step(Action::new("b")).await.unwrap().turn.observation.text
    };
    assert_eq!([text(&world).await, text(&world).await, text(&fork).await], ["b 41", "b 42", "b 41"]);
    drop((world, fork));
    becomes([0, 0, 1], || pair.there.live()).await;
}

struct Speaker;

struct Words(AtomicUsize);

#[async_trait]
impl LlmBackend for Speaker {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "speaker".into(), ..LlmCapabilities::default() })
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        Err(Error::new(Code::Provider, "rate limit").retryable())
    }
    async fn stream(&self, _: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        Ok(Arc::new(Words(AtomicUsize::new(0))))
    }
}

#[async_trait]
impl TokenStream for Words {
    async fn next(&self, max: u32) -> Result<Vec<String>> {
        let start = self.0.fetch_add(max as usize, Ordering::SeqCst);
        Ok((start..(start + max as usize).min(10)).map(|word| word.to_string()).collect())
    }
    async fn finish(&self) -> Result<Completion> {
        Ok(Completion::default())
    }
}

#[tokio::test]
async fn streams_are_pulled_in_batches_and_errors_arrive_unchanged() {
    let (speaker, pair) = remote::<dyn LlmBackend>(Arc::new(Speaker)).await;
    let stream = speaker.stream(ChatRequest::default()).await.unwrap();
    let mut batches = Vec::new();
    loop {
        match stream.next(4).await.unwrap() {
            end if end.is_empty() => break,
            batch => batches.push(batch.len()),
        }
    }
    assert_eq!(batches, [4, 4, 2]);
    assert_eq!(stream.finish().await.unwrap(), Completion::default());
    drop(stream);
    becomes([0, 0, 1], || pair.there.live()).await;
    let error = speaker.complete(ChatRequest::default()).await.unwrap_err();
    assert_eq!(error, Error::new(Code::Provider, "rate limit").retryable());
}

struct Odd;

#[async_trait]
impl TextEncoder for Odd {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec::default())
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        Matrix::new(texts.len(), 3, [f32::NAN, f32::NEG_INFINITY, -0.0].repeat(texts.len()))
    }
}

#[tokio::test]
async fn matrices_cross_bit_for_bit() {
    let (encoder, _pair) = remote::<dyn TextEncoder>(Arc::new(Odd)).await;
    let matrix = encoder.encode(vec!["a".into(), "b".into()]).await.unwrap();
    let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
    assert_eq!((matrix.rows(), matrix.columns()), (2, 3));
    assert_eq!(bits(matrix.row(1)), bits(&[f32::NAN, f32::NEG_INFINITY, -0.0]));
}

struct Trainer;

#[async_trait]
impl CriticTrainer for Trainer {
    async fn fit(&self, _: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        for step in 1..=100 {
            progress.report("fit".into(), step, 100, String::new()).await?;
        }
        Ok(TrainingReport { steps: 100, ..TrainingReport::default() })
    }
}

#[derive(Default)]
struct Watcher(AtomicUsize);

#[async_trait]
impl Progress for Watcher {
    async fn report(&self, _: String, done: u64, _: u64, _: String) -> Result<()> {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst) as u64 + 1, done);
        Ok(())
    }
}

#[tokio::test]
async fn progress_is_reported_during_the_call() {
    let (trainer, pair) = remote::<dyn CriticTrainer>(Arc::new(Trainer)).await;
    let watcher = Arc::new(Watcher::default());
    let report = trainer.fit(TrainingRequest::default(), watcher.clone()).await.unwrap();
    assert_eq!((report.steps, watcher.0.load(Ordering::SeqCst)), (100, 100));
    becomes([0, 0, 0], || pair.here.live()).await;
}

// One end against frames written by hand.

/// The other side, written by hand so that it can break the protocol.
struct Hand(Half);

impl Hand {
    /// Sends a hello to an end that serves a [`Bench`] or is about to call this side.
    async fn greets(hello: Value) -> (Self, Result<Connection<impl AsyncRead, impl AsyncWrite>, String>) {
        let (here, there) = duplex();
        let mut hand = Self(there);
        hand.says(json!({ "hello": hello }), &[]).await;
        let opened = open("hand", Some(Arc::new(Bench::default())), here, HANGS).await;
        let greeting = hand.hears().await;
        assert_eq!(
            greeting,
            json!({"hello": {"protocol": "forethought", "version": "1.0", "features": ["cancel"]}})
        );
        (hand, opened)
    }

    async fn meets() -> (Self, Arc<Peer>, JoinHandle<Result<(), String>>) {
        let hello = json!({"protocol": "forethought", "version": "1.0", "features": ["cancel"]});
        let (hand, opened) = Self::greets(hello).await;
        let Connection { peer, traffic, .. } = opened.unwrap();
        (hand, peer, tokio::spawn(traffic.run()))
    }

    async fn says(&mut self, head: Value, blobs: &[u8]) {
        self.0.1.write_all(&bytes_of(&head.to_string(), blobs)).await.unwrap();
    }

    async fn hears(&mut self) -> Value {
        let frame = Incoming::read(&mut self.0.0, MAX_FRAME).await.unwrap().expect("a frame");
        serde_json::to_value(frame.head().unwrap()).unwrap()
    }
}

fn bytes_of(head: &str, blobs: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&length(head.as_bytes()), &length(blobs), head.as_bytes(), blobs].concat()
}

#[tokio::test]
async fn only_the_same_major_version_is_accepted() {
    let (_hand, opened) = Hand::greets(json!({"protocol": "forethought", "version": "1.7", "new": 1})).await;
    assert!(opened.is_ok(), "a minor version only adds");
    for (hello, words) in [
        (json!({"protocol": "forethought", "version": "2.0"}), "it speaks forethought 2.0, and this side"),
        (json!({"protocol": "jsonrpc", "version": "1.0"}), "it speaks jsonrpc 1.0"),
        (json!({"protocol": "forethought", "version": "one"}), "it speaks forethought one"),
        (json!({"protocol": "forethought"}), "missing field `version`"),
    ] {
        let error = Hand::greets(hello).await.1.err().expect("refused");
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_withdrawn_call_is_dropped_before_its_answer() {
    let (here, there) = duplex();
    let running = Arc::new(AtomicUsize::new(0));
    let mut hand = Hand(there);
    hand.says(json!({"hello": {"protocol": "forethought", "version": "1.0"}}), &[]).await;
    let root = Arc::new(Bench { running: running.clone() });
    let connection = open("hand", Some(root), here, HANGS).await.unwrap();
    tokio::spawn(connection.traffic.run());
    hand.hears().await;
    for id in 0..50 {
        hand.says(json!({"call": {"id": id, "object": 0, "method": "sleep", "body": 60_000}}), &[]).await;
        hand.says(json!({"cancel": {"id": id}}), &[]).await;
        let answer = hand.hears().await;
        assert_eq!(running.load(Ordering::SeqCst), 0);
        assert_eq!(
            (&answer["return"]["id"], &answer["return"]["status"]),
            (&json!(id), &json!(abi::CANCELLED))
        );
    }
}

#[tokio::test]
async fn a_side_without_the_feature_gets_no_cancel() {
    let (mut hand, opened) = Hand::greets(json!({"protocol": "forethought", "version": "1.0"})).await;
    let Connection { peer, traffic, .. } = opened.unwrap();
    tokio::spawn(traffic.run());
    let root = peer.root();
    for method in ["first", "second"] {
        assert!(
            tokio::time::timeout(Duration::from_millis(10), root.invoke(method, said(&()))).await.is_err()
        );
    }
    let heard = [hand.hears().await, hand.hears().await].map(|frame| frame["call"]["method"].clone());
    assert_eq!(heard, ["first", "second"], "nothing in between");
}

#[tokio::test]
async fn invalid_requests_are_answered() {
    let (mut hand, _peer, _run) = Hand::meets().await;
    for (call, status, words) in [
        (json!({"id": 1, "object": 9, "method": "echo"}), abi::BAD_REQUEST, "there is no object 9"),
        (json!({"id": 2, "object": 0, "method": "fly"}), abi::UNIMPLEMENTED, "has no method `fly`"),
        (json!({"id": 3, "object": 0, "method": "sleep", "body": "long"}), abi::ERROR, "invalid type"),
        (
            json!({"id": 4, "object": 0, "method": "echo", "objects": [{"handle": 3, "yours": true}]}),
            abi::BAD_REQUEST,
            "never given to hand",
        ),
    ] {
        hand.says(json!({ "call": call }), &[]).await;
        let answer = hand.hears().await;
        assert_eq!((&answer["return"]["id"], &answer["return"]["status"]), (&call["id"], &json!(status)));
        assert!(answer["return"]["body"]["message"].as_str().unwrap().contains(words), "{answer}");
    }
}

#[tokio::test]
async fn objects_of_a_refused_request_are_released() {
    let (mut hand, _peer, _run) = Hand::meets().await;
    let objects = json!([{"handle": 5, "interface": "forethought.bench/1"}, {"handle": 3, "yours": true}]);
    hand.says(json!({"call": {"id": 1, "object": 0, "method": "echo", "objects": objects}}), &[]).await;
    let mut heard = [hand.hears().await, hand.hears().await];
    heard.sort_by_key(|frame| frame.get("return").is_some());
    assert_eq!(heard[0], json!({"release": {"object": 5}}));
    assert_eq!(heard[1]["return"]["status"], json!(abi::BAD_REQUEST));
}

#[tokio::test]
async fn invalid_answers_are_errors_of_their_call() {
    let (mut hand, peer, _run) = Hand::meets().await;
    for (answer, code, words) in [
        (json!({"status": 99}), Code::Plugin, "unknown status 99"),
        (json!({"status": abi::PANIC}), Code::Plugin, "an error that cannot be read"),
        (json!({"status": abi::SHUTDOWN, "body": {"code": "new", "message": "bye"}}), Code::Shutdown, "bye"),
        (json!({"status": 0, "objects": [{"handle": 9, "yours": true}]}), Code::Plugin, "no object 9"),
    ] {
        let call = tokio::spawn(peer.root().invoke("describe", said(&())));
        let mut answer = answer;
        answer["id"] = hand.hears().await["call"]["id"].clone();
        hand.says(json!({ "return": answer }), &[]).await;
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.code, code);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn breaking_the_protocol_ends_the_connection_with_a_reason() {
    let call = json!({"call": {"id": 1, "object": 0, "method": "sleep", "body": 1000}}).to_string();
    for (bytes, words) in [
        (bytes_of(r#"{"hello": {"protocol": "forethought", "version": "1.0"}}"#, b""), "a second hello"),
        (bytes_of(r#"{"return": {"id": 1, "status": 0}}"#, b""), "call 1, which is not in flight"),
        (bytes_of(r#"{"release": {"object": 3}}"#, b""), "there is no object 3"),
        ([bytes_of(&call, b""), bytes_of(&call, b"")].concat(), "two calls with the number 1"),
        (bytes_of(r#"{"dance": {}}"#, b""), "unknown variant `dance`"),
        (bytes_of("[]", b""), "cannot be read"),
        (bytes_of("\"\u{1F30A}", b""), "starting \"\\\"\u{1F30A}\""),
        (
            bytes_of(r#"{"call": {"id": 1, "object": 0, "method": "echo"}}"#, b"abc"),
            "3 bytes after the last blob",
        ),
        (
            bytes_of(r#"{"call": {"id": 1, "object": 0, "method": "echo", "blobs": [4]}}"#, b"abc"),
            "a blob of 4 bytes where 3 are left",
        ),
        (b"Training epoch 1 of 9".to_vec(), "text where a frame should be, starting \"Training\""),
        (vec![0xff; 8], "a frame of 4294967295 + 4294967295 bytes"),
    ] {
        let (mut hand, _peer, run) = Hand::meets().await;
        hand.0.1.write_all(&bytes).await.unwrap();
        hand.0.1.shutdown().await.unwrap();
        let error = run.await.unwrap().unwrap_err();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    }
}

#[tokio::test]
async fn a_side_without_a_hello_is_given_up() {
    let (here, _there) = duplex();
    let error = open("mute", None, here, Duration::from_millis(50)).await.err().unwrap();
    assert_eq!(error, "it said nothing within 50ms");
}

#[tokio::test]
async fn bodies_are_not_copied_out_of_their_frames() {
    let head = r#"{"return": {"id": 1, "status": 0, "body": {"a": [1, 2]}, "blobs": [1, 2]}}"#;
    let bytes = bytes_of(head, b"abc");
    let frame = Incoming::read(&mut &bytes[..], MAX_FRAME).await.unwrap().unwrap();
    let Head::Return { body, blobs, .. } = frame.head().unwrap() else { panic!("a return") };
    assert_eq!(frame.body(body, "null"), r#"{"a": [1, 2]}"#);
    assert_eq!(frame.blobs(&blobs).unwrap(), ["a", "bc"]);
    assert!(std::ptr::eq(body.map(RawValue::get).unwrap().as_ptr(), frame.body(body, "null").as_ptr()));
}

/// Valid frames, to be damaged.
fn traffic() -> Vec<u8> {
    [
        bytes_of(r#"{"call": {"id": 1, "object": 0, "method": "echo", "body": {"a": [1, "b"]}, "blobs": [3]}}"#, b"abc"),
        bytes_of(
            r#"{"call": {"id": 2, "object": 0, "method": "own", "objects": [{"handle": 1, "interface": "a/1"}]}}"#,
            b"",
        ),
        bytes_of(r#"{"cancel": {"id": 2}}"#, b""),
        bytes_of(r#"{"log": {"level": "debug", "target": "t", "message": "m"}}"#, b""),
        // The last one is an error: there was no such call.
        bytes_of(r#"{"return": {"id": 3, "status": 1, "body": {"code": "other", "message": "m"}}}"#, b""),
    ]
    .concat()
}

/// The outcome of an end that reads these bytes; checks that it holds nothing afterwards.
fn survives(bytes: &[u8]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let hello = bytes_of(r#"{"hello": {"protocol": "forethought", "version": "1.0"}}"#, b"");
        let input = [&hello, bytes].concat();
        let opened =
            open("fuzz", Some(Arc::new(Bench::default())), (&input[..], tokio::io::sink()), HANGS).await;
        let Connection { peer, traffic, .. } = opened.unwrap();
        let outcome = traffic.run().await;
        peer.end(Error::new(Code::Panic, "over"));
        assert_eq!(peer.live(), [0, 0, 0]);
        outcome
    })
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        let frame = bytes.first_chunk::<8>().map(|lengths| {
            let (lengths, _) = lengths.as_chunks::<4>();
            8 + lengths.iter().map(|length| u32::from_le_bytes(*length) as usize).sum::<usize>()
        });
        // Bytes that are shorter than the frame they announce are a pipe that ended.
        let taken = frame.is_none_or(|frame| (bytes.len() + 1..=MAX_FRAME + 8).contains(&frame));
        prop_assert_eq!(survives(&bytes).is_ok(), taken);
    }

    #[test]
    fn a_pipe_may_end_in_the_middle_of_a_frame(length in 0..traffic().len()) {
        prop_assert_eq!(survives(&traffic()[..length]), Ok(()));
    }

    #[test]
    fn damaged_frames_do_no_harm(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = traffic();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        // Damage to a name, for example, may go unnoticed; what counts is that this returns.
        let _ = survives(&bytes);
    }
}

#[test]
fn undamaged_frames_are_understood() {
    assert_eq!(survives(&traffic()).unwrap_err(), "an answer to call 3, which is not in flight");
}
