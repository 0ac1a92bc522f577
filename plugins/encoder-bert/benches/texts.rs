//! Encodes texts whenever it is told to, for comparisons with other programs: `benches/against_onnx.py` runs it.
//!
//! ```sh
//! cargo bench -p forethought-encoder-bert --bench texts -- f32 FOLDER TEXTS
//! ```
//! The arguments are `f32`, `bf16` or `candle`, a model's folder, and a file with one text per line. For each line of
//! standard input it encodes all of them and prints the seconds it took and the seconds of processor time. Rayon decides
//! how many threads (`RAYON_NUM_THREADS`).

use std::io::BufRead as _;
use std::path::Path;
use std::time::Instant;

use forethought_encoder_bert::{BertConfig, BertEncoder, Precision};
use forethought_testkit::processor_ms;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with('-')).collect();
    let [what, folder, texts] = &arguments[..] else {
        println!("what folder texts: not measured without them");
        return;
    };
    let precision = if what == "bf16" { Precision::Bf16 } else { Precision::F32 };
    let config = BertConfig { device: "cpu".into(), precision, ..Default::default() };
    let encoder = match what.as_str() {
        "candle" => BertEncoder::load_on_candle(Path::new(folder), &config),
        _ => BertEncoder::load(Path::new(folder), &config),
    };
    let encoder = encoder.expect("a model's folder");
    let texts = std::fs::read_to_string(texts).expect("a file of texts");
    let texts: Vec<String> = texts.lines().map(str::to_owned).collect();
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            return;
        }
        let texts = texts.clone();
        let (began, used) = (Instant::now(), processor_ms());
        encoder.encode_blocking(texts, true).expect("encodes");
        println!("{} {}", began.elapsed().as_secs_f64(), (processor_ms() - used) / 1000.0);
    }
}
