//! The simulated LLM is honest: it knows only what it has been shown, and refinement gains only what the critic says
//! (`docs/simulated-llm.md`, the invariants of `ARCHITECTURE.md`).
//!
//! Every check is shown to be able to fail: it also runs on a planted leak, or on a critic that does know something,
//! and finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use forethought_avalon::{
    behaviour::Player,
    environment::{Avalon, AvalonConfig},
    naive::planner::{Naive, NaiveConfig},
};
use forethought_critic_judge::random::{Random, RandomConfig};
use forethought_llm_simulated::{Simulated, SimulatedConfig, wording::Wording};
use forethought_persuasion::{
    behaviour::Persuader,
    donor::{Donor, DonorConfig},
    environment::Persuasion,
    script::ScriptConfig,
};
use forethought_planners::{imagine::ImagineOnly, pnlc::Pnlc, react::React, summarise::LlmSummariser};
use forethought_runtime::{
    budget::Limits,
    config::{Config, Sources},
    host::RuntimeHost,
    journal::effects::{CriticHandle, Deps, Llm, Unrecorded},
    registry::Registry,
    run::episode::{EpisodeResult, EpisodeSpec, EpisodeStatus, EpisodeSummary, Seat, run_episode},
};
use forethought_sdk::{
    api::critic::KnownOutcome,
    prelude::*,
    seed::{self, ChaCha8Rng, RngExt},
    simulated::Worded,
};
use forethought_webshop::{
    behaviour::{Shopper, moves::Move, words::Outcome},
    environment::{ActionForm, End, WebShop, WebShopConfig},
    generated::GeneratedCatalogue,
    product::Catalogue,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// Products in the shop.
const PRODUCTS: u32 = 200;
/// Decisions in a sample of refinements.
const DRAWS: u64 = 2500;

// ---- the players, and a tape of their messages --------------------------------------------------------------------

fn simulated(config: SimulatedConfig) -> Arc<dyn LlmBackend> {
    let behaviours: Vec<(String, Arc<dyn ScriptedBehaviour>)> = vec![
        ("webshop".into(), Arc::new(Shopper::default())),
        ("avalon".into(), Arc::new(Player::default())),
        ("persuasion".into(), Arc::new(Persuader::default())),
    ];
    Arc::new(Simulated::new(config, behaviours).expect("a backend"))
}

fn react() -> Arc<dyn Planner> {
    let config = serde_json::from_value(json!({ "llm": "actor" })).expect("a configuration");
    Arc::new(React::new(config).expect("a planner"))
}

fn pnlc(rounds: usize) -> Arc<dyn Planner> {
    let config = json!({ "llm": "actor", "critic": "critic", "rounds": rounds });
    Arc::new(Pnlc::new(serde_json::from_value(config).expect("a configuration")).expect("a planner"))
}

/// PNLC that compares thoughts, with a critic that knows how its data speak.
fn compare(critic: &str) -> Arc<dyn Planner> {
    let config = json!({ "llm": "actor", "critic": critic, "mode": "compare" });
    Arc::new(Pnlc::new(serde_json::from_value(config).expect("a configuration")).expect("a planner"))
}

fn imagine_only() -> Arc<dyn Planner> {
    let config =
        serde_json::from_value(json!({ "llm": "actor", "mode": "compare" })).expect("a configuration");
    Arc::new(ImagineOnly::new(config).expect("a planner"))
}

/// A card with one sentence for each strategy and outcome of the shopper, and for the last lines of a state.
fn card() -> StyleCard {
    let last = |wordings: &[&str]| wordings.last().expect("a wording").to_string();
    let known =
        |outcome: &Outcome| KnownOutcome { text: last(outcome.wordings()), ..KnownOutcome::default() };
    StyleCard {
        outcomes: Outcome::ALL.iter().map(known).collect(),
        states: vec!["I am on a product page. It costs more than allowed.".into()],
        thoughts: Move::ALL.iter().map(|chosen| last(chosen.wordings())).collect(),
    }
}

fn random(seed: u64) -> Arc<dyn Critic> {
    Arc::new(Random::new(RandomConfig { seed }))
}

/// What happened, in order.
enum Event {
    /// The world showed something, such as a page of the shop.
    Shown(String),
    /// The world wrote the parts of the score to the log, and nowhere else.
    Logged(Value),
    /// The model was asked.
    Asked(ChatRequest, Completion),
    /// The planner decided.
    Decided(Box<DecisionContext>, Decision),
}

type Tape = Arc<Mutex<Vec<Event>>>;

/// A component whose messages are taped. A blind environment gives the first seat only text, and the log nothing.
struct Taped<T: ?Sized> {
    inner: Arc<T>,
    tape: Tape,
    blind: bool,
}

impl<T: ?Sized> Taped<T> {
    fn note(&self, event: Event) {
        self.tape.lock().expect("the tape").push(event);
    }
}

impl Taped<dyn Environment> {
    fn show(&self, mut turn: Turn) -> Turn {
        if turn.seat > 0 {
            return turn;
        }
        self.note(Event::Shown(turn.observation.text.clone()));
        if self.blind {
            turn.observation.data = Value::Null;
            turn.legal_actions.clear();
        }
        turn
    }
}

#[async_trait]
impl Environment for Taped<dyn Environment> {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        self.inner.spec().await
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { inner: self.inner.spawn().await?, tape: self.tape.clone(), blind: self.blind }))
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        Ok(self.show(self.inner.reset(reset).await?))
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let mut transition = self.inner.step(action).await?;
        self.note(Event::Logged(transition.info.clone()));
        transition.turn = self.show(transition.turn);
        if self.blind {
            // What each seat sees at the end is not a secret: it is here because the end has no turn.
            let ends = transition.info.get("ends").cloned();
            transition.info = ends.map_or(Value::Null, |ends| json!({ "ends": ends }));
            transition.rewards.fill(0.0);
            transition.success = None;
        }
        Ok(transition)
    }
}

