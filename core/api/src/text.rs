//! Text files as people's editors write them.

/// The byte order mark.
const MARK: &str = "\u{feff}";

/// `text` without the byte order mark that some editors write first.
///
/// ```
/// assert_eq!(forethought_api::text::unmarked("\u{feff}{}"), "{}");
/// ```
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// [`unmarked`], for the bytes of a text.
pub fn unmarked_bytes(text: &[u8]) -> &[u8] {
    text.strip_prefix(MARK.as_bytes()).unwrap_or(text)
}
