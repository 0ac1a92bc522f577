//! The environment: episodes of dialogue.

use std::sync::{Mutex, MutexGuard, PoisonError};

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, json};

use crate::dialogue::Dialogue;
use crate::observe;
use crate::script::{End, Outcome, Script, ScriptConfig};

register! {
    interface: dyn Environment,
    kind: "persuasion",
    summary: "a dialogue of two parties: persuasion for a good cause, negotiation, or one of your own",
    config: ScriptConfig,
    inline: true,
    new: |config: ScriptConfig, _host| async move { Ok(Arc::new(Persuasion::new(config.0)) as _) },
}

/// A script and, after a reset, a dialogue.
pub struct Persuasion {
    script: Arc<Script>,
    dialogue: Mutex<Option<Dialogue>>,
}

impl Persuasion {
    /// A world for dialogues of this script.
    pub fn new(script: Script) -> Self {
        Self::over(script.into(), None)
    }

    fn over(script: Arc<Script>, dialogue: Option<Dialogue>) -> Self {
        Self { script, dialogue: Mutex::new(dialogue) }
    }

    /// A panic elsewhere cannot leave a dialogue half changed: no change to it is interrupted by one.
    fn dialogue(&self) -> MutexGuard<'_, Option<Dialogue>> {
        self.dialogue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Environment for Persuasion {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let script = &self.script;
        let seats = [&script.first, &script.second];
        let seats =
            seats.map(|party| SeatSpec { name: party.name.clone(), instructions: party.role.clone() });
        // The closing question may be asked twice.
        let closing = if script.outcome == Outcome::Gift { 2 } else { 0 };
        Ok(EnvironmentSpec {
            name: "persuasion".into(),
            version: "1".into(),
            seats: seats.into(),
            tasks: None,
            instructions: observe::instructions(script),
            fork: true,
            recovery: Recovery::Replay,
            max_steps: script.turns.get().checked_mul(2).and_then(|steps| steps.checked_add(closing)),
            ..EnvironmentSpec::default()
        })
    }

    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self::over(self.script.clone(), None)))
    }

    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let seed = seed::derive(reset.seed, &format!("task {}", reset.task));
        let dialogue = Dialogue::new(self.script.clone(), seed);
        let turn = turn(&dialogue);
        *self.dialogue() = Some(dialogue);
        Ok(turn)
    }

    async fn step(&self, action: Action) -> Result<Transition> {
        let mut guard = self.dialogue();
        let dialogue = guard.as_mut().ok_or_else(unreset)?;
        let (seat, over) = (dialogue.seat(), dialogue.ended().is_some());
        dialogue.say(&action.text);
        let ended = dialogue.ended();
        Ok(Transition {
            turn: turn(dialogue),
            rewards: if over { vec![0.0; 2] } else { dialogue.rewards().into() },
            terminated: ended.is_some(),
            truncated: false,
            success: ended.map(|ended| ended.by == End::Agreement),
            illegal: !over && (dialogue.notice(seat).is_some() || dialogue.silent()),
            info: info(dialogue),
        })
    }

    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(Self::over(self.script.clone(), self.dialogue().clone()))))
    }

    async fn imagine(&self, imagine: Imagine) -> Result<Option<Arc<dyn Environment>>> {
        if imagine.seat > 1 {
            return Err(Error::input(format!("a dialogue has seats 0 and 1, not {}", imagine.seat)));
        }
        if !imagine.hidden.is_null() {
            return Err(Error::input(
                "a dialogue cannot be imagined with a given hidden state; leave `hidden` null to draw one from the seed",
            ));
        }
        let imagined = self.dialogue().as_ref().ok_or_else(unreset)?.imagined(imagine.seat, imagine.seed);
        Ok(Some(Arc::new(Self::over(self.script.clone(), Some(imagined)))))
    }
}

fn unreset() -> Error {
    Error::other("the dialogue has not begun; call reset first")
}

fn turn(dialogue: &Dialogue) -> Turn {
    let seat = dialogue.seat();
    Turn { seat, observation: observe::observation(dialogue, seat), ..Turn::default() }
}

/// For logs: the metrics of the end, and what both seats see of it.
fn info(dialogue: &Dialogue) -> Value {
    let Some(ended) = dialogue.ended() else { return Value::Null };
    let agreed = f64::from(ended.by == End::Agreement);
    let mut metrics = json!({ "turns": dialogue.pairs() });
    match dialogue.script().outcome {
        Outcome::Gift => {
            metrics["donation"] = ended.amount.into();
            metrics["donated"] = agreed.into();
        }
        Outcome::Reply => metrics["donated"] = agreed.into(),
        Outcome::Deal => {
            metrics["deal"] = agreed.into();
            metrics["price"] = ended.amount.into();
        }
    }
    json!({ "metrics": metrics, "ends": observe::ends(dialogue), "end": ended.by, "unread": ended.unread })
}
