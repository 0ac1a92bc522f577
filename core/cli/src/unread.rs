//! Answers that could not be read: a line under the table, and a warning when there were too many.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use forethought_api::planner::Trace;
use forethought_runtime::{
    evaluate::stats::PlannerStats,
    run::RunOutcome,
    run::episode::EpisodeSummary,
    run::events::{self, Event},
    run::folder::events_path,
};

/// Examples that a warning gives.
const EXAMPLES: usize = 3;

/// What could not be read, planner by planner; nothing if all was read.
pub(crate) fn line(planners: &[PlannerStats]) -> String {
    let counts = |counts: &BTreeMap<String, u64>| {
        let counts = counts.iter().filter(|(key, _)| *key != "unread");
        counts.map(|(key, count)| format!("{count} {key}")).collect::<Vec<_>>().join(", ")
    };
    let mut each = Vec::new();
    for PlannerStats { name, faults, .. } in planners {
        let Some(faults) = faults else { continue };
        let mut words = format!("{name} {} of {} decisions", faults.unread(), faults.decisions);
        if !faults.counts.is_empty() {
            let _ = write!(words, " ({})", counts(&faults.counts));
        }
        if !faults.others.is_empty() {
            let _ = write!(words, ", other seats ({})", counts(&faults.others));
        }
        each.push(words);
    }
    if each.is_empty() {
        String::new()
    } else {
        format!("\nunreadable answers and illegal actions: {}\n", each.join("; "))
    }
}

/// What is wrong with a run in which most decisions went on without an answer, and what to try.
pub(crate) fn warning(planner: &str, outcome: &RunOutcome) -> Option<String> {
    let unread = |episode: &EpisodeSummary| episode.faults.get("unread").copied().unwrap_or_default();
    let count: u32 = outcome.episodes.iter().map(unread).sum();
    let decisions: u32 = outcome.episodes.iter().map(|episode| episode.decisions).sum();
    if 2 * count <= decisions {
        return None;
    }
    let mut text = format!(
        "warning: {planner} could not read the answers of its models in {count} of {decisions} decisions; its score says \
         little about it"
    );
    for example in examples(outcome, |episode| unread(episode) > 0) {
        let _ = write!(text, "\n  {example}");
    }
    text +=
        "\n  try a larger `max_tokens` or another model under [llm], or answers = \"json\" under [planner]";
    Some(text)
}

/// What planners noted in their traces.
fn examples(outcome: &RunOutcome, concerned: impl Fn(&EpisodeSummary) -> bool) -> Vec<String> {
    let episodes = outcome.episodes.iter().filter(|episode| concerned(episode)).take(EXAMPLES);
    // A log that cannot be read gives no example: the count says enough.
    let events = episodes
        .filter_map(|episode| events::read(&events_path(&outcome.folder, &episode.episode)).ok())
        .flatten();
    let noted = events.filter_map(|event| match event {
        Event::Decision { step, action, trace, .. } => {
            let note = recoveries(&trace).into_iter().find(|note| note.ends_with("went on without it"))?;
            Some(format!("step {step}: {note}; acted on {:?}", shown(&action)))
        }
        _ => None,
    });
    noted.take(EXAMPLES).collect()
}

/// Those of the planner and of the planners that it asked.
fn recoveries(trace: &Trace) -> Vec<&String> {
    let inner = trace.decisions.iter().flat_map(|inner| recoveries(&inner.trace));
    trace.recoveries.iter().chain(inner).collect()
}

/// The beginning of a text.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use forethought_runtime::evaluate::stats::planner_stats;

    #[test]
    fn a_table_without_faults_has_no_line() {
        let mut stats = planner_stats("react", &[]);
        assert_eq!(super::line(&[stats.clone()]), "");
        stats.faults = Some(Default::default());
        let faults = stats.faults.as_mut().expect("set above");
        faults.decisions = 400;
        faults.counts = [("unread".into(), 12), ("cut".into(), 3), ("repeated".into(), 27)].into();
        faults.others = [("empty".into(), 1)].into();
        assert_eq!(
            super::line(&[planner_stats("pnlc", &[]), stats]),
            "\nunreadable answers and illegal actions: react 12 of 400 decisions (3 cut, 27 repeated), other seats (1 empty)\n"
        );
    }
}