#[async_trait]
impl LlmBackend for Taped<dyn LlmBackend> {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.inner.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let completion = self.inner.complete(request.clone()).await?;
        self.note(Event::Asked(request, completion.clone()));
        Ok(completion)
    }
}

#[async_trait]
impl Planner for Taped<dyn Planner> {
    async fn requires(&self) -> Result<Requirements> {
        self.inner.requires().await
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let decision = self.inner.decide(context.clone(), models).await?;
        self.note(Event::Decided(Box::new(context), decision.clone()));
        Ok(decision)
    }
}

/// A finished episode.
struct Played {
    task: u64,
    tape: Vec<Event>,
    summary: EpisodeSummary,
}

/// Plays an episode as `forethought collect` would: its end is summarised too, so that prompts are also made after the
/// purchase, when the shop has logged its score. `planner` has the first seat, `other` all others.
async fn play(
    world: &dyn Environment,
    planner: Arc<dyn Planner>,
    other: Arc<dyn Planner>,
    llm: SimulatedConfig,
    task: u64,
    blind: bool,
) -> Played {
    let tape = Tape::default();
    let world = Taped { inner: world.spawn().await.expect("a world"), tape: tape.clone(), blind };
    let backend = Taped { inner: simulated(llm), tape: tape.clone(), blind };
    let planner: Arc<dyn Planner> = Arc::new(Taped { inner: planner, tape: tape.clone(), blind });
    let environment = world.spec().await.expect("a specification");
    let sit = |(at, seat): (usize, &SeatSpec)| Seat {
        name: seat.name.clone(),
        planner: if at == 0 { planner.clone() } else { other.clone() },
    };
    let seats = environment.seats.iter().enumerate().map(sit).collect();
    let spec = EpisodeSpec {
        id: "test".into(),
        environment,
        reset: Reset { task, seed: seed::derive(7, &format!("episode/{task}")) },
        seats,
        subject: 0,
        summariser: Some(Arc::new(
            LlmSummariser::new(serde_json::from_value(json!({ "llm": "actor" })).expect("a configuration"))
                .expect("a summariser"),
        )),
        limits: Limits::default(),
        per_decision: Arc::default(),
        progress: None,
        decided: None,
    };
    let capabilities = backend.capabilities().await.expect("capabilities");
    let llm = Llm { backend: Arc::new(backend), capabilities };
    let critic = |style| CriticHandle { estimator: random(7), asks_models: false, style };
    let deps = Deps {
        environment: Arc::new(world),
        llms: Arc::new(BTreeMap::from([("actor".into(), llm)])),
        critics: Arc::new(BTreeMap::from([
            ("critic".into(), critic(StyleCard::default())),
            ("carded".into(), critic(card())),
        ])),
        summariser: None,
    };
    let EpisodeResult { summary, .. } =
        run_episode(Arc::new(Unrecorded(deps)), spec).await.expect("a playable episode");
    let tape = std::mem::take(&mut *tape.lock().expect("the tape"));
    Played { task, tape, summary }
}

