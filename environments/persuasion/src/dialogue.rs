//! A dialogue as a game: who speaks, what binds, how it ends. Pure, and cheap to copy.

use forethought_sdk::{answers::undressed, prelude::*};

use crate::bargain::{self, Listing, Move};
use crate::donation;
use crate::script::{End, Outcome, Script, SecondReward};

/// Longest utterance, in characters; longer ones are cut.
const LONGEST: usize = 2000;
/// How often the closing question is asked before an unreadable answer counts as nothing.
const MAX_QUESTIONS: u32 = 2;

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Utterance {
    /// Who said it.
    pub seat: usize,
    /// The words, without a reply's name in brackets.
    pub text: String,
    /// The reply that was named, or the one for answers without a name: index into the script's replies.
    pub reply: Option<usize>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended {
    /// The kind of end.
    pub by: End,
    /// Dollars that were given or agreed on.
    pub amount: f64,
    /// Share of the most that could be reached.
    pub share: f64,
    /// Whether the closing question was answered in words that could not be read.
    pub unread: bool,
}

/// A dialogue in progress.
#[derive(Debug, Clone)]
pub struct Dialogue {
    script: Arc<Script>,
    listing: Option<Listing>,
    /// Identifies the second seat's person: see [`crate::observe`].
    token: u64,
    utterances: Vec<Utterance>,
    /// The last price that each seat offered.
    offers: [Option<f64>; 2],
    asked: u32,
    ended: Option<Ended>,
    /// Why what a seat last put in brackets had no effect.
    notices: [Option<String>; 2],
}

impl Dialogue {
    /// The beginning of an episode.
    pub fn new(script: Arc<Script>, seed: u64) -> Self {
        let listing = match script.outcome {
            Outcome::Deal => Listing::draw(&script.goods, &mut seed::stream(seed, "listing")),
            Outcome::Gift | Outcome::Reply => None,
        };
        let opening = script.opening.trim();
        let utterances = match opening {
            "" => Vec::new(),
            text => vec![Utterance { seat: 0, text: text.into(), reply: None }],
        };
        let token = seed::derive(seed, "second seat");
        Self {
            script,
            listing,
            token,
            utterances,
            offers: [None; 2],
            asked: 0,
            ended: None,
            notices: [None, None],
        }
    }

    /// This dialogue as one seat may imagine it: what only the other seat knows is drawn again.
    pub fn imagined(&self, seat: usize, seed: u64) -> Self {
        let mut copy = self.clone();
        copy.listing =
            self.listing.as_ref().map(|it| it.imagined(seat, &mut seed::stream(seed, "imagined listing")));
        if seat == 0 {
            copy.token = seed::derive(seed, "imagined second seat");
        }
        copy
    }

    /// The seat that speaks next; after the end, the one that spoke last.
    pub fn seat(&self) -> usize {
        let last = self.utterances.last().map_or(1, |utterance| utterance.seat);
        match self.ended {
            Some(_) => last,
            None if self.closing() => 1,
            None => 1 - last,
        }
    }

    /// The current turn, from 1; during the closing question, the last.
    pub fn turn(&self) -> u32 {
        (self.pairs() + 1).min(self.script.turns.get())
    }

    /// Turns that are complete.
    pub fn pairs(&self) -> u32 {
        let closing = self.asked.saturating_sub(u32::from(self.closing()));
        let answers = self.utterances.iter().filter(|utterance| utterance.seat == 1).count() as u32;
        answers - closing
    }

    /// Whether the second seat is answering the closing question.
    pub fn closing(&self) -> bool {
        self.asked > 0 && self.ended.is_none()
    }

    /// How it ended.
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }
    /// The script.
    pub fn script(&self) -> &Script {
        &self.script
    }
    /// What is for sale.
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }
    /// The last price that each seat offered.
    pub fn offers(&self) -> [Option<f64>; 2] {
        self.offers
    }
    /// What was said, in order.
    pub fn utterances(&self) -> &[Utterance] {
        &self.utterances
    }
    /// Why what the seat last put in brackets had no effect, and what would have one.
    pub fn notice(&self, seat: usize) -> Option<&str> {
        self.notices.get(seat)?.as_deref()
    }
    /// Whether the last turn passed without a word or a reaction.
    pub fn silent(&self) -> bool {
        self.utterances.last().is_some_and(|last| last.text.is_empty() && last.reply.is_none())
    }
    /// Identifies the second seat's person.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The seat whose turn it is speaks. Nothing changes after the end.
    pub fn say(&mut self, words: &str) {
        if self.ended.is_some() {
            return;
        }
        let seat = self.seat();
        let mut text = clean(words, &self.script.party(seat).label);
        self.notices[seat] = None;
        let reply = (seat == 1 && self.script.outcome == Outcome::Reply).then(|| self.take_reply(&mut text));
        self.utterances.push(Utterance { seat, text, reply });
        self.ended = match self.script.outcome {
            Outcome::Gift => self.gift(seat),
            Outcome::Reply => self.reply(seat, reply),
            Outcome::Deal => self.deal(seat),
        };
    }

    /// Takes the first name in brackets out of the text. The script may not know it.
    fn take_reply(&mut self, text: &mut String) -> usize {
        let narrow = bargain::narrow(text);
        let Some((before, rest)) = narrow.split_once('[') else { return self.script.neutral() };
        let Some((name, after)) = rest.split_once(']') else { return self.script.neutral() };
        let known =
            self.script.replies.iter().position(|reply| bargain::tag(&reply.name) == bargain::tag(name));
        *text = format!("{} {}", before.trim(), after.trim()).trim().to_owned();
        known.unwrap_or_else(|| {
            let names: Vec<_> = self.script.replies.iter().map(|reply| format!("[{}]", reply.name)).collect();
            self.notices[1] =
                Some(format!("[{name}] is not one of the reactions, which are {}.", names.join(", ")));
            self.script.neutral()
        })
    }

    fn gift(&mut self, seat: usize) -> Option<Ended> {
        if seat == 0 {
            return None;
        }
        let (script, text) = (&self.script, &self.utterances.last()?.text);
        let given = match self.asked {
            0 => donation::tagged(text, &script.tag, script.maximum),
            _ => donation::donation(text, &script.tag, script.maximum),
        };
        let unread = given.is_none();
        if unread
            && self.asked == 0
            && bargain::tags(text).any(|tag| tag.split(' ').next() == Some(&*bargain::tag(&script.tag)))
        {
            self.notices[1] =
                Some(format!("[{0} ...] gave nothing: it needs a sum, as in [{0} $1].", script.tag));
        }
        if unread && self.asked < MAX_QUESTIONS && (self.asked > 0 || self.pairs() >= script.turns.get()) {
            self.asked += 1;
            return None;
        }
        if unread && self.asked == 0 {
            return None;
        }
        let amount = given.unwrap_or(0.0);
        let by = if amount > 0.0 { End::Agreement } else { End::Refusal };
        Some(Ended { by, amount, share: amount / script.maximum, unread })
    }

    fn reply(&self, seat: usize, reply: Option<usize>) -> Option<Ended> {
        if seat == 0 {
            return None;
        }
        let by = if self.pairs() >= self.script.turns.get() {
            End::Length
        } else {
            self.script.replies.get(reply?)?.end?
        };
        let share = if by == End::Agreement { 1.0 } else { 0.0 };
        Some(Ended { by, amount: 0.0, share, unread: false })
    }

    fn deal(&mut self, seat: usize) -> Option<Ended> {
        let over = |by, amount: f64, share| Some(Ended { by, amount, share, unread: false });
        let text = &self.utterances.last()?.text;
        const POSSIBLE: &str =
            "Possible are [OFFER $x], [ACCEPT] after an offer of the other side, and [WALK AWAY].";
        match bargain::read(text) {
            Some(Move::WalkAway) => return over(End::Refusal, 0.0, 0.0),
            Some(Move::Accept) => {
                if let (Some(price), Some(listing)) = (self.offers[1 - seat], &self.listing) {
                    return over(End::Agreement, price, listing.share(price));
                }
                self.notices[seat] =
                    Some(format!("[ACCEPT] had no effect: the other side has made no offer. {POSSIBLE}"));
            }
            Some(Move::Offer(price)) => self.offers[seat] = Some(price),
            None => {
                let binds =
                    |tag: &String| ["offer", "accept", "walk"].iter().any(|word| tag.starts_with(word));
                if let Some(tag) = bargain::tags(text).find(binds) {
                    self.notices[seat] = Some(format!("[{tag}] had no effect. {POSSIBLE}"));
                }
            }
        }
        if seat == 1 && self.pairs() >= self.script.turns.get() {
            return over(End::Length, 0.0, 0.0);
        }
        None
    }

    /// What the seats have earned.
    pub fn rewards(&self) -> [f64; 2] {
        let Some(ended) = self.ended else { return [0.0; 2] };
        let reward = &self.script.reward;
        let by = match ended.by {
            End::Agreement => reward.agreement,
            End::Refusal => reward.refusal,
            End::Length => reward.length,
        };
        let first = by + reward.share * ended.share;
        let second = match reward.second {
            SecondReward::Nothing => 0.0,
            SecondReward::Same => first,
            SecondReward::Opposite => -first,
            SecondReward::Rest if ended.by == End::Agreement => reward.share * (1.0 - ended.share),
            SecondReward::Rest => 0.0,
        };
        [first, second]
    }
}

