//! Runs of tiny episodes: recorded, repeated, interrupted, killed, and taken up again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forethought_runtime::budget::Limits;
use forethought_runtime::cancel::Cancel;
use forethought_runtime::journal::effects::{Deps, Unrecorded};
use forethought_runtime::run::episode::{EpisodeSpec, EpisodeStatus, EpisodeSummary, Seat, run_episode};
use forethought_runtime::run::events::{self, Event};
use forethought_runtime::run::folder::{self, Earlier, RunStatus};
use forethought_runtime::run::replay::replay;
use forethought_runtime::run::{
    Configured, NoopObserver, RunObserver, RunOutcome, RunSpec, run, trajectories,
};
use forethought_sdk::prelude::*;
use serde_json::{Value, json};

// ---- a world, a model, a planner and a summariser -------------------------------------------------------------

/// A walk along a line to a goal, on slippery ground: the seed decides which steps slip.
#[derive(Clone, Default)]
struct Walk {
    state: Arc<Mutex<WalkState>>,
    /// Differs from process to process, or not.
    mood: Arc<AtomicU64>,
    recovery: Recovery,
    /// Whether it cannot be copied.
    rooted: bool,
    /// Whether a new world is another one.
    drifts: bool,
}

#[derive(Clone, Default)]
struct WalkState {
    at: i64,
    goal: i64,
    steps: u32,
    seed: u64,
}

impl Walk {
    fn turn(&self) -> Turn {
        let state = self.state.lock().expect("lock");
        let text = format!("You are at {} and want to be at {}.", state.at, state.goal);
        Turn {
            seat: 0,
            observation: Observation::text(text),
            legal_actions: vec!["left".into(), "right".into()],
            ..Turn::default()
        }
    }
}

#[async_trait]
impl Environment for Walk {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec {
            name: "walk".into(),
            version: "1".into(),
            seats: vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }],
            tasks: Some(10_000),
            fork: !self.rooted,
            recovery: self.recovery,
            max_steps: Some(12),
            ..EnvironmentSpec::default()
        })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { state: Arc::default(), ..self.clone() }))
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let drift = if self.drifts { i64::try_from(self.mood.fetch_add(1, Ordering::SeqCst))? } else { 0 };
        let goal = 2 + i64::try_from(reset.task % 4)? + drift;
        *self.state.lock().expect("lock") = WalkState { goal, seed: reset.seed, ..WalkState::default() };
        Ok(self.turn())
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let done = {
            let mut state = self.state.lock().expect("lock");
            let slips = seed::derive(state.seed, &format!("slip/{}", state.steps)).is_multiple_of(4);
            state.steps += 1;
            match action.text.as_str() {
                "right" if !slips => state.at += 1,
                "left" if !slips => state.at -= 1,
                _ => {}
            }
            state.at == state.goal
        };
        let info = json!({ "mood": self.mood.load(Ordering::SeqCst) });
        Ok(Transition {
            turn: self.turn(),
            rewards: vec![if done { 1.0 } else { 0.0 }],
            terminated: done,
            success: done.then_some(true),
            info,
            ..Transition::default()
        })
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        if self.rooted {
            return Ok(None);
        }
        let state = self.state.lock().expect("lock").clone();
        Ok(Some(Arc::new(Self { state: Arc::new(Mutex::new(state)), ..self.clone() })))
    }
}

/// A model whose answer is a function of the request and of how often it was asked it; writes each answer down.
#[derive(Default)]
struct Oracle {
    answered: AtomicU64,
    /// One line a call: the request's hash.
    ledger: Option<Mutex<File>>,
    pause: Duration,
    down: AtomicBool,
    /// The call at which the process dies.
    deadly: Option<u64>,
}

#[async_trait]
impl LlmBackend for Oracle {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "oracle-1".into(), ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        // Out of order on purpose: what is asked first need not be answered first.
        let text: String = request.messages.iter().map(|message| message.content.as_str()).collect();
        let luck = seed::derive(0, &text);
        for _ in 0..luck % 3 {
            tokio::task::yield_now().await;
        }
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        if self.down.load(Ordering::SeqCst) && request.purpose == Purpose::Action {
            return Err(Error::new(Code::Provider, "the oracle is silent").retryable());
        }
        if Some(self.answered.fetch_add(1, Ordering::SeqCst)) == self.deadly {
            std::process::abort();
        }
        if let Some(ledger) = &self.ledger {
            // In one write: the process may be killed between two.
            ledger.lock().expect("lock").write_all(format!("{luck:x}\n").as_bytes())?;
        }
        let text = match request.purpose {
            Purpose::Action => if luck.is_multiple_of(5) { "left" } else { "right" }.to_owned(),
            purpose => format!("{purpose:?} {luck:x}"),
        };
        Ok(Completion {
            choices: vec![Choice { text, ..Choice::default() }],
            usage: Usage { input_tokens: 10, output_tokens: 5 },
            ..Completion::default()
        })
    }
}

struct Gut;

#[async_trait]
impl Critic for Gut {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let chance = |query: &CriticQuery| (seed::derive(1, &query.outcome) % 1000) as f64 / 1000.0;
        Ok(queries.iter().map(|q| Estimate { probability: chance(q), ..Estimate::default() }).collect())
    }
}

/// Asks for three thoughts at once, has one judged, and asks for an action: five effects and a step a decision.
struct Thinker;

async fn ask(models: &Arc<dyn Models>, purpose: Purpose, text: String) -> Result<String> {
    let llm = models.llm("oracle".into()).await?;
    Ok(llm.complete(ChatRequest::new(purpose, vec![Message::user(text)])).await?.text().to_owned())
}

#[async_trait]
impl Planner for Thinker {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements {
            llms: vec!["oracle".into()],
            critics: vec!["gut".into()],
            ..Requirements::default()
        })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let question =
            format!("{} {} {}", context.seed, context.turn.observation.text, context.history.len());
        let thoughts = futures::future::join_all(
            ["a", "b", "c"].map(|which| ask(&models, Purpose::Thought, format!("{question} {which}"))),
        )
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
        let queries: Vec<_> =
            thoughts.iter().map(|t| CriticQuery { outcome: t.clone(), ..CriticQuery::default() }).collect();
        let estimates = models.critic("gut".into()).await?.estimate(queries).await?;
        let best = (0..3)
            .max_by(|a, b| estimates[*a].probability.total_cmp(&estimates[*b].probability))
            .unwrap_or(0);
        let action = ask(&models, Purpose::Action, format!("{question} {}", thoughts[best])).await?;
        let trace = Trace { details: json!({ "thoughts": thoughts }), ..Trace::default() };
        Ok(Decision { thought: thoughts[best].clone(), action: Action::new(action), summary: None, trace })
    }
}

struct Scribe;

