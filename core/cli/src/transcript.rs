//! Episodes as text: wrapped to the width of the terminal, coloured only on one.

use std::collections::BTreeMap;

use console::{Style, Term};
use forethought_api::{
    llm::ToolCall,
    planner::{InnerDecision, Round, Trace},
    trajectory::Trajectory,
};
pub(crate) use forethought_reading::text::new_since;
use forethought_runtime::{run::episode::EpisodeStatus, run::events::Event};
use serde_json::Value;
use textwrap::Options;

use crate::streams::printable;

/// Maximal width of a line, and the width without a terminal.
const WIDEST: usize = 110;
/// Width of the labels on the left.
const LABEL: usize = 9;
/// Columns by which a tree's branches are moved to the right.
const INDENT: usize = 3;

/// A text that is being built.
pub(crate) struct Page {
    width: usize,
    title: Style,
    label: Style,
    text: String,
    /// Columns by which texts are moved to the right.
    indent: usize,
}

impl Page {
    /// For this terminal, or for the file that it was redirected to.
    pub(crate) fn new(terminal: &Term) -> Self {
        let width = terminal.size_checked().map_or(WIDEST, |(_, columns)| usize::from(columns));
        let style = |style: Style| style.force_styling(terminal.features().colors_supported());
        Self {
            width: width.clamp(2 * LABEL, WIDEST),
            title: style(Style::new().bold().cyan()),
            label: style(Style::new().dim()),
            text: String::new(),
            indent: 0,
        }
    }

    /// A title, after an empty line.
    pub(crate) fn title(&mut self, title: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.text += &format!("{gap}{}\n", self.title.apply_to(plain(title)));
    }

    /// A labelled text; nothing if the text is empty.
    pub(crate) fn part(&mut self, label: &str, text: &str) {
        let indent = " ".repeat(self.indent.min(self.width / 2));
        let options = Options::new(self.width - LABEL).initial_indent(&indent).subsequent_indent(&indent);
        let (text, mut label) = (plain(text.trim_end()), label);
        for line in text.lines().flat_map(|line| textwrap::wrap(line, &options)) {
            let padding = " ".repeat(LABEL - label.len().min(LABEL - 1));
            self.text += format!("{}{padding}{line}", self.label.apply_to(label)).trim_end();
            self.text.push('\n');
            label = "";
        }
    }

