//! Actions as text: written in one form, read in any spelling of a language model that has a single meaning.
//!
//! An answer is read as an answer to what was asked: for a vote, `Yes, I approve.` is enough. An answer with two
//! meanings, or none, is refused with a sentence that says what is expected.

use std::fmt;

use forethought_sdk::answers::undressed;

use crate::rules::Illegal;
use crate::seats::Seats;

/// Longest statement at the table, in characters; longer ones are cut.
pub const LONGEST_STATEMENT: usize = 1000;

/// What a seat can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The leader's team.
    Propose(Seats),
    /// Whether the team is approved of.
    Vote(bool),
    /// Whether the card is a pass.
    Quest(bool),
    /// The Assassin's guess at Merlin.
    Assassinate(usize),
    /// A statement to all; an empty one is silence.
    Say(String),
    /// Who is taken to be good.
    Believe(Seats),
}

/// Actions are written in one form.
impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Propose(team) => write!(f, "propose [{team}]"),
            Self::Vote(approve) => write!(f, "vote {}", if *approve { "approve" } else { "reject" }),
            Self::Quest(pass) => write!(f, "quest {}", if *pass { "pass" } else { "fail" }),
            Self::Assassinate(seat) => write!(f, "assassinate {seat}"),
            Self::Say(text) => write!(f, "say {text}"),
            Self::Believe(good) => write!(f, "believe [{good}]"),
        }
    }
}

/// What a seat is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A statement to all.
    Say,
    /// A team.
    Propose,
    /// A vote on the team.
    Vote,
    /// A card for the quest.
    Quest,
    /// Merlin's seat.
    Assassinate,
    /// Everybody who is good.
    Deduce,
}

/// Reads the answer to `ask` at a table of `players`.
///
/// # Errors
/// Why it cannot be read, as a sentence to the author of the answer.
pub fn read(text: &str, ask: Ask, players: usize) -> Result<Move, Illegal> {
    if ask == Ask::Say {
        return statement(text).map(Move::Say);
    }
    let tokens = tokens(after_label(text));
    match ask {
        Ask::Say | Ask::Propose => {
            let wanted = "Answer with the players of your team, such as \"propose [0, 1]\".";
            group(&tokens, players, wanted).map(Move::Propose)
        }
        Ask::Vote => {
            choice(&tokens, &VOTE, "Answer with \"vote approve\" or \"vote reject\".").map(Move::Vote)
        }
        Ask::Quest => {
            choice(&tokens, &QUEST, "Answer with \"quest pass\" or \"quest fail\".").map(Move::Quest)
        }
        Ask::Assassinate => target(&tokens, players).map(Move::Assassinate),
        Ask::Deduce => {
            let wanted = "Answer with all players that you take to be good, such as \"believe [0, 1]\".";
            group(&tokens, players, wanted).map(Move::Believe)
        }
    }
}

/// What follows the last `Action:`, which many models write, also in bold.
fn after_label(text: &str) -> &str {
    const LABEL: &str = "action";
    let labels = text.as_bytes().windows(LABEL.len()).enumerate().rev();
    let mut labels = labels.filter(|(_, part)| part.eq_ignore_ascii_case(LABEL.as_bytes()));
    // The label is ASCII, so that what follows it starts a character.
    labels
        .find_map(|(at, _)| {
            text[at + LABEL.len()..].trim_start_matches(EMPHASIS).strip_prefix([':', '\u{ff1a}'])
        })
        .map(|rest| rest.trim_start_matches(EMPHASIS))
        .filter(|rest| !rest.trim().is_empty())
        .unwrap_or(text)
}

/// Marks of emphasis.
const EMPHASIS: [char; 3] = ['*', '_', '`'];

/// The ASCII character that a full-width one or an East Asian bracket or stop means.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        '\u{3010}' => '[',
        '\u{3011}' => ']',
        '\u{3002}' => '.',
        c => c,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// In lower case.
    Word(String),
    /// `None` for a number that no seat can have: negative or too large.
    Number(Option<usize>),
    Open,
    Close,
    /// The end of a sentence or line.
    Stop,
}

