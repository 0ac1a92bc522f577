//! The kinds of products that the generated shop sells, by department.

mod beauty;
mod electronics;
mod fashion;
mod garden;
mod grocery;

/// A department: its brands and its families.
pub(super) struct Department {
    /// WebShop's name for it.
    pub(super) name: &'static str,
    /// Separated by commas, as all lists here.
    pub(super) brands: &'static str,
    pub(super) families: &'static [Family],
}

/// Products that a shopper would compare with each other.
pub(super) struct Family {
    /// The category query; a plural or a substance, so that no article is missed.
    pub(super) query: &'static str,
    /// Path of categories.
    pub(super) path: &'static str,
    /// What such products may be or, after a `+`, may come with.
    pub(super) attributes: &'static str,
    pub(super) materials: &'static str,
    pub(super) options: &'static [Dimension],
    /// Least and highest price, whole dollars.
    pub(super) price: (u32, u32),
}

/// Something to choose at purchase.
pub(super) struct Dimension {
    pub(super) name: &'static str,
    pub(super) values: &'static str,
    /// How many values a product offers.
    pub(super) offered: (usize, usize),
    /// Whether the offered values are neighbours, as sizes are.
    pub(super) ordered: bool,
}

const fn pick(name: &'static str, values: &'static str, least: usize, most: usize) -> Dimension {
    Dimension { name, values, offered: (least, most), ordered: false }
}

const fn run(name: &'static str, values: &'static str, least: usize, most: usize) -> Dimension {
    Dimension { name, values, offered: (least, most), ordered: true }
}

/// The entries of a comma-separated list.
pub(super) fn entries(list: &'static str) -> Vec<&'static str> {
    list.split(", ").collect()
}

pub(super) const DEPARTMENTS: [&Department; 5] =
    [&fashion::FASHION, &beauty::BEAUTY, &grocery::GROCERY, &garden::GARDEN, &electronics::ELECTRONICS];

/// Number of families in all departments.
pub(super) const FAMILIES: usize = {
    let mut count = 0;
    let mut at = 0;
    while at < DEPARTMENTS.len() {
        count += DEPARTMENTS[at].families.len();
        at += 1;
    }
    count
};

/// Family `number`, counted through all departments.
pub(super) fn family(mut number: usize) -> (&'static Department, &'static Family) {
    for department in DEPARTMENTS {
        match department.families.get(number) {
            Some(family) => return (department, family),
            None => number -= department.families.len(),
        }
    }
    unreachable!("families are numbered below FAMILIES")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::fuzzy::Words;
    use crate::product::{Goal, GoalOptions, Product};
    use crate::reward::reward;

    /// Whether `bought` counts as `wanted` for the reward.
    fn counts(bought: &str, (name, wanted): (&str, &str)) -> bool {
        let options = GoalOptions::Pairs(vec![(name.into(), wanted.into())]);
        let goal = Goal { options, ..Goal::default() };
        // The reward does not look at the name of what was bought.
        reward(&Product::default(), &goal, 1.0, &[(String::new(), bought.into())]).r_option == Some(1.0)
    }

    /// Rewards compare by similarity, so values must not resemble each other.
    #[test]
    fn the_reward_tells_all_values_apart() {
        let mut alike = Vec::new();
        for (_, Family { query, options, .. }) in (0..FAMILIES).map(family) {
            let values = |dimension: &'static Dimension| {
                entries(dimension.values).into_iter().map(|value| (dimension.name, value))
            };
            let all: Vec<_> = options.iter().flat_map(values).collect();
            let pairs = all.iter().flat_map(|bought| all.iter().map(move |wanted| (bought, wanted)));
            let wrong = pairs.filter(|(bought, wanted)| counts(bought.1, **wanted) != (bought == wanted));
            alike.extend(wrong.map(|(bought, wanted)| format!("{query}: {bought:?} for {wanted:?}")));
        }
        assert!(alike.is_empty(), "{}", alike.join("\n"));
    }

    #[test]
    fn the_reward_tells_all_attributes_apart() {
        let mut alike = Vec::new();
        for (_, Family { query, attributes, .. }) in (0..FAMILIES).map(family) {
            let phrases: Vec<&str> =
                entries(attributes).iter().map(|entry| entry.trim_start_matches('+')).collect();
            for (number, one) in phrases.iter().enumerate() {
                let similar = |other: &&&str| Words::new(one).token_set_ratio(&Words::new(other)) > 85;
                alike.extend(
                    phrases[..number].iter().filter(similar).map(|other| format!("{query}: {one}, {other}")),
                );
            }
        }
        assert!(alike.is_empty(), "{}", alike.join("\n"));
    }

    #[test]
    fn every_family_is_well_stocked() {
        const { assert!(FAMILIES >= 60) };
        let mut queries = HashSet::new();
        for (department, family) in (0..FAMILIES).map(family) {
            let query = family.query;
            assert!(queries.insert(query), "{query} twice");
            assert!((8..=14).contains(&entries(family.attributes).len()), "attributes of {query}");
            assert!((1..=3).contains(&family.options.len()), "options of {query}");
            assert!(family.path.split(" › ").count() >= 3, "path of {query}");
            assert!(
                entries(department.brands).len() >= 12 && entries(family.materials).len() >= 3,
                "{query}"
            );
            for Dimension { name, values, offered: (least, most), .. } in family.options {
                let values = entries(values);
                assert!((2..=*most).contains(least) && *most <= values.len(), "{name} of {query}");
                assert_eq!(values.iter().collect::<HashSet<_>>().len(), values.len(), "{name} of {query}");
            }
            let text = [family.attributes, family.materials, query].join(", ");
            assert_eq!(text, text.to_lowercase(), "{query}");
        }
    }
}
