//! How much an answer gives: from a tag such as `[DONATE $0.50]`, or from free words.
//!
//! Free words are read clause by clause, and the last clause that decides wins. An amount counts where the speaker
//! gives it (a verb of giving, in the first person, now), or where the clause says little else. What others gave, what
//! was given before or will be given later, what would be given if that were possible, and questions, do not count.
//! If the words leave it open, the reading that promises less is taken.

use crate::bargain::narrow;

/// A set of words, written as one text.
struct Words(&'static str);

impl Words {
    fn has(&self, word: &str) -> bool {
        self.0.split_whitespace().any(|one| one == word)
    }
}

/// Words that give: an amount in the same clause is a gift.
const GIVING: Words = Words(
    "give giving donate donating contribute contributing spare chip pledge offer part send commit afford go do make put
     let's lets say pay help gift donation contribution take manage count",
);
/// Words next to which an amount is a gift without a verb.
const FILLER: Words = Words(
    "yes yeah yep ok okay sure fine well um hmm maybe perhaps probably about around roughly just only exactly i i'd i'll id
     ill guess think thinking was suppose would will can could be is it it's its that that's thats sounds good works work
     for me to the a an of and or at least most up my please happy with how what then so charity children save them now
     today right enough reasonable fair here let in total more than less between from either comfortable willing like want
     love glad actually instead something amount there this all though honestly alright answer final settle on thanks
     thank you deal done payment money earnings reward not no whole thing full entire somewhere",
);
/// Other subjects.
const OTHERS: Words = Words(
    "he she they he'd she'd they'd people person everyone everybody someone somebody others friend friends wife husband
     brother sister mother father mom dad neighbor neighbour colleague boss son daughter company companies government who
     nobody you",
);
/// The speaker.
const MYSELF: Words = Words("i i'd i'll i'm id ill me we we'll let's lets");
/// The past, the conditional, and what others say: not a gift now.
const UNREAL: Words = Words(
    "gave given donated contributed spent thought considered were had used should asked asking ask told tell suggested
     suggest said says wants expect wish heard earn earned earns cost costs owe lost rent bills salary worth why",
);
/// What others say, and what was thought: not a refusal either.
const REPORTED: Words = Words("said says told heard thought used asked");
/// Some other time.
const LATER: Words = Words("later someday tomorrow eventually sometime paycheck payday next future");
/// Units after which a bare number is not money.
const NOT_MONEY: Words = Words(
    "year years yr yrs old kid kids child children people times time minutes minute hours hour days day weeks week months
     month am pm charities meals turns questions st nd rd th of in out friends",
);
/// Words that refuse once they are negated.
const REFUSED: Words = Words(
    "give giving donate donating donation contribute contributing afford spare part able interested want willing today
     time do any anything ready comfortable cent now really",
);
/// Negations.
const NOT: Words = Words(
    "not never no won't wont can't cant cannot don't dont wouldn't wouldnt couldn't couldnt unable isn't without",
);
/// What cancels a negation before it: "no more than", "don't mind", "not sure".
const HARMLESS: Words = Words(
    "more less mind sure know wait hesitate worry forget regret say problem doubt much many only lot keep",
);

/// What the last tag `[<word> $x]` in the text gives, within [0, maximum]; `None` if there is no readable tag.
pub fn tagged(text: &str, word: &str, maximum: f64) -> Option<f64> {
    let text = narrow(text);
    let around =
        |c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`' | '"' | '\'' | '\u{2018}'..='\u{201f}');
    let tags = text
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']'))
        .map(|(tag, _)| tag.trim_matches(around));
    let amounts = tags.filter_map(|tag| {
        let head = tag.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
        let rest = &tag[head.len()..];
        let rest = rest
            .strip_prefix(|c: char| c.is_whitespace() || matches!(c, ':' | '$' | '='))
            .map(|after| if rest.starts_with('$') { rest } else { after })?;
        dollars(rest).or_else(|| free(rest, maximum))
    });
    amounts.last().map(|amount| amount.clamp(0.0, maximum))
}

/// What the text gives, within [0, maximum]: by tag, else in free words; `None` if it does not say.
pub fn donation(text: &str, word: &str, maximum: f64) -> Option<f64> {
    tagged(text, word, maximum).or_else(|| free(text, maximum))
}

/// A plain sum of dollars such as `$1,200.50`, `0.5` or `1.50$`.
pub(crate) fn dollars(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.strip_prefix('$').unwrap_or(text).trim_end_matches('$').trim();
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ','));
    let amount: f64 = plain.then(|| digits.replace(',', "").parse().ok())??;
    amount.is_finite().then_some(amount)
}

/// What free words give.
fn free(text: &str, maximum: f64) -> Option<f64> {
    let text = text.to_lowercase().replace(['\u{2019}', '\u{2018}', '`'], "'");
    let (mut decided, mut supposed) = (None, false);
    for clause in clauses(&text) {
        // "If I could, I would give $1000": the condition is its own clause.
        let spoils = std::mem::replace(&mut supposed, clause.supposes() && clause.words[0] == "if");
        if spoils || clause.supposes() {
            continue;
        }
        if let Some(amount) = clause.decide(maximum) {
            // Without the rounding error of 0.57 = 57 * 0.01.
            decided = Some(((amount * 1e4).round() / 1e4).clamp(0.0, maximum));
        }
    }
    decided
}

/// A piece of a sentence, in words.
struct Clause {
    words: Vec<String>,
    question: bool,
}

/// Cuts a text into clauses: at punctuation, and before "but" and its like.
fn clauses(text: &str) -> Vec<Clause> {
    let mut clauses = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut close = |words: &mut Vec<String>, question| {
        if !words.is_empty() {
            clauses.push(Clause { words: std::mem::take(words), question });
        }
    };
    let letter = |c: char| c.is_alphanumeric() || matches!(c, '$' | '%' | '\u{a2}' | '\'');
    for raw in text.split_whitespace() {
        let start = raw.find(letter).unwrap_or(raw.len());
        // The point of ".50" belongs to the number.
        let point = raw[..start].ends_with('.') && raw[start..].starts_with(|c: char| c.is_ascii_digit());
        let end =
            raw.rfind(letter).map_or(start, |at| at + raw[at..].chars().next().map_or(0, char::len_utf8));
        let word = raw[start - usize::from(point)..end].trim_matches('\'');
        let word = match word {
            "" | "but" | "however" | "although" | "because" | "since" | "yet" | "so" => {
                close(&mut words, false);
                ""
            }
            word => word,
        };
        // "$1/$2" are two sums; digits alone, "1/2", are a fraction, which is not read.
        let fraction = word.chars().all(|c| c.is_ascii_digit() || c == '/');
        let cut = |c: char| matches!(c, '-' | '\u{2013}') || (c == '/' && !fraction);
        words.extend(word.split(cut).filter(|word| !word.is_empty()).map(str::to_owned));
        let ending = &raw[end..];
        if ending.contains(['.', ',', '!', '?', ';', ':', ')', '\u{2014}', '\u{2026}']) {
            close(&mut words, ending.contains('?'));
        }
    }
    close(&mut words, false);
    clauses
}

/// An amount that a clause names, with the places of its first word and after its last.
struct Amount {
    value: f64,
    from: usize,
    to: usize,
    /// A number word and nothing else, such as "one": money only if the clause says little else.
    bare_word: bool,
}

impl Clause {
    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }
    fn any(&self, set: &Words) -> bool {
        self.words.iter().any(|word| set.has(word))
    }
    fn follows(&self, first: &str, second: &str) -> bool {
        self.words.windows(2).any(|pair| pair[0] == first && pair[1] == second)
    }

    /// Whether it says what would be if something were.
    fn supposes(&self) -> bool {
        let unreal = ["could", "had", "were", "was", "knew", "won", "can", "only", "ever", "became"];
        let after_if = self.words.iter().skip_while(|word| *word != "if").skip(1).take(2);
        after_if.into_iter().any(|word| unreal.contains(&word.as_str()))
    }

    /// What it gives; `None` if it decides nothing.
    fn decide(&self, maximum: f64) -> Option<f64> {
        let asks_leave =
            self.word(1) == "about" && matches!(self.word(0), "how" | "what") && self.word(2) != "you";
        if self.question && !asks_leave {
            return None;
        }
        let spoken_of = self.any(&OTHERS) && !self.any(&MYSELF);
        let (amounts, kept): (Vec<_>, Vec<_>) =
            self.amounts(maximum).into_iter().partition(|amount| !self.kept(amount));
        if amounts.is_empty() {
            let rest = self.words.iter().any(|word| word == "rest" || word == "remainder");
            if rest && self.any(&GIVING) && !spoken_of {
                return kept.first().map(|kept| (maximum - kept.value).max(0.0));
            }
            return (!spoken_of && self.refuses()).then_some(0.0);
        }
        let others = |word: &String| !(FILLER.has(word) || LATER.has(word));
        let inside = |at: usize| amounts.iter().any(|amount| (amount.from..amount.to).contains(&at));
        let alone = !self.words.iter().enumerate().any(|(at, word)| !inside(at) && others(word));
        let unreal = self.any(&UNREAL)
            || self.follows("you", "to")
            || self.follows("going", "to") && self.word(1) == "was";
        let was =
            self.words.iter().any(|word| word == "was") && !self.words.iter().any(|word| word == "thinking");
        if unreal || was || (spoken_of && !alone) {
            return None;
        }
        let first = amounts.iter().map(|amount| amount.from).min().unwrap_or(0);
        if self.negated(first) {
            return Some(0.0);
        }
        let counts = amounts.iter().filter(|amount| alone || (self.any(&GIVING) && !amount.bare_word));
        let given = counts.filter(|amount| !self.later(amount)).map(|amount| amount.value);
        given.min_by(f64::total_cmp)
    }

    /// Whether a negation before `at` applies to the word there.
    fn negated(&self, at: usize) -> bool {
        let Some(not) = self.words[..at].iter().rposition(|word| NOT.has(word)) else { return false };
        let softened = self.words[not + 1..at].iter().any(|word| HARMLESS.has(word));
        let why_not = not > 0 && self.word(not - 1) == "why";
        !softened && !why_not
    }

    /// Whether the amount is what the speaker keeps.
    fn kept(&self, amount: &Amount) -> bool {
        self.words[amount.from.saturating_sub(2)..amount.from].iter().any(|word| word.starts_with("keep"))
    }

    /// Whether the amount is for another time: "25 cents now and 25 later".
    fn later(&self, amount: &Amount) -> bool {
        let end = self.words[amount.to..]
            .iter()
            .position(|word| word == "and")
            .map_or(self.words.len(), |at| amount.to + at);
        self.words[amount.to..end].iter().any(|word| LATER.has(word))
            || self.words[..amount.from].iter().any(|word| LATER.has(word))
    }

    /// Whether it gives nothing, in a clause without an amount.
    fn refuses(&self) -> bool {
        if self.any(&REPORTED) || self.words.iter().any(|word| word == "more") {
            return false;
        }
        let last = self.words.len() - 1;
        self.words.iter().enumerate().any(|(at, word)| {
            let next = self.word(at + 1);
            let before = if at > 0 { self.word(at - 1) } else { "" };
            match word.as_str() {
                "nothing" => {
                    !matches!(next, "wrong" | "to" | "but" | "against" | "else" | "bad" | "would")
                        && !NOT.has(before)
                }
                "nope" | "nah" | "nada" => true,
                "refuse" | "decline" => !NOT.has(before),
                "pass" => {
                    matches!(next, "" | "on" | "this" | "for")
                        && matches!(before, "i'll" | "i" | "will" | "to" | "")
                }
                "keep" | "keeping" => {
                    matches!(next, "it" | "all" | "my" | "the" | "everything" | "what")
                        && !self.words[..at].iter().any(|word| NOT.has(word))
                }
                "no" if at == 0 => {
                    at == last
                        || matches!(
                            next,
                            "thanks" | "thank" | "sorry" | "i" | "i'm" | "way" | "donation" | "chance"
                        )
                }
                "not" if at == last => !matches!(before, "why" | "or"),
                negation if NOT.has(negation) => {
                    let after = &self.words[at + 1..];
                    let bare = at == last && !matches!(negation, "no" | "not" | "never" | "without");
                    bare || (after.iter().any(|word| REFUSED.has(word))
                        && !after.iter().any(|word| HARMLESS.has(word)))
                }
                _ => false,
            }
        })
    }

    /// Every amount that it names, in dollars.
    fn amounts(&self, maximum: f64) -> Vec<Amount> {
        let (mut amounts, mut at) = (Vec::new(), 0);
        while at < self.words.len() {
            match self.amount(at, maximum) {
                Some((value, length, bare_word)) => {
                    amounts.push(Amount { value, from: at, to: at + length, bare_word });
                    at += length;
                }
                None => at += 1,
            }
        }
        amounts
    }

    /// The amount whose first word is at `at`: its value, how many words it takes, and whether it is a bare word.
    fn amount(&self, at: usize, maximum: f64) -> Option<(f64, usize, bool)> {
        if let Some((share, length)) = self.share(at) {
            return Some((share * maximum, length, false));
        }
        let (number, mut length, written) = self.number(at)?;
        let mut unit = match written {
            Written::Dollars => Some(1.0),
            Written::Cents => Some(0.01),
            Written::Digits | Written::Word => None,
        };
        if unit.is_none() {
            unit = unit_of(self.word(at + length));
            length += usize::from(unit.is_some());
        } else if unit_of(self.word(at + length)) == unit {
            length += 1; // "$1 dollar".
        }
        let Some(unit) = unit else { return self.bare(at, number, length, written, maximum) };
        let mut value = number * unit;
        if unit == 1.0 {
            let and = usize::from(self.word(at + length) == "and");
            let next = at + length + and;
            if and == 1 && self.word(next) == "a" && self.word(next + 1) == "half" {
                return Some((value + 0.5, length + 3, false));
            }
            if let Some((cents, words, Written::Digits | Written::Word)) = self.number(next)
                && cents < 100.0
                && (unit_of(self.word(next + words)) == Some(0.01)
                    || (and == 0 && (20.0..100.0).contains(&cents)))
            {
                value += cents / 100.0;
                length += and + words + usize::from(unit_of(self.word(next + words)).is_some());
            }
        }
        Some((value, length, false))
    }

    /// A number without a unit: dollars if possible, else cents; never a year, an age or a count.
    fn bare(
        &self,
        at: usize,
        number: f64,
        length: usize,
        written: Written,
        maximum: f64,
    ) -> Option<(f64, usize, bool)> {
        let before = if at > 0 { self.word(at - 1) } else { "" };
        let counted = NOT_MONEY.has(self.word(at + length))
            || matches!(
                before,
                "i'm"
                    | "im"
                    | "am"
                    | "age"
                    | "aged"
                    | "turned"
                    | "no"
                    | "this"
                    | "that"
                    | "any"
                    | "some"
                    | "a"
                    | "an"
            );
        let word = written == Written::Word;
        if counted || number >= 100.0 || (word && number.fract() != 0.0) {
            return None;
        }
        let value = if number > maximum && number.fract() == 0.0 { number / 100.0 } else { number };
        Some((value, length, word))
    }

    /// A part of the whole payment: "half of it", "all my payment", "10% of what I get".
    fn share(&self, at: usize) -> Option<(f64, usize)> {
        let (word, next) = (self.word(at), self.word(at + 1));
        // "a quarter of it", but not "half of a dollar".
        let of = |at: usize| {
            let of_a_coin = self.word(at + 1) == "a" && unit_of(self.word(at + 2)).is_some();
            self.word(at) == "of" && !of_a_coin
        };
        match (word, next) {
            ("half", "a" | "dollar" | "buck") => None,
            ("half", "of") if !of(at + 1) => None,
            ("half", _) => Some((0.5, 1)),
            ("a" | "one", "half") if of(at + 2) => Some((0.5, 2)),
            ("a" | "one", "third") => Some((1.0 / 3.0, 2)),
            ("two", "thirds") => Some((2.0 / 3.0, 2)),
            ("a" | "one", "quarter") if of(at + 2) => Some((0.25, 2)),
            ("three", "quarters") if of(at + 2) => Some((0.75, 2)),
            ("all", "of" | "my") | ("it", "all") => Some((1.0, 2)),
            ("give" | "donate", "all") => Some((1.0, 2)),
            ("everything", _) => Some((1.0, 1)),
            ("whole" | "entire" | "full", "thing" | "amount" | "payment" | "sum" | "reward") => {
                Some((1.0, 2))
            }
            _ => {
                let percent = word
                    .strip_suffix('%')
                    .and_then(|number| number.parse::<f64>().ok())
                    .map(|share| (share, 1));
                let spelt = || {
                    let (number, length, _) = self.number(at)?;
                    matches!(self.word(at + length), "percent" | "%").then_some((number, length + 1))
                };
                let (share, length) = percent.or_else(spelt)?;
                (0.0..=100.0).contains(&share).then_some((share / 100.0, length))
            }
        }
    }

    /// A number in digits or words: its value, how many words it takes, and how it is written.
    fn number(&self, at: usize) -> Option<(f64, usize, Written)> {
        let word = self.word(at);
        if word == "$" {
            return digits(self.word(at + 1)).map(|number| (number, 2, Written::Dollars));
        }
        if let Some(rest) = word.strip_prefix('$') {
            return digits(rest.trim_end_matches('+')).map(|number| (number, 1, Written::Dollars));
        }
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let end =
                word.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(word.len());
            let written = match &word[end..] {
                "" => Written::Digits,
                "$" | "usd" | "dollar" | "dollars" | "bucks" => Written::Dollars,
                "c" | "\u{a2}" | "cent" | "cents" => Written::Cents,
                _ => return None,
            };
            return digits(&word[..end]).map(|number| (number, 1, written));
        }
        let next = self.word(at + 1);
        match word {
            "a" | "an" | "one" | "single" if matches!(next, "hundred" | "thousand" | "million") => {
                Some((large(next)?, 2, Written::Word))
            }
            "a" if next == "couple" || next == "few" => {
                let number = if next == "couple" { 2.0 } else { 3.0 };
                Some((number, 2 + usize::from(self.word(at + 2) == "of"), Written::Word))
            }
            "a" if next == "single" && unit_of(self.word(at + 2)).is_some() => Some((1.0, 2, Written::Word)),
            "a" | "an" | "single" | "another" if unit_of(next).is_some() => Some((1.0, 1, Written::Word)),
            "half" if next == "a" && unit_of(self.word(at + 2)).is_some() => Some((0.5, 2, Written::Word)),
            "half" if next == "of" && self.word(at + 2) == "a" && unit_of(self.word(at + 3)).is_some() => {
                Some((0.5, 3, Written::Word))
            }
            "half" if unit_of(next).is_some() => Some((0.5, 1, Written::Word)),
            _ => {
                let number = spelt(word)?;
                if let Some(times) = large(next) {
                    return Some((number * times, 2, Written::Word));
                }
                if number >= 20.0
                    && let Some(ones) = spelt(next).filter(|ones| (1.0..10.0).contains(ones))
                {
                    return Some((number + ones, 2, Written::Word));
                }
                if next == "and" && self.word(at + 2) == "a" && self.word(at + 3) == "half" {
                    return Some((number + 0.5, 4, Written::Word));
                }
                Some((number, 1, Written::Word))
            }
        }
    }
}

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Dollars,
    Cents,
    Digits,
    Word,
}

