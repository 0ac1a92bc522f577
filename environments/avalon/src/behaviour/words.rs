//! The player's sentences: summaries of states, outcomes reached and outcomes imagined, in one style.

use forethought_sdk::seed::ChaCha8Rng;
use forethought_sdk::simulated::{self, worded};

use super::view::{News, View};
use crate::grammar::Ask;
use crate::role::{Role, Side};
use crate::rules::{self, PROPOSALS};
use crate::seats::Seats;

worded! {
    /// An outcome, as a player tells outcomes apart.
    pub enum Outcome {
        /// Good wins.
        GoodWins: [
            "Three quests succeed, Merlin stays hidden, and Good wins.",
            "Good wins, for the Assassin names the wrong player.",
            "The Assassin misses Merlin after three quests, so Good wins.",
        ],
        /// Evil wins by naming Merlin.
        MerlinFound: [
            "Merlin is killed by the Assassin, and Evil wins.",
            "The Assassin knows who Merlin is, and Good loses.",
            "Merlin is found out and killed, so all is lost.",
        ],
        /// Evil wins by three failed quests.
        MissionsLost: [
            "Three quests fail, and Evil wins.",
            "Evil wins by a third failed quest.",
            "The third quest fails, so Good loses.",
        ],
        /// Evil wins by five rejections.
        Deadlock: [
            "Five teams in a row fail in the vote, and Evil wins.",
            "No team finds a majority five times, so Good loses.",
        ],
        /// A quest succeeded.
        Succeeded: ["The quest succeeds."],
        /// A quest failed.
        Failed: ["The quest fails."],
        /// A team was rejected.
        Rejected: ["The team is rejected."],
        /// A team goes on its quest.
        Approved: ["The team is approved and goes on its quest.", "A majority sends the team on its quest."],
        /// Talk goes on.
        Talk: [
            "The talk goes on.",
            "Nothing is decided yet.",
            "The players are still talking.",
        ],
    }
}

/// Members of the proposed team that the player knows or believes to be evil, except itself.
fn doubted(view: &View) -> Seats {
    let known = view.known_evil();
    let suspects = if known.is_empty() && view.role != Role::Merlin { view.tainted() } else { known };
    (view.team & suspects) - Seats::one(view.me)
}

impl simulated::Outcome for Outcome {
    type View = View;

    fn reached(view: &View) -> Self {
        match view.outcome {
            Some(rules::Outcome::Good) => Self::GoodWins,
            Some(rules::Outcome::Assassination) => Self::MerlinFound,
            Some(rules::Outcome::Missions) => Self::MissionsLost,
            Some(rules::Outcome::Rejections) => Self::Deadlock,
            None => match view.news {
                News::Succeeded => Self::Succeeded,
                News::Failed => Self::Failed,
                News::Approved => Self::Approved,
                News::Rejected => Self::Rejected,
                News::Proposed | News::Talk => Self::Talk,
            },
        }
    }

    /// What the player's side may hope for and fear from here, the nearest first.
    fn imagine(view: &View, _: &mut ChaCha8Rng) -> [Vec<Self>; 2] {
        let (light, dark) = match view.ask {
            // Words betray the speaker long before they win a quest.
            Some(Ask::Say) => {
                (vec![Self::GoodWins, Self::Succeeded], vec![Self::MerlinFound, Self::MissionsLost])
            }
            Some(Ask::Assassinate) => (vec![Self::GoodWins], vec![Self::MerlinFound]),
            // A doubtful team had better not go.
            Some(Ask::Vote) if !doubted(view).is_empty() => {
                (vec![Self::Rejected, Self::GoodWins], vec![Self::Failed, Self::MissionsLost])
            }
            _ => (vec![Self::Succeeded, Self::GoodWins], vec![Self::Failed, Self::MissionsLost]),
        };
        if view.side() == Side::Good { [light, dark] } else { [dark, light] }
    }
}

/// A summary of the state.
pub fn state(view: &View) -> String {
    let mut parts = vec![format!("I am {}.", view.role.title())];
    parts.push(format!("Quests: {} succeeded, {} failed.", number(view.succeeded()), number(view.failed())));
    if let Some(outcome) = view.outcome {
        parts.push(match outcome.winner() {
            Side::Good => "The game is over and Good has won.".to_owned(),
            Side::Evil => "The game is over and Evil has won.".to_owned(),
        });
        return parts.join(" ");
    }
    parts.push(match view.ask {
        Some(Ask::Say) => "It is my turn to speak.".to_owned(),
        Some(Ask::Propose) => format!("I propose a team of {}.", number(view.size)),
        Some(Ask::Vote) => format!("To vote on a team. {}", team(view)),
        Some(Ask::Quest) => format!("On the quest. {}", team(view)),
        Some(Ask::Assassinate) => "I name Merlin now.".to_owned(),
        Some(Ask::Deduce) => "I say who is good.".to_owned(),
        None => "Waiting.".to_owned(),
    });
    if view.proposal >= PROPOSALS {
        parts.push("This is the last proposal for the quest.".to_owned());
    }
    if view.side() == Side::Good && !view.evil.is_empty() {
        parts.push(format!("My words show {} of what I know.", much(view.right_words(view.me, view.evil))));
        parts.push(format!("My votes show {} of it.", much(view.right_votes(view.me, view.evil))));
        let shown = |seat: usize| view.right_words(seat, view.evil) + view.right_votes(seat, view.evil);
        let others = Seats::all(view.players) - view.evil - Seats::one(view.me);
        let ahead = others.iter().map(shown).max().unwrap_or_default() - shown(view.me);
        parts.push(
            match ahead {
                1.. => "Somebody else good looks better informed than me.",
                0 => "Somebody else good looks as well informed as me.",
                _ => "I look better informed than anybody else.",
            }
            .to_owned(),
        );
    }
    parts.join(" ")
}

/// What a player sees in the team on the table.
fn team(view: &View) -> String {
    let own = if view.team.contains(view.me) { "I am on it." } else { "I am not on it." };
    let informed = !view.known_evil().is_empty() || view.role == Role::Merlin;
    let others = match (informed, doubted(view).len()) {
        (true, 0) => "Nobody evil is on it that I know.",
        (true, 1) => "One evil player is on it that I know.",
        (true, _) => "Several evil players are on it that I know.",
        (false, 0) => "Nobody on it was on a failed quest.",
        (false, 1) => "One member was on a failed quest.",
        (false, _) => "Several members were on a failed quest.",
    };
    format!("{others} {own}")
}

fn number(count: usize) -> &'static str {
    ["none", "one", "two", "three", "four", "five"].get(count).copied().unwrap_or("many")
}

fn much(balance: i32) -> &'static str {
    match balance {
        ..=-2 => "the very opposite",
        -1 => "rather the opposite",
        0 => "nothing",
        1 => "a little",
        2 => "much",
        _ => "nearly all",
    }
}
