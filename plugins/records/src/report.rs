//! What is not carried over, counted.

use std::collections::BTreeSet;

use forethought_sdk::prelude::*;

use crate::RecordConfig;

/// Counts while an import runs, and the trajectories so far.
#[derive(Default)]
pub(crate) struct Report {
    imported: Imported,
    /// Names of rewards that were seen, and whether the configured one was among them.
    rewards: BTreeSet<String>,
    found: bool,
}

impl Report {
    /// Something of this kind is in the file, and will not be in a trajectory.
    pub(crate) fn dropped(&mut self, kind: impl Into<String>) {
        self.drop_many(kind, 1);
    }

    /// The same of several.
    pub(crate) fn drop_many(&mut self, kind: impl Into<String>, count: u64) {
        if count > 0 {
            *self.imported.dropped.entry(kind.into()).or_default() += count;
        }
    }

    /// Something else that should be known.
    pub(crate) fn note(&mut self, kind: impl Into<String>) {
        *self.imported.notes.entry(kind.into()).or_default() += 1;
    }

    /// A reward of this name is in the file; whether it is the one that is used.
    pub(crate) fn reward(&mut self, name: &str, used: bool) {
        self.found |= used;
        // So many are enough for an error.
        if self.rewards.len() < 20 && !self.rewards.contains(name) {
            self.rewards.insert(name.to_owned());
        }
    }

    pub(crate) fn push(&mut self, trajectory: Trajectory) {
        self.imported.trajectories.push(trajectory);
    }

    /// The result.
    ///
    /// # Errors
    /// If no entry has the reward that was configured.
    pub(crate) fn finish(self, config: &RecordConfig) -> Result<Imported> {
        if !config.reward.is_empty() && !self.found && !self.imported.trajectories.is_empty() {
            let names: Vec<_> = self.rewards.into_iter().collect();
            let instead = match names.is_empty() {
                true => "there are no scores".to_owned(),
                false => format!("there is {}", names.join(", ")),
            };
            return Err(Error::input(format!("no entry has the reward `{}`; {instead}", config.reward)));
        }
        Ok(self.imported)
    }
}
