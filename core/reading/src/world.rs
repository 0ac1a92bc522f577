//! What a seat saw, drawn by the shape of its data: a page with things to click, a table with players, a dialogue, or
//! the text itself. A picture shows nothing that the text does not say.

use serde::Serialize;
use serde_json::Value;

use crate::text::{cut, visible};

/// What a seat saw, ready for a template.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum World {
    /// A page: `clickables` in the data, and `[texts in brackets]` that name them.
    Page {
        /// Which page.
        name: String,
        /// Its address.
        url: String,
        /// Its lines.
        lines: Vec<Vec<Span>>,
    },
    /// A table: `quests` and `players` in the data.
    Table {
        /// What happens now.
        phase: String,
        /// The quests so far.
        quests: Vec<Quest>,
        /// The players.
        seats: Vec<Player>,
        /// What this seat has heard since its last turn.
        said: Vec<Bubble>,
    },
    /// A dialogue: `dialogue` in the data.
    Dialogue {
        /// What was said since this seat's last turn.
        said: Vec<Bubble>,
    },
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Span {
    text: String,
    /// Whether it can be clicked.
    button: bool,
    /// Whether it is what the seat clicked then.
    chosen: bool,
}

/// A quest of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Quest {
    number: usize,
    team: String,
    success: bool,
    fails: u64,
}

/// A player of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Player {
    name: String,
    role: String,
    you: bool,
    leads: bool,
    on_team: bool,
    /// How it voted on the team, if that is news.
    vote: Option<bool>,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Bubble {
    who: String,
    mine: bool,
    text: String,
}

/// The picture of what `seat` saw, if the data has one of the shapes. `before` is the same seat's last data, and `action`
/// what it did then.
pub(crate) fn draw(
    text: &str,
    data: &Value,
    before: &Value,
    seat: usize,
    names: &[String],
    action: &str,
) -> Option<World> {
    let name = |seat: usize| names.get(seat).cloned().unwrap_or_else(|| format!("seat {seat}"));
    if let Some(clickables) = data["clickables"].as_array() {
        let clickables: Vec<&str> = clickables.iter().filter_map(Value::as_str).collect();
        let name = data["page"].as_str().unwrap_or("page").replace('_', " ");
        let url = visible(data["url"].as_str().unwrap_or_default()).into_owned();
        return Some(World::Page { name, url, lines: page(text, &clickables, action) });
    }
    if let (Some(quests), Some(players)) = (data["quests"].as_array(), data["players"].as_u64()) {
        return Some(World::Table {
            phase: data["phase"].as_str().unwrap_or_default().to_owned(),
            quests: quests.iter().enumerate().map(quest).collect(),
            seats: (0..players.min(20) as usize)
                .map(|player| player_of(data, seat, player, name(player)))
                .collect(),
            said: news(data, seat, &name),
        });
    }
    let turns = data.pointer("/dialogue/turns")?.as_array()?;
    let old = before.pointer("/dialogue/turns").and_then(Value::as_array).map_or(0, Vec::len);
    let said = turns.iter().skip(old).map(|turn| bubble(turn, "seat", seat, &name));
    Some(World::Dialogue { said: said.collect() })
}

/// Lines, in which `[x]` is a button if `x` can be clicked.
fn page(text: &str, clickables: &[&str], action: &str) -> Vec<Vec<Span>> {
    let (text, _) = cut(text, crate::text::MOST);
    let plain = |text: &str| Span { text: text.to_owned(), button: false, chosen: false };
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (mut spans, mut rest) = (Vec::new(), line);
        while let Some((before, after)) = rest.split_once('[') {
            let Some((label, after)) = after.split_once(']') else { break };
            if !before.trim().is_empty() {
                spans.push(plain(before));
            }
            let button = label == "Search" || clickables.iter().any(|one| one.eq_ignore_ascii_case(label));
            let clicked = action.strip_prefix("click[").and_then(|action| action.strip_suffix(']'));
            let chosen = button && clicked.is_some_and(|clicked| clicked.eq_ignore_ascii_case(label));
            let text = if button { label.to_owned() } else { format!("[{label}]") };
            spans.push(Span { text, button, chosen });
            rest = after;
        }
        if !rest.trim().is_empty() {
            spans.push(plain(rest));
        }
        lines.push(spans);
    }
    lines
}

