//! The wrapper around every object of a plugin: each call has a deadline, and an object that panicked, hung or died is
//! not called again. A component is then rebuilt; a world or a stream ends with its episode.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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

use crate::pipe;

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
    /// How often in a row a component is rebuilt after a failure: without a world that served its episode in between.
    pub restarts: u32,
    /// The largest answer in MiB.
    pub max_answer_mb: u64,
}

/// The longest text of an error, and the most causes.
const ERROR_TEXT: usize = 10_000;
const CAUSES: usize = 16;

/// Builds a component, also again after a failure.
pub type Recipe = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Object>>> + Send + Sync>;

/// A component that is built by `recipe`, and rebuilt after a failure.
///
/// # Errors
/// If it cannot be built the first time.
pub async fn component(recipe: Recipe, policy: Policy) -> Result<Arc<dyn Object>> {
    let shared = Arc::new(Shared { policy, builds: AtomicU32::new(0) });
    let first = Guarded::component(recipe().await?, shared.clone());
    let (interface, messagepack) = (first.interface().to_string(), first.understands(Codec::MessagePack));
    let inner = Inner { recipe, shared, current: Mutex::new(first) };
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
    shared: Arc<Shared>,
    current: Mutex<Arc<Guarded>>,
}

/// What all objects of a component share, across its rebuilds.
struct Shared {
    policy: Policy,
    /// How often in a row it was rebuilt.
    builds: AtomicU32,
}

impl Inner {
    /// The component, rebuilt if the current one failed.
    async fn sound(&self) -> Result<Arc<Guarded>> {
        let mut current = self.current.lock().await;
        let Some(failure) = current.failure.get().or(current.life.get()) else { return Ok(current.clone()) };
        let Policy { plugin, restarts, .. } = &self.shared.policy;
        if self.shared.builds.load(Ordering::Relaxed) >= *restarts {
            let message = format!(
                "plugin {plugin} is not started again after {restarts} restarts in a row (`restarts`)"
            );
            return Err(Error::new(Code::Panic, message).because(failure.clone()));
        }
        tracing::warn!(plugin, "rebuilt after a failure: {failure}");
        self.shared.builds.fetch_add(1, Ordering::Relaxed);
        *current = Guarded::component((self.recipe)().await?, self.shared.clone());
        Ok(current.clone())
    }
}

