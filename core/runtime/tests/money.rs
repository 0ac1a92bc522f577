//! What is paid for: never more than is allowed, not by one call, and nothing twice.
//!
//! The provider of these tests keeps books of its own. It charges for answers, for some of the calls that failed, and
//! for calls whose answer never arrived; what the runtime thinks it spent is compared with that.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forethought_runtime::budget::prices::Price;
use forethought_runtime::budget::{Limits, Spent};
use forethought_runtime::journal::meter::Metering;
use forethought_runtime::layers::CallConfig;
use forethought_runtime::layers::relay::{Piece, Relay};
use forethought_runtime::run::episode::EpisodeStatus;
use forethought_runtime::run::folder::{self, Earlier, RunStatus};
use forethought_runtime::run::{Configured, NoopObserver, RunOutcome, RunSpec, run};
use forethought_sdk::api::raw::{OPENAI_CHAT, RawBytes, RawHead, RawRequest, RawStream};
use forethought_sdk::{prelude::*, seed::RngExt as _};
use forethought_testkit::slow;
use proptest::prelude::*;
use serde_json::json;

/// A room in which nothing happens for some steps.
#[derive(Clone)]
struct Room {
    steps: u32,
    state: Arc<Mutex<(u64, u32)>>,
}

impl Room {
    fn turn(&self) -> Turn {
        let (task, step) = *self.state.lock().unwrap();
        Turn { observation: Observation::text(format!("{task} {step}")), ..Turn::default() }
    }
}

#[async_trait]
impl Environment for Room {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let seats = vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }];
        let recovery = Recovery::Replay;
        Ok(EnvironmentSpec { name: "room".into(), seats, recovery, ..EnvironmentSpec::default() })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { state: Arc::default(), ..self.clone() }))
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        *self.state.lock().unwrap() = (reset.task, 0);
        Ok(self.turn())
    }
    async fn step(&self, _: Action) -> Result<Transition> {
        self.state.lock().unwrap().1 += 1;
        let terminated = self.state.lock().unwrap().1 == self.steps;
        Ok(Transition { turn: self.turn(), rewards: vec![0.0], terminated, ..Transition::default() })
    }
}

/// Asks both of its roles at once, and makes nothing of calls that fail.
struct Chatter;

#[async_trait]
impl Planner for Chatter {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["actor".into(), "judge".into()], ..Requirements::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let ask = async |role: &str, purpose| {
            let text = format!("{role} {}", context.turn.observation.text);
            let mut request = ChatRequest::new(purpose, vec![Message::user(text)]);
            request.max_tokens = Some(100);
            let _ = models.llm(role.into()).await?.complete(request).await;
            Ok::<_, Error>(())
        };
        tokio::try_join!(ask("actor", Purpose::Action), ask("judge", Purpose::Judge))?;
        Ok(Decision { action: Action::new("wait"), ..Decision::default() })
    }
}

/// Billionths of a dollar for a token in, and a token out.
const PRICE: (u64, u64) = (1000, 10_000);

fn price() -> Price {
    Price { input: PRICE.0 as f64 / 1e3, output: PRICE.1 as f64 / 1e3, max_output_tokens: 4096 }
}

/// Charges by its own books, which say for whom.
#[derive(Default)]
struct Provider {
    seed: u64,
    /// Share of calls that do not go well.
    faults: f64,
    books: Mutex<Books>,
    /// One line a charge, for books that outlive the process.
    file: Option<Mutex<File>>,
}

#[derive(Default, Clone)]
struct Books {
    calls: u64,
    total: u64,
    by_role: BTreeMap<String, u64>,
    by_task: BTreeMap<String, u64>,
}

