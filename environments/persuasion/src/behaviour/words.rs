//! The persuader's sentences: states in short, outcomes reached and outcomes imagined, in one style.

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, RngExt};

use super::{
    moves::Move,
    view::{Doubt, Stance, View},
};

/// An outcome, as a persuader tells outcomes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was given.
    Gift,
    /// Nothing was given.
    Nothing,
    /// The persuader spoke to what the donor doubts.
    Met,
    /// The persuader spoke past it.
    Missed,
    /// The donor says that something will be given.
    Agrees,
    /// The donor says no.
    Declines,
    /// The donor has doubts.
    Doubts,
    /// The donor asks for more.
    Curious,
    /// The donor is friendly.
    Warm,
    /// The donor is not moved.
    Cool,
    /// Nothing was said yet.
    Opening,
}

impl Outcome {
    /// Everything that a dialogue under way may come to.
    pub const ALL: [Self; 11] = [
        Self::Gift,
        Self::Nothing,
        Self::Met,
        Self::Missed,
        Self::Agrees,
        Self::Declines,
        Self::Doubts,
        Self::Curious,
        Self::Warm,
        Self::Cool,
        Self::Opening,
    ];

    /// The outcome that the text shows.
    pub fn reached(view: &View) -> Self {
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

    /// The ways to say it.
    pub fn wordings(self) -> &'static [&'static str] {
        match self {
            Self::Gift => &["The donor gives something in the end."],
            Self::Nothing => &["The donor keeps the money and gives nothing."],
            Self::Met => &["The donor's doubt is spoken to."],
            Self::Missed => &["The donor's doubt is left standing."],
            Self::Agrees => &["The donor says yes to a donation."],
            Self::Declines => &["The donor refuses to donate."],
            Self::Doubts => &[
                "The donor doubts that the charity can be trusted.",
                "The donor is sceptical about where the money goes.",
            ],
            Self::Curious => {
                &["The donor is intrigued and wants to learn more.", "The donor asks for more information."]
            }
            Self::Warm => {
                &["The donor is friendly and open to the cause.", "The donor finds the cause a good one."]
            }
            Self::Cool => {
                &["The donor takes it without much interest.", "The donor is not moved by what was said."]
            }
            Self::Opening => {
                &["Nothing has been said yet.", "The talk is about to begin.", "The talk has not begun."]
            }
        }
    }

    /// One way to say it.
    pub fn wording(self, rng: &mut ChaCha8Rng) -> &'static str {
        self.wordings().choose(rng).expect("every outcome has words")
    }
}

/// `count` imagined outcomes, the good ones first, in the order in which they are on a persuader's mind: a doubt that was
/// heard, spoken to or left; the money, given or kept; the word, yes or no; then moods.
pub fn imagine(view: &View, count: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
    let (mut good, mut bad) = (
        vec![Outcome::Gift, Outcome::Agrees, Outcome::Warm, Outcome::Curious],
        vec![Outcome::Nothing, Outcome::Declines, Outcome::Doubts, Outcome::Cool],
    );
    if view.doubt.is_some() {
        good.insert(0, Outcome::Met);
        bad.insert(0, Outcome::Missed);
    }
    let mut side = |outcomes: &[Outcome], wanted: usize| {
        let cycle = outcomes.iter().cycle().take(wanted);
        cycle.map(|outcome| outcome.wording(rng).to_owned()).collect::<Vec<_>>()
    };
    let mut imagined = side(&good, count / 2);
    imagined.extend(side(&bad, count - count / 2));
    imagined
}

/// Where things stand, in few words: what a persuader's next choice may turn on.
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

/// What a mediocre reader takes for a donor's answer: warmer after reasons to give, colder when asked too soon or pressed.
pub fn answer(view: &View, rng: &mut ChaCha8Rng) -> (&'static str, &'static str) {
    let appeals = [Move::Credibility, Move::Emotion, Move::Logic, Move::Story];
    let heard = appeals.into_iter().filter(|made| view.tried(*made) > 0).count() as f64;
    let asked = (view.tried(Move::Propose) + view.tried(Move::Press)) as f64;
    let mood = 0.35 * heard - 0.25 * asked - 0.6 * view.tried(Move::Press) as f64 - 0.3
        + rng.random_range(-1.0..1.0);
    let proposed = matches!(view.moves.last(), Some(Move::Propose | Move::Press | Move::Small));
    let (reply, words): (_, &[&str]) = match mood {
        mood if proposed && mood > 0.4 => (
            "donate",
            &[
                "Yes, I will donate some of it.",
                "Sure, I would be happy to give a little.",
                "All right, I'll give something.",
            ],
        ),
        mood if proposed && mood < -0.9 => (
            "no donation",
            &[
                "No, I'd rather not donate.",
                "Sorry, no. I want to keep my payment.",
                "I am not going to give.",
            ],
        ),
        mood if mood > 0.25 => (
            "positive reaction",
            &[
                "That sounds like a good cause.",
                "It is great that they do that.",
                "I agree, that is important.",
            ],
        ),
        mood if mood < -0.45 => (
            "negative reaction",
            &[
                "I am not sure that the money gets there.",
                "I do not trust such charities.",
                "I need my money myself.",
            ],
        ),
        _ => ("neutral", &["I see.", "What exactly do they do?", "Tell me more about it.", "Hm, okay."]),
    };
    (reply, words.choose(rng).expect("every answer has words"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::view::Side;
    use forethought_sdk::seed;

    #[test]
    fn half_of_the_outcomes_are_good_and_each_is_one_of_the_known() {
        let known = |text: &String| {
            Outcome::ALL.into_iter().find(|one| one.wordings().contains(&text.as_str())).expect("a known one")
        };
        let imagine = |view: &View| -> Vec<_> {
            imagine(view, 4, &mut seed::stream(1, "x")).iter().map(known).collect()
        };
        let mut view = View::default();
        assert_eq!(imagine(&view), [Outcome::Gift, Outcome::Agrees, Outcome::Nothing, Outcome::Declines]);
        view.hear(Side::Donor, "How do I know that it is no scam?");
        assert_eq!(imagine(&view), [Outcome::Met, Outcome::Gift, Outcome::Missed, Outcome::Nothing]);
    }
}
