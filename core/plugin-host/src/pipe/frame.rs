//! Frames: the bytes on a pipe. `docs/plugin-pipe.md` describes them for authors of plugins.

use std::borrow::Cow;
use std::io;

use bytes::{Bytes, BytesMut};
use forethought_api::{
    Error, Result,
    error::Code,
    wire::{Codec, Message, Meta},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest frame, in bytes. Text that was printed by mistake is recognised at once: as a length, four printable
/// characters are more than this.
pub(super) const MAX_FRAME: usize = 1 << 29;

/// Bytes allocated for a frame before they arrive: a length alone must not cost more.
const TRUSTED: usize = 1 << 20;

/// The JSON of a frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Head<'a> {
    /// The first frame of each side.
    Hello {
        protocol: String,
        version: String,
        #[serde(default)]
        features: Vec<String>,
    },
    Call {
        id: u64,
        object: u64,
        method: Cow<'a, str>,
        #[serde(borrow, default)]
        body: Option<&'a RawValue>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        objects: Vec<Reference>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        blobs: Vec<usize>,
        #[serde(default, skip_serializing_if = "Meta::is_empty")]
        meta: Meta,
    },
    Return {
        id: u64,
        status: u32,
        #[serde(borrow, default)]
        body: Option<&'a RawValue>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        objects: Vec<Reference>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        blobs: Vec<usize>,
    },
    Cancel {
        id: u64,
    },
    Release {
        object: u64,
    },
    Log {
        level: Cow<'a, str>,
        #[serde(default)]
        target: Cow<'a, str>,
        message: Cow<'a, str>,
    },
}

/// An object next to a body.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reference {
    pub(super) handle: u64,
    #[serde(default)]
    pub(super) interface: String,
    /// Whether the handle is one of the receiver's, sent back; else it is one of the sender's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) yours: bool,
}

/// The body of a message as JSON, checked: a frame must not contain invalid JSON.
pub(super) fn json(message: &Message) -> Result<&RawValue> {
    let size = message.blobs.iter().fold(message.body.len(), |size, blob| size.saturating_add(blob.len()));
    // The rest of the head is small: an object takes less than a KiB.
    if size.saturating_add((message.objects.len() + 64) << 10) > MAX_FRAME {
        let what = format!("a message of {size} bytes is more than a pipe can carry at once ({MAX_FRAME})");
        return Err(Error::new(Code::BadRequest, what));
    }
    if message.codec != Codec::Json {
        return Err(Error::new(Code::BadRequest, "a pipe carries JSON, and this message is MessagePack"));
    }
    serde_json::from_slice(&message.body).map_err(|error| {
        Error::new(Code::BadRequest, "the body of a message is not JSON, which a pipe cannot carry")
            .because(error)
    })
}

/// A frame to be written.
pub(super) struct Outgoing {
    /// Both lengths and the JSON.
    head: Vec<u8>,
    blobs: Vec<Bytes>,
}

impl Outgoing {
    pub(super) fn new(head: &Head<'_>, blobs: Vec<Bytes>) -> Result<Self> {
        let mut bytes = vec![0; 8];
        serde_json::to_writer(&mut bytes, head)?;
        let lengths = [bytes.len() - 8, blobs.iter().map(Bytes::len).sum()];
        for (place, length) in bytes.chunks_exact_mut(4).zip(lengths) {
            place.copy_from_slice(&u32::try_from(length)?.to_le_bytes());
        }
        Ok(Self { head: bytes, blobs })
    }

    pub(super) async fn write(&self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        writer.write_all(&self.head).await?;
        for blob in &self.blobs {
            writer.write_all(blob).await?;
        }
        Ok(())
    }
}

/// A frame that was read.
#[derive(Debug)]
pub(super) struct Incoming {
    json: Bytes,
    blobs: Bytes,
}

impl Incoming {
    /// The next frame, of at most `limit` bytes; `None` if the pipe ends, even in the middle of a frame.
    ///
    /// # Errors
    /// A message that says what is wrong with the frame.
    pub(super) async fn read(
        reader: &mut (impl AsyncRead + Unpin),
        limit: usize,
    ) -> Result<Option<Self>, String> {
        let prefix = read_up_to(reader, 8).await?;
        let [a, b, c, d, e, f, g, h] = *prefix else { return Ok(None) };
        let [length, beside] = [[a, b, c, d], [e, f, g, h]].map(|length| u32::from_le_bytes(length) as usize);
        if length.saturating_add(beside) > limit {
            if prefix.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
                return Err(format!(
                    "text where a frame should be, starting {:?}: standard output is only for frames, print to \
                     standard error",
                    String::from_utf8_lossy(&prefix)
                ));
            }
            return Err(format!("a frame of {length} + {beside} bytes; the limit is {limit}"));
        }
        let json = read_up_to(reader, length).await?;
        let blobs = read_up_to(reader, beside).await?;
        let whole = json.len() == length && blobs.len() == beside;
        Ok(whole.then_some(Self { json, blobs }))
    }

    /// Its JSON, decoded.
    ///
    /// # Errors
    /// A message, if it cannot be read.
    pub(super) fn head(&self) -> Result<Head<'_>, String> {
        serde_json::from_slice(&self.json).map_err(|error| {
            let start = String::from_utf8_lossy(&self.json[..self.json.len().min(80)]);
            format!("a frame that cannot be read ({error}), starting {start:?}")
        })
    }

    /// The body for a message, without a copy.
    pub(super) fn body(&self, body: Option<&RawValue>, missing: &'static str) -> Bytes {
        match body {
            Some(body) => self.json.slice_ref(body.get().as_bytes()),
            None => Bytes::from_static(missing.as_bytes()),
        }
    }

    /// The attachments, without a copy.
    ///
    /// # Errors
    /// A message, if their lengths are not those of the head.
    pub(super) fn blobs(&self, lengths: &[usize]) -> Result<Vec<Bytes>, String> {
        let mut rest = self.blobs.clone();
        let mut blobs = Vec::new();
        for length in lengths {
            if *length > rest.len() {
                return Err(format!("a blob of {length} bytes where {} are left", rest.len()));
            }
            blobs.push(rest.split_to(*length));
        }
        match rest.len() {
            0 => Ok(blobs),
            left => Err(format!("{left} bytes after the last blob")),
        }
    }
}

/// `length` bytes, or fewer if the stream ends. Memory is allocated as they arrive.
async fn read_up_to(reader: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Bytes, String> {
    let mut bytes = BytesMut::with_capacity(length.min(TRUSTED));
    let mut reader = reader.take(length as u64);
    loop {
        match reader.read_buf(&mut bytes).await {
            Ok(0) => return Ok(bytes.freeze()),
            Ok(_) => {}
            Err(error) => return Err(format!("reading failed: {error}")),
        }
    }
}

/// The frames in `bytes`, each decoded and written again: for the target in `fuzz/`.
///
/// # Errors
/// What is wrong with one.
#[cfg(fuzzing)]
pub async fn rewritten(mut bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut written = Vec::new();
    while let Some(frame) = Incoming::read(&mut bytes, limit).await? {
        let head = frame.head()?;
        let lengths: &[usize] = match &head {
            Head::Call { blobs, .. } | Head::Return { blobs, .. } => blobs,
            _ => &[],
        };
        let frame = Outgoing::new(&head, frame.blobs(lengths)?).map_err(|error| error.to_string())?;
        frame.write(&mut written).await.map_err(|error| error.to_string())?;
    }
    Ok(written)
}
