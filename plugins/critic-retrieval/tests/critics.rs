//! Both critics from the outside: trained through the registry on small episodes whose truth is known.

use std::path::Path;

use forethought_critic_retrieval as _;
use forethought_sdk::{
    api::{
        critic::NoProgress,
        registry::{Pluggable, linked},
    },
    checkpoint::Manifest,
    prelude::*,
    seed::RngExt,
    serde_json::{self, Value, json},
};
use forethought_testkit::StubHost;

/// A direction for each word: a frozen encoder that is easy to follow.
struct Words;

const WORDS: [&str; 8] = ["field", "forest", "left", "right", "treasure", "bear", "river", "gold"];

#[async_trait]
impl TextEncoder for Words {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "words".into(), dimension: WORDS.len() + 1, ..EncoderSpec::default() })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let row = |text: &String| {
            let mut counts: Vec<f32> = WORDS.iter().map(|word| text.matches(word).count() as f32).collect();
            let known = counts.iter().any(|count| *count > 0.0);
            counts.push(if known { 0.0 } else { 1.0 });
            let length = counts.iter().map(|count| count * count).sum::<f32>().sqrt();
            counts.into_iter().map(move |count| count / length)
        };
        Matrix::new(texts.len(), WORDS.len() + 1, texts.iter().flat_map(row).collect())
    }
}

async fn build<I: Pluggable + ?Sized>(kind: &str, config: Value) -> Result<Arc<I>> {
    let registration =
        linked().find(|one| one.interface == I::NAME && one.kind == kind).expect("the crate registers it");
    let host = StubHost { encoder: Some(Arc::new(Words)) };
    let component = (registration.create)(config, Arc::new(host)).await?;
    Ok(I::unwrap(component).expect("it is of the interface it was registered under"))
}

async fn train(kind: &str, shuffle: bool, data: Vec<Trajectory>, out: &Path) -> Result<TrainingReport> {
    let trainer: Arc<dyn CriticTrainer> = build(kind, json!({})).await?;
    let out = out.into();
    let fit =
        TrainingRequest { trajectories: data, out, seed: 5, shuffle_outcomes: shuffle, ..Default::default() };
    trainer.fit(fit, Arc::new(NoProgress)).await
}

async fn load(kind: &str, folder: &Path) -> Result<Arc<dyn Critic>> {
    build(kind, json!({ "model": folder, "encoder": "words" })).await
}

fn query(state: &str, thought: &str, outcome: &str) -> CriticQuery {
    CriticQuery { state: state.into(), thought: thought.into(), outcome: outcome.into() }
}

/// In the field, going left finds the treasure four times in five; in the forest, going right does.
fn walks(count: usize) -> Vec<Trajectory> {
    walks_in(count, 2)
}

/// The same in both places; or in the field alone, without bears.
fn walks_in(count: usize, places: usize) -> Vec<Trajectory> {
    let mut rng = seed::stream(1, "walks");
    let mut walk = |episode: usize| {
        let [place, way] = [rng.random_range(0..places), rng.random_range(0..2)];
        let found = (place == way) == (rng.random::<f64>() < 0.8);
        let step = Step {
            state: ["in a field", "in a forest"][place].into(),
            thought: ["go left", "go right"][way].into(),
            next_state: "at the end".into(),
            outcomes: match (found, places) {
                (true, _) => vec!["a treasure is found".into()],
                (false, 1) => Vec::new(),
                (false, _) => vec!["a bear comes".into()],
            },
            reward: f64::from(u8::from(found)),
            terminated: true,
            ..Step::default()
        };
        Trajectory { episode: format!("walk {episode}"), steps: vec![step], ..Trajectory::default() }
    };
    (0..count).map(&mut walk).collect()
}

