//! Statuses: how an outcome crosses, over any transport.

use forethought_abi as abi;
use forethought_api::{Error, Result, error::Code, wire::Message};

/// The contract's status for an error.
pub fn of(error: &Error) -> u32 {
    match error.code {
        Code::Panic => abi::PANIC,
        Code::Cancelled => abi::CANCELLED,
        Code::Unimplemented => abi::UNIMPLEMENTED,
        Code::BadRequest => abi::BAD_REQUEST,
        Code::Shutdown => abi::SHUTDOWN,
        _ => abi::ERROR,
    }
}

/// The outcome of a call, from its status and message.
///
/// # Errors
/// The error in the message; [`Code::Plugin`] if it cannot be read, or the status is unknown.
pub fn outcome(status: u32, reply: Message) -> Result<Message> {
    let code = match status {
        abi::OK => return Ok(reply),
        abi::ERROR => None,
        abi::PANIC => Some(Code::Panic),
        abi::CANCELLED => Some(Code::Cancelled),
        abi::UNIMPLEMENTED => Some(Code::Unimplemented),
        abi::BAD_REQUEST => Some(Code::BadRequest),
        abi::SHUTDOWN => Some(Code::Shutdown),
        other => return Err(Error::new(Code::Plugin, format!("an answer with the unknown status {other}"))),
    };
    let mut error = reply.decode::<Error>().map_err(|unreadable| {
        let what = format!("an answer with status {status} and an error that cannot be read");
        Error::new(Code::Plugin, what).because(unreadable)
    })?;
    error.code = code.unwrap_or(error.code);
    Err(error)
}
