//! Trajectories: what is read is written in both formats and read again as the same; an error names file and line.
#![no_main]

use std::sync::LazyLock;

use forethought_fuzz as _;
use forethought_runtime::trajectories;
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    // The reader catches panics of the `parquet` crate, at which libFuzzer's hook would abort. What nobody catches still
    // ends the process.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    tempfile::tempdir().expect("a folder")
});

fuzz_target!(|bytes: &[u8]| {
    for name in ["x.jsonl", "x.parquet"] {
        let path = FOLDER.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        match trajectories::read(&path) {
            Ok(mut read) => {
                // Neither is in Parquet: a trajectory without steps, and a number that JSON cannot express.
                read.retain(|one| {
                    !one.steps.is_empty() && one.steps.iter().all(|step| step.reward.is_finite())
                });
                for name in ["again.jsonl", "again.parquet"] {
                    let path = FOLDER.path().join(name);
                    trajectories::write(&path, &read).expect("written");
                    assert_eq!(trajectories::read(&path).expect("read again"), read);
                }
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(name) && (name == "x.parquet" || error.contains("line ")), "{error}");
            }
        }
    }
});