#[async_trait]
impl Summariser for Scribe {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["oracle".into()], ..Requirements::default() })
    }
    async fn summarise(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Summary> {
        let text = format!("{} {} {}", context.seed, context.turn.observation.text, context.ended);
        let state = ask(&models, Purpose::Summarise, text).await?;
        Ok(Summary { outcome: format!("{} It led here.", context.turn.observation.text), state })
    }
}

fn spec(root: &Path, oracle: Arc<Oracle>, episodes: u64) -> RunSpec {
    RunSpec {
        config: "seed = 7\n[run]\nconcurrency = 4\n".into(),
        summariser: Some(Configured::new(json!({ "kind": "scribe" }), Arc::new(Scribe))),
        llms: BTreeMap::from([("oracle".into(), Configured::new(json!({ "kind": "oracle" }), oracle as _))]),
        critics: BTreeMap::from([(
            "gut".into(),
            Configured::new(json!({ "kind": "gut" }), Arc::new(Gut) as _),
        )]),
        episodes: (0..episodes)
            .map(|task| Reset { task, seed: seed::derive(7, &format!("{task}")) })
            .collect(),
        concurrency: 4,
        earlier: Earlier::Continue,
        ..RunSpec::new(
            root.to_owned(),
            Configured::new(json!({ "kind": "walk" }), Arc::new(Walk::default())),
            vec![("thinker".into(), Configured::new(json!({ "kind": "thinker" }), Arc::new(Thinker)))],
        )
    }
}

async fn play(spec: RunSpec) -> RunOutcome {
    run(spec, Arc::new(NoopObserver)).await.expect("a run")
}

/// The bytes of every event log, by file name.
fn logs(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("entry").path();
        (path.file_name().expect("name").to_string_lossy().into_owned(), fs::read(path).expect("log"))
    };
    fs::read_dir(run.join("events")).expect("events").map(entry).collect()
}

/// An uninterrupted run of the same episodes, to compare with.
async fn undisturbed(episodes: u64) -> (BTreeMap<String, Vec<u8>>, u64) {
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    let outcome = play(spec(root.path(), oracle.clone(), episodes)).await;
    assert_eq!(outcome.status, RunStatus::Finished);
    (logs(&outcome.folder), oracle.answered.load(Ordering::SeqCst))
}

// ---- what a run leaves behind ---------------------------------------------------------------------------------

#[tokio::test]
async fn a_run_is_a_folder_that_tells_what_happened() {
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    let outcome = play(spec(root.path(), oracle.clone(), 5)).await;

    assert_eq!(outcome.status, RunStatus::Finished);
    assert!(outcome.folder.starts_with(root.path().join("walk--thinker")));
    assert!(outcome.folder.join("config.resolved.toml").is_file());
    let info = folder::read_info(&outcome.folder).expect("run.json");
    assert_eq!((info.status, info.episodes, info.schema), (RunStatus::Finished, 5, 1));
    let mut listed = folder::read_episodes(&outcome.folder).expect("episodes.jsonl");
    listed.sort_by_key(|summary| summary.task);
    assert_eq!(listed, outcome.episodes);

    for (summary, trajectory) in outcome.episodes.iter().zip(&outcome.trajectories) {
        assert_eq!(summary.status, EpisodeStatus::Done);
        assert_eq!(summary.llm_calls, 4 * u64::from(summary.decisions), "three thoughts and an action");
        assert_eq!(summary.calls[&Purpose::Thought].calls, 3 * u64::from(summary.decisions));
        assert_eq!(summary.tokens, 15 * summary.llm_calls);
        assert_eq!(summary.other_calls.calls, u64::from(summary.decisions) + 1, "a summary a state");
        assert_eq!(summary.value_queries, 3 * u64::from(summary.decisions));
        assert_eq!(summary.score, trajectory.score());

        assert_eq!((&trajectory.episode, trajectory.task), (&summary.episode, summary.task));
        assert_eq!(trajectory.source, "thinker");
        for pair in trajectory.steps.windows(2) {
            assert_eq!(pair[0].next_state, pair[1].state);
            assert_eq!(pair[0].outcomes, [format!("{} It led here.", pair[1].observation)]);
            assert!(!pair[0].terminated && !pair[0].truncated);
        }
        let last = trajectory.steps.last().expect("a step");
        assert!(last.terminated != last.truncated && !last.next_state.is_empty());

        let log = events::read(&folder::events_path(&outcome.folder, &summary.episode)).expect("log");
        let decisions = log.iter().filter(|event| matches!(event, Event::Decision { .. })).count();
        assert_eq!(decisions, summary.steps as usize);
        assert!(matches!(&log[0], Event::Episode { schema: 1, .. }));
        assert!(matches!(log.last(), Some(Event::End { status: EpisodeStatus::Done, .. })));
    }
    let calls: u64 = outcome.episodes.iter().map(|e| e.llm_calls + e.other_calls.calls).sum();
    assert_eq!(calls, oracle.answered.load(Ordering::SeqCst));
}

/// Asks three times at once for a summary, from seeds of its own, and does as it says.
struct Reader;

#[async_trait]
impl Planner for Reader {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { summariser: true, ..Requirements::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let ask = |seed| models.summarise(DecisionContext { seed, ..context.clone() });
        let [first, second, third] = [ask(1).await?, ask(2).await?, ask(3).await?];
        assert!(first == second && second == third);
        Ok(Decision { action: Action::new(first.state), ..Decision::default() })
    }
}

