//! Nine tide pools and a crab: an environment to start from.
use forethought_sdk::prelude::*;
use std::sync::Mutex;

/// The keys under `[environment]`. The comment on a key becomes its help text.
#[config]
#[derive(Clone, Copy, Default)]
#[serde(default)]
struct Config {
    /// Looks beyond the usual four.
    extra_looks: u32,
}

/// The keys, and the state of an episode: the pool of the crab, and the looks that are left.
struct Shore(Config, Mutex<(u64, u32)>);

fn turn(text: &str) -> Turn {
    let legal_actions = (1..=9).map(|pool| format!("look {pool}")).collect();
    Turn { observation: Observation::text(text), legal_actions, ..Default::default() }
}

#[async_trait]
impl Environment for Shore {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let (name, version) = ("{{name}}".into(), "1".into());
        let instructions = "Find the crab before the tide comes: `look 5` is an action.".into();
        let seats = vec![SeatSpec { name: "agent".into(), ..Default::default() }];
        Ok(EnvironmentSpec { name, version, seats, instructions, fork: true, ..Default::default() })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Shore(self.0, Mutex::new(*self.1.lock().unwrap()))))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.spawn().await.map(Some) // For tree search; here a fresh world is a copy already.
    }
    async fn reset(&self, Reset { task, seed }: Reset) -> Result<Turn> {
        let crab = 1 + seed::derive(seed, &format!("crab of task {task}")) % 9;
        *self.1.lock().unwrap() = (crab, 4 + self.0.extra_looks);
        Ok(turn("A crab sits in one of nine pools in a row."))
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let mut state = self.1.lock().unwrap();
        let (crab, looks) = &mut *state;
        *looks = looks.saturating_sub(1);
        let (seen, found) = match action.text.strip_prefix("look ").map(str::parse::<u64>) {
            Some(Ok(pool)) if pool == *crab => ("There it is!", true),
            Some(Ok(pool)) if pool < *crab => ("Something splashes further right.", false),
            Some(Ok(_)) => ("Something splashes further left.", false),
            _ => ("That is no pool.", false), // An illegal action is answered, never an error.
        };
        let (terminated, rewards) = (found || *looks == 0, vec![f64::from(found)]);
        let success = terminated.then_some(found);
        Ok(Transition { turn: turn(seen), rewards, terminated, success, ..Default::default() })
    }
}

register! {
    interface: dyn Environment, kind: "{{name}}", summary: "find the crab in time", config: Config,
    new: |config, _| async move { Ok(Arc::new(Shore(config, Mutex::default())) as _) },
}
