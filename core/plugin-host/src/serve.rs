//! The plugin's end of the pipe: this process is a plugin of the program that started it.

use std::fs::File;
use std::io::{stderr, stdin, stdout};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use forethought_api::{
    Error, Result,
    error::{Code, Context as _},
    wire::Object,
};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::pipe;

/// How long the program may take to send its hello.
const PATIENCE: Duration = Duration::from_secs(30);

/// This process's standard input and output, reserved for frames.
#[derive(Debug)]
pub struct Stdio {
    input: OwnedFd,
    output: OwnedFd,
}

impl Stdio {
    /// Takes them. From here on, printed text goes to standard error, and standard input is empty, so a plugin cannot
    /// disturb the frames. Call this before a plugin is loaded.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn take() -> Result<Self> {
        let input = stdin().as_fd().try_clone_to_owned()?;
        let output = stdout().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(stderr())?;
        Ok(Self { input, output })
    }

    /// Serves `root`, a `forethought.module/1`, until the program closes its end or ends. Calls in flight are then
    /// dropped; the process should exit, even if its threads still run.
    ///
    /// # Errors
    /// If the other end of the pipes does not speak the protocol.
    pub async fn serve(self, root: Arc<dyn Object>) -> Result<()> {
        let pipes = Receiver::from_owned_fd(self.input)
            .and_then(|input| Ok((input, Sender::from_owned_fd(self.output)?)))
            .context(
                "standard input and output are not pipes: this is started by a program, not by people",
            )?;
        let broken = |what| Error::new(Code::Plugin, format!("the program: {what}"));
        let connection = pipe::open("the program", Some(root), pipes, PATIENCE).await.map_err(broken)?;
        let outcome = connection.traffic.run().await;
        connection.peer.end(Error::new(Code::Shutdown, "the program ended"));
        outcome.map_err(broken)
    }
}