/// Episodes of three planners in three kinds of shop: one ends with any purchase, one answers a purchase with its score
/// and continues, and in one actions are calls of tools.
async fn episodes(llm: SimulatedConfig, blind: bool) -> Vec<Played> {
    let mut played = Vec::new();
    let (text, calls) = (ActionForm::Text, ActionForm::Tools);
    for (end, actions) in [(End::Purchase, text), (End::FullScore, text), (End::Purchase, calls)] {
        let products = PRODUCTS.try_into().expect("not zero");
        let config = WebShopConfig { products, end, actions, ..WebShopConfig::default() };
        let shop = WebShop::new(config).expect("a shop");
        let llm = SimulatedConfig { tools: actions == calls, ..llm.clone() };
        for (planner, tasks) in [(react(), 5), (pnlc(2), 5), (compare("carded"), 2)] {
            for task in 0..tasks {
                played.push(play(&shop, planner.clone(), react(), llm.clone(), task, blind).await);
            }
        }
    }
    played
}

/// Episodes with several seats: a table of Avalon with bots, and dialogues with a donor.
async fn in_company(wording: Wording, blind: bool) -> Vec<Played> {
    let config = json!({ "agent_role": "merlin", "discussion": true });
    let config: AvalonConfig = serde_json::from_value(config).expect("a configuration");
    let script: ScriptConfig = serde_json::from_value(json!({})).expect("a configuration");
    let worlds: [(Box<dyn Environment>, Arc<dyn Planner>); 2] = [
        (Box::new(Avalon::new(config).expect("a table")), Arc::new(Naive::new(NaiveConfig::default()))),
        (Box::new(Persuasion::new(script.0)), Arc::new(Donor::new(DonorConfig::default()).expect("a donor"))),
    ];
    let mut played = Vec::new();
    for (world, other) in &worlds {
        for (planner, tasks) in [(react(), 5), (pnlc(2), 5), (compare("carded"), 2)] {
            for task in 0..tasks {
                let llm = SimulatedConfig { wording: wording.clone(), ..SimulatedConfig::default() };
                played.push(play(&**world, planner.clone(), other.clone(), llm, task, blind).await);
            }
        }
    }
    played
}

/// The episodes that most tests use, played once.
async fn seen() -> &'static [Played] {
    static SEEN: OnceCell<Vec<Played>> = OnceCell::const_new();
    SEEN.get_or_init(|| episodes(SimulatedConfig::default(), false)).await
}

impl Played {
    fn requests(&self) -> impl Iterator<Item = (&ChatRequest, &Completion)> {
        self.tape.iter().filter_map(|event| match event {
            Event::Asked(request, completion) => Some((request, completion)),
            _ => None,
        })
    }
    fn decisions(&self) -> impl Iterator<Item = (&DecisionContext, &Decision)> {
        self.tape.iter().filter_map(|event| match event {
            Event::Decided(context, decision) => Some((&**context, decision)),
            _ => None,
        })
    }
}

