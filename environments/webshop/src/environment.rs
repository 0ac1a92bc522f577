//! The environment: episodes of shopping.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use forethought_sdk::prelude::*;
use forethought_sdk::schemars::{self, Schema, SchemaGenerator};
use forethought_sdk::serde_json::{Value, json};

use crate::action;
use crate::catalogue::{FileCatalogue, GoalKind};
use crate::dialect::{self, Effect};
use crate::generated::GeneratedCatalogue;
use crate::page;
use crate::product::Goal;
use crate::render;
use crate::reward::reward;
use crate::session::Session;
use crate::shop::Shop;
use crate::{spoken, tools};

/// Settings of the shop.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct WebShopConfig {
    /// The products: "synthetic" for generated ones, or a folder with WebShop's product data.
    pub catalogue: CatalogueSource,
    /// Number of generated products. Has no effect on a folder.
    #[schemars(range(max = 2_000_000))]
    pub products: NonZeroU32,
    /// Seed of generated products, and of the price ranges and price limits of real ones.
    pub seed: u64,
    /// The instructions that are the tasks, for a folder: made from templates, or written by people.
    pub goals: GoalKind,
    /// The form of pages, and with it the action grammar.
    pub observation: ObservationMode,
    /// How actions are taken: written in the grammar of the pages' form, or as calls of the tools `search(query)` and
    /// `click(target)`, which do the same.
    pub actions: ActionForm,
    /// Products shown on a page of results in the react form: 3 in ReAct, 10 in LATS.
    #[schemars(range(max = 1000))]
    pub results_shown: NonZeroU32,
    /// Actions after which an episode is cut off; 0 for no limit. Thoughts (`think[...]`) do not count, up to the same
    /// number.
    pub max_steps: u32,
    /// What ends an episode: any purchase, or, as in LATS, only a purchase with the full score.
    pub end: End,
    /// Whether actions must be written exactly as the reference implementation reads them, for comparisons with it.
    /// Without it, an action that fails exactly is also taken in another spelling with a single meaning: other
    /// Unicode forms, case, white space, quotes or brackets, and with text after it.
    pub strict: bool,
    /// Whether the answer to a refused action says why, and what is possible now. The reference implementation does
    /// not.
    pub explain_refusals: bool,
}

impl Default for WebShopConfig {
    fn default() -> Self {
        const THOUSAND: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");
        const TEN: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
        Self {
            catalogue: CatalogueSource::Synthetic,
            products: THOUSAND,
            seed: 0,
            goals: GoalKind::Synthetic,
            observation: ObservationMode::React,
            actions: ActionForm::Text,
            results_shown: TEN,
            max_steps: 15,
            end: End::Purchase,
            strict: false,
            explain_refusals: false,
        }
    }
}

/// Where the products come from.
#[data]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(from = "String", into = "String")]
pub enum CatalogueSource {
    /// Generated.
    Synthetic,
    /// A folder with WebShop's product data.
    Folder(PathBuf),
}

impl From<String> for CatalogueSource {
    fn from(text: String) -> Self {
        if text == "synthetic" { Self::Synthetic } else { Self::Folder(text.into()) }
    }
}

impl From<CatalogueSource> for String {
    fn from(source: CatalogueSource) -> Self {
        match source {
            CatalogueSource::Synthetic => "synthetic".into(),
            CatalogueSource::Folder(path) => path.to_string_lossy().into_owned(),
        }
    }
}

impl JsonSchema for CatalogueSource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CatalogueSource".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "const": "synthetic" }, { "type": "string", "format": "path" }] })
    }
}

/// The form of pages.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservationMode {
    /// Upstream's `text`: everything in one line, with ` [SEP] ` between.
    Text,
    /// Upstream's `text_rich`: one line per text, buttons marked.
    TextRich,
    /// Upstream's `html`: the page's source.
    Html,
    /// The form of ReAct's and LATS's prompts.
    React,
}

/// How actions are taken.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionForm {
    /// In the grammar of the pages' form: `search[words]`, `click[text]`.
    Text,
    /// As calls of tools: `search(query)`, `click(target)`.
    Tools,
}

