//! Test binaries with tests that are ignored unless `FORETHOUGHT_SLOW_TESTS` is set.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Whether tests take the time they need: the environment variable `FORETHOUGHT_SLOW_TESTS` is set.
pub fn slow_tests() -> bool {
    std::env::var_os("FORETHOUGHT_SLOW_TESTS").is_some()
}

/// How much of something a test does: `full` if [`slow_tests`], else `quick`, which checks the same claim on less.
pub fn slow<T>(quick: T, full: T) -> T {
    if slow_tests() { full } else { quick }
}

/// The tests of a binary with `harness = false`.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
}

impl Suite {
    /// Adds a test that always runs.
    #[must_use]
    pub fn test(self, name: &str, test: impl FnOnce() + Send + 'static) -> Self {
        self.add(name, false, test)
    }

    /// Adds a test that would prove nothing if it were shortened: it is ignored unless [`slow_tests`].
    #[must_use]
    pub fn slow(self, name: &str, test: impl FnOnce() + Send + 'static) -> Self {
        self.add(name, !slow_tests(), test)
    }

    fn add(mut self, name: &str, ignored: bool, test: impl FnOnce() + Send + 'static) -> Self {
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
            println!("ignored tests are slow; FORETHOUGHT_SLOW_TESTS=1 runs them");
        }
        conclusion.exit_code()
    }
}