#[async_trait]
impl LlmBackend for Provider {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "till".into(), ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text = request.messages[0].content.clone();
        let number = {
            let mut books = self.books.lock().unwrap();
            books.calls += 1;
            books.calls
        };
        let mut draws = seed::stream(self.seed, &format!("{text} {number}"));
        tokio::time::sleep(Duration::from_micros(draws.random_range(0..300))).await;
        let usage = Usage {
            input_tokens: draws.random_range(1..=text.len() as u64),
            output_tokens: draws.random_range(1..=100),
        };
        let charge = || -> Result<()> {
            let cost = usage.input_tokens * PRICE.0 + usage.output_tokens * PRICE.1;
            let (role, rest) = text.split_once(' ').expect("a role");
            let mut books = self.books.lock().unwrap();
            books.total += cost;
            *books.by_role.entry(role.into()).or_default() += cost;
            *books.by_task.entry(rest.split(' ').next().expect("a task").into()).or_default() += cost;
            if let Some(file) = &self.file {
                file.lock().unwrap().write_all(format!("{cost}\n").as_bytes())?;
            }
            Ok(())
        };
        if draws.random::<f64>() < self.faults {
            match draws.random_range(0..4) {
                0 => return Err(Error::new(Code::Provider, "429").retryable().refused()),
                1 => return Err(Error::new(Code::Provider, "the connection broke").retryable()),
                2 => {
                    charge()?;
                    return Err(Error::new(Code::Provider, "the answer was cut").retryable());
                }
                _ => {
                    charge()?;
                    std::future::pending::<()>().await;
                }
            }
        }
        charge()?;
        // Some providers do not tell.
        let usage = if draws.random_range(0..10) == 0 { Usage::default() } else { usage };
        Ok(Completion { choices: vec![Choice::default()], usage, ..Completion::default() })
    }
}

fn spec(root: &Path, provider: Arc<dyn LlmBackend>, episodes: u64, steps: u32) -> RunSpec {
    let calls = CallConfig { retries: 2, longest_pause_s: 0.001, timeout_s: 0.05, ..CallConfig::default() };
    let metering = Metering::default();
    let stack = calls.around(provider, "till", &json!(null), &metering).unwrap();
    let llm = Configured::new(json!({ "kind": "till" }), stack);
    let room = Room { steps, state: Arc::default() };
    RunSpec {
        config: "[run]\n".into(),
        llms: [("actor".to_string(), llm.clone()), ("judge".to_string(), llm)].into(),
        prices: [("till".to_string(), Some(price()))].into(),
        metering,
        episodes: (0..episodes).map(|task| Reset { task, seed: task }).collect(),
        concurrency: 64,
        earlier: Earlier::Continue,
        ..RunSpec::new(
            root.into(),
            Configured::new(json!(null), Arc::new(room)),
            vec![("chatter".into(), Configured::new(json!(null), Arc::new(Chatter)))],
        )
    }
}

async fn play(spec: RunSpec) -> RunOutcome {
    run(spec, Arc::new(NoopObserver)).await.expect("a run")
}

fn usd(limit: f64) -> Limits {
    Limits { max_usd: Some(limit), ..Limits::default() }
}

/// Dollars on the provider's books.
fn dollars(nano: u64) -> f64 {
    nano as f64 / 1e9
}

// ---- the cap ----------------------------------------------------------------------------------------------------

/// In full size, 80 episodes of 64 steps with two calls each: 10,240 calls, 64 episodes at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_never_cost_more_than_is_allowed() {
    let (episodes, unit) = slow((16, 0.2), (80, 1.0));
    for faults in [0.0, 0.05] {
        let root = tempfile::tempdir().unwrap();
        let provider = Arc::new(Provider { faults, ..Provider::default() });
        // A call costs half a thousandth of a dollar on average, so these are about 2,000, 4,000, and all of them.
        let mut last = 0.0;
        for cap in [unit, 2.0 * unit, f64::from(u16::MAX)] {
            let mut spec = spec(root.path(), provider.clone(), episodes, 64);
            spec.limits = usd(cap);
            let outcome = play(spec).await;
            let paid = dollars(provider.books.lock().unwrap().total);
            let counted = outcome.usd.expect("the price is known");
            assert!(paid <= cap, "{paid} USD were paid, {cap} allowed");
            assert!(
                paid <= counted + 1e-9 && counted <= cap,
                "{paid} paid, {counted} counted, {cap} allowed"
            );
            assert_eq!(folder::read_info(&outcome.folder).unwrap().usd, Some(counted));
            if outcome.status == RunStatus::Budget {
                // What is left is less than one call may cost.
                assert!(cap - counted < 0.0012, "{} USD were left unused", cap - counted);
            }
            assert!(counted > last);
            last = counted;
        }
        let calls = provider.books.lock().unwrap().calls;
        assert!(calls >= episodes * 125, "{calls} calls prove little");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn budgets_of_run_episode_and_role_hold_together(
        seed: u64,
        faults in 0.0..0.3,
        run_cap in 0.0..0.1,
        episode_cap in 0.0..0.02,
        judge_cap in 0.0..0.05,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let root = tempfile::tempdir().unwrap();
        let provider = Arc::new(Provider { seed, faults, ..Provider::default() });
        // Twice: what was paid before counts.
        for _ in 0..2 {
            let mut spec = spec(root.path(), provider.clone(), 24, 8);
            spec.limits = usd(run_cap);
            spec.episode_limits = usd(episode_cap);
            spec.role_limits.insert("judge".into(), usd(judge_cap));
            let outcome = runtime.block_on(play(spec));
            let books = provider.books.lock().unwrap().clone();
            prop_assert!(dollars(books.total) <= run_cap.min(outcome.usd.unwrap() + 1e-9));
            for (task, paid) in &books.by_task {
                prop_assert!(dollars(*paid) <= episode_cap, "episode {task} cost {paid}");
            }
            prop_assert!(dollars(books.by_role.get("judge").copied().unwrap_or(0)) <= judge_cap);
        }
    }
}

