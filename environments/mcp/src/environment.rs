//! Episodes: a task's prompt, calls and their results, the final answer, the score.

use forethought_sdk::{
    api::{
        environment::CallRule,
        llm::{Tool, ToolCall},
    },
    prelude::*,
    serde_json::{Value, json},
};
use tokio::sync::Mutex;

use crate::{
    config::{McpConfig, Words},
    score::{Played, Scorers},
    server::{Place, Returned, Server},
    tasks::{self, Task},
};

/// A world that consists of an MCP server's tools.
pub struct Mcp {
    shared: Arc<Shared>,
    episode: Mutex<Option<Episode>>,
}

/// What all episodes share.
struct Shared {
    config: McpConfig,
    place: Place,
    tasks: Vec<Task>,
    scorers: Scorers,
    /// What the server says of itself, requested once.
    instructions: tokio::sync::OnceCell<String>,
    /// The server of all episodes; or one that was started to ask for its instructions, and that no episode has used.
    server: Mutex<Option<Arc<Server>>>,
}

/// An episode in play.
struct Episode {
    task: usize,
    server: Arc<Server>,
    turn: Turn,
    /// Actions, each with what was seen after it.
    steps: Vec<(String, String)>,
    calls: u32,
    failed: u32,
    over: bool,
}

impl Mcp {
    /// A world with these settings. `host` has the judge. The server is not started.
    ///
    /// # Errors
    /// Settings that contradict each other, or a file of tasks that cannot be read.
    pub async fn new(config: McpConfig, host: Arc<dyn Host>) -> Result<Self> {
        let place = Place::of(&config)?;
        let tasks = tasks::read(&config)?;
        let scorers = Scorers::new(&config, &*host).await?;
        let shared = Shared {
            config,
            place,
            tasks,
            scorers,
            instructions: tokio::sync::OnceCell::new(),
            server: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), episode: Mutex::default() })
    }
}

impl Shared {
    /// A server that no episode has used; or the one of all episodes.
    async fn server(&self) -> Result<Arc<Server>> {
        let mut kept = self.server.lock().await;
        if let Some(server) = kept.as_ref().filter(|server| !server.is_broken()) {
            return Ok(if self.config.shared { server.clone() } else { kept.take().expect("it was there") });
        }
        // Episodes that start their own do not wait for each other.
        if !self.config.shared {
            drop(kept);
            return Ok(Arc::new(Server::start(&self.place).await?));
        }
        let server = Arc::new(Server::start(&self.place).await?);
        *kept = Some(server.clone());
        Ok(server)
    }

    /// What the server says of itself, and how an episode ends.
    async fn instructions(&self) -> Result<String> {
        let said = self.instructions.get_or_try_init(async || {
            let server = self.server().await?;
            let said = server.instructions.clone();
            // What is wrong with the names of tools is said before the first episode.
            self.tools(&server)?;
            *self.server.lock().await = Some(server);
            Ok::<_, Error>(said)
        });
        let mut said = said.await?.clone();
        if !said.is_empty() {
            said += "\n\n";
        }
        said += match self.config.words {
            Words::Answer => {
                "You act by calling tools. Words without a call are your final answer and end the task."
            }
            Words::Continue => "You act by calling tools. Words without a call change nothing.",
        };
        if let [first, others @ ..] = &self.config.ends_with[..] {
            let others: String = others.iter().map(|tool| format!(" or `{tool}`")).collect();
            said += &format!(" A call of `{first}`{others} ends the task.");
        }
        Ok(said)
    }

    /// The tools that are offered.
    fn tools(&self, server: &Server) -> Result<Vec<Tool>> {
        let known =
            || server.tools.iter().map(|tool| format!("`{}`", tool.name)).collect::<Vec<_>>().join(", ");
        let named = self.config.tools.iter().flatten().chain(&self.config.ends_with);
        for name in named {
            if !server.tools.iter().any(|tool| tool.name == *name) {
                return Err(Error::config(format!("the server has no tool `{name}`; it has {}", known())));
            }
        }
        let mut tools = server.tools.clone();
        if let Some(offered) = &self.config.tools {
            tools.retain(|tool| offered.contains(&tool.name) || self.config.ends_with.contains(&tool.name));
        }
        if tools.is_empty() {
            return Err(Error::config("the server has no tools"));
        }
        Ok(tools)
    }
}

impl Episode {
    /// Makes calls; gives what is seen after them, and whether one failed.
    async fn make(&mut self, calls: &[ToolCall]) -> Result<(String, bool)> {
        let mut seen = Vec::new();
        let mut any = false;
        for call in calls {
            let Returned { text, failed } = self.server.call(call).await?;
            self.calls += 1;
            self.failed += u32::from(failed);
            any |= failed;
            let text = if failed { format!("Error: {text}") } else { text };
            seen.push(if calls.len() > 1 { format!("{}: {text}", call.name) } else { text });
        }
        Ok((seen.join("\n\n"), any))
    }

