//! The environment: episodes of Avalon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use forethought_sdk::api::text::unmarked;
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{RngExt, SliceRandom, stream};
use forethought_sdk::serde_json::{self, Value, json};

use crate::metrics::metrics;
use crate::observe;
use crate::role::{Role, Side};
use crate::rules::{FifthRejection, Rules};
use crate::table::{Setup, Table};

/// Settings of a table.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct AvalonConfig {
    /// Number of seats.
    #[schemars(range(min = 5, max = 10))]
    pub players: usize,
    /// Roles in play besides Merlin and the Assassin: "percival", "morgana", "mordred", "oberon". Servants and Minions
    /// fill up the sides.
    pub special_roles: Vec<Role>,
    /// The role of seat 0 in every game. Without it, seat 0 is dealt a role like the others.
    pub agent_role: Option<Role>,
    /// Whether everybody speaks before each proposal.
    pub discussion: bool,
    /// Whether seat 0 is asked, once the quests are decided, who is good: for the metric `deduction`.
    pub deduction: bool,
    /// What happens when a fifth proposal is rejected.
    pub fifth_rejection: FifthRejection,
    /// A file of games that are dealt in turn, one per task, instead of the keys `players`, `special_roles` and
    /// `agent_role`: a JSON list of `num_players`, `quest_leader` and `role_names`, as in AvalonBench.
    #[schemars(with = "Option<forethought_sdk::api::registry::ConfigPath>")]
    pub presets: Option<PathBuf>,
}

impl Default for AvalonConfig {
    fn default() -> Self {
        Self {
            players: 5,
            special_roles: Vec::new(),
            agent_role: None,
            discussion: false,
            deduction: false,
            fifth_rejection: FifthRejection::default(),
            presets: None,
        }
    }
}

register! {
    interface: dyn Environment,
    kind: "avalon",
    summary: "hidden roles and quests for 5 to 10 players, as AvalonBench plays them",
    config: AvalonConfig,
    new: |config: AvalonConfig, _host| async move { Ok(Arc::new(Avalon::new(config)?) as _) },
}

/// A table and, after a reset, a game at it.
pub struct Avalon {
    shared: Arc<Shared>,
    table: Mutex<Option<Table>>,
}

/// What every episode shares.
struct Shared {
    setup: Arc<Setup>,
    agent_role: Option<Role>,
    presets: Vec<Preset>,
    overridden: BTreeMap<String, String>,
}

impl Avalon {
    /// A table with these settings.
    ///
    /// # Errors
    /// Roles that make no game; a file of presets that cannot be read.
    pub fn new(config: AvalonConfig) -> Result<Self> {
        let presets = config.presets.as_deref().map_or(Ok(Vec::new()), Preset::read)?;
        let roles = match presets.first() {
            Some(preset) => preset.role_names.clone(),
            None => roles(&config)?,
        };
        let setup = Setup::new(roles, config.fifth_rejection, config.discussion)
            .map_err(|error| Error::config(error.message).context("avalon cannot be set up"))?;
        let setup = Arc::new(setup.with_deduction(config.deduction));
        let agent_role = config.agent_role.filter(|_| presets.is_empty());
        if let Some(role) = agent_role
            && !setup.roles().contains(&role)
        {
            return Err(Error::config(format!(
                "avalon: `agent_role` is {}, which is not in play; add it to `special_roles`",
                role.word()
            )));
        }
        let other_size = ![AvalonConfig::default().players, setup.players()].contains(&config.players);
        let overridden = [
            ("agent_role", config.agent_role.is_some()),
            ("players", other_size),
            ("special_roles", !config.special_roles.is_empty()),
        ];
        let overridden = overridden.into_iter().filter(|(_, given)| *given && !presets.is_empty());
        let overridden =
            overridden.map(|(key, _)| (key.into(), "`presets` decides who plays".into())).collect();
        for (number, preset) in presets.iter().enumerate() {
            Table::new(setup.clone(), &preset.role_names, preset.quest_leader).map_err(|error| {
                error.context(format!("avalon: game {number} of `presets` does not match the first"))
            })?;
        }
        Ok(Self::over(Arc::new(Shared { setup, agent_role, presets, overridden }), None))
    }

