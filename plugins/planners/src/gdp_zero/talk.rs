//! The requests to the language model: for an act, an utterance that carries it out, and the other side's answer.

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, RngExt},
    serde_json::{Value, json},
};

use super::dialogue::{Act, Dialogue, Said, bracketed, name, transcript};
use crate::{answers::labelled, prompts::Prompts, react::last_line};

/// How a request is sampled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling {
    pub(crate) samples: u32,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_tokens: Option<u32>,
}

/// One decision's requests.
pub(crate) struct Talk<'a> {
    pub(crate) context: &'a DecisionContext,
    pub(crate) dialogue: &'a Dialogue,
    pub(crate) prompts: &'a Prompts,
    pub(crate) llm: Arc<dyn LlmBackend>,
    pub(crate) partner: Arc<dyn LlmBackend>,
    pub(crate) rng: ChaCha8Rng,
    /// Requests made.
    pub(crate) requests: u32,
}

impl Talk<'_> {
    /// Indices of the acts that the model would choose next; answers that name no act are dropped.
    pub(crate) async fn acts(
        &mut self,
        turns: &[Said],
        allowed: &[usize],
        sampling: Sampling,
    ) -> Result<Vec<usize>> {
        let acts: Vec<&Act> = allowed.iter().map(|act| &self.dialogue.acts[*act]).collect();
        let messages =
            self.prompts.messages("act", self.context, self.variables(turns, json!({ "acts": acts })))?;
        let answers = self.ask(Purpose::Thought, messages, sampling, false).await?;
        let named = |answer: &String| {
            let name = bracketed(answer).unwrap_or(answer);
            allowed.iter().copied().find(|act| self.dialogue.acts[*act].name.eq_ignore_ascii_case(name))
        };
        Ok(answers.iter().filter_map(named).collect())
    }

    /// An utterance of this seat that carries out the act.
    pub(crate) async fn utter(
        &mut self,
        turns: &[Said],
        act: &Act,
        temperature: Option<f64>,
    ) -> Result<String> {
        let messages =
            self.prompts.messages("utter", self.context, self.variables(turns, json!({ "act": act })))?;
        let sampling = Sampling { samples: 1, temperature, max_tokens: None };
        let answers = self.ask(Purpose::Action, messages, sampling, false).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        // Models often repeat the speaker's name.
        let speaker = format!("{}: ", self.speaker());
        Ok(answer.strip_prefix(&speaker).map(str::to_owned).unwrap_or(answer))
    }

    /// Answers of the other side: the index of the reply, if the answer names one, and its words.
    pub(crate) async fn answers(
        &mut self,
        turns: &[Said],
        sampling: Sampling,
    ) -> Result<Vec<(Option<usize>, String)>> {
        let mut context = self.context.clone();
        context.seat = 1 - self.context.seat.min(1);
        if let Some(seat) = context.environment.seats.get_mut(context.seat) {
            // What this seat knows about the other one, not what the environment tells the other one.
            seat.instructions = format!("You are the {}. {}", seat.name, self.dialogue.partner);
        }
        let speaker = name(&context.environment, context.seat);
        let variables = json!({
            "turns": transcript(turns, &context.environment), "speaker": speaker, "replies": self.dialogue.replies,
        });
        let messages = self.prompts.messages("respond", &context, variables)?;
        let answers = self.ask(Purpose::Persona, messages, sampling, true).await?;
        let read = |answer: String| {
            let answer = answer.strip_prefix(&format!("{speaker}: ")).unwrap_or(&answer);
            let reply = bracketed(answer).and_then(|name| {
                self.dialogue.replies.iter().position(|reply| reply.name.eq_ignore_ascii_case(name))
            });
            let words = answer.split_once(']').map_or(answer, |(_, words)| words);
            (reply, words.trim().to_owned())
        };
        Ok(answers.into_iter().map(read).collect())
    }

    fn speaker(&self) -> String {
        name(&self.context.environment, self.context.seat)
    }

    fn variables(&self, turns: &[Said], more: Value) -> Value {
        let mut variables =
            json!({ "turns": transcript(turns, &self.context.environment), "speaker": self.speaker() });
        if let (Value::Object(variables), Value::Object(more)) = (&mut variables, more) {
            variables.extend(more);
        }
        variables
    }

    async fn ask(
        &mut self,
        purpose: Purpose,
        messages: Vec<Message>,
        sampling: Sampling,
        partner: bool,
    ) -> Result<Vec<String>> {
        let Sampling { samples, temperature, max_tokens } = sampling;
        let seed = Some(self.rng.random());
        let request =
            ChatRequest { samples, temperature, max_tokens, seed, ..ChatRequest::new(purpose, messages) };
        self.requests += 1;
        let completion = if partner { &self.partner } else { &self.llm }.complete(request).await?;
        let line =
            |choice: Choice| labelled(&choice.text, "Action").unwrap_or_else(|_| last_line(&choice.text));
        Ok(completion.choices.into_iter().map(line).collect())
    }
}