/// What ends an episode.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The first purchase.
    Purchase,
    /// A purchase with score 1. Any other purchase shows its score and earns what it adds to the best so far; the
    /// shopper stays on the product's page.
    FullScore,
}

register! {
    interface: dyn Environment,
    kind: "webshop",
    summary: "find and buy the product that an instruction asks for (Yao et al., 2022)",
    config: WebShopConfig,
    new: |config: WebShopConfig, _host| async move { Ok(Arc::new(WebShop::new(config)?) as _) },
}

/// What every episode shares.
#[derive(Clone)]
struct World {
    shop: Arc<Shop>,
    config: Arc<WebShopConfig>,
    /// A turn that offers the shop's tools, if actions are calls.
    offered: Option<Arc<Turn>>,
}

impl World {
    /// An action in the form in which it is taken.
    fn written(&self, action: String) -> String {
        if self.offered.is_some() { tools::called(&action) } else { action }
    }
}

/// A shop and, after a reset, an episode in it.
pub struct WebShop {
    world: World,
    episode: Mutex<Option<Episode>>,
}

impl WebShop {
    /// A shop with these settings.
    ///
    /// # Errors
    /// A catalogue folder that cannot be read.
    pub fn new(config: WebShopConfig) -> Result<Self> {
        let shop = match &config.catalogue {
            CatalogueSource::Synthetic => {
                Shop::new(GeneratedCatalogue::new(config.products.get(), config.seed))
            }
            CatalogueSource::Folder(path) => Shop::new(
                FileCatalogue::read(path, config.goals, config.seed)
                    .context(format!("webshop cannot read its catalogue `{}`", path.display()))?,
            ),
        };
        let offered = match config.actions {
            ActionForm::Text => None,
            ActionForm::Tools => Some(Arc::new(tools::offer(config.observation))),
        };
        Ok(Self::over(World { shop: shop.into(), config: config.into(), offered }, None))
    }

    fn over(world: World, episode: Option<Episode>) -> Self {
        Self { world, episode: Mutex::new(episode) }
    }

    /// A panic elsewhere cannot leave an episode half changed: it is replaced or advanced as a whole.
    fn episode(&self) -> MutexGuard<'_, Option<Episode>> {
        self.episode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Environment for WebShop {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let config = &self.world.config;
        Ok(EnvironmentSpec {
            name: "webshop".into(),
            version: "1".into(),
            seats: vec![SeatSpec { name: "agent".into(), instructions: String::new() }],
            tasks: Some(self.world.shop.catalogue().goals()),
            instructions: instructions(config),
            fork: true,
            recovery: Recovery::Replay,
            max_steps: (config.max_steps > 0).then_some(config.max_steps),
            ..EnvironmentSpec::default()
        })
    }

    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self::over(self.world.clone(), None)))
    }

    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let catalogue = self.world.shop.catalogue();
        let task = match catalogue.goals() {
            0 => return Err(Error::config("the webshop catalogue has no goals; give it more products")),
            goals => reset.task % goals,
        };
        let episode = Episode {
            goal: Arc::new(catalogue.goal(task).into_owned()),
            session: Session::new(task.to_string(), reset.seed),
            actions: 0,
            thoughts: 0,
            best: 0.0,
            ended: None,
        };
        let turn = episode.turn(&self.world, episode.render(&self.world));
        *self.episode() = Some(episode);
        Ok(turn)
    }

    async fn step(&self, action: Action) -> Result<Transition> {
        match self.episode().as_mut() {
            Some(episode) => Ok(episode.step(&self.world, &action)),
            None => Err(Error::other("webshop was stepped before it was reset; call reset first")),
        }
    }

    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(Self::over(self.world.clone(), self.episode().clone()))))
    }
}

#[derive(Clone)]
struct Episode {
    goal: Arc<Goal>,
    session: Session,
    actions: u32,
    thoughts: u32,
    best: f64,
    /// How the episode ended; steps after the end change nothing.
    ended: Option<Ended>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Terminated,
    Truncated,
}

