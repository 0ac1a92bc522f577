//! The plugin boundary, put to the test: one list of trials, run against a library in this process and against the same
//! library in a process of its own, then what only one of these has. This package and `tests/c` are the plugins.
//!
//! The numbers in the trials' names are those of the boundary's conformance list: a trial that holds several is named by
//! the first. Numbers 18 and 19, and the list against libraries built in every other way, are in `tests/variants`.
//!
//! This file is the harness too: started as `serve LIBRARY`, it is the process that a library has of its own.

mod alone;
mod crashes;
mod hostile;
mod list;
mod way;

use std::process::ExitCode;

use forethought_llm_simulated as _; // Linked in, and the next too: the registry must keep them apart.
use forethought_test_plugin as _;
use way::{Way, helper};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = helper(&arguments) {
        return code;
    }
    way::listen();
    let library = way::test_plugin();
    let ways = [Way::library("library", library.clone()), Way::process("process", library)];
    let mut trials: Vec<_> = ways.iter().flat_map(list::trials).collect();
    trials.extend(alone::trials());
    trials.extend(hostile::trials());
    trials.extend(crashes::trials());
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}
