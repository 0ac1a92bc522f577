//! The metrics of a game that is over.

use forethought_sdk::serde_json::{Map, Value, json};

use crate::role::{Role, Side};
use crate::rules::Outcome;
use crate::seats::Seats;
use crate::table::{Event, Table};

/// The metrics of a game, from the side of `seat`; `None` while it is played.
///
/// - `won`: 1 if the seat's side won, else 0.
/// - `assassinated`, `missions_lost`, `rejections_lost`: 1 if the game ended so, else 0; evil has won then.
/// - `merlin_survived`: 1 if the Assassin missed Merlin, 0 if not; missing in games that ended before.
/// - `quests_succeeded`, and `rounds`, the number of proposals.
/// - [`deduction`] of seat 0, where it was asked.
pub fn metrics(table: &Table, seat: usize) -> Option<Map<String, Value>> {
    let outcome = table.outcome()?;
    let one = |is: bool| json!(f64::from(u8::from(is)));
    let mut metrics = Map::new();
    metrics.insert("won".into(), one(table.deal()[seat].side() == outcome.winner()));
    metrics.insert("assassinated".into(), one(outcome == Outcome::Assassination));
    metrics.insert("missions_lost".into(), one(outcome == Outcome::Missions));
    metrics.insert("rejections_lost".into(), one(outcome == Outcome::Rejections));
    if matches!(outcome, Outcome::Good | Outcome::Assassination) {
        metrics.insert("merlin_survived".into(), one(outcome == Outcome::Good));
    }
    metrics.insert("quests_succeeded".into(), json!(table.game().successes() as f64));
    let rounds = table.log().iter().filter(|event| matches!(event, Event::Proposed { .. })).count();
    metrics.insert("rounds".into(), json!(rounds as f64));
    if let Some(good) = table.believed() {
        metrics.insert("deduction".into(), json!(deduction(good, table.deal())));
    }
    Some(metrics)
}

/// AvalonBench's deduction accuracy: the share of seats that are rightly taken to be good, or evil.
pub fn deduction(good: Seats, deal: &[Role]) -> f64 {
    let right =
        deal.iter().enumerate().filter(|(seat, role)| good.contains(*seat) == (role.side() == Side::Good));
    right.count() as f64 / deal.len() as f64
}
