//! Programs that a configuration names: started without a shell, with few variables, and never left behind.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forethought_api::{Error, Result};
pub use forethought_bridge::child::Bound;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Command;

/// Variables that a program gets in any case: without them, few run.
pub const VARIABLES: [&str; 10] =
    ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// The longest line of standard error, in bytes; a longer one is split.
const LINE: u64 = 4096;
/// How many lines of standard error are kept for errors.
const LINES: usize = 16;

/// How a program is started, as often as needed.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder in which it runs; `None` for this program's own folder.
    pub folder: Option<PathBuf>,
    /// Names of the environment variables that it gets besides [`VARIABLES`].
    pub variables: Vec<String>,
}

impl Program {
    /// Starts it, with all three standard streams piped. It ends with the value that is returned.
    ///
    /// # Errors
    /// A configuration error that names the command, if it cannot be started or a variable is not set.
    pub fn start(&self) -> Result<Bound> {
        let (program, arguments) = self.command.split_first().ok_or(Error::config("the command is empty"))?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        for name in &self.variables {
            let value = std::env::var_os(name);
            let value = value.ok_or_else(|| Error::config(format!("the variable {name} is not set")))?;
            command.env(name, value);
        }
        // Its standard error goes into a log.
        command.env("NO_COLOR", "1");
        Bound::start(command).map_err(|error| {
            let folder = self.folder.as_ref().map(|folder| format!(" in {}", folder.display()));
            let folder = folder.unwrap_or_default();
            Error::config(format!("`{}`{folder} cannot be started: {error}", self.command.join(" ")))
        })
    }
}

/// The last lines of a program's standard error, for errors.
#[derive(Debug, Clone, Default)]
pub struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl LastWords {
    /// Reads `errors` to its end: all lines into the log, the last ones into this value.
    pub async fn listen(self, program: String, errors: impl AsyncRead + Unpin) {
        let mut errors = BufReader::new(errors);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut errors).take(LINE).read_until(b'\n', &mut line).await {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            tracing::info!(program, "{text}");
            let mut lines = self.lines();
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back(text);
        }
    }

    /// The error with these lines as its last cause.
    pub fn tell(&self, mut error: Error) -> Error {
        let lines: String = self.lines().iter().map(|line| format!("\n  {line}")).collect();
        if !lines.is_empty() {
            error.chain.push(format!("its last words on standard error:{lines}"));
        }
        error
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
