//! The sentences that the simulated LLM speaks in: those of its behaviour, or free ones of the same meaning.
//!
//! A behaviour says each outcome and each thought in a few regular sentences, and a state in regular lines. [`Speech`]
//! replaces them by sentences of a bank, drawn at random, and reads such sentences back **by their meaning in the
//! bank**. So the wording changes what planner and critic see, and nothing of what the model knows or does.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use forethought_sdk::{
    api::behaviour::{Bank, Wordings},
    api::text::unmarked,
    prelude::*,
    schemars::{self, Schema, SchemaGenerator},
    seed::{ChaCha8Rng, IndexedRandom},
    simulated::wordings,
};

/// The choice of sentences.
#[data]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(from = "String", into = "String")]
pub enum Wording {
    /// The behaviour's own.
    #[default]
    Regular,
    /// Those of the behaviour's bank.
    Free,
    /// Those of `NAME.json` in this folder, where NAME is the behaviour's, such as `webshop`.
    Folder(PathBuf),
}

impl From<String> for Wording {
    fn from(text: String) -> Self {
        match text.as_str() {
            "regular" => Self::Regular,
            "free" => Self::Free,
            _ => Self::Folder(text.into()),
        }
    }
}

impl From<Wording> for String {
    fn from(wording: Wording) -> Self {
        match wording {
            Wording::Regular => "regular".into(),
            Wording::Free => "free".into(),
            Wording::Folder(path) => path.to_string_lossy().into_owned(),
        }
    }
}

impl JsonSchema for Wording {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Wording".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "enum": ["regular", "free"] }, { "type": "string", "format": "path" }] })
    }
}

/// A behaviour's sentences and those of banks, by meaning. The default one changes nothing.
#[derive(Debug, Default)]
pub struct Speech {
    outcomes: Sentences,
    thoughts: Sentences,
    lines: Vec<Forms>,
}

impl Speech {
    /// The speech of the behaviour `name`, which also understands the sentences of `folders`.
    ///
    /// # Errors
    /// A behaviour without a bank; a folder without its file; a file that is no bank, names a meaning that the
    /// behaviour does not have, has a sentence with two meanings, or one whose slots are not those of its line.
    pub async fn of(
        name: &str,
        behaviour: &dyn ScriptedBehaviour,
        wording: &Wording,
        folders: &[ConfigPath],
    ) -> Result<Self> {
        let Bank { regular, free } = match behaviour.bank().await {
            // It can do without.
            Err(_) if *wording == Wording::Regular && folders.is_empty() => return Ok(Self::default()),
            bank => bank?,
        };
        let own = format!("the bank of `{name}`");
        let (said, place) = match wording {
            Wording::Folder(folder) => read(folder, name)?,
            _ => (free.clone(), own.clone()),
        };
        if *wording != Wording::Regular && said == Wordings::default() {
            return Err(Error::config(format!(
                "wording: {place} is empty; use \"regular\", or a folder with {name}.json"
            )));
        }
        let mut speech = Self {
            outcomes: Sentences::of(&regular.outcomes),
            thoughts: Sentences::of(&regular.thoughts),
            lines: Vec::new(),
        };
        speech.learn(&regular, &said, *wording != Wording::Regular, &place)?;
        for folder in folders {
            let (understood, place) = read(folder, name)?;
            speech.learn(&regular, &understood, false, &place)?;
        }
        speech.learn(&regular, &free, false, &own)?;
        Ok(speech)
    }

    /// Understands the sentences of a bank, and says things in them if it is the one that is `spoken`.
    fn learn(&mut self, regular: &Wordings, bank: &Wordings, spoken: bool, place: &str) -> Result<()> {
        let outcomes = self.outcomes.learn(&regular.outcomes, &bank.outcomes, spoken);
        outcomes.context(format!("{place}: outcomes"))?;
        let thoughts = self.thoughts.learn(&regular.thoughts, &bank.thoughts, spoken);
        thoughts.context(format!("{place}: thoughts"))?;
        for (regular, others) in lines(&bank.state).context(format!("{place}: state"))? {
            let at = self.lines.iter().position(|known| known.regular.texts == regular.texts);
            let at = at.unwrap_or_else(|| {
                self.lines.push(Forms { regular: regular.clone(), said: 0, others: Vec::new() });
                self.lines.len() - 1
            });
            let known = &mut self.lines[at];
            known.others.extend(others.iter().map(|other| other.renamed(&regular, &known.regular)));
            if spoken {
                known.said = known.others.len();
            }
        }
        Ok(())
    }

