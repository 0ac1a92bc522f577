//! What release 0.1.0 did where a configuration said nothing, as far as it has changed.
//!
//! The configuration that a run of that release wrote down gets these values, and identities leave them out; so its runs
//! are found, continue and replay as they were.

/// Settings of critics: kind, key, and the former default.
pub(crate) const DEFAULTS: [(&str, &str, &str); 1] = [("judge", "unreadable", "half")];

/// Whether `key = value` of a critic of this kind says what release 0.1.0 did without it.
pub(crate) fn is_default(kind: &str, key: &str, value: Option<&str>) -> bool {
    value.is_some_and(|value| DEFAULTS.contains(&(kind, key, value)))
}
