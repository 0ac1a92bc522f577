//! What a seat is shown: the instructions, and at each of its turns all that it needs to know, so that a shortened
//! history does no harm. This module reads the table for one seat, and must not look at the deal except through its
//! knowledge.

use std::fmt::Write as _;

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Map, Value, json};

use crate::grammar::Ask;
use crate::role::{Role, Side};
use crate::rules::{FifthRejection, MAX_REFUSALS, Outcome, PROPOSALS, Phase, QUESTS};
use crate::seats::Seats;
use crate::table::{Event, Setup, Table};

/// First line of the instructions: readers of a prompt recognise the task by it.
pub const INSTRUCTIONS_OPENING: &str = "You are playing Avalon.";

/// The turn of the seat that is to act; after the end, what the seat that acted last sees.
pub fn turn(table: &Table) -> Turn {
    Turn {
        seat: table.seat(),
        observation: observation(table, table.seat()),
        legal_actions: table.legal_moves().iter().map(ToString::to_string).collect(),
        ..Turn::default()
    }
}

/// What `seat` sees now. The data say what the text says.
pub fn observation(table: &Table, seat: usize) -> Observation {
    Observation { text: text(table, seat), data: data(table, seat) }
}

/// `1 fail`, `2 fails`.
fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// `Player 2`, `Player 2 and Player 4`, `Player 1, Player 2 and Player 4`; `nobody`.
fn players(seats: Seats, last: &str) -> String {
    let names: Vec<String> = seats.iter().map(|seat| format!("Player {seat}")).collect();
    match &names[..] {
        [] => "nobody".into(),
        [only] => only.clone(),
        [rest @ .., end] => format!("{} {last} {end}", rest.join(", ")),
    }
}

fn text(table: &Table, seat: usize) -> String {
    let mut lines = vec![identity(table, seat), quests(table)];
    lines.extend(table.news(seat).iter().map(|event| line(event, table.setup().players())));
    if table.ask().is_none() {
        lines.push(end(table));
    } else if seat == table.seat() {
        lines.extend(table.notice().map(|notice| format!("[Refused] {notice}")));
        lines.push(request(table));
    }
    lines.join("\n")
}

/// Who the seat is, and whom it knows.
fn identity(table: &Table, seat: usize) -> String {
    let knowledge = table.knowledge(seat);
    let role = knowledge.role;
    let others = |seats: Seats| seats - Seats::one(seat);
    let verb = if others(knowledge.evil).len() > 1 { "are" } else { "is" };
    let evil = players(others(knowledge.evil), "and");
    let but = |role: Role| match table.setup().roles().contains(&role) {
        true => format!("; {} is hidden from you", role.title()),
        false => String::new(),
    };
    let known = match role {
        Role::Servant | Role::Oberon => String::new(),
        Role::Merlin => format!(" Evil {verb} {evil}{}.", but(Role::Mordred)),
        Role::Percival if knowledge.pair.is_empty() => {
            format!(" Merlin is {}.", players(others(knowledge.good), "and"))
        }
        Role::Percival => format!(" Merlin is {}.", players(knowledge.pair, "or")),
        Role::Morgana | Role::Mordred | Role::Minion | Role::Assassin => {
            format!(" Evil with you {verb} {evil}{}.", but(Role::Oberon))
        }
    };
    format!("[You] Player {seat}, {}, on the side of {}.{known}", role.title(), role.side().title())
}

/// The quests so far, and the current one.
fn quests(table: &Table) -> String {
    let game = table.game();
    let mut text = String::from("[Quests]");
    for (number, quest) in game.quests().iter().enumerate() {
        let fails = usize::from(quest.fails);
        let result = match (quest.success, fails) {
            (true, 0) => "succeeded".into(),
            (true, _) => format!("succeeded with {}", count(fails, "fail")),
            (false, _) => format!("failed with {}", count(fails, "fail")),
        };
        let _ = write!(text, " Quest {} {result} (team {}).", number + 1, quest.team);
    }
    let _ = match game.phase() {
        Phase::Proposal | Phase::Vote | Phase::Quest => write!(
            text,
            " Now quest {}: team of {}, {} it; proposal {} of {PROPOSALS}; Player {} leads.",
            game.quest() + 1,
            game.team_size(),
            fails_it(game.fails_needed()),
            game.proposal() + 1,
            game.proposer(),
        ),
        Phase::Assassination => write!(text, " Three quests succeeded; now the Assassin names Merlin."),
        Phase::Over(_) => Ok(()),
    };
    text
}

fn fails_it(needed: usize) -> String {
    if needed == 1 { "1 fail fails".into() } else { format!("{needed} fails fail") }
}

