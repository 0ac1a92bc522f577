//! Text files as people's editors write them.

/// The byte order mark.
pub const MARK: &str = "\u{feff}";

/// `text` without the byte order mark that some editors write first.
///
/// ```
/// assert_eq!(forethought_api::text::unmarked("\u{feff}{}"), "{}");
/// ```
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}
