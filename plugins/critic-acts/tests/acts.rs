//! The classifier from the outside: trained through the registry on small dialogues whose truth is known.

use std::collections::BTreeMap;
use std::path::Path;

use forethought_critic_acts as _;
use forethought_sdk::{
    api::{
        critic::NoProgress,
        registry::{Pluggable, linked},
    },
    checkpoint::{Manifest, Split},
    prelude::*,
    seed::IndexedRandom,
    serde_json::{self, Value, json},
};
use forethought_testkit::StubHost;

/// Counts known words: a frozen encoder that is easy to follow.
struct Words;

const WORDS: [&str; 10] =
    ["hello", "hi", "give", "donate", "children", "suffer", "trust", "rated", "why", "no"];

#[async_trait]
impl TextEncoder for Words {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "words".into(), dimension: WORDS.len(), ..EncoderSpec::default() })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let row = |text: &String| {
            let text = text.to_lowercase();
            let counts: Vec<f32> = WORDS.iter().map(|word| text.matches(word).count() as f32).collect();
            let length = counts.iter().map(|count| count * count).sum::<f32>().sqrt().max(1.0);
            counts.into_iter().map(move |count| count / length)
        };
        Matrix::new(texts.len(), WORDS.len(), texts.iter().flat_map(row).collect())
    }
}

/// Differs from [`Words`] only in its id.
struct Others;

#[async_trait]
impl TextEncoder for Others {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "others".into(), ..Words.spec().await? })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        Words.encode(texts).await
    }
}

/// The component of kind `acts`, as a program would build it.
async fn build<I: Pluggable + ?Sized>(config: Value, encoder: Arc<dyn TextEncoder>) -> Result<Arc<I>> {
    let registration =
        linked().find(|one| one.interface == I::NAME && one.kind == "acts").expect("the crate registers it");
    let component = (registration.create)(config, Arc::new(StubHost { encoder: Some(encoder) })).await?;
    Ok(I::unwrap(component).expect("it is of the interface it was registered under"))
}

async fn train(config: Value, data: &[Trajectory], out: &Path) -> Result<TrainingReport> {
    let trainer: Arc<dyn CriticTrainer> = build(config, Arc::new(Words)).await?;
    let fit = TrainingRequest {
        trajectories: data.to_vec(),
        out: out.into(),
        seed: 5,
        ..TrainingRequest::default()
    };
    trainer.fit(fit, Arc::new(NoProgress)).await
}

async fn load(folder: &Path) -> Result<Arc<dyn Critic>> {
    build(json!({ "model": folder, "encoder": "words" }), Arc::new(Words)).await
}

fn query(state: &str, thought: &str, act: &str) -> CriticQuery {
    CriticQuery { state: state.into(), thought: thought.into(), outcome: act.into() }
}

/// Dialogues in which "why" is answered with trust, and "no" with suffering.
fn dialogues(count: usize) -> Vec<Trajectory> {
    let mut rng = seed::stream(1, "dialogues");
    let said: BTreeMap<&str, [&str; 2]> = BTreeMap::from([
        ("greeting", ["Hello there.", "Hi."]),
        ("credibility appeal", ["You can trust it.", "It is rated well."]),
        ("emotion appeal", ["The children suffer.", "Think of children who suffer."]),
    ]);
    let mut step = |observation: &str, act: &str| Step {
        observation: observation.into(),
        thought: format!("Derived: [{act}] As annotated."),
        action: said[act].choose(&mut rng).expect("there are two").to_string(),
        ..Step::default()
    };
    let mut dialogue = |episode: usize| {
        let mut steps = vec![step("", "greeting")];
        for turn in 0..4 {
            let (asked, act) = [("Donor: Why?", "credibility appeal"), ("Donor: No.", "emotion appeal")]
                [(episode + turn) % 2];
            steps.push(step(asked, act));
        }
        // An utterance without annotation.
        steps.push(Step { action: "Well.".into(), ..Step::default() });
        Trajectory { episode: format!("dialogue {episode}"), steps, ..Trajectory::default() }
    };
    (0..count).map(&mut dialogue).collect()
}

