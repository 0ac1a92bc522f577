//! Probabilities of numbered statements.

use super::dress;

/// The probability of each of the statements 1 to `count`. A later line about a statement replaces an earlier one.
pub(super) fn probabilities(text: &str, count: usize) -> Vec<Result<f64, String>> {
    let mut found: Vec<Option<Result<f64, String>>> = vec![None; count];
    let mut bare = Vec::new();
    for line in text.lines().filter(|line| !dress::is_fence(line)) {
        match numbered(line) {
            Some((index, rest)) if (1..=count).contains(&index) => {
                // Words about a statement do not replace its number.
                if let Some(read) = probability(rest) {
                    found[index - 1] = Some(read.map_err(|why| format!("statement {index}: {why}")));
                }
            }
            _ => bare.extend(alone(line)),
        }
    }
    // Numbers alone, one per statement, are in the order of the statements.
    if found.iter().all(Option::is_none) && bare.len() == count {
        found = bare.into_iter().map(|number| Some(Ok(number))).collect();
    }
    let missing = |index: usize| format!("there is no line \"{index}: <probability between 0 and 1>\"");
    found
        .into_iter()
        .enumerate()
        .map(|(index, read)| read.unwrap_or_else(|| Err(missing(index + 1))))
        .collect()
}

/// The number of a statement and what the line says after it.
pub(super) fn numbered(line: &str) -> Option<(usize, &str)> {
    let line = line.trim_start_matches(['|', '*', '_', '-', '>', '#', ' ', '`', '•', '+', '(', '[', '\t']);
    let word = line.trim_start_matches(|c: char| c.is_alphabetic());
    let named = matches!(
        line[..line.len() - word.len()].to_ascii_lowercase().as_str(),
        "" | "outcome" | "statement" | "probability" | "p" | "no" | "item"
    );
    let word = word.trim_start_matches([' ', '#', '.', '(']);
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let index = word[..word.len() - rest.len()].parse().ok().filter(|_| named)?;
    let rest = rest.trim_start_matches(['*', '_', '`', ' ']);
    let mark = rest
        .chars()
        .next()
        .filter(|c| matches!(c, ':' | '：' | '.' | ')' | ']' | '-' | '–' | '—' | '=' | '|'))?;
    let rest = &rest[mark.len_utf8()..];
    // "0.8" alone is a number, not statement 0; "1.5" is not statement 1.
    if mark == '.' && rest.starts_with(|c: char| c.is_ascii_digit()) { None } else { Some((index, rest)) }
}

/// A line that is a probability and nothing else.
fn alone(line: &str) -> Option<f64> {
    let line = dress::undress(line);
    let plain = line.trim_end_matches(['%', ' ', '.']);
    plain
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
        .then(|| probability(&line)?.ok())
        .flatten()
}

/// The probability that a text gives: a percentage or a decimal before a whole number, since reasons mention those.
fn probability(text: &str) -> Option<Result<f64, String>> {
    let mut whole = None;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let negative = rest[..start].ends_with('-')
            && !rest[..start].trim_end_matches('-').ends_with(char::is_alphanumeric);
        let dotted =
            rest[..start].ends_with('.') && !rest[..start - 1].ends_with(|c: char| c.is_alphanumeric());
        let start = start - usize::from(dotted);
        let number = &rest[start..];
        let end =
            number.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(number.len());
        let (digits, after) = number.split_at(end);
        let digits = digits.trim_end_matches(['.', ',']);
        rest = after;
        let Ok(mut value) = digits.replace(',', ".").parse::<f64>() else { continue };
        let tail = after.trim_start_matches(['*', '_', '`', ' ']);
        let per_cent =
            tail.starts_with(['%', '％']) || tail.starts_with("percent") || tail.starts_with("per cent");
        let parts = after.trim_start().strip_prefix('/').map(|below| {
            let below = below.trim_start();
            let end = below.find(|c: char| !c.is_ascii_digit()).unwrap_or(below.len());
            below[..end].parse::<f64>().unwrap_or(0.0)
        });
        if per_cent {
            value /= 100.0;
        } else if let Some(below) = parts.filter(|below| *below > 0.0) {
            value /= below;
        }
        if negative {
            value = -value;
        }
        let read = match value {
            value if (0.0..=1.0).contains(&value) => Ok(value),
            _ => Err(format!("{digits} is not a probability between 0 and 1")),
        };
        let decimal = per_cent || parts.is_some() || digits.contains(['.', ',']);
        if decimal && read.is_ok() {
            return Some(read);
        }
        whole.get_or_insert(read);
    }
    whole
}
