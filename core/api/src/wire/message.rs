//! Messages: an encoded body, with attachments for what does not fit into text: objects and large numeric data.
//!
//! While a body is written or read, its attachments are in a thread-local: `Serialize` and `Deserialize` put a
//! reference into the body, `{"object": 0}` or `{"blob": 0}`, and attach the object or blob itself. Outside of a
//! message the same implementations write plain data, or return an error.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Object;
use crate::{Error, Result, error::Code};

/// Longer bodies are refused without being read.
pub const MAX_BODY: usize = 1 << 30;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Codec {
    /// JSON.
    #[default]
    Json,
    /// MessagePack with named fields.
    MessagePack,
}

impl Codec {
    /// Whether this image can write it. With serde_json's feature `arbitrary_precision`, which any dependency of a
    /// library may enable, numbers in a `Value` are written as maps that only serde_json itself reads; then JSON is
    /// used.
    pub fn is_written(self) -> bool {
        static PLAIN_NUMBERS: LazyLock<bool> =
            LazyLock::new(|| rmp_serde::to_vec(&serde_json::Value::from(1)).is_ok_and(|bytes| bytes == [1]));
        self == Self::Json || *PLAIN_NUMBERS
    }
}

/// A request or a reply.
#[derive(Clone, Default)]
pub struct Message {
    /// How `body` is encoded.
    pub codec: Codec,
    /// The encoded arguments, by name, or the encoded result.
    pub body: Bytes,
    /// Objects that the body refers to.
    pub objects: Vec<Arc<dyn Object>>,
    /// Binary attachments that the body refers to.
    pub blobs: Vec<Bytes>,
    /// Information about the request.
    pub meta: Meta,
}

/// Information about a request, for everything between caller and callee.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// W3C trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// When the caller gives up, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_unix_ms: Option<u64>,
}

impl Meta {
    /// Whether every field is empty.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (objects, blobs) = (self.objects.len(), self.blobs.len());
        write!(f, "Message({} {:?} bytes, {objects} objects, {blobs} blobs)", self.body.len(), self.codec)
    }
}

impl Message {
    /// Encodes `value` with everything that it refers to.
    ///
    /// # Errors
    /// If the codec cannot represent it, such as a map whose keys are not strings.
    pub fn encode<T: Serialize>(codec: Codec, value: &T) -> Result<Self> {
        let scope = Scope::open(Attachments::default());
        let body = match codec {
            Codec::Json => serde_json::to_vec(value)?,
            Codec::MessagePack => rmp_serde::to_vec_named(value)?,
        };
        let Attachments { objects, blobs } = scope.close();
        Ok(Self { codec, body: body.into(), objects, blobs, meta: Meta::default() })
    }

    /// Decodes the value.
    ///
    /// # Errors
    /// If the body is not such a value.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T> {
        if self.body.len() > MAX_BODY {
            let size = self.body.len();
            return Err(Error::input(format!(
                "{size} bytes are more than the maximum size of a message ({MAX_BODY})"
            )));
        }
        let scope = Scope::open(Attachments { objects: self.objects, blobs: self.blobs });
        let value = match self.codec {
            Codec::Json => serde_json::from_slice(&self.body).map_err(Error::from),
            Codec::MessagePack => from_message_pack(&self.body),
        };
        drop(scope);
        value
    }
}

/// As strict as the JSON reader: nothing may follow the value, and nesting is limited so the stack cannot overflow.
fn from_message_pack<T: DeserializeOwned>(mut body: &[u8]) -> Result<T> {
    let mut reader = rmp_serde::Deserializer::new(&mut body);
    reader.set_max_depth(128);
    let value = T::deserialize(&mut reader)?;
    match body.len() {
        0 => Ok(value),
        rest => Err(Error::malformed(format!("{rest} bytes follow the value"))),
    }
}

#[derive(Default)]
struct Attachments {
    objects: Vec<Arc<dyn Object>>,
    blobs: Vec<Bytes>,
}

thread_local! {
    static OPEN: RefCell<Vec<Attachments>> = const { RefCell::new(Vec::new()) };
}

/// The attachments of the message being written or read on this thread. A stack, because an implementation of
/// `Serialize` may itself write a message.
struct Scope(());

impl Scope {
    fn open(attachments: Attachments) -> Self {
        OPEN.with_borrow_mut(|open| open.push(attachments));
        Self(())
    }
    fn close(self) -> Attachments {
        std::mem::forget(self);
        OPEN.with_borrow_mut(Vec::pop).unwrap_or_default()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // Taken out before it is dropped: dropping an object may run any code, including another message.
        let attachments = OPEN.with_borrow_mut(Vec::pop);
        drop(attachments);
    }
}

/// Attaches an object; `None` outside of a message.
pub(super) fn attach_object(object: Arc<dyn Object>) -> Option<usize> {
    if OPEN.with_borrow(Vec::is_empty) {
        return None;
    }
    OPEN.with_borrow_mut(|open| {
        let objects = &mut open.last_mut()?.objects;
        objects.push(object);
        Some(objects.len() - 1)
    })
}

/// The object at `index` of the message being read.
pub(super) fn object(index: usize) -> Result<Arc<dyn Object>> {
    let found = OPEN.with_borrow(|open| open.last()?.objects.get(index).cloned());
    found.ok_or_else(|| Error::new(Code::Malformed, format!("this message has no object {index}")))
}

/// Attaches binary data; `None` outside of a message.
pub(crate) fn attach_blob(blob: impl FnOnce() -> Bytes) -> Option<usize> {
    if OPEN.with_borrow(Vec::is_empty) {
        return None;
    }
    let blob = blob();
    OPEN.with_borrow_mut(|open| {
        let blobs = &mut open.last_mut()?.blobs;
        blobs.push(blob);
        Some(blobs.len() - 1)
    })
}

/// The binary data at `index` of the message being read.
pub(crate) fn blob(index: usize) -> Result<Bytes> {
    let found = OPEN.with_borrow(|open| open.last()?.blobs.get(index).cloned());
    found.ok_or_else(|| Error::new(Code::Malformed, format!("this message has no blob {index}")))
}
