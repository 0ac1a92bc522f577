//! Beliefs over hidden roles: what a seat knows for certain, log-odds for the rest, and seatings drawn from both.

use std::collections::BTreeMap;

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, RngExt, SliceRandom},
};

/// `observation.data["hidden"]` of a world with hidden roles.
#[data]
#[derive(Debug, Clone)]
struct Hidden {
    /// All roles of the game.
    roles: BTreeMap<String, RoleOf>,
    /// Roles that each seat may hold, in seat order.
    possible: Vec<Vec<String>>,
}

#[data]
#[derive(Debug, Clone)]
struct RoleOf {
    side: String,
    count: usize,
}

/// What one seat believes about the roles of the others.
#[derive(Debug, Clone)]
pub(super) struct Beliefs {
    hidden: Hidden,
    side: String,
    /// Natural log-odds that a seat is on this seat's side; only those of open seats matter.
    odds: Vec<f64>,
}

/// Proposed swaps per draw, for each pair of seats.
const SWEEPS: usize = 4;
/// A judge's probability is clamped to at most this, and at least 1 minus this.
const MAX_CERTAINTY: f64 = 0.99;

impl Beliefs {
    /// What the deciding seat knows; `None` if nothing is hidden.
    ///
    /// # Errors
    /// Hidden roles that cannot be read, or whose number is not that of the seats.
    pub(super) fn of(context: &DecisionContext) -> Result<Option<Self>> {
        let Some(hidden) = context.turn.observation.data.get("hidden") else { return Ok(None) };
        let hidden = Hidden::deserialize(hidden).map_err(|error| {
            Error::malformed(format!(
                "`{}` describes its hidden roles in a malformed way ({error}); expected `roles` with `side` and \
                 `count`, and `possible`, a list of roles per seat",
                context.environment.name
            ))
        })?;
        let side = |role: &String| hidden.roles.get(role).map(|role| role.side.clone());
        let own = hidden.possible.get(context.seat).and_then(|roles| roles.first()).and_then(side);
        let known = hidden.possible.iter().flatten().all(|role| hidden.roles.contains_key(role));
        let seats = hidden.roles.values().map(|role| role.count).sum::<usize>();
        let Some(side) = own.filter(|_| known && seats == hidden.possible.len()) else {
            return Err(Error::malformed(format!(
                "the hidden roles of `{}` do not fit its seats: {} roles for {} seats",
                context.environment.name,
                seats,
                hidden.possible.len()
            )));
        };
        let odds = vec![0.0; seats];
        Ok(Some(Self { hidden, side, odds }))
    }

    /// This seat's side.
    pub(super) fn side(&self) -> &str {
        &self.side
    }

    /// Seats that may be on either side.
    pub(super) fn open(&self) -> Vec<usize> {
        let open = |roles: &Vec<String>| {
            let friends = roles.iter().filter(|role| self.friend(role)).count();
            friends > 0 && friends < roles.len()
        };
        (0..self.odds.len()).filter(|seat| open(&self.hidden.possible[*seat])).collect()
    }

    /// Moves the belief that `seat` is a friend by the log-odds of a judge's probability, times `trust`.
    pub(super) fn moved(&mut self, seat: usize, probability: f64, trust: f64) {
        let p = probability.clamp(1.0 - MAX_CERTAINTY, MAX_CERTAINTY);
        self.odds[seat] += trust * (p / (1.0 - p)).ln();
    }

    /// Marginal probability that each seat is a friend: the share of friends among the open seats, moved by the odds.
    pub(super) fn same_side(&self) -> Vec<f64> {
        let open = self.open();
        let sure =
            (0..self.odds.len()).filter(|seat| !open.contains(seat) && self.surely_friend(*seat)).count();
        let friends: usize =
            self.hidden.roles.iter().filter(|(role, _)| self.friend(role)).map(|(_, role)| role.count).sum();
        let share = friends.saturating_sub(sure) as f64 / open.len().max(1) as f64;
        let prior = (share / (1.0 - share)).ln();
        let belief = |seat: usize| match open.contains(&seat) {
            true => 1.0 / (1.0 + (-(prior + self.odds[seat])).exp()),
            false => f64::from(u8::from(self.surely_friend(seat))),
        };
        (0..self.odds.len()).map(belief).collect()
    }