impl Token {
    fn is(&self, words: &[&str]) -> bool {
        matches!(self, Self::Word(word) if words.contains(&word.as_str()))
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().map(narrow).peekable();
    // Whether a minus is right before it; between words or numbers, as in `0-1`, it is a dash.
    let (mut minus, mut joined) = (false, false);
    while let Some(first) = chars.next() {
        let mut run = |test: fn(char) -> bool| {
            let mut run = String::from(first);
            while let Some(next) = chars.next_if(|&next| test(next)) {
                run.push(next);
            }
            run
        };
        match first {
            '0'..='9' => {
                let digits = run(|c| c.is_ascii_digit());
                tokens.push(Token::Number(digits.parse().ok().filter(|_| !minus)));
            }
            _ if first.is_alphabetic() => {
                let word = run(|c| c.is_alphabetic() || matches!(c, '\'' | '\u{2019}'));
                tokens.push(Token::Word(word.to_lowercase().replace('\u{2019}', "'")));
            }
            '[' | '(' | '{' => tokens.push(Token::Open),
            ']' | ')' | '}' => tokens.push(Token::Close),
            '.' | ';' | '!' | '?' | '\n' => tokens.push(Token::Stop),
            _ => {}
        }
        minus = first == '-' && !joined;
        joined = first.is_alphanumeric();
    }
    tokens
}

/// The words for yes and no to one question, and the words that may come before them.
struct Choice {
    leads: &'static [&'static str],
    yes: &'static [&'static str],
    no: &'static [&'static str],
}

const VOTE: Choice = Choice {
    leads: &["vote", "votes", "voting"],
    yes: &["approve", "approves", "approved", "accept", "agree", "yes", "yea", "aye"],
    no: &["reject", "rejects", "rejected", "disapprove", "refuse", "decline", "disagree", "no", "nay"],
};
const QUEST: Choice = Choice {
    leads: &["quest", "play", "card"],
    yes: &["pass", "passes", "success", "succeed", "yes"],
    no: &["fail", "fails", "sabotage", "no"],
};
/// Words between the lead and its choice: `vote to approve`.
const LINKS: [&str; 6] = ["to", "is", "for", "a", "the", "i"];
const NEGATIONS: [&str; 7] = ["not", "don't", "dont", "never", "cannot", "can't", "won't"];

fn choice(tokens: &[Token], words: &Choice, wanted: &str) -> Result<bool, Illegal> {
    // If a lead comes before a choice, the other words are talk.
    let (mut led, mut any) = ([false; 2], [false; 2]);
    for (at, token) in tokens.iter().enumerate() {
        let positive = token.is(words.yes);
        if !positive && !token.is(words.no) {
            continue;
        }
        let mut before = tokens[..at].iter().rev();
        let previous = before.clone().next();
        let negated = previous.is_some_and(|token| token.is(&NEGATIONS));
        let meant = usize::from(positive != negated);
        any[meant] = true;
        led[meant] |= before
            .find(|token| !token.is(&LINKS) && **token != Token::Open && !token.is(&NEGATIONS))
            .is_some_and(|token| token.is(words.leads));
    }
    match if led == [false; 2] { any } else { led } {
        [false, true] => Ok(true),
        [true, false] => Ok(false),
        [true, true] => Err(format!("That can be read both ways. {wanted}")),
        [false, false] => Err(wanted.into()),
    }
}

/// Words after which players are named.
const NAMING: [&str; 9] =
    ["propose", "proposes", "proposing", "nominate", "choose", "select", "pick", "suggest", "believe"];
/// Words whose number is not a seat: `quest 2`, `a team of 2`.
const COUNTED: [&str; 8] = ["quest", "mission", "round", "proposal", "turn", "size", "of", "exactly"];
/// Words that follow a number of players: `2 players`.
const COUNTS: [&str; 4] = ["players", "members", "people", "seats"];
/// Words after which reasons are given.
const REASONS: [&str; 6] = ["because", "since", "as", "so", "but", "for"];

/// Several players, each named once.
fn group(tokens: &[Token], players: usize, wanted: &str) -> Result<Seats, Illegal> {
    let mut groups: Vec<(bool, Vec<Option<usize>>)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let close = tokens[at..].iter().position(|token| *token == Token::Close);
        if let (Token::Open, Some(length)) = (token, close) {
            let numbers = numbers(&tokens[at..at + length]);
            if !numbers.is_empty() {
                groups.push((at > 0 && tokens[at - 1].is(&NAMING), numbers));
            }
        }
    }
    if groups.iter().any(|group| group.0) {
        groups.retain(|group| group.0);
    }
    let named = match &groups[..] {
        [] => plain_group(tokens),
        [first, rest @ ..] if rest.iter().all(|group| group.1 == first.1) => first.1.clone(),
        _ => return Err(format!("You named several groups. {wanted}")),
    };
    if named.is_empty() {
        return Err(wanted.into());
    }
    let mut team = Seats::NONE;
    for number in named {
        let seat = seat(number, players)?;
        if team.contains(seat) {
            return Err(format!("You named Player {seat} twice."));
        }
        team = team | Seats::one(seat);
    }
    Ok(team)
}

