//! OpenAI chat messages as JSON Lines, one conversation per line: the `messages` of a request of chat completions
//! (<https://platform.openai.com/docs/api-reference/chat/create>), with `tools` next to them, as files for fine-tuning
//! have them (<https://platform.openai.com/docs/api-reference/fine-tuning/chat-input>) and as most programs log them. A
//! logged answer (`choices`, or a `response` with them) is the last message.
//!
//! The format has no rewards. Of a line's own keys, `reward`, `score` and `success` are looked for, in this order, here
//! and under `metadata`; every other key is kept as `info`.

use std::path::Path;

use forethought_sdk::prelude::*;

use crate::{
    RecordConfig, chat,
    conversation::{Conversation, End, Said, Speaker},
    files::{self, Lines},
    json::At,
    report::Report,
};

super::importer! {
    OpenaiChat, "Reads OpenAI chat messages.", "openai-chat",
    "OpenAI chat messages with tools, JSON Lines: one conversation per line"
}

/// Keys that are read here.
const KEYS: [&str; 11] = [
    "messages",
    "tools",
    "functions",
    "choices",
    "request",
    "response",
    "id",
    "conversation_id",
    "session_id",
    "truncated",
    "is_truncated",
];

async fn read(
    path: &Path,
    config: &RecordConfig,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let mut task = 0;
    for file in files::files(path, |name| name.ends_with(".jsonl"))? {
        let stem = files::stem(&file);
        let mut lines = Lines::open(&file)?;
        while let Some(line) = lines.next()? {
            let conversation = conversation(&At::root(&line), config, report);
            let mut conversation = conversation.map_err(|error| lines.at(error))?;
            conversation.of.task = task;
            task += 1;
            if conversation.of.episode.is_empty() {
                conversation.of.episode = format!("{stem}:{}", lines.number);
            }
            conversation.import(report);
            progress
                .report("import".into(), lines.read, lines.total(), format!("{task} conversations"))
                .await?;
        }
    }
    Ok(())
}

fn conversation(line: &At<'_>, config: &RecordConfig, report: &mut Report) -> Result<Conversation> {
    let request =
        line.get("request")?.filter(|request| request.value.is_object()).unwrap_or_else(|| line.clone());
    let mut conversation = Conversation::default();
    for at in request.field("messages")?.list()? {
        conversation.messages.push(chat::message(&at, report)?);
    }
    let defined = [request.get_list("tools")?, request.get_list("functions")?].concat();
    conversation.of.tools = chat::tools(defined, report)?;
    let response = line.get("response")?.filter(|response| response.value.is_object());
    let response = response.unwrap_or_else(|| line.clone());
    let choices = response.get_list("choices")?;
    report.drop_many("further answers to the same request", choices.len().saturating_sub(1) as u64);
    if let Some(choice) = choices.first() {
        conversation.messages.push(chat::message(&choice.field("message")?, report)?);
        let cut = choice.get_text("finish_reason")?.is_some_and(|reason| reason == "length");
        conversation.end = if cut { End::Truncated } else { End::Terminated };
    }
    // Left unanswered, or in the middle of calls: it would have gone on.
    let goes_on = |said: &Said| said.by != Speaker::Agent || !said.calls.is_empty();
    if conversation.messages.last().is_some_and(goes_on) {
        conversation.end = End::Truncated;
    }
    for key in ["truncated", "is_truncated"] {
        if let Some(cut) = line.get(key)? {
            conversation.end = if cut.flag()? { End::Truncated } else { End::Terminated };
        }
    }
    let model = response.get_text("model")?.or(request.get_text("model")?);
    conversation.of.source = model.map_or("openai-chat".into(), |model| format!("openai-chat/{model}"));
    conversation.of.environment = match config.environment.as_str() {
        "" => "openai-chat".into(),
        named => named.into(),
    };
    for key in ["conversation_id", "session_id", "id"] {
        if let Some(id) = line.get(key)? {
            conversation.of.episode = id.id()?;
            break;
        }
    }
    conversation.reward = reward(line, config, report)?;
    for (at, whole) in [(line, true), (&request, false), (&response, false)] {
        let further = at.object()?.iter().filter(|(key, _)| !KEYS.contains(&key.as_str()));
        for (key, value) in further.filter(|(_, value)| whole || !value.is_null()) {
            conversation.of.info.entry(key).or_insert_with(|| value.clone());
        }
    }
    Ok(conversation)
}

