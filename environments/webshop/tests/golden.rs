//! WebShop against golden outputs of the original code and of Lucene.

use std::fs::read_to_string;
use std::path::Path;
use std::process::ExitCode;

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Value, json};
use forethought_testkit::{Suite, block_on};
use forethought_webshop::catalogue::{FileCatalogue, GoalKind};
use forethought_webshop::environment::WebShop;
use forethought_webshop::product::Catalogue;
use forethought_webshop::search::{Index, document};
use forethought_webshop::verify::WebShopVerifier;

fn main() -> ExitCode {
    let sets = ["webshop_products", "webshop_gold"];
    Suite::default()
        .golden("every_golden_output_of_the_original_code_is_met", &sets, every_golden_output)
        .golden("golden_sessions_are_the_same_by_calls", &sets, sessions_by_calls)
        .golden("documents_have_the_indexed_text", &sets[..1], documents_have_the_indexed_text)
        .golden("scores_are_lucenes", &sets, scores_are_lucenes)
        .run()
}

fn every_golden_output(data: &Path) {
    let silent = Arc::new(forethought_sdk::api::critic::NoProgress);
    let checks = block_on(WebShopVerifier.verify(data.into(), silent)).expect("complete golden files");
    assert_eq!(checks.len(), 39);
    for check in &checks {
        println!("{}: {} of {}", check.name, check.passed, check.total);
        assert!(check.total > 0, "nothing was compared for {}", check.name);
        assert_eq!(check.passed, check.total, "{}: {:#?}", check.name, check.failures);
    }
}

/// The recorded sessions, played as text and as calls of tools.
fn sessions_by_calls(data: &Path) {
    let shop = |actions: &str| {
        let catalogue = data.join("webshop_products");
        let config = json!({
            "catalogue": catalogue, "observation": "text", "max_steps": 0, "strict": true, "actions": actions
        });
        WebShop::new(serde_json::from_value(config).expect("a configuration")).expect("a shop")
    };
    let (texts, calls) = (shop("text"), shop("tools"));
    let mut steps = 0;
    for line in lines(&data.join("webshop_gold/traces_text.jsonl")) {
        let trace: Value = serde_json::from_str(&line).expect("a session");
        let reset = Reset { task: trace["session"].as_u64().expect("a task"), seed: 0 };
        let seen = |shop: &WebShop| block_on(shop.reset(reset)).expect("a turn").observation;
        assert_eq!(seen(&texts), seen(&calls));
        for step in trace["steps"].as_array().expect("steps") {
            let action = step["action"].as_str().expect("an action");
            // A thought is no call.
            if action.starts_with("think[") {
                continue;
            }
            let call =
                action.strip_suffix(']').and_then(|action| action.split_once('[')).map(|(name, text)| {
                    let argument = if name == "search" { "query" } else { "target" };
                    format!("{name}({})", json!({ argument: text }))
                });
            let act = |shop: &WebShop, action: &str| {
                let answer = block_on(shop.step(Action::new(action))).expect("an answer");
                let turn = Turn { observation: answer.turn.observation, ..Turn::default() };
                Transition { turn, ..answer }
            };
            assert_eq!(act(&texts, action), act(&calls, call.as_deref().unwrap_or(action)), "{action}");
            steps += 1;
        }
    }
    assert!(steps > 300, "{steps}");
}

fn catalogue(data: &Path) -> FileCatalogue {
    FileCatalogue::read(&data.join("webshop_products"), GoalKind::Synthetic, 0).expect("the products")
}

fn lines(path: &Path) -> Vec<String> {
    let text = read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(str::to_owned).collect()
}

fn documents_have_the_indexed_text(data: &Path) {
    let catalogue = catalogue(data);
    let texts = lines(&data.join("webshop_products/index_contents.jsonl"));
    assert_eq!(catalogue.len() as usize, texts.len());
    for (index, text) in texts.iter().enumerate() {
        let product = catalogue.product(index as u32);
        let indexed: Value = serde_json::from_str(text).expect("a document in JSON");
        assert_eq!(document(&product), indexed["contents"], "text of {}", product.asin);
    }
}

/// `verify` counts scores that are within 1e-4; these agree in all four decimals of the file.
fn scores_are_lucenes(data: &Path) {
    let index = Index::build(&catalogue(data));
    let queries = lines(&data.join("webshop_gold/queries.txt"));
    let rankings = lines(&data.join("webshop_gold/rank.tsv"));
    assert_eq!(queries.len(), rankings.len());
    for (query, ranking) in queries.iter().zip(&rankings) {
        let hits = index.search(query, 50);
        // The line's number, then `asin:score:document` for each hit.
        let expected = ranking.split('\t').skip(1).filter(|hit| !hit.is_empty());
        let score = |hit: &str| hit.split(':').nth(1).and_then(|score| score.parse().ok());
        let expected: Vec<f32> = expected.map(|hit| score(hit).expect("a score")).collect();
        assert_eq!(hits.len(), expected.len(), "{query}");
        for (hit, score) in hits.iter().zip(expected) {
            assert!((hit.score - score).abs() < 6e-5, "{query}: {} for {score}", hit.score);
        }
    }
}
