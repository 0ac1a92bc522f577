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
        _ if names_a_bad_path(error) => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// Whether the system refused a path that somebody gave: it is missing, of another kind, too long or not permitted.
fn names_a_bad_path(error: &Error) -> bool {
    // ENOENT, EACCES, EEXIST, ENOTDIR, EISDIR, EROFS, ENAMETOOLONG (Linux and macOS), ELOOP (both).
    let codes = [2, 13, 17, 20, 21, 30, 36, 63, 40, 62];
    let last = error.chain.last().unwrap_or(&error.message);
    codes.iter().any(|code| last.ends_with(&format!("(os error {code})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_used_is_bad_input_and_a_full_disk_is_not() {
        let exit = |code: i32| {
            let error: Error = std::io::Error::from_raw_os_error(code).into();
            explain(&error.context("data could not be written"))
        };
        assert_eq!([2, 13, 17, 20, 21].map(exit), [Exit::Usage; 5]);
        assert_eq!(exit(28), Exit::Failed);
    }
}
