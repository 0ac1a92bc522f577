//! Plugins in processes of their own: started, watched, ended.
//!
//! The process lives for as long as anybody holds one of its objects. Then its standard input is closed, which ends a
//! plugin that keeps to the protocol, and what is left after a while is killed. It is the head of a process group, so an
//! interruption from the keyboard reaches the program alone, and what the plugin started dies with it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forethought_api::{Error, Result, error::Code, wire::Object};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::pipe::{self, Connection, LAST_MOMENT};

/// How long a process may take to end once it was told to, or once it closed its output.
const GRACE: Duration = Duration::from_secs(2);
/// Lines of standard error that are kept for errors.
const LAST_WORDS: usize = 8;
/// Longest line of standard error; a longer one is taken for several.
const LINE: u64 = 4096;

/// A plugin in a process of its own, and how it is started: again and again, if need be.
#[derive(Debug, Clone)]
pub struct Process {
    /// The plugin's name, for errors and logs.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it runs; `None` for this process's own folder.
    pub folder: Option<PathBuf>,
    /// Names of the environment variables that it gets; `None` for all that this process has.
    pub variables: Option<Vec<String>>,
    /// The most address space that it may take, in MiB. Linux alone can hold a process to it.
    pub memory_mb: Option<u64>,
    /// How long it may take to greet.
    pub patience: Duration,
}

impl Process {
    /// `command` with everything this process has, no limit of memory, and 30 seconds to greet.
    pub fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        let patience = Duration::from_secs(30);
        Self { name: name.into(), command, folder: None, variables: None, memory_mb: None, patience }
    }

    /// Starts the process and gives its root object, a `forethought.module/1`.
    ///
    /// When the process ends before its objects do, calls under way and all later ones fail with [`Code::Panic`]; then
    /// it can be started anew.
    ///
    /// # Errors
    /// With [`Code::Plugin`], if it cannot be started, or does not greet as `docs/plugin-pipe.md` says.
    pub async fn start(&self) -> Result<Arc<dyn Object>> {
        let failed = |what: String| {
            let command = self.command.join(" ");
            Error::new(Code::Plugin, format!("plugin {} (`{command}`) cannot be started: {what}", self.name))
        };
        let (mut running, pipes) = self.spawn().map_err(|error| failed(error.to_string()))?;
        match pipe::open(&self.name, None, pipes, self.patience).await {
            Ok(connection) => {
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
        command.args(arguments).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(names) = &self.variables {
            command.env_clear();
            command.envs(names.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        // What it prints to standard error goes into a log.
        command.env("NO_COLOR", "1");
        let mut child = command.spawn()?;
        let pipes = (child.stdout.take(), child.stdin.take(), child.stderr.take());
        let (Some(output), Some(input), Some(errors)) = pipes else { unreachable!("all three are piped") };
        let words = Arc::<Mutex<VecDeque<String>>>::default();
        let listener = tokio::spawn(listen(self.name.clone(), errors, words.clone()));
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let running = Running { name: self.name.clone(), child, group, words, listener };
        // Set from outside, for between fork and exec nothing is safe. Until it greets, it is nobody's plugin.
        if let Some(mebibytes) = self.memory_mb {
            running.limit_memory(mebibytes)?;
        }
        Ok((running, (output, input)))
    }
}

/// Runs the pipe, and sees to it that nothing is left of the process.
async fn watch(mut running: Running, connection: Connection<ChildStdout, ChildStdin>) {
    let Connection { peer, dropped, traffic } = connection;
    let end = Arc::downgrade(&peer);
    drop(peer);
    let mut traffic = Box::pin(traffic.run());
    let broken = tokio::select! {
        outcome = &mut traffic => outcome.err(),
        _ = running.child.wait() => {
            // Nobody holds the pipe open now, and what was said last is still in it.
            running.kill_group();
            timeout(LAST_MOMENT, &mut traffic).await.ok().and_then(Result::err)
        }
        _ = dropped => {
            // Its input is closed once all is written that it should read.
            let _ = timeout(GRACE, async { tokio::join!(&mut traffic, running.child.wait()) }).await;
            return running.kill().await;
        }
    };
    let name = running.name.clone();
    let what = match broken {
        Some(broken) => {
            running.kill().await;
            format!("plugin {name} broke the protocol, and its process was killed: {broken}")
        }
        None => match running.ended(GRACE).await {
            Some(status) => format!("the process of plugin {name} ended: {status}"),
            None => format!("plugin {name} closed its pipe, and its process was killed"),
        },
    };
    let error = running.with_last_words(Error::new(Code::Panic, what)).await;
    if let Some(peer) = end.upgrade() {
        peer.end(error);
    }
}

/// A process, from its start to its end.
struct Running {
    name: String,
    child: tokio::process::Child,
    /// Its number, which is also that of its group; `None` once the group was killed. The number of a process that has
    /// ended may become another's, but not before all others were used: the group is killed long before.
    group: Option<Pid>,
    /// The last lines of its standard error.
    words: Arc<Mutex<VecDeque<String>>>,
    listener: JoinHandle<()>,
}

impl Running {
    #[cfg(target_os = "linux")]
    fn limit_memory(&self, mebibytes: u64) -> Result<()> {
        use rustix::process::{Resource, Rlimit, prlimit};
        let bytes = Some(mebibytes.saturating_mul(1 << 20));
        prlimit(self.group, Resource::As, Rlimit { current: bytes, maximum: bytes })?;
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    fn limit_memory(&self, _: u64) -> Result<()> {
        Err(Error::config("`memory_mb` needs Linux; leave it out"))
    }

    /// How it ended, if it did so by itself within `patience`; after that, it is killed.
    async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let status = timeout(patience, self.child.wait()).await.ok().and_then(Result::ok);
        self.kill().await;
        status
    }

    async fn kill(&mut self) {
        self.kill_group();
        // Within the kernel, it may take its time even for that; it is reaped when it is done.
        let _ = timeout(GRACE, self.child.wait()).await;
    }

    fn kill_group(&mut self) {
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// The error with what the process, now ended, said last.
    async fn with_last_words(mut self, mut error: Error) -> Error {
        // Whoever inherited its standard error may keep it open.
        let _ = timeout(LAST_MOMENT, &mut self.listener).await;
        let words = std::mem::take(&mut *self.words.lock().unwrap_or_else(PoisonError::into_inner));
        if !words.is_empty() {
            let words = words.into_iter().map(|line| format!("\n  {line}")).collect::<String>();
            error.chain.push(format!("its last words on standard error:{words}"));
        }
        error
    }
}

impl Drop for Running {
    /// Where nobody could wait for its end: while it started, or as the whole program ends.
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// Reads standard error to its end: into the log, and the last lines into `words`.
async fn listen(plugin: String, errors: ChildStderr, words: Arc<Mutex<VecDeque<String>>>) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut errors).take(LINE).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        log(&plugin, &text);
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() == LAST_WORDS {
            words.pop_front();
        }
        words.push_back(text);
    }
}

/// A line that starts with the name of a level, as most loggers write them, is of that level.
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
