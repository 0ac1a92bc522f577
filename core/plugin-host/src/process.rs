//! Plugins in their own processes: started, watched, ended.
//!
//! A process lives as long as one of its objects is in use. Then its standard input is closed, which ends a plugin that
//! follows the protocol, and after a grace period the process is killed. It leads a process group, so a keyboard
//! interrupt reaches only the program, and the plugin's child processes end with it. On Linux the system kills it when
//! this program ends in any way.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use forethought_api::{Error, Result, error::Code, wire::Object};
pub use forethought_bridge::child::kill_all;
use forethought_bridge::child::{self, Bound};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::pipe::{self, Connection, LAST_MOMENT};
use super::words::Words;

/// How long a process may take to end after it was told to, or after it closed its output.
const GRACE: Duration = Duration::from_secs(2);
/// The longest line of standard error, in bytes; a longer one is split.
const LINE: u64 = 4096;

/// How a plugin's own process is started, as often as needed.
#[derive(Debug, Clone)]
pub struct Process {
    /// The plugin's name, for errors and logs.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder in which it runs; `None` for this process's own folder.
    pub folder: Option<PathBuf>,
    /// Names of the environment variables that it gets; `None` for all of this process's.
    pub variables: Option<Vec<String>>,
    /// The limit of its address space, in MiB. Only Linux can enforce it.
    pub memory_mb: Option<u64>,
    /// How long it may take to send its hello.
    pub hello_timeout: Duration,
}

