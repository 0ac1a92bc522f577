//! DOTS, reasoning along a trajectory that is chosen for each question (Yue et al., 2024, arXiv 2410.03864): the model
//! first chooses reasoning modules, at most one of each layer, and then solves the problem along them.
//!
//! ```text
//! trajectory      <- LLM: one module each of analysis, solution and verification, or none
//! thought, action <- LLM: reason along the trajectory, then act
//! ```
//!
//! The paper trains the model that chooses on trajectories that led to right answers; here it is asked. The paper's
//! module that writes a program is not among the defaults, because nothing here runs one.

use forethought_sdk::{
    answers::Complaint,
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    allowance::affordable,
    ask::{AskConfig, Label, Said},
    prompts::{Prompts, prompt_files},
};

/// Settings of DOTS.
#[config]
#[derive(Debug, Clone)]
pub struct DotsConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Name of the language model under `[llm]` that chooses the modules (the paper's external planner); by default the
    /// one that acts.
    #[serde(default)]
    #[schemars(with = "Option<LlmName>")]
    pub chooser: Option<String>,
    /// The modules to choose from: at least one that solves.
    #[serde(default = "of_the_paper")]
    #[schemars(length(min = 1))]
    pub modules: Vec<Module>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: DotsPrompts,
}

/// A way of reasoning.
#[config]
#[derive(Debug, Clone, Serialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// When it comes.
    pub layer: Layer,
    /// What the model is told to do.
    pub instruction: String,
}

/// When a module comes.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Before solving.
    Analysis,
    /// Solving.
    Solution,
    /// After solving.
    Verification,
}

prompt_files! {
    /// Files that replace DOTS's prompt templates.
    DotsPrompts: agent, history, modules, solve
}

const LAYERS: [(Layer, &str); 3] =
    [(Layer::Analysis, "Analysis"), (Layer::Solution, "Solution"), (Layer::Verification, "Verification")];

fn of_the_paper() -> Vec<Module> {
    let module = |name: &str, layer, instruction: &str| Module {
        name: name.into(),
        layer,
        instruction: instruction.into(),
    };
    vec![
        module("rewriting", Layer::Analysis, "say the task and the situation again in clearer words"),
        module("decomposition", Layer::Analysis, "break the task into parts, and say which one comes next"),
        module("step by step", Layer::Solution, "think step by step towards the next action"),
        module("directly", Layer::Solution, "take the action that is plainly the right one"),
        module(
            "self-verification",
            Layer::Verification,
            "check the action against the task, and change it if it fails",
        ),
    ]
}

/// The DOTS planner: two calls per decision.
pub struct Dots {
    config: DotsConfig,
    prompts: Prompts,
}

impl Dots {
    /// A planner with these settings.
    ///
    /// # Errors
    /// No module that solves, or a template that cannot be used.
    pub fn new(config: DotsConfig) -> Result<Self> {
        if !config.modules.iter().any(|module| module.layer == Layer::Solution) {
            return Err(Error::config("modules: none has layer = \"solution\"; at least one must solve"));
        }
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, config })
    }

    fn of(&self, layer: Layer) -> Vec<&Module> {
        self.config.modules.iter().filter(|module| module.layer == layer).collect()
    }

    fn chooser(&self) -> &String {
        self.config.chooser.as_ref().unwrap_or(&self.config.ask.llm)
    }

    /// The modules that an answer names, in the order of the layers.
    fn trajectory(&self, said: &Said<'_>) -> Result<Vec<&Module>, Complaint> {
        let mut trajectory = Vec::new();
        for (layer, label) in LAYERS {
            let modules = self.of(layer);
            if modules.is_empty() {
                continue;
            }
            let text = said.text(label)?;
            let number = text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
            let number = number.and_then(|digits| digits.parse::<usize>().ok()).filter(|number| *number > 0);
            match number.map(|number| modules.get(number - 1)) {
                Some(Some(module)) => trajectory.push(*module),
                Some(None) => {
                    let most = modules.len();
                    let why = format!("{label}: {text} is not the number of a module, from 1 to {most}");
                    return Err(Complaint::unreadable(why));
                }
                None if layer == Layer::Solution => {
                    return Err(Complaint::unreadable("there is no number of a module that solves"));
                }
                None => {}
            }
        }
        Ok(trajectory)
    }
}

#[async_trait]
impl Planner for Dots {
    async fn requires(&self) -> Result<Requirements> {
        let chooser = Requirements { llms: vec![self.chooser().clone()], ..Requirements::default() };
        Ok(self.config.ask.requires().and(chooser))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let layers = LAYERS.iter().map(|(layer, _)| (layer, self.of(*layer)));
        let layers = layers.filter(|(_, modules)| !modules.is_empty());
        let layers: Value =
            layers.map(|(layer, modules)| json!({ "name": layer, "modules": modules })).collect();
        let chooser = models.llm(self.chooser().clone()).await?;
        let mut chooser = self.config.ask.asker(chooser, seed::derive(context.seed, "dots modules"));
        let messages = self.prompts.messages("modules", &context, json!({ "layers": layers }))?;
        let labels = LAYERS.iter().filter(|(layer, _)| !self.of(*layer).is_empty());
        let labels: Vec<_> = labels.map(|(_, label)| Label::One(label)).collect();
        let read = |said: &Said<'_>| self.trajectory(said);
        let chosen = match affordable(&models, 2).await? {
            true => chooser.ask_for(&labels, Purpose::Judge, messages, read).await?.ok(),
            false => None,
        };
        // Without a readable choice, or a budget for it, the first module that solves.
        let chosen = chosen.unwrap_or_else(|| self.of(Layer::Solution).into_iter().take(1).collect());

        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut solver = self.config.ask.asker(llm, seed::derive(context.seed, "dots"));
        let messages = self.prompts.messages("solve", &context, json!({ "modules": chosen }))?;
        let labels = [Label::One("Thought"), Label::One("Action")];
        let (thought, action) = solver.ask_for_action(&labels, messages, &context).await?;
        let mut unread = chooser.unread;
        unread.append(solver.unread);
        let names: Vec<_> = chosen.iter().map(|module| &module.name).collect();
        let trace = Trace { details: json!({ "modules": names }), ..unread.trace() };
        Ok(Decision { thought, action, trace, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner, kind: "dots", summary: "chooses reasoning modules before it decides (DOTS)",
    config: DotsConfig,
    new: |config, _host| async move { Ok(Arc::new(Dots::new(config)?) as _) },
}
