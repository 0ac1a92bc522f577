//! A donor fitted to real human dialogues: works offline, reads the persuader's acts from its words, and answers in
//! words of our own. docs/persuasion-donor.md says what is fitted, what is assumed, and how well it fits.
//!
//! # Reading order
//! [`acts`] (labels and groups), [`model`] (the donor), [`reader`] (from words to acts), [`words`] (back again), this
//! file (the planner); [`corpus`] and [`fit`] make the numbers.

pub mod acts;
pub mod corpus;
pub mod fit;
pub mod model;
pub mod reader;
pub mod words;

use std::sync::LazyLock;

use forethought_sdk::{
    prelude::*,
    seed::{IndexedRandom, RngExt},
    serde_json::{Value, json},
};

use self::acts::{ACT_NAMES, AGREE, DISAGREE, PROVIDE, worth};
use self::corpus::PAYMENT;
use self::model::{Parameters, Path, Traits};

/// Settings of the fitted donor.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct DonorConfig {
    /// How much donors doubt at first: 1 as fitted, 0 not at all.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub scepticism: f64,
}

impl Default for DonorConfig {
    fn default() -> Self {
        Self { scepticism: 1.0 }
    }
}

register! {
    interface: dyn Planner,
    kind: "donor-fitted",
    summary: "a donor fitted to real human dialogues, for the second seat of persuasion: offline, with doubts of its own",
    config: DonorConfig,
    inline: true,
    new: |config: DonorConfig, _host| async move { Ok(Arc::new(Donor::new(config)?) as _) },
}

/// The shipped numbers, read once.
static SHIPPED: LazyLock<Parameters> = LazyLock::new(Parameters::shipped);

/// The fitted donor.
pub struct Donor {
    config: DonorConfig,
}

impl Donor {
    /// A donor with these settings.
    ///
    /// # Errors
    /// A scepticism out of range.
    pub fn new(config: DonorConfig) -> Result<Self> {
        if !(0.0..=10.0).contains(&config.scepticism) {
            return Err(Error::config(format!("scepticism = {}: must be within [0, 10]", config.scepticism)));
        }
        Ok(Self { config })
    }
}

/// A donor's memory of a dialogue. It is the same at each turn, since it follows from what was said and who the donor
/// is.
struct Mind {
    token: u64,
    traits: Traits,
    path: Path,
    turn: usize,
    acts: Vec<usize>,
    /// The sum that was named last.
    named: Option<f64>,
}

impl Mind {
    fn new(token: u64, scepticism: f64) -> Self {
        let traits = Traits::draw(&mut seed::stream(token, "traits"), scepticism);
        Self { token, traits, path: Path::default(), turn: 0, acts: Vec::new(), named: None }
    }

    /// Hears an utterance and reacts to it.
    fn hear(&mut self, words: &str) {
        self.path.hear(&SHIPPED.reader.utterance(words));
        self.acts = SHIPPED.acts(&self.path, &self.traits, &mut self.stream("acts"));
        self.path.answer(&self.acts);
        if self.acts.contains(&PROVIDE) {
            self.named = Some(self.amount());
        }
        self.turn += 1;
    }

    fn stream(&self, name: &str) -> forethought_sdk::seed::ChaCha8Rng {
        seed::stream(self.token, &format!("{name} {}", self.turn))
    }

    /// What it would give: never less than it has said.
    fn amount(&self) -> f64 {
        SHIPPED.amount(&self.path, &self.traits).max(self.named.unwrap_or(0.0))
    }

    /// What it says, with one act per sentence.
    fn words(&self) -> String {
        let mut rng = self.stream("words");
        let amount = self.named.unwrap_or_else(|| self.amount());
        let mut said: Vec<String> = Vec::new();
        for &act in &self.acts {
            let sentence = words::sentence(act, self.traits.concern, amount, &mut rng);
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
        said.join(" ")
    }

    /// Its answer to the closing question.
    fn close(&self, maximum: f64) -> String {
        let mut rng = self.stream("gift");
        if rng.random::<f64>() < SHIPPED.gives(&self.path, self.path.doubt(&self.traits)) {
            let sum = words::money(self.amount() / PAYMENT * maximum);
            let forms = ["I will give {}.", "I'd like to donate {}.", "Let it be {}.", "{}, please."];
            return forms.choose(&mut rng).copied().unwrap_or("{}").replace("{}", &sum);
        }
        let forms = [
            "I will not give anything.",
            "Nothing, sorry.",
            "I would rather keep it all.",
            "No, I'd rather not.",
        ];
        forms.choose(&mut rng).copied().unwrap_or("Nothing.").into()
    }

    /// What the reply is worth, as the acts are read.
    fn worth(&self) -> f64 {
        let did = |act| self.acts.contains(&act);
        match () {
            () if did(DISAGREE) => -1.0,
            () if did(AGREE) => 1.0,
            () => self.acts.iter().rev().map(|&act| worth(act)).find(|worth| *worth != 0.0).unwrap_or(0.0),
        }
    }
}

#[async_trait]
impl Planner for Donor {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }

    async fn decide(&self, context: DecisionContext, _models: Arc<dyn Models>) -> Result<Decision> {
        let data = &context.turn.observation.data;
        let dialogue = &data["dialogue"];
        let (Some(turns), 1) = (dialogue["turns"].as_array(), context.seat) else {
            return elsewhere(&context);
        };
        let mut mind = Mind::new(data["token"].as_u64().unwrap_or_default(), self.config.scepticism);
        let mut heard = String::new();
        let mut answered = 0;
        for turn in turns {
            let text = turn["text"].as_str().unwrap_or_default();
            if turn["seat"] == 0 {
                heard = format!("{heard} {text}");
            } else if answered < dialogue["limit"].as_u64().unwrap_or(u64::MAX) {
                mind.hear(&std::mem::take(&mut heard));
                answered += 1;
            }
        }
        let said = if dialogue["closing"] == true {
            mind.close(data["gift"]["maximum"].as_f64().unwrap_or(PAYMENT))
        } else {
            mind.hear(&heard);
            mind.words()
        };
        let label =
            if dialogue["labelled"] == true { named(&dialogue["replies"], mind.worth()) } else { None };
        let said = label.map_or(said.clone(), |name| format!("[{name}] {said}"));
        // For logs; no other seat sees a trace.
        let acts: Vec<_> = mind.acts.iter().map(|&act| ACT_NAMES[act]).collect();
        let details = json!({ "acts": acts, "concern": format!("{:?}", mind.traits.concern) });
        Ok(Decision {
            action: Action::new(said),
            trace: Trace { details, ..Trace::default() },
            ..Decision::default()
        })
    }
}

/// The name of the reply whose value is nearest.
fn named(replies: &Value, worth: f64) -> Option<&str> {
    let distance = |reply: &&Value| (reply["value"].as_f64().unwrap_or(f64::MAX) - worth).abs();
    replies.as_array()?.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?["name"].as_str()
}

/// In another environment, or in the persuader's seat: any legal action.
pub(crate) fn elsewhere(context: &DecisionContext) -> Result<Decision> {
    let drawn = context.turn.legal_actions.choose(&mut seed::stream(context.seed, "elsewhere"));
    let action = drawn.ok_or_else(|| {
        Error::config(format!(
            "this planner answers in the second seat of a dialogue, not in seat {} of `{}`",
            context.seat, context.environment.name
        ))
    })?;
    Ok(Decision { action: Action::new(action), ..Decision::default() })
}
