//! What models cost, and the most that a request can cost.
//!
//! A price is found by provider and model, never by a name that merely looks similar. The shipped table (`prices.toml`)
//! uses both. In a configuration, `[prices."<model>"]` is the price of that model at any provider, and
//! `[prices."<provider>/<model>"]` at one provider; both take precedence over the table.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::LazyLock;

use forethought_api::{
    Result,
    llm::{ChatRequest, Usage},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a model costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars per million tokens of requests.
    #[schemars(range(min = 0))]
    pub input: f64,
    /// US dollars per million tokens of answers, including reasoning.
    #[schemars(range(min = 0))]
    pub output: f64,
    /// The model's longest answer in tokens: assumed for a request that sets no limit.
    #[schemars(range(min = 1))]
    pub max_output_tokens: u32,
}

/// Prices by model, or by provider and model.
pub type Prices = BTreeMap<String, Price>;

static SHIPPED: LazyLock<Prices> =
    LazyLock::new(|| toml::from_str(include_str!("prices.toml")).expect("the shipped table is well-formed"));

/// The price of `model` at `provider`, where that is known.
pub fn find(configured: &Prices, provider: Option<&str>, model: &str) -> Option<Price> {
    let full = provider.map(|provider| format!("{provider}/{model}"));
    let by_provider = |prices: &Prices| prices.get(full.as_ref()?).copied();
    by_provider(configured).or_else(|| configured.get(model).copied()).or_else(|| by_provider(&SHIPPED))
}

/// Billionths of a US dollar, for request and answer. Small enough that rounding ten thousand cheap calls adds less
/// than a cent; rounded up, so that rounding never exceeds a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Cost {
    pub(crate) fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// Tokens that providers add around each message, at most, and around a whole request.
const AROUND_MESSAGE: u64 = 16;
const AROUND_REQUEST: u64 = 64;
/// Tokens of the instructions that some providers add where tools or a schema are given: Anthropic documents up to 530.
const AROUND_TOOLS: u64 = 1024;

impl Price {
    /// The price of what costs nothing.
    pub const FREE: Self = Self { input: 0.0, output: 0.0, max_output_tokens: u32::MAX };

    pub(crate) fn is_free(&self) -> bool {
        self.input == 0.0 && self.output == 0.0
    }

    /// The higher of both, each figure by itself.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self.is_free(), other.is_free()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self {
                input: self.input.max(other.input),
                output: self.output.max(other.output),
                max_output_tokens: self.max_output_tokens.max(other.max_output_tokens),
            },
        }
    }

    fn of(&self, usage: Usage) -> Cost {
        // A dollar per million tokens is a thousand billionths per token.
        let nano = |tokens: u64, price: f64| (tokens as f64 * price * 1000.0).ceil() as u64;
        Cost { input: nano(usage.input_tokens, self.input), output: nano(usage.output_tokens, self.output) }
    }

    /// The most that one attempt at `request` can cost. No tokenizer makes more than one token per byte, so the bytes
    /// of what is sent, written as JSON, and what providers add to them are an upper bound of the tokens.
    pub(crate) fn most(&self, request: &ChatRequest) -> Result<Cost> {
        let ChatRequest { messages, tools, json_schema, .. } = request;
        let mut bytes = Counter(0);
        serde_json::to_writer(&mut bytes, &(messages, tools, json_schema))?;
        let instructed = !tools.is_empty() || json_schema.is_some();
        let added = AROUND_REQUEST
            + AROUND_MESSAGE * messages.len() as u64
            + if instructed { AROUND_TOOLS } else { 0 };
        let longest = request.max_tokens.unwrap_or(self.max_output_tokens);
        // Each sample may be a call of its own, with its own prompt.
        let samples = u64::from(request.samples.max(1));
        Ok(self.of(Usage {
            input_tokens: samples * (bytes.0 + added),
            output_tokens: samples * u64::from(longest),
        }))
    }

    /// The cost of an answer that could cost `most`. 0 tokens mean that the provider did not say; then the most counts.
    pub(crate) fn cost(&self, usage: Usage, most: Cost) -> Cost {
        let told = self.of(usage);
        Cost {
            input: if usage.input_tokens == 0 { most.input } else { told.input },
            output: if usage.output_tokens == 0 { most.output } else { told.output },
        }
    }
}

/// Counts what is written.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use forethought_api::llm::{Message, Purpose, Tool};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_shipped_table_names_providers_and_the_configuration_goes_before_it() {
        let none = Prices::new();
        assert!(SHIPPED.iter().all(|(name, price)| name.contains('/') && !price.is_free()));
        assert_eq!(find(&none, Some("openai"), "gpt-4o").unwrap().output, 10.0);
        // The same name at somebody else's address, a model of another date: neither is guessed.
        assert_eq!(find(&none, Some("openai-compatible"), "gpt-4o"), None);
        assert_eq!(find(&none, None, "gpt-4o"), None);
        assert_eq!(find(&none, Some("openai"), "gpt-4o-2024-05-13"), None);

        let price = |input| Price { input, output: 1.0, max_output_tokens: 100 };
        let own = Prices::from([("gpt-4o".into(), price(7.0)), ("vast/gpt-4o".into(), price(8.0))]);
        for (provider, expected) in [(Some("openai"), 7.0), (None, 7.0), (Some("vast"), 8.0)] {
            assert_eq!(find(&own, provider, "gpt-4o").unwrap().input, expected);
        }
    }

    #[test]
    fn the_most_covers_every_byte_that_is_sent_and_the_longest_answers() {
        let price = Price { input: 1.0, output: 2.0, max_output_tokens: 1000 };
        let mut request = ChatRequest::new(Purpose::Action, vec![Message::user("héllo".repeat(100))]);
        let plain = price.most(&request).unwrap();
        assert!(plain.input >= 600 * 1000 && plain.output == 1000 * 2000, "{plain:?}");
        request.tools = vec![Tool {
            description: "x".repeat(5000),
            parameters: json!({ "type": "object" }),
            ..Tool::default()
        }];
        request.max_tokens = Some(10);
        request.samples = 3;
        let more = price.most(&request).unwrap();
        assert!(more.input >= 3 * (plain.input + 5000 * 1000), "{more:?}");
        assert_eq!(more.output, 3 * 10 * 2000);
    }

    #[test]
    fn what_a_provider_does_not_tell_counts_in_full() {
        let price = Price { input: 0.15, output: 0.6, max_output_tokens: 1000 };
        let most = Cost { input: 900, output: 5000 };
        let usage = |input_tokens, output_tokens| Usage { input_tokens, output_tokens };
        assert_eq!(price.cost(usage(3, 2), most), Cost { input: 450, output: 1200 });
        assert_eq!(price.cost(usage(0, 2), most), Cost { input: 900, output: 1200 });
        assert_eq!(price.cost(usage(0, 0), most), most);
    }
}
