//! Game records of the ProAvalon server: votes, teams and results, without talk.
//!
//! One file: a list of games with `playerRoles`, `voteHistory` (player, mission, proposal), `missionHistory` and, at
//! times, `numFailsHistory` and `whoAssassinShot`. Players are in no order there: seats follow from who led after whom.
//! What the cards of Lady, Ref and Sire showed is not part of our game and is left out.

use std::collections::BTreeMap;

use super::*;

/// Reads the records.
pub struct Pro;

#[data]
#[serde(rename_all = "camelCase")]
struct Game {
    #[serde(rename = "_id")]
    id: String,
    winning_team: String,
    how_the_game_was_won: Option<String>,
    mission_history: Vec<String>,
    #[serde(default)]
    num_fails_history: Vec<usize>,
    vote_history: BTreeMap<String, Vec<Vec<String>>>,
    player_roles: BTreeMap<String, Held>,
    who_assassin_shot: Option<String>,
}

#[data]
struct Held {
    role: String,
}

/// What one player did about one proposal.
struct Mark {
    leader: bool,
    picked: bool,
    approve: bool,
}

#[async_trait]
impl Importer for Pro {
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
        let (file, text) = text(path, "game_records.json")?;
        let games: Vec<Game> = serde_json::from_str(&text)
            .map_err(|error| Error::input(format!("{}: {error}", file.display())))?;
        let games = games.into_iter().map(|game| (game.id.clone(), recorded(&game))).collect();
        replay_all("avalon-pro", games, progress).await
    }
}

fn recorded(game: &Game) -> Result<Recorded, Unfit> {
    // Mission by mission, proposal by proposal: what each player did.
    let mut missions: Vec<Vec<BTreeMap<&str, Mark>>> = Vec::new();
    for (player, history) in &game.vote_history {
        for (mission, proposals) in history.iter().enumerate() {
            for (proposal, word) in proposals.iter().enumerate() {
                missions.resize_with(missions.len().max(mission + 1), Vec::new);
                let proposals = &mut missions[mission];
                proposals.resize_with(proposals.len().max(proposal + 1), BTreeMap::new);
                proposals[proposal].insert(player, mark(word)?);
            }
        }
    }
    let leads = |marks: &BTreeMap<&str, Mark>| {
        let mut leaders = marks.iter().filter(|(_, mark)| mark.leader).map(|(name, _)| name.to_string());
        leaders.next().filter(|_| leaders.next().is_none()).ok_or("a team without one leader")
    };
    let leaders = missions.iter().flatten().map(leads).collect::<Result<_, _>>()?;
    let seats = seats(game, leaders)?;
    let roles =
        seats.iter().map(|player| role(&game.player_roles[player].role)).collect::<Result<Vec<_>, _>>()?;

    let mut acts = Vec::new();
    for (number, proposals) in missions.iter().enumerate() {
        let mut goes = None;
        for marks in proposals {
            let mark = |seat: usize| marks.get(seats[seat].as_str()).ok_or("somebody did not vote");
            let all = (0..seats.len()).map(mark).collect::<Result<Vec<_>, _>>()?;
            let those =
                |which: fn(&Mark) -> bool| (0..all.len()).filter(|&seat| which(all[seat])).collect::<Seats>();
            let (team, approvals) = (those(|mark| mark.picked), those(|mark| mark.approve));
            let leader = those(|mark| mark.leader).iter().next().unwrap_or_default();
            acts.push(Act::Moves(vec![Made::new(leader, Move::Propose(team))]));
            let vote = |seat| Made::new(seat, Move::Vote(approvals.contains(seat)));
            acts.push(Act::Moves((0..seats.len()).map(vote).collect()));
            goes = (2 * approvals.len() > seats.len()).then_some(team);
        }
        if let Some(team) = goes {
            let result = game.mission_history.get(number).ok_or("a quest without a result")?;
            let fails = game.num_fails_history.get(number).copied();
            acts.push(Act::Moves(cards(&roles, team, number, result == "succeeded", fails)?));
        }
    }
    if game.mission_history.iter().filter(|result| *result == "succeeded").count() == 3 {
        let found = game.how_the_game_was_won.as_deref() == Some("Assassinated Merlin correctly.");
        // The record does not say which of several Servants was shot.
        let shot =
            game.who_assassin_shot.as_deref().map(role).transpose()?.filter(|role| *role != Role::Servant);
        let target = shot.and_then(|shot| roles.iter().position(|role| *role == shot));
        acts.push(assassination(&roles, found, target)?);
    }
    let winner = match game.winning_team.as_str() {
        "Spy" => Side::Evil,
        "Resistance" => Side::Good,
        other => return Err(format!("the winning team is {other:?}")),
    };
    Ok(Recorded { roles, fifth_rejection: FifthRejection::EvilWins, first_leader: 0, acts, winner })
}

/// Reads `VHpicked VHleader VHapprove`.
fn mark(word: &str) -> Result<Mark, Unfit> {
    let (mut mark, mut vote) = (Mark { leader: false, picked: false, approve: false }, None);
    for part in word.split(' ') {
        match part {
            "VHleader" => mark.leader = true,
            "VHpicked" => mark.picked = true,
            "VHapprove" => vote = Some(true),
            "VHreject" => vote = Some(false),
            _ => return Err(format!("{word:?} is not one vote")),
        }
    }
    mark.approve = vote.ok_or_else(|| format!("{word:?} has no vote"))?;
    Ok(mark)
}

fn role(name: &str) -> Result<Role, Unfit> {
    match name {
        "Resistance" => Ok(Role::Servant),
        "Spy" => Ok(Role::Minion),
        other => Role::named(other).ok_or_else(|| format!("there is no role {other:?}")),
    }
}

/// Players in an order in which `leaders` lead one after the other; those who never led fill the gaps.
fn seats(game: &Game, leaders: Vec<String>) -> Result<Vec<String>, Unfit> {
    let players = game.player_roles.len();
    let mut seats: Vec<Option<String>> = vec![None; players];
    for (turn, leader) in leaders.into_iter().enumerate() {
        let seat = &mut seats[turn % players];
        if *seat.get_or_insert_with(|| leader.clone()) != leader {
            return Err("leaders do not follow one another in a circle".into());
        }
    }
    let mut others = game
        .player_roles
        .keys()
        .filter(|name| !seats.contains(&Some((*name).clone())))
        .cloned()
        .collect::<Vec<_>>()
        .into_iter();
    let seats: Vec<String> = seats.into_iter().filter_map(|seat| seat.or_else(|| others.next())).collect();
    let known = seats.len() == players && seats.iter().all(|name| game.player_roles.contains_key(name));
    if known { Ok(seats) } else { Err("somebody leads twice in a round".into()) }
}

register! {
    interface: dyn Importer, kind: "avalon-pro", summary: "game records of the ProAvalon server",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(Pro) as _) },
}