#[tokio::test]
async fn a_budget_says_whose_it_is_and_what_the_next_call_may_cost() {
    let root = tempfile::tempdir().unwrap();
    let mut limited = spec(root.path(), Arc::new(Provider::default()), 1, 3);
    limited.role_limits.insert("judge".into(), Limits { max_calls: Some(2), ..usd(1.0) });
    let outcome = play(limited).await;
    assert_eq!(outcome.status, RunStatus::Budget);
    let error = outcome.episodes[0].error.as_deref().unwrap();
    assert!(
        error.contains("the role judge's budget is reached: max_calls = 2, used so far 2 calls"),
        "{error}"
    );

    let mut limited = spec(root.path(), Arc::new(Provider::default()), 1, 30);
    limited.episode_limits = usd(0.01);
    let error = play(limited).await.episodes[0].error.clone().unwrap();
    assert!(error.contains("the episode's budget is reached: max_usd = 0.01"), "{error}");
    assert!(error.contains("the next call may cost 0.0011"), "{error}");
}

#[tokio::test]
async fn an_unknown_price_and_a_limit_on_money_are_refused_together() {
    let root = tempfile::tempdir().unwrap();
    for prices in [BTreeMap::new(), [("till".to_string(), None)].into()] {
        let mut spec = spec(root.path(), Arc::new(Provider::default()), 1, 1);
        spec.prices = prices;
        assert_eq!(play(spec.clone()).await.usd, None, "without a limit nobody minds");
        spec.limits = usd(1.0);
        let error = run(spec, Arc::new(NoopObserver)).await.expect_err("refused");
        assert!(error.code == Code::Config && error.message.contains("is not known"), "{error}");
    }
}

#[tokio::test]
async fn what_the_cache_answers_costs_nothing() {
    let root = tempfile::tempdir().unwrap();
    let provider = Arc::new(Provider::default());
    let cache = Some(ConfigPath(root.path().join("answers.sqlite")));
    let mut paid = Vec::new();
    for _ in 0..2 {
        let mut spec = spec(root.path(), provider.clone(), 2, 3);
        let calls = CallConfig { cache: cache.clone(), ..CallConfig::default() };
        let stack = calls.around(provider.clone(), "till", &json!(null), &spec.metering).unwrap();
        spec.llms.values_mut().for_each(|llm| llm.component = stack.clone());
        paid.push(play(spec).await.usd.unwrap());
    }
    assert!(paid[0] > 0.0 && paid[1] == 0.0, "{paid:?}");
    assert_eq!(provider.books.lock().unwrap().calls, 12);
}

/// Passes requests on. The answer is "one", "two", and ends in one of three ways.
#[derive(Clone)]
struct Line {
    breaks: bool,
    stalls: bool,
    left: Arc<Mutex<Vec<&'static str>>>,
}