fn quest((index, quest): (usize, &Value)) -> Quest {
    Quest {
        number: index + 1,
        team: numbers(&quest["team"]).iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
        success: quest["success"].as_bool().unwrap_or_default(),
        fails: quest["fails"].as_u64().unwrap_or_default(),
    }
}

fn numbers(list: &Value) -> Vec<usize> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|number| usize::try_from(number.as_u64()?).ok()).collect()
}

fn player_of(data: &Value, seat: usize, player: usize, name: String) -> Player {
    let all = data["roles"].as_array().and_then(|roles| roles.get(player)).and_then(Value::as_str);
    let own = (player == seat).then(|| data["role"].as_str()).flatten();
    let votes = data["news"].as_array().into_iter().flatten().rfind(|news| news["event"] == "voted");
    Player {
        name,
        role: visible(all.or(own).unwrap_or_default()).into_owned(),
        you: player == seat,
        leads: data["leader"].as_u64() == Some(player as u64),
        on_team: numbers(&data["team"]).contains(&player),
        vote: votes.map(|votes| numbers(&votes["approvals"]).contains(&player)),
    }
}

fn news(data: &Value, seat: usize, name: &impl Fn(usize) -> String) -> Vec<Bubble> {
    let news = data["news"].as_array().into_iter().flatten();
    news.filter(|news| news["event"] == "said").map(|news| bubble(news, "seat", seat, name)).collect()
}

fn bubble(said: &Value, key: &str, seat: usize, name: &impl Fn(usize) -> String) -> Bubble {
    let who = said[key].as_u64().and_then(|who| usize::try_from(who).ok()).unwrap_or(usize::MAX);
    Bubble { who: name(who), mine: who == seat, text: cut(said["text"].as_str().unwrap_or_default(), 2000).0 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_has_its_buttons_and_what_was_clicked() {
        let data = json!({ "page": "item_page", "url": "u", "clickables": ["Buy Now", "red"] });
        let world = draw("color [red][<b>]\n\n[Buy Now]", &data, &Value::Null, 0, &[], "click[buy now]");
        let span = |text: &str, button, chosen| Span { text: text.into(), button, chosen };
        let lines = vec![
            vec![span("color ", false, false), span("red", true, false), span("[<b>]", false, false)],
            vec![span("Buy Now", true, true)],
        ];
        assert_eq!(world, Some(World::Page { name: "item page".into(), url: "u".into(), lines }));
    }

    #[test]
    fn a_table_shows_votes_and_a_dialogue_what_is_new() {
        let names = ["ann".to_owned(), "bob".to_owned()];
        let data = json!({ "players": 2, "quests": [{ "team": [0, 1], "fails": 1, "success": false }], "leader": 1,
            "team": [0], "role": "merlin", "phase": "vote",
            "news": [{ "event": "voted", "approvals": [1] }, { "event": "said", "seat": 1, "text": "hi" }] });
        let Some(World::Table { quests, seats, said, .. }) = draw("", &data, &Value::Null, 0, &names, "")
        else {
            panic!("not a table");
        };
        assert_eq!((quests[0].team.as_str(), quests[0].fails), ("0, 1", 1));
        assert_eq!(
            (seats[0].role.as_str(), seats[0].vote, seats[1].vote),
            ("merlin", Some(false), Some(true))
        );
        assert_eq!(said, [Bubble { who: "bob".into(), mine: false, text: "hi".into() }]);

        let turns =
            |count: usize| json!({ "dialogue": { "turns": vec![json!({ "seat": 0, "text": "x" }); count] } });
        let world = draw("", &turns(3), &turns(2), 0, &names, "");
        let new = Bubble { who: "ann".into(), mine: true, text: "x".into() };
        assert_eq!(world, Some(World::Dialogue { said: vec![new] }));
        assert_eq!(draw("words", &json!({ "other": 1 }), &Value::Null, 0, &names, ""), None);
    }
}
