//! Asking a model, and once more with the error when its answer cannot be read.

use forethought_sdk::prelude::*;

/// One decision's conversation with one model.
pub struct Asker {
    llm: Arc<dyn LlmBackend>,
    seed: u64,
    temperature: Option<f64>,
    asked: u32,
    /// Answers that could not be read, and what was done about it: goes into the trace.
    pub recoveries: Vec<String>,
}

impl Asker {
    /// Asks `llm`; every request gets a seed of its own under `seed`.
    pub fn new(llm: Arc<dyn LlmBackend>, seed: u64, temperature: Option<f64>) -> Self {
        Self { llm, seed, temperature, asked: 0, recoveries: Vec::new() }
    }

    /// Asks, reads, and asks once more with the reader's complaint. `Ok(Err(answer))` when the second answer could
    /// not be read either: the caller goes on with what it has, and the trace says so.
    ///
    /// # Errors
    /// Only those of the backend itself.
    pub async fn ask<T>(
        &mut self,
        purpose: Purpose,
        mut messages: Vec<Message>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Result<T, String>> {
        for attempt in 1..=2 {
            let mut request = ChatRequest::new(purpose, messages.clone());
            request.seed = Some(seed::derive(self.seed, &format!("request {}", self.asked)));
            request.temperature = self.temperature;
            self.asked += 1;
            let completion = self.llm.complete(request).await?;
            let answer = completion.text();
            let complaint = match read(answer) {
                Ok(value) => return Ok(Ok(value)),
                Err(complaint) => complaint,
            };
            let then = if attempt == 1 { "asked once more" } else { "went on without it" };
            self.recoveries.push(format!("{purpose:?} could not be read ({complaint}): {then}"));
            if attempt == 2 {
                return Ok(Err(answer.to_owned()));
            }
            messages.push(Message::assistant(answer));
            messages.push(Message::user(format!(
                "That could not be read: {complaint}. Answer again, exactly in the form asked for."
            )));
        }
        unreachable!("the second attempt returns")
    }
}
