//! Readers of answers without a connection, for the targets in `tests/fuzz`.

use forethought_sdk::{prelude::*, serde_json::json};

use crate::{Provider, RemoteConfig, format::Format, http::Http, stream};

/// What reads a provider's answers.
pub struct Wire {
    http: Http,
    format: &'static dyn Format,
}

impl Wire {
    /// That of this provider.
    ///
    /// # Errors
    /// If there can be no client.
    pub fn new(provider: Provider) -> Result<Self> {
        let config = json!({ "provider": provider, "model": "m", "base_url": "http://localhost" });
        let config: RemoteConfig = forethought_sdk::config::read(config)?;
        Ok(Self { http: Http::new(&config)?, format: provider.traits().format })
    }

    /// Reads a whole body.
    ///
    /// # Errors
    /// As for users.
    pub fn whole(&self, body: &str) -> Result<Completion> {
        stream::whole(&self.http, self.format, body)
    }

    /// Reads a stream that arrives in these pieces.
    ///
    /// # Errors
    /// As for users.
    pub fn streamed(&self, pieces: &[&[u8]]) -> Result<Completion> {
        stream::pieces(&self.http, self.format, pieces.iter().copied())
    }

    /// Whether a whole body is read as a stream.
    pub fn is_stream(&self, body: &str) -> bool {
        self.format.framing().fits(body)
    }
}