#[tokio::test]
async fn a_planner_and_a_collector_share_one_summary() {
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    let reader = || ("reader".into(), Configured::new(json!({ "kind": "reader" }), Arc::new(Reader) as _));
    let collects = RunSpec { seats: vec![reader()], ..spec(root.path(), oracle.clone(), 2) };
    let outcome = play(collects.clone()).await;
    for (summary, trajectory) in outcome.episodes.iter().zip(&outcome.trajectories) {
        assert_eq!(summary.status, EpisodeStatus::Done, "{:?}", summary.error);
        // One call per decision, the planner's; and one at the end, the collector's.
        assert_eq!((summary.llm_calls, summary.other_calls.calls), (u64::from(summary.decisions), 1));
        for step in &trajectory.steps {
            assert_eq!(step.state, step.action, "the state that is collected is the one that was acted on");
        }
    }
    // Without a collector, from the same seed: the same actions.
    let plays =
        RunSpec { asked_summariser: collects.summariser.clone(), summariser: None, ..collects.clone() };
    let outcome_2 = play(plays.clone()).await;
    let actions = |outcome: &RunOutcome, episode: usize| {
        let log = events::read(&folder::events_path(&outcome.folder, &outcome.episodes[episode].episode));
        let action = |event: &Event| match event {
            Event::Decision { action, .. } => Some(action.clone()),
            _ => None,
        };
        log.expect("log").iter().filter_map(action).collect::<Vec<_>>()
    };
    assert_eq!(actions(&outcome, 0), actions(&outcome_2, 0));
    let again = replay(plays.clone(), &outcome_2.folder, &outcome_2.episodes[0]).await.expect("a replay");
    assert!(again.difference.is_none(), "{:?}", again.difference);
    // Without a summariser, the run is refused before its first step.
    let without = RunSpec { asked_summariser: None, ..plays };
    let error = run(without, Arc::new(NoopObserver)).await.expect_err("a planner needs it");
    assert!(error.message.starts_with("[planner.reader] needs a summariser; add [summariser]"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_config_and_seed_give_the_same_bytes() {
    let (first, _) = undisturbed(6).await;
    let root = tempfile::tempdir().expect("folder");
    let mut alone = spec(root.path(), Arc::new(Oracle::default()), 6);
    alone.concurrency = 1;
    let second = logs(&play(alone).await.folder);
    assert_eq!(first.len(), 6);
    assert!(first == second, "event logs depend on timing");
}

#[tokio::test]
async fn what_is_lost_or_damaged_in_a_run_costs_no_more_than_itself() {
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    let reuse = || RunSpec { earlier: Earlier::Reuse, ..spec(root.path(), oracle.clone(), 3) };
    let first = play(reuse()).await;
    let (journal, info) = (first.folder.join("journal.sqlite"), first.folder.join("run.json"));
    assert!(!first.folder.join("journal.sqlite-wal").exists(), "one file is the whole journal");
    let paid = oracle.answered.load(Ordering::SeqCst);

    let episodes = first.folder.join("episodes.jsonl");
    let garbage = || {
        let lines = fs::read(&episodes).expect("lines");
        fs::write(&episodes, [lines.as_slice(), b"\0\xff\n{\"half"].concat())
    };
    let lost = || fs::remove_file(&info);
    let torn = || fs::write(&info, "{\"schema\"");
    let text = fs::read_to_string(&info).expect("run.json");
    let other = || fs::write(&info, text.replace("\"config_hash\": \"", "\"config_hash\": \"0"));
    let no_logs = || fs::remove_dir_all(first.folder.join("events"));
    for harm in [&lost as &dyn Fn() -> std::io::Result<()>, &torn, &other, &garbage, &no_logs] {
        harm().expect("harm");
        let again = play(reuse()).await;
        assert_eq!((&again.folder, &again.episodes), (&first.folder, &first.episodes));
        assert_eq!(oracle.answered.load(Ordering::SeqCst), paid, "nothing is paid twice");
        assert_eq!(folder::read_info(&first.folder).expect("run.json").status, RunStatus::Finished);
    }

    // Results that differ from those in the journal: the episode is played again from its answers.
    let lines = fs::read(&episodes).expect("lines");
    let lines = String::from_utf8_lossy(&lines);
    fs::write(&episodes, lines.replacen("\"score\":", "\"score\":9", 1)).expect("harm");
    let scores = |run: &RunOutcome| run.episodes.iter().map(|one| one.score).collect::<Vec<_>>();
    assert_eq!(scores(&play(reuse()).await), scores(&first));
    assert_eq!(oracle.answered.load(Ordering::SeqCst), paid, "nothing is paid twice");
    let listed = folder::read_episodes(&first.folder).expect("lines");
    assert!(listed.iter().all(|one| scores(&first).contains(&one.score)), "{listed:?}");

    // Other bytes in an answer of an episode that is not done.
    rusqlite::Connection::open(&journal)
        .expect("journal")
        .execute_batch(
            "UPDATE episodes SET status = 'running' WHERE number = 1;
             UPDATE effects SET answer = x'00'
                 WHERE episode = 1 AND effect = 'llm.complete' AND step = 1;",
        )
        .expect("damage");
    let again = play(reuse()).await;
    assert_eq!(again.status, RunStatus::Finished);
    let calls: Vec<u64> = again.episodes.iter().map(|one| one.llm_calls + one.other_calls.calls).collect();
    assert!(calls.contains(&(oracle.answered.load(Ordering::SeqCst) - paid)), "one episode is played again");

    // Without the journal there are the results that the run listed, and no trajectories.
    fs::remove_file(&journal).expect("journal");
    let paid = oracle.answered.load(Ordering::SeqCst);
    let mut plain = reuse();
    plain.summariser = None;
    let plain = play(plain).await;
    fs::remove_file(plain.folder.join("journal.sqlite")).expect("journal");
    let played = oracle.answered.load(Ordering::SeqCst);
    assert!(plain.folder != first.folder && played > paid);
    let mut again = reuse();
    again.summariser = None;
    assert_eq!(play(again).await.episodes, plain.episodes);
    assert_eq!(oracle.answered.load(Ordering::SeqCst), played);
}

#[tokio::test]
async fn a_run_continues_where_it_was_moved() {
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    let at = |place: &str| {
        let root = root.path().join(place);
        let mut spec = spec(&root.join("runs"), oracle.clone(), 2);
        spec.config = format!("[critic.gut]\nmodel = '{0}/gut'\n[run]\nout = '{0}/runs'\n", root.display());
        spec.paths = vec![["critic", "gut", "model"].map(String::from).to_vec()];
        spec.earlier = Earlier::Reuse;
        spec
    };
    let first = play(at("here")).await;
    let paid = oracle.answered.load(Ordering::SeqCst);
    fs::rename(root.path().join("here"), root.path().join("there")).expect("moved");
    assert_eq!(play(at("there")).await.episodes, first.episodes);
    assert_eq!(oracle.answered.load(Ordering::SeqCst), paid);
}

#[tokio::test]
async fn a_run_with_links_or_triggers_in_it_is_not_written_to() {
    let root = tempfile::tempdir().expect("folder");
    let victim = root.path().join("victim");
    fs::write(&victim, "mine").expect("a file");
    let runs = root.path().join("runs");
    let reuse = || RunSpec { earlier: Earlier::Reuse, ..spec(&runs, Arc::default(), 1) };
    let first = play(reuse()).await;
    let refusal = async || {
        let runs = run(reuse(), Arc::new(NoopObserver)).await.expect_err("it is not continued");
        let exported = trajectories(&first.folder).await.expect_err("it is not exported");
        assert_eq!(runs.message, exported.message);
        runs.message
    };
    let log = format!("events/{}.jsonl.zst", first.episodes[0].episode);
    for name in ["run.json", "config.resolved.toml", "episodes.jsonl", "journal.sqlite", "lock", &log] {
        let (path, aside) = (first.folder.join(name), root.path().join("aside"));
        fs::rename(&path, &aside).expect("moved");
        // The run stays recognisable, wherever the link leads.
        std::os::unix::fs::symlink(if name == "lock" { &victim } else { &aside }, &path).expect("a link");
        let before = fs::read(&aside).expect("bytes");
        let refused = refusal().await;
        assert!(refused.contains(name) && refused.contains("is a link"), "{refused}");
        assert_eq!(fs::read(&aside).expect("bytes"), before, "{name}");
        fs::rename(&aside, &path).expect("moved back");
    }
    assert_eq!(fs::read_to_string(&victim).expect("a file"), "mine");

    let trigger = "CREATE TRIGGER free AFTER INSERT ON charges BEGIN DELETE FROM charges; END";
    let journal = rusqlite::Connection::open(first.folder.join("journal.sqlite")).expect("journal");
    journal.execute_batch(trigger).expect("a trigger");
    drop(journal);
    let refused = refusal().await;
    assert!(refused.contains("trigger or view `free`"), "{refused}");
}

#[tokio::test]
async fn what_no_run_may_begin_with_continues() {
    let root = tempfile::tempdir().expect("folder");
    let first = play(spec(root.path(), Arc::default(), 2)).await;
    let refused = Some("`roles` has no effect".to_string());
    let again =
        |earlier| RunSpec { earlier, refused: refused.clone(), ..spec(root.path(), Arc::default(), 2) };
    assert_eq!(play(again(Earlier::Reuse)).await.folder, first.folder);
    let error = run(again(Earlier::Ignore), Arc::new(NoopObserver)).await.expect_err("a new run");
    assert_eq!((error.code, error.message.as_str()), (Code::Config, "`roles` has no effect"));
}

#[tokio::test]
async fn a_finished_run_is_not_continued() {
    let root = tempfile::tempdir().expect("folder");
    let first = play(spec(root.path(), Arc::default(), 2)).await;
    let second = play(spec(root.path(), Arc::default(), 2)).await;
    assert_ne!(first.folder, second.folder);
}

#[tokio::test]
async fn what_cannot_be_run_is_said_before_anything_is_asked() {
    let root = tempfile::tempdir().expect("folder");
    let refuse = async |change: fn(&mut RunSpec), word: &str| {
        let oracle = Arc::new(Oracle::default());
        let mut spec = spec(root.path(), oracle.clone(), 2);
        change(&mut spec);
        let error = run(spec, Arc::new(NoopObserver)).await.expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
        assert_eq!(oracle.answered.load(Ordering::SeqCst), 0);
    };
    refuse(|spec| spec.llms.clear(), "[llm.oracle]").await;
    refuse(|spec| spec.critics.clear(), "[critic.gut]").await;
    refuse(|spec| spec.seats.clear(), "1 seats (agent)").await;
    refuse(|spec| spec.episodes[1].task = 10_000, "task 10000 does not exist").await;
    refuse(|spec| spec.episodes[1] = spec.episodes[0], "requested twice").await;
    assert!(!root.path().join("walk--thinker").exists());
}

// ---- interruption ---------------------------------------------------------------------------------------------

/// Raises the flag after some decisions.
struct Impatient(AtomicU64, Cancel);

impl RunObserver for Impatient {
    fn decided(&self, _: &str, _: u32) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.1.cancel();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_goes_on_where_it_was_left() {
    let (expected, calls) = undisturbed(8).await;
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    let mut folders = BTreeSet::new();
    for patience in [3, 7, 11, u64::MAX] {
        let spec = spec(root.path(), oracle.clone(), 8);
        let impatient = Impatient(AtomicU64::new(patience), spec.cancel.clone());
        let outcome = run(spec, Arc::new(impatient)).await.expect("a run");
        let finished = patience == u64::MAX;
        assert_eq!(outcome.status, if finished { RunStatus::Finished } else { RunStatus::Interrupted });
        folders.insert(outcome.folder);
    }
    assert_eq!(folders.len(), 1, "one run, continued");
    assert_eq!(oracle.answered.load(Ordering::SeqCst), calls, "nothing was asked twice");
    assert!(logs(folders.first().expect("a folder")) == expected);
}

#[tokio::test]
async fn a_reached_budget_is_a_status_and_a_raised_one_goes_on() {
    let (expected, calls) = undisturbed(6).await;
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    let limited = |max_calls| {
        let mut spec = spec(root.path(), oracle.clone(), 6);
        spec.limits.max_calls = max_calls;
        spec.config =
            format!("seed = 7\n[run]\nconcurrency = 4\nmax_calls = {}\n", max_calls.unwrap_or(u64::MAX >> 1));
        spec
    };
    let outcome = play(limited(Some(25))).await;
    assert_eq!(outcome.status, RunStatus::Budget);
    assert_eq!(oracle.answered.load(Ordering::SeqCst), 25, "exactly what was allowed");
    let stopped =
        outcome.episodes.iter().find(|e| e.status == EpisodeStatus::Budget).expect("a stopped episode");
    assert!(stopped.error.as_deref().is_some_and(|error| error.contains("max_calls = 25")), "{stopped:?}");

    let outcome = play(limited(Some(25))).await;
    assert_eq!(outcome.status, RunStatus::Budget, "what was used before counts");
    assert_eq!(oracle.answered.load(Ordering::SeqCst), 25);

    let outcome = play(limited(None)).await;
    assert_eq!(outcome.status, RunStatus::Finished);
    assert_eq!(oracle.answered.load(Ordering::SeqCst), calls);
    assert!(logs(&outcome.folder) == expected);
    let listed = folder::read_episodes(&outcome.folder).expect("episodes.jsonl");
    assert!(listed.iter().all(|summary| summary.status == EpisodeStatus::Done), "the last line holds");
}

#[tokio::test]
async fn an_episode_has_a_budget_of_its_own() {
    let root = tempfile::tempdir().expect("folder");
    let mut spec = spec(root.path(), Arc::default(), 3);
    spec.episode_limits.max_tokens = Some(1100);
    let outcome = play(spec).await;
    assert_eq!(outcome.status, RunStatus::Budget);
    for summary in &outcome.episodes {
        assert_eq!(summary.status, EpisodeStatus::Budget);
        assert!(summary.tokens + summary.other_calls.tokens() <= 1100);
    }
}

/// Asks for thoughts, four at once and then one after the other, until it is refused; then it acts without asking.
struct Thrifty;

#[async_trait]
impl Planner for Thrifty {
    async fn requires(&self) -> Result<Requirements> {
        Thinker.requires().await
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let think = |index: u32| {
            let question = format!("{} {} {index}", context.seed, context.turn.observation.text);
            ask(&models, Purpose::Thought, question)
        };
        let mut said = futures::future::join_all((0..4).map(think)).await;
        let mut left = vec![models.allowance().await?.calls];
        while said.last().is_some_and(Result::is_ok) && said.len() < 9 {
            said.push(think(said.len() as u32).await);
            left.push(models.allowance().await?.calls);
        }
        let said: Vec<_> = said.iter().map(|one| one.as_ref().map_err(Error::to_string)).collect();
        let trace = Trace { details: json!({ "said": said, "left": left }), ..Trace::default() };
        Ok(Decision { action: Action::new("right"), trace, ..Decision::default() })
    }
}

fn thrifty(root: &Path, limits: Limits) -> RunSpec {
    let mut spec = spec(root, Arc::default(), 2);
    spec.seats = vec![(
        "thrifty".into(),
        Configured::new(json!({ "kind": "thrifty" }), Arc::new(Thrifty) as Arc<dyn Planner>),
    )];
    spec.config = format!("{}[run.per_decision]\n{}", spec.config, toml::to_string(&limits).expect("toml"));
    spec.per_decision.limits = limits;
    spec
}

#[tokio::test]
async fn a_decision_has_a_budget_and_a_planner_that_is_refused_may_still_act() {
    let root = tempfile::tempdir().expect("folder");
    let limits = Limits { max_calls: Some(6), ..Limits::default() };
    let outcome = play(thrifty(root.path(), limits)).await;
    assert_eq!(outcome.status, RunStatus::Finished);
    for summary in &outcome.episodes {
        // The collector's summaries do not count.
        assert_eq!(summary.llm_calls, 6 * u64::from(summary.decisions));
        assert_eq!(summary.faults, [("over_budget".to_owned(), summary.decisions)].into());
        let log = events::read(&folder::events_path(&outcome.folder, &summary.episode)).expect("log");
        let traces = log.into_iter().filter_map(|event| match event {
            Event::Decision { trace, .. } => Some(trace),
            _ => None,
        });
        for trace in traces {
            assert_eq!(trace.details["left"], json!([2, 1, 0, 0]));
            assert_eq!(trace.recoveries, ["the budget per decision was reached (max_calls = 6)"]);
        }
    }
    // With another budget it is another run.
    let more = play(thrifty(root.path(), Limits { max_calls: Some(9), ..Limits::default() })).await;
    assert_ne!(more.folder, outcome.folder);
    assert_eq!(more.episodes[0].faults, BTreeMap::new());
}

#[tokio::test]
async fn a_planner_that_cannot_do_with_its_budget_fails_and_says_what_helps() {
    let root = tempfile::tempdir().expect("folder");
    let limits = Limits { max_calls: Some(3), ..Limits::default() };
    let mut small = spec(root.path(), Arc::default(), 1);
    small.per_decision.limits = limits;
    let outcome = play(small).await;
    let summary = &outcome.episodes[0];
    assert_eq!((outcome.status, summary.status), (RunStatus::Failed, EpisodeStatus::Failed));
    let error = summary.error.as_deref().expect("an error");
    for words in
        ["planner `thinker` failed at step 0", "max_calls = 3", "raise that", "\"budgeted\"", "otherwise ="]
    {
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn refused_calls_are_refused_again_when_an_episode_continues_or_is_replayed() {
    // The time is up at once, or tokens for three calls and no more: each is estimated at 1,024 and more, and uses 15.
    for limits in [
        Limits { max_wall_s: Some(0.0), ..Limits::default() },
        Limits { max_tokens: Some(1100), ..Limits::default() },
    ] {
        let root = tempfile::tempdir().expect("folder");
        let expected = logs(&play(thrifty(root.path(), limits)).await.folder);
        let root = tempfile::tempdir().expect("folder");
        let first = thrifty(root.path(), limits);
        let impatient = Impatient(AtomicU64::new(3), first.cancel.clone());
        assert_eq!(run(first, Arc::new(impatient)).await.expect("a run").status, RunStatus::Interrupted);
        let outcome = play(thrifty(root.path(), limits)).await;
        assert_eq!(outcome.status, RunStatus::Finished);
        assert!(logs(&outcome.folder) == expected);
        for episode in &outcome.episodes {
            // Now there is all the time in the world, and the record decides.
            let spec = thrifty(root.path(), Limits { max_wall_s: Some(1e9), ..Limits::default() });
            let replay = replay(spec, &outcome.folder, episode).await.expect("a replay");
            assert_eq!(replay.difference, None);
        }
    }
}

#[tokio::test]
async fn failed_episodes_are_tried_again_without_paying_twice() {
    let (expected, calls) = undisturbed(4).await;
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    oracle.down.store(true, Ordering::SeqCst);
    let outcome = play(spec(root.path(), oracle.clone(), 4)).await;
    assert_eq!(outcome.status, RunStatus::Failed);
    let error = outcome.episodes[0].error.as_deref().expect("an error");
    assert!(error.contains("planner `thinker` failed at step 0") && error.contains("silent"), "{error}");
    assert!(outcome.trajectories.is_empty());

    oracle.down.store(false, Ordering::SeqCst);
    let again = play(spec(root.path(), oracle.clone(), 4)).await;
    assert_eq!((again.status, &again.folder), (RunStatus::Finished, &outcome.folder));
    assert_eq!(oracle.answered.load(Ordering::SeqCst), calls);
    assert!(logs(&again.folder) == expected);
}

#[tokio::test]
async fn a_panicking_planner_fails_its_episode_and_no_other() {
    struct Fragile;
    #[async_trait]
    impl Planner for Fragile {
        async fn requires(&self) -> Result<Requirements> {
            Thinker.requires().await
        }
        async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
            assert!(!context.turn.observation.text.contains("to be at 3"), "I do not like three");
            Thinker.decide(context, models).await
        }
    }
    let root = tempfile::tempdir().expect("folder");
    let mut spec = spec(root.path(), Arc::default(), 4);
    spec.seats[0].1.component = Arc::new(Fragile);
    let outcome = play(spec).await;
    let statuses: Vec<_> = outcome.episodes.iter().map(|summary| summary.status).collect();
    let (done, failed) = (EpisodeStatus::Done, EpisodeStatus::Failed);
    assert_eq!(statuses, [done, failed, done, done]);
    assert_eq!(outcome.episodes[1].error.as_deref(), Some("panicked: I do not like three"));
}

#[tokio::test]
async fn a_planner_cannot_swallow_a_budget() {
    struct Stubborn;
    #[async_trait]
    impl Planner for Stubborn {
        async fn requires(&self) -> Result<Requirements> {
            Thinker.requires().await
        }
        async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
            Ok(Thinker.decide(context, models).await.unwrap_or_default())
        }
    }
    let root = tempfile::tempdir().expect("folder");
    let mut spec = spec(root.path(), Arc::default(), 1);
    spec.seats[0].1.component = Arc::new(Stubborn);
    spec.limits.max_calls = Some(7);
    assert_eq!(play(spec).await.episodes[0].status, EpisodeStatus::Budget);
}

#[tokio::test]
async fn a_world_that_answers_differently_is_found_out() {
    let interrupted_then_moody = async |recovery| {
        let root = tempfile::tempdir().expect("folder");
        let walk = Walk { recovery, ..Walk::default() };
        let make = || {
            let mut spec = spec(root.path(), Arc::default(), 1);
            spec.environment.component = Arc::new(walk.clone());
            spec
        };
        let first = make();
        let impatient = Impatient(AtomicU64::new(2), first.cancel.clone());
        let outcome = run(first, Arc::new(impatient)).await.expect("a run");
        assert_eq!(outcome.status, RunStatus::Interrupted);
        walk.mood.store(1, Ordering::SeqCst);
        play(make()).await
    };
    let replayed = interrupted_then_moody(Recovery::Replay).await;
    assert_eq!(replayed.status, RunStatus::Failed);
    let error = replayed.episodes[0].error.as_deref().expect("an error");
    assert!(error.starts_with("step 0: environment.step does not answer as it did"), "{error}");

    let restarted = interrupted_then_moody(Recovery::Restart).await;
    assert_eq!(restarted.status, RunStatus::Finished);
}

#[tokio::test]
async fn a_planner_that_decides_differently_is_found_out() {
    struct Contrary;
    #[async_trait]
    impl Planner for Contrary {
        async fn requires(&self) -> Result<Requirements> {
            Thinker.requires().await
        }
        async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
            let mut decision = Thinker.decide(context, models).await?;
            decision.action = Action::new("stay");
            Ok(decision)
        }
    }
    let root = tempfile::tempdir().expect("folder");
    let first = spec(root.path(), Arc::default(), 1);
    let impatient = Impatient(AtomicU64::new(2), first.cancel.clone());
    run(first, Arc::new(impatient)).await.expect("a run");
    let mut second = spec(root.path(), Arc::default(), 1);
    second.seats[0].1.component = Arc::new(Contrary);
    let error = play(second).await.episodes.remove(0).error.expect("an error");
    assert!(
        error.starts_with("step 0: replay diverged: the journal holds a different environment.step"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_cannot_continue_the_same_run() {
    let root = tempfile::tempdir().expect("folder");
    // It would take hours, so it is surely still running.
    let slow = Arc::new(Oracle { pause: Duration::from_secs(3600), ..Oracle::default() });
    let (begun, wait) = tokio::sync::oneshot::channel();
    struct Tell(Mutex<Option<tokio::sync::oneshot::Sender<()>>>);
    impl RunObserver for Tell {
        fn started(&self, _: &Path, _: usize, _: usize) {
            self.0.lock().expect("lock").take().expect("once").send(()).expect("a listener");
        }
    }
    let first = tokio::spawn(run(spec(root.path(), slow, 4), Arc::new(Tell(Mutex::new(Some(begun))))));
    wait.await.expect("the first has begun");
    let refused =
        run(spec(root.path(), Arc::default(), 4), Arc::new(NoopObserver)).await.expect_err("locked");
    assert!(refused.message.contains("in use by another process"), "{refused}");
    first.abort();
}

// ---- kill -9 --------------------------------------------------------------------------------------------------

const CHILD: &str = "FORETHOUGHT_TEST_CHILD";
const DEADLY: &str = "FORETHOUGHT_TEST_DEADLY";
const EPISODES: u64 = 12;

/// Not a test by itself: what the next test starts as a process of its own, and kills.
#[test]
fn child() {
    let Some(root) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let ledger = File::options().create(true).append(true).open(root.join("ledger")).expect("ledger");
    let deadly = std::env::var(DEADLY).expect("a number").parse().expect("a number");
    let oracle = Oracle {
        ledger: Some(Mutex::new(ledger)),
        pause: Duration::from_millis(1),
        deadly: Some(deadly),
        ..Oracle::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let outcome = runtime.block_on(play(spec(&root, Arc::new(oracle), EPISODES)));
    assert_eq!(outcome.status, RunStatus::Finished);
}

fn ledger(root: &Path) -> Vec<String> {
    fs::read_to_string(root.join("ledger")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// How many language-model answers the journal holds.
fn journaled(root: &Path) -> usize {
    let Ok(runs) = fs::read_dir(root.join("walk--thinker")) else { return 0 };
    let mut count = 0;
    for run in runs {
        let path = run.expect("entry").path().join("journal.sqlite");
        let Ok(journal) = rusqlite::Connection::open(path) else { continue };
        // The process may have been killed before it made the tables.
        let answers =
            journal.query_row("SELECT count(*) FROM effects WHERE effect = 'llm.complete'", [], |row| {
                row.get(0)
            });
        count += usize::try_from(answers.unwrap_or(0i64)).expect("a count");
    }
    count
}

#[tokio::test]
async fn killed_at_any_point_it_asks_no_answered_call_twice() {
    let (expected, calls) = undisturbed(EPISODES).await;
    let root = tempfile::tempdir().expect("folder");
    let program = std::env::current_exe().expect("this program");
    let mut kills: usize = 0;
    loop {
        let answers_before = journaled(root.path());
        let lines_before = ledger(root.path()).len();
        // Killed when it has asked so many more: early, late, in the midst of a commit. On a busy machine the kill
        // comes late, so the child dies by itself soon after.
        let patience = 1 + kills * 3 % 17;
        let mut child = Command::new(&program)
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, root.path())
            .env(DEADLY, (patience + 4).to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let status = loop {
            if let Some(status) = child.try_wait().expect("a status") {
                break status;
            }
            if ledger(root.path()).len() >= lines_before + patience {
                child.kill().expect("SIGKILL");
                break child.wait().expect("a status");
            }
            std::thread::sleep(Duration::from_micros(300));
        };
        let (asked, answers) =
            (ledger(root.path()).len() - lines_before, journaled(root.path()) - answers_before);
        if status.success() {
            break;
        }
        assert_eq!(status.code(), None, "not killed, but failed by itself after {kills} kills");
        // What it had asked and not yet journaled when it was killed: no more than could be in flight at once.
        assert!(asked - answers <= 12, "{asked} asked, {answers} journaled");
        kills += 1;
        assert!(kills < 1000, "it never ends");
    }
    assert!(kills >= 20, "only {kills} kills: the test proves little");
    assert_eq!(journaled(root.path()) as u64, calls, "each answer is journaled once");

    let mut runs = fs::read_dir(root.path().join("walk--thinker")).expect("runs");
    let run = runs.next().expect("a run").expect("entry").path();
    assert!(runs.next().is_none(), "one run, continued {kills} times");
    assert!(logs(&run) == expected, "the same events as if it had never been killed");
    assert_eq!(folder::read_episodes(&run).expect("episodes.jsonl").len() as u64, EPISODES);
}

// ---- several seats --------------------------------------------------------------------------------------------

/// Two seats take turns; the one who moves second is paid when the other moves.
struct Duet(Mutex<u32>);

#[async_trait]
impl Environment for Duet {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let seat = |name: &str| SeatSpec { name: name.into(), ..SeatSpec::default() };
        Ok(EnvironmentSpec {
            name: "duet".into(),
            seats: vec![seat("first"), seat("second")],
            ..EnvironmentSpec::default()
        })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self(Mutex::new(0))))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(Turn { seat: 0, observation: Observation::text("begin"), ..Turn::default() })
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let mut moves = self.0.lock().expect("lock");
        *moves += 1;
        let seat = *moves as usize % 2;
        let rewards = if seat == 1 { vec![0.0, 1.0] } else { vec![0.5, 0.0] };
        let turn = Turn {
            seat,
            observation: Observation::text(format!("{} was played", action.text)),
            ..Turn::default()
        };
        Ok(Transition { turn, rewards, terminated: *moves == 4, ..Transition::default() })
    }
}

/// Plays its own history back.
struct Parrot;

#[async_trait]
impl Planner for Parrot {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn decide(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        let own: Vec<_> = context.history.iter().map(|exchange| exchange.action.as_str()).collect();
        let action = Action::new(format!("{}:{}[{}]", context.seat, context.step, own.join(" ")));
        Ok(Decision { action, ..Decision::default() })
    }
}

/// Writes the last thing seen as state and outcome, as summarisers do that cannot read the model's answer.
struct Witness;

#[async_trait]
impl Summariser for Witness {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
        let state = format!("{}{}", context.turn.observation.text, if context.ended { " (end)" } else { "" });
        Ok(Summary { outcome: state.clone(), state })
    }
}

fn unrecorded(environment: Arc<dyn Environment>) -> Arc<Unrecorded> {
    Arc::new(Unrecorded(Deps {
        environment,
        llms: Arc::default(),
        critics: Arc::default(),
        summariser: None,
    }))
}

#[tokio::test]
async fn each_seat_knows_its_own_history_and_is_paid_for_its_own_moves() {
    let world = Arc::new(Duet(Mutex::new(0)));
    let parrot = |name: &str| Seat { name: name.into(), planner: Arc::new(Parrot) as _ };
    let spec = EpisodeSpec {
        id: "duet-1".into(),
        environment: world.spec().await.expect("spec"),
        reset: Reset { task: 0, seed: 7 },
        seats: vec![parrot("polly"), parrot("jack")],
        subject: 1,
        summariser: Some(Arc::new(Witness)),
        limits: Limits::default(),
        per_decision: Arc::default(),
        progress: None,
        decided: None,
    };
    let result = run_episode(unrecorded(world), spec).await.expect("an episode");
    let EpisodeSummary { status, score, scores, steps, decisions, .. } = result.summary;
    assert_eq!((status, score, scores, steps, decisions), (EpisodeStatus::Done, 2.0, vec![1.0, 2.0], 4, 2));
    let [first, second] = &result.trajectories[..] else { panic!("a trajectory a seat") };
    let actions =
        |trajectory: &Trajectory| trajectory.steps.iter().map(|s| s.action.clone()).collect::<Vec<_>>();
    assert_eq!(actions(first), ["0:0[]", "0:2[0:0[]]"]);
    assert_eq!(actions(second), ["1:1[]", "1:3[1:1[]]"]);
    let rewards =
        |trajectory: &Trajectory| trajectory.steps.iter().map(|step| step.reward).collect::<Vec<_>>();
    assert_eq!(rewards(first), [0.5, 0.5], "paid when the other has moved");
    assert_eq!(rewards(second), [1.0, 0.0], "what came before its first move is nobody's");
    assert!(first.steps[1].terminated && second.steps[1].terminated);
    assert_eq!(second.steps[0].next_state, second.steps[1].state);
    assert_eq!((second.source.as_str(), second.seat), ("jack", 1));
    assert_eq!(first.steps[1].next_state, "1:3[1:1[]] was played (end)");
    assert!(first.steps.iter().all(|step| step.outcomes.is_empty()), "what is only seen is no outcome");
}

#[tokio::test]
async fn a_fork_leaves_the_episode_where_it_is() {
    struct Explorer;
    #[async_trait]
    impl Planner for Explorer {
        async fn requires(&self) -> Result<Requirements> {
            Ok(Requirements { fork: true, ..Requirements::default() })
        }
        async fn decide(&self, _: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
            let fork = models.fork().await?.expect("a copy");
            for _ in 0..20 {
                fork.step(Action::new("left")).await?;
            }
            // Copies have copies, which go on from where they are.
            let copy = fork.fork().await?.expect("a copy of the copy").step(Action::new("right")).await?;
            assert_eq!(copy.turn, fork.step(Action::new("right")).await?.turn);
            Ok(Decision { action: Action::new("right"), ..Decision::default() })
        }
    }
    let explore = async |world: Walk| {
        let spec = EpisodeSpec {
            id: "walk-1".into(),
            environment: world.spec().await.expect("spec"),
            reset: Reset { task: 0, seed: 7 },
            seats: vec![Seat { name: "explorer".into(), planner: Arc::new(Explorer) }],
            subject: 0,
            summariser: None,
            limits: Limits::default(),
            per_decision: Arc::default(),
            progress: None,
            decided: None,
        };
        run_episode(unrecorded(Arc::new(world)), spec).await.expect("an episode")
    };
    // A world that cannot copy itself is repeated from its start.
    for rooted in [false, true] {
        let result = explore(Walk { rooted, ..Walk::default() }).await;
        let EpisodeSummary { status, success, error, .. } = result.summary;
        assert_eq!((status, success, error), (EpisodeStatus::Done, Some(true), None));
        assert!(result.trajectories.is_empty(), "nobody asked for them");
    }
    // A world that is not what it says is found out.
    let result = explore(Walk { rooted: true, drifts: true, ..Walk::default() }).await;
    let error = result.summary.error.expect("an error");
    assert!(error.contains("a copy that repeated the 0 actions"), "{error}");
}

/// Each of two seats holds a card, and sees its own alone.
#[derive(Clone, Default)]
struct Cards {
    cards: Arc<Mutex<[u64; 2]>>,
    /// Whether it can imagine what a seat does not see.
    imagines: bool,
}

#[async_trait]
impl Environment for Cards {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let seats = vec![SeatSpec::default(), SeatSpec::default()];
        Ok(EnvironmentSpec { name: "cards".into(), seats, fork: true, ..EnvironmentSpec::default() })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { imagines: self.imagines, ..Self::default() }))
    }
    async fn reset(&self, Reset { seed, .. }: Reset) -> Result<Turn> {
        let cards = ["first", "second"].map(|seat| seed::derive(seed, seat) % 1_000_000);
        *self.cards.lock().expect("lock") = cards;
        Ok(Turn { seat: 1, observation: Observation::text(cards[1].to_string()), ..Turn::default() })
    }
    /// Reveals both cards.
    async fn step(&self, _: Action) -> Result<Transition> {
        let observation = Observation::text(format!("{:?}", self.cards.lock().expect("lock")));
        let turn = Turn { seat: 1, observation, ..Turn::default() };
        Ok(Transition { turn, rewards: vec![0.0; 2], terminated: true, ..Transition::default() })
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        let cards = *self.cards.lock().expect("lock");
        Ok(Some(Arc::new(Self { cards: Arc::new(Mutex::new(cards)), ..self.clone() })))
    }
    async fn imagine(&self, Imagine { seat, seed, hidden }: Imagine) -> Result<Option<Arc<dyn Environment>>> {
        if !self.imagines {
            return Ok(None);
        }
        let mut cards = *self.cards.lock().expect("lock");
        cards[1 - seat] = hidden.as_u64().unwrap_or_else(|| seed::derive(seed, "imagined") % 1_000_000);
        Ok(Some(Arc::new(Self { cards: Arc::new(Mutex::new(cards)), ..self.clone() })))
    }
}

/// Looks at the cards of copies.
struct Cheat;

#[async_trait]
impl Planner for Cheat {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { fork: true, ..Requirements::default() })
    }
    async fn decide(&self, _: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let mut seen = Vec::new();
        for copy in [
            models.fork().await?,
            models.fork().await?,
            models.imagine(Value::Null, 5).await?,
            models.imagine(json!(42), 5).await?,
        ] {
            let Some(copy) = copy else { continue };
            seen.push(copy.step(Action::default()).await?.turn.observation.text);
        }
        Ok(Decision { thought: seen.join(" "), ..Decision::default() })
    }
}

