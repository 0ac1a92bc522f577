//! Rules for trainers: the same data and seed give the same files, and a cancelled training leaves none but its
//! snapshots.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use forethought_api::{
    Result as Answer,
    critic::{CriticTrainer, Progress, TrainingReport, TrainingRequest},
    trajectory::{Step, Trajectory},
};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::{
    common::Work,
    stand_in::draw,
    trial::{Fault, Rule, Trial, Verdict, ensure},
};

const FILES: Rule = Rule {
    id: "trainer/files",
    says: "a checkpoint is a folder with `model.safetensors`, `config.json` and `README.md`",
    fix: "write all three into `fit.out`, which may not exist yet",
    needs: &["common/answered"],
};
const REPORT: Rule = Rule {
    id: "trainer/report",
    says: "the report has the number of steps, the kept step, the number of trajectories, and finite metrics",
    fix: "fill in every field of `TrainingReport`; leave out metrics that are undefined on the data",
    needs: &["common/answered"],
};
const PROGRESS: Rule = Rule {
    id: "trainer/progress",
    says: "progress is reported, and within a stage never passes the total and never decreases",
    fix: "call `progress.report` during the work, with the stage, the units done and all units",
    needs: &["common/answered"],
};
const SAME_SEED: Rule = Rule {
    id: "trainer/same-seed",
    says: "the same data and seed give the same files",
    fix: "draw weights, batches and splits from `fit.seed`, write no times or paths, and iterate over nothing in random \
          order",
    needs: &["common/answered", "trainer/files"],
};
const CANCELLED: Rule = Rule {
    id: "trainer/cancelled",
    says: "a cancelled training stops, leaves no half-written checkpoint, and can be repeated",
    fix: "write to a temporary folder that a guard removes, rename it at the end, and let the working thread check \
          whether the call was cancelled",
    needs: &["common/answered", "trainer/files", "trainer/same-seed"],
};

pub(crate) const RULES: &[&Rule] = &[&FILES, &REPORT, &PROGRESS, &SAME_SEED, &CANCELLED];

/// How long a cancelled training may take to stop.
const GRACE: Duration = Duration::from_secs(3);

type Trainer = Arc<dyn CriticTrainer>;
type Files = BTreeMap<String, Vec<u8>>;

/// Walks along a corridor, some of which reach a treasure.
fn trajectories() -> Vec<Trajectory> {
    (0..16_u64)
        .map(|episode| {
            let found = draw(episode) % 2 == 0;
            let place = |step: u64| {
                format!("at {step} of a corridor, the {} way", if found { "right" } else { "wrong" })
            };
            let steps = (0..4).map(|step| Step {
                observation: place(step),
                state: place(step),
                // Annotated, for trainers that learn acts.
                thought: if draw((episode, step)) % 2 == 0 {
                    "Derived: [walk] walk on".into()
                } else {
                    "Derived: [rest] rest a while".into()
                },
                action: "go on".into(),
                next_state: place(step + 1),
                outcomes: vec![
                    if found && step == 3 { "the treasure is found" } else { "nothing is found yet" }.into(),
                ],
                reward: if found && step == 3 { 1.0 } else { 0.0 },
                terminated: step == 3,
                ..Step::default()
            });
            Trajectory {
                episode: format!("episode-{episode}"),
                environment: "corridor".into(),
                task: episode,
                seed: episode,
                seat: 0,
                source: "stand-in".into(),
                steps: steps.collect(),
                ..Trajectory::default()
            }
        })
        .collect()
}

/// Records reports, and wakes the one who waits for the first.
#[derive(Default)]
struct Heard {
    reports: Mutex<Vec<(String, u64, u64)>>,
    first: Notify,
}

#[async_trait]
impl Progress for Heard {
    async fn report(&self, stage: String, done: u64, total: u64, _: String) -> Answer<()> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push((stage, done, total));
        self.first.notify_one();
        Ok(())
    }
}

fn fit(out: &Path, seed: u64) -> TrainingRequest {
    TrainingRequest { trajectories: trajectories(), out: out.into(), seed, ..TrainingRequest::default() }
}

