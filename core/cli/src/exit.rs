//! Exit codes.

use forethought_api::{Error, error::Code};
use forethought_runtime::run::folder::RunStatus;

use crate::streams::tell;

/// Exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Everything is done.
    Done = 0,
    /// Done, but some episodes or checks failed.
    Failed = 1,
    /// Bad usage, configuration or input.
    Usage = 2,
    /// A budget was reached; the state is saved.
    Budget = 3,
    /// A provider refused or could not be reached.
    Provider = 4,
    /// A plugin was refused, or broke the contract.
    Plugin = 5,
    /// Interrupted; the state is saved.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<RunStatus> for Exit {
    fn from(status: RunStatus) -> Self {
        match status {
            RunStatus::Finished => Self::Done,
            RunStatus::Failed => Self::Failed,
            RunStatus::Budget => Self::Budget,
            RunStatus::Running | RunStatus::Interrupted => Self::Interrupted,
        }
    }
}

/// Prints the error with its causes, and returns the exit code for it.
pub(crate) fn explain(error: &Error) -> Exit {
    tell(&format!("error: {}", error.message.replace('\n', "\n       ")));
    for cause in &error.chain {
        tell(&format!("  because: {}", cause.replace('\n', "\n           ")));
    }
    match error.code {
        Code::Config | Code::Input | Code::NotFound => Exit::Usage,
        Code::Budget => Exit::Budget,
        Code::Provider => Exit::Provider,
        Code::Plugin => Exit::Plugin,
        Code::Cancelled => Exit::Interrupted,
        _ => Exit::Failed,
    }
}