    /// An outcome in other words.
    pub fn outcome(&self, regular: &str, rng: &mut ChaCha8Rng) -> String {
        self.outcome_as(regular, &[], rng)
    }

    /// A thought in other words.
    pub fn thought(&self, regular: &str, rng: &mut ChaCha8Rng) -> String {
        self.thought_as(regular, &[], rng)
    }

    /// A summary of the state in other words, line by line. Lines that the bank does not know stay.
    pub fn state(&self, regular: &str, rng: &mut ChaCha8Rng) -> String {
        self.state_as(regular, &[], rng)
    }

    /// An outcome in the first of the `listed` sentences that means it, or else in other words.
    pub fn outcome_as(&self, regular: &str, listed: &[String], rng: &mut ChaCha8Rng) -> String {
        self.outcomes.say(regular, listed, rng)
    }

    /// A thought in the first of the `listed` sentences that means it, or else in other words.
    pub fn thought_as(&self, regular: &str, listed: &[String], rng: &mut ChaCha8Rng) -> String {
        self.thoughts.say(regular, listed, rng)
    }

    /// A summary of the state, each line in the form that it has in the `listed` summaries, or else in other words.
    pub fn state_as(&self, regular: &str, listed: &[String], rng: &mut ChaCha8Rng) -> String {
        if self.lines.iter().all(|known| known.said == 0) && listed.is_empty() {
            return regular.to_owned();
        }
        let shown = self.shown(listed);
        let mut said = Vec::new();
        let mut rest = regular;
        while !rest.is_empty() {
            let known = self.lines.iter().enumerate().find_map(|(at, known)| {
                let (slots, left) = known.regular.read(rest)?;
                Some((at, known, slots, left))
            });
            let left = match known {
                Some((at, known, slots, left)) => {
                    // Drawn in any case, so that a list shifts no draw.
                    let drawn = known.others[..known.said].choose(rng).unwrap_or(&known.regular);
                    said.push(shown[at].unwrap_or(drawn).say(&slots));
                    left
                }
                None => {
                    let end = rest.find(". ").map_or(rest.len(), |at| at + 1);
                    said.push(rest[..end].to_owned());
                    &rest[end..]
                }
            };
            rest = left.trim_start();
        }
        said.join(" ")
    }

    /// The form that each line has in these summaries, where it is in one.
    fn shown(&self, summaries: &[String]) -> Vec<Option<&Line>> {
        let mut shown = vec![None; self.lines.len()];
        for summary in summaries {
            let mut rest = summary.trim();
            while !rest.is_empty() {
                rest = match self.line(rest) {
                    Some((at, form, _, left)) => {
                        shown[at].get_or_insert(form);
                        left
                    }
                    None => rest.split_once(". ").map_or("", |(_, left)| left),
                }
                .trim_start();
            }
        }
        shown
    }

    /// A thought in the behaviour's own words, by its meaning. Others are handed on.
    pub fn understand_thought(&self, text: &str) -> String {
        self.thoughts.understand(text)
    }

    /// An outcome in the behaviour's own words, by its meaning. Others are handed on.
    pub fn understand_outcome(&self, text: &str) -> String {
        self.outcomes.understand(text)
    }

    /// Whether two sentences say the same, as outcomes, as thoughts or as lines of state. Unknown ones do if they are
    /// equal.
    pub fn same(&self, a: &str, b: &str) -> bool {
        let (a, b) = (a.trim(), b.trim());
        let same =
            |sentences: &Sentences| sentences.meaning(a).is_some_and(|of| sentences.meaning(b) == Some(of));
        let line = || self.line(a).filter(|(.., left)| left.is_empty()).map(|(at, _, slots, _)| (at, slots));
        a == b
            || same(&self.outcomes)
            || same(&self.thoughts)
            || line().is_some_and(|(at, slots)| {
                self.line(b)
                    .is_some_and(|(other, _, others, left)| other == at && others == slots && left.is_empty())
            })
    }

    /// The line that a text begins with: which one, in which form, what is in its slots, and the text after it. Of
    /// several readings, the one with the fewest characters in slots.
    fn line<'s, 't>(
        &'s self,
        text: &'t str,
    ) -> Option<(usize, &'s Line, HashMap<&'s str, &'t str>, &'t str)> {
        let all = self.lines.iter().enumerate().flat_map(|(at, known)| {
            std::iter::once(&known.regular).chain(&known.others).map(move |form| (at, form))
        });
        let readings = all.filter_map(|(at, form)| {
            let (slots, left) = form.read(text)?;
            // A slot is within a sentence.
            slots.values().all(|slot| !slot.contains(". ")).then_some((at, form, slots, left))
        });
        let open = |slots: &HashMap<&str, &str>| slots.values().map(|slot| slot.len()).sum::<usize>();
        readings.min_by_key(|(at, _, slots, left)| (open(slots), left.len(), *at))
    }
}