#[tokio::test]
async fn where_seats_hide_something_a_planner_sees_imagined_copies_alone() {
    let thought = async |imagines| {
        let world = Arc::new(Cards { imagines, ..Cards::default() });
        let cheat = || Seat { name: "cheat".into(), planner: Arc::new(Cheat) as _ };
        let spec = EpisodeSpec {
            id: "cards-1".into(),
            environment: world.spec().await.expect("spec"),
            reset: Reset { task: 0, seed: 7 },
            seats: vec![cheat(), cheat()],
            subject: 1,
            summariser: None,
            limits: Limits::default(),
            per_decision: Arc::default(),
            progress: None,
            decided: None,
        };
        let result = run_episode(unrecorded(world), spec).await.expect("an episode");
        let lines = String::from_utf8(result.events).expect("UTF-8");
        let mut events = lines.lines().map(|line| serde_json::from_str(line).expect("an event"));
        let thought = events.find_map(|event| match event {
            Event::Decision { thought, .. } => Some(thought),
            _ => None,
        });
        thought.expect("a decision")
    };
    let [hidden, own] = ["first", "second"].map(|seat| seed::derive(7, seat) % 1_000_000);
    let drawn = |seed| seed::derive(seed, "imagined") % 1_000_000;
    let expected = [drawn(0), drawn(0), drawn(5), 42].map(|other| format!("[{other}, {own}]")).join(" ");
    let seen = thought(true).await;
    assert_eq!(seen, expected, "its own card is the true one, the other is drawn again or as requested");
    assert!(!seen.contains(&hidden.to_string()), "{seen}");
    assert_eq!(thought(false).await, "", "a plain copy would show the other's card");
}