    /// The game `(task, seed)` at its beginning, for callers that use tables directly.
    ///
    /// # Errors
    /// Does not fail for a table that was set up.
    pub fn deal(&self, reset: Reset) -> Result<Table> {
        self.shared.deal(reset)
    }

    fn over(shared: Arc<Shared>, table: Option<Table>) -> Self {
        Self { shared, table: Mutex::new(table) }
    }

    /// A panic elsewhere cannot leave a game half changed: an illegal move changes nothing.
    fn table(&self) -> MutexGuard<'_, Option<Table>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The roles of a configuration.
fn roles(config: &AvalonConfig) -> Result<Vec<Role>> {
    let Some(rules) = Rules::new(config.players, config.fifth_rejection) else {
        return Err(Error::config(format!("avalon: `players` is {}, but must be 5 to 10", config.players)));
    };
    let mut roles = vec![Role::Merlin, Role::Assassin];
    for role in &config.special_roles {
        if roles.contains(role) || matches!(role, Role::Servant | Role::Minion) {
            return Err(Error::config(format!(
                "avalon: `special_roles` may name percival, morgana, mordred and oberon, each once; {} is not allowed",
                role.word()
            )));
        }
        roles.push(*role);
    }
    for (side, filler, seats) in [
        (Side::Evil, Role::Minion, rules.evil()),
        (Side::Good, Role::Servant, rules.players() - rules.evil()),
    ] {
        let taken = roles.iter().filter(|role| role.side() == side).count();
        if taken > seats {
            return Err(Error::config(format!(
                "avalon: {taken} roles of `special_roles` and the standard ones are {}, but of {} players only {seats} can be",
                side.word(),
                rules.players()
            )));
        }
        roles.resize(roles.len() + seats - taken, filler);
    }
    Ok(roles)
}

/// A game dealt in advance.
#[data]
#[derive(Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    num_players: usize,
    pub(crate) quest_leader: usize,
    #[serde(deserialize_with = "roles_by_name")]
    pub(crate) role_names: Vec<Role>,
}

impl Preset {
    /// The games of a file.
    pub(crate) fn read(path: &Path) -> Result<Vec<Self>> {
        let context = || format!("avalon cannot read its presets `{}`", path.display());
        let text = std::fs::read_to_string(path).context(context())?;
        let presets: Vec<Self> = serde_json::from_str(unmarked(&text))
            .map_err(|error| Error::input(error.to_string()).context(context()))?;
        match presets.iter().find(|preset| preset.num_players != preset.role_names.len()) {
            Some(preset) => Err(Error::input(format!(
                "`num_players` is {}, and `role_names` has {}",
                preset.num_players,
                preset.role_names.len()
            ))
            .context(context())),
            None if presets.is_empty() => Err(Error::input("the file has no games").context(context())),
            None => Ok(presets),
        }
    }
}

/// Roles by names in any case: AvalonBench's files capitalise them.
pub(crate) fn roles_by_name<'de, D: forethought_sdk::serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Role>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let role = |name: &String| {
        Role::named(name)
            .ok_or_else(|| forethought_sdk::serde::de::Error::custom(format!("there is no role `{name}`")))
    };
    names.iter().map(role).collect()
}

impl Shared {
    /// The game `(task, seed)` at its beginning.
    fn deal(&self, reset: Reset) -> Result<Table> {
        if !self.presets.is_empty() {
            let preset = &self.presets[(reset.task % self.presets.len() as u64) as usize];
            return Table::new(self.setup.clone(), &preset.role_names, preset.quest_leader);
        }
        let mut random = stream(reset.seed, &format!("avalon/{}", reset.task));
        let mut roles = self.setup.roles().to_vec();
        let fixed = self.agent_role.and_then(|role| roles.iter().position(|held| *held == role));
        let start = usize::from(fixed.is_some());
        roles.swap(0, fixed.unwrap_or(0));
        roles[start..].shuffle(&mut random);
        Table::new(self.setup.clone(), &roles, random.random_range(0..roles.len()))
    }
}

