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
//! [`request`] (what is asked for, read from the text), [`refine`] (how an evaluation is followed), [`wording`] (the
//! sentences that are spoken), `calls` (answers by calls of tools), then this file.

mod calls;
pub mod refine;
pub mod request;
pub mod wording;

use std::sync::OnceLock;

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, IndexedRandom, RngExt, SliceRandom},
};
use request::{Ask, Form, Style};
use wording::{Speech, Wording};

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
    /// The sentences that outcomes, thoughts and states are said in: "regular" for a few fixed ones, "free" for
    /// hundreds, as from a model that never says a thing twice in the same way, or a folder with such sentences
    /// (`webshop.json`, `avalon.json`, `persuasion.json`). What the model knows and does is the same in each.
    pub wording: Wording,
    /// Folders of the same form whose sentences it understands as well. It always understands its regular sentences,
    /// those of "free", and those of its own folder.
    pub understands: Vec<ConfigPath>,
    /// Whether it says that it can call tools, so that planners offer it those of a world as such. It calls the tools of
    /// any request in any case. Off by default, as in release 0.1.0, because what a model says of itself is part of the
    /// identity of an episode.
    pub tools: bool,
}

impl Default for SimulatedConfig {
    fn default() -> Self {
        let (wording, understands, tools) = (Wording::Regular, Vec::new(), false);
        Self { seed: 0, malformed: 0.02, slips: 0.03, wording, understands, tools }
    }
}

/// The simulated LLM.
pub struct Simulated {
    config: SimulatedConfig,
    known: Vec<Known>,
}

