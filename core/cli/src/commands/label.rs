//! `forethought label`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use forethought_api::{
    Error, Result,
    critic::{LabelRequest, Meaning, Vocabulary},
    environment::{Environment, Reset},
    planner::Planner,
    seed,
    trajectory::{Step, Trajectory},
};
use forethought_runtime::{
    host::{RuntimeHost, assemble::LiveOptions},
    run::folder::{Earlier, RunStatus},
    run::{Configured, RunOutcome, RunSpec, episode::EpisodeStatus},
    trajectories,
};
use serde_json::{Map, Value, json};

use crate::{
    commands::train::{Recorded, unlabelled},
    exit::Exit,
    launch::play_spec,
    session::Session,
    written::{Written, prepare, replaceable, write},
};

/// Fill in the states and outcomes of recorded episodes, and group what they say by what it means.
///
/// If --out is a folder, each step without a state or outcome gets them from the summariser, as with `collect`; nothing
/// that is there is changed. [summariser] kind = "observation" needs no model. The folder gets `trajectories.parquet`
/// and `trajectories.jsonl`, and, if the trainer names a model for it (label.llm), `vocabulary.json`. The same command
/// continues after an interruption or a budget that was reached.
///
/// If --out is a .json file, only the vocabulary is written or continued. A model never says a thing twice in the same
/// words, so a critic that takes each sentence as an outcome of its own learns that none ever comes true. Here the model
/// that the trainer names says which sentences mean the same. Sentences of states count if they recur in five episodes.
/// The file is JSON that people can read and edit; name it as the trainer's `vocabulary`. It is saved after each answer,
/// and the same command continues it and asks only about sentences that it does not hold.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought label my.toml --data imported --out labelled
  forethought label my.toml --data labelled --set trainer.critic.label.llm=actor --out vocabulary.json
  forethought train my.toml --data labelled --set trainer.critic.vocabulary=vocabulary.json --out critic")]
pub(crate) struct Label {
    #[command(flatten)]
    recorded: Recorded,
    /// A folder for labelled trajectories; or a .json file, the vocabulary, written, or continued if it is there.
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Replace trajectories of other episodes in DIR.
    #[arg(long)]
    replace: bool,
    /// Label all of them again, even if an earlier run could be continued or has the results.
    #[arg(long)]
    fresh: bool,
}

