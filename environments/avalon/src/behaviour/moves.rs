//! The player's strategies: how likely each is to come to mind, its wordings, and the move that carries it out.

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, SliceRandom};
use forethought_sdk::simulated::{self, Worded, worded};

use super::view::View;
use crate::grammar::{Ask, Move};
use crate::role::{Role, Side};
use crate::seats::Seats;

worded! {
    /// A strategy for the move that is asked for.
    pub enum Plan {
        /// Say plainly who is evil.
        Accuse: [
            "Tell everybody plainly who is evil.",
            "I will accuse an evil player openly, so that nobody takes them along.",
            "The others must know now: name an evil player.",
        ],
        /// Say who gives a bad feeling.
        Hint: [
            "Hint that I have a bad feeling about somebody.",
            "Drop a careful doubt without saying what I know.",
        ],
        /// Speak for somebody.
        Vouch: [
            "Speak up for a player whom I trust.",
            "I will tell the others whom to take along.",
            "Name somebody good, so that the leader picks them.",
        ],
        /// Blame somebody who is, for all that is known, good.
        Deflect: [
            "Cast doubt on somebody else to draw attention away.",
            "Blame a player who has probably done nothing, as one who knows nothing would.",
        ],
        /// Speak for somebody known to be evil.
        Flatter: [
            "Praise an evil player, so that nobody takes me for one who knows.",
            "Speak up for my enemies as if I trusted them.",
        ],
        /// Say nothing that matters.
        Blend: [
            "Say something harmless and stay in the background.",
            "Keep a low profile: a few friendly words will do.",
            "I would rather listen than talk, so say nothing that matters.",
        ],
        /// Propose those who seem good.
        Clean: [
            "Propose a team of players who are surely good.",
            "Only trustworthy players should go, so propose those.",
            "Put together a team without anybody evil.",
        ],
        /// Propose those who have been on a quest that succeeded.
        Tested: [
            "Stick to players who have been on a quest that succeeded.",
            "Propose the team that has worked before, as far as it goes.",
        ],
        /// Propose somebody known to be evil among others, so as to look ignorant.
        Mixed: [
            "Take an evil player along, so that nobody suspects what I know.",
            "Hide what I know behind a team that is not all good.",
        ],
        /// Propose oneself and anybody else.
        Own: ["Propose myself and whoever comes next.", "I go myself and pick the others by feeling."],
        /// Propose oneself and an evil partner.
        Partner: [
            "Go together with my partner and be sure of the quest.",
            "Propose my partner and me; nobody will notice.",
        ],
        /// Approve of a team that seems good.
        Trust: [
            "This team looks fine to me, so approve it.",
            "I see nothing against this team; approve.",
            "Let this team go and see what happens.",
        ],
        /// Approve for the sake of going along.
        Follow: [
            "Approve it like the others, so as not to stand out.",
            "Go along with the leader and keep quiet about doubts.",
        ],
        /// Reject a team for somebody on it.
        Against: [
            "Somebody evil is on this team, so reject it.",
            "I do not trust a member of this team; vote against it.",
            "This team must not go: reject it.",
        ],
        /// Reject a team for no good reason.
        Impatient: [
            "I would rather have another team, so reject this one.",
            "Reject it and wait for a better leader.",
        ],
        /// Approve of a team for the evil on it.
        Ours: ["One of us is on the team, so approve it.", "This team suits my side; approve."],
        /// Play a pass.
        Pass: ["Play a pass, as everybody good does.", "The quest must succeed, so pass."],
        /// Play a fail.
        Fail: [
            "Fail the quest right now.",
            "Play a fail; the sooner three quests fail, the better.",
            "Sabotage this quest.",
        ],
        /// Being evil, play a pass.
        Wait: ["Pass this time to be trusted later.", "It is too early to fail; play a pass."],
        /// Name who has accused most.
        Outspoken: [
            "Whoever accused us most openly must be Merlin.",
            "Merlin talks as if he knew: name the loudest accuser.",
        ],
        /// Name who has voted most against teams with evil members.
        Opposed: [
            "Whoever always voted against our teams must be Merlin.",
            "Name the player who never let one of us through.",
        ],
        /// Name anybody.
        Guess: ["Just guess who Merlin is.", "There is no telling, so name anybody."],
        /// Take for good all who seem so.
        Judge: ["Everybody is good whom I have no reason to doubt.", "Doubt only whom I have seen fail."],
        /// Take for good all who were on a quest that succeeded.
        Credit: ["Only those who have won a quest are good.", "Trust whoever came back with a success."],
    }
}

