//! The inverted index and its ranking.

use std::collections::HashMap;

use super::analyze;
use crate::product::{Catalogue, Product};

/// A product that search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Number of the product in its catalogue.
    pub product: u32,
    /// BM25 score.
    pub score: f32,
}

/// An inverted index over a catalogue.
#[derive(Debug)]
pub struct Index {
    terms: HashMap<String, Vec<(u32, u32)>>,
    lengths: Vec<u32>,
    asins: Vec<String>,
}

/// The text under which a product is found.
pub fn document(product: &Product) -> String {
    let options: Vec<String> =
        product.options.iter().map(|(name, values)| format!("{name}: {}", values.join(", "))).collect();
    let bullet = product.bullets.first().map_or("", String::as_str);
    format!("{} {} {} {}", product.title, product.description, bullet, options.join(", and ")).to_lowercase()
}

impl Index {
    /// Indexes every product of `catalogue`.
    pub fn build(catalogue: &dyn Catalogue) -> Self {
        let mut index = Self { terms: HashMap::new(), lengths: Vec::new(), asins: Vec::new() };
        for number in 0..catalogue.len() {
            let product = catalogue.product(number);
            let terms = analyze(&document(&product));
            index.lengths.push(terms.len() as u32);
            index.asins.push(product.asin.clone());
            for term in terms {
                let postings = index.terms.entry(term).or_default();
                match postings.last_mut() {
                    Some((last, count)) if *last == number => *count += 1,
                    _ => postings.push((number, 1)),
                }
            }
        }
        index
    }

    /// The best `k` products for `query`, best first; equal scores by ascending asin.
    pub fn search(&self, query: &str, k: usize) -> Vec<Hit> {
        let documents = self.lengths.len() as f32;
        let average = self.lengths.iter().sum::<u32>() as f32 / documents;
        let mut scores: HashMap<u32, f64> = HashMap::new();
        for term in analyze(query) {
            let Some(postings) = self.terms.get(&term) else { continue };
            let found = postings.len() as f32;
            let weight = (1.0 + (documents - found + 0.5) / (found + 0.5)).ln();
            for &(product, count) in postings {
                let inverse = 1.0 / (0.9 * (0.6 + 0.4 * self.lengths[product as usize] as f32 / average));
                *scores.entry(product).or_default() +=
                    f64::from(weight - weight / (1.0 + count as f32 * inverse));
            }
        }
        let mut hits: Vec<Hit> =
            scores.into_iter().map(|(product, score)| Hit { product, score: score as f32 }).collect();
        let asin = |hit: &Hit| &self.asins[hit.product as usize];
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| asin(a).cmp(asin(b))));
        hits.truncate(k);
        hits
    }
}
