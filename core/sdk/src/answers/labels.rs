//! Labelled sections: which text belongs to which label, in whatever dress the label comes.

use forethought_api::environment::{Action, Turn};

use super::{Answer, Complaint, Fault, dress};

/// An answer, cut into sections at its labels.
#[derive(Debug)]
pub struct Sections<'a> {
    answer: &'a Answer,
    found: Vec<Section>,
}

/// A label and the text that it owns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    label: String,
    /// Its lines; those of a fence that directly follows the label are the whole value.
    lines: Vec<String>,
    /// Whether the label was in the plural, as in "Good outcomes:".
    plural: bool,
    /// Whether nothing follows it, not even the end of a line.
    last: bool,
}

impl<'a> Sections<'a> {
    pub(super) fn read(answer: &'a Answer, labels: &[&str]) -> Self {
        let text = untagged(answer.given(), labels);
        // Within fences there is code, as a rule; labels there count if there are none outside.
        let outside = sections(&text, labels, false);
        let inside = if labels.iter().all(|label| outside.iter().any(|one| one.label == **label)) {
            Vec::new()
        } else {
            sections(&text, labels, true)
        };
        let complete = |found: &[Section]| {
            labels.iter().filter(|label| found.iter().any(|one| one.label == ***label)).count()
        };
        let found = if complete(&inside) > complete(&outside) { inside } else { outside };
        Self { answer, found }
    }

    /// Whether no label was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// [`Answer::complaint`] about what is missing here.
    pub fn complaint(&self, why: impl Into<String>) -> Complaint {
        self.answer.complaint(why)
    }

    /// The text of the last section of `label`: of several drafts the last one counts.
    ///
    /// # Errors
    /// If there is none, it is empty, or the token limit cut it.
    pub fn text(&self, label: &str) -> Result<String, Complaint> {
        let section =
            self.found.iter().rev().find(|section| section.label == label && !section.value().is_empty());
        self.whole(section, label)
    }

    /// The text of the first section of `label`: what comes later may be fiction.
    ///
    /// # Errors
    /// As for [`Sections::text`].
    pub fn first(&self, label: &str) -> Result<String, Complaint> {
        self.whole(
            self.found.iter().find(|section| section.label == label && !section.value().is_empty()),
            label,
        )
    }

    /// The first of several different actions, for when they were given a second time; otherwise as [`Sections::action`].
    ///
    /// # Errors
    /// If there is none, or the token limit cut it.
    pub fn first_action(&self, legal: &[String]) -> Result<String, Complaint> {
        Ok(line_of_action(&self.first("Action")?, legal))
    }

    /// The first of several different actions in this turn; see [`Sections::action_in`]. Text that is not a call is left
    /// to the environment.
    ///
    /// # Errors
    /// As for [`Sections::first_action`].
    pub fn first_action_in(&self, turn: &Turn) -> Result<Action, Complaint> {
        if turn.tools.is_empty() {
            return self.first_action(&turn.legal_actions).map(Action::new);
        }
        let text = self.first("Action")?;
        Ok(written(&text, turn).unwrap_or_else(|_| Action::new(text)))
    }

    /// The action in this turn: [`Sections::action`], or where the turn offers tools, the calls that the text writes.
    ///
    /// # Errors
    /// Those of [`Sections::action`]; calls that do not fit the tools or their rule.
    pub fn action_in(&self, turn: &Turn) -> Result<Action, Complaint> {
        if turn.tools.is_empty() {
            return self.action(&turn.legal_actions).map(Action::new);
        }
        let canonical =
            |text: &str| written(text, turn).map_or_else(|_| text.to_owned(), |action| action.text);
        written(&self.only_action(canonical)?, turn)
    }

    /// The action: the text of the sections labelled `Action`. Where the first line of a longer text is one of `legal`, or
    /// has the form `name[...]`, that line is the action and the rest is a remark.
    ///
    /// # Errors
    /// If there is none, the token limit cut it, or there are several different ones.
    pub fn action(&self, legal: &[String]) -> Result<String, Complaint> {
        Ok(line_of_action(&self.only_action(|text| line_of_action(text, legal))?, legal))
    }

