//! From a configuration to a run: the components of the host as a [`RunSpec`].

use std::collections::BTreeMap;
use std::sync::Arc;

use forethought_api::{
    Error, Result,
    critic::Critic,
    environment::{Environment, EnvironmentSpec, Reset},
    error::Code,
    host::Host as _,
    llm::LlmBackend,
    planner::{Planner, Requirements, Summariser},
    seed,
};
use serde_json::{Value, json};

use crate::host::identity::Paths;
use crate::{
    budget::{PerDecision, prices::Price},
    cancel::Cancel,
    config::ConfigOrigin,
    host::{ROLES, RuntimeHost},
    run::folder::Earlier,
    run::needs,
    run::plan::{self, Configured, RunSpec},
};

/// Episodes of one run: all of them are held in memory.
const MOST_EPISODES: u64 = 100_000;

/// What a command says about a run beyond the configuration.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The planner of the first seat; by default the one that `[seats]` names.
    pub planner: Option<String>,
    /// The planners of [`RunSpec::seats`], instead of those of `[seats]`; by default those that it names.
    pub planners: Vec<String>,
    /// Whether to collect trajectories: then the summariser works, too.
    pub collect: bool,
    /// What to do about an earlier run of the same specification.
    pub earlier: Earlier,
    /// Raised to interrupt the run.
    pub cancel: Cancel,
}

/// What is added to a configuration for a run whose episodes come from outside.
pub struct LiveOptions {
    /// Says what the worlds of the episodes have in common; nothing is played in it.
    pub environment: Arc<dyn Environment>,
    /// What the run is called by: the planner's name.
    pub name: String,
    /// Says what the planners of the episodes need; never asked to decide.
    pub planner: Arc<dyn Planner>,
    /// Whether to collect trajectories: then the summariser works, too.
    pub collect: bool,
    /// Raised to give up every episode.
    pub cancel: Cancel,
}

/// The components of a run, apart from its environment and planners.
struct Parts {
    llms: BTreeMap<String, Configured<dyn LlmBackend>>,
    prices: BTreeMap<String, Option<Price>>,
    /// The highest price of the models of each name.
    highest: BTreeMap<String, Price>,
    critics: BTreeMap<String, Configured<dyn Critic>>,
    summariser: Option<Configured<dyn Summariser>>,
    asked_summariser: Option<Configured<dyn Summariser>>,
}

impl RuntimeHost {
    /// The run that the configuration describes. Every component that it needs is built and checked.
    ///
    /// # Errors
    /// Anything in the configuration that cannot be run.
    pub async fn run_spec(&self, options: &RunOptions) -> Result<RunSpec> {
        let config = self.config();
        let environment = self.environment().await?;
        let spec = environment.spec().await?;
        if spec.seats.is_empty() {
            return Err(Error::new(
                Code::Plugin,
                format!("environment `{}` has no seats: nobody could act", spec.name),
            ));
        }
        let end = config.run.first_task.saturating_add(config.run.episodes);
        if config.run.episodes.saturating_mul(config.run.repeats) > MOST_EPISODES {
            let message = format!(
                "{} episodes, each {} times, are more than {MOST_EPISODES}; run them in parts, with first_task",
                config.run.episodes, config.run.repeats
            );
            return Err(Error::config(config.document().at(&["run".into(), "repeats".into()], message)));
        }
        if let Some(tasks) = spec.tasks.filter(|tasks| end > *tasks) {
            let run = &config.run;
            let key = ["run".to_string(), "episodes".to_string()];
            let message = format!(
                "{} episodes from task {} on go beyond the {tasks} tasks of `{}`",
                run.episodes, run.first_task, spec.name
            );
            return Err(Error::config(config.document().at(&key, message)));
        }
        // The layers above a preset cannot remove its keys.
        let refused = spec.overridden.iter().find_map(|(key, why)| {
            let key = ["environment".to_string(), key.clone()];
            let own = !matches!(config.document().origin(&key), ConfigOrigin::Preset { .. });
            own.then(|| config.document().at(&key, format_args!("no effect: {why}; remove one of them")))
        });
        let seats = match options.planners.is_empty() {
            true => self.seats(&spec, options.planner.as_deref())?,
            false => options.planners.clone(),
        };
        let needs = self.check(&seats).await?;

        let mut planners = Vec::new();
        for name in &seats {
            let planner = self.planner(name.clone()).await?;
            planners.push((name.clone(), self.configured(&["planner".into(), name.clone()], planner)));
        }
        let parts = self.parts(needs, options.collect).await?;

        // The run's own copy says who really sat where.
        let mut resolved = config.document().values().clone();
        if options.planners.is_empty() {
            let names = spec.seats.iter().map(|seat| seat.name.clone());
            let taken: serde_json::Map<_, _> =
                names.zip(seats).map(|(seat, name)| (seat, json!(name))).collect();
            resolved.insert("seats".into(), Value::Object(taken));
        }
        let run = &config.run;
        let episode = |repeat, task| {
            let name =
                if repeat == 0 { format!("episode/{task}") } else { format!("episode/{task}/{repeat}") };
            Reset { task, seed: seed::derive(config.seed, &name) }
        };
        let tasks = run.first_task..end;
        let episodes =
            (0..run.repeats).flat_map(|repeat| tasks.clone().map(move |task| episode(repeat, task)));
        let environment = self.configured(&["environment".into()], environment);
        let config = config.document().with_origins(&resolved)?;
        Ok(RunSpec {
            episodes: episodes.collect(),
            earlier: options.earlier,
            refused,
            ..self.spec(config, environment, planners, parts, options.cancel.clone())
        })
    }

