//! Conformance: this WebShop against golden outputs of upstream's code, counted.
//!
//! Upstream's golden title scores are from another noun tagger than ours, so everything that depends on them is
//! compared either with the golden score given, or only where the score hardly matters.

use std::borrow::Cow;
use std::path::Path;

use forethought_sdk::prelude::*;
use forethought_sdk::serde::de::DeserializeOwned;
use forethought_sdk::serde_json::{self, Value, json};

use crate::catalogue::{FileCatalogue, GoalKind, read_json, read_text};
use crate::dialect::{self, Effect};
use crate::page;
use crate::product::{Catalogue, Goal, GoalOptions};
use crate::render;
use crate::reward::{Reward, reward, reward_given, type_factor};
use crate::search::{analyze, document};
use crate::session::Session;
use crate::shop::Shop;

/// Seed under which the golden goals and prices were drawn.
const SEED: u64 = 0;

/// Compares with the folders `webshop_products` and `webshop_gold`.
pub struct WebShopVerifier;

register! {
    interface: dyn Verifier,
    kind: "webshop",
    summary: "WebShop against golden pages, searches, goals and rewards of the original code",
    config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(WebShopVerifier) as _) },
}

#[async_trait]
impl Verifier for WebShopVerifier {
    async fn verify(&self, data: std::path::PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Check>> {
        let (goods, gold) = (data.join("webshop_products"), data.join("webshop_gold"));
        let mut checks = Vec::new();
        let stages = 6;
        let report = |done, note: &str| progress.report("verify".into(), done, stages, note.into());

        report(0, "catalogue").await?;
        let catalogue = FileCatalogue::read(&goods, GoalKind::Synthetic, SEED)?;
        checks.push(goals("synthetic goals", &catalogue, &gold.join("goals_synthetic_seed0.jsonl"))?);
        let human = FileCatalogue::read(&goods, GoalKind::Human, SEED)?;
        checks.push(goals("human goals", &human, &gold.join("goals_human_seed0.jsonl"))?);
        checks.push(prices(&catalogue, &gold.join("product_prices_seed0.json"))?);

        report(1, "search").await?;
        let shop = Shop::new(catalogue);
        checks.extend(tokens(&shop, &gold)?);
        checks.extend(rankings(&shop, &gold)?);

        report(2, "rewards").await?;
        let mut parts = RewardChecks::new();
        for vector in read_lines::<RewardVector>(&gold.join("reward_vectors.jsonl"))? {
            parts.compare(&shop, &vector)?;
        }

        for (stage, mode) in ["text", "text_rich", "html"].into_iter().enumerate() {
            report(3 + stage as u64, mode).await?;
            checks.extend(traces(&shop, mode, &gold.join(format!("traces_{mode}.jsonl")), &mut parts)?);
        }
        checks.extend(parts.0);
        report(stages, "").await?;
        Ok(checks)
    }
}

/// Every line of a file of JSON lines.
fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line)
                .map_err(|error| Error::input(format!("{}, line {}: {error}", path.display(), at + 1)))
        })
        .collect()
}