fn reward(line: &At<'_>, config: &RecordConfig, report: &mut Report) -> Result<Option<f64>> {
    let usual = ["reward", "score", "success"];
    for name in usual.iter().filter(|name| line.find(name).is_some()) {
        report.reward(name, false);
    }
    let found = match config.reward.as_str() {
        "" => usual.iter().find_map(|name| {
            line.find(name).or_else(|| line.find(&format!("metadata.{name}"))).map(|found| (*name, found))
        }),
        named => line.find(named).map(|found| (named, found)),
    };
    let Some((name, found)) = found else { return Ok(None) };
    report.reward(name, true);
    chat::score(&found).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::{check, refused};

    #[tokio::test]
    async fn a_conversation_with_tools_becomes_steps() {
        let imported = check(
            &OpenaiChat(RecordConfig::default()),
            "chat.jsonl",
            include_str!("../../tests/fixtures/chat.jsonl"),
        )
        .await;
        let [first, second] = &imported.trajectories[..] else { panic!("{imported:?}") };
        assert_eq!(first.instructions, "You shop.\n\nBe quick.");
        assert_eq!((first.episode.as_str(), first.source.as_str()), ("c1", "openai-chat/gpt-4o"));
        assert_eq!(first.tools[0].name, "search");
        let [search, both, answer] = &first.steps[..] else { panic!("{first:?}") };
        assert_eq!(search.observation, "Find a red lamp\n[image]");
        assert_eq!(
            (search.thought.as_str(), search.action.as_str()),
            ("I look first.", r#"search({"query":"red lamp"})"#)
        );
        assert_eq!(search.info["calls"][0], "call_1");
        assert_eq!(both.observation, "[B01] Lamp\n[B02] Red lamp");
        assert_eq!(both.action, "open({\"item\":\"B01\"})\nopen({\"item\":\"B02\"})");
        assert_eq!(both.thought, "Derived: Call open (item: B01), open (item: B02).");
        assert_eq!(
            answer.observation,
            "open({\"item\":\"B01\"}):\nB01 is blue\n\nopen({\"item\":\"B02\"}):\nB02 is red"
        );
        assert_eq!(
            (answer.action.as_str(), answer.thought.as_str()),
            ("B02 it is.", "B02 is red, so it fits.")
        );
        assert_eq!((answer.reward, answer.terminated, answer.truncated), (1.0, true, false));
        assert_eq!(first.info["user_id"], 7);
        // The second has no reward, ends in a call, and calls as programs did before there were tools.
        let last = &second.steps[0];
        assert_eq!(
            (second.episode.as_str(), last.action.as_str()),
            ("chat:3", "f(not JSON)".replace("not JSON", "\"not JSON\"").as_str())
        );
        assert!(last.truncated && !last.terminated);
        assert_eq!(imported.dropped["content of type image"], 1);
        assert_eq!(imported.notes["trajectories have no reward in the file, and get 0"], 1);
    }

    #[tokio::test]
    async fn the_reward_may_be_anywhere() {
        let line = r#"{"messages": [{"role": "assistant", "content": "x"}], "metadata": {"judge": {"score": "0.25"}}}"#;
        let config = |reward: &str| RecordConfig { reward: reward.into(), environment: "shop".into() };
        let imported = check(&OpenaiChat(config("metadata.judge.score")), "x.jsonl", line).await;
        assert_eq!(
            (imported.trajectories[0].score(), imported.trajectories[0].environment.as_str()),
            (0.25, "shop")
        );
        let error = refused(&OpenaiChat(config("grade")), "x.jsonl", line).await;
        assert!(error.contains("no entry has the reward `grade`"), "{error}");
    }

    #[tokio::test]
    async fn broken_lines_are_refused_by_line_and_field() {
        for (line, why) in [
            (r#"{"messages": "#, "x.jsonl, line 2: not JSON"),
            (r#"{"message": []}"#, "line 2: `messages` is missing"),
            (r#"{"messages": [{"role": "robot"}]}"#, "line 2: `messages[0].role`: `robot` is not a role"),
            (
                r#"{"messages": [{"role": "user", "content": 3}]}"#,
                "`messages[0].content` must be text or a list of parts, and is a number",
            ),
            (
                r#"{"messages": [{"role": "user", "content": [{"type": "text"}]}]}"#,
                "`messages[0].content[0].text` is missing",
            ),
            (
                r#"{"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}"#,
                "`messages[0].tool_calls[0].name` is missing",
            ),
            (
                r#"{"messages": [{"role": "assistant", "content": "x"}], "reward": "much"}"#,
                "`reward` must be a score",
            ),
        ] {
            let text = format!("{{\"messages\": []}}\n{line}\n");
            let error = refused(&OpenaiChat(RecordConfig::default()), "x.jsonl", &text).await;
            assert!(error.contains(why), "{error}");
        }
    }
}
