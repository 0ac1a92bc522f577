//! What a reader of the text knows: the wish, the current page, and what was done so far.
//!
//! Everything here is read from prompt text in the ReAct dialect of the pages. There is no other source.

use std::collections::BTreeSet;

use crate::tools::uncalled;

/// A reader's understanding of an episode's text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// What the shopper wants.
    pub wish: Wish,
    /// The current page.
    pub page: Page,
    /// The last list of products seen.
    pub listings: Vec<Listing>,
    /// Products opened so far.
    pub opened: BTreeSet<String>,
    /// The current product.
    pub item: Option<Item>,
    /// Searches so far.
    pub searches: usize,
    /// Actions so far.
    pub steps: usize,
    /// Actions allowed, if the instructions say so.
    pub allowed: Option<usize>,
    /// Whether the text says that the episode is over.
    pub over: bool,
    /// The score shown after a purchase.
    pub score: Option<f64>,
}

/// The pages as a reader tells them apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Page {
    /// The search page.
    #[default]
    Search,
    /// A list of products.
    Results,
    /// A product.
    Item,
    /// A product's description, features or reviews.
    Detail,
    /// After a purchase.
    Done,
}

/// What an instruction asks for, as far as its words tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// The instruction without price and options.
    pub text: String,
    /// Its telling words, in order.
    pub words: Vec<String>,
    /// Options named as `name: value`.
    pub options: Vec<(String, String)>,
    /// Highest price, dollars.
    pub limit: Option<f64>,
    /// The whole instruction, lower case.
    pub whole: String,
}

/// A line of a result list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The product.
    pub asin: String,
    /// Its title.
    pub title: String,
    /// The lowest price shown, dollars.
    pub price: Option<f64>,
}

/// What was seen of a product.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    /// Its title.
    pub title: String,
    /// The lowest price shown, dollars.
    pub price: Option<f64>,
    /// Option names and values.
    pub options: Vec<(String, Vec<String>)>,
    /// Values chosen so far.
    pub chosen: Vec<String>,
    /// Text of its detail pages read so far, lower case; empty if none was read.
    pub details: String,
    /// Names of the detail pages read.
    pub read: BTreeSet<String>,
}

/// Words that say nothing about a product.
const FILLER: &str = "a an and am are as at be buy can find for from get has have help i id im i'd i'm in is it \
    its like looking me my need of on one or please show some something that the this to want \
    which with would you looks searching shopping interested";

impl View {
    /// Reads a prompt.
    pub fn read(text: &str) -> Self {
        let mut view = Self::default();
        let mut lines = text.lines().map(str::trim_end).peekable();
        let mut block: Vec<&str> = Vec::new();
        let mut in_observation = false;
        let mut action = String::new();
        // An observation runs until the next thought, action, or the request's own words.
        while let Some(line) = lines.next() {
            if let Some((_, rest)) = line.split_once(" You have ")
                && let Some((number, _)) = rest.split_once(" actions.")
            {
                view.allowed = number.parse().ok();
            }
            if line == "Observation:" {
                in_observation = true;
                block.clear();
                continue;
            }
            let label = ["Thought: ", "Action: "].iter().find_map(|label| line.strip_prefix(label));
            if in_observation && (label.is_some() || (line.is_empty() && ends_observation(lines.peek()))) {
                in_observation = false;
                view.observe(&action, &block);
            }
            if in_observation {
                block.push(line);
            } else if let Some(taken) = line.strip_prefix("Action: ") {
                if !taken.starts_with('<') {
                    taken.clone_into(&mut action);
                    view.steps += 1;
                }
            } else if line == "The episode is over." {
                view.over = true;
            }
        }
        if in_observation {
            view.observe(&action, &block);
        }
        view
    }

    /// Adds an action and its result.
    pub fn act(&mut self, action: &str, lines: &[&str]) {
        self.steps += 1;
        self.observe(action, lines);
    }

