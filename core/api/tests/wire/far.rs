//! A transport within one image: everything crosses as a message, and no object recognises itself on the other side.

use std::any::Any;
use std::sync::{Arc, Mutex};

use forethought_api::{
    Error,
    error::Code,
    wire::{Codec, Interface, Message, Object, Reply},
};

/// One call: method, request, reply.
pub(crate) type Call = (String, Message, Message);

/// Passes calls on to another object.
#[derive(Clone)]
pub(crate) struct Far {
    object: Arc<dyn Object>,
    codec: Codec,
    /// Methods that the other side does not know.
    unknown: &'static [&'static str],
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
}

impl Far {
    pub(crate) fn new(object: Arc<dyn Object>, codec: Codec) -> Self {
        Self { object, codec, unknown: &[], calls: Arc::default() }
    }
    pub(crate) fn without(mut self, unknown: &'static [&'static str]) -> Self {
        self.unknown = unknown;
        self
    }
    /// The message with its objects as seen from the other side.
    fn crossing(&self, mut message: Message) -> Message {
        let far = |object| Arc::new(Self::new(object, self.codec)) as _;
        message.objects = message.objects.into_iter().map(far).collect();
        message
    }
}

impl Object for Far {
    fn interface(&self) -> &str {
        self.object.interface()
    }
    fn understands(&self, codec: Codec) -> bool {
        codec == Codec::Json || codec == self.codec
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        assert_eq!(request.codec, self.codec);
        if self.unknown.contains(&method) {
            let error = Error::new(Code::Unimplemented, "an older version");
            return Box::pin(async move { Err(error) });
        }
        let (this, method, seen) = (self.clone(), method.to_owned(), request.clone());
        let reply = self.object.invoke(&method, self.crossing(request));
        Box::pin(async move {
            let reply = reply.await.map_err(|error| {
                let text = serde_json::to_string(&error).expect("errors can be written");
                serde_json::from_str::<Error>(&text).expect("errors can be read")
            })?;
            assert_eq!(reply.codec, this.codec);
            this.calls.lock().unwrap().push((method, seen, reply.clone()));
            Ok(this.crossing(reply))
        })
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A component as seen from the other side.
pub(crate) fn far<I: Interface + ?Sized>(component: Arc<I>, codec: Codec) -> Arc<I> {
    I::connect(Arc::new(Far::new(I::serve(component), codec)))
}
