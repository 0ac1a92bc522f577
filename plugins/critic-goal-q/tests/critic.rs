//! The critic from the outside: trained through the registry on small worlds whose truth is known.

use std::path::Path;
use std::sync::Mutex;

use forethought_critic_goal_q::TrainerConfig;
use forethought_sdk::api::critic::NoProgress;
use forethought_sdk::api::metrics::{self, Scored};
use forethought_sdk::api::registry::{Pluggable, linked};
use forethought_sdk::checkpoint::Manifest;
use forethought_sdk::prelude::*;
use forethought_sdk::seed::RngExt;
use forethought_sdk::serde_json::{self, Value, json};
use forethought_testkit::StubHost;

/// Each known text has its own direction.
struct OneHot(Vec<String>);

impl OneHot {
    fn over(trajectories: &[Trajectory]) -> Arc<Self> {
        let mut texts: Vec<String> = trajectories
            .iter()
            .flat_map(|one| &one.steps)
            .flat_map(|step| {
                [&step.state, &step.thought, &step.next_state].into_iter().chain(&step.outcomes).cloned()
            })
            .collect();
        texts.sort();
        texts.dedup();
        Arc::new(Self(texts))
    }
}

#[async_trait]
impl TextEncoder for OneHot {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "one-hot".into(), dimension: self.0.len(), ..EncoderSpec::default() })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let pairs = texts.iter().flat_map(|text| self.0.iter().map(move |known| known == text));
        Matrix::new(texts.len(), self.0.len(), pairs.map(|same| if same { 1.0 } else { 0.0 }).collect())
    }
}

/// The component of kind `goal-q`, as a program would build it.
async fn build<I: Pluggable + ?Sized>(config: Value, encoder: Arc<dyn TextEncoder>) -> Result<Arc<I>> {
    let registration = linked()
        .find(|one| one.interface == I::NAME && one.kind == "goal-q")
        .expect("the crate registers it");
    let component = (registration.create)(config, Arc::new(StubHost { encoder: Some(encoder) })).await?;
    Ok(I::unwrap(component).expect("it is of the interface it was registered under"))
}

/// Trains with small networks and `overrides`; the checkpoint is in `out`.
async fn train(
    trajectories: &[Trajectory],
    overrides: Value,
    fit: TrainingRequest,
    out: &Path,
) -> Result<TrainingReport> {
    let mut config = json!({
        "hidden": [24], "learning_rate": 1e-2, "weight_decay": 0.0, "polyak": 0.05, "batch": 64, "steps": 800,
        // One evaluation, at the end: these tests need the limit of learning, not the best step.
        "evaluate_every": 800, "validation_fraction": 0.5,
    });
    for (key, value) in overrides.as_object().expect("a table") {
        config[key] = value.clone();
    }
    let trainer: Arc<dyn CriticTrainer> = build(config, OneHot::over(trajectories)).await?;
    let fit = TrainingRequest { trajectories: trajectories.to_vec(), out: out.into(), ..fit };
    trainer.fit(fit, Arc::new(NoProgress)).await
}

async fn load(checkpoint: &Path, encoder: Arc<dyn TextEncoder>) -> Result<Arc<dyn Critic>> {
    build(json!({ "model": checkpoint, "encoder": "one-hot" }), encoder).await
}

fn query(state: &str, thought: &str, outcome: &str) -> CriticQuery {
    CriticQuery { state: state.into(), thought: thought.into(), outcome: outcome.into() }
}

/// The error of something that must fail.
fn refusal<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => error.to_string(),
    }
}

/// One decision: thought a reaches G with probability .9, b with .1.
fn two_outcomes(episodes: usize) -> Vec<Trajectory> {
    let mut rng = seed::stream(3, "two outcomes");
    (0..episodes)
        .map(|episode| {
            let (thought, chance) = if episode % 2 == 0 { ("a", 0.9) } else { ("b", 0.1) };
            let outcome = if rng.random::<f64>() < chance { "G" } else { "not G" };
            Trajectory {
                episode: format!("e{episode}"),
                steps: vec![Step {
                    state: "start".into(),
                    thought: thought.into(),
                    outcomes: vec![outcome.into()],
                    terminated: true,
                    ..Step::default()
                }],
                ..Trajectory::default()
            }
        })
        .collect()
}

