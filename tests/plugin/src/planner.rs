//! A planner that calls the objects that it is given.

use forethought_sdk::prelude::*;

use crate::Nothing;

/// Asks the language model `actor` what to do, and tries the action in a copy of the world first.
pub struct Tries;

#[async_trait]
impl Planner for Tries {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["actor".into()], fork: true, ..Requirements::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let request = ChatRequest::new(Purpose::Action, vec![Message::user(context.turn.observation.text)]);
        let answer = models.llm("actor".into()).await?.complete(request).await?;
        let action = Action::new(answer.text());
        let copy = models.fork().await?.ok_or_else(|| Error::input("this world cannot be copied"))?;
        let seen = copy.step(action.clone()).await?.turn.observation;
        Ok(Decision { thought: format!("it led to: {}", seen.text), action, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner,
    kind: "tries",
    summary: "tries a language model's action in a copy of the world",
    config: Nothing,
    new: |_: Nothing, _host| async { Ok(Arc::new(Tries) as _) },
}