impl Label {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        if self.out.extension().is_some_and(|extension| extension == "json") {
            let (host, trainer) = self.recorded.trainer(session).await?;
            let data = self.recorded.trajectories()?;
            if let Some(missing) = unlabelled(&data, &self.recorded.data) {
                return Err(Error::input(missing));
            }
            let (vocabulary, words) = self.group(session, &host, &trainer, data, &self.out).await?;
            session.show(&vocabulary, || words)?;
            return Ok(Exit::Done);
        }
        let host = self.recorded.host(session).await?;
        let data = self.recorded.trajectories()?;
        if !self.replace {
            replaceable(&self.out, &data.iter().map(|one| one.episode.clone()).collect())?;
        }
        prepare(&self.out, data.len() as u64)?;
        let labelled = self.fill(session, &host, data).await?;
        let written = write(&self.out, &labelled.data)?;
        let mut document = json!({
            "run": labelled.run, "status": labelled.status, "steps": labelled.steps, "derived": labelled.derived,
            "unlabelled": labelled.left,
        });
        let mut words = labelled.words(&written);
        if let (Some(files), Ok(Value::Object(all))) =
            (document.as_object_mut(), serde_json::to_value(&written))
        {
            files.insert("written".into(), all.into());
        }
        if let (RunStatus::Finished, Some(trainer)) = (labelled.status, self.groups(&host)?) {
            let file = self.out.join("vocabulary.json");
            let (vocabulary, more) = self.group(session, &host, &trainer, labelled.data, &file).await?;
            document["vocabulary"] = vocabulary;
            words += &more;
        }
        session.show(&document, || words)?;
        Ok(labelled.status.into())
    }

    /// The trainer that names a model which groups sentences, if there is one.
    fn groups(&self, host: &RuntimeHost) -> Result<Option<String>> {
        if self.recorded.trainer.is_none() && host.config().trainer.len() != 1 {
            return Ok(None);
        }
        let name = self.recorded.trainer_in(host)?;
        let model =
            host.config().trainer.get(&name).and_then(|trainer| trainer.config.get("label")?.get("llm"));
        Ok(model.filter(|model| !model.is_null()).map(|_| name))
    }

    /// Groups what the trajectories say. Returns what `--json` prints, and words.
    async fn group(
        &self,
        session: &Session,
        host: &RuntimeHost,
        trainer: &str,
        trajectories: Vec<Trajectory>,
        out: &Path,
    ) -> Result<(Value, String)> {
        let trainer = host.trainer(trainer).await?;
        let request = LabelRequest { trajectories, about: self.about(host).await?, out: out.into() };
        let work = trainer.label(request, Arc::new(session.reporter.clone()));
        let vocabulary = session.or_interrupted(work).await?;
        let sentences = |meanings: &[Meaning]| meanings.iter().map(|one| one.sentences.len()).sum::<usize>();
        let Vocabulary { outcomes, thoughts, states } = &vocabulary;
        let counts = [("outcomes", outcomes), ("thoughts", thoughts), ("states", states)];
        let mut data = json!({ "out": out });
        for (name, meanings) in counts {
            data[name] = json!({ "meanings": meanings.len(), "sentences": sentences(meanings) });
        }
        let line = |(name, meanings): &(&str, &Vec<Meaning>)| {
            format!("{name}: {} sentences, {} meanings\n", sentences(meanings), meanings.len())
        };
        let words = format!("{}{}\n", counts.iter().map(line).collect::<String>(), out.display());
        Ok((data, words))
    }

    /// The rules of the configured world, if there is one.
    async fn about(&self, host: &RuntimeHost) -> Result<String> {
        if host.config().environment.is_none() {
            return Ok(String::new());
        }
        let spec = host.environment().await?.spec().await?;
        let seat = spec.seats.get(self.recorded.seat.unwrap_or_default());
        let about = [Some(&spec.instructions), seat.map(|seat| &seat.instructions)];
        let about: Vec<_> = about.into_iter().flatten().map(String::as_str).collect();
        Ok(about.join("\n"))
    }

    /// Plays the trajectories that lack something once more, and takes from that what they lack. Where the configured
    /// world is one of recorded episodes, all are played, and the rewards are those that it gives.
    async fn fill(
        &self,
        session: &Session,
        host: &RuntimeHost,
        mut data: Vec<Trajectory>,
    ) -> Result<Labelled> {
        let derived = data.iter_mut().flat_map(|one| &mut one.steps).filter_map(derive).count();
        let own = host.config().environment.as_ref().is_some_and(|world| world.kind == KIND);
        let played: Vec<usize> = (0..data.len()).filter(|at| own || lacks(&data[*at])).collect();
        let mut labelled =
            Labelled { data, run: None, status: RunStatus::Finished, steps: 0, derived, left: 0 };
        if played.is_empty() {
            return Ok(labelled);
        }
        let subset: Vec<_> = played.iter().map(|at| labelled.data[*at].clone()).collect();
        let spec = session.or_interrupted(self.spec(session, host, &subset, own)).await?;
        let (_, outcome) = play_spec(session, spec, Some("label")).await?;
        labelled.take(&played, outcome, own);
        Ok(labelled)
    }

    /// The run that repeats these trajectories.
    async fn spec(
        &self,
        session: &Session,
        host: &RuntimeHost,
        subset: &[Trajectory],
        own: bool,
    ) -> Result<RunSpec> {
        if host.config().summariser.is_none() {
            return Err(Error::config(
                "states and outcomes come from a summariser; add [summariser] with llm = \"...\", the name of a language \
                 model, or with kind = \"observation\", which needs none",
            ));
        }
        // Read when the world is built.
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("recorded.jsonl");
        let world: Arc<dyn Environment> = if own {
            let world = host.environment().await?;
            let tasks = world.spec().await?.tasks.unwrap_or_default();
            if tasks != subset.len() as u64 {
                return Err(Error::input(format!(
                    "--data has {} trajectories, and the configured world (`environment.data`) {tasks}: name the same",
                    subset.len()
                )));
            }
            world
        } else {
            trajectories::write(&file, subset)?;
            let about = self.about(host).await?;
            let config = json!({ "data": file, "instructions": about });
            let Value::Object(config) = config else { unreachable!("it is a table") };
            host.standalone(KIND, config).await?
        };
        let planner: Arc<dyn Planner> = host.standalone(KIND, Map::new()).await?;
        let live = LiveOptions {
            environment: world.clone(),
            name: KIND.into(),
            planner: planner.clone(),
            cancel: session.cancel.clone(),
            collect: true,
        };
        let mut spec = host.live_spec(live).await?;
        let contents = blake3::hash(&serde_json::to_vec(subset)?).to_hex().to_string();
        let world_config = host.config().environment.as_ref().filter(|_| own).map(|world| &world.config);
        let identity = json!({ "kind": KIND, "trajectories": contents, "config": world_config });
        spec.environment = Configured::new(identity, world);
        spec.seats = vec![(KIND.into(), Configured::new(json!({ "kind": KIND }), planner))];
        let base = host.config().seed;
        let reset = |task: u64| Reset { task, seed: seed::derive(base, &format!("episode/{task}")) };
        spec.episodes = (0..subset.len() as u64).map(reset).collect();
        spec.earlier = if self.fresh { Earlier::Ignore } else { Earlier::Reuse };
        Ok(spec)
    }
}

