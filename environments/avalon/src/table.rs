//! The table: a game, the roles, the talk, and who is asked for what, one seat after the other.
//!
//! Votes and cards are collected face down: nobody knows any of them before the last one is in.

use std::sync::Arc;

use forethought_sdk::prelude::*;
use forethought_sdk::seed::{Rng, RngExt, SliceRandom};

use crate::grammar::{self, Ask, Move};
use crate::knowledge::{Knowledge, explains};
use crate::role::{Role, Roles, Side};
use crate::rules::{
    FifthRejection, Game, Illegal, MAX_REFUSALS, MOST_PLAYERS, Outcome, PROPOSALS, Phase, QUESTS, Quest,
    Rules,
};
use crate::seats::Seats;

/// What is fixed before the roles are dealt, and known to all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    rules: Rules,
    roles: Vec<Role>,
    discussion: bool,
    deduction: bool,
}

impl Setup {
    /// A table for these roles, one per seat, in any order; with `discussion`, everybody speaks before each proposal.
    ///
    /// # Errors
    /// Roles that do not make a game.
    pub fn new(mut roles: Vec<Role>, fifth_rejection: FifthRejection, discussion: bool) -> Result<Self> {
        let Some(rules) = Rules::new(roles.len(), fifth_rejection) else {
            return Err(Error::input(format!("Avalon is for 5 to 10 players, not for {}", roles.len())));
        };
        let evil = roles.iter().filter(|role| role.side() == Side::Evil).count();
        if evil != rules.evil() {
            return Err(Error::input(format!(
                "{evil} of {} roles are evil; with so many players it must be {}",
                roles.len(),
                rules.evil()
            )));
        }
        for role in Role::ALL {
            let count = roles.iter().filter(|held| **held == role).count();
            let fits = match role {
                Role::Merlin | Role::Assassin => count == 1,
                Role::Servant | Role::Minion => true,
                _ => count < 2,
            };
            if !fits {
                return Err(Error::input(format!(
                    "{count} players hold the role {}; a game has one Merlin, one Assassin, and at most one of each \
                     other role but Servant and Minion",
                    role.word()
                )));
            }
        }
        roles.sort_unstable();
        Ok(Self { rules, roles, discussion, deduction: false })
    }
    /// The same table, where seat 0 says who is good once the quests are decided.
    pub fn with_deduction(self, deduction: bool) -> Self {
        Self { deduction, ..self }
    }
    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
    /// The roles in play, in the order of their ids.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }
    /// Whether everybody speaks before each proposal.
    pub fn discussion(&self) -> bool {
        self.discussion
    }
    /// Whether seat 0 says who is good.
    pub fn deduction(&self) -> bool {
        self.deduction
    }
    /// Number of seats.
    pub fn players(&self) -> usize {
        self.roles.len()
    }
    /// The most requests to seats in one game, refused answers included.
    pub fn most_steps(&self) -> u32 {
        let n = self.players() as u32;
        let cards: u32 = (0..QUESTS).map(|quest| self.rules.team_size(quest) as u32).sum();
        let talk = if self.discussion { n } else { 0 };
        let proposals = (QUESTS * PROPOSALS) as u32;
        (proposals * (talk + 1 + n) + cards + 2) * u32::from(MAX_REFUSALS)
    }
}

/// Something that everybody at the table saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A statement.
    Said {
        /// By whom.
        seat: usize,
        /// In one line.
        text: Arc<str>,
    },
    /// A team was proposed.
    Proposed {
        /// By whom.
        leader: usize,
        /// The team.
        team: Seats,
    },
    /// The votes on it were shown.
    Voted {
        /// The team.
        team: Seats,
        /// Who approved of it.
        approvals: Seats,
        /// Whether it goes on the quest.
        approved: bool,
    },
    /// A quest was played.
    Went {
        /// Which, counted from 0.
        number: usize,
        /// The result.
        quest: Quest,
    },
    /// The Assassin named somebody.
    Named {
        /// The Assassin.
        assassin: usize,
        /// Who was named.
        target: usize,
    },
}

/// A game as it is played by seats. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Table {
    setup: Arc<Setup>,
    deal: [Role; MOST_PLAYERS],
    game: Game,
    /// How many have spoken before this proposal, or cast their vote or card.
    asked: u8,
    /// Votes for the team, or fails on the quest, cast so far.
    cast: Seats,
    /// Whom seat 0 took to be good, once it has said so.
    believed: Option<Seats>,
    log: Vec<Event>,
    /// How much of the log each seat had seen when it last acted.
    told: [u16; MOST_PLAYERS],
    /// The seat that acts, or, after the end, acted last.
    seat: u8,
    /// Illegal answers of the asked seat in a row.
    refusals: u8,
    /// Why the last answer of the asked seat was refused.
    notice: Option<Illegal>,
}

