//! Tournaments: who sits where in which game, and how good everybody is after all of them. Who plays and how is a run
//! like any other; this module only plans it and reads its results.

use std::collections::BTreeMap;

use forethought_api::environment::Reset;
use serde::Serialize;
use skillratings::{
    MultiTeamOutcome,
    weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team},
};

use crate::evaluate::stats::{Mean, mean, share_or_mean};
use crate::run::summary::{EpisodeStatus, EpisodeSummary};
use forethought_api::seed;

/// The games of a tournament, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Which planner takes each seat, game by game.
    pub seatings: Vec<Vec<usize>>,
    /// Task and seed, game by game.
    pub episodes: Vec<Reset>,
}

/// Plans at least `games` games of `planners` planners at a table of `seats` seats, on the tasks that follow
/// `first_task` (and after the last of `tasks`, the first again).
///
/// Games come in rounds of one game per planner. All games of a round have the same task and seed, and from game to
/// game everybody moves on by one seat, so that in each round every planner takes every seat exactly once. Who sits
/// next to whom is drawn from `seed` again for each round. The last round is always whole.
pub fn schedule(
    seed: u64,
    planners: usize,
    seats: usize,
    games: u64,
    first_task: u64,
    tasks: Option<u64>,
) -> Schedule {
    let mut schedule = Schedule { seatings: Vec::new(), episodes: Vec::new() };
    for round in 0..games.div_ceil(planners.max(1) as u64) {
        let task = tasks.map_or(first_task + round, |tasks| (first_task + round) % tasks.max(1));
        let reset = Reset { task, seed: seed::derive(seed, &format!("tournament/{round}")) };
        let mut order: Vec<usize> = (0..seats.max(planners)).collect();
        order.sort_by_key(|place| seed::derive(reset.seed, &format!("place/{place}")));
        for game in 0..planners {
            schedule.seatings.push(order[..seats].iter().map(|place| (place + game) % planners).collect());
            schedule.episodes.push(reset);
        }
    }
    schedule
}

/// How good a planner turned out to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The planner's name.
    pub name: String,
    /// Finished games in which it took a seat.
    pub games: u64,
    /// Share of its seats that won, game by game. Seats win whose score is the highest, unless all have the same.
    pub wins: Mean,
    /// Score of its seats, game by game.
    pub score: Mean,
    /// Weng-Lin rating: it begins at 25.
    pub rating: f64,
    /// Standard deviation of the rating: it begins at 25 / 3.
    pub deviation: f64,
}

/// The results of `planners` after these games, in this order: ratings depend on it a little.
pub fn standings(planners: &[String], games: &[EpisodeSummary]) -> Vec<Standing> {
    let mut ratings = vec![WengLinRating::new(); planners.len()];
    let mut shares: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); planners.len()];
    for game in games.iter().filter(|game| game.status == EpisodeStatus::Done) {
        let place = |name| planners.iter().position(|planner| planner == name);
        let Some(table) = game.seats.iter().map(place).collect::<Option<Vec<_>>>() else { continue };
        let won = winners(&game.scores);
        for (planner, (wins, scores)) in shares.iter_mut().enumerate() {
            let own = || (0..table.len()).filter(|seat| table[*seat] == planner);
            if own().next().is_some() {
                wins.push(mean(&own().map(|seat| f64::from(u8::from(won[seat]))).collect::<Vec<_>>()).mean);
                scores.push(mean(&own().map(|seat| game.scores[seat]).collect::<Vec<_>>()).mean);
            }
        }
        rate(&mut ratings, &table, &game.scores);
    }
    let results = planners.iter().zip(ratings).zip(shares);
    results
        .map(|((name, rating), (wins, scores))| Standing {
            name: name.clone(),
            games: wins.len() as u64,
            wins: share_or_mean(&wins),
            score: mean(&scores),
            rating: rating.rating,
            deviation: rating.uncertainty,
        })
        .collect()
}

fn winners(scores: &[f64]) -> Vec<bool> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter().map(|score| *score == highest && scores.iter().any(|other| *other < highest)).collect()
}

