//! Test binaries whose tests this machine may be unable to run: such tests are reported as ignored, never as passed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Data sets: the folder, and the name under which the set is known.
const SETS: [(&str, &str); 10] = [
    ("avalon_multi_round", "multi-round-avalon-agents"),
    ("avalon_nlu", "Avalon-NLU"),
    ("avalonbench_gold", "golden games of AvalonBench"),
    ("avalonbench_presets", "presets of AvalonBench"),
    ("chat_model_answers", "answers of a chat model"),
    ("p4g", "PersuasionForGood"),
    ("paraphrases", "paraphrases of the simulated model"),
    ("proavalon_records", "ProAvalon game records"),
    ("webshop_gold", "golden outputs of WebShop"),
    ("webshop_products", "WebShop products"),
];

/// The tests of a binary with `harness = false`.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
    /// Why some cannot run.
    reasons: BTreeSet<String>,
}

impl Suite {
    /// Adds a test that compares with data sets, named by their folders. It is given the folder that holds them:
    /// `FORETHOUGHT_DATA`, or `../shared/data` next to the checkout.
    ///
    /// # Panics
    /// For a folder that is not in the list of sets.
    #[must_use]
    pub fn golden(self, name: &str, sets: &[&str], test: impl FnOnce(&Path) + Send + 'static) -> Self {
        let data = std::env::var_os("FORETHOUGHT_DATA").map_or_else(
            || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into(),
            PathBuf::from,
        );
        let mut missing = Vec::new();
        for set in sets {
            let (folder, known_as) = SETS.iter().find(|(folder, _)| folder == set).expect("a known data set");
            if !data.join(folder).is_dir() {
                missing.push(format!("{known_as} (`{folder}`)"));
            }
        }
        let unable = (!missing.is_empty())
            .then(|| format!("set FORETHOUGHT_DATA to a folder with {}", missing.join(" and ")));
        self.unless(unable, name, move || test(&data))
    }

    /// Adds a test that always runs.
    #[must_use]
    pub fn test(self, name: &str, test: impl FnOnce() + Send + 'static) -> Self {
        self.unless(None, name, test)
    }

    /// Adds a test that cannot run here if there is a reason: then it is reported as ignored, or, where the variable
    /// `CI` is set, as failed.
    #[must_use]
    pub fn unless(
        mut self,
        unable: Option<String>,
        name: &str,
        test: impl FnOnce() + Send + 'static,
    ) -> Self {
        let ignored = unable.is_some() && std::env::var_os("CI").is_none();
        self.reasons.extend(unable.clone().filter(|_| ignored));
        let run = move || match unable {
            Some(reason) => Err(reason.into()),
            None => {
                test();
                Ok(())
            }
        };
        self.trials.push(Trial::test(name, run).with_ignored_flag(ignored));
        self
    }

    /// Adds a test that would prove nothing if it were shortened: it is ignored unless
    /// [`slow_tests`](crate::slow_tests).
    #[must_use]
    pub fn slow(mut self, name: &str, test: impl FnOnce() + Send + 'static) -> Self {
        let ignored = !crate::slow_tests();
        if ignored {
            self.reasons.insert("slow tests run with FORETHOUGHT_SLOW_TESTS=1".into());
        }
        let run = || {
            test();
            Ok(())
        };
        self.trials.push(Trial::test(name, run).with_ignored_flag(ignored));
        self
    }

    /// Runs the tests that the command line selects.
    pub fn run(self) -> ExitCode {
        let conclusion = libtest_mimic::run(&Arguments::from_args(), self.trials);
        if conclusion.num_ignored > 0 {
            self.reasons.iter().for_each(|reason| println!("ignored: {reason}"));
        }
        conclusion.exit_code()
    }
}