impl Table {
    /// A game at its beginning, with the roles in the order of seats.
    ///
    /// # Errors
    /// Roles that are not the setup's, or a leader who does not sit here.
    pub fn new(setup: Arc<Setup>, roles: &[Role], first_leader: usize) -> Result<Self> {
        let mut sorted = roles.to_vec();
        sorted.sort_unstable();
        if sorted != setup.roles {
            return Err(Error::input(format!(
                "the roles in play are {:?}, but {roles:?} were dealt",
                setup.roles
            )));
        }
        if first_leader >= roles.len() {
            return Err(Error::input(format!(
                "player {first_leader} cannot lead: players are 0 to {}",
                roles.len() - 1
            )));
        }
        let merlin = roles.iter().position(|role| *role == Role::Merlin).unwrap_or_default();
        let mut deal = [Role::Servant; MOST_PLAYERS];
        deal[..roles.len()].copy_from_slice(roles);
        let mut table = Self {
            game: Game::new(setup.rules, merlin, first_leader),
            setup,
            deal,
            asked: 0,
            cast: Seats::NONE,
            believed: None,
            log: Vec::new(),
            told: [0; MOST_PLAYERS],
            seat: 0,
            refusals: 0,
            notice: None,
        };
        table.pass_on();
        Ok(table)
    }

