//! From text to index terms.

use unicode_segmentation::UnicodeSegmentation;

/// The index terms of `text`, in order.
pub fn analyze(text: &str) -> Vec<String> {
    text.unicode_words().map(str::to_lowercase).collect()
}
