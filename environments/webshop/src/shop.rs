//! What all sessions share: the products and ways to find them.

use std::collections::HashMap;
use std::sync::OnceLock;

use forethought_sdk::seed::{self, RngExt};

use crate::product::Catalogue;
use crate::search::Index;

/// The most products that a search finds.
const FOUND: usize = 50;

/// The products and their index.
pub struct Shop {
    catalogue: Box<dyn Catalogue>,
    index: Index,
    groups: OnceLock<Groups>,
}

/// Products by category, by category query and by attribute.
#[derive(Default)]
struct Groups {
    categories: HashMap<String, Vec<u32>>,
    queries: HashMap<String, Vec<u32>>,
    attributes: HashMap<String, Vec<u32>>,
}

impl Shop {
    /// Indexes `catalogue`.
    pub fn new(catalogue: impl Catalogue + 'static) -> Self {
        let index = Index::build(&catalogue);
        Self { catalogue: Box::new(catalogue), index, groups: OnceLock::new() }
    }

    /// The products and goals.
    pub fn catalogue(&self) -> &dyn Catalogue {
        &*self.catalogue
    }

    /// The search index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Whether `words` ask for random products.
    pub fn is_random(words: &[String]) -> bool {
        words.first().is_some_and(|word| word == "<r>")
    }

    /// The products that `words` find, best first. The first word `<r>` asks for random products (drawn from `seed`
    /// and `draw`), `<a>`, `<c>` and `<q>` for all of an attribute, a category or a category query.
    pub fn find(&self, words: &[String], seed: u64, draw: u64) -> Vec<u32> {
        let rest = || words[1..].join(" ").trim().to_owned();
        let group = |group: fn(&Groups) -> &HashMap<String, Vec<u32>>, name: &str| {
            group(self.groups()).get(name).cloned().unwrap_or_default()
        };
        match words.first().map(String::as_str) {
            Some("<r>") => self.random(seed, draw),
            Some("<a>") => group(|groups| &groups.attributes, &rest()),
            Some("<c>") => group(|groups| &groups.categories, words.get(1).map_or("", |word| word.trim())),
            Some("<q>") => group(|groups| &groups.queries, &rest()),
            _ => self.index.search(&words.join(" "), FOUND).into_iter().map(|hit| hit.product).collect(),
        }
    }

    /// Distinct products in random order.
    fn random(&self, seed: u64, draw: u64) -> Vec<u32> {
        let mut random = seed::stream(seed, &format!("webshop/random search/{draw}"));
        let products = self.catalogue.len();
        let mut found: Vec<u32> = Vec::new();
        // Floyd's sampling: one draw per product, for any size of the catalogue.
        for last in products.saturating_sub(FOUND as u32)..products {
            let product = random.random_range(0..=last);
            let product = if found.contains(&product) { last } else { product };
            let at = random.random_range(0..=found.len());
            found.insert(at, product);
        }
        found
    }

    fn groups(&self) -> &Groups {
        self.groups.get_or_init(|| {
            let mut groups = Groups::default();
            for number in 0..self.catalogue.len() {
                let product = self.catalogue.product(number);
                groups.categories.entry(product.category.clone()).or_default().push(number);
                groups.queries.entry(product.query.clone()).or_default().push(number);
                for attribute in &product.attributes {
                    let products = groups.attributes.entry(attribute.clone()).or_default();
                    if products.last() != Some(&number) {
                        products.push(number);
                    }
                }
            }
            groups
        })
    }
}