    /// Reads the result of `action`.
    pub fn observe(&mut self, action: &str, lines: &[&str]) {
        let action = &*uncalled(action);
        let lines: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        // The shopper stays where they are; the reasons that may follow name buttons.
        if lines.first() == Some(&"Invalid action!") {
            return;
        }
        let argument = action.split_once('[').map_or("", |(_, rest)| rest.trim_end_matches(']'));
        let buttons: BTreeSet<&str> = lines.iter().filter_map(|line| button(line)).collect();
        if let Some(score) =
            lines.iter().find_map(|line| line.strip_prefix("Your score (min 0.0, max 1.0): "))
        {
            self.page = Page::Done;
            self.score = score.trim().parse().ok();
        } else if let Some(value) = lines.first().and_then(|line| line.strip_prefix("You have clicked ")) {
            let value = value.trim_end_matches('.');
            if let Some(item) = &mut self.item {
                item.choose(value);
            }
        } else if buttons.contains("Search") {
            self.page = Page::Search;
            self.item = None;
            if let Some(at) = lines.iter().position(|line| line.starts_with("Instruction:")) {
                let rest = lines[at].trim_start_matches("Instruction:").trim();
                let text =
                    if rest.is_empty() { lines.get(at + 1).copied().unwrap_or_default() } else { rest };
                self.wish = Wish::read(text);
            }
        } else if buttons.contains("Buy Now") {
            self.page = Page::Item;
            self.open(argument, &lines);
        } else if lines.iter().any(|line| line.starts_with("Page ") && line.contains("Total results")) {
            self.page = Page::Results;
            self.item = None;
            if action.starts_with("search") {
                self.searches += 1;
            }
            self.listings = listings(&lines);
        } else if buttons.contains("< Prev") && self.item.is_some() {
            self.page = Page::Detail;
            if let Some(item) = &mut self.item {
                item.read.insert(argument.to_lowercase());
                let text =
                    lines.iter().filter(|line| button(line).is_none()).copied().collect::<Vec<_>>().join(" ");
                item.details.push_str(&text.to_lowercase());
                item.details.push(' ');
            }
        }
        // Anything else ("OK.") leaves the reader where they were.
    }

    fn open(&mut self, argument: &str, lines: &[&str]) {
        let price = lines.iter().position(|line| line.starts_with("Price:"));
        let title = price.and_then(|at| at.checked_sub(1)).map(|at| lines[at].to_owned()).unwrap_or_default();
        // Coming back from a detail page keeps what was read.
        let known = self.item.take().filter(|item| item.title == title);
        let mut item = known.unwrap_or_else(|| Item { title, ..Item::default() });
        item.price = price.and_then(|at| dollars(lines[at]));
        item.options.clear();
        for line in lines {
            let Some((name, mut rest)) = line.split_once(" [") else { continue };
            if line.starts_with('[') || name.starts_with("Price") {
                continue;
            }
            let mut values = Vec::new();
            loop {
                let selected = rest.starts_with('[');
                let Some((value, tail)) = rest.split_once(']') else { break };
                let value = value.trim_start_matches('[').to_owned();
                if selected {
                    item.chosen.push(value.clone());
                }
                values.push(value);
                match tail.trim_start_matches(']').strip_prefix('[') {
                    Some(next) => rest = next,
                    None => break,
                }
            }
            item.options.push((name.to_lowercase(), values));
        }
        item.chosen.sort();
        item.chosen.dedup();
        if self.listings.iter().any(|listing| listing.asin.eq_ignore_ascii_case(argument)) {
            self.opened.insert(argument.to_uppercase());
        }
        self.item = Some(item);
    }

    /// Whether only a few actions are left.
    pub fn hurried(&self) -> bool {
        self.allowed.is_some_and(|allowed| self.steps + 4 >= allowed)
    }

    /// The options that the wish mentions, as the current product offers them: those named in the wish, and the
    /// product's other options that have a value in the instruction.
    pub fn wanted_options(&self) -> Vec<WantedOption> {
        let Some(item) = &self.item else { return Vec::new() };
        let status = |value: &String, values: &[String]| {
            if item.chosen.contains(value) {
                Choice::Chosen
            } else if values.contains(value) {
                Choice::Open
            } else {
                Choice::NotOffered
            }
        };
        let values_of = |name: &String| item.options.iter().find(|(offered, _)| offered == name);
        let mut wanted: Vec<WantedOption> = self
            .wish
            .options
            .iter()
            .map(|(name, value)| {
                let values = values_of(name).map(|(_, values)| values.as_slice()).unwrap_or_default();
                WantedOption { name: name.clone(), value: value.clone(), choice: status(value, values) }
            })
            .collect();
        for (name, values) in &item.options {
            if self.wish.options.iter().any(|(named, _)| named == name) {
                continue;
            }
            // The longest value whose words are in the instruction: "dark blue" rather than "blue".
            let meant = values.iter().filter(|value| contains_phrase(&self.wish.whole, value));
            if let Some(value) = meant.max_by_key(|value| value.len()) {
                wanted.push(WantedOption {
                    name: name.clone(),
                    value: value.clone(),
                    choice: status(value, values),
                });
            }
        }
        wanted
    }

