//! What a reader of the text knows: who it is, how the quests went, what is asked, and what was said and voted.
//!
//! Everything here is read from the observations' lines in a prompt. There is no other source.

use crate::grammar::Ask;
use crate::naive::speech::opinions;
use crate::role::{Role, Side};
use crate::rules::Outcome;
use crate::seats::Seats;

/// A reader's understanding of an episode's text.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Number of seats.
    pub players: usize,
    /// The reader's own seat.
    pub me: usize,
    /// Its role.
    pub role: Role,
    /// Others whom it knows to be evil.
    pub evil: Seats,
    /// Seats of which Merlin is one, as Percival knows.
    pub merlins: Seats,
    /// Quests played, in order.
    pub quests: Vec<Past>,
    /// Size of the next team.
    pub size: usize,
    /// The current proposal for the quest, counted from 1.
    pub proposal: usize,
    /// The team on the table.
    pub team: Seats,
    /// What the reader is asked for.
    pub ask: Option<Ask>,
    /// Who said what, in order.
    pub said: Vec<(usize, String)>,
    /// Teams voted on, in order.
    pub ballots: Vec<Ballot>,
    /// What the last observation brought.
    pub news: News,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// A quest that was played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// Who went.
    pub team: Seats,
    /// Whether it succeeded.
    pub success: bool,
}

/// A team that was voted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    /// The team.
    pub team: Seats,
    /// Who approved of it.
    pub approvals: Seats,
}

/// The most important event since the reader last acted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Talk, or nothing.
    #[default]
    Talk,
    /// A team is on the table.
    Proposed,
    /// A team was rejected.
    Rejected,
    /// A team goes on its quest.
    Approved,
    /// A quest failed.
    Failed,
    /// A quest succeeded.
    Succeeded,
}

impl Default for View {
    fn default() -> Self {
        Self {
            players: 5,
            me: 0,
            role: Role::Servant,
            evil: Seats::NONE,
            merlins: Seats::NONE,
            quests: Vec::new(),
            size: 2,
            proposal: 1,
            team: Seats::NONE,
            ask: None,
            said: Vec::new(),
            ballots: Vec::new(),
            news: News::Talk,
            outcome: None,
        }
    }
}

impl View {
    /// Reads a request's whole text. Lines that are not an observation's, such as thoughts, are ignored.
    pub fn read(text: &str) -> Self {
        let mut view = Self::default();
        view.observe(text);
        view
    }

