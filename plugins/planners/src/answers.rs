//! Reads what a model wrote: labelled lines, lenient about decoration, strict about what is missing.

/// The text after `label:` on the last line that has it; case, list marks and Markdown emphasis are ignored.
///
/// # Errors
/// What is missing. The text is sent to the model, which has to correct its answer.
pub fn labelled(answer: &str, label: &str) -> Result<String, String> {
    let found = answer.lines().filter_map(|line| after_label(line, label)).next_back();
    match found {
        Some(text) if !text.is_empty() => Ok(text),
        Some(_) => Err(format!("nothing stands after \"{label}:\"")),
        None => Err(format!("there is no line that starts with \"{label}:\"")),
    }
}

/// Every `label: text` line of two labels, in order: `(true, text)` for the first label.
pub fn either(answer: &str, yes: &str, no: &str) -> Vec<(bool, String)> {
    let side = |line| after_label(line, yes).map(|text| (true, text));
    let other = |line| after_label(line, no).map(|text| (false, text));
    answer
        .lines()
        .filter_map(|line| side(line).or_else(|| other(line)))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

fn after_label(line: &str, label: &str) -> Option<String> {
    let line = line.trim().trim_start_matches(['*', '-', '>', '#', ' ', '`']);
    let start = line.get(..label.len())?;
    if !start.eq_ignore_ascii_case(label) {
        return None;
    }
    // "Good 1: ...", "**Good:** ..." and "Good: ..." are all the same label.
    let rest =
        line[label.len()..].trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | '*' | '.'));
    let text = rest.strip_prefix(':')?.trim_start_matches(['*', ' ']);
    Some(text.trim().trim_matches('`').trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_through_decoration() {
        for answer in [
            "Action: click[x]",
            "thought first\n**Action:** click[x]",
            "- action: `click[x]`",
            "Action : click[x]\n",
        ] {
            assert_eq!(labelled(answer, "Action").as_deref(), Ok("click[x]"), "{answer}");
        }
    }

    #[test]
    fn the_last_line_wins_and_a_missing_one_is_named() {
        assert_eq!(labelled("Thought: a\nThought: b", "Thought").as_deref(), Ok("b"));
        assert!(labelled("click[x]", "Action").unwrap_err().contains("\"Action:\""));
        assert!(labelled("Action:", "Action").unwrap_err().contains("nothing stands after"));
    }

    #[test]
    fn outcomes_keep_their_order_and_side() {
        let answer = "Good 1: it works\nchatter\n* Bad: it breaks\nGood: it shines\nBad:";
        let read = either(answer, "Good", "Bad");
        assert_eq!(
            read,
            [(true, "it works".into()), (false, "it breaks".into()), (true, "it shines".into())]
        );
    }
}