/// The players named without brackets: in the sentence after the last word for naming, or anywhere.
fn plain_group(tokens: &[Token]) -> Vec<Option<usize>> {
    let lead = tokens.iter().rposition(|token| token.is(&NAMING));
    let sentence = &tokens[lead.map_or(0, |lead| lead + 1)..];
    let end =
        sentence.iter().position(|token| lead.is_some() && (*token == Token::Stop || token.is(&REASONS)));
    numbers(&sentence[..end.unwrap_or(sentence.len())])
}

/// The numbers that can mean seats.
fn numbers(tokens: &[Token]) -> Vec<Option<usize>> {
    let counted = |at: usize| {
        at > 0 && tokens[at - 1].is(&COUNTED) || tokens.get(at + 1).is_some_and(|next| next.is(&COUNTS))
    };
    let numbers = tokens.iter().enumerate().filter(|(at, _)| !counted(*at));
    numbers
        .filter_map(|(_, token)| if let Token::Number(number) = token { Some(*number) } else { None })
        .collect()
}

fn target(tokens: &[Token], players: usize) -> Result<usize, Illegal> {
    let wanted = "Answer with the player you take for Merlin, such as \"assassinate 0\".";
    let mut named = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.is(&["assassinate", "kill", "stab"]) {
            let mut rest = tokens[at + 1..].iter();
            let next = rest.find(|token| **token != Token::Open && !token.is(&["player", "seat"]));
            if let Some(Token::Number(number)) = next {
                named.push(*number);
            }
        }
    }
    if named.is_empty() {
        named = numbers(tokens);
    }
    named.dedup();
    match named[..] {
        [] => Err(wanted.into()),
        [number] => seat(number, players),
        _ => Err(format!("You named several players. {wanted}")),
    }
}

fn seat(number: Option<usize>, players: usize) -> Result<usize, Illegal> {
    number.filter(|&seat| seat < players).ok_or_else(|| format!("Players are numbered 0 to {}.", players - 1))
}

/// A statement: in one line, so that nobody can imitate the game's own lines.
fn statement(text: &str) -> Result<String, Illegal> {
    let wanted = "It is time to talk. Answer with \"say ...\".";
    let mut said = undressed(after_label(text), &SINGLE);
    if let Some(rest) = after_say(said) {
        said = rest;
    } else if is_command(said) {
        return Err(wanted.into());
    }
    said = undressed(said, &SINGLE);
    for (open, close) in [('[', ']'), ('"', '"'), ('\u{201c}', '\u{201d}')] {
        let inner = said.strip_prefix(open).and_then(|said| said.strip_suffix(close));
        said = inner.filter(|inner| !inner.contains([open, close])).unwrap_or(said);
    }
    let said = one_line(said);
    if said.is_empty() { Err(wanted.into()) } else { Ok(said) }
}

/// What follows the word that begins a statement: `say ...`, `Say: ...`, `**say** ...`, `say - ...`.
fn after_say(said: &str) -> Option<&str> {
    let head = said.trim_start_matches(EMPHASIS);
    let rest = head.get(..3).filter(|word| word.eq_ignore_ascii_case("say")).map(|_| &head[3..])?;
    // "Say, who failed the quest?" is a statement itself.
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == ',') {
        return None;
    }
    let emphasis: &[char] = if head.len() < said.len() { &EMPHASIS } else { &[] };
    let trim = |text: &'_ str| {
        text.len()
            - text
                .trim_start_matches(|c: char| {
                    matches!(c, ':' | '\u{ff1a}') || c.is_whitespace() || emphasis.contains(&c)
                })
                .len()
    };
    let rest = &rest[trim(rest)..];
    let dashed =
        rest.strip_prefix(['-', '\u{2013}', '\u{2014}']).filter(|rest| rest.starts_with(char::is_whitespace));
    Some(dashed.unwrap_or(rest).trim_start())
}

/// Single quotes, which may be around an action as well.
const SINGLE: [(&str, &str); 1] = [("\u{2018}", "\u{2019}")];

/// A text in one line without control characters, cut to the longest statement.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_STATEMENT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Whether this is a move of another kind, and nothing else.
fn is_command(text: &str) -> bool {
    match &tokens(text)[..] {
        [Token::Word(lead), Token::Word(_)] => lead == "vote" || lead == "quest",
        [Token::Word(lead), Token::Number(_)] => lead == "assassinate",
        [Token::Word(lead), Token::Open, .., Token::Close] => lead == "propose",
        _ => false,
    }
}