// ---- only text reaches a decision ---------------------------------------------------------------------------------

#[tokio::test]
async fn nothing_hidden_reaches_a_decision() {
    let mut blind = episodes(SimulatedConfig::default(), true).await;
    let mut company = Vec::new();
    for wording in [Wording::Regular, Wording::Free] {
        blind.extend(in_company(wording.clone(), true).await);
        company.extend(in_company(wording, false).await);
    }
    let (mut scored, mut listed) = (0, 0);
    for (seen, blind) in seen().await.iter().chain(&company).zip(&blind) {
        let prompts = |played: &Played| {
            let requests: Vec<_> = played.requests().map(|(request, _)| request).collect();
            serde_json::to_string(&requests).expect("JSON")
        };
        let decisions = |played: &Played| {
            let decisions: Vec<_> = played.decisions().map(|(_, decision)| decision).collect();
            serde_json::to_string(&decisions).expect("JSON")
        };
        assert!(prompts(seen) == prompts(blind), "the prompts of task {} differ", seen.task);
        assert!(decisions(seen) == decisions(blind), "the decisions of task {} differ", seen.task);
        // The blinding works: there was something to hide, and it was hidden.
        listed += usize::from(seen.decisions().any(|(context, _)| !context.turn.legal_actions.is_empty()));
        assert!(blind.decisions().all(|(context, _)| context.turn.legal_actions.is_empty()));
        assert_eq!((blind.summary.score, blind.summary.success), (0.0, None));
        scored += usize::from(seen.summary.score > 0.0);
    }
    // A dialogue has no legal actions to list.
    assert_eq!(listed, blind.len() - 2 * 12);
    assert!(scored > 0, "no episode scored: there was nothing to hide");
}

// ---- the content of prompts ---------------------------------------------------------------------------------------

/// What an episode hides: the product that its goal was made from, the attributes as stored, and the parts of the score
/// (their names), numbers too long to appear by accident, the record of the purchase.
fn secrets(played: &Played) -> Vec<String> {
    let goal = GeneratedCatalogue::new(PRODUCTS, 0).goal(played.task).into_owned();
    let mut secrets = vec![goal.asin, goal.name, goal.product_category];
    secrets.extend(goal.attributes);
    let infos = played.tape.iter().filter_map(|event| match event {
        Event::Logged(info) => info.as_object(),
        _ => None,
    });
    for (key, value) in infos.flatten() {
        let value = value.to_string();
        if key.contains('_') {
            secrets.push(key.clone());
        }
        if value.len() > 6 {
            secrets.push(value);
        }
    }
    secrets.iter_mut().for_each(|secret| *secret = secret.to_lowercase());
    secrets
}

fn text(request: &ChatRequest) -> String {
    request.messages.iter().map(|message| message.content.to_lowercase() + "\n").collect()
}

/// The secrets that are in a prompt before the shop has shown them.
fn leaks<'a>(events: impl IntoIterator<Item = &'a Event>, secrets: &[String]) -> Vec<String> {
    let (mut shown, mut leaks) = (String::new(), Vec::new());
    for event in events {
        match event {
            Event::Shown(page) => shown.push_str(&page.to_lowercase()),
            Event::Asked(request, _) => {
                let prompt = text(request);
                let leaked = |secret: &&String| prompt.contains(*secret) && !shown.contains(*secret);
                leaks.extend(secrets.iter().filter(leaked).cloned());
            }
            Event::Logged(_) | Event::Decided(..) => {}
        }
    }
    leaks
}

