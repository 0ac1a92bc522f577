//! ATIF, the Agent Trajectory Interchange Format of Harbor, versions 1.0 to 1.8: one JSON document per trajectory
//! (<https://harborframework.com/docs/trajectory-format>, RFC 0001 in Harbor's repository; the rules checked here are those
//! of its models, `harbor.models.trajectories`).
//!
//! Reads a file, or all trajectories of a folder, such as a job of Harbor. The format has no rewards: a trajectory that a
//! trial of Harbor wrote (`TRIAL/agent/trajectory.json`) gets that of the trial's `result.json`; otherwise `reward` is
//! looked for in `extra` and in `final_metrics.extra`. Embedded sub-agents are trajectories of further seats.

use std::path::Path;

use forethought_sdk::api::llm::ToolCall;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::Value;

use crate::{
    RecordConfig, chat,
    conversation::{Conversation, End, Said, Speaker},
    files,
    json::{self, At},
    report::Report,
};

super::importer! {
    Atif, "Reads trajectories in the Agent Trajectory Interchange Format.", "atif",
    "ATIF 1.0 to 1.8, the Agent Trajectory Interchange Format of Harbor: a file, or a folder such as a job"
}

/// The newest minor version that is known; what a newer one adds is counted as dropped.
const MINOR: u32 = 8;
/// Sub-agents below sub-agents.
const DEPTH: usize = 16;

/// What a trial of Harbor says of its trajectory.
#[derive(Default)]
struct Trial {
    task: String,
    name: String,
    reward: Option<f64>,
    failed: bool,
}

async fn read(
    path: &Path,
    config: &RecordConfig,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let named = |name: &str| {
        name.starts_with("trajectory") && name.ends_with(".json") || name.ends_with(".atif.json")
    };
    let files = files::files(path, named)?;
    let total = files.len() as u64;
    for (task, file) in (0..).zip(files) {
        let place = |error| files::at(file.display(), error);
        let document = json::parse(&files::bytes(&file)?).map_err(place)?;
        let trial = trial(&file, config, report)?;
        let root = At::root(&document);
        let mut reader =
            Reader { config, report, trial, task, episode: String::new(), seat: 0, file: files::stem(&file) };
        reader.trajectory(&root, 0).map_err(place)?;
        progress.report("import".into(), task + 1, total, String::new()).await?;
    }
    Ok(())
}

/// Reads `result.json` of the trial, if the file is where a trial has it.
fn trial(file: &Path, config: &RecordConfig, report: &mut Report) -> Result<Trial> {
    let folder = file.parent().filter(|folder| folder.ends_with("agent")).and_then(Path::parent);
    let Some(result) = folder.map(|folder| folder.join("result.json")).filter(|result| result.is_file())
    else {
        return Ok(Trial::default());
    };
    let place = |error| files::at(result.display(), error);
    let value = json::parse(&files::bytes(&result)?).map_err(place)?;
    let at = At::root(&value);
    let mut read = || -> Result<Trial> {
        let mut trial = Trial {
            task: at.get_text("task_name")?.unwrap_or_default().into(),
            name: at.get_text("trial_name")?.unwrap_or_default().into(),
            failed: at.get("exception_info")?.is_some(),
            reward: None,
        };
        let rewards = at.get("verifier_result")?.map(|found| found.get("rewards")).transpose()?.flatten();
        let Some(rewards) = rewards else { return Ok(trial) };
        let names: Vec<&String> = rewards.object()?.keys().collect();
        let usual = if names.len() == 1 { names[0] } else { "reward" };
        let wanted = if config.reward.is_empty() { usual } else { config.reward.as_str() };
        for name in &names {
            report.reward(name, *name == wanted);
        }
        trial.reward = rewards.get(wanted)?.map(|found| chat::score(&found)).transpose()?;
        Ok(trial)
    };
    read().map_err(place)
}

struct Reader<'a> {
    config: &'a RecordConfig,
    report: &'a mut Report,
    trial: Trial,
    task: u64,
    /// Id of the outermost trajectory.
    episode: String,
    /// Seat of the next trajectory of this episode.
    seat: usize,
    file: String,
}

