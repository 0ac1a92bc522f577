//! A language model that answers in the requested format, from the text of the request alone.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Result,
    llm::{
        ChatRequest, Choice, Completion, FinishReason, LlmBackend, LlmCapabilities, Role, TokenLogprob,
        TokenStream, ToolCall, Usage,
    },
};
use serde_json::{Map, Value};

use super::{Ledger, draw, share, world};
use crate::schema;

/// How the model behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers in the requested format, and approves of what it is shown.
    Friendly,
    /// Answers in the requested format, and wants every thought revised.
    Insatiable,
    /// Gives unreadable answers.
    Garbled,
}

/// The model.
pub(crate) struct Scripted {
    mood: Mood,
    ledger: Arc<Ledger>,
}

impl Scripted {
    pub(super) fn new(mood: Mood, ledger: Arc<Ledger>) -> Self {
        Self { mood, ledger }
    }

    fn choice(&self, request: &ChatRequest, sample: u32) -> Choice {
        let text: Vec<&str> = request.messages.iter().map(|message| message.content.as_str()).collect();
        let text = text.join("\n");
        let seed = draw((&text, request.seed, sample));
        let word = |key: &str| if key == "action" { world::legal(&text, seed) } else { phrase(key, seed) };
        let answered = request.messages.last().is_some_and(|message| message.role == Role::Tool);
        let tool = request.tools.first().filter(|_| !answered);
        let mut choice = Choice::default();
        if self.mood == Mood::Garbled {
            choice.text = "?!".into();
        } else if let Some(tool) = tool {
            let arguments = schema::sample(&tool.parameters, &tool.parameters, "", &word).unwrap_or_default();
            let id = format!("call-{seed:x}");
            choice.tool_calls.push(ToolCall { id, name: tool.name.clone(), arguments });
            choice.finish = FinishReason::ToolCalls;
        } else if let Some(wanted) = &request.json_schema {
            choice.text = schema::sample(wanted, wanted, "", &word).unwrap_or_default().to_string();
        } else {
            choice.text = self.answer(&text, seed, &word);
        }
        if request.logprobs {
            let tokens = choice.text.split_inclusive(' ');
            let logprob =
                |token: &str| TokenLogprob { token: token.into(), logprob: share(token).max(1e-9).ln() };
            choice.logprobs = tokens.map(logprob).collect();
        }
        choice
    }

    /// Labelled lines if the text has lines `Label: <...>`, else the keys of a JSON template, else an action.
    fn answer(&self, text: &str, seed: u64, word: &dyn Fn(&str) -> String) -> String {
        let mut labels: Vec<&str> = Vec::new();
        for line in text.lines() {
            let label = line.trim().split_once(": <").map(|(label, _)| label);
            labels.extend(label.filter(|label| label.len() < 30 && !labels.contains(label)));
        }
        let quoted: Vec<&str> = text.split('"').collect();
        let keys = quoted.windows(2).filter(|pair| pair[1].trim_start().starts_with(':')).map(|pair| pair[0]);
        let object: Map<String, Value> = keys.map(|key| (key.into(), word(key).into())).collect();
        if !labels.is_empty() {
            let lines = labels.iter().map(|label| self.labelled(label, text, seed, word));
            return lines.collect::<Vec<_>>().join("\n");
        }
        let json = text.contains("JSON") && !object.is_empty();
        if json { Value::Object(object).to_string() } else { world::legal(text, seed) }
    }

    fn labelled(&self, label: &str, text: &str, seed: u64, word: &dyn Fn(&str) -> String) -> String {
        match label {
            "Decision" if self.mood == Mood::Insatiable => "Decision: revise".into(),
            "Decision" => "Decision: keep".into(),
            "Good" | "Bad" => {
                format!("{label}: {}\n{label}: {}", phrase(label, seed), phrase(label, seed + 1))
            }
            // A probability for each numbered line, by its words alone, even if it has none.
            _ if label.parse::<u32>().is_ok() => {
                let numbered = text.lines().filter_map(|line| line.trim().split_once(':'));
                let numbered = numbered
                    .map(|(number, words)| (number, words.trim_start()))
                    .filter(|(number, words)| number.parse::<u32>().is_ok() && !words.starts_with('<'));
                let lines = numbered.map(|(number, words)| format!("{number}: {:.2}", share(words)));
                lines.collect::<Vec<_>>().join("\n")
            }
            _ => format!("{label}: {}", word(&label.to_lowercase())),
        }
    }
}

fn phrase(key: &str, seed: u64) -> String {
    let turns = ["soon the treasure is found", "the way leads east", "nothing is gained", "a step nearer"];
    format!("{key} {}, {}", seed % 97, turns[draw((key, seed)) as usize % turns.len()])
}

#[async_trait]
impl LlmBackend for Scripted {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities {
            model: "stand-in".into(),
            streaming: true,
            tools: true,
            json_schema: true,
            logprobs: true,
            seed: true,
            free: true,
            samples: 0,
        })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.ledger.count().await?;
        let choices: Vec<_> =
            (0..request.samples.max(1)).map(|sample| self.choice(&request, sample)).collect();
        let output_tokens = choices.iter().map(|choice| choice.text.split(' ').count() as u64).sum();
        let usage = Usage { input_tokens: request.messages.len() as u64, output_tokens };
        Ok(Completion { choices, usage, raw: Value::Null })
    }
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let completion = self.complete(request).await?;
        let mut pieces: Vec<String> = completion.text().split_inclusive(' ').map(str::to_owned).collect();
        pieces.reverse();
        Ok(Arc::new(Pieces { left: Mutex::new(pieces), completion }))
    }
}

/// An answer, word by word.
struct Pieces {
    /// The remaining pieces, last first.
    left: Mutex<Vec<String>>,
    completion: Completion,
}

#[async_trait]
impl TokenStream for Pieces {
    async fn next(&self, max: u32) -> Result<Vec<String>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = left.len().saturating_sub(max as usize);
        Ok(left.drain(keep..).rev().collect())
    }
    async fn finish(&self) -> Result<Completion> {
        Ok(self.completion.clone())
    }
}
