//! A shop of generated products: every product and every goal is a pure function of a seed and its number.
//!
//! Nothing is stored, so a shop of a million products needs no more memory than one of ten.

use std::borrow::Cow;

use forethought_sdk::seed::{self, RngExt};

use self::order::Order;
use crate::product::{Catalogue, Goal, Product};

mod asin;
mod families;
mod goods;
mod order;
mod wish;

/// Products and goals made on demand.
///
/// Products take turns through the families. A title names some of a product's attributes and the bullet points name
/// all, so that only the Features page is certain: a search of the default shop for a goal's query and attributes
/// finds a product with all attributes within the price first in 46 % of cases.
#[derive(Debug, Clone)]
pub struct GeneratedCatalogue {
    products: u32,
    seed: u64,
    /// Where this seed's identifiers begin.
    offset: u64,
    goals: Order,
}

impl GeneratedCatalogue {
    /// A shop of `products` products under `seed`. Titles are distinct up to four million products.
    pub fn new(products: u32, seed: u64) -> Self {
        Self {
            products,
            seed,
            offset: seed::derive(seed, "webshop/generated/asin"),
            goals: Order::new(products.into(), seed::derive(seed, "webshop/generated/goals")),
        }
    }

    fn random(&self, what: &str, index: u32) -> seed::ChaCha8Rng {
        seed::stream(self.seed, &format!("webshop/generated/{what}/{index}"))
    }
}

impl Default for GeneratedCatalogue {
    /// A thousand products, as in WebShop's small catalogue.
    fn default() -> Self {
        Self::new(1000, 0)
    }
}

impl Catalogue for GeneratedCatalogue {
    fn len(&self) -> u32 {
        self.products
    }

