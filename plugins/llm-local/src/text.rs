//! From tokens to text, as it grows: characters that span tokens, and stop strings that do.

use forethought_sdk::prelude::*;
use tokenizers::Tokenizer;

/// Turns tokens into text one by one. The pieces add up to the text of all tokens together, except for bytes that are
/// not a character: those become a replacement character after at most four tokens.
pub(crate) struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    /// The tokens of the last piece and of the next. Those of the last are decoded again, because a tokenizer may
    /// decode the first token of a text differently (without a space).
    tokens: Vec<u32>,
    /// How many of them belong to the last piece.
    emitted: usize,
    /// The text of those alone.
    known: String,
    /// How many tokens in a row have ended within a character.
    partial: usize,
}

/// Most bytes of a character in UTF-8, and so most tokens that are bytes of one character.
const CHARACTER: usize = 4;

impl Detokenizer {
    pub(crate) fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, tokens: Vec::new(), emitted: 0, known: String::new(), partial: 0 }
    }

    /// The text that the token completes; empty where it ends within a character.
    pub(crate) fn push(&mut self, token: u32) -> Result<String> {
        self.tokens.push(token);
        let text = self.decode()?;
        self.partial = if text.ends_with(char::REPLACEMENT_CHARACTER) { self.partial + 1 } else { 0 };
        if (1..CHARACTER).contains(&self.partial) {
            return Ok(String::new());
        }
        self.partial = 0;
        self.emit(&text)
    }

    /// What is left at the end.
    pub(crate) fn finish(&mut self) -> Result<String> {
        let text = self.decode()?;
        self.emit(&text)
    }

    fn emit(&mut self, text: &str) -> Result<String> {
        let same = self.known.chars().zip(text.chars()).take_while(|(known, now)| known == now);
        let piece = &text[same.map(|(c, _)| c.len_utf8()).sum()..];
        // A token without text (a special one) is not context for the next.
        if !piece.is_empty() {
            self.tokens.drain(..self.emitted);
            self.emitted = self.tokens.len();
            self.known = self.decode()?;
        }
        Ok(piece.to_owned())
    }

    fn decode(&self) -> Result<String> {
        self.tokenizer
            .decode(&self.tokens, true)
            .map_err(|error| Error::other(format!("decoding tokens: {error}")))
    }
}

/// Cuts a text at the first stop string, however the text is split into pieces.
#[derive(Clone)]
pub(crate) struct Stops {
    strings: Vec<String>,
    /// The end of the text so far that may be the beginning of a stop string.
    held: String,
}

impl Stops {
    pub(crate) fn new(strings: Vec<String>) -> Result<Self> {
        match strings.iter().any(String::is_empty) {
            true => Err(Error::input("a stop string is empty, and would end every answer before it begins")),
            false => Ok(Self { strings, held: String::new() }),
        }
    }

    /// The text that is now final, and whether a stop string has ended it.
    pub(crate) fn push(&mut self, piece: &str) -> (String, bool) {
        self.held += piece;
        // The first that is complete, and of several the longest: what a reader of single characters would see.
        let found =
            self.strings.iter().filter_map(|stop| self.held.find(stop).map(|at| (at + stop.len(), at))).min();
        if let Some((_, at)) = found {
            self.held.truncate(at);
            return (self.finish(), true);
        }
        let pending = |at: &usize| self.strings.iter().any(|stop| stop.starts_with(&self.held[*at..]));
        let end = self.held.char_indices().map(|(at, _)| at).find(pending).unwrap_or(self.held.len());
        (self.held.drain(..end).collect(), false)
    }