pub(crate) async fn check(trial: &Trial<'_>, trainer: Trainer) -> Option<Work> {
    let folder = tempfile::tempdir().map_err(|error| Fault::Skipped(format!("no temporary folder: {error}")));
    let folder = trial.gather(async { folder }).await?;
    let heard = Arc::new(Heard::default());
    let out = folder.path().join("first");
    let report =
        trial.gather(trial.call("fit", trainer.fit(fit(&out, trial.options.seed), heard.clone()))).await?;
    let files = read(&out);
    trial.rule(&FILES, complete(&files)).await;
    trial.rule(&REPORT, report_holds(&report)).await;
    trial.rule(&PROGRESS, progress(&heard)).await;
    trial.rule(&SAME_SEED, same_seed(trial, &trainer, &folder, &files)).await;
    trial.rule(&CANCELLED, cancelled(trial, &trainer, &files)).await;
    None
}

fn read(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    entries.map(|entry| (name(&entry.path()), std::fs::read(entry.path()).unwrap_or_default())).collect()
}

async fn complete(files: &Files) -> Verdict {
    for wanted in ["model.safetensors", "config.json", "README.md"] {
        ensure!(files.get(wanted).is_some_and(|bytes| !bytes.is_empty()), "{wanted} is missing or empty");
    }
    Ok(())
}

async fn report_holds(report: &TrainingReport) -> Verdict {
    let TrainingReport {
        steps,
        best_step,
        train_trajectories: train,
        validation_trajectories: held,
        metrics,
        ..
    } = report;
    ensure!(*steps > 0, "it reports 0 steps");
    ensure!(best_step <= steps, "the best step is {best_step} of {steps}");
    let all = trajectories().len();
    ensure!(*train > 0 && train + held <= all, "it reports {train} and {held} of {all} trajectories");
    let bad = metrics.iter().find(|(_, value)| !value.is_finite());
    ensure!(bad.is_none(), "a metric is not finite: {bad:?}");
    Ok(())
}

async fn progress(heard: &Heard) -> Verdict {
    let reports = heard.reports.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(!reports.is_empty(), "no progress was reported");
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for (stage, done, total) in reports {
        ensure!(done <= total, "{done} of {total} in stage {stage:?}");
        let before = last.insert(stage.clone(), done).unwrap_or(0);
        ensure!(before <= done, "{done} after {before} in stage {stage:?}");
    }
    Ok(())
}

async fn fitted(trial: &Trial<'_>, trainer: &Trainer, out: &Path) -> Result<Files, Fault> {
    trial.call("fit", trainer.fit(fit(out, trial.options.seed), Arc::new(Heard::default()))).await?;
    Ok(read(out))
}

fn same(first: &Files, second: &Files) -> Verdict {
    ensure!(first.keys().eq(second.keys()), "first {:?}, then {:?}", first.keys(), second.keys());
    let differs = first.iter().find(|(name, bytes)| second[*name] != **bytes).map(|(name, _)| name);
    ensure!(differs.is_none(), "{:?} differs", differs.map_or("", String::as_str));
    Ok(())
}

async fn same_seed(trial: &Trial<'_>, trainer: &Trainer, folder: &TempDir, files: &Files) -> Verdict {
    same(files, &fitted(trial, trainer, &folder.path().join("second")).await?)?;
    let twin = trial.another::<dyn CriticTrainer>().await?;
    same(files, &fitted(trial, &twin, &folder.path().join("third")).await?)
}

async fn cancelled(trial: &Trial<'_>, trainer: &Trainer, files: &Files) -> Verdict {
    let folder =
        tempfile::tempdir().map_err(|error| Fault::Skipped(format!("no temporary folder: {error}")))?;
    let out = folder.path().join("out");
    let heard = Arc::new(Heard::default());
    let training = trainer.fit(fit(&out, trial.options.seed), heard.clone());
    tokio::select! {
        _ = trial.attempt(training) => {}
        () = heard.first.notified() => {}
    }
    tokio::time::sleep(GRACE.min(trial.options.timeout)).await;
    let names = |folder: &Path| read(folder).into_keys().collect::<Vec<_>>();
    // From a snapshot it may continue.
    let beside = || -> Vec<_> { names(folder.path()).into_iter().filter(|name| name != "out").collect() };
    let other: Vec<_> = beside().into_iter().filter(|name| !name.starts_with(".out.snapshot-")).collect();
    ensure!(other.is_empty(), "when cancelled, it left {other:?} next to the checkpoint");
    // It may have finished before it was cancelled.
    let whole = read(&out) == *files;
    ensure!(whole || names(&out).is_empty(), "when cancelled, it left {:?} of a checkpoint", names(&out));
    same(files, &fitted(trial, trainer, &out).await?)?;
    ensure!(beside().is_empty(), "in the end, it left {:?} next to the checkpoint", beside());
    Ok(())
}
