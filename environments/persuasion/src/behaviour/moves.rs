//! The persuader's strategies: how likely each is to come to mind, its wordings, and what is said to carry it out.

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom, RngExt};
use forethought_sdk::simulated::{self, Worded, worded};

use super::view::{Doubt, Side, Stance, View, says};

worded! {
    /// A strategy for the next utterance.
    pub enum Move {
        /// Be friendly first.
        Greet: ["Open with a friendly greeting.", "I will begin with a greeting and be friendly."],
        /// Ask about charities and giving.
        Inquire: [
            "Ask a question about the donor's own giving.",
            "I should question the donor about charities and giving.",
        ],
        /// Show that the charity can be trusted.
        Credibility: [
            "Show by its record that the charity can be trusted.",
            "I will point to the charity's record, so that it is trusted.",
        ],
        /// Speak of what children suffer.
        Emotion: [
            "Move the donor's feelings with what children suffer.",
            "I will appeal to feelings for suffering children.",
        ],
        /// Reason about what a donation does.
        Logic: [
            "Give reasons: how much a donation does.",
            "I will argue with reasons for what a donation does.",
        ],
        /// Tell of oneself.
        Story: ["Tell a personal story about giving.", "I will share a personal story of why I give."],
        /// Say that very little is enough.
        Small: ["Say that even a few cents help.", "I will lower the bar: even a few cents are welcome."],
        /// Ask for a donation.
        Propose: ["Ask for money right now.", "I will simply ask for money."],
        /// Insist.
        Press: ["Insist that the donor must pay.", "I will insist and put pressure on the donor."],
        /// Thank, acknowledge, chat.
        Thank: ["Thank the donor and chat.", "I will thank the donor and just chat a little."],
        /// In the donor's seat: answer.
        Listen: ["I will see what they have to say."],
    }
}

impl simulated::Move for Move {
    type View = View;

    /// Weights of the strategies that come to mind here. The biases are those of an eager agent.
    fn prior(view: &View) -> Vec<(Self, f64)> {
        if view.side == Side::Donor {
            return vec![(Move::Listen, 1.0)];
        }
        if view.moves.is_empty() {
            return vec![
                (Move::Greet, 0.55),
                (Move::Propose, 0.2),
                (Move::Inquire, 0.15),
                (Move::Emotion, 0.1),
            ];
        }
        let mut prior = vec![
            (Move::Inquire, 0.12),
            (Move::Credibility, 0.08),
            (Move::Emotion, 0.12),
            (Move::Logic, 0.06),
            (Move::Story, 0.06),
            (Move::Small, 0.06),
            (Move::Propose, 0.28),
            (Move::Press, 0.1),
            (Move::Thank, 0.12),
        ];
        let mut more = |wanted: Move, weight: f64| {
            prior.iter_mut().filter(|(one, _)| *one == wanted).for_each(|(_, w)| *w += weight);
        };
        match view.stance() {
            Some(Stance::Doubts) => more(Move::Credibility, 0.05),
            Some(Stance::Asks) => more(Move::Credibility, 0.1),
            Some(Stance::Declines) => more(Move::Press, 0.2),
            Some(Stance::Agrees) => more(Move::Thank, 0.3),
            _ => {}
        }
        if view.late() {
            more(Move::Propose, 0.2);
        }
        prior
    }

    /// A thought of the persuader's own, or one that names an act in brackets.
    fn follow(thought: &str, view: &View) -> Option<Self> {
        match view.side {
            Side::Donor => Some(Self::Listen),
            Side::Persuader => {
                Self::read(thought).filter(|own| *own != Self::Listen).or_else(|| Self::bracketed(thought))
            }
        }
    }

    fn action(self, view: &View, rng: &mut ChaCha8Rng) -> String {
        match self {
            Self::Listen => answer(view, rng),
            _ if view.by_act => format!("[{}]", self.act()),
            _ => self.utterance(view, rng),
        }
    }
}