/// The bank of `name` in a folder, and its place.
fn read(folder: &Path, name: &str) -> Result<(Wordings, String)> {
    let file = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&file)
        .context(format!("{}: the wordings of `{name}` cannot be read", file.display()))?;
    let wordings =
        wordings(unmarked(&text)).context(format!("{} is not a bank of wordings", file.display()))?;
    Ok((wordings, file.display().to_string()))
}

/// Sentences with one meaning each. A meaning is the first of its regular sentences.
#[derive(Debug, Default)]
struct Sentences {
    /// The meaning of each regular sentence.
    regular: HashMap<String, String>,
    /// The meaning of each other sentence.
    others: HashMap<String, String>,
    /// The sentences in which a meaning is said; without any, as the behaviour says it.
    said: HashMap<String, Vec<String>>,
}

impl Sentences {
    fn of(regular: &[(String, Vec<String>)]) -> Self {
        let meaning = |own: &Vec<String>| own.first().cloned().unwrap_or_default();
        let each = regular.iter().flat_map(|(_, own)| own.iter().map(move |one| (one.clone(), meaning(own))));
        Self { regular: each.collect(), ..Self::default() }
    }

    fn learn(
        &mut self,
        regular: &[(String, Vec<String>)],
        bank: &[(String, Vec<String>)],
        spoken: bool,
    ) -> Result<()> {
        let mut learned: HashMap<String, String> = HashMap::new();
        for (name, others) in bank {
            let own = regular.iter().find(|(own, _)| own == name).map(|(_, own)| own).ok_or_else(|| {
                let names: Vec<_> = regular.iter().map(|(name, _)| name.as_str()).collect();
                Error::config(format!("`{name}` is not one of {}", names.join(", ")))
            })?;
            some(name, others)?;
            for sentence in others {
                let sentence = sentence.trim().to_owned();
                if let Some(other) = learned.insert(sentence.clone(), own[0].clone())
                    && other != own[0]
                {
                    return Err(Error::config(format!("{sentence:?} has two meanings, one is `{name}`")));
                }
            }
            if spoken {
                self.said.insert(own[0].clone(), others.clone());
            }
        }
        // What was learned first counts.
        for (sentence, meaning) in learned {
            self.others.entry(sentence).or_insert(meaning);
        }
        Ok(())
    }

    fn meaning(&self, text: &str) -> Option<&str> {
        self.regular.get(text).or_else(|| self.others.get(text)).map(String::as_str)
    }

    fn say(&self, regular: &str, listed: &[String], rng: &mut ChaCha8Rng) -> String {
        let meaning = self.meaning(regular);
        // Drawn in any case, so that a list shifts no draw.
        let drawn = meaning.and_then(|meaning| self.said.get(meaning)).and_then(|said| said.choose(rng));
        let listed =
            listed.iter().map(|one| one.trim()).find(|one| meaning.is_some() && self.meaning(one) == meaning);
        listed.or(drawn.map(|drawn| drawn.trim())).unwrap_or(regular).to_owned()
    }

    fn understand(&self, text: &str) -> String {
        let known = |text: &str| self.others.get(text).filter(|_| !self.regular.contains_key(text));
        known(text.trim()).cloned().unwrap_or_else(|| text.to_owned())
    }
}

fn some(name: &str, sentences: &[String]) -> Result<()> {
    match sentences.iter().any(|sentence| sentence.trim().is_empty() || sentence.contains('\n')) {
        _ if sentences.is_empty() => Err(Error::config(format!("`{name}` has no sentences"))),
        true => Err(Error::config(format!("`{name}` has a sentence that is empty or not one line"))),
        false => Ok(()),
    }
}

fn lines(state: &[(String, Vec<String>)]) -> Result<Vec<(Line, Vec<Line>)>> {
    let line = |(regular, others): &(String, Vec<String>)| {
        some(regular, others)?;
        let regular = Line::parse(regular)?;
        let others = others.iter().map(|other| {
            let other_line = Line::parse(other.trim())?;
            let sorted = |line: &Line| {
                let mut slots = line.slots.clone();
                slots.sort();
                slots
            };
            if sorted(&other_line) == sorted(&regular) {
                Ok(other_line)
            } else {
                Err(Error::config(format!(
                    "{other:?} does not have the slots {:?} of its line",
                    regular.slots
                )))
            }
        });
        let others = others.collect::<Result<_>>()?;
        Ok((regular, others))
    };
    state.iter().map(line).collect()
}