    /// What all know from the start.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }
    /// The game without its seats.
    pub fn game(&self) -> &Game {
        &self.game
    }
    /// Who holds which role, in the order of seats. Hidden from every seat.
    pub fn deal(&self) -> &[Role] {
        &self.deal[..self.setup.players()]
    }
    /// All that happened in public.
    pub fn log(&self) -> &[Event] {
        &self.log
    }
    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.game.phase() {
            Phase::Over(outcome) if self.ask().is_none() => Some(outcome),
            _ => None,
        }
    }
    /// Whom seat 0 took to be good, if it was asked.
    pub fn believed(&self) -> Option<Seats> {
        self.believed
    }
    /// The seat that is to act; after the end, the one that acted last.
    pub fn seat(&self) -> usize {
        self.seat.into()
    }
    /// What the seat that is to act is asked for; `None` after the end.
    pub fn ask(&self) -> Option<Ask> {
        Some(match self.game.phase() {
            Phase::Proposal if self.talks() => Ask::Say,
            Phase::Proposal => Ask::Propose,
            Phase::Vote => Ask::Vote,
            Phase::Quest => Ask::Quest,
            // Before any role is shown: the Assassin's word would show one.
            Phase::Assassination | Phase::Over(Outcome::Missions | Outcome::Rejections)
                if self.setup.deduction && self.believed.is_none() =>
            {
                Ask::Deduce
            }
            Phase::Assassination => Ask::Assassinate,
            Phase::Over(_) => return None,
        })
    }
    /// Why the last answer of the asked seat was refused, if it was.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }
    /// What one seat knows of the roles.
    pub fn knowledge(&self, seat: usize) -> Knowledge {
        Knowledge::new(self.deal(), seat)
    }
    /// What happened since `seat` last acted. A seat that is asked for others' roles is shown all of it again.
    pub fn news(&self, seat: usize) -> &[Event] {
        let recalls = matches!(self.ask(), Some(Ask::Assassinate | Ask::Deduce)) && seat == self.seat();
        &self.log[if recalls { 0 } else { usize::from(self.told[seat]) }..]
    }

    /// Every legal move of the asked seat; empty when it speaks or says what it believes, which cannot well be listed.
    pub fn legal_moves(&self) -> Vec<Move> {
        match self.ask() {
            None | Some(Ask::Say | Ask::Deduce) => Vec::new(),
            Some(Ask::Propose) => {
                let teams = Seats::combinations(self.setup.players(), self.game.team_size());
                teams.into_iter().map(Move::Propose).collect()
            }
            Some(Ask::Vote) => vec![Move::Vote(true), Move::Vote(false)],
            Some(Ask::Quest) => vec![Move::Quest(true), Move::Quest(false)],
            Some(Ask::Assassinate) => (0..self.setup.players()).map(Move::Assassinate).collect(),
        }
    }

    /// Reads an answer of the asked seat and makes the move, or notes why it is illegal. After [`MAX_REFUSALS`] illegal
    /// answers in a row, the default move is made. Nothing happens after the end. Returns whether the answer was legal.
    pub fn answer(&mut self, text: &str) -> bool {
        let Some(ask) = self.ask() else { return true };
        let Err(notice) = grammar::read(text, ask, self.setup.players()).and_then(|made| self.act(&made))
        else {
            return true;
        };
        self.refusals += 1;
        if self.refusals < MAX_REFUSALS {
            self.notice = Some(notice);
        } else if let Some(made) = self.default_move() {
            self.act(&made).expect("the default move is legal");
        }
        false
    }

    /// The move for a seat whose answers are not understood: the leader takes itself and the seats after it; the vote
    /// does not count for the team; the card is a pass; nothing is said; the Assassin names the first seat that is not
    /// known to be evil; all are believed to be good. `None` after the end.
    pub fn default_move(&self) -> Option<Move> {
        let (seat, players) = (self.seat(), self.setup.players());
        Some(match self.ask()? {
            Ask::Say => Move::Say(String::new()),
            Ask::Propose => {
                Move::Propose((0..self.game.team_size()).map(|step| (seat + step) % players).collect())
            }
            Ask::Vote => Move::Vote(false),
            Ask::Quest => Move::Quest(true),
            Ask::Assassinate => {
                let others = Seats::all(players) - self.knowledge(seat).evil;
                Move::Assassinate(others.iter().next().unwrap_or_default())
            }
            Ask::Deduce => Move::Believe(Seats::all(players)),
        })
    }

    /// The asked seat moves.
    ///
    /// # Errors
    /// Why the move is illegal; then nothing has changed.
    pub fn act(&mut self, made: &Move) -> Result<(), Illegal> {
        let (seat, shown) = (self.seat(), self.log.len());
        match (self.ask(), made) {
            (Some(Ask::Say), Move::Say(text)) => {
                self.asked += 1;
                self.speak(seat, text);
            }
            (Some(Ask::Propose), Move::Propose(team)) => {
                self.game.propose(*team)?;
                self.log.push(Event::Proposed { leader: seat, team: *team });
                self.asked = 0;
            }
            (Some(Ask::Vote), Move::Vote(approve)) => {
                self.cast(*approve, seat);
                if usize::from(self.asked) == self.setup.players() {
                    let (team, approvals) = (self.game.team(), self.collect());
                    let approved = self.game.vote(approvals)?;
                    self.log.push(Event::Voted { team, approvals, approved });
                }
            }
            (Some(Ask::Quest), Move::Quest(pass)) => {
                self.cast(!pass, seat);
                if usize::from(self.asked) == self.game.team().len() {
                    let (number, fails) = (self.game.quest(), self.collect());
                    let quest = self.game.go(fails)?;
                    self.log.push(Event::Went { number, quest });
                }
            }
            (Some(Ask::Assassinate), Move::Assassinate(target)) => {
                self.game.assassinate(*target)?;
                self.log.push(Event::Named { assassin: seat, target: *target });
            }
            (Some(Ask::Deduce), Move::Believe(good)) => self.believed = Some(*good),
            (None, _) => return Err("The game is over.".into()),
            (Some(_), _) => return Err("That is not what you are asked for.".into()),
        }
        self.told[seat] = shown as u16;
        self.pass_on();
        Ok(())
    }

    /// A statement to all outside the order of turns, for recorded games with free talk. An empty one is silence.
    pub fn speak(&mut self, seat: usize, text: &str) {
        let text = grammar::one_line(text);
        if !text.is_empty() {
            self.log.push(Event::Said { seat, text: text.into() });
        }
    }

    /// The game as `seat` may imagine it (a determinisation): with the roles `deal`, or with roles drawn from all that
    /// are possible for it; votes and cards that others have cast in secret are drawn again.
    ///
    /// Only evil members are assumed to fail quests. If no deal explains the quests so, because a good player has
    /// failed one, the quests are ignored.
    ///
    /// # Errors
    /// Roles that contradict what the seat knows, or the quests.
    pub fn imagine(&self, seat: usize, deal: Option<&[Role]>, random: &mut impl Rng) -> Result<Self> {
        let mut copy = self.clone();
        if self.seat() != seat {
            (copy.refusals, copy.notice) = (0, None);
        }
        if self.ask().is_none() {
            return match deal {
                Some(deal) if deal != self.deal() => {
                    Err(Error::input("the game is over, and the roles are known to be different"))
                }
                _ => Ok(copy),
            };
        }
        let knowledge = self.knowledge(seat);
        let mut sides = knowledge.evil_sets(&self.setup.rules);
        if sides.iter().any(|evil| explains(*evil, self.game.quests())) {
            sides.retain(|evil| explains(*evil, self.game.quests()));
        }
        let deal = match deal {
            Some(deal) => {
                self.admits(deal, &knowledge, &sides)?;
                deal.to_vec()
            }
            None => draw(&self.setup.roles, &knowledge, &sides, random),
        };
        copy.deal[..deal.len()].copy_from_slice(&deal);
        let holder = |role| deal.iter().position(|held| *held == role).unwrap_or_default();
        copy.game = self.game.with_merlin(holder(Role::Merlin));
        match self.ask() {
            Some(Ask::Vote) => {
                let others = Seats::all(self.asked.into()) - Seats::one(seat);
                copy.cast = (self.cast - others) | others.iter().filter(|_| random.random()).collect();
            }
            Some(Ask::Quest) => {
                let played: Seats = self.game.team().iter().take(self.asked.into()).collect();
                let others = played - Seats::one(seat);
                let evil = others.iter().filter(|&other| deal[other].side() == Side::Evil);
                copy.cast = (self.cast - others) | evil.filter(|_| random.random()).collect();
            }
            Some(Ask::Assassinate) => copy.seat = holder(Role::Assassin) as u8,
            _ => {}
        }
        Ok(copy)
    }

    /// Whether the roles of others may be these.
    fn admits(&self, deal: &[Role], knowledge: &Knowledge, sides: &[Seats]) -> Result<()> {
        let mut sorted = deal.to_vec();
        sorted.sort_unstable();
        if sorted != self.setup.roles {
            return Err(Error::input(format!(
                "the roles in play are {:?}, in any order; these are {deal:?}",
                self.setup.roles
            )));
        }
        let possible = knowledge.possible(&self.setup.roles);
        if !fits(deal, &possible) {
            return Err(Error::input(format!("the seat knows that roles cannot be {deal:?}")));
        }
        if !sides.contains(&evil(deal)) {
            return Err(Error::input(format!("quests had more fails than {deal:?} explains")));
        }
        Ok(())
    }

    fn talks(&self) -> bool {
        self.setup.discussion && usize::from(self.asked) < self.setup.players()
    }

    /// Takes in a vote or card, face down.
    fn cast(&mut self, counts: bool, seat: usize) {
        self.asked += 1;
        if counts {
            self.cast = self.cast | Seats::one(seat);
        }
    }

    /// The votes or cards that were cast.
    fn collect(&mut self) -> Seats {
        self.asked = 0;
        std::mem::take(&mut self.cast)
    }

    /// Passes the turn to the seat that acts next.
    fn pass_on(&mut self) {
        (self.refusals, self.notice) = (0, None);
        let asked = usize::from(self.asked);
        let seat = match self.ask() {
            Some(Ask::Say) => (self.game.leader() + asked) % self.setup.players(),
            Some(Ask::Propose) => self.game.leader(),
            Some(Ask::Vote) => asked,
            Some(Ask::Quest) => self.game.team().iter().nth(asked).unwrap_or_default(),
            Some(Ask::Assassinate) => {
                self.deal().iter().position(|role| *role == Role::Assassin).unwrap_or_default()
            }
            Some(Ask::Deduce) => 0,
            None => return,
        };
        self.seat = seat as u8;
    }
}