    /// The first wanted option that can still be chosen.
    pub fn open_option(&self) -> Option<WantedOption> {
        self.wanted_options().into_iter().find(|option| option.choice == Choice::Open)
    }

    /// Whether what was seen of the product shows that it is not what is wanted.
    pub fn lacking(&self) -> bool {
        let Some(item) = &self.item else { return false };
        let not_offered = |option: &WantedOption| option.choice == Choice::NotOffered;
        self.wanted_options().iter().any(not_offered)
            || (!item.read.is_empty() && self.missing_from_item() > 0)
    }

    /// Number of wanted words found neither in the product's title nor in the details read.
    pub fn missing_from_item(&self) -> usize {
        let Some(item) = &self.item else { return 0 };
        self.missing(&format!("{} {}", item.title.to_lowercase(), item.details)).len()
    }

    /// Wanted words that are not in `text` (lower case).
    pub fn missing<'a>(&'a self, text: &str) -> Vec<&'a str> {
        let held: BTreeSet<String> = words(text).into_iter().map(|word| stem(&word).to_owned()).collect();
        self.wish.words.iter().map(String::as_str).filter(|word| !held.contains(stem(word))).collect()
    }

    /// Share of the wanted words that a title has.
    pub fn fit(&self, title: &str) -> f64 {
        let wanted = self.wish.words.len().max(1) as f64;
        1.0 - self.missing(&title.to_lowercase()).len() as f64 / wanted
    }
}

/// An option that the wish mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedOption {
    /// Name of the option.
    pub name: String,
    /// The wanted value.
    pub value: String,
    /// Its status.
    pub choice: Choice,
}

/// The status of a wanted option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Chosen.
    Chosen,
    /// Offered, not chosen yet.
    Open,
    /// Not offered by this product.
    NotOffered,
}

impl Item {
    fn choose(&mut self, value: &str) {
        let group = self.options.iter().find(|(_, values)| values.iter().any(|offered| offered == value));
        // Another value of the same option replaces the earlier one.
        if let Some((_, values)) = group {
            self.chosen.retain(|chosen| !values.contains(chosen));
        }
        self.chosen.push(value.to_owned());
    }
}

impl Wish {
    /// Reads an instruction.
    pub fn read(text: &str) -> Self {
        let whole = text.trim().to_lowercase();
        let (rest, limit) = match whole.rsplit_once(", and price lower than ") {
            Some((rest, limit)) => {
                (rest, limit.split_whitespace().next().and_then(|number| number.parse().ok()))
            }
            None => (whole.as_str(), None),
        };
        // "... with color: navy, and size: 9": the options are at the end, joined by ", and ".
        let mut options = Vec::new();
        let mut rest = rest.to_owned();
        if let Some(colon) = rest.find(": ") {
            let start = rest[..colon].rfind(" with ").unwrap_or(colon);
            for pair in rest[start..].trim_start_matches(" with ").split(", and ") {
                if let Some((name, value)) = pair.split_once(": ") {
                    options.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
            rest.truncate(start);
        }
        let mut seen = BTreeSet::new();
        let words = words(&rest).into_iter().filter(|word| seen.insert(word.clone())).collect();
        Self { text: rest, words, options, limit, whole }
    }
}

/// Whether what follows an empty line is the request's own text rather than more of the page.
fn ends_observation(next: Option<&&str>) -> bool {
    next.is_none_or(|line| {
        line.is_empty()
            || [
                "Observation:",
                "(",
                "Think about",
                "What is your",
                "In short:",
                "Current thought:",
                "Describe where",
                "Words of earlier episodes",
            ]
            .iter()
            .any(|start| line.starts_with(start))
            || *line == "The episode is over."
    })
}

fn button(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

fn listings(lines: &[&str]) -> Vec<Listing> {
    let is_asin =
        |text: &str| text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let starts = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, button(line).filter(|text| is_asin(text))?)));
    starts
        .map(|(at, asin)| Listing {
            asin: asin.to_owned(),
            title: lines.get(at + 1).map(|title| (*title).to_owned()).unwrap_or_default(),
            price: lines.get(at + 2).and_then(|price| dollars(price)),
        })
        .collect()
}

