//! Tree of Thoughts (Yao et al., 2023, arXiv 2305.10601), breadth first: plans grow by a step at a time, and the model's own
//! values or votes decide which of them are kept. It searches among thoughts, and needs no copies of the world.
//!
//! ```text
//! S <- { the empty plan }
//! repeat T times:
//!     S' <- for every plan in S, k sampled next steps
//!     V  <- for every plan in S', the mean of several judgements of it; or its share of several votes among all
//!     S  <- the b best plans of S'
//! act on the first step of the best plan
//! ```
//!
//! Calls: at each level k for every plan, and the judgements or votes; one for the action. All calls of a kind are made at
//! once, so the critical path has 2 T + 1.

use forethought_sdk::{answers::Unread, futures::future::join_all, prelude::*, serde_json::json};

use crate::{
    allowance::{affordable, samples as samples_within},
    ask::{AskConfig, Asker, Label::One, Said},
    deliberate::chosen,
    prompts::{Prompts, prompt_files},
    search::{counted, grade},
};

/// Settings of Tree of Thoughts. Defaults are those of the paper's open-ended task, creative writing.
#[config]
#[derive(Debug, Clone)]
pub struct TreeOfThoughtsConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Steps sampled per plan (k).
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub samples: usize,
    /// Plans that are kept at each level (b).
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub breadth: usize,
    /// Steps of a plan (T).
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub depth: usize,
    /// How plans are evaluated.
    #[serde(default)]
    pub evaluate: Evaluate,
    /// Votes among the plans of a level, or judgements of each plan.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub evaluations: usize,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: TreeOfThoughtsPrompts,
}

/// How plans are evaluated.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evaluate {
    /// All plans of a level are compared, and the model votes for one.
    #[default]
    Vote,
    /// Each plan is judged by itself, from 1 to 10.
    Value,
}

prompt_files! {
    /// Files that replace the prompt templates of Tree of Thoughts.
    TreeOfThoughtsPrompts: agent, history, step, value, elect, action
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

fn five() -> usize {
    5
}

/// The Tree-of-Thoughts planner.
pub struct TreeOfThoughts {
    config: TreeOfThoughtsConfig,
    prompts: Prompts,
}

impl TreeOfThoughts {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A count of 0, or a template that cannot be used.
    pub fn new(config: TreeOfThoughtsConfig) -> Result<Self> {
        let TreeOfThoughtsConfig { samples, breadth, depth, evaluations, .. } = config;
        counted(&[
            ("samples", samples),
            ("breadth", breadth),
            ("depth", depth),
            ("evaluations", evaluations),
        ])?;
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, config })
    }
}

/// Steps, the first of which is to be done now.
type Plan = Vec<String>;

/// A decision that is being made.
struct Now<'d> {
    planner: &'d TreeOfThoughts,
    context: &'d DecisionContext,
    models: &'d Arc<dyn Models>,
    llm: Arc<dyn LlmBackend>,
    unread: Unread,
}