#[tokio::test]
async fn goals_of_other_trajectories_teach_that_an_outcome_can_fail() {
    let trajectories = two_outcomes(3000);
    let queries = || vec![query("start", "a", "G"), query("start", "b", "G")];
    let folder = tempfile::tempdir().unwrap();

    let hindsight = json!({ "goals": { "current": 0.0, "future": 1.0, "other": 0.0 } });
    let out = folder.path().join("hindsight");
    train(&trajectories, hindsight, TrainingRequest::default(), &out).await.unwrap();
    let critic = load(&out, OneHot::over(&trajectories)).await.unwrap();
    for estimate in critic.estimate(queries()).await.unwrap() {
        assert!(estimate.raw > 0.95, "what did happen is all it has seen: {estimate:?}");
    }

    let out = folder.path().join("mixture");
    let mixture = json!({ "goals": { "current": 0.2, "future": 0.4, "other": 0.4 } });
    train(&trajectories, mixture, TrainingRequest::default(), &out).await.unwrap();
    let critic = load(&out, OneHot::over(&trajectories)).await.unwrap();
    let estimates = critic.estimate(queries()).await.unwrap();
    // The raw values are those that the mixture implies (see goals.rs), calibration brings the truth.
    for (estimate, raw, truth) in [(estimates[0], 0.964, 0.9), (estimates[1], 0.25, 0.1)] {
        assert!((estimate.raw - raw).abs() < 0.06, "{estimate:?}");
        assert!((estimate.probability - truth).abs() < 0.05, "{estimate:?}");
    }
}

#[tokio::test]
async fn a_chain_gives_discounted_reach_probabilities() {
    let state = |index: usize| format!("s{index}");
    let walk = |episode: usize| Trajectory {
        episode: format!("e{episode}"),
        steps: (0..4)
            .map(|index| Step {
                state: state(index),
                thought: "go on".into(),
                next_state: state(index + 1),
                terminated: index == 3,
                ..Step::default()
            })
            .collect(),
        ..Trajectory::default()
    };
    let trajectories: Vec<_> = (0..40).map(walk).collect();
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "gamma": 0.8, "steps": 1500, "evaluate_every": 1500 });
    train(&trajectories, config, TrainingRequest::default(), folder.path()).await.unwrap();
    let critic = load(folder.path(), OneHot::over(&trajectories)).await.unwrap();
    for from in 0..4 {
        for to in 1..5 {
            let truth = if to > from { 0.8f64.powi((to - from) as i32 - 1) } else { 0.0 };
            let asked = vec![query(&state(from), "go on", &state(to))];
            let raw = critic.estimate(asked).await.unwrap()[0].raw;
            assert!((raw - truth).abs() < 0.05, "s{from} to s{to}: {raw}, the truth is {truth}");
        }
    }
}

