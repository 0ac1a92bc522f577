//! Plans: reading them, and which step fails by which precondition.

use std::fmt;

use crate::{
    domain::Literal,
    task::{Call, State, Task},
};

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A step that does not exist, by its index, with a sentence on why.
    Unknown {
        /// Index of the step.
        step: usize,
        /// The step.
        call: Call,
        /// A sentence.
        why: String,
    },
    /// A step that is not possible.
    Unmet {
        /// Index of the step.
        step: usize,
        /// The step.
        call: Call,
        /// The preconditions that are not met.
        conditions: Vec<Literal>,
    },
    /// Every step is possible, and these goals are not reached.
    Goal {
        /// The goals.
        conditions: Vec<Literal>,
    },
}

impl Failure {
    /// Index of the step that fails; `None` where the goal is not reached.
    pub fn step(&self) -> Option<usize> {
        match self {
            Self::Unknown { step, .. } | Self::Unmet { step, .. } => Some(*step),
            Self::Goal { .. } => None,
        }
    }
}

impl fmt::Display for Failure {
    /// As a validator says it, with facts in PDDL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needs = |literal: &Literal| match literal.positive {
            true => format!("{literal} is not so"),
            false => format!("{} is so and must not be", literal.atom),
        };
        let all = |literals: &[Literal]| literals.iter().map(needs).collect::<Vec<_>>().join(", ");
        match self {
            Self::Unknown { step, call, why } => {
                write!(f, "Step {}, {call}, does not exist. {why}", step + 1)
            }
            Self::Unmet { step, call, conditions } => {
                write!(f, "Step {}, {call}, is not possible: {}.", step + 1, all(conditions))
            }
            Self::Goal { conditions } => {
                write!(f, "Every step is possible, and the goal is not reached: {}.", all(conditions))
            }
        }
    }
}

/// Plays a plan; the state after it.
///
/// # Errors
/// The first step that fails, or the goals that are not reached.
pub fn validate(task: &Task, plan: &[Call]) -> Result<State, Failure> {
    let mut state = task.init.clone();
    for (step, call) in plan.iter().enumerate() {
        let call = || call.clone();
        let bound = task.bind(&call()).map_err(|why| Failure::Unknown { step, call: call(), why })?;
        let unmet = task.unmet(&state, &bound);
        if !unmet.is_empty() {
            let conditions = unmet.iter().map(|condition| task.literal(condition)).collect();
            return Err(Failure::Unmet { step, call: call(), conditions });
        }
        task.apply(&mut state, &bound);
    }
    let missing = task.missing(&state);
    if missing.is_empty() {
        return Ok(state);
    }
    Err(Failure::Goal { conditions: missing.iter().map(|goal| task.literal(goal)).collect() })
}

/// The steps of a plan that is written one step per line: `(stack a b)`, also after a number, `3. stack a b`. Comments
/// and lines that do not begin with an action of the task's domain are left out.
pub fn read(task: &Task, text: &str) -> Vec<Call> {
    let step = |line: &str| {
        let line = line.split(';').next()?.trim();
        // Numbers, times and list marks.
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || ".:)-* ".contains(c));
        // A duration may follow.
        let line = line.rsplit_once(" [").map_or(line, |(line, _)| line);
        let known = |line: &str| {
            Call::read(line.trim_matches('`')).filter(|call| task.domain.action_named(&call.name).is_some())
        };
        // A label may be before it, as in `Plan: (stack a b)`.
        known(line).or_else(|| known(line.split_once(": ")?.1))
    };
    text.lines().filter_map(step).collect()
}
