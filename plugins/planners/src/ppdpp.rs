//! PPDPP (Deng et al., 2024): a small policy network chooses the dialogue act, the language model carries it out.
//!
//! The policy is a critic under `[critic]` (kind `acts`, trained with `input = "state"`). Given the dialogue so far and
//! the name of an act, it estimates how likely a person would choose that act next. It is trained on data alone: the
//! paper's second stage, reinforcement learning against a simulated user, is not implemented.

use forethought_sdk::{answers::Unread, prelude::*, serde_json::json};

use crate::{
    gdp_zero::{
        dialogue::{Dialogue, name},
        talk::Talk,
    },
    prompts::{Prompts, prompt_files},
};

/// Settings of PPDPP.
#[config]
#[derive(Debug, Clone)]
pub struct PpdppConfig {
    /// Name of the language model under `[llm]`.
    #[schemars(with = "LlmName")]
    pub llm: String,
    /// Name of the policy under `[critic]`.
    #[schemars(with = "CriticName")]
    pub critic: String,
    /// Whether the act is drawn by its probability; otherwise the most likely one is taken.
    #[serde(default)]
    pub sample: bool,
    /// Temperature of utterances.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: PpdppPrompts,
}

prompt_files! {
    /// Files that replace PPDPP's prompt templates.
    PpdppPrompts: agent, dialogue, utter
}

/// The PPDPP planner.
pub struct Ppdpp {
    config: PpdppConfig,
    prompts: Prompts,
}

impl Ppdpp {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A template that cannot be used.
    pub fn new(config: PpdppConfig) -> Result<Self> {
        Ok(Self { prompts: Prompts::new(&config.prompts, 0)?, config })
    }
}

#[async_trait]
impl Planner for Ppdpp {
    async fn requires(&self) -> Result<Requirements> {
        let Self { config: PpdppConfig { llm, critic, .. }, .. } = self;
        Ok(Requirements { llms: vec![llm.clone()], critics: vec![critic.clone()], ..Requirements::default() })
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let dialogue = Dialogue::of(&context, "ppdpp")?;
        let allowed = dialogue.allowed(dialogue.turns.len());
        let policy = models.critic(self.config.critic.clone()).await?;
        let line =
            |seat, text: &str| format!("{}: {}", name(&context.environment, seat), text.replace('\n', " "));
        let lines: Vec<_> = dialogue.turns.iter().map(|said| line(said.seat, &said.text)).collect();
        let state = lines.join("\n");
        let query = |act: &usize| CriticQuery {
            state: state.clone(),
            outcome: dialogue.acts[*act].name.clone(),
            ..CriticQuery::default()
        };
        let estimates = policy.estimate(allowed.iter().map(query).collect()).await?;
        let likely: Vec<f64> = estimates.iter().map(|estimate| estimate.probability.max(0.0)).collect();
        let sum: f64 = likely.iter().sum();
        if likely.len() != allowed.len() || sum.is_nan() || sum <= 0.0 {
            return Err(Error::config(format!(
                "the policy {:?} gives no probability to any of the dialogue's acts; train it on acts with these names \
                 and input = \"state\"",
                self.config.critic
            )));
        }
        let mut rng = seed::stream(context.seed, "ppdpp");
        let drawn = seed::weighted(likely.iter().copied(), &mut rng);
        // The first of the likeliest, and where rounding carries the draw past the last act.
        let best = (0..likely.len()).rev().max_by(|&a, &b| likely[a].total_cmp(&likely[b])).unwrap_or(0);
        let chosen = if self.config.sample { drawn.unwrap_or(best) } else { best };

        let act = &dialogue.acts[allowed[chosen]];
        let llm = models.llm(self.config.llm.clone()).await?;
        let prompts = &self.prompts;
        let mut talk = Talk {
            context: &context,
            dialogue: &dialogue,
            prompts,
            llm: llm.clone(),
            partner: llm,
            rng,
            requests: 0,
            unread: Unread::default(),
        };
        let said = talk.utter(&dialogue.turns, act, self.config.temperature).await?;
        let policy = |(act, probability): (&usize, &f64)| json!({ "act": dialogue.acts[*act].name, "probability": probability });
        let details = json!({ "acts": allowed.iter().zip(&likely).map(policy).collect::<Vec<_>>() });
        Ok(Decision {
            thought: format!("[{}] {}", act.name, act.instruction),
            action: Action::new(said),
            trace: Trace { details, ..talk.unread.trace() },
            ..Decision::default()
        })
    }
}

register! {
    interface: dyn Planner, kind: "ppdpp", summary: "a small trained policy chooses the dialogue act (PPDPP)",
    config: PpdppConfig,
    new: |config, _host| async move { Ok(Arc::new(Ppdpp::new(config)?) as _) },
}
