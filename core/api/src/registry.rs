//! How components are found: one registration per component, collected by `inventory` in every linked image.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::{
    Error, Result,
    behaviour::ScriptedBehaviour,
    critic::{Critic, CriticTrainer},
    encoder::TextEncoder,
    environment::Environment,
    host::Host,
    importer::Importer,
    llm::LlmBackend,
    planner::{Planner, Summariser},
    verifier::Verifier,
    wire::{Interface, Object},
};

/// A registered component, as submitted by `register!` of the sdk.
pub struct Registration {
    /// Interface name, such as `forethought.environment/1`.
    pub interface: &'static str,
    /// Kind name, as written after `kind =` in a config.
    pub kind: &'static str,
    /// One line for `list`.
    pub summary: &'static str,
    /// The package that provides it.
    pub package: &'static str,
    /// That package's version.
    pub version: &'static str,
    /// Whether its calls are short enough to run on the caller's thread.
    pub inline: bool,
    /// JSON Schema of its configuration.
    pub schema: fn() -> Schema,
    /// Builds it from its configuration (without the `kind` key).
    pub create: fn(Value, Arc<dyn Host>) -> BoxFuture<'static, Result<Component>>,
}

inventory::collect!(Registration);

/// Every component linked into this image, in no particular order.
pub fn linked() -> impl Iterator<Item = &'static Registration> {
    inventory::iter::<Registration>()
}

/// An interface that components can be registered under.
#[diagnostic::on_unimplemented(
    message = "components cannot be registered under `{Self}`",
    note = "`register!` takes one of the prelude's traits after `interface:`, such as `dyn Environment`"
)]
pub trait Pluggable: Interface {
    /// Its name in configs and on the command line.
    const WORD: &'static str;
    /// Wraps a component.
    fn wrap(object: Arc<Self>) -> Component;
    /// Unwraps a component; `None` if it has another interface.
    fn unwrap(component: Component) -> Option<Arc<Self>>;
}

macro_rules! interfaces {
    ($($variant:ident, $interface:ident, $word:literal;)*) => {
        /// A component with any interface.
        #[derive(Clone)]
        #[non_exhaustive]
        pub enum Component {
            $(#[doc = concat!("With interface [`", stringify!($interface), "`].")] $variant(Arc<dyn $interface>),)*
        }

        /// Name and config word of every interface.
        pub const INTERFACES: &[(&str, &str)] = &[$((<dyn $interface as Interface>::NAME, $word)),*];

        impl Component {
            /// The object that answers calls for this component.
            pub fn serve(self) -> Arc<dyn Object> {
                match self {
                    $(Self::$variant(component) => Interface::serve(component),)*
                }
            }
            /// A component that calls this object.
            ///
            /// # Errors
            /// If this version knows no components with its interface.
            pub fn connect(object: Arc<dyn Object>) -> Result<Self> {
                match object.interface() {
                    $(<dyn $interface as Interface>::NAME => Ok(Self::$variant(Interface::connect(object))),)*
                    other => Err(Error::malformed(format!("`{other}` is not an interface of components"))),
                }
            }
        }

        $(impl Pluggable for dyn $interface {
            const WORD: &'static str = $word;
            fn wrap(object: Arc<Self>) -> Component {
                Component::$variant(object)
            }
            fn unwrap(component: Component) -> Option<Arc<Self>> {
                match component {
                    Component::$variant(object) => Some(object),
                    #[allow(unreachable_patterns)]
                    _ => None,
                }
            }
        })*
    };
}

interfaces! {
    Environment, Environment, "environment";
    Llm, LlmBackend, "llm";
    Encoder, TextEncoder, "encoder";
    Critic, Critic, "critic";
    Trainer, CriticTrainer, "trainer";
    Planner, Planner, "planner";
    Summariser, Summariser, "summariser";
    Behaviour, ScriptedBehaviour, "behaviour";
    Importer, Importer, "importer";
    Verifier, Verifier, "verifier";
}

/// A path in a configuration. Its schema has `"format": "path"`, which tells the runtime to resolve relative paths
/// against the file that names them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ConfigPath(pub std::path::PathBuf);

impl JsonSchema for ConfigPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ConfigPath".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "format": "path" })
    }
}

impl std::ops::Deref for ConfigPath {
    type Target = std::path::Path;
    fn deref(&self) -> &std::path::Path {
        &self.0
    }
}

/// A program and its arguments, which a component starts: never by a shell. Its words have the format `command`, by
/// which the runtime finds it: it runs only where the configuration's author is trusted, as a plugin does. The table
/// that holds it also has the key `folder`, a [`ConfigPath`] that names the folder in which the program runs; without a
/// value the runtime fills in the folder of the file that names the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ConfigCommand(pub Vec<String>);

impl ConfigCommand {
    /// Whether no program is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl JsonSchema for ConfigCommand {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ConfigCommand".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "array", "items": { "type": "string", "format": "command" } })
    }
}

/// Names of components in a configuration. The schema of each has the interface as `"format"`, which tells the runtime
/// that a component's own table may be written there in place of a name.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $format:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
                schemars::json_schema!({ "type": "string", "format": $format })
            }
        }
    )+};
}

names! {
    /// The name of a planner under `[planner]`, in a configuration, or a planner's own table.
    PlannerName: "planner";
    /// The name of a language model under `[llm]`, or a role, or a model's own table. A key of type [`String`] gets it by
    /// `#[schemars(with = "LlmName")]`.
    LlmName: "llm";
    /// The name of a critic under `[critic]`, or a critic's own table.
    CriticName: "critic";
    /// The name of an encoder under `[encoder]`, or an encoder's own table.
    EncoderName: "encoder";
}
