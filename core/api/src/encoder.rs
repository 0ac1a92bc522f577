//! Text encoders: sentences in, unit vectors out.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Result, interface, wire::message};

/// A fixed map from text to unit vectors.
///
/// ```
/// use forethought_api::{Result, encoder::*};
///
/// /// Points up for short texts, right for long ones.
/// struct Length;
///
/// #[async_trait::async_trait]
/// impl TextEncoder for Length {
///     async fn spec(&self) -> Result<EncoderSpec> {
///         Ok(EncoderSpec { id: "length".into(), dimension: 2, ..Default::default() })
///     }
///     async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
///         let row = |text: &String| if text.len() < 10 { [0.0, 1.0] } else { [1.0, 0.0] };
///         Matrix::new(texts.len(), 2, texts.iter().flat_map(row).collect())
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let rows = Length.encode(vec!["short".into(), "a longer text".into()]).await?;
/// assert_eq!((rows.row(0), rows.row(1)), (&[0.0, 1.0][..], &[1.0, 0.0][..]));
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.encoder/1")]
pub trait TextEncoder: Send + Sync {
    /// Identity and dimension. Encoders with the same id give the same vectors.
    async fn spec(&self) -> Result<EncoderSpec>;
    /// One row per text, in order; each row has unit Euclidean norm.
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix>;
}

/// Describes an encoder; written into checkpoints and compared when they are loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EncoderSpec {
    /// Identity: kind, model and every setting that affects the vectors.
    pub id: String,
    /// Revision of the weights, if there are any.
    pub revision: Option<String>,
    /// Length of a vector.
    pub dimension: usize,
}

/// Row-major f32 matrix of shape (rows, columns). Crosses boundaries as a binary attachment, which, unlike JSON, can
/// hold NaN and infinities.
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
            return Err(Error::input(format!(
                "{} numbers cannot fill a {rows} x {columns} matrix",
                data.len()
            )));
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
    /// All values, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }
    /// Row `index`. Panics past the last row, as slices do.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.data[index * self.columns..(index + 1) * self.columns]
    }
    /// All values, row by row, without a copy.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

/// A matrix in a body: its values are in a blob of the message, or in `data` outside of messages.
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
            (Some(_), Some(other)) => Err(Error::malformed(format!("the matrix holds {other}, not f32"))),
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
    if bytes.len() % 4 != 0 {
        return Err(Error::malformed(format!("{} bytes are not a whole number of f32", bytes.len())));
    }
    let bits: Vec<u32> = bytemuck::pod_collect_to_vec(bytes);
    Ok(bits.into_iter().map(|bits| f32::from_bits(u32::from_le(bits))).collect())
}
