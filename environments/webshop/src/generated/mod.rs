//! A catalogue of made-up goods: every product and goal a pure function of a seed and its number.

use std::borrow::Cow;

use crate::product::{Catalogue, Goal, GoalOptions, Product};

/// Products and goals made on demand.
#[derive(Debug, Clone)]
pub struct GeneratedCatalogue {
    products: u32,
    seed: u64,
}

impl GeneratedCatalogue {
    /// A catalogue of `products` goods under `seed`.
    pub fn new(products: u32, seed: u64) -> Self {
        Self { products, seed }
    }
}

impl Catalogue for GeneratedCatalogue {
    fn len(&self) -> u32 {
        self.products
    }

    fn product(&self, index: u32) -> Cow<'_, Product> {
        let color = ["red", "navy", "black"][(u64::from(index) ^ self.seed) as usize % 3];
        Cow::Owned(Product {
            asin: format!("B0{index:08}"),
            title: format!("{color} running shoes model {index}"),
            description: "Shoes for everyday runs.".into(),
            bullets: vec!["The sole is non slip.".into()],
            pricing: vec![49.5],
            price_tag: "$49.5".into(),
            options: vec![("color".into(), vec![color.into(), "white".into()])],
            attributes: vec!["non slip".into()],
            query: "men's running shoes".into(),
            category: "fashion".into(),
            product_category: "Clothing › Men › Shoes".into(),
            image: String::new(),
        })
    }

    fn find(&self, asin: &str) -> Option<u32> {
        asin.strip_prefix("B0")?.parse().ok().filter(|&index| index < self.products)
    }

    fn price(&self, _index: u32) -> f64 {
        49.5
    }

    fn goals(&self) -> u64 {
        self.products.into()
    }

    fn goal(&self, index: u64) -> Cow<'_, Goal> {
        let product = self.product(index as u32).into_owned();
        Cow::Owned(Goal {
            instruction:
                "Find me non slip men's running shoes with color: white, and price lower than 60.00 dollars"
                    .into(),
            asin: product.asin,
            category: product.category,
            query: product.query,
            name: product.title,
            product_category: product.product_category,
            attributes: product.attributes,
            price_upper: 60.0,
            options: GoalOptions::Pairs(vec![("color".into(), "white".into())]),
            weight: 1.0 / self.products as f64,
        })
    }
}