impl Move {
    /// Its dialogue act, one of the environment's.
    pub fn act(self) -> &'static str {
        match self {
            Self::Greet => "greeting",
            Self::Inquire => "task related inquiry",
            Self::Credibility => "credibility appeal",
            Self::Emotion => "emotion appeal",
            Self::Logic => "logical appeal",
            Self::Propose | Self::Press => "proposition of donation",
            Self::Story | Self::Small | Self::Thank | Self::Listen => "other",
        }
    }

    /// The doubt that it speaks to, if it speaks to one.
    pub fn answers(self) -> Option<Doubt> {
        match self {
            Self::Credibility => Some(Doubt::Trust),
            Self::Emotion | Self::Story => Some(Doubt::Care),
            Self::Logic | Self::Small => Some(Doubt::Use),
            _ => None,
        }
    }

    /// The ways to say it.
    fn utterances(self) -> &'static [&'static str] {
        match self {
            Self::Greet => &[
                "Hello! How are you doing today?",
                "Hi there, nice to meet you. How is your day going?",
                "Good day! I hope you are well.",
                "Hello, it is a pleasure to talk with you.",
            ],
            Self::Inquire => &[
                "Have you ever donated to a charity before?",
                "Do you know the charity Save the Children?",
                "Are you involved with any charity at the moment?",
                "What do you think of organisations that help children?",
                "What kinds of causes do you care about?",
            ],
            Self::Credibility => &[
                "Save the Children is an international non-governmental organisation founded in 1919 that promotes children's \
                 rights and provides relief in more than a hundred countries.",
                "Save the Children publishes its accounts every year, and charity watchdogs rate it highly.",
                "You can trust Save the Children: it is a reputable organisation, and its accounts are public.",
                "Save the Children works with governments and the United Nations and has a long record of getting help to \
                 children.",
            ],
            Self::Emotion => &[
                "Millions of children in Syria have grown up facing the daily threat of violence.",
                "Imagine a little child who goes to bed hungry and frightened because of a war.",
                "It breaks my heart that children are dying of hunger and disease that could be prevented.",
                "Think of how a suffering child feels when somebody finally comes to help.",
            ],
            Self::Logic => &[
                "Your donation will help a child eat, go to school and get medicine; a dollar pays for several meals.",
                "Every dollar makes a difference, because it goes directly to programmes that keep children fed and healthy.",
                "Just a few dollars can pay for a child's medicine, so your money has a large effect.",
                "If everybody gave a dollar, it would make a difference for thousands of children.",
            ],
            Self::Story => &[
                "I donate part of my own payment each time, and it makes me feel good.",
                "When I was a kid, a stranger's donation helped my family through a hard winter.",
                "A friend of mine works as a nurse with refugee children, and I have seen what help means to them.",
            ],
            Self::Small => &[
                "Even a few cents make a difference; every little bit helps.",
                "It does not have to be much: a small donation of ten cents is welcome.",
                "Any small amount helps, even just a tiny part of your payment.",
            ],
            Self::Propose => &[
                "Would you like to donate some of your payment to Save the Children?",
                "How much of your payment would you like to donate?",
                "Would you be willing to make a donation to Save the Children today?",
                "Can I count on you for a donation from your payment?",
            ],
            Self::Press => &[
                "You really have to donate, there is no excuse.",
                "How can you keep the money while children are dying? You should donate all of it.",
                "I will not take no for an answer: you must donate your payment.",
            ],
            Self::Thank => &[
                "Thank you for telling me that.",
                "I see what you mean.",
                "That is nice of you to say.",
                "Thanks for listening to me.",
            ],
            Self::Listen => &[],
        }
    }

    /// The strategy whose act a thought names in brackets.
    pub fn bracketed(thought: &str) -> Option<Self> {
        let act = thought.split_once('[')?.1.split_once(']')?.0.trim();
        if act.eq_ignore_ascii_case("other") {
            return Some(Self::Thank);
        }
        Self::ALL.iter().copied().find(|one| one.act().eq_ignore_ascii_case(act))
    }

    /// The strategy behind an utterance: a reader's guess, by its words.
    pub fn of(utterance: &str) -> Self {
        let text = utterance.to_lowercase().replace('’', "'");
        let says = |words| says(&text, words);
        let asks = text.contains('?');
        match () {
            () if says("have to donate | must donate | no excuse | how can you | should donate all") => {
                Self::Press
            }
            () if asks
                && says("donat | contribut | give")
                && says(
                    "would you | will you | are you willing | how much | can i count | could you | like to",
                )
                && !says("have you ever | before | do you donate") =>
            {
                Self::Propose
            }
            () if says(
                "little bit | few cents | small donation | tiny | small amount | any amount | every penny",
            ) =>
            {
                Self::Small
            }
            () if says(
                "my own | i donate | i have donated | myself | friend of mine | when i was | i've donated",
            ) =>
            {
                Self::Story
            }
            () if says(
                "syria | suffer | dying | hungry | hunger | heart | imagine | violence | poor child | die ",
            ) =>
            {
                Self::Emotion
            }
            () if says(
                "organization | organisation | website | founded | trust | report | rate | non-governmental | 100 countries | hundred countries | record | legit",
            ) && !asks =>
            {
                Self::Credibility
            }
            () if asks
                && says("charit | organi | heard of | know | cause | donat | think | children | kids") =>
            {
                Self::Inquire
            }
            () if says(
                "donation | donat | dollar | percent | help a child | % of | effect | prevent | difference",
            ) =>
            {
                Self::Logic
            }
            () if says(
                "hello | hi  | hi! | hi, | hey | good morning | good day | good evening | how are you",
            ) =>
            {
                Self::Greet
            }
            () => Self::Thank,
        }
    }

    /// Words that carry it out; words that were not said before, if there are any.
    pub fn utterance(self, view: &View, rng: &mut ChaCha8Rng) -> String {
        let all = self.utterances();
        let fresh: Vec<&str> =
            all.iter().copied().filter(|text| !view.said.iter().any(|said| said == text)).collect();
        let pool = if fresh.is_empty() { all } else { &fresh };
        (*pool.choose(rng).expect("every strategy has words")).to_owned()
    }
}