fn digits(text: &str) -> Option<f64> {
    let number: f64 = text.replace(',', "").trim_end_matches('.').parse().ok()?;
    number.is_finite().then_some(number)
}

/// What a unit is worth, in dollars.
fn unit_of(word: &str) -> Option<f64> {
    match word {
        "dollar" | "dollars" | "buck" | "bucks" | "usd" => Some(1.0),
        "cent" | "cents" | "penny" | "pennies" | "\u{a2}" | "c" => Some(0.01),
        "quarter" | "quarters" => Some(0.25),
        "dime" | "dimes" => Some(0.1),
        "nickel" | "nickels" => Some(0.05),
        _ => None,
    }
}

fn large(word: &str) -> Option<f64> {
    match word {
        "hundred" => Some(100.0),
        "thousand" | "grand" => Some(1000.0),
        "million" => Some(1e6),
        _ => None,
    }
}

fn spelt(word: &str) -> Option<f64> {
    const ONES: Words = Words(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
         eighteen nineteen",
    );
    const TENS: Words = Words("twenty thirty forty fifty sixty seventy eighty ninety");
    let place = |set: &Words| set.0.split_whitespace().position(|one| one == word);
    place(&ONES).map(|ones| ones as f64).or(place(&TENS).map(|tens| (tens as f64 + 2.0) * 10.0))
}
