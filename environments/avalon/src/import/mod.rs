//! Recorded games into trajectories, one per seat: each is replayed at a [`Table`], so that its observations are those
//! of this environment, and states and outcomes are written by the reader that summarises for the simulated LLM. Each
//! quest's result is an additional outcome (`Quest 3 fails.`).
//!
//! A record need not say everything: cards are played in secret, and some records have no vote. Missing moves are
//! filled in so that the game ends as recorded, and are not steps of a trajectory. A game that cannot end so under our
//! rules is left out, and the log says why. A move without a recorded thought gets a plain description of the move as
//! its thought, marked with a leading `Derived:`.

pub mod multi_round;
pub mod nlu;
pub mod pro;

use std::path::{Path, PathBuf};

use forethought_sdk::api::text::unmarked;
use forethought_sdk::simulated::{Outcome as _, Worded};
use forethought_sdk::{prelude::*, serde_json};

use crate::behaviour::{
    view::View,
    words::{self, Outcome},
};
use crate::grammar::Move;
use crate::observe;
use crate::role::{Role, Side};
use crate::rules::{FifthRejection, Rules};
use crate::seats::Seats;
use crate::table::{Setup, Table, evil};

/// A recorded game.
struct Recorded {
    /// In the order of seats.
    roles: Vec<Role>,
    fifth_rejection: FifthRejection,
    first_leader: usize,
    acts: Vec<Act>,
    winner: Side,
}

enum Act {
    /// A statement to all, when nobody was asked for one.
    Say(usize, String),
    /// Moves of one phase, in any order.
    Moves(Vec<Made>),
}

struct Made {
    seat: usize,
    made: Move,
    thought: Option<String>,
    /// Whether it is in the record; otherwise it was filled in.
    recorded: bool,
}

impl Made {
    fn new(seat: usize, made: Move) -> Self {
        Self { seat, made, thought: None, recorded: true }
    }
    fn guessed(seat: usize, made: Move) -> Self {
        Self { recorded: false, ..Self::new(seat, made) }
    }
}

/// Why a game cannot be imported.
type Unfit = String;

/// Replays every game. Those that cannot be replayed are named in the log.
async fn replay_all(
    source: &str,
    games: Vec<(String, Result<Recorded, Unfit>)>,
    progress: Arc<dyn Progress>,
) -> Result<Vec<Trajectory>> {
    let (mut trajectories, mut left_out) = (Vec::new(), 0);
    let total = games.len() as u64;
    for (index, (name, recorded)) in games.into_iter().enumerate() {
        match recorded.and_then(|recorded| replay(&recorded)) {
            Ok(seats) => trajectories.extend(seats.into_iter().map(|trajectory| Trajectory {
                episode: format!("{source}/{name}"),
                environment: "avalon".into(),
                task: index as u64,
                source: source.into(),
                ..trajectory
            })),
            Err(why) => {
                left_out += 1;
                tracing::warn!("{source}: {name} is left out: {why}");
            }
        }
        progress
            .report("import".into(), index as u64 + 1, total, format!("{left_out} games left out"))
            .await?;
    }
    Ok(trajectories)
}

/// One seat's part of a replay.
#[derive(Default)]
struct Seat {
    view: View,
    steps: Vec<Step>,
    /// Quests that were over at its last step.
    over: usize,
}

impl Seat {
    /// The seat sees more: the result of its last step.
    fn observe(&mut self, text: &str) {
        self.view.observe(text);
        if let Some(last) = self.steps.last_mut().filter(|step| step.next_state.is_empty()) {
            last.next_state = words::state(&self.view);
            last.outcomes = Outcome::reached(&self.view).wordings().iter().map(ToString::to_string).collect();
            let quests = self.view.quests.iter().enumerate().skip(self.over);
            last.outcomes.extend(quests.map(|(quest, past)| {
                format!("Quest {} {}.", quest + 1, if past.success { "succeeds" } else { "fails" })
            }));
        }
    }
}

fn replay(game: &Recorded) -> Result<Vec<Trajectory>, Unfit> {
    let told = |error: Error| error.message;
    let setup = Setup::new(game.roles.clone(), game.fifth_rejection, false).map_err(told)?;
    let mut table = Table::new(Arc::new(setup), &game.roles, game.first_leader).map_err(told)?;
    let seat = |_| Seat { view: View { players: game.roles.len(), ..View::default() }, ..Seat::default() };
    let mut seats: Vec<Seat> = (0..game.roles.len()).map(seat).collect();
    for act in &game.acts {
        match act {
            Act::Say(seat, text) => table.speak(*seat, text),
            Act::Moves(moves) => {
                for _ in moves {
                    let turn = observe::turn(&table);
                    let made = moves.iter().find(|made| made.seat == turn.seat).ok_or_else(|| {
                        format!("player {} is to move, but the record has another player's move", turn.seat)
                    })?;
                    let seat = &mut seats[turn.seat];
                    if made.recorded {
                        seat.observe(&turn.observation.text);
                        seat.over = seat.view.quests.len();
                        seat.steps.push(Step {
                            observation: turn.observation.text,
                            state: words::state(&seat.view),
                            thought: made.thought.clone().unwrap_or_else(|| derived(&made.made)),
                            action: made.made.to_string(),
                            ..Step::default()
                        });
                    } else {
                        seat.view.observe(&turn.observation.text);
                    }
                    table.act(&made.made)?;
                }
            }
        }
    }
    match table.outcome().map(|outcome| outcome.winner()) {
        None => return Err("the record ends before the game does".into()),
        Some(winner) if winner != game.winner => {
            return Err(format!("by these rules {} wins, but the record says otherwise", winner.title()));
        }
        Some(_) => {}
    }
    let trajectory = |(number, mut seat): (usize, Seat)| {
        seat.observe(&observe::observation(&table, number).text);
        let last = seat.steps.last_mut()?;
        last.terminated = true;
        last.reward = if game.roles[number].side() == game.winner { 1.0 } else { 0.0 };
        Some(Trajectory { seat: number, steps: seat.steps, ..Trajectory::default() })
    };
    Ok(seats.into_iter().enumerate().filter_map(trajectory).collect())
}

