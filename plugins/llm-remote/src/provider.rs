//! The providers: address, wire format and capabilities of each.

use std::fmt;

use forethought_sdk::prelude::*;

use crate::format::{Anthropic, Format, Gemini, Ollama, OpenAi};

/// Who serves the model.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Provider {
    /// OpenAI.
    Openai,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Ollama, with its own API.
    Ollama,
    /// OpenRouter.
    Openrouter,
    /// A vLLM server.
    Vllm,
    /// A llama.cpp server.
    LlamaCpp,
    /// Any other server that speaks OpenAI's chat completions; needs `base_url`.
    OpenaiCompatible,
}

/// What is known about a provider.
pub(crate) struct Traits {
    /// As written in a config.
    pub(crate) name: &'static str,
    pub(crate) format: &'static dyn Format,
    /// The documented base URL: the address before the paths of methods, including the API's version.
    pub(crate) base_url: Option<&'static str>,
    /// The variable from which the provider's own tools read a key; `None` if none is needed.
    pub(crate) usual_key: Option<&'static str>,
    /// Most answers that one call returns.
    pub(crate) samples: u32,
    pub(crate) logprobs: bool,
    pub(crate) seed: bool,
}

static OPENAI: OpenAi = OpenAi { max_tokens: "max_completion_tokens" };
/// All compatible servers know the name that OpenAI has deprecated, but not all know the new one.
static COMPATIBLE: OpenAi = OpenAi { max_tokens: "max_tokens" };

impl Provider {
    pub(crate) fn traits(self) -> &'static Traits {
        const fn compatible(name: &'static str, base_url: Option<&'static str>, samples: u32) -> Traits {
            Traits {
                name,
                format: &COMPATIBLE,
                base_url,
                usual_key: None,
                samples,
                logprobs: true,
                seed: true,
            }
        }
        static TRAITS: [Traits; 8] = [
            Traits {
                name: "openai",
                format: &OPENAI,
                base_url: Some("https://api.openai.com/v1"),
                usual_key: Some("OPENAI_API_KEY"),
                samples: 128,
                logprobs: true,
                seed: true,
            },
            Traits {
                name: "anthropic",
                format: &Anthropic,
                base_url: Some("https://api.anthropic.com/v1"),
                usual_key: Some("ANTHROPIC_API_KEY"),
                samples: 1,
                logprobs: false,
                seed: false,
            },
            Traits {
                name: "gemini",
                format: &Gemini,
                base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
                usual_key: Some("GEMINI_API_KEY"),
                samples: 8,
                logprobs: true,
                seed: true,
            },
            Traits {
                name: "ollama",
                format: &Ollama,
                base_url: Some("http://localhost:11434/api"),
                usual_key: None,
                samples: 1,
                logprobs: true,
                seed: true,
            },
            Traits {
                usual_key: Some("OPENROUTER_API_KEY"),
                ..compatible("openrouter", Some("https://openrouter.ai/api/v1"), 1)
            },
            compatible("vllm", Some("http://localhost:8000/v1"), 128),
            compatible("llama-cpp", Some("http://localhost:8080/v1"), 1),
            compatible("openai-compatible", None, 128),
        ];
        &TRAITS[self as usize]
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.traits().name)
    }
}

#[cfg(test)]
mod tests {
    use forethought_sdk::{schemars::schema_for, serde_json};

    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_names() {
        let schema = serde_json::to_value(schema_for!(Provider)).unwrap();
        let names: Vec<_> = schema["oneOf"].as_array().unwrap().iter().map(|name| &name["const"]).collect();
        for name in &names {
            let provider: Provider = serde_json::from_value((*name).clone()).unwrap();
            assert_eq!(provider.to_string(), name.as_str().unwrap());
        }
        assert_eq!(names.len(), 8);
    }
}
