//! The one error that crosses interfaces: a code for programs, a message for people, and its causes.

use serde::{Deserialize, Serialize};

/// The result of every interface method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in a form that survives a plugin boundary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Error {
    /// The kind of failure; programs branch on it.
    #[serde(default)]
    pub code: Code,
    /// One sentence for a person: what failed, where, and how to fix it if that is known.
    #[serde(default)]
    pub message: String,
    /// Whether the same call may succeed when repeated.
    #[serde(default)]
    pub retryable: bool,
    /// How long to wait before repeating it, in milliseconds, if the other side said so (`Retry-After`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether the other side certainly did no work: it refused the call, or was never reached. Such a call cost
    /// nothing; the cost of any other failed call is unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// Whether the other side said that it has too much work: fewer calls at a time may succeed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overloaded: bool,
    /// Causes, outermost first.
    #[serde(default)]
    pub chain: Vec<String>,
}

/// Kinds of failure. Exit codes and retry policies are derived from these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// An invalid configuration.
    Config,
    /// A malformed file or value from outside.
    Input,
    /// A named thing that does not exist.
    NotFound,
    /// A model answered in a format that could not be parsed.
    Malformed,
    /// A budget is spent: a status, not a failure.
    Budget,
    /// The caller cancelled.
    Cancelled,
    /// The component does not offer this method.
    Unimplemented,
    /// A provider refused or could not be reached.
    Provider,
    /// The receiver could not parse the request.
    BadRequest,
    /// A component panicked, or its process died; it must not be called again.
    Panic,
    /// A component did not answer in time.
    Deadline,
    /// The component's side is shutting down.
    Shutdown,
    /// A plugin was rejected, or broke the contract.
    Plugin,
    /// Anything else.
    #[default]
    #[serde(other)]
    Other,
}

impl Error {
    /// An error with the given code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code,
            message,
            retryable: false,
            retry_after_ms: None,
            refused: false,
            overloaded: false,
            chain: Vec::new(),
        }
    }
    /// An invalid configuration.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Code::Config, message)
    }
    /// A malformed file or value from outside.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Code::Input, message)
    }
    /// A named thing that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }
    /// An answer that could not be parsed.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::Malformed, message)
    }
    /// Anything else.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Code::Other, message)
    }
    /// Replaces the message with what was being done; the old message becomes the first cause.
    pub fn context(mut self, doing: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.message, doing.into());
        self.chain.insert(0, cause);
        self
    }
    /// Adds another error as the cause.
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
    /// Marks the call as one that the other side did no work on.
    pub fn refused(mut self) -> Self {
        self.refused = true;
        self
    }
    /// Marks the other side as overloaded, which makes the error worth repeating.
    pub fn overloaded(mut self) -> Self {
        self.overloaded = true;
        self.retryable()
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

// Not `std::error::Error`: that would rule out the blanket conversion below, which lets authors use `?` on any error.
// `anyhow::Error` makes the same choice. `into_std` converts where a `std::error::Error` is needed.
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
    /// This error as a `std::error::Error`.
    pub fn into_std(self) -> StdError {
        StdError(self)
    }
}

/// `.context(...)` on results whose error converts into [`Error`].
pub trait Context<T> {
    /// Replaces the message with what was being done, as [`Error::context`].
    fn context(self, doing: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().context(doing))
    }
}