#[async_trait]
impl LlmBackend for Line {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "till".into(), ..LlmCapabilities::default() })
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        Err(Error::other("it was not passed on"))
    }
    async fn formats(&self) -> Result<Vec<String>> {
        Ok(vec![OPENAI_CHAT.into()])
    }
    async fn forward(&self, _: RawRequest) -> Result<Arc<dyn RawStream>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl RawStream for Line {
    async fn head(&self) -> Result<RawHead> {
        Ok(RawHead { status: 200, ..RawHead::default() })
    }
    async fn next(&self) -> Result<RawBytes> {
        let next = self.left.lock().unwrap().pop();
        match next {
            None if self.breaks => Err(Error::new(Code::Provider, "the connection broke")),
            None if self.stalls => std::future::pending().await,
            next => Ok(RawBytes(next.unwrap_or_default().into())),
        }
    }
    async fn finish(&self) -> Result<Completion> {
        while !self.next().await?.0.is_empty() {}
        let usage = Usage { input_tokens: 7, output_tokens: 3 };
        Ok(Completion { choices: vec![Choice::default()], usage, ..Completion::default() })
    }
}

/// Asks once.
struct Caller;

#[async_trait]
impl Planner for Caller {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["actor".into()], ..Requirements::default() })
    }
    async fn decide(&self, _: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let mut request = ChatRequest::new(Purpose::Action, vec![Message::user("hello")]);
        request.max_tokens = Some(100);
        models.llm("actor".into()).await?.complete(request).await?;
        Ok(Decision { action: Action::new("wait"), ..Decision::default() })
    }
}

#[tokio::test]
async fn what_is_passed_on_to_a_client_is_paid_as_it_ends() {
    // Whole, broken in the middle, and left by its client, which would wait forever: its tokens, or the most.
    for (breaks, stalls, most) in [(false, false, false), (true, false, true), (false, true, true)] {
        let root = tempfile::tempdir().unwrap();
        let line = Line { breaks, stalls, left: Arc::new(Mutex::new(vec!["two", "one"])) };
        let mut spec = spec(root.path(), Arc::new(line), 1, 1);
        spec.limits = usd(1.0);
        spec.seats = vec![("caller".into(), Configured::new(json!(null), Arc::new(Caller)))];
        spec.llms.remove("judge");
        let actor = spec.llms.get_mut("actor").unwrap();
        let relay = Arc::new(Relay::new(actor.component.clone()));
        actor.component = relay.clone();
        let request = RawRequest { format: OPENAI_CHAT.into(), ..RawRequest::default() };
        let mut pieces = relay.pass(request);
        let client = async {
            let mut seen = Vec::new();
            while let Some(piece) = pieces.recv().await {
                seen.push(piece);
                if stalls && seen.len() == 3 {
                    drop(pieces);
                    break;
                }
            }
            seen
        };
        let (outcome, seen) = tokio::join!(play(spec), client);
        assert!(matches!(&seen[0], Piece::Head(head) if head.status == 200), "{seen:?}");
        assert_eq!(seen[1..3], [Piece::Bytes("one".into()), Piece::Bytes("two".into())]);
        match seen.get(3) {
            None => assert!(stalls),
            Some(Piece::Failed(error)) => assert!(breaks && error.message == "the connection broke"),
            end => assert!(!most && end == Some(&Piece::End), "{end:?}"),
        }
        let (told, paid) = (7 * PRICE.0 + 3 * PRICE.1, outcome.usd.unwrap());
        assert!(if most { paid > 100.0 * dollars(PRICE.1) } else { paid == dollars(told) }, "{paid} USD");
    }
}

/// A layer that makes each call in a task of its own, where no meter is.
struct Detached {
    inner: Arc<dyn LlmBackend>,
    errors: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl LlmBackend for Detached {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.inner.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let inner = self.inner.clone();
        let outcome = tokio::spawn(async move { inner.complete(request).await }).await?;
        self.errors.lock().unwrap().extend(outcome.as_ref().err().map(ToString::to_string));
        outcome
    }
}