/// A plain description of a move, for moves without a recorded thought.
fn derived(made: &Move) -> String {
    let reading = match made {
        Move::Propose(team) => format!("Propose the team {team}."),
        Move::Vote(true) => "Approve the team.".into(),
        Move::Vote(false) => "Reject the team.".into(),
        Move::Quest(true) => "Play a pass.".into(),
        Move::Quest(false) => "Play a fail.".into(),
        Move::Assassinate(seat) => format!("Name Player {seat} as Merlin."),
        Move::Say(_) => "Speak to all.".into(),
        Move::Believe(good) => format!("Take {good} to be good."),
    };
    format!("Derived: {reading}")
}

/// The cards of a quest of which only the result is recorded: good members pass, and who of several evil members played
/// a fail is not known.
fn cards(
    roles: &[Role],
    team: Seats,
    quest: usize,
    success: bool,
    fails: Option<usize>,
) -> Result<Vec<Made>, Unfit> {
    let rules = Rules::new(roles.len(), FifthRejection::default()).ok_or("Avalon is for 5 to 10 players")?;
    let needed = rules.fails_needed(quest.min(4));
    let wicked = team & evil(roles);
    // Without a number, the fewest that explain the result.
    let played = fails.unwrap_or(if success { 0 } else { needed });
    if wicked.len() < played {
        return Err(format!("quest {} has {played} fails with {} evil members", quest + 1, wicked.len()));
    }
    // One number alone fits: all passed, all failed, or the record says how many there were and these are all or none.
    let certain =
        if success { needed == 1 || wicked.is_empty() || fails == Some(0) } else { wicked.len() == played };
    let mut left = played;
    Ok(team
        .iter()
        .map(|seat| {
            let fail = wicked.contains(seat) && left > 0;
            left -= usize::from(fail);
            let recorded = certain || !wicked.contains(seat);
            Made { recorded, ..Made::new(seat, Move::Quest(!fail)) }
        })
        .collect())
}

/// The Assassin's choice, of which perhaps only the success was recorded.
fn assassination(roles: &[Role], found: bool, target: Option<usize>) -> Result<Act, Unfit> {
    let seat_of = |role| roles.iter().position(|held| *held == role);
    let assassin = seat_of(Role::Assassin).ok_or("nobody is the Assassin")?;
    let made = match (found, target) {
        (true, _) => Made::new(assassin, Move::Assassinate(seat_of(Role::Merlin).ok_or("nobody is Merlin")?)),
        (false, Some(target)) => Made::new(assassin, Move::Assassinate(target)),
        (false, None) => {
            let miss = |role: &Role| role.side() == Side::Good && *role != Role::Merlin;
            let somebody = roles.iter().position(miss).ok_or("nobody but Merlin is good")?;
            Made::guessed(assassin, Move::Assassinate(somebody))
        }
    };
    Ok(Act::Moves(vec![made]))
}

/// The data set's file `name` in `path`, or `path` itself, and its text.
fn text(path: PathBuf, name: &str) -> Result<(PathBuf, String)> {
    let file = if path.is_dir() { path.join(name) } else { path };
    let text = read(&file)?;
    Ok((file, text))
}

fn read(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::input(format!(
            "cannot read {}: {error}; give the data set's file or its folder",
            file.display()
        ))
    })?;
    Ok(unmarked(&text).to_owned())
}

/// `text` with every whole word of `names` replaced: `Bob` by `Player 1`, say. Words run over letters, digits and `-`.
fn rename(text: &str, names: &[String]) -> String {
    let mut renamed = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric() && c != '-') {
        let end = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '-').len();
        match names.iter().position(|name| *name == word[..end]) {
            Some(seat) => renamed += &format!("Player {seat}{}", &word[end..]),
            None => renamed += word,
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_as_whole_words() {
        let names = ["Eve".to_owned(), "Bob".to_owned()];
        assert_eq!(
            rename("Everyone: Eve\u{2019}s for Alice\u{2013}Bob.", &names),
            "Everyone: Player 0\u{2019}s for Alice\u{2013}Player 1."
        );
        assert_eq!(rename("player-2, player-20", &["x".into(), "player-2".into()]), "Player 1, player-20");
    }
}
