//! What a reader makes of a dialogue: who said what, how the donor takes it, what was tried already.

use super::moves::Move;

/// How the donor sounds in an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// Will give.
    Agrees,
    /// Will not.
    Declines,
    /// Has doubts.
    Doubts,
    /// Wants to know more.
    Asks,
    /// Is friendly about it.
    Warm,
    /// None of these.
    Neutral,
}

// The parts between bars are searched for in lower-case text.
const AGREES: &str = "i will donate | i'll donate | i will give | i'll give | like to donate | like to give | want to \
     donate | happy to donate | happy to give | glad to give | i can donate | i can give | could donate | \
     could give | willing to donate | willing to give | willing to contribute | count me in | of course | \
     [donate $ | yes i will | yes, i will | yes i would | yes, i would | i am willing | i'm willing | \
     sure, i | i'm in";
const DECLINES: &str = "not interested | won't donate | won't give | will not donate | will not give | no thank | no, thank \
     | not going to | rather not | can't afford | cannot afford | not able to | can't donate | cannot \
     donate | can't give | cannot give | i'll pass | i will pass | not donate | don't want to | do not \
     want to | not today | not right now | keep my | keep the | not willing | sorry, no | donate $0 | \
     give nothing | not be able | unfortunately | i don't think so | no, i | i need the money | i need it \
     myself";
const DOUBTS: [(Doubt, &str); 3] = [
    (
        Doubt::Trust,
        "scam | trust | skeptic | sceptic | how do i know | overhead | corrupt | really go | actually go | \
     where does the money | where the money | suspicious | legit | ceo | salar | pocket | honest | gets \
     there | never heard of | who runs | do not know | publish | look them up | who gets | cannot check",
    ),
    (
        Doubt::Care,
        "why should | own problems | far away | don't care | do not care | why would i | closer to home | own \
     country | concern | matter to me | mean to me | touch me | moves me | feel for | how i feel | going \
     through | made you care | who are the children | need everywhere",
    ),
    (
        Doubt::Use,
        "so little | small sum | few cents | a drop | make a difference | change a | what good | of use | of \
     any use | waste | too many | really help | how does it help | what it brings | worth it | achieve | \
     solves | with a donation | too little",
    ),
];
const UNSURE: &str = "not sure | unsure | doubt | hesitant | convince | don't know if | do not know if";
const WARM: &str = "great | good | wonderful | nice | agree | amazing | awesome | important | love | thank | true | glad \
     | interesting | makes sense | noble | worthy | yes | sure | admire | touching | moved";

/// Whether the text, in lower case, has one of these words.
pub(super) fn says(text: &str, words: &str) -> bool {
    words.split(" | ").any(|word| text.contains(word))
}

impl Stance {
    /// How an utterance sounds: a reader's first impression, by its words.
    pub fn of(text: &str) -> Self {
        let text = text.to_lowercase().replace('’', "'");
        let says = |words| says(&text, words);
        match () {
            () if says(DECLINES) => Self::Declines,
            () if says(AGREES) => Self::Agrees,
            () if says(UNSURE) || Doubt::of(&text).is_some() => Self::Doubts,
            () if text.contains('?') => Self::Asks,
            () if says(WARM) => Self::Warm,
            () => Self::Neutral,
        }
    }
}

/// What a donor doubts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// That the charity can be trusted.
    Trust,
    /// That it is any concern of one's own.
    Care,
    /// That a gift is of any use.
    Use,
}

impl Doubt {
    /// What an utterance seems to doubt or ask about, if anything.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.to_lowercase().replace('’', "'");
        let voiced = |(_, words): &(Self, &str)| says(&text, words);
        DOUBTS.into_iter().find(voiced).map(|(doubt, _)| doubt)
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Asks for a donation.
    Persuader,
    /// Is asked.
    Donor,
}

/// A dialogue as its reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// On which side the reader is.
    pub side: Side,
    /// How the donor took each answered utterance, in order.
    pub stances: Vec<Stance>,
    /// What the donor doubted last, if it ever did.
    pub doubt: Option<Doubt>,
    /// The persuader's moves, in order.
    pub moves: Vec<Move>,
    /// Whether the last of them answered the donor's doubt, if it had one.
    pub met: Option<bool>,
    /// What the persuader said, in order.
    pub said: Vec<String>,
    /// The current turn, and how many there are; 0 if the text does not say.
    pub turn: usize,
    /// See `turn`.
    pub limit: usize,
    /// The donor is asked for the sum.
    pub closing: bool,
    /// The prompt asks for the name of an act, not for words that carry it out.
    pub by_act: bool,
    /// The prompt asks the donor to label its answer with a reaction.
    pub labelled: bool,
    /// What was given at the end, once it is over.
    pub given: Option<f64>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            side: Side::Persuader,
            stances: Vec::new(),
            doubt: None,
            moves: Vec::new(),
            met: None,
            said: Vec::new(),
            turn: 0,
            limit: 0,
            closing: false,
            by_act: false,
            labelled: false,
            given: None,
        }
    }
}

