//! Text encoders: sentences in, unit vectors out.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A frozen map from text to unit vectors.
#[async_trait]
pub trait TextEncoder: Send + Sync {
    /// Identity and dimension. Two encoders of equal id give equal vectors.
    async fn spec(&self) -> Result<EncoderSpec>;
    /// One row a text, in order; each row has unit Euclidean norm.
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix>;
}

/// What an encoder says of itself; written into checkpoints and compared when they are loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EncoderSpec {
    /// Identity: kind, model and every setting that changes a vector.
    pub id: String,
    /// Revision of the weights, where there are any.
    pub revision: Option<String>,
    /// Length of a vector.
    pub dimension: usize,
}

/// Row-major f32 matrix of shape (rows, columns). Crosses boundaries as a binary attachment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// A matrix over `data`.
    ///
    /// # Errors
    /// If `data` does not hold `rows * columns` numbers.
    pub fn new(rows: usize, columns: usize, data: Vec<f32>) -> Result<Self> {
        if rows.checked_mul(columns) != Some(data.len()) {
            return Err(Error::input(format!("{} numbers cannot fill {rows} x {columns}", data.len())));
        }
        Ok(Self { rows, columns, data })
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// All numbers, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }
    /// Row `index`. Panics beyond the last row, as slices do.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.data[index * self.columns..(index + 1) * self.columns]
    }
    /// The numbers themselves.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}
