//! Training steps per second of one setting, for comparisons with other programs: `benches/against_torch.py` runs it.
//!
//! ```sh
//! cargo bench -p forethought-critic-goal-q --bench steps -- fast 128 256 2 10 8000
//! ```
//! The arguments are engine, hidden units, rows in a batch, threads, seconds of processor time, and transitions. The
//! warm-up is not counted. Prints steps per second, those per second of processor time, and the peak memory in MiB.

use std::time::Instant;

use forethought_critic_goal_q::measure::Training;
use forethought_critic_goal_q::{EngineKind, TrainerConfig};
use forethought_testkit::{memory_kb, processor_ms};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with('-')).collect();
    let [engine, hidden, batch, threads, seconds, transitions] = &arguments[..] else {
        println!("engine hidden batch threads seconds transitions: not measured without them");
        return;
    };
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let engine = match engine.as_str() {
        "fast" => EngineKind::Fast,
        "bf16" => EngineKind::Bf16,
        "readable" => EngineKind::Readable,
        other => panic!("{other} is not an engine"),
    };
    let config = TrainerConfig {
        hidden: vec![number(hidden); 2],
        batch: number(batch),
        threads: number(threads),
        engine,
        ..TrainerConfig::default()
    };
    let mut training =
        Training::new(config, number(transitions), 256).expect("the benchmark's data are valid");
    let piece = (5_000_000 / (number(hidden) * number(batch))).max(2);
    training.steps(piece).expect("steps");
    let (began, used) = (Instant::now(), processor_ms());
    let mut steps = 0;
    while processor_ms() - used < 1000.0 * number(seconds) as f64 {
        training.steps(piece).expect("steps");
        steps += piece;
    }
    let (wall, processor) = (began.elapsed().as_secs_f64(), (processor_ms() - used) / 1000.0);
    let (steps, peak) = (steps as f64, memory_kb("VmHWM") / 1024.0);
    println!("{:.2} {:.2} {peak:.0}", steps / wall, steps / processor);
}
