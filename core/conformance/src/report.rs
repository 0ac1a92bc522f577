//! The result of a check, for people ([`Display`](std::fmt::Display)) and for programs (serde).

use serde::{Deserialize, Serialize};

/// The outcome of every rule, and the findings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The component, such as `environment.webshop`.
    pub component: String,
    /// The rules, in the order in which they were checked.
    pub checked: Vec<Checked>,
    /// The broken rules.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether no rule is broken.
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A rule and its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Its name, such as `environment/same-seed`.
    pub rule: String,
    /// What it requires, in one line.
    pub says: String,
    /// Its outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum Outcome {
    /// The component follows it.
    Passed,
    /// The component breaks it; the finding describes how.
    Failed,
    /// It does not apply to this component, or could not be checked.
    Skipped(String),
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// The component.
    pub component: String,
    /// What was observed.
    pub problem: String,
    /// How to fix it.
    pub fix: String,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.checked.iter().filter(|checked| wanted(&checked.outcome)).count()
        };
        let passed = count(|outcome| *outcome == Outcome::Passed);
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        let failed = self.checked.len() - passed - skipped;
        writeln!(f, "{}: {passed} rules kept, {failed} broken, {skipped} skipped", self.component)?;
        for Checked { rule, says, outcome } in &self.checked {
            match outcome {
                Outcome::Passed => writeln!(f, "  ok      {rule}: {says}")?,
                Outcome::Failed => writeln!(f, "  BROKEN  {rule}: {says}")?,
                Outcome::Skipped(reason) => writeln!(f, "  skipped {rule}: {reason}")?,
            }
        }
        for Finding { rule, problem, fix, .. } in &self.findings {
            writeln!(f, "\n{rule}\n  found: {problem}\n  fix:   {fix}")?;
        }
        Ok(())
    }
}
