//! Texts of models, worlds and files as something to look at: what would steer a screen is shown, not obeyed.

use std::borrow::Cow;

/// Characters of a text that a page shows at once.
pub(crate) const MOST: usize = 6000;

/// Whether `c` is a control character, or changes the direction of what follows it.
fn steers(c: char) -> bool {
    let direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    direction || c.is_control() && !matches!(c, '\n' | '\t')
}

/// `text` with pictures of its control characters, such as ␛ for escape, and numbers of what changes the direction of
/// writing.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match u32::from(c) {
            _ if !steers(c) => shown.push(c),
            code @ 0..=0x1f => shown.extend(char::from_u32(0x2400 + code)),
            0x7f => shown.push('\u{2421}'),
            code => shown += &format!("⟨U+{code:04X}⟩"),
        }
    }
    shown.into()
}

/// The beginning of a long text, and how many characters it has in all if that is not everything.
pub(crate) fn cut(text: &str, most: usize) -> (String, Option<usize>) {
    match text.char_indices().nth(most) {
        Some((end, _)) => (visible(&text[..end]).into_owned(), Some(text.chars().count())),
        None => (visible(text).into_owned(), None),
    }
}

/// What follows the lines with which both `before` and `now` begin. Environments that repeat known facts put them first
/// and new ones after them.
pub fn new_since<'a>(before: &str, now: &'a str) -> &'a str {
    let lines = before.split_inclusive('\n').zip(now.split_inclusive('\n'));
    let same = lines.take_while(|(before, now)| before.trim_end() == now.trim_end());
    &now[same.map(|(_, line)| line.len()).sum()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_screen_is_shown() {
        assert_eq!(visible("a\u{1b}[2J\r\n\tb\u{7f}\u{9b}\u{202e}c"), "a␛[2J␍\n\tb␡⟨U+009B⟩⟨U+202E⟩c");
        assert!(matches!(visible("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_was_seen_before_is_left_out() {
        assert_eq!(new_since("you\nquests 0\nhello", "you\nquests 1\nhello"), "quests 1\nhello");
        assert_eq!(new_since("you\nhello", "you\nhello\nbye"), "bye");
        assert_eq!(new_since("you", "you"), "");
        assert_eq!(new_since("", "you"), "you");
        assert_eq!(new_since("you\nhello", "hello"), "hello");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), ("äö".into(), Some(3)));
        assert_eq!(cut("äöü", 3), ("äöü".into(), None));
    }
}