use Plan::*;

impl simulated::Move for Plan {
    type View = View;

    /// Weights of the strategies that come to mind here.
    fn prior(view: &View) -> Vec<(Self, f64)> {
        let merlin = view.role == Role::Merlin;
        let with_evil = !(view.team & view.known_evil()).is_empty();
        match (view.ask, view.side()) {
            // Merlin cannot keep the secret, and a Servant takes people at their word.
            (Some(Ask::Say), Side::Good) if merlin => {
                vec![
                    (Accuse, 0.25),
                    (Hint, 0.15),
                    (Vouch, 0.1),
                    (Deflect, 0.15),
                    (Flatter, 0.05),
                    (Blend, 0.3),
                ]
            }
            (Some(Ask::Say), Side::Good) => vec![(Blend, 0.45), (Vouch, 0.3), (Hint, 0.15), (Accuse, 0.1)],
            (Some(Ask::Say), Side::Evil) => vec![(Blend, 0.45), (Deflect, 0.4), (Vouch, 0.15)],
            (Some(Ask::Propose), Side::Good) if merlin => {
                vec![(Clean, 0.45), (Tested, 0.15), (Own, 0.2), (Mixed, 0.2)]
            }
            (Some(Ask::Propose), Side::Good) => vec![(Tested, 0.4), (Own, 0.4), (Clean, 0.2)],
            (Some(Ask::Propose), Side::Evil) if view.evil.is_empty() => vec![(Own, 0.8), (Tested, 0.2)],
            (Some(Ask::Propose), Side::Evil) => vec![(Own, 0.6), (Partner, 0.25), (Tested, 0.15)],
            (Some(Ask::Vote), Side::Good) if merlin && with_evil => {
                vec![(Against, 0.5), (Trust, 0.2), (Follow, 0.15), (Impatient, 0.15)]
            }
            (Some(Ask::Vote), Side::Good) => {
                let doubt = if (view.team & view.tainted()).is_empty() { 0.05 } else { 0.25 };
                vec![(Trust, 0.5), (Follow, 0.2), (Impatient, 0.15), (Against, doubt)]
            }
            (Some(Ask::Vote), Side::Evil) if with_evil => vec![(Ours, 0.7), (Trust, 0.15), (Impatient, 0.15)],
            (Some(Ask::Vote), Side::Evil) => vec![(Impatient, 0.5), (Follow, 0.3), (Trust, 0.2)],
            // Evil cannot wait.
            (Some(Ask::Quest), Side::Evil) => vec![(Fail, 0.75), (Wait, 0.25)],
            (Some(Ask::Assassinate), _) => vec![(Outspoken, 0.45), (Opposed, 0.2), (Guess, 0.35)],
            (Some(Ask::Deduce), _) => vec![(Judge, 0.7), (Credit, 0.3)],
            (Some(Ask::Quest), Side::Good) => vec![(Pass, 1.0)],
            // The game is over; this is not acted on.
            (None, _) => vec![(Blend, 1.0)],
        }
    }

    /// A thought of the player's own, if it answers what is asked.
    fn follow(thought: &str, view: &View) -> Option<Self> {
        Self::read(thought).filter(|plan| Some(plan.answers()) == view.ask)
    }

