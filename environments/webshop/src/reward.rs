//! What a purchase is worth.

use std::collections::BTreeSet;

use forethought_sdk::serde_json::{Map, Value, json};

use crate::fuzzy::Words;
use crate::nouns::nouns;
use crate::product::{Goal, GoalOptions, Product};
use crate::python;

/// Two texts count as the same above this similarity.
const SIMILAR: u32 = 85;

/// Colour words, in the order in which they are searched for: the first one found replaces the whole text.
const COLORS: &[&str] = &[
    "alabaster",
    "apricot",
    "aqua",
    "ash",
    "asphalt",
    "azure",
    "banana",
    "beige",
    "black",
    "blue",
    "blush",
    "bordeaux",
    "bronze",
    "brown",
    "burgundy",
    "camel",
    "camo",
    "caramel",
    "champagne",
    "charcoal",
    "cheetah",
    "chestnut",
    "chocolate",
    "christmas",
    "coffee",
    "cognac",
    "copper",
    "coral",
    "cranberry",
    "cream",
    "crystal",
    "dark",
    "denim",
    "eggplant",
    "elephant",
    "espresso",
    "fuchsia",
    "gold",
    "granite",
    "grape",
    "graphite",
    "grass",
    "gray",
    "green",
    "grey",
    "heather",
    "indigo",
    "ivory",
    "ivy",
    "khaki",
    "lavender",
    "lemon",
    "leopard",
    "light",
    "lilac",
    "lime",
    "magenta",
    "maroon",
    "mauve",
    "merlot",
    "midnight",
    "mint",
    "mocha",
    "multicolor",
    "mushroom",
    "mustard",
    "natural",
    "navy",
    "nude",
    "olive",
    "orange",
    "peach",
    "pewter",
    "pink",
    "plum",
    "purple",
    "rainbow",
    "red",
    "rose",
    "royal",
    "rust",
    "sand",
    "sapphire",
    "seashell",
    "silver",
    "skull",
    "slate",
    "steel",
    "stone",
    "stonewash",
    "sunflower",
    "tan",
    "taupe",
    "teal",
    "tiger",
    "turquoise",
    "violet",
    "walnut",
    "wheat",
    "white",
    "wine",
    "yellow",
];

/// A reward and its parts, under upstream's names.
#[derive(Debug, Clone, PartialEq)]
pub struct Reward {
    /// The reward, within [0, 1].
    pub total: f64,
    /// The share of attributes, options and price limit met: the reward for the right kind of thing.
    pub base: f64,
    /// Factor for buying the right kind of thing.
    pub r_type: f64,
    /// Share of wanted attributes found.
    pub r_att: f64,
    /// Weight of attributes in the sum.
    pub w_att: f64,
    /// Both products were found under the same category query.
    pub query_match: bool,
    /// Both products share at least two categories.
    pub category_match: bool,
    /// Share of the goal name's nouns that the purchased name has.
    pub title_score: f64,
    /// Share of wanted options bought; `None` if none was wanted.
    pub r_option: Option<f64>,
    /// Weight of options in the sum; `None` if none was wanted.
    pub w_option: Option<f64>,
    /// The price was within the limit.
    pub r_price: bool,
    /// Weight of the price in the sum.
    pub w_price: f64,
}

impl Reward {
    /// The parts as upstream reports them.
    pub fn info(&self) -> Value {
        let mut info = Map::new();
        info.insert("r_type".into(), json!(self.r_type));
        info.insert("r_att".into(), json!(self.r_att));
        info.insert("w_att".into(), json!(self.w_att));
        info.insert("query_match".into(), json!(self.query_match));
        info.insert("category_match".into(), json!(self.category_match));
        info.insert("title_score".into(), json!(self.title_score));
        if let (Some(share), Some(weight)) = (self.r_option, self.w_option) {
            info.insert("r_option".into(), json!(share));
            info.insert("w_option".into(), json!(weight));
        }
        info.insert("r_price".into(), json!(self.r_price));
        info.insert("w_price".into(), json!(self.w_price));
        Value::Object(info)
    }
}

