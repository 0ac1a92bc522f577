//! Objects in a body: `#[serde(with = "forethought_api::wire::handle")]` on an `Arc<dyn Interface>`, an option of one,
//! or a list of named ones. A [`Component`] is written and read as an object without that attribute.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{Interface, Object, connect, message};
use crate::registry::Component;

/// What the body holds instead of the object: its index in the message.
#[derive(Serialize, Deserialize)]
struct Reference {
    object: usize,
}

/// A value that is passed as objects.
pub trait Handle: Sized {
    /// Attaches the objects to the message, and writes references to them into the body.
    ///
    /// # Errors
    /// If no message is being written.
    fn give<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// Takes the objects that the body refers to.
    ///
    /// # Errors
    /// If there is no such object, or it has another interface.
    fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl<I: Interface + ?Sized> Handle for Arc<I> {
    fn give<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        give(I::serve(self.clone()), serializer)
    }
    fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer).and_then(|object| connect(object).map_err(de::Error::custom))
    }
}

impl Serialize for Component {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        give(self.clone().serve(), serializer)
    }
}

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer).and_then(|object| Self::connect(object).map_err(de::Error::custom))
    }
}

impl<H: Handle> Handle for Option<H> {
    fn give<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Given).serialize(serializer)
    }
    fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Taken<H>>::deserialize(deserializer)?.map(|taken| taken.0))
    }
}

impl<H: Handle> Handle for Vec<(String, H)> {
    fn give<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|(name, handle)| (name, Given(handle))))
    }
    fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let taken = Vec::<(String, Taken<H>)>::deserialize(deserializer)?;
        Ok(taken.into_iter().map(|(name, taken)| (name, taken.0)).collect())
    }
}

/// For `#[serde(with)]`.
///
/// # Errors
/// As [`Handle::give`].
pub fn serialize<H: Handle, S: Serializer>(handle: &H, serializer: S) -> Result<S::Ok, S::Error> {
    handle.give(serializer)
}

/// For `#[serde(with)]`.
///
/// # Errors
/// As [`Handle::take`].
pub fn deserialize<'de, H: Handle, D: Deserializer<'de>>(deserializer: D) -> Result<H, D::Error> {
    H::take(deserializer)
}

fn give<S: Serializer>(object: Arc<dyn Object>, serializer: S) -> Result<S::Ok, S::Error> {
    let index = message::attach_object(object);
    let object = index.ok_or_else(|| ser::Error::custom("an object can only be written into a message"))?;
    Reference { object }.serialize(serializer)
}

fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<dyn Object>, D::Error> {
    let Reference { object } = Reference::deserialize(deserializer)?;
    message::object(object).map_err(de::Error::custom)
}

struct Given<'a, H>(&'a H);

impl<H: Handle> Serialize for Given<'_, H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.give(serializer)
    }
}

struct Taken<H>(H);

impl<'de, H: Handle> Deserialize<'de> for Taken<H> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        H::take(deserializer).map(Self)
    }
}
