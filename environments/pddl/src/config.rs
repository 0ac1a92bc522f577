//! What a user writes under `[environment]`.

use std::collections::BTreeMap;

use forethought_sdk::prelude::*;
use forethought_strips::generate::Known;

/// Settings of a world in PDDL. Its tasks come from files (`domain` and `problems`) or from a generator (`generate`).
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct PddlConfig {
    /// A domain file: STRIPS with types, constants, equality and negative preconditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<ConfigPath>,
    /// Problem files of that domain, or folders of files that end in .pddl; each is a task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ConfigPath>,
    /// Generated problems, in place of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// What facts are called in words: a template for a predicate, such as `on = "{x} is on {y}"`. Terms are written by
    /// their parameters' names or by their numbers, `{0}`. A predicate without one is said in a plain form.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, String>,
    /// What an episode is: solving the problem by acting, or translating it into PDDL in a single action, which is
    /// scored by whether it is the same problem.
    pub task: TaskForm,
    /// How the instructions say what actions need and do.
    pub rules: RulesForm,
    /// How observations say what is so and what the goal is: in words, or as a problem in PDDL that begins now.
    pub state: StateForm,
    /// How actions are taken: written as a name and objects, or as calls of a tool for each action.
    pub actions: ActionForm,
    /// What is rewarded: the goal, or at the end of an episode the share of its parts that are so.
    pub reward: RewardForm,
    /// Actions after which an episode is cut off; 0 for no limit.
    pub max_steps: u32,
    /// The most states that a search may look at for the length of a shortest plan, which then is a metric of a solved
    /// episode; 0 for no search.
    #[schemars(range(max = 10_000_000))]
    pub optimum: u32,
}

impl Default for PddlConfig {
    fn default() -> Self {
        Self {
            domain: None,
            problems: Vec::new(),
            generate: None,
            words: BTreeMap::new(),
            task: TaskForm::Solve,
            rules: RulesForm::Words,
            state: StateForm::Words,
            actions: ActionForm::Text,
            reward: RewardForm::Goal,
            max_steps: 50,
            optimum: 0,
        }
    }
}

/// Generated problems. Each has a solution, and is not solved at the beginning.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct Generate {
    /// The domain.
    pub domain: Known,
    /// The number of blocks, packages, balls or boxes. Of several sizes each task has the next one.
    pub sizes: Vec<u32>,
    /// The number of tasks.
    #[schemars(range(min = 1))]
    pub tasks: u64,
    /// Seed of all tasks.
    pub seed: u64,
}

impl Default for Generate {
    fn default() -> Self {
        Self { domain: Known::Blocksworld, sizes: vec![4], tasks: 1000, seed: 0 }
    }
}

/// What an episode is.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskForm {
    /// Reach the goal.
    Solve,
    /// Write the problem in PDDL.
    Translate,
}

/// How rules are said.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RulesForm {
    /// In words.
    Words,
    /// As the domain in PDDL.
    Pddl,
    /// In words, and then as the domain in PDDL.
    Both,
}

/// How a state is said.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StateForm {
    /// In words.
    Words,
    /// As a problem in PDDL.
    Pddl,
}

/// How actions are taken.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionForm {
    /// As a name and objects: `stack b1 b2`.
    Text,
    /// As calls of tools: `stack({"x": "b1", "y": "b2"})`.
    Tools,
}

/// What is rewarded.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardForm {
    /// 1 for the goal.
    Goal,
    /// The share of the parts of the goal that are so at the end.
    Share,
}
