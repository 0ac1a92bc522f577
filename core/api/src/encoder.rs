//! Text encoders: sentences in, unit vectors out.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Result, interface, wire::message};

/// A frozen map from text to unit vectors.
#[interface("forethought.encoder/1")]
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

/// Row-major f32 matrix of shape (rows, columns). Crosses boundaries as a binary attachment, which admits what text
/// does not: NaN and infinities.
#[derive(Debug, Clone, Default, PartialEq)]
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

/// How a matrix stands in a body: the numbers beside it where there is a beside, else in it.
#[derive(Serialize, Deserialize)]
struct Written {
    rows: usize,
    columns: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dtype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    data: Vec<f32>,
}

impl Serialize for Matrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let blob = message::attach_blob(|| little_endian(&self.data));
        let dtype = blob.map(|_| "f32".to_string());
        let data = if blob.is_some() { Vec::new() } else { self.data.clone() };
        Written { rows: self.rows, columns: self.columns, dtype, blob, data }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Matrix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { rows, columns, dtype, blob, data } = Written::deserialize(deserializer)?;
        let numbers = match (blob, dtype.as_deref()) {
            (None, _) => Ok(data),
            (Some(blob), None | Some("f32")) => message::blob(blob).and_then(|bytes| floats(&bytes)),
            (Some(_), Some(other)) => Err(Error::malformed(format!("a matrix of {other}, not of f32"))),
        };
        numbers.and_then(|numbers| Self::new(rows, columns, numbers)).map_err(de::Error::custom)
    }
}

fn little_endian(numbers: &[f32]) -> Bytes {
    if cfg!(target_endian = "little") {
        return Bytes::copy_from_slice(bytemuck::cast_slice(numbers));
    }
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Result<Vec<f32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Error::malformed(format!("{} bytes are no whole number of f32", bytes.len())));
    }
    if cfg!(target_endian = "little") {
        return Ok(bytemuck::pod_collect_to_vec(bytes));
    }
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}
