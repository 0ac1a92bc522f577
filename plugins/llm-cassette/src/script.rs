//! A backend that answers from a list.

use std::sync::{Mutex, PoisonError};

use forethought_sdk::{api::text::unmarked, prelude::*, serde_json};

use crate::{
    about::{about, head},
    config::{Answers, Line, ScriptConfig},
};

/// A list of answers, given in the order in which requests arrive: one for each requested sample.
pub struct Script {
    lines: Vec<Line>,
    next: Mutex<usize>,
}

impl Script {
    /// The script from the settings.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is neither a string nor an object of `expect` and `text`.
    pub fn new(config: ScriptConfig) -> Result<Self> {
        let lines = match config.answers {
            Answers::Listed(lines) => lines,
            Answers::File(path) => {
                let text =
                    std::fs::read_to_string(&path.0).context(format!("reading answers = {:?}", path.0))?;
                let lines = unmarked(&text).lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
                let line = |(index, line)| {
                    serde_json::from_str(line).map_err(|error| {
                        Error::input(format!(
                            "{}:{}: expected a JSON string or {{\"expect\": \"...\", \"text\": \"...\"}}",
                            path.display(),
                            index + 1
                        ))
                        .because(error)
                    })
                };
                lines.map(line).collect::<Result<_>>()?
            }
        };
        Ok(Self { lines, next: Mutex::new(0) })
    }

    /// A script of these answers, to any requests.
    pub fn of<T: Into<String>>(answers: impl IntoIterator<Item = T>) -> Self {
        let lines = answers.into_iter().map(|text| Line::Text(text.into())).collect();
        Self { lines, next: Mutex::new(0) }
    }

    /// Checks that every answer was given.
    ///
    /// # Errors
    /// With the number of answers that were not, and the first of them.
    pub fn finish(&self) -> Result<()> {
        let given = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Line::Text(text) | Line::Expecting { text, .. }) = self.lines.get(given) else {
            return Ok(());
        };
        let (left, all) = (self.lines.len() - given, self.lines.len());
        Err(Error::other(format!(
            "{left} of {all} answers of the script were not used; the first: {:?}",
            head(text)
        )))
    }
}

impl Drop for Script {
    /// Reports unused answers, but only after a request: a program may create a backend just to inspect it.
    fn drop(&mut self) {
        let asked = *self.next.lock().unwrap_or_else(PoisonError::into_inner) > 0;
        if let (true, Err(error)) = (asked, self.finish()) {
            tracing::error!("{error}");
        }
    }
}

#[async_trait]
impl LlmBackend for Script {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "script".into(), free: true, ..Default::default() })
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = request.samples.max(1) as usize;
        let Some(lines) = self.lines.get(*next..next.saturating_add(samples)) else {
            return Err(Error::not_found(format!(
                "the script has {} of {} answers left, but {samples} were requested: {}",
                self.lines.len() - *next,
                self.lines.len(),
                about(&request)
            )));
        };
        let mut completion = Completion::default();
        for (index, line) in lines.iter().enumerate() {
            let text = match line {
                Line::Text(text) => text,
                Line::Expecting { expect, text } => {
                    if !request.messages.iter().any(|message| message.content.contains(expect)) {
                        return Err(Error::input(format!(
                            "answer {} of the script expects {expect:?}, which the request does not contain: {}",
                            *next + index + 1,
                            about(&request)
                        )));
                    }
                    text
                }
            };
            completion.choices.push(Choice { text: text.clone(), ..Choice::default() });
        }
        *next += samples;
        Ok(completion)
    }
}
