//! From text to index terms, as Lucene's English analyzer makes them.

use super::{porter, tokenizer};

/// Words too common to search for.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
    "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to",
    "was", "will", "with",
];

/// The index terms of `text`, in order.
pub fn analyze(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for token in tokenizer::tokens(text) {
        terms.extend(term(token));
    }
    terms
}

/// The index term of one token: without `'s`, lower case, stemmed; none for a stop word.
pub(super) fn term(token: &str) -> Option<String> {
    // Character by character, as Java does: a final sigma does not change.
    let mut term: String =
        without_possessive(token).chars().filter_map(|c| c.to_lowercase().next()).collect();
    if STOP_WORDS.contains(&term.as_str()) {
        return None;
    }
    porter::stem(&mut term);
    Some(term)
}

fn without_possessive(token: &str) -> &str {
    let Some(owner) = token.strip_suffix(['s', 'S']) else { return token };
    owner.strip_suffix(['\'', '\u{2019}', '\u{FF07}']).unwrap_or(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_terms() {
        let terms = analyze("The men's Running-Shoes, with memory foam (15.6 in)");
        assert_eq!(terms, ["men", "run", "shoe", "memori", "foam", "15.6"]);
    }
}
