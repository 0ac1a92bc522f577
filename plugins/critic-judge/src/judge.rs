//! The language model's own probabilities: how a plan looks to the model that made it.

use forethought_sdk::{prelude::*, serde_json::json};
use minijinja::{Environment as Templates, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

/// Settings of the judge.
#[config]
#[derive(Debug, Clone)]
pub struct JudgeConfig {
    /// Name of the language model, as in `[llm.<name>]`.
    pub llm: String,
    /// Sampling temperature; by default the model's own.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// File that replaces the shipped prompt template. Variables: `state`, `thought`, `outcomes`.
    #[serde(default)]
    pub prompt: Option<ConfigPath>,
}

/// A critic that asks a language model; one call for all outcomes of one thought.
pub struct Judge {
    config: JudgeConfig,
    template: Templates<'static>,
    host: Arc<dyn Host>,
}

impl Judge {
    /// A judge with these settings. `host` gives the model outside of episodes.
    ///
    /// # Errors
    /// A template that cannot be read or does not parse.
    pub fn new(config: JudgeConfig, host: Arc<dyn Host>) -> Result<Self> {
        let (source, origin) = match &config.prompt {
            None => (include_str!("prompts/judge.md").to_owned(), "the shipped judge template".to_owned()),
            Some(path) => {
                let origin = format!("the judge template {}", path.display());
                let source = std::fs::read_to_string(&path.0)
                    .map_err(|error| Error::config(format!("cannot read {origin}: {error}")))?;
                (source, origin)
            }
        };
        let mut template = Templates::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        template.set_syntax(syntax.expect("the default delimiters are valid"));
        template.set_undefined_behavior(UndefinedBehavior::Strict);
        template
            .add_template_owned("judge", source)
            .map_err(|error| Error::config(format!("{origin} does not parse: {error:#}")))?;
        Ok(Self { config, template, host })
    }

    async fn ask(&self, queries: &[CriticQuery], llm: Arc<dyn LlmBackend>) -> Result<Vec<Estimate>> {
        let mut estimates = Vec::with_capacity(queries.len());
        // Queries about one thought are next to each other and share a call.
        for group in queries.chunk_by(|a, b| a.state == b.state && a.thought == b.thought) {
            estimates.extend(self.ask_group(group, &llm).await?);
        }
        Ok(estimates)
    }

    async fn ask_group(&self, group: &[CriticQuery], llm: &Arc<dyn LlmBackend>) -> Result<Vec<Estimate>> {
        let outcomes: Vec<&str> = group.iter().map(|query| query.outcome.as_str()).collect();
        let prompt = self
            .template
            .get_template("judge")
            .and_then(|template| {
                let (state, thought) = (&group[0].state, &group[0].thought);
                template.render(Serde(json!({ "state": state, "thought": thought, "outcomes": outcomes })))
            })
            .map_err(|error| Error::config(format!("the judge template cannot be rendered: {error:#}")))?;
        let mut request = ChatRequest::new(Purpose::Judge, vec![Message::user(prompt.trim())]);
        request.temperature = self.config.temperature;
        let answer = llm.complete(request).await?;
        let probabilities = numbered(answer.text());
        // An outcome without a readable number gets one half: the model said nothing about it.
        let estimate = |index| {
            let probability =
                probabilities.iter().find(|(number, _)| *number == index + 1).map_or(0.5, |(_, p)| *p);
            Estimate { probability, raw: probability, uncertainty: 0.0 }
        };
        Ok((0..group.len()).map(estimate).collect())
    }
}

/// Lines of the form `2: 0.35`, out-of-range numbers clamped.
fn numbered(answer: &str) -> Vec<(usize, f64)> {
    let line = |line: &str| {
        let (number, probability) = line.trim().split_once([':', '.', ')'])?;
        let probability =
            probability.split_whitespace().next()?.parse::<f64>().ok().filter(|p| p.is_finite())?;
        Some((number.trim().parse().ok()?, probability.clamp(0.0, 1.0)))
    };
    answer.lines().filter_map(line).collect()
}

#[async_trait]
impl Critic for Judge {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let llm = self.host.llm(self.config.llm.clone()).await?;
        self.ask(&queries, llm).await
    }

    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec![self.config.llm.clone()], ..Requirements::default() })
    }

    async fn estimate_with(
        &self,
        queries: Vec<CriticQuery>,
        models: Arc<dyn Models>,
    ) -> Result<Vec<Estimate>> {
        let llm = models.llm(self.config.llm.clone()).await?;
        self.ask(&queries, llm).await
    }
}

register! {
    interface: dyn Critic, kind: "judge", summary: "the language model's own probabilities (\"self-plan\"): a control",
    config: JudgeConfig,
    new: |config, host| async move { Ok(Arc::new(Judge::new(config, host)?) as _) },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_lines_are_read_and_clamped() {
        assert_eq!(
            numbered("1: 0.35\nwell,\n 2) 0.9 or so\n3: often\n4: 7"),
            [(1, 0.35), (2, 0.9), (4, 1.0)]
        );
    }
}