/// Equality that does not tell 1 from 1.0, as Python's does not.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// A goal in upstream's form.
fn goal_json(goal: &Goal) -> Value {
    let options = match &goal.options {
        GoalOptions::Values(values) => json!(values),
        GoalOptions::Pairs(pairs) => {
            Value::Object(pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
        }
    };
    json!({
        "asin": goal.asin,
        "category": goal.category,
        "query": goal.query,
        "name": goal.name,
        "product_category": goal.product_category,
        "instruction_text": goal.instruction,
        "attributes": goal.attributes,
        "price_upper": goal.price_upper,
        "goal_options": options,
        "weight": goal.weight,
    })
}

/// A goal as it is in the golden files.
#[data]
#[derive(Debug)]
struct GoldenGoal {
    asin: String,
    category: String,
    query: String,
    name: String,
    product_category: String,
    instruction_text: String,
    attributes: Vec<String>,
    price_upper: f64,
    goal_options: Value,
    weight: f64,
}

impl GoldenGoal {
    fn goal(&self) -> Result<Goal> {
        let malformed = || Error::input(format!("golden goal of {}: `goal_options` is malformed", self.asin));
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(malformed);
        let options = match &self.goal_options {
            Value::Array(values) => GoalOptions::Values(values.iter().map(text).collect::<Result<_>>()?),
            Value::Object(pairs) => GoalOptions::Pairs(
                pairs.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect::<Result<_>>()?,
            ),
            _ => return Err(malformed()),
        };
        Ok(Goal {
            asin: self.asin.clone(),
            category: self.category.clone(),
            query: self.query.clone(),
            name: self.name.clone(),
            product_category: self.product_category.clone(),
            instruction: self.instruction_text.clone(),
            attributes: self.attributes.clone(),
            price_upper: self.price_upper,
            options,
            weight: self.weight,
        })
    }
}

fn goals(name: &str, catalogue: &FileCatalogue, path: &Path) -> Result<Check> {
    let mut check = Check::new(name);
    let golden: Vec<Value> = read_lines(path)?;
    for at in 0..catalogue.goals().max(golden.len() as u64) {
        let ours = if at < catalogue.goals() { goal_json(&catalogue.goal(at)) } else { Value::Null };
        let theirs = golden.get(at as usize).unwrap_or(&Value::Null);
        check.count(same(&ours, theirs), || format!("goal {at} should be {theirs}, but is {ours}"));
    }
    Ok(check)
}

fn prices(catalogue: &FileCatalogue, path: &Path) -> Result<Check> {
    let mut check = Check::new("product prices");
    let golden: serde_json::Map<String, Value> = read_json(path)?;
    for (asin, price) in &golden {
        let ours = catalogue.find(asin).map(|number| catalogue.price(number));
        check.count(ours == price.as_f64(), || format!("{asin} should cost {price}, but costs {ours:?}"));
    }
    for number in 0..catalogue.len() {
        let asin = &catalogue.product(number).asin;
        if !golden.contains_key(asin) {
            check.count(false, || format!("{asin} should not be in the catalogue"));
        }
    }
    Ok(check)
}

/// The two columns of a line that starts with its own number.
fn numbered<'a>(path: &Path, at: usize, line: &'a str) -> Result<&'a str> {
    let (number, rest) = line.split_once('\t').unwrap_or((line, ""));
    if number.parse() != Ok(at) {
        return Err(Error::input(format!("{}, line {}: should start with {at}", path.display(), at + 1)));
    }
    Ok(rest)
}

fn tokens(shop: &Shop, gold: &Path) -> Result<Vec<Check>> {
    let queries = read_text(&gold.join("queries.txt"))?;
    let queries: Vec<&str> = queries.lines().collect();
    let documents = shop.catalogue().len() as usize;
    let document = |at| document(&shop.catalogue().product(at as u32));
    Ok(vec![
        token_check("tokens of documents", &gold.join("doc_tokens.tsv"), documents, document)?,
        token_check("tokens of queries", &gold.join("query_tokens.tsv"), queries.len(), |at| {
            queries[at].to_owned()
        })?,
    ])
}

fn token_check(name: &str, path: &Path, count: usize, text: impl Fn(usize) -> String) -> Result<Check> {
    let mut check = Check::new(name);
    let golden = read_text(path)?;
    let golden: Vec<&str> =
        golden.lines().enumerate().map(|(at, line)| numbered(path, at, line)).collect::<Result<_>>()?;
    for at in 0..golden.len().max(count) {
        let ours = (at < count).then(|| analyze(&text(at)).join(" "));
        let theirs = golden.get(at).copied();
        check.count(ours.as_deref() == theirs, || format!("{at} should give {theirs:?}, but gives {ours:?}"));
    }
    Ok(check)
}

