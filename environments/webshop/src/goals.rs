//! Goals: what the shoppers of a catalogue want, drawn as upstream does.

use std::collections::HashMap;

use crate::product::{Goal, GoalOptions, Product};
use crate::python_random::PythonRandom;

/// Seed of upstream's fixed shuffle of the goals.
const SHUFFLE: u64 = 233;

/// A synthetic wish: the instruction of a product before options and price are added.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticWish {
    /// Instruction.
    pub instruction: String,
    /// Attributes wanted.
    pub attributes: Vec<String>,
}

/// A human's wish.
#[derive(Debug, Clone, PartialEq)]
pub struct HumanWish {
    /// Instruction.
    pub instruction: String,
    /// Attributes wanted; wishes without any are left out.
    pub attributes: Vec<String>,
    /// Option values wanted.
    pub options: Vec<String>,
}

/// The one price of every product; a range is drawn from `random`, in the order of the products.
pub fn prices(products: &[Product], random: &mut PythonRandom) -> Vec<f64> {
    products
        .iter()
        .map(|product| match product.pricing[..] {
            [] => 100.0,
            [price] => price,
            [low, high, ..] => random.uniform(low, high),
        })
        .collect()
}

/// The price limit of a goal for a product of `price`, and its words in the instruction.
fn price_limit(price: f64, random: &mut PythonRandom) -> (f64, String) {
    let steps: Vec<f64> =
        (1..100).map(|step| 10.0 * f64::from(step)).filter(|&step| step > price).take(4).collect();
    if steps.len() < 2 {
        return (1_000_000.0, String::new());
    }
    let limit = random.sample(&steps, 2).into_iter().fold(0.0, f64::max);
    (limit, format!(", and price lower than {limit:.2} dollars"))
}

fn goal_for(product: &Product, instruction: String, attributes: &[String], price_upper: f64) -> Goal {
    Goal {
        asin: product.asin.clone(),
        category: product.category.clone(),
        query: product.query.clone(),
        name: product.title.clone(),
        product_category: product.product_category.clone(),
        instruction,
        attributes: attributes.to_vec(),
        price_upper,
        options: GoalOptions::default(),
        weight: 1.0,
    }
}

/// One goal per product and combination of its options, shuffled. `wishes` and `prices` are by product.
pub fn synthetic(
    products: &[Product],
    wishes: &[Option<SyntheticWish>],
    prices: &[f64],
    mut random: PythonRandom,
) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut counts: HashMap<String, u64> = HashMap::new();
    for ((product, wish), &price) in products.iter().zip(wishes).zip(prices) {
        let Some(wish) = wish else { continue };
        let (limit, price_text) = price_limit(price, &mut random);
        let mut options: Vec<&(String, Vec<String>)> = product.options.iter().collect();
        options.sort_by(|a, b| a.0.cmp(&b.0));
        for combination in combinations(&options) {
            let wanted: Vec<String> =
                combination.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let with = if wanted.is_empty() { "" } else { " with " };
            let instruction = format!("{}{with}{}{price_text}", wish.instruction, wanted.join(", and "));
            let mut goal = goal_for(product, instruction, &wish.attributes, limit);
            goal.options = GoalOptions::Pairs(combination);
            goals.push(goal);
            for attribute in &wish.attributes {
                *counts.entry(attribute.clone()).or_default() += 1;
            }
        }
    }
    for goal in &mut goals {
        // Added one by one from the left, as Python's sum does; the last bit depends on it.
        let rarity = goal.attributes.iter().fold(0.0, |sum, attribute| sum + 1.0 / counts[attribute] as f64);
        goal.weight = rarity / goal.attributes.len() as f64;
    }
    shuffled(goals)
}

/// Every choice of one value per option; the last option varies fastest.
fn combinations(options: &[&(String, Vec<String>)]) -> Vec<Vec<(String, String)>> {
    options.iter().fold(vec![Vec::new()], |chosen, (name, values)| {
        chosen
            .iter()
            .flat_map(|chosen| {
                values.iter().map(move |value| {
                    let mut chosen = chosen.clone();
                    chosen.push((name.clone(), value.clone()));
                    chosen
                })
            })
            .collect()
    })
}

/// One goal per human instruction that names attributes, shuffled. `wishes` and `prices` are by product.
pub fn human(
    products: &[Product],
    wishes: &[Vec<HumanWish>],
    prices: &[f64],
    mut random: PythonRandom,
) -> Vec<Goal> {
    let mut goals = Vec::new();
    for ((product, wishes), &price) in products.iter().zip(wishes).zip(prices) {
        for wish in wishes.iter().filter(|wish| !wish.attributes.is_empty()) {
            let (limit, price_text) = price_limit(price, &mut random);
            let instruction = format!("{}{price_text}", wish.instruction.trim_matches('.'));
            let mut goal = goal_for(product, instruction, &wish.attributes, limit);
            goal.options = GoalOptions::Values(wish.options.clone());
            goals.push(goal);
        }
    }
    shuffled(goals)
}

fn shuffled(mut goals: Vec<Goal>) -> Vec<Goal> {
    PythonRandom::seed(SHUFFLE).shuffle(&mut goals);
    goals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shoes() -> Product {
        Product {
            asin: "B000000001".into(),
            title: "Shoes".into(),
            pricing: vec![985.0],
            options: vec![
                ("size".into(), vec!["8".into(), "9".into()]),
                ("color".into(), vec!["red".into(), "tan".into()]),
            ],
            ..Default::default()
        }
    }

    #[test]
    fn a_synthetic_goal_is_made_for_every_combination() {
        let wish = SyntheticWish { instruction: "Find me shoes".into(), attributes: vec!["non slip".into()] };
        let goals = synthetic(&[shoes()], &[Some(wish)], &[985.0], PythonRandom::seed(0));
        assert_eq!(goals.len(), 4);
        let first = goals.iter().map(|goal| goal.instruction.as_str()).min();
        // Only one price step lies above 985 dollars, so no limit is named; options come by name.
        assert_eq!(first, Some("Find me shoes with color: red, and size: 8"));
        assert!(goals.iter().all(|goal| goal.price_upper == 1_000_000.0 && goal.weight == 0.25));
    }

    #[test]
    fn a_human_goal_needs_attributes_and_loses_its_full_stops() {
        let wish = |attributes: Vec<String>| HumanWish {
            instruction: "i want shoes..".into(),
            attributes,
            options: vec!["red".into()],
        };
        let wishes = vec![vec![wish(vec![]), wish(vec!["non slip".into()])]];
        let goals = human(&[shoes()], &wishes, &[12.0], PythonRandom::seed(0));
        assert_eq!(goals.len(), 1);
        assert!(goals[0].instruction.starts_with("i want shoes, and price lower than "));
        assert!((20.0..=50.0).contains(&goals[0].price_upper));
        assert_eq!(goals[0].options, GoalOptions::Values(vec!["red".into()]));
    }

    #[test]
    fn a_price_range_is_drawn_and_a_missing_price_is_a_hundred_dollars() {
        let products =
            [vec![], vec![5.0], vec![3.0, 7.0]].map(|pricing| Product { pricing, ..Default::default() });
        assert_eq!(
            prices(&products, &mut PythonRandom::seed(0)),
            [100.0, 5.0, 3.0 + 4.0 * 0.8444218515250481]
        );
    }
}
