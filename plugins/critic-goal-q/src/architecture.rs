//! What a network computes on: its inputs, and the shape of its weights.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::goals::TextId;
use crate::table::Table;

/// One input of a batch: its distinct texts, and which of them each row uses.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) embeddings: Tensor,
    pub(crate) rows: Arc<[u32]>,
}

impl Input {
    /// Row `i` is the embedding of text `ids[i]` in `table`.
    pub(crate) fn new(table: &Table, ids: &[TextId]) -> Result<Self> {
        let mut place = HashMap::new();
        let mut distinct: Vec<TextId> = Vec::new();
        let rows = ids
            .iter()
            .map(|&id| {
                *place.entry(id).or_insert_with(|| {
                    distinct.push(id);
                    distinct.len() as u32 - 1
                })
            })
            .collect();
        let embeddings = table.rows(&distinct)?;
        Ok(Self { embeddings, rows })
    }

    /// Row `i` is row `i` of `embeddings`.
    pub(crate) fn rows(embeddings: Tensor) -> Result<Self> {
        let rows = (0..embeddings.dim(0)? as u32).collect();
        Ok(Self { embeddings, rows })
    }
}

/// Shape of a network: its input texts by name, the length of an embedding, and the hidden widths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Architecture {
    pub(crate) inputs: &'static [&'static str],
    pub(crate) dimension: usize,
    pub(crate) hidden: Vec<usize>,
}

impl Architecture {
    /// `Q(state, thought, goal)`.
    pub(crate) fn q(dimension: usize, hidden: &[usize]) -> Self {
        Self { inputs: &["state", "thought", "goal"], dimension, hidden: hidden.to_vec() }
    }
    /// `V(state, goal)`: before a thought is chosen.
    pub(crate) fn v(dimension: usize, hidden: &[usize]) -> Self {
        Self { inputs: &["state", "goal"], dimension, hidden: hidden.to_vec() }
    }

    /// (inputs, outputs) of the layers after the first.
    pub(crate) fn rest(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator {
        let outputs: Vec<usize> = self.hidden[1..].iter().copied().chain([1]).collect();
        self.hidden.iter().copied().zip(outputs)
    }

    /// Name and shape of each part of the weights, in their order.
    pub(crate) fn parts(&self) -> Vec<(String, Vec<usize>)> {
        let width = self.hidden[0];
        let first =
            self.inputs.iter().map(|input| (format!("first.{input}.weight"), vec![self.dimension, width]));
        let rest = self.rest().enumerate().flat_map(|(index, (inputs, outputs))| {
            let layer = index + 2;
            [
                (format!("layer{layer}.weight"), vec![inputs, outputs]),
                (format!("layer{layer}.bias"), vec![outputs]),
            ]
        });
        first.chain([("first.bias".to_owned(), vec![width])]).chain(rest).collect()
    }

    /// `weights` cut into [`Architecture::parts`].
    pub(crate) fn cut<'a>(&self, mut weights: &'a [f32]) -> Vec<&'a [f32]> {
        let sizes = self.parts().into_iter().map(|(_, shape)| shape.iter().product());
        sizes
            .map(|size: usize| weights.split_off(..size).expect("as many weights as the shape says"))
            .collect()
    }
}
