//! Records of other agents: every importer reads any file or names it in its error, and what it reads is written and
//! exported, and what is exported as OpenAI chat messages is read again.
#![no_main]

use std::sync::{Arc, LazyLock};

use forethought_fuzz as _;
use forethought_records::{
    RecordConfig,
    export::{About, Format, export},
    import::{
        atif::Atif, inspect::Inspect, openai_chat::OpenaiChat, otel_genai::OtelGenai, verifiers::Verifiers,
    },
};
use forethought_runtime::trajectories;
use forethought_sdk::{api::critic::NoProgress, prelude::*};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

/// Each importer, with the names by which it knows its forms.
static IMPORTERS: LazyLock<[(Box<dyn Importer>, &str); 7]> = LazyLock::new(|| {
    let config = RecordConfig::default;
    [
        (Box::new(OpenaiChat(config())), "chat.jsonl"),
        (Box::new(Atif(config())), "trajectory.json"),
        (Box::new(Inspect(config())), "log.json"),
        (Box::new(Inspect(config())), "log.eval"),
        (Box::new(Verifiers(config())), "results.jsonl"),
        (Box::new(Verifiers(config())), "traces.jsonl"),
        (Box::new(OtelGenai(config())), "spans.json"),
    ]
});

fn import(importer: &dyn Importer, name: &str, bytes: &[u8]) -> Result<Vec<Trajectory>> {
    let path = FOLDER.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    let read = RUNTIME.block_on(importer.read(path.clone(), Arc::new(NoProgress)));
    std::fs::remove_file(path).expect("removed");
    read.map(|read| read.trajectories)
}

fuzz_target!(|bytes: &[u8]| {
    for (importer, name) in &*IMPORTERS {
        let read = match import(&**importer, name, bytes) {
            Ok(read) => read,
            Err(error) => {
                assert!(error.to_string().contains(name), "{error}");
                continue;
            }
        };
        assert!(read.iter().flat_map(|one| &one.steps).all(|step| step.reward.is_finite()));
        let path = FOLDER.path().join("again.jsonl");
        trajectories::write(&path, &read).expect("written");
        assert_eq!(trajectories::read(&path).expect("read again"), read);
        for format in [Format::Atif, Format::Openai, Format::Inspect, Format::Otel] {
            let documents = export(format, &read, &About::default()).expect("exported");
            if format == Format::Openai && !read.is_empty() {
                import(&OpenaiChat(RecordConfig::default()), "again.jsonl", &documents[0].bytes)
                    .expect("read again");
            }
        }
    }
});
