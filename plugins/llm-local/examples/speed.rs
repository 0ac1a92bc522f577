//! Tokens per second of a model on this machine: `speed FOLDER [FILE.gguf]`. The best of five runs, prompt of 456 tokens, then 64.

use std::path::Path;

use forethought_llm_local::{LocalConfig, LocalLlm};
use forethought_sdk::prelude::*;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or_else(|| Error::input("which folder?"))?;
    let config = LocalConfig { file: arguments.next(), device: "cpu".into(), ..LocalConfig::default() };
    let mut best = [f64::INFINITY; 2];
    for _ in 0..5 {
        let seconds = LocalLlm::pace(Path::new(&folder), &config, 456, 64)?;
        best = [best[0].min(seconds[0]), best[1].min(seconds[1])];
    }
    println!("prompt {:.0} tokens/s, answer {:.0} tokens/s", 456.0 / best[0], 64.0 / best[1]);
    Ok(())
}
