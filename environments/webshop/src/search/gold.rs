//! Against what Lucene itself answered over the real catalogue.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;

use forethought_sdk::serde_json::{self, Value};

use super::{Index, analyze, document};
use crate::product::{Catalogue, Goal, Product};

/// The folder of real data and golden files, if there is one.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("FORETHOUGHT_DATA")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into(), PathBuf::from);
    if folder.join("webshop_gold").is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no golden files in {}: set FORETHOUGHT_DATA",
        folder.display()
    );
    println!("not compared with Lucene: no golden files in {}; set FORETHOUGHT_DATA", folder.display());
    None
}

fn lines(path: PathBuf) -> Vec<String> {
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(str::to_owned).collect()
}

/// The columns of a table whose first column is the line number.
fn table(path: PathBuf) -> Vec<String> {
    let rows = lines(path).into_iter().enumerate();
    rows.map(|(number, line)| line.strip_prefix(&format!("{number}\t")).expect("numbered lines").to_owned())
        .collect()
}

/// The real products, with no more than search reads.
struct Shelf(Vec<Product>);

impl Shelf {
    fn read(folder: PathBuf) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let product = |line: &String| {
            let raw: Value = serde_json::from_str(line).expect("a product in JSON");
            let options = raw["options"].as_object().into_iter().flatten();
            Product {
                asin: text(&raw["asin"]),
                title: text(&raw["Title"]),
                description: text(&raw["Description"]),
                bullets: list(&raw["BulletPoints"]),
                options: options.map(|(name, values)| (name.clone(), list(values))).collect(),
                ..Product::default()
            }
        };
        Self(lines(folder.join("products.jsonl")).iter().map(product).collect())
    }
}

impl Catalogue for Shelf {
    fn len(&self) -> u32 {
        self.0.len() as u32
    }
    fn product(&self, index: u32) -> Cow<'_, Product> {
        Cow::Borrowed(&self.0[index as usize])
    }
    fn find(&self, asin: &str) -> Option<u32> {
        self.0.iter().position(|product| product.asin == asin).map(|at| at as u32)
    }
    fn price(&self, _index: u32) -> f64 {
        0.0
    }
    fn goals(&self) -> u64 {
        0
    }
    fn goal(&self, _index: u64) -> Cow<'_, Goal> {
        Cow::Owned(Goal::default())
    }
}

#[test]
fn documents_have_the_indexed_text_and_tokens() {
    let Some(data) = data() else { return };
    let shelf = Shelf::read(data.join("webshop_products"));
    let texts = lines(data.join("webshop_products/index_contents.jsonl"));
    let tokens = table(data.join("webshop_gold/doc_tokens.tsv"));
    assert_eq!((shelf.0.len(), texts.len()), (tokens.len(), tokens.len()));
    for ((product, text), tokens) in shelf.0.iter().zip(&texts).zip(&tokens) {
        let indexed: Value = serde_json::from_str(text).expect("a document in JSON");
        assert_eq!(document(product), indexed["contents"], "text of {}", product.asin);
        assert_eq!(analyze(&document(product)).join(" "), *tokens, "tokens of {}", product.asin);
    }
}

#[test]
fn queries_have_lucenes_tokens() {
    let Some(gold) = data().map(|data| data.join("webshop_gold")) else { return };
    let queries = lines(gold.join("queries.txt"));
    let tokens = table(gold.join("query_tokens.tsv"));
    assert_eq!(queries.len(), tokens.len());
    for (query, tokens) in queries.iter().zip(&tokens) {
        assert_eq!(analyze(query).join(" "), *tokens, "{query}");
    }
}

#[test]
fn rankings_and_scores_are_lucenes() {
    let Some(data) = data() else { return };
    let shelf = Shelf::read(data.join("webshop_products"));
    let index = Index::build(&shelf);
    let queries = lines(data.join("webshop_gold/queries.txt"));
    let rankings = table(data.join("webshop_gold/rank.tsv"));
    assert_eq!(queries.len(), rankings.len());
    for (query, ranking) in queries.iter().zip(&rankings) {
        let hits = index.search(query, 50);
        let expected: Vec<&str> = ranking.split('\t').filter(|hit| !hit.is_empty()).collect();
        assert_eq!(hits.len(), expected.len(), "{query}");
        for (hit, expected) in hits.iter().zip(expected) {
            let mut fields = expected.split(':');
            let asin = fields.next().expect("an asin");
            assert_eq!(shelf.0[hit.product as usize].asin, asin, "{query}: {ranking}");
            let score: f32 = fields.next().and_then(|score| score.parse().ok()).expect("a score");
            assert!((hit.score - score).abs() < 6e-5, "{query}: {} for {score} of {asin}", hit.score);
        }
    }
}