#[tokio::test]
async fn prompts_contain_only_what_the_shop_has_shown() {
    let (mut asins_in_prompts, mut prompts_after_a_purchase) = (0, 0);
    for played in seen().await {
        let secrets = secrets(played);
        assert_eq!(leaks(&played.tape, &secrets), [""; 0], "task {}", played.task);

        // The detector finds every secret that is planted.
        for secret in &secrets {
            let prompt = format!("Observation:\nsecretly: {secret}\nThought: <a thought>");
            let request = ChatRequest::new(Purpose::Thought, vec![Message::user(prompt)]);
            let planted = Event::Asked(request, Completion::default());
            assert!(leaks(std::iter::once(&planted).chain(&played.tape), &secrets).contains(secret));
        }

        let asin = &secrets[0];
        asins_in_prompts += played.requests().filter(|(request, _)| text(request).contains(asin)).count();
        let bought = |event: &&Event| matches!(event, Event::Logged(info) if info.is_object());
        let after = played.tape.iter().skip_while(|event| !bought(event));
        prompts_after_a_purchase += after.filter(|event| matches!(event, Event::Asked(..))).count();
    }
    // There was something to find: goals' products are shown, and prompts are made after purchases.
    assert!(asins_in_prompts > 0 && prompts_after_a_purchase > 0);
}

#[tokio::test]
async fn a_scripted_behaviour_sees_only_text() {
    // Another backend of the same configuration, asked out of order and for other purposes, answers the same.
    let other = simulated(SimulatedConfig::default());
    let reseeded = simulated(SimulatedConfig { seed: 1, ..SimulatedConfig::default() });
    let (mut asked, mut changed) = (0, 0);
    let company = in_company(Wording::Regular, false).await;
    for played in seen().await.iter().rev().step_by(3).chain(&company) {
        let requests: Vec<_> = played.requests().collect();
        for (request, completion) in requests.into_iter().rev() {
            let request = ChatRequest { purpose: Purpose::Other, ..request.clone() };
            assert_eq!(&other.complete(request.clone()).await.expect("an answer"), completion);
            asked += 1;
            changed += usize::from(&reseeded.complete(request).await.expect("an answer") != completion);
        }
    }
    assert!(asked > 50 && changed > 0, "{asked} requests, {changed} answered otherwise under another seed");
}

// ---- refinement ---------------------------------------------------------------------------------------------------

/// A critic with a given opinion of a thought: the values of the first half of the outcomes, the good ones, exceed
/// those of the bad ones by this much.
struct Opinion(fn(&str) -> f64);

/// Outcomes of a thought in a batch.
const OUTCOMES: usize = 4;

#[async_trait]
impl Critic for Opinion {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let estimate = |(index, query): (usize, &CriticQuery)| {
            let side = if index % OUTCOMES < OUTCOMES / 2 { 0.5 } else { -0.5 };
            let probability = 0.5 + side * (self.0)(&query.thought);
            Estimate::of(probability)
        };
        Ok(queries.iter().enumerate().map(estimate).collect())
    }
}

/// Random values that are new for each query, also for one that was asked before, and a style card.
struct Dice(Mutex<ChaCha8Rng>);

#[async_trait]
impl Critic for Dice {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let mut rng = self.0.lock().expect("dice");
        Ok(queries.iter().map(|_| Estimate::of(rng.random())).collect())
    }
    async fn style_card(&self) -> Result<StyleCard> {
        Ok(card())
    }
}

fn dice(seed: u64) -> Arc<dyn Critic> {
    Arc::new(Dice(Mutex::new(seed::stream(seed, "dice"))))
}

fn opinion(hope: fn(&str) -> f64) -> Arc<dyn Critic> {
    Arc::new(Opinion(hope))
}

/// One model and one critic, under any name.
struct Cast(Arc<dyn LlmBackend>, Arc<dyn Critic>);

#[async_trait]
impl Models for Cast {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(self.1.clone())
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
}

/// How often each strategy is the one acted on.
type Counts = BTreeMap<String, f64>;