/// A behaviour and how it speaks.
struct Known {
    name: String,
    behaviour: Arc<dyn ScriptedBehaviour>,
    speech: OnceLock<Speech>,
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
        let known = |(name, behaviour)| Known { name, behaviour, speech: OnceLock::new() };
        Ok(Self { config, known: behaviours.into_iter().map(known).collect() })
    }

    /// The behaviour for this text, and its speech.
    async fn know(&self, text: &str) -> Result<(&Arc<dyn ScriptedBehaviour>, &Speech)> {
        for Known { name, behaviour, speech } in &self.known {
            if behaviour.recognises(text.to_owned()).await? {
                // Read when it is first needed: a folder has to have the sentences of no other task.
                if speech.get().is_none() {
                    let SimulatedConfig { wording, understands, .. } = &self.config;
                    let read = Speech::of(name, behaviour.as_ref(), wording, understands).await?;
                    speech.get_or_init(|| read);
                }
                return Ok((behaviour, speech.get().expect("set above")));
            }
        }
        let known: Vec<_> = self.known.iter().map(|known| known.name.as_str()).collect();
        Err(Error::config(format!(
            "the simulated LLM does not recognise the task in this request; it knows {known:?}. Register a behaviour for \
             the environment, or configure a real backend"
        )))
    }

    /// One answer to the text, drawn with `seed`.
    async fn answer(&self, text: &str, seed: u64) -> Result<String> {
        let ask = Ask::read(text)?;
        let mut rng = seed::stream(seed, "answer");
        let mut words = seed::stream(seed, "wording");
        let known = self.know(text); // Awaited where one is needed.
        let prompt =
            BehaviourPrompt { text: text.to_owned(), thought: String::new(), count: ask.count, seed };
        // Sentences that the prompt lists are said as they are listed.
        let style = &ask.style;
        let answer = match ask.form {
            Form::Thought => {
                let (behaviour, speech) = known.await?;
                let thought = behaviour.thought(prompt).await?;
                format!("Thought: {}", speech.thought_as(&thought, &style.thoughts, &mut words))
            }
            // A lesson is what comes to mind; it knows no better after a failure.
            Form::Reflection => {
                let (behaviour, speech) = known.await?;
                let thought = behaviour.thought(prompt).await?;
                format!("Reflection: {}", speech.thought_as(&thought, &style.thoughts, &mut words))
            }
            // It foresees no further than the next step, so its plans have one.
            Form::WholePlan => {
                let (behaviour, _) = known.await?;
                let thought = behaviour.thought(prompt.clone()).await?;
                let action = behaviour.action(BehaviourPrompt { thought, ..prompt }).await?;
                format!("Action: {action}")
            }
            Form::Plan | Form::PlanWithNeeds => {
                let (behaviour, speech) = known.await?;
                let thought = behaviour.thought(prompt.clone()).await?;
                let said = speech.thought_as(&thought, &style.thoughts, &mut words);
                let mut step = format!("Step: {said}");
                if ask.form == Form::PlanWithNeeds {
                    let good = behaviour.outcomes(BehaviourPrompt { thought, count: 2, ..prompt }).await?;
                    let good = good.first().map_or("", String::as_str);
                    step += &format!("\nNeeds: {}", speech.outcome_as(good, &style.outcomes, &mut words));
                }
                step
            }
            Form::Next if text.contains("\nThe plan from here on begins like this:\n") => {
                "Next: complete".to_owned()
            }
            Form::Next => {
                let (behaviour, speech) = known.await?;
                let thought = behaviour.thought(prompt).await?;
                format!("Next: {}", speech.thought_as(&thought, &style.thoughts, &mut words))
            }
            Form::Status => {
                let (behaviour, speech) = known.await?;
                let thought = speech.understand_thought(&ask.thought);
                let now = behaviour.thought(prompt.clone()).await?;
                // As with a plan to resume; if something else comes to mind, that is taken for the next step.
                let same = speech.same(&now, &thought);
                if !same && rng.random::<f64>() < GIVES_UP {
                    "Status: failed".to_owned()
                } else {
                    let thought = if same { thought } else { now };
                    let action = self.act(behaviour, BehaviourPrompt { thought, ..prompt }, &mut rng).await?;
                    format!("Status: {}\nAction: {action}", if same { "unfinished" } else { "done" })
                }
            }
            // It does not know.
            Form::Holds => format!("Holds: {}", if rng.random::<f64>() < 0.7 { "yes" } else { "no" }),
            // As with a plan to resume: it asks if something else comes to mind.
            Form::Ask => {
                let (behaviour, speech) = known.await?;
                let thought = speech.understand_thought(&ask.thought);
                let same = speech.same(&behaviour.thought(prompt).await?, &thought);
                format!("Ask: {}", if same { "no" } else { "yes" })
            }
            Form::Branch => {
                format!("Branch: {}", rng.random_range(0..ask.asked_outcomes.len().max(1)) + 1)
            }
            Form::ThoughtAndAction => {
                let (behaviour, speech) = known.await?;
                let thought = behaviour.thought(prompt.clone()).await?;
                let said = speech.thought_as(&thought, &style.thoughts, &mut words);
                let action = self.act(behaviour, BehaviourPrompt { thought, ..prompt }, &mut rng).await?;
                format!("Thought: {said}\nAction: {action}")
            }
            Form::Action => {
                let (behaviour, speech) = known.await?;
                let thought = speech.understand_thought(&ask.thought);
                let action = self.act(behaviour, BehaviourPrompt { thought, ..prompt }, &mut rng).await?;
                format!("Action: {action}")
            }
            Form::Outcomes => {
                let (behaviour, speech) = known.await?;
                let thought = speech.understand_thought(&ask.thought);
                imagined(behaviour, BehaviourPrompt { thought, ..prompt }, speech, style, &mut words).await?
            }
            Form::Candidates => {
                let (behaviour, speech) = known.await?;
                let mut lines = Vec::new();
                for index in 0..ask.thoughts {
                    // Independent draws from the prior of any thought: equal ones are nothing that it avoids.
                    let seed = seed::derive(seed, &format!("thought {index}"));
                    let thought = behaviour.thought(BehaviourPrompt { seed, ..prompt.clone() }).await?;
                    lines.push(format!(
                        "Thought: {}",
                        speech.thought_as(&thought, &style.thoughts, &mut words)
                    ));
                }
                lines.push(imagined(behaviour, prompt, speech, style, &mut words).await?);
                lines.join("\n")
            }
            Form::Choose => {
                let (behaviour, speech) = known.await?;
                let best = refine::best(&ask.evaluations);
                let thought = ask.evaluations.get(best).map_or("", |evaluation| &evaluation.thought);
                let thought = speech.understand_thought(thought);
                let action = self.act(behaviour, BehaviourPrompt { thought, ..prompt }, &mut rng).await?;
                format!("Choice: {}\nAction: {action}", best + 1)
            }
            Form::Resume => {
                let (behaviour, speech) = known.await?;
                let thought = speech.understand_thought(&ask.thought);
                // Not carried out yet if it is what comes to mind here.
                if speech.same(&behaviour.thought(prompt.clone()).await?, &thought) {
                    let action = self.act(behaviour, BehaviourPrompt { thought, ..prompt }, &mut rng).await?;
                    format!("Plan: unfinished\nAction: {action}")
                } else {
                    "Plan: done".to_owned()
                }
            }
            Form::Refine => match refine::verdict(&ask.evaluations) {
                refine::Verdict::Keep => format!("Decision: keep\nThought: {}", ask.thought),
                refine::Verdict::Return(earlier) => format!("Decision: revise\nThought: {earlier}"),
                // From the prior of the first thought, for any evaluation.
                refine::Verdict::DrawAgain => {
                    let (behaviour, speech) = known.await?;
                    let thought = speech.understand_thought(&ask.thought);
                    let thought = behaviour.thought(BehaviourPrompt { thought, ..prompt }).await?;
                    let said = speech.thought_as(&thought, &style.thoughts, &mut words);
                    format!("Decision: revise\nThought: {said}")
                }
            },
            Form::Summary | Form::State => {
                let (behaviour, speech) = known.await?;
                let (state, outcome) = behaviour.summary(prompt).await?;
                let state = speech.state_as(&state, &style.states, &mut words);
                let outcome = speech.outcome_as(&outcome, &style.outcomes, &mut words);
                match ask.form {
                    Form::State => format!("State: {state}"),
                    _ => format!("State: {state}\nOutcome: {outcome}"),
                }
            }
            Form::Probabilities => {
                // Asked for in any text, also one without a task that it knows.
                let outcomes = match known.await {
                    Ok((_, speech)) => {
                        ask.asked_outcomes.iter().map(|outcome| speech.understand_outcome(outcome)).collect()
                    }
                    Err(_) => ask.asked_outcomes,
                };
                probabilities(&outcomes, &mut rng)
            }
            // Confident of any course of action, as with probabilities.
            Form::Grade => format!("Grade: {}", (10.0 * confidence(0.7, &mut rng)).round().max(1.0)),
            Form::Ranking => {
                let mut ranking: Vec<_> = (1..=ask.proposals).map(|number| number.to_string()).collect();
                ranking.shuffle(&mut rng);
                format!("Ranking: {}", ranking.join(", "))
            }
            Form::Vote => format!("Vote: {}", rng.random_range(0..ask.proposals.max(1)) + 1),
            // It expects a good or a bad outcome of the thought, as likely as not.
            Form::Result => {
                let (behaviour, speech) = known.await?;
                let thought = speech.understand_thought(&ask.thought);
                let outcomes = behaviour.outcomes(BehaviourPrompt { thought, count: 2, ..prompt }).await?;
                let outcome = outcomes.choose(&mut rng).cloned().unwrap_or_default();
                format!("Result: {}", speech.outcome_as(&outcome, &style.outcomes, &mut words))
            }
            Form::Same => {
                let (_, speech) = known.await?;
                let line = |(at, (number, sentence)): (usize, &(usize, String))| {
                    let earlier =
                        ask.sentences[..at].iter().filter(|(_, other)| speech.same(sentence, other));
                    let same = earlier.map(|(number, _)| *number).min();
                    format!("{number}: {}", same.map_or("new".into(), |same| same.to_string()))
                };
                let lines = ask.sentences.iter().enumerate().skip(ask.known).map(line);
                lines.collect::<Vec<_>>().join("\n")
            }
            // What should come out well, in its own words.
            Form::Constraints => {
                let (behaviour, speech) = known.await?;
                let outcomes = behaviour.outcomes(BehaviourPrompt { count: 4, ..prompt }).await?;
                let good = outcomes.iter().take(outcomes.len() / 2);
                let line = |text: &String| {
                    format!("Constraint: {}", speech.outcome_as(text, &style.outcomes, &mut words))
                };
                good.map(line).collect::<Vec<_>>().join("\n")
            }
            // As confident as with probabilities, and as little informed.
            Form::Verdict => {
                let score = 200.0 * (0.7 + rng.random_range(-0.25..0.25_f64)) - 100.0;
                format!("Feedback: It seems right.\nScore: {score:.0}")
            }
            Form::Modules => {
                let mut line = |(kind, count): &(String, usize)| {
                    format!("{kind}: {}", rng.random_range(1..=(*count).max(1)))
                };
                ask.modules.iter().map(&mut line).collect::<Vec<_>>().join("\n")
            }
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

/// How often it says that a plan fails where something else comes to its mind.
const GIVES_UP: f64 = 0.2;

/// Lines of imagined outcomes, good ones first.
async fn imagined(
    behaviour: &Arc<dyn ScriptedBehaviour>,
    prompt: BehaviourPrompt,
    speech: &Speech,
    style: &Style,
    words: &mut ChaCha8Rng,
) -> Result<String> {
    let outcomes = behaviour.outcomes(prompt).await?;
    let good = outcomes.len() / 2;
    let line = |(index, text): (usize, &String)| {
        let side = if index < good { "Good" } else { "Bad" };
        format!("{side}: {}", speech.outcome_as(text, &style.outcomes, words))
    };
    Ok(outcomes.iter().enumerate().map(line).collect::<Vec<_>>().join("\n"))
}

/// Its own probabilities: always confident, and the same for good and bad thoughts.
fn probabilities(outcomes: &[String], rng: &mut ChaCha8Rng) -> String {
    let lines = outcomes.iter().enumerate().map(|(index, outcome)| {
        let centre = if request::sounds_bad(outcome) { 0.3 } else { 0.7 };
        let probability = confidence(centre, rng);
        format!("{}: {probability:.2}", index + 1)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn confidence(centre: f64, rng: &mut ChaCha8Rng) -> f64 {
    (centre + rng.random_range(-0.25..0.25_f64)).clamp(0.0, 1.0)
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
        let tools = self.config.tools;
        Ok(LlmCapabilities { model, tools, seed: true, free: true, ..LlmCapabilities::default() })
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text = match calls::foreign(&request) {
            true => calls::as_prompt(&request.messages),
            false => {
                let contents = request.messages.iter().map(|message| message.content.as_str());
                contents.collect::<Vec<_>>().join("\n\n")
            }
        };
        let base = seed::derive(self.config.seed ^ request.seed.unwrap_or(0), &text);
        let mut completion = Completion::default();
        for sample in 0..request.samples.max(1) {
            let seed = seed::derive(base, &format!("sample {sample}"));
            let answer = self.answer(&text, seed).await?;
            completion.usage.output_tokens += tokens(&answer);
            completion.choices.push(calls::choice(answer, &request, seed));
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
