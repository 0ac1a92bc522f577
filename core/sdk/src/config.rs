//! What `register!` asks of a configuration's type, said in words where the type does not have it.

use forethought_api::{Error, Result};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A type that a component's configuration is read into. Derive what it takes; this trait then comes by itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold the configuration of a component",
    label = "`Deserialize` or `JsonSchema` is missing",
    note = "put `#[config]` on it: it derives both by the crates that the sdk re-exports"
)]
pub trait Config: DeserializeOwned + JsonSchema {}

// Or the compiler would name one of the two, and list the hundreds of types that have it.
#[diagnostic::do_not_recommend]
impl<C: DeserializeOwned + JsonSchema> Config for C {}

/// The configuration of a component without settings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoConfig {}

/// Its JSON Schema.
pub fn schema<C: Config>() -> Schema {
    schema_for!(C)
}

/// Reads it.
///
/// # Errors
/// If `config` does not fit the type.
pub fn read<C: Config>(config: Value) -> Result<C> {
    serde_json::from_value(config).map_err(|error| Error::config(error.to_string()))
}