/// Strategies of thousands of decisions in one state. Each draw has its own seed and critic: random values are the same
/// for the same question, so a single critic would be a fixed, if meaningless, preference.
async fn strategies(
    context: &DecisionContext,
    name: &str,
    planner: Arc<dyn Planner>,
    critic: impl Fn(u64) -> Arc<dyn Critic>,
) -> Counts {
    let llm = simulated(SimulatedConfig { malformed: 0.0, ..SimulatedConfig::default() });
    let mut counts = Counts::new();
    for draw in 0..DRAWS {
        let seed = seed::derive(draw, name);
        let context = DecisionContext { seed, ..context.clone() };
        let cast = Cast(llm.clone(), critic(seed));
        let decision = planner.decide(context, Arc::new(cast)).await.expect("a decision");
        let strategy = Move::read(&decision.thought).expect("a thought of the shopper's own");
        *counts.entry(format!("{strategy:?}")).or_default() += 1.0;
    }
    counts
}

/// The chi-square test whether two samples of equal size may come from one distribution. If they do, it says no once in
/// a million times.
fn alike(a: &Counts, b: &Counts) -> bool {
    let strategies: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let count = |counts: &Counts, strategy: &String| counts.get(strategy).copied().unwrap_or(0.0);
    let term = |strategy: &&String| {
        let (a, b) = (count(a, strategy), count(b, strategy));
        (a - b).powi(2) / (a + b)
    };
    let statistic: f64 = strategies.iter().map(term).sum();
    let freedom = (strategies.len() - 1) as f64;
    // Wilson and Hilferty (1931); 4.75 is the normal distribution's quantile.
    let spread = 2.0 / (9.0 * freedom);
    statistic < freedom * (1.0 - spread + 4.75 * spread.sqrt()).powi(3)
}

#[tokio::test]
async fn refinement_gains_nothing_without_information() {
    let at_a_product = |played: &'static Played| {
        let is = |context: &DecisionContext| context.turn.observation.text.contains("[Buy Now]");
        played.decisions().map(|(context, _)| context).find(|context| is(context))
    };
    let context = seen().await.iter().find_map(at_a_product).expect("a product was opened");

    let first = strategies(context, "first thoughts", pnlc(0), |_| random(0)).await;
    assert!(first.len() > 1, "there is nothing to choose between: {first:?}");

    // Values that do not depend on the thought: random ones, and those of a critic that always fears the worst, so that
    // the model thinks again as often as allowed.
    let refined = strategies(context, "random values", pnlc(2), random).await;
    assert!(alike(&first, &refined), "random values: {first:?} became {refined:?}");
    let refined = strategies(context, "dread", pnlc(5), |_| opinion(|_| -0.8)).await;
    assert!(alike(&first, &refined), "dread of everything: {first:?} became {refined:?}");
    // The same check does notice a critic with information: one that dislikes buying.
    let dislike = |thought: &str| if is_about_buying(thought) { -0.8 } else { 0.4 };
    let refined = strategies(context, "dislike", pnlc(1), |_| opinion(dislike)).await;
    assert!(!alike(&first, &refined), "a critic that dislikes buying changed nothing: {refined:?}");
    assert!(refined.get("Buy") < first.get("Buy"), "{first:?} became {refined:?}");

    // Comparing by meaningless values gains nothing either, nor do a critic's words, nor imagining alone.
    let chosen = strategies(context, "card and dice", compare("critic"), dice).await;
    assert!(alike(&first, &chosen), "dice between listed thoughts: {first:?} became {chosen:?}");
    let imagined = strategies(context, "imagined", imagine_only(), random).await;
    assert!(alike(&first, &imagined), "imagined outcomes: {first:?} became {imagined:?}");
    let chosen = strategies(context, "dislike", compare("critic"), |_| opinion(dislike)).await;
    assert!(!alike(&first, &chosen) && chosen.get("Buy") < first.get("Buy"), "{first:?} became {chosen:?}");
}

