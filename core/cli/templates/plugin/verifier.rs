//! Bulls and cows against golden outputs: a verifier to start from.
//!
//! A verifier compares an environment with its reference implementation: golden files have the
//! answers of the reference, and every case is counted, failing ones included.

use std::path::PathBuf;

use forethought_sdk::api::text::unmarked;
use forethought_sdk::prelude::*;

/// A verifier has no section in a configuration, so it is built from defaults.
#[config]
#[derive(Default)]
#[serde(default)]
struct Config {}

/// A line of `cases.jsonl`.
#[data]
#[serde(deny_unknown_fields)]
struct Case {
    secret: String,
    guess: String,
    bulls: usize,
    cows: usize,
}

/// The rule to verify: letters in their place, and letters out of place.
fn bulls_and_cows(secret: &str, guess: &str) -> (usize, usize) {
    let bulls = secret.chars().zip(guess.chars()).filter(|(a, b)| a == b).count();
    let mut rest: Vec<char> = secret.chars().collect();
    let mut common = 0;
    for letter in guess.chars() {
        if let Some(place) = rest.iter().position(|other| *other == letter) {
            rest.swap_remove(place);
            common += 1;
        }
    }
    (bulls, common - bulls)
}

struct Golden;

#[async_trait]
impl Verifier for Golden {
    async fn verify(&self, data: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Check>> {
        let path = data.join("cases.jsonl");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::input(format!("cannot read {}: {error}", path.display())))?;
        let mut check = Check::new("bulls and cows");
        for (index, line) in unmarked(&text).lines().enumerate() {
            let place = format!("{}:{}", path.display(), index + 1);
            let case: Case = forethought_sdk::serde_json::from_str(line)
                .map_err(|error| Error::input(format!("{place}: {error}")))?;
            let found = bulls_and_cows(&case.secret, &case.guess);
            let expected = (case.bulls, case.cows);
            check.count(found == expected, || format!("{place}: {found:?}, not {expected:?}"));
        }
        progress.report("verifying".into(), check.total, check.total, String::new()).await?;
        Ok(vec![check])
    }
}

register! {
    interface: dyn Verifier, kind: "{{name}}", summary: "bulls and cows against golden outputs",
    config: Config,
    new: |_config: Config, _host| async move { Ok(Arc::new(Golden) as _) },
}