    /// The text so far; the page is empty afterwards.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

/// What can be shown of a text, in columns of equal width.
fn plain(text: &str) -> String {
    printable(text).replace('\t', " ")
}

/// The log of an episode; with `seat`, of this one only; with `thoughts`, including them.
pub(crate) fn log(page: &mut Page, events: &[Event], seat: Option<usize>, thoughts: bool) {
    let (mut names, mut seen) = (Vec::new(), BTreeMap::<usize, &str>::new());
    let shown = |other: usize| seat.is_none_or(|seat| seat == other);
    for (index, event) in events.iter().enumerate() {
        match event {
            Event::Episode { episode, environment, reset, seats, seat_names, .. } => {
                names = seat_titles(seat_names, seats);
                page.title(&format!("{episode}: {environment}, task {}, seed {}", reset.task, reset.seed));
                page.part("seats", &names.join(", "));
            }
            Event::Turn { step, turn } if shown(turn.seat) => {
                let decided = matches!(events.get(index + 1), Some(Event::Decision { .. }));
                let when = if decided { format!("step {step}") } else { "afterwards".into() };
                page.title(&format!("{when} · {}", name(&names, turn.seat)));
                let before = seen.insert(turn.seat, &turn.observation.text).unwrap_or_default();
                page.part("sees", or_nothing_new(new_since(before, &turn.observation.text)));
            }
            Event::Decision { seat, thought, action, calls, trace, .. } if shown(*seat) => {
                if thoughts {
                    reasoning(page, thought, trace);
                }
                let calls = in_words(calls);
                page.part("does", if calls.is_empty() { action } else { &calls });
            }
            Event::Transition { rewards, terminated, truncated, success, info, .. } => {
                let paid =
                    rewards.iter().enumerate().filter(|(seat, reward)| **reward != 0.0 && shown(*seat));
                let paid: Vec<_> =
                    paid.map(|(seat, reward)| format!("{} {reward:+}", name(&names, seat))).collect();
                page.part("rewards", &paid.join(", "));
                if *terminated || *truncated {
                    page.title(if *terminated { "end" } else { "cut off" });
                    page.part("success", success.map_or("", |success| if success { "yes" } else { "no" }));
                    let metrics = info["metrics"].as_object().into_iter().flatten();
                    let metrics: Vec<_> = metrics.map(|(name, value)| format!("{name} {value}")).collect();
                    page.part("metrics", &metrics.join(", "));
                }
            }
            Event::End { status, error, scores } => {
                let scores = scores.iter().enumerate();
                let scores: Vec<_> =
                    scores.map(|(seat, score)| format!("{} {score}", name(&names, seat))).collect();
                if *status != EpisodeStatus::Done {
                    page.title(&format!("{status:?}").to_lowercase());
                }
                page.part("scores", &scores.join(", "));
                page.part("error", error.as_deref().unwrap_or_default());
            }
            Event::Turn { .. } | Event::Decision { .. } => {}
        }
    }
}

/// One seat's steps through an episode.
pub(crate) fn trajectory(page: &mut Page, trajectory: &Trajectory, others: &str, thoughts: bool) {
    let Trajectory { episode, environment, task, seed, seat, source, steps, .. } = trajectory;
    page.title(&format!("{episode}: {environment}, task {task}, seed {seed}"));
    page.part("seat", &format!("{seat} ({source}){others}"));
    page.part("instructions", &trajectory.instructions);
    let mut before = "";
    for (index, step) in steps.iter().enumerate() {
        page.title(&format!("step {index}"));
        page.part("sees", or_nothing_new(new_since(before, &step.observation)));
        before = &step.observation;
        if thoughts {
            page.part("thinks", &step.thought);
        }
        page.part("does", &step.action);
        if step.reward != 0.0 {
            page.part("reward", &format!("{:+}", step.reward));
        }
    }
    if let Some(last) = steps.last() {
        page.title(if last.truncated { "cut off" } else { "end" });
        page.part("state", new_since(before, &last.next_state));
        page.part("outcome", &last.outcomes.join("\n"));
        page.part("score", &trajectory.score().to_string());
    }
}

/// How a decision was reached: what the planners decided that were asked for it, and so on, as a tree.
fn reasoning(page: &mut Page, thought: &str, trace: &Trace) {
    for InnerDecision { planner, thought, action, taken, error, trace } in &trace.decisions {
        page.part("asks", &format!("{planner}{}", if *taken { ", and does what it says" } else { "" }));
        page.indent += INDENT;
        reasoning(page, thought, trace);
        page.part("says", &error.as_ref().map_or_else(|| action.clone(), |error| format!("failed: {error}")));
        page.indent -= INDENT;
    }
    for (number, Round { thought, outcomes, kept }) in trace.rounds.iter().enumerate() {
        page.part(&format!("round {}", number + 1), thought);
        for outcome in outcomes {
            let side = if outcome.good { "good" } else { "bad" };
            page.part("", &format!("  {side:>4} {:>3.0} %  {}", 100.0 * outcome.probability, outcome.text));
        }
        if !outcomes.is_empty() {
            page.part("", if *kept { "  kept" } else { "  reconsidered" });
        }
    }
    page.part("thinks", thought);
    page.part("fixed", &trace.recoveries.join("\n"));
}

/// Calls as a person reads them: short ones on a line, of longer ones an argument per line.
fn in_words(calls: &[ToolCall]) -> String {
    const SHORT: usize = 80;
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let call = |call: &ToolCall| {
        let arguments = call.arguments.as_object().into_iter().flatten();
        let arguments: Vec<_> = arguments.map(|(name, one)| format!("{name}: {}", value(one))).collect();
        let short = format!("{}({})", call.name, arguments.join(", "));
        match short.len() <= SHORT && !short.contains('\n') {
            true => short,
            false => format!("{}\n  {}", call.name, arguments.join("\n").replace('\n', "\n  ")),
        }
    };
    calls.iter().map(call).collect::<Vec<_>>().join("\n")
}

fn or_nothing_new(news: &str) -> &str {
    if news.trim().is_empty() { "(nothing new)" } else { news }
}

/// Seats and their planners. Logs of earlier versions do not name the seats.
fn seat_titles(seats: &[String], planners: &[String]) -> Vec<String> {
    let title = |(index, planner): (usize, &String)| match seats.get(index) {
        Some(seat) if seat != planner => format!("{seat} ({planner})"),
        Some(seat) => seat.clone(),
        None => format!("seat {index} ({planner})"),
    };
    planners.iter().enumerate().map(title).collect()
}

fn name(names: &[String], seat: usize) -> String {
    names.get(seat).cloned().unwrap_or_else(|| format!("seat {seat}"))
}

#[cfg(test)]
mod tests {
    use forethought_api::{Error, environment::Action, planner::Decision};
    use serde_json::json;

    use super::*;

    fn page(width: usize) -> Page {
        Page { width, title: Style::new(), label: Style::new(), text: String::new(), indent: 0 }
    }

    #[test]
    fn texts_are_wrapped_beside_their_labels_and_cannot_steer_the_terminal() {
        let mut page = page(20);
        page.part("sees", "one two three\nfour\u{1b}[2J");
        assert_eq!(page.take(), "sees     one two\n         three\n         four[2J\n");
        page.part("does", "");
        assert_eq!(page.take(), "");
    }

    #[test]
    fn calls_are_shown_without_their_json() {
        let call = |name: &str, arguments| ToolCall { name: name.into(), arguments, ..ToolCall::default() };
        let calls =
            [call("search", json!({ "query": "red", "page": 2 })), call("mail", json!({ "text": "a\nb" }))];
        assert_eq!(in_words(&calls), "search(query: red, page: 2)\nmail\n  text: a\n  b");
    }

    #[test]
    fn the_decisions_of_inner_planners_are_a_tree() {
        let decision = |thought: &str, action: &str| Decision {
            thought: thought.into(),
            action: Action::new(action),
            ..Decision::default()
        };
        let mut inner = decision("both agree", "go left");
        inner.trace.add("quick", decision("a hunch", "go left"), true);
        inner.trace.add_failure("slow", &Error::other("no answer"));
        let mut trace = Trace::default();
        trace.add("careful.of[1]", inner, true);
        let mut page = page(60);
        reasoning(&mut page, "both agree", &trace);
        assert_eq!(
            page.take(),
            "asks     careful.of[1], and does what it says\n\
             asks        quick, and does what it says\n\
             thinks         a hunch\n\
             says           go left\n\
             asks        slow\n\
             says           failed: no answer\n\
             thinks      both agree\n\
             says        go left\n\
             thinks   both agree\n"
        );
    }
}
