//! What a benchmark asks about its own process, on Linux.

use std::fs::read_to_string;

/// Milliseconds of processor time that all threads of this process have used.
///
/// # Panics
/// Without `/proc`.
pub fn processor_ms() -> f64 {
    let stat = read_to_string("/proc/self/stat").expect("/proc");
    let after_name = stat.rsplit(')').next().expect("a name in brackets");
    // Fields 14 and 15 of the whole line, in hundredths of a second (proc(5)).
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() * 10.0
}

/// Kilobytes of memory: `VmRSS` is the present use, `VmHWM` the highest so far.
///
/// # Panics
/// Without `/proc`, or for a name that it does not have.
pub fn memory_kb(what: &str) -> f64 {
    let status = read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}
