//! Messages: an encoded body, and beside it what has no place in text: objects, and numbers by the thousand.
//!
//! While a body is written or read, the attachments lie in a thread-local; `Serialize` and `Deserialize`
//! implementations put a small note into the body, `{"object": 0}` or `{"blob": 0}`, and the thing itself beside it.
//! Outside of a message the same implementations write plain data, or say that they cannot.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Object;
use crate::{Error, Result, error::Code};

/// Bodies longer than this are refused, unread.
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
    /// Whether this image can write it. With serde_json's feature `arbitrary_precision`, which anything in a library's tree
    /// may ask for, numbers in a `Value` are written as maps that only serde_json itself reads: then there is JSON.
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
    /// The encoded arguments, by name, or the encoded answer.
    pub body: Bytes,
    /// Objects that the body refers to.
    pub objects: Vec<Arc<dyn Object>>,
    /// Binary attachments that the body refers to.
    pub blobs: Vec<Bytes>,
    /// What travels beside a request.
    pub meta: Meta,
}

/// What travels beside a request, for whoever is between caller and callee.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// W3C trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// When the caller will have given up, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_unix_ms: Option<u64>,
}

impl Meta {
    /// Whether there is nothing in it.
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
    /// `value` as a message, with all that it refers to.
    ///
    /// # Errors
    /// If it holds what the codec has no form for, such as a map whose keys are no strings.
    pub fn encode<T: Serialize>(codec: Codec, value: &T) -> Result<Self> {
        let scope = Scope::open(Attachments::default());
        let body = match codec {
            Codec::Json => serde_json::to_vec(value)?,
            Codec::MessagePack => rmp_serde::to_vec_named(value)?,
        };
        let Attachments { objects, blobs } = scope.close();
        Ok(Self { codec, body: body.into(), objects, blobs, meta: Meta::default() })
    }

    /// The value of this message.
    ///
    /// # Errors
    /// If it is no such value.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T> {
        if self.body.len() > MAX_BODY {
            let size = self.body.len();
            return Err(Error::input(format!("{size} bytes are more than a message may hold ({MAX_BODY})")));
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

/// As strict as JSON's reader: the body is the value and nothing after it, and nests so deep that no stack overflows.
fn from_message_pack<T: DeserializeOwned>(mut body: &[u8]) -> Result<T> {
    let mut reader = rmp_serde::Deserializer::new(&mut body);
    reader.set_max_depth(128);
    let value = T::deserialize(&mut reader)?;
    match body.len() {
        0 => Ok(value),
        rest => Err(Error::malformed(format!("{rest} bytes after the value"))),
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

/// The attachments of the message being written or read on this thread. A stack, for an implementation of
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
        // Taken out before it is dropped: to drop an object may run anything, another message included.
        let attachments = OPEN.with_borrow_mut(Vec::pop);
        drop(attachments);
    }
}

/// Puts an object beside the body; `None` outside of a message.
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

/// The object at `index` beside the body that is being read.
pub(super) fn object(index: usize) -> Result<Arc<dyn Object>> {
    let found = OPEN.with_borrow(|open| open.last()?.objects.get(index).cloned());
    found.ok_or_else(|| Error::new(Code::Malformed, format!("there is no object {index} with this message")))
}

/// Puts binary data beside the body; `None` outside of a message.
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

/// The binary data at `index` beside the body that is being read.
pub(crate) fn blob(index: usize) -> Result<Bytes> {
    let found = OPEN.with_borrow(|open| open.last()?.blobs.get(index).cloned());
    found.ok_or_else(|| Error::new(Code::Malformed, format!("there is no blob {index} with this message")))
}