fn line(event: &Event, seats: usize) -> String {
    match event {
        Event::Said { seat, text } => format!("[Discussion] Player {seat}: {text}"),
        Event::Proposed { leader, team } => format!("[Selection] Player {leader} proposes the team {team}."),
        Event::Voted { team, approvals, approved } => {
            let mut text = format!(
                "[Team result] The team {team} is {}.",
                if *approved { "approved" } else { "rejected" }
            );
            for seat in 0..seats {
                let vote = if approvals.contains(seat) { "approve" } else { "reject" };
                let _ = write!(text, " Player {seat} voted {vote}.");
            }
            text
        }
        Event::Went { number, quest } => format!(
            "[Quest result] Quest {} with the team {} {}: {}.",
            number + 1,
            quest.team,
            if quest.success { "succeeded" } else { "failed" },
            count(quest.fails.into(), "fail"),
        ),
        Event::Named { assassin, target } => {
            format!("[Assassination] Player {assassin}, the Assassin, names Player {target}.")
        }
    }
}

/// What the seat is asked for.
fn request(table: &Table) -> String {
    let game = table.game();
    let what = match table.ask() {
        Some(Ask::Say) if table.seat() == game.leader() => format!(
            "You lead and will propose a team of {}. First speak to all: \"say ...\".",
            game.team_size()
        ),
        Some(Ask::Say) => format!(
            "Speak to all before Player {} proposes a team of {}: \"say ...\".",
            game.leader(),
            game.team_size()
        ),
        Some(Ask::Propose) => {
            let example: Seats = (0..game.team_size()).collect();
            format!("You lead. Propose a team of {}, such as \"propose [{example}]\".", game.team_size())
        }
        Some(Ask::Vote) => format!("Vote on the team {}: \"vote approve\" or \"vote reject\".", game.team()),
        Some(Ask::Quest) => {
            format!("You go on the quest with the team {}: \"quest pass\" or \"quest fail\".", game.team())
        }
        Some(Ask::Assassinate) => {
            "You are the Assassin. Name the player you take for Merlin, such as \"assassinate 0\".".into()
        }
        Some(Ask::Deduce) => {
            "The quests are decided. Name all players that you take to be good, yourself among them if you are, such \
             as \"believe [0, 1]\".".into()
        }
        None => return String::new(),
    };
    format!("[Turn] {what}")
}

/// How it ended, and who was who.
fn end(table: &Table) -> String {
    let how = match table.outcome() {
        Some(Outcome::Good) => "Good wins: three quests succeeded, and the Assassin missed Merlin.",
        Some(Outcome::Assassination) => "Evil wins: the Assassin found Merlin.",
        Some(Outcome::Missions) => "Evil wins: three quests failed.",
        Some(Outcome::Rejections) => "Evil wins: five teams in a row were rejected.",
        None => return String::new(),
    };
    let mut text = format!("[End] {how}");
    for (seat, role) in table.deal().iter().enumerate() {
        let _ = write!(text, " Player {seat} was {}.", role.title());
    }
    text
}

fn data(table: &Table, seat: usize) -> Value {
    let (game, knowledge) = (table.game(), table.knowledge(seat));
    let seats = table.setup().players();
    let mut roles = Map::new();
    for role in table.setup().roles() {
        let entry =
            roles.entry(role.word()).or_insert_with(|| json!({ "side": role.side().word(), "count": 0 }));
        entry["count"] = json!(entry["count"].as_u64().unwrap_or_default() + 1);
    }
    let possible = knowledge.possible(table.setup().roles());
    let possible: Vec<Vec<&str>> =
        possible.into_iter().map(|roles| roles.iter().map(Role::word).collect()).collect();
    let quests: Vec<Value> = game
        .quests()
        .iter()
        .map(|quest| json!({ "team": quest.team, "fails": quest.fails, "success": quest.success }))
        .collect();
    let mut data = json!({
        "players": seats,
        "seat": seat,
        "role": knowledge.role.word(),
        "side": knowledge.role.side().word(),
        "phase": phase(table),
        "quests": quests,
        "news": table.news(seat).iter().map(news).collect::<Vec<_>>(),
        "hidden": { "roles": roles, "possible": possible },
    });
    if matches!(game.phase(), Phase::Proposal | Phase::Vote | Phase::Quest) {
        data["quest"] = json!(game.quest() + 1);
        data["proposal"] = json!(game.proposal() + 1);
        data["leader"] = json!(game.proposer());
        data["team_size"] = json!(game.team_size());
        data["fails_needed"] = json!(game.fails_needed());
    }
    if matches!(game.phase(), Phase::Vote | Phase::Quest) {
        data["team"] = json!(game.team());
    }
    if seat == table.seat()
        && let Some(notice) = table.notice()
    {
        data["refused"] = json!(notice);
    }
    if let Some(outcome) = table.outcome() {
        data["outcome"] = json!(outcome);
        data["roles"] = json!(table.deal().iter().map(|role| role.word()).collect::<Vec<_>>());
    }
    data
}

