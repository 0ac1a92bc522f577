//! Rollouts that verifiers saved: `results.jsonl` of its releases 0.1, one rollout per line with `prompt`, `completion`
//! and `reward` (<https://docs.primeintellect.ai/verifiers/evaluation>; written by `verifiers.utils.save_utils`), and
//! `traces.jsonl` of releases since 0.2, one episode per line with a graph of messages for each agent (the models of
//! `verifiers.v1.episode` and `verifiers.v1.trace`).
//!
//! A prompt's own assistant messages are examples, and so are messages of a graph that no call of a model gave. Each path
//! from a root of a graph to a leaf is a conversation; what two of them share was done in the longest. The reward is the
//! line's `reward`, or the sum of a trace's weighted `rewards`; `reward` in the configuration names another metric.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Map, Value};

use crate::{
    RecordConfig, chat,
    conversation::{Conversation, End, Said, Speaker},
    files::{self, Lines},
    json::{self, At},
    report::Report,
};

super::importer! {
    Verifiers, "Reads rollouts that verifiers saved.", "verifiers",
    "rollouts that verifiers saved: results.jsonl (0.1) or traces.jsonl (0.2 and later)"
}

/// The most messages of all paths of a graph together, which may be many more than the graph has.
const MESSAGES: usize = 10_000_000;

async fn read(
    path: &Path,
    config: &RecordConfig,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let mut done = 0;
    for file in files::files(path, |name| name.ends_with(".jsonl"))? {
        let run = Run::beside(&file)?;
        let mut tasks = HashMap::new();
        let mut lines = Lines::open(&file)?;
        while let Some(line) = lines.next()? {
            let number = lines.number;
            let mut reader = Reader { config, report: &mut *report, run: &run, number, tasks: &mut tasks };
            reader.line(&At::root(&line)).map_err(|error| lines.at(error))?;
            done += 1;
            progress.report("import".into(), lines.read, lines.total(), format!("{done} rollouts")).await?;
        }
    }
    Ok(())
}

/// What is known of all rollouts of a file.
#[derive(Default)]
struct Run {
    name: String,
    environment: String,
    model: String,
}

impl Run {
    /// From `metadata.json`, which releases 0.1 write next to the rollouts.
    fn beside(file: &Path) -> Result<Self> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = folder.join("metadata.json");
        if !path.is_file() {
            return Ok(Self { name, ..Self::default() });
        }
        let place = |error| files::at(path.display(), error);
        let value = json::parse(&files::bytes(&path)?).map_err(place)?;
        let text = |key: &str| At::root(&value).get_text(key).map(|text| text.unwrap_or_default().to_owned());
        Ok(Self { name, environment: text("env_id").map_err(place)?, model: text("model").map_err(place)? })
    }
}

struct Reader<'a> {
    config: &'a RecordConfig,
    report: &'a mut Report,
    run: &'a Run,
    number: u64,
    /// Numbers of tasks by their keys.
    tasks: &'a mut HashMap<String, u64>,
}

