//! Which tasks a critic has learned from: written into its checkpoint, and compared with those of a run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;

use forethought_api::{
    Result,
    checkpoint::{self, Manifest, TrainedOn},
    error::Context,
    trajectory::Trajectory,
};
use serde_json::Value;

use crate::files::write_whole;
use crate::host::{RuntimeHost, identity::Paths};
use crate::run::plan::RunSpec;

impl RuntimeHost {
    /// Writes into the checkpoint in `folder`, which was just trained on `trajectories`, what tasks they are of. Those
    /// that were only measured on do not count.
    ///
    /// # Errors
    /// If `config.json` cannot be read or written.
    pub fn note_tasks(&self, folder: &Path, trajectories: &[Trajectory]) -> Result<()> {
        let Some(configuration) = self.world() else { return Ok(()) };
        let path = folder.join(checkpoint::CONFIG);
        let mut config = read(&path)?;
        let test = Manifest::of(&config).context(path.display().to_string())?.split.test;
        let mut trained = TrainedOn { configuration, ..TrainedOn::default() };
        for one in trajectories.iter().filter(|one| !one.steps.is_empty() && !test.contains(&one.episode)) {
            trained.tasks.entry(one.environment.clone()).or_default().insert(one.task);
        }
        if let Some(config) = config.as_object_mut() {
            config.insert(TrainedOn::KEY.into(), serde_json::to_value(trained)?);
        }
        write_whole(&path, (serde_json::to_string_pretty(&config)? + "\n").as_bytes())
    }

    /// Each critic of a run that has learned from some of the run's tasks, and from how many of how many.
    ///
    /// # Errors
    /// If the environment fails.
    pub async fn tasks_seen(&self, spec: &RunSpec) -> Result<Vec<(String, usize, usize)>> {
        let name = spec.environment.component.spec().await?.name;
        let tasks: BTreeSet<u64> = spec.episodes.iter().map(|reset| reset.task).collect();
        let trained = self.shared.trained.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = spec.critics.keys().filter_map(|critic| {
            let trained = trained.get(&["critic".into(), critic.clone()][..])?;
            let same = self.world().is_some_and(|world| world == trained.configuration);
            let both = trained.tasks.get(&name).filter(|_| same)?.intersection(&tasks).count();
            (both > 0).then(|| (critic.clone(), both, tasks.len()))
        });
        Ok(seen.collect())
    }

    /// Notes what the checkpoint that a component reads says of its training.
    pub(super) fn note_trained(&self, section: &[String], folder: &Path) {
        // A checkpoint that cannot be read is the component's to complain about.
        if let Some(trained) =
            read(&folder.join(checkpoint::CONFIG)).ok().and_then(|config| TrainedOn::of(&config))
        {
            self.shared
                .trained
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(section.into(), trained);
        }
    }

    /// The hash of the environment's configuration, by the contents of its files.
    fn world(&self) -> Option<String> {
        self.config().environment.as_ref()?;
        let config = &self.identity(&["environment".into()], Paths::ByContents)["config"];
        Some(blake3::hash(config.to_string().as_bytes()).to_hex()[..32].to_owned())
    }
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).context(format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).context(format!("{} is not JSON", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use forethought_api::critic::{Critic, CriticQuery, Estimate};
    use forethought_api::host::{Host as _, ModelFiles};
    use forethought_api::trajectory::Step;
    use serde_json::json;

    use super::*;
    use crate::host::assemble::RunOptions;
    use crate::run::plan::Configured;
    use crate::testing;

    struct Undecided;

    #[async_trait]
    impl Critic for Undecided {
        async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
            Ok(vec![Estimate::default(); queries.len()])
        }
    }

    const RUN: &str = "[llm.actor]\nkind = \"parrot\"\n[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n[seats]\n\
                       agent = \"a\"\n[run]\nepisodes = 4\nfirst_task = 3\n";

    #[tokio::test]
    async fn a_run_on_tasks_that_its_critic_has_learned_from_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(checkpoint::CONFIG);
        let split = json!({ "train": ["e0", "e1", "e2", "e3"], "validation": ["e4"], "test": ["e5"] });
        std::fs::write(&path, json!({ "format": "mine/1", "split": split }).to_string()).unwrap();
        let world = "[environment]\nkind = \"corridor\"\n";
        let host = testing::host(&format!("{world}{RUN}"));
        let name = host.environment().await.unwrap().spec().await.unwrap().name;
        let of = |task: u64| Trajectory {
            episode: format!("e{task}"),
            environment: name.clone(),
            task,
            steps: vec![Step::default()],
            ..Trajectory::default()
        };
        host.note_tasks(folder.path(), &[0, 1, 2, 3, 4, 5].map(of)).unwrap();
        // Everything else stays as it was.
        assert_eq!(read(&path).unwrap()["split"], split);

        let seen = async |toml: &str| {
            let host = testing::host(toml);
            let mut spec = host.run_spec(&RunOptions::default()).await.unwrap();
            let section = ["critic".to_string(), "c".to_string()];
            let source = folder.path().to_string_lossy().into();
            let files = ModelFiles { source, required: vec![checkpoint::CONFIG.into()], optional: vec![] };
            host.owned_by(&section).model_files(files).await.unwrap();
            spec.critics.insert("c".into(), Configured::new(json!({}), Arc::new(Undecided)));
            host.tasks_seen(&spec).await.unwrap()
        };
        // Tasks 3 to 6, of which 5 was only measured on.
        assert_eq!(seen(&format!("{world}{RUN}")).await, [("c".to_string(), 2, 4)]);
        // In a world of another configuration, task 3 is another task.
        assert!(seen(&format!("{world}length = 9\n{RUN}")).await.is_empty());
        // Release 0.1.0 did not write it.
        std::fs::write(&path, json!({ "format": "mine/1", "split": split }).to_string()).unwrap();
        assert!(seen(&format!("{world}{RUN}")).await.is_empty());
    }
}
