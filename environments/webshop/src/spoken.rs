//! Actions in a language model's own spelling: read where the exact grammar fails, and only with a single meaning.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::action::Parsed;

/// Characters of a refused text that are repeated to its author.
const QUOTED: usize = 80;
/// Closing brackets at which the text of a click may end.
const ENDS: usize = 8;

/// What an action begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Search,
    Click,
    Think,
}

/// An action's verb, the closing bracket that belongs to its opening one, and the text between and behind them.
struct Said<'a> {
    verb: Verb,
    open: char,
    close: char,
    rest: &'a str,
}

/// Marks that models put around an action or its text.
fn is_mark(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '*' | '_' | '`' | '"' | '\'' | '\u{ab}' | '\u{bb}' | '\u{2018}'..='\u{201f}')
}

/// Reads `Search [x]`, `"click[x]"`, `**Action:** click(x)` and their like.
fn said(text: &str) -> Option<Said<'_>> {
    let after = |text: &'_ str, word: &str| {
        text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)).then_some(word.len())
    };
    let mut text = text.trim_start_matches(is_mark);
    if let Some(label) = after(text, "action") {
        let rest = text[label..].trim_start_matches(is_mark);
        text = rest.strip_prefix([':', '\u{ff1a}']).unwrap_or(text).trim_start_matches(is_mark);
    }
    let verbs = [("search", Verb::Search), ("click", Verb::Click), ("think", Verb::Think)];
    let (verb, length) = verbs.into_iter().find_map(|(word, verb)| Some((verb, after(text, word)?)))?;
    let rest = text[length..].trim_start_matches(|c| is_mark(c) || matches!(c, ':' | '\u{ff1a}'));
    let open = rest.chars().next()?;
    let close = match open {
        '[' => ']',
        '(' => ')',
        '\u{ff3b}' => '\u{ff3d}',
        '\u{ff08}' => '\u{ff09}',
        '\u{3010}' => '\u{3011}',
        _ => return None,
    };
    Some(Said { verb, open, close, rest: &rest[open.len_utf8()..] })
}

impl<'a> Said<'a> {
    /// The text up to the bracket that closes the first one; `None` where none does.
    fn argument(&self) -> Option<&'a str> {
        let mut depth = 1;
        let end = self.rest.char_indices().find(|&(_, c)| {
            depth += i32::from(c == self.open) - i32::from(c == self.close);
            depth == 0
        });
        end.map(|(end, _)| &self.rest[..end])
    }
}

/// Whether the action is a thought.
pub fn is_thought(text: &str) -> bool {
    said(text).is_some_and(|said| said.verb == Verb::Think)
}

/// The words of a search, without what follows its closing bracket.
pub fn search(text: &str) -> Option<&str> {
    said(text).filter(|said| said.verb == Verb::Search)?.argument()
}

/// The action that the text means where `clickables` can be clicked. A click is one of them, exactly as it is there.
///
/// # Errors
/// Why it means none, as a sentence to its author.
pub fn read(text: &str, clickables: &[String]) -> Result<Parsed, String> {
    let Some(said) = said(text).filter(|said| said.verb != Verb::Think) else {
        return Err("An action is search[words] or click[text].".into());
    };
    let unclosed = || format!("The bracket that begins the action's text is not closed by {}.", said.close);
    if said.verb == Verb::Search {
        return Ok(Parsed::Search(said.argument().ok_or_else(unclosed)?.to_owned()));
    }
    // A text may contain brackets itself, and other words may follow it.
    for (end, _) in said.rest.match_indices(said.close).take(ENDS) {
        match &same(&said.rest[..end], clickables)[..] {
            [] => {}
            [only] => return Ok(Parsed::Click((*only).clone())),
            several => {
                let several: Vec<String> = several.iter().map(|text| format!("[{text}]")).collect();
                return Err(format!(
                    "{} can mean {}; write it exactly as shown.",
                    quoted(&said.rest[..end]),
                    several.join(" or ")
                ));
            }
        }
    }
    let end = said.rest.find(said.close).ok_or_else(unclosed)?;
    Err(format!("{} cannot be clicked here.", quoted(said.argument().unwrap_or(&said.rest[..end]))))
}

fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("[{}…]", &line[..end]),
        None => format!("[{line}]"),
    }
}

