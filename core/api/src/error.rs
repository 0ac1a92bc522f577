//! The one error that crosses interfaces: a code for programs, a message for people, the causes beneath it.

use serde::{Deserialize, Serialize};

/// The result of every interface method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in a form that survives a plugin boundary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Error {
    /// What kind of failure this is; programs branch on it.
    #[serde(default)]
    pub code: Code,
    /// One sentence for a person: what failed, where, and the way out if there is one.
    #[serde(default)]
    pub message: String,
    /// Whether the same call may succeed if repeated.
    #[serde(default)]
    pub retryable: bool,
    /// How long to wait before repeating it, in milliseconds, where the other side said so (`Retry-After`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether the other side surely did no work: it refused the call, or was never reached. Such a call cost nothing;
    /// of any other failed call nobody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// Causes, outermost first.
    #[serde(default)]
    pub chain: Vec<String>,
}

/// Kinds of failure. Exit codes and retry policies are derived from these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// A configuration that cannot be used.
    Config,
    /// A file or a value from outside that is malformed.
    Input,
    /// A named thing that does not exist.
    NotFound,
    /// A model answered in a form that could not be read.
    Malformed,
    /// A budget was reached: a status, not a failure.
    Budget,
    /// The caller withdrew.
    Cancelled,
    /// The component does not offer this method.
    Unimplemented,
    /// A provider refused or could not be reached.
    Provider,
    /// A request that its receiver could not read.
    BadRequest,
    /// A component panicked, or its process died; it is not to be trusted with another call.
    Panic,
    /// A component did not answer in time.
    Deadline,
    /// The component's side is going down.
    Shutdown,
    /// A plugin was refused, or broke the contract.
    Plugin,
    /// Anything else.
    #[default]
    #[serde(other)]
    Other,
}

impl Error {
    /// An error of the given kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, retryable: false, retry_after_ms: None, refused: false, chain: Vec::new() }
    }
    /// Unusable configuration.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Code::Config, message)
    }
    /// Malformed input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Code::Input, message)
    }
    /// A named thing that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }
    /// An answer that could not be read.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::Malformed, message)
    }
    /// Anything else.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Code::Other, message)
    }
    /// The same error with what was being done put in front; the old message joins the causes.
    pub fn context(mut self, doing: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.message, doing.into());
        self.chain.insert(0, cause);
        self
    }
    /// The same error with another as its cause.
    pub fn because(mut self, cause: impl Into<Self>) -> Self {
        let Self { message, chain, .. } = cause.into();
        self.chain.push(message);
        self.chain.extend(chain);
        self
    }
    /// Marks the error as worth repeating.
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
    /// Marks the call as one that the other side did not work on.
    pub fn refused(mut self) -> Self {
        self.refused = true;
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.chain {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

// Deliberately not `std::error::Error`: that would forbid the blanket conversion below, which lets an author use `?`
// on any error. `anyhow::Error` makes the same choice. `into_std` gives one where a `std::error::Error` is wanted.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut chain = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            chain.push(cause.to_string());
            source = cause.source();
        }
        Self { chain, ..Self::other(error.to_string()) }
    }
}

/// [`Error`] as a `std::error::Error`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StdError(pub Error);

impl Error {
    /// This error for a caller that wants `std::error::Error`.
    pub fn into_std(self) -> StdError {
        StdError(self)
    }
}

/// `.context(...)` on results whose error converts into [`Error`].
pub trait Context<T> {
    /// Puts what was being done in front of the error.
    fn context(self, doing: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().context(doing))
    }
}
