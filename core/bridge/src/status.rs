//! Statuses: how an outcome is told across, by whichever transport.

use forethought_abi as abi;
use forethought_api::{Error, Result, error::Code, wire::Message};

/// The contract's number for an error.
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

/// What a status and its message come to.
///
/// # Errors
/// The error that was told; [`Code::Plugin`] if it cannot be read, or the status is none.
pub fn outcome(status: u32, reply: Message) -> Result<Message> {
    let code = match status {
        abi::OK => return Ok(reply),
        abi::ERROR => None,
        abi::PANIC => Some(Code::Panic),
        abi::CANCELLED => Some(Code::Cancelled),
        abi::UNIMPLEMENTED => Some(Code::Unimplemented),
        abi::BAD_REQUEST => Some(Code::BadRequest),
        abi::SHUTDOWN => Some(Code::Shutdown),
        other => return Err(Error::new(Code::Plugin, format!("an answer of status {other}, which is none"))),
    };
    let mut error = reply.decode::<Error>().map_err(|unreadable| {
        let what = format!("an answer of status {status} with an error that cannot be read");
        Error::new(Code::Plugin, what).because(unreadable)
    })?;
    error.code = code.unwrap_or(error.code);
    Err(error)
}