#[tokio::test]
async fn hindsight_learns_whether_the_rest_of_the_episode_reached_a_goal() {
    // Four steps from s0 to s4, or from s1 back to s0 for good: nothing is discounted.
    let walk = |episode: usize| {
        let places = if episode.is_multiple_of(4) {
            ["s0", "s1", "s0", "s0", "s0"]
        } else {
            ["s0", "s1", "s2", "s3", "s4"]
        };
        let step = |index: usize| Step {
            state: places[index].into(),
            thought: "go on".into(),
            next_state: places[index + 1].into(),
            terminated: index == 3,
            ..Step::default()
        };
        Trajectory {
            episode: format!("e{episode}"),
            steps: (0..4).map(step).collect(),
            ..Trajectory::default()
        }
    };
    let trajectories: Vec<_> = (0..60).map(walk).collect();
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "method": "hindsight", "goals": { "current": 0.0, "future": 0.0, "other": 1.0 } });
    let report = train(&trajectories, config, TrainingRequest::default(), folder.path()).await.unwrap();
    assert!(report.details["history"][0]["loss_v"].is_null(), "there is no V: {report:?}");
    let written = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    assert!(written.contains(r#""method": "hindsight""#), "{written}");
    let card = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
    assert!(card.contains("hindsight") && !card.contains("Q-learning"), "{card}");
    let critic = load(folder.path(), OneHot::over(&trajectories)).await.unwrap();
    for (from, to, truth) in [("s1", "s4", 0.75), ("s2", "s4", 1.0), ("s3", "s4", 1.0), ("s3", "s1", 0.0)] {
        let raw = critic.estimate(vec![query(from, "go on", to)]).await.unwrap()[0].raw;
        assert!((raw - truth).abs() < 0.12, "{from} to {to}: {raw}, the truth is {truth}");
    }
}

#[tokio::test]
async fn large_data_are_looked_at_in_part_and_kept_on_disk() {
    let trajectories = habits(80);
    let folder = tempfile::tempdir().unwrap();
    let fit = async |name: &str, further: Value| {
        let mut config = json!({ "passes": 30, "evaluate_every": 20, "validation_triples": 48 });
        config["embeddings_in_memory_mb"] = further;
        config["steps"] = Value::Null;
        let out = folder.path().join(name);
        let report = train(&trajectories, config, TrainingRequest::default(), &out).await.unwrap();
        (report, std::fs::read(out.join("model.safetensors")).unwrap())
    };
    let (report, weights) = fit("memory", json!(512)).await;
    // 40 episodes of two steps are trained on; a batch of 64 rows has 16 of their steps.
    assert_eq!((report.steps, report.details["passes"].as_f64()), (150, Some(30.0)));
    let counts = ["validation_triples", "validation_sample"].map(|key| report.details[key].as_u64());
    assert_eq!(counts, [Some(20 * 2 * 8), Some(48)]);
    assert!(report.metrics["triples"] == 320.0, "the report is about all: {report:?}");
    let (mapped, same) = fit("disk", json!(0)).await;
    assert!(weights == same && report.metrics == mapped.metrics, "where embeddings are changes nothing");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no file is left");
}

/// Two steps in one of three places; the first thought decides the last outcome nine times in ten.
fn habits(episodes: usize) -> Vec<Trajectory> {
    let mut rng = seed::stream(5, "habits");
    (0..episodes)
        .map(|episode| {
            let (place, habit) = (rng.random_range(0..3), rng.random_range(0..4));
            let outcome = if rng.random::<f64>() < 0.9 { habit } else { rng.random_range(0..4) };
            let step = |state: String, next_state: String, outcomes: Vec<String>| Step {
                terminated: !outcomes.is_empty(),
                thought: format!("habit {habit}"),
                state,
                next_state,
                outcomes,
                ..Step::default()
            };
            let (start, middle) = (format!("place {place}"), format!("place {place}, later"));
            Trajectory {
                episode: format!("e{episode}"),
                steps: vec![
                    step(start, middle.clone(), Vec::new()),
                    step(middle, format!("place {place}, the end"), vec![format!("outcome {outcome}")]),
                ],
                ..Trajectory::default()
            }
        })
        .collect()
}

#[tokio::test]
async fn shuffled_outcomes_carry_no_information() {
    let trajectories = habits(800);
    let folder = tempfile::tempdir().unwrap();
    let mut aucs = Vec::new();
    for shuffle_outcomes in [false, true] {
        let fit = TrainingRequest { shuffle_outcomes, ..TrainingRequest::default() };
        let report = train(&trajectories, json!({}), fit, folder.path()).await.unwrap();
        // On true outcomes, of other episodes.
        let critic = load(folder.path(), OneHot::over(&trajectories)).await.unwrap();
        let (mut queries, mut reached) = (Vec::new(), Vec::new());
        for trajectory in habits(1200).split_off(800) {
            for outcome in 0..4 {
                let (step, outcome) = (&trajectory.steps[0], format!("outcome {outcome}"));
                queries.push(query(&step.state, &step.thought, &outcome));
                reached.push(trajectory.steps[1].outcomes[0] == outcome);
            }
        }
        let estimates = critic.estimate(queries).await.unwrap();
        let scored: Vec<Scored> = estimates
            .iter()
            .zip(reached)
            .map(|(one, reached)| Scored::new(one.probability, reached))
            .collect();
        aucs.push((report.metrics["auc"], metrics::auc(&scored).unwrap()));
    }
    let [(own, fresh), (own_shuffled, fresh_shuffled)] = aucs[..] else { unreachable!() };
    assert!(own > 0.85 && fresh > 0.85, "{aucs:?}");
    assert!((own_shuffled - 0.5).abs() < 0.1 && (fresh_shuffled - 0.5).abs() < 0.1, "{aucs:?}");
}

#[tokio::test]
async fn one_seed_gives_one_critic() {
    let trajectories = habits(60);
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, seed) in [("first", 1), ("again", 1), ("other", 2)] {
        let out = folder.path().join(name);
        let short = json!({ "steps": 60, "evaluate_every": 20 });
        train(&trajectories, short, TrainingRequest { seed, ..TrainingRequest::default() }, &out)
            .await
            .unwrap();
        let read = |file: &str| std::fs::read(out.join(file)).unwrap();
        files.push((read("model.safetensors"), read("config.json")));
    }
    assert!(files[0] == files[1], "the same seed gave two critics");
    assert!(files[0].0 != files[2].0, "the seed has no effect");
}

