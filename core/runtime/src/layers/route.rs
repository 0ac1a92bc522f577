//! A role: one model that answers, and others for some purposes. It comes before the layers of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use forethought_api::{
    Result,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, Purpose, TokenStream},
    raw::{RawRequest, RawStream},
};

/// A backend that hands each request on to the one for its purpose.
pub struct Router {
    default: Arc<dyn LlmBackend>,
    routes: BTreeMap<Purpose, Arc<dyn LlmBackend>>,
}

impl Router {
    /// `default`, except for purposes that have a route.
    pub fn over(
        default: Arc<dyn LlmBackend>,
        routes: BTreeMap<Purpose, Arc<dyn LlmBackend>>,
    ) -> Arc<dyn LlmBackend> {
        if routes.is_empty() { default } else { Arc::new(Self { default, routes }) }
    }

    fn of(&self, purpose: Purpose) -> &Arc<dyn LlmBackend> {
        self.routes.get(&purpose).unwrap_or(&self.default)
    }
}

#[async_trait]
impl LlmBackend for Router {
    /// What all of them can do, under the default one's name.
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        let mut all = self.default.capabilities().await?;
        for route in self.routes.values() {
            all = all.and(&route.capabilities().await?);
        }
        Ok(all)
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.of(request.purpose).complete(request).await
    }
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        self.of(request.purpose).stream(request).await
    }
    /// Those that all of them pass on.
    async fn formats(&self) -> Result<Vec<String>> {
        let mut all = self.default.formats().await?;
        for route in self.routes.values() {
            let other = route.formats().await?;
            all.retain(|format| other.contains(format));
        }
        Ok(all)
    }
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        self.of(request.request.purpose).forward(request).await
    }
}
