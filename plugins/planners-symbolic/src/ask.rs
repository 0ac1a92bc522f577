//! Asking a model, with what is wrong with its answer sent back as often as allowed.

use forethought_sdk::{
    answers::{Answer, Unread, ask_again, written},
    prelude::*,
};

/// One decision's requests.
pub(crate) struct Asker {
    llm: Arc<dyn LlmBackend>,
    seed: u64,
    temperature: Option<f64>,
    asked: u32,
    pub(crate) unread: Unread,
}

impl Asker {
    pub(crate) fn new(llm: Arc<dyn LlmBackend>, seed: u64, temperature: Option<f64>) -> Self {
        Self { llm, seed, temperature, asked: 0, unread: Unread::default() }
    }

    /// The answers to a request; each request has its own seed.
    ///
    /// # Errors
    /// Those of the backend.
    pub(crate) async fn complete(&mut self, mut request: ChatRequest) -> Result<Vec<Choice>> {
        request.temperature = self.temperature;
        request.seed = Some(seed::derive(self.seed, &format!("request {}", self.asked)));
        self.asked += 1;
        Ok(self.llm.complete(request).await?.choices)
    }

    /// Asks until `read` accepts an answer; what it says is wrong with one is sent back, up to `rounds` times.
    /// `Ok(Err(why))` if the last answer is not accepted either. The number of times that an answer was sent back comes
    /// with both.
    ///
    /// # Errors
    /// Those of the backend, except that a budget that ends while an answer is improved ends the improvement.
    pub(crate) async fn improve<T>(
        &mut self,
        purpose: Purpose,
        messages: Vec<Message>,
        rounds: u32,
        mut read: impl FnMut(&Answer) -> Result<T, String>,
    ) -> Result<(Result<T, String>, u32)> {
        let mut request = ChatRequest::new(purpose, messages);
        let mut round = 0;
        let mut why = String::new();
        loop {
            let choice = match self.complete(request.clone()).await {
                Ok(choices) => choices.into_iter().next().unwrap_or_default(),
                Err(error) if error.code == Code::Budget && round > 0 => return Ok((Err(why), round - 1)),
                Err(error) => return Err(error),
            };
            let answer = Answer::of(&choice);
            match read(&answer) {
                Ok(value) => return Ok((Ok(value), round)),
                Err(wrong) => why = wrong,
            }
            if round == rounds {
                return Ok((Err(why), round));
            }
            round += 1;
            self.unread.count("repeated");
            let complaint = answer.complaint(why.clone());
            ask_again(&mut request.messages, choice, &complaint);
        }
    }

    /// Asks for a thought and an action.
    ///
    /// # Errors
    /// Those of the backend.
    pub(crate) async fn act(&mut self, messages: Vec<Message>, turn: &Turn) -> Result<(String, Action)> {
        let read = |answer: &Answer| {
            let sections = answer.sections(&["Thought", "Action"]);
            let action = sections.first("Action").map_err(|complaint| complaint.text)?;
            Ok((sections.first("Thought").unwrap_or_default(), action))
        };
        let (read, _) = self.improve(Purpose::Action, messages, 1, read).await?;
        let (thought, action) = read.unwrap_or_else(|why| {
            self.unread.without(why);
            Default::default()
        });
        Ok((thought, written(&action, turn).unwrap_or_else(|_| Action::new(action))))
    }
}