#[tokio::test]
async fn utterances_are_classified_and_the_report_says_how_well() {
    let folder = tempfile::tempdir().unwrap();
    let report = train(json!({}), &dialogues(20), folder.path()).await.unwrap();
    assert_eq!((report.train_trajectories, report.validation_trajectories), (16, 4));
    assert_eq!((report.metrics["accuracy"], report.metrics["macro_f1"]), (1.0, 1.0));
    assert_eq!(report.metrics["utterances"], 20.0);
    // Two of five utterances are appeals to trust, as many as to feelings; the majority predictor names only one.
    assert_eq!(report.metrics["accuracy_majority"], 0.4);
    assert!((report.metrics["macro_f1_majority"] - 4.0 / 7.0 / 3.0).abs() < 1e-9);
    assert_eq!(report.details["acts"]["greeting"], json!({ "train": 16, "held_out": 4, "f1": 1.0 }));

    let split = split_of(folder.path());
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (16, 0, 4));
    let critic = load(folder.path()).await.unwrap();
    let acts = ["greeting", "credibility appeal", "emotion appeal", "haggling"];
    let queries: Vec<_> = acts.iter().map(|act| query("Donor: Why?", "You can trust them.", act)).collect();
    let estimates = critic.estimate(queries.clone()).await.unwrap();
    let found: Vec<f64> = estimates.iter().map(|one| one.probability).collect();
    assert!(found[1] > 0.8 && (found.iter().sum::<f64>() - 1.0).abs() < 1e-9 && found[3] == 0.0, "{found:?}");
    for (query, estimate) in queries.into_iter().zip(estimates) {
        assert_eq!(critic.estimate(vec![query]).await.unwrap(), [estimate], "alone as with others");
    }
    assert!(critic.estimate(Vec::new()).await.unwrap().is_empty());
}

fn split_of(checkpoint: &Path) -> Split {
    let config = serde_json::from_slice(&std::fs::read(checkpoint.join("config.json")).unwrap()).unwrap();
    let Manifest { format, split, .. } = Manifest::of(&config).unwrap();
    assert_eq!(format, "forethought-acts/1");
    split
}

#[tokio::test]
async fn a_checkpoint_of_release_0_1_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/release-0.1");
    let critic = load(&folder).await.unwrap();
    let acts = ["greeting", "credibility appeal", "emotion appeal"];
    let queries = acts.map(|act| query("Donor: Why?", "You can trust them.", act)).to_vec();
    let estimates = critic.estimate(queries).await.unwrap();
    for (estimate, probability) in
        estimates.iter().zip([0.014339751564132057, 0.9754489168973056, 0.01021133153856241])
    {
        assert!((estimate.probability - probability).abs() < 1e-12, "{estimate:?}");
    }
    let Split { train: learned, validation, test } = split_of(&folder);
    assert_eq!(
        (learned.len(), validation.len(), &test[..]),
        (6, 0, &["dialogue 2".into(), "dialogue 4".into()][..])
    );

    // The same training still gives the same weights, and the same split.
    let out = tempfile::tempdir().unwrap();
    train(json!({ "steps": 60 }), &dialogues(8), out.path()).await.unwrap();
    assert_eq!(split_of(out.path()), split_of(&folder));
    let weights = |folder: &Path| {
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        let (header, numbers) = bytes.split_at(bytes.len() - 21 * 3 * 4);
        let numbers =
            numbers.as_chunks::<4>().0.iter().map(|one| f32::from_le_bytes(*one)).collect::<Vec<_>>();
        (header.to_vec(), numbers)
    };
    let ((old_header, old), (new_header, new)) = (weights(&folder), weights(out.path()));
    assert_eq!(old_header, new_header);
    assert!(old.iter().zip(&new).all(|(old, new)| (old - new).abs() < 1e-5), "{old:?} {new:?}");
}

#[tokio::test]
async fn a_policy_answers_to_what_was_said_last() {
    let folder = tempfile::tempdir().unwrap();
    let report = train(json!({ "input": "state" }), &dialogues(20), folder.path()).await.unwrap();
    assert_eq!(report.metrics["accuracy"], 1.0);
    let policy = load(folder.path()).await.unwrap();
    let best = async |state: &str| {
        let acts = ["greeting", "credibility appeal", "emotion appeal"];
        let estimates = policy.estimate(acts.map(|act| query(state, "", act)).to_vec()).await.unwrap();
        let place = (0..3).max_by(|&a, &b| estimates[a].probability.total_cmp(&estimates[b].probability));
        acts[place.unwrap()]
    };
    assert_eq!(best("").await, "greeting");
    assert_eq!(best("Hello.\nDonor: Why should I?").await, "credibility appeal");
    assert_eq!(best("Donor: Why?\nIt is rated well.\nDonor: No, thanks.").await, "emotion appeal");
}