#[tokio::test]
async fn the_step_that_knows_most_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "steps": 600, "evaluate_every": 20, "patience": 3 });
    let report =
        train(&habits(40), config, TrainingRequest::default(), &folder.path().join("habits")).await.unwrap();
    let history = report.details["history"].as_array().unwrap();
    let number = |one: &Value, name| one[name].as_f64().unwrap();
    let loss = |one: &Value| number(one, "brier") - number(one, "thought_gain");
    let best = history.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    assert_eq!(best["step"], report.best_step, "the first of the best: {history:?}");
    assert!(report.steps < 600 && report.steps - report.best_step == 3 * 20, "{history:?}");

    // Where the data have one thought only, the Brier score decides.
    let config = json!({ "steps": 60, "evaluate_every": 20, "patience": 0 });
    let mut only: Vec<Trajectory> = habits(60);
    only.iter_mut().flat_map(|one| &mut one.steps).for_each(|step| step.thought = "go on".into());
    let report = train(&only, config, TrainingRequest::default(), &folder.path().join("only")).await.unwrap();
    let history = report.details["history"].as_array().unwrap();
    let brier = |one: &Value| one["brier"].as_f64().unwrap();
    let best = history.iter().min_by(|a, b| brier(a).total_cmp(&brier(b))).unwrap();
    assert!(history[0]["thought_gain"].is_null() && best["step"] == report.best_step, "{history:?}");
}

/// Hears of steps, and interrupts the training at its first report of them if asked to.
#[derive(Default)]
struct Listener {
    interrupts: bool,
    steps: Mutex<Vec<u64>>,
}

