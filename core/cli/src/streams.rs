//! Standard output and standard error: nothing else writes to them.
//!
//! Text of models, files, plugins and providers must not steer a terminal, so control characters and overrides of the
//! writing direction are left out (in JSON: escaped). A reader that has gone, or a full disk under a log, does not stop
//! the work: what cannot be said on standard error is dropped.

use std::borrow::Cow;
use std::io::{ErrorKind, Write as _};

use forethought_api::Result;
use serde::Serialize;

/// Whether `c` could steer a terminal: control characters (C0, C1, DEL), and characters that change the direction of
/// what follows them, so that a text reads as another one.
fn steers(c: char) -> bool {
    let direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    direction || c.is_control() && !matches!(c, '\n' | '\t')
}

/// `text` without what could steer a terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    match text.contains(steers) {
        true => text.chars().filter(|c| !steers(*c)).collect::<String>().into(),
        false => text.into(),
    }
}

/// Data as JSON, in which everything that could steer a terminal is escaped.
pub(crate) fn json(data: &impl Serialize) -> Result<String> {
    Ok(plain(serde_json::to_string_pretty(data)? + "\n"))
}

/// The same on one line, for a program that reads as it goes.
#[cfg(feature = "serve")]
pub(crate) fn json_line(data: &impl Serialize) -> Result<String> {
    Ok(plain(serde_json::to_string(data)? + "\n"))
}

/// JSON without characters that steer a terminal.
fn plain(text: String) -> String {
    if !text.contains(steers) {
        return text;
    }
    // They occur within strings only, and all of them fit into four digits.
    let escaped = |c: char| if steers(c) { format!("\\u{:04x}", u32::from(c)) } else { c.into() };
    text.chars().map(escaped).collect()
}

/// Prints words to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    print_styled(&printable(text))
}

/// The same for a text that is printable but for its own colours. A reader that has seen enough, such as `head`, is not
/// an error.
pub(crate) fn print_styled(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a line to standard error, if it can be written.
pub(crate) fn tell(line: &str) {
    tell_styled(&format!("{}\n", printable(line)));
}

/// The same for a text that is printable but for its own colours, without an end of line.
pub(crate) fn tell_styled(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let foreign = "a\u{1b}[2J\u{9b}31mb\r\u{7f}\u{202e}c\u{2066}\t\u{200f}日本\n";
        assert_eq!(printable(foreign), "a[2J31mbc\t日本\n");
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_keeps_the_text_and_shows_no_control_character() {
        let foreign = "a\u{1b}\u{9b}\u{202e}\u{7f}\r\n\t";
        let text = json(&[foreign]).unwrap();
        assert!(!text.contains(steers), "{text:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [foreign]);
    }
}
