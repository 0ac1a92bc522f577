//! Rules for importers and verifiers: errors name the missing or malformed file.

use std::path::PathBuf;
use std::sync::Arc;

use forethought_api::{
    Result as Answer,
    critic::{NoProgress, Progress},
    importer::Importer,
    verifier::Verifier,
};

use crate::{
    common::Work,
    trial::{Failure, Fault, Rule, Trial, Verdict, ensure},
};

const IMPORTER_MISSING: Rule = Rule {
    id: "importer/missing",
    says: "a path that does not exist is an error that names it",
    fix: FIX_MISSING,
    needs: &[],
};
const IMPORTER_MALFORMED: Rule = Rule {
    id: "importer/malformed",
    says: "an unreadable file or an empty folder is an error that names it, not a crash",
    fix: FIX_MALFORMED,
    needs: &[],
};
const VERIFIER_MISSING: Rule = Rule {
    id: "verifier/missing",
    says: "a path that does not exist is an error that names it",
    fix: FIX_MISSING,
    needs: &[],
};
const VERIFIER_MALFORMED: Rule = Rule {
    id: "verifier/malformed",
    says: "an unreadable file or an empty folder is an error that names it, not a crash",
    fix: FIX_MALFORMED,
    needs: &[],
};
const FIX_MISSING: &str = "put the path into the error: `.context(path.display().to_string())?`";
const FIX_MALFORMED: &str =
    "check what is read instead of unwrapping it, and put the path and the line into the error";

pub(crate) const RULES: &[&Rule] =
    &[&IMPORTER_MISSING, &IMPORTER_MALFORMED, &VERIFIER_MISSING, &VERIFIER_MALFORMED];

/// Reads a path, for the error.
type Read<'a, F> = &'a (dyn Fn(PathBuf, Arc<dyn Progress>) -> F + Sync);

pub(crate) async fn check_importer(trial: &Trial<'_>, importer: Arc<dyn Importer>) -> Option<Work> {
    let read = |path, progress| {
        let importer = importer.clone();
        async move { importer.import(path, progress).await.map(drop) }
    };
    trial.rule(&IMPORTER_MISSING, missing(trial, &read)).await;
    trial.rule(&IMPORTER_MALFORMED, malformed(trial, &read)).await;
    None
}

pub(crate) async fn check_verifier(trial: &Trial<'_>, verifier: Arc<dyn Verifier>) -> Option<Work> {
    let read = |path, progress| {
        let verifier = verifier.clone();
        async move { verifier.verify(path, progress).await.map(drop) }
    };
    trial.rule(&VERIFIER_MISSING, missing(trial, &read)).await;
    trial.rule(&VERIFIER_MALFORMED, malformed(trial, &read)).await;
    None
}

async fn missing<F: Future<Output = Answer<()>>>(trial: &Trial<'_>, read: Read<'_, F>) -> Verdict {
    refused(trial, read, "/no/such/folder/anywhere".into()).await
}

async fn malformed<F: Future<Output = Answer<()>>>(trial: &Trial<'_>, read: Read<'_, F>) -> Verdict {
    let unwritable = |error| Fault::Skipped(format!("no temporary folder: {error}"));
    let folder = tempfile::tempdir().map_err(unwritable)?;
    let file = folder.path().join("malformed.jsonl");
    std::fs::write(&file, [0xff, 0x00, b'{', b'\n', 0x80]).map_err(unwritable)?;
    refused(trial, read, file).await?;
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).map_err(unwritable)?;
    refused(trial, read, empty).await
}

/// The path is refused by name.
async fn refused<F: Future<Output = Answer<()>>>(
    trial: &Trial<'_>,
    read: Read<'_, F>,
    path: PathBuf,
) -> Verdict {
    let name = path.display().to_string();
    match trial.attempt(read(path, Arc::new(NoProgress))).await {
        Err(Failure::Error(error)) => {
            ensure!(error.to_string().contains(&name), "the error for {name} does not name it: {error}");
        }
        Err(failure) => ensure!(false, "given {name}, it {failure}"),
        Ok(()) => ensure!(false, "{name} was read without an error"),
    }
    Ok(())
}