#[tokio::test]
async fn metrics_are_those_of_the_last_transition() {
    let play = async |info: Value| {
        struct Last(Value);
        #[async_trait]
        impl Environment for Last {
            async fn spec(&self) -> Result<EnvironmentSpec> {
                let seats = vec![SeatSpec::default()];
                Ok(EnvironmentSpec { name: "last".into(), seats, ..EnvironmentSpec::default() })
            }
            async fn spawn(&self) -> Result<Arc<dyn Environment>> {
                Ok(Arc::new(Self(self.0.clone())))
            }
            async fn reset(&self, _: Reset) -> Result<Turn> {
                Ok(Turn::default())
            }
            async fn step(&self, _: Action) -> Result<Transition> {
                let (info, rewards) = (self.0.clone(), vec![0.0]);
                Ok(Transition { rewards, terminated: true, info, ..Transition::default() })
            }
        }
        let world = Arc::new(Last(info));
        let spec = EpisodeSpec {
            id: "last-1".into(),
            environment: world.spec().await.expect("spec"),
            reset: Reset::default(),
            seats: vec![Seat { name: "polly".into(), planner: Arc::new(Parrot) }],
            subject: 0,
            summariser: None,
            limits: Limits::default(),
            per_decision: Arc::default(),
            progress: None,
            decided: None,
        };
        run_episode(unrecorded(world), spec).await.expect("an episode").summary
    };
    let summary = play(json!({ "metrics": { "won": 1, "deduction": 0.8 }, "more": "text" })).await;
    assert_eq!(summary.metrics, BTreeMap::from([("deduction".into(), 0.8), ("won".into(), 1.0)]));
    assert!(play(json!({})).await.metrics.is_empty());
    for malformed in [json!({ "won": "yes" }), json!({ "won": { "by": 1 } }), json!([1.0])] {
        let summary = play(json!({ "metrics": malformed })).await;
        let error = summary.error.expect("an error");
        assert_eq!(summary.status, EpisodeStatus::Failed);
        assert!(error.contains("environment `last`, step 0: `metrics` must be a flat table"), "{error}");
    }
}