/// The reward for buying `product` at `price` with `options` (name, value), when `goal` was wanted.
pub fn reward(product: &Product, goal: &Goal, price: f64, options: &[(String, String)]) -> Reward {
    reward_given(title_score(&product.title, &goal.name), product, goal, price, options)
}

/// The same with a known title score: nothing else depends on the noun tagger.
pub fn reward_given(
    title_score: f64,
    product: &Product,
    goal: &Goal,
    price: f64,
    options: &[(String, String)],
) -> Reward {
    let attributes = attribute_matches(product, &goal.attributes);
    let wanted = option_matches(options.iter().map(|(_, value)| value.as_str()), &goal.options);
    let r_price = price <= goal.price_upper;

    let query_match = product.query == goal.query;
    let category_match = common_categories(&product.product_category, &goal.product_category) >= 2;
    let r_type = type_factor(query_match, category_match, title_score);

    let parts = (goal.attributes.len() + goal.options.len() + 1) as f64;
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let optional = |value: f64| (!goal.options.is_empty()).then_some(value);
    let base = (attributes + wanted + usize::from(r_price)) as f64 / parts;
    Reward {
        total: base * r_type,
        base,
        r_type,
        r_att: share(attributes, goal.attributes.len()),
        w_att: goal.attributes.len() as f64 / parts,
        query_match,
        category_match,
        title_score,
        r_option: optional(share(wanted, goal.options.len())),
        w_option: optional(goal.options.len() as f64 / parts),
        r_price,
        w_price: 1.0 / parts,
    }
}

/// The factor for the kind of thing. A name without common nouns gives nothing, even for an equal query.
pub fn type_factor(query_match: bool, category_match: bool, title_score: f64) -> f64 {
    if title_score == 0.0 {
        0.0
    } else if title_score < 0.1 {
        0.1
    } else if query_match || category_match || title_score > 0.2 {
        1.0
    } else {
        0.5
    }
}

/// Share of the goal name's nouns that the purchased name has: distinct common nouns over all nouns.
pub fn title_score(purchased: &str, wanted: &str) -> f64 {
    let wanted = nouns(wanted);
    if wanted.is_empty() {
        return 0.2;
    }
    let purchased: BTreeSet<String> = nouns(purchased).into_iter().collect();
    let common: BTreeSet<&String> = wanted.iter().filter(|noun| purchased.contains(*noun)).collect();
    common.len() as f64 / wanted.len() as f64
}

fn common_categories(a: &str, b: &str) -> usize {
    let split =
        |path: &'_ str| path.split('›').map(|part| python::strip(part).to_owned()).collect::<BTreeSet<_>>();
    split(a).intersection(&split(b)).count()
}

fn attribute_matches(product: &Product, wanted: &[String]) -> usize {
    let own: Vec<Words> = product.attributes.iter().map(|text| Words::new(text)).collect();
    let texts = [
        product.title.to_lowercase(),
        product.bullets.join(" ").to_lowercase(),
        product.description.to_lowercase(),
    ];
    wanted
        .iter()
        .filter(|wanted| {
            let words = Words::new(wanted);
            own.iter().any(|own| own.token_set_ratio(&words) > SIMILAR)
                || texts.iter().any(|text| text.contains(wanted.as_str()))
        })
        .count()
}

fn option_matches<'a>(bought: impl Iterator<Item = &'a str>, wanted: &GoalOptions) -> usize {
    let bought: Vec<Words> = bought.map(|value| Words::new(normalize_color(value))).collect();
    let matches = |wanted: &str| {
        let words = Words::new(wanted);
        bought.iter().any(|bought| bought.token_set_ratio(&words) > SIMILAR)
    };
    match wanted {
        GoalOptions::Values(values) => values.iter().filter(|value| matches(normalize_color(value))).count(),
        // Upstream compares the printed (name, value) tuple, and looks for a colour among its two members.
        GoalOptions::Pairs(pairs) => pairs
            .iter()
            .filter(|(name, value)| match COLORS.iter().find(|color| *color == name || *color == value) {
                Some(color) => matches(color),
                None => matches(&format!("({}, {})", python::repr(name), python::repr(value))),
            })
            .count(),
    }
}

