//! Tests of the plugin boundary: one list of trials, run against a library in this process and against the same library
//! in a process of its own, then trials for only one of these. The plugins are in this package and in `tests/c`.
//!
//! The numbers in the trials' names are those of the boundary's conformance list; a trial for several is named after
//! the first. Numbers 18 and 19, and the list against libraries built in other ways, are in `tests/variants`.
//!
//! This file is also the harness: started as `serve LIBRARY`, it is the process of a library.

mod alone;
mod crashes;
mod hostile;
mod list;
mod way;

use std::process::ExitCode;

use forethought_llm_simulated as _; // Linked in, like the next: the registry must keep them apart.
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