fn rankings(shop: &Shop, gold: &Path) -> Result<Vec<Check>> {
    let (mut order, mut scores) = (Check::new("search results, top 50"), Check::new("search scores"));
    let queries = read_text(&gold.join("queries.txt"))?;
    let path = gold.join("rank.tsv");
    let golden = read_text(&path)?;
    let mut lines = golden.lines().enumerate();
    for (at, query) in queries.lines().enumerate() {
        let hits = shop.index().search(query, 50);
        let line = match lines.next() {
            Some((at, line)) => numbered(&path, at, line)?,
            None => return Err(Error::input(format!("{} ends before query {at}", path.display()))),
        };
        let theirs: Vec<(&str, f32)> = line
            .split('\t')
            .filter(|hit| !hit.is_empty())
            .map(|hit| {
                let mut fields = hit.split(':');
                let asin = fields.next().unwrap_or_default();
                let score = fields.next().and_then(|score| score.parse().ok());
                score.map(|score| (asin, score)).ok_or_else(|| {
                    Error::input(format!(
                        "{}, line {}: {hit:?} is not asin:score:document",
                        path.display(),
                        at + 1
                    ))
                })
            })
            .collect::<Result<_>>()?;
        let asin = |product: u32| shop.catalogue().product(product).asin.clone();
        let ours: Vec<(String, f32)> = hits.iter().map(|hit| (asin(hit.product), hit.score)).collect();
        let agree = ours.iter().map(|hit| hit.0.as_str()).eq(theirs.iter().map(|hit| hit.0));
        order.count(agree, || format!("query {at} {query:?} should find {theirs:?}, but finds {ours:?}"));
        // The file has four decimals.
        let near = |(a, b): (&(String, f32), &(&str, f32))| (a.1 - b.1).abs() < 1.01e-4;
        scores.count(ours.len() == theirs.len() && ours.iter().zip(&theirs).all(near), || {
            format!("query {at} {query:?} should score {theirs:?}, but scores {ours:?}")
        });
    }
    Ok(vec![order, scores])
}

/// A purchase and what it earned.
#[data]
#[derive(Debug)]
struct RewardVector {
    goal: GoldenGoal,
    purchased_asin: String,
    options: serde_json::Map<String, Value>,
    price: f64,
    reward: f64,
    info: Value,
}

/// One check for every part of a reward.
struct RewardChecks(Vec<Check>);

impl RewardChecks {
    /// Parts under upstream's names, which do not depend on nouns.
    const PARTS: [&str; 8] =
        ["r_att", "w_att", "query_match", "category_match", "r_option", "w_option", "r_price", "w_price"];

    fn new() -> Self {
        let mut checks: Vec<Check> =
            Self::PARTS.iter().map(|part| Check::new(format!("reward {part}"))).collect();
        checks.push(Check::new("reward r_type, given the title score"));
        checks.push(Check::new("reward, given the title score"));
        checks.push(Check::new("reward r_type by own nouns, for matching goods"));
        Self(checks)
    }

    fn compare(&mut self, shop: &Shop, vector: &RewardVector) -> Result<()> {
        let asin = &vector.purchased_asin;
        let Some(number) = shop.catalogue().find(asin) else {
            return Err(Error::input(format!("golden purchase of {asin}, which is not in the catalogue")));
        };
        let Some(title_score) = vector.info["title_score"].as_f64() else {
            return Err(Error::input(format!("golden purchase of {asin} has no title_score")));
        };
        let options: Vec<(String, String)> = vector
            .options
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let product = shop.catalogue().product(number);
        let goal = vector.goal.goal()?;
        let given = reward_given(title_score, &product, &goal, vector.price, &options);
        let info = given.info();
        let what = |part: &str, ours: &Value, theirs: &Value| {
            format!("{asin} {options:?} for {:?}: {part} should be {theirs}, but is {ours}", goal.instruction)
        };
        let theirs = &vector.info;
        let [parts @ .., r_type, total, own] = &mut self.0[..] else { return Ok(()) };
        for (check, part) in parts.iter_mut().zip(Self::PARTS) {
            check.count(same(&info[part], &theirs[part]), || what(part, &info[part], &theirs[part]));
        }
        r_type.count(same(&info["r_type"], &theirs["r_type"]), || {
            what("r_type", &info["r_type"], &theirs["r_type"])
        });
        let reward_is = |ours: f64| what("the reward", &json!(ours), &json!(vector.reward));
        total.count(given.total == vector.reward, || reward_is(given.total));
        if given.query_match || given.category_match || *asin == goal.asin {
            let ours = reward(&product, &goal, vector.price, &options);
            own.count(Some(ours.r_type) == theirs["r_type"].as_f64(), || {
                what("r_type", &json!(ours.r_type), &theirs["r_type"])
            });
        }
        Ok(())
    }
}

/// A recorded session.
#[data]
#[derive(Debug)]
struct Trace {
    session: u64,
    goal: GoldenGoal,
    initial_observation: String,
    initial_url: String,
    steps: Vec<TraceStep>,
    /// Parts of the reward, if the session ended with a purchase and they were recorded.
    reward_info: Option<Value>,
    purchased: Option<Purchase>,
}

