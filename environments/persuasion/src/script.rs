//! The configuration of a dialogue: everything about it that is not mechanics. A preset is a whole script; a
//! configuration overrides it, key by key.

use std::num::NonZeroU32;

use forethought_sdk::prelude::*;
use forethought_sdk::schemars::{Schema, SchemaGenerator};
use forethought_sdk::serde_json::{Map, Value};

/// A dialogue of two parties, who speak in turn.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Script {
    /// The script that the other keys change.
    #[serde(default)]
    pub preset: Preset,
    /// What the dialogue is about: the first line of the instructions is "You are in a dialogue: " and this.
    pub title: String,
    /// The seat that opens; its score is reported.
    pub first: Party,
    /// The seat that answers.
    pub second: Party,
    /// What the first seat has already said when the episode begins; empty to let it find its own words.
    pub opening: String,
    /// The most turns; a turn is an utterance of each seat.
    pub turns: NonZeroU32,
    /// How the dialogue is decided.
    pub outcome: Outcome,
    /// The most that can be given, in dollars; for gifts.
    pub maximum: f64,
    /// The word of the tag that gives, as in `[DONATE $x]`; for gifts.
    pub tag: String,
    /// The question that the dialogue is about; planners may ask it to learn the second seat's attitude.
    pub question: String,
    /// What the second seat is asked after the last turn; for gifts.
    pub closing: String,
    /// What the first seat can do in an utterance, for planners that search over acts.
    pub acts: Vec<Act>,
    /// Names of the acts to choose from in the first turn; all, if empty.
    pub first_acts: Vec<String>,
    /// How the second seat may react, and what that is worth.
    pub replies: Vec<Reply>,
    /// What is said when it is over.
    pub ends: Ends,
    /// What the seats earn.
    pub reward: Reward,
    /// What is for sale; for deals. One is drawn in each episode.
    pub goods: Vec<Good>,
}

/// One of the two sides.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Party {
    /// Name of the seat.
    pub name: String,
    /// The label before its utterances.
    pub label: String,
    /// Who it is, in one line of each observation. In deals, `{item}`, `{price}` and `{limit}` are filled in.
    pub brief: String,
    /// Instructions for this seat, in addition to the common ones.
    pub role: String,
    /// What the other side knows of it.
    pub seen_as: String,
    /// What is asked of it at each turn.
    pub ask: String,
}

/// How a dialogue is decided.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The second seat gives an amount: by the tag at any time, or in answer to the closing question.
    Gift,
    /// The second seat says in brackets how it reacts, and some of `replies` end the dialogue. The turn limit comes
    /// first: in the last turn no reply ends the dialogue.
    Reply,
    /// The seats agree on a price: `[OFFER $x]`, `[ACCEPT]`, `[WALK AWAY]`. The first seat buys.
    Deal,
}

/// A move of the first seat.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Act {
    /// Its name.
    pub name: String,
    /// How it is done, in one line.
    pub instruction: String,
}

/// A move of the second seat.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reply {
    /// Its name.
    pub name: String,
    /// What it is worth to the first seat, from -1 to 1. Answers without a name count as the one nearest 0.
    pub value: f64,
    /// How it ends the dialogue, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// How a dialogue ended.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Something was given, or a price agreed on.
    Agreement,
    /// Nothing was.
    Refusal,
    /// The turns were used up.
    Length,
}

impl End {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Refusal => "refusal",
            Self::Length => "length",
        }
    }
}

/// What both seats see at the end; `{amount}` is filled in.
#[config]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// After an agreement.
    pub agreement: String,
    /// After a refusal.
    pub refusal: String,
    /// When the turns were used up.
    pub length: String,
}

/// The first seat earns the number for the end, plus `share` times the share that was reached: of the maximum, or of
/// the range between the two limits.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reward {
    /// For an agreement.
    pub agreement: f64,
    /// For a refusal.
    pub refusal: f64,
    /// For having used up the turns.
    pub length: f64,
    /// For reaching everything.
    pub share: f64,
    /// What the second seat earns.
    pub second: SecondReward,
}

/// What the second seat earns.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondReward {
    /// Nothing: it is the world, not a player.
    Nothing,
    /// What the first seat earns.
    Same,
    /// What the first seat earns, negative.
    Opposite,
    /// After an agreement `share` times what the first seat left of the whole, else nothing.
    Rest,
}

/// Something for sale.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Good {
    /// What it is.
    pub name: String,
    /// Least listing price.
    pub low: f64,
    /// Highest listing price.
    pub high: f64,
}

/// A shipped script.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// A donor gives up to $2 within 10 turns.
    #[default]
    Persuasion,
    /// GDP-Zero's game: the donor agrees or not, within 15 turns.
    GdpZero,
    /// A buyer and a seller haggle over a price.
    Negotiation,
}

