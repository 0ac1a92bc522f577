//! Which model answers, and what is said where none does.

use std::sync::{Arc, Mutex};

use forethought_conformance::assert_conforms;
use forethought_llm_fallback::Fallback;
use forethought_sdk::{prelude::*, serde_json::json};
use futures::executor::block_on;

/// A model that always answers alike.
struct Fixed {
    answer: Result<&'static str>,
    samples: u32,
    asked: Mutex<u32>,
}

#[async_trait]
impl LlmBackend for Fixed {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities {
            tools: true,
            json_schema: self.samples > 2,
            samples: self.samples,
            ..Default::default()
        })
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        *self.asked.lock().unwrap() += 1;
        let choice = Choice { text: self.answer.clone()?.into(), ..Choice::default() };
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}

fn fixed(answer: Result<&'static str>, samples: u32) -> Arc<Fixed> {
    Arc::new(Fixed { answer, samples, asked: Mutex::default() })
}

fn ask(models: &[&Arc<Fixed>]) -> Result<String> {
    let named =
        models.iter().zip(["a", "b", "c"]).map(|(model, name)| (name.to_owned(), (*model).clone() as _));
    let fallback = Fallback::over(named.collect())?;
    Ok(block_on(fallback.complete(ChatRequest::default()))?.text().to_owned())
}

#[test]
fn the_next_model_is_asked_where_one_fails() {
    let down = fixed(Err(Error::new(Code::Provider, "overloaded").retryable()), 0);
    let (yes, no) = (fixed(Ok("yes"), 0), fixed(Ok("no"), 0));
    assert_eq!(ask(&[&down, &yes, &no]).unwrap(), "yes");
    assert_eq!((*yes.asked.lock().unwrap(), *no.asked.lock().unwrap()), (1, 0));

    let error = ask(&[&down, &down]).unwrap_err();
    assert_eq!(error.to_string(), "[llm.a] failed: overloaded: [llm.b] failed: overloaded");
    assert!(!error.retryable, "each has its own retries");

    // Where money or time is over, no model is asked any more.
    let broke = fixed(Err(Error::new(Code::Budget, "spent")), 0);
    assert_eq!(ask(&[&broke, &no]).unwrap_err().code, Code::Budget);
    assert_eq!(*no.asked.lock().unwrap(), 0);
}

#[test]
fn it_can_do_what_all_of_its_models_can() {
    let (many, few) = (fixed(Ok(""), 8), fixed(Ok(""), 2));
    let both = Fallback::over(vec![("many".into(), many as _), ("few".into(), few as _)]).unwrap();
    let can = block_on(both.capabilities()).unwrap();
    assert_eq!((can.tools, can.json_schema, can.samples), (true, false, 2));
}

#[test]
fn it_follows_the_rules_for_language_models() {
    assert_conforms("llm", "fallback", json!({ "of": ["a", "b"] }));
}
