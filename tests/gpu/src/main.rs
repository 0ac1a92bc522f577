//! `gpu-check`: everything that has a device, computed on the CPU and on that device: whether the results agree, and
//! how fast each is. `cargo xtask gpu-check` builds it with CUDA, runs it, and adds PyTorch on the same device.
//!
//! It may depend on the plugins that have a device, and on nothing of `core` but the sdk. It needs no network, no data
//! and no model: see `models.rs`.

mod models;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use forethought_critic_goal_q::TrainerConfig;
use forethought_critic_goal_q::measure::Training;
use forethought_encoder_bert::{BertConfig, BertEncoder};
use forethought_llm_local::{LocalConfig, LocalLlm};
use forethought_sdk::prelude::*;
use models::{CHAT, ENCODER, TINY_CHAT, TINY_ENCODER};
use serde_json::json;

/// Compares a device with the CPU in everything that has a device.
#[derive(Parser)]
struct Arguments {
    /// `cuda:<number>`; `cpu` compares the CPU with itself
    #[arg(long, default_value = "cuda:0")]
    device: String,
    /// Tiny models and few repetitions: shows that it works, not how fast
    #[arg(long)]
    quick: bool,
    /// Prints one JSON object per line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match check(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// One line of the table.
struct Row {
    what: String,
    unit: &'static str,
    cpu: f64,
    device: f64,
    /// The greatest difference of the results, and the greatest that is accepted.
    difference: Option<(f64, f64)>,
}

/// Whether all results agree.
fn check(arguments: &Arguments) -> Result<bool> {
    // Opened first: a device that does not exist is an error before a minute of work on the CPU.
    forethought_candle::device(&arguments.device)?;
    if !arguments.json {
        println!(
            "{:<44}{:>12}{:>12}{:>8}  AGREEMENT",
            "WHAT",
            "CPU",
            arguments.device.to_uppercase(),
            "RATIO"
        );
    }
    let mut agree = true;
    let mut print = |row: Row| {
        let Row { what, unit, cpu, device, difference } = row;
        let right = difference.is_none_or(|(found, limit)| found <= limit);
        agree &= right;
        if arguments.json {
            let (found, limit) = difference.unzip();
            let row = json!({ "what": what, "unit": unit, "cpu": cpu, "device": device, "difference": found,
                              "limit": limit, "agrees": right });
            println!("{row}");
        } else {
            let agreement = difference.map_or(String::new(), |(found, limit)| {
                let verdict = if right { "yes" } else { "NO" };
                format!("{verdict}: {found:.1e} of at most {limit:.0e}")
            });
            let what = format!("{what}, {unit}");
            println!("{what:<44}{cpu:>12.1}{device:>12.1}{:>8.1}  {agreement}", device / cpu);
        }
    };
    encoder(arguments, &mut print)?;
    training(arguments, &mut print)?;
    chat(arguments, &mut print)?;
    Ok(agree)
}

fn encoder(arguments: &Arguments, print: &mut impl FnMut(Row)) -> Result<()> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let (shape, texts) = if arguments.quick { (TINY_ENCODER, 16) } else { (ENCODER, 512) };
    models::encoder(folder.path(), shape)?;
    let texts = models::texts(texts);
    let run = |device: &str| -> Result<_> {
        let config = BertConfig { device: device.into(), ..BertConfig::default() };
        let encoder = BertEncoder::load(folder.path(), &config)?;
        let encode = || encoder.encode_blocking(texts.clone(), true);
        let rows = encode()?;
        let seconds = seconds(arguments, || encode().map(drop))?;
        Ok((rows, texts.len() as f64 / seconds))
    };
    let ((expected, cpu), (found, device)) = (run("cpu")?, run(&arguments.device)?);
    let differences = (0..expected.rows())
        .flat_map(|row| expected.row(row).iter().zip(found.row(row)).map(|(a, b)| f64::from((a - b).abs())));
    let difference = Some((differences.fold(0.0, f64::max), 1e-4));
    print(Row { what: "encoder, 6 layers of 384".into(), unit: "texts/s", cpu, device, difference });
    Ok(())
}

fn training(arguments: &Arguments, print: &mut impl FnMut(Row)) -> Result<()> {
    let all = [64, 128, 256].into_iter().flat_map(|hidden| [(hidden, 256), (hidden, 4096)]);
    for (hidden, batch) in all.take(if arguments.quick { 1 } else { 6 }) {
        let run = |device: &str| -> Result<_> {
            let config = TrainerConfig {
                hidden: vec![hidden, hidden],
                batch,
                goals_per_transition: 4,
                device: device.into(),
                ..TrainerConfig::default()
            };
            let mut training = Training::new(config, 8000, 256)?;
            let losses = training.steps(10)?.concat();
            let seconds = seconds(arguments, || training.steps(10).map(drop))?;
            Ok((losses, 10.0 / seconds))
        };
        let ((expected, cpu), (found, device)) = (run("cpu")?, run(&arguments.device)?);
        let differences = expected.iter().zip(&found).map(|(a, b)| f64::from((a - b).abs() / a.abs()));
        // Ten steps of an optimiser that divides by small numbers: differences of rounding grow.
        let difference = Some((differences.fold(0.0, f64::max), 1e-3));
        let what = format!("critic training, hidden {hidden}, batch {batch}");
        print(Row { what, unit: "steps/s", cpu, device, difference });
    }
    Ok(())
}

fn chat(arguments: &Arguments, print: &mut impl FnMut(Row)) -> Result<()> {
    let folder = tempfile::tempdir().context("making a folder")?;
    models::chat(folder.path(), if arguments.quick { TINY_CHAT } else { CHAT })?;
    let (tokens, rounds) = if arguments.quick { ([16, 4], 1) } else { ([456, 64], 3) };
    let prompt: Vec<u32> = (0..48).map(|at| 10 + at * 7).collect();
    let run = |device: &str| -> Result<_> {
        let config = LocalConfig { device: device.into(), ..LocalConfig::default() };
        let logits = LocalLlm::logits(folder.path(), &config, &[&prompt[..32], &prompt[32..]])?.concat();
        let rounds = LocalLlm::pace(folder.path(), &config, tokens, rounds)?;
        let best = |part: usize| rounds.iter().map(|round| round[part]).fold(f64::INFINITY, f64::min);
        Ok((logits, [0, 1].map(|part| f64::from(tokens[part]) / best(part))))
    };
    let ((expected, cpu), (found, device)) = (run("cpu")?, run(&arguments.device)?);
    let largest = expected.iter().fold(0f32, |largest, logit| largest.max(logit.abs()));
    let differences = expected.iter().zip(&found).map(|(a, b)| f64::from((a - b).abs() / largest));
    let difference = Some((differences.fold(0.0, f64::max), 1e-3));
    let what = "chat model of 135 M, prompt".to_owned();
    print(Row { what, unit: "tokens/s", cpu: cpu[0], device: device[0], difference });
    let what = "chat model of 135 M, writing".to_owned();
    print(Row { what, unit: "tokens/s", cpu: cpu[1], device: device[1], difference: None });
    Ok(())
}

/// The least seconds that one call takes, of as many calls as fit into two seconds, at least three.
fn seconds(arguments: &Arguments, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let (begun, mut least, mut calls) = (Instant::now(), f64::INFINITY, 0);
    let enough = if arguments.quick { 0.0 } else { 2.0 };
    while calls < 3 || begun.elapsed().as_secs_f64() < enough {
        let start = Instant::now();
        call()?;
        least = least.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    Ok(least)
}
