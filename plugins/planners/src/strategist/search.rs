//! Tree search over imagined worlds: one tree for all of them, walked by PUCT; each seat maximises its own reward.

use std::collections::BTreeMap;

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, IndexedRandom},
    serde_json::{Value, json},
};

use super::{beliefs::Beliefs, config::StrategistConfig};
use crate::{ask::Asker, prompts::Prompts, summarise::summarise};

/// How a leaf is valued.
pub(super) enum Leaf<'a> {
    /// The game is played to its end.
    PlayOn,
    /// The critic's probability of the goal, at the seat's next turn.
    Critic { critic: Arc<dyn Critic>, goal: &'a str, prompts: &'a Prompts },
}

/// An imagined game stops after this many moves, with the rewards so far: a world that does not end is broken.
const MAX_MOVES: u32 = 1000;
/// After this many draws that the world rules out, the world draws the roles itself.
const MAX_DRAWS: u32 = 20;

/// One decision's search.
pub(super) struct Search<'a> {
    context: &'a DecisionContext,
    models: &'a Arc<dyn Models>,
    config: &'a StrategistConfig,
    beliefs: Option<&'a Beliefs>,
    others: Option<&'a Arc<dyn Planner>>,
    leaf: Leaf<'a>,
    rng: ChaCha8Rng,
    root: Node,
    /// This seat's first listed move in each imagined game, and its result.
    first: BTreeMap<String, Tried>,
}

/// What a search found.
pub(super) struct Found {
    /// The move to make: the most tried.
    pub(super) best: String,
    /// The seat's next listed moves, with visits and mean reward.
    pub(super) moves: Vec<Tried>,
    simulations: u32,
}

/// A move that was tried.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(crate = "forethought_sdk::serde")]
pub(super) struct Tried {
    /// The move.
    pub(super) action: String,
    /// Imagined games that begin with it.
    pub(super) visits: u32,
    /// Mean reward of the seat in these games.
    pub(super) value: f64,
}

#[derive(Default)]
struct Node {
    visits: u32,
    children: Vec<Child>,
}

struct Child {
    action: String,
    visits: u32,
    /// Sum of the rewards of the seat that made the move.
    total: f64,
    node: Node,
}

