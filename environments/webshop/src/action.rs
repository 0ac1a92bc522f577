//! The two action grammars: WebShop's own, and that of ReAct's and LATS's prompts.

/// A parsed action of WebShop's grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// `search[words]`, lower-cased.
    Search(String),
    /// `click[text]`, lower-cased.
    Click(String),
    /// Anything else; it does nothing.
    Other,
}

/// Reads an action as upstream's `(.+)\[(.+)\]` does: from the start of the text, greedily, and ignores what follows.
pub fn parse(text: &str) -> Parsed {
    // The pattern's dots stop at a line's end.
    let line = text.split('\n').next().unwrap_or_default();
    let Some(close) = line.rfind(']') else { return Parsed::Other };
    // The last bracket with a name before it and an argument after it.
    let open = line[..close].char_indices().rev().find(|&(at, c)| c == '[' && at > 0 && at + 1 < close);
    let Some((open, _)) = open else { return Parsed::Other };
    let argument = line[open + 1..close].to_lowercase();
    match &line[..open] {
        "search" => Parsed::Search(argument),
        "click" => Parsed::Click(argument),
        _ => Parsed::Other,
    }
}

/// Whether the action is a thought.
pub fn is_thought(text: &str) -> bool {
    text.trim_start().starts_with("think[")
}

/// Reads an action of the ReAct dialect: the text between the bracket and the last character, case kept.
pub fn parse_react(text: &str) -> Parsed {
    let text = text.trim();
    let argument = |name: &str| {
        let rest = text.strip_prefix(name)?;
        let end = rest.char_indices().next_back().map_or(0, |(at, _)| at);
        Some(rest[..end].to_owned())
    };
    match (argument("search["), argument("click[")) {
        (Some(words), _) => Parsed::Search(words),
        (_, Some(text)) => Parsed::Click(text),
        _ => Parsed::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_pattern_is_greedy_and_not_anchored_at_the_end() {
        let search = |words: &str| Parsed::Search(words.into());
        assert_eq!(parse("search[Red Shoes]"), search("red shoes"));
        assert_eq!(parse("search[a] tail"), search("a"));
        assert_eq!(parse("search[a]]"), search("a]"));
        assert_eq!(parse("search[ ]\nclick[b]"), search(" "));
        assert_eq!(parse("click[BUY NOW]"), Parsed::Click("buy now".into()));
        for text in
            ["", "search", "search[]", "[a]", "Search[a]", " click[a]", "look around", "search[a", "think[a]"]
        {
            assert_eq!(parse(text), Parsed::Other, "{text:?}");
        }
        // The last possible bracket opens the argument, so the name is `search[a`.
        assert_eq!(parse("search[a[b]"), Parsed::Other);
        // It must leave an argument: here the first bracket is the last possible one.
        assert_eq!(parse("search[a[]"), search("a["));
        assert_eq!(parse("click[é]"), Parsed::Click("é".into()));
    }

    #[test]
    fn the_react_dialect_keeps_case_and_drops_the_last_character() {
        assert_eq!(parse_react(" click[Buy Now]"), Parsed::Click("Buy Now".into()));
        assert_eq!(parse_react("search[]"), Parsed::Search(String::new()));
        assert_eq!(parse_react("click[50% off é"), Parsed::Click("50% off ".into()));
        assert_eq!(parse_react("exit[now]"), Parsed::Other);
        assert!(is_thought("think[which one?]"));
    }
}
