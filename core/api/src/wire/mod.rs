//! Calls as messages: what an interface method looks like to a plugin boundary or a pipe.
//!
//! An [`Object`] is anything that answers `invoke(method, message)`. [`interface`](crate::interface) turns every
//! component into an object ([`Interface::serve`]) and every object into a component ([`Interface::connect`]). How a
//! message gets from one side to the other is up to a transport, which knows objects and messages but no interfaces.
//!
//! # Reading order
//! [`message`] (bytes, objects and attachments), [`handle`] (objects in a body).

pub mod handle;
pub mod message;

use std::any::Any;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};

pub use self::message::{Codec, Message, Meta};
use crate::{
    Error, Result,
    error::{Code, Context},
};

/// The future result of a call.
pub type Reply = BoxFuture<'static, Result<Message>>;

/// Answers calls: a component of this image, or one behind a transport.
///
/// An error's [`Code`] crosses as the status: [`Code::Panic`], [`Code::Cancelled`], [`Code::Unimplemented`],
/// [`Code::BadRequest`] and [`Code::Shutdown`] have their own, all others are the component's own error.
pub trait Object: Send + Sync + 'static {
    /// Interface name and major version, such as `forethought.environment/1`.
    fn interface(&self) -> &str;
    /// Calls a method. The future owns everything that it needs; dropping it cancels the call.
    fn invoke(&self, method: &str, request: Message) -> Reply;
    /// Whether requests may use `codec`. JSON is always understood.
    fn understands(&self, codec: Codec) -> bool {
        codec.is_written() // A reply uses the codec of its request.
    }
    /// Whether calls are short enough to run on the caller's thread.
    fn inline(&self) -> bool {
        false
    }
    /// The name of the plugin that answers, if it is not this image; for errors.
    fn origin(&self) -> Option<&str> {
        None
    }
    /// Lets a transport recognise its own objects. A wrapper that is transparent to transports may return what it
    /// wraps.
    fn as_any(&self) -> &dyn Any;
}

/// A method of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its name, as in [`Object::invoke`].
    pub name: &'static str,
    /// Whether it has a default body, which runs if the other side does not know the method.
    pub default: bool,
}

/// A trait whose calls can cross as messages. Implemented by [`interface`](crate::interface).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an interface",
    note = "an interface is `dyn Trait` where the trait has `#[interface(\"family.name/1\")]`"
)]
pub trait Interface: Send + Sync + 'static {
    /// Name and major version.
    const NAME: &'static str;
    /// Its methods, in the order of the trait.
    const METHODS: &'static [Method];
    /// The object that answers for this component. For a proxy, the object that it calls.
    fn serve(component: Arc<Self>) -> Arc<dyn Object>;
    /// A component that calls this object. For a component of this image, that component.
    fn connect(object: Arc<dyn Object>) -> Arc<Self>;
}

/// Like [`Interface::connect`], but checks the object's interface first.
///
/// # Errors
/// If the object has another interface.
pub fn connect<I: Interface + ?Sized>(object: Arc<dyn Object>) -> Result<Arc<I>> {
    if object.interface() == I::NAME {
        return Ok(I::connect(object));
    }
    Err(Error::new(
        Code::BadRequest,
        format!("expected an object of {}, got one of {}", I::NAME, object.interface()),
    ))
}

/// A call by a proxy: sends the arguments and reads the reply.
///
/// # Errors
/// The error that the other side answers; [`Code::Malformed`] if the answer cannot be read.
pub async fn call<R: DeserializeOwned>(
    object: &Arc<dyn Object>,
    method: &'static str,
    arguments: &impl Serialize,
) -> Result<R> {
    let messagepack = object.understands(Codec::MessagePack) && Codec::MessagePack.is_written();
    let codec = if messagepack { Codec::MessagePack } else { Codec::Json };
    let request = Message::encode(codec, arguments)
        .context(format!("the arguments of {}.{method} cannot be written", object.interface()))?;
    object.invoke(method, request).await?.decode().map_err(|error| {
        let origin = object.origin().map(|name| format!("plugin {name}: ")).unwrap_or_default();
        let what = format!("{origin}the answer of {}.{method} cannot be read", object.interface());
        Error::new(Code::Malformed, what).because(error)
    })
}

/// The error for a method that an object does not have.
pub fn unknown_method(interface: &str, method: &str) -> Error {
    Error::new(Code::Unimplemented, format!("{interface} has no method `{method}`"))
}

/// Whether the other side does not have the method, so that the caller's default body applies.
pub fn is_unimplemented<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(error) if error.code == Code::Unimplemented)
}

/// Reads the arguments, for a dispatcher.
///
/// # Errors
/// [`Code::BadRequest`] if they cannot be read.
pub fn arguments<A: DeserializeOwned>(interface: &str, method: &str, request: Message) -> Result<A> {
    request.decode().map_err(|error| {
        let what = format!("the arguments of {interface}.{method} cannot be read");
        Error::new(Code::BadRequest, what).because(error)
    })
}

/// Writes the answer, for a dispatcher.
///
/// # Errors
/// If it cannot be written.
pub fn answer(interface: &str, method: &str, codec: Codec, value: &impl Serialize) -> Result<Message> {
    Message::encode(codec, value).context(format!("the answer of {interface}.{method} cannot be written"))
}