#[tokio::test]
async fn a_paid_call_that_a_run_cannot_count_is_not_made() {
    let root = tempfile::tempdir().unwrap();
    let (provider, errors) = (Arc::new(Provider::default()), Arc::<Mutex<Vec<String>>>::default());
    let mut spec = spec(root.path(), provider.clone(), 1, 2);
    spec.earlier = Earlier::Ignore;
    for llm in spec.llms.values_mut() {
        llm.component = Arc::new(Detached { inner: llm.component.clone(), errors: errors.clone() });
    }
    let calls = || provider.books.lock().unwrap().calls;
    let outside = async || {
        let request = ChatRequest::new(Purpose::Action, vec![Message::user("actor 0 0")]);
        spec.llms["actor"].component.complete(request).await
    };
    outside().await.expect("no run, no meter");
    let outcome = play(spec.clone()).await;
    assert_eq!((outcome.usd, calls()), (Some(0.0), 1), "nothing is charged, nothing sent");
    let refused = std::mem::take(&mut *errors.lock().unwrap());
    assert_eq!(refused.len(), 4);
    let words = "[llm.till] was not called: the call came from a task that the run in progress does not know";
    assert!(refused.iter().all(|error| error.contains(words)), "{refused:?}");
    outside().await.expect("the run is over");

    let free = RunSpec { prices: [("till".to_string(), Some(Price::FREE))].into(), ..spec.clone() };
    assert_eq!(play(free).await.status, RunStatus::Finished);
    assert_eq!((calls(), errors.lock().unwrap().len()), (6, 0), "what costs nothing needs no meter");
}

/// Says that it used more than it can have.
#[tokio::test]
async fn a_count_that_cannot_be_is_counted_as_told_and_ends_the_run() {
    struct Braggart;
    #[async_trait]
    impl LlmBackend for Braggart {
        async fn capabilities(&self) -> Result<LlmCapabilities> {
            Ok(LlmCapabilities::default())
        }
        async fn complete(&self, _: ChatRequest) -> Result<Completion> {
            Ok(Completion {
                usage: Usage { input_tokens: 1, output_tokens: 1_000_000 },
                ..Completion::default()
            })
        }
    }
    let root = tempfile::tempdir().unwrap();
    let mut spec = spec(root.path(), Arc::new(Braggart), 1, 2);
    spec.limits = usd(1.0);
    let outcome = play(spec).await;
    assert_eq!(outcome.status, RunStatus::Budget);
    assert!(outcome.usd.unwrap() >= 10.0, "{:?}", outcome.usd);
}

#[tokio::test]
async fn every_attempt_counts_and_the_runs_of_a_command_share_their_limits() {
    let root = tempfile::tempdir().unwrap();
    let provider = Arc::new(Provider { faults: 0.3, ..Provider::default() });
    for prices in [BTreeMap::new(), [("till".to_string(), Some(price()))].into()] {
        for max_calls in [40, 60] {
            let mut spec = spec(root.path(), provider.clone(), 8, 8);
            spec.prices = prices.clone();
            spec.limits.max_calls = Some(max_calls);
            spec.elsewhere.insert("judge".into(), Spent { calls: 20, ..Spent::default() });
            assert_eq!(play(spec).await.status, RunStatus::Budget);
            assert_eq!(provider.books.lock().unwrap().calls, max_calls - 20, "with its retries");
        }
        fs::remove_dir_all(root.path().join("room--chatter")).unwrap();
        provider.books.lock().unwrap().calls = 0;
    }
}

/// Says nothing of what it used, or what cannot be.
#[tokio::test]
async fn usage_that_is_missing_or_absurd_counts_as_expected() {
    struct Odd(u64);
    #[async_trait]
    impl LlmBackend for Odd {
        async fn capabilities(&self) -> Result<LlmCapabilities> {
            Ok(LlmCapabilities::default())
        }
        async fn complete(&self, _: ChatRequest) -> Result<Completion> {
            let usage = Usage { input_tokens: self.0, output_tokens: self.0 };
            Ok(Completion { usage, ..Completion::default() })
        }
    }
    for tokens in [0, 1 << 62, u64::MAX] {
        let root = tempfile::tempdir().unwrap();
        // A call is expected to use 100 tokens for its answer, and a few for the request.
        for (max_tokens, calls) in [(1030, 10), (2060, 20)] {
            let mut spec = spec(root.path(), Arc::new(Odd(tokens)), 1, 50);
            spec.limits.max_tokens = Some(max_tokens);
            let outcome = play(spec).await;
            assert_eq!(outcome.status, RunStatus::Budget);
            assert_eq!(outcome.spent.values().map(|spent| spent.calls).sum::<u64>(), calls, "{tokens}");
        }
    }
}

// ---- kill -9 ----------------------------------------------------------------------------------------------------

