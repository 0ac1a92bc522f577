//! Text files as people's editors write them.

/// `text` without the byte order mark that some editors write first.
///
/// ```
/// assert_eq!(forethought_api::text::unmarked("\u{feff}{}"), "{}");
/// ```
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
