//! Search over a catalogue: BM25 over the text of each product, as WebShop's Lucene index computes it.
//!
//! Knows products and text; knows nothing of pages, goals or episodes.

mod analyzer;
mod index;
mod norms;
mod porter;
mod query;
mod tokenizer;
mod unicode;

pub use analyzer::analyze;
pub use index::{Hit, Index, document};
