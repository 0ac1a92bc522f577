//! The critical path of a decision: the longest chain of calls of which each was requested when the one before it had
//! been answered. It is what the decision would take if all calls that can be made at once were, and nothing else took
//! any time: the least that more machines could make of it.

use std::time::{Duration, Instant};

/// A call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) requested: Instant,
    pub(crate) answered: Instant,
    /// How long the model worked on it: see [`busy`](crate::busy).
    pub(crate) busy: Duration,
}

/// The length of the longest chain in calls, and of the one that takes longest. What an answer may have caused is known
/// by its time alone: everything that was requested after it.
pub(crate) fn critical_path(spans: &[Span]) -> (u32, Duration) {
    let mut requested: Vec<_> = (0..spans.len()).collect();
    requested.sort_by_key(|&index| spans[index].requested);
    let mut answered: Vec<_> = (0..spans.len()).collect();
    answered.sort_by_key(|&index| spans[index].answered);
    let mut answered = answered.into_iter().peekable();
    // The longest chains that end in each call, and among those that have been answered.
    let mut chains = vec![(0, Duration::ZERO); spans.len()];
    let mut before = (0, Duration::ZERO);
    let longer = |a: (u32, Duration), b: (u32, Duration)| (a.0.max(b.0), a.1.max(b.1));
    for index in requested {
        let earlier = |other: &usize| *other != index && spans[*other].answered <= spans[index].requested;
        while let Some(other) = answered.next_if(earlier) {
            before = longer(before, chains[other]);
        }
        chains[index] = (before.0 + 1, before.1 + spans[index].busy);
    }
    chains.into_iter().fold((0, Duration::ZERO), longer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_made_at_once_are_one_link_of_the_chain() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let span = |requested, answered, busy| Span {
            requested: start + ms(requested),
            answered: start + ms(answered),
            busy: ms(busy),
        };
        assert_eq!(critical_path(&[]), (0, Duration::ZERO));
        // One after the other; the second waited 40 ms for room.
        assert_eq!(critical_path(&[span(0, 10, 10), span(10, 70, 20)]), (2, ms(30)));
        // A thought, four outcomes at once of which one is slow, and the action.
        let fan = [
            span(0, 10, 10),
            span(10, 20, 10),
            span(10, 60, 50),
            span(11, 20, 9),
            span(11, 21, 10),
            span(60, 70, 10),
        ];
        assert_eq!(critical_path(&fan), (3, ms(70)));
        // Two branches: the one with more calls is not the one that takes longer.
        let branches = [span(0, 5, 5), span(5, 10, 5), span(10, 15, 5), span(0, 90, 90)];
        assert_eq!(critical_path(&branches), (3, ms(90)));
    }
}
