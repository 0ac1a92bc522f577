//! The real SmolLM2-135M-Instruct, held to what its dequantised weights give (see `smollm2_reference.py`).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forethought_llm_local::{LocalConfig, LocalLlm};
use forethought_sdk::{prelude::*, serde_json};
use forethought_testkit::Suite;

const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// Logits that are closer to each other may change places where arithmetic rounds differently.
const TIE: f32 = 0.02;

fn main() -> ExitCode {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/smollm2"));
    let unable = (!folder.join(FILE).exists())
        .then(|| "SmolLM2-135M-Instruct is missing; `bash .ci/smollm2` fetches it".to_owned());
    let test = move || smollm2_writes_what_its_dequantised_weights_give(&folder);
    Suite::default().unless(unable, "smollm2_writes_what_its_dequantised_weights_give", test).run()
}

#[data]
struct Reference {
    messages: Vec<Message>,
    /// The prompt, and its tokens.
    text: String,
    ids: Vec<u32>,
    /// The most likely tokens, one after the other, and how far each one's logit is above the next.
    greedy: Vec<u32>,
    margins: Vec<f32>,
    /// The text of those tokens.
    answer: String,
}

#[tokio::main]
async fn smollm2_writes_what_its_dequantised_weights_give(folder: &Path) {
    let references: Vec<Reference> =
        serde_json::from_str(include_str!("fixtures/smollm2_reference.json")).expect("the fixture is valid");
    let config = LocalConfig {
        file: Some(FILE.into()),
        device: "cpu".into(),
        temperature: Some(0.0),
        max_tokens: 24,
        ..LocalConfig::default()
    };
    let llm = LocalLlm::load(folder, folder, &config).expect("loads");
    assert_eq!(references.len(), 3);
    for reference in references {
        let request = ChatRequest::new(Purpose::Other, reference.messages);
        assert_eq!(llm.prompt(&request).expect("a prompt"), (reference.text, reference.ids.clone()));

        // After the reference's own tokens, the next one is the same.
        let mut parts = vec![&reference.ids[..]];
        parts.extend(reference.greedy.chunks(1));
        let logits = LocalLlm::logits(folder, &config, &parts).expect("logits");
        for (at, (&token, &margin)) in reference.greedy.iter().zip(&reference.margins).enumerate() {
            let logits = &logits[at];
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let below = most - logits[token as usize];
            assert!(below <= (TIE - margin).max(0.0), "token {at}, {token}: {below} below the first");
        }

        // And so is the whole answer, up to the first token that might be another one.
        let sure = reference.margins.iter().take_while(|margin| **margin > TIE).count();
        let answer = llm.complete(request).await.expect("an answer");
        let answer = answer.text();
        let same = answer.chars().zip(reference.answer.chars()).take_while(|(a, b)| a == b).count();
        println!("{sure} tokens sure, {same} characters of {} the same", reference.answer.chars().count());
        if sure == reference.greedy.len() {
            assert_eq!(answer, reference.answer);
        }
    }
}