#[data]
#[derive(Debug)]
struct Purchase {
    asin: String,
    options: serde_json::Map<String, Value>,
    price: f64,
}

#[data]
#[derive(Debug)]
struct TraceStep {
    has_search_bar: bool,
    clickables: Vec<String>,
    action: String,
    observation: String,
    reward: f64,
    done: bool,
    url: String,
}

/// Replays the sessions of one observation mode.
fn traces(shop: &Shop, mode: &str, path: &Path, parts: &mut RewardChecks) -> Result<Vec<Check>> {
    let names = ["goals", "observations", "clickables", "search bars", "rewards", "ends", "urls"];
    let mut checks = names.map(|name| Check::new(format!("{mode} sessions: {name}")));
    let [goals, observations, clickables, bars, rewards, ends, urls] = &mut checks;
    let render: fn(&Shop, &str, &Session) -> String = match mode {
        "text" => render::text,
        "text_rich" => render::rich,
        _ => render::html,
    };
    for trace in read_lines::<Trace>(path)? {
        let task = trace.session;
        if task >= shop.catalogue().goals() {
            return Err(Error::input(format!(
                "{}: session {task} has a task beyond the last goal",
                path.display()
            )));
        }
        let goal = shop.catalogue().goal(task);
        let golden = trace.goal.goal()?;
        goals
            .count(*goal == golden, || format!("session {task}: should want {golden:?}, but wants {goal:?}"));
        if let (Some(info), Some(Purchase { asin, options, price })) = (trace.reward_info, trace.purchased) {
            let reward = trace.steps.last().map_or(0.0, |step| step.reward);
            let vector =
                RewardVector { goal: trace.goal, purchased_asin: asin, options, price, reward, info };
            parts.compare(shop, &vector)?;
        }
        let mut session = Session::new(task.to_string(), SEED);
        let mut compare_page = |session: &Session, at: &str, observation: &str, url: &str| {
            let (ours, theirs) = (render(shop, &goal.instruction, session), without_images(observation));
            observations.count(ours == theirs, || {
                format!("session {task}, {at}: should show {theirs:?}, but shows {ours:?}")
            });
            let ours = session.url(shop);
            urls.count(ours == url, || format!("session {task}, {at}: should be at {url}, but is at {ours}"));
        };
        compare_page(&session, "start", &trace.initial_observation, &trace.initial_url);
        for (at, step) in trace.steps.iter().enumerate() {
            let at = format!("step {at} {:?}", step.action);
            let ours = page::clickables(shop, &session);
            clickables.count(ours == step.clickables, || {
                format!("session {task}, before {at}: should have {:?}, but has {ours:?}", step.clickables)
            });
            bars.count(page::has_search_bar(&session) == step.has_search_bar, || {
                format!("session {task}, before {at}: search bar should be {}", step.has_search_bar)
            });
            let bought = dialect::gym(shop, &mut session, &step.action) == Effect::Bought;
            ends.count(bought == step.done, || format!("session {task}, {at}: end should be {}", step.done));
            let earned = match (bought, session.item()) {
                (true, Some(item)) => {
                    let (product, price) = (shop.catalogue().product(item), shop.catalogue().price(item));
                    // The page shows its score, which depends on nouns: it is compared as recorded.
                    let reward = reward(&product, &goal, price, session.options());
                    session.done(step.reward);
                    possible(&reward, step.reward)
                }
                _ => step.reward == 0.0,
            };
            rewards.count(earned, || format!("session {task}, {at}: cannot earn {}", step.reward));
            compare_page(&session, &at, &step.observation, &step.url);
        }
    }
    Ok(checks.into())
}

/// A recorded page without the table of images in its script, which no catalogue has: see docs/real-data.md.
fn without_images(page: &str) -> Cow<'_, str> {
    const BEFORE: &str = "let option_to_image = JSON.parse(`";
    let table = page.split_once(BEFORE).and_then(|(before, rest)| Some((before, rest.split_once("`);")?.1)));
    match table {
        Some((before, after)) => format!("{before}{BEFORE}{{}}`);{after}").into(),
        None => page.into(),
    }
}

/// Whether `golden` is what a purchase earns under some title score.
fn possible(reward: &Reward, golden: f64) -> bool {
    let factor = |score| type_factor(reward.query_match, reward.category_match, score);
    [0.0, 0.05, 0.15, 1.0].into_iter().any(|score| reward.base * factor(score) == golden)
}
