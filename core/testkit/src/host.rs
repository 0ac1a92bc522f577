//! A host for components that are built in a test.

use std::path::PathBuf;

use forethought_sdk::prelude::*;

/// A host with at most one encoder, under any name. A model's files are where its source says.
#[derive(Default)]
pub struct StubHost {
    /// The encoder.
    pub encoder: Option<Arc<dyn TextEncoder>>,
}

#[async_trait]
impl Host for StubHost {
    async fn encoder(&self, name: String) -> Result<Arc<dyn TextEncoder>> {
        self.encoder.clone().ok_or_else(|| Error::not_found(name))
    }
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf> {
        Ok(request.source.into())
    }
}
