//! What the tests of this workspace share. Never published.
//!
//! It may depend on `forethought-sdk` and on a test harness. Everything else may depend on it, in tests alone.

mod host;
mod process;
mod suite;

pub use host::StubHost;
pub use process::{memory_kb, processor_ms};
pub use suite::Suite;

use std::fmt::Debug;

use forethought_sdk::{futures::FutureExt, simulated::Worded};

/// Whether tests take the time they need: the environment variable `FORETHOUGHT_SLOW_TESTS` is set.
pub fn slow_tests() -> bool {
    std::env::var_os("FORETHOUGHT_SLOW_TESTS").is_some()
}

/// How much of something a test does: `full` if [`slow_tests`], else `quick`, which checks the same claim on less.
pub fn slow<T>(quick: T, full: T) -> T {
    if slow_tests() { full } else { quick }
}

/// The outcome of a future that never waits, as those of environments.
///
/// # Panics
/// If it waits.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for")
}

/// Checks that each wording belongs to one value alone, so that a thought names its move.
///
/// # Panics
/// If a wording reads as another value.
pub fn wordings_are_read_back<W: Worded + Debug + PartialEq>() {
    assert!(!W::ALL.is_empty());
    for &value in W::ALL {
        for wording in value.wordings() {
            assert_eq!(W::read(wording), Some(value), "{wording}");
        }
    }
}