impl Reader<'_> {
    fn of(&self, environment: &str, model: &str) -> Trajectory {
        let environments =
            [self.config.environment.as_str(), environment, &self.run.environment, "verifiers"];
        let environment = environments.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let model = if model.is_empty() { &self.run.model } else { model };
        let source = if model.is_empty() { "verifiers".into() } else { format!("verifiers/{model}") };
        Trajectory { environment: environment.into(), source, ..Trajectory::default() }
    }

    fn line(&mut self, at: &At<'_>) -> Result<()> {
        if at.get("traces")?.is_some() {
            self.episode(at)
        } else if at.get("nodes")?.is_some() {
            self.graph(at, &at.field("id")?.id()?, 0).map(|_| ())
        } else {
            self.rollout(at)
        }
    }

    /// A line of `results.jsonl`.
    fn rollout(&mut self, at: &At<'_>) -> Result<()> {
        let mut conversation = Conversation { of: self.of("", ""), ..Conversation::default() };
        if let Some(prompt) = at.get("prompt")? {
            for said in self.messages(&prompt, Speaker::User)? {
                let context = said.by == Speaker::Agent;
                conversation.messages.push(Said { context, ..said });
            }
        }
        conversation.messages.extend(self.messages(&at.field("completion")?, Speaker::Agent)?);
        let defined = [at.get_list("tool_defs")?, at.get_list("tools")?].concat();
        conversation.of.tools = chat::tools(defined, self.report)?;
        let example = at.get("example_id")?.map(|id| id.id()).transpose()?;
        conversation.of.task = match example.as_deref().map(str::parse) {
            Some(Ok(number)) => number,
            _ => self.number - 1,
        };
        let name = if self.run.name.is_empty() { "rollout" } else { &self.run.name };
        conversation.of.episode = format!("{name}:{}", self.number);
        let read = ["prompt", "completion", "tool_defs", "tools", "example_id", "is_truncated"];
        for (key, value) in at.object()? {
            if !value.is_null() && !read.contains(&key.as_str()) {
                conversation.of.info.insert(key.clone(), value.clone());
            }
        }
        let wanted = if self.config.reward.is_empty() { "reward" } else { &self.config.reward };
        for name in at.object()?.iter().filter(|(_, value)| value.is_number()).map(|(name, _)| name) {
            self.report.reward(name, false);
        }
        let found = at.find(wanted).or_else(|| at.find(&format!("metrics.{wanted}")));
        self.report.reward(wanted, found.is_some());
        conversation.reward = found.map(|found| chat::score(&found)).transpose()?;
        let cut = at.get("is_truncated")?.is_some_and(|found| found.value == true)
            || at.get("is_completed")?.is_some_and(|found| found.value == false)
            || at.get("error")?.is_some();
        conversation.end = if cut { End::Truncated } else { End::Terminated };
        conversation.import(self.report);
        Ok(())
    }

    /// A list of messages, or text of somebody.
    fn messages(&mut self, at: &At<'_>, by: Speaker) -> Result<Vec<Said>> {
        if at.value.is_string() {
            return Ok(vec![Said::new(by, at.text()?)]);
        }
        let list = at.list().map_err(|_| at.wrong("text or a list of messages"))?;
        list.iter().map(|message| chat::message(message, self.report)).collect()
    }

    /// A line of `traces.jsonl`.
    fn episode(&mut self, at: &At<'_>) -> Result<()> {
        let id = at.field("id")?.id()?;
        let mut seat = 0;
        for trace in at.field("traces")?.list()? {
            seat = self.graph(&trace, &id, seat)?;
        }
        if seat == 0 {
            self.report.dropped("episodes without a trace");
        }
        Ok(())
    }

    /// A trace: a graph of messages. Returns the next free seat.
    fn graph(&mut self, at: &At<'_>, episode: &str, mut seat: usize) -> Result<usize> {
        let nodes = at.field("nodes")?.list()?;
        let mut parents = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let parent =
                node.get("parent")?.map(|parent| Ok::<_, Error>((parent.whole()?, parent))).transpose()?;
            let parent = match parent {
                Some((number, at)) if number >= index as u64 => {
                    return Err(at.unfit("a message's parent must be before it"));
                }
                Some((number, _)) => usize::try_from(number).ok(),
                None => None,
            };
            parents.push(parent);
        }
        let inner: HashSet<usize> = parents.iter().flatten().copied().collect();
        let (mut paths, mut together) = (Vec::new(), 0);
        for leaf in (0..nodes.len()).filter(|node| !inner.contains(node)) {
            let mut path: Vec<usize> = std::iter::successors(Some(leaf), |node| parents[*node]).collect();
            path.reverse();
            together += path.len();
            if together > MESSAGES {
                return Err(at
                    .field("nodes")?
                    .unfit(format!("its paths have more than {MESSAGES} messages together")));
            }
            paths.push(path);
        }
        // The longest first; of equal ones that which ended last.
        paths.sort_by_key(|path| std::cmp::Reverse((path.len(), path.last().copied())));
        let (reward, info) = (self.trace_reward(at)?, self.trace_info(at)?);
        let usage = usage(at)?;
        let agent = at.get("agent")?;
        let model = agent.as_ref().and_then(|agent| agent.find("config.model"));
        let called = at.get_list("calls")?.iter().find_map(|call| call.get("model").ok()?);
        let model = model.or(called).map(|model| model.id()).transpose()?.unwrap_or_default();
        let task = at.field("task")?;
        let key = match task.get("key")?.or(task.get("hash")?) {
            Some(key) => key.id()?,
            None => task.value.to_string(),
        };
        let next = self.tasks.len() as u64;
        let data = task.find("data.idx").and_then(|found| found.value.as_u64());
        let task_number = data.unwrap_or_else(|| *self.tasks.entry(key).or_insert(next));
        let environment = task.get_text("type")?.unwrap_or_default();
        let stop = at.get_text("stop_condition")?.unwrap_or_default();
        let limits =
            ["max_turns", "max_input_tokens", "max_output_tokens", "max_total_tokens", "compaction_failed"];
        let cut = !at.get_flag("is_completed")?
            || at.get_flag("is_timeout")?
            || limits.contains(&stop)
            || !at.get_list("errors")?.is_empty();
        let mut tools = chat::tools(at.get_list("tools")?, self.report)?;
        let mut done = HashSet::new();
        for path in paths {
            let mut messages = Vec::new();
            for index in &path {
                let node = &nodes[*index];
                let mut said = chat::message(&node.field("message")?, self.report)?;
                let ours = node.get_flag("sampled")? && done.insert(*index);
                said.context = said.by == Speaker::Agent && !ours;
                if ours {
                    said.info.extend(usage.get(index).cloned().unwrap_or_default());
                    if let Some(time) = node.get("timestamp")? {
                        said.info.insert("timestamp".into(), time.value.clone());
                    }
                    self.tokens(node)?;
                }
                messages.push(said);
            }
            if tools.is_empty() {
                tools = chat::tools(nodes[path[0]].get_list("tools")?, self.report)?;
            }
            if messages.iter().all(|said| said.by != Speaker::Agent || said.context) {
                self.report.dropped("branches without an answer of their own");
                continue;
            }
            let mut of = self.of(environment, &model);
            (of.episode, of.task, of.seat, of.tools) = (episode.to_owned(), task_number, seat, tools.clone());
            of.info.clone_from(&info);
            seat += 1;
            let end = if cut { End::Truncated } else { End::Terminated };
            Conversation { of, messages, reward, end }.import(self.report);
        }
        Ok(seat)
    }

    fn tokens(&mut self, node: &At<'_>) -> Result<()> {
        let lists = [
            "token_ids",
            "logprobs",
            "advantages",
            "reference_logprobs",
            "trainer_logprobs",
            "entropies",
            "loss_weights",
        ];
        for key in lists {
            if node.get(key)?.is_some_and(|found| found.value.as_array().is_none_or(|list| !list.is_empty()))
            {
                self.report.dropped(format!("`{key}` of messages"));
            }
        }
        Ok(())
    }

    fn trace_reward(&mut self, at: &At<'_>) -> Result<Option<f64>> {
        let rewards = at.get("rewards")?;
        let (mut sum, mut some) = (0.0, false);
        for (name, value) in rewards.as_ref().map(|found| found.object()).transpose()?.into_iter().flatten() {
            self.report.reward(name, false);
            if value.is_null() {
                continue;
            }
            let reward = rewards.as_ref().map_or_else(|| at.field(name), |found| found.field(name))?;
            let weight = reward.get("weight")?.map(|weight| weight.number()).transpose()?.unwrap_or(1.0);
            sum += reward.field("score")?.number()? * weight;
            some = true;
        }
        if self.config.reward.is_empty() {
            return Ok(some.then_some(sum));
        }
        let name = &self.config.reward;
        let places = [format!("rewards.{name}.score"), format!("metrics.{name}"), name.clone()];
        let found = places.iter().find_map(|place| at.find(place));
        self.report.reward(name, found.is_some());
        found.map(|found| chat::score(&found)).transpose()
    }

    fn trace_info(&mut self, at: &At<'_>) -> Result<Map<String, Value>> {
        let kept = [
            "id",
            "task",
            "rewards",
            "metrics",
            "info",
            "stop_condition",
            "errors",
            "timing",
            "root_reply",
            "verifiers",
            "extra_usage",
        ];
        let mut info = Map::new();
        for key in kept {
            let found = at.get(key)?.filter(|found| {
                found.value.as_array().is_none_or(|list| !list.is_empty())
                    && found.value.as_object().is_none_or(|object| !object.is_empty())
            });
            if let Some(found) = found {
                info.insert(key.into(), found.value.clone());
            }
        }
        if let Some(agent) = at.get("agent")?.map(|agent| agent.get_text("name")).transpose()?.flatten() {
            info.insert("agent".into(), agent.into());
        }
        for key in ["request_rewrites", "response_rewrites"] {
            self.report.drop_many(format!("`{key}`"), at.get_list(key)?.len() as u64);
        }
        Ok(info)
    }
}