#[async_trait]
impl Environment for Avalon {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let setup = &self.shared.setup;
        let seat = |seat| SeatSpec { name: format!("player {seat}"), instructions: String::new() };
        Ok(EnvironmentSpec {
            name: "avalon".into(),
            version: "1".into(),
            seats: (0..setup.players()).map(seat).collect(),
            tasks: (!self.shared.presets.is_empty()).then_some(self.shared.presets.len() as u64),
            instructions: observe::instructions(setup),
            fork: true,
            recovery: Recovery::Replay,
            max_steps: Some(setup.most_steps()),
            overridden: self.shared.overridden.clone(),
        })
    }

    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self::over(self.shared.clone(), None)))
    }

    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let table = self.shared.deal(reset)?;
        let turn = observe::turn(&table);
        *self.table() = Some(table);
        Ok(turn)
    }

    async fn step(&self, action: Action) -> Result<Transition> {
        match self.table().as_mut() {
            Some(table) => Ok(step(table, &action.text)),
            None => Err(not_reset()),
        }
    }

    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(Self::over(self.shared.clone(), self.table().clone()))))
    }

    async fn imagine(&self, imagine: Imagine) -> Result<Option<Arc<dyn Environment>>> {
        let table = self.table().clone().ok_or_else(not_reset)?;
        if imagine.seat >= self.shared.setup.players() {
            return Err(Error::input(format!("there is no seat {} to imagine for", imagine.seat)));
        }
        let deal = hidden_roles(imagine.hidden)?;
        let imagined =
            table.imagine(imagine.seat, deal.as_deref(), &mut stream(imagine.seed, "avalon/imagine"))?;
        Ok(Some(Arc::new(Self::over(self.shared.clone(), Some(imagined)))))
    }
}

fn not_reset() -> Error {
    Error::other("avalon was used before it was reset; call reset first")
}

/// The roles in `{"roles": ["merlin", ...]}`.
fn hidden_roles(hidden: Value) -> Result<Option<Vec<Role>>> {
    #[data]
    #[serde(deny_unknown_fields)]
    struct Hidden {
        #[serde(deserialize_with = "roles_by_name")]
        roles: Vec<Role>,
    }
    if hidden.is_null() {
        return Ok(None);
    }
    let read: Hidden = serde_json::from_value(hidden).map_err(|error| {
        Error::input(format!("hidden state of avalon has the form {{\"roles\": [\"merlin\", ...]}}: {error}"))
    })?;
    Ok(Some(read.roles))
}

fn step(table: &mut Table, action: &str) -> Transition {
    let before = table.outcome();
    let legal = table.answer(action);
    let outcome = table.outcome();
    // Steps after the end change nothing and earn nothing.
    let ends = before.is_none() && outcome.is_some();
    let won = |role: &Role| outcome.is_some_and(|outcome| outcome.winner() == role.side());
    let reward = |role| if ends && won(role) { 1.0 } else { 0.0 };
    Transition {
        turn: observe::turn(table),
        rewards: table.deal().iter().map(reward).collect(),
        terminated: outcome.is_some(),
        truncated: false,
        success: outcome.map(|_| won(&table.deal()[0])),
        illegal: !legal,
        info: match metrics(table, 0) {
            Some(metrics) if ends => json!({
                "metrics": metrics,
                "outcome": outcome,
                "ends": (0..table.deal().len()).map(|seat| observe::observation(table, seat).text).collect::<Vec<_>>(),
                "roles": table.deal().iter().map(|role| role.word()).collect::<Vec<_>>(),
            }),
            _ => Value::Null,
        },
    }
}
