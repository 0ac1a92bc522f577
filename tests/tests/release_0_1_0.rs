//! What release 0.1.0 wrote is read: its run is shown, replayed and continued, its critic answers, its cassette plays.
//!
//! Everything in `fixtures/0.1.0` was written by the program of that release in the folder `/fixture`, with
//! `forethought.toml`:
//! - `runs`: `run --set run.max_calls=70`, which stops in the third episode; `third.jsonl.zst` is the log of that episode
//!   in a run without the limit;
//! - `trajectories.parquet`, `critic`: `collect --planner react --episodes 12`, and `train` on that;
//! - `critic-eval.json`: `critic eval --model critic --json` on the same trajectories;
//! - `cassette.jsonl`: `run --planner react --episodes 1` over `kind = "record"`; `taped.jsonl.zst` is its log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forethought_runtime::config::{Config, Sources};
use forethought_runtime::evaluate::critic::{CriticReport, Seen, evaluate};
use forethought_runtime::host::{RuntimeHost, assemble::RunOptions};
use forethought_runtime::registry::Registry;
use forethought_runtime::run::folder::{RunStatus, events_path, read_episodes, read_info};
use forethought_runtime::run::{NoopObserver, episode::EpisodeStatus, events, replay::replay, run};
use forethought_runtime::trajectories;
use forethought_sdk::prelude::Host as _;
use {
    forethought_critic_goal_q as _, forethought_critic_judge as _, forethought_encoder_hash as _,
    forethought_llm_cassette as _, forethought_llm_simulated as _, forethought_planners as _,
    forethought_webshop as _,
};

const RUN: &str = "webshop--pnlc/01M8N61Q0MCYNB0J4F2PE35YVX";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/0.1.0").join(name)
}

/// The components of `forethought.toml` with these settings, in the words of release 0.1.0 or of
/// today. Paths are those of the machine that wrote the fixture.
fn host(old_words: bool, set: &[String]) -> RuntimeHost {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture("forethought.toml")).unwrap();
    let text =
        if old_words { text } else { text.replace("[value.", "[critic.").replace("\nvalue =", "\ncritic =") };
    fs::write(folder.path().join("forethought.toml"), text).unwrap();
    let mut sources = Sources::new(folder.path());
    sources.set = ["run.out=/fixture/runs", "critic.trained.model=/fixture/critic"].map(Into::into).into();
    sources.set.extend_from_slice(set);
    let registry = Arc::new(Registry::linked().unwrap());
    let config = Config::load(&sources, &registry).unwrap_or_else(|error| panic!("{error}"));
    RuntimeHost::new(Arc::new(config), registry)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => assert!(fs::copy(entry.path(), target).is_ok()),
        }
    }
}