/// Tokens of the calls that gave each message.
fn usage(at: &At<'_>) -> Result<HashMap<usize, Map<String, Value>>> {
    let mut all = HashMap::new();
    for call in at.get_list("calls")? {
        let (Some(node), Some(usage)) = (call.get("node")?, call.get("usage")?) else { continue };
        let tokens = [("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")];
        let tokens = tokens
            .into_iter()
            .filter_map(|(key, name)| Some((name.to_owned(), usage.get(key).ok()??.value.clone())));
        all.insert(usize::try_from(node.whole()?).unwrap_or(usize::MAX), tokens.collect());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::{check, refused};

    #[tokio::test]
    async fn a_rollout_of_0_1_becomes_a_trajectory() {
        let line = r#"{"example_id": 4, "prompt": [{"role": "system", "content": "Play."}, {"role": "user", "content": "2+2"}, {"role": "assistant", "content": "4"}, {"role": "user", "content": "3+3"}],
            "completion": [{"role": "assistant", "content": "", "tool_calls": ["{\"id\": \"c\", \"type\": \"function\", \"function\": {\"name\": \"add\", \"arguments\": \"{\\\"a\\\": 3}\"}}"]}, {"role": "tool", "tool_call_id": "c", "content": "6"}, {"role": "assistant", "content": "6"}],
            "reward": 0.5, "exact": 1.0, "is_truncated": true, "answer": "6"}"#.replace('\n', " ");
        let text = format!(
            "{line}\n{}",
            r#"{"example_id": 5, "prompt": "Once", "completion": " upon a time", "reward": 1}"#
        );
        let imported = check(&Verifiers(RecordConfig::default()), "results.jsonl", &text).await;
        let [chat, words] = &imported.trajectories[..] else { panic!("{imported:?}") };
        assert_eq!(chat.steps[0].observation, "2+2\n\nearlier:\n4\n\n3+3");
        assert_eq!(
            (chat.steps[0].action.as_str(), chat.steps[1].observation.as_str()),
            ("add({\"a\":3})", "6")
        );
        assert_eq!((chat.task, chat.score(), chat.steps[1].truncated), (4, 0.5, true));
        assert_eq!(
            (words.steps[0].observation.as_str(), words.steps[0].action.as_str()),
            ("Once", "upon a time")
        );
        let exact = Verifiers(RecordConfig { reward: "exact".into(), ..RecordConfig::default() });
        let imported = check(&exact, "results.jsonl", &text).await;
        assert_eq!((imported.trajectories[0].score(), imported.trajectories[1].score()), (1.0, 0.0));
    }

    const EPISODE: &str = r#"{"id": "e1", "env": {"id": "shop"}, "task": {"type": "Lamps", "data": {}, "key": "k"}, "traces": [{"id": "t1",
        "task": {"type": "Lamps", "data": {}, "key": "k"}, "agent": {"name": "solver", "config": {"model": "m"}}, "is_completed": true, "stop_condition": "agent_completed",
        "tools": [{"name": "search", "parameters": {"type": "object"}}],
        "nodes": [{"parent": null, "sampled": false, "message": {"role": "user", "content": "Find a lamp"}},
          {"parent": 0, "sampled": true, "logprobs": [-0.5], "message": {"role": "assistant", "content": "Look.", "tool_calls": [{"id": "c", "type": "function", "name": "search", "arguments": "{\"q\": 1}"}]}},
          {"parent": 1, "sampled": false, "message": {"role": "tool", "tool_call_id": "c", "content": "B01"}},
          {"parent": 2, "sampled": true, "message": {"role": "assistant", "content": "B01"}},
          {"parent": 1, "sampled": true, "message": {"role": "assistant", "content": "Never mind."}}],
        "calls": [{"node": 1, "model": "m", "usage": {"prompt_tokens": 7, "completion_tokens": 2}}],
        "rewards": {"exact": {"score": 1.0, "weight": 0.5}, "style": {"score": 0.5}, "late": null}, "metrics": {"turns": 2.0}}]}"#;

    #[tokio::test]
    async fn each_path_of_a_graph_becomes_a_trajectory() {
        let text = EPISODE.replace('\n', " ");
        let imported = check(&Verifiers(RecordConfig::default()), "traces.jsonl", &text).await;
        let [main, branch] = &imported.trajectories[..] else { panic!("{imported:?}") };
        assert_eq!(
            (main.episode.as_str(), main.seat, main.environment.as_str(), main.source.as_str()),
            ("e1", 0, "Lamps", "verifiers/m")
        );
        assert_eq!((main.steps.len(), main.score(), main.tools[0].name.as_str()), (2, 1.0, "search"));
        assert_eq!(
            (main.steps[0].thought.as_str(), &main.steps[0].info["input_tokens"]),
            ("Look.", &7.into())
        );
        assert_eq!((branch.seat, branch.steps.len()), (1, 1), "what is shared is not done twice");
        assert_eq!(branch.steps[0].observation, "Find a lamp\n\nearlier:\nsearch({\"q\":1})");
        assert_eq!(imported.dropped["`logprobs` of messages"], 1);
        let turns = Verifiers(RecordConfig { reward: "turns".into(), ..RecordConfig::default() });
        assert_eq!(check(&turns, "traces.jsonl", &text).await.trajectories[0].score(), 2.0);
    }

    #[tokio::test]
    async fn broken_rollouts_are_refused_by_line_and_field() {
        let episode = EPISODE.replace('\n', " ");
        for (line, why) in [
            ("{\"prompt\": \"x\"}".to_owned(), "line 2: `completion` is missing"),
            ("{\"completion\": 3}".to_owned(), "`completion` must be text or a list of messages"),
            (
                episode.replace("\"parent\": 2", "\"parent\": 3"),
                "`traces[0].nodes[3].parent`: a message's parent must be before it",
            ),
            (
                episode.replace("\"score\": 1.0", "\"score\": []"),
                "`traces[0].rewards.exact.score` must be a number",
            ),
        ] {
            let text = format!("{{\"completion\": \"x\"}}\n{line}");
            let error = refused(&Verifiers(RecordConfig::default()), "results.jsonl", &text).await;
            assert!(error.contains("results.jsonl, line 2: ") && error.contains(why), "{error}");
        }
    }
}