    /// The text of the sections labelled `Action`, which are the same action.
    fn only_action(&self, same: impl Fn(&str) -> String) -> Result<String, Complaint> {
        let label = "Action";
        let mut given: Vec<&Section> = self
            .found
            .iter()
            .filter(|section| section.label == label && !section.value().is_empty())
            .collect();
        given.dedup_by_key(|section| same(&section.value()));
        if given.len() > 1 {
            let text = format!(
                "there are {} different actions; give one line that starts with \"Action:\"",
                given.len()
            );
            return Err(Complaint { fault: Fault::Several, text });
        }
        self.whole(given.first().copied(), label)
    }

    /// The texts of all sections of these labels, in order, each with the index of its label. Under a label in the plural
    /// each item of a list is a text of its own. A text that the token limit cut is left out.
    pub fn texts(&self, labels: &[&str]) -> Vec<(usize, String)> {
        let mut texts = Vec::new();
        for section in &self.found {
            let Some(index) = labels.iter().position(|label| *label == section.label) else { continue };
            let mut items = section.items();
            if self.answer.cut && section.last {
                items.pop();
            }
            texts.extend(items.into_iter().filter(|text| !text.is_empty()).map(|text| (index, text)));
        }
        texts
    }

    fn whole(&self, section: Option<&Section>, label: &str) -> Result<String, Complaint> {
        let empty = || self.found.iter().any(|section| section.label == label);
        match section {
            Some(section) if self.answer.cut && section.last => Err(Complaint {
                fault: Fault::Cut,
                text: format!("the token limit cut the answer within \"{label}:\"; answer more briefly"),
            }),
            Some(section) => Ok(section.value()),
            None if empty() => Err(self.answer.complaint(format!("there is nothing after \"{label}:\""))),
            None => Err(self.answer.complaint(format!("there is no line that starts with \"{label}:\""))),
        }
    }
}

impl Section {
    /// Its whole text.
    fn value(&self) -> String {
        dress::undress(self.lines.join("\n").trim())
    }

    /// Its texts: the items of a list, or its first paragraph.
    fn items(&self) -> Vec<String> {
        let lines = || self.lines.iter().map(|line| line.trim()).skip_while(|line| line.is_empty());
        let listed = lines().any(|line| item(line).is_some());
        if listed && (self.plural || lines().next().is_some_and(|line| item(line).is_some())) {
            return lines().filter_map(item).map(dress::undress).collect();
        }
        if self.plural && self.lines.first().is_none_or(|line| line.trim().is_empty()) {
            return lines().map(dress::undress).collect();
        }
        let paragraph: Vec<_> = lines().take_while(|line| !line.is_empty() && item(line).is_none()).collect();
        vec![dress::undress(&paragraph.join(" "))]
    }
}

