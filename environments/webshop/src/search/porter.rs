//! The Porter stemmer (1980) with its author's later departures (`bli` to `ble`, `logi` to `log`, short words kept).
//!
//! Works in UTF-16 units, as the Java original does: everything that is not a vowel is a consonant.

/// Stems the lower-case `word` in place.
pub(super) fn stem(word: &mut String) {
    let mut stemmer = Stemmer { units: word.encode_utf16().collect() };
    if stemmer.units.len() <= 2 {
        return;
    }
    stemmer.plurals();
    stemmer.past_tenses();
    stemmer.final_y();
    stemmer.replace_longest(DOUBLE_SUFFIXES, 1);
    stemmer.replace_longest(SINGLE_SUFFIXES, 1);
    stemmer.drop_suffix();
    stemmer.tidy();
    *word = String::from_utf16_lossy(&stemmer.units);
}

const DOUBLE_SUFFIXES: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];

const SINGLE_SUFFIXES: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

// A suffix that ends in another comes before it.
const DROPPED: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "sion", "tion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
];

struct Stemmer {
    units: Vec<u16>,
}

impl Stemmer {
    fn is(&self, at: usize, letter: char) -> bool {
        self.units[at] == letter as u16
    }

    fn is_consonant(&self, at: usize) -> bool {
        match u8::try_from(self.units[at]) {
            Ok(b'a' | b'e' | b'i' | b'o' | b'u') => false,
            Ok(b'y') => at == 0 || !self.is_consonant(at - 1),
            _ => true,
        }
    }

    /// Number of vowel-consonant sequences in the first `length` units.
    fn measure(&self, length: usize) -> usize {
        (1..length).filter(|&at| self.is_consonant(at) && !self.is_consonant(at - 1)).count()
    }

    fn has_vowel(&self, length: usize) -> bool {
        (0..length).any(|at| !self.is_consonant(at))
    }

    fn ends_in_double_consonant(&self) -> bool {
        let length = self.units.len();
        length >= 2 && self.units[length - 1] == self.units[length - 2] && self.is_consonant(length - 1)
    }

    /// Whether the first `length` units end consonant, vowel, consonant, the last not w, x or y: as in `hop`.
    fn ends_short(&self, length: usize) -> bool {
        length >= 3
            && self.is_consonant(length - 1)
            && !self.is_consonant(length - 2)
            && self.is_consonant(length - 3)
            && !['w', 'x', 'y'].iter().any(|&letter| self.is(length - 1, letter))
    }

    /// Length of the stem before `suffix`, if the word ends in it.
    fn before(&self, suffix: &str) -> Option<usize> {
        let length = self.units.len().checked_sub(suffix.len())?;
        self.units[length..].iter().copied().eq(suffix.bytes().map(u16::from)).then_some(length)
    }

    fn replace(&mut self, stem: usize, suffix: &str) {
        self.units.truncate(stem);
        self.units.extend(suffix.encode_utf16());
    }

    fn plurals(&mut self) {
        if self.before("sses").is_some() || self.before("ies").is_some() {
            self.units.truncate(self.units.len() - 2);
        } else if self.before("s").is_some() && self.before("ss").is_none() {
            self.units.pop();
        }
    }

    fn past_tenses(&mut self) {
        if let Some(stem) = self.before("eed") {
            if self.measure(stem) > 0 {
                self.units.pop();
            }
            return;
        }
        let Some(stem) =
            self.before("ed").or_else(|| self.before("ing")).filter(|&stem| self.has_vowel(stem))
        else {
            return;
        };
        self.units.truncate(stem);
        if ["at", "bl", "iz"].iter().any(|ending| self.before(ending).is_some()) {
            self.replace(stem, "e");
        } else if self.ends_in_double_consonant() {
            if !['l', 's', 'z'].iter().any(|&letter| self.is(stem - 1, letter)) {
                self.units.pop();
            }
        } else if self.measure(stem) == 1 && self.ends_short(stem) {
            self.replace(stem, "e");
        }
    }

    fn final_y(&mut self) {
        if let Some(stem) = self.before("y").filter(|&stem| self.has_vowel(stem)) {
            self.replace(stem, "i");
        }
    }

    /// Replaces the first suffix of `table` that the word ends in, if its stem has at least `measure` sequences.
    fn replace_longest(&mut self, table: &[(&str, &str)], measure: usize) {
        let found = table.iter().find_map(|&(suffix, new)| Some((self.before(suffix)?, new)));
        if let Some((stem, new)) = found.filter(|&(stem, _)| self.measure(stem) >= measure) {
            self.replace(stem, new);
        }
    }

    fn drop_suffix(&mut self) {
        let found = DROPPED.iter().find_map(|&suffix| {
            // Of `sion` and `tion` the first letter stays with the stem.
            let kept = usize::from(matches!(suffix, "sion" | "tion"));
            Some(self.before(suffix)? + kept)
        });
        if let Some(stem) = found.filter(|&stem| self.measure(stem) > 1) {
            self.units.truncate(stem);
        }
    }

    fn tidy(&mut self) {
        if let Some(stem) = self.before("e") {
            let measure = self.measure(stem);
            if measure > 1 || measure == 1 && !self.ends_short(stem) {
                self.units.pop();
            }
        }
        let length = self.units.len();
        if self.before("l").is_some() && self.ends_in_double_consonant() && self.measure(length) > 1 {
            self.units.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_as_the_paper_and_its_author_do() {
        for (word, expected) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("cats", "cat"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("filing", "file"),
            ("happy", "happi"),
            ("relational", "relat"),
            ("conformably", "conform"),
            ("vietnamization", "vietnam"),
            ("archaeology", "archaeolog"),
            ("possibly", "possibl"),
            ("hopefulness", "hope"),
            ("adoption", "adopt"),
            ("controlling", "control"),
            ("rate", "rate"),
            ("as", "as"),
            ("on", "on"),
            ("15.6x23", "15.6x23"),
            ("naïvely", "naïv"),
        ] {
            let mut stemmed = word.to_owned();
            stem(&mut stemmed);
            assert_eq!(stemmed, expected, "{word}");
        }
    }
}