impl Reader<'_> {
    /// A trajectory and those of its sub-agents.
    fn trajectory(&mut self, at: &At<'_>, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(at.unfit(format!("sub-agents are nested more than {DEPTH} deep")));
        }
        version(at, self.report)?;
        let agent = at.field("agent")?;
        let (name, version) = (agent.field("name")?.text()?, agent.field("version")?.text()?);
        let model = agent.get_text("model_name")?;
        self.unknown(&agent, &["name", "version", "model_name", "tool_definitions", "extra"])?;
        let known = [
            "schema_version",
            "session_id",
            "trajectory_id",
            "agent",
            "steps",
            "notes",
            "final_metrics",
            "continued_trajectory_ref",
            "extra",
            "subagent_trajectories",
        ];
        self.unknown(at, &known)?;
        let (session, id) = (at.get_text("session_id")?, at.get_text("trajectory_id")?);
        if depth == 0 {
            // The trial's name is the only one of these that is different in each trial.
            let names =
                [self.trial.name.as_str(), id.unwrap_or_default(), session.unwrap_or_default(), &self.file];
            self.episode = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned();
        }
        let mut conversation = Conversation::default();
        let of = &mut conversation.of;
        of.episode.clone_from(&self.episode);
        (of.task, of.seat) = (self.task, self.seat);
        self.seat += 1;
        of.source = model.map_or(format!("atif/{name}"), |model| format!("atif/{name}/{model}"));
        let environments = [self.config.environment.as_str(), &self.trial.task, "atif"];
        of.environment =
            environments.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned();
        of.tools = chat::tools(agent.get_list("tool_definitions")?, self.report)?;
        of.info.insert("agent_version".into(), version.into());
        for key in
            ["session_id", "trajectory_id", "notes", "final_metrics", "extra", "continued_trajectory_ref"]
        {
            if let Some(found) = at.get(key)? {
                of.info.insert(key.into(), found.value.clone());
            }
        }
        if let Some(extra) = agent.get("extra")? {
            of.info.insert("agent".into(), extra.value.clone());
        }
        let steps = at.field("steps")?;
        if steps.list()?.is_empty() {
            return Err(steps.unfit("there must be a step"));
        }
        for (index, step) in steps.list()?.into_iter().enumerate() {
            let number = step.field("step_id")?;
            if number.whole()? != index as u64 + 1 {
                return Err(number
                    .unfit(format!("steps are numbered from 1 without a gap, so it must be {}", index + 1)));
            }
            self.step(&step, &mut conversation.messages)?;
        }
        conversation.reward = self.reward(at, depth)?;
        if at.get("continued_trajectory_ref")?.is_some() {
            self.report.note("trajectories go on in another file, and end here as truncated");
            conversation.end = End::Truncated;
        } else if self.trial.failed {
            conversation.end = End::Truncated;
        }
        conversation.import(self.report);
        for sub in at.get_list("subagent_trajectories")? {
            self.trajectory(&sub, depth + 1)?;
        }
        Ok(())
    }

    /// A trial's reward is that of its trajectory; a sub-agent without one has that of the whole.
    fn reward(&mut self, at: &At<'_>, depth: usize) -> Result<Option<f64>> {
        let name = if self.config.reward.is_empty() { "reward" } else { &self.config.reward };
        let paths = [format!("extra.{name}"), format!("final_metrics.extra.{name}"), name.to_owned()];
        let found = paths.iter().find_map(|path| at.find(path));
        self.report.reward(name, found.is_some());
        let own = found.map(|found| chat::score(&found)).transpose()?;
        if depth == 0 {
            self.trial.reward = self.trial.reward.or(own);
            return Ok(self.trial.reward);
        }
        Ok(own.or(self.trial.reward))
    }

    /// A step: what somebody says, and what the calls in it led to.
    fn step(&mut self, at: &At<'_>, messages: &mut Vec<Said>) -> Result<()> {
        let known = [
            "step_id",
            "timestamp",
            "source",
            "model_name",
            "reasoning_effort",
            "message",
            "reasoning_content",
            "tool_calls",
            "observation",
            "metrics",
            "is_copied_context",
            "llm_call_count",
            "extra",
        ];
        self.unknown(at, &known)?;
        let source = at.field("source")?;
        let by = match source.text()? {
            "system" => Speaker::System,
            "user" => Speaker::User,
            "agent" => Speaker::Agent,
            other => return Err(source.unfit(format!("it must be system, user or agent, and is {other:?}"))),
        };
        let content = chat::content_of(&at.field("message")?, self.report)?;
        let mut said = Said::new(by, content.text);
        said.context = at.get_flag("is_copied_context")?;
        if said.context && by == Speaker::Agent {
            self.report.note("steps are copied from an earlier trajectory, and are observations only");
        }
        let agents = ["model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics"];
        if by != Speaker::Agent
            && let Some(key) = agents.into_iter().find(|key| at.get(key).is_ok_and(|found| found.is_some()))
        {
            return Err(at.field(key)?.unfit("only a step of the agent has it"));
        }
        said.reasoning = at.get_text("reasoning_content")?.unwrap_or_default().to_owned();
        for call in at.get_list("tool_calls")? {
            self.unknown(&call, &["tool_call_id", "function_name", "arguments", "extra"])?;
            let arguments = call.field("arguments")?;
            said.calls.push(ToolCall {
                id: call.field("tool_call_id")?.text()?.to_owned(),
                name: call.field("function_name")?.text()?.to_owned(),
                arguments: Value::Object(arguments.object()?.clone()),
            });
            if let Some(extra) = call.get("extra")? {
                said.info.insert(format!("call_{}", said.calls.len()), extra.value.clone());
            }
        }
        for key in ["timestamp", "model_name", "reasoning_effort", "llm_call_count", "extra"] {
            if let Some(found) = at.get(key)? {
                match by {
                    Speaker::Agent => drop(said.info.insert(key.into(), found.value.clone())),
                    _ if key == "timestamp" => {}
                    _ => self.report.dropped(format!("`{key}` of steps that are not the agent's")),
                }
            }
        }
        if let Some(metrics) = at.get("metrics")? {
            self.metrics(&metrics, &mut said)?;
        }
        let ids: Vec<String> = said.calls.iter().map(|call| call.id.clone()).collect();
        let speaks = !said.text.trim().is_empty() || by == Speaker::Agent;
        if speaks {
            messages.push(said);
        }
        if let Some(observation) = at.get("observation")? {
            self.unknown(&observation, &["results"])?;
            for result in observation.field("results")?.list()? {
                messages.push(self.result(&result, &ids)?);
            }
        }
        Ok(())
    }

    fn metrics(&mut self, at: &At<'_>, said: &mut Said) -> Result<()> {
        for (key, value) in at.object()? {
            match key.as_str() {
                "prompt_tokens" => drop(said.info.insert("input_tokens".into(), value.clone())),
                "completion_tokens" => drop(said.info.insert("output_tokens".into(), value.clone())),
                "cached_tokens" | "cost_usd" => drop(said.info.insert(key.clone(), value.clone())),
                "prompt_token_ids" | "completion_token_ids" => self.report.dropped("lists of token ids"),
                "logprobs" => self.report.dropped("lists of log probabilities"),
                "extra" => drop(said.info.insert("metrics".into(), value.clone())),
                other => self.report.dropped(format!("`metrics.{other}`")),
            }
        }
        Ok(())
    }

    fn result(&mut self, at: &At<'_>, ids: &[String]) -> Result<Said> {
        self.unknown(at, &["source_call_id", "content", "subagent_trajectory_ref", "extra"])?;
        let content =
            at.get("content")?.map(|content| chat::content_of(&content, self.report)).transpose()?;
        let mut said = Said::new(Speaker::Tool, content.map(|content| content.text).unwrap_or_default());
        if let Some(call) = at.get("source_call_id")? {
            if !ids.iter().any(|id| call.value == id.as_str()) {
                return Err(call.unfit(format!("no call of this step has the id {}", call.value)));
            }
            said.call = call.text()?.to_owned();
        } else {
            // Feedback that belongs to no call is what the agent sees, like the words of a user.
            said.by = Speaker::User;
        }
        for sub in at.get_list("subagent_trajectory_ref")? {
            if sub.get("trajectory_id")?.is_none() {
                self.report.note("sub-agents are in files of their own, which are to be imported, too");
            }
        }
        if at.get("extra")?.is_some() {
            self.report.dropped("`extra` of results");
        }
        Ok(said)
    }

    /// Counts what this version does not know.
    fn unknown(&mut self, at: &At<'_>, known: &[&str]) -> Result<()> {
        for key in at.object()?.keys().filter(|key| !known.contains(&key.as_str())) {
            self.report.dropped(format!("unknown key `{key}`"));
        }
        Ok(())
    }
}

