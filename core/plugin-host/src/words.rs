//! What a process says on standard error: its last lines, for errors.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The number of lines that are kept.
const LINES: usize = 16;
/// How long lines that were written before an answer may take to arrive after it: they come by another pipe.
const LATE: Duration = Duration::from_millis(10);

/// The last lines of a process.
#[derive(Debug, Default)]
pub(super) struct Words(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    lines: VecDeque<String>,
    /// How many there were in all.
    count: usize,
}

impl Words {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    pub(super) fn push(&self, line: String) {
        let mut said = self.said();
        if said.lines.len() == LINES {
            said.lines.pop_front();
        }
        said.lines.push_back(line);
        said.count += 1;
    }

    /// How many lines there were so far.
    pub(super) fn count(&self) -> usize {
        self.said().count
    }

    /// Takes the last lines, of those after the first `before`, indented. No error shows them again.
    pub(super) fn take(&self, before: usize) -> Option<String> {
        let mut said = self.said();
        let new = said.count.saturating_sub(before).min(said.lines.len());
        let first = said.lines.len() - new;
        let lines: String = said.lines.drain(first..).map(|line| format!("\n  {line}")).collect();
        (!lines.is_empty()).then_some(lines)
    }

    /// The same, after those that are still on their way.
    pub(super) async fn take_late(&self, before: usize) -> Option<String> {
        let mut count = None;
        while count != Some(self.count()) {
            count = Some(self.count());
            tokio::time::sleep(LATE).await;
        }
        self.take(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown_once() {
        let words = Words::default();
        words.push("starting".into());
        let before = words.count();
        assert_eq!(words.take(before), None);
        (0..LINES + 2).for_each(|number| words.push(number.to_string()));
        let lines = words.take(before).unwrap();
        assert!(lines.starts_with("\n  2\n  3\n") && lines.ends_with("\n  17"), "{lines}");
        assert_eq!(words.take(0), None);
        words.push("again".into());
        assert_eq!(words.take(0).unwrap(), "\n  again");
    }
}