impl Preset {
    /// The whole script.
    fn table(self) -> Value {
        let read = |text| toml::from_str(text).expect("shipped presets are TOML");
        let persuasion = || read(include_str!("presets/persuasion.toml"));
        match self {
            Self::Persuasion => persuasion(),
            Self::GdpZero => {
                let mut table = persuasion();
                lay_over(&mut table, read(include_str!("presets/gdp-zero.toml")));
                table
            }
            Self::Negotiation => read(include_str!("presets/negotiation.toml")),
        }
    }
}

/// Merges tables key by key; any other value replaces the old one.
fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// A configured script: a preset, and the keys that differ from it.
#[data]
#[derive(Debug, Clone, PartialEq)]
#[serde(try_from = "Map<String, Value>")]
pub struct ScriptConfig(pub Script);

impl TryFrom<Map<String, Value>> for ScriptConfig {
    type Error = Error;
    fn try_from(config: Map<String, Value>) -> Result<Self> {
        let read = |error: forethought_sdk::serde_json::Error| Error::config(error.to_string());
        let preset = config.get("preset").cloned().unwrap_or("persuasion".into());
        let preset: Preset = forethought_sdk::serde_json::from_value(preset).map_err(read)?;
        let mut table = preset.table();
        lay_over(&mut table, Value::Object(config));
        let script: Script = forethought_sdk::serde_json::from_value(table).map_err(read)?;
        script.check()?;
        Ok(Self(script))
    }
}

impl JsonSchema for ScriptConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ScriptConfig".into()
    }
    fn inline_schema() -> bool {
        true
    }
    /// A script's schema, in which keys are required only in the elements of lists: the preset gives the others.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Script::json_schema(generator);
        schema.remove("required");
        for name in ["Party", "Ends", "Reward"] {
            if let Some(Value::Object(table)) = generator.definitions_mut().get_mut(name) {
                table.remove("required");
            }
        }
        schema
    }
}

impl Script {
    /// A preset as it ships.
    pub fn preset(preset: Preset) -> Self {
        forethought_sdk::serde_json::from_value(preset.table()).expect("shipped presets are scripts")
    }

    /// The party of a seat.
    pub fn party(&self, seat: usize) -> &Party {
        if seat == 0 { &self.first } else { &self.second }
    }

    /// Checks that deserialisation cannot make: keys that must agree with one another.
    fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::config(what));
        if self.first.name == self.second.name || self.first.label == self.second.label {
            return wrong("first and second must differ in name and in label".into());
        }
        if self.outcome == Outcome::Gift
            && (self.maximum <= 0.0 || self.closing.is_empty() || self.tag.is_empty())
        {
            return wrong("outcome = \"gift\" needs a maximum above 0, a tag and a closing question".into());
        }
        if self.outcome == Outcome::Reply && self.replies.iter().all(|reply| reply.end.is_none()) {
            return wrong("outcome = \"reply\" needs a reply with end = \"agreement\" or \"refusal\"".into());
        }
        if self.outcome == Outcome::Deal && self.goods.is_empty() {
            return wrong("outcome = \"deal\" needs goods = [{ name, low, high }]".into());
        }
        if let Some(good) =
            self.goods.iter().find(|good| !(0.0 < good.low && good.low <= good.high && good.high.is_finite()))
        {
            return wrong(format!("goods, `{}`: low must be above 0 and not above high", good.name));
        }
        if let Some(name) = self.first_acts.iter().find(|name| self.acts.iter().all(|act| act.name != **name))
        {
            return wrong(format!("first_acts names `{name}`, which is not in acts"));
        }
        Ok(())
    }

    /// The reply for an answer without a name: the first of those nearest 0.
    pub fn neutral(&self) -> usize {
        let worth = |index: &usize| self.replies[*index].value.abs();
        (0..self.replies.len()).min_by(|a, b| worth(a).total_cmp(&worth(b))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forethought_sdk::serde_json::{from_value, json};

    #[test]
    fn a_configuration_changes_what_it_names_and_no_more() {
        let config = json!({ "preset": "gdp-zero", "turns": 4, "second": { "role": "You are in a hurry." } });
        let ScriptConfig(script) = from_value(config).expect("a script");
        let mut expected = Script::preset(Preset::GdpZero);
        expected.preset = Preset::GdpZero;
        expected.turns = NonZeroU32::new(4).expect("not zero");
        expected.second.role = "You are in a hurry.".into();
        assert_eq!(script, expected);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let check = |config: Value, word: &str| {
            let error = from_value::<ScriptConfig>(config).expect_err("refused").to_string();
            assert!(error.contains(word), "{error}");
        };
        check(json!({ "turn": 3 }), "turn");
        check(json!({ "second": { "rôle": "" } }), "rôle");
        check(json!({ "preset": "chess" }), "chess");
        check(json!({ "outcome": "deal" }), "goods");
        check(json!({ "outcome": "reply" }), "reply");
        check(json!({ "maximum": 0.0 }), "maximum");
        check(json!({ "first_acts": ["sing"] }), "sing");
        check(json!({ "first": { "name": "donor" } }), "name");
    }
}
