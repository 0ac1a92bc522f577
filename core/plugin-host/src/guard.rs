//! The wrapper around every object of a plugin: each call has a deadline, and an object that panicked, hung or died is
//! not called again. A component is then rebuilt; a world or a stream ends with its episode.

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forethought_api::{
    Error, Result,
    critic::Progress,
    error::Code,
    wire::{Codec, Interface, Message, Object, Reply},
};
use futures::future::BoxFuture;
use tokio::sync::Mutex;

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "plugins are given deadlines by the wall clock")]
fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The limits for a plugin's objects.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The plugin's name, for errors.
    pub plugin: String,
    /// The longest that a call may take. Calls that report progress have no deadline: the user can interrupt them.
    pub deadline: Duration,
    /// How often a component is rebuilt after a failure.
    pub restarts: u32,
}

/// Builds a component, also again after a failure.
pub type Recipe = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Object>>> + Send + Sync>;

/// A component that is built by `recipe`, and rebuilt after a failure.
///
/// # Errors
/// If it cannot be built the first time.
pub async fn component(recipe: Recipe, policy: Policy) -> Result<Arc<dyn Object>> {
    let policy = Arc::new(policy);
    let first = Guarded::new(recipe().await?, policy.clone());
    let (interface, messagepack) = (first.interface().to_string(), first.understands(Codec::MessagePack));
    let inner = Inner { recipe, policy, state: Mutex::new(State { current: first, builds: 0 }) };
    Ok(Arc::new(Instance { interface, messagepack, inner: Arc::new(inner) }))
}

/// A plugin's component, across its rebuilds.
struct Instance {
    interface: String,
    /// Whether the first build understands MessagePack; later ones have the same code.
    messagepack: bool,
    inner: Arc<Inner>,
}

struct Inner {
    recipe: Recipe,
    policy: Arc<Policy>,
    state: Mutex<State>,
}

struct State {
    current: Arc<Guarded>,
    /// How often it was rebuilt.
    builds: u32,
}

impl Inner {
    /// The component, rebuilt if the current one failed.
    async fn sound(&self) -> Result<Arc<Guarded>> {
        let mut state = self.state.lock().await;
        let Some(failure) = state.current.failure.get() else { return Ok(state.current.clone()) };
        let Policy { plugin, restarts, .. } = &*self.policy;
        if state.builds >= *restarts {
            let message = format!("plugin {plugin} is not started again after {restarts} restarts");
            return Err(Error::new(Code::Panic, message).because(failure.clone()));
        }
        tracing::warn!(plugin, "rebuilt after a failure: {failure}");
        state.builds += 1;
        state.current = Guarded::new((self.recipe)().await?, self.policy.clone());
        Ok(state.current.clone())
    }
}

