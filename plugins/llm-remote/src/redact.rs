//! Takes secrets out of texts: servers and proxies repeat what they were sent, in many disguises.
//!
//! A secret is found as it is, in hexadecimal and in base64 at any alignment; each of these also with its characters
//! escaped as in JSON (`\/`, `\u002f`), in URLs (`%2f`) or in HTML (`&#47;`), and in any case; and a long part of it as
//! well as all of it.

use std::{collections::BTreeSet, fmt};

/// Replaces a secret.
const REDACTED: &str = "[redacted]";

/// Shorter secrets are often placeholders (`EMPTY`, `x`), and may be words of an answer.
const SHORTEST: usize = 8;

/// Fewer different characters are a placeholder (`xxxxxxxxxxxx`) or the zeros of a number.
const VARIED: usize = 3;

/// A part of a secret of this length is redacted, too, if at least [`OWN`] characters of it are no public beginning.
const PART: usize = 12;
const OWN: usize = 8;

/// Beginnings that keys of many people have.
const PUBLIC: [&str; 9] =
    ["sk-ant-api03-", "sk-proj-", "sk-or-v1-", "sk-svcacct-", "github_pat_", "glpat-", "sk-", "hf_", "gsk_"];

/// Finds secrets. Its `Debug` shows none of them.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    forms: Vec<Form>,
    /// Where a match may begin: form and offset, by the first byte in lower case.
    begins: Vec<Vec<(usize, usize)>>,
    /// Secrets that might be words of an answer.
    short: Vec<String>,
}

/// A secret in one encoding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    text: Vec<u8>,
    /// Length of its public beginning.
    public: usize,
}

impl Form {
    /// How much of the form must be there for a match that begins at `offset`.
    fn least(&self, offset: usize) -> usize {
        PART.max(self.public.saturating_sub(offset) + OWN).min(self.text.len() - offset)
    }
}

fn varied(text: &[u8]) -> bool {
    text.iter().collect::<BTreeSet<_>>().len() >= VARIED
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

/// The result of a comparison; the greatest is the best of several.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Nothing,
    /// The text is over before it is decided.
    Open,
    /// It ends here.
    End(usize),
}

impl Redactor {
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let (secrets, short): (BTreeSet<_>, BTreeSet<_>) =
            secrets.into_iter().partition(|secret| secret.len() >= SHORTEST && varied(secret.as_bytes()));
        let short =
            short.into_iter().filter(|secret| secret.len() >= SHORTEST / 2).map(String::from).collect();
        let forms: BTreeSet<_> = secrets.into_iter().flat_map(forms).collect();
        let forms: Vec<_> = forms.into_iter().collect();
        let mut begins = vec![Vec::new(); if forms.is_empty() { 0 } else { 256 }];
        for (number, form) in forms.iter().enumerate() {
            let offsets = 0..=form.text.len() - form.text.len().min(PART);
            for offset in offsets.filter(|at| varied(&form.text[*at..at + form.least(*at)])) {
                begins[usize::from(form.text[offset].to_ascii_lowercase())].push((number, offset));
            }
        }
        Self { forms, begins, short }
    }

    /// `text` without the secrets.
    pub(crate) fn redact(&self, text: String) -> String {
        if self.forms.is_empty() {
            return text;
        }
        let (bytes, mut at, mut kept, mut clean) = (text.as_bytes(), 0, 0, String::new());
        while at < bytes.len() {
            match self.longest(bytes, at) {
                Some(end) => {
                    clean += &text[kept..at];
                    clean += REDACTED;
                    (at, kept) = (end, end);
                }
                None => at += 1,
            }
        }
        if kept == 0 { text } else { clean + &text[kept..] }
    }

    /// The same for texts that are no answers, such as errors: without shorter secrets, too.
    pub(crate) fn redact_all(&self, text: String) -> String {
        let text = self.redact(text);
        self.short.iter().fold(text, |text, secret| text.replace(secret, REDACTED))
    }

    /// Length of the end of `text` that may be the beginning of a secret, of which the rest is still to come.
    pub(crate) fn open(&self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let longest = self.forms.iter().map(|form| form.text.len()).max().unwrap_or_default();
        // A character takes at most 8 bytes in any disguise that is common.
        let first = bytes.len().saturating_sub(8 * longest);
        let opens = |at: &usize| {
            text.is_char_boundary(*at)
                && self
                    .forms
                    .iter()
                    .any(|form| compare(bytes, *at, &form.text, form.least(0), 0) == Found::Open)
        };
        (first..bytes.len()).find(opens).map_or(0, |at| bytes.len() - at)
    }

    /// The end of the longest match that begins at `at`.
    fn longest(&self, text: &[u8], at: usize) -> Option<usize> {
        let first = units(&text[at..]).into_iter().flat_map(|unit| match unit {
            Unit::Whole(byte, _) => &*self.begins[usize::from(byte.to_ascii_lowercase())],
            Unit::Cut => &[],
        });
        let end = |(form, offset): &(usize, usize)| {
            let form = &self.forms[*form];
            match compare(text, at, &form.text[*offset..], form.least(*offset), 0) {
                Found::End(end) => Some(end),
                Found::Open | Found::Nothing => None,
            }
        };
        first.filter_map(end).max()
    }
}

