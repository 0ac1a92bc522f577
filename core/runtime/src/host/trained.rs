//! Which tasks a critic has learned from, by its checkpoint: compared with those of a run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;

use forethought_api::{
    Result,
    checkpoint::{self, Manifest},
    text::unmarked,
};

use crate::host::{RuntimeHost, identity::Paths};
use crate::run::plan::RunSpec;

impl RuntimeHost {
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
        let manifest = || {
            let text = std::fs::read_to_string(folder.join(checkpoint::CONFIG)).ok()?;
            Manifest::of(&serde_json::from_str(unmarked(&text)).ok()?).ok()
        };
        if let Some(trained) = manifest().and_then(|manifest| manifest.trained_on) {
            self.shared
                .trained
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(section.into(), trained);
        }
    }

    /// The hash of the environment's configuration, by the contents of its files: a training's `configuration`.
    pub fn world(&self) -> Option<String> {
        self.config().environment.as_ref()?;
        let config = &self.identity(&["environment".into()], Paths::ByContents)["config"];
        Some(blake3::hash(config.to_string().as_bytes()).to_hex()[..32].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use forethought_api::checkpoint::Split;
    use forethought_api::critic::{Critic, CriticQuery, Estimate, TrainingRequest};
    use forethought_api::host::{Host as _, ModelFiles};
    use forethought_api::trajectory::{Step, Trajectory};
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
        let ids = |tasks: std::ops::Range<u64>| tasks.map(|task| of(task).episode).collect();
        let split = Split { train: ids(0..4), validation: ids(4..5), test: ids(5..6) };
        let trajectories = (0..6).map(of).collect();
        let fit = TrainingRequest { trajectories, configuration: host.world(), ..TrainingRequest::default() };
        let write = |trained_on| {
            let manifest = Manifest { format: "mine/1".into(), split: split.clone(), trained_on };
            std::fs::write(&path, serde_json::to_string(&manifest).unwrap()).unwrap();
        };
        write(fit.trained_on(&split));

        let seen = async |toml: &str| {
            let host = testing::host(toml);
            let mut spec = host.run_spec(&RunOptions::default()).await.unwrap();
            let section = ["critic".to_string(), "c".to_string()];
            let source = folder.path().to_string_lossy().into();
            let files =
                ModelFiles { source, required: vec![checkpoint::CONFIG.into()], ..Default::default() };
            host.owned_by(&section).model_files(files).await.unwrap();
            spec.critics.insert("c".into(), Configured::new(json!({}), Arc::new(Undecided)));
            host.tasks_seen(&spec).await.unwrap()
        };
        // Tasks 3 to 6, of which 5 was only measured on.
        assert_eq!(seen(&format!("{world}{RUN}")).await, [("c".to_string(), 2, 4)]);
        // In a world of another configuration, task 3 is another task.
        assert!(seen(&format!("{world}length = 9\n{RUN}")).await.is_empty());
        // Release 0.1.0 did not write it.
        write(None);
        assert!(seen(&format!("{world}{RUN}")).await.is_empty());
    }
}
