//! A provider's key: read from where the config says, and shown only to the provider.

use std::{env, fs};

use forethought_sdk::{api::text::unmarked, prelude::*};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::config::RemoteConfig;

/// A key. Neither its `Debug` nor that of its header shows any of it.
#[derive(Debug, Clone)]
pub(crate) struct Key(SecretString);

/// Replaces the key in texts.
const REDACTED: &str = "[redacted]";

impl Key {
    /// The key that the config names, if any.
    pub(crate) fn load(config: &RemoteConfig) -> Result<Option<Self>> {
        let (text, place) = match (&config.api_key_env, &config.api_key_file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(Error::config("api_key_env and api_key_file are both set; remove one"));
            }
            (Some(name), None) => {
                // A key written here by mistake must not come back in an error.
                let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if name.is_empty()
                    || !name.chars().all(plain)
                    || name.starts_with(|c: char| c.is_ascii_digit())
                {
                    return Err(Error::config(
                        "api_key_env must be the name of an environment variable (capital letters, digits, `_`), such \
                         as OPENAI_API_KEY. If it contains a key, remove it and consider it disclosed",
                    ));
                }
                let text = env::var(name).map_err(|_| {
                    Error::config(format!("the environment variable {name} (api_key_env) is not set"))
                })?;
                (text, format!("the environment variable {name}"))
            }
            (None, Some(path)) => {
                let place = path.display().to_string();
                let text = fs::read_to_string(&**path).map_err(|error| {
                    Error::config(format!("api_key_file: cannot read {place}")).because(error)
                })?;
                (text, place)
            }
        };
        let text = unmarked(&text).trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::config(format!("{place} holds no key: expected one word of visible ASCII")));
        }
        Ok(Some(Self(text.into())))
    }

    /// The value of the header that carries it.
    pub(crate) fn header(&self, prefix: &str) -> Result<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", self.0.expose_secret()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `text` without the key: servers and proxies are known to repeat what they were sent.
    pub(crate) fn redact(&self, text: String) -> String {
        let key = self.0.expose_secret();
        // Placeholders for servers without keys (`EMPTY`, `x`) are not secrets, and may be words of an answer.
        if key.len() >= 8 && text.contains(key) { text.replace(key, REDACTED) } else { text }
    }
}
