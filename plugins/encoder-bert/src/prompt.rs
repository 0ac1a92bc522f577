//! What belongs before every text: models such as e5, bge and nomic were trained with "query: " and the like.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use forethought_sdk::prelude::*;

use crate::folder::optional_json;

/// The prompts that a model's folder names.
pub(crate) struct Prompts {
    path: PathBuf,
    file: PromptsFile,
}

/// What the configuration says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    /// The prompt itself.
    pub(crate) prompt: Option<&'a str>,
    /// The name of one of the model's.
    pub(crate) name: Option<&'a str>,
}

#[data]
#[derive(Debug, Default)]
#[serde(default)]
struct PromptsFile {
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

impl Prompts {
    pub(crate) const FILE: &str = "config_sentence_transformers.json";

    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        Ok(Self { file: optional_json(&path)?.unwrap_or_default(), path })
    }

    /// The configured prompt, or the model's default one, which is mostly empty.
    pub(crate) fn choose(&self, choice: Choice<'_>) -> Result<String> {
        match (choice.prompt, choice.name) {
            (Some(_), Some(_)) => Err(Error::config("`prompt` and `prompt_name` are both set; remove one")),
            (Some(prompt), None) => Ok(prompt.to_owned()),
            (None, Some(name)) => self.named(name).ok_or_else(|| {
                Error::config(format!("`prompt_name` is {name:?}, but {}", self.known()))
            }),
            (None, None) => match &self.file.default_prompt_name {
                None => Ok(String::new()),
                Some(name) => self.named(name).ok_or_else(|| {
                    Error::input(format!(
                        "`default_prompt_name` is {name:?}, but {}; set `prompt` to the text that belongs before every \
                         text, or to \"\"",
                        self.known()
                    ))
                }),
            },
        }
    }

    fn named(&self, name: &str) -> Option<String> {
        self.file.prompts.get(name).map(|prompt| prompt.clone().unwrap_or_default())
    }

    /// Which prompts there are.
    fn known(&self) -> String {
        let names: Vec<_> = self.file.prompts.keys().map(|name| format!("{name:?}")).collect();
        match &names[..] {
            [] => format!("{} has no prompts", self.path.display()),
            names => format!("{} has {}", self.path.display(), names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_decides_before_the_model() {
        let folder = std::env::temp_dir();
        let prompts = |default: Option<&str>| Prompts {
            path: folder.join(Prompts::FILE),
            file: PromptsFile {
                prompts: [("query", Some("query: ")), ("document", None)]
                    .map(|(name, prompt)| (name.to_owned(), prompt.map(str::to_owned)))
                    .into(),
                default_prompt_name: default.map(str::to_owned),
            },
        };
        let choose = |default, prompt, name| prompts(default).choose(Choice { prompt, name });
        assert_eq!(choose(None, None, None).unwrap(), "");
        assert_eq!(choose(Some("query"), None, None).unwrap(), "query: ");
        assert_eq!(choose(Some("query"), Some(""), None).unwrap(), "");
        assert_eq!(choose(Some("document"), Some("find: "), None).unwrap(), "find: ");
        assert_eq!(choose(None, None, Some("query")).unwrap(), "query: ");
        assert_eq!(choose(Some("query"), None, Some("document")).unwrap(), "");
        for (result, part) in [
            (choose(None, Some(""), Some("query")), "both set"),
            (choose(None, None, Some("passage")), "`prompt_name` is \"passage\""),
            (choose(Some("sts"), None, None), "`default_prompt_name` is \"sts\""),
        ] {
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains(part) && (part == "both set" || error.contains("\"document\", \"query\"")),
                "{error}"
            );
        }
    }
}