/// One game by Weng and Lin (A Bayesian approximation method for online ranking, JMLR 12, 2011), as implemented by
/// `skillratings`. Two different scores are those of two sides; otherwise everybody plays for themselves.
///
/// A side counts as one player whose skill is the mean of its seats', not their sum: sides may differ in size and still
/// be even, as in Avalon. What the game says about that mean is passed on to the planners in proportion to their share
/// of it.
fn rate(ratings: &mut [WengLinRating], table: &[usize], scores: &[f64]) {
    let mut places = scores.to_vec();
    places.sort_by(|a, b| b.total_cmp(a));
    places.dedup();
    // By rank and, where everybody plays for themselves, seat: how many seats each planner has.
    let mut sides = BTreeMap::<(usize, usize), BTreeMap<usize, f64>>::new();
    for (seat, (planner, score)) in table.iter().zip(scores).enumerate() {
        let rank = places.iter().position(|place| place == score).unwrap_or_default();
        let alone = if places.len() == 2 { 0 } else { seat };
        *sides.entry((rank, alone)).or_default().entry(*planner).or_default() += 1.0;
    }
    for planners in sides.values_mut() {
        let seats: f64 = planners.values().sum();
        planners.values_mut().for_each(|weight| *weight /= seats);
    }
    let side = |planners: &BTreeMap<usize, f64>| {
        let sum = |of: &dyn Fn(f64, &WengLinRating) -> f64| {
            planners.iter().map(|(planner, weight)| of(*weight, &ratings[*planner])).sum::<f64>()
        };
        let variance = sum(&|weight, one| (weight * one.uncertainty).powi(2));
        [WengLinRating { rating: sum(&|weight, one| weight * one.rating), uncertainty: variance.sqrt() }]
    };
    let before: Vec<_> = sides.values().map(side).collect();
    let ranks = sides.keys().map(|(rank, _)| MultiTeamOutcome::new(rank + 1));
    let teams: Vec<_> = before.iter().map(|side| &side[..]).zip(ranks).collect();
    let after = weng_lin_multi_team(&teams, &WengLinConfig::new());

    let old = ratings.to_vec();
    for ((planners, before), after) in sides.values().zip(&before).zip(&after) {
        let (gain, shrunk) =
            (after[0].rating - before[0].rating, (after[0].uncertainty / before[0].uncertainty).powi(2));
        for (planner, weight) in planners {
            // Covariance of planner and side over the side's variance.
            let share = weight * (old[*planner].uncertainty / before[0].uncertainty).powi(2);
            ratings[*planner].rating += share * gain;
            ratings[*planner].uncertainty *= (1.0 - weight * share * (1.0 - shrunk)).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planner_takes_every_seat_equally_often() {
        for (planners, seats, games) in [(2, 5, 20), (3, 5, 30), (5, 5, 10), (4, 2, 8), (2, 2, 3)] {
            let Schedule { seatings, episodes } = schedule(7, planners, seats, games, 0, Some(3));
            assert_eq!(seatings.len() as u64, games.next_multiple_of(planners as u64));
            assert_eq!(seatings.len(), episodes.len());
            for seat in 0..seats {
                for planner in 0..planners {
                    let taken = seatings.iter().filter(|table| table[seat] == planner).count();
                    assert_eq!(taken, seatings.len() / planners, "{planner} in seat {seat} of {seats}");
                }
            }
            assert!(episodes.iter().all(|reset| reset.task < 3));
        }
        let seated = |seed| schedule(seed, 3, 5, 30, 0, None);
        assert_eq!(seated(7), seated(7));
        assert_ne!(seated(7).seatings, seated(8).seatings);
    }

    fn game(seats: &[&str], scores: &[f64]) -> EpisodeSummary {
        let summary = serde_json::json!({
            "episode": "", "task": 0, "seed": 0, "status": "done", "score": 0.0, "scores": scores, "seats": seats,
            "success": null, "steps": 0, "decisions": 0, "llm_calls": 0, "tokens": 0, "calls": {},
            "other_calls": {}, "value_queries": 0, "ms_per_decision": null
        });
        serde_json::from_value(summary).expect("a summary")
    }

    #[test]
    fn whoever_wins_more_is_rated_higher_and_doubt_shrinks() {
        let planners = ["strong", "weak"].map(String::from);
        let mut games = Vec::new();
        for index in 0..40 {
            let lucky = index % 4 == 0;
            games.push(game(
                &["strong", "weak", "weak"],
                if lucky { &[0.0, 1.0, 1.0] } else { &[1.0, 0.0, 0.0] },
            ));
        }
        let [strong, weak] = &standings(&planners, &games)[..] else { panic!("two") };
        assert_eq!((strong.games, strong.wins.mean, weak.wins.mean), (40, 0.75, 0.25));
        assert!(strong.wins.low > weak.wins.high);
        assert!(strong.rating > 25.0 && weak.rating < 25.0, "{strong:?} {weak:?}");
        assert!(strong.deviation < 25.0 / 3.0 && weak.deviation < 25.0 / 3.0);
    }

    #[test]
    fn a_side_is_one_player_and_draws_change_little() {
        let planners = ["a", "b"].map(String::from);
        let fresh = WengLinRating::new();
        let config = WengLinConfig::new();
        let duel = weng_lin_multi_team(
            &[(&[fresh][..], MultiTeamOutcome::new(1)), (&[fresh][..], MultiTeamOutcome::new(2))],
            &config,
        );
        // Sides of two and three, each of one planner, are a duel.
        let standing = standings(&planners, &[game(&["a", "b", "a", "b", "b"], &[1.0, 0.0, 1.0, 0.0, 0.0])]);
        for (standing, [expected]) in standing.iter().zip(duel.iter().map(|team| [team[0]])) {
            assert!((standing.rating - expected.rating).abs() < 1e-9, "{standing:?} {expected:?}");
            assert!((standing.deviation - expected.uncertainty).abs() < 1e-9, "{standing:?} {expected:?}");
        }
        let draw = &standings(&planners, &[game(&["a", "b"], &[1.0, 1.0])])[0];
        assert_eq!((draw.rating, draw.wins.mean), (25.0, 0.0));
    }

    #[test]
    fn equals_stay_equal_however_uneven_the_sides() {
        // Two against three, and the two win more often: what one planner gains, the other gains next.
        let planners = ["a", "b"].map(String::from);
        let mut games = Vec::new();
        for index in 0..400 {
            let (scores, [x, y]) = (
                if index % 10 < 6 { [1.0, 1.0, 0.0, 0.0, 0.0] } else { [0.0, 0.0, 1.0, 1.0, 1.0] },
                if (index / 10) % 2 == 0 { ["a", "b"] } else { ["b", "a"] },
            );
            games.push(game(&[x, y, x, y, x], &scores));
        }
        for standing in standings(&planners, &games) {
            assert!((standing.rating - 25.0).abs() < standing.deviation, "{standing:?}");
        }
    }
}