const CHILD: &str = "FORETHOUGHT_TEST_CHILD";
const CAP: f64 = 0.5;

/// Not a test by itself: what the next test starts as a process of its own, and kills.
#[test]
fn child() {
    let Some(root) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let file = File::options().create(true).append(true).open(root.join("books")).unwrap();
    let provider = Provider { file: Some(Mutex::new(file)), faults: 0.02, ..Provider::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut spec = spec(&root, Arc::new(provider), 80, 64);
    spec.limits = usd(CAP);
    assert_eq!(runtime.block_on(play(spec)).status, RunStatus::Budget);
}

fn booked(root: &Path) -> (usize, u64) {
    let text = fs::read_to_string(root.join("books")).unwrap_or_default();
    // The last line may be half written.
    let costs: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    (costs.len(), costs.iter().sum())
}

#[test]
fn killed_at_any_point_it_knows_what_was_paid() {
    let root = tempfile::tempdir().unwrap();
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (before, _) = booked(root.path());
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if booked(root.path()).0 >= before + 20 + kills {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let (_, paid) = booked(root.path());
        assert!(dollars(paid) <= CAP, "{} USD were paid after {kills} kills", dollars(paid));
        if status.success() {
            break;
        }
        assert_eq!(status.code(), None, "not killed, but failed by itself after {kills} kills");
        kills += 1;
        assert!(kills < 1000, "it never ends");
    }
    assert!(kills >= 5, "only {kills} kills: the test proves little");
}

// ---- samples ----------------------------------------------------------------------------------------------------

/// Gives `most` answers a call, and fails once at the one that it is told.
struct Sampler {
    most: u32,
    fails: Mutex<Option<u64>>,
    asked: Mutex<Vec<(u64, u32)>>,
}

#[async_trait]
impl LlmBackend for Sampler {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { samples: self.most, ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let seed = request.seed.expect("a seed");
        self.asked.lock().unwrap().push((seed, request.samples));
        if self.fails.lock().unwrap().take_if(|fails| *fails == seed).is_some() {
            return Err(Error::new(Code::Provider, "no luck"));
        }
        let choice = |sample| Choice { text: format!("{}", seed + u64::from(sample)), ..Choice::default() };
        Ok(Completion { choices: (0..request.samples).map(choice).collect(), ..Completion::default() })
    }
}

/// Asks for five samples and does what they say.
struct Voter;

#[async_trait]
impl Planner for Voter {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["actor".into()], ..Requirements::default() })
    }
    async fn decide(&self, _: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let request = ChatRequest { samples: 5, seed: Some(100), ..ChatRequest::default() };
        let completion = models.llm("actor".into()).await?.complete(request).await?;
        let texts: Vec<_> = completion.choices.into_iter().map(|choice| choice.text).collect();
        Ok(Decision { action: Action::new(texts.join(" ")), ..Decision::default() })
    }
}

#[tokio::test]
async fn samples_that_are_calls_of_their_own_are_asked_once_each() {
    for (most, calls) in [(0, vec![(100, 5)]), (2, vec![(100, 2), (102, 2), (104, 1)]), (128, vec![(100, 5)])]
    {
        let root = tempfile::tempdir().unwrap();
        let fails = Mutex::new(Some(calls.last().unwrap().0));
        let sampler = Arc::new(Sampler { most, fails, asked: Mutex::default() });
        let spec = || {
            let mut spec = spec(root.path(), Arc::new(Provider::default()), 1, 1);
            spec.llms = [("actor".to_string(), Configured::new(json!(null), sampler.clone() as _))].into();
            spec.seats[0].1.component = Arc::new(Voter);
            spec
        };
        assert_eq!(play(spec()).await.status, RunStatus::Failed);
        let outcome = play(spec()).await;
        let summary = &outcome.episodes[0];
        assert_eq!((summary.status, summary.llm_calls), (EpisodeStatus::Done, calls.len() as u64));
        let mut expected = calls.clone();
        expected.push(*calls.last().unwrap());
        assert_eq!(*sampler.asked.lock().unwrap(), expected, "only what failed is asked again");
        let log = folder::events_path(&outcome.folder, &summary.episode);
        let log = format!("{:?}", forethought_runtime::run::events::read(&log).unwrap());
        assert!(log.contains("action: \"100 101 102 103 104\""), "{log}");
    }
}
