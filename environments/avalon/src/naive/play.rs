//! Whole games of naive bots on the bare rules, without a word of text.

use forethought_sdk::seed::{Rng, RngExt, SliceRandom};

use crate::knowledge::Knowledge;
use crate::naive::mind::Mind;
use crate::naive::planner::Assassin;
use crate::naive::witness::Witness;
use crate::role::Role;
use crate::rules::{Game, Outcome, Phase, Rules};
use crate::seats::Seats;

/// A game and the bots that play it.
#[derive(Debug, Clone)]
pub struct Bots {
    game: Game,
    minds: Vec<Mind>,
    assassin: usize,
    /// What an observant Assassin has seen.
    witness: Option<Witness>,
}

impl Bots {
    /// A table where roles are dealt as in `deal` and `leader` proposes first.
    pub fn new(rules: Rules, deal: &[Role], leader: usize, assassin: Assassin) -> Self {
        let holder = |role| deal.iter().position(|held| *held == role).unwrap_or_default();
        let minds: Vec<Mind> =
            (0..deal.len()).map(|seat| Mind::new(rules, Knowledge::new(deal, seat))).collect();
        let witness = Witness::new(minds[holder(Role::Assassin)].knowledge().evil);
        Self {
            game: Game::new(rules, holder(Role::Merlin), leader),
            minds,
            assassin: holder(Role::Assassin),
            witness: (assassin == Assassin::Observant).then_some(witness),
        }
    }

    /// A table of `roles`, dealt at random, with a random leader.
    pub fn dealt(rules: Rules, roles: &[Role], assassin: Assassin, random: &mut impl Rng) -> Self {
        let mut deal = roles.to_vec();
        deal.shuffle(random);
        Self::new(rules, &deal, random.random_range(0..deal.len()), assassin)
    }

    /// The game so far.
    pub fn game(&self) -> &Game {
        &self.game
    }
    /// The bots, in the order of seats.
    pub fn minds(&self) -> &[Mind] {
        &self.minds
    }

    /// All seats that are asked now act. Returns the outcome once there is one.
    pub fn advance(&mut self, random: &mut impl Rng) -> Option<Outcome> {
        let illegal = "naive bots keep to the rules";
        match self.game.phase() {
            Phase::Proposal => {
                let leader = self.game.leader();
                let team = self.minds[leader].propose(random);
                self.game.propose(team).expect(illegal);
                if let Some(witness) = &mut self.witness {
                    witness.proposed(leader, team);
                }
            }
            Phase::Vote => {
                let team = self.game.team();
                let approvals =
                    (0..self.minds.len()).filter(|&seat| self.minds[seat].approves(team)).collect();
                self.game.vote(approvals).expect(illegal);
                if let Some(witness) = &mut self.witness {
                    witness.voted(self.minds.len(), team, approvals);
                }
            }
            Phase::Quest => {
                let team = self.game.team();
                let fails: Seats = team.iter().filter(|&seat| !self.minds[seat].passes(team)).collect();
                let quest = self.game.go(fails).expect(illegal);
                self.minds.iter_mut().for_each(|mind| mind.learn(&quest));
            }
            Phase::Assassination => {
                let target = self.minds[self.assassin].assassinate(self.witness.as_ref(), random);
                self.game.assassinate(target).expect(illegal);
            }
            Phase::Over(outcome) => return Some(outcome),
        }
        None
    }

    /// Plays to the end.
    pub fn play(&mut self, random: &mut impl Rng) -> Outcome {
        loop {
            if let Some(outcome) = self.advance(random) {
                return outcome;
            }
        }
    }
}
