//! Both engines against PyTorch: the losses of a thousand steps on the same batches.
//!
//! PyTorch's losses are kept in `tests/torch/losses.json`, because its wheel is half a gigabyte. With `TORCH_PYTHON`
//! set to a Python that has PyTorch and NumPy, `tests/torch/reference.py` writes them again.

use std::path::Path;
use std::process::Command;

use forethought_critic_goal_q::measure::Training;
use forethought_critic_goal_q::{EngineKind, Method, TrainerConfig};
use forethought_sdk::serde_json::{self, Value, json};

const STEPS: usize = 1000;
/// Of so many steps, the losses of one are kept.
const EVERY: usize = 20;

fn training(method: Method, engine: EngineKind) -> Training {
    let config = TrainerConfig {
        hidden: vec![24, 16],
        batch: 96,
        method,
        engine,
        threads: 2,
        // At larger rates, roundings alone put PyTorch's 32 and 64 bits further apart in the end.
        learning_rate: if method == Method::Iql { 3e-4 } else { 1e-4 },
        ..TrainerConfig::default()
    };
    Training::new(config, 4000, 24).unwrap()
}

#[test]
fn both_engines_agree_with_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch");
    let kept = folder.join("losses.json");
    if let Some(python) = std::env::var_os("TORCH_PYTHON") {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("case.safetensors");
        let mut losses = json!({});
        for (name, method) in [("iql", Method::Iql), ("hindsight", Method::Hindsight)] {
            std::fs::write(&file, training(method, EngineKind::Readable).case(STEPS).unwrap()).unwrap();
            let output = Command::new(&python).arg(folder.join("reference.py")).arg(&file).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let all: Vec<[f64; 2]> = serde_json::from_slice(&output.stdout).unwrap();
            let some: Vec<String> =
                all.iter().skip(EVERY - 1).step_by(EVERY).map(|[q, v]| format!("{q:.7} {v:.7}")).collect();
            losses[name] = json!(some);
        }
        std::fs::write(&kept, serde_json::to_string_pretty(&losses).unwrap() + "\n").unwrap();
    }
    let losses: Value = serde_json::from_str(&std::fs::read_to_string(kept).unwrap()).unwrap();
    for (name, method) in [("iql", Method::Iql), ("hindsight", Method::Hindsight)] {
        let torch: Vec<f32> = losses[name]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|pair| pair.as_str().unwrap().split(' '))
            .map(|number| number.parse().unwrap())
            .collect();
        for engine in [EngineKind::Readable, EngineKind::Fast] {
            let losses = training(method, engine).steps(STEPS).unwrap();
            let own: Vec<f32> = losses.iter().skip(EVERY - 1).step_by(EVERY).flatten().copied().collect();
            assert_eq!(own.len(), torch.len());
            let apart = own.iter().zip(&torch).map(|(own, torch)| (own - torch).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{name}, {engine:?}: the losses differ by {apart}");
        }
    }
}
