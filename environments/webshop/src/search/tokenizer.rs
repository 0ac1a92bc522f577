//! Words, as Lucene's `StandardTokenizer` cuts them: UAX #29 words, numbers, ideographs and emoji.
//!
//! A token is the longest match of a word, an emoji sequence, a South-East Asian run, or one ideograph or hiragana.
//! Everything else (spaces, punctuation, fractions, circled digits) is dropped.

use super::unicode::{Class, class, is_pictograph, takes_modifier};

/// Lucene's scanner sees only this many UTF-16 units, so longer words are cut there.
const WINDOW: usize = 255;

/// The tokens of `text`, in order.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while let Some(first) = rest.chars().next() {
            let length = token(rest);
            let (head, tail) = rest.split_at(if length > 0 { length } else { first.len_utf8() });
            rest = tail;
            if length > 0 {
                return Some(head);
            }
        }
        None
    })
}

/// Length in bytes of the token that `text` begins with, or 0.
fn token(text: &str) -> usize {
    let bytes = text.as_bytes();
    let plain = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(bytes.len());
    // The everyday case, a word between two spaces, needs no tables.
    if (1..=WINDOW).contains(&plain) && matches!(bytes.get(plain), None | Some(b' ')) {
        return plain;
    }
    if plain == 0 && bytes[0] == b' ' {
        return 0;
    }
    let cursor = Cursor { text, at: 0, units: 0 };
    let mut longest = 0;
    for rule in [word, emoji, southeast, ideograph] {
        longest = longest.max(rule(cursor));
    }
    longest
}

/// A place in the text, within the window.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    units: usize,
}

impl Cursor<'_> {
    fn peek(self) -> Option<char> {
        let next = self.text[self.at..].chars().next()?;
        (self.units + next.len_utf16() <= WINDOW).then_some(next)
    }

    /// Moves past the next character if it passes `test`.
    fn eat(&mut self, test: impl FnOnce(char) -> bool) -> bool {
        match self.peek() {
            Some(next) if test(next) => {
                self.at += next.len_utf8();
                self.units += next.len_utf16();
                true
            }
            _ => false,
        }
    }

    /// Moves past everything that attaches to the character before (WB4).
    fn eat_extensions(&mut self) {
        while self.eat(is_extension) {}
    }

    fn eat_class(&mut self, test: impl Fn(Class) -> bool) -> bool {
        let found = self.eat(|next| test(class(next)));
        if found {
            self.eat_extensions();
        }
        found
    }
}

fn is_extension(character: char) -> bool {
    matches!(class(character), Class::Extend | Class::Joiner | Class::SoutheastMark)
}

/// What can continue a word (WB5 to WB13b).
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nothing but connectors so far.
    Start,
    /// After a connector.
    Joined,
    Letter,
    /// After a Hebrew letter that a quotation mark may follow.
    Hebrew,
    /// After a Hebrew letter or mark that nothing but more of the word may follow.
    Closed,
    Number,
    Katakana,
}

fn word(mut cursor: Cursor) -> usize {
    let mut state = State::Start;
    loop {
        let end = if state == State::Start { 0 } else { cursor.at };
        let Some(next) = cursor.peek().map(class) else { return end };
        let fits = match next {
            Class::Connector => true,
            Class::Katakana => matches!(state, State::Start | State::Joined | State::Katakana),
            Class::Letter | Class::Hebrew | Class::Number => state != State::Katakana,
            _ => false,
        };
        if fits {
            cursor.eat_class(|_| true);
            state = match next {
                Class::Connector if state == State::Start => State::Start,
                Class::Connector => State::Joined,
                Class::Katakana => State::Katakana,
                Class::Letter => State::Letter,
                Class::Hebrew => State::Hebrew,
                _ => State::Number,
            };
            continue;
        }
        // A mark within the word counts only if the word continues after it.
        let mut beyond = cursor;
        beyond.eat_class(|_| true);
        let is_letter = |class| matches!(class, Class::Letter | Class::Hebrew);
        state = match (state, next) {
            (State::Letter | State::Hebrew, Class::MidLetter | Class::MidBoth | Class::SingleQuote)
                if beyond.eat_class(is_letter) =>
            {
                State::Letter
            }
            (State::Number, Class::MidNumber | Class::MidBoth | Class::SingleQuote)
                if beyond.eat_class(|class| class == Class::Number) =>
            {
                State::Number
            }
            (State::Hebrew, Class::SingleQuote) => State::Closed,
            (State::Hebrew, Class::DoubleQuote) if beyond.eat_class(|class| class == Class::Hebrew) => {
                State::Closed
            }
            _ => return end,
        };
        cursor = beyond;
    }
}