impl Now<'_> {
    fn asker(&self, draw: &str) -> Asker {
        self.planner.config.ask.asker(self.llm.clone(), seed::derive(self.context.seed, draw))
    }

    /// The plans with one more step, each once. A step that cannot be read is left out.
    async fn generate(&mut self, level: usize, plans: &[Plan]) -> Result<Vec<Plan>> {
        let TreeOfThoughtsConfig { samples, evaluate, evaluations, .. } = self.planner.config;
        let step = |(parent, sample): (usize, usize)| {
            let mut asker = self.asker(&format!("step {level} {parent} {sample}"));
            let given = json!({ "plan": plans[parent] });
            let messages = self.planner.prompts.messages("step", self.context, given);
            async move {
                let read = |said: &Said<'_>| said.text("Thought");
                let step = asker.ask_for(&[One("Thought")], Purpose::Thought, messages?, read).await?;
                Ok::<_, Error>((parent, step.ok(), asker.unread))
            }
        };
        let all: Vec<_> =
            (0..plans.len()).flat_map(|parent| (0..samples).map(move |sample| (parent, sample))).collect();
        // Where a budget allows few samples, there are few. The rest is for the votes, and for the action.
        let (each, once) = match evaluate {
            Evaluate::Vote => (0, evaluations as u64 + 1),
            Evaluate::Value => (evaluations as u64, 1),
        };
        let mut grown: Vec<Plan> = Vec::new();
        let sampled = samples_within(self.models, all.len(), (each, once), |index| step(all[index])).await?;
        for (_, (parent, step, unread)) in sampled {
            self.unread.append(unread);
            let Some(step) = step else { continue };
            let plan = plans[parent].iter().cloned().chain([step]).collect();
            if !grown.contains(&plan) {
                grown.push(plan);
            }
        }
        Ok(grown)
    }

    /// The value of each plan: its share of the votes, or its mean judgement. Nothing is asked about a single plan.
    async fn evaluate(&mut self, level: usize, plans: &[Plan]) -> Result<Vec<f64>> {
        let TreeOfThoughtsConfig { evaluate, evaluations, .. } = self.planner.config;
        let mut sums = vec![(0.0, 0); plans.len()];
        let whole: Vec<usize> = (0..plans.len()).collect();
        // What one request is about: all plans, or one of them.
        let asked: Vec<(&[usize], usize)> = match evaluate {
            _ if plans.len() == 1 => return Ok(vec![1.0]),
            Evaluate::Vote => (0..evaluations).map(|vote| (&whole[..], vote)).collect(),
            Evaluate::Value => {
                let each = whole.chunks(1);
                each.flat_map(|one| (0..evaluations).map(move |sample| (one, sample))).collect()
            }
        };
        let ask = |(about, sample): &(&[usize], usize)| {
            let first = about.first().copied().unwrap_or_default();
            let mut asker = self.asker(&format!("evaluate {level} {first} {sample}"));
            let (name, given) = match evaluate {
                Evaluate::Vote => ("elect", json!({ "proposals": plans })),
                Evaluate::Value => ("value", json!({ "plan": plans[first] })),
            };
            let messages = self.planner.prompts.messages(name, self.context, given);
            async move {
                let said = match evaluate {
                    Evaluate::Vote => {
                        let read = |said: &Said<'_>| chosen(&said.text("Vote")?, plans.len());
                        let said = asker.ask_for(&[One("Vote")], Purpose::Judge, messages?, read).await?;
                        said.ok().map(|voted| (voted, 1.0))
                    }
                    Evaluate::Value => {
                        let read = |said: &Said<'_>| grade(&said.text("Grade")?);
                        let said = asker.ask_for(&[One("Grade")], Purpose::Judge, messages?, read).await?;
                        said.ok().map(|grade| (first, grade))
                    }
                };
                Ok::<_, Error>((said, asker.unread))
            }
        };
        for said in join_all(asked.iter().map(ask)).await {
            let (said, unread) = said?;
            self.unread.append(unread);
            if let Some((plan, value)) = said {
                sums[plan].0 += value;
                sums[plan].1 += 1;
            }
        }
        let votes = sums.iter().map(|(_, count)| *count).sum::<usize>().max(1);
        let share = |(sum, count): &(f64, usize)| match evaluate {
            Evaluate::Vote => sum / votes as f64,
            Evaluate::Value => sum / (*count).max(1) as f64,
        };
        Ok(sums.iter().map(share).collect())
    }
}

#[async_trait]
impl Planner for TreeOfThoughts {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.ask.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut now =
            Now { planner: self, context: &context, models: &models, llm, unread: Unread::default() };
        let mut plans: Vec<Plan> = vec![Vec::new()];
        let mut levels = Vec::new();
        for level in 0..self.config.depth {
            // A step of each plan, its evaluation, and the action.
            let calls = (plans.len() + self.config.evaluations + 1) as u64;
            if level > 0 && !affordable(&models, calls).await? {
                break;
            }
            let grown = now.generate(level, &plans).await?;
            if grown.is_empty() {
                break;
            }
            let values = now.evaluate(level, &grown).await?;
            let mut order: Vec<usize> = (0..grown.len()).collect();
            order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
            order.truncate(self.config.breadth);
            let shown = |plan: &usize| json!({ "plan": grown[*plan], "value": values[*plan] });
            levels.push(json!({ "plans": grown.len(), "kept": order.iter().map(shown).collect::<Vec<_>>() }));
            plans = order.into_iter().map(|plan| grown[plan].clone()).collect();
        }
        let thought = plans.first().and_then(|plan| plan.first()).cloned().unwrap_or_default();
        let messages = self.prompts.messages("action", &context, json!({ "thought": thought }))?;
        let mut asker = now.asker("act");
        let (_, action) = asker.ask_for_action(&[One("Action")], messages, &context).await?;
        let mut unread = now.unread;
        unread.append(asker.unread);
        let trace = Trace { details: json!({ "levels": levels }), ..unread.trace() };
        Ok(Decision { thought, action, trace, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner, kind: "tree-of-thoughts",
    summary: "plans grow step by step, and the model's votes or values decide which are kept (Tree of Thoughts)",
    config: TreeOfThoughtsConfig,
    new: |config, _host| async move { Ok(Arc::new(TreeOfThoughts::new(config)?) as _) },
}