/// The first amount in `text`.
fn dollars(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once('$')?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Telling words of a text, lower case.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|word| word.trim_matches('\'').to_lowercase())
        .filter(|word| !word.is_empty() && FILLER.split(' ').all(|filler| filler != word))
        .collect()
}

/// A reader ignores plurals.
fn stem(word: &str) -> &str {
    let word = word.strip_suffix("'s").unwrap_or(word);
    if word.len() > 3 { word.strip_suffix('s').unwrap_or(word) } else { word }
}

/// Whether `phrase` is in `text` between word boundaries; both lower case.
fn contains_phrase(text: &str, phrase: &str) -> bool {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    !phrase.is_empty()
        && text.match_indices(phrase).any(|(at, found)| {
            boundary(text[..at].chars().next_back()) && boundary(text[at + found.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "Observation:\nWebShop\nInstruction:\nFind me waterproof, non slip men's shoes with memory foam with color: navy, and size: 9, and price lower than 60.00 dollars\n[Search]\n";

    fn prompt(rest: &str) -> String {
        format!("You are shopping on WebShop.\n\n{INDEX}{rest}\nReply with one line:\nThought: <x>")
    }

    #[test]
    fn a_wish_is_read_from_its_instruction() {
        let view = View::read(&prompt("\nWhat is your strategy now?"));
        assert_eq!(view.page, Page::Search);
        assert_eq!(view.wish.words, ["waterproof", "non", "slip", "men's", "shoes", "memory", "foam"]);
        assert_eq!(view.wish.options, [("color".into(), "navy".into()), ("size".into(), "9".into())]);
        assert_eq!(view.wish.limit, Some(60.0));
    }

    #[test]
    fn a_product_is_followed_through_its_pages() {
        let history = "Thought: t\nAction: search[shoes]\n\nObservation:\n[Back to Search]\nPage 1 (Total results: 2)\n[Next >]\n\
             [B0AAAAAAA1]\nWaterproof shoe\n$20.5\n[B0AAAAAAA2]\nShoe\n$30.0 to $40.0\n\
             Thought: t\nAction: click[B0AAAAAAA1]\n\nObservation:\n[Back to Search]\n[< Prev]\ncolor [navy][red]\n\
             size [8][9]\nWaterproof shoe\nPrice: $20.5\nRating: N.A.\n[Description]\n[Features]\n[Reviews]\n[Buy Now]\n\
             Thought: t\nAction: click[navy]\n\nObservation:\nYou have clicked navy.\n\
             Thought: t\nAction: click[Features]\n\nObservation:\n[Back to Search]\n[< Prev]\nA non slip sole.\n\n\
             What is your strategy now?";
        let view = View::read(&prompt(history));
        let called = |line: &str| match line.strip_prefix("Action: ") {
            Some(action) => format!("Action: {}\n", crate::tools::called(action)),
            None => format!("{line}\n"),
        };
        let called: String = history.lines().map(called).collect();
        assert!(called.contains(r#"click({"target":"navy"})"#) && View::read(&prompt(&called)) == view);
        assert_eq!(view.page, Page::Detail);
        assert_eq!(view.opened.iter().collect::<Vec<_>>(), ["B0AAAAAAA1"]);
        assert_eq!(view.listings[1].price, Some(30.0));
        let wanted = view.wanted_options();
        let seen: Vec<_> =
            wanted.iter().map(|option| (&*option.name, &*option.value, option.choice)).collect();
        assert_eq!(seen, [("color", "navy", Choice::Chosen), ("size", "9", Choice::Open)]);
        let item = view.item.as_ref().unwrap();
        assert_eq!(item.price, Some(20.5));
        let seen = format!("{} {}", item.title, item.details).to_lowercase();
        assert_eq!(view.missing(&seen), ["men's", "memory", "foam"]);
        assert!(view.lacking());
    }
}