#[tokio::test]
async fn a_critic_that_asks_models_has_its_calls_recorded() {
    struct SelfPlan;
    #[async_trait]
    impl Critic for SelfPlan {
        async fn estimate(&self, _: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
            Err(Error::other("asked outside of the record"))
        }
        async fn requires(&self) -> Result<Requirements> {
            Ok(Requirements { llms: vec!["oracle".into()], ..Requirements::default() })
        }
        async fn estimate_with(
            &self,
            queries: Vec<CriticQuery>,
            models: Arc<dyn Models>,
        ) -> Result<Vec<Estimate>> {
            ask(&models, Purpose::Judge, format!("{queries:?}")).await?;
            Ok(queries.iter().map(|_| Estimate::default()).collect())
        }
    }
    let root = tempfile::tempdir().expect("folder");
    let mut spec = spec(root.path(), Arc::default(), 2);
    spec.critics
        .insert("gut".into(), Configured::new(json!({ "kind": "self-plan" }), Arc::new(SelfPlan) as _));
    for summary in play(spec).await.episodes {
        assert_eq!(summary.status, EpisodeStatus::Done, "{:?}", summary.error);
        assert_eq!(summary.calls[&Purpose::Judge].calls, u64::from(summary.decisions));
    }
}

// ---- speed ----------------------------------------------------------------------------------------------------

/// Prints effects a second. Run it with `cargo test --release -- --ignored --nocapture effects_a_second`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: it needs a release build"]
async fn effects_a_second() {
    let root = tempfile::tempdir().expect("folder");
    let oracle = Arc::new(Oracle::default());
    let mut spec = spec(root.path(), oracle, 2000);
    spec.concurrency = 16;
    let start = Instant::now();
    let outcome = play(spec).await;
    let seconds = start.elapsed().as_secs_f64();
    let effects: u64 =
        outcome.episodes.iter().map(|e| e.llm_calls + e.other_calls.calls + 2 * u64::from(e.steps) + 1).sum();
    println!("{effects} effects in {seconds:.2} s: {:.0} a second", effects as f64 / seconds);
    assert_eq!(outcome.status, RunStatus::Finished);
}