/// The forms of a line of state.
#[derive(Debug)]
struct Forms {
    regular: Line,
    /// How many of `others` it is said in.
    said: usize,
    others: Vec<Line>,
}

/// A sentence with slots: one more text than slots.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    texts: Vec<String>,
    /// Names; unnamed slots are numbered.
    slots: Vec<String>,
}

impl Line {
    fn parse(text: &str) -> Result<Self> {
        let mut line = Self { texts: Vec::new(), slots: Vec::new() };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| Error::config(format!("{text:?} has a brace that is not closed")))?;
            line.texts.push(before.to_owned());
            line.slots.push(if name.is_empty() { line.slots.len().to_string() } else { name.to_owned() });
            rest = after;
        }
        line.texts.push(rest.to_owned());
        Ok(line)
    }

    /// The same line, with the names of the slots of `from` replaced by those of `to`, another line of the same slots.
    fn renamed(&self, from: &Self, to: &Self) -> Self {
        let name = |slot: &String| {
            let at = from.slots.iter().position(|name| name == slot);
            at.and_then(|at| to.slots.get(at)).unwrap_or(slot).clone()
        };
        Self { texts: self.texts.clone(), slots: self.slots.iter().map(name).collect() }
    }

    /// What is in the slots if `text` begins with this line, and the text after it. A slot is as short as it can
    /// be, and not empty.
    fn read<'t>(&self, text: &'t str) -> Option<(HashMap<&str, &'t str>, &'t str)> {
        let mut found = Vec::new();
        let left = fill(&self.texts, text, &mut found)?;
        Some((self.slots.iter().map(String::as_str).zip(found).collect(), left))
    }

    fn say(&self, slots: &HashMap<&str, &str>) -> String {
        let mut said = self.texts[0].clone();
        for (slot, text) in self.slots.iter().zip(&self.texts[1..]) {
            said.push_str(
                slots.get(slot.as_str()).expect("the slots of a line and its wordings are the same"),
            );
            said.push_str(text);
        }
        said
    }
}

