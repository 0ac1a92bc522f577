//! The Python of the model card gives the critic's own estimates.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use forethought_critic_goal_q as _;
use forethought_sdk::api::critic::NoProgress;
use forethought_sdk::api::registry::{Pluggable, linked};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::RngExt;
use forethought_sdk::serde_json::{Value, from_slice, json};
use forethought_testkit::{StubHost, Suite};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/agents");
    let unable = (!folder.join(".complete").exists())
        .then(|| "numpy and safetensors are missing; `bash .ci/agents` installs them".to_owned());
    let python = folder.join("bin/python");
    Suite::default()
        .unless(unable, "the_python_of_the_card_gives_the_same_estimates", move || agrees(python))
        .run()
}

const DIMENSION: usize = 6;

/// Vectors that differ for every text.
fn vector(text: &str) -> [f32; DIMENSION] {
    let mut rng = seed::stream(1, text);
    std::array::from_fn(|_| rng.random_range(-1.0..1.0))
}

struct Vectors;

#[async_trait]
impl TextEncoder for Vectors {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "vectors".into(), dimension: DIMENSION, ..EncoderSpec::default() })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        Matrix::new(texts.len(), DIMENSION, texts.iter().flat_map(|text| vector(text)).collect())
    }
}

async fn build<I: Pluggable + ?Sized>(config: Value) -> Arc<I> {
    let registration = linked().find(|one| one.interface == I::NAME && one.kind == "goal-q").unwrap();
    let host = StubHost { encoder: Some(Arc::new(Vectors)) };
    I::unwrap((registration.create)(config, Arc::new(host)).await.unwrap()).unwrap()
}

#[tokio::main]
async fn agrees(python: PathBuf) {
    let trajectories: Vec<Trajectory> = (0..400)
        .map(|episode| {
            let outcome = format!("outcome {}", episode % 3);
            let step = Step {
                state: format!("state {}", episode % 97),
                thought: format!("thought {}", episode % 89),
                outcomes: vec![outcome],
                terminated: true,
                ..Step::default()
            };
            Trajectory { episode: format!("e{episode}"), steps: vec![step], ..Trajectory::default() }
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("critic");
    let config = json!({ "hidden": [8, 6], "steps": 200, "evaluate_every": 100, "batch": 32,
                         "learning_rate": 1e-2, "validation_fraction": 0.4 });
    let trainer: Arc<dyn CriticTrainer> = build(config).await;
    let request = TrainingRequest { trajectories, out: out.clone(), ..TrainingRequest::default() };
    trainer.fit(request, Arc::new(NoProgress)).await.unwrap();

    let queries: Vec<CriticQuery> = (0..40)
        .map(|at| CriticQuery {
            state: format!("state {}", at % 7),
            thought: format!("thought {}", at % 6),
            outcome: format!("outcome {}", at % 5),
        })
        .collect();
    let rows =
        |of: fn(&CriticQuery) -> &str| queries.iter().map(|query| vector(of(query))).collect::<Vec<_>>();
    let asked =
        json!([rows(|query| &query.state), rows(|query| &query.thought), rows(|query| &query.outcome)]);

    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    let code =
        card.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the card has it");
    let code = code.replace("\"critic\"", &format!("{:?}", out.display().to_string()));
    let script = format!(
        "{code}\nimport sys\nasked = numpy.array(json.load(sys.stdin), dtype=numpy.float32)\n\
         print(json.dumps(estimate(*asked).tolist()))\n"
    );
    let mut child = Command::new(python)
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let found: Vec<f64> = from_slice(&output.stdout).unwrap();

    let critic: Arc<dyn Critic> = build(json!({ "model": out, "encoder": "vectors" })).await;
    let expected = critic.estimate(queries).await.unwrap();
    let differs = expected.iter().any(|one| (one.probability - expected[0].probability).abs() > 0.01);
    assert!(differs, "all estimates are the same, so the comparison says nothing");
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found - expected.probability).abs() < 1e-5, "{at}: {found} and {}", expected.probability);
    }
}