fn version(at: &At<'_>, report: &mut Report) -> Result<()> {
    let found = at.field("schema_version")?;
    let minor = found.text()?.strip_prefix("ATIF-v1.").and_then(|minor| minor.parse::<u32>().ok());
    match minor {
        Some(minor) if minor <= MINOR => Ok(()),
        Some(_) => {
            report.note(format!(
                "documents are of a newer version than ATIF 1.{MINOR}; what it adds is dropped"
            ));
            Ok(())
        }
        None => {
            Err(found.unfit(format!("{} is not a version of ATIF 1, such as \"ATIF-v1.7\"", found.value)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::{check, refused};

    const DOCUMENT: &str = include_str!("../../tests/fixtures/trajectory.json");

    #[tokio::test]
    async fn a_document_becomes_a_trajectory_for_each_agent() {
        let imported = check(&Atif(RecordConfig::default()), "trajectory.json", DOCUMENT).await;
        let [main, sub] = &imported.trajectories[..] else { panic!("{imported:?}") };
        assert_eq!(
            (main.episode.as_str(), main.seat, main.source.as_str()),
            ("run-1", 0, "atif/shopper/gpt-4o")
        );
        assert_eq!(main.instructions, "You shop.");
        let [search, answer] = &main.steps[..] else { panic!("{main:?}") };
        assert_eq!(search.observation, "Find a red lamp\n\nearlier:\nls({})");
        assert_eq!(search.thought, "A lamp, then.\n\nI look first.");
        assert_eq!(search.action, r#"search({"query":"red lamp"})"#);
        assert_eq!(
            (&search.info["input_tokens"], &search.info["said"]),
            (&10.into(), &"I look first.".into())
        );
        assert_eq!(
            answer.observation,
            "search({\"query\":\"red lamp\"}):\nFound [image]\n\nTime is running out."
        );
        assert_eq!((answer.reward, answer.terminated), (0.5, true));
        assert_eq!((sub.episode.as_str(), sub.seat, sub.steps[0].action.as_str()), ("run-1", 1, "done"));
        assert_eq!(imported.dropped["lists of token ids"], 1);
    }

    #[tokio::test]
    async fn a_trial_of_harbor_has_the_reward() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("job/trial/agent");
        std::fs::create_dir_all(&agent).unwrap();
        std::fs::write(agent.join("trajectory.json"), DOCUMENT).unwrap();
        let result = r#"{"task_name": "lamps", "trial_name": "lamps__1", "exception_info": null,
            "verifier_result": {"rewards": {"reward": 1, "style": 0.25}}}"#;
        std::fs::write(agent.with_file_name("result.json"), result).unwrap();
        let read = async |reward: &str| {
            let importer = Atif(RecordConfig { reward: reward.into(), ..RecordConfig::default() });
            let imported = importer
                .import(folder.path().into(), Arc::new(forethought_sdk::api::critic::NoProgress))
                .await;
            imported.map(|found| (found[0].environment.clone(), found[0].episode.clone(), found[0].score()))
        };
        assert_eq!(read("").await.unwrap(), ("lamps".into(), "lamps__1".into(), 1.0));
        assert_eq!(read("style").await.unwrap().2, 0.25);
    }

    #[tokio::test]
    async fn broken_documents_are_refused_by_field() {
        for (old, new, why) in [
            ("\"ATIF-v1.7\"", "\"ATIF-v2.0\"", "`schema_version`: \"ATIF-v2.0\" is not a version of ATIF 1"),
            (
                "\"step_id\": 2",
                "\"step_id\": 3",
                "`steps[1].step_id`: steps are numbered from 1 without a gap",
            ),
            ("\"source\": \"user\"", "\"source\": \"robot\"", "`steps[1].source`"),
            ("\"version\": \"1.0\", \"model_name\"", "\"model_name\"", "`agent.version` is missing"),
            ("{\"query\": \"red lamp\"}", "\"red lamp\"", "arguments` must be an object, and is text"),
            (
                "\"source_call_id\": \"c1\"",
                "\"source_call_id\": \"c9\"",
                "no call of this step has the id \"c9\"",
            ),
            (
                "\"message\": \"You shop.\"",
                "\"message\": \"You shop.\", \"metrics\": {}",
                "only a step of the agent has it",
            ),
        ] {
            assert!(DOCUMENT.contains(old), "{old}");
            let error =
                refused(&Atif(RecordConfig::default()), "trajectory.json", DOCUMENT.replacen(old, new, 1))
                    .await;
            assert!(error.contains("trajectory.json: ") && error.contains(why), "{error}");
        }
    }
}