    /// Roles in seat order, drawn in proportion to the odds among all possible seatings.
    ///
    /// # Errors
    /// If no seating is possible.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Result<Vec<String>> {
        let mut roles = self.any_seating(rng)?;
        let seats = roles.len();
        // Metropolis: a swap of two seats' roles is accepted with the ratio of the two seatings' weights.
        for _ in 0..SWEEPS * seats * seats {
            let (a, b) = (rng.random_range(0..seats), rng.random_range(0..seats));
            if !self.may(a, &roles[b]) || !self.may(b, &roles[a]) {
                continue;
            }
            let weight = |seat: usize, role: &str| if self.friend(role) { self.odds[seat] } else { 0.0 };
            let now = weight(a, &roles[a]) + weight(b, &roles[b]);
            let then = weight(a, &roles[b]) + weight(b, &roles[a]);
            if rng.random::<f64>() < (then - now).exp() {
                roles.swap(a, b);
            }
        }
        Ok(roles)
    }

    /// Whether the role is on this seat's side.
    pub(super) fn friend(&self, role: &str) -> bool {
        self.hidden.roles.get(role).is_some_and(|role| role.side == self.side)
    }

    fn surely_friend(&self, seat: usize) -> bool {
        self.hidden.possible[seat].iter().all(|role| self.friend(role))
    }

    fn may(&self, seat: usize, role: &str) -> bool {
        self.hidden.possible[seat].iter().any(|possible| possible == role)
    }

    /// A possible seating, by backtracking; seats with the fewest choices come first.
    fn any_seating(&self, rng: &mut ChaCha8Rng) -> Result<Vec<String>> {
        let mut order: Vec<usize> = (0..self.odds.len()).collect();
        order.shuffle(rng);
        order.sort_by_key(|seat| self.hidden.possible[*seat].len());
        let mut left: BTreeMap<&str, usize> =
            self.hidden.roles.iter().map(|(role, of)| (role.as_str(), of.count)).collect();
        let mut taken = vec![""; order.len()];
        if !self.sit(&order, &mut left, &mut taken, rng) {
            return Err(Error::malformed("no seating of the hidden roles is possible"));
        }
        Ok(taken.into_iter().map(String::from).collect())
    }

    fn sit<'a>(
        &'a self,
        order: &[usize],
        left: &mut BTreeMap<&'a str, usize>,
        taken: &mut [&'a str],
        rng: &mut ChaCha8Rng,
    ) -> bool {
        let Some((seat, rest)) = order.split_first() else { return true };
        let mut roles: Vec<&'a str> = self.hidden.possible[*seat].iter().map(String::as_str).collect();
        roles.shuffle(rng);
        for role in roles {
            if left.get(role).is_none_or(|count| *count == 0) {
                continue;
            }
            left.entry(role).and_modify(|count| *count -= 1);
            taken[*seat] = role;
            if self.sit(rest, left, taken, rng) {
                return true;
            }
            left.entry(role).and_modify(|count| *count += 1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use forethought_sdk::{seed, serde_json::json};

    use super::*;

    /// Player 0 of five, a servant who knows nobody.
    fn servant() -> Beliefs {
        let any = ["merlin", "servant", "minion", "assassin"];
        let data = json!({ "hidden": {
            "roles": {
                "merlin": { "side": "good", "count": 1 }, "servant": { "side": "good", "count": 2 },
                "minion": { "side": "evil", "count": 1 }, "assassin": { "side": "evil", "count": 1 },
            },
            "possible": [["servant"], any, any, any, any],
        }});
        let mut context = DecisionContext::default();
        context.turn.observation.data = data;
        Beliefs::of(&context).unwrap().unwrap()
    }

    fn shares(beliefs: &Beliefs) -> Vec<f64> {
        let mut rng = seed::stream(1, "draws");
        let mut friends = vec![0.0; 5];
        for _ in 0..4000 {
            let roles = beliefs.draw(&mut rng).unwrap();
            let mut sorted = roles.clone();
            sorted.sort();
            assert_eq!(sorted, ["assassin", "merlin", "minion", "servant", "servant"]);
            for (friend, role) in friends.iter_mut().zip(&roles) {
                *friend += f64::from(u8::from(beliefs.friend(role))) / 4000.0;
            }
        }
        friends
    }

    #[test]
    fn without_an_opinion_all_seatings_are_alike() {
        let beliefs = servant();
        assert_eq!(beliefs.open(), [1, 2, 3, 4]);
        assert_eq!(beliefs.same_side(), [1.0, 0.5, 0.5, 0.5, 0.5]);
        // Standard error 0.008.
        for (share, expected) in shares(&beliefs).into_iter().zip([1.0, 0.5, 0.5, 0.5, 0.5]) {
            assert!((share - expected).abs() < 0.04, "{share}");
        }
    }

    #[test]
    fn an_opinion_moves_the_draws_to_their_exact_weights() {
        let mut beliefs = servant();
        beliefs.moved(1, 0.8, 1.0); // Four to one that player 1 is good.
        // Two of four are good: 3 seatings with player 1, weight 4 each, and 3 without, weight 1 each: 12/15.
        let shares = shares(&beliefs);
        assert!((shares[1] - 0.8).abs() < 0.04, "{shares:?}");
        assert!((shares[2] - 0.4).abs() < 0.04, "{shares:?}");
        assert!((beliefs.same_side()[1] - 0.8).abs() < 1e-9);
    }

    #[test]
    fn roles_that_do_not_fit_are_an_error() {
        let mut context = DecisionContext::default();
        assert!(Beliefs::of(&context).unwrap().is_none());
        for hidden in [
            json!({ "roles": {}, "possible": [["x"]] }),
            json!({ "roles": { "x": { "side": "good", "count": 2 } }, "possible": [["x"]] }),
            json!(3),
        ] {
            context.turn.observation.data = json!({ "hidden": hidden });
            assert!(Beliefs::of(&context).is_err());
        }
        context.turn.observation.data = json!({ "hidden": {
            "roles": { "x": { "side": "a", "count": 1 }, "y": { "side": "b", "count": 1 } },
            "possible": [["x"], ["x"]],
        }});
        let impossible = Beliefs::of(&context).unwrap().unwrap();
        assert!(impossible.draw(&mut seed::stream(0, "x")).unwrap_err().message.contains("no seating"));
    }
}
