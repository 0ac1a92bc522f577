//! Reading a journal without changing it: what was asked at a decision, and what a run has used. The run may be in
//! progress, or somebody else's.

use std::collections::BTreeMap;
use std::path::Path;

use forethought_api::{Error, Result, error::Context};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use serde::Serialize;
use serde_json::{Value, json};

use crate::budget::Spent;
use crate::journal::store::{self, Contents, SCHEMA};

/// A recorded call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Call {
    /// The effect: `llm.complete`, or `value.estimate` of a critic.
    pub effect: String,
    /// The role, or the configured name of the model or critic.
    pub target: String,
    /// The request, messages included.
    pub request: Value,
    /// Whether `answer` is an answer; else it is an error.
    pub ok: bool,
    /// The answer.
    pub answer: Value,
}

/// The calls of language models and critics for the decision of `seat` after `step` decisions. The journal keeps no
/// times: calls are in the order of their targets and purposes.
///
/// # Errors
/// A journal that is missing, damaged, or newer than this program.
pub fn calls(journal: &Path, episode: &str, step: u32, seat: usize) -> Result<Vec<Call>> {
    let read = || -> Result<Vec<Call>> {
        let (connection, version) = open(journal)?;
        let mut contents = Contents::new(&connection, version > 3);
        let found = connection
            .query_row("SELECT number, attempt FROM episodes WHERE id = ?1", [episode], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        let Some((number, attempt)) = found else { return Ok(Vec::new()) };
        let mut statement = connection.prepare(
            "SELECT effect, target, request, ok, answer FROM effects
             WHERE episode = ?1 AND attempt = ?2 AND step = ?3 AND seat = ?4
             AND effect IN ('llm.complete', 'value.estimate')",
        )?;
        let seat = i64::try_from(seat).unwrap_or(i64::MAX);
        let mut rows = statement.query([number, attempt, step.into(), seat])?;
        let mut calls = Vec::new();
        while let Some(row) = rows.next()? {
            let mut request = json(contents.of(row.get_ref(2)?)?);
            if let Some(Value::Array(messages)) = request.pointer_mut("/request/messages") {
                for message in messages {
                    let hash = message.as_str().and_then(|hex| blake3::Hash::from_hex(hex).ok());
                    let hash = hash.ok_or_else(|| Error::malformed("a message has no hash"))?;
                    *message = json(contents.get(hash.as_bytes())?);
                }
            }
            calls.push(Call {
                effect: row.get(0)?,
                target: row.get(1)?,
                request,
                ok: row.get(3)?,
                answer: json(contents.of(row.get_ref(4)?)?),
            });
        }
        let purpose = |call: &Call| call.request["request"]["purpose"].to_string();
        calls.sort_by_key(|call| (call.effect.clone(), call.target.clone(), purpose(call)));
        Ok(calls)
    };
    read().context(format!("journal {}", journal.display()))
}

/// What a run has used so far, by target.
///
/// # Errors
/// A journal that is missing, damaged, or newer than this program.
pub fn spent(journal: &Path) -> Result<BTreeMap<String, Spent>> {
    let (connection, version) = open(journal).context(format!("journal {}", journal.display()))?;
    store::spent(&connection, version).context(format!("journal {}", journal.display()))
}

/// The journal, and its schema version.
fn open(path: &Path) -> Result<(Connection, i64)> {
    if !path.is_file() {
        return Err(Error::not_found("the file is missing, so what was asked is not known"));
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA busy_timeout = 2000; PRAGMA trusted_schema = OFF;")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > SCHEMA {
        return Err(Error::input(format!(
            "schema version {version}, this program knows {SCHEMA}; use a newer program"
        )));
    }
    store::no_triggers(&connection, path)?;
    Ok((connection, version))
}

/// A content, which is JSON.
fn json(content: Option<Vec<u8>>) -> Value {
    let damaged = || json!({ "damaged": "what was recorded here is damaged or missing" });
    content.and_then(|data| serde_json::from_slice(&data).ok()).unwrap_or_else(damaged)
}
