//! The check itself, where there is no GPU: the CPU agrees with itself, and a GPU that is missing is an error.

use std::process::{Command, Output};

fn check(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gpu-check")).args(arguments).output().expect("the program starts")
}

#[test]
fn every_part_agrees_with_itself() {
    let output = check(&["--device", "cpu", "--quick", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<serde_json::Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let what: Vec<_> = rows.iter().filter_map(|row| row["what"].as_str()?.split(',').next()).collect();
    assert_eq!(what, ["encoder", "critic training", "chat model of 135 M", "chat model of 135 M"]);
    assert!(rows.iter().all(|row| row["agrees"] == true && row["cpu"].as_f64() > Some(0.0)), "{rows:?}");
}

#[test]
fn a_device_that_does_not_exist_is_an_error() {
    let output = check(&["--device", "gpu", "--quick"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"cuda:<number>\""));
}