    /// Reads more text.
    pub fn observe(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    /// Reads one line.
    fn line(&mut self, line: &str) {
        let Some((tag, rest)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) else {
            // The instructions' only line of this form.
            if let Some((players, _)) = line.split_once(" players, Player 0 to ") {
                self.players = players.parse().unwrap_or(self.players);
            }
            return;
        };
        match tag {
            "You" => self.identity(rest),
            "Quests" => self.standing(rest),
            "Discussion" => {
                if let Some((speaker, text)) = rest.split_once(": ")
                    && let Some(seat) = seats(speaker).iter().next()
                {
                    self.said.push((seat, text.to_owned()));
                }
            }
            "Selection" => {
                self.team = rest.split_once(" the team ").map_or(Seats::NONE, |(_, team)| seats(team));
                self.news = self.news.max(News::Proposed);
            }
            "Team result" => self.ballot(rest),
            "Quest result" => {
                let success = rest.contains(" succeeded: ");
                self.news = self.news.max(if success { News::Succeeded } else { News::Failed });
            }
            "Turn" => self.ask = asked(rest),
            "End" => {
                self.ask = None;
                self.outcome = ended(rest);
            }
            _ => {}
        }
    }

    /// Who the reader is. Every observation begins with it, so the news starts again here.
    fn identity(&mut self, rest: &str) {
        (self.news, self.ask) = (News::Talk, None);
        let mut sentences = rest.split(['.', ';']).map(str::trim);
        let who = sentences.next().unwrap_or_default();
        self.me = seats(who).iter().next().unwrap_or(self.me);
        self.role = who.split(", ").find_map(Role::named).unwrap_or(self.role);
        for sentence in sentences {
            if sentence.starts_with("Evil") {
                self.evil = seats(sentence);
            } else if sentence.starts_with("Merlin is") {
                self.merlins = seats(sentence);
            }
        }
    }

    /// How the quests went so far. Each observation repeats them.
    fn standing(&mut self, rest: &str) {
        self.quests.clear();
        for sentence in rest.split(". ") {
            if let Some((quest, team)) = sentence.split_once(" (team ") {
                self.quests.push(Past { team: seats(team), success: quest.contains("succeeded") });
            } else if sentence.starts_with("Now quest ") {
                let after = |mark: &str| {
                    let (_, rest) = sentence.split_once(mark)?;
                    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
                };
                self.size = after("team of ").unwrap_or(self.size);
                self.proposal = after("proposal ").unwrap_or(self.proposal);
            }
        }
    }

    fn ballot(&mut self, rest: &str) {
        let mut sentences = rest.split(". ");
        let verdict = sentences.next().unwrap_or_default();
        let team = verdict.split_once("team ").map_or(Seats::NONE, |(_, team)| seats(team));
        let yes = sentences.filter(|vote| vote.trim_end_matches('.').ends_with("approve"));
        self.ballots.push(Ballot { team, approvals: yes.flat_map(|vote| seats(vote).iter()).collect() });
        let approved = verdict.contains("approved");
        self.news = self.news.max(if approved { News::Approved } else { News::Rejected });
    }

    /// The reader's side.
    pub fn side(&self) -> Side {
        self.role.side()
    }
    /// All whom the reader knows to be evil, itself included if it is.
    pub fn known_evil(&self) -> Seats {
        if self.side() == Side::Evil { self.evil | Seats::one(self.me) } else { self.evil }
    }
    /// Quests that succeeded.
    pub fn succeeded(&self) -> usize {
        self.quests.iter().filter(|quest| quest.success).count()
    }
    /// Quests that failed.
    pub fn failed(&self) -> usize {
        self.quests.len() - self.succeeded()
    }
    /// Members of failed quests, except the reader.
    pub fn tainted(&self) -> Seats {
        let failed = self.quests.iter().filter(|quest| !quest.success);
        failed.fold(Seats::NONE, |all, quest| all | quest.team) - Seats::one(self.me)
    }
    /// The largest team that succeeded, the latest of its size.
    pub fn tested(&self) -> Option<Seats> {
        let succeeded = self.quests.iter().filter(|quest| quest.success).map(|quest| quest.team);
        succeeded.max_by_key(|team| team.len())
    }
    /// How often `seat` has spoken against one of `blamed`.
    pub fn accusations(&self, seat: usize, blamed: Seats) -> usize {
        let said = self.said.iter().filter(|(speaker, _)| *speaker == seat);
        said.filter(|(_, text)| !(opinions(text).1 & blamed).is_empty()).count()
    }
    /// How often `seat` has voted against a team with one of `evil`.
    pub fn rejections(&self, seat: usize, evil: Seats) -> usize {
        let rejected = self.ballots.iter().filter(|ballot| !ballot.approvals.contains(seat));
        rejected.filter(|ballot| !(ballot.team & evil).is_empty()).count()
    }
    /// How much the words of `seat` agree with `evil` being the evil ones: trust and suspicion in the right place less
    /// those in the wrong.
    pub fn right_words(&self, seat: usize, evil: Seats) -> i32 {
        let said = self.said.iter().filter(|(speaker, _)| *speaker == seat);
        said.map(|(_, text)| {
            let (trusted, suspected) = opinions(text);
            let wrong = (trusted & evil).len() + (suspected - evil).len();
            (trusted.len() + suspected.len()) as i32 - 2 * wrong as i32
        })
        .sum()
    }
    /// The same for its votes.
    pub fn right_votes(&self, seat: usize, evil: Seats) -> i32 {
        let right = |ballot: &Ballot| (ballot.team & evil).is_empty() == ballot.approvals.contains(seat);
        self.ballots.iter().map(|ballot| if right(ballot) { 1 } else { -1 }).sum()
    }
}

/// Every number in the text, as seats.
fn seats(text: &str) -> Seats {
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<usize>().ok());
    numbers.filter(|seat| *seat < 16).collect()
}

fn asked(turn: &str) -> Option<Ask> {
    Some(match turn {
        _ if turn.contains("\"say ...\"") => Ask::Say,
        _ if turn.contains("\"vote approve\"") => Ask::Vote,
        _ if turn.contains("\"quest pass\"") => Ask::Quest,
        _ if turn.contains("\"assassinate ") => Ask::Assassinate,
        _ if turn.contains("\"believe [") => Ask::Deduce,
        _ if turn.contains("\"propose [") => Ask::Propose,
        _ => return None,
    })
}

fn ended(end: &str) -> Option<Outcome> {
    Some(match end {
        _ if end.starts_with("Good wins") => Outcome::Good,
        _ if end.contains("found Merlin") => Outcome::Assassination,
        _ if end.contains("quests failed") => Outcome::Missions,
        _ if end.contains("were rejected") => Outcome::Rejections,
        _ => return None,
    })
}