fn is_about_buying(thought: &str) -> bool {
    let thought = thought.to_lowercase();
    thought.contains("buy") || thought.contains("purchase")
}

// ---- other weaknesses of the model --------------------------------------------------------------------------------

/// The judge of a configuration: it asks the model for its own probabilities.
async fn judge() -> Arc<dyn Critic> {
    let folder = tempfile::tempdir().expect("a folder");
    let toml = "[llm.actor]\nkind = \"simulated\"\n[critic.judge]\nkind = \"judge\"\nllm = \"actor\"\n";
    std::fs::write(folder.path().join("forethought.toml"), toml).expect("a file");
    let registry = Registry::linked().expect("linked components");
    let config = Config::load(&Sources::new(folder.path()), &registry).expect("a configuration");
    let host = RuntimeHost::new(Arc::new(config), Arc::new(registry));
    host.critic("judge".into()).await.expect("a judge")
}

/// Whether the means of two samples of equal size are more than five standard errors apart.
fn means_differ(a: &[f64], b: &[f64]) -> bool {
    let mean = |sample: &[f64]| sample.iter().sum::<f64>() / sample.len() as f64;
    let squared_error = |sample: &[f64]| {
        let centre = mean(sample);
        sample.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / (sample.len() as f64).powi(2)
    };
    (mean(a) - mean(b)).abs() > 5.0 * (squared_error(a) + squared_error(b)).sqrt()
}

#[tokio::test]
async fn the_judge_is_blind_to_the_thought() {
    let judge = judge().await;
    let outcomes =
        ["The purchase fits every wish.", "The product is ready to buy.", "The wrong product is bought."];
    let ask = async |thought: &str| {
        let mut answers = outcomes.map(|_| Vec::new());
        for seed in 0..1000 {
            let query = |outcome: &str| CriticQuery {
                state: "Wanted options not chosen yet: size.".into(),
                thought: thought.into(),
                outcome: outcome.into(),
            };
            // A second unreadable answer would give no estimate.
            let llm = simulated(SimulatedConfig { seed, malformed: 0.0, ..SimulatedConfig::default() });
            let models = Arc::new(Cast(llm, random(0)));
            let queries = outcomes.iter().map(|outcome| query(outcome)).collect();
            let estimates = judge.estimate_with(queries, models).await.expect("estimates");
            for (answers, estimate) in answers.iter_mut().zip(estimates) {
                answers.push(estimate.probability);
            }
        }
        answers
    };
    let wise = ask("Choose a wanted option before going on.").await;
    let rash = ask("Buy this product right away.").await;
    assert_ne!(wise, rash, "the thought is part of the question");
    for ((outcome, wise), rash) in outcomes.iter().zip(&wise).zip(&rash) {
        assert!(!means_differ(wise, rash), "{outcome}");
        // A difference of 0.05 between the thoughts would have been noticed.
        let hopeful: Vec<f64> = wise.iter().map(|probability| probability + 0.05).collect();
        assert!(means_differ(&hopeful, rash), "{outcome}");
    }
}

#[tokio::test]
async fn answers_in_the_wrong_form_are_recovered() {
    let mut recoveries = Vec::new();
    let mut decisions = 0;
    for played in episodes(SimulatedConfig { malformed: 0.5, ..SimulatedConfig::default() }, false).await {
        assert_eq!((played.summary.status, &played.summary.error), (EpisodeStatus::Done, &None));
        for (_, decision) in played.decisions() {
            decisions += 1;
            recoveries.extend(decision.trace.recoveries.clone());
        }
    }
    // One answer in two must be requested again, one in four is given up; a decision needs at least one answer.
    let count = |what| recoveries.iter().filter(|recovery| recovery.ends_with(what)).count();
    let (again, given_up) = (count("asked once more"), count("went on without it"));
    assert!(
        again > decisions / 4 && given_up > 0,
        "{again} and {given_up} recoveries in {decisions} decisions"
    );
    assert_eq!(again + given_up, recoveries.len());
}
