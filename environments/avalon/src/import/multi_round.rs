//! Games of one LLM at every seat, with its reasoning: the data set of `SuveenE/multi-round-avalon-agents`.
//!
//! One game a line: `{"file", "game": {"players", "missions", "winner", "assassin_phase"}}`. Reasons for teams, votes
//! and the assassination are the thoughts. What evil players say among themselves before the assassination is left out.
//! In those games a fifth team goes without a vote; unlike here, one fail always fails a quest, and the Assassin may be
//! missing.

use super::*;

/// Reads the games.
pub struct MultiRound;

#[data]
struct Line {
    file: String,
    game: Game,
}

#[data]
struct Game {
    players: Vec<Participant>,
    missions: Vec<Mission>,
    winner: Side,
    assassin_phase: Option<Guess>,
}

#[data]
struct Participant {
    name: String,
    role: String,
}

#[data]
struct Mission {
    proposals: Vec<Proposal>,
    discussion: Vec<Statement>,
    quest_actions: Vec<Card>,
}

#[data]
struct Proposal {
    leader: String,
    team_members: Vec<String>,
    reasoning: String,
    votes: Vec<Vote>,
}

#[data]
struct Vote {
    player: String,
    vote: String,
    comment: String,
}

#[data]
struct Statement {
    player: String,
    content: String,
}

#[data]
struct Card {
    player: String,
    action: String,
}

#[data]
struct Guess {
    assassin: String,
    guess: String,
    reasoning: String,
}

#[async_trait]
impl Importer for MultiRound {
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
        let (file, text) = text(path, "games.jsonl")?;
        let mut games = Vec::new();
        for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let read: Line = serde_json::from_str(text)
                .map_err(|error| Error::input(format!("{}:{}: {error}", file.display(), line + 1)))?;
            games.push((read.file, recorded(&read.game)));
        }
        replay_all("avalon-multi-round", games, progress).await
    }
}

fn recorded(game: &Game) -> Result<Recorded, Unfit> {
    let names: Vec<String> = game.players.iter().map(|player| player.name.clone()).collect();
    let seat = |name: &str| {
        names.iter().position(|known| known == name).ok_or_else(|| format!("nobody is called {name:?}"))
    };
    let role = |player: &Participant| match player.role.as_str() {
        "good" => Ok(Role::Servant),
        "evil" => Ok(Role::Minion),
        other => Role::named(other).ok_or_else(|| format!("there is no role {other:?}")),
    };
    let roles = game.players.iter().map(role).collect::<Result<Vec<_>, _>>()?;
    let thought = |text: &str| Some(rename(text, &names)).filter(|text| !text.trim().is_empty());
    let mut acts = Vec::new();
    for mission in &game.missions {
        for said in &mission.discussion {
            acts.push(Act::Say(seat(&said.player)?, rename(&said.content, &names)));
        }
        for proposal in &mission.proposals {
            let team = proposal.team_members.iter().map(|name| seat(name)).collect::<Result<Seats, _>>()?;
            let made = Made::new(seat(&proposal.leader)?, Move::Propose(team));
            acts.push(Act::Moves(vec![Made { thought: thought(&proposal.reasoning), ..made }]));
            let vote = |vote: &Vote| {
                let approve = either(&vote.vote, "approve", "reject")?;
                let made = Made::new(seat(&vote.player)?, Move::Vote(approve));
                Ok(Made { thought: thought(&vote.comment), ..made })
            };
            acts.push(Act::Moves(match proposal.votes.is_empty() {
                true => (0..names.len()).map(|seat| Made::guessed(seat, Move::Vote(true))).collect(),
                false => proposal.votes.iter().map(vote).collect::<Result<_, Unfit>>()?,
            }));
        }
        let card = |card: &Card| {
            Ok(Made::new(seat(&card.player)?, Move::Quest(either(&card.action, "success", "fail")?)))
        };
        acts.push(Act::Moves(mission.quest_actions.iter().map(card).collect::<Result<_, Unfit>>()?));
    }
    if let Some(guess) = &game.assassin_phase {
        let made = Made::new(seat(&guess.assassin)?, Move::Assassinate(seat(&guess.guess)?));
        acts.push(Act::Moves(vec![Made { thought: thought(&guess.reasoning), ..made }]));
    }
    let first = game.missions.first().and_then(|mission| mission.proposals.first());
    let first_leader = seat(&first.ok_or("nothing was proposed")?.leader)?;
    Ok(Recorded { roles, fifth_rejection: FifthRejection::Passes, first_leader, acts, winner: game.winner })
}

fn either(word: &str, yes: &str, no: &str) -> Result<bool, Unfit> {
    if word == yes || word == no {
        Ok(word == yes)
    } else {
        Err(format!("{word:?} is neither {yes:?} nor {no:?}"))
    }
}

register! {
    interface: dyn Importer, kind: "avalon-multi-round", summary: "Avalon games of an LLM with its reasoning",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(MultiRound) as _) },
}
