//! Tokenizers of models.

use std::path::Path;

use forethought_sdk::{api::text::unmarked_bytes, prelude::*};
use tokenizers::Tokenizer;

/// The tokenizer in `bytes`, which were read from `path`, for a network of `vocabulary` tokens. The padding and
/// truncation that some files bring along are removed. Special tokens beyond the vocabulary stay, and a text that has
/// one gets a number that the network does not know.
///
/// # Errors
/// A file that cannot be read, or that knows more tokens than the network, other than special ones.
pub fn tokenizer(path: &Path, bytes: &[u8], vocabulary: usize) -> Result<Tokenizer> {
    let unreadable = |error: tokenizers::Error| Error::input(format!("{}: {error}", path.display()));
    crate::refuse_pointer(path, bytes)?;
    let mut tokenizer = Tokenizer::from_bytes(unmarked_bytes(bytes)).map_err(unreadable)?;
    let size = tokenizer.get_vocab_size(true);
    // Fine-tuning adds special tokens, for padding, that no text has and no network needs.
    let added = tokenizer.get_added_tokens_decoder();
    let beyond = |id: &u32| *id as usize >= vocabulary;
    let spare = added.iter().filter(|(id, token)| beyond(id) && token.special).count();
    if size - spare > vocabulary {
        return Err(Error::input(format!(
            "{} has {size} tokens, but the network has {vocabulary}; they belong to different models",
            path.display()
        )));
    }
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(unreadable)?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokenizer_fits_its_network_and_neither_pads_nor_cuts() {
        let file = r#"{
            "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
            "padding": { "strategy": { "Fixed": 9 }, "direction": "Right", "pad_to_multiple_of": null,
                         "pad_id": 0, "pad_type_id": 0, "pad_token": "a" },
            "truncation": { "direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0 },
            "pre_tokenizer": { "type": "Whitespace" },
            "model": { "type": "WordLevel", "vocab": { "a": 0, "b": 1 }, "unk_token": "a" }
        }"#;
        let path = Path::new("some/tokenizer.json");
        let read = tokenizer(path, file.as_bytes(), 2).unwrap();
        assert_eq!(read.encode("b a b", false).unwrap().get_ids(), [1, 0, 1]);
        let error = tokenizer(path, file.as_bytes(), 1).unwrap_err().to_string();
        assert!(error.contains("some/tokenizer.json has 2 tokens, but the network has 1"), "{error}");
        // A special token for padding is not counted.
        let padded = file.replace(
            r#""added_tokens": []"#,
            r#""added_tokens": [{ "id": 2, "content": "[PAD]", "special": true, "single_word": false, "lstrip": false,
                               "rstrip": false, "normalized": false }]"#,
        );
        let read = tokenizer(path, padded.as_bytes(), 2).unwrap();
        assert_eq!(read.encode("b[PAD]", false).unwrap().get_ids(), [1, 2]);
        let error = tokenizer(path, b"[]", 2).unwrap_err().to_string();
        assert!(error.contains("some/tokenizer.json: "), "{error}");
    }
}