    /// The last transition, with the score.
    async fn end(
        &mut self,
        shared: &Shared,
        answer: Option<&str>,
        transition: &mut Transition,
    ) -> Result<()> {
        self.over = true;
        let task = &shared.tasks[self.task];
        let mut check = None;
        if let Some(call) = &task.check {
            let returned = self.server.call(call).await?;
            if returned.failed {
                let why = returned.text;
                return Err(Error::other(format!("{}: `check` failed: {}: {why}", task.place, call.name)));
            }
            check = Some(returned.text);
        }
        let played = Played { task, steps: &self.steps, answer, check: check.as_deref() };
        if let Some(score) = shared.scorers.score(&played).await? {
            transition.rewards = vec![score.reward];
            transition.success = score.success;
        }
        let metrics = json!({ "tool_calls": self.calls, "failed_tool_calls": self.failed });
        transition.info = json!({ "metrics": metrics, "answer": answer, "check": check });
        Ok(())
    }
}

#[async_trait]
impl Environment for Mcp {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let Shared { config, tasks, .. } = &*self.shared;
        Ok(EnvironmentSpec {
            name: "mcp".into(),
            version: "1".into(),
            seats: vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }],
            tasks: Some(tasks.len() as u64),
            instructions: self.shared.instructions().await?,
            // What a server did cannot be undone, nor is it known to happen again in the same way.
            fork: false,
            recovery: Recovery::Restart,
            max_steps: (config.max_steps > 0).then_some(config.max_steps),
            ..EnvironmentSpec::default()
        })
    }

    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { shared: self.shared.clone(), episode: Mutex::default() }))
    }

    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let tasks = &self.shared.tasks;
        let index = usize::try_from(reset.task).unwrap_or(usize::MAX);
        let task = tasks.get(index).ok_or_else(|| {
            Error::input(format!("there is no task {}: the file has {}", reset.task, tasks.len()))
        })?;
        let mut episode = self.episode.lock().await;
        // The server of the episode before ends first.
        *episode = None;
        let server = self.shared.server().await?;
        let tools = self.shared.tools(&server)?;
        for call in &task.setup {
            let Returned { text, failed } = server.call(call).await?;
            if failed {
                return Err(Error::other(format!("{}: `setup` failed: {}: {text}", task.place, call.name)));
            }
        }
        let turn = Turn {
            observation: Observation::text(task.prompt.clone()),
            tools,
            call_rule: CallRule::default(),
            ..Turn::default()
        };
        let (steps, calls, failed, over) = (Vec::new(), 0, 0, false);
        *episode = Some(Episode { task: index, server, turn: turn.clone(), steps, calls, failed, over });
        Ok(turn)
    }

    async fn step(&self, action: Action) -> Result<Transition> {
        let mut guard = self.episode.lock().await;
        let episode = guard.as_mut().filter(|episode| !episode.over);
        let episode = episode.ok_or_else(|| Error::input("no episode is in play: call `reset` first"))?;
        let config = &self.shared.config;
        let calls = match action.calls(&episode.turn) {
            Ok(calls) if calls.is_empty() && action.text.trim().is_empty() => {
                Err("an action is a call of a tool, or words".to_owned())
            }
            calls => calls,
        };
        let (mut seen, mut illegal, mut answer, mut terminated) = (String::new(), false, None, false);
        match calls {
            Err(why) => (seen, illegal) = (format!("Error: {why}"), true),
            Ok(calls) if calls.is_empty() => match config.words {
                Words::Answer => (answer, terminated) = (Some(action.text.trim().to_owned()), true),
                Words::Continue => seen = "OK.".into(),
            },
            Ok(calls) => {
                (seen, illegal) = episode.make(&calls).await?;
                if let Some(last) = calls.iter().find(|call| config.ends_with.contains(&call.name)) {
                    (answer, terminated) = (Some(spoken(&last.arguments)), !illegal);
                }
            }
        }
        episode.steps.push((action.text, seen.clone()));
        episode.turn.observation = Observation::text(seen);
        let steps = u32::try_from(episode.steps.len()).unwrap_or(u32::MAX);
        let truncated = !terminated && config.max_steps > 0 && steps >= config.max_steps;
        let mut transition = Transition {
            turn: episode.turn.clone(),
            rewards: vec![0.0],
            terminated,
            truncated,
            illegal,
            ..Transition::default()
        };
        if terminated || truncated {
            episode.end(&self.shared, answer.as_deref().filter(|_| terminated), &mut transition).await?;
            // Its server ends with it.
            *guard = None;
        }
        Ok(transition)
    }
}

/// The answer that the arguments of a last call are: the only one, if it is a text.
fn spoken(arguments: &Value) -> String {
    let only = arguments.as_object().filter(|arguments| arguments.len() == 1);
    match only.and_then(|arguments| arguments.values().next()) {
        Some(Value::String(text)) => text.clone(),
        _ => arguments.to_string(),
    }
}

register! {
    interface: dyn Environment, kind: "mcp", summary: "the tools of an MCP server, with tasks from a file",
    config: McpConfig,
    new: |config, host| async move { Ok(Arc::new(Mcp::new(config, host).await?) as _) },
}