#[tokio::test]
async fn both_learn_what_a_thought_leads_to_in_a_state() {
    // A regression cannot learn that what a thought leads to depends on the place, nor, with an encoder of single
    // words, that an outcome excludes another.
    for (kind, places) in [("retrieval", 2), ("regression", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("critic");
        let report = train(kind, false, walks_in(400, places), &out).await.unwrap();
        assert_eq!((report.train_trajectories, report.validation_trajectories), (320, 80));
        // 0.8 is all that can be known.
        assert!((0.7..0.9).contains(&report.metrics["auc"]), "{kind}: {report:?}");
        assert!(report.metrics["brier"] < report.metrics["brier_base_rate"] - 0.03, "{kind}: {report:?}");
        let critic = load(kind, &out).await.unwrap();
        for (place, way, truth) in [("field", "left", 0.8), ("field", "right", 0.2), ("forest", "left", 0.2)]
        {
            let ask = |outcome| query(&format!("in a {place}"), &format!("go {way}"), outcome);
            let said = critic.estimate(vec![ask("a treasure is found"), ask("a bear comes")]).await.unwrap();
            let near = |said: f64, truth: f64| (said - truth).abs() < 0.15;
            let fine = near(said[0].probability, truth) && near(said[1].probability, 1.0 - truth);
            let half = places == 1 && (place == "forest" || near(said[0].probability, truth));
            assert!(fine || half, "{kind}, {way} in the {place}: {said:?}");
        }

        let again = tempfile::tempdir().unwrap();
        train(kind, false, walks_in(400, places), &again.path().join("critic")).await.unwrap();
        let bytes = |folder: &Path| std::fs::read(folder.join("critic/model.safetensors")).unwrap();
        assert_eq!(bytes(folder.path()), bytes(again.path()), "the same data and seed give the same weights");
    }
}

#[tokio::test]
async fn a_retrieval_explains_itself_with_recorded_steps() {
    let folder = tempfile::tempdir().unwrap();
    train("retrieval", false, walks(200), folder.path()).await.unwrap();
    let critic = load("retrieval", folder.path()).await.unwrap();
    let asked = query("in a forest", "go right", "a treasure is found");
    let why = critic.explain(asked.clone()).await.unwrap();
    assert!(why.text.contains("nearest recorded steps") && why.evidence.len() == 8, "{why:?}");
    assert!(
        why.evidence.iter().all(|one| one.state == "in a forest" && one.thought == "go right"),
        "{why:?}"
    );
    let came: Vec<bool> = why.evidence.iter().map(|one| one.outcome == "a treasure is found").collect();
    assert_eq!(came, why.evidence.iter().map(|one| one.reached > 0.0).collect::<Vec<_>>());
    assert!(why.evidence[0].episode.starts_with("walk "));

    // An outcome in other words is read as what is most like it, and is further from the data.
    let other = query("in a forest", "go right", "a treasure of gold");
    let strange = query("on a river", "sing", "a river of gold");
    let [known, alike, far] = critic.estimate(vec![asked, other, strange]).await.unwrap()[..] else {
        panic!("three estimates")
    };
    assert_eq!((known.distance, far.distance), (Some(0.0), Some(1.0)));
    assert!(alike.distance > known.distance && alike.raw > 0.1 * known.raw, "{alike:?}, {known:?}");
    assert!(far.uncertainty > known.uncertainty, "{far:?}, {known:?}");
}

#[tokio::test]
async fn a_reward_model_tells_better_episodes_from_worse_ones_whatever_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let report = train("reward-model", false, walks_in(400, 1), folder.path()).await.unwrap();
    assert!((0.7..0.95).contains(&report.metrics["auc"]), "{report:?}");
    let critic = load("reward-model", folder.path()).await.unwrap();
    let ask = |way: &str, outcome: &str| query("in a field", &format!("go {way}"), outcome);
    let asked =
        vec![ask("left", "a bear comes"), ask("left", "a treasure is found"), ask("right", "a bear comes")];
    let said = critic.estimate(asked).await.unwrap();
    assert_eq!(said[0], said[1], "outcomes are not looked at");
    assert!(said[0].probability > 0.65 && said[2].probability < 0.35, "{said:?}");

    let mut alike = walks(40);
    alike.iter_mut().for_each(|one| one.steps[0].reward = 1.0);
    let error = train("reward-model", false, alike, &folder.path().join("new")).await.unwrap_err();
    assert!(
        error.to_string().contains("scored 1: a reward model learns from better and worse ones"),
        "{error}"
    );
}

#[tokio::test]
async fn shuffled_outcomes_teach_nothing_and_are_marked() {
    for kind in ["retrieval", "regression", "reward-model"] {
        let folder = tempfile::tempdir().unwrap();
        let report = train(kind, true, walks(400), folder.path()).await.unwrap();
        assert!(report.metrics["auc"] < 0.65, "{kind}: {report:?}");
        let card = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
        assert!(card.contains("A control, not a critic"), "{card}");
    }
}

#[tokio::test]
async fn what_is_not_its_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    train("retrieval", false, walks(40), folder.path()).await.unwrap();
    let config: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(Manifest::of(&config).unwrap().split.train.len(), 32);
    let error = load("regression", folder.path()).await.err().unwrap().to_string();
    assert!(
        error.contains("forethought-retrieval/1") && error.contains("forethought-regression/1"),
        "{error}"
    );
    std::fs::write(folder.path().join("model.safetensors"), b"short").unwrap();
    let error = load("retrieval", folder.path()).await.err().unwrap().to_string();
    assert!(error.contains("model.safetensors is damaged"), "{error}");

    let mut data = walks(10);
    data[3].steps[0].state.clear();
    for kind in ["retrieval", "regression"] {
        let error =
            train(kind, false, data.clone(), &folder.path().join("new")).await.unwrap_err().to_string();
        assert!(error.contains("episode walk 3, step 0: the state summary is empty"), "{error}");
        let error = train(kind, false, walks(3), &folder.path().join("new")).await.unwrap_err().to_string();
        assert!(error.contains("3 episodes with steps"), "{error}");
    }
}