#[async_trait]
impl Progress for Listener {
    async fn report(&self, stage: String, done: u64, _: u64, _: String) -> Result<()> {
        if stage != "train" {
            return Ok(());
        }
        self.steps.lock().unwrap().push(done);
        if self.interrupts { Err(Error::other("killed")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn an_interrupted_training_continues_and_ends_with_the_same_critic() {
    let trajectories = habits(60);
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "hidden": [12, 8], "batch": 32, "steps": 400, "evaluate_every": 10, "patience": 0, "weight_decay": 0.1,
    });
    let fit = async |name: &str, interrupts, fresh| {
        let trainer: Arc<dyn CriticTrainer> =
            build(config.clone(), OneHot::over(&trajectories)).await.unwrap();
        let listener = Arc::new(Listener { interrupts, ..Listener::default() });
        let out = folder.path().join(name);
        let fit =
            TrainingRequest { trajectories: trajectories.clone(), out, fresh, ..TrainingRequest::default() };
        let report = trainer.fit(fit, listener.clone()).await;
        assert_eq!(report.is_err(), interrupts);
        (report.ok(), listener.steps.lock().unwrap()[0])
    };
    let (whole, _) = fit("whole", false, false).await;
    // `--fresh` begins at the first step. A training does not wait until its reports are heard, so where it is
    // interrupted is only known from below.
    let mut last = 0;
    for fresh in [false, false, true, false, false] {
        let (_, first) = fit("parts", true, fresh).await;
        assert!(if fresh { first == 10 } else { first > last }, "{first} after {last}");
        last = first;
    }
    let (parts, first) = fit("parts", false, false).await;
    assert!(first > last && parts == whole, "{first} after {last}");
    for file in ["model.safetensors", "config.json", "README.md"] {
        let read = |name| std::fs::read(folder.path().join(name).join(file)).unwrap();
        assert!(read("whole") == read("parts"), "{file} differs");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no snapshot is left");
}

#[tokio::test]
async fn an_estimate_does_not_depend_on_its_company() {
    let trajectories = habits(60);
    let folder = tempfile::tempdir().unwrap();
    let short = json!({ "hidden": [24, 16], "steps": 60, "evaluate_every": 60 });
    let report = train(&trajectories, short, TrainingRequest::default(), folder.path()).await.unwrap();
    assert_eq!((report.train_trajectories, report.validation_trajectories), (30, 30));
    assert_eq!(split_of(folder.path()), [30, 15, 15]);
    let critic = load(folder.path(), OneHot::over(&trajectories)).await.unwrap();
    let queries: Vec<_> = (0..3)
        .flat_map(|place| (0..4).map(move |habit| (place, habit)))
        .flat_map(|(place, habit)| (0..4).map(move |outcome| (place, habit, outcome)))
        .map(|(place, habit, outcome)| {
            query(&format!("place {place}"), &format!("habit {habit}"), &format!("outcome {outcome}"))
        })
        .chain([query("", "never heard of", "nor this")])
        .collect();
    let together = critic.estimate(queries.clone()).await.unwrap();
    for (query, together) in queries.into_iter().zip(together) {
        let alone = critic.estimate(vec![query]).await.unwrap()[0];
        assert_eq!(alone, together);
        for number in [alone.probability, alone.raw, alone.uncertainty] {
            assert!((0.0..=1.0).contains(&number), "{alone:?}");
        }
    }
    assert!(critic.estimate(Vec::new()).await.unwrap().is_empty());
}

/// Each word has its own direction, and a sentence is their sum.
struct Words;

#[async_trait]
impl TextEncoder for Words {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "words".into(), dimension: 48, ..EncoderSpec::default() })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let row = |text: &String| {
            let mut sum = vec![0f32; 48];
            for word in text.split_whitespace() {
                let mut rng = seed::stream(1, word);
                sum.iter_mut().for_each(|number| *number += rng.random_range(-1f32..1.0));
            }
            let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt().max(1e-6);
            sum.into_iter().map(move |number| number / length).collect::<Vec<_>>()
        };
        Matrix::new(texts.len(), 48, texts.iter().flat_map(row).collect())
    }
}