    fn action(self, view: &View, rng: &mut ChaCha8Rng) -> String {
        let others = Seats::all(view.players) - Seats::one(view.me);
        let evil = view.known_evil();
        let made = match self {
            Accuse => Move::Say(match pick(&[suspects(view), others], rng) {
                Some(seat) => format!("Player {seat} is evil. Do not take Player {seat} along."),
                None => HARMLESS[0].into(),
            }),
            Hint => Move::Say(match pick(&[suspects(view), others], rng) {
                Some(seat) => format!("I am not quite sure about Player {seat}."),
                None => HARMLESS[0].into(),
            }),
            Vouch => Move::Say(match pick(&[trusted(view) - Seats::one(view.me), others - evil], rng) {
                Some(seat) => format!("I trust Player {seat}; take Player {seat} along."),
                None => HARMLESS[0].into(),
            }),
            Deflect => Move::Say(match pick(&[(others - evil) & view.tainted(), others - evil], rng) {
                Some(seat) => format!("I suspect Player {seat}."),
                None => HARMLESS[0].into(),
            }),
            Flatter => Move::Say(match pick(&[view.evil, others], rng) {
                Some(seat) => format!("I trust Player {seat}."),
                None => HARMLESS[0].into(),
            }),
            Blend => Move::Say((*HARMLESS.choose(rng).expect("there are words")).into()),
            Clean => propose(view, &[trusted(view), others - suspects(view)], rng),
            Tested => propose(view, &[view.tested().unwrap_or_default() - view.evil], rng),
            Mixed => propose(view, &[Seats::one(view.me), one_of(view.evil, rng), trusted(view)], rng),
            // Evil spreads out; others who choose by feeling forget what they know.
            Own if view.side() == Side::Evil => propose(view, &[Seats::one(view.me), others - evil], rng),
            Own => propose(view, &[Seats::one(view.me)], rng),
            Partner => propose(view, &[Seats::one(view.me), one_of(view.evil, rng)], rng),
            Trust | Follow | Ours => Move::Vote(true),
            Against | Impatient => Move::Vote(false),
            Pass | Wait => Move::Quest(true),
            Fail => Move::Quest(false),
            Outspoken => Move::Assassinate(most(others - evil, rng, |seat| view.accusations(seat, evil))),
            Opposed => Move::Assassinate(most(others - evil, rng, |seat| view.rejections(seat, evil))),
            Guess => Move::Assassinate(most(others - evil, rng, |_| 0)),
            Judge => Move::Believe(Seats::all(view.players) - suspects(view) - evil),
            Credit => Move::Believe((trusted(view) | Seats::one(view.me)) - evil),
        };
        made.to_string()
    }
}

impl Plan {
    /// What it is an answer to.
    pub fn answers(self) -> Ask {
        match self {
            Accuse | Hint | Vouch | Deflect | Flatter | Blend => Ask::Say,
            Clean | Tested | Mixed | Own | Partner => Ask::Propose,
            Trust | Follow | Against | Impatient | Ours => Ask::Vote,
            Pass | Fail | Wait => Ask::Quest,
            Outspoken | Opposed | Guess => Ask::Assassinate,
            Judge | Credit => Ask::Deduce,
        }
    }
}

const HARMLESS: [&str; 4] = [
    "Let us see how the vote goes.",
    "I have nothing to add for now.",
    "I am good, and I will watch closely.",
    "Let us keep calm and look at the results.",
];

/// Who seems evil: those the reader knows to be evil, or else those who were on a quest that failed.
fn suspects(view: &View) -> Seats {
    if view.side() == Side::Good && view.evil.is_empty() { view.tainted() } else { view.evil }
}

/// Who seems good: for Merlin, all who are not known to be evil; for others, those whose quests all succeeded.
fn trusted(view: &View) -> Seats {
    let me = Seats::one(view.me);
    match view.role {
        Role::Merlin => Seats::all(view.players) - view.evil,
        _ => me | (view.tested().unwrap_or_default() - view.tainted()) | view.merlins,
    }
}

/// One seat of the first set that is not empty.
fn pick(sets: &[Seats], rng: &mut ChaCha8Rng) -> Option<usize> {
    sets.iter()
        .find(|set| !set.is_empty())
        .and_then(|set| set.iter().collect::<Vec<_>>().choose(rng).copied())
}

fn one_of(set: Seats, rng: &mut ChaCha8Rng) -> Seats {
    pick(&[set], rng).into_iter().collect()
}

/// A team of the size that is asked for: from the first set as far as it goes, then the next, at last from all.
fn propose(view: &View, sets: &[Seats], rng: &mut ChaCha8Rng) -> Move {
    let mut team = Seats::NONE;
    for set in sets.iter().copied().chain([Seats::all(view.players)]) {
        // The reader goes along wherever it can: it is the only one to rely on.
        let own = set & Seats::one(view.me);
        let mut left: Vec<usize> = (set - team - own).iter().collect();
        left.shuffle(rng);
        for seat in own.iter().chain(left) {
            if team.len() < view.size {
                team = team | Seats::one(seat);
            }
        }
    }
    Move::Propose(team)
}

/// The seat with the highest score; one of them, drawn, if several are equal.
fn most(seats: Seats, rng: &mut ChaCha8Rng, score: impl Fn(usize) -> usize) -> usize {
    let best = seats.iter().map(&score).max().unwrap_or_default();
    pick(&[seats.iter().filter(|seat| score(*seat) == best).collect()], rng).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wording_names_one_strategy() {
        forethought_testkit::wordings_are_read_back::<Plan>();
    }
}
