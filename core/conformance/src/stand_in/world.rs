//! A small world: a field with a treasure. It lists its legal actions, also in its text, and can be copied.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Result,
    environment::{
        Action, Environment, EnvironmentSpec, Observation, Recovery, Reset, SeatSpec, Transition, Turn,
    },
};
use serde_json::{Value, json};

use super::draw;

const SIDE: u64 = 4;
const STEPS: u32 = 20;
const YOU_MAY: &str = "You may: ";

/// One of the legal actions in `text`, chosen by `seed`; "rest", which is always legal, if it lists none.
pub(crate) fn legal(text: &str, seed: u64) -> String {
    let listed = text.lines().rev().find_map(|line| line.trim().strip_prefix(YOU_MAY)).unwrap_or("rest");
    let listed: Vec<&str> = listed.split(" | ").collect();
    listed[seed as usize % listed.len()].to_owned()
}

/// The field.
#[derive(Default)]
pub(crate) struct Field(Mutex<State>);

#[derive(Clone, Copy, Default)]
struct State {
    place: [u64; 2],
    treasure: [u64; 2],
    steps: u32,
}

impl Field {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn found(&self) -> bool {
        self.place == self.treasure
    }
    fn over(&self) -> bool {
        self.found() || self.steps >= STEPS
    }
    fn turn(&self) -> Turn {
        let ([x, y], [there_x, there_y]) = (self.place, self.treasure);
        let moves =
            [("go west", x > 0), ("go east", x + 1 < SIDE), ("go north", y > 0), ("go south", y + 1 < SIDE)];
        let mut legal: Vec<String> = Vec::new();
        if !self.over() {
            legal.extend(moves.iter().filter(|(_, open)| *open).map(|(action, _)| (*action).to_owned()));
            legal.push("rest".into());
        }
        let text = format!(
            "You stand at {x},{y} of a field of {SIDE} by {SIDE}. The treasure lies at {there_x},{there_y}.\n{YOU_MAY}{}",
            legal.join(" | ")
        );
        // For planners that choose among dialogue acts; "rest" is always legal.
        let acts = json!([{ "name": "ask", "instruction": "Ask the way." }, { "name": "rest", "instruction": "Rest." }]);
        let replies = json!([{ "name": "no", "value": -1.0 }, { "name": "yes", "value": 1.0 }]);
        let data = json!({ "dialogue": { "acts": acts, "replies": replies, "question": "Is it here?" } });
        Turn { seat: 0, observation: Observation { text, data }, legal_actions: legal, ..Turn::default() }
    }
    fn step(&mut self, action: &str) -> Transition {
        if !self.over() {
            let [x, y] = &mut self.place;
            match action {
                "go west" => *x = x.saturating_sub(1),
                "go east" => *x = (*x + 1).min(SIDE - 1),
                "go north" => *y = y.saturating_sub(1),
                "go south" => *y = (*y + 1).min(SIDE - 1),
                _ => {}
            }
            self.steps += 1;
        }
        Transition {
            turn: self.turn(),
            rewards: vec![if self.found() { 1.0 } else { 0.0 }],
            terminated: self.found(),
            truncated: self.over() && !self.found(),
            success: self.over().then(|| self.found()),
            info: Value::Null,
            ..Transition::default()
        }
    }
}

#[async_trait]
impl Environment for Field {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec {
            name: "field".into(),
            version: "1".into(),
            seats: vec![SeatSpec { name: "agent".into(), instructions: String::new() }],
            tasks: None,
            instructions: format!(
                "Find the treasure. Take one action a turn, written exactly as one of those after \"{}\".",
                YOU_MAY.trim()
            ),
            fork: true,
            recovery: Recovery::Replay,
            max_steps: Some(STEPS),
            ..EnvironmentSpec::default()
        })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self::default()))
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let cell = |name: &str| {
            let place = draw((reset.task, reset.seed, name)) % (SIDE * SIDE);
            [place % SIDE, place / SIDE]
        };
        let mut treasure = cell("treasure");
        let place = cell("place");
        if treasure == place {
            treasure[0] = (treasure[0] + 1) % SIDE;
        }
        let mut state = self.state();
        *state = State { place, treasure, steps: 0 };
        Ok(state.turn())
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        Ok(self.state().step(&action.text))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(Self(Mutex::new(*self.state())))))
    }
}
