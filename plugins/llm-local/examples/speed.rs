//! How fast a model runs on this machine, as JSON. `speed MODEL` reads prompts of 456 tokens and then 64 tokens one by
//! one, three times; `speed MODEL CHATS.json` answers chats one after the other, with at most 48 tokens each.
//! `benches/llama_cpp.py` compares with llama.cpp.

use std::path::{Path, PathBuf};
use std::time::Instant;

use forethought_llm_local::{LocalConfig, LocalLlm};
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_slice, json},
};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let model = arguments.next().ok_or_else(|| Error::input("which model? a folder or a GGUF file"))?;
    let (folder, file) = match (model.is_dir(), model.parent(), model.file_name()) {
        (false, Some(folder), Some(name)) => (folder, Some(name.to_string_lossy().into_owned())),
        _ => (model.as_path(), None),
    };
    let config = LocalConfig { file, device: "cpu".into(), temperature: Some(0.0), ..LocalConfig::default() };
    let result = match arguments.next() {
        None => json!({ "seconds": LocalLlm::pace(folder, &config, [456, 64], 3)? }),
        Some(chats) => answers(folder, &config, &chats).await?,
    };
    println!("{result}");
    Ok(())
}

/// What was read and written for each of the chats, which are arrays of messages, and how long it took.
async fn answers(folder: &Path, config: &LocalConfig, chats: &Path) -> Result<Value> {
    let chats: Vec<Vec<Message>> = from_slice(&std::fs::read(chats)?)?;
    let llm = LocalLlm::load(folder, folder, config)?;
    let (mut seconds, mut prompts, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for messages in chats {
        let mut request = ChatRequest::new(Purpose::Other, messages);
        request.max_tokens = Some(48);
        prompts.push(llm.prompt(&request)?.1);
        let start = Instant::now();
        written.push(llm.complete(request).await?.usage.output_tokens);
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(json!({ "seconds": seconds, "prompts": prompts, "written": written }))
}