impl Object for Instance {
    fn interface(&self) -> &str {
        &self.interface
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        let (inner, method) = (self.inner.clone(), method.to_owned());
        Box::pin(async move { inner.sound().await?.invoke(&method, request).await })
    }
    fn understands(&self, codec: Codec) -> bool {
        codec == Codec::Json || self.messagepack
    }
    fn origin(&self) -> Option<&str> {
        Some(&self.inner.policy.plugin)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An object of a plugin.
struct Guarded {
    object: Arc<dyn Object>,
    policy: Arc<Policy>,
    /// Why it is no longer called.
    failure: Arc<OnceLock<Error>>,
}

impl Guarded {
    fn new(object: Arc<dyn Object>, policy: Arc<Policy>) -> Arc<Self> {
        Arc::new(Self { object, policy, failure: Arc::default() })
    }
}

impl Object for Guarded {
    fn interface(&self) -> &str {
        self.object.interface()
    }

    fn invoke(&self, method: &str, mut request: Message) -> Reply {
        let call = format!("plugin {}: {}.{method}", self.policy.plugin, self.interface());
        if let Some(failure) = self.failure.get() {
            let error = Error::new(Code::Panic, format!("{call} was not called: this object failed before"));
            let error = error.because(failure.clone());
            return Box::pin(async move { Err(error) });
        }
        let watched = request.objects.iter().any(|object| object.interface() == <dyn Progress>::NAME);
        let deadline = (!watched).then_some(self.policy.deadline);
        if let Some(deadline) = deadline {
            request.meta.deadline_unix_ms = Some(unix_millis() + deadline.as_millis() as u64);
        }
        let (policy, failure) = (self.policy.clone(), self.failure.clone());
        let reply = self.object.invoke(method, request);
        Box::pin(async move {
            let outcome = match deadline {
                None => reply.await,
                Some(deadline) => tokio::time::timeout(deadline, reply).await.unwrap_or_else(|_| {
                    let limit = deadline.as_secs_f64();
                    Err(Error::new(Code::Deadline, format!("no answer within {limit} s (`deadline_s`)")))
                }),
            };
            let mut reply = outcome.map_err(|error| match error.code {
                Code::Panic | Code::Deadline => {
                    let error = error.context(call);
                    let _ = failure.set(error.clone());
                    error
                }
                Code::BadRequest | Code::Plugin | Code::Shutdown => error.context(call),
                _ => error, // The component's own error, as from a linked one.
            })?;
            reply.objects =
                reply.objects.into_iter().map(|object| Guarded::new(object, policy.clone()) as _).collect();
            Ok(reply)
        })
    }

    fn understands(&self, codec: Codec) -> bool {
        self.object.understands(codec)
    }
    fn origin(&self) -> Option<&str> {
        Some(&self.policy.plugin)
    }
    /// The guarded object: sent back to its plugin or on to another, it goes without the guard.
    fn as_any(&self) -> &dyn Any {
        self.object.as_any()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Behaves as the method says; otherwise answers the number of its build.
    struct Moody(u32);

    impl Object for Moody {
        fn interface(&self) -> &str {
            "forethought.test/1"
        }
        fn invoke(&self, method: &str, request: Message) -> Reply {
            let (build, method) = (self.0, method.to_owned());
            Box::pin(async move {
                match &*method {
                    "panic" => Err(Error::new(Code::Panic, "panicked at moody.rs:1")),
                    "hang" => std::future::pending().await,
                    "fail" => Err(Error::input("no such thing")),
                    "deadline" => Message::encode(Codec::Json, &request.meta.deadline_unix_ms.is_some()),
                    "child" => {
                        let objects = vec![Arc::new(Self(build)) as Arc<dyn Object>];
                        Ok(Message { objects, ..Message::encode(Codec::Json, &0)? })
                    }
                    _ => Message::encode(Codec::Json, &build),
                }
            })
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    async fn moody(restarts: u32) -> Arc<dyn Object> {
        let builds = AtomicU32::new(0);
        let recipe: Recipe = Arc::new(move || {
            let build = builds.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move { Ok(Arc::new(Moody(build)) as Arc<dyn Object>) })
        });
        let policy = Policy { plugin: "moody 1.0.0".into(), deadline: Duration::from_millis(50), restarts };
        component(recipe, policy).await.unwrap()
    }

    async fn ask(object: &Arc<dyn Object>, method: &str) -> Result<u32> {
        object.invoke(method, Message::default()).await?.decode()
    }

    #[tokio::test]
    async fn a_component_that_failed_is_rebuilt_as_often_as_allowed() {
        let moody = moody(2).await;
        assert_eq!(ask(&moody, "build").await.unwrap(), 0);
        let error = ask(&moody, "panic").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "plugin moody 1.0.0: forethought.test/1.panic: panicked at moody.rs:1",
            "the error names plugin and method"
        );
        assert_eq!(ask(&moody, "build").await.unwrap(), 1);
        let error = ask(&moody, "hang").await.unwrap_err();
        assert_eq!(error.code, Code::Deadline);
        assert!(error.to_string().contains("forethought.test/1.hang: no answer within 0.05 s"), "{error}");
        assert_eq!(ask(&moody, "build").await.unwrap(), 2);
        assert!(ask(&moody, "panic").await.is_err());
        let error = ask(&moody, "build").await.unwrap_err();
        assert!(error.to_string().contains("not started again after 2 restarts"), "{error}");
    }

    #[tokio::test]
    async fn a_components_own_error_is_unchanged_and_does_no_harm() {
        let moody = moody(0).await;
        assert_eq!(ask(&moody, "fail").await.unwrap_err(), Error::input("no such thing"));
        assert_eq!(ask(&moody, "build").await.unwrap(), 0);
        assert!(moody.invoke("deadline", Message::default()).await.unwrap().decode::<bool>().unwrap());
    }

    #[tokio::test]
    async fn an_object_that_failed_is_not_called_again_and_does_not_affect_its_siblings() {
        let moody = moody(0).await;
        let child = moody.invoke("child", Message::default()).await.unwrap().objects.remove(0);
        let sibling = moody.invoke("child", Message::default()).await.unwrap().objects.remove(0);
        assert!(ask(&child, "panic").await.is_err());
        let error = ask(&child, "build").await.unwrap_err();
        assert!(error.message.contains("was not called: this object failed before"), "{error}");
        assert_eq!(ask(&sibling, "build").await.unwrap(), 0);
        assert_eq!(ask(&moody, "build").await.unwrap(), 0);
    }
}
