//! What the macros refuse, word for word. The compiler runs on each case, so this runs in slow test runs only.

use libtest_mimic::{Arguments, Completion, Trial};

fn main() {
    let refusals = Trial::ignorable_test("refusals_say_what_to_write_instead", || {
        if std::env::var_os("FORETHOUGHT_SLOW_TESTS").is_none() {
            return Ok(Completion::ignored_with("slow; runs with FORETHOUGHT_SLOW_TESTS=1"));
        }
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
        Ok(Completion::Completed)
    });
    libtest_mimic::run(&Arguments::from_args(), vec![refusals]).exit();
}
