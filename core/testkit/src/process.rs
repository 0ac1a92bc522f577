//! What a benchmark asks about its own process. Numbers that the system does not give, as outside Linux, are NaN.

use std::fs::read_to_string;

/// Milliseconds of processor time that all threads of this process have used.
pub fn processor_ms() -> f64 {
    let stat = read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // Fields 14 and 15 of the whole line, in hundredths of a second (proc(5)).
    let mut ticks = after_name.split_whitespace().skip(11).map(|ticks| ticks.parse().unwrap_or(f64::NAN));
    let mut next = || ticks.next().unwrap_or(f64::NAN);
    (next() + next()) * 10.0
}

/// Kilobytes of memory: `VmRSS` is the present use, `VmHWM` the highest so far.
pub fn memory_kb(what: &str) -> f64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_size_and_gets_older() {
        assert!(memory_kb("VmRSS") > 100.0 && memory_kb("VmHWM") >= memory_kb("VmRSS"));
        let begun = processor_ms();
        while processor_ms() < begun + 20.0 {}
        assert!(memory_kb("VmNone").is_nan());
    }
}
