//! A solution that was found is done to its end. Planners remember nothing, so the thought says how it goes on; and the
//! world is asked, in a copy, whether it still is one.

use forethought_sdk::{
    prelude::*,
    serde_json::{from_str, json},
};

use super::Searcher;
use crate::toolbox;

/// What a thought ends with: this, and the steps that follow as JSON, each a thought and an action.
const THEN: &str = " Then: ";

/// A thought and its action.
pub(super) type Step = (String, String);

impl Searcher {
    /// The next step of the solution that the last decision found, if it still leads to this reward. It costs no calls.
    ///
    /// # Errors
    /// Those of the world.
    pub(crate) async fn go_on(
        &self,
        context: &DecisionContext,
        models: &Arc<dyn Models>,
        solved: f64,
    ) -> Result<Option<Decision>> {
        let steps = context.history.last().map(|last| read(&last.thought)).unwrap_or_default();
        let ([(thought, action), rest @ ..], true) = (&steps[..], self.follow) else { return Ok(None) };
        let Some(world) = models.fork().await? else { return Ok(None) };
        let (mut reward, mut ended) = (0.0, false);
        for (_, action) in &steps {
            if ended {
                break;
            }
            let after = world.step(Action::new(action)).await?;
            reward += after.rewards.get(context.seat).copied().unwrap_or_default();
            ended = after.terminated || after.truncated;
        }
        if !ended || reward < solved {
            return Ok(None);
        }
        let trace = Trace { details: json!({ "gate": "solution" }), ..Trace::default() };
        let (thought, action) = (written(thought, rest), toolbox::action(action, &context.turn));
        Ok(Some(Decision { thought, action, trace, ..Decision::default() }))
    }
}

/// A thought, and the steps that come after it.
pub(super) fn written(thought: &str, steps: &[Step]) -> String {
    if steps.is_empty() { thought.to_owned() } else { format!("{thought}{THEN}{}", json!(steps)) }
}

fn read(thought: &str) -> Vec<Step> {
    let steps = thought.rsplit_once(THEN).map(|(_, steps)| from_str(steps));
    steps.and_then(Result::ok).unwrap_or_default()
}
