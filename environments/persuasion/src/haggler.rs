//! A rule-based negotiator for either seat: concedes turn by turn from a hard first offer to its limit.

use forethought_sdk::{
    prelude::*,
    seed::{IndexedRandom, RngExt},
};

use crate::donor::elsewhere;

/// Settings of the haggler.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct HagglerConfig {
    /// When it concedes: 1 evenly, above 1 late, below 1 early. In the second seat each episode's haggler has its own
    /// patience, from half to twice this value.
    #[schemars(range(min = 0.05, max = 20.0))]
    pub patience: f64,
}

impl Default for HagglerConfig {
    fn default() -> Self {
        Self { patience: 1.0 }
    }
}

register! {
    interface: dyn Planner,
    kind: "haggler",
    summary: "a rule-based buyer or seller: concedes from a hard first offer to its limit",
    config: HagglerConfig,
    inline: true,
    new: |config: HagglerConfig, _host| async move { Ok(Arc::new(Haggler::new(config)?) as _) },
}

/// A rule-based negotiator.
pub struct Haggler {
    config: HagglerConfig,
}

/// A buyer's first offer, as a share of the listing price. A seller begins at the listing price.
const FIRST_OFFER: f64 = 0.45;

impl Haggler {
    /// A haggler with these settings.
    ///
    /// # Errors
    /// A patience out of range.
    pub fn new(config: HagglerConfig) -> Result<Self> {
        if !(0.05..=20.0).contains(&config.patience) {
            return Err(Error::config(format!("patience = {}: must be within [0.05, 20]", config.patience)));
        }
        Ok(Self { config })
    }
}

#[async_trait]
impl Planner for Haggler {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }

    async fn decide(&self, context: DecisionContext, _models: Arc<dyn Models>) -> Result<Decision> {
        let data = &context.turn.observation.data;
        let (deal, seat) = (&data["deal"], context.seat);
        let (Some(limit), Some(price)) = (deal["limit"].as_f64(), deal["price"].as_f64()) else {
            return elsewhere(&context);
        };
        let turn = data["dialogue"]["turn"].as_u64().unwrap_or(1);
        let turns = data["dialogue"]["limit"].as_u64().unwrap_or(1);
        let theirs = deal["offers"][1 - seat.min(1)].as_f64();
        let own = data["token"]
            .as_u64()
            .map_or(1.0, |token| seed::stream(token, "patience").random_range(-1.0..1.0_f64).exp2());
        let first = if seat == 0 { price * FIRST_OFFER } else { price };
        let passed = (turn - 1) as f64 / (turns.max(2) - 1) as f64;
        let offer = first + (limit - first) * passed.powf(self.config.patience * own);
        // In whole dollars, rounded to the side of the limit that is allowed.
        let offer = if seat == 0 { offer.floor() } else { offer.ceil() };
        let as_good = |theirs: f64, mine: f64| if seat == 0 { theirs <= mine } else { theirs >= mine };
        // The second seat has the last word: any price within the limit is better than nothing.
        let last = turn == turns;
        let said = match theirs {
            Some(theirs) if as_good(theirs, offer) || (last && as_good(theirs, limit)) => {
                "Agreed. [ACCEPT]".into()
            }
            _ => {
                let words = ["My offer is", "I could do", "Let us say", "How about"];
                let words =
                    words.choose(&mut seed::stream(context.seed, "words")).copied().unwrap_or("I offer");
                format!("{words} [OFFER ${offer}].")
            }
        };
        Ok(Decision { action: Action::new(said), ..Decision::default() })
    }
}
