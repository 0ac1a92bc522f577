//! The requests to the language model: for an act, an utterance that carries it out, and the other side's answer.

use forethought_sdk::{
    answers::{Answer, Complaint, Unread, ask_again},
    prelude::*,
    seed::{ChaCha8Rng, RngExt},
    serde_json::{Value, json},
};

use super::dialogue::{Act, Dialogue, Said, bracketed, name, transcript};
use crate::prompts::Prompts;

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
    /// Answers that could not be read, for the trace.
    pub(crate) unread: Unread,
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
        let dialogue = self.dialogue;
        let named = |answer: &Answer| {
            let said = answer.utterance(&[])?;
            let name = bracketed(&said).unwrap_or(&said);
            let act = allowed.iter().find(|act| dialogue.acts[**act].name.eq_ignore_ascii_case(name));
            act.copied().ok_or_else(|| Complaint::unreadable("it names none of the acts"))
        };
        self.ask(Purpose::Thought, messages, sampling, false, named).await
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
        // Models often repeat the speaker's name, or go on to speak for the other side.
        let names = self.names();
        let read = |answer: &Answer| answer.utterance(&names.each_ref().map(String::as_str));
        Ok(self.ask(Purpose::Action, messages, sampling, false, read).await?.pop().unwrap_or_default())
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
        let (names, dialogue) = (self.names(), self.dialogue);
        let read = |answer: &Answer| {
            // Nobody acts on an imagined reply, so it may be cut.
            let whole = if answer.refused() { answer.clone() } else { answer.uncut() };
            let answer = whole.utterance(&names.each_ref().map(String::as_str))?;
            let reply = bracketed(&answer).and_then(|name| {
                dialogue.replies.iter().position(|reply| reply.name.eq_ignore_ascii_case(name))
            });
            let words = answer.split_once(']').map_or(answer.as_str(), |(_, words)| words);
            Ok((reply, words.trim().to_owned()))
        };
        self.ask(Purpose::Persona, messages, sampling, true, read).await
    }

    /// The names of both seats, as the transcript has them.
    fn names(&self) -> [String; 2] {
        [0, 1].map(|seat| name(&self.context.environment, seat))
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

    /// The answers that can be read; if there is none, the model is asked once more.
    async fn ask<T>(
        &mut self,
        purpose: Purpose,
        messages: Vec<Message>,
        sampling: Sampling,
        partner: bool,
        read: impl Fn(&Answer) -> Result<T, Complaint>,
    ) -> Result<Vec<T>> {
        let Sampling { samples, temperature, max_tokens } = sampling;
        let mut request =
            ChatRequest { samples, temperature, max_tokens, ..ChatRequest::new(purpose, messages) };
        let what = format!("{purpose:?}");
        let mut first = true;
        loop {
            request.seed = Some(self.rng.random());
            self.requests += 1;
            let completion =
                if partner { &self.partner } else { &self.llm }.complete(request.clone()).await?;
            let (mut all, mut unread) = (Vec::new(), Vec::new());
            for choice in completion.choices {
                let answer = Answer::of(&choice);
                match read(&answer) {
                    Ok(value) => all.push(value),
                    Err(complaint) => unread.push((complaint, choice)),
                }
            }
            if !all.is_empty() || unread.is_empty() {
                unread.iter().for_each(|(complaint, ..)| self.unread.count(complaint.fault.key()));
                return Ok(all);
            }
            let (complaint, choice) = unread.swap_remove(0);
            if !first {
                self.unread.given_up(&what, &complaint);
                return Ok(all);
            }
            first = false;
            self.unread.repeated(&what, &complaint);
            ask_again(&mut request.messages, choice, &complaint);
        }
    }
}
