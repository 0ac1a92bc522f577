//! Calls as messages: what an interface method looks like to a plugin boundary or a pipe.
//!
//! An [`Object`] is anything that answers `invoke(method, message)`. [`interface`](crate::interface) makes one of every
//! component ([`Interface::serve`]) and a component of every object ([`Interface::connect`]); how a message gets from
//! one side to the other is the business of a transport, which knows objects and messages and no interface.
//!
//! # Reading order
//! [`message`] (bytes, objects and attachments), [`handle`] (how objects stand in a body).

pub mod handle;
pub mod message;

use std::any::Any;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};

pub use self::message::{Codec, Message, Meta};
use crate::{
    Error, Result,
    error::{Code, Context},
};

/// What a call comes to.
pub type Reply = BoxFuture<'static, Result<Message>>;

/// Something that answers calls: a component of this image, or one behind a transport.
///
/// An error's [`Code`] is what crosses as the status: [`Code::Panic`], [`Code::Cancelled`], [`Code::Unimplemented`],
/// [`Code::BadRequest`], [`Code::Shutdown`], and everything else as the component's own error.
pub trait Object: Send + Sync + 'static {
    /// Interface name and major version, such as `forethought.environment/1`.
    fn interface(&self) -> &str;
    /// Calls a method. The future owns all that it needs; dropping it cancels the call.
    fn invoke(&self, method: &str, request: Message) -> Reply;
    /// Whether requests may be in `codec`. JSON is always understood.
    fn understands(&self, codec: Codec) -> bool {
        codec.is_written() // An answer has the codec of its request.
    }
    /// Whether calls are so short that they may run on the caller's thread.
    fn inline(&self) -> bool {
        false
    }
    /// Who answers, if it is not this image: a plugin's name, for errors.
    fn origin(&self) -> Option<&str> {
        None
    }
    /// This object as itself, for transports that recognise their own. A wrapper that adds nothing for them may answer
    /// with what it wraps.
    fn as_any(&self) -> &dyn Any;
}

/// A method of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its name, as in [`Object::invoke`].
    pub name: &'static str,
    /// Whether it has a default body, which runs where the other side does not know the method.
    pub default: bool,
}

/// An interface: a trait whose calls can cross as messages. Implemented by [`interface`](crate::interface).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no interface",
    note = "an interface is `dyn Trait` of a trait under `#[interface(\"family.name/1\")]`"
)]
pub trait Interface: Send + Sync + 'static {
    /// Name and major version.
    const NAME: &'static str;
    /// Its methods, in the order of the trait.
    const METHODS: &'static [Method];
    /// The object that answers for this component; behind a transport already, the very object that it stands for.
    fn serve(component: Arc<Self>) -> Arc<dyn Object>;
    /// The component that calls this object; of this image already, the very component.
    fn connect(object: Arc<dyn Object>) -> Arc<Self>;
}

/// As [`Interface::connect`], after a look at the object's interface.
///
/// # Errors
/// If the object is of another interface.
pub fn connect<I: Interface + ?Sized>(object: Arc<dyn Object>) -> Result<Arc<I>> {
    if object.interface() == I::NAME {
        return Ok(I::connect(object));
    }
    Err(Error::new(Code::BadRequest, format!("expected a {}, found a {}", I::NAME, object.interface())))
}

/// One call of a proxy: arguments out, reply in.
///
/// # Errors
/// What the other side answers; [`Code::Malformed`] if it answers what cannot be read.
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

/// The answer to a method that an object does not have.
pub fn unknown_method(interface: &str, method: &str) -> Error {
    Error::new(Code::Unimplemented, format!("{interface} has no method `{method}`"))
}

/// Whether the other side does not offer the method: the caller's default body applies.
pub fn is_unimplemented<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(error) if error.code == Code::Unimplemented)
}

/// Arguments as a dispatcher reads them.
///
/// # Errors
/// [`Code::BadRequest`] if they cannot be read.
pub fn arguments<A: DeserializeOwned>(interface: &str, method: &str, request: Message) -> Result<A> {
    request.decode().map_err(|error| {
        let what = format!("the arguments of {interface}.{method} cannot be read");
        Error::new(Code::BadRequest, what).because(error)
    })
}

/// An answer as a dispatcher writes it.
///
/// # Errors
/// If it cannot be written.
pub fn answer(interface: &str, method: &str, codec: Codec, value: &impl Serialize) -> Result<Message> {
    Message::encode(codec, value).context(format!("the answer of {interface}.{method} cannot be written"))
}