impl Episode {
    fn step(&mut self, world: &World, action: &Action) -> Transition {
        let spelled = world.offered.as_ref().map(|offered| tools::spelled(action, offered));
        let action = spelled.as_ref().map_or(Ok(&action.text), Result::as_ref).map(String::as_str);
        let (mut earned, mut info) = (0.0, Value::Null);
        let config = &world.config;
        let react = config.observation == ObservationMode::React;
        let is_thought = if config.strict { action::is_thought } else { spoken::is_thought };
        let (mut illegal, mut refused) = (false, None);
        let text = if self.ended.is_some() {
            self.render(world)
        } else if world.offered.is_none() && action.is_ok_and(is_thought) {
            self.thoughts += 1;
            if self.thoughts > world.config.max_steps {
                self.actions += 1;
            }
            if react { "OK.".into() } else { self.render(world) }
        } else {
            self.actions += 1;
            match action.map_err(Clone::clone).and_then(|action| self.act(world, action)) {
                Ok(Effect::Chose(value)) if react => format!("You have clicked {value}."),
                Ok(Effect::Bought) => self.buy(world, &mut earned, &mut info),
                Ok(_) => self.render(world),
                Err(why) => {
                    illegal = true;
                    let text = if react { "Invalid action!".into() } else { self.render(world) };
                    match config.explain_refusals {
                        true => {
                            let why = format!("{why} {}", self.possible(world));
                            let text = format!("{text}\n{why}");
                            refused = Some(why);
                            text
                        }
                        false => text,
                    }
                }
            }
        };
        let limit = config.max_steps;
        if self.ended.is_none() && limit > 0 && self.actions >= limit {
            self.ended = Some(Ended::Truncated);
        }
        let mut turn = self.turn(world, text);
        if let Some(why) = refused {
            turn.observation.data["refused"] = why.into();
        }
        Transition {
            turn,
            rewards: vec![earned],
            terminated: self.ended == Some(Ended::Terminated),
            truncated: self.ended == Some(Ended::Truncated),
            success: self.ended.map(|_| self.best == 1.0),
            illegal,
            info,
        }
    }

    /// Carries out an action, or says why not.
    fn act(&mut self, world: &World, action: &str) -> Result<Effect, String> {
        let WebShopConfig { strict, observation, .. } = *world.config;
        let (shop, session) = (&*world.shop, &mut self.session);
        let effect = match (observation, strict) {
            (ObservationMode::React, false) => dialect::lenient_react(shop, session, action),
            (_, false) => dialect::lenient_gym(shop, session, action),
            (ObservationMode::React, true) => Ok(dialect::react(shop, session, action)),
            (_, true) => Ok(dialect::gym(shop, session, action)),
        };
        let back = "click[Back to Search]";
        let effect = effect.map_err(|why| why.replace(back, &world.written(back.into())))?;
        match effect {
            Effect::Refused => Err("That is not an action here, exactly as it is written.".into()),
            effect => Ok(effect),
        }
    }

    /// The actions that are possible now, as a sentence.
    fn possible(&self, world: &World) -> String {
        const MOST: usize = 40;
        let react = world.config.observation == ObservationMode::React;
        let clickables = self.clickables(world);
        let mut actions: Vec<String> = clickables
            .iter()
            .filter(|text| react || *text != "search")
            .take(MOST)
            .map(|text| world.written(format!("click[{text}]")))
            .collect();
        if !react || page::has_search_bar(&self.session) {
            actions.insert(0, world.written("search[words]".into()));
        }
        let more = match clickables.len().saturating_sub(MOST) {
            0 => "",
            _ => ", and the page's other options",
        };
        format!("Possible now: {}{more}.", actions.join(", "))
    }

    /// What can be clicked, as shown.
    fn clickables(&self, world: &World) -> Vec<String> {
        match world.config.observation {
            ObservationMode::React => {
                let shown = world.config.results_shown.get() as usize;
                dialect::react_clickables(&world.shop, &self.session, shown)
            }
            ObservationMode::Text | ObservationMode::TextRich | ObservationMode::Html => {
                page::clickables(&world.shop, &self.session)
            }
        }
    }