/// Compares `text` from `at` on with `form`, of which `matched` bytes were found before and `least` are needed.
fn compare(text: &[u8], mut at: usize, form: &[u8], least: usize, matched: usize) -> Found {
    for matched in matched..form.len() {
        let enough = matched >= least;
        let so_far = if enough { Found::End(at) } else { Found::Nothing };
        match text.get(at) {
            None => return if enough { so_far } else { Found::Open },
            Some(b'\\' | b'%' | b'&') => {
                // What such a character means depends on what follows.
                let ways = units(&text[at..]).into_iter().map(|unit| match unit {
                    Unit::Whole(byte, length) if byte.eq_ignore_ascii_case(&form[matched]) => {
                        compare(text, at + length, form, least, matched + 1)
                    }
                    Unit::Whole(..) => Found::Nothing,
                    Unit::Cut => Found::Open,
                });
                return ways.chain([so_far]).max().unwrap_or(Found::Nothing);
            }
            Some(byte) if byte.eq_ignore_ascii_case(&form[matched]) => at += 1,
            Some(_) => return so_far,
        }
    }
    Found::End(at)
}

/// A character of a secret as it is written.
#[derive(Clone, Copy)]
enum Unit {
    /// The byte, and the length of its disguise.
    Whole(u8, usize),
    /// The text is over within it.
    Cut,
}

/// What the beginning of `text` may stand for: itself, or another character in disguise.
fn units(text: &[u8]) -> Vec<Unit> {
    let Some(first) = text.first() else { return Vec::new() };
    let number = |digits: &[u8], radix| u8::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok();
    let hex = |before: usize, digits: usize| match text.get(before..before + digits) {
        Some(found) => {
            let code = std::str::from_utf8(found).ok().and_then(|code| u32::from_str_radix(code, 16).ok());
            code.and_then(|code| u8::try_from(code).ok()).map(|byte| Unit::Whole(byte, before + digits))
        }
        None => {
            text.get(before..).is_some_and(|rest| rest.iter().all(u8::is_ascii_hexdigit)).then_some(Unit::Cut)
        }
    };
    let mut units = vec![Unit::Whole(*first, 1)];
    match first {
        b'\\' => {
            // JSON within JSON has more than one.
            let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
            units.extend(
                text.get(slashes).map_or(Some(Unit::Cut), |byte| Some(Unit::Whole(*byte, slashes + 1))),
            );
            if text.get(slashes) == Some(&b'u') {
                units.extend(hex(slashes + 1, 4));
            }
        }
        b'%' => {
            // `%25` is the sign itself, encoded again.
            let again = text[1..].chunks(2).take_while(|pair| *pair == b"25").count();
            units.extend((0..=again).filter_map(|again| hex(1 + 2 * again, 2)));
        }
        b'&' => match text.iter().take(8).position(|byte| *byte == b';') {
            Some(end) => {
                let named =
                    [("&amp;", b'&'), ("&lt;", b'<'), ("&gt;", b'>'), ("&quot;", b'"'), ("&apos;", b'\'')];
                let named =
                    named.iter().find(|(name, _)| text[..=end] == *name.as_bytes()).map(|(_, byte)| *byte);
                let digits = text[..end].strip_prefix(b"&#").unwrap_or_default();
                let byte = named.or_else(|| match digits.strip_prefix(b"x").or(digits.strip_prefix(b"X")) {
                    Some(digits) => number(digits, 16),
                    None => number(digits, 10),
                });
                units.extend(byte.map(|byte| Unit::Whole(byte, end + 1)));
            }
            None if text.len() < 8 => units.push(Unit::Cut),
            None => {}
        },
        _ => {}
    }
    units
}