/// A mediocre reader's idea of a donor's answer: a sum for the closing question, else words, with a label if the prompt
/// asks for one.
fn answer(view: &View, rng: &mut ChaCha8Rng) -> String {
    let (reaction, words) = react(view, rng);
    if view.closing {
        let sum = match reaction {
            "donate" | "positive reaction" => rng.random_range(1..=8) as f64 * 0.25,
            "neutral" if rng.random::<f64>() < 0.5 => 0.25,
            _ => 0.0,
        };
        return format!("[DONATE ${sum:.2}]");
    }
    if view.labelled { format!("[{reaction}] {words}") } else { words.to_owned() }
}

/// A reaction, and words for it: warmer after reasons to give, colder when asked too soon or pressed.
fn react(view: &View, rng: &mut ChaCha8Rng) -> (&'static str, &'static str) {
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

    #[test]
    fn every_wording_names_one_strategy_and_every_utterance_sounds_like_its_own() {
        forethought_testkit::wordings_are_read_back::<Move>();
        for &candidate in Move::ALL {
            for utterance in candidate.utterances() {
                assert_eq!(Move::of(utterance), candidate, "{utterance}");
            }
        }
    }

    #[test]
    fn acts_are_read_in_brackets() {
        assert_eq!(Move::bracketed("[emotion appeal] Move the donor's feelings."), Some(Move::Emotion));
        assert_eq!(Move::bracketed("Derived: [other] Thank."), Some(Move::Thank));
        assert_eq!(Move::bracketed("Sing a song."), None);
    }
}