const EMOJI_PRESENTATION: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';

/// An emoji sequence of UTS #51: joined pictographs, a tagged one, a keycap, or a flag.
fn emoji(mut cursor: Cursor) -> usize {
    let start = cursor;
    if cursor.eat(|next| matches!(next, '0'..='9' | '#' | '*')) {
        return keycap(cursor);
    }
    if cursor.eat_class(|class| class == Class::Regional) {
        return if cursor.eat_class(|class| class == Class::Regional) { cursor.at } else { 0 };
    }
    let Some(mut end) = pictograph(start) else { return 0 };
    // Joiners already count as extensions of the pictograph before.
    loop {
        let mut next = end;
        let joined = end.text[..end.at].ends_with('\u{200D}') || next.eat(|next| next == '\u{200D}');
        match pictograph(next).filter(|_| joined) {
            Some(next) => end = next,
            None => break,
        }
    }
    let mut tagged = end;
    while tagged.eat(|next| matches!(next, '\u{E0020}'..='\u{E007E}')) {}
    if tagged.at > end.at && tagged.eat(|next| next == '\u{E007F}') { tagged.at } else { end.at }
}

/// The rest of a keycap after its base.
fn keycap(mut cursor: Cursor) -> usize {
    let base = cursor.at;
    eat_marks(&mut cursor);
    let mut cap = cursor;
    cap.eat(|next| next == EMOJI_PRESENTATION);
    if cap.eat(|next| next == KEYCAP) {
        eat_marks(&mut cap);
        return cap.at;
    }
    if cursor.text[base..cursor.at].contains(KEYCAP) { cursor.at } else { 0 }
}

/// The place after one pictograph with its modifier or presentation, if there is one.
fn pictograph(mut cursor: Cursor) -> Option<Cursor> {
    let is_modifier = |next| matches!(next, '\u{1F3FB}'..='\u{1F3FF}');
    if cursor.eat(is_modifier) {
        eat_marks(&mut cursor);
        return Some(cursor);
    }
    while cursor.eat(|next| next == '\u{200D}') {}
    let base = cursor.peek().is_some_and(takes_modifier);
    if !cursor.eat(is_pictograph) {
        return None;
    }
    eat_marks(&mut cursor);
    if base && cursor.eat(is_modifier) {
        eat_marks(&mut cursor);
    } else {
        cursor.eat(|next| next == EMOJI_PRESENTATION);
    }
    Some(cursor)
}

/// Moves past extensions other than the presentation selectors, which end a pictograph.
fn eat_marks(cursor: &mut Cursor) {
    while cursor.eat(|next| !matches!(next, '\u{FE0E}' | EMOJI_PRESENTATION) && is_extension(next)) {}
}

fn southeast(mut cursor: Cursor) -> usize {
    while cursor.eat_class(|class| matches!(class, Class::Southeast | Class::SoutheastMark)) {}
    cursor.at
}

fn ideograph(mut cursor: Cursor) -> usize {
    cursor.eat_class(|class| matches!(class, Class::Han | Class::Hiragana));
    cursor.at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(tokens(text).collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn words_keep_the_marks_within_them() {
        check(
            "15.6x23 inches, 1,000.5% o'clock 3-pack",
            &["15.6x23", "inches", "1,000.5", "o'clock", "3", "pack"],
        );
        check("end. snake_case __x a:b a:1 1:2", &["end", "snake_case", "__x", "a:b", "a", "1", "1", "2"]);
        check("___ ' \" .5 5.", &["5", "5"]);
    }

    #[test]
    fn signs_count_only_when_they_are_emoji() {
        check("acme® tape™ ©", &["acme", "®", "tape", "™", "©"]);
        check("½ cup ¼ ① ❶ ★ ☆ ✿ 20° ×", &["cup", "★", "20"]);
        check("❤️ 👍🏽👍 🔥🏽 👩‍👩‍👧 🇩🇪🇫🇷🇬 #️⃣ #", &["❤️", "👍🏽", "👍", "🔥", "🏽", "👩‍👩‍👧", "🇩🇪", "🇫🇷", "#️⃣"]);
    }

    #[test]
    fn other_scripts_follow_their_own_rules() {
        check(
            "日本語 ひら カタカナ 한국어 ภาษาไทย",
            &["日", "本", "語", "ひ", "ら", "カタカナ", "한국어", "ภาษาไทย"],
        );
        check("צה\"ל ג'", &["צה\"ל", "ג'"]);
    }

    #[test]
    fn long_words_are_cut_at_the_window() {
        let lengths: Vec<usize> = tokens(&"a".repeat(600)).map(str::len).collect();
        assert_eq!(lengths, [255, 255, 90]);
    }
}
