//! Tables of text, for people.

use std::collections::BTreeMap;

use console::measure_text_width;
use forethought_runtime::evaluate::stats::{Mean, PlannerStats};

use crate::unread;

/// Rows below a head; the first column is aligned left, the others right.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    columns(head, rows, |column| column > 0)
}

/// The same, with all columns aligned left.
pub(crate) fn list<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    columns(head, rows, |_| false)
}

fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]], right: impl Fn(usize) -> bool) -> String {
    let rows = || std::iter::once(head).chain(rows.iter().map(|row| row.each_ref().map(String::as_str)));
    let mut widths = [0; N];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    let mut text = String::new();
    for row in rows() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - measure_text_width(cell));
            let (before, after) = if right(column) { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.extend([if column > 0 { "  " } else { "" }, before, cell, after]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The tables of planners: results, and the metrics of the environment.
pub(crate) fn results(planners: &[PlannerStats]) -> String {
    let head = [
        "planner",
        "episodes",
        "score",
        "95 %",
        "success",
        "95 %",
        "calls/decision",
        "tokens/decision",
        "ms/decision",
    ];
    let rows: Vec<_> = planners
        .iter()
        .map(|planner| {
            let (score, success) = (planner.score, planner.success);
            [
                planner.name.clone(),
                planner.episodes.to_string(),
                format!("{:.3}", score.mean),
                format!("{:.3}-{:.3}", score.low, score.high),
                format!("{:.1} %", 100.0 * success.rate),
                format!("{:.1}-{:.1} %", 100.0 * success.low, 100.0 * success.high),
                format!("{:.2}", planner.calls_per_decision),
                format!("{:.0}", planner.tokens_per_decision),
                format!("{:.1}", planner.ms_per_decision),
            ]
        })
        .collect();
    let mut text = table(head, &rows);
    let named = |of: fn(&PlannerStats) -> &BTreeMap<String, Mean>| -> Vec<_> {
        let each = planners.iter().flat_map(|planner| of(planner).iter().map(move |one| (planner, one)));
        each.map(|(planner, (name, Mean { mean, low, high }))| {
            [planner.name.clone(), name.clone(), format!("{mean:.3}"), format!("{low:.3}-{high:.3}")]
        })
        .collect()
    };
    for (what, rows) in
        [("metric", named(|planner| &planner.metrics)), ("at the table", named(|planner| &planner.scores))]
    {
        if !rows.is_empty() {
            text += &format!("\n{}", table(["planner", what, "mean", "95 %"], &rows));
        }
    }
    text + &unread::line(planners)
}

/// A line with the cost of a run, if it is known and not 0.
pub(crate) fn cost(usd: Option<f64>) -> String {
    usd.filter(|usd| *usd > 0.0).map(|usd| format!("{usd:.4} US dollars\n")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn figures_are_aligned_right_and_names_left_by_their_width_on_the_terminal() {
        let rows = [["react".into(), "0.5".into()], ["日本".into(), "12.25".into()]];
        assert_eq!(super::table(["name", "score"], &rows), "name   score\nreact    0.5\n日本   12.25\n");
        assert_eq!(super::list(["name", "score"], &rows), "name   score\nreact  0.5\n日本   12.25\n");
    }
}
