//! A simulated LLM: a backend that works on a fresh machine without a network.
//!
//! It is honest by construction: [`Simulated`] receives a [`ChatRequest`] and reads only the text of its messages. What
//! it knows of a task is a [`ScriptedBehaviour`] that the environment's crate registers, which is also given only text.
//! It behaves like a mediocre LLM: thoughts are drawn from a prior over strategies, some answers are malformed, its own
//! probabilities are overconfident, and when it refines a thought it draws again **from the same prior**. So all gains
//! of refinement come from the evaluation, which decides when to draw again and which draw to keep.
//!
//! May depend on `forethought-sdk` alone.
//!
//! # Reading order
//! [`request`] (what is asked for, read from the text), [`refine`] (how an evaluation is followed), then this file.

pub mod refine;
pub mod request;

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, RngExt},
};
use request::{Ask, Form};

/// Settings of the simulated LLM.
#[config]
#[derive(Debug, Clone)]
#[serde(default)]
pub struct SimulatedConfig {
    /// Seed of every draw, together with the request's text and seed.
    pub seed: u64,
    /// Share of answers that ignore the requested form, as those of LLMs sometimes do.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub malformed: f64,
    /// Share of actions that carry out another strategy than the thought.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub slips: f64,
}

impl Default for SimulatedConfig {
    fn default() -> Self {
        Self { seed: 0, malformed: 0.02, slips: 0.03 }
    }
}

/// The simulated LLM.
pub struct Simulated {
    config: SimulatedConfig,
    behaviours: Vec<(String, Arc<dyn ScriptedBehaviour>)>,
}

impl Simulated {
    /// A simulated LLM with these behaviours.
    pub fn new(
        config: SimulatedConfig,
        behaviours: Vec<(String, Arc<dyn ScriptedBehaviour>)>,
    ) -> Result<Self> {
        for (key, share) in [("malformed", config.malformed), ("slips", config.slips)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::config(format!("{key} = {share}: must be within [0, 1]")));
            }
        }
        Ok(Self { config, behaviours })
    }

    async fn behaviour(&self, text: &str) -> Result<&Arc<dyn ScriptedBehaviour>> {
        for (_, behaviour) in &self.behaviours {
            if behaviour.recognises(text.to_owned()).await? {
                return Ok(behaviour);
            }
        }
        let known: Vec<_> = self.behaviours.iter().map(|(name, _)| name.as_str()).collect();
        Err(Error::config(format!(
            "the simulated LLM does not recognise the task in this request; it knows {known:?}. Register a behaviour for \
             the environment, or configure a real backend"
        )))
    }

    /// One answer to the text, drawn with `seed`.
    async fn answer(&self, text: &str, seed: u64) -> Result<String> {
        let ask = Ask::read(text)?;
        let mut rng = seed::stream(seed, "answer");
        let behaviour = self.behaviour(text); // Awaited where one is needed.
        let prompt =
            BehaviourPrompt { text: text.to_owned(), thought: ask.thought.clone(), count: ask.count, seed };
        let answer = match ask.form {
            Form::Thought => format!("Thought: {}", behaviour.await?.thought(prompt).await?),
            Form::ThoughtAndAction => {
                let behaviour = behaviour.await?;
                let thought = behaviour.thought(prompt.clone()).await?;
                let action = self
                    .act(behaviour, BehaviourPrompt { thought: thought.clone(), ..prompt }, &mut rng)
                    .await?;
                format!("Thought: {thought}\nAction: {action}")
            }
            Form::Action => format!("Action: {}", self.act(behaviour.await?, prompt, &mut rng).await?),
            Form::Outcomes => {
                let outcomes = behaviour.await?.outcomes(prompt).await?;
                let good = outcomes.len() / 2;
                let line = |(index, text): (usize, &String)| {
                    format!("{}: {text}", if index < good { "Good" } else { "Bad" })
                };
                outcomes.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
            }
            Form::Refine => match refine::verdict(&ask.evaluations) {
                refine::Verdict::Keep => format!("Decision: keep\nThought: {}", ask.thought),
                refine::Verdict::Return(earlier) => format!("Decision: revise\nThought: {earlier}"),
                // From the prior of the first thought, for any evaluation.
                refine::Verdict::DrawAgain => {
                    format!("Decision: revise\nThought: {}", behaviour.await?.thought(prompt).await?)
                }
            },
            Form::Summary => {
                let (state, outcome) = behaviour.await?.summary(prompt).await?;
                format!("State: {state}\nOutcome: {outcome}")
            }
            Form::Probabilities => probabilities(&ask, &mut rng),
        };
        // Drawn last, from the same stream in any case: malformed answers never shift other draws.
        Ok(if rng.random::<f64>() < self.config.malformed { malformed(&answer) } else { answer })
    }

    async fn act(
        &self,
        behaviour: &Arc<dyn ScriptedBehaviour>,
        mut prompt: BehaviourPrompt,
        rng: &mut ChaCha8Rng,
    ) -> Result<String> {
        if rng.random::<f64>() < self.config.slips {
            prompt.thought =
                behaviour.thought(BehaviourPrompt { seed: rng.random(), ..prompt.clone() }).await?;
        }
        behaviour.action(prompt).await
    }
}

/// Its own probabilities: always confident, and the same for good and bad thoughts.
fn probabilities(ask: &Ask, rng: &mut ChaCha8Rng) -> String {
    let lines = ask.asked_outcomes.iter().enumerate().map(|(index, good)| {
        let centre = if *good { 0.7 } else { 0.3 };
        let probability = (centre + rng.random_range(-0.25..0.25_f64)).clamp(0.0, 1.0);
        format!("{}: {probability:.2}", index + 1)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The same answer without the requested labels.
fn malformed(answer: &str) -> String {
    let lines = answer.lines().map(|line| line.split_once(": ").map_or(line, |(_, text)| text));
    format!("Sure! {}", lines.collect::<Vec<_>>().join(" "))
}

#[async_trait]
impl LlmBackend for Simulated {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        let model = format!("simulated-{}", env!("CARGO_PKG_VERSION"));
        Ok(LlmCapabilities { model, seed: true, free: true, ..LlmCapabilities::default() })
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text =
            request.messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n\n");
        let base = seed::derive(self.config.seed ^ request.seed.unwrap_or(0), &text);
        let mut completion = Completion::default();
        for sample in 0..request.samples.max(1) {
            let answer = self.answer(&text, seed::derive(base, &format!("sample {sample}"))).await?;
            completion.usage.output_tokens += tokens(&answer);
            completion.choices.push(Choice { text: answer, ..Choice::default() });
        }
        completion.usage.input_tokens = tokens(&text);
        Ok(completion)
    }
}

/// About four characters per token, the rule of thumb for English.
fn tokens(text: &str) -> u64 {
    text.len().div_ceil(4) as u64
}

register! {
    interface: dyn LlmBackend, kind: "simulated", summary: "a simulated, mediocre LLM: works offline, knows only the text it is shown",
    config: SimulatedConfig,
    new: |config, host: Arc<dyn Host>| async move { Ok(Arc::new(Simulated::new(config, host.behaviours().await?)?) as _) },
}
