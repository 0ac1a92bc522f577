//! Fuzzy comparison of short texts: `token_set_ratio` as thefuzz over rapidfuzz computes it.

use std::collections::BTreeSet;

/// A text made ready for comparison: its distinct words in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// Drops Latin-1 signs, turns what is not a letter or digit into a space, lower-cases, splits.
    pub fn new(text: &str) -> Self {
        let text: String = text
            .chars()
            .filter(|c| !('\u{80}'..='\u{ff}').contains(c))
            .map(|c| if c.is_alphanumeric() { c.to_lowercase().next().unwrap_or(c) } else { ' ' })
            .collect();
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Similarity from 0 to 100. 100 as soon as one text's words are among the other's.
    pub fn token_set_ratio(&self, other: &Self) -> u32 {
        if self.0.is_empty() || other.0.is_empty() {
            return 0;
        }
        let join = |words: &mut dyn Iterator<Item = &String>| {
            words.map(String::as_str).collect::<Vec<_>>().join(" ").chars().collect::<Vec<char>>()
        };
        let common = join(&mut self.0.intersection(&other.0));
        let mine = join(&mut self.0.difference(&other.0));
        let theirs = join(&mut other.0.difference(&self.0));
        if !common.is_empty() && (mine.is_empty() || theirs.is_empty()) {
            return 100;
        }
        let with = |rest: &[char]| {
            let gap: &[char] = if common.is_empty() { &[] } else { &[' '] };
            [&common, gap, rest].concat()
        };
        let (mine, theirs) = (with(&mine), with(&theirs));
        let mut best = ratio(&mine, &theirs);
        if !common.is_empty() {
            best = best.max(ratio(&common, &mine)).max(ratio(&common, &theirs));
        }
        // Python rounds halves to even.
        best.round_ties_even() as u32
    }
}

/// Twice the longest common subsequence over both lengths, in percent.
fn ratio(a: &[char], b: &[char]) -> f64 {
    let mut row = vec![0_u32; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (at, y) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if x == y { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    200.0 * f64::from(row[b.len()]) / (a.len() + b.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(a: &str, b: &str) -> u32 {
        Words::new(a).token_set_ratio(&Words::new(b))
    }

    /// Figures of thefuzz 0.22.1.
    #[test]
    fn agrees_with_thefuzz() {
        for (a, b, expected) in [
            ("essential oil", "essential oils", 96),
            ("cool powder snow", "powder snow", 100),
            ("tea bag", "tea tree", 60),
            ("navy", "('color', 'navy')", 100),
            ("x-large", "xx-large", 93),
            ("café", "caf", 100),
            ("", "anything", 0),
            ("!!!", "???", 0),
        ] {
            assert_eq!(compare(a, b), expected, "{a:?} against {b:?}");
            assert_eq!(compare(b, a), expected, "{b:?} against {a:?}");
        }
    }
}
