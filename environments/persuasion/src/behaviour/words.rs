//! The persuader's sentences: summaries of states, outcomes reached and outcomes imagined, in one style.

use forethought_sdk::seed::ChaCha8Rng;
use forethought_sdk::simulated::{self, worded};

use super::{
    moves::Move,
    view::{Doubt, Stance, View},
};

worded! {
    /// An outcome, as a persuader tells outcomes apart.
    pub enum Outcome {
        /// Something was given.
        Gift: ["The donor gives something in the end."],
        /// Nothing was given.
        Nothing: ["The donor keeps the money and gives nothing."],
        /// The persuader spoke to what the donor doubts.
        Met: ["The donor's doubt is spoken to."],
        /// The persuader spoke past it.
        Missed: ["The donor's doubt is left standing."],
        /// The donor says that something will be given.
        Agrees: ["The donor says yes to a donation."],
        /// The donor says no.
        Declines: ["The donor refuses to donate."],
        /// The donor has doubts.
        Doubts: [
            "The donor doubts that the charity can be trusted.",
            "The donor is sceptical about where the money goes.",
        ],
        /// The donor asks for more.
        Curious: ["The donor is intrigued and wants to learn more.", "The donor asks for more information."],
        /// The donor is friendly.
        Warm: ["The donor is friendly and open to the cause.", "The donor finds the cause a good one."],
        /// The donor is not moved.
        Cool: ["The donor takes it without much interest.", "The donor is not moved by what was said."],
        /// Nothing was said yet.
        Opening: [
            "Nothing has been said yet.",
            "The talk is about to begin.",
            "The talk has not begun.",
        ],
    }
}

impl simulated::Outcome for Outcome {
    type View = View;

    fn reached(view: &View) -> Self {
        match (view.given, view.stance()) {
            (Some(given), _) if given > 0.0 => Self::Gift,
            (Some(_), _) => Self::Nothing,
            _ if view.met == Some(true) => Self::Met,
            _ if view.met == Some(false) => Self::Missed,
            (_, None) => Self::Opening,
            (_, Some(Stance::Agrees)) => Self::Agrees,
            (_, Some(Stance::Declines)) => Self::Declines,
            (_, Some(Stance::Doubts)) => Self::Doubts,
            (_, Some(Stance::Asks)) => Self::Curious,
            (_, Some(Stance::Warm)) => Self::Warm,
            (_, Some(Stance::Neutral)) => Self::Cool,
        }
    }

    /// What a persuader hopes for and fears: a doubt that was heard, answered or left; the money, given or kept; the
    /// word, yes or no; then moods.
    fn imagine(view: &View, _: &mut ChaCha8Rng) -> [Vec<Self>; 2] {
        let (mut good, mut bad) = (
            vec![Self::Gift, Self::Agrees, Self::Warm, Self::Curious],
            vec![Self::Nothing, Self::Declines, Self::Doubts, Self::Cool],
        );
        if view.doubt.is_some() {
            good.insert(0, Self::Met);
            bad.insert(0, Self::Missed);
        }
        [good, bad]
    }
}

/// A summary of the state: what a persuader's next choice may depend on.
pub fn state(view: &View) -> String {
    let mut parts = Vec::new();
    parts.push(match (view.given, view.moves.len()) {
        (Some(given), _) => format!("The donor gave ${given:.2}."),
        (None, 0) => "The talk begins.".to_owned(),
        (None, _) if view.late() => "Near the end.".to_owned(),
        (None, 1..=3) => "Early in the talk.".to_owned(),
        (None, _) => "Midway.".to_owned(),
    });
    if let Some(stance) = view.stance() {
        let sounds = match stance {
            Stance::Agrees => "agrees",
            Stance::Declines => "refuses",
            Stance::Doubts => "doubts",
            Stance::Asks => "asks",
            Stance::Warm => "is friendly",
            Stance::Neutral => "shows little interest",
        };
        parts.push(format!("The donor {sounds}."));
        let ever = |wanted| view.stances.contains(&wanted);
        match (ever(Stance::Agrees), ever(Stance::Declines)) {
            (true, true) => parts.push("Said both yes and no.".into()),
            (true, false) => parts.push("Said yes before.".into()),
            (false, true) => parts.push("Said no before.".into()),
            (false, false) => {}
        }
        if let Some(doubt) = view.doubt {
            let holds_back = match doubt {
                Doubt::Trust => "distrust",
                Doubt::Care => "indifference",
                Doubt::Use => "uselessness",
            };
            let answered = match view.moves.iter().filter(|made| made.answers() == Some(doubt)).count() {
                0 => "not answered",
                1 => "answered once",
                _ => "answered repeatedly",
            };
            parts.push(format!("Held back by {holds_back}: {holds_back} {answered}."));
        }
    }
    let names = [
        (Move::Inquire, "questions"),
        (Move::Credibility, "trust"),
        (Move::Emotion, "feelings"),
        (Move::Logic, "reasons"),
        (Move::Story, "a story"),
        (Move::Small, "small sums"),
        (Move::Propose, "asking"),
        (Move::Press, "pressure"),
    ];
    let tried: Vec<_> =
        names.iter().filter(|(made, _)| view.tried(*made) > 0).map(|(_, name)| *name).collect();
    if !tried.is_empty() {
        parts.push(format!("Tried: {}.", tried.join(", ")));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use forethought_sdk::seed::stream;

    use super::*;
    use crate::behaviour::view::Side;

    #[test]
    fn a_doubt_comes_first() {
        let mut view = View::default();
        let first = |view: &View| {
            simulated::Outcome::imagine(view, &mut stream(1, "x")).map(|outcomes: Vec<Outcome>| outcomes[0])
        };
        assert_eq!(first(&view), [Outcome::Gift, Outcome::Nothing]);
        view.hear(Side::Donor, "How do I know that it is no scam?");
        assert_eq!(first(&view), [Outcome::Met, Outcome::Missed]);
    }
}
