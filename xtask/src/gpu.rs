//! What a machine with a GPU is for: everything that has a device, built with CUDA, compared with the CPU, and measured
//! beside PyTorch.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// How long each program may run: the whole check takes less than ten minutes once it is built.
const LIMIT: &str = "240";

/// Builds `gpu-check`, unless `program` is one that was built elsewhere; runs it and PyTorch on `device`; prints the
/// table and writes it to `target/gpu-check.json`.
pub(crate) fn check(device: &str, program: Option<PathBuf>, python: &str) -> Result<(), Box<dyn Error>> {
    let program = program.map_or_else(|| build(device), Ok)?;
    let (mut rows, right) = ours(&program, device)?;
    match torch(python, device) {
        Ok(theirs) => {
            for row in &mut rows {
                let key = (row["what"].to_string(), row["unit"].to_string());
                if let Some(value) = theirs.get(&key) {
                    row["torch"] = value.clone();
                }
            }
        }
        Err(error) => println!("without PyTorch: {error}"),
    }
    println!("{}", name_of(device));
    print!("{}", table(&rows, device));
    let out = crate::root().join("target/gpu-check.json");
    std::fs::create_dir_all(out.parent().expect("it is in a folder"))?;
    std::fs::write(&out, serde_json::to_string_pretty(&rows)?)?;
    println!("written to {}", out.display());
    if right { Ok(()) } else { Err("results of the device differ from the CPU's".into()) }
}

fn build(device: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::root()).args(["build", "--release", "--package", "forethought-gpu-check"]);
    if device != "cpu" {
        if Command::new("nvcc").arg("--version").output().is_err() {
            return Err(
                "nvcc is not in PATH. Install the CUDA toolkit, or `bash .ci/cuda toolkit`, which puts one \
                        into target/cuda and says what to export"
                    .into(),
            );
        }
        cargo.args(["--features", "cuda"]);
    }
    if !cargo.status()?.success() {
        return Err("gpu-check could not be built; see cargo's output above".into());
    }
    Ok(crate::root().join("target/release/gpu-check"))
}

/// The rows of `gpu-check`, and whether all results agree.
fn ours(program: &Path, device: &str) -> Result<(Vec<Value>, bool), Box<dyn Error>> {
    let mut command = limited();
    let output =
        command.arg(program).args(["--json", "--device", device]).stderr(Stdio::inherit()).output()?;
    let rows = lines(&output.stdout)?;
    match output.status.code() {
        Some(code @ (0 | 1)) => Ok((rows, code == 0)),
        Some(124) => Err(format!("gpu-check was ended after {LIMIT} s, after {} rows", rows.len()).into()),
        _ => Err(format!("gpu-check failed: {}", output.status).into()),
    }
}

/// PyTorch's figures by what and unit.
fn torch(python: &str, device: &str) -> Result<HashMap<(String, String), Value>, Box<dyn Error>> {
    let script = crate::root().join("tests/gpu/torch_check.py");
    let output = limited().arg(python).arg(script).arg(device).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{python} failed ({}); `--python` names another one", output.status).into());
    }
    let rows = lines(&output.stdout)?;
    Ok(rows
        .into_iter()
        .map(|row| ((row["what"].to_string(), row["unit"].to_string()), row["torch"].clone()))
        .collect())
}

fn limited() -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT).current_dir(crate::root());
    command
}

fn lines(output: &[u8]) -> Result<Vec<Value>, serde_json::Error> {
    output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice).collect()
}

/// The GPU as its driver calls it.
fn name_of(device: &str) -> String {
    let index = device.strip_prefix("cuda:").unwrap_or(device);
    let query = ["--query-gpu=name,driver_version", "--format=csv,noheader", "--id", index];
    let output =
        Command::new("nvidia-smi").args(query).output().ok().filter(|output| output.status.success());
    output
        .map_or_else(|| device.to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The rows as a table for docs/measurements.md.
fn table(rows: &[Value], device: &str) -> String {
    let mut table =
        format!("| | CPU | {device} | PyTorch, {device} | ours / PyTorch | greatest difference |\n");
    table += "|---|---|---|---|---|---|\n";
    for row in rows {
        let number = |key: &str| row[key].as_f64();
        let rounded = |key: &str| number(key).map_or(String::new(), |value| format!("{value:.0}"));
        let ratio =
            number("device").zip(number("torch")).map_or(String::new(), |(a, b)| format!("{:.2}", a / b));
        let difference = number("difference").map_or(String::new(), |value| format!("{value:.0e}"));
        let what = row["what"].as_str().unwrap_or_default();
        let unit = row["unit"].as_str().unwrap_or_default();
        table += &format!(
            "| {what}, {unit} | {} | {} | {} | {ratio} | {difference} |\n",
            rounded("cpu"),
            rounded("device"),
            rounded("torch")
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_gaps_where_figures_are_missing() {
        let rows = [
            json!({ "what": "encoder", "unit": "texts/s", "cpu": 100.4, "device": 3000.0, "torch": 1500.0,
                    "difference": 2e-6 }),
            json!({ "what": "chat", "unit": "tokens/s", "cpu": 20.0, "device": 80.0, "difference": null }),
        ];
        let table = table(&rows, "cuda:0");
        assert!(table.contains("| encoder, texts/s | 100 | 3000 | 1500 | 2.00 | 2e-6 |"), "{table}");
        assert!(table.contains("| chat, tokens/s | 20 | 80 |  |  |  |"), "{table}");
    }
}