#[tokio::test]
async fn a_vocabulary_makes_an_outcome_in_other_words_count_as_reached() {
    // As `two_outcomes`, but nobody says anything twice.
    let mut trajectories = two_outcomes(600);
    for (episode, trajectory) in trajectories.iter_mut().enumerate() {
        let step = &mut trajectory.steps[0];
        let won = step.outcomes[0] == "G";
        let said = if won { "the prize is won" } else { "everything was lost" };
        // Digits would not be read.
        let letters: String = episode.to_string().bytes().map(|digit| char::from(digit + b'1')).collect();
        step.outcomes = vec![format!("{said} round{letters} day{letters}")];
        step.thought =
            format!("{} number{letters}", if step.thought == "a" { "play on" } else { "stop now" });
        step.reward = if won { 1.0 } else { 0.0 };
        // The situation is the same in half of the episodes, and nobody describes it in one way.
        step.state = ["The door is open. It is late.", "An open door! Late already."][episode % 2].into();
    }
    // People listed a third of the sentences; the rest is read.
    let listed = |text: &str, word: &str, of: fn(&Step) -> &str| {
        let steps = trajectories[..200].iter().map(|one| of(&one.steps[0]));
        let sentences = steps.filter(|said| said.contains(word)).map(String::from).collect();
        Meaning { text: text.into(), sentences, ..Meaning::default() }
    };
    let vocabulary = Vocabulary {
        outcomes: vec![
            listed("You lose.", "lost", |step| &step.outcomes[0]),
            listed("You win.", "won", |step| &step.outcomes[0]),
        ],
        thoughts: vec![
            listed("Go on.", "play", |step| &step.thought),
            listed("Stop.", "stop", |step| &step.thought),
        ],
        states: [["The door is open.", "An open door!"], ["It is late.", "Late already."]]
            .map(|says| Meaning {
                text: says[0].into(),
                sentences: says.map(String::from).into(),
                ..Meaning::default()
            })
            .into(),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vocabulary.json");
    std::fs::write(&file, serde_json::to_string(&vocabulary).unwrap()).unwrap();
    let config = |vocabulary: Option<&Path>| {
        json!({
            "encoder": "words", "hidden": [24], "learning_rate": 1e-2, "weight_decay": 0.0, "polyak": 0.05, "batch": 64,
            "steps": 600, "evaluate_every": 600, "validation_fraction": 0.3, "vocabulary": vocabulary,
        })
    };
    let train = async |vocabulary: Option<&Path>, name: &str| {
        let trainer: Arc<dyn CriticTrainer> = build(config(vocabulary), Arc::new(Words)).await.unwrap();
        let out = folder.path().join(name);
        let fit = TrainingRequest {
            trajectories: trajectories.clone(),
            out: out.clone(),
            ..TrainingRequest::default()
        };
        let report = trainer.fit(fit, Arc::new(NoProgress)).await.unwrap();
        let critic = json!({ "model": out, "encoder": "words" });
        (report, build::<dyn Critic>(critic, Arc::new(Words)).await.unwrap())
    };
    // None of this is in the data or in the vocabulary.
    let queries = ["play on somehow", "stop now somehow"]
        .map(|thought| query("An open door! It is late.", thought, "today the prize is won again"));

    let (report, literal) = train(None, "literal").await;
    assert!(report.details["warnings"].to_string().contains("forethought label"), "{report:?}");
    assert_eq!(literal.style_card().await.unwrap(), StyleCard::default());
    let [a, b] = literal.estimate(queries.to_vec()).await.unwrap()[..] else { panic!() };
    assert!((a.probability - b.probability).abs() < 0.3 && a.known.is_none() && !a.outside, "{a:?} {b:?}");

    let (report, critic) = train(Some(&file), "read").await;
    assert_eq!(report.details["warnings"], json!([]), "{report:?}");
    assert!(report.details["vocabulary"]["unread_outcomes"].as_f64().unwrap() < 0.05, "{report:?}");
    assert!(report.metrics["thought_spread"] > 0.2 && report.metrics["advantage_auc"] > 0.8, "{report:?}");
    let card = critic.style_card().await.unwrap();
    let win = card.outcomes.iter().position(|outcome| outcome.text == "You win.").unwrap();
    let KnownOutcome { usual, mean_return, .. } = card.outcomes[win];
    assert!(card.outcomes.len() == 2 && mean_return == Some(1.0) && (usual - 0.5).abs() < 0.15, "{card:?}");
    assert_eq!(card.thoughts[..2], ["Stop.", "Go on."], "{card:?}");
    assert_eq!(card.states, ["The door is open. It is late."]);
    let estimates = critic.estimate(queries.to_vec()).await.unwrap();
    for (estimate, truth) in estimates.iter().zip([0.9, 0.1]) {
        assert_eq!((estimate.known, estimate.outside), (Some(win as u32), false));
        assert!((estimate.probability - truth).abs() < 0.15, "{estimate:?}");
    }
    // Canonical sentences and what is read as them get one value; what cannot be read is marked, unless told otherwise.
    let canonical =
        critic.estimate(vec![query("The door is open. Late already.", "Go on.", "You win.")]).await.unwrap();
    assert_eq!(canonical[0], estimates[0]);
    let strange = || vec![query("The door is open. It is late.", "Go on.", "weather may change")];
    let unread = critic.estimate(strange()).await.unwrap()[0];
    assert!(unread.outside && unread.known.is_none(), "{unread:?}");
    // Of two things that an outcome says, the less likely counts; one that cannot be read does not.
    let sentences = ["today the prize is won again", "everything was lost once more", "it is late"];
    let [won, lost, _] = sentences;
    let asked = [won, lost, &format!("{won}, and {lost}."), &format!("{won} and {}", sentences[2])]
        .map(|outcome| query("start", "Go on.", outcome));
    let [won, lost, both, one] = critic.estimate(asked.to_vec()).await.unwrap()[..] else { panic!() };
    assert!(won.probability > lost.probability && both == lost && one == won, "{both:?} {one:?}");
    let bold = json!({ "model": folder.path().join("read"), "encoder": "words", "abstain": false });
    let bold: Arc<dyn Critic> = build(bold, Arc::new(Words)).await.unwrap();
    assert_eq!(bold.estimate(strange()).await.unwrap()[0], Estimate { outside: false, ..unread });
}

#[tokio::test]
async fn of_outcomes_that_exclude_each_other_the_next_one_counts() {
    // Six votes per episode, seven of ten successful; sooner or later, both results come. What was won was approved.
    let mut rng = seed::stream(5, "votes");
    let mut vote = |last: bool| {
        let outcome = match rng.random::<f64>() {
            draw if draw < 0.35 => "approved",
            draw if draw < 0.7 => "won",
            _ => "rejected",
        };
        let outcomes = vec![outcome.into()];
        Step { state: "vote".into(), thought: "hope".into(), outcomes, terminated: last, ..Step::default() }
    };
    let trajectories: Vec<Trajectory> = (0..300)
        .map(|episode| Trajectory {
            episode: format!("e{episode}"),
            steps: (0..6).map(|index| vote(index == 5)).collect(),
            ..Trajectory::default()
        })
        .collect();
    let encoder = || OneHot::over(&trajectories);
    let folder = tempfile::tempdir().unwrap();
    let mut sums = Vec::new();
    for rivals in [r#""#, r#", "excludes": ["approved"]"#] {
        let file = folder.path().join("vocabulary.json");
        let vocabulary = format!(
            r#"{{ "outcomes": [{{ "text": "approved" }}, {{ "text": "won", "implies": ["approved"] }},
                 {{ "text": "rejected"{rivals} }}] }}"#
        );
        std::fs::write(&file, vocabulary).unwrap();
        let out = folder.path().join(format!("critic{}", rivals.len()));
        let config = json!({ "vocabulary": file, "goals": { "current": 0.0, "future": 0.5, "other": 0.5 } });
        train(&trajectories, config, TrainingRequest::default(), &out).await.unwrap();
        let critic = load(&out, encoder()).await.unwrap();
        let queries = ["approved", "rejected"].map(|outcome| query("vote", "hope", outcome)).to_vec();
        let [approved, rejected, ..] = critic.estimate(queries).await.unwrap()[..] else { panic!() };
        sums.push(approved.probability + rejected.probability);
        if !rivals.is_empty() {
            assert!((approved.probability - 0.7).abs() < 0.12, "{approved:?}");
            assert!((rejected.probability - 0.3).abs() < 0.12, "{rejected:?}");
        }
    }
    assert!(sums[0] > 1.3 && sums[1] <= 1.0 + 1e-9, "{sums:?}");
}

