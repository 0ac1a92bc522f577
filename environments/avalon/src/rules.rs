//! The rules: sizes, phases and results, exactly as AvalonBench plays them. Pure and small: a game is copied as it is.
//!
//! Votes and quest cards arrive all at once. The table decides who is asked in which order, and what each seat sees.

use forethought_sdk::prelude::*;

use crate::role::Side;
use crate::seats::Seats;

/// Quests of a game.
pub const QUESTS: usize = 5;
/// Proposals for one quest.
pub const PROPOSALS: usize = 5;
/// Most seats at a table.
pub const MOST_PLAYERS: usize = 10;
/// Illegal answers in a row after which the default move is made for a seat.
pub const MAX_REFUSALS: u8 = 3;

/// What happens to the fifth proposal for a quest if the vote rejects it.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FifthRejection {
    /// The team goes on the quest in spite of the votes, as in AvalonBench.
    #[default]
    Passes,
    /// Evil wins, as at most tables.
    EvilWins,
}

/// Sizes for a number of players.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    players: u8,
    evil: u8,
    sizes: [u8; QUESTS],
    fails: [u8; QUESTS],
    fifth_rejection: FifthRejection,
}

impl Rules {
    /// The rules for 5 to 10 players; `None` for other numbers.
    pub const fn new(players: usize, fifth_rejection: FifthRejection) -> Option<Self> {
        let (evil, sizes) = match players {
            5 => (2, [2, 3, 2, 3, 3]),
            6 => (2, [2, 3, 4, 3, 4]),
            7 => (3, [2, 3, 3, 4, 4]),
            8 | 9 => (3, [3, 4, 4, 5, 5]),
            10 => (4, [3, 4, 4, 5, 5]),
            _ => return None,
        };
        let fails = if players < 7 { [1; QUESTS] } else { [1, 1, 1, 2, 1] };
        Some(Self { players: players as u8, evil, sizes, fails, fifth_rejection })
    }
    /// Number of seats.
    pub const fn players(&self) -> usize {
        self.players as usize
    }
    /// How many of them are evil.
    pub const fn evil(&self) -> usize {
        self.evil as usize
    }
    /// Team size of a quest, counted from 0.
    pub const fn team_size(&self, quest: usize) -> usize {
        self.sizes[quest] as usize
    }
    /// How many fail cards fail a quest, counted from 0.
    pub const fn fails_needed(&self, quest: usize) -> usize {
        self.fails[quest] as usize
    }
    /// What happens at a fifth rejection.
    pub const fn fifth_rejection(&self) -> FifthRejection {
        self.fifth_rejection
    }
}

/// What the game waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The leader's team.
    Proposal,
    /// Everybody's vote on it.
    Vote,
    /// The cards of its members.
    Quest,
    /// The Assassin's word.
    Assassination,
    /// Nothing more.
    Over(Outcome),
}

/// How a game ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(crate = "forethought_sdk::serde", rename_all = "snake_case")]
pub enum Outcome {
    /// Three quests succeeded, and the Assassin missed Merlin.
    Good,
    /// Three quests succeeded, and the Assassin found Merlin.
    Assassination,
    /// Three quests failed.
    Missions,
    /// Five proposals in a row were rejected, where that loses.
    Rejections,
}

impl Outcome {
    /// Who won.
    pub const fn winner(self) -> Side {
        match self {
            Self::Good => Side::Good,
            Self::Assassination | Self::Missions | Self::Rejections => Side::Evil,
        }
    }
}

/// A quest that has been played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quest {
    /// Who went.
    pub team: Seats,
    /// Fail cards among theirs.
    pub fails: u8,
    /// Whether it succeeded.
    pub success: bool,
}

/// Why the rules forbid a move, as a sentence to the player who made it.
pub type Illegal = String;

/// The state of a game, except for who holds which role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Game {
    rules: Rules,
    merlin: u8,
    leader: u8,
    proposer: u8,
    /// Rejected proposals for the current quest.
    rejected: u8,
    done: u8,
    quests: [Quest; QUESTS],
    team: Seats,
    phase: Phase,
}