/// The kind of the world and planner that repeat.
const KIND: &str = "recorded";

/// Whether a state or outcome is missing.
fn lacks(trajectory: &Trajectory) -> bool {
    let steps = &trajectory.steps;
    steps.iter().any(|step| step.state.is_empty() || step.next_state.is_empty())
        || steps.iter().all(|step| step.outcomes.is_empty())
}

/// Describes the action where no thought is recorded, and marks it, as importers do.
fn derive(step: &mut Step) -> Option<()> {
    let missing = step.thought.trim().is_empty() && !step.action.trim().is_empty();
    missing.then(|| {
        let line = step.action.split_whitespace().collect::<Vec<_>>().join(" ");
        step.thought = format!("Derived: {}", line.chars().take(200).collect::<String>());
    })
}

/// What has labels now.
struct Labelled {
    /// The trajectories that lack nothing.
    data: Vec<Trajectory>,
    run: Option<PathBuf>,
    status: RunStatus,
    /// Steps that were labelled.
    steps: usize,
    /// Steps without a thought of their own.
    derived: usize,
    /// Trajectories that still lack something.
    left: usize,
}

impl Labelled {
    /// Takes what was missing from the episodes that are done. Those of the `played` that are not are left out.
    fn take(&mut self, played: &[usize], outcome: RunOutcome, rewards: bool) {
        let done = outcome.episodes.iter().filter(|one| one.status == EpisodeStatus::Done);
        let done: HashSet<u64> = done.map(|one| one.task).collect();
        let new = outcome.trajectories.iter().filter(|one| done.contains(&one.task));
        let new: HashMap<u64, &Trajectory> = new.map(|one| (one.task, one)).collect();
        let mut missing = vec![false; self.data.len()];
        for (task, at) in (0_u64..).zip(played) {
            match new.get(&task).filter(|new| new.steps.len() == self.data[*at].steps.len()) {
                Some(new) => self.steps += merge(&mut self.data[*at], new, rewards),
                None => missing[*at] = true,
            }
        }
        self.left = missing.iter().filter(|missing| **missing).count();
        let mut missing = missing.into_iter();
        self.data.retain(|_| !missing.next().unwrap_or_default());
        (self.run, self.status) = (Some(outcome.folder), outcome.status);
    }

    fn words(&self, written: &Written) -> String {
        let mut words = format!("{} steps labelled\n", self.steps);
        if self.derived > 0 {
            words += &format!(
                "{} steps have no thought: the action is described after `Derived:`\n",
                self.derived
            );
        }
        if self.left > 0 {
            words += &format!("{} trajectories have no labels yet, and were not written\n", self.left);
        }
        words + &written.to_string()
    }
}

/// Puts what is missing in place, and the rewards if they are new. Returns how many steps got something.
fn merge(old: &mut Trajectory, new: &Trajectory, rewards: bool) -> usize {
    let mut count = 0;
    for (old, new) in old.steps.iter_mut().zip(&new.steps) {
        let before = old.clone();
        for (old, new) in [(&mut old.state, &new.state), (&mut old.next_state, &new.next_state)] {
            if old.is_empty() {
                old.clone_from(new);
            }
        }
        if old.outcomes.is_empty() {
            old.outcomes.clone_from(&new.outcomes);
        }
        count += usize::from(*old != before);
        if rewards {
            old.reward = new.reward;
        }
    }
    if let Some(judge) = new.info.get("judged_by").filter(|_| rewards)
        && old.info.insert("judged_by".into(), judge.clone()).is_none()
    {
        old.source += " (judged)";
    }
    count
}