#[tokio::test]
async fn a_vocabulary_that_cannot_be_used_is_refused_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("words.json");
    for (text, part) in [
        ("{", "EOF"),
        ("{}", "lists nothing"),
        (r#"{ "outcomes": [{ "text": " " }] }"#, "outcomes[0]"),
        (r#"{ "thoughts": [{ "text": "a" }, { "text": "a" }] }"#, "thoughts[1]"),
        (r#"{ "outcome": [] }"#, "unknown key `outcome`"),
        (r#"{ "outcomes": [{ "text": "a", "excludes": ["b"] }] }"#, "outcomes[0].excludes: no meaning"),
    ] {
        std::fs::write(&file, text).unwrap();
        let config = json!({ "vocabulary": file });
        let error = refusal(build::<dyn CriticTrainer>(config, Arc::new(Words)).await);
        for part in ["vocabulary", "words.json", part] {
            assert!(error.contains(part), "{part:?} is missing in: {error}");
        }
    }
}

/// How many episodes a checkpoint's manifest lists, by part.
fn split_of(checkpoint: &Path) -> [usize; 3] {
    let config = serde_json::from_slice(&std::fs::read(checkpoint.join("config.json")).unwrap()).unwrap();
    let Manifest { format, split, .. } = Manifest::of(&config).unwrap();
    assert_eq!(format, "forethought-goal-q/1");
    [split.train, split.validation, split.test].map(|part| part.len())
}

#[tokio::test]
async fn a_checkpoint_of_release_0_1_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/release-0.1");
    let encoder = Arc::new(OneHot(["", "G", "a", "b", "not G", "start"].map(String::from).to_vec()));
    let critic = load(&folder, encoder).await.unwrap();
    let estimates = critic.estimate(vec![query("start", "a", "G"), query("start", "b", "G")]).await.unwrap();
    for (estimate, probability, raw) in
        [(estimates[0], 0.4047252, 0.5006301), (estimates[1], 0.1796009, 0.4402620)]
    {
        assert!((estimate.probability - probability).abs() < 1e-6, "{estimate:?}");
        assert!((estimate.raw - raw).abs() < 1e-6, "{estimate:?}");
    }
    assert_eq!(split_of(&folder), [20, 10, 10]);
    // It has no card and reads nothing.
    assert_eq!(critic.style_card().await.unwrap(), StyleCard::default());
    assert!(estimates.iter().all(|one| one.known.is_none() && !one.outside));
    let abstaining = json!({ "model": folder, "encoder": "one-hot", "abstain": true });
    let encoder = Arc::new(OneHot(["", "G", "a", "b", "not G", "start"].map(String::from).to_vec()));
    assert!(refusal(build::<dyn Critic>(abstaining, encoder).await).contains("vocabulary"));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_a_reason() {
    let trajectories = habits(40);
    let encoder = || OneHot::over(&trajectories);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("critic");
    let short = json!({ "steps": 5, "evaluate_every": 5 });
    train(&trajectories, short.clone(), TrainingRequest::default(), &out).await.unwrap();
    load(&out, encoder()).await.unwrap();

    let check = |error: String, expected: &[&str]| {
        for part in expected {
            assert!(error.contains(part), "{part:?} is missing in: {error}");
        }
    };
    // Another encoder: both are named.
    let other = Arc::new(OneHot(vec!["alone".into()]));
    check(refusal(load(&out, other).await), &["\"one-hot\"", "dimension 1)", "dimension 17)"]);
    // A missing file, a file cut short, a file of another kind, weights of another shape.
    check(refusal(load(&folder.path().join("none"), encoder()).await), &["none/config.json", "No such file"]);
    let (weights, config) = (out.join("model.safetensors"), out.join("config.json"));
    let (good_weights, good_config) = (std::fs::read(&weights).unwrap(), std::fs::read(&config).unwrap());
    std::fs::write(&weights, &good_weights[..good_weights.len() / 2]).unwrap();
    check(refusal(load(&out, encoder()).await), &["model.safetensors is damaged"]);
    std::fs::write(&weights, &good_weights).unwrap();
    std::fs::write(&config, "{ \"model_type\": \"bert\" }").unwrap();
    check(refusal(load(&out, encoder()).await), &["config.json", "no key `format`"]);
    let mut wider: Value = serde_json::from_slice(&good_config).unwrap();
    wider["hidden"] = json!([48]);
    std::fs::write(&config, wider.to_string()).unwrap();
    check(refusal(load(&out, encoder()).await), &["q1.first.state.weight", "[17, 24]", "[17, 48]"]);

    // Too few episodes; a state without summary; an unknown key; a number that cannot work.
    let empty = folder.path().join("empty");
    let too_few = train(&trajectories[..3], short.clone(), TrainingRequest::default(), &empty).await;
    check(refusal(too_few), &["3 episodes", "at least 4"]);
    let mut bare = trajectories.clone();
    bare[7].steps[1].state.clear();
    check(
        refusal(train(&bare, short, TrainingRequest::default(), &empty).await),
        &["episode e7, step 1", "summary"],
    );
    let unknown = build::<dyn CriticTrainer>(json!({ "learning_rat": 1 }), encoder()).await;
    check(refusal(unknown), &["learning_rat"]);
    let senseless = build::<dyn CriticTrainer>(json!({ "expectile": 1.0 }), encoder()).await;
    check(refusal(senseless), &["expectile", "between 0 and 1"]);
    let both = build::<dyn CriticTrainer>(json!({ "steps": 10, "passes": 1.5 }), encoder()).await;
    check(refusal(both), &["steps, passes", "one of the two"]);
    // A folder that contains something else is not replaced, and a failed training leaves nothing behind.
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(empty.join("thesis.tex"), "years of work").unwrap();
    check(
        refusal(train(&trajectories, json!({}), TrainingRequest::default(), &empty).await),
        &["another folder"],
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_papers_numbers_are_defaults() {
    let config = TrainerConfig::default();
    assert_eq!((config.hidden, config.expectile), (vec![128, 128], 0.8));
}
