//! Products, goals, and the interface of a catalogue: what search, pages and rewards need to know of the products.

use std::borrow::Cow;

/// A product as WebShop's pages and rewards see it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Product {
    /// Identifier, upper case, ten characters.
    pub asin: String,
    /// Title; also the `name` of a goal.
    pub title: String,
    /// Full description.
    pub description: String,
    /// Bullet points, shown on the Features page.
    pub bullets: Vec<String>,
    /// One price, or the ends of a range; dollars.
    pub pricing: Vec<f64>,
    /// The price as shown, such as `$59.5` or `$10.71 to $18.34`.
    pub price_tag: String,
    /// Option names (lower case) and their values, in the catalogue's order.
    pub options: Vec<(String, Vec<String>)>,
    /// Attributes.
    pub attributes: Vec<String>,
    /// The category query that the product was found under, lower case.
    pub query: String,
    /// Department, such as `fashion`.
    pub category: String,
    /// Path of categories, separated by U+203A.
    pub product_category: String,
    /// Address of the main image.
    pub image: String,
}

/// What an episode's shopper wants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Goal {
    /// The product that the goal was made from.
    pub asin: String,
    /// Its department.
    pub category: String,
    /// Its category query.
    pub query: String,
    /// Its title.
    pub name: String,
    /// Its path of categories.
    pub product_category: String,
    /// The instruction shown to the shopper.
    pub instruction: String,
    /// Attributes that the purchase must have.
    pub attributes: Vec<String>,
    /// Highest acceptable price, dollars; 1,000,000 if the instruction names none.
    pub price_upper: f64,
    /// Options that the purchase must have.
    pub options: GoalOptions,
    /// Weight of this goal in a weighted draw.
    pub weight: f64,
}

/// Wanted options: the two kinds of goals store and match them differently.
#[derive(Debug, Clone, PartialEq)]
pub enum GoalOptions {
    /// Human goals: only values.
    Values(Vec<String>),
    /// Synthetic goals: (name, value) pairs.
    Pairs(Vec<(String, String)>),
}

impl Default for GoalOptions {
    fn default() -> Self {
        Self::Pairs(Vec::new())
    }
}

impl GoalOptions {
    /// Number of wanted options.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Pairs(pairs) => pairs.len(),
        }
    }
    /// Whether no option is wanted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The products and the goals. Products are numbered from 0; implementations store them or make them on demand.
pub trait Catalogue: Send + Sync {
    /// Number of products.
    fn len(&self) -> u32;
    /// Whether there are no products.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Product `index`.
    fn product(&self, index: u32) -> Cow<'_, Product>;
    /// The product's number, by its asin (upper case).
    fn find(&self, asin: &str) -> Option<u32>;
    /// The one price that counts for the reward, dollars: a range is drawn once per catalogue.
    fn price(&self, index: u32) -> f64;
    /// Number of goals.
    fn goals(&self) -> u64;
    /// Goal `index`, below [`Catalogue::goals`].
    fn goal(&self, index: u64) -> Cow<'_, Goal>;
}