#[tokio::test]
async fn its_run_is_shown_replayed_and_continued() {
    let root = tempfile::tempdir().unwrap();
    copy(&fixture("runs"), root.path());
    let folder = root.path().join(RUN);
    let before = read_info(&folder).unwrap();
    assert_eq!((before.program.as_str(), before.status), ("0.1.0", RunStatus::Budget));
    let episodes = read_episodes(&folder).unwrap();
    let statuses: Vec<_> = episodes.iter().map(|episode| episode.status).collect();
    assert_eq!(statuses, [EpisodeStatus::Done, EpisodeStatus::Done, EpisodeStatus::Budget]);
    for episode in &episodes {
        let log = events::read(&events_path(&folder, &episode.episode)).unwrap();
        assert!(log.len() > 3 && episode.value_queries > 0, "{episode:?}");
    }

    for old_words in [true, false] {
        let spec = host(old_words, &[]).run_spec(&RunOptions::default()).await.unwrap();
        for episode in &episodes[..2] {
            let replay = replay(spec.clone(), &folder, episode).await.unwrap();
            assert_eq!(replay.difference, None);
            assert!(replay.answers > 30, "{replay:?}");
        }
    }

    // Whatever words the configuration uses, it is the same run.
    let mut spec = host(true, &[]).run_spec(&RunOptions::default()).await.unwrap();
    spec.root = root.path().into();
    spec.limits.max_calls = Some(75);
    assert_eq!(run(spec, Arc::new(NoopObserver)).await.unwrap().folder, folder);
    let mut spec = host(false, &[]).run_spec(&RunOptions::default()).await.unwrap();
    spec.root = root.path().into();
    let outcome = run(spec, Arc::new(NoopObserver)).await.unwrap();
    assert_eq!((&outcome.folder, outcome.status), (&folder, RunStatus::Finished));
    let ids = |episodes: &[forethought_runtime::run::episode::EpisodeSummary]| {
        episodes.iter().map(|episode| episode.episode.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&outcome.episodes), ids(&episodes));
    assert_eq!(outcome.episodes[..2], episodes[..2], "what was done is not done again");
    let third = events::read_lines(&events_path(&folder, &episodes[2].episode)).unwrap();
    assert_eq!(third, events::read_lines(&fixture("third.jsonl.zst")).unwrap());
    assert_eq!(read_info(&folder).unwrap().config_hash, before.config_hash);
}

#[test]
fn its_configuration_means_what_it_meant() {
    let written = Some(fixture("runs").join(RUN).join("config.resolved.toml"));
    let sources = Sources { file: written, ..Sources::new(fixture("runs")) };
    let config =
        Config::load(&sources, &Registry::linked().unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let judge = ["critic", "judge", "unreadable"].map(String::from);
    // By default a judge is asked again now. Where that release made up a value, its runs still do.
    assert_eq!(config.document().get(&judge).unwrap(), "half");
}

#[tokio::test]
async fn its_critic_and_its_trajectories_give_the_figures_that_it_printed() {
    let host = host(true, &[format!("critic.trained.model={}", fixture("critic").display())]);
    let critic = host.critic("trained".into()).await.unwrap();
    let encoder = host.encoder("hash".into()).await.unwrap();
    let data = trajectories::read(&fixture("trajectories.parquet")).unwrap();
    let seen = Seen::read(&fixture("critic")).unwrap();
    let report = evaluate(&data, &seen, &*critic, &*encoder, host.config().seed).await.unwrap();
    let printed: CriticReport =
        serde_json::from_str(&fs::read_to_string(fixture("critic-eval.json")).unwrap()).unwrap();
    // What it did not print yet.
    let CriticReport { thought_spread, thought_gain, advantage_auc, warnings, .. } = report.clone();
    assert!(thought_spread.is_some_and(|spread| spread > 0.0) && warnings.len() > 1, "{report:?}");
    assert_eq!(report, CriticReport { thought_spread, thought_gain, advantage_auc, warnings, ..printed });
}

#[tokio::test]
async fn its_cassette_plays() {
    let root = tempfile::tempdir().unwrap();
    let cassette = format!("llm.taped.cassette={}", fixture("cassette.jsonl").display());
    let host = host(true, &["llm.taped.kind=replay".into(), cassette, "planner.react.llm=taped".into()]);
    let options = RunOptions { planner: Some("react".into()), ..RunOptions::default() };
    let mut spec = host.run_spec(&options).await.unwrap();
    spec.root = root.path().into();
    spec.episodes.truncate(1);
    let outcome = run(spec, Arc::new(NoopObserver)).await.unwrap();
    assert_eq!(outcome.status, RunStatus::Finished, "{:?}", outcome.episodes);
    let log = events::read_lines(&events_path(&outcome.folder, &outcome.episodes[0].episode)).unwrap();
    let taped = events::read_lines(&fixture("taped.jsonl.zst")).unwrap();
    // The first line has the episode's id, which depends on the model's configuration.
    assert!(log.lines().count() > 10 && log.lines().skip(1).eq(taped.lines().skip(1)));
}