    /// A run within the limits of the configuration, of no episodes, which continues no other.
    fn spec(
        &self,
        config: String,
        environment: Configured<dyn Environment>,
        seats: Vec<(String, Configured<dyn Planner>)>,
        parts: Parts,
        cancel: Cancel,
    ) -> RunSpec {
        let settings = self.config();
        let run = &settings.run;
        RunSpec {
            config,
            paths: settings.document().paths().to_vec(),
            summariser: parts.summariser,
            asked_summariser: parts.asked_summariser,
            llms: parts.llms,
            prices: parts.prices,
            metering: self.shared.metering.clone(),
            critics: parts.critics,
            concurrency: run.concurrency,
            limits: run.limits(),
            episode_limits: run.per_episode,
            per_decision: PerDecision { limits: run.per_decision, prices: parts.highest },
            role_limits: settings.roles.iter().map(|(name, role)| (name.clone(), role.limits)).collect(),
            cancel,
            ..RunSpec::new(run.out.to_path_buf(), environment, seats)
        }
    }

    /// The run whose episodes come from outside: see [`LiveRun`](crate::run::live::LiveRun).
    ///
    /// # Errors
    /// Anything in the configuration that cannot be run.
    pub async fn live_spec(&self, live: LiveOptions) -> Result<RunSpec> {
        let environment = live.environment.spec().await?;
        let own = live.planner.requires().await?;
        let summarises = live.collect || own.summariser;
        let mut askers = vec![(vec![live.name.clone()], own)];
        if summarises {
            askers.push((vec!["summariser".into()], self.summariser().await?.requires().await?));
        }
        let needs = needs::check(self, &environment, askers).await?.all;
        let parts = self.parts(needs, live.collect).await?;
        let environment = Configured::new(Value::Null, live.environment);
        let seats = vec![(live.name, Configured::new(Value::Null, live.planner))];
        Ok(self.spec(self.config().to_toml()?, environment, seats, parts, live.cancel))
    }

    /// The needs of `[planner.<name>]`, or of the model or role of that name (`word` is `llm`), in an environment:
    /// built and checked.
    ///
    /// # Errors
    /// What cannot be built, or the first need that is not met.
    pub async fn offer(&self, environment: &EnvironmentSpec, word: &str, name: &str) -> Result<Requirements> {
        let own = match word {
            "planner" => self.planner(name.into()).await?.requires().await?,
            _ => Requirements { llms: vec![name.into()], ..Requirements::default() },
        };
        let asker = if word == "planner" { vec![word.into(), name.into()] } else { vec!["serve".into()] };
        needs::check(self, environment, [(asker, own.clone())]).await?;
        Ok(own)
    }