#[tokio::test]
async fn the_same_data_and_seed_give_the_same_files_and_shuffled_labels_give_others() {
    let folder = tempfile::tempdir().unwrap();
    let trainer: Arc<dyn CriticTrainer> = build(json!({}), Arc::new(Words)).await.unwrap();
    let fit = async |name: &str, shuffle_outcomes| {
        let out = folder.path().join(name);
        let fit = TrainingRequest {
            trajectories: dialogues(12),
            out: out.clone(),
            seed: 3,
            shuffle_outcomes,
            ..TrainingRequest::default()
        };
        trainer.fit(fit, Arc::new(NoProgress)).await.unwrap();
        ["model.safetensors", "config.json", "README.md"].map(|file| std::fs::read(out.join(file)).unwrap())
    };
    let first = fit("a", false).await;
    assert_eq!(first, fit("b", false).await);
    // An older checkpoint is replaced.
    assert_ne!(first[0], fit("a", true).await[0]);
}

/// Interrupts a training at its first report.
struct Killer;

#[async_trait]
impl Progress for Killer {
    async fn report(&self, _: String, done: u64, _: u64, _: String) -> Result<()> {
        Err(Error::other(format!("killed at {done}")))
    }
}

#[tokio::test]
async fn an_interrupted_training_continues_and_ends_with_the_same_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let trainer: Arc<dyn CriticTrainer> = build(json!({ "steps": 70 }), Arc::new(Words)).await.unwrap();
    let fit = async |name: &str, progress: Arc<dyn Progress>| {
        let out = folder.path().join(name);
        trainer
            .fit(TrainingRequest { trajectories: dialogues(12), out, ..Default::default() }, progress)
            .await
    };
    let whole = fit("whole", Arc::new(NoProgress)).await.unwrap();
    for steps in [20, 40, 60] {
        assert_eq!(fit("parts", Arc::new(Killer)).await.unwrap_err().message, format!("killed at {steps}"));
    }
    assert_eq!(fit("parts", Arc::new(NoProgress)).await.unwrap(), whole);
    let weights = |name| std::fs::read(folder.path().join(name).join("model.safetensors")).unwrap();
    assert_eq!(weights("whole"), weights("parts"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no snapshot is left");
}

#[tokio::test]
async fn what_cannot_work_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |result: Result<TrainingReport>| result.unwrap_err().to_string();
    let mut unlabelled = dialogues(4);
    unlabelled.iter_mut().flat_map(|one| &mut one.steps).for_each(|step| step.thought.clear());
    let said = refused(train(json!({}), &unlabelled, &folder.path().join("a")).await);
    assert!(said.contains("Derived: [name of the act]"), "{said}");
    let said = refused(train(json!({}), &dialogues(1), &folder.path().join("a")).await);
    assert!(said.contains("a single annotated dialogue"), "{said}");
    let said = refused(train(json!({ "held_out": 1.0 }), &dialogues(4), &folder.path().join("a")).await);
    assert!(said.contains("held_out: must lie between 0 and 1"), "{said}");
    std::fs::write(folder.path().join("diary.txt"), "mine").unwrap();
    let said = refused(train(json!({}), &dialogues(4), folder.path()).await);
    assert!(said.contains("contains other things"), "{said}");

    let model = folder.path().join("model");
    train(json!({}), &dialogues(4), &model).await.unwrap();
    let config = json!({ "model": &model, "encoder": "others" });
    let other = build::<dyn Critic>(config, Arc::new(Others)).await;
    let said = other.err().expect("an encoder that it was not trained with").to_string();
    assert!(said.contains("\"words\"") && said.contains("\"others\""), "{said}");
    std::fs::write(model.join("model.safetensors"), "torn").unwrap();
    assert!(load(&model).await.is_err());
}
