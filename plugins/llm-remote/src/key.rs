//! A provider's key: read from where the config says, and shown only to the provider.

use std::{env, fs};

use forethought_sdk::{api::text::unmarked, prelude::*};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::config::RemoteConfig;

/// A key. Neither its `Debug` nor that of its header shows any of it.
#[derive(Debug, Clone)]
pub(crate) struct Key(SecretString);

impl Key {
    /// The key that the config names, if any.
    pub(crate) fn load(config: &RemoteConfig) -> Result<Option<Self>> {
        match (&config.api_key_env, &config.api_key_file) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Error::config("api_key_env and api_key_file are both set; remove one")),
            (Some(name), None) => Self::of_variable(name, "api_key_env").map(Some),
            (None, Some(path)) => {
                let place = path.display().to_string();
                let text = fs::read_to_string(&**path).map_err(|error| {
                    Error::config(format!("api_key_file: cannot read {place}")).because(error)
                })?;
                Self::of_text(&text, &place).map(Some)
            }
        }
    }

    /// The key in the environment variable that the setting `setting` names.
    pub(crate) fn of_variable(name: &str, setting: &str) -> Result<Self> {
        // A key written here by mistake must not come back in an error.
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Error::config(format!(
                "{setting} must be the name of an environment variable (capital letters, digits, `_`), such as \
                 OPENAI_API_KEY. If it contains a key, remove it and consider it disclosed"
            )));
        }
        let text = env::var(name)
            .map_err(|_| Error::config(format!("the environment variable {name} ({setting}) is not set")))?;
        Self::of_text(&text, &format!("the environment variable {name}"))
    }

    fn of_text(text: &str, place: &str) -> Result<Self> {
        let text = unmarked(text).trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::config(format!("{place} holds no key: expected one word of visible ASCII")));
        }
        Ok(Self(text.into()))
    }

    /// The value of the header that carries it.
    pub(crate) fn header(&self, prefix: &str) -> Result<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", self.0.expose_secret()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The key itself.
    pub(crate) fn text(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Whether what a config calls `name` looks like a key, by its name or by itself.
pub(crate) fn looks_like_a_key(name: &str, value: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let names = [
        "apikey",
        "secret",
        "password",
        "passwd",
        "authorization",
        "authtoken",
        "accesstoken",
        "bearer",
        "cookie",
        "credential",
        "privatekey",
        "accesskey",
        "subscriptionkey",
    ];
    let begins = [
        "sk-",
        "sk_",
        "hf_",
        "gsk_",
        "xai-",
        "AIza",
        "ghp_",
        "github_pat_",
        "glpat-",
        "AKIA",
        "ya29.",
        "pplx-",
        "r8_",
        "eyJ",
        "key-",
    ];
    let login = value.strip_prefix("Bearer ").or(value.strip_prefix("Basic "));
    let word = login.unwrap_or(value);
    let count = |of: fn(&char) -> bool| word.chars().filter(of).count();
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-+=".contains(c));
    // Identifiers of an organisation or a request are random, too, and no secrets.
    let identifier = name.ends_with("id") || name.contains("organization") || name.contains("project");
    let random = word.len() >= 24
        && plain
        && !identifier
        && count(char::is_ascii_digit) >= 4
        && (count(char::is_ascii_uppercase) >= 3 && count(char::is_ascii_lowercase) >= 3
            || count(char::is_ascii_hexdigit) == word.len());
    let named = !value.is_empty() && (name == "token" || names.iter().any(|word| name.contains(word)));
    named
        || login.is_some_and(|word| word.len() >= 8)
        || word.len() >= 16 && begins.iter().any(|begin| word.starts_with(begin))
        || random
}