/// The first colour word within `text`, or `text` itself.
fn normalize_color(text: &str) -> &str {
    COLORS.iter().find(|color| text.contains(**color)).copied().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_first_colour_in_list_order_stands_for_the_text() {
        for (text, expected) in [
            ("", ""),
            ("black forest", "black"),
            ("violet lavender", "lavender"),
            ("steelivy fuchsia", "fuchsia"),
            ("123alabaster", "alabaster"),
            ("standard", "tan"),
            ("size 7", "size 7"),
        ] {
            assert_eq!(normalize_color(text), expected);
        }
        assert_eq!(COLORS.len(), 102);
    }

    #[test]
    fn attributes_are_found_by_likeness_or_in_the_texts() {
        let wanted = texts(&["tea tree", "essential oils", "natural ingredients"]);
        let listed = Product {
            attributes: texts(&["tea tree", "essential oil", "natural ingredients"]),
            ..Default::default()
        };
        assert_eq!(attribute_matches(&listed, &wanted), 3);
        let told = Product {
            bullets: texts(&["This shampoo has Essential Oils"]),
            description: "made with natural ingredients".into(),
            attributes: texts(&["tea bag", "earl gray"]),
            ..Default::default()
        };
        assert_eq!(attribute_matches(&told, &wanted), 2);
        // Bullets are joined by a space before they are searched.
        let split = Product { bullets: texts(&["tea", "tree"]), ..Default::default() };
        assert_eq!(attribute_matches(&split, &wanted), 1);
    }

    #[test]
    fn options_of_human_goals_are_values() {
        let wanted = GoalOptions::Values(texts(&["cool powder snow", "xl", "pack of 12"]));
        assert_eq!(option_matches(["pack of 12", "powder snow", "xl"].into_iter(), &wanted), 3);
        assert_eq!(option_matches(["pack of 12", "blue", "xl"].into_iter(), &wanted), 2);
        assert_eq!(option_matches([].into_iter(), &wanted), 0);
    }

    #[test]
    fn options_of_synthetic_goals_are_pairs() {
        let wanted = GoalOptions::Pairs(vec![
            ("color".into(), "navy".into()),
            ("item shape".into(), "round".into()),
            ("size".into(), "5 x 7".into()),
        ]);
        assert_eq!(
            option_matches(["navy blue", "round", "5 x 7"].into_iter(), &wanted),
            2,
            "blue is not navy"
        );
        assert_eq!(
            option_matches(["navy", "shape", "7"].into_iter(), &wanted),
            3,
            "a subset of the words will do"
        );
    }

    #[test]
    fn categories_count_once_and_in_any_order() {
        assert_eq!(common_categories("a › b › c", "b › c › a"), 3);
        assert_eq!(common_categories("a › a › d", "a › b › c"), 1);
    }

    #[test]
    fn the_factor_for_the_kind_follows_upstream() {
        assert_eq!(type_factor(false, false, 0.21), 1.0);
        assert_eq!(type_factor(false, false, 0.2), 0.5);
        assert_eq!(type_factor(true, false, 0.2), 1.0);
        assert_eq!(type_factor(true, true, 0.09), 0.1);
        assert_eq!(type_factor(true, true, 0.0), 0.0);
    }

    #[test]
    fn parts_add_up() {
        let product = Product {
            title: "Leather Shoes".into(),
            attributes: texts(&["non slip"]),
            query: "shoes".into(),
            ..Default::default()
        };
        let goal = Goal {
            name: "Leather Shoes".into(),
            query: "shoes".into(),
            attributes: texts(&["non slip", "rubber sole"]),
            options: GoalOptions::Pairs(vec![("size".into(), "9".into())]),
            price_upper: 50.0,
            ..Default::default()
        };
        let reward = reward(&product, &goal, 60.0, &[("size".into(), "9".into())]);
        assert_eq!(reward.total, 2.0 / 4.0);
        assert_eq!((reward.r_att, reward.r_option, reward.r_price), (0.5, Some(1.0), false));
        let info = reward.info();
        let names: Vec<&String> = info.as_object().map(|info| info.keys().collect()).unwrap_or_default();
        assert_eq!(
            names,
            [
                "r_type",
                "r_att",
                "w_att",
                "query_match",
                "category_match",
                "title_score",
                "r_option",
                "w_option",
                "r_price",
                "w_price"
            ]
        );
    }
}
