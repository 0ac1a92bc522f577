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

/// Nanoseconds of processor time that this program has used (Linux).
fn processor() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// Makes steps, and returns the nanoseconds that the world itself took, and the processor time of its process.
async fn walk(world: Arc<dyn Environment>, steps: u32) -> Result<(u64, u64)> {
    let (mut own, mut first, mut last) = (0, None, 0);
    world.reset(Reset { task: 0, seed: 7 }).await?;
    for _ in 0..steps {
        let done = world.step(Action::new("0")).await?;
        own += done.info["ns"].as_u64().unwrap_or_default();
        last = done.info["cpu"].as_u64().unwrap_or_default();
        first = first.or(Some(last));
        if done.terminated || done.truncated {
            world.reset(Reset { task: 0, seed: 7 }).await?;
        }
    }
    Ok((own, last - first.unwrap_or_default()))
}

#[tokio::main]
async fn main() -> Result<()> {
    let python = std::env::args().nth(1).unwrap_or("python3".into());
    for workers in [1, 4] {
        let environment = environment(workers, &python).await?;
        let world = environment.spawn().await?;
        walk(world.clone(), 500).await?;
        let (start, used) = (Instant::now(), processor());
        let (own, python) = walk(world, STEPS).await?;
        let per_step = |ns: u64| ns as f64 / f64::from(STEPS) / 1e3;
        let (used, all) = (per_step(processor() - used), per_step(start.elapsed().as_nanos() as u64));
        let (own, python) = (per_step(own), per_step(python));
        println!(
            "{workers} workers, one world, us per step: {all:.0} in all, {own:.0} the world's own; processor time: \
             {used:.0} here, {python:.0} in Python",
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
