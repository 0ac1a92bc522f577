//! What a step of a world in Python costs beyond the world itself, with one worker and with four:
//! `cargo run --release -p forethought-python --example steps [PYTHON [MODULE]]`.
//!
//! One world makes steps one after the other; then 16 worlds do so at once. The world says how long its own code took.

use std::sync::Arc;
use std::time::Instant;

use forethought_python as _;
use forethought_sdk::{
    api::{
        registry::{Pluggable as _, linked},
        wire::Interface as _,
    },
    prelude::*,
    serde_json::json,
};

struct NoHost;
impl Host for NoHost {}

const STEPS: u32 = 4000;

async fn environment(workers: u32, python: &str) -> Result<Arc<dyn Environment>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/steps.py");
    let kind = linked().find(|one| one.interface == <dyn Environment>::NAME && one.kind == "python");
    let config = json!({ "module": file, "python": python, "workers": workers });
    let built = (kind.ok_or(Error::other("nothing is linked"))?.create)(config, Arc::new(NoHost)).await?;
    <dyn Environment>::unwrap(built).ok_or(Error::other("not an environment"))
}

/// Makes steps, and returns the nanoseconds that the world itself took.
async fn walk(world: Arc<dyn Environment>, steps: u32) -> Result<u64> {
    let mut own = 0;
    world.reset(Reset { task: 0, seed: 7 }).await?;
    for _ in 0..steps {
        let done = world.step(Action::new("0")).await?;
        own += done.info["ns"].as_u64().unwrap_or_default();
        if done.terminated || done.truncated {
            world.reset(Reset { task: 0, seed: 7 }).await?;
        }
    }
    Ok(own)
}

#[expect(clippy::disallowed_methods, reason = "this measures time")]
#[tokio::main]
async fn main() -> Result<()> {
    let python = std::env::args().nth(1).unwrap_or("python3".into());
    for workers in [1, 4] {
        let environment = environment(workers, &python).await?;
        let world = environment.spawn().await?;
        walk(world.clone(), 500).await?;
        let (start, own) = (Instant::now(), walk(world, STEPS).await?);
        let all = start.elapsed().as_nanos() as f64;
        let (per_step, beyond) = (all / f64::from(STEPS), (all - own as f64) / f64::from(STEPS));
        println!(
            "{workers} workers, one world: {:.0} us per step, {:.0} us beyond the world's own {:.0} us",
            per_step / 1e3,
            beyond / 1e3,
            (per_step - beyond) / 1e3
        );
        let mut worlds = Vec::new();
        for _ in 0..16 {
            worlds.push(environment.spawn().await?);
        }
        let start = Instant::now();
        let walks: Vec<_> = worlds.into_iter().map(|world| tokio::spawn(walk(world, STEPS / 4))).collect();
        for one in walks {
            one.await.map_err(|error| Error::other(error.to_string()))??;
        }
        let all = start.elapsed().as_secs_f64();
        println!("{workers} workers, 16 worlds at once: {:.0} steps/s", 4.0 * f64::from(STEPS) / all);
    }
    Ok(())
}