/// An imagined game in progress.
struct Game {
    world: Arc<dyn Environment>,
    turn: Turn,
    returns: Vec<f64>,
    /// Roles in seat order; empty if no roles are hidden.
    roles: Vec<String>,
    over: bool,
    moves: u32,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        context: &'a DecisionContext,
        models: &'a Arc<dyn Models>,
        config: &'a StrategistConfig,
        beliefs: Option<&'a Beliefs>,
        others: Option<&'a Arc<dyn Planner>>,
        leaf: Leaf<'a>,
    ) -> Self {
        let rng = seed::stream(context.seed, "search");
        let (root, first) = Default::default();
        Self { context, models, config, beliefs, others, leaf, rng, root, first }
    }

    pub(super) async fn run(&mut self, asker: &mut Asker) -> Result<Found> {
        for simulation in 0..self.config.simulations {
            let game = self.imagine(simulation).await?;
            self.simulate(game, asker).await?;
        }
        let best = self.root.children.iter().max_by(|a, b| {
            let value = |child: &Child| child.total / f64::from(child.visits.max(1));
            a.visits.cmp(&b.visits).then(value(a).total_cmp(&value(b)))
        });
        let best = best.map(|child| child.action.clone()).unwrap_or_default();
        let mut moves: Vec<Tried> = std::mem::take(&mut self.first).into_values().collect();
        moves.sort_by(|a, b| b.visits.cmp(&a.visits).then(b.value.total_cmp(&a.value)));
        Ok(Found { best, moves, simulations: self.config.simulations })
    }

    /// A world drawn from the beliefs of this seat.
    async fn imagine(&mut self, simulation: u32) -> Result<Game> {
        for draw in 0..=MAX_DRAWS {
            let roles = match self.beliefs.filter(|_| draw < MAX_DRAWS) {
                Some(beliefs) => beliefs.draw(&mut self.rng)?,
                None => Vec::new(),
            };
            let hidden = if roles.is_empty() { Value::Null } else { json!({ "roles": roles }) };
            let seed = seed::derive(self.context.seed, &format!("world {simulation}/{draw}"));
            match self.models.imagine(hidden.clone(), seed).await {
                Ok(Some(world)) => {
                    let returns = vec![0.0; self.context.environment.seats.len()];
                    let turn = self.context.turn.clone();
                    return Ok(Game { world, turn, returns, roles, over: false, moves: 0 });
                }
                // What has happened so far rules this seating out.
                Err(error) if !hidden.is_null() && error.code == Code::Input => {}
                Err(error) => return Err(error),
                Ok(None) => break,
            }
        }
        Err(Error::config(format!(
            "`{}` cannot be imagined from one seat; planner.strategist needs an environment that implements `imagine`",
            self.context.environment.name
        )))
    }

    /// Goes down the tree to a move that is new there, values it, and passes the rewards back up.
    async fn simulate(&mut self, mut game: Game, asker: &mut Asker) -> Result<()> {
        let mut path: Vec<(usize, usize)> = Vec::new();
        let mut first: Option<String> = None;
        let mut root = std::mem::take(&mut self.root);
        let mut node = &mut root;
        let mut fresh = false;
        while !game.over && !fresh {
            let seat = game.turn.seat;
            if seat != self.context.seat
                && let Some(planner) = self.others
            {
                // Their moves belong to the world, not to the tree.
                let action = self.played_by(planner, &game.turn).await?;
                game.step(action).await?;
                continue;
            }
            let legal = self.legal(&game.turn);
            let chosen = node.choose(&legal, self.config.exploration);
            fresh = node.children[chosen].visits == 0;
            let action = node.children[chosen].action.clone();
            if seat == self.context.seat && !game.turn.legal_actions.is_empty() && first.is_none() {
                first = Some(action.clone());
            }
            path.push((seat, chosen));
            node = &mut node.children[chosen].node;
            game.step(action).await?;
        }
        if !game.over {
            self.value(&mut game, &mut first, asker).await?;
        }

        let mut node = &mut root;
        for (seat, chosen) in path {
            node.visits += 1;
            let child = &mut node.children[chosen];
            child.visits += 1;
            child.total += game.returns[seat];
            node = &mut child.node;
        }
        self.root = root;
        if let Some(action) = first {
            let tried =
                self.first.entry(action.clone()).or_insert_with(|| Tried { action, ..Tried::default() });
            tried.visits += 1;
            tried.value += (game.returns[self.context.seat] - tried.value) / f64::from(tried.visits);
        }
        Ok(())
    }

    /// Adds what each seat gets from here on, by playing to the end or by the critic's estimate.
    async fn value(&mut self, game: &mut Game, first: &mut Option<String>, asker: &mut Asker) -> Result<()> {
        let own = self.context.seat;
        while !game.over && (matches!(self.leaf, Leaf::PlayOn) || game.turn.seat != own) {
            let action = match self.others {
                Some(planner) => self.played_by(planner, &game.turn).await?,
                None => self.legal(&game.turn).choose(&mut self.rng).cloned().unwrap_or_default(),
            };
            if game.turn.seat == own && !game.turn.legal_actions.is_empty() && first.is_none() {
                *first = Some(action.clone());
            }
            game.step(action).await?;
        }
        let (false, Leaf::Critic { critic, goal, prompts }) = (game.over, &self.leaf) else { return Ok(()) };
        let context = DecisionContext { turn: game.turn.clone(), ..self.context.clone() };
        let state = summarise(prompts, asker, &context).await?.state;
        let thought = first.clone().unwrap_or_default();
        let query = CriticQuery { state, thought, outcome: (*goal).to_owned() };
        let likely = match critic.estimate(vec![query]).await {
            Ok(estimates) => estimates.first().map_or(0.5, |estimate| estimate.probability),
            // A critic that asks a model whose answer could not be read.
            Err(error) if error.code == Code::Malformed => {
                asker.unread.without(format!("the critic gave no value of an imagined state ({error})"));
                0.5
            }
            Err(error) => return Err(error),
        };
        let friend = |seat: usize| match (self.beliefs, game.roles.get(seat)) {
            (Some(beliefs), Some(role)) => beliefs.friend(role),
            _ => seat == own,
        };
        for seat in 0..game.returns.len() {
            game.returns[seat] += if friend(seat) { likely } else { 1.0 - likely };
        }
        Ok(())
    }

    fn legal(&self, turn: &Turn) -> Vec<String> {
        match turn.legal_actions.is_empty() {
            true => vec![self.config.filler.clone()],
            false => turn.legal_actions.clone(),
        }
    }

    async fn played_by(&self, planner: &Arc<dyn Planner>, turn: &Turn) -> Result<String> {
        let seed = seed::derive(self.context.seed, &turn.observation.text);
        let context = DecisionContext {
            environment: self.context.environment.clone(),
            seat: turn.seat,
            step: self.context.step,
            turn: turn.clone(),
            seed,
            ..DecisionContext::default()
        };
        Ok(planner.decide(context, self.models.clone()).await?.action.text)
    }
}

impl Node {
    /// The child to try next among the legal moves: `Q + c * P * sqrt(N) / (1 + n)`, P uniform, Q one half at first.
    fn choose(&mut self, legal: &[String], exploration: f64) -> usize {
        for action in legal {
            // One tree serves many worlds: a move that is legal in this one may be new here.
            if !self.children.iter().any(|child| child.action == *action) {
                self.children.push(Child {
                    action: action.clone(),
                    visits: 0,
                    total: 0.0,
                    node: Node::default(),
                });
            }
        }
        let prior = 1.0 / legal.len() as f64;
        let score = |child: &Child| {
            let mean = if child.visits == 0 { 0.5 } else { child.total / f64::from(child.visits) };
            mean + exploration * prior * f64::from(self.visits.max(1)).sqrt() / f64::from(1 + child.visits)
        };
        let allowed = self.children.iter().enumerate().filter(|(_, child)| legal.contains(&child.action));
        // The first of equals, in the order of legal moves, so that a search is repeatable.
        let best = allowed.rev().max_by(|(_, a), (_, b)| score(a).total_cmp(&score(b)));
        best.map_or(0, |(index, _)| index)
    }
}

impl Game {
    async fn step(&mut self, action: String) -> Result<()> {
        let transition = self.world.step(Action::new(action)).await?;
        for (sum, reward) in self.returns.iter_mut().zip(&transition.rewards) {
            *sum += reward;
        }
        self.turn = transition.turn;
        self.moves += 1;
        self.over = transition.terminated || transition.truncated || self.moves >= MAX_MOVES;
        Ok(())
    }
}

impl Found {
    /// The plan as a thought; on a turn to talk, about the next listed move.
    pub(super) fn in_words(&self, speaks: bool) -> String {
        let best = match speaks {
            true => self.moves.first(),
            false => self.moves.iter().find(|tried| tried.action == self.best),
        };
        let n = self.simulations;
        match best {
            Some(Tried { action, visits, value }) => format!(
                "Next: {action}. Of {n} imagined games it was tried in {visits}, with a mean reward of {value:.2}."
            ),
            None => format!("None of {n} imagined games shows a better move."),
        }
    }
}
