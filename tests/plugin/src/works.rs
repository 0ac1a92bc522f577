//! A world whose actions do everything that an author may do in a method: wait, spawn, open a socket, log, fail, and
//! call other components.

use std::time::Duration;

use forethought_sdk::{prelude::*, serde_json::Value};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Barrier,
    time::sleep,
};

use crate::{answer, one_seat};

/// Settings of [`Works`].
#[config]
#[serde(default)]
pub struct WorksConfig {
    /// Number of calls of `meet` that must overlap for any of them to end.
    meet: usize,
    /// The language model that `ask` calls.
    llm: String,
}

impl Default for WorksConfig {
    fn default() -> Self {
        Self { meet: 1, llm: "actor".into() }
    }
}

/// The world.
pub struct Works {
    host: Arc<dyn Host>,
    llm: String,
    meeting: Barrier,
    /// Cloned for the duration of each call's work.
    live: Arc<()>,
}

impl Works {
    async fn act(&self, verb: &str, rest: &str) -> Result<String> {
        let _live = self.live.clone();
        let answer = match verb {
            "sleep" => {
                sleep(Duration::from_millis(rest.parse()?)).await;
                "slept".into()
            }
            "wait" => std::future::pending().await,
            "churn" => loop {
                std::hint::black_box((0..1000).sum::<u64>());
                tokio::task::yield_now().await;
            },
            "live" => (Arc::strong_count(&self.live) - 2).to_string(),
            "meet" => {
                self.meeting.wait().await;
                "met".into()
            }
            "yield" => {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                "yielded".into()
            }
            "spawn" => {
                let rest = rest.to_owned();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(1)).await;
                    rest
                })
                .await?
            }
            "spawn_blocking" => {
                let rest = rest.to_owned();
                tokio::task::spawn_blocking(move || {
                    std::thread::sleep(Duration::from_millis(1));
                    rest
                })
                .await?
            }
            "tcp" => over_tcp(rest).await?,
            "log" => {
                tracing::warn!(answer = 42, "{rest}");
                "logged".into()
            }
            "parse" => rest.parse::<i32>()?.to_string(),
            "refuse" => {
                let cause = Error::other("the shelf is empty");
                return Err(Error::new(Code::NotFound, "no such thing").because(cause).retryable());
            }
            "ask" => {
                let request = ChatRequest::new(Purpose::Persona, vec![Message::user(rest)]);
                self.host.llm(self.llm.clone()).await?.complete(request).await?.text().into()
            }
            "build" => option_env!("FORETHOUGHT_TEST_BUILD").unwrap_or("workspace").into(),
            _ => return Err(Error::input(format!("`{verb}` is not an action of this world"))),
        };
        Ok(answer)
    }
}

/// Sends `text` to itself through a socket of this machine.
async fn over_tcp(text: &str) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut near = TcpStream::connect(listener.local_addr()?).await?;
    let (mut far, _) = listener.accept().await?;
    near.write_all(text.as_bytes()).await?;
    near.shutdown().await?;
    let mut arrived = String::new();
    far.read_to_string(&mut arrived).await?;
    Ok(arrived)
}

#[async_trait]
impl Environment for Works {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(one_seat("works"))
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Err(Error::new(Code::Unimplemented, "there is only one of this world"))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(Turn::default())
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let (verb, rest) = action.text.split_once(' ').unwrap_or((&action.text, ""));
        Ok(answer(self.act(verb, rest).await?, Value::Null))
    }
}

register! {
    interface: dyn Environment,
    kind: "works",
    summary: "does everything that async Rust can do",
    config: WorksConfig,
    new: |config: WorksConfig, host| async move {
        let meeting = Barrier::new(config.meet);
        Ok(Arc::new(Works { host, llm: config.llm, meeting, live: Arc::default() }) as _)
    },
}
