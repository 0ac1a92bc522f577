//! GGUF files: loaded as a model, or refused with a reason that names the file.
#![no_main]

use std::sync::LazyLock;

use forethought_fuzz as _;
use forethought_llm_local::{LocalConfig, LocalLlm};
use forethought_sdk::prelude::*;
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    // Instead of libFuzzer's hook, which aborts: the plugin catches panics of candle's reader of headers.
    std::panic::set_hook(Box::new(|panic| {
        if !panic.location().is_some_and(|place| place.file().ends_with("quantized/gguf_file.rs")) {
            eprintln!("{panic}");
        }
    }));
    tempfile::tempdir().expect("a folder")
});

fuzz_target!(|bytes: &[u8]| {
    let folder = FOLDER.path();
    std::fs::write(folder.join("model.gguf"), bytes).expect("written");
    let config = LocalConfig { model: ConfigPath(folder.to_owned()), ..LocalConfig::default() };
    match LocalLlm::load(folder, folder, &config) {
        Ok(model) => {
            let request =
                ChatRequest { messages: vec![Message::user("Hello, <s> 1")], ..ChatRequest::default() };
            let _ = model.prompt(&request);
        }
        Err(error) => assert!(error.to_string().contains(&*folder.to_string_lossy()), "{error}"),
    }
});