fn fill<'t>(texts: &[String], text: &'t str, found: &mut Vec<&'t str>) -> Option<&'t str> {
    let (first, others) = texts.split_first()?;
    let rest = text.strip_prefix(first.as_str())?;
    if others.is_empty() {
        return (rest.is_empty() || rest.starts_with(' ')).then_some(rest);
    }
    // Every place where the next text may begin, the nearest first.
    rest.match_indices(others[0].as_str()).filter(|(at, _)| *at > 0).find_map(|(at, _)| {
        found.push(&rest[..at]);
        let left = fill(others, &rest[at..], found);
        if left.is_none() {
            found.pop();
        }
        left
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forethought_sdk::{
        seed::stream,
        simulated::{self, Scripted, worded},
    };

    use super::*;

    worded! {
        enum Step {
            Left: ["Go left.", "Turn left."],
            Right: ["Go right."],
        }
    }
    worded! {
        enum End {
            Home: ["I am home."],
            Lost: ["I am lost."],
        }
    }
    struct Seen;
    impl simulated::View for Seen {
        fn recognises(_: &str) -> bool {
            true
        }
        fn read(_: &str) -> Self {
            Self
        }
        fn state(&self) -> String {
            "It is noon. I carry 2.50 kg and a lamp.".into()
        }
        fn free_wordings() -> &'static str {
            r#"{"thoughts": {"Left": ["Leftwards it is.", "West, then."]}, "outcomes": {"Lost": ["No idea where this is."]},
                "state": {"I carry {weight} and {thing}.": ["With {thing} and {weight} on my back.", "{weight}, plus {thing}."]}}"#
        }
    }
    impl simulated::Move for Step {
        type View = Seen;
        fn prior(_: &Seen) -> Vec<(Self, f64)> {
            vec![(Self::Left, 1.0)]
        }
        fn action(self, _: &Seen, _: &mut ChaCha8Rng) -> String {
            simulated::Worded::name(self).to_lowercase()
        }
    }
    impl simulated::Outcome for End {
        type View = Seen;
        fn reached(_: &Seen) -> Self {
            Self::Lost
        }
        fn imagine(_: &Seen, _: &mut ChaCha8Rng) -> [Vec<Self>; 2] {
            [vec![Self::Home], vec![Self::Lost]]
        }
    }

    async fn speech(wording: Wording) -> Result<Speech> {
        let walker: Arc<dyn ScriptedBehaviour> = Arc::new(Scripted::<Step, End>::default());
        Speech::of("walk", walker.as_ref(), &wording, &[]).await
    }

    #[tokio::test]
    async fn sentences_are_replaced_and_understood_by_their_meaning() {
        let speech = speech(Wording::Free).await.unwrap();
        let mut rng = stream(1, "test");
        let said: std::collections::BTreeSet<_> =
            (0..20).map(|_| speech.thought("Turn left.", &mut rng)).collect();
        assert_eq!(said.into_iter().collect::<Vec<_>>(), ["Leftwards it is.", "West, then."]);
        assert_eq!(speech.understand_thought(" West, then.\n"), "Go left.");
        // What no bank holds stays as it is.
        assert_eq!(speech.thought("Go right.", &mut rng), "Go right.");
        assert_eq!(speech.understand_thought("Fly."), "Fly.");
        assert_eq!(speech.outcome("I am lost.", &mut rng), "No idea where this is.");
        let state = speech.state("It is noon. I carry 2.50 kg and a lamp. It is late.", &mut rng);
        assert!(
            [
                "It is noon. With a lamp and 2.50 kg on my back. It is late.",
                "It is noon. 2.50 kg, plus a lamp. It is late."
            ]
            .contains(&state.as_str()),
            "{state}"
        );
    }

    #[tokio::test]
    async fn what_a_prompt_lists_is_said_in_its_sentences() {
        let listed = |sentences: &[&str]| sentences.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        for wording in [Wording::Regular, Wording::Free] {
            let speech = speech(wording.clone()).await.unwrap();
            let mut rng = stream(1, "test");
            // Whatever its own wording, it understands the others.
            assert_eq!(speech.understand_thought("West, then."), "Go left.");
            let thoughts = listed(&["Go right.", "West, then.", "Leftwards it is."]);
            assert_eq!(speech.thought_as("Turn left.", &thoughts, &mut rng), "West, then.");
            assert_eq!(
                speech.outcome_as("I am lost.", &listed(&["I am home."]), &mut rng) == "I am lost.",
                wording == Wording::Regular
            );
            let states = listed(&["Nothing that it knows. 1 kg, plus a rope. More."]);
            let state = speech.state_as("It is noon. I carry 2.50 kg and a lamp.", &states, &mut rng);
            assert_eq!(state, "It is noon. 2.50 kg, plus a lamp.");
            assert!(speech.same("Turn left.", "West, then.") && !speech.same("Turn left.", "Go right."));
            assert!(speech.same("Fly.", " Fly.") && !speech.same("Fly.", "Fly!"));
        }
        // A list shifts no draw.
        let speech = speech(Wording::Free).await.unwrap();
        let draws = |list: &[String]| {
            let mut rng = stream(3, "test");
            speech.thought_as("Go left.", list, &mut rng);
            (0..9).map(|_| speech.thought("Go left.", &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(draws(&[]), draws(&listed(&["Turn left."])));
    }

    #[tokio::test]
    async fn a_folder_is_read_and_its_faults_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let written = |text: &str| {
            std::fs::write(folder.path().join("walk.json"), text).unwrap();
            Wording::Folder(folder.path().to_owned())
        };
        let own = speech(written(r#"{"thoughts": {"Right": ["Eastwards."]}}"#)).await.unwrap();
        assert_eq!(own.understand_thought("Eastwards."), "Go right.");
        for (text, parts) in [
            (
                r#"{"thoughts": {"Up": ["Climb."]}}"#,
                ["walk.json: thoughts", "`Up` is not one of Left, Right"],
            ),
            (r#"{"thoughts": {"Left": ["Go."], "Right": ["Go."]}}"#, ["thoughts", "two meanings"]),
            (r#"{"thoughts": {"Left": []}}"#, ["thoughts", "`Left` has no sentences"]),
            (r#"{"state": {"I carry {a}.": ["Load: {b}."]}}"#, ["state", "does not have the slots [\"a\"]"]),
            (r#"{"state": {"I carry {a": ["Load"]}}"#, ["state", "not closed"]),
            (r#"{"thought": {}}"#, ["is not a bank of wordings", "`thought` is not one of"]),
            ("{}", ["walk.json is empty", "\"regular\""]),
        ] {
            let error = speech(written(text)).await.unwrap_err();
            let error = format!("{error:?}");
            assert!(
                parts.iter().all(|part| error.contains(&part.replace('"', "\\\"")) || error.contains(part)),
                "{error}"
            );
        }
        let missing = speech(Wording::Folder("no/such".into())).await.unwrap_err();
        assert!(missing.to_string().contains("no/such/walk.json"), "{missing}");
    }
}
