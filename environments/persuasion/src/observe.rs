//! What a seat is shown: the instructions, and at each turn who it is, what it heard, and what is asked of it.
//!
//! The second seat's data have a `token`, a number that identifies its person. A planner keeps nothing between
//! decisions: it derives the person's traits from the token, and so is the same person throughout an episode. The first
//! seat never sees it.

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, json};

use crate::dialogue::{Dialogue, Utterance};
use crate::script::{End, Outcome, Script};

/// The start of the instructions, before the title: readers of a prompt recognise a dialogue by it.
pub const INSTRUCTIONS_OPENING: &str = "You are in a dialogue: ";

/// The instructions of both seats.
pub fn instructions(script: &Script) -> String {
    let turns = script.turns;
    let end = match script.outcome {
        Outcome::Gift => format!(
            "After them the {} is asked how much to give; [{} $x] in an utterance of the {} gives $x and ends the dialogue at once.",
            script.second.name, script.tag, script.second.name
        ),
        Outcome::Reply => {
            format!("The dialogue ends when the {} decides, or after the last turn.", script.second.name)
        }
        Outcome::Deal => {
            "The dialogue ends with a deal, when one side walks away, or after the last turn.".into()
        }
    };
    format!(
        "{INSTRUCTIONS_OPENING}{}.\nYou speak in turn, {turns} turns at most. {end}\nEach action is what you say, one \
         utterance in plain words.",
        script.title
    )
}

/// What `seat` sees now.
pub fn observation(dialogue: &Dialogue, seat: usize) -> Observation {
    Observation { text: text(dialogue, seat), data: data(dialogue, seat) }
}

fn text(dialogue: &Dialogue, seat: usize) -> String {
    let script = dialogue.script();
    let mut lines = vec![format!("[You] {}", fill(dialogue, seat, &script.party(seat).brief))];
    let since = dialogue.utterances().iter().rposition(|said| said.seat == seat).map_or(0, |last| last + 1);
    let heard = dialogue.utterances()[since..].iter().map(|said| line(script, said));
    match dialogue.ended() {
        None if dialogue.closing() => {
            lines.extend(heard);
            lines.push(format!("[Closing question] {}", script.closing));
            lines.push(format!("Answer in plain words that name the sum, or with [{} $x].", script.tag));
        }
        None => {
            lines.push(format!("[Turn {} of {}]", dialogue.turn(), script.turns));
            // A configured opening is the first seat's own words, which are nowhere else in its history.
            let opened = seat == 0 && since == 1 && !script.opening.trim().is_empty();
            let own = dialogue.utterances().iter().take(usize::from(opened));
            lines.extend(own.map(|said| line(script, said)));
            lines.extend(heard);
            if seat == dialogue.seat() {
                lines.extend(dialogue.notice(seat).map(|notice| format!("[Refused] {notice}")));
            }
            lines.push(format!("[Your turn] {}", script.party(seat).ask));
            if seat == 1 && script.outcome == Outcome::Reply {
                let names: Vec<_> = script.replies.iter().map(|reply| format!("[{}]", reply.name)).collect();
                lines.push(format!("Begin with how you take what was said, one of {}.", names.join(", ")));
            }
        }
        Some(_) => {
            lines.extend(heard);
            lines.push(end(dialogue));
        }
    }
    lines.join("\n")
}

/// How the dialogue ended, as both seats see it.
fn end(dialogue: &Dialogue) -> String {
    let (script, ended) = (dialogue.script(), dialogue.ended());
    let said = ended.map_or("", |ended| match ended.by {
        End::Agreement => &script.ends.agreement,
        End::Refusal => &script.ends.refusal,
        End::Length => &script.ends.length,
    });
    format!("[End] {}", said.replace("{amount}", &format!("{:.2}", ended.map_or(0.0, |ended| ended.amount))))
}

fn line(script: &Script, said: &Utterance) -> String {
    let text = if said.text.is_empty() { "(says nothing)" } else { &said.text };
    format!("{}: {text}", script.party(said.seat).label)
}

/// The text, filled in with what this seat knows of the listing.
fn fill(dialogue: &Dialogue, seat: usize, text: &str) -> String {
    let Some(listing) = dialogue.listing() else { return text.to_owned() };
    text.replace("{item}", &listing.item)
        .replace("{price}", &format!("{:.2}", listing.price))
        .replace("{limit}", &format!("{:.2}", listing.limits[seat]))
}

fn data(dialogue: &Dialogue, seat: usize) -> Value {
    let script = dialogue.script();
    let turns: Vec<_> =
        dialogue.utterances().iter().map(|said| json!({ "seat": said.seat, "text": said.text })).collect();
    let mut data = json!({ "dialogue": {
        "acts": script.acts,
        "first_acts": script.first_acts,
        "replies": script.replies.iter().map(|reply| json!({ "name": reply.name, "value": reply.value })).collect::<Vec<_>>(),
        "labelled": script.outcome == Outcome::Reply,
        "turns": turns,
        "turn": dialogue.turn(),
        "limit": script.turns,
        "closing": dialogue.closing(),
        "question": script.question,
        "partner": script.party(1 - seat).seen_as,
    } });
    if let Some(listing) = dialogue.listing() {
        data["deal"] = json!({
            "item": listing.item, "price": listing.price, "limit": listing.limits[seat], "offers": dialogue.offers(),
        });
    }
    if script.outcome == Outcome::Gift {
        data["gift"] = json!({ "maximum": script.maximum, "tag": script.tag });
    }
    if seat == dialogue.seat()
        && let Some(notice) = dialogue.notice(seat)
    {
        data["refused"] = notice.into();
    }
    if seat == 1 {
        data["token"] = dialogue.token().into();
    }
    data
}

/// What each seat sees at the end, for trajectories.
pub fn ends(dialogue: &Dialogue) -> [String; 2] {
    [0, 1].map(|seat| text(dialogue, seat))
}