/// The forms in which a secret may appear, apart from disguises of single characters.
fn forms(secret: &str) -> Vec<Form> {
    let public = PUBLIC.iter().filter(|public| secret.starts_with(**public)).map(|public| public.len()).max();
    let (public, secret) = (public.unwrap_or_default(), secret.as_bytes());
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms =
        vec![Form { text: secret.to_vec(), public }, Form { text: hex.into(), public: 2 * public }];
    // Three bytes are four characters, so the same bytes look different after one or two others.
    for before in 0..3 {
        let bits = secret.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        // The first character that holds nothing of what comes before.
        let sextets: Vec<u8> = bits.skip([0, 4, 2][before]).collect();
        let sextets = sextets.chunks_exact(6).map(|bits| bits.iter().fold(0, |sum, bit| sum << 1 | bit));
        let sextets: Vec<u8> = sextets.collect();
        for last in [b"+/", b"-_"] {
            let letter = |sextet: &u8| match sextet {
                0..26 => b'A' + sextet,
                26..52 => b'a' + sextet - 26,
                52..62 => b'0' + sextet - 52,
                _ => last[usize::from(sextet - 62)],
            };
            let text = sextets.iter().map(letter).collect();
            forms.push(Form { text, public: (4 * public).div_ceil(3) });
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Standard base64, to compare with.
    fn base64(bytes: &[u8]) -> String {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let group = |three: &[u8]| {
            let bits =
                three.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            (0..=three.len()).map(move |n| char::from(letters[(bits >> (18 - 6 * n) & 63) as usize]))
        };
        // Without padding, which holds nothing.
        bytes.chunks(3).flat_map(group).collect()
    }

    /// Ways in which servers repeat a key.
    type Disguise = (&'static str, fn(&str) -> String);

    fn disguises() -> Vec<Disguise> {
        vec![
            ("plain", |key| key.into()),
            ("JSON", |key| serde_json_text(key)),
            ("slashes", |key| key.replace('\\', "\\\\").replace('/', "\\/")),
            ("\\u", |key| key.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect()),
            ("JSON in JSON", |key| key.chars().map(|c| format!("\\\\u{:04X}", u32::from(c))).collect()),
            ("URL", |key| key.chars().map(|c| format!("%{:02X}", u32::from(c))).collect()),
            ("URL, special characters only", |key| {
                let escaped = |c: char| match c.is_ascii_alphanumeric() {
                    true => c.to_string(),
                    false => format!("%{:02x}", u32::from(c)),
                };
                key.chars().map(escaped).collect()
            }),
            ("URL twice", |key| key.chars().map(|c| format!("%25{:02X}", u32::from(c))).collect()),
            ("HTML", |key| key.chars().map(|c| format!("&#{};", u32::from(c))).collect()),
            ("hexadecimal", |key| key.bytes().map(|byte| format!("{byte:02X}")).collect()),
            ("base64", |key| base64(key.as_bytes())),
            ("base64 of a header", |key| base64(format!("Bearer {key}").as_bytes())),
            ("base64 of a login", |key| base64(format!("me:{key}").as_bytes()).replace('/', "\\/")),
            ("base64 for URLs", |key| base64(key.as_bytes()).replace('+', "-").replace('/', "_")),
        ]
    }

    fn serde_json_text(key: &str) -> String {
        forethought_sdk::serde_json::to_string(key).unwrap()
    }

    /// Keys as providers make them.
    fn keys() -> impl Strategy<Value = String> {
        "(sk-|sk-ant-api03-|hf_|)[!-~]{12,60}"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_key_is_found_in_every_disguise(key in keys(), before in "[a-z {\":,]{0,9}", after in "[ ,}\"]{0,9}") {
            let redactor = Redactor::new([key.as_str()]);
            for (name, disguise) in disguises() {
                let secret = disguise(&key);
                let clean = redactor.redact(format!("{before}{secret}{after}"));
                prop_assert!(clean.contains(REDACTED), "{}: {}", name, clean);
                // What is left of it are at most the bits that it shares with its neighbours in base64.
                let left = clean.strip_prefix(&before).unwrap_or(&clean).replace(REDACTED, "");
                let beginning = base64(b"Bearer ").len();
                prop_assert!(left.len() <= after.len() + beginning + 4, "{}: {}", name, clean);
            }
        }

        #[test]
        fn a_key_that_arrives_in_pieces_is_held_back_and_found(key in keys(), cuts in prop::collection::vec(0..200usize, 0..6)) {
            let redactor = Redactor::new([key.as_str()]);
            for (name, disguise) in disguises() {
                let whole = format!("no: {} again {key}.", disguise(&key));
                let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % whole.len()).collect();
                cuts.extend([0, whole.len()]);
                cuts.sort_unstable();
                let (mut pending, mut shown) = (String::new(), String::new());
                for piece in cuts.windows(2) {
                    pending = redactor.redact(pending + &whole[piece[0]..piece[1]]);
                    let open = redactor.open(&pending);
                    let rest = pending.split_off(pending.len() - open);
                    shown += &pending;
                    pending = rest;
                }
                shown += &pending;
                prop_assert!(!shown.contains(&key) && !shown.contains(&disguise(&key)), "{}: {}", name, shown);
            }
        }

        #[test]
        fn other_texts_stay_as_they_are(key in keys(), text in ".{0,200}") {
            let redactor = Redactor::new([key.as_str(), "x", ""]);
            prop_assert_eq!(redactor.redact(text.clone()), text);
        }
    }

    #[test]
    fn a_long_part_of_a_key_is_redacted_and_a_public_beginning_is_not() {
        let redactor = Redactor::new(["sk-ant-api03-abcdefghij0123456789"]);
        let redact = |text: &str| redactor.redact(text.into());
        assert_eq!(redact("key sk-ant-api03-abcdefgh... refused"), "key [redacted]... refused");
        assert_eq!(redact("ends in hij0123456789"), "ends in [redacted]");
        assert_eq!(redact("ends in 23456789"), "ends in 23456789", "few characters, as providers show them");
        assert_eq!(redact("keys begin with sk-ant-api03-"), "keys begin with sk-ant-api03-");
        assert!(!format!("{redactor:?}").contains("sk-"));
        let zeros = Redactor::new(["sk-test-0000000000000000", "xxxxxxxxxxxx"]);
        let text = "1000000000000000000 xxxxxxxxxxxx sk-test-00000";
        assert_eq!(zeros.redact(text.into()), "1000000000000000000 xxxxxxxxxxxx [redacted]");
        assert_eq!(zeros.redact_all("no: xxxxxxxxxxxx".into()), "no: [redacted]");
        let short = Redactor::new(["abc123"]);
        assert_eq!(short.redact("say abc123".into()), "say abc123");
        assert_eq!(short.redact_all("no: abc123".into()), "no: [redacted]");
    }
}