/// Those of `texts` that `text` means: the same but for compatibility forms, case, white space, quotes and dashes;
/// if none is, the same but for marks around it as well; if none is, without any white space.
fn same<'a>(text: &str, texts: &'a [String]) -> Vec<&'a String> {
    let bare = |text: &str| plain(text).trim_matches(|c| is_mark(c) || matches!(c, '[' | ']')).to_owned();
    let forms: [&dyn Fn(&str) -> String; 3] = [&plain, &bare, &|text| bare(text).replace(' ', "")];
    let mut found = Vec::new();
    for form in forms {
        let wanted = form(text);
        if found.is_empty() && !wanted.is_empty() {
            found.extend(texts.iter().filter(|text| form(text) == wanted));
        }
    }
    found
}

/// A text by which spellings are compared: NFKC, lower case, one kind of quotes, dashes and white space.
fn plain(text: &str) -> String {
    let plain = |c| match c {
        '\u{2018}'..='\u{201b}' | '`' | '\u{b4}' | '\u{2032}' => Some('\''),
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' => Some('"'),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some('-'),
        // Invisible.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => None,
        c => Some(c),
    };
    let text: String = text.chars().filter_map(plain).collect();
    let text: Cow<'_, str> = ComposingNormalizerBorrowed::new_nfkc().normalize(&text);
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clickables() -> Vec<String> {
        ["Buy Now", "< Prev", "a1-wine\u{a0}red", "Men\u{2019}s 10", "5\" wide", "size [xl]", "Red", "red"]
            .map(str::to_owned)
            .into()
    }

    #[test]
    fn a_click_in_any_spelling_with_one_meaning_is_read() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read(text, &clickables()), Ok(Parsed::Click(expected.into())), "{text}");
        };
        let buy = "Buy Now";
        for text in [
            "click[buy now]",
            "Click[Buy Now]",
            "CLICK [ Buy  Now ]",
            "\"click[Buy Now]\"",
            "\u{201c}click[Buy Now]\u{201d}",
            "**click[Buy Now]**",
            "`click[Buy Now]`.",
            "**Action:** click[Buy Now]",
            "action\u{ff1a}click\u{ff3b}Buy Now\u{ff3d}",
            "click(Buy Now)",
            "click: [Buy Now]",
            "**click** [Buy Now]",
            "click[\"Buy Now\"]",
            "click[**Buy Now**]",
            "click[[Buy Now]]",
            "click[BuyNow]",
            "click[\u{ff22}uy Now]",
            "click[Buy\u{200b} Now]",
            "click[Buy Now] to finish",
            "click[Buy Now]\nObservation: bought\nclick[Red]",
        ] {
            check(text, buy);
        }
        check("click[a1-wine red]", "a1-wine\u{a0}red");
        check("click[A1\u{2013}Wine Red]", "a1-wine\u{a0}red");
        check("click[men's 10]", "Men\u{2019}s 10");
        check("click[5\u{201d} wide]", "5\" wide");
        check("click[<Prev]", "< Prev");
        check("click[Size [XL]] and go on", "size [xl]");
    }

    #[test]
    fn a_click_with_no_meaning_or_several_is_refused_with_the_reason() {
        let check = |text: &str, part: &str| {
            let why = read(text, &clickables()).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        };
        check("click[RED]", "[RED] can mean [Red] or [red]");
        check("click[blue] please", "[blue] cannot be clicked here");
        check("click[]", "[] cannot be clicked");
        check("click[**]", "[**] cannot be clicked");
        check("click[Buy Now", "not closed by ]");
        check("search[wool scarf in dark gre", "not closed by ]");
        check(&format!("click[{}]", "x ".repeat(500)), "…] cannot be clicked");
        for text in
            ["", "Buy Now", "[Buy Now]", "I will click[Buy Now]", "think[hm]", "clicks[Buy Now]", "click"]
        {
            check(text, "search[words] or click[text]");
        }
    }

    #[test]
    fn a_search_ends_at_its_own_bracket() {
        for (text, words) in [
            ("search[Red Shoes]", Some("Red Shoes")),
            ("Search [a (b) [c] d] and then click[e]", Some("a (b) [c] d")),
            ("search(a)", Some("a")),
            ("search[]", Some("")),
            ("search[a", None),
            ("click[a]", None),
        ] {
            assert_eq!(search(text), words, "{text}");
        }
        assert!(is_thought("think[hm]") && is_thought(" Think [hm") && !is_thought("thinking [hm]"));
    }
}
