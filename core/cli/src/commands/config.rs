//! `forethought config`.

use clap::{Args, Subcommand};
use forethought_api::Result;
use forethought_runtime::config::dotted;
use serde_json::json;

use crate::{
    arguments::{ConfigArguments, Values},
    exit::Exit,
    session::Session,
    tables::list,
};

/// Show or check a configuration.
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the configuration that results from all layers.
    #[command(after_help = "Examples:
  forethought config show my.toml
  forethought config show my.toml --origin --set run.episodes=5")]
    Show(Show),
    /// Check a configuration: build the components that it names, and check that their requirements are met.
    #[command(after_help = "Examples:
  forethought config check my.toml
  forethought config check my.toml --planner react,pnlc")]
    Check(Check),
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    config: ConfigArguments,
    /// Show where each value comes from, including the defaults of components.
    #[arg(long)]
    origin: bool,
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    config: ConfigArguments,
    /// Check for these planners of the first seat, separated by commas, as `eval` takes them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    planner: Vec<String>,
}

impl Config {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        match self.command {
            Command::Show(show) => show.execute(session).await,
            Command::Check(check) => check.execute(session).await,
        }
    }
}

impl Show {
    async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.config, Values::new()).await?;
        let document = host.config().document();
        if !self.origin {
            let toml = host.config().to_toml()?;
            session.show(document.values(), || toml)?;
            return Ok(Exit::Done);
        }
        let entries = document.entries(host.registry());
        let lines: Vec<_> = entries
            .iter()
            .map(|entry| [dotted(&entry.path), entry.value.to_string(), entry.origin.to_string()])
            .collect();
        let data: Vec<_> = entries
            .iter()
            .zip(&lines)
            .map(|(entry, [key, _, origin])| json!({ "key": key, "value": entry.value, "origin": origin }))
            .collect();
        session.show(&data, || list(["key", "value", "origin"], &lines))?;
        Ok(Exit::Done)
    }
}

impl Check {
    async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.config, Values::new()).await?;
        let environment = match host.config().environment.is_some() {
            true => {
                let spec = host.environment().await?.spec().await?;
                let planners = match self.planner.is_empty() {
                    true => vec![None],
                    false => self.planner.iter().map(|name| Some(name.as_str())).collect(),
                };
                let mut all = Vec::new();
                for planner in planners {
                    let seats = host.seats(&spec, planner)?;
                    session.or_interrupted(host.check(&seats)).await?;
                    all.push(seats);
                }
                Some((spec.name, all))
            }
            false => None,
        };
        let data = json!({
            "ok": true,
            "environment": environment.as_ref().map(|(name, _)| name),
            "seats": environment.as_ref().map(|(_, all)| &all[0]),
            "checked": environment.as_ref().map(|(_, all)| all),
        });
        session.show(&data, || match &environment {
            Some((name, all)) => {
                all.iter().map(|seats| format!("ok: {} in {name}\n", seats.join(", "))).collect::<String>()
            }
            None => "ok, but there is no [environment] to run in\n".into(),
        })?;
        Ok(Exit::Done)
    }
}