impl View {
    /// Reads the text of a request: observations and actions of one seat, or the dialogue line by line.
    pub fn read(text: &str) -> Self {
        let side = if text.contains("You are the donor.") { Side::Donor } else { Side::Persuader };
        let by_act = text.contains("<the name of the act, in brackets>");
        let labelled = text.contains("[positive reaction]");
        let mut view = Self { side, by_act, labelled, ..Self::default() };
        for line in text.lines().map(str::trim) {
            let after =
                |label: &str| line.strip_prefix(label).map(str::trim).filter(|text| !text.starts_with('<'));
            if let Some(said) = after("Donor:") {
                view.hear(Side::Donor, said);
            } else if let Some(said) = after("Persuader:") {
                view.hear(Side::Persuader, said);
            } else if let Some(said) = after("Action:") {
                view.hear(side, said);
            } else if let Some(rest) = line.strip_prefix("[Turn ") {
                let mut numbers =
                    rest.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
                view.turn = numbers.next().unwrap_or(view.turn);
                view.limit = numbers.next().unwrap_or(view.limit);
            } else if line.starts_with("[Closing question]") {
                view.closing = true;
            } else if let Some(end) = line.strip_prefix("[End]") {
                view.end(
                    end.split('$')
                        .nth(1)
                        .and_then(|sum| sum.trim_end_matches('.').parse().ok())
                        .unwrap_or(0.0),
                );
            }
        }
        view
    }

    /// One more utterance.
    pub fn hear(&mut self, side: Side, text: &str) {
        match side {
            Side::Donor => {
                self.stances.push(Stance::of(text));
                self.doubt = Doubt::of(text).or(self.doubt);
            }
            Side::Persuader => {
                let made = Move::of(text);
                self.met = self.doubt.map(|doubt| made.answers() == Some(doubt));
                self.moves.push(made);
                self.said.push(text.to_owned());
            }
        }
    }

    /// It is over, and the donor gave this much.
    pub fn end(&mut self, given: f64) {
        self.given = Some(given);
    }

    /// How the donor sounded last.
    pub fn stance(&self) -> Option<Stance> {
        self.stances.last().copied()
    }

    /// How often the persuader made this move.
    pub fn tried(&self, wanted: Move) -> usize {
        self.moves.iter().filter(|made| **made == wanted).count()
    }

    /// Whether little of the talk is left.
    pub fn late(&self) -> bool {
        let turn = self.turn.max(self.moves.len() + 1);
        turn + 2 > if self.limit == 0 { 10 } else { self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stances_are_read_from_words() {
        for (text, stance) in [
            ("Sure, I would be happy to donate a dollar.", Stance::Agrees),
            ("Sorry, I'd rather not.", Stance::Declines),
            ("I am not willing to donate.", Stance::Declines),
            ("How do I know that it is no scam?", Stance::Doubts),
            ("What good would a dollar do?", Stance::Doubts),
            ("We have our own problems here.", Stance::Doubts),
            ("What do they do?", Stance::Asks),
            ("That sounds like a great cause.", Stance::Warm),
            ("I watched a video.", Stance::Neutral),
        ] {
            assert_eq!(Stance::of(text), stance, "{text}");
        }
    }

    #[test]
    fn doubts_are_told_apart() {
        for (text, doubt) in [
            ("Who runs this organisation?", Some(Doubt::Trust)),
            ("Why should this matter to me, so far away?", Some(Doubt::Care)),
            ("I would rather not; it would not change a thing.", Some(Doubt::Use)),
            ("I see.", None),
        ] {
            assert_eq!(Doubt::of(text), doubt, "{text}");
        }
    }

    #[test]
    fn a_history_and_a_transcript_are_read_alike() {
        let history = "You are the persuader.\nObservation:\n[You] The persuader.\n[Turn 1 of 10]\n[Your turn] Speak.\n\
                       Thought: x\nAction: Hello there.\n\nObservation:\n[Turn 2 of 10]\nDonor: Hi, what is it?\n\
                       Action: <one action>";
        let transcript = "The dialogue so far:\nPersuader: Hello there.\nDonor: Hi, what is it?";
        let (history, transcript) = (View::read(history), View::read(transcript));
        assert_eq!((&history.moves, &history.stances), (&transcript.moves, &transcript.stances));
        assert_eq!((history.moves.len(), history.turn, history.limit), (1, 2, 10));
        assert_eq!(View::read("[End] The donor gives $0.50.").given, Some(0.5));
        assert_eq!(View::read("[End] The donor gives nothing.").given, Some(0.0));
    }
}