/// The evil seats of a deal.
pub fn evil(deal: &[Role]) -> Seats {
    (0..deal.len()).filter(|&seat| deal[seat].side() == Side::Evil).collect()
}

/// Whether every seat holds one of the roles that are possible for it.
fn fits(deal: &[Role], possible: &[Roles]) -> bool {
    deal.iter().zip(possible).all(|(role, possible)| possible.contains(*role))
}

/// Roles drawn uniformly from those that agree with `knowledge` and one of `sides`.
///
/// Every set of evil seats leaves equally many ways to deal the roles among them, so the set is drawn first.
fn draw(roles: &[Role], knowledge: &Knowledge, sides: &[Seats], random: &mut impl Rng) -> Vec<Role> {
    let (evil, possible) = (sides[random.random_range(0..sides.len())], knowledge.possible(roles));
    let (mut wicked, mut just): (Vec<Role>, Vec<Role>) =
        roles.iter().partition(|role| role.side() == Side::Evil);
    loop {
        wicked.shuffle(random);
        just.shuffle(random);
        let (mut wicked, mut just) = (wicked.iter(), just.iter());
        let deal: Vec<Role> = (0..roles.len())
            .filter_map(|seat| if evil.contains(seat) { wicked.next() } else { just.next() }.copied())
            .collect();
        if fits(&deal, &possible) {
            return deal;
        }
    }
}
