//! The only place of this crate that reads the wall clock: for reports, never for logic that a replay repeats.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};

/// The present moment in UTC, as RFC 3339 writes it.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn timestamp() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now =
        i64::try_from(since_epoch.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    now.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
