//! Components that misbehave on purpose: nothing here must harm the program; as far as possible when loaded into its
//! process, and always in a separate process.

use std::{hint::black_box, panic::panic_any, time::Duration};

use forethought_sdk::{prelude::*, serde_json::Value};
use tokio::time::sleep;

use crate::{answer, one_seat};

/// Settings of the misbehaving world.
#[config]
pub struct StressConfig {
    /// How it misbehaves.
    mode: Mode,
    /// Size of a `huge` answer, in bytes.
    #[serde(default)]
    bytes: usize,
}

/// How a world misbehaves: while it is built, in each step, or when it is dropped.
#[config]
#[derive(Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It refuses to be built.
    RefuseCreate,
    /// It panics while it is built.
    PanicInCreate,
    /// It needs a language model that is not configured.
    MissingDependency,
    /// It panics before its first await.
    PanicBeforeAwait,
    /// It panics after an await.
    PanicAfterAwait,
    /// A task that it spawned panics.
    PanicInTask,
    /// It panics, and the panic's payload panics when it is dropped.
    PanicInPayload,
    /// A local variable of a cancelled call panics when it is dropped.
    PanicInFuture,
    /// The world panics when it is dropped.
    PanicInDrop,
    /// It never answers.
    Never,
    /// It answers with a text of `bytes` bytes.
    Huge,
    /// It leaks a MiB in each step.
    Leak,
    /// During a call it calls the program, which may call it again.
    Reenter,
    /// It ends the process.
    Exit,
    /// It aborts the process.
    Abort,
    /// It kills its process, as the system does when memory runs out.
    Kill,
    /// It writes to unmapped memory.
    Segfault,
    /// It recurses without end.
    StackOverflow,
    /// It allocates all memory.
    Memory,
}

/// The misbehaving world.
pub struct Stress {
    mode: Mode,
    bytes: usize,
    host: Arc<dyn Host>,
}

struct PanicsInDrop(&'static str);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

impl Drop for Stress {
    fn drop(&mut self) {
        if self.mode == Mode::PanicInDrop {
            panic!("this world does not end well");
        }
    }
}

#[async_trait]
impl Environment for Stress {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(one_seat("stress"))
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { host: self.host.clone(), ..*self }))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(Turn::default())
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let mut text = String::new();
        match self.mode {
            Mode::PanicBeforeAwait => panic!("before the first await"),
            Mode::PanicAfterAwait => {
                sleep(Duration::from_millis(1)).await;
                panic!("after an await");
            }
            Mode::PanicInTask => tokio::spawn(async { panic!("in a task") }).await?,
            Mode::PanicInPayload => panic_any(PanicsInDrop("the payload was dropped")),
            Mode::PanicInFuture => {
                let _left = PanicsInDrop("what was left was dropped");
                std::future::pending().await
            }
            Mode::Never => std::future::pending().await,
            Mode::Huge => text = "x".repeat(self.bytes),
            Mode::Leak => drop(black_box(vec![1u8; 1 << 20].leak())),
            Mode::Reenter => {
                let request = ChatRequest::new(Purpose::Persona, vec![Message::user(action.text)]);
                text = self.host.llm("actor".into()).await?.complete(request).await?.text().into();
            }
            Mode::Exit => std::process::exit(3),
            Mode::Abort => std::process::abort(),
            Mode::Kill => {
                let own = std::process::id().to_string();
                std::process::Command::new("kill").args(["-KILL", &own]).status()?;
            }
            Mode::Segfault => segfault(),
            Mode::StackOverflow => text = descend(0).to_string(),
            Mode::Memory => {
                let mut all = Vec::new();
                loop {
                    all.push(black_box(vec![1u8; 16 << 20]));
                }
            }
            // These misbehave earlier or later.
            Mode::RefuseCreate | Mode::PanicInCreate | Mode::MissingDependency | Mode::PanicInDrop => {}
        }
        Ok(answer(text, Value::Null))
    }
}

#[allow(unsafe_code)]
fn segfault() {
    // SAFETY: none. Nothing is mapped there, so the process ends, as intended.
    unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) }
}

#[allow(unconditional_recursion)]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    descend(depth + 1) + frame[(depth % 64) as usize]
}

register! {
    interface: dyn Environment,
    kind: "stress",
    summary: "misbehaves on purpose",
    config: StressConfig,
    new: |config: StressConfig, host: Arc<dyn Host>| async move {
        let StressConfig { mode, bytes } = config;
        match mode {
            Mode::RefuseCreate => return Err(Error::config("`mode` says that this cannot be built")),
            Mode::PanicInCreate => panic!("in the making"),
            Mode::MissingDependency => drop(host.llm("nobody".into()).await?),
            _ => {}
        }
        Ok(Arc::new(Stress { mode, bytes, host }) as _)
    },
}

/// Settings of the critic and the encoder with wrong numbers.
#[config]
pub struct WrongConfig {
    /// What is wrong with the numbers.
    mode: Wrong,
}

/// What is wrong with numbers.
#[config]
#[derive(Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// They are not numbers.
    Nan,
    /// They are out of the promised range.
    OutOfRange,
    /// One of them is missing.
    Missing,
}

/// A critic and an encoder with wrong numbers.
pub struct WrongNumbers {
    mode: Wrong,
}

impl WrongNumbers {
    fn number(&self) -> f32 {
        match self.mode {
            Wrong::Nan => f32::NAN,
            Wrong::OutOfRange => 7.0,
            Wrong::Missing => 1.0,
        }
    }
    fn count(&self, asked: usize) -> usize {
        match self.mode {
            Wrong::Missing => asked.saturating_sub(1),
            Wrong::Nan | Wrong::OutOfRange => asked,
        }
    }
}

#[async_trait]
impl Critic for WrongNumbers {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let estimate = Estimate { probability: self.number().into(), ..Estimate::default() };
        Ok(vec![estimate; self.count(queries.len())])
    }
}

#[async_trait]
impl TextEncoder for WrongNumbers {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "stress".into(), revision: None, dimension: 1 })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let rows = self.count(texts.len());
        Matrix::new(rows, 1, vec![self.number(); rows])
    }
}

register! {
    interface: dyn Critic,
    kind: "stress",
    summary: "estimates wrongly on purpose",
    config: WrongConfig,
    new: |config: WrongConfig, _host| async move { Ok(Arc::new(WrongNumbers { mode: config.mode }) as _) },
}

register! {
    interface: dyn TextEncoder,
    kind: "stress",
    summary: "encodes wrongly on purpose",
    config: WrongConfig,
    new: |config: WrongConfig, _host| async move { Ok(Arc::new(WrongNumbers { mode: config.mode }) as _) },
}
