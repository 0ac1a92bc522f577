//! One naive bot: what it believes, and what it does.
//!
//! AvalonBench has bots for Merlin, Servants, Minions and the Assassin. Here a good bot that knows everybody's side
//! plays as its Merlin, any other good bot as its Servant, over the sides that its own knowledge leaves possible; an
//! evil bot plays as its Minion or Assassin, and takes those for good whom it does not know to be evil.

use std::borrow::Cow;
use std::sync::LazyLock;

use forethought_sdk::seed::{Rng, RngExt};

use crate::knowledge::Knowledge;
use crate::naive::teams::{TeamSet, Teams};
use crate::naive::witness::Witness;
use crate::role::{Role, Side};
use crate::rules::{FifthRejection, MOST_PLAYERS, QUESTS, Quest, Rules};
use crate::seats::Seats;

/// The sets that are possible for a Servant, by number of players and seat: the same in every game.
static SERVANTS: LazyLock<Vec<Vec<Vec<Seats>>>> = LazyLock::new(|| {
    let sides = |players: usize, seat: usize| {
        let rules = Rules::new(players, FifthRejection::Passes)?;
        let (evil, good, pair) = (Seats::NONE, Seats::one(seat), Seats::NONE);
        Some(Knowledge { seat, role: Role::Servant, evil, good, pair }.evil_sets(&rules))
    };
    let table = |players| (0..players).filter_map(|seat| sides(players, seat)).collect();
    (0..=MOST_PLAYERS).map(table).collect()
});

/// What a bot believes and remembers. It follows a game by [`Mind::learn`], one quest after the other.
#[derive(Debug, Clone)]
pub struct Mind {
    rules: Rules,
    knowledge: Knowledge,
    /// Sets of seats that may be evil, in AvalonBench's order; only one for a bot that knows all sides.
    sides: Cow<'static, [Seats]>,
    /// Their probabilities.
    probabilities: Vec<f64>,
    /// The largest team that went without a fail, the earliest of its size.
    remembered: Seats,
    /// Quests that have succeeded and failed.
    done: [usize; 2],
    /// What a Servant approves of for the current quest.
    preferred: TeamSet,
}

impl Mind {
    /// A bot with this knowledge, before the first quest.
    pub fn new(rules: Rules, knowledge: Knowledge) -> Self {
        let own = Seats::one(knowledge.seat);
        let sides = if knowledge.good == own && (knowledge.evil | knowledge.pair).is_empty() {
            Cow::Borrowed(&*SERVANTS[rules.players()][knowledge.seat])
        } else {
            Cow::Owned(knowledge.evil_sets(&rules))
        };
        let probabilities = vec![1.0 / sides.len() as f64; sides.len()];
        let (remembered, done, preferred) = Default::default();
        let mut mind = Self { rules, knowledge, sides, probabilities, remembered, done, preferred };
        mind.prefer();
        mind
    }

