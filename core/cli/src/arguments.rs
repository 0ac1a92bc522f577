//! Arguments that several commands share.

use std::collections::BTreeMap;

use clap::Args;
use forethought_runtime::config::{KeyPath, dotted};
use serde_json::Value;

/// The configuration to use.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArguments {
    /// A TOML file or the name of a preset; ./forethought.toml by default.
    pub(crate) config: Option<String>,
    /// The preset to start from, overriding the one that the configuration names.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Set one key, such as --set planner.pnlc.rounds=3. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// The episodes to run, and how.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunArguments {
    /// The configuration.
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Number of episodes per planner.
    #[arg(long, value_name = "N")]
    pub(crate) episodes: Option<u64>,
    /// Task of the first episode.
    #[arg(long, value_name = "N")]
    pub(crate) first_task: Option<u64>,
    /// Episodes in flight at once.
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// The most that each decision may use, the same for all planners: calls, tokens, usd, seconds, such as
    /// --budget calls=6,tokens=4000.
    #[arg(long, value_name = "LIMIT=N", value_delimiter = ',', value_parser = limit)]
    pub(crate) budget: Vec<(&'static str, Value)>,
    /// A name for the run, shown by `runs list`.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Start a new run, even if an earlier one could be continued or has the results.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Build and check everything without running anything.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl RunArguments {
    /// The flags that set a key of the configuration.
    pub(crate) fn values(&self) -> Values {
        let counts = [
            ("episodes", self.episodes),
            ("first_task", self.first_task),
            ("concurrency", self.concurrency.map(|n| n as u64)),
        ];
        let name = self.name.as_deref().map(|name| set(["run", "name"], name));
        let counts = counts.into_iter().filter_map(|(key, value)| Some(set(["run", key], value?)));
        let budget = self.budget.iter().map(|(key, value)| set(["run", "per_decision", key], value.clone()));
        counts.chain(budget).chain(name).collect()
    }

    /// The keys that this command sets, as `--json` shows them.
    pub(crate) fn overrides(&self) -> BTreeMap<String, Value> {
        let typed = self.config.set.iter().filter_map(|set| set.split_once('='));
        let typed = typed.map(|(key, value)| (key.trim().to_owned(), value.trim().into()));
        typed.chain(self.values().into_iter().map(|(key, value)| (dotted(&key), value))).collect()
    }
}

/// A part of `--budget`: the key under `[run.per_decision]` and its value.
fn limit(said: &str) -> Result<(&'static str, Value), String> {
    let (name, number) = said.split_once('=').ok_or("must be LIMIT=N, such as calls=6")?;
    let key = match name.trim() {
        "calls" => "max_calls",
        "tokens" => "max_tokens",
        "usd" => "max_usd",
        "seconds" => "max_wall_s",
        other => return Err(format!("`{other}` is not a limit; there are calls, tokens, usd and seconds")),
    };
    let count = ["max_calls", "max_tokens"].contains(&key);
    let value = match count {
        true => number.trim().parse::<u64>().map(Value::from).ok(),
        false => number.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0).map(Value::from),
    };
    let whole = if count { "a whole number" } else { "a number" };
    value.map(|value| (key, value)).ok_or_else(|| format!("`{name}` must be {whole} from 0, not `{number}`"))
}

/// Keys of the configuration that a command sets; these win over everything else, `--set` included.
pub(crate) type Values = Vec<(KeyPath, Value)>;

/// One of [`Values`].
pub(crate) fn set<const N: usize>(path: [&str; N], value: impl Into<Value>) -> (KeyPath, Value) {
    (path.map(String::from).to_vec(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_short_for_limits_per_decision() {
        assert_eq!(limit("calls=6"), Ok(("max_calls", 6.into())));
        assert_eq!(limit("seconds=2.5"), Ok(("max_wall_s", 2.5.into())));
        for (said, why) in
            [("calls", "LIMIT=N"), ("call=6", "`call` is not a limit"), ("tokens=1.5", "a whole number")]
        {
            let error = limit(said).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