impl Object for Instance {
    fn interface(&self) -> &str {
        &self.interface
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        let (inner, method) = (self.inner.clone(), method.to_owned());
        Box::pin(async move {
            match inner.sound().await?.invoke(&method, request.clone()).await {
                // Its process had ended before the call reached it, so the call can be made again.
                Err(error) if error.code == Code::Shutdown && error.refused => {
                    inner.sound().await?.invoke(&method, request).await
                }
                outcome => outcome,
            }
        })
    }
    fn understands(&self, codec: Codec) -> bool {
        codec == Codec::Json || self.messagepack
    }
    fn origin(&self) -> Option<&str> {
        Some(&self.inner.shared.policy.plugin)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An object of a plugin.
struct Guarded {
    object: Arc<dyn Object>,
    shared: Arc<Shared>,
    /// Why it is no longer called.
    failure: Arc<OnceLock<Error>>,
    /// Why no object of this build can be called any more: its process has ended.
    life: Arc<OnceLock<Error>>,
    /// Whether it is a world or a stream, and not the component itself.
    child: bool,
    /// Whether it has answered.
    served: Arc<AtomicBool>,
}

impl Guarded {
    fn component(object: Arc<dyn Object>, shared: Arc<Shared>) -> Arc<Self> {
        let (failure, life, served) = Default::default();
        Arc::new(Self { object, shared, failure, life, child: false, served })
    }
}

impl Drop for Guarded {
    /// A world that served its episode well shows that the plugin works.
    fn drop(&mut self) {
        let sound = self.failure.get().is_none() && self.life.get().is_none();
        if self.child && sound && self.served.load(Ordering::Relaxed) {
            self.shared.builds.store(0, Ordering::Relaxed);
        }
    }
}

impl Object for Guarded {
    fn interface(&self) -> &str {
        self.object.interface()
    }

    fn invoke(&self, method: &str, mut request: Message) -> Reply {
        let Policy { plugin, deadline, max_answer_mb, .. } = &self.shared.policy;
        let call = format!("plugin {plugin}: {}.{method}", self.interface());
        let not_called = |code, why: &Error| {
            let error = Error::new(code, format!("{call} was not called: this object failed before"));
            let error = error.because(why.clone()).refused();
            Box::pin(async move { Err(error) }) as Reply
        };
        if let Some(failure) = self.failure.get() {
            return not_called(Code::Panic, failure);
        }
        if let Some(end) = self.life.get() {
            return not_called(Code::Shutdown, end);
        }
        let watched = request.objects.iter().any(|object| object.interface() == <dyn Progress>::NAME);
        let deadline = (!watched).then_some(*deadline);
        if let Some(deadline) = deadline {
            request.meta.deadline_unix_ms = Some(unix_millis() + deadline.as_millis() as u64);
        }
        let (object, shared, max_answer_mb) = (self.object.clone(), self.shared.clone(), *max_answer_mb);
        let (failure, life, served) = (self.failure.clone(), self.life.clone(), self.served.clone());
        let reply = self.object.invoke(method, request);
        Box::pin(async move {
            let outcome = match deadline {
                None => reply.await,
                Some(deadline) => tokio::time::timeout(deadline, reply).await.unwrap_or_else(|_| {
                    let limit = deadline.as_secs_f64();
                    let what = format!("no answer within {limit} s (`deadline_s`)");
                    if let Some(alone) = pipe::condemn(&*object, &format!("{call}: {what}")) {
                        let _ = life.set(Error::new(Code::Shutdown, format!("{call}: {what}")));
                        // Any of the calls in flight may be the one that hangs, and the others wait behind it.
                        if !alone {
                            return Err(Error::new(Code::Shutdown, what));
                        }
                    }
                    Err(Error::new(Code::Deadline, what))
                }),
            };
            let mut reply = outcome.map_err(cut).map_err(|error| match error.code {
                Code::Panic | Code::Deadline => {
                    let error = error.context(call.clone());
                    let _ = failure.set(error.clone());
                    error
                }
                Code::Shutdown => {
                    let error = error.context(call.clone());
                    let _ = life.set(error.clone());
                    error
                }
                Code::BadRequest | Code::Plugin => error.context(call.clone()),
                _ => error, // The component's own error, as from a linked one.
            })?;
            let size = reply.blobs.iter().fold(reply.body.len(), |sum, blob| sum.saturating_add(blob.len()));
            if size as u64 > max_answer_mb.saturating_mul(1 << 20) {
                let what = format!(
                    "{call}: an answer of {} MiB; the limit is {max_answer_mb} MiB (`max_answer_mb`)",
                    size >> 20
                );
                return Err(Error::new(Code::Plugin, what));
            }
            served.store(true, Ordering::Relaxed);
            let guarded = |object| {
                let (failure, served) = Default::default();
                let (shared, life) = (shared.clone(), life.clone());
                Arc::new(Self { object, shared, failure, life, child: true, served }) as Arc<dyn Object>
            };
            reply.objects = reply.objects.into_iter().map(guarded).collect();
            Ok(reply)
        })
    }

    fn understands(&self, codec: Codec) -> bool {
        self.object.understands(codec)
    }
    fn origin(&self) -> Option<&str> {
        Some(&self.shared.policy.plugin)
    }
    /// The guarded object: sent back to its plugin or on to another, it goes without the guard.
    fn as_any(&self) -> &dyn Any {
        self.object.as_any()
    }
}

/// `error` without the rest of texts that are too long to be read.
fn cut(mut error: Error) -> Error {
    let cut = |text: &mut String| {
        if text.len() > ERROR_TEXT {
            let note = format!(" ... (cut: {} bytes in all)", text.len());
            text.truncate(text.floor_char_boundary(ERROR_TEXT));
            text.push_str(&note);
        }
    };
    cut(&mut error.message);
    if error.chain.len() > CAUSES {
        let note = format!("... (cut: {} causes in all)", error.chain.len());
        error.chain.truncate(CAUSES);
        error.chain.push(note);
    }
    error.chain.iter_mut().for_each(cut);
    error
}

#[cfg(test)]
mod tests {
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
                    "gone" => Err(Error::new(Code::Shutdown, "its process ended")),
                    "much" => Message::encode(Codec::Json, &"x".repeat(2 << 20)),
                    "talk" => Err(Error::input("word ".repeat(10_000))),
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
        let policy = Policy {
            plugin: "moody 1.0.0".into(),
            deadline: Duration::from_millis(50),
            restarts,
            max_answer_mb: 1,
        };
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

    #[tokio::test]
    async fn all_objects_of_a_process_end_with_it_and_the_component_is_rebuilt() {
        let moody = moody(1).await;
        let child = async || moody.invoke("child", Message::default()).await.unwrap().objects.remove(0);
        let [first, second] = [child().await, child().await];
        assert!(!ask(&first, "gone").await.unwrap_err().refused, "this call was in flight");
        let error = ask(&second, "build").await.unwrap_err();
        assert!(error.code == Code::Shutdown && error.refused, "this one never reached the process: {error}");
        assert_eq!(ask(&child().await, "build").await.unwrap(), 1);
        // It works again, so the next failure is the first in a row.
        assert!(ask(&child().await, "gone").await.is_err());
        assert_eq!(ask(&moody, "build").await.unwrap(), 2);
        assert!(ask(&moody, "gone").await.is_err());
        assert!(ask(&moody, "build").await.unwrap_err().message.contains("after 1 restarts in a row"));
    }

    #[tokio::test]
    async fn answers_and_errors_have_a_size_limit() {
        let moody = moody(0).await;
        let error = ask(&moody, "much").await.unwrap_err();
        assert!(error.to_string().contains("2 MiB; the limit is 1 MiB (`max_answer_mb`)"), "{error}");
        let error = ask(&moody, "talk").await.unwrap_err();
        assert!(error.message.len() < 11_000 && error.message.ends_with("(cut: 50000 bytes in all)"));
    }
}