    /// Buys the current product; returns what the buyer sees.
    fn buy(&mut self, world: &World, earned: &mut f64, info: &mut Value) -> String {
        let Some(item) = self.session.item() else { return self.render(world) };
        let catalogue = world.shop.catalogue();
        let product = catalogue.product(item);
        let reward = reward(&product, &self.goal, catalogue.price(item), self.session.options());
        *info = reward.info();
        info["purchased"] = json!({
            "asin": product.asin,
            "options": self.session.options().iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "price": catalogue.price(item),
        });
        *earned = match world.config.end {
            End::Purchase => reward.total,
            End::FullScore => (reward.total - self.best).max(0.0),
        };
        self.best = self.best.max(reward.total);
        self.session.done(reward.total);
        let seen = self.render(world);
        if world.config.end == End::Purchase || reward.total == 1.0 {
            self.ended = Some(Ended::Terminated);
        } else {
            self.session.back_to_item();
        }
        seen
    }

    fn render(&self, world: &World) -> String {
        let (shop, instruction) = (&*world.shop, self.goal.instruction.as_str());
        match world.config.observation {
            ObservationMode::Text => render::text(shop, instruction, &self.session),
            ObservationMode::TextRich => render::rich(shop, instruction, &self.session),
            ObservationMode::Html => render::html(shop, instruction, &self.session),
            ObservationMode::React => {
                render::react(shop, instruction, &self.session, world.config.results_shown.get() as usize)
            }
        }
    }

    fn turn(&self, world: &World, text: String) -> Turn {
        let shop = &*world.shop;
        let clickables = self.clickables(world);
        let clicks = match world.config.observation {
            ObservationMode::React => clickables.iter().map(|text| format!("click[{text}]")).collect(),
            ObservationMode::Text | ObservationMode::TextRich | ObservationMode::Html => {
                dialect::gym_clicks(&clickables)
            }
        };
        let clicks: Vec<String> = clicks;
        let legal_actions = match self.ended {
            Some(_) => Vec::new(),
            None => clicks.into_iter().map(|click| world.written(click)).collect(),
        };
        let data = json!({
            "page": self.session.page().name(),
            "has_search_bar": page::has_search_bar(&self.session),
            "clickables": clickables,
            "url": self.session.url(shop),
        });
        // After the end nothing is called.
        let offered = world.offered.as_deref().filter(|_| self.ended.is_none()).cloned().unwrap_or_default();
        Turn { seat: 0, observation: Observation { text, data }, legal_actions, ..offered }
    }
}

/// The agent's instructions.
fn instructions(config: &WebShopConfig) -> String {
    let grammar = match config.observation {
        _ if config.actions == ActionForm::Tools => "",
        ObservationMode::React => {
            "- search[words] looks for products. It works only on the start page, the one with [Search].\n\
             - click[text] clicks one of the texts in brackets, written exactly as shown: a product's code opens it, \
             an option's value chooses it (a chosen one is shown as [[value]]), [Back to Search] leads to the start page \
             and forgets what was chosen, [< Prev] leads back. [Next >] does not work.\n\
             - think[text] is a note to yourself, answered by OK."
        }
        ObservationMode::Text | ObservationMode::TextRich | ObservationMode::Html => {
            "- search[words] looks for products, from any page.\n\
             - click[text] clicks a button, a product's code or an option's value that the page shows: a code opens the \
             product, a value chooses it, Back to Search leads to the start page and forgets what was chosen, Next > and \
             < Prev turn pages or lead back.\n\
             - Anything else changes nothing."
        }
    };
    let end = match config.end {
        End::Purchase => "ends the episode",
        End::FullScore => "is answered by its score; the episode ends at score 1, until then go on",
    };
    let limit = match config.max_steps {
        0 => String::new(),
        limit => format!(" You have {limit} actions."),
    };
    let (how, buying) = match config.actions {
        ActionForm::Text => ("Take one action a turn:\n", "click[Buy Now]"),
        ActionForm::Tools => ("Take one action a turn: a search or a click.", "clicking Buy Now"),
    };
    format!(
        "{}\n\
         Find and buy the product that the instruction asks for. The score, from 0 to 1, is the share of what was asked \
         for that the purchase has: each attribute, each option and the price limit. A product of another kind scores \
         nothing.\n\
         {how}{grammar}\n\
         Choose every option that the instruction names, one click each, before {buying}: buying {end}.{limit}",
        crate::INSTRUCTIONS_OPENING
    )
}
