//! The runtime inside your own program: a configuration, two planners, their success rates.
//!
//! `cargo run -p forethought-examples --bin embed`

use std::sync::Arc;

use forethought_runtime::{
    config::{Config, Sources},
    evaluate::stats::planner_stats,
    host::{RuntimeHost, assemble::RunOptions},
    registry::Registry,
    run::{NoopObserver, run},
};
use forethought_sdk::prelude::Result;
use {forethought_llm_simulated as _, forethought_planners as _, forethought_webshop as _};

const CONFIG: &str = r#"
seed = 7
[environment]
kind = "webshop"
products = 100
[llm.actor]
kind = "simulated"
[planner.react]
kind = "react"
llm = "actor"
[planner.random]
kind = "random"
[run]
episodes = 20
"#;

#[tokio::main]
async fn main() -> Result<()> {
    // Runs are kept in files; these are not needed afterwards.
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("forethought.toml"), CONFIG)?;
    let registry = Registry::linked()?;
    let config = Config::load(&Sources::new(folder.path()), &registry)?;
    let host = RuntimeHost::new(Arc::new(config), Arc::new(registry));
    for planner in ["react", "random"] {
        let options = RunOptions { planner: Some(planner.into()), ..Default::default() };
        let outcome = run(host.run_spec(&options).await?, Arc::new(NoopObserver)).await?;
        let success = planner_stats(planner, &outcome.episodes).success;
        let [rate, low, high] = [success.rate, success.low, success.high].map(|share| 100.0 * share);
        println!("{planner:<8}{rate:>6.1} %  ({low:.1}-{high:.1} %)");
    }
    Ok(())
}