impl Process {
    /// `command` with this process's folder and variables, no memory limit, and 30 seconds for its hello.
    pub fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        let hello_timeout = Duration::from_secs(30);
        Self { name: name.into(), command, folder: None, variables: None, memory_mb: None, hello_timeout }
    }

    /// Starts the process and gives its root object, a `forethought.module/1`.
    ///
    /// If the process ends before its objects do, calls in flight and all later ones fail with [`Code::Shutdown`], those
    /// that never reached it as `refused`; then it can be started again.
    ///
    /// # Errors
    /// [`Code::Plugin`] if it cannot be started, or does not send the hello of `docs/plugin-pipe.md`.
    pub async fn start(&self) -> Result<Arc<dyn Object>> {
        let failed = |what: String| {
            let command = self.command.join(" ");
            Error::new(Code::Plugin, format!("plugin {} (`{command}`) cannot be started: {what}", self.name))
        };
        let (mut running, pipes) = self.spawn().map_err(|error| failed(error.to_string()))?;
        match pipe::open(&self.name, None, pipes, self.hello_timeout).await {
            Ok(connection) => {
                connection.peer.hear(running.words.clone());
                let root = connection.peer.root();
                tokio::spawn(watch(running, connection));
                Ok(root)
            }
            Err(what) => {
                let status = running.ended(LAST_MOMENT).await;
                let status =
                    status.map(|status| format!("; its process ended: {status}")).unwrap_or_default();
                Err(running.with_last_words(failed(format!("{what}{status}"))).await)
            }
        }
    }

    fn spawn(&self) -> Result<(Running, (ChildStdout, ChildStdin))> {
        let (program, arguments) = self.command.split_first().ok_or(Error::config("the command is empty"))?;
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(names) = &self.variables {
            command.env_clear();
            command.envs(names.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        // Its standard error goes into a log.
        command.env("NO_COLOR", "1");
        let mut bound = Bound::start(command)?;
        let child = &mut bound.child;
        let pipes = (child.stdout.take(), child.stdin.take(), child.stderr.take());
        let (Some(output), Some(input), Some(errors)) = pipes else { unreachable!("all three are piped") };
        let words = Arc::<Words>::default();
        let listener = tokio::spawn(listen(self.name.clone(), errors, words.clone()));
        let running = Running { name: self.name.clone(), bound, words, listener };
        // Set from outside, because nothing is safe between fork and exec. It is not used before its hello.
        if let Some(mebibytes) = self.memory_mb {
            running.limit_memory(mebibytes)?;
        }
        Ok((running, (output, input)))
    }
}

/// Runs the pipe until its end, and makes sure that no process is left.
async fn watch(mut running: Running, connection: Connection<ChildStdout, ChildStdin>) {
    let Connection { peer, dropped, condemned, traffic } = connection;
    let end = Arc::downgrade(&peer);
    drop(peer);
    let mut traffic = Box::pin(traffic.run());
    let name = running.name.clone();
    let what = tokio::select! {
        outcome = &mut traffic => outcome.err().map(|broken| format!("plugin {name} broke the protocol, and its process was killed: {broken}")),
        Ok(why) = condemned => Some(format!("the process of plugin {name} was killed, because it hung: {why}")),
        _ = running.bound.child.wait() => {
            // The process no longer holds the pipe open, and its last frames are still in it.
            running.bound.kill();
            let broken = timeout(LAST_MOMENT, &mut traffic).await.ok().and_then(Result::err);
            broken.map(|broken| format!("plugin {name} broke the protocol, and its process was killed: {broken}"))
        }
        _ = dropped => {
            // Its input is closed after all queued frames are written.
            let _ = timeout(GRACE, async { tokio::join!(&mut traffic, running.bound.child.wait()) }).await;
            return running.kill().await;
        }
    };
    let what = match what {
        Some(what) => {
            running.kill().await;
            what
        }
        None => match running.ended(GRACE).await {
            Some(status) => format!("the process of plugin {name} ended: {status}"),
            None => format!("plugin {name} closed its pipe, and its process was killed"),
        },
    };
    let error = running.with_last_words(Error::new(Code::Shutdown, what)).await;
    if let Some(peer) = end.upgrade() {
        peer.end(error);
    }
}

/// A started process.
struct Running {
    name: String,
    bound: Bound,
    /// The last lines of its standard error.
    words: Arc<Words>,
    listener: JoinHandle<()>,
}

impl Running {
    #[cfg(target_os = "linux")]
    fn limit_memory(&self, mebibytes: u64) -> Result<()> {
        use rustix::process::{Resource, Rlimit, prlimit};
        let bytes = Some(mebibytes.saturating_mul(1 << 20));
        prlimit(self.bound.group(), Resource::As, Rlimit { current: bytes, maximum: bytes })?;
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    fn limit_memory(&self, _: u64) -> Result<()> {
        Err(Error::config("`memory_mb` needs Linux; leave it out"))
    }

    /// Its status if it ends by itself within `limit`; it is killed afterwards.
    async fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = timeout(limit, self.bound.child.wait()).await.ok().and_then(Result::ok);
        self.kill().await;
        status
    }

    async fn kill(&mut self) {
        self.bound.kill();
        // Within the kernel it may take longer even for that; it is reaped when it has ended.
        let _ = timeout(GRACE, self.bound.child.wait()).await;
    }

    /// The error with the last words of the process, which has ended.
    async fn with_last_words(mut self, mut error: Error) -> Error {
        // A child that inherited its standard error may keep it open.
        let _ = timeout(LAST_MOMENT, &mut self.listener).await;
        if let Some(words) = self.words.take(0) {
            error.chain.push(format!("its last words on standard error:{words}"));
        }
        error
    }
}

/// Waits until the processes that nobody uses any more have ended, and kills those that are left after a grace period.
/// Call it before the program ends: nothing watches them after that.
pub async fn end_all() {
    child::end_all(GRACE + LAST_MOMENT).await;
}

/// Reads standard error to its end: all lines into the log, the last ones into `words`.
async fn listen(plugin: String, errors: ChildStderr, words: Arc<Words>) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut errors).take(LINE).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        log(&plugin, &text);
        words.push(text);
    }
}

/// A line that starts with the name of a level, as most loggers write it, is logged at that level.
fn log(plugin: &str, line: &str) {
    let level = line.trim_start().split(|c: char| !c.is_ascii_uppercase()).next();
    match level {
        Some("ERROR" | "CRITICAL") => tracing::error!(plugin, "{line}"),
        Some("WARN" | "WARNING") => tracing::warn!(plugin, "{line}"),
        Some("DEBUG") => tracing::debug!(plugin, "{line}"),
        Some("TRACE") => tracing::trace!(plugin, "{line}"),
        _ => tracing::info!(plugin, "{line}"),
    }
}