/// The text of an item of a list.
fn item(line: &str) -> Option<&str> {
    let marked = line.strip_prefix(['-', '*', '•', '+', '–']).filter(|rest| rest.starts_with(' '));
    marked.or_else(|| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let text = (rest.len() < line.len()).then(|| rest.strip_prefix(['.', ')', ':'])).flatten();
        // "1.5 dollars" is not an item.
        text.filter(|text| !text.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// The action that a text writes in a turn that offers tools: calls in their canonical form, or words.
///
/// # Errors
/// What does not fit the tools or their rule.
pub fn written(text: &str, turn: &Turn) -> Result<Action, Complaint> {
    let action = Action::new(text);
    let calls = action.calls(turn).map_err(Complaint::unreadable)?;
    Ok(if calls.is_empty() { action } else { Action::of_calls(calls) })
}

/// A longer text's first line, where that is an action by itself.
pub(super) fn line_of_action(value: &str, legal: &[String]) -> String {
    let Some((first, _)) = value.split_once('\n') else { return value.to_owned() };
    let first = dress::undress(first);
    let call = first.ends_with(']')
        && first.find('[').is_some_and(|at| !first[..at].trim().contains(char::is_whitespace));
    if call || legal.contains(&first) { first } else { value.to_owned() }
}

fn sections(text: &str, labels: &[&str], within_fences: bool) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    // In a fence; and whether that fence is the value of the label before it.
    let (mut fenced, mut closed_value) = (false, false);
    for line in text.lines() {
        if dress::is_fence(line) {
            fenced = !fenced;
            if !within_fences && let Some(section) = found.last_mut() {
                closed_value |= !fenced && section.lines.iter().any(|line| !line.trim().is_empty());
            }
            continue;
        }
        if is_observation(line) && !labels.contains(&"Observation") && !found.is_empty() {
            break;
        }
        let labelled =
            if fenced && !within_fences { None } else { labels.iter().find_map(|label| after(line, label)) };
        match (labelled, found.last_mut()) {
            (Some(section), _) => {
                found.push(section);
                closed_value = false;
            }
            (None, Some(section)) if !closed_value => section.lines.push(line.to_owned()),
            (None, _) => {}
        }
    }
    if let Some(section) = found.last_mut() {
        section.last = !text.ends_with('\n');
    }
    found
}

fn is_observation(line: &str) -> bool {
    after(line, "Observation").is_some()
}

/// What a line says after this label, if it starts with it. Marks of lists, numbers, emphasis and headings may come first;
/// a number or the word "outcome" may stand between the label and its colon.
fn after(line: &str, label: &str) -> Option<Section> {
    let bare = line.trim_start();
    let heading = bare.starts_with(['#', '*', '_']);
    let numbered = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let bare = if numbered.len() < bare.len() { numbered.strip_prefix(['.', ')'])? } else { bare };
    let bare = bare.trim_start_matches(['*', '_', '-', '>', '#', ' ', '`', '•', '+', '[', '(']);
    let rest = bare.get(label.len()..)?;
    if !bare[..label.len()].eq_ignore_ascii_case(label)
        || rest.starts_with(char::is_alphabetic) && !rest.starts_with('s')
    {
        return None;
    }
    let (rest, plural) = suffix(rest);
    let rest = rest.trim_start_matches(['*', '_', '`', ']', ')', ' ']);
    let value = if let Some(value) = rest.strip_prefix([':', '：']) {
        value
    } else if let Some(value) =
        ["- ", "– ", "— ", "= ", "=> ", "-> "].iter().find_map(|mark| rest.strip_prefix(mark))
    {
        value
    } else if rest.is_empty() && (heading || line.trim().eq_ignore_ascii_case(label)) {
        ""
    } else {
        return None;
    };
    // Emphasis that opened before the label closes directly after its colon; after a blank it belongs to the value.
    let value = value.trim_start_matches(['*', '_']).trim();
    Some(Section { label: label.to_owned(), lines: vec![value.to_owned()], plural, last: false })
}

/// What may stand between a label and its colon: "outcome", "outcomes", a number.
fn suffix(rest: &str) -> (&str, bool) {
    let mut plural = false;
    let mut rest = rest;
    if let Some(after) = rest.strip_prefix(['s', 'S']) {
        (rest, plural) = (after, true);
    }
    let words = rest.trim_start_matches([' ', '*', '_']);
    for word in ["outcomes", "outcome"] {
        if words.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
            (rest, plural) = (&words[word.len()..], plural || word == "outcomes");
            break;
        }
    }
    let number = rest.trim_start_matches([' ', '(', '#', '*', '.']);
    let after = number.trim_start_matches(|c: char| c.is_ascii_digit());
    if after.len() < number.len() { (after.trim_start_matches([')', '.']), false) } else { (rest, plural) }
}

/// Tags of labels as lines: `<action>x</action>` reads like `Action: x`.
fn untagged(text: &str, labels: &[&str]) -> String {
    let lower = text.to_ascii_lowercase();
    if !labels.iter().any(|label| lower.contains(&format!("<{}>", label.to_ascii_lowercase()))) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut at = 0;
    while at < text.len() {
        let rest = &lower[at..];
        let tag = rest.starts_with('<').then(|| {
            labels.iter().find_map(|label| {
                let name = label.to_ascii_lowercase();
                let (open, close) = (format!("<{name}>"), format!("</{name}>"));
                let opens = rest.starts_with(&open).then(|| (open.len(), format!("\n{label}: ")));
                opens.or_else(|| rest.starts_with(&close).then(|| (close.len(), "\n".to_owned())))
            })
        });
        match tag.flatten() {
            Some((length, line)) => {
                out.push_str(&line);
                at += length;
            }
            None => {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&text[at..at + length]);
                at += length;
            }
        }
    }
    out
}