    /// The components that a run with these needs has, apart from its environment and planners.
    async fn parts(&self, needs: Requirements, collect: bool) -> Result<Parts> {
        let mut llms = BTreeMap::new();
        let prices = self.prices(&needs.llms).await?;
        let mut highest = BTreeMap::new();
        for name in needs.llms {
            let each = self.prices(std::slice::from_ref(&name)).await?.into_values().flatten();
            highest.extend(each.reduce(Price::or).map(|price| (name.clone(), price)));
            let llm = self.llm(name.clone()).await?;
            let before = Some(self.llm_identity(&name, Paths::AsWritten).await?);
            let config = self.llm_identity(&name, Paths::ByContents).await?;
            llms.insert(name.clone(), Configured { config, before, component: llm });
        }
        let mut critics = BTreeMap::new();
        for name in needs.critics {
            let critic = self.critic(name.clone()).await?;
            critics.insert(name.clone(), self.configured(&["critic".into(), name], critic));
        }
        let summariser = match collect {
            true if self.config().summariser.is_none() => {
                return Err(Error::config(
                    "collecting trajectories needs a summariser; add [summariser] with llm = \"...\", the name of a \
                     language model",
                ));
            }
            true => Some(self.configured_summariser().await?),
            false => None,
        };
        let asked_summariser = match needs.summariser && summariser.is_none() {
            true => Some(self.configured_summariser().await?),
            false => None,
        };
        Ok(Parts { llms, prices, highest, critics, summariser, asked_summariser })
    }

    /// Everything that decides the answers of a role, or of the model of that name.
    async fn llm_identity(&self, name: &str, paths: Paths) -> Result<Value> {
        if !self.config().roles.contains_key(name) {
            return Ok(self.identity(&["llm".into(), name.into()], paths));
        }
        let mut identity = self.identity(&[ROLES.into(), name.into()], paths);
        let mut says = Vec::new();
        for (llm, capabilities) in self.targets(name).await? {
            says.push(json!([llm, plan::identity(&capabilities)?]));
        }
        identity["says"] = says.into();
        Ok(identity)
    }

    async fn configured_summariser(&self) -> Result<Configured<dyn Summariser>> {
        let summariser = self.summariser().await?;
        Ok(self.configured(&["summariser".into()], summariser))
    }

    fn configured<T: ?Sized>(&self, section: &[String], component: Arc<T>) -> Configured<T> {
        let before = Some(self.identity(section, Paths::AsWritten));
        Configured { config: self.identity(section, Paths::ByContents), before, component }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{run, testing};

    const WALK: &str = "seed = 3\n[environment]\nkind = \"corridor\"\n[llm.actor]\nkind = \"parrot\"\n\
                        [planner.a]\nkind = \"echo\"\nllm = \"actor\"\n[planner.b]\nkind = \"echo\"\nllm = \"actor\"\n\
                        [seats]\nagent = \"a\"\n[run]\nepisodes = 3\nfirst_task = 5\n";

    #[tokio::test]
    async fn a_configuration_becomes_a_run() {
        let host = testing::host(WALK);
        let options = RunOptions { planner: Some("b".into()), collect: true, ..RunOptions::default() };
        let mut spec = host.run_spec(&options).await.unwrap();
        assert_eq!(spec.seats[0].0, "b");
        assert!(spec.config.contains("agent = \"b\""), "{}", spec.config);
        assert_eq!(spec.episodes.iter().map(|reset| reset.task).collect::<Vec<_>>(), [5, 6, 7]);
        assert!(spec.llms.contains_key("actor") && spec.summariser.is_some());

        let folder = tempfile::tempdir().unwrap();
        spec.root = folder.path().into();
        let outcome = run::run(spec, Arc::new(run::NoopObserver)).await.unwrap();
        assert_eq!((outcome.episodes.len(), outcome.trajectories.len()), (3, 3));
    }

    #[tokio::test]
    async fn collecting_needs_a_summariser() {
        let host = testing::host(&format!("{WALK}[llm.other]\nkind = \"parrot\"\n"));
        let options = RunOptions { collect: true, ..RunOptions::default() };
        let error = host.run_spec(&options).await.err().expect("nobody summarises");
        assert!(error.message.contains("add [summariser]"), "{error}");
    }
}
