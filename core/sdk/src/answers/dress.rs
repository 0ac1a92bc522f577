//! What surrounds a value: quotes, backticks, emphasis; and lines that say nothing.

/// Pairs that may surround a whole value.
const QUOTES: [(char, char); 5] = [('"', '"'), ('“', '”'), ('«', '»'), ('`', '`'), ('\'', '\'')];

/// A text without the quotes and emphasis around the whole of it; `more` are further pairs of marks.
///
/// Unlike the reader of answers, it takes off only marks that open and close: an environment reads actions with it.
pub fn undressed<'a>(text: &'a str, more: &[(&str, &str)]) -> &'a str {
    const PAIRS: [(&str, &str); 7] =
        [("**", "**"), ("*", "*"), ("__", "__"), ("_", "_"), ("`", "`"), ("\"", "\""), ("“", "”")];
    let text = text.trim();
    let inner = PAIRS.iter().chain(more).find_map(|(open, close)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        (!inner.contains(open) && !inner.contains(close)).then_some(inner)
    });
    inner.map_or(text, |inner| undressed(inner, more))
}

/// A value without the quotes, backticks and emphasis around it.
pub(super) fn undress(value: &str) -> String {
    let mut value = value.trim();
    loop {
        let before = value;
        for mark in ["**", "__", "*", "```"] {
            value = without(value, mark);
        }
        for (open, close) in QUOTES {
            let inner = value.strip_prefix(open).and_then(|inner| inner.strip_suffix(close));
            // A quote within means that the outer ones are not a pair: "a" and "b".
            if let Some(inner) = inner.filter(|inner| !inner.contains([open, close])) {
                value = inner.trim();
            }
        }
        if value == before {
            return value.to_owned();
        }
    }
}

/// A mark that surrounds the whole value, or only ends it, comes off: `**Action: search[x]**` opens before the label.
fn without<'a>(value: &'a str, mark: &str) -> &'a str {
    match (value.strip_prefix(mark), value.strip_suffix(mark)) {
        (Some(inner), Some(_))
            if inner.len() >= mark.len() && !inner[..inner.len() - mark.len()].contains(mark) =>
        {
            inner[..inner.len() - mark.len()].trim()
        }
        // An even number of them is emphasis within the value.
        (None, Some(inner)) if value.matches(mark).count() % 2 == 1 => inner.trim(),
        (Some(inner), None) if value.matches(mark).count() % 2 == 1 && mark != "*" => inner.trim(),
        _ => value,
    }
}

/// Whether a line could be somebody's words or an action: not a fence, a bracket, a tag, a rule or a piece of JSON.
pub(super) fn says_something(line: &str) -> bool {
    let line = line.trim();
    let tag = line.starts_with('<') && line.ends_with('>');
    let json = line.starts_with(['{', '}', ']']) || (line.starts_with('"') && line.contains("\":"));
    let bare_label =
        line.ends_with([':', '：']) && !line.trim_end_matches([':', '：']).contains(char::is_whitespace);
    line.contains(char::is_alphanumeric) && !tag && !json && !bare_label && !is_fence(line)
}

/// Whether a line opens or closes a code fence.
pub(super) fn is_fence(line: &str) -> bool {
    let line = line.trim();
    let language =
        |rest: &str| rest.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '+' | '.'));
    [line.strip_prefix("```"), line.strip_prefix("~~~")].into_iter().flatten().any(language)
}