fn phase(table: &Table) -> &'static str {
    match table.ask() {
        Some(Ask::Say) => "discussion",
        Some(Ask::Propose) => "proposal",
        Some(Ask::Vote) => "vote",
        Some(Ask::Quest) => "quest",
        Some(Ask::Assassinate) => "assassination",
        Some(Ask::Deduce) => "deduction",
        None => "over",
    }
}

fn news(event: &Event) -> Value {
    match event {
        Event::Said { seat, text } => json!({ "event": "said", "seat": seat, "text": text }),
        Event::Proposed { leader, team } => {
            json!({ "event": "proposed", "leader": leader, "team": team })
        }
        Event::Voted { team, approvals, approved } => json!({
            "event": "voted", "team": team, "approvals": approvals, "approved": approved,
        }),
        Event::Went { number, quest } => json!({
            "event": "went", "quest": number + 1, "team": quest.team, "fails": quest.fails,
            "success": quest.success,
        }),
        Event::Named { assassin, target } => {
            json!({ "event": "named", "assassin": assassin, "target": target })
        }
    }
}

/// The rules in force, and how to act, for every seat.
pub fn instructions(setup: &Setup) -> String {
    let (rules, roles) = (setup.rules(), setup.roles());
    let seats = setup.players();
    let sizes: Vec<String> = (0..QUESTS).map(|quest| rules.team_size(quest).to_string()).collect();
    let twice = if rules.fails_needed(3) == 2 { "; only quest 4 takes 2" } else { "" };
    let mut known = Vec::new();
    let of = |role: Role| roles.contains(&role);
    known.push(if of(Role::Mordred) {
        "Merlin knows who is evil, but for Mordred."
    } else {
        "Merlin knows who is evil."
    });
    if of(Role::Percival) {
        known.push(if of(Role::Morgana) {
            "Percival knows that one of two players is Merlin and the other is Morgana."
        } else {
            "Percival knows who is Merlin."
        });
    }
    known.push(if of(Role::Oberon) {
        "The evil players know each other, but for Oberon, who knows nobody and whom nobody evil knows."
    } else {
        "The evil players know each other."
    });
    known.push("Nobody else knows anything at first.");
    let fifth = match rules.fifth_rejection() {
        FifthRejection::Passes => "the fifth team goes whatever the votes",
        FifthRejection::EvilWins => "if the fifth is rejected too, Evil wins",
    };
    let (talk, say) = if setup.discussion() {
        (
            " Before every proposal the leader speaks to all, then everybody else once in the order of seats.",
            "- say ...: speak to all, in one or two sentences.\n",
        )
    } else {
        ("", "")
    };
    let believe = match setup.deduction() {
        true => {
            "- believe [0, 1]: say who is good, all of them; Player 0 is asked when the quests are decided.\n"
        }
        false => "",
    };
    format!(
        "{INSTRUCTIONS_OPENING}\n\
         {seats} players, Player 0 to Player {last}, have secret roles. Good: {good}. Evil: {evil}. {known}\n\
         There are up to five quests, with teams of {sizes}. The leader proposes a team, all vote at once, and the team \
         goes if more than half approve; then, or if not, the next player leads. Up to five teams are proposed for a \
         quest: {fifth}. The members of the team play their cards in secret, and one fail fails the quest{twice}.{talk}\n\
         Evil wins when three quests have failed. When three have succeeded, the Assassin names one player: Evil wins \
         if that is Merlin, and Good if not. So Merlin must guide the others without being found out.\n\
         Answer with one action when asked for it:\n\
         {say}\
         - propose [0, 1]: propose these players as the team.\n\
         - vote approve, or vote reject: vote on the team.\n\
         - quest pass, or quest fail: play your card.\n\
         - assassinate 0: name this player as Merlin.\n\
         {believe}\
         After {MAX_REFUSALS} answers in a row that are none, the game goes on without yours.",
        last = seats - 1,
        good = named(roles, Side::Good),
        evil = named(roles, Side::Evil),
        known = known.join(" "),
        sizes = sizes.join(", "),
    )
}

/// `Merlin, 2 Servants`.
fn named(roles: &[Role], side: Side) -> String {
    let mut names: Vec<String> = Vec::new();
    for role in Role::ALL.into_iter().filter(|role| role.side() == side) {
        match roles.iter().filter(|held| **held == role).count() {
            0 => {}
            1 => names.push(role.title().into()),
            many => names.push(format!("{many} {}s", role.title())),
        }
    }
    names.join(", ")
}