/// An utterance in one line, without the labels, quotes and emphasis that models put around it.
fn clean(words: &str, label: &str) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = undressed(&line, &[]);
    // Without a colon in lower case alone, as the grammar has it: "Say, have you heard of ..." is an utterance.
    let said = labelled(text, "say").or_else(|| {
        let rest = text.strip_prefix("say ")?.trim_start();
        Some(["- ", "\u{2013} ", "\u{2014} "].iter().find_map(|dash| rest.strip_prefix(dash)).unwrap_or(rest))
    });
    let text = undressed(said.unwrap_or(text), &[]);
    let text = undressed(labelled(text, label).unwrap_or(text), &[]);
    text.chars().take(LONGEST).collect()
}

/// Marks of emphasis.
const EMPHASIS: [char; 3] = ['*', '_', '`'];

/// What follows `label:`, in any case and also emphasised.
fn labelled<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let head = text.trim_start_matches(EMPHASIS);
    let rest = head
        .get(..label.len())
        .filter(|word| word.eq_ignore_ascii_case(label))
        .map(|_| &head[label.len()..])?;
    let rest = rest.trim_start_matches(EMPHASIS).strip_prefix([':', '\u{ff1a}'])?;
    let emphasised = head.len() < text.len();
    Some(if emphasised { rest.trim_start_matches(EMPHASIS) } else { rest }.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utterances_are_freed_of_decoration() {
        let check = |words: &str, expected: &str| assert_eq!(clean(words, "Donor"), expected, "{words}");
        check("say Hello there.\nHow are you?", "Hello there. How are you?");
        check("say: \"I will not.\"", "I will not.");
        check("Donor: \"Sure\"", "Sure");
        check("donor: no", "no");
        check("Say when.", "Say when.");
        check("Say, have you heard?", "Say, have you heard?");
        for dressed in [
            "Say: I will not.",
            "say - I will not.",
            "say \u{2014} I will not.",
            "**Say:** I will not.",
            "**say: I will not.**",
            "\"say: I will not.\"",
            "\u{201c}I will not.\u{201d}",
            "**Donor:** I will not.",
            "say: **Donor**: *I will not.*",
            "Donor\u{ff1a}I will not.",
        ] {
            check(dressed, "I will not.");
        }
        check("*Well*, I *might*", "*Well*, I *might*");
        check("Donors give a lot.", "Donors give a lot.");
        check("\"Yes\", he said, \"no\"", "\"Yes\", he said, \"no\"");
        check(" \n\t", "");
        check(&"é".repeat(3000), &"é".repeat(2000));
    }
}
