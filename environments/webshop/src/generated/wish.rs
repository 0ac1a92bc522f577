//! What a shopper wants, and the words for it.

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, RngExt, SliceRandom};

use super::goods::{Attribute, Sketch};
use crate::product::{Goal, GoalOptions, Product};

const LEADS: [&str; 12] = [
    "Find me",
    "i am looking for",
    "i need",
    "show me",
    "i want",
    "please find",
    "i would like to buy",
    "can you find me",
    "i'm shopping for",
    "help me find",
    "get me",
    "looking for",
];

/// The limit of a goal without one.
const NO_LIMIT: f64 = 1_000_000.0;

/// A goal that `product` at `price` meets in full.
pub(super) fn goal(
    product: Product,
    sketch: &Sketch,
    price: f64,
    weight: f64,
    random: &mut ChaCha8Rng,
) -> Goal {
    let mut wanted = sketch.attributes.clone();
    wanted.shuffle(random);
    wanted.truncate(random.random_range(2..=3));

    let mut options: Vec<(String, String)> = Vec::new();
    for (name, values) in &product.options {
        options.extend(values.choose(random).map(|value| (name.clone(), value.clone())));
    }
    options.sort();

    let price_upper = limit(price, random);
    let mut instruction = request(&wanted, sketch.family.query, random);
    let choices: Vec<String> = options.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    instruction.push_str(&format!(" with {}", choices.join(", and ")));
    if price_upper < NO_LIMIT {
        instruction.push_str(&format!(", and price lower than {price_upper:.2} dollars"));
    }
    Goal {
        asin: product.asin,
        category: product.category,
        query: product.query,
        name: product.title,
        product_category: product.product_category,
        instruction,
        attributes: wanted.iter().map(|attribute| attribute.phrase.to_owned()).collect(),
        price_upper,
        options: GoalOptions::Pairs(options),
        weight,
    }
}

/// WebShop's rule: of the first four tens above the price, the larger of two.
fn limit(price: f64, random: &mut ChaCha8Rng) -> f64 {
    let steps: Vec<f64> =
        (1..100).map(|ten| f64::from(ten * 10)).filter(|&step| step > price).take(4).collect();
    match steps.len() {
        0 | 1 => NO_LIMIT,
        _ => steps.sample(random, 2).copied().fold(0.0, f64::max),
    }
}

/// "Find me waterproof, non slip men's running shoes with memory foam".
fn request(wanted: &[Attribute], query: &str, random: &mut ChaCha8Rng) -> String {
    let phrases = |parts: bool| wanted.iter().filter(move |one| one.is_part == parts).map(|one| one.phrase);
    let lead = LEADS.choose(random).expect("there are leads");
    let qualities: Vec<&str> = phrases(false).collect();
    let parts: Vec<&str> = phrases(true).collect();
    let mut text = (*lead).to_owned();
    let (before, behind) =
        if random.random_bool(0.75) { (qualities, Vec::new()) } else { (Vec::new(), qualities) };
    if !before.is_empty() {
        text.push_str(&format!(" {}", before.join(", ")));
    }
    text.push_str(&format!(" {query}"));
    if !behind.is_empty() {
        text.push_str(&format!(" that are {}", behind.join(" and ")));
    }
    if !parts.is_empty() {
        text.push_str(if behind.is_empty() { " with " } else { " and come with " });
        text.push_str(&parts.join(" and "));
    }
    text
}
