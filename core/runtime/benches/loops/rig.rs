//! The agent loop of rig (crate `rig` 0.44), against the mock server of `episodes.rs`: main URL EPISODES
//!
//! For a crate of its own, with rig = "0.44", tokio and futures; `episodes.rs` runs the program that RIG names.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use rig::agent::AgentBuilder;
use rig::core::driver::Model;
use rig::core::providers::openai::OpenAIConfig;
use rig::rig_tool;
use rig_reqwest::shared;

static CALLED: AtomicUsize = AtomicUsize::new(0);

/// A page of 700 characters.
#[rig_tool(description = "Opens a page", params(target = "what to open"), required(target))]
fn open(target: String) -> Result<String, rig::core::tool::ToolExecutionError> {
    CALLED.fetch_add(1, Ordering::Relaxed);
    let mut page = format!("[{target}] A thing of use, $ 9.99. ").repeat(30);
    page.truncate(700);
    Ok(page)
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("an address");
    let episodes: usize = arguments.next().expect("a number").parse().expect("a number");
    let model = Model::new(OpenAIConfig::new("none").with_base_url(format!("{url}/v1")).chat("walk"), shared());
    let agent = AgentBuilder::new(model)
        .preamble(&"Buy what fits the instruction best, for no more than it says. ".repeat(20))
        .tool(open)
        .build();
    let agent = &agent;
    let play = |task: usize| async move {
        let answer = agent.prompt(format!("Task {task}: find it.")).max_turns(20).await.expect("an answer");
        assert!(answer.output().contains("bought"), "{}", answer.output());
    };
    stream::iter((0..episodes).map(play)).buffer_unordered(episodes).collect::<Vec<_>>().await;
    println!("{}", CALLED.load(Ordering::Relaxed) + episodes);
}
