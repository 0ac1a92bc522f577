//! The only place of this crate that reads the wall clock: for reports, never for logic that a replay repeats.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The present moment in UTC, as RFC 3339 writes it.
pub(crate) fn timestamp() -> String {
    let now = i64::try_from(seconds()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    now.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
