//! What `register!` requires of a configuration's type, with a clear compiler error for types that do not have it.

use forethought_api::{Error, Result};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A type that a component's configuration is read into. Implemented for every type with `#[config]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold the configuration of a component",
    label = "`Deserialize` or `JsonSchema` is missing",
    note = "put `#[config]` on it, which derives both"
)]
pub trait Config: DeserializeOwned + JsonSchema {}

// Otherwise the compiler names one of the two traits and lists hundreds of types that implement it.
#[diagnostic::do_not_recommend]
impl<C: DeserializeOwned + JsonSchema> Config for C {}

/// The configuration of a component without settings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoConfig {}

/// Refuses settings that break a rule: each is whether it is kept, and what it says. `whose` begins the error.
///
/// # Errors
/// The first rule that is broken.
pub fn obey(whose: &str, rules: &[(bool, &str)]) -> Result<()> {
    match rules.iter().find(|(kept, _)| !kept) {
        Some((_, rule)) => Err(Error::config(format!("{whose}: {rule}"))),
        None => Ok(()),
    }
}

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