    fn product(&self, index: u32) -> Cow<'_, Product> {
        assert!(index < self.products, "product {index} of {}", self.products);
        let mut random = self.random("product", index);
        let sketch = goods::sketch(index, &mut random);
        Cow::Owned(goods::product(index, asin::encode(index, self.offset), &sketch, &mut random))
    }

    fn find(&self, asin: &str) -> Option<u32> {
        asin::decode(asin, self.offset).filter(|&index| index < self.products)
    }

    fn price(&self, index: u32) -> f64 {
        match self.product(index).pricing[..] {
            [least, most, ..] => self.random("price", index).random_range(least..=most),
            [price] => price,
            [] => unreachable!("every product has a price"),
        }
    }

    fn goals(&self) -> u64 {
        self.products.into()
    }

    fn goal(&self, index: u64) -> Cow<'_, Goal> {
        let product = self.goals.at(index) as u32;
        let sketch = goods::sketch(product, &mut self.random("product", product));
        let weight = 1.0 / f64::from(self.products);
        let mut random = self.random("goal", product);
        let price = self.price(product);
        Cow::Owned(wish::goal(self.product(product).into_owned(), &sketch, price, weight, &mut random))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::product::GoalOptions;
    use crate::reward::reward;
    use crate::search::Index;

    fn shop() -> GeneratedCatalogue {
        GeneratedCatalogue::default()
    }

    /// Where rewards look for an attribute.
    fn text(product: &Product) -> String {
        [product.title.as_str(), &product.description, &product.bullets.join(" ")].join("\n").to_lowercase()
    }

    fn meets(shop: &GeneratedCatalogue, product: u32, goal: &Goal) -> bool {
        let has = shop.product(product).into_owned().attributes;
        goal.attributes.iter().all(|wanted| has.contains(wanted)) && shop.price(product) <= goal.price_upper
    }

    #[test]
    fn a_shop_is_a_function_of_its_seed() {
        let (one, same, other) = (GeneratedCatalogue::new(500, 7), GeneratedCatalogue::new(500, 7), shop());
        for index in 0..500 {
            assert_eq!(one.product(index), same.product(index));
            assert_eq!(one.price(index), same.price(index));
            assert_eq!(one.goal(index.into()), same.goal(index.into()));
            assert_ne!(one.product(index), other.product(index));
        }
        // A bigger shop begins with the same products.
        assert_eq!(GeneratedCatalogue::new(1_200_000, 7).product(499), one.product(499));
    }

    #[test]
    fn products_are_found_by_asin_and_told_apart_by_title() {
        let shop = GeneratedCatalogue::new(1_200_000, 3);
        let mut titles = HashSet::new();
        for index in (0..1_200_000).step_by(101) {
            let product = shop.product(index);
            assert_eq!(shop.find(&product.asin), Some(index));
            assert!(titles.insert(product.title.clone()), "{} twice", product.title);
        }
        assert_eq!(GeneratedCatalogue::new(10, 3).find(&shop.product(10).asin), None);
        assert_eq!(shop.find("nothing"), None);
    }

    #[test]
    fn a_product_tells_all_its_attributes_and_no_others() {
        let shop = shop();
        for index in 0..shop.len() {
            let product = shop.product(index);
            let text = text(&product);
            let (_, family) = families::family(index as usize % families::FAMILIES);
            for entry in families::entries(family.attributes) {
                let phrase = entry.trim_start_matches('+');
                let has = product.attributes.iter().any(|attribute| attribute == phrase);
                assert_eq!(text.contains(phrase), has, "{phrase} in {text}");
            }
            let title = product.title.to_lowercase();
            let titled =
                product.attributes.iter().filter(|attribute| title.contains(attribute.as_str())).count();
            assert!((1..product.attributes.len()).contains(&titled), "{title}");
            assert!(title.contains(&product.query));
            let tag: Vec<String> = product.pricing.iter().map(|price| format!("${price:?}")).collect();
            assert_eq!(product.price_tag, tag.join(" to "));
        }
    }

    #[test]
    fn every_product_has_one_goal_that_it_meets() {
        let shop = shop();
        let mut products = HashSet::new();
        for index in 0..shop.goals() {
            let goal = shop.goal(index);
            let number = shop.find(&goal.asin).expect("a product of the shop");
            assert!(products.insert(number));
            let product = shop.product(number);
            assert!(meets(&shop, number, &goal));
            assert!((2..=3).contains(&goal.attributes.len()));
            let text = text(&product);
            assert!(
                goal.attributes
                    .iter()
                    .all(|wanted| text.contains(wanted) && goal.instruction.contains(wanted))
            );
            assert!(goal.instruction.contains(&goal.query));

            let GoalOptions::Pairs(wanted) = &goal.options else {
                panic!("options of a generated goal have names")
            };
            assert!(wanted.is_sorted() && wanted.len() == product.options.len());
            for (name, value) in wanted {
                let offered = product.options.iter().find(|(offered, _)| offered == name).expect("offered");
                assert!(offered.1.contains(value), "{name}: {value}");
            }
            assert_eq!(
                reward(&product, &goal, shop.price(number), wanted).total,
                1.0,
                "{}",
                goal.instruction
            );
            assert!(reward(&product, &goal, shop.price(number), &wanted[1..]).total < 1.0);

            let choices: Vec<String> =
                wanted.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let tail = format!(
                " with {}, and price lower than {:.2} dollars",
                choices.join(", and "),
                goal.price_upper
            );
            assert!(goal.instruction.ends_with(&tail), "{}", goal.instruction);
            assert!(goal.price_upper > shop.price(number) && goal.price_upper <= shop.price(number) + 41.0);
        }
    }

    #[test]
    fn price_ranges_are_drawn_within() {
        let shop = shop();
        let ranges: Vec<u32> =
            (0..shop.len()).filter(|&index| shop.product(index).pricing.len() == 2).collect();
        assert!((60..130).contains(&ranges.len()), "{} ranges", ranges.len());
        for index in ranges {
            let (pricing, price) = (shop.product(index).into_owned().pricing, shop.price(index));
            assert!(pricing[0] <= price && price <= pricing[1]);
        }
    }

    #[test]
    fn finding_the_right_product_is_a_task() {
        let shop = shop();
        let index = Index::build(&shop);
        let (mut first, mut few) = (0, 0);
        for goal in (0..shop.goals()).map(|number| shop.goal(number)) {
            let hits = index.search(&format!("{} {}", goal.query, goal.attributes.join(" ")), 50);
            first += u32::from(meets(&shop, hits[0].product, &goal));
            let number = shop.find(&goal.asin).expect("a product of the shop") as usize;
            let alike = (0..shop.len()).skip(number % families::FAMILIES).step_by(families::FAMILIES);
            few += u32::from(alike.filter(|&product| meets(&shop, product, &goal)).count() <= 3);
        }
        println!("of 1,000 goals, the first result is right for {first}, and at most 3 products for {few}");
        assert!((200..600).contains(&first) && few > 700);
    }
}