    /// What was held back, at the end.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Like Llama 2: tokens of single bytes as a fallback, and a space before the first word that is left out.
    fn byte_fallback() -> Arc<Tokenizer> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/llama/tokenizer.json");
        Arc::new(Tokenizer::from_file(path).unwrap())
    }

    /// Like Qwen: all tokens are bytes.
    fn byte_level() -> Arc<Tokenizer> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/qwen3/tokenizer.json");
        Arc::new(Tokenizer::from_file(path).unwrap())
    }

    fn pieces(tokenizer: &Arc<Tokenizer>, tokens: &[u32]) -> Vec<String> {
        let mut detokenizer = Detokenizer::new(tokenizer.clone());
        let mut pieces: Vec<String> = tokens.iter().map(|&token| detokenizer.push(token).unwrap()).collect();
        pieces.push(detokenizer.finish().unwrap());
        pieces
    }

    #[test]
    fn a_character_is_emitted_when_it_is_complete() {
        for tokenizer in [byte_fallback(), byte_level()] {
            let text = "No 漢字, no 🦀, and  two spaces.\n";
            let tokens = tokenizer.encode(text, false).unwrap();
            let pieces = pieces(&tokenizer, tokens.get_ids());
            assert_eq!(pieces.concat(), text);
            assert!(pieces.contains(&"🦀".to_owned()) && pieces.len() > 20, "{pieces:?}");
        }
        // Cut off within a character, and with bytes that are not a character.
        let tokenizer = byte_level();
        let byte = |byte: &str| tokenizer.token_to_id(byte).unwrap();
        let crab: Vec<u32> = ["ð", "Ł", "¦", "Ģ"].iter().map(|one| byte(one)).collect();
        assert_eq!(pieces(&tokenizer, &crab), ["", "", "", "🦀", ""]);
        assert_eq!(pieces(&tokenizer, &crab[..2]), ["", "", "\u{FFFD}"]);
        assert_eq!(pieces(&tokenizer, &[crab[1], byte("a")]), ["", "\u{FFFD}a", ""]);
        assert_eq!(pieces(&tokenizer, &[crab[1]; 5]).concat(), "\u{FFFD}".repeat(5));
        // A special token has no text, and does not hide the space before the next word.
        let tokenizer = byte_fallback();
        let words = tokenizer.encode("the shop", false).unwrap();
        let mut tokens = words.get_ids().to_vec();
        tokens.insert(tokens.len() / 2, tokenizer.token_to_id("</s>").unwrap());
        assert_eq!(pieces(&tokenizer, &tokens).concat(), "the shop");
    }

    fn stops(strings: &[&str]) -> Stops {
        Stops::new(strings.iter().map(|stop| stop.to_string()).collect()).unwrap()
    }

    #[test]
    fn no_part_of_a_possible_stop_string_is_emitted() {
        let mut stops = stops(&["\nObservation:", "###"]);
        assert_eq!(stops.push("Action: buy\nOb"), ("Action: buy".into(), false));
        assert_eq!(stops.push("ey!\n"), ("\nObey!".into(), false));
        assert_eq!(stops.push("Observation"), (String::new(), false));
        assert_eq!(stops.push(": none"), (String::new(), true));
        assert!(Stops::new(vec![String::new()]).is_err());
    }

    proptest! {
        #[test]
        fn pieces_add_up_to_the_text_of_all_tokens(text in "([a-z ]|\\PC){0,40}") {
            // Written out, a replacement character looks like one that replaces bytes.
            let text = text.replace(char::REPLACEMENT_CHARACTER, "?");
            for tokenizer in [byte_fallback(), byte_level()] {
                let tokens = tokenizer.encode(text.as_str(), false).unwrap();
                let whole = tokenizer.decode(tokens.get_ids(), true).unwrap();
                prop_assert_eq!(pieces(&tokenizer, tokens.get_ids()).concat(), whole);
            }
        }

        #[test]
        fn the_cut_does_not_depend_on_how_a_text_is_split(
            pieces in prop::collection::vec("[abé]{0,4}", 0..8),
            strings in prop::collection::vec("[abé]{1,3}", 0..3),
        ) {
            let whole = pieces.concat();
            let run = |pieces: &mut dyn Iterator<Item = String>| {
                let mut stops = Stops::new(strings.clone()).unwrap();
                let mut text = String::new();
                for piece in pieces {
                    let (piece, stopped) = stops.push(&piece);
                    text += &piece;
                    if stopped {
                        return (text, true);
                    }
                }
                (text + &stops.finish(), false)
            };
            let (text, stopped) = run(&mut pieces.into_iter());
            prop_assert_eq!((text.clone(), stopped), run(&mut whole.chars().map(String::from)));
            prop_assert!(whole.starts_with(&text));
            prop_assert!(strings.iter().all(|stop| !text.contains(stop.as_str())));
            prop_assert_eq!(stopped, strings.iter().any(|stop| whole.contains(stop.as_str())));
        }
    }
}