    fn side(&self) -> Side {
        self.knowledge.role.side()
    }
    /// Whether it chooses by beliefs, as a Servant does.
    fn believes(&self) -> bool {
        self.side() == Side::Good && self.sides.len() > 1
    }
    fn quest(&self) -> usize {
        self.done[0] + self.done[1]
    }
    fn teams(&self) -> &'static Teams {
        Teams::of(self.rules.players(), self.rules.team_size(self.quest()))
    }
    fn known_evil(&self, team: Seats) -> usize {
        (team & self.knowledge.evil).len()
    }

    /// Learns the outcome of a quest.
    pub fn learn(&mut self, quest: &Quest) {
        self.done[usize::from(!quest.success)] += 1;
        if !self.believes() {
            return;
        }
        if quest.fails == 0 && quest.team.len() > self.remembered.len() {
            self.remembered = quest.team;
        }
        for (probability, evil) in self.probabilities.iter_mut().zip(&*self.sides) {
            if (*evil & quest.team).len() < quest.fails.into() {
                *probability = 0.0;
            }
        }
        let total: f64 = self.probabilities.iter().sum();
        for probability in &mut self.probabilities {
            // Upstream's fallback, right for a Servant of five with two sides known only; kept as it is.
            *probability = if total > 0.0 { *probability / total } else { 0.25 };
        }
        self.prefer();
    }

    fn prefer(&mut self) {
        let over = self.done.contains(&3);
        if self.believes() && !over && self.quest() < QUESTS {
            self.preferred = self.teams().preferred(
                self.rules.players(),
                &self.sides,
                &self.probabilities,
                self.remembered,
            );
        }
    }

    /// How likely each seat is to be good: 1 and 0 for known sides; for the rest, a half if the bot is evil or knows
    /// all sides, and the marginals of what it believes if not.
    pub fn beliefs(&self) -> Vec<f64> {
        (0..self.rules.players())
            .map(|seat| {
                if self.believes() {
                    let good = |(_, evil): &(&f64, &Seats)| !evil.contains(seat);
                    self.probabilities.iter().zip(&*self.sides).filter(good).map(|(p, _)| p).sum()
                } else if self.knowledge.evil.contains(seat) {
                    0.0
                } else if self.knowledge.good.contains(seat) {
                    1.0
                } else {
                    0.5
                }
            })
            .collect()
    }
    /// Those who are at least as likely good as evil.
    pub fn good(&self) -> Seats {
        let beliefs = self.beliefs();
        (0..beliefs.len()).filter(|&seat| beliefs[seat] >= 0.5).collect()
    }

    /// A team, as the leader.
    pub fn propose(&self, random: &mut impl Rng) -> Seats {
        if self.believes() {
            let nth = random.random_range(0..self.preferred.len());
            return self
                .teams()
                .list(&self.preferred)
                .nth(nth)
                .expect("a set has as many teams as it counts");
        }
        let size = self.rules.team_size(self.quest());
        let (own, evil) = (Seats::one(self.knowledge.seat), self.knowledge.evil);
        let mut team = own;
        if self.side() == Side::Evil {
            team = team | (evil - own).sample(self.rules.fails_needed(self.quest()) - 1, random);
        }
        let others = Seats::all(self.rules.players()) - evil - own;
        team | others.sample(size - team.len(), random)
    }

    /// Whether [`Mind::propose`] may give this team.
    pub fn may_propose(&self, team: Seats) -> bool {
        if self.believes() {
            return self.approves(team);
        }
        let wanted = match self.side() {
            Side::Good => 0,
            Side::Evil => self.rules.fails_needed(self.quest()).min(self.knowledge.evil.len()),
        };
        team.len() == self.rules.team_size(self.quest())
            && team.contains(self.knowledge.seat)
            && self.known_evil(team) == wanted
    }

    /// Its vote on a team.
    pub fn approves(&self, team: Seats) -> bool {
        match self.side() {
            Side::Good if self.believes() => self.teams().contains(&self.preferred, team),
            Side::Good => self.known_evil(team) == 0,
            Side::Evil => self.known_evil(team) >= self.rules.fails_needed(self.quest()),
        }
    }

    /// Whether its card for the quest of a team is a pass.
    pub fn passes(&self, team: Seats) -> bool {
        let (evil, needed) = (self.known_evil(team), self.rules.fails_needed(self.quest()));
        match self.knowledge.role {
            _ if self.side() == Side::Good || evil < needed => true,
            Role::Assassin => false,
            // One fail is enough: the other evil player is the Assassin, who plays it.
            _ => evil > needed && self.rules.evil() == 2 && needed == 1,
        }
    }

    /// Whom it names as the Assassin: anyone who may be Merlin, or the one who knew too much for the witness.
    pub fn assassinate(&self, witness: Option<&Witness>, random: &mut impl Rng) -> usize {
        let suspects = self.suspects();
        let target = match witness {
            Some(witness) => witness.merlin(suspects, random),
            None => suspects.choose(random),
        };
        target.expect("there are more players than evil ones")
    }
    /// Those who may be Merlin, as far as the Assassin knows.
    pub fn suspects(&self) -> Seats {
        Seats::all(self.rules.players()) - self.knowledge.evil
    }
    /// What it knew from the start.
    pub fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }
}