impl Game {
    /// A game at its beginning: `merlin` is Merlin's seat, `leader` proposes first.
    pub fn new(rules: Rules, merlin: usize, leader: usize) -> Self {
        Self {
            rules,
            merlin: merlin as u8,
            leader: leader as u8,
            proposer: leader as u8,
            rejected: 0,
            done: 0,
            quests: [Quest::default(); QUESTS],
            team: Seats::NONE,
            phase: Phase::Proposal,
        }
    }
    /// The rules it is played by.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }
    /// What it waits for.
    pub const fn phase(&self) -> Phase {
        self.phase
    }
    /// Who proposes the next team. It moves on with every proposal, before the vote.
    pub const fn leader(&self) -> usize {
        self.leader as usize
    }
    /// Who leads the current proposal: the player who made it, or will make it.
    pub const fn proposer(&self) -> usize {
        self.proposer as usize
    }
    /// The team voted on or on its quest; nobody before it is proposed.
    pub const fn team(&self) -> Seats {
        self.team
    }
    /// The current proposal for this quest, counted from 0.
    pub const fn proposal(&self) -> usize {
        self.rejected as usize
    }
    /// The current quest, counted from 0; the last one after the end.
    pub fn quest(&self) -> usize {
        (self.done as usize).min(QUESTS - 1)
    }
    /// The quests that have been played.
    pub fn quests(&self) -> &[Quest] {
        &self.quests[..self.done as usize]
    }
    /// Team size of the current quest.
    pub fn team_size(&self) -> usize {
        self.rules.team_size(self.quest())
    }
    /// Fail cards that fail the current quest.
    pub fn fails_needed(&self) -> usize {
        self.rules.fails_needed(self.quest())
    }
    /// Successful quests so far.
    pub fn successes(&self) -> usize {
        self.quests().iter().filter(|quest| quest.success).count()
    }

    /// The leader proposes a team.
    ///
    /// # Errors
    /// A wrong size, an unknown seat, a wrong phase.
    pub fn propose(&mut self, team: Seats) -> Result<(), Illegal> {
        self.wants(Phase::Proposal)?;
        if !team.within(Seats::all(self.rules.players())) {
            return Err(format!("Players are numbered 0 to {}.", self.rules.players() - 1));
        }
        if team.len() != self.team_size() {
            return Err(format!(
                "This quest needs a team of {}, and you named {}.",
                self.team_size(),
                team.len()
            ));
        }
        self.team = team;
        self.proposer = self.leader;
        self.leader = (self.leader + 1) % self.rules.players;
        self.phase = Phase::Vote;
        Ok(())
    }

    /// Everybody votes; returns whether the team goes on its quest.
    ///
    /// # Errors
    /// A wrong phase.
    pub fn vote(&mut self, approvals: Seats) -> Result<bool, Illegal> {
        self.wants(Phase::Vote)?;
        let majority = approvals.len() * 2 > self.rules.players();
        let fifth = self.proposal() + 1 == PROPOSALS;
        if majority || fifth && self.rules.fifth_rejection == FifthRejection::Passes {
            self.phase = Phase::Quest;
            return Ok(true);
        }
        if fifth {
            self.phase = Phase::Over(Outcome::Rejections);
        } else {
            self.rejected += 1;
            self.next_proposal();
        }
        Ok(false)
    }

    /// The members play their cards, of which `fails` are fails. Good members are not forced to pass.
    ///
    /// # Errors
    /// A wrong phase, or a card of a player who is not on the team.
    pub fn go(&mut self, fails: Seats) -> Result<Quest, Illegal> {
        self.wants(Phase::Quest)?;
        if !fails.within(self.team) {
            return Err(format!("Only the team {} plays cards.", self.team));
        }
        let success = fails.len() < self.fails_needed();
        let quest = Quest { team: self.team, fails: fails.len() as u8, success };
        self.quests[self.done as usize] = quest;
        self.done += 1;
        self.rejected = 0;
        let successes = self.successes();
        if successes == 3 {
            self.phase = Phase::Assassination;
        } else if self.done as usize - successes == 3 {
            self.phase = Phase::Over(Outcome::Missions);
        } else {
            self.next_proposal();
        }
        Ok(quest)
    }

    /// The Assassin names one seat.
    ///
    /// # Errors
    /// An unknown seat, a wrong phase.
    pub fn assassinate(&mut self, target: usize) -> Result<Outcome, Illegal> {
        self.wants(Phase::Assassination)?;
        if target >= self.rules.players() {
            return Err(format!("Players are numbered 0 to {}.", self.rules.players() - 1));
        }
        let found = target == self.merlin as usize;
        let outcome = if found { Outcome::Assassination } else { Outcome::Good };
        self.phase = Phase::Over(outcome);
        Ok(outcome)
    }

    /// The same state of a game in which another seat is Merlin.
    pub fn with_merlin(mut self, merlin: usize) -> Self {
        self.merlin = merlin as u8;
        self
    }

    fn next_proposal(&mut self) {
        self.phase = Phase::Proposal;
        self.proposer = self.leader;
        self.team = Seats::NONE;
    }

    fn wants(&self, phase: Phase) -> Result<(), Illegal> {
        if self.phase == phase {
            return Ok(());
        }
        Err(match self.phase {
            Phase::Proposal => "A team is to be proposed now.",
            Phase::Vote => "The team is voted on now.",
            Phase::Quest => "The team plays its cards now.",
            Phase::Assassination => "The Assassin names somebody now.",
            Phase::Over(_) => "The game is over.",
        }
        .into())
    }
}
